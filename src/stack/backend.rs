//! The `backend` section: where the state lies, if not beside the stack file.

use crate::model::{Backend, Path, StoreKind, Value};

use super::grammar;
use super::node::{Kind, Node};
use super::report::Report;
use super::scope::Scope;
use super::shape::{Checker, Patterns};
use super::text::Place;

/// How an address is written.
const HINT: &str = "write `s3://bucket/prefix`, `gs://bucket/prefix` or `az://account/container/prefix`";

/// Reads the section; `None` also where it is wrong, which was told then.
pub(super) fn read(
    section: Option<&Node>,
    top: &Place,
    scope: &Scope<'_>,
    patterns: &Patterns,
    report: &mut Report,
) -> Option<Backend> {
    let section = section.filter(|node| !node.is_null())?;
    let before = report.errors();
    let node = scope.evaluate(section, report);
    if report.errors() > before {
        return None;
    }
    if let Kind::Map(_) = node.kind {
        let mut checker = Checker::of_keys(report, patterns);
        let map = checker.object(&node, &grammar::BACKEND, &Path::default().key("backend"), "`backend`", top);
        if report.errors() > before {
            return None;
        }
        let text = |name: &str| map.get(name).and_then(Value::as_text).map(str::to_owned);
        let backend = address(&text("url").unwrap_or_default(), &section.place, report)?;
        let (region, endpoint) = (text("region"), text("endpoint"));
        if region.is_some() && backend.kind != StoreKind::S3 {
            report.error(&section.place, "`backend.region` is for `s3://` alone", "leave it out");
            return None;
        }
        return Some(Backend { region, endpoint, ..backend });
    }
    if let Some(text) = node.text() {
        return address(text, &section.place, report);
    }
    let summary = format!("`backend` is an address, but this is {}", node.describe());
    report.error(&section.place, summary, HINT);
    None
}

fn address(text: &str, place: &Place, report: &mut Report) -> Option<Backend> {
    let backend = Backend::parse(text);
    if backend.is_none() {
        report.error(place, format!("`{text}` is no place for a state"), HINT);
    }
    backend
}
