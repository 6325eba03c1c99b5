//! Policy documents: when two of them say the same.
//!
//! AWS stores what it is given and answers it spelt slightly differently; people spell one policy in many ways.
//! [`normalise`] brings a document to one form, whose words are still the writer's: case is kept, because a plan
//! shows it. [`same`] goes further and compares what AWS compares without case. Rules: the cloud facts, 2.1;
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html>.
//!
//! Both leave alone what is not known yet, and whatever is no policy at all.

use percent_encoding::percent_decode_str;

use crate::model::{Map, Value};

/// The elements of a statement that hold a set of texts.
const SETS: &[&str] = &["Action", "NotAction", "Resource", "NotResource"];

/// The meaning of a missing `Version`: not the newest one.
const OLDEST: &str = "2008-10-17";

/// One form for all spellings of a policy.
pub(super) fn normalise(document: Value) -> Value {
    let document = match document {
        // CloudFormation takes JSON text, too.
        Value::Text(text) => match serde_json::from_str(&text) {
            Ok(json) => Value::from_json(json),
            Err(_) => return Value::Text(text),
        },
        other => other,
    };
    let Value::Map(mut document) = document else { return document };
    let statements = match document.remove("Statement") {
        Some(Value::List(statements)) => statements,
        Some(Value::Null) | None => Vec::new(),
        Some(single) => vec![single],
    };
    document.retain(|key, value| *value != Value::Null && !(key == "Id" && *value == Value::text("")));
    document.entry("Version".to_owned()).or_insert_with(|| OLDEST.into());
    let statements = statements.into_iter().map(statement).collect();
    document.insert("Statement".to_owned(), Value::List(statements));
    Value::Map(document)
}

fn statement(statement: Value) -> Value {
    let Value::Map(statement) = statement else { return statement };
    let elements = statement
        .into_iter()
        .filter(|(key, value)| *value != Value::Null && !(key == "Sid" && *value == Value::text("")));
    Value::Map(
        elements
            .map(|(key, value)| {
                let value = match key.as_str() {
                    set if SETS.contains(&set) => texts(value, &|text| text),
                    "Principal" | "NotPrincipal" => principal(value),
                    "Condition" => condition(value),
                    _ => value,
                };
                (key, value)
            })
            .filter(|(key, value)| !(key == "Condition" && *value == Value::Map(Map::new())))
            .collect(),
    )
}

/// `"*"` is `{"AWS": "*"}`; an account's number is its root's ARN.
fn principal(principal: Value) -> Value {
    match principal {
        Value::Text(everyone) if everyone == "*" => {
            Value::Map(Map::from([("AWS".to_owned(), everyone.into())]))
        }
        Value::Map(kinds) => Value::Map(
            kinds
                .into_iter()
                .map(|(kind, who)| {
                    let who = if kind == "AWS" { texts(who, &account) } else { texts(who, &|text| text) };
                    (kind, who)
                })
                .collect(),
        ),
        other => other,
    }
}

fn account(text: String) -> String {
    let number = text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit());
    if number { format!("arn:aws:iam::{text}:root") } else { text }
}

/// Operator -> key -> values; values are sets of texts, and `true` is `"true"`.
fn condition(condition: Value) -> Value {
    let Value::Map(operators) = condition else { return condition };
    Value::Map(
        operators
            .into_iter()
            .map(|(operator, keys)| {
                let keys = match keys {
                    Value::Map(keys) => Value::Map(
                        keys.into_iter().map(|(key, values)| (key, texts(values, &|text| text))).collect(),
                    ),
                    other => other,
                };
                (operator, keys)
            })
            .collect(),
    )
}

/// A set of texts: sorted, each once, and a lone one without its list.
fn texts(value: Value, each: &dyn Fn(String) -> String) -> Value {
    let item = |value: Value| match value {
        Value::Text(text) => Value::Text(each(text)),
        Value::Bool(flag) => Value::Text(flag.to_string()),
        Value::Number(number) => Value::Text(number.to_string()),
        other => other,
    };
    let Value::List(items) = value else { return item(value) };
    let mut items: Vec<Value> = items.into_iter().map(item).collect();
    items.sort_by_cached_key(Value::to_text);
    items.dedup();
    match items.len() {
        1 => items.pop().unwrap_or_default(),
        _ => Value::List(items),
    }
}

/// Whether two documents say the same: also where only the case of an action or a condition's key differs, or
/// the order of statements.
pub(super) fn same(left: &Value, right: &Value) -> bool {
    meaning(left) == meaning(right)
}

fn meaning(document: &Value) -> Value {
    let Value::Map(mut document) = normalise(document.clone()) else { return document.clone() };
    if let Some(Value::List(statements)) = document.get_mut("Statement") {
        for statement in statements.iter_mut() {
            if let Value::Map(elements) = statement {
                caseless(elements);
            }
        }
        statements.sort_by_cached_key(Value::to_text);
    }
    Value::Map(document)
}

