//! Values as a plan shows them: on one line where they fit, else as a tree in the manner of the stack file.

use super::text;
use crate::model::{Map, Part, Template, Value};

/// What stands for a value that another step will make known.
pub(super) const UNKNOWN: &str = "(known after apply)";
/// What stands for a secret.
pub(super) const SENSITIVE: &str = "(sensitive)";

/// A value on one line; `None` if it needs several.
pub(super) fn inline(value: &Value) -> Option<String> {
    match value {
        Value::Null => Some("null".to_owned()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Number(number) => Some(number.to_string()),
        Value::Text(text) if text.trim_end_matches('\n').contains('\n') => None,
        Value::Text(text) if is_digest(text) => Some(format!("\"{}...\"", &text[..12])),
        Value::Text(text) => Some(text::quoted(text)),
        Value::Secret(_) => Some(SENSITIVE.to_owned()),
        Value::Unknown(template) => Some(unknown(template)),
        Value::List(items) if items.is_empty() => Some("[]".to_owned()),
        Value::Map(map) if map.is_empty() => Some("{}".to_owned()),
        Value::List(_) | Value::Map(_) => None,
    }
}

/// A digest is told apart by its beginning; `--json` has all of it.
fn is_digest(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// A value as lines of a tree, the first level not indented.
pub(super) fn tree(value: &Value) -> Vec<String> {
    match value {
        Value::Map(map) if !map.is_empty() => entries(map),
        Value::List(items) if !items.is_empty() => items.iter().flat_map(item).collect(),
        Value::Text(text) => match inline(value) {
            Some(line) => vec![line],
            None => text::block(text).lines().map(str::to_owned).collect(),
        },
        other => inline(other).into_iter().collect(),
    }
}

fn entries(map: &Map) -> Vec<String> {
    let mut lines = Vec::new();
    for (key, value) in map {
        let key = text::line(key);
        if let Some(line) = inline(value) {
            lines.push(format!("{key}: {line}"));
        } else {
            let mark = if matches!(value, Value::Text(_)) { " |" } else { "" };
            lines.push(format!("{key}:{mark}"));
            lines.extend(tree(value).into_iter().map(|line| format!("  {line}")));
        }
    }
    lines
}

fn item(value: &Value) -> Vec<String> {
    let lines = tree(value);
    lines
        .into_iter()
        .enumerate()
        .map(|(at, line)| format!("{} {line}", if at == 0 { "-" } else { " " }))
        .collect()
}

/// The known parts of a text stand around what is not known.
fn unknown(template: &Template) -> String {
    if let [Part::Reference(_)] = template.parts() {
        return UNKNOWN.to_owned();
    }
    let mut shown = String::from("\"");
    for part in template.parts() {
        match part {
            Part::Text(known) => shown.push_str(text::quoted(known).trim_matches('"')),
            Part::Reference(_) => shown.push_str(UNKNOWN),
        }
    }
    shown.push('"');
    shown
}

/// A value as text whose lines can be compared: documents as JSON, one member a line.
pub(super) fn document(value: &Value) -> String {
    match value {
        Value::Text(text) => match serde_json::from_str::<serde_json::Value>(text) {
            Ok(json) if json.is_object() || json.is_array() => pretty(&Value::from_json(json), 0),
            Ok(_) | Err(_) => text::block(text).into_owned(),
        },
        other => pretty(other, 0),
    }
}

fn pretty(value: &Value, depth: usize) -> String {
    let indent = "  ".repeat(depth + 1);
    let close = "  ".repeat(depth);
    match value {
        Value::List(items) if !items.is_empty() => {
            let items: Vec<_> =
                items.iter().map(|item| format!("{indent}{}", pretty(item, depth + 1))).collect();
            format!("[\n{}\n{close}]", items.join(",\n"))
        }
        Value::Map(map) if !map.is_empty() => {
            let member = |(key, value): (&String, &Value)| {
                format!("{indent}{}: {}", text::quoted(key), pretty(value, depth + 1))
            };
            format!("{{\n{}\n{close}}}", map.iter().map(member).collect::<Vec<_>>().join(",\n"))
        }
        Value::Text(text) => text::quoted(text),
        other => inline(other).unwrap_or_default(),
    }
}
