//! Properties as concrete types, and back.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value as Json;

use super::error::refusal;
use crate::model::{CloudError, ErrorKind, Map, Value};

/// Reads properties into a concrete type. They have been checked against the schema, so a failure is a bug or
/// a state file of another version; it is told all the same.
pub(super) fn decode<T: DeserializeOwned>(what: &str, properties: &Map) -> Result<T, CloudError> {
    let json = Value::Map(properties.clone()).to_json();
    serde_json::from_value(json).map_err(|error| {
        refusal(what, ErrorKind::Invalid, format!("the properties do not fit the type: {error}"))
    })
}

/// The properties of a concrete type, without what is not set.
pub(super) fn encode(thing: &impl Serialize) -> Map {
    match prune(serde_json::to_value(thing).unwrap_or_default()) {
        Some(Json::Object(map)) => map.into_iter().map(|(key, json)| (key, Value::from_json(json))).collect(),
        _ => Map::new(),
    }
}

/// Drops what is null or empty; a list keeps its empty items, because their places count.
fn prune(json: Json) -> Option<Json> {
    match json {
        Json::Null => None,
        Json::Object(map) => {
            let kept: serde_json::Map<String, Json> =
                map.into_iter().filter_map(|(key, value)| Some((key, prune(value)?))).collect();
            (!kept.is_empty()).then_some(Json::Object(kept))
        }
        Json::Array(items) => {
            let kept: Vec<Json> = items.into_iter().map(|item| prune(item).unwrap_or_default()).collect();
            (!kept.is_empty()).then_some(Json::Array(kept))
        }
        plain => Some(plain),
    }
}
