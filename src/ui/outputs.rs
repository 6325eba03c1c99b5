//! A stack's outputs, for people and for programs.

use std::fmt::Write as _;

use serde_json::{Value as Json, json};

use super::text;
use super::value::{SENSITIVE, inline, tree};
use crate::model::Value;

/// All outputs, one after the other; hidden ones hidden.
pub fn list(outputs: &[(String, Value, bool)]) -> String {
    let mut out = String::new();
    let width = outputs.iter().map(|(name, _, _)| name.chars().count() + 1).max().unwrap_or(0);
    for (name, value, sensitive) in outputs {
        let label = format!("{}:", text::line(name));
        let shown = match value {
            _ if *sensitive => Some(SENSITIVE.to_owned()),
            value if !value.is_known() => Some("(not known yet)".to_owned()),
            value => inline(value),
        };
        if let Some(line) = shown {
            let _ = writeln!(out, "{label:width$} {line}");
        } else {
            let _ = writeln!(out, "{label}");
            for line in tree(value) {
                let _ = writeln!(out, "  {line}");
            }
        }
    }
    out
}

/// Where outputs answer in the sandbox.
pub fn here(addresses: &[(String, String)]) -> String {
    let plain = |(name, address): &(String, String)| (name.clone(), Value::Text(address.clone()), false);
    list(&addresses.iter().map(plain).collect::<Vec<_>>())
}

/// All outputs as JSON, in Terraform's shape: hidden ones without their value.
pub fn list_json(outputs: &[(String, Value, bool)]) -> Json {
    let member = |(name, value, sensitive): &(String, Value, bool)| {
        let hidden = *sensitive || !value.is_known();
        let shown = if hidden { Json::Null } else { value.to_json() };
        (name.clone(), json!({ "sensitive": sensitive, "known": value.is_known(), "value": shown }))
    };
    Json::Object(outputs.iter().map(member).collect())
}

/// One output that was asked for by name, in clear: text as it is, anything else as JSON.
pub fn one(value: &Value) -> String {
    match value {
        Value::Text(plain) => text::block(plain).into_owned(),
        Value::Secret(secret) => text::block(secret.expose()).into_owned(),
        other => format!("{:#}", clear(other)),
    }
}

/// A value as JSON, secrets in clear: for an output that was asked for by name.
pub fn clear(value: &Value) -> Json {
    match value {
        Value::Secret(secret) => Json::String(secret.expose().to_owned()),
        Value::List(items) => Json::Array(items.iter().map(clear).collect()),
        Value::Map(map) => Json::Object(map.iter().map(|(key, value)| (key.clone(), clear(value))).collect()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Text(_) | Value::Unknown(_) => {
            value.to_json()
        }
    }
}
