//! Values: checked by their types, and brought to the one form in which Google answers them.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use jiff::Timestamp;
use serde_json::{Map, Value as Json, json};

use super::super::message;
use super::super::refusal::Refusal;

/// Maps and arrays within each other.
const MAX_DEPTH: usize = 20;
/// A document may have so many bytes.
const MAX_SIZE: usize = 1_048_576;

/// The fields of a document or a map.
pub(super) fn fields(json: Option<&Json>) -> Result<Map<String, Json>, Refusal> {
    map(json, "document.fields", 0)
}

/// A single value.
pub(super) fn single(json: &Json, at: &str) -> Result<Json, Refusal> {
    value(json, at, 1, false)
}

fn map(json: Option<&Json>, at: &str, depth: usize) -> Result<Map<String, Json>, Refusal> {
    let given = match json {
        None | Some(Json::Null) => return Ok(Map::new()),
        Some(Json::Object(given)) => given,
        Some(other) => return Err(mismatch(at, "Map", other)),
    };
    let mut checked = Map::new();
    for (name, json) in given {
        let reserved = name.len() >= 4 && name.starts_with("__") && name.ends_with("__");
        if name.is_empty() || name.len() > 1500 || reserved {
            return Err(Refusal::invalid(format!("Property name \"{name}\" is invalid.")));
        }
        checked.insert(name.clone(), value(json, &format!("{at}[{name}]"), depth + 1, false)?);
    }
    Ok(checked)
}

fn value(json: &Json, at: &str, depth: usize, in_array: bool) -> Result<Json, Refusal> {
    if depth > MAX_DEPTH {
        return Err(Refusal::invalid(format!("Maximum depth of {MAX_DEPTH} is exceeded at {at}.")));
    }
    let Json::Object(given) = json else { return Err(mismatch(at, "google.firestore.v1.Value", json)) };
    let mut members = given.iter();
    let Some((name, inner)) = members.next() else {
        return Err(Refusal::invalid("Cannot convert firestore.v1.Value with type unset"));
    };
    if members.next().is_some() {
        let message = format!("Invalid value at '{at}' (oneof), oneof field 'value_type' is already set.");
        return Err(Refusal::field(at, message));
    }
    let here = format!("{at}.{}", message::snake(name));
    let checked = match (name.as_str(), inner) {
        ("nullValue", Json::Null) => Json::Null,
        ("nullValue", Json::String(text)) if text == "NULL_VALUE" => Json::Null,
        // The enumeration by its number, as Google's Python library writes it.
        ("nullValue", Json::Number(number)) if number.as_u64() == Some(0) => Json::Null,
        ("integerValue", _) => integer(inner).ok_or_else(|| mismatch(&here, "TYPE_INT64", inner))?,
        ("doubleValue", _) => double(inner).ok_or_else(|| mismatch(&here, "TYPE_DOUBLE", inner))?,
        ("timestampValue", _) => {
            moment(inner).ok_or_else(|| mismatch(&here, "google.protobuf.Timestamp", inner))?
        }
        ("booleanValue", Json::Bool(_)) | ("stringValue" | "referenceValue", Json::String(_)) => {
            inner.clone()
        }
        ("bytesValue", _) => bytes(inner).ok_or_else(|| mismatch(&here, "TYPE_BYTES", inner))?,
        ("geoPointValue", _) => point(inner).ok_or_else(|| mismatch(&here, "google.type.LatLng", inner))?,
        ("arrayValue", _) if in_array => {
            return Err(Refusal::invalid("Cannot convert an array value in an array value."));
        }
        ("arrayValue", Json::Object(array)) => {
            json!({ "values": values(array.get("values"), &here, depth)? })
        }
        ("mapValue", Json::Object(members)) => {
            json!({ "fields": map(members.get("fields"), &format!("{here}.fields"), depth)? })
        }
        ("nullValue" | "booleanValue" | "stringValue" | "referenceValue" | "arrayValue" | "mapValue", _) => {
            return Err(mismatch(&here, "google.firestore.v1.Value", inner));
        }
        (stranger, _) => {
            let message = format!(
                "Invalid JSON payload received. Unknown name \"{stranger}\" at '{at}': Cannot find field."
            );
            return Err(Refusal::field(at, message));
        }
    };
    Ok(json!({ name.as_str(): checked }))
}

/// Fields for a reader: as proto3's JSON has it, what is empty within is left out.
pub(super) fn shown(fields: Map<String, Json>) -> Json {
    let members = fields.into_iter().map(|(name, value)| {
        let Json::Object(value) = value else { return (name, value) };
        let value = value.into_iter().map(|(kind, inner)| (kind.clone(), inside(&kind, inner))).collect();
        (name, Json::Object(value))
    });
    Json::Object(members.collect())
}

