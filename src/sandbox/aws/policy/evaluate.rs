//! Whom a bucket's policy lets in or keeps out, and whom a role's trust policy.

use serde_json::{Map, Value as Json};

use super::{each, statements};

/// What somebody wants to do.
#[derive(Clone, Copy, Debug)]
pub(in crate::sandbox::aws) struct Ask<'a> {
    /// The caller's ARN, account and unique id; `None` for everybody who signed nothing.
    pub(in crate::sandbox::aws) caller: Option<(&'a str, &'a str, &'a str)>,
    /// `s3:GetObject`.
    pub(in crate::sandbox::aws) action: &'a str,
    /// The bucket's or the object's ARN; empty where a role's trust is judged.
    pub(in crate::sandbox::aws) resource: &'a str,
    /// The service of AWS that asks, where one does on its own.
    pub(in crate::sandbox::aws) service: Option<Service<'a>>,
}

/// A service of AWS, and on behalf of what it asks.
#[derive(Clone, Copy, Debug)]
pub(in crate::sandbox::aws) struct Service<'a> {
    /// `s3.amazonaws.com`.
    pub(in crate::sandbox::aws) principal: &'a str,
    /// The ARN of the bucket, the API or the distribution.
    pub(in crate::sandbox::aws) source_arn: &'a str,
    /// Whose that is.
    pub(in crate::sandbox::aws) source_account: &'a str,
}

/// What the policy says to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::sandbox::aws) enum Verdict {
    /// A statement forbids it; nothing can allow it then.
    Denied,
    /// A statement allows it.
    Allowed,
    /// It says nothing.
    Silent,
}

/// Judges by a document as it is kept.
pub(in crate::sandbox::aws) fn evaluate(document: &Json, ask: Ask<'_>) -> Verdict {
    let mut verdict = Verdict::Silent;
    for statement in
        statements(document).filter_map(Json::as_object).filter(|statement| applies(statement, ask))
    {
        match statement.get("Effect").and_then(Json::as_str) {
            Some("Deny") => return Verdict::Denied,
            Some(_) | None => verdict = Verdict::Allowed,
        }
    }
    verdict
}

/// Whether a document lets everybody in: an `Allow` for all principals without a condition that binds it to some.
pub(in crate::sandbox::aws) fn is_public(document: &Json) -> bool {
    statements(document).filter_map(Json::as_object).any(|statement| {
        let allows = statement.get("Effect").and_then(Json::as_str) == Some("Allow");
        let everybody =
            statement.contains_key("NotPrincipal") || statement.get("Principal").is_some_and(is_everybody);
        allows && everybody && !binds(statement)
    })
}

fn is_everybody(principal: &Json) -> bool {
    let all = |json: &Json| each(json).any(|value| value.as_str() == Some("*"));
    principal.as_str() == Some("*") || principal.get("AWS").is_some_and(all)
}

/// Whether a condition ties the statement to fixed callers: S3's "The meaning of public".
fn binds(statement: &Map<String, Json>) -> bool {
    const BINDING: [&str; 13] = [
        "aws:sourceip",
        "aws:sourcearn",
        "aws:sourcevpc",
        "aws:sourcevpce",
        "aws:sourceowner",
        "aws:sourceaccount",
        "aws:userid",
        "aws:principalarn",
        "aws:principalaccount",
        "aws:principalorgid",
        "aws:principalorgpaths",
        "s3:dataaccesspointarn",
        "s3:dataaccesspointaccount",
    ];
    let tests = statement.get("Condition").and_then(Json::as_object).into_iter().flatten();
    tests
        .filter(|(operator, _)| {
            !operator.contains("Not") && !operator.ends_with("IfExists") && *operator != "Null"
        })
        .flat_map(|(_, tests)| tests.as_object().into_iter().flatten())
        .any(|(key, values)| {
            let wild =
                |value: &Json| value.as_str().is_none_or(|text| text.contains('*') || text == "0.0.0.0/0");
            BINDING.contains(&key.to_ascii_lowercase().as_str()) && !each(values).any(wild)
        })
}

