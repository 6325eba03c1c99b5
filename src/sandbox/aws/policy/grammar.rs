//! Which documents are policies: elements, versions, effects, actions, resources and conditions.

use std::sync::LazyLock;

use regex::Regex;
use serde_json::{Map, Value as Json};

use super::principal::{Place, check_principal};
use super::{each, statements};

/// What a document is for; it decides which elements it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::sandbox::aws) enum Kind<'a> {
    /// Who may assume a role: no resource, and principals.
    Trust,
    /// What an identity may do: no principal.
    Identity,
    /// Who may do what with this bucket: both.
    Bucket(&'a str),
}

const STATEMENT_ELEMENTS: [&str; 9] = [
    "Sid",
    "Effect",
    "Principal",
    "NotPrincipal",
    "Action",
    "NotAction",
    "Resource",
    "NotResource",
    "Condition",
];

const OPERATORS: [&str; 27] = [
    "StringEquals",
    "StringNotEquals",
    "StringEqualsIgnoreCase",
    "StringNotEqualsIgnoreCase",
    "StringLike",
    "StringNotLike",
    "NumericEquals",
    "NumericNotEquals",
    "NumericLessThan",
    "NumericLessThanEquals",
    "NumericGreaterThan",
    "NumericGreaterThanEquals",
    "DateEquals",
    "DateNotEquals",
    "DateLessThan",
    "DateLessThanEquals",
    "DateGreaterThan",
    "DateGreaterThanEquals",
    "Bool",
    "BinaryEquals",
    "IpAddress",
    "NotIpAddress",
    "ArnEquals",
    "ArnNotEquals",
    "ArnLike",
    "ArnNotLike",
    "Null",
];

static ACTION: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"^(\*|[a-z0-9-]+:[A-Za-z0-9*?]+)$").ok());

/// Issuers that many tenants share, and the claim that tells them apart: a trust without it lets all of them in.
const SHARED_ISSUERS: [(&str, &str); 3] =
    [("token.actions.githubusercontent.com", "sub"), ("gitlab.com", "sub"), ("app.terraform.io", "sub")];

/// Reads a document and says what is wrong with it, in AWS's words.
pub(in crate::sandbox::aws) fn check(text: &str, kind: Kind<'_>) -> Result<Json, String> {
    if text.chars().any(|c| !matches!(c, '\u{9}' | '\u{a}' | '\u{d}' | '\u{20}'..='\u{ff}')) {
        return Err("The policy contains characters that are not allowed.".to_owned());
    }
    let invalid = match kind {
        Kind::Trust | Kind::Identity => "This policy contains invalid Json",
        Kind::Bucket(_) => "Policies must be valid JSON and the first byte must be '{'",
    };
    if !text.trim_start().starts_with('{') {
        return Err(invalid.to_owned());
    }
    let document: Json = serde_json::from_str(text).map_err(|_| invalid.to_owned())?;
    let Some(top) = document.as_object() else { return Err(invalid.to_owned()) };
    if let Some(name) = top.keys().find(|name| !matches!(name.as_str(), "Version" | "Id" | "Statement")) {
        return Err(unknown(kind, name));
    }
    if top
        .get("Version")
        .is_some_and(|version| !matches!(version.as_str(), Some("2012-10-17" | "2008-10-17")))
    {
        return Err("The policy must contain a valid version string".to_owned());
    }
    if top.get("Id").is_some_and(|id| !id.is_string()) {
        return Err(syntax());
    }
    if statements(&document).next().is_none() {
        return Err(missing(kind, "Statement"));
    }
    let mut sids = Vec::new();
    for statement in statements(&document) {
        let statement = statement.as_object().ok_or_else(syntax)?;
        check_statement(statement, kind)?;
        if let Some(sid) = statement.get("Sid").and_then(Json::as_str).filter(|sid| !sid.is_empty()) {
            if sids.contains(&sid) {
                return Err("Statement IDs (SID) in a single policy must be unique.".to_owned());
            }
            sids.push(sid);
        }
    }
    Ok(document)
}

fn check_statement(statement: &Map<String, Json>, kind: Kind<'_>) -> Result<(), String> {
    if let Some(name) = statement.keys().find(|name| !STATEMENT_ELEMENTS.contains(&name.as_str())) {
        return Err(unknown(kind, name));
    }
    check_sid(statement, kind)?;
    match statement.get("Effect").map(Json::as_str) {
        Some(Some("Allow" | "Deny")) => {}
        Some(Some(other)) => return Err(format!("Invalid effect: {other}")),
        Some(None) => return Err(syntax()),
        None => return Err(missing(kind, "Effect")),
    }
    check_principals(statement, kind)?;
    check_actions(statement, kind)?;
    check_resources(statement, kind)?;
    if let Some(condition) = statement.get("Condition") {
        check_condition(condition)?;
    }
    if kind == Kind::Trust { check_shared_issuer(statement) } else { Ok(()) }
}

