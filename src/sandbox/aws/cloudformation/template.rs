//! A template's sections, read into types; what its form alone forbids is refused.

use serde_json::{Map, Value as Json};

use super::parameter::Parameter;
use super::text;

/// A template, read.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Template {
    pub(super) description: Option<String>,
    pub(super) metadata: Option<Json>,
    pub(super) parameters: Vec<Parameter>,
    /// Map -> key -> key -> value.
    pub(super) mappings: Map<String, Json>,
    pub(super) conditions: Map<String, Json>,
    /// In the order of the text.
    pub(super) resources: Vec<Resource>,
    pub(super) outputs: Vec<Output>,
}

/// A declared resource.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Resource {
    pub(super) name: String,
    /// `AWS::Lambda::Function`.
    pub(super) kind: String,
    pub(super) properties: Json,
    pub(super) depends_on: Vec<String>,
    pub(super) condition: Option<String>,
    /// `Delete`, `Retain` or `RetainExceptOnCreate`.
    pub(super) deletion: String,
    /// The same for what a replacement leaves behind.
    pub(super) replacing: String,
    pub(super) metadata: Option<Json>,
}

/// A declared output.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Output {
    pub(super) name: String,
    pub(super) value: Json,
    pub(super) description: Option<String>,
    pub(super) export: Option<Json>,
    pub(super) condition: Option<String>,
}

/// No template has more resources.
const MOST_RESOURCES: usize = 500;
const SECTIONS: [&str; 9] = [
    "AWSTemplateFormatVersion",
    "Description",
    "Metadata",
    "Parameters",
    "Rules",
    "Mappings",
    "Conditions",
    "Resources",
    "Outputs",
];
const ATTRIBUTES: [&str; 8] = [
    "Type",
    "Properties",
    "DependsOn",
    "Condition",
    "DeletionPolicy",
    "UpdateReplacePolicy",
    "Metadata",
    "UpdatePolicy",
];

impl Template {
    /// Reads a template. The refusal is a `ValidationError`'s message.
    pub(super) fn read(source: &str) -> Result<Self, String> {
        let Json::Object(document) = text::read(source)? else {
            return Err(format_error("unsupported structure."));
        };
        let unknown =
            document.keys().filter(|key| !SECTIONS.contains(&key.as_str())).cloned().collect::<Vec<_>>();
        if unknown.iter().any(|key| key == "Transform") {
            return Err("Transforms are not played by the sandbox".to_owned());
        }
        if !unknown.is_empty() {
            return Err(format!("Invalid template property or properties [{}]", unknown.join(", ")));
        }
        if let Some(version) = document.get("AWSTemplateFormatVersion")
            && version.as_str() != Some("2010-09-09")
        {
            let shown = version.as_str().map_or_else(|| version.to_string(), str::to_owned);
            return Err(format_error(&format!("unsupported value for AWSTemplateFormatVersion. {shown}")));
        }
        let description = match document.get("Description") {
            None => None,
            Some(Json::String(text)) if text.len() <= 1024 => Some(text.clone()),
            Some(Json::String(_)) => {
                return Err(format_error("'Description' length is greater than 1024."));
            }
            Some(_) => return Err(format_error("Description must be a string.")),
        };
        if document.get("Rules").is_some() {
            return Err("Rules are not played by the sandbox".to_owned());
        }
        let resources = section(&document, "Resources")?;
        let resources =
            resources.iter().map(|(name, json)| Resource::read(name, json)).collect::<Result<Vec<_>, _>>()?;
        if resources.is_empty() {
            return Err(format_error("At least one Resources member must be defined."));
        }
        if resources.len() > MOST_RESOURCES {
            let (count, most) = (resources.len(), MOST_RESOURCES);
            return Err(format_error(&format!(
                "Number of resources, {count}, is greater than maximum allowed, {most}"
            )));
        }
        let parameters = section(&document, "Parameters")?;
        let outputs = section(&document, "Outputs")?;
        let template = Self {
            description,
            metadata: document.get("Metadata").cloned(),
            parameters: parameters
                .iter()
                .map(|(name, json)| Parameter::read(name, json))
                .collect::<Result<_, _>>()?,
            mappings: section(&document, "Mappings")?,
            conditions: section(&document, "Conditions")?,
            resources,
            outputs: outputs.iter().map(|(name, json)| Output::read(name, json)).collect::<Result<_, _>>()?,
        };
        super::references::check(&template)?;
        Ok(template)
    }

    /// The declared resource of that name.
    pub(super) fn resource(&self, name: &str) -> Option<&Resource> {
        self.resources.iter().find(|resource| resource.name == name)
    }

    /// The declared parameter of that name.
    pub(super) fn parameter(&self, name: &str) -> Option<&Parameter> {
        self.parameters.iter().find(|parameter| parameter.name == name)
    }

