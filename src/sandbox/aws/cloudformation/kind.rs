//! The types of resources: their properties, and how they are made, changed and deleted.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json, json};

use super::super::error::Error;
use super::resources;
use super::stack::Site;
use crate::sandbox::World;

/// A type of resource.
pub(super) struct Kind {
    /// `AWS::Lambda::Function`.
    pub(super) name: &'static str,
    pub(super) properties: &'static [Property],
    /// What `Fn::GetAtt` tells.
    pub(super) attributes: &'static [&'static str],
    pub(super) create: fn(&mut Place<'_>, &Json) -> Result<Made, Failure>,
    /// Physical id, properties before, properties after.
    pub(super) update: fn(&mut Place<'_>, &str, &Json, &Json) -> Result<Made, Failure>,
    pub(super) delete: fn(&mut Place<'_>, &str, &Json) -> Result<(), Failure>,
}

/// A property of a type, or of a map within one.
pub(super) struct Property {
    pub(super) name: &'static str,
    pub(super) shape: Shape,
    pub(super) required: bool,
    /// Whether another value means another resource.
    pub(super) replaces: bool,
}

/// What a property may be.
pub(super) enum Shape {
    Text,
    Number,
    Bool,
    /// Any map: a policy document.
    Document,
    /// Texts by name.
    Texts,
    List(&'static Shape),
    Map(&'static [Property]),
}

impl Property {
    /// A property that may be left out and can be changed.
    pub(super) const fn new(name: &'static str, shape: Shape) -> Self {
        Self { name, shape, required: false, replaces: false }
    }

    /// The same, and it must be given.
    pub(super) const fn required(self) -> Self {
        Self { required: true, ..self }
    }

    /// The same, and it cannot be changed.
    pub(super) const fn fixed(self) -> Self {
        Self { replaces: true, ..self }
    }
}

/// `Tags`, as most types have them.
pub(super) const TAG: &[Property] =
    &[Property::new("Key", Shape::Text).required(), Property::new("Value", Shape::Text).required()];
/// `Tags`, a list.
pub(super) const TAGS: Property = Property::new("Tags", Shape::List(&Shape::Map(TAG)));

/// Where a resource is made.
pub(super) struct Place<'a> {
    pub(super) world: &'a mut World,
    pub(super) site: &'a Site,
    /// The resource's logical name.
    pub(super) name: &'a str,
}

/// What was made.
pub(super) struct Made {
    pub(super) physical: String,
    pub(super) attributes: BTreeMap<String, Json>,
}

/// Why something was not done.
#[derive(Debug)]
pub(super) struct Failure {
    /// `InvalidRequest`, `AlreadyExists`, `NotFound` and others.
    pub(super) code: &'static str,
    pub(super) message: String,
}

impl Made {
    pub(super) fn new(physical: &str, attributes: &[(&str, &str)]) -> Self {
        let attributes = attributes.iter().map(|(name, value)| ((*name).to_owned(), json!(value)));
        Self { physical: physical.to_owned(), attributes: attributes.collect() }
    }
}

impl Failure {
    /// What a service's refusal becomes.
    pub(super) fn of(service: &str, error: Error) -> Self {
        let Error { status, code: given, message, .. } = error;
        let code = match status {
            404 => "NotFound",
            409 if given.contains("Exist") || given == "ResourceConflictException" => "AlreadyExists",
            409 => "ResourceConflict",
            403 => "AccessDenied",
            429 => "Throttling",
            _ if given.contains("AlreadyExists") => "AlreadyExists",
            _ if given.contains("NotFound") => "NotFound",
            _ if given.contains("Limit") || given.contains("TooMany") => "ServiceLimitExceeded",
            _ => "InvalidRequest",
        };
        let message = format!("{message} (Service: {service}, Status Code: {status})");
        Self { code, message }
    }
}

impl Place<'_> {
    /// A name for what bears none: stack, resource, and twelve letters or digits.
    pub(super) fn generated(&mut self, longest: usize) -> String {
        let word = self.world.word(12, b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789");
        let mut stem = format!("{}-{}", self.site.stack_name, self.name);
        stem.truncate(longest.saturating_sub(13));
        format!("{stem}-{word}")
    }

    /// The tags that a resource gets: its own, the stack's, and CloudFormation's.
    pub(super) fn tags(&self, own: &Json) -> BTreeMap<String, String> {
        let mut tags = self.site.tags.iter().cloned().collect::<BTreeMap<_, _>>();
        tags.extend(own_tags(own));
        for (name, value) in [
            ("aws:cloudformation:stack-name", &self.site.stack_name),
            ("aws:cloudformation:stack-id", &self.site.stack_id),
        ] {
            tags.insert(name.to_owned(), value.clone());
        }
        tags.insert("aws:cloudformation:logical-id".to_owned(), self.name.to_owned());
        tags
    }
}

/// Tags as a list or as a map.
fn own_tags(own: &Json) -> Vec<(String, String)> {
    let text = |json: &Json| json.as_str().unwrap_or_default().to_owned();
    match own {
        Json::Array(items) => items.iter().map(|item| (text(&item["Key"]), text(&item["Value"]))).collect(),
        Json::Object(map) => map.iter().map(|(key, value)| (key.clone(), text(value))).collect(),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => Vec::new(),
    }
}

/// The type of that name.
pub(super) fn find(name: &str) -> Option<&'static Kind> {
    resources::ALL.iter().copied().find(|kind| kind.name == name)
}

/// Checks properties, and brings every value into the shape it has: `"3"` is a number where one is asked for.
pub(super) fn check(kind: &Kind, name: &str, properties: &Json) -> Result<Json, Failure> {
    let mut wrong = Vec::new();
    let shaped = map(kind.properties, properties, "#", &mut wrong);
    if wrong.is_empty() {
        return Ok(shaped);
    }
    let message = format!(
        "Properties validation failed for resource {name} with message:\n{}",
        wrong.iter().map(|wrong| format!("[{wrong}]")).collect::<Vec<_>>().join("\n")
    );
    Err(Failure { code: "InvalidRequest", message })
}

fn map(properties: &[Property], value: &Json, at: &str, wrong: &mut Vec<String>) -> Json {
    let Json::Object(given) = value else {
        wrong.push(format!("{at}: expected type: JSONObject, found: {}", kind_of(value)));
        return value.clone();
    };
    let mut shaped = Map::new();
    for (name, value) in given {
        match properties.iter().find(|property| property.name == name) {
            None => wrong.push(format!("{at}: extraneous key [{name}] is not permitted")),
            Some(property) => {
                let value = shape(&property.shape, value, &format!("{at}/{name}"), wrong);
                shaped.insert(name.clone(), value);
            }
        }
    }
    for property in properties.iter().filter(|property| property.required) {
        if !given.contains_key(property.name) {
            wrong.push(format!("{at}: required key [{}] not found", property.name));
        }
    }
    Json::Object(shaped)
}

fn shape(shape_of: &Shape, value: &Json, at: &str, wrong: &mut Vec<String>) -> Json {
    let mut expected = |expected: &str| {
        wrong.push(format!("{at}: expected type: {expected}, found: {}", kind_of(value)));
        value.clone()
    };
    match (shape_of, value) {
        (Shape::Text, Json::String(_)) | (Shape::Bool, Json::Bool(_)) | (Shape::Number, Json::Number(_)) => {
            value.clone()
        }
        (Shape::Text, Json::Number(number)) => json!(number.to_string()),
        (Shape::Text, Json::Bool(value)) => json!(value.to_string()),
        (Shape::Text, _) => expected("String"),
        (Shape::Number, Json::String(text)) => {
            text.parse::<i64>().map_or_else(|_| expected("Integer"), |number| json!(number))
        }
        (Shape::Number, _) => expected("Integer"),
        (Shape::Bool, Json::String(text)) if text.eq_ignore_ascii_case("true") => json!(true),
        (Shape::Bool, Json::String(text)) if text.eq_ignore_ascii_case("false") => json!(false),
        (Shape::Bool, _) => expected("Boolean"),
        (Shape::Document, Json::Object(_)) => value.clone(),
        (Shape::Texts, Json::Object(given)) => {
            let texts = given.iter().map(|(name, value)| {
                (name.clone(), shape(&Shape::Text, value, &format!("{at}/{name}"), wrong))
            });
            Json::Object(texts.collect())
        }
        (Shape::Document | Shape::Texts, _) => expected("JSONObject"),
        (Shape::List(of), Json::Array(items)) => {
            let items = items.iter().enumerate();
            Json::Array(items.map(|(index, item)| shape(of, item, &format!("{at}/{index}"), wrong)).collect())
        }
        // One alone stands for a list of one.
        (Shape::List(Shape::Text), Json::String(_)) => json!([value]),
        (Shape::List(_), _) => expected("JSONArray"),
        (Shape::Map(properties), _) => map(properties, value, at, wrong),
    }
}

fn kind_of(value: &Json) -> &'static str {
    match value {
        Json::Null => "Null",
        Json::Bool(_) => "Boolean",
        Json::Number(_) => "Integer",
        Json::String(_) => "String",
        Json::Array(_) => "JSONArray",
        Json::Object(_) => "JSONObject",
    }
}

/// The properties that differ, by name, and whether that means another resource.
pub(super) fn differences(kind: &Kind, before: &Json, after: &Json) -> Vec<(&'static str, bool)> {
    let differs = |property: &&Property| before.get(property.name) != after.get(property.name);
    kind.properties.iter().filter(differs).map(|property| (property.name, property.replaces)).collect()
}
