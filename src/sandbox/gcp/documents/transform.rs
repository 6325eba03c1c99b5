//! Transforms: values that follow from the server's clock or from what stands in the document.

use jiff::Timestamp;
use serde_json::{Map, Value as Json, json};

use super::super::message::{Field, Kind};
use super::super::refusal::Refusal;
use super::path::{self, Path};
use super::value;

pub(super) static FIELDS: [Field; 7] = [
    Field("fieldPath", Kind::Text),
    Field("setToServerValue", Kind::Enum(&["SERVER_VALUE_UNSPECIFIED", "REQUEST_TIME"])),
    Field("increment", Kind::Opaque),
    Field("maximum", Kind::Opaque),
    Field("minimum", Kind::Opaque),
    Field("appendMissingElements", Kind::Opaque),
    Field("removeAllFromArray", Kind::Opaque),
];

/// A transform of one field.
pub(super) struct Transform {
    path: Path,
    how: How,
}

enum How {
    RequestTime,
    Increment(Json),
    Maximum(Json),
    Minimum(Json),
    Append(Vec<Json>),
    Remove(Vec<Json>),
}

/// Reads a transform out of a checked message.
pub(super) fn decode(json: &Json) -> Result<Transform, Refusal> {
    let path = path::parse(json["fieldPath"].as_str().unwrap_or_default())?;
    let number = |name: &str| {
        let operand = value::single(&json[name], name)?;
        let numeric = operand.get("integerValue").or(operand.get("doubleValue")).is_some();
        if numeric { Ok(operand) } else { Err(Refusal::field(name, "The operand must be a number.")) }
    };
    let items = |name: &str| value::values(json[name].get("values"), name, 1);
    let given: Vec<&str> = json
        .as_object()
        .into_iter()
        .flat_map(Map::keys)
        .map(String::as_str)
        .filter(|name| *name != "fieldPath")
        .collect();
    let how = match given.as_slice() {
        ["setToServerValue"] if json["setToServerValue"] == "REQUEST_TIME" => How::RequestTime,
        ["increment"] => How::Increment(number("increment")?),
        ["maximum"] => How::Maximum(number("maximum")?),
        ["minimum"] => How::Minimum(number("minimum")?),
        ["appendMissingElements"] => How::Append(items("appendMissingElements")?),
        ["removeAllFromArray"] => How::Remove(items("removeAllFromArray")?),
        _ => return Err(Refusal::invalid("A field transform needs exactly one transformation.")),
    };
    Ok(Transform { path, how })
}

impl Transform {
    /// Changes the field; returns what the reply tells of it.
    pub(super) fn apply(&self, fields: &mut Map<String, Json>, now: Timestamp) -> Json {
        let present = path::get(fields, &self.path).cloned().unwrap_or_default();
        let array = || present["arrayValue"]["values"].as_array().cloned().unwrap_or_default();
        let (value, told) = match &self.how {
            How::RequestTime => tell(json!({ "timestampValue": now.to_string() })),
            How::Increment(by) => tell(if is_number(&present) { sum(&present, by) } else { by.clone() }),
            How::Maximum(other) => tell(chosen(&present, other, float(other) > float(&present))),
            How::Minimum(other) => tell(chosen(&present, other, float(other) < float(&present))),
            How::Append(items) => {
                let mut values = array();
                for item in items {
                    if !values.contains(item) {
                        values.push(item.clone());
                    }
                }
                (json!({ "arrayValue": { "values": values } }), json!({ "nullValue": null }))
            }
            How::Remove(items) => {
                let values: Vec<Json> = array().into_iter().filter(|value| !items.contains(value)).collect();
                (json!({ "arrayValue": { "values": values } }), json!({ "nullValue": null }))
            }
        };
        path::set(fields, &self.path, value);
        told
    }
}

/// The new value is what the reply tells.
fn tell(value: Json) -> (Json, Json) {
    (value.clone(), value)
}

fn is_number(value: &Json) -> bool {
    value.get("integerValue").or(value.get("doubleValue")).is_some()
}

/// The operand where it wins, or where no number stands in the field.
fn chosen(present: &Json, other: &Json, wins: bool) -> Json {
    if wins || !is_number(present) { other.clone() } else { present.clone() }
}

fn integer(value: &Json) -> Option<i64> {
    value["integerValue"].as_str()?.parse().ok()
}

fn float(value: &Json) -> f64 {
    let parsed = |json: &Json| json.as_f64().or_else(|| json.as_str()?.parse().ok());
    parsed(&value["doubleValue"]).or_else(|| parsed(&value["integerValue"])).unwrap_or(f64::NAN)
}

/// Integers stay integers, and stop at their ends.
fn sum(a: &Json, b: &Json) -> Json {
    match (integer(a), integer(b)) {
        (Some(a), Some(b)) => json!({ "integerValue": a.saturating_add(b).to_string() }),
        _ => match float(a) + float(b) {
            number if number.is_finite() => json!({ "doubleValue": number }),
            number if number.is_nan() => json!({ "doubleValue": "NaN" }),
            number if number > 0.0 => json!({ "doubleValue": "Infinity" }),
            _ => json!({ "doubleValue": "-Infinity" }),
        },
    }
}
