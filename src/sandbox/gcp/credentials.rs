//! iamcredentials.googleapis.com, v1: access tokens of service accounts, for those who may act as them.
//!
//! Absences: identity tokens and signatures; lifetimes beyond an hour, which an organisation's policy has to allow.

use jiff::SignedDuration;
use serde::Deserialize;
use serde_json::{Value as Json, json};

use super::call::Call;
use super::caller::{self, Authenticated, Caller, SCOPES};
use super::message::{Field, Kind};
use super::policy::{self, Owner};
use super::project::Project;
use super::refusal::{Refusal, Status};
use super::service;
use super::service_account::{self, Account};
use crate::sandbox::{World, project_number};

const PERMISSION: &str = "iam.serviceAccounts.getAccessToken";
/// The roles that hold it.
const ROLES: &[&str] = &["roles/iam.workloadIdentityUser", "roles/iam.serviceAccountTokenCreator"];
/// A token lasts no longer, in seconds.
const LONGEST: i64 = 3600;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Generate {
    #[serde(default)]
    scope: Vec<String>,
    #[serde(default)]
    delegates: Vec<String>,
    lifetime: Option<String>,
}

/// Answers `v1/projects/-/serviceAccounts/EMAIL:generateAccessToken`.
pub(super) fn generate(
    world: &mut World,
    project: &str,
    who: &str,
    call: &Call<'_>,
    by: &Authenticated,
) -> Result<Json, Refusal> {
    static REQUEST: [Field; 3] = [
        Field("delegates", Kind::List(&Kind::Text)),
        Field("scope", Kind::List(&Kind::Text)),
        Field("lifetime", Kind::Text),
    ];
    call.accepts(&[])?;
    let given: Generate = call.body(&REQUEST)?;
    if project != "-" {
        let message = "The service account's project must be given as the wildcard '-'.";
        return Err(Refusal::field("name", message));
    }
    if given.scope.is_empty() {
        return Err(Refusal::field("scope", "At least one scope must be provided."));
    }
    if let Some(stranger) = given.scope.iter().find(|scope| !scope.starts_with(SCOPES)) {
        return Err(Refusal::field("scope", format!("Invalid OAuth scope: {stranger}")));
    }
    let lasts = given.lifetime.as_deref().map_or(Ok(LONGEST), lifetime)?;
    by.in_scope(&["https://www.googleapis.com/auth/iam"])?;
    let mut acting = by.caller.clone();
    for delegate in &given.delegates {
        let malformed = || Refusal::field("delegates", format!("Invalid service account name: {delegate}"));
        let name = delegate.strip_prefix("projects/-/serviceAccounts/").ok_or_else(malformed)?;
        acting = Caller::ServiceAccount(reach(world, &acting, name)?.unique_id);
    }
    let account = reach(world, &acting, who)?;
    let (token, expires) = caller::issue(
        world,
        Caller::ServiceAccount(account.unique_id),
        given.scope,
        SignedDuration::from_secs(lasts),
    );
    let expires = expires.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    Ok(json!({ "accessToken": token, "expireTime": expires }))
}

/// The account, if the caller may act as it. One that is absent and one that is out of reach look the same.
fn reach(world: &World, acting: &Caller, who: &str) -> Result<Account, Refusal> {
    let account = if who.contains('@') {
        service_account::live(world, who)
    } else {
        service_account::by_id(world, who)
    };
    let Some(account) = account else { return Err(denied()) };
    let place = Project { id: account.project.clone(), number: project_number(&account.project) };
    service::require(world, &place, "iamcredentials.googleapis.com")?;
    // A grant on the project holds for all its accounts.
    let name = format!("projects/-/serviceAccounts/{}", account.unique_id);
    let owners = [Owner::ServiceAccount(place.clone(), account.unique_id.clone()), Owner::Project(place)];
    if !owners.iter().any(|owner| policy::grants(world, owner, acting, ROLES, &name)) {
        return Err(denied());
    }
    if account.disabled {
        // Google's words for this are not documented.
        return Err(Refusal::precondition(format!("Service account {} is disabled.", account.email())));
    }
    Ok(account)
}

fn denied() -> Refusal {
    let message = format!("Permission '{PERMISSION}' denied on resource (or it may not exist).");
    Refusal::new(Status::PermissionDenied, message).because(
        "IAM_PERMISSION_DENIED",
        "iam.googleapis.com",
        &json!({ "permission": PERMISSION }),
    )
}

/// Seconds of a duration as JSON writes it: `3600s`, `1.5s`.
fn lifetime(text: &str) -> Result<i64, Refusal> {
    let malformed = || {
        Refusal::field(
            "lifetime",
            format!("Invalid value at 'lifetime' (type.googleapis.com/google.protobuf.Duration), \"{text}\""),
        )
    };
    let number = text.strip_suffix('s').ok_or_else(malformed)?;
    let (seconds, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(seconds.trim_start_matches('-')) || !digits(fraction) || fraction.len() > 9 {
        return Err(malformed());
    }
    let seconds: i64 = seconds.parse().map_err(|_| malformed())?;
    if (1..=LONGEST).contains(&seconds) {
        return Ok(seconds);
    }
    Err(Refusal::field("lifetime", format!("Lifetime must be between 1 and {LONGEST} seconds: {text}")))
}
