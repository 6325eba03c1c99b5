//! The members of a policy: who may be named, and how a deleted service account shows.

use std::collections::BTreeSet;

use super::policy::Owner;
use super::pool;
use super::project;
use super::refusal::Refusal;
use super::service_account;
use crate::sandbox::World;

const POOLS: &str = "iam.googleapis.com/projects/";

/// A member as it is stored: checked, in lower case, a service account with its unique id.
pub(super) fn store(
    world: &World,
    owner: &Owner,
    text: &str,
    known: &BTreeSet<&String>,
) -> Result<String, Refusal> {
    if let Some(rest) = text.strip_prefix("principal://").or_else(|| text.strip_prefix("principalSet://")) {
        return principal(world, text, rest);
    }
    if let Some(deleted) = text.strip_prefix("deleted:") {
        // What was there may stay; nothing can be granted anew to the deleted.
        let stored = deleted.to_owned();
        return if known.contains(&stored) {
            Ok(stored)
        } else {
            Err(invalid(format!("Member {text} does not exist.")))
        };
    }
    if let ("allUsers" | "allAuthenticatedUsers", Owner::ServiceAccount(..)) = (text, owner) {
        return Ok(text.to_owned());
    }
    let Some((kind, name)) = text.split_once(':') else {
        return Err(invalid(format!(
            "The member {text} is of an unknown type. Please set a valid type prefix for the member."
        )));
    };
    let name = name.to_lowercase();
    match kind {
        "serviceAccount" => service_account(world, &name),
        "user" | "group" if is_email(&name) => Ok(format!("{kind}:{name}")),
        "user" | "group" => Err(invalid(format!("Invalid {kind} email address ({name}) provided."))),
        "domain" if is_domain(&name) => Ok(format!("domain:{name}")),
        "domain" => Err(invalid(format!("Invalid domain name ({name}) provided."))),
        _ => Err(invalid(format!(
            "The member {text} is of an unknown type. Please set a valid type prefix for the member."
        ))),
    }
}

/// A stored member for a reader.
pub(super) fn show(world: &World, stored: &str) -> String {
    let Some((email, unique_id)) =
        stored.strip_prefix("serviceAccount:").and_then(|rest| rest.split_once("?uid="))
    else {
        return stored.to_owned();
    };
    match service_account::live(world, email) {
        Some(account) if account.unique_id == unique_id => format!("serviceAccount:{email}"),
        Some(_) | None => format!("deleted:{stored}"),
    }
}

fn service_account(world: &World, email: &str) -> Result<String, Refusal> {
    if let Some(account) = service_account::live(world, email) {
        return Ok(format!("serviceAccount:{email}?uid={}", account.unique_id));
    }
    let Some((name, domain)) = email.split_once('@') else {
        return Err(invalid(format!("Invalid service account ({email}).")));
    };
    // Google's own service agents exist without anyone making them.
    let agent = domain.ends_with(".gserviceaccount.com")
        && (!domain.ends_with(".iam.gserviceaccount.com") || domain.starts_with("gcp-sa-"));
    if agent && !name.is_empty() {
        Ok(format!("serviceAccount:{email}"))
    } else {
        Err(invalid(format!("Service account {email} does not exist.")))
    }
}

/// `projects/NUM/locations/global/workloadIdentityPools/POOL/` and what of it: the pool must exist, and the project
/// must be given by its number.
fn principal(world: &World, text: &str, rest: &str) -> Result<String, Refusal> {
    let malformed = || invalid(format!("Invalid principal {text}: not a valid resource name."));
    let rest = rest.strip_prefix(POOLS).ok_or_else(malformed)?;
    let (number, rest) = rest.split_once("/locations/global/workloadIdentityPools/").ok_or_else(malformed)?;
    let (pool, who) = rest.split_once('/').ok_or_else(malformed)?;
    let single = text.starts_with("principal://");
    let well_formed = match who.split_once('/') {
        Some(("subject", subject)) => single && !subject.is_empty(),
        Some(("group", group)) => !single && !group.is_empty(),
        Some((attribute, value)) => {
            let name = attribute.strip_prefix("attribute.").unwrap_or_default();
            let legal = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
            !single && !name.is_empty() && name.bytes().all(legal) && !value.is_empty()
        }
        None => !single && who == "*",
    };
    if !well_formed {
        return Err(malformed());
    }
    let project = project::find(world, number).filter(|project| project.number == number);
    if project.is_some_and(|project| pool::exists(world, &project, pool)) {
        return Ok(text.to_owned());
    }
    Err(invalid(format!(
        "Identity Pool does not exist (projects/{number}/locations/global/workloadIdentityPools/{pool}). Please check that \
         you specified a valid resource name as returned in the `name` attribute in the configuration API."
    )))
}

fn is_email(text: &str) -> bool {
    text.split_once('@').is_some_and(|(name, domain)| !name.is_empty() && is_domain(domain))
}

fn is_domain(text: &str) -> bool {
    let label = |label: &str| {
        !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    text.contains('.') && text.split('.').all(label)
}

fn invalid(message: String) -> Refusal {
    Refusal::field("policy.bindings.members", message)
}
