//! The text of a template -> JSON, with the short forms of YAML (`!Sub`) as their long forms (`Fn::Sub`).

use serde_json::{Map, Value as Json, json};
use serde_yaml::Value as Yaml;

/// Reads a template's text: JSON, or YAML. The refusal is in CloudFormation's words.
pub(super) fn read(text: &str) -> Result<Json, String> {
    if text.trim_start().starts_with('{') {
        return serde_json::from_str(text).map_err(|error| {
            format!(
                "Template format error: JSON not well-formed. (line {}, column {})",
                error.line(),
                error.column()
            )
        });
    }
    let yaml: Yaml = serde_yaml::from_str(text).map_err(|error| {
        let place = error
            .location()
            .map_or_else(String::new, |place| format!(" (line {}, column {})", place.line(), place.column()));
        format!("Template format error: YAML not well-formed.{place}")
    })?;
    match convert(yaml)? {
        json @ Json::Object(_) => Ok(json),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) | Json::Array(_) => {
            Err("Template format error: unsupported structure.".to_owned())
        }
    }
}

fn convert(yaml: Yaml) -> Result<Json, String> {
    Ok(match yaml {
        Yaml::Null => Json::Null,
        Yaml::Bool(value) => Json::Bool(value),
        Yaml::Number(number) => number_of(&number),
        Yaml::String(text) => Json::String(text),
        Yaml::Sequence(items) => Json::Array(items.into_iter().map(convert).collect::<Result<_, _>>()?),
        Yaml::Mapping(fields) => {
            let mut map = Map::new();
            for (key, value) in fields {
                map.insert(key_of(key)?, convert(value)?);
            }
            Json::Object(map)
        }
        Yaml::Tagged(tagged) => {
            let tag = tagged.tag.to_string();
            let name = tag.trim_start_matches('!').to_owned();
            short_form(&name, convert(tagged.value)?)
        }
    })
}

fn number_of(number: &serde_yaml::Number) -> Json {
    match (number.as_i64(), number.as_u64(), number.as_f64()) {
        (Some(whole), _, _) => json!(whole),
        (None, Some(whole), _) => json!(whole),
        (None, None, real) => json!(real),
    }
}

/// Keys are texts: `404:` means `"404":`.
fn key_of(key: Yaml) -> Result<String, String> {
    match convert(key)? {
        Json::String(text) => Ok(text),
        Json::Bool(value) => Ok(value.to_string()),
        Json::Number(number) => Ok(number.to_string()),
        Json::Null | Json::Array(_) | Json::Object(_) => {
            Err("Template format error: YAML not well-formed.".to_owned())
        }
    }
}

fn short_form(name: &str, value: Json) -> Json {
    match (name, value) {
        ("Ref" | "Condition", value) => json!({ name: value }),
        ("GetAtt", Json::String(text)) => {
            let (resource, attribute) = text.split_once('.').unwrap_or((&text, ""));
            json!({ "Fn::GetAtt": [resource, attribute] })
        }
        (name, value) => json!({ format!("Fn::{name}"): value }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_forms_are_their_long_forms() {
        let read = read("A: !Sub 'x-${B}'\nC: !GetAtt D.E.F\n404: !If [X, !Ref Y, 010]\n").unwrap();
        let long = json!({
            "A": { "Fn::Sub": "x-${B}" },
            "C": { "Fn::GetAtt": ["D", "E.F"] },
            "404": { "Fn::If": ["X", { "Ref": "Y" }, "010"] },
        });
        assert_eq!(read, long);
    }

    #[test]
    fn what_is_no_template_is_told_with_its_place() {
        let told = |text: &str| read(text).unwrap_err();
        assert_eq!(told("{\n\"a\": }"), "Template format error: JSON not well-formed. (line 2, column 6)");
        assert!(told("a:\n  - b\n c: d").starts_with("Template format error: YAML not well-formed. (line 3"));
        assert_eq!(told("- a"), "Template format error: unsupported structure.");
    }
}
