//! Principals: which there are, and how AWS keeps them.
//!
//! An account is kept as the ARN of its root. A role or a user is kept by its unique id, so that another one made
//! later under the same name is not let in; on read the id is shown as the ARN for as long as its bearer lives.

use serde_json::Value as Json;

use super::each;
use super::services::is_service;
use crate::sandbox::World;
use crate::sandbox::aws::{Caller, administrator_id, iam, is_account};

/// Where a principal stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Trust,
    Bucket,
}

/// Says what is wrong with a `Principal` by its form alone.
pub(super) fn check_principal(principal: &Json, place: Place) -> Result<(), String> {
    let map = match principal {
        Json::String(text) if text == "*" => {
            // Seen to be refused for roles: facts, "Policy documents".
            return match place {
                Place::Trust => {
                    Err("AssumeRolepolicy contained an invalid principal: \"STAR\":\"*\".".to_owned())
                }
                Place::Bucket => Ok(()),
            };
        }
        Json::Object(map) if !map.is_empty() => map,
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) | Json::Array(_) | Json::Object(_) => {
            return Err(match place {
                Place::Trust => "Syntax errors in policy.".to_owned(),
                Place::Bucket => "Invalid principal in policy".to_owned(),
            });
        }
    };
    for (kind, values) in map {
        for value in each(values) {
            let text = value.as_str().unwrap_or_default();
            let known = match kind.as_str() {
                "AWS" => is_aws(text),
                "Service" => is_service(text),
                "Federated" => is_federated(text),
                "CanonicalUser" => place == Place::Bucket && is_canonical_user(text),
                _ => false,
            };
            if !known {
                return Err(invalid(kind, text, place));
            }
        }
    }
    Ok(())
}

/// Turns the principals of a document into what AWS keeps; those that do not exist are refused.
pub(in crate::sandbox::aws) fn store_principals(
    world: &World,
    document: &mut Json,
    in_bucket: bool,
) -> Result<(), String> {
    let place = if in_bucket { Place::Bucket } else { Place::Trust };
    each_principal(document, |text| {
        stored(world, text).map_or_else(|| Err(invalid("AWS", text, place)), |kept| Ok(Some(kept)))
    })
}

/// Turns the principals of a kept document into what AWS shows: the ARNs of those that still exist.
pub(in crate::sandbox::aws) fn show_principals(world: &World, document: &mut Json) {
    // Nothing is refused here.
    let _ = each_principal(document, |text| Ok(shown(world, text)));
}

fn invalid(kind: &str, text: &str, place: Place) -> String {
    let kind = if kind == "Service" { "SERVICE" } else { kind };
    match place {
        Place::Trust => format!("Invalid principal in policy: \"{kind}\":\"{text}\""),
        Place::Bucket => "Invalid principal in policy".to_owned(),
    }
}

/// Visits every AWS principal of a document, and replaces it by what the visit returns.
fn each_principal(
    document: &mut Json,
    mut visit: impl FnMut(&str) -> Result<Option<String>, String>,
) -> Result<(), String> {
    let statements = match document.get_mut("Statement") {
        Some(Json::Array(statements)) => statements.as_mut_slice(),
        Some(statement) => std::slice::from_mut(statement),
        None => return Ok(()),
    };
    for statement in statements {
        for element in ["Principal", "NotPrincipal"] {
            let principals = match statement.get_mut(element).and_then(|principal| principal.get_mut("AWS")) {
                Some(Json::Array(principals)) => principals.as_mut_slice(),
                Some(principal) => std::slice::from_mut(principal),
                None => continue,
            };
            for principal in principals {
                if let Some(text) = principal.as_str()
                    && let Some(replaced) = visit(text)?
                {
                    *principal = Json::String(replaced);
                }
            }
        }
    }
    Ok(())
}

/// What AWS keeps of a principal; `None` if there is none such.
fn stored(world: &World, text: &str) -> Option<String> {
    if text == "*" {
        return Some(text.to_owned());
    }
    if is_account(text) {
        return Some(format!("arn:aws:iam::{text}:root"));
    }
    if let Some(account) = administrator_of(text) {
        return Some(administrator_id(&account));
    }
    if text.starts_with("AIDA") {
        // Only what was shown may be put back: an id whose bearer lives.
        let mut accounts = world.accounts().aws.iter();
        return accounts.any(|account| administrator_id(account) == text).then(|| text.to_owned());
    }
    if text.starts_with("AROA") {
        return iam::role_by_id(world, text).map(|_| text.to_owned());
    }
    let (account, kind, rest) = parts(text)?;
    match kind {
        "root" => Some(text.to_owned()),
        "role" => iam::role_by_arn(world, text).map(|role| role.id),
        "assumed-role" => {
            let (name, _) = rest.split_once('/')?;
            iam::role_by_name(world, account, name).map(|_| text.to_owned())
        }
        _ => None,
    }
}

/// What AWS shows of a kept principal; `None` to show it as it is.
fn shown(world: &World, text: &str) -> Option<String> {
    if text.starts_with("AROA") {
        return iam::role_by_id(world, text).map(|role| role.arn());
    }
    if text.starts_with("AIDA") {
        let mut accounts = world.accounts().aws.iter();
        let account = accounts.find(|account| administrator_id(account) == text)?;
        return Some(format!("arn:aws:iam::{account}:user/{}", Caller::USER));
    }
    None
}

fn administrator_of(arn: &str) -> Option<String> {
    let (account, kind, rest) = parts(arn)?;
    (kind == "user" && rest == Caller::USER).then(|| account.to_owned())
}

/// Account, kind and rest of `arn:aws:iam::ACCT:role/a/b`, also of `arn:aws:iam::ACCT:root`.
fn parts(arn: &str) -> Option<(&str, &str, &str)> {
    let mut fields = arn.splitn(6, ':');
    let ("arn", "aws", service, "", account) =
        (fields.next()?, fields.next()?, fields.next()?, fields.next()?, fields.next()?)
    else {
        return None;
    };
    let resource = fields.next()?;
    let (kind, rest) = resource.split_once('/').unwrap_or((resource, ""));
    let fits = match kind {
        "root" => service == "iam" && rest.is_empty(),
        "role" | "user" => service == "iam" && !rest.is_empty(),
        "assumed-role" | "federated-user" => service == "sts" && !rest.is_empty(),
        _ => false,
    };
    (is_account(account) && fits).then_some((account, kind, rest))
}

fn is_aws(text: &str) -> bool {
    let id = |prefix: &str| text.strip_prefix(prefix).is_some_and(|rest| rest.len() == 17);
    text == "*"
        || is_account(text)
        || id("AROA")
        || id("AIDA")
        || parts(text).is_some_and(|_| !text.contains(['*', '?']))
}

fn is_federated(text: &str) -> bool {
    const BUILT_IN: [&str; 4] =
        ["accounts.google.com", "cognito-identity.amazonaws.com", "graph.facebook.com", "www.amazon.com"];
    let provider = text.strip_prefix("arn:aws:iam::").and_then(|rest| rest.split_once(':'));
    BUILT_IN.contains(&text)
        || provider.is_some_and(|(account, rest)| {
            let kinds = ["oidc-provider/", "saml-provider/"];
            is_account(account)
                && kinds.iter().any(|kind| rest.strip_prefix(kind).is_some_and(|name| !name.is_empty()))
        })
}

fn is_canonical_user(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}
