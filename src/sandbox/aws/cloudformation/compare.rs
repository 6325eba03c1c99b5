//! What a design would change of a stack, found without changing anything.

use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use super::evaluate::{Scope, UNKNOWN, Work};
use super::kind;
use super::outputs;
use super::references::{dependencies, sources};
use super::stack::{self, Design, Held, Stack};
use super::template::{Resource, Template};
use crate::sandbox::World;

/// What a design would change.
pub(super) enum Difference {
    /// Nothing at all.
    None,
    /// These resources; none where only what the stack tells or is tagged with changes.
    Some(Vec<Change>),
}

/// What would become of one resource.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Change {
    /// `Add`, `Modify` or `Remove`.
    pub(super) action: String,
    pub(super) name: String,
    pub(super) physical: String,
    pub(super) kind: String,
    /// `True`, `False` or `Conditional`; of what is modified.
    pub(super) replacement: Option<String>,
    /// `Properties`, `Tags` and others.
    pub(super) scope: Vec<String>,
    pub(super) details: Vec<Detail>,
    /// What becomes of what is removed or replaced.
    pub(super) policy: Option<String>,
    /// The properties before and after.
    pub(super) before: Option<Json>,
    pub(super) after: Option<Json>,
}

/// Why a resource would be modified.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Detail {
    /// `Properties`, `Tags` and others.
    pub(super) attribute: String,
    /// The property.
    pub(super) name: Option<String>,
    /// `Never`, `Conditionally` or `Always`.
    pub(super) recreation: String,
    /// `Static` or `Dynamic`.
    pub(super) evaluation: String,
    /// `DirectModification`, `ParameterReference`, `ResourceReference` or `ResourceAttribute`.
    pub(super) source: String,
    pub(super) cause: Option<String>,
    pub(super) before: Option<String>,
    pub(super) after: Option<String>,
}

/// Compares a stack with what it is to be.
pub(super) fn compare(
    world: &World,
    stack: &Stack,
    design: &Design,
    template: &Template,
) -> Result<Difference, String> {
    let exports = stack::exports(world, &stack.site.account, &stack.site.region);
    let old = Template::read(&stack.design.template)?;
    let secrets = [outputs::secrets(&stack.design), outputs::secrets(design)].concat();
    let mut renewed: Vec<String> = Vec::new();
    let mut changes = Vec::new();
    let mut included = Vec::new();
    for resource in in_order(template) {
        let scope = Scope {
            template,
            parameters: &design.parameters,
            site: &stack.site,
            held: &stack.held,
            exports: &exports,
            ahead: true,
            renewed: &renewed,
            work: Work::default(),
        };
        if !scope.includes(resource.condition.as_ref())? {
            continue;
        }
        included.push(resource.name.clone());
        let properties = scope.properties(&resource.properties)?;
        let held = stack.held.get(&resource.name).filter(|held| !held.is_gone() && !held.physical.is_empty());
        let change = match held {
            None => Some(added(&secrets, resource, &properties)),
            Some(held) => modified((stack, &secrets), (&old, template), design, resource, held, &properties),
        };
        let anew = change.as_ref().is_some_and(|change| change.replacement.as_deref() != Some("False"));
        if anew {
            renewed.push(resource.name.clone());
        }
        changes.extend(change);
    }
    for (name, held) in stack.held.iter().filter(|(name, held)| !included.contains(name) && !held.is_gone()) {
        changes.push(removed(&secrets, name, held));
    }
    let told = |template: &Template| template.outputs.clone();
    let same = changes.is_empty()
        && told(&old) == told(template)
        && design.tags == stack.design.tags
        && design.role == stack.design.role;
    changes.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(if same { Difference::None } else { Difference::Some(changes) })
}

/// What is needed first.
fn in_order(template: &Template) -> Vec<&Resource> {
    let mut ordered: Vec<&Resource> = Vec::new();
    let mut left = template.resources.iter().collect::<Vec<_>>();
    while !left.is_empty() {
        let (ready, waiting): (Vec<_>, Vec<_>) = left.iter().partition(|resource| {
            let needs = dependencies(template, resource);
            !left.iter().any(|other| needs.contains(&other.name))
        });
        if ready.is_empty() {
            // A circle: templates that are read have none.
            ordered.extend(waiting);
            break;
        }
        ordered.extend(ready);
        left = waiting;
    }
    ordered
}

fn added(secrets: &[String], resource: &Resource, properties: &Json) -> Change {
    Change {
        action: "Add".to_owned(),
        name: resource.name.clone(),
        physical: String::new(),
        kind: resource.kind.clone(),
        replacement: None,
        scope: Vec::new(),
        details: Vec::new(),
        policy: None,
        before: None,
        after: Some(outputs::hide(secrets, properties)),
    }
}

fn removed(secrets: &[String], name: &str, held: &Held) -> Change {
    let policy = if held.deletion == "Delete" { "Delete" } else { "Retain" };
    Change {
        action: "Remove".to_owned(),
        name: name.to_owned(),
        physical: held.physical.clone(),
        kind: held.kind.clone(),
        replacement: None,
        scope: Vec::new(),
        details: Vec::new(),
        policy: Some(policy.to_owned()),
        before: Some(outputs::hide(secrets, &held.properties)),
        after: None,
    }
}

