//! The JSON Schema of the stack file, for editors: made of the tables and types that the parser reads by.
//!
//! What a schema can say, it says: names, types, patterns, bounds, required properties. Wherever a value is
//! evaluated a text with `${…}` is allowed in its stead. Rules over several properties, references and duplicates
//! are left to `mcm validate`.

use std::fmt::Write as _;

use schemars::generate::SchemaSettings;
use serde_json::{Map as Object, Value as Json, json};

use crate::model::{Absent, Catalogue, Clouds, Property, Schema, Shape, TextRule};

use super::grammar;

/// A text with `${…}` in it.
const REFERENCE: &str = "#/$defs/reference";

/// The whole document, by JSON Schema 2020-12.
pub fn json_schema(catalogue: &Catalogue) -> Json {
    let mut root = fixed(&grammar::FILE);
    let sections = [
        ("stack", shape(&Shape::Text(grammar::STACK_NAME), true)),
        ("variables", named(&grammar::VARIABLE_NAME, "declaration")),
        ("clouds", clouds()),
        ("backend", backend()),
        ("resources", named(&grammar::NAME, "resource")),
        ("trust", named(&grammar::NAME, "trust")),
        ("functions", named(&grammar::NAME, "function")),
        ("outputs", named(&grammar::NAME, "output")),
    ];
    for (name, schema) in sections {
        let doc = root["properties"][name]["description"].take();
        root["properties"][name] = with(schema, "description", doc);
    }
    let mut definitions = Object::new();
    definitions.insert(
        "reference".to_owned(),
        json!({ "type": "string", "pattern": r"\$\{", "description": "`${name.Attribute}`, `${var.name}`, `${env.NAME}` or `${stack}`." }),
    );
    definitions.insert("declaration".to_owned(), fixed(&grammar::DECLARATION));
    definitions.insert("resource".to_owned(), resource(catalogue));
    definitions.insert("trust".to_owned(), trust());
    definitions.insert("function".to_owned(), function());
    definitions.insert("output".to_owned(), output());
    for schema in catalogue.iter() {
        definitions.insert(schema.ty.to_owned(), properties(schema));
    }
    root["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
    root["title"] = json!("mcm stack");
    root["description"] = json!("One application that lives in several clouds.");
    root["$defs"] = Json::Object(definitions);
    root
}

/// A section of entries by name.
fn named(rule: &TextRule, definition: &str) -> Json {
    json!({
        "type": "object",
        "propertyNames": text(rule),
        "additionalProperties": { "$ref": format!("#/$defs/{definition}") },
    })
}

/// A map of fixed keys, whose values are taken literally.
fn fixed(keys: &[Property]) -> Json {
    object(keys, &|_| true, false)
}

/// The `clouds` section: its structure from the types that hold it, its rules from the parser's tables.
fn clouds() -> Json {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.inline_subschemas = true;
        settings.meta_schema = None;
    });
    let mut schema = settings.into_generator().into_root_schema_for::<Clouds>().to_value();
    schema.as_object_mut().map(|root| root.remove("title"));
    for cloud in &grammar::CLOUDS {
        let place = &mut schema["properties"][cloud.name];
        // An optional place is one or null in the types; in the file it is left out.
        if let Some(Json::Array(either)) = place.as_object_mut().and_then(|place| place.remove("anyOf")) {
            let one = either.into_iter().find(|one| one["type"] == "object").unwrap_or_default();
            *place = with(one, "description", json!(cloud.doc));
        }
        let Shape::Object(keys) = cloud.shape else { continue };
        for key in keys {
            place["properties"][key.name] = described(key, &shape(&key.shape, true));
        }
    }
    schema
}

/// An address, or an object that holds it.
fn backend() -> Json {
    json!({ "anyOf": [{ "type": "string", "pattern": r"^(s3|gs|az)://|\$\{" }, fixed(&grammar::BACKEND)] })
}

