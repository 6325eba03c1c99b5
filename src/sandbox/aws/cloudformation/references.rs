//! What a template refers to: unresolved references, unknown types and circles are found before anything is made.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value as Json;

use super::kind;
use super::template::{Resource, Template, format_error};

/// The functions that the sandbox knows.
const FUNCTIONS: [&str; 14] = [
    "Fn::And",
    "Fn::Base64",
    "Fn::Equals",
    "Fn::FindInMap",
    "Fn::GetAtt",
    "Fn::GetAZs",
    "Fn::If",
    "Fn::ImportValue",
    "Fn::Join",
    "Fn::Not",
    "Fn::Or",
    "Fn::Select",
    "Fn::Split",
    "Fn::Sub",
];

/// What is known everywhere.
pub(super) const PSEUDO: [&str; 8] = [
    "AWS::AccountId",
    "AWS::NoValue",
    "AWS::NotificationARNs",
    "AWS::Partition",
    "AWS::Region",
    "AWS::StackId",
    "AWS::StackName",
    "AWS::URLSuffix",
];

/// A part of the text of `Fn::Sub`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part<'a> {
    Text(&'a str),
    /// `${Name}` or `${Resource.Attribute}`.
    Name(&'a str),
}

/// What a value refers to.
#[derive(Debug, Default)]
struct Found {
    names: BTreeSet<String>,
    attributes: BTreeSet<(String, String)>,
    conditions: BTreeSet<String>,
    functions: BTreeSet<String>,
}

/// Says what is wrong with the references of a template.
pub(super) fn check(template: &Template) -> Result<(), String> {
    let unknown = template.resources.iter().filter(|resource| kind::find(&resource.kind).is_none());
    let unknown = unknown.map(|resource| resource.kind.as_str()).collect::<BTreeSet<_>>();
    if !unknown.is_empty() {
        return Err(format_error(&format!("Unrecognized resource types: [{}]", join(&unknown))));
    }
    for (name, condition) in &template.conditions {
        let mut found = Found::default();
        walk(condition, &mut found);
        functions(&found)?;
        conditions(template, &found.conditions, "Conditions")?;
        let outside = found.names.iter().filter(|name| !is_value(template, name)).collect::<BTreeSet<_>>();
        if !outside.is_empty() {
            return Err(format_error(&format!(
                "Unresolved dependencies {}. Cannot reference resources in the Conditions block of the template",
                bracketed(&outside)
            )));
        }
        if !found.attributes.is_empty() {
            return Err(format!("Template error: Fn::GetAtt cannot be used in condition {name}"));
        }
    }
    for resource in &template.resources {
        let mut found = Found::default();
        walk(&resource.properties, &mut found);
        found.names.extend(resource.depends_on.iter().cloned());
        found.conditions.extend(resource.condition.clone());
        section(template, &found, "Resources")?;
    }
    for output in &template.outputs {
        let mut found = Found::default();
        walk(&output.value, &mut found);
        output.export.iter().for_each(|export| walk(export, &mut found));
        found.conditions.extend(output.condition.clone());
        section(template, &found, "Outputs")?;
    }
    circle(template)
}

fn section(template: &Template, found: &Found, name: &str) -> Result<(), String> {
    functions(found)?;
    conditions(template, &found.conditions, name)?;
    let known = |name: &String| is_value(template, name) || template.resource(name).is_some();
    let unresolved = found.names.iter().filter(|name| !known(name)).collect::<BTreeSet<_>>();
    if !unresolved.is_empty() {
        return Err(format_error(&format!(
            "Unresolved resource dependencies {} in the {name} block of the template",
            bracketed(&unresolved)
        )));
    }
    for (resource, attribute) in &found.attributes {
        let Some(declared) = template.resource(resource) else {
            return Err(format!(
                "Template error: instance of Fn::GetAtt references undefined resource {resource}"
            ));
        };
        if kind::find(&declared.kind).is_some_and(|kind| !kind.attributes.contains(&attribute.as_str())) {
            return Err(format!(
                "Template error: resource {resource} does not support attribute type {attribute} in Fn::GetAtt"
            ));
        }
    }
    Ok(())
}

fn is_value(template: &Template, name: &str) -> bool {
    PSEUDO.contains(&name) || template.parameter(name).is_some()
}

fn functions(found: &Found) -> Result<(), String> {
    match found.functions.iter().find(|name| !FUNCTIONS.contains(&name.as_str())) {
        None => Ok(()),
        Some(unknown) => Err(format_error(&format!(
            "Encountered unsupported function: {unknown} Supported functions are: [{}]",
            FUNCTIONS.join(", ")
        ))),
    }
}

fn conditions(template: &Template, used: &BTreeSet<String>, section: &str) -> Result<(), String> {
    match used.iter().find(|name| !template.conditions.contains_key(*name)) {
        None => Ok(()),
        Some(unknown) => Err(format_error(&format!(
            "Unresolved condition dependency {unknown} in the {section} block of the template"
        ))),
    }
}

/// The resources that a resource needs.
pub(super) fn dependencies(template: &Template, resource: &Resource) -> BTreeSet<String> {
    let mut found = Found::default();
    walk(&resource.properties, &mut found);
    let attributes = found.attributes.into_iter().map(|(name, _)| name);
    let all = found.names.into_iter().chain(attributes).chain(resource.depends_on.iter().cloned());
    all.filter(|name| template.resource(name).is_some()).collect()
}

/// The parameters that a value refers to directly, and the resources with the attribute, if any.
pub(super) fn sources(template: &Template, value: &Json) -> (Vec<String>, Vec<(String, Option<String>)>) {
    let mut found = Found::default();
    walk(value, &mut found);
    let (parameters, resources): (Vec<_>, Vec<_>) =
        found.names.into_iter().partition(|name| is_value(template, name));
    let parameters = parameters.into_iter().filter(|name| template.parameter(name).is_some()).collect();
    let resources = resources.into_iter().map(|name| (name, None));
    let attributes = found.attributes.into_iter().map(|(name, attribute)| (name, Some(attribute)));
    (parameters, resources.chain(attributes).collect())
}

/// Takes away what needs nothing, until nothing is left, or a circle is.
fn circle(template: &Template) -> Result<(), String> {
    let needs = template.resources.iter().map(|one| (one.name.clone(), dependencies(template, one)));
    let mut left = needs.collect::<BTreeMap<_, _>>();
    loop {
        let free = left.iter().filter(|(_, needs)| needs.iter().all(|need| !left.contains_key(need)));
        let free = free.map(|(name, _)| name.clone()).collect::<Vec<_>>();
        if free.is_empty() {
            break;
        }
        left.retain(|name, _| !free.contains(name));
    }
    // What merely needs a circle is not part of it.
    loop {
        let needed = left.values().flatten().cloned().collect::<BTreeSet<_>>();
        let before = left.len();
        left.retain(|name, _| needed.contains(name));
        if left.len() == before {
            break;
        }
    }
    if left.is_empty() {
        return Ok(());
    }
    let names = left.keys().cloned().collect::<Vec<_>>().join(", ");
    Err(format!("Circular dependency between resources: [{names}]"))
}

fn walk(value: &Json, found: &mut Found) {
    match value {
        Json::Array(items) => items.iter().for_each(|item| walk(item, found)),
        Json::Object(map) => {
            if map.len() == 1
                && let Some((name, argument)) = map.iter().next()
            {
                if name == "Ref" {
                    found.names.extend(argument.as_str().map(str::to_owned));
                    return;
                }
                if name == "Condition" && argument.is_string() {
                    found.conditions.extend(argument.as_str().map(str::to_owned));
                    return;
                }
                if name.starts_with("Fn::") {
                    function(name, argument, found);
                    return;
                }
            }
            map.values().for_each(|value| walk(value, found));
        }
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => {}
    }
}

fn function(name: &str, argument: &Json, found: &mut Found) {
    found.functions.insert(name.to_owned());
    match (name, argument) {
        ("Fn::GetAtt", _) => found.attributes.extend(attribute(argument)),
        ("Fn::If", Json::Array(parts)) => {
            found.conditions.extend(parts.first().and_then(Json::as_str).map(str::to_owned));
            parts.iter().skip(1).for_each(|part| walk(part, found));
        }
        ("Fn::Sub", Json::String(text)) => substitutes(text, &[], found),
        ("Fn::Sub", Json::Array(parts)) => {
            let own = parts.get(1).and_then(Json::as_object);
            let own = own.map(|map| map.keys().cloned().collect::<Vec<_>>()).unwrap_or_default();
            substitutes(parts.first().and_then(Json::as_str).unwrap_or_default(), &own, found);
            parts.iter().skip(1).for_each(|part| walk(part, found));
        }
        _ => walk(argument, found),
    }
}

fn substitutes(text: &str, own: &[String], found: &mut Found) {
    for part in parts(text) {
        if let Part::Name(name) = part
            && !own.iter().any(|own| own == name)
        {
            match name.split_once('.') {
                Some((resource, attribute)) => {
                    found.attributes.insert((resource.to_owned(), attribute.to_owned()));
                }
                None => {
                    found.names.insert(name.to_owned());
                }
            }
        }
    }
}

/// Resource and attribute of `Fn::GetAtt`: `[Resource, Attribute]` or `Resource.Attribute`.
pub(super) fn attribute(argument: &Json) -> Option<(String, String)> {
    match argument {
        Json::String(text) => text.split_once('.').map(|(name, rest)| (name.to_owned(), rest.to_owned())),
        Json::Array(parts) => Some((parts.first()?.as_str()?.to_owned(), parts.get(1)?.as_str()?.to_owned())),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::Object(_) => None,
    }
}

/// The parts of a text of `Fn::Sub`; `${!Name}` stands for `${Name}` itself.
pub(super) fn parts(text: &str) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        let Some(length) = rest[start..].find('}') else { break };
        if start > 0 {
            parts.push(Part::Text(&rest[..start]));
        }
        let name = &rest[start + 2..start + length];
        if let Some(literal) = name.strip_prefix('!') {
            parts.extend([Part::Text("${"), Part::Text(literal), Part::Text("}")]);
        } else {
            parts.push(Part::Name(name.trim()));
        }
        rest = &rest[start + length + 1..];
    }
    if !rest.is_empty() {
        parts.push(Part::Text(rest));
    }
    parts
}

fn join(names: &BTreeSet<&str>) -> String {
    names.iter().copied().collect::<Vec<_>>().join(", ")
}

fn bracketed(names: &BTreeSet<&String>) -> String {
    format!("[{}]", names.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(", "))
}
