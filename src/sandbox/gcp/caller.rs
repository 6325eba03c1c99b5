//! Who calls: the owner of every project, a federated identity, or a service account; told by its access token.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::call::Call;
use super::policy::{self, Owner};
use super::project::{self, Project};
use super::refusal::{Refusal, Status};
use super::{pool, service_account};
use crate::sandbox::{Record, Request, World};

/// The scope that opens every API.
pub(super) const CLOUD_PLATFORM: &str = "https://www.googleapis.com/auth/cloud-platform";
/// The letters of a token.
const HEX: &[u8] = b"0123456789abcdef";
/// Every scope begins so.
pub(super) const SCOPES: &str = "https://www.googleapis.com/auth/";

/// Who calls.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum Caller {
    /// The owner of every project of the sandbox.
    Owner,
    /// An identity of another cloud, as a pool's provider maps it.
    Federated(Federated),
    /// A service account, by its unique id.
    ServiceAccount(String),
}

/// An identity of another cloud.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Federated {
    /// The pool's project, by its id.
    pub(super) project: String,
    pub(super) pool: String,
    pub(super) subject: String,
    pub(super) groups: Vec<String>,
    /// By their names, without `attribute.`.
    pub(super) attributes: BTreeMap<String, String>,
}

/// An access token; its key is the token's digest.
#[derive(Serialize, Deserialize)]
struct Token {
    caller: Caller,
    scopes: Vec<String>,
    expires: Timestamp,
}

impl Record for Token {
    const TABLE: &'static str = "gcp.token";
}

/// A caller, and what its token is good for.
pub(super) struct Authenticated {
    pub(super) caller: Caller,
    scopes: Vec<String>,
}

impl Authenticated {
    /// Refuses a token that has none of these scopes.
    pub(super) fn in_scope(&self, names: &[&str]) -> Result<(), Refusal> {
        let good = |scope: &String| scope == CLOUD_PLATFORM || names.contains(&scope.as_str());
        if matches!(self.caller, Caller::Owner) || self.scopes.iter().any(good) {
            return Ok(());
        }
        let message = "Request had insufficient authentication scopes.";
        Err(Refusal::new(Status::PermissionDenied, message).because(
            "ACCESS_TOKEN_SCOPE_INSUFFICIENT",
            "googleapis.com",
            &Json::Object(Map::new()),
        ))
    }

    /// Refuses all but a project's owner: what the administrators' APIs want.
    pub(super) fn administers(&self, world: &World, project: Option<&str>) -> Result<(), Refusal> {
        if matches!(self.caller, Caller::Owner) {
            return Ok(());
        }
        self.in_scope(&[])?;
        let place = project.and_then(|project| project::find(world, project)).map(Owner::Project);
        if place.is_some_and(|owner| policy::grants(world, &owner, &self.caller, &["roles/owner"], "")) {
            return Ok(());
        }
        Err(Refusal::new(Status::PermissionDenied, "The caller does not have permission"))
    }
}

/// Issues a token.
pub(super) fn issue(
    world: &mut World,
    caller: Caller,
    scopes: Vec<String>,
    lasts: SignedDuration,
) -> (String, Timestamp) {
    let now = world.now();
    for (key, _) in world.list::<Token>("").into_iter().filter(|(_, token)| token.expires <= now) {
        world.remove::<Token>(&key);
    }
    let kind = if matches!(caller, Caller::Federated(_)) { 'd' } else { 'c' };
    let text = format!("ya29.{kind}.{}", world.secret(64, HEX));
    let expires = now.saturating_add(lasts).unwrap_or(now);
    world.put(&digest(&text), &Token { caller, scopes, expires });
    (text, expires)
}

/// Who bears the request's token.
pub(super) fn authenticate(
    world: &World,
    call: &Call<'_>,
    request: &Request,
) -> Result<Authenticated, Refusal> {
    let Some(text) = call.token(request) else {
        return Err(unauthenticated("CREDENTIALS_MISSING", "missing"));
    };
    if bool::from(text.as_bytes().ct_eq(world.credentials().gcp_token().as_bytes())) {
        return Ok(Authenticated { caller: Caller::Owner, scopes: Vec::new() });
    }
    let Some(token) = world.get::<Token>(&digest(text)) else {
        return Err(unauthenticated("ACCESS_TOKEN_TYPE_UNSUPPORTED", "invalid"));
    };
    if token.expires <= world.now() {
        return Err(unauthenticated("ACCESS_TOKEN_EXPIRED", "invalid"));
    }
    if let Caller::ServiceAccount(id) = &token.caller
        && service_account::by_id(world, id).is_none_or(|account| account.disabled)
    {
        return Err(unauthenticated("ACCOUNT_STATE_INVALID", "invalid"));
    }
    Ok(Authenticated { caller: token.caller, scopes: token.scopes })
}

/// The members of a policy that the caller is.
pub(super) fn members(world: &World, caller: &Caller) -> BTreeSet<String> {
    match caller {
        Caller::Owner => {
            BTreeSet::from(["user:owner@example.com", "allUsers", "allAuthenticatedUsers"].map(str::to_owned))
        }
        Caller::ServiceAccount(id) => {
            let account = service_account::by_id(world, id);
            let own = account.map(|account| format!("serviceAccount:{}?uid={id}", account.email()));
            let all = ["allUsers", "allAuthenticatedUsers"].map(str::to_owned);
            own.into_iter().chain(all).collect()
        }
        Caller::Federated(identity) => federated(world, identity),
    }
}

/// A federated identity is nobody while its pool is disabled or deleted.
fn federated(world: &World, identity: &Federated) -> BTreeSet<String> {
    let mut members = BTreeSet::from(["allUsers".to_owned()]);
    let Some(project) = project::find(world, &identity.project) else { return members };
    if !pool::look(world, &project, &identity.pool).now.is_some_and(|pool| pool.is_active() && !pool.disabled)
    {
        return members;
    }
    let Project { number, .. } = project;
    let pool = format!(
        "iam.googleapis.com/projects/{number}/locations/global/workloadIdentityPools/{}",
        identity.pool
    );
    members.insert(format!("principal://{pool}/subject/{}", identity.subject));
    members.insert(format!("principalSet://{pool}/*"));
    members.extend(identity.groups.iter().map(|group| format!("principalSet://{pool}/group/{group}")));
    let attributes = identity.attributes.iter();
    members.extend(attributes.map(|(name, value)| format!("principalSet://{pool}/attribute.{name}/{value}")));
    members
}

fn digest(token: &str) -> String {
    hex::encode(Sha256::digest(token))
}

fn unauthenticated(reason: &str, what: &str) -> Refusal {
    let message = format!(
        "Request had {what} authentication credentials. Expected OAuth 2 access token, login cookie or other valid \
         authentication credential. See https://developers.google.com/identity/sign-in/web/devconsole-project."
    );
    Refusal::new(Status::Unauthenticated, message).because(
        reason,
        "googleapis.com",
        &Json::Object(Map::new()),
    )
}