/// An entry of `resources`: a part that is included, or a resource whose properties follow from its type.
fn resource(catalogue: &Catalogue) -> Json {
    let types: Vec<&str> = catalogue.iter().map(|schema| schema.ty).collect();
    let mut typed = object(&grammar::RESOURCE, &|_| true, true);
    typed["properties"]["type"] = json!({ "enum": types, "description": "The vendor's type name." });
    typed["properties"]["properties"] =
        json!({ "type": "object", "description": "As the vendor spells them." });
    typed["properties"]["dependsOn"] = depends_on();
    typed["allOf"] = catalogue
        .iter()
        .map(|schema| {
            let needed = schema.properties.iter().any(|property| needed(schema, property));
            let required = if needed { json!(["properties"]) } else { json!([]) };
            json!({
                "if": { "properties": { "type": { "const": schema.ty } }, "required": ["type"] },
                "then": {
                    "description": schema.doc,
                    "properties": { "properties": { "$ref": format!("#/$defs/{}", schema.ty.replace('/', "~1")) } },
                    "required": required,
                },
            })
        })
        .collect();
    let mut included = object(&grammar::USE, &|_| true, true);
    included["properties"]["use"] = json!({ "type": "string", "description": grammar::USE[0].doc });
    included["properties"]["with"] = json!({ "type": "object", "description": "The part's parameters." });
    included["properties"]["dependsOn"] = depends_on();
    json!({ "type": "object", "if": { "required": ["use"] }, "then": included, "else": typed })
}

fn depends_on() -> Json {
    json!({
        "type": "array",
        "items": { "type": "string" },
        "description": "Names of resources to wait for, where no reference says it.",
    })
}

/// A trust edge; keys beyond the fixed ones are options of its kind.
fn trust() -> Json {
    let mut schema = fixed(&grammar::TRUST);
    schema["properties"]["dependsOn"] = depends_on();
    schema["additionalProperties"] = json!(true);
    schema
}

/// A function.
fn function() -> Json {
    let mut schema = object(&grammar::FUNCTION, &|_| true, true);
    schema["properties"]["dependsOn"] = depends_on();
    schema
}

/// An output: a value, or the long form.
fn output() -> Json {
    json!({ "anyOf": [{ "type": ["string", "number", "boolean", "array"] }, fixed(&grammar::OUTPUT)] })
}

/// The properties of a type.
fn properties(schema: &Schema) -> Json {
    let body = object(schema.properties, &|property| needed(schema, property), true);
    with(body, "description", json!(schema.doc))
}

/// Whether a stack must give a property itself: a name is filled in.
fn needed(schema: &Schema, property: &Property) -> bool {
    property.required && schema.name.is_none_or(|rule| rule.property != property.name)
}

/// A map with exactly these keys.
fn object(keys: &[Property], required: &dyn Fn(&Property) -> bool, evaluated: bool) -> Json {
    let properties: Object<String, Json> =
        keys.iter().map(|key| (key.name.to_owned(), described(key, &shape(&key.shape, evaluated)))).collect();
    let required: Vec<&str> =
        keys.iter().filter(|key| key.required && required(key)).map(|key| key.name).collect();
    let mut schema = json!({ "type": "object", "properties": properties, "additionalProperties": false });
    if !required.is_empty() {
        schema["required"] = json!(required);
    }
    schema
}

/// A property's schema with its description and default.
fn described(property: &Property, schema: &Json) -> Json {
    let mut schema = with(schema.clone(), "description", json!(property.doc));
    match property.absent {
        Absent::Means(default) => schema["default"] = default().to_json(),
        Absent::Unset | Absent::Unmanaged => {}
    }
    schema
}

fn with(mut schema: Json, key: &str, value: Json) -> Json {
    if let Json::Object(map) = &mut schema
        && !value.is_null()
    {
        map.insert(key.to_owned(), value);
    }
    schema
}

