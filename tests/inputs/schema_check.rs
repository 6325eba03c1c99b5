//! As much of JSON Schema 2020-12 as the schema of the stack file uses; an unknown keyword is a failure.

use regex::Regex;
use serde_json::Value as Json;

/// What of `value` does not fit `schema`, as JSON pointers with the keyword that failed.
pub fn violations(root: &Json, value: &Json) -> Vec<String> {
    let mut found = Vec::new();
    check(root, root, value, "", &mut found);
    found
}

fn fits(root: &Json, schema: &Json, value: &Json) -> bool {
    let mut found = Vec::new();
    check(root, schema, value, "", &mut found);
    found.is_empty()
}

#[expect(clippy::too_many_lines, reason = "one arm for each keyword of JSON Schema")]
fn check(root: &Json, schema: &Json, value: &Json, at: &str, found: &mut Vec<String>) {
    let schema = match schema {
        Json::Bool(true) => return,
        Json::Object(schema) => schema,
        other => panic!("no schema: {other}"),
    };
    for (keyword, rule) in schema {
        let ok = match keyword.as_str() {
            "$schema" | "$defs" | "title" | "description" | "default" | "then" | "else" => true,
            "$ref" => {
                let target = root.pointer(rule.as_str().unwrap().trim_start_matches('#'));
                check(root, target.unwrap_or_else(|| panic!("no {rule}")), value, at, found);
                true
            }
            "type" => match rule {
                Json::Array(types) => types.iter().any(|ty| is(value, ty.as_str().unwrap())),
                ty => is(value, ty.as_str().unwrap()),
            },
            "enum" => rule.as_array().unwrap().contains(value),
            "const" => rule == value,
            "pattern" => {
                value.as_str().is_none_or(|text| Regex::new(rule.as_str().unwrap()).unwrap().is_match(text))
            }
            "minLength" => {
                value.as_str().is_none_or(|text| text.chars().count() as u64 >= rule.as_u64().unwrap())
            }
            "maxLength" => {
                value.as_str().is_none_or(|text| text.chars().count() as u64 <= rule.as_u64().unwrap())
            }
            "minimum" => value.as_i64().is_none_or(|number| number >= rule.as_i64().unwrap()),
            "maximum" => value.as_i64().is_none_or(|number| number <= rule.as_i64().unwrap()),
            "required" => value.as_object().is_none_or(|map| {
                rule.as_array().unwrap().iter().all(|key| map.contains_key(key.as_str().unwrap()))
            }),
            "properties" | "additionalProperties" => {
                for (key, item) in value.as_object().into_iter().flatten() {
                    let own = schema.get("properties").and_then(|properties| properties.get(key));
                    match (keyword.as_str(), own) {
                        ("properties", Some(own)) => check(root, own, item, &format!("{at}/{key}"), found),
                        ("additionalProperties", None) if *rule == Json::Bool(false) => {
                            found.push(format!("{at}/{key}: additionalProperties"));
                        }
                        ("additionalProperties", None) => {
                            check(root, rule, item, &format!("{at}/{key}"), found);
                        }
                        _ => {}
                    }
                }
                true
            }
            "propertyNames" => {
                for key in value.as_object().into_iter().flatten().map(|(key, _)| key) {
                    check(root, rule, &Json::from(key.as_str()), &format!("{at}/{key}"), found);
                }
                true
            }
            "items" => {
                for (index, item) in value.as_array().into_iter().flatten().enumerate() {
                    check(root, rule, item, &format!("{at}/{index}"), found);
                }
                true
            }
            "anyOf" => rule.as_array().unwrap().iter().any(|one| fits(root, one, value)),
            "allOf" => {
                for one in rule.as_array().unwrap() {
                    check(root, one, value, at, found);
                }
                true
            }
            "if" => {
                let branch = if fits(root, rule, value) { schema.get("then") } else { schema.get("else") };
                if let Some(branch) = branch {
                    check(root, branch, value, at, found);
                }
                true
            }
            other => panic!("unknown keyword {other}"),
        };
        if !ok {
            found.push(format!("{at}: {keyword}"));
        }
    }
}

fn is(value: &Json, ty: &str) -> bool {
    match ty {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "null" => value.is_null(),
        other => panic!("unknown type {other}"),
    }
}
