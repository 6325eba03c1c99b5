//! Proto3's JSON mapping, as strict as Google's front end: unknown fields, wrong types and unknown enum values are
//! refused before a service sees the request.

use serde_json::{Map, Value as Json};

use super::refusal::Refusal;

/// The fields of a message that a client may send.
pub(super) type Message = [Field];

/// One field, in camelCase; clients may also spell it in snake_case.
pub(super) struct Field(pub(super) &'static str, pub(super) Kind);

/// A field's type.
pub(super) enum Kind {
    Text,
    Bool,
    Int32,
    /// One of these words; the first stands for "unspecified".
    Enum(&'static [&'static str]),
    List(&'static Kind),
    /// Any keys, text values.
    TextMap,
    Message(&'static Message),
    /// A field of the message that this sandbox accepts and does not look into.
    Opaque,
    /// Set by the server alone: accepted and ignored.
    OutputOnly,
}

/// Checks a message and brings it to one form: camelCase, without nulls and output-only fields.
pub(super) fn decode(message: &Message, json: &Json) -> Result<Map<String, Json>, Refusal> {
    object(message, json, "")
}

fn object(message: &Message, json: &Json, path: &str) -> Result<Map<String, Json>, Refusal> {
    let Json::Object(given) = json else {
        return Err(payload(path, "Root element must be a message."));
    };
    let mut known = Map::new();
    for (name, value) in given {
        let Some(Field(camel, kind)) = message.iter().find(|field| spelt(field.0, name)) else {
            let place = if path.is_empty() { String::new() } else { format!(" at '{path}'") };
            return Err(payload(path, &format!("Unknown name \"{name}\"{place}: Cannot find field.")));
        };
        let here = if path.is_empty() { snake(camel) } else { format!("{path}.{}", snake(camel)) };
        if matches!(kind, Kind::OutputOnly) || value.is_null() {
            continue;
        }
        known.insert((*camel).to_owned(), single(kind, value, &here)?);
    }
    Ok(known)
}

fn single(kind: &Kind, value: &Json, path: &str) -> Result<Json, Refusal> {
    match (kind, value) {
        (Kind::Text, Json::String(_)) | (Kind::Bool, Json::Bool(_)) | (Kind::Opaque, _) => Ok(value.clone()),
        (Kind::OutputOnly, _) => Ok(Json::Null),
        (Kind::Text, _) => Err(mismatch(path, "TYPE_STRING", value)),
        (Kind::Bool, _) => Err(mismatch(path, "TYPE_BOOL", value)),
        (Kind::Int32, _) => int32(value).ok_or_else(|| mismatch(path, "TYPE_INT32", value)),
        (Kind::Enum(words), Json::String(word)) if words.contains(&word.as_str()) => Ok(value.clone()),
        // A number stands for the word too; the words are in the order of their numbers.
        (Kind::Enum(words), Json::Number(number)) => {
            let word = number.as_u64().and_then(|number| words.get(usize::try_from(number).ok()?));
            word.map(|word| Json::from(*word)).ok_or_else(|| mismatch(path, "TYPE_ENUM", value))
        }
        (Kind::Enum(_), _) => Err(mismatch(path, "TYPE_ENUM", value)),
        (Kind::List(of), Json::Array(items)) => {
            let item = |(index, item)| single(of, item, &format!("{path}[{index}]"));
            Ok(Json::Array(items.iter().enumerate().map(item).collect::<Result<_, _>>()?))
        }
        (Kind::List(_), _) => {
            Err(payload(path, &format!("Proto field is not repeating, cannot start list: {path}")))
        }
        (Kind::TextMap, Json::Object(map)) => {
            for (key, value) in map {
                single(&Kind::Text, value, &format!("{path}[{key}]"))?;
            }
            Ok(value.clone())
        }
        (Kind::TextMap, _) => Err(mismatch(path, "Map", value)),
        (Kind::Message(message), _) => Ok(Json::Object(object(message, value, path)?)),
    }
}

/// Proto3 reads an integer from a number or from text.
fn int32(value: &Json) -> Option<Json> {
    let number = match value {
        Json::Number(number) => number.as_i64()?,
        Json::String(text) => text.parse().ok()?,
        Json::Null | Json::Bool(_) | Json::Array(_) | Json::Object(_) => return None,
    };
    i32::try_from(number).ok().map(Json::from)
}

fn payload(path: &str, problem: &str) -> Refusal {
    Refusal::field(path, format!("Invalid JSON payload received. {problem}"))
}

fn mismatch(path: &str, ty: &str, value: &Json) -> Refusal {
    Refusal::field(path, format!("Invalid value at '{path}' ({ty}), {value}"))
}

/// Whether a client meant this field.
pub(super) fn spelt(camel: &str, name: &str) -> bool {
    camel == name || snake(camel) == name
}

/// `displayName` -> `display_name`.
pub(super) fn snake(camel: &str) -> String {
    let mut snake = String::with_capacity(camel.len() + 4);
    for letter in camel.chars() {
        if letter.is_ascii_uppercase() {
            snake.push('_');
        }
        snake.push(letter.to_ascii_lowercase());
    }
    snake
}
