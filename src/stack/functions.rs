//! The `functions` section: entries are read and checked here, and expanded into resources by whoever knows what they
//! mean.

use std::path::{Path as FilePath, PathBuf};

use crate::model::{
    Address, Architecture, Diagnostic, Function, Path, Property, Resource, Secret, Shape, Stack, Template,
};

use super::check::Check;
use super::drafts::Substitution;
use super::grammar;
use super::modules::name_fits;
use super::node::{self, Kind, Node};
use super::report::Report;
use super::scope::Scope;
use super::shape::{Checker, Patterns};
use super::text::Place;

/// How many functions a stack may have: CloudFormation takes 500 resources in one of its stacks.
const FUNCTIONS: usize = 50;

/// Parts that the functions of a stack share, at `functions.artifacts` and `functions.deployment`.
const SHARED: [&str; 2] = ["artifacts", "deployment"];

/// An entry of `functions`.
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) place: Place,
    /// What references to it bear until it is expanded.
    pub(super) address: Address,
    node: Node,
}

/// Reads which functions there are. `taken` says what names other sections use.
pub(super) fn entries(
    section: Option<&Node>,
    taken: &dyn Fn(&str) -> Option<usize>,
    patterns: &Patterns,
    report: &mut Report,
) -> Vec<Entry> {
    let Some(section) = section.filter(|node| !node.is_null()) else { return Vec::new() };
    if !matches!(section.kind, Kind::Map(_)) {
        let summary = format!("`functions` is to be a map, but this is {}", section.describe());
        report.error(
            &section.place,
            summary,
            "write `name: { package: lambdas/name, role: \"${role}\" }` below it",
        );
        return Vec::new();
    }
    if section.entries().len() > FUNCTIONS {
        let summary = format!("the stack has more than {FUNCTIONS} functions");
        report.error(&section.place, summary, "split it");
        return Vec::new();
    }
    section.entries().iter().filter_map(|entry| self::entry(entry, taken, patterns, report)).collect()
}

fn entry(
    entry: &node::Entry,
    taken: &dyn Fn(&str) -> Option<usize>,
    patterns: &Patterns,
    report: &mut Report,
) -> Option<Entry> {
    name_fits(entry, "a function", patterns, report)?;
    let name = &entry.key;
    if SHARED.contains(&name.as_str()) {
        let summary = format!("`{name}` cannot name a function: it names what all functions share");
        report.error(&entry.key_place, summary, "give it another name");
        return None;
    }
    if let Some(line) = taken(name) {
        let summary = format!("`{name}` names both a function and something else");
        let hint = format!("the other one stands on line {line}: give one of them another name");
        report.error(&entry.key_place, summary, hint);
        return None;
    }
    if !matches!(entry.value.kind, Kind::Map(_)) {
        let summary = format!("the function `{name}` is to be a map, but this is {}", entry.value.describe());
        report.error(&entry.value.place, summary, "write `{ package: lambdas/name, role: \"${role}\" }`");
        return None;
    }
    let address = Address::parse(&format!("functions.{name}")).ok()?;
    Some(Entry { name: name.clone(), place: entry.key_place.clone(), address, node: entry.value.clone() })
}

impl Entry {
    /// The function, its keys and types checked; `None` where something is wrong, which was told.
    pub(super) fn read(
        &self,
        scope: &Scope<'_>,
        check: &Check<'_>,
        stack: &Stack,
        substitution: &mut Substitution<'_>,
        report: &mut Report,
    ) -> Option<Function> {
        let before = report.errors();
        let node = evaluate(&self.node, &grammar::FUNCTION, scope, report);
        let node = keep_secrets(substitution.apply(&node, report), stack, report);
        let mut checker = Checker::of_keys(report, check.patterns);
        let what = format!("the function `{}`", self.name);
        let options = checker.object(&node, &grammar::FUNCTION, &Path::default(), &what, &self.place);
        secrets_apart(&node, stack, report);
        let package = package(&node, check.folder, report);
        let word = node.get("architecture").and_then(Node::text);
        let architecture = word.and_then(Architecture::parse).unwrap_or_default();
        let package = package?;
        (report.errors() == before).then(|| Function {
            name: self.name.clone(),
            package,
            architecture,
            options,
            location: Some(self.place.location()),
        })
    }

    /// What the functions wait for besides what they refer to.
    pub(super) fn depends_on(&self, scope: &Scope<'_>, report: &mut Report) -> Vec<Address> {
        scope.bare_list(self.node.get("dependsOn"), report)
    }
}

/// The package's folder, which must lie below the stack's.
fn package(node: &Node, folder: &FilePath, report: &mut Report) -> Option<PathBuf> {
    let package = node.get("package")?;
    let hint = "`package` is the folder of a Rust package beside the stack file, such as `lambdas/resize`";
    let Some(path) = package.text() else {
        if matches!(&package.kind, Kind::Unknown(template) if !template.parts().is_empty()) {
            let summary = "`package` is known only after an apply, but is needed to build the function";
            report.error(&package.place, summary, "use literal text and variables alone");
        }
        return None;
    };
    let folder = if folder.as_os_str().is_empty() { FilePath::new(".") } else { folder };
    let (Ok(own), Ok(found)) = (folder.canonicalize(), folder.join(path).canonicalize()) else {
        let summary = format!("there is no folder `{path}` beside the stack file");
        report.error(&package.place, summary, hint);
        return None;
    };
    if !found.starts_with(&own) {
        let summary = format!("`{path}` lies outside of the stack's folder");
        report.error(&package.place, summary, hint);
        return None;
    }
    if !found.join("Cargo.toml").is_file() {
        let summary = format!("`{path}` holds no Rust package: there is no `Cargo.toml` in it");
        report.error(&package.place, summary, hint);
        return None;
    }
    Some(folder.join(path))
}

