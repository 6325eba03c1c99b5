//! The CloudFormation template of a stack's functions, made out of `templates/functions.yaml`, which is one function's.
//!
//! Pure: text and values in, a document out. A parameter of the template that is given a value is replaced by it; what
//! is secret stays a parameter.

use std::collections::BTreeMap;

use serde_yaml::Value as Yaml;

use crate::model::{Map, Value};

/// The template as it lies in the project.
const TEMPLATE: &str = include_str!("../../templates/functions.yaml");

/// One function's template.
pub(super) struct Prototype {
    resources: Map,
    outputs: Map,
    description: Value,
}

impl Prototype {
    /// Reads it; a test makes sure that it can be read.
    pub(super) fn read() -> Self {
        let yaml: Yaml = serde_yaml::from_str(TEMPLATE).unwrap_or_default();
        let document = plain(yaml);
        let section = |name: &str| document.at(&[name]).and_then(Value::as_map).cloned().unwrap_or_default();
        Self {
            resources: section("Resources"),
            outputs: section("Outputs"),
            description: document.at(&["Description"]).cloned().unwrap_or_default(),
        }
    }

    /// One resource, with its parameters replaced and the names of `Function…` resources changed to the function's.
    pub(super) fn resource(&self, name: &str, given: &Given<'_>) -> Value {
        self.resources.get(name).map(|resource| given.fill(resource)).unwrap_or_default()
    }

    /// One output.
    pub(super) fn output(&self, name: &str, given: &Given<'_>) -> Value {
        self.outputs.get(name).map(|output| given.fill(output)).unwrap_or_default()
    }

    /// The document out of its parts.
    pub(super) fn document(&self, parameters: Map, resources: Map, outputs: Map) -> Map {
        let mut document = Map::from([
            ("AWSTemplateFormatVersion".to_owned(), "2010-09-09".into()),
            ("Description".to_owned(), self.description.clone()),
            ("Resources".to_owned(), Value::Map(resources)),
        ]);
        for (name, section) in [("Parameters", parameters), ("Outputs", outputs)] {
            if !section.is_empty() {
                document.insert(name.to_owned(), Value::Map(section));
            }
        }
        document
    }
}

/// What is put into a function's part of the template.
pub(super) struct Given<'a> {
    /// The prefix of the function's resources: `AnalyzeImage`.
    pub(super) prefix: &'a str,
    /// Values by the template's parameters.
    pub(super) values: &'a BTreeMap<&'static str, Value>,
}

impl Given<'_> {
    /// A resource's own name: `FunctionLogs` -> `AnalyzeImageLogs`, `Function` -> `AnalyzeImageFunction`.
    pub(super) fn name(&self, name: &str) -> String {
        match name.strip_prefix("Function") {
            Some("") => format!("{}Function", self.prefix),
            Some(rest) => format!("{}{rest}", self.prefix),
            None => name.to_owned(),
        }
    }

    fn fill(&self, value: &Value) -> Value {
        match value {
            Value::Map(map) => {
                if let [(key, inner)] = map.iter().collect::<Vec<_>>().as_slice()
                    && let Some(filled) = self.intrinsic(key, inner)
                {
                    return filled;
                }
                Value::Map(map.iter().map(|(key, value)| (key.clone(), self.fill(value))).collect())
            }
            Value::List(items) => Value::List(items.iter().map(|item| self.fill(item)).collect()),
            other => other.clone(),
        }
    }

    /// What an intrinsic function of the template becomes.
    fn intrinsic(&self, key: &str, inner: &Value) -> Option<Value> {
        match (key, inner) {
            ("Ref", Value::Text(name)) => Some(match self.values.get(name.as_str()) {
                Some(value) => value.clone(),
                None => map(key, self.name(name).into()),
            }),
            ("Fn::GetAtt", Value::List(path)) => {
                let mut path = path.clone();
                if let Some(Value::Text(name)) = path.first_mut() {
                    *name = self.name(name);
                }
                Some(map(key, Value::List(path)))
            }
            ("Fn::Sub", Value::Text(text)) => {
                let mut text = text.clone();
                for (name, value) in self.values {
                    if let Value::Text(value) = value {
                        text = text.replace(&format!("${{{name}}}"), value);
                    }
                }
                Some(if text.contains("${") { map(key, text.into()) } else { text.into() })
            }
            _ => None,
        }
    }
}

/// A map of one key.
pub(super) fn map(key: &str, value: Value) -> Value {
    Value::Map(Map::from([(key.to_owned(), value)]))
}

/// A YAML document with CloudFormation's short tags in their long form.
fn plain(yaml: Yaml) -> Value {
    match yaml {
        Yaml::Null => Value::Null,
        Yaml::Bool(flag) => Value::Bool(flag),
        Yaml::Number(number) => number.as_i64().map_or(Value::Null, Value::from),
        Yaml::String(text) => Value::Text(text),
        Yaml::Sequence(items) => Value::List(items.into_iter().map(plain).collect()),
        Yaml::Mapping(entries) => {
            let entry = |(key, value): (Yaml, Yaml)| Some((key.as_str()?.to_owned(), plain(value)));
            Value::Map(entries.into_iter().filter_map(entry).collect())
        }
        Yaml::Tagged(tagged) => {
            let tag = tagged.tag.to_string();
            let tag = tag.trim_start_matches('!');
            match (tag, plain(tagged.value)) {
                ("Ref", value) => map("Ref", value),
                ("GetAtt", Value::Text(path)) => {
                    let path = path.split('.').map(Value::from).collect();
                    map("Fn::GetAtt", Value::List(path))
                }
                (tag, value) => map(&format!("Fn::{tag}"), value),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_resource_is_renamed_and_every_parameter_replaced() {
        let prototype = Prototype::read();
        let values = BTreeMap::from([
            ("Name", Value::from("demo-resize")),
            ("CodeBucket", "b".into()),
            ("CodeKey", "k".into()),
            ("Role", "r".into()),
            ("Memory", 256.into()),
            ("Timeout", 30.into()),
            ("Architecture", "arm64".into()),
            ("LogRetention", 7.into()),
            ("ApiName", "demo".into()),
            ("Route", "GET /x".into()),
            ("BucketArn", "arn:aws:s3:::files".into()),
            ("Secret", "hidden".into()),
        ]);
        let given = Given { prefix: "Resize", values: &values };
        let names: Vec<&String> = prototype.resources.keys().collect();
        assert_eq!(names.len(), 10, "{names:?}");
        for name in names {
            let text = prototype.resource(name, &given).to_json().to_string();
            for parameter in values.keys() {
                assert!(!text.contains(&format!("\"Ref\":\"{parameter}\"")), "{name}: {text}");
            }
            assert!(!text.contains("\"Function\"") && !text.contains("\"FunctionLogs\""), "{name}: {text}");
        }
        let function = prototype.resource("Function", &given);
        assert_eq!(function.at(&["Properties", "FunctionName"]), Some(&"demo-resize".into()));
        assert_eq!(
            function.at(&["Properties", "LoggingConfig", "LogGroup"]).unwrap().to_json().to_string(),
            r#"{"Ref":"ResizeLogs"}"#
        );
        let logs = prototype.resource("FunctionLogs", &given);
        assert_eq!(logs.at(&["Properties", "LogGroupName"]), Some(&"/aws/lambda/demo-resize".into()));
        let output = prototype.output("FunctionArn", &given).to_json().to_string();
        assert_eq!(output, r#"{"Value":{"Ref":"ResizeAlias"}}"#);
    }
}
