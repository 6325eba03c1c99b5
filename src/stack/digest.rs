//! The digest of a stack: over all that decides a plan.

use hmac::{Hmac, Mac as _};
use serde::Serialize;
use sha2::Sha256;

use crate::model::{Digest, Map, OnDelete, Output, Resource, Stack, Value};

use super::content;

/// What decides a plan, in an order of its own.
#[derive(Serialize)]
struct Content<'a> {
    name: &'a str,
    clouds: &'a crate::model::Clouds,
    resources: Vec<Row<'a>>,
    outputs: Vec<(&'a str, &'a Value, bool)>,
    variables: &'a Map,
    secrets: Vec<String>,
}

#[derive(Serialize)]
struct Row<'a> {
    address: &'a str,
    ty: &'a str,
    properties: Vec<(&'a str, &'a Value)>,
    depends_on: Vec<&'a str>,
    lifecycle: (Option<bool>, bool, OnDelete),
}

/// The digest of a stack whose own `digest` is not looked at. Where its files lie on this machine does not
/// count; what is in them does. Secrets count by keyed digests: two equal stacks digest alike, and none of them
/// can be read back.
pub(super) fn of(stack: &Stack) -> Digest {
    let mut secrets = Vec::new();
    let mut rows: Vec<Row<'_>> = stack.resources.iter().map(row).collect();
    rows.sort_by_key(|row| row.address);
    for resource in &stack.resources {
        for (name, value) in &resource.properties {
            keyed(stack, &format!("{}#{name}", resource.address), value, &mut secrets);
        }
    }
    for Output { name, value, .. } in &stack.outputs {
        keyed(stack, &format!("outputs.{name}"), value, &mut secrets);
    }
    for (name, value) in &stack.variables {
        keyed(stack, &format!("variables.{name}"), value, &mut secrets);
    }
    secrets.sort();
    Digest::of(&Content {
        name: &stack.name,
        clouds: &stack.clouds,
        resources: rows,
        outputs: stack
            .outputs
            .iter()
            .map(|output| (output.name.as_str(), &output.value, output.sensitive))
            .collect(),
        variables: &stack.variables,
        secrets,
    })
}

fn row(resource: &Resource) -> Row<'_> {
    let local = |name: &str| content::LOCAL.contains(&(resource.ty.as_str(), name));
    Row {
        address: resource.address.as_str(),
        ty: resource.ty.as_str(),
        properties: resource
            .properties
            .iter()
            .filter(|(name, _)| !local(name))
            .map(|(name, value)| (name.as_str(), value))
            .collect(),
        depends_on: resource.depends_on.iter().map(crate::model::Address::as_str).collect(),
        lifecycle: (resource.lifecycle.protect, resource.lifecycle.adopt, resource.lifecycle.on_delete),
    }
}

/// Collects the keyed digests of the secrets in a value, each bound to its place.
fn keyed(stack: &Stack, at: &str, value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Secret(secret) => {
            // A key of any length is accepted, so this does not fail.
            let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(format!("mcm stack {}", stack.name).as_bytes())
            else {
                return;
            };
            mac.update(at.as_bytes());
            mac.update(&[0]);
            mac.update(secret.expose().as_bytes());
            found.push(format!("{at}={}", hex::encode(mac.finalize().into_bytes())));
        }
        Value::List(items) => {
            for (index, item) in items.iter().enumerate() {
                keyed(stack, &format!("{at}[{index}]"), item, found);
            }
        }
        Value::Map(map) => {
            for (key, item) in map {
                keyed(stack, &format!("{at}.{key}"), item, found);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Text(_) | Value::Unknown(_) => {}
    }
}