fn check_sid(statement: &Map<String, Json>, kind: Kind<'_>) -> Result<(), String> {
    let Some(sid) = statement.get("Sid") else { return Ok(()) };
    let sid = sid.as_str().ok_or_else(syntax)?;
    // S3 also takes spaces and other printable characters.
    if !matches!(kind, Kind::Bucket(_)) && !sid.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Err(
            "Statement IDs (SID) must be alpha-numeric. Check that your input satisfies the regular \
                    expression [0-9A-Za-z]*"
                .to_owned(),
        );
    }
    Ok(())
}

fn check_principals(statement: &Map<String, Json>, kind: Kind<'_>) -> Result<(), String> {
    let found = match (statement.get("Principal"), statement.get("NotPrincipal")) {
        (Some(_), Some(_)) => return Err(syntax()),
        (None, Some(_)) if kind == Kind::Trust => return Err(prohibited(kind, "NotPrincipal")),
        (Some(principal), None) | (None, Some(principal)) => Some(principal),
        (None, None) => None,
    };
    match (kind, found) {
        (Kind::Identity, Some(_)) => Err("Policy document should not specify a principal.".to_owned()),
        (Kind::Identity, None) => Ok(()),
        (Kind::Trust | Kind::Bucket(_), None) => Err(missing(kind, "Principal")),
        (Kind::Trust, Some(principal)) => check_principal(principal, Place::Trust),
        (Kind::Bucket(_), Some(principal)) => check_principal(principal, Place::Bucket),
    }
}

fn check_actions(statement: &Map<String, Json>, kind: Kind<'_>) -> Result<(), String> {
    let actions = match (statement.get("Action"), statement.get("NotAction")) {
        (Some(_), Some(_)) => return Err(syntax()),
        (None, Some(_)) if kind == Kind::Trust => return Err(prohibited(kind, "NotAction")),
        (Some(actions), None) | (None, Some(actions)) => actions,
        (None, None) => {
            return Err(match kind {
                Kind::Identity => "Policy statement must contain actions.".to_owned(),
                Kind::Trust | Kind::Bucket(_) => missing(kind, "Action"),
            });
        }
    };
    let mut any = false;
    for action in each(actions) {
        any = true;
        let action = action.as_str().ok_or_else(syntax)?;
        match kind {
            Kind::Identity if !action.contains(':') && action != "*" => {
                return Err(
                    "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.".to_owned()
                );
            }
            Kind::Trust if !is_assume_action(action) => {
                return Err("AssumeRole policy may only specify STS AssumeRole actions.".to_owned());
            }
            Kind::Bucket(_) if action != "*" && !is_vendor(action, "s3") => {
                return Err("Policy has invalid action".to_owned());
            }
            Kind::Identity | Kind::Trust | Kind::Bucket(_) => {}
        }
        if !ACTION.as_ref().is_some_and(|regex| regex.is_match(action)) {
            return Err(match kind {
                Kind::Bucket(_) => "Policy has invalid action".to_owned(),
                Kind::Identity | Kind::Trust => format!("Action {action} is not valid."),
            });
        }
    }
    if any { Ok(()) } else { Err(missing(kind, "Action")) }
}

fn is_vendor(action: &str, vendor: &str) -> bool {
    action.split_once(':').is_some_and(|(name, _)| name.eq_ignore_ascii_case(vendor))
}

fn is_assume_action(action: &str) -> bool {
    const ALLOWED: [&str; 6] = [
        "sts:AssumeRole",
        "sts:AssumeRoleWithSAML",
        "sts:AssumeRoleWithWebIdentity",
        "sts:TagSession",
        "sts:SetSourceIdentity",
        "sts:SetContext",
    ];
    action.eq_ignore_ascii_case("sts:*")
        || ALLOWED.iter().any(|allowed| allowed.eq_ignore_ascii_case(action))
        || action.to_ascii_lowercase().starts_with("sts:assumerole") && action.ends_with('*')
}

fn check_resources(statement: &Map<String, Json>, kind: Kind<'_>) -> Result<(), String> {
    let resources = match (statement.get("Resource"), statement.get("NotResource")) {
        (Some(_), Some(_)) => return Err(syntax()),
        (Some(resources), None) | (None, Some(resources)) => resources,
        (None, None) => {
            return match kind {
                Kind::Trust => Ok(()),
                Kind::Identity => Err("Policy statement must contain resources.".to_owned()),
                Kind::Bucket(_) => Err(missing(kind, "Resource")),
            };
        }
    };
    if kind == Kind::Trust {
        return Err(prohibited(kind, "Resource"));
    }
    let mut any = false;
    for resource in each(resources) {
        any = true;
        let resource = resource.as_str().ok_or_else(syntax)?;
        match kind {
            Kind::Bucket(bucket) => {
                let rest = resource.strip_prefix("arn:aws:s3:::").and_then(|rest| rest.strip_prefix(bucket));
                if !rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || rest == "*") {
                    return Err("Policy has invalid resource".to_owned());
                }
            }
            Kind::Identity | Kind::Trust => {
                let is_arn = resource.starts_with("arn:") && resource.splitn(6, ':').count() == 6;
                if resource != "*" && !is_arn {
                    return Err(format!("Resource {resource} must be in ARN format or \"*\"."));
                }
            }
        }
    }
    if !any {
        return Err(missing(kind, "Resource"));
    }
    if let Kind::Bucket(_) = kind { check_fit(statement) } else { Ok(()) }
}

