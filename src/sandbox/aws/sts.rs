//! STS: who am I, and the sessions of roles.

use jiff::SignedDuration;

use super::error::Error;
use super::iam::{Role, role_by_arn};
use super::identity::{self, Wish};
use super::policy::{Ask, Facts, Kind, check, evaluate};
use super::query::{Call, Service, parameters};
use super::xml::Element;
use super::{iso_seconds, session};
use crate::sandbox::Request;

/// The service. Every region has it.
pub(super) const SERVICE: Service = Service {
    name: "sts",
    version: "2011-06-15",
    region: None,
    empty_results: &[],
    // To know oneself needs no permission; becoming somebody else is judged with whom that is.
    resource: |_, _| None,
    facts: |_, _, facts| facts,
    namespace: "https://sts.amazonaws.com/doc/2011-06-15/",
    run,
};

/// Whether an unsigned request is for this service.
pub(super) fn knows(request: &Request) -> bool {
    parameters(request).iter().any(|(name, value)| name == "Version" && value == SERVICE.version)
}

fn run(action: &str, call: &mut Call<'_>) -> Option<Result<Vec<Element>, Error>> {
    match action {
        "AssumeRole" => Some(assume_role(call)),
        "GetCallerIdentity" => Some(get_caller_identity(call)),
        _ => None,
    }
}

/// Needs no permission, and cannot be denied.
fn get_caller_identity(call: &mut Call<'_>) -> Result<Vec<Element>, Error> {
    call.form.finish()?;
    Ok(vec![
        Element::leaf("Arn", call.caller.arn()),
        Element::leaf("UserId", call.caller.user_id()),
        Element::leaf("Account", &call.caller.account),
    ])
}

/// Whether a role's trust policy admits the caller; and, unless that names the caller's role itself, the caller's own
/// policies too. If only those do not, whoever is trusted is told why.
fn admits(call: &Call<'_>, role: &Role, name: &str, external: Option<&String>) -> Result<(), String> {
    let caller = &call.caller;
    let trust = serde_json::from_str(&role.trust).unwrap_or_default();
    let facts = Facts::new(call.world, &call.region, &role.account).with("sts:RoleSessionName", name);
    let facts = facts.maybe("sts:ExternalId", external);
    let (asker, arn) = (caller.asker(), role.arn());
    let action = "sts:AssumeRole";
    let ask = Ask { caller: Some(&asker), action, resource: &arn, service: None, facts: &facts };
    let wish = Wish { action, resource: &arn, owner: &role.account, policy: Some(&trust), facts: &facts };
    if !evaluate(&trust, ask).allows() {
        return Err(String::new());
    }
    identity::judge(call.world, caller, wish).map_err(|why| format!(" {why}"))
}

/// Whoever the role's trust policy admits becomes the role for a while. An absent role cannot be told from one whose
/// trust says no.
fn assume_role(call: &mut Call<'_>) -> Result<Vec<Element>, Error> {
    let arn = call.form.need_text("RoleArn", 20..=2048, r"(?s).+");
    let name = call.form.need_text("RoleSessionName", 2..=64, r"[\w+=,.@-]*");
    let seconds = call.form.number("DurationSeconds", 900..=43_200).unwrap_or(3600);
    let policy = call.form.text("Policy", 1..=2048, r"[\t\n\r\x20-\u{ff}]+");
    let external = call.form.text("ExternalId", 2..=1224, r"[\w+=,.@:\/-]*");
    call.form.finish()?;
    if let Some(policy) = &policy {
        let malformed = |message: String| Error::new(400, "MalformedPolicyDocument", message);
        check(policy, Kind::Identity).map_err(malformed)?;
    }
    let caller = &call.caller;
    let role = role_by_arn(call.world, &arn).ok_or_else(String::new);
    let role = role.and_then(|role| admits(call, &role, &name, external.as_ref()).map(|()| role));
    let role = role.map_err(|why| {
        let caller = caller.arn();
        let message =
            format!("User: {caller} is not authorized to perform: sts:AssumeRole on resource: {arn}{why}");
        Error::new(403, "AccessDenied", message)
    })?;
    let (most, why) = match caller.assumed {
        Some(_) => (3600, "the 1 hour session limit for roles assumed by role chaining"),
        None => (role.max_session, "the MaxSessionDuration set for this role"),
    };
    if seconds > most {
        let message = format!("The requested DurationSeconds exceeds {why}.");
        return Err(Error::new(400, "ValidationError", message));
    }
    let keys = session::open(call.world, &role, &name, SignedDuration::from_secs(seconds.into()), policy);
    let credentials = Element::new("Credentials")
        .text("AccessKeyId", keys.access_key_id)
        .text("SecretAccessKey", keys.secret_access_key)
        .text("SessionToken", keys.session_token)
        .text("Expiration", iso_seconds(keys.expiration));
    let user = Element::new("AssumedRoleUser")
        .text("AssumedRoleId", format!("{}:{name}", role.id))
        .text("Arn", format!("arn:aws:sts::{}:assumed-role/{}/{name}", role.account, role.name));
    Ok(vec![credentials, user])
}
