//! The `outputs` section: what is shown after an apply.

use crate::model::{Diagnostic, Output, Path, Value};

use super::check::Schemas;
use super::grammar;
use super::modules::name_fits;
use super::node::{Entry, Kind, Node};
use super::report::Report;
use super::shape::{Checker, Patterns};

/// An output as written, its value evaluated but with references to trusts and parts still in it.
pub(super) struct Draft {
    name: String,
    entry: Entry,
    pub(super) value: Node,
    sensitive: bool,
}

/// Reads the section. `evaluate` gives a value its meaning.
pub(super) fn read(
    section: Option<&Node>,
    evaluate: &dyn Fn(&Node, &mut Report) -> Node,
    patterns: &Patterns,
    report: &mut Report,
) -> Vec<Draft> {
    let Some(section) = section.filter(|node| !node.is_null()) else { return Vec::new() };
    if !matches!(section.kind, Kind::Map(_)) {
        let summary = format!("`outputs` is to be a map, but this is {}", section.describe());
        report.error(&section.place, summary, "write `name: ${resource.Attribute}` below it");
        return Vec::new();
    }
    let mut drafts = Vec::new();
    for entry in section.entries() {
        if name_fits(entry, "an output", patterns, report).is_none() {
            continue;
        }
        let long = matches!(entry.value.kind, Kind::Map(_));
        if long {
            let mut checker = Checker::of_keys(report, patterns);
            let what = format!("the output `{}`", entry.key);
            checker.object(&entry.value, &grammar::OUTPUT, &Path::default(), &what, &entry.key_place);
        }
        let value = if long { entry.value.get("value") } else { Some(&entry.value) };
        let Some(value) = value.filter(|value| !(long && value.is_null())) else { continue };
        if value.is_null() {
            let summary = format!("the output `{}` has no value", entry.key);
            report.error(&entry.key_place, summary, "write what it shows, such as `${resource.Attribute}`");
            continue;
        }
        let flag = long.then(|| entry.value.get("sensitive")).flatten();
        let sensitive = flag.is_some_and(|flag| matches!(flag.kind, Kind::Bool(true)));
        let value = evaluate(value, report);
        drafts.push(Draft { name: entry.key.clone(), entry: entry.clone(), value, sensitive });
    }
    drafts
}

impl Draft {
    /// The output, once its value holds references to resources alone. One that would show a secret is refused.
    pub(super) fn finish(self, value: &Node, schemas: &Schemas, report: &mut Report) -> Output {
        let value = value.value();
        if !self.sensitive && shows_secret(&value, schemas) {
            let summary = format!("the output `{}` would show a secret", self.name);
            let hint =
                format!("write `{}: {{ value: …, sensitive: true }}`, or show something else", self.name);
            report.push(Diagnostic::error(summary).at(self.entry.value.place.location()).hint(hint));
        }
        Output { name: self.name, value, sensitive: self.sensitive }
    }
}

/// Whether a value is or becomes a secret.
fn shows_secret(value: &Value, schemas: &Schemas) -> bool {
    match value {
        Value::Secret(_) => true,
        Value::List(items) => items.iter().any(|item| shows_secret(item, schemas)),
        Value::Map(map) => map.values().any(|item| shows_secret(item, schemas)),
        Value::Unknown(template) => template.references().any(|reference| {
            let schema = schemas.get(&reference.address);
            schema
                .and_then(|schema| schema.attribute(&reference.attribute))
                .is_some_and(|attribute| attribute.secret)
        }),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Text(_) => false,
    }
}