fn caseless(elements: &mut Map) {
    for name in ["Action", "NotAction"] {
        if let Some(actions) = elements.get_mut(name) {
            *actions = texts(std::mem::take(actions), &|text| text.to_lowercase());
            // Two spellings of one action have become one.
            *actions = texts(std::mem::take(actions), &|text| text);
        }
    }
    if let Some(Value::Map(operators)) = elements.get_mut("Condition") {
        for keys in operators.values_mut() {
            if let Value::Map(keys) = keys {
                *keys = std::mem::take(keys)
                    .into_iter()
                    .map(|(key, value)| (key.to_lowercase(), value))
                    .collect();
            }
        }
    }
}

/// What a cloud holds, in the words of what is desired if it says the same.
pub(super) fn in_words_of(desired: Option<&Value>, live: Value) -> Value {
    match desired {
        Some(desired) if same(desired, &live) => normalise(desired.clone()),
        _ => normalise(live),
    }
}

/// Reads a document as AWS answers it: JSON text, percent-encoded by IAM.
pub(super) fn parse(text: &str) -> Value {
    let decoded = percent_decode_str(text).decode_utf8_lossy();
    [text, &decoded]
        .into_iter()
        .find_map(|text| serde_json::from_str(text).ok())
        .map_or_else(|| text.into(), Value::from_json)
}

/// The document as it is sent.
pub(super) fn print(document: &Value) -> String {
    match document {
        Value::Text(text) => text.clone(),
        other => other.to_json().to_string(),
    }
}

/// What a policy is for; it decides which elements its statements have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    /// Who may assume a role: names principals, and no resource.
    Trust,
    /// What an identity may do: names resources, and no principal.
    Identity,
    /// What may be done with a resource: names both.
    Resource,
}

/// What is wrong with a policy, as far as its shape tells. `at` is its place in the stack.
pub(super) fn check(at: &str, document: &Value, usage: Use) -> Vec<String> {
    let document = match normalise(document.clone()) {
        Value::Map(document) => document,
        Value::Unknown(_) => return Vec::new(),
        _ => return vec![format!("`{at}` is no policy document: expected `Version` and `Statement`")],
    };
    let mut wrong = Vec::new();
    match document.get("Version") {
        Some(Value::Text(version)) if ["2012-10-17", OLDEST].contains(&version.as_str()) => {}
        Some(Value::Unknown(_)) => {}
        _ => wrong.push(format!("`{at}.Version` must be \"2012-10-17\" (in quotes)")),
    }
    let unknown = document.keys().filter(|key| !["Version", "Id", "Statement"].contains(&key.as_str()));
    wrong.extend(unknown.map(|key| format!("`{at}` has no element `{key}`")));
    let statements = document.get("Statement").and_then(Value::as_list).unwrap_or_default();
    if statements.is_empty() {
        wrong.push(format!("`{at}` has no `Statement`"));
    }
    for (index, statement) in statements.iter().enumerate() {
        let at = format!("{at}.Statement[{index}]");
        match statement {
            Value::Map(elements) => check_statement(&at, elements, usage, &mut wrong),
            Value::Unknown(_) => {}
            _ => wrong.push(format!("`{at}` is not an object")),
        }
    }
    wrong
}

const ELEMENTS: &[&str] = &[
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

fn check_statement(at: &str, elements: &Map, usage: Use, wrong: &mut Vec<String>) {
    let has = |name: &str| elements.contains_key(name);
    for key in elements.keys().filter(|key| !ELEMENTS.contains(&key.as_str())) {
        wrong.push(format!("`{at}` has no element `{key}`"));
    }
    match elements.get("Effect") {
        Some(Value::Text(effect)) if ["Allow", "Deny"].contains(&effect.as_str()) => {}
        Some(Value::Unknown(_)) => {}
        _ => wrong.push(format!("`{at}.Effect` must be `Allow` or `Deny`")),
    }
    if has("Action") == has("NotAction") {
        wrong.push(format!("`{at}` needs either `Action` or `NotAction`"));
    }
    for name in ["Resource", "NotResource"] {
        let value = elements.get(name);
        let items = value.and_then(Value::as_list).or(value.map(std::slice::from_ref)).unwrap_or_default();
        let other =
            items.iter().filter_map(Value::as_text).filter(|text| *text != "*" && !text.starts_with("arn:"));
        wrong.extend(other.map(|text| format!("`{at}.{name}`: `{text}` is neither an ARN nor `*`")));
    }
    let principal = has("Principal") || has("NotPrincipal");
    let resource = has("Resource") || has("NotResource");
    match usage {
        Use::Trust | Use::Resource if !principal => wrong.push(format!("`{at}` needs a `Principal`")),
        Use::Identity if principal => {
            wrong.push(format!("`{at}.Principal` is not allowed here: the role itself is the principal"));
        }
        Use::Trust | Use::Identity | Use::Resource => {}
    }
    match usage {
        Use::Identity | Use::Resource if !resource => wrong.push(format!("`{at}` needs a `Resource`")),
        Use::Trust if resource => {
            wrong.push(format!("`{at}.Resource` is not allowed here: the role itself is the resource"));
        }
        Use::Trust | Use::Identity | Use::Resource => {}
    }
}

#[cfg(test)]
#[path = "policy_tests.rs"]
mod tests;