fn modified(
    (stack, secrets): (&Stack, &[String]),
    (old, template): (&Template, &Template),
    design: &Design,
    resource: &Resource,
    held: &Held,
    properties: &Json,
) -> Option<Change> {
    let kind = kind::find(&resource.kind)?;
    // What does not fit is told when it is made; until then it is as it is.
    let properties = kind::check(kind, &resource.name, properties).unwrap_or_else(|_| properties.clone());
    let before = old.resource(&resource.name);
    let mut details = Vec::new();
    for (name, fixed) in kind::differences(kind, &held.properties, &properties) {
        let value = resource.properties.get(name).unwrap_or(&Json::Null);
        let unchanged =
            before.and_then(|before| before.properties.get(name)) == resource.properties.get(name);
        let dynamic = properties[name].to_string().contains(UNKNOWN);
        details.extend(causes(
            template,
            name,
            value,
            (fixed, dynamic, unchanged),
            secrets,
            (held, &properties),
        ));
    }
    let tagged = kind.properties.iter().any(|property| property.name == "Tags");
    if tagged && design.tags != stack.design.tags && !details.iter().any(|detail| detail.attribute == "Tags")
    {
        details.push(detail("Tags", None, "Never", "Static", "DirectModification"));
    }
    if let Some(before) = before {
        for (differs, attribute) in [
            (before.metadata != resource.metadata, "Metadata"),
            (before.deletion != resource.deletion, "DeletionPolicy"),
            (before.replacing != resource.replacing, "UpdateReplacePolicy"),
        ] {
            if differs {
                details.push(detail(attribute, None, "Never", "Static", "DirectModification"));
            }
        }
    }
    if details.is_empty() && held.kind == resource.kind {
        return None;
    }
    let has = |recreation: &str| details.iter().any(|detail| detail.recreation == recreation);
    let replacement = match (has("Always") || held.kind != resource.kind, has("Conditionally")) {
        (true, _) => "True",
        (false, true) => "Conditional",
        (false, false) => "False",
    };
    let mut scope = details.iter().map(|detail| detail.attribute.clone()).collect::<Vec<_>>();
    scope.dedup();
    let policy = match (replacement, held.replacing.as_str()) {
        ("True", "Delete") => Some("ReplaceAndDelete".to_owned()),
        ("True", _) => Some("ReplaceAndRetain".to_owned()),
        _ => None,
    };
    Some(Change {
        action: "Modify".to_owned(),
        name: resource.name.clone(),
        physical: held.physical.clone(),
        kind: resource.kind.clone(),
        replacement: Some(replacement.to_owned()),
        scope,
        details,
        policy,
        before: Some(outputs::hide(secrets, &held.properties)),
        after: Some(outputs::hide(secrets, &properties)),
    })
}

fn detail(attribute: &str, name: Option<&str>, recreation: &str, evaluation: &str, source: &str) -> Detail {
    Detail {
        attribute: attribute.to_owned(),
        name: name.map(str::to_owned),
        recreation: recreation.to_owned(),
        evaluation: evaluation.to_owned(),
        source: source.to_owned(),
        cause: None,
        before: None,
        after: None,
    }
}

/// Why a property changes: by parameters or resources that it refers to, or because the template says otherwise.
fn causes(
    template: &Template,
    name: &str,
    value: &Json,
    (fixed, dynamic, unchanged): (bool, bool, bool),
    secrets: &[String],
    (held, properties): (&Held, &Json),
) -> Vec<Detail> {
    let attribute = if name == "Tags" { "Tags" } else { "Properties" };
    let recreation = match (fixed, dynamic) {
        (true, false) => "Always",
        (true, true) => "Conditionally",
        (false, _) => "Never",
    };
    let shown = |json: &Json| match outputs::hide(secrets, json) {
        Json::Null => None,
        Json::String(text) => Some(text),
        json => Some(json.to_string()),
    };
    let whole = |evaluation: &str, source: &str, cause: Option<String>| Detail {
        cause,
        before: shown(&held.properties[name]),
        after: shown(&properties[name]),
        ..detail(attribute, Some(name), recreation, evaluation, source)
    };
    let mut found = Vec::new();
    if unchanged {
        let (parameters, resources) = sources(template, value);
        let parameters = parameters.into_iter();
        found.extend(parameters.map(|parameter| whole("Static", "ParameterReference", Some(parameter))));
        if dynamic {
            found.clear();
            found.extend(resources.into_iter().map(|(resource, attribute)| match attribute {
                Some(attribute) => {
                    whole("Dynamic", "ResourceAttribute", Some(format!("{resource}.{attribute}")))
                }
                None => whole("Dynamic", "ResourceReference", Some(resource)),
            }));
        }
    }
    if found.is_empty() {
        let evaluation = if dynamic { "Dynamic" } else { "Static" };
        found.push(whole(evaluation, "DirectModification", None));
    }
    found
}

/// The properties as a change set tells them.
pub(super) fn context(properties: &Json) -> String {
    json!({ "Properties": properties }).to_string()
}
