//! What a stack tells: outputs and exports, without the values that must not be echoed.

use serde_json::Value as Json;

use super::parameter::{HIDDEN, scalar};
use super::stack::{self, Design, Output, Stack};
use super::template::Template;
use crate::sandbox::World;

/// Gives a stack the outputs that its template declares.
pub(super) fn evaluate(world: &World, stack: &mut Stack, template: &Template) -> Result<(), String> {
    let exports = stack::exports(world, &stack.site.account, &stack.site.region);
    let scope = stack.scope(template, &exports);
    let mut outputs = Vec::new();
    for declared in &template.outputs {
        if !scope.includes(declared.condition.as_ref())? {
            continue;
        }
        let text = |json: &Json| -> Result<String, String> {
            let value = scope.evaluate(json)?;
            value.as_ref().and_then(scalar).ok_or_else(|| {
                format!("Template format error: Output {} is malformed. The Value field of every Outputs member must \
                         evaluate to a String.", declared.name)
            })
        };
        outputs.push(Output {
            name: declared.name.clone(),
            value: text(&declared.value)?,
            description: declared.description.clone(),
            export: declared.export.as_ref().map(text).transpose()?,
        });
    }
    let others = stack::all(world, &stack.site.account, &stack.site.region);
    let others = others.iter().filter(|other| other.id() != stack.id() && other.deleted.is_none());
    for name in outputs.iter().filter_map(|output| output.export.as_ref()) {
        let exports =
            |other: &&Stack| other.outputs.iter().any(|output| output.export.as_ref() == Some(name));
        if let Some(other) = others.clone().find(exports) {
            return Err(format!("Export with name {name} is already exported by stack {}.", other.name()));
        }
    }
    let lost = stack.outputs.iter().filter_map(|output| output.export.as_ref());
    for name in lost.filter(|name| !outputs.iter().any(|output| output.export.as_ref() == Some(name))) {
        if let Some(user) = others.clone().find(|other| other.imports.contains(name)) {
            return Err(format!("Export {name} cannot be deleted as it is in use by {}", user.name()));
        }
    }
    let mut imports = Vec::new();
    for resource in &template.resources {
        imported(&resource.properties, &mut |json| {
            imports.extend(scope.evaluate(json).ok().flatten().as_ref().and_then(scalar));
        });
    }
    stack.imports = imports;
    stack.outputs = outputs;
    Ok(())
}

/// Visits the argument of every `Fn::ImportValue`.
fn imported(json: &Json, visit: &mut impl FnMut(&Json)) {
    match json {
        Json::Array(items) => items.iter().for_each(|item| imported(item, visit)),
        Json::Object(map) => map.iter().for_each(|(name, value)| {
            if name == "Fn::ImportValue" {
                visit(value);
            }
            imported(value, visit);
        }),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => {}
    }
}

/// The stack that uses an export of this one, and the export.
pub(super) fn in_use(world: &World, stack: &Stack) -> Option<(String, String)> {
    let all = stack::all(world, &stack.site.account, &stack.site.region);
    let others = all.iter().filter(|other| other.id() != stack.id() && other.deleted.is_none());
    let exported = stack.outputs.iter().filter_map(|output| output.export.as_ref());
    exported.clone().find_map(|name| {
        let user = others.clone().find(|other| other.imports.contains(name))?;
        Some((name.clone(), user.name().to_owned()))
    })
}

/// The values of a design's parameters that must not be echoed.
pub(super) fn secrets(design: &Design) -> Vec<String> {
    let template = Template::read(&design.template);
    let declared = template.as_ref().map(|template| template.parameters.as_slice()).unwrap_or_default();
    let secret = declared.iter().filter(|parameter| parameter.no_echo);
    let values = secret.filter_map(|parameter| design.parameters.get(&parameter.name));
    values.filter(|value| !value.is_empty()).cloned().collect()
}

/// A value without these.
pub(super) fn hide(secrets: &[String], json: &Json) -> Json {
    match json {
        Json::String(text) => {
            let shown = secrets.iter().fold(text.clone(), |shown, secret| shown.replace(secret, HIDDEN));
            Json::String(shown)
        }
        Json::Array(items) => Json::Array(items.iter().map(|item| hide(secrets, item)).collect()),
        Json::Object(map) => {
            Json::Object(map.iter().map(|(name, value)| (name.clone(), hide(secrets, value))).collect())
        }
        Json::Null | Json::Bool(_) | Json::Number(_) => json.clone(),
    }
}