/// S3 refuses a statement whose action is about objects and whose resource is the bucket, or the reverse.
fn check_fit(statement: &Map<String, Json>) -> Result<(), String> {
    let (Some(actions), Some(resources)) = (statement.get("Action"), statement.get("Resource")) else {
        return Ok(());
    };
    let texts = |json| each(json).filter_map(Json::as_str).collect::<Vec<_>>();
    let resources = texts(resources);
    let objects = resources.iter().any(|resource| resource.contains('/') || resource.ends_with('*'));
    let bucket = resources.iter().any(|resource| !resource.contains('/'));
    let fits = texts(actions).into_iter().all(|action| match about_objects(action) {
        Some(true) => objects,
        Some(false) => bucket,
        None => true,
    });
    if fits { Ok(()) } else { Err("Action does not apply to any resource(s) in statement".to_owned()) }
}

/// Whether an S3 action is about objects rather than the bucket; `None` where a wildcard may mean either.
fn about_objects(action: &str) -> Option<bool> {
    const OBJECTS: [&str; 12] = [
        "GetObject",
        "PutObject",
        "DeleteObject",
        "RestoreObject",
        "AbortMultipartUpload",
        "ListMultipartUploadParts",
        "ReplicateObject",
        "ReplicateDelete",
        "ReplicateTags",
        "ObjectOwnerOverrideToBucketOwner",
        "BypassGovernanceRetention",
        "UpdateObjectEncryption",
    ];
    let name = action.split_once(':').map_or(action, |(_, name)| name);
    if name.contains(['*', '?']) {
        return None;
    }
    Some(OBJECTS.iter().any(|object| name.starts_with(object)) && !name.starts_with("GetObjectLockConf"))
}

fn check_condition(condition: &Json) -> Result<(), String> {
    for (operator, tests) in condition.as_object().ok_or_else(syntax)? {
        let plain = operator.strip_prefix("ForAllValues:").or_else(|| operator.strip_prefix("ForAnyValue:"));
        let plain = plain.unwrap_or(operator);
        let plain = plain.strip_suffix("IfExists").unwrap_or(plain);
        let known = OPERATORS.iter().any(|known| known.eq_ignore_ascii_case(plain));
        if !known {
            return Err(format!("Invalid Condition type : {operator}"));
        }
        for (key, values) in tests.as_object().ok_or_else(syntax)? {
            if !key.contains(':') {
                return Err(
                    "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.".to_owned()
                );
            }
            if each(values).any(|value| value.is_object() || value.is_array() || value.is_null()) {
                return Err(syntax());
            }
        }
    }
    Ok(())
}

/// A trust in an issuer that many share must say which of its tenants it means.
fn check_shared_issuer(statement: &Map<String, Json>) -> Result<(), String> {
    let federated = statement.get("Principal").and_then(|principal| principal.get("Federated"));
    let issuers = federated.into_iter().flat_map(each).filter_map(Json::as_str);
    for issuer in issuers.filter_map(|arn| arn.split_once(":oidc-provider/").map(|(_, issuer)| issuer)) {
        let Some((_, claim)) = SHARED_ISSUERS.iter().find(|(shared, _)| *shared == issuer) else { continue };
        let key = format!("{issuer}:{claim}");
        let bound = statement.get("Condition").and_then(Json::as_object).into_iter().flatten().any(
            |(name, tests)| {
                let binds =
                    name.starts_with("String") && !name.contains("Not") && !name.ends_with("IfExists");
                let values = tests
                    .as_object()
                    .into_iter()
                    .flatten()
                    .filter(|(name, _)| name.eq_ignore_ascii_case(&key));
                let mut values = values.flat_map(|(_, values)| each(values)).peekable();
                binds
                    && values.peek().is_some()
                    && values
                        .all(|value| value.as_str().is_some_and(|text| !text.trim_matches('*').is_empty()))
            },
        );
        if !bound {
            return Err(format!(
                "The trust policy must restrict {key} for the shared identity provider {issuer}."
            ));
        }
    }
    Ok(())
}

fn unknown(kind: Kind<'_>, name: &str) -> String {
    match kind {
        Kind::Trust | Kind::Identity => syntax(),
        Kind::Bucket(_) => format!("Unknown field {name}"),
    }
}

fn missing(kind: Kind<'_>, name: &str) -> String {
    match kind {
        Kind::Trust | Kind::Identity if name == "Statement" => syntax(),
        Kind::Trust | Kind::Identity | Kind::Bucket(_) => format!("Missing required field {name}"),
    }
}

fn prohibited(kind: Kind<'_>, name: &str) -> String {
    match kind {
        Kind::Trust | Kind::Identity => format!("Has prohibited field {name}"),
        Kind::Bucket(_) => format!("Unknown field {name}"),
    }
}

fn syntax() -> String {
    "Syntax errors in policy.".to_owned()
}
