//! Who may call what of a function: the statements of its resource policies.

use serde_json::{Value as Json, json};

use super::super::error::Error;
use super::super::policy::{Ask, Facts, Service, evaluate};
use super::change::{invalid, not_found, pattern};
use super::function::Function;
use crate::sandbox::World;

/// Who may call what of a function.
#[derive(Clone, Debug, Default)]
pub(in crate::sandbox::aws) struct Permission {
    pub(in crate::sandbox::aws) id: String,
    pub(in crate::sandbox::aws) action: String,
    pub(in crate::sandbox::aws) principal: String,
    pub(in crate::sandbox::aws) source_arn: Option<String>,
    pub(in crate::sandbox::aws) source_account: Option<String>,
    pub(in crate::sandbox::aws) url_auth: Option<String>,
    /// A version, an alias, or empty.
    pub(in crate::sandbox::aws) qualifier: String,
}

/// Adds a statement to the resource policy, and returns it.
pub(in crate::sandbox::aws) fn add_permission(
    world: &mut World,
    function: &mut Function,
    permission: &Permission,
) -> Result<Json, Error> {
    let Permission { id, action, principal, source_arn, source_account, url_auth, qualifier } = permission;
    let fits = |text: &str, most: usize| {
        (1..=most).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    if !fits(id, 100) {
        return Err(pattern("statementId", id, "([a-zA-Z0-9-_]+)"));
    }
    if action != "*" && !action.strip_prefix("lambda:").is_some_and(|verb| verb == "*" || fits(verb, 64)) {
        return Err(pattern("action", action, r"(lambda:[*]|lambda:[a-zA-Z]+|[*])"));
    }
    if function.resolve(qualifier).is_none() {
        return Err(not_found(&function.qualified_arn(qualifier)));
    }
    let who = principal_of(principal)?;
    let statements = function.policies.entry(qualifier.clone()).or_default();
    if statements.iter().any(|statement| statement["Sid"] == json!(id)) {
        let message = format!(
            "The statement id ({id}) provided already exists. Please provide a new statement id, or remove the existing \
             statement."
        );
        return Err(Error::new(409, "ResourceConflictException", message));
    }
    let mut condition = serde_json::Map::new();
    let mut equals = serde_json::Map::new();
    if let Some(account) = source_account {
        equals.insert("AWS:SourceAccount".to_owned(), json!(account));
    }
    if let Some(auth) = url_auth {
        equals.insert("lambda:FunctionUrlAuthType".to_owned(), json!(auth));
    }
    if !equals.is_empty() {
        condition.insert("StringEquals".to_owned(), Json::Object(equals));
    }
    if let Some(arn) = source_arn {
        condition.insert("ArnLike".to_owned(), json!({ "AWS:SourceArn": arn }));
    }
    let resource = function.qualified_arn(qualifier);
    let mut statement =
        json!({ "Sid": id, "Effect": "Allow", "Principal": who, "Action": action, "Resource": resource });
    if !condition.is_empty() {
        statement["Condition"] = Json::Object(condition);
    }
    function.policies.entry(qualifier.clone()).or_default().push(statement.clone());
    function.save(world);
    Ok(statement)
}

/// Takes a statement out of a resource policy.
pub(in crate::sandbox::aws) fn remove_permission(
    world: &mut World,
    function: &mut Function,
    qualifier: &str,
    id: &str,
) -> Result<(), Error> {
    let statements = function.policies.get_mut(qualifier).filter(|statements| !statements.is_empty());
    let absent = || {
        let message = format!("Statement {id} is not found in resource policy.");
        Error::new(404, "ResourceNotFoundException", message)
    };
    let statements = statements.ok_or_else(absent)?;
    let index = statements.iter().position(|statement| statement["Sid"] == json!(id)).ok_or_else(absent)?;
    statements.remove(index);
    if statements.is_empty() {
        function.policies.remove(qualifier);
    }
    function.save(world);
    Ok(())
}

/// Whether a service may call what a qualifier stands for, on behalf of something of somebody's.
pub(in crate::sandbox::aws) fn lets(
    world: &World,
    function: &Function,
    qualifier: &str,
    principal: &str,
    source_arn: &str,
    source_account: &str,
) -> bool {
    let Some(statements) = function.policies.get(qualifier) else { return false };
    let facts = Facts::new(world, &function.region, &function.account);
    let ask = Ask {
        caller: None,
        action: "lambda:InvokeFunction",
        resource: &function.qualified_arn(qualifier),
        service: Some(Service { principal, source_arn, source_account }),
        facts: &facts,
    };
    evaluate(&json!({ "Statement": statements }), ask).allows()
}

fn principal_of(principal: &str) -> Result<Json, Error> {
    if principal == "*" {
        return Ok(json!("*"));
    }
    if principal.len() == 12 && principal.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(json!({ "AWS": format!("arn:aws:iam::{principal}:root") }));
    }
    if principal.starts_with("arn:aws:iam::") {
        return Ok(json!({ "AWS": principal }));
    }
    if principal.ends_with(".amazonaws.com") {
        return Ok(json!({ "Service": principal }));
    }
    Err(invalid("The provided principal was invalid. Please check the principal and try again.".to_owned()))
}