/// What stands under `secrets` is secret, wherever it comes from: no plan and no journal shows it. What another resource
/// tells to everyone is none.
fn keep_secrets(mut node: Node, stack: &Stack, report: &mut Report) -> Node {
    let Some(mut secrets) = node.get("secrets").cloned() else { return node };
    if let Kind::Map(entries) = &mut secrets.kind {
        for node::Entry { key, value, .. } in entries {
            match &value.kind {
                Kind::Text(text) => value.kind = Kind::Secret(Secret::new(text.clone())),
                Kind::Unknown(template) if !template.parts().is_empty() && !is_secret(value, stack) => {
                    let summary =
                        format!("`{key}` stands under `secrets`, and what it refers to is no secret");
                    report.error(&value.place, summary, "put it under `environment`");
                }
                _ => {}
            }
        }
    }
    node.set("secrets", secrets);
    node
}

/// A secret in `environment`, or in a file, would stand in the template, which everyone may read who may look at
/// the deployment.
fn secrets_apart(node: &Node, stack: &Stack, report: &mut Report) {
    for key in ["environment", "files"] {
        for entry in node.get(key).map(Node::entries).unwrap_or_default() {
            if is_secret(&entry.value, stack) {
                let summary = format!("`{}` is secret and stands under `{key}`", entry.key);
                let hint = "put it under `secrets`: CloudFormation then never shows it";
                report.error(&entry.value.place, summary, hint);
            }
        }
    }
}

/// Whether a value is secret, or refers to something that is.
fn is_secret(node: &Node, stack: &Stack) -> bool {
    match &node.kind {
        Kind::Secret(_) => true,
        Kind::Unknown(template) => template.references().any(|reference| {
            let target = stack.get(&reference.address);
            let attribute = target.and_then(|target| target.schema.attribute(&reference.attribute));
            attribute.is_some_and(|attribute| attribute.secret)
        }),
        Kind::List(items) => items.iter().any(|item| is_secret(item, stack)),
        Kind::Map(entries) => entries.iter().any(|entry| is_secret(&entry.value, stack)),
        Kind::Null | Kind::Bool(_) | Kind::Number(_) | Kind::Text(_) => false,
    }
}

/// Keys whose value is the name of a resource, not one of its attributes.
const BARE: [&str; 2] = ["role", "bucket"];

/// Gives every `${…}` its meaning; along the grammar, because a `role` and a `bucket` name a resource itself.
fn evaluate(node: &Node, keys: &[Property], scope: &Scope<'_>, report: &mut Report) -> Node {
    let Kind::Map(entries) = &node.kind else { return scope.evaluate(node, report) };
    let entries = entries.iter().map(|entry| {
        let shape = keys.iter().find(|key| key.name == entry.key).map(|key| key.shape);
        let value = match shape {
            _ if entry.key == "dependsOn" => Node::new(Kind::Null, entry.value.place.clone()),
            Some(Shape::Text(_)) if BARE.contains(&entry.key.as_str()) => bare(&entry.value, scope, report),
            Some(Shape::Object(keys)) => evaluate(&entry.value, keys, scope, report),
            Some(Shape::List(Shape::Object(keys))) => match &entry.value.kind {
                Kind::List(items) => {
                    let items = items.iter().map(|item| evaluate(item, keys, scope, report)).collect();
                    Node::new(Kind::List(items), entry.value.place.clone())
                }
                _ => entry.value.clone(),
            },
            _ => scope.evaluate(&entry.value, report),
        };
        node::Entry { key: entry.key.clone(), key_place: entry.key_place.clone(), value }
    });
    Node::new(Kind::Map(entries.collect()), node.place.clone())
}

/// A resource itself, as a reference without an attribute.
fn bare(node: &Node, scope: &Scope<'_>, report: &mut Report) -> Node {
    let template = match scope.bare(node, report) {
        Some(address) => Template::reference(address, &[]),
        None => Template::new([]),
    };
    Node::new(Kind::Unknown(template), node.place.clone())
}

/// The place of the entry that a resource of the expansion comes from; what all share stands where the first does.
pub(super) fn place<'e>(entries: &'e [Entry], resource: &Resource) -> Option<&'e Place> {
    let name = resource.address.as_str().split('.').nth(1);
    let own = entries.iter().find(|entry| Some(entry.name.as_str()) == name);
    own.or(entries.first()).map(|entry| &entry.place)
}

/// A diagnostic at the place of the key that it speaks of, within the entry that it is about.
pub(super) fn placed(entries: &[Entry], mut diagnostic: Diagnostic) -> Diagnostic {
    let about = |entry: &&Entry| diagnostic.location.as_ref() == Some(&entry.place.location());
    let Some(entry) = entries.iter().find(about) else { return diagnostic };
    let words = diagnostic.summary.split('`').skip(1).step_by(2);
    let key = words.filter_map(|word| entry.node.entry(word)).map(|found| &found.key_place).next();
    if let Some(place) = key {
        diagnostic.location = Some(place.location());
    }
    diagnostic
}
