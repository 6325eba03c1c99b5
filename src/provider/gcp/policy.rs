//! Policies of projects and service accounts: read, merged by our one grant alone, written back with the etag that was
//! read; the whole cycle again where someone else was faster. What others have in them survives untouched.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use google_iam1::api;
use http::Method;
use serde_json::{Value as Json, json};
use tokio::sync::Mutex;

use super::Gcp;
use super::client::listen;
use super::failure;
use super::rest::Service;
use crate::model::{CloudError, ErrorKind};
use crate::provider::retry::{Call, back_off};

/// So often is a cycle begun; with back-off that is about half a minute of bad luck.
const CYCLES: u32 = 10;
/// How long a new service account may be unknown to policies.
const APPEARING: Duration = Duration::from_mins(1);

/// One lock for each policy.
#[derive(Default)]
pub(super) struct Locks(std::sync::Mutex<HashMap<String, Arc<Mutex<()>>>>);

impl Locks {
    fn of(&self, holder: &str) -> Arc<Mutex<()>> {
        let mut locks = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        Arc::clone(locks.entry(holder.to_owned()).or_default())
    }
}

/// Reads the policy of `projects/P` or `projects/P/serviceAccounts/EMAIL`, conditions included.
pub(super) async fn read(gcp: &Gcp, holder: &str) -> Result<Json, CloudError> {
    if !holder.contains("/serviceAccounts/") {
        let call = "cloudresourcemanager.projects.getIamPolicy";
        let body = json!({ "options": { "requestedPolicyVersion": 3 } });
        let path = format!("v3/{holder}:getIamPolicy");
        return gcp.rest(Call::Read, call, Service::Projects, Method::POST, &path, Some(&body)).await;
    }
    let call = "iam.projects.serviceAccounts.getIamPolicy";
    let policy: api::Policy = gcp
        .hub(Call::Read, call, |hub| {
            listen!(
                hub.projects().service_accounts_get_iam_policy(holder).options_requested_policy_version(3)
            )
        })
        .await?;
    serde_json::to_value(policy).map_err(|_| failure::garbled(call))
}

/// Changes a policy by `change`, which says whether there is anything to write.
pub(super) async fn edit(
    gcp: &Gcp,
    holder: &str,
    change: impl Fn(&mut Json) -> bool,
) -> Result<Json, CloudError> {
    let lock = gcp.policies.of(holder);
    let _alone = lock.lock().await;
    let mut cycles = 0;
    loop {
        let mut policy = read(gcp, holder).await.map_err(appearing)?;
        if !change(&mut policy) {
            return Ok(policy);
        }
        // Version 3 is the one that keeps conditions.
        policy["version"] = json!(3);
        cycles += 1;
        match write(gcp, holder, policy).await {
            Err(error) if error.kind == ErrorKind::Conflict && cycles < CYCLES => {
                tokio::time::sleep(back_off(cycles)).await;
            }
            answer => return answer.map_err(appearing),
        }
    }
}

async fn write(gcp: &Gcp, holder: &str, policy: Json) -> Result<Json, CloudError> {
    if !holder.contains("/serviceAccounts/") {
        let call = "cloudresourcemanager.projects.setIamPolicy";
        // Audit configurations are others' business.
        let body = json!({ "policy": policy, "updateMask": "bindings,etag" });
        let path = format!("v3/{holder}:setIamPolicy");
        return gcp.rest(Call::Change, call, Service::Projects, Method::POST, &path, Some(&body)).await;
    }
    let call = "iam.projects.serviceAccounts.setIamPolicy";
    let policy = serde_json::from_value(policy).map_err(|_| failure::garbled(call))?;
    let body = &api::SetIamPolicyRequest { policy: Some(policy), update_mask: None };
    let policy: api::Policy = gcp
        .hub(Call::Change, call, |hub| {
            listen!(hub.projects().service_accounts_set_iam_policy(body.clone(), holder))
        })
        .await?;
    serde_json::to_value(policy).map_err(|_| failure::garbled(call))
}

/// What the policy belongs to is not there: perhaps not yet.
fn appearing(error: CloudError) -> CloudError {
    match error.kind {
        ErrorKind::NotFound => CloudError { kind: ErrorKind::Settling { window: APPEARING }, ..error },
        ErrorKind::AlreadyExists
        | ErrorKind::Conflict
        | ErrorKind::Denied
        | ErrorKind::Credentials
        | ErrorKind::Throttled
        | ErrorKind::Invalid
        | ErrorKind::NotEmpty
        | ErrorKind::Settling { .. }
        | ErrorKind::Unreachable
        | ErrorKind::Unknown
        | ErrorKind::WrongAccount => error,
    }
}
