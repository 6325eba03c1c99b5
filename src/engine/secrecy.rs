//! What is sensitive, and how it stays so: hidden in what is shown and kept, in clear for the request that needs it.
//! Pure.
//!
//! Whether a live value is sensitive is not seen by looking at it. Three things tell: the stack, where it desires a
//! secret at that place; the state, which remembers the places where it did (a resource may have left the stack
//! since); and the sensitive variables, whose values are hidden wherever they turn up. With the state lost and the
//! variable gone from the stack, nothing tells.

use crate::model::{Map, Owned, Secret, Stack, Value};

/// A secret so short is hidden where it is the whole text, not inside of longer ones: it would be found by chance.
const SHORT: usize = 6;

/// What is live, with every text hidden where a secret is desired: it may be an older one, and a plan shows both sides.
pub fn hide(live: &Map, desired: &Map) -> Map {
    let hidden = |(name, value): (&String, &Value)| {
        let value = match desired.get(name) {
            Some(desired) => hide_value(value, desired),
            None => value.clone(),
        };
        (name.clone(), value)
    };
    live.iter().map(hidden).collect()
}

fn hide_value(live: &Value, desired: &Value) -> Value {
    match (live, desired) {
        (Value::Text(text), Value::Secret(_)) => Value::Secret(Secret::new(text.clone())),
        (Value::Map(live), Value::Map(desired)) => Value::Map(hide(live, desired)),
        (Value::List(live), Value::List(desired)) => {
            // Which item is whose counterpart is not known: what is secret in one is hidden in all.
            let hide =
                |item: &Value| desired.iter().fold(item.clone(), |item, desired| hide_value(&item, desired));
            Value::List(live.iter().map(hide).collect())
        }
        (live, _) => live.clone(),
    }
}

/// Properties as a request carries them: secrets in clear.
pub fn expose(properties: &Map) -> Map {
    properties.iter().map(|(name, value)| (name.clone(), expose_value(value))).collect()
}

fn expose_value(value: &Value) -> Value {
    match value {
        Value::Secret(secret) => Value::Text(secret.expose().to_owned()),
        Value::List(items) => Value::List(items.iter().map(expose_value).collect()),
        Value::Map(map) => Value::Map(expose(map)),
        other => other.clone(),
    }
}

/// Of properties only the places of what is sensitive, without the secrets: what a state remembers.
pub fn places(properties: &Map) -> Map {
    let place = |(name, value): (&String, &Value)| Some((name.clone(), place_value(value)?));
    properties.iter().filter_map(place).collect()
}

fn place_value(value: &Value) -> Option<Value> {
    match value {
        Value::Secret(_) => Some(Value::Secret(Secret::new(""))),
        Value::List(items) => {
            let items: Vec<Value> = items.iter().filter_map(place_value).collect();
            (!items.is_empty()).then_some(Value::List(items))
        }
        Value::Map(map) => {
            let map = places(map);
            (!map.is_empty()).then_some(Value::Map(map))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Text(_) | Value::Unknown(_) => None,
    }
}

/// What is live, hidden by all that is known: where `desired` has secrets, where the state says that there were some,
/// and wherever the value of a sensitive variable stands.
pub fn withhold(live: &Map, desired: Option<&Map>, owned: Option<&Owned>, stack: &Stack) -> Map {
    let nothing = Map::new();
    let live = hide(live, desired.unwrap_or(&nothing));
    let live = hide(&live, owned.map_or(&nothing, |owned| &owned.sensitive));
    let secrets: Vec<&str> = stack
        .variables
        .values()
        .filter_map(|value| match value {
            Value::Secret(secret) => Some(secret.expose()),
            _ => None,
        })
        .filter(|secret| !secret.is_empty())
        .collect();
    live.iter().map(|(name, value)| (name.clone(), redact(value, &secrets))).collect()
}

fn redact(value: &Value, secrets: &[&str]) -> Value {
    let holds = |text: &str| {
        secrets.iter().any(|&secret| text == secret || (secret.len() > SHORT && text.contains(secret)))
    };
    match value {
        Value::Text(text) if holds(text) => Value::Secret(Secret::new(text.clone())),
        Value::List(items) => Value::List(items.iter().map(|item| redact(item, secrets)).collect()),
        Value::Map(map) => {
            Value::Map(map.iter().map(|(name, value)| (name.clone(), redact(value, secrets))).collect())
        }
        other => other.clone(),
    }
}