fn applies(statement: &Map<String, Json>, ask: Ask<'_>) -> bool {
    let any = |json: &Json, value: &str, fold: bool| {
        each(json).filter_map(Json::as_str).any(|pattern| {
            if fold {
                is_like(&pattern.to_ascii_lowercase(), &value.to_ascii_lowercase())
            } else {
                is_like(pattern, value)
            }
        })
    };
    let whom = match (statement.get("Principal"), statement.get("NotPrincipal")) {
        (Some(principal), _) => is_meant(principal, ask),
        (None, Some(principal)) => !is_meant(principal, ask),
        (None, None) => false,
    };
    let what = match (statement.get("Action"), statement.get("NotAction")) {
        (Some(actions), _) => any(actions, ask.action, true),
        (None, Some(actions)) => !any(actions, ask.action, true),
        (None, None) => false,
    };
    let on = match (statement.get("Resource"), statement.get("NotResource")) {
        (Some(resources), _) => any(resources, ask.resource, false),
        (None, Some(resources)) => !any(resources, ask.resource, false),
        // A trust policy names no resource: it is that of the role it belongs to.
        (None, None) => ask.resource.is_empty(),
    };
    whom && what && on && statement.get("Condition").is_none_or(|condition| holds(condition, ask))
}

fn is_meant(principal: &Json, ask: Ask<'_>) -> bool {
    if is_everybody(principal) {
        return true;
    }
    if let Some(service) = ask.service {
        let named = principal.get("Service").into_iter().flat_map(each);
        return named.filter_map(Json::as_str).any(|name| name == service.principal);
    }
    let Some((arn, account, id)) = ask.caller else { return false };
    let root = format!("arn:aws:iam::{account}:root");
    principal
        .get("AWS")
        .into_iter()
        .flat_map(each)
        .filter_map(Json::as_str)
        .any(|text| text == arn || text == id || text == root || id.split(':').next() == Some(text))
}

/// Whether all tests of a condition hold. What the sandbox cannot know of a request is absent from it.
fn holds(condition: &Json, ask: Ask<'_>) -> bool {
    condition.as_object().into_iter().flatten().all(|(operator, tests)| {
        tests.as_object().into_iter().flatten().all(|(key, values)| {
            let actual = known(key, ask);
            let any = |test: &dyn Fn(&str, &str) -> bool| match &actual {
                Some(actual) => each(values).any(|value| test(&text(value), actual)),
                None => false,
            };
            match operator.trim_end_matches("IfExists") {
                _ if operator.ends_with("IfExists") && actual.is_none() => true,
                "StringEquals" | "ArnEquals" | "Bool" | "IpAddress" => any(&|value, actual| value == actual),
                "StringEqualsIgnoreCase" => any(&|value, actual| value.eq_ignore_ascii_case(actual)),
                "StringLike" | "ArnLike" => any(&is_like),
                "StringNotEquals" | "ArnNotEquals" | "NotIpAddress" => !any(&|value, actual| value == actual),
                "StringNotLike" | "ArnNotLike" => !any(&is_like),
                "Null" => each(values).any(|value| text(value) == actual.is_none().to_string()),
                // Numbers, dates and binary values are about things that the sandbox does not know.
                _ => false,
            }
        })
    })
}

fn known(key: &str, ask: Ask<'_>) -> Option<String> {
    match key.to_ascii_lowercase().as_str() {
        // Loopback is as private as TLS.
        "aws:securetransport" => Some("true".to_owned()),
        "aws:sourceip" => Some("127.0.0.1".to_owned()),
        "aws:principalarn" => ask.caller.map(|(arn, _, _)| arn.to_owned()),
        "aws:principalaccount" => ask.caller.map(|(_, account, _)| account.to_owned()),
        "aws:sourcearn" => ask.service.map(|service| service.source_arn.to_owned()),
        "aws:sourceaccount" => ask.service.map(|service| service.source_account.to_owned()),
        "aws:principalservicename" => ask.service.map(|service| service.principal.to_owned()),
        "aws:principalisawsservice" => Some(ask.service.is_some().to_string()),
        "aws:userid" => ask.caller.map(|(_, _, id)| id.to_owned()),
        "aws:principaltype" => Some(if ask.caller.is_some() { "User" } else { "Anonymous" }.to_owned()),
        _ => None,
    }
}

fn text(value: &Json) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Matches `*` and `?`, in time linear in the product of the lengths.
pub(in crate::sandbox::aws) fn is_like(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut at, mut from) = (0, 0);
    let mut star = None;
    while from < text.len() {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at, from));
                at += 1;
            }
            Some(byte) if *byte == b'?' || *byte == text[from] => {
                at += 1;
                from += 1;
            }
            Some(_) | None => {
                let Some((star_at, star_from)) = star else { return false };
                at = star_at + 1;
                from = star_from + 1;
                star = Some((star_at, from));
            }
        }
    }
    pattern[at..].iter().all(|byte| *byte == b'*')
}