/// A shape's schema; where values are evaluated, a text with `${…}` may stand for any of them.
fn shape(of: &Shape, evaluated: bool) -> Json {
    let literal = match of {
        Shape::Text(rule) => text(rule),
        Shape::Enum(words) => json!({ "enum": words }),
        Shape::Integer { min, max } => {
            let mut schema = json!({ "type": "integer" });
            if *min != i64::MIN {
                schema["minimum"] = json!(min);
            }
            if *max != i64::MAX {
                schema["maximum"] = json!(max);
            }
            schema
        }
        Shape::Bool => json!({ "type": "boolean" }),
        Shape::List(item) | Shape::Set(item) => json!({ "type": "array", "items": shape(item, evaluated) }),
        Shape::Keyed { of, .. } => json!({ "type": "array", "items": object(of, &|_| true, evaluated) }),
        Shape::Map(item) => json!({ "type": "object", "additionalProperties": shape(item, evaluated) }),
        Shape::Object(of) => object(of, &|_| true, evaluated),
        Shape::Document => return json!({}),
    };
    let plain_text = literal == json!({ "type": "string" });
    if evaluated && !plain_text { json!({ "anyOf": [literal, { "$ref": REFERENCE }] }) } else { literal }
}

/// A text's rule.
fn text(rule: &TextRule) -> Json {
    let mut schema = json!({ "type": "string" });
    if rule.min > 0 {
        schema["minLength"] = json!(rule.min);
    }
    if rule.max > 0 {
        schema["maxLength"] = json!(rule.max);
    }
    if let Some(pattern) = rule.pattern.and_then(portable) {
        schema["pattern"] = json!(pattern);
    }
    schema
}

/// A pattern in the common part of the dialects of regular expressions, if it can be said there.
fn portable(pattern: &str) -> Option<String> {
    if pattern.contains(r"\p{") || pattern.contains(r"\P{") || pattern.replace("(?:", "").contains("(?") {
        return None;
    }
    let mut plain = String::with_capacity(pattern.len());
    let mut rest = pattern;
    while let Some(at) = rest.find(r"\u{").or_else(|| rest.find(r"\x{")) {
        let (before, after) = rest.split_at(at);
        let (digits, behind) = after[3..].split_once('}')?;
        plain.push_str(before);
        let code = u32::from_str_radix(digits, 16).ok()?;
        if code > 0xffff {
            return None;
        }
        // Writing into a `String` does not fail.
        let _ = write!(plain, r"\u{code:04x}");
        rest = behind;
    }
    plain.push_str(rest);
    let anchored = plain.starts_with('^') && plain.ends_with('$') && !plain.contains('|');
    Some(if anchored { plain } else { format!("^(?:{plain})$") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_types_of_clouds_and_their_table_agree() {
        let schema = clouds();
        let keys = |json: &Json| {
            let mut keys: Vec<String> = json["properties"].as_object().unwrap().keys().cloned().collect();
            keys.sort();
            keys
        };
        let wanted = |properties: &[Property]| {
            let mut names: Vec<String> = properties.iter().map(|key| key.name.to_owned()).collect();
            names.sort();
            names
        };
        assert_eq!(keys(&schema), wanted(&grammar::CLOUDS));
        for cloud in &grammar::CLOUDS {
            let Shape::Object(of) = cloud.shape else { panic!("{} is no object", cloud.name) };
            let place = &schema["properties"][cloud.name];
            assert_eq!(keys(place), wanted(of), "{}", cloud.name);
            let required: Vec<&str> = of.iter().filter(|key| key.required).map(|key| key.name).collect();
            assert_eq!(place["required"], json!(required), "{}", cloud.name);
            assert_eq!(place["additionalProperties"], json!(false), "{}", cloud.name);
        }
    }

    #[test]
    fn patterns_are_said_in_the_common_dialect() {
        assert_eq!(portable("^[a-z]+$").unwrap(), "^[a-z]+$");
        assert_eq!(portable("a|b").unwrap(), "^(?:a|b)$");
        assert_eq!(portable(r"^[\x20-\x7e\u{a1}-\u{ff}]*$").unwrap(), r"^[\x20-\x7e\u00a1-\u00ff]*$");
        assert_eq!(portable(r"^\p{L}$"), None);
        assert_eq!(portable("(?i)a"), None);
    }
}
