//! The `clouds` section: where resources go.

use crate::model::{Clouds, Path, Value};

use super::grammar;
use super::node::Node;
use super::report::Report;
use super::scope::Scope;
use super::shape::{Checker, Patterns};
use super::text::Place;

/// Reads the section. The second value says whether it may be relied on; otherwise what is wrong was told.
pub(super) fn read(
    section: Option<&Node>,
    top: &Place,
    scope: &Scope<'_>,
    patterns: &Patterns,
    report: &mut Report,
) -> (Clouds, bool) {
    let Some(section) = section.filter(|node| !node.is_null()) else { return (Clouds::default(), true) };
    let before = report.errors();
    let node = scope.evaluate(section, report);
    let mut checker = Checker::of_keys(report, patterns);
    for cloud in node.entries().iter().filter(|entry| entry.value.is_null()) {
        let Some(known) = grammar::CLOUDS.iter().find(|property| property.name == cloud.key) else {
            continue;
        };
        let summary = format!("`clouds.{}` is empty", cloud.key);
        checker.report.error(&cloud.key_place, summary, known.doc);
    }
    let map = checker.object(&node, &grammar::CLOUDS, &Path::default().key("clouds"), "`clouds`", top);
    if report.errors() > before {
        return (Clouds::default(), false);
    }
    match serde_json::from_value(Value::Map(map).to_json()) {
        Ok(clouds) => (clouds, true),
        Err(why) => {
            report.error(&section.place, format!("`clouds` cannot be read: {why}"), "see `mcm schema`");
            (Clouds::default(), false)
        }
    }
}
