//! Field paths, `a.b` and `` `a-b`.c ``, and the values at their ends.

use serde_json::{Map, Value as Json, json};

use super::super::refusal::Refusal;

/// A field path, taken apart.
pub(super) type Path = Vec<String>;

/// Takes a field path apart.
pub(super) fn parse(text: &str) -> Result<Path, Refusal> {
    let malformed = || Refusal::invalid(format!("Invalid property path \"{text}\"."));
    let mut path = Vec::new();
    let mut letters = text.chars().peekable();
    loop {
        let mut segment = String::new();
        if letters.next_if_eq(&'`').is_some() {
            loop {
                match letters.next().ok_or_else(malformed)? {
                    '`' => break,
                    '\\' => segment.push(letters.next().ok_or_else(malformed)?),
                    letter => segment.push(letter),
                }
            }
        } else {
            while let Some(letter) =
                letters.next_if(|letter| letter.is_ascii_alphanumeric() || *letter == '_')
            {
                segment.push(letter);
            }
            if segment.starts_with(|first: char| first.is_ascii_digit()) {
                return Err(malformed());
            }
        }
        if segment.is_empty() {
            return Err(malformed());
        }
        path.push(segment);
        match letters.next() {
            None => return Ok(path),
            Some('.') => {}
            Some(_) => return Err(malformed()),
        }
    }
}

/// The value at a path.
pub(super) fn get<'f>(fields: &'f Map<String, Json>, path: &[String]) -> Option<&'f Json> {
    let (last, above) = path.split_last()?;
    above.iter().try_fold(fields, |fields, segment| inner(fields.get(segment)?))?.get(last)
}

/// Puts a value at a path; what stands in the way and is no map is replaced by one.
pub(super) fn set(fields: &mut Map<String, Json>, path: &[String], value: Json) {
    match path {
        [] => {}
        [last] => {
            fields.insert(last.clone(), value);
        }
        [first, rest @ ..] => {
            let mut below = fields.get(first).and_then(inner).cloned().unwrap_or_default();
            set(&mut below, rest, value);
            fields.insert(first.clone(), json!({ "mapValue": { "fields": below } }));
        }
    }
}

/// Takes the value at a path out.
pub(super) fn remove(fields: &mut Map<String, Json>, path: &[String]) {
    match path {
        [] => {}
        [last] => {
            fields.remove(last);
        }
        [first, rest @ ..] => {
            if let Some(mut below) = fields.get(first).and_then(inner).cloned() {
                remove(&mut below, rest);
                fields.insert(first.clone(), json!({ "mapValue": { "fields": below } }));
            }
        }
    }
}

/// The fields that these paths lead to, and no others.
pub(super) fn select(fields: &Map<String, Json>, paths: &[Path]) -> Map<String, Json> {
    let mut selected = Map::new();
    for path in paths {
        if let Some(value) = get(fields, path) {
            set(&mut selected, path, value.clone());
        }
    }
    selected
}

/// The fields of a value that is a map.
fn inner(value: &Json) -> Option<&Map<String, Json>> {
    value.get("mapValue")?.get("fields")?.as_object()
}