    /// What has to be acknowledged before the template's resources are made, and why.
    pub(super) fn capabilities(&self) -> Option<(&'static str, String)> {
        let identity = |resource: &&Resource| resource.kind.starts_with("AWS::IAM::");
        let of = self.resources.iter().filter(identity).map(|resource| resource.kind.clone());
        let mut kinds = of.collect::<Vec<_>>();
        kinds.sort();
        kinds.dedup();
        if kinds.is_empty() {
            return None;
        }
        let names = ["RoleName", "ManagedPolicyName", "UserName", "GroupName"];
        let named = self
            .resources
            .iter()
            .filter(identity)
            .any(|resource| names.iter().any(|name| resource.properties.get(name).is_some()));
        let capability = if named { "CAPABILITY_NAMED_IAM" } else { "CAPABILITY_IAM" };
        Some((capability, format!("The following resource(s) require capabilities: [{}]", kinds.join(", "))))
    }
}

impl Resource {
    fn read(name: &str, json: &Json) -> Result<Self, String> {
        alphanumeric("Resources", name)?;
        let Json::Object(map) = json else {
            return Err(format_error("Every Resources object must be a JSON object."));
        };
        if let Some(unknown) = map.keys().find(|key| !ATTRIBUTES.contains(&key.as_str())) {
            return Err(format!("Invalid template resource property '{unknown}'"));
        }
        let Some(kind) = map.get("Type") else {
            return Err(format_error("Every Resources object must contain a Type member."));
        };
        let kind = kind.as_str().unwrap_or_default().to_owned();
        let properties = match map.get("Properties") {
            None => Json::Object(Map::new()),
            Some(properties @ Json::Object(_)) => properties.clone(),
            Some(_) => return Err(format_error("Every Properties member must be a JSON object.")),
        };
        let depends_on = match map.get("DependsOn") {
            None => Vec::new(),
            Some(Json::String(one)) => vec![one.clone()],
            Some(Json::Array(many)) if many.iter().all(Json::is_string) => {
                many.iter().filter_map(Json::as_str).map(str::to_owned).collect()
            }
            Some(_) => {
                return Err(format_error(&format!(
                    "Every DependsOn value must be a string. Resource: {name}"
                )));
            }
        };
        let policy = |attribute: &str, allowed: &[&str]| match map.get(attribute) {
            None => Ok("Delete".to_owned()),
            Some(Json::String(text)) if allowed.contains(&text.as_str()) => Ok(text.clone()),
            Some(other) => {
                let shown = other.as_str().map_or_else(|| other.to_string(), str::to_owned);
                Err(format_error(&format!("Unrecognized {attribute} {shown} for resource {name}")))
            }
        };
        Ok(Self {
            name: name.to_owned(),
            kind,
            properties,
            depends_on,
            condition: condition(map)?,
            deletion: policy("DeletionPolicy", &["Delete", "Retain", "RetainExceptOnCreate"])?,
            replacing: policy("UpdateReplacePolicy", &["Delete", "Retain"])?,
            metadata: map.get("Metadata").cloned(),
        })
    }
}

impl Output {
    fn read(name: &str, json: &Json) -> Result<Self, String> {
        alphanumeric("Outputs", name)?;
        let Json::Object(map) = json else {
            return Err(format_error("Every Outputs member must be a JSON object."));
        };
        let known = ["Value", "Description", "Export", "Condition"];
        if let Some(unknown) = map.keys().find(|key| !known.contains(&key.as_str())) {
            return Err(format!("Invalid template output property '{unknown}'"));
        }
        let Some(value) = map.get("Value") else {
            return Err(format_error(&format!(
                "Every Outputs member must contain a Value object. Output: {name}"
            )));
        };
        let export = match map.get("Export") {
            None => None,
            Some(export) => Some(export.get("Name").cloned().ok_or_else(|| {
                format_error(&format!(
                    "Output {name} is malformed. The Name field of every Export member must be specified."
                ))
            })?),
        };
        Ok(Self {
            name: name.to_owned(),
            value: value.clone(),
            description: map.get("Description").and_then(Json::as_str).map(str::to_owned),
            export,
            condition: condition(map)?,
        })
    }
}

fn condition(map: &Map<String, Json>) -> Result<Option<String>, String> {
    match map.get("Condition") {
        None => Ok(None),
        Some(Json::String(name)) => Ok(Some(name.clone())),
        Some(_) => Err(format_error("Every Condition member must be a string.")),
    }
}

fn section(document: &Map<String, Json>, name: &str) -> Result<Map<String, Json>, String> {
    match document.get(name) {
        None => Ok(Map::new()),
        Some(Json::Object(map)) => Ok(map.clone()),
        Some(_) => Err(format_error(&format!("{name} must be a JSON object."))),
    }
}

fn alphanumeric(section: &str, name: &str) -> Result<(), String> {
    if !name.is_empty() && name.len() <= 255 && name.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Ok(());
    }
    Err(format_error(&format!("{section} name {name} is non alphanumeric.")))
}

/// A refusal of the template's form.
pub(super) fn format_error(what: &str) -> String {
    format!("Template format error: {what}")
}