fn inside(kind: &str, inner: Json) -> Json {
    match (kind, inner) {
        ("mapValue", Json::Object(mut members)) => match members.remove("fields") {
            Some(Json::Object(fields)) if !fields.is_empty() => json!({ "fields": shown(fields) }),
            _ => json!({}),
        },
        ("arrayValue", Json::Object(mut members)) => match members.remove("values") {
            Some(Json::Array(items)) if !items.is_empty() => {
                let item = |item: Json| match shown(Map::from_iter([(String::new(), item)])) {
                    Json::Object(mut one) => one.remove("").unwrap_or_default(),
                    other => other,
                };
                json!({ "values": items.into_iter().map(item).collect::<Vec<_>>() })
            }
            _ => json!({}),
        },
        (_, inner) => inner,
    }
}

/// The values of an array.
pub(super) fn values(json: Option<&Json>, at: &str, depth: usize) -> Result<Vec<Json>, Refusal> {
    match json {
        None | Some(Json::Null) => Ok(Vec::new()),
        Some(Json::Array(items)) => {
            let item = |(index, item)| value(item, &format!("{at}.values[{index}]"), depth + 1, true);
            items.iter().enumerate().map(item).collect()
        }
        Some(other) => Err(mismatch(at, "google.firestore.v1.Value", other)),
    }
}

fn integer(json: &Json) -> Option<Json> {
    let number = match json {
        Json::Number(number) => number.as_i64()?,
        Json::String(text) => text.parse::<i64>().ok()?,
        Json::Null | Json::Bool(_) | Json::Array(_) | Json::Object(_) => return None,
    };
    Some(Json::String(number.to_string()))
}

fn double(json: &Json) -> Option<Json> {
    match json {
        Json::Number(number) => number.as_f64().map(Json::from),
        Json::String(text) if ["NaN", "Infinity", "-Infinity"].contains(&text.as_str()) => Some(json.clone()),
        Json::String(text) => text.parse::<f64>().ok().filter(|number| number.is_finite()).map(Json::from),
        Json::Null | Json::Bool(_) | Json::Array(_) | Json::Object(_) => None,
    }
}

/// Firestore keeps microseconds.
fn moment(json: &Json) -> Option<Json> {
    let moment: Timestamp = json.as_str()?.parse().ok()?;
    Some(Json::String(Timestamp::from_microsecond(moment.as_microsecond()).ok()?.to_string()))
}

fn bytes(json: &Json) -> Option<Json> {
    let text = json.as_str()?;
    let bytes = STANDARD.decode(text).or_else(|_| URL_SAFE.decode(text)).ok()?;
    Some(Json::String(STANDARD.encode(bytes)))
}

fn point(json: &Json) -> Option<Json> {
    let members = json.as_object()?;
    let number = |name: &str| members.get(name).map_or(Some(0.0), Json::as_f64);
    let (latitude, longitude) = (number("latitude")?, number("longitude")?);
    let known = members.keys().all(|name| name == "latitude" || name == "longitude");
    let on_earth = latitude.abs() <= 90.0 && longitude.abs() <= 180.0;
    (known && on_earth).then(|| json!({ "latitude": latitude, "longitude": longitude }))
}

/// Refuses a document that is too large.
pub(super) fn fits(name: &str, fields: &Map<String, Json>) -> Result<(), Refusal> {
    let size = name.len() + 32 + fields_size(fields);
    if size <= MAX_SIZE {
        return Ok(());
    }
    Err(Refusal::invalid(format!(
        "Document '{name}' cannot be written because its size ({size} bytes) exceeds the maximum allowed size of \
         1,048,576 bytes."
    )))
}

/// As Google's "storage size calculations" count.
fn fields_size(fields: &Map<String, Json>) -> usize {
    fields.iter().map(|(name, value)| name.len() + 1 + size(value)).sum()
}

fn size(value: &Json) -> usize {
    let Some((kind, inner)) = value.as_object().and_then(|members| members.iter().next()) else { return 0 };
    let text = || inner.as_str().unwrap_or_default().len();
    match kind.as_str() {
        "stringValue" | "referenceValue" => text() + 1,
        "bytesValue" => text() / 4 * 3,
        "nullValue" | "booleanValue" => 1,
        "geoPointValue" => 16,
        "arrayValue" => inner["values"].as_array().into_iter().flatten().map(size).sum(),
        "mapValue" => inner["fields"].as_object().map_or(0, fields_size),
        _ => 8,
    }
}

fn mismatch(at: &str, ty: &str, value: &Json) -> Refusal {
    Refusal::field(at, format!("Invalid value at '{at}' ({ty}), {value}"))
}
