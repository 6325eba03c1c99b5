//! The `trust` section: edges are read here, and expanded into resources by whoever knows what they mean.

use crate::model::{Address, Diagnostic, Expansion, Map, Stack, TrustEdge};

use super::Dialect;
use super::grammar;
use super::modules::name_fits;
use super::node::{Entry, Kind, Node};
use super::report::Report;
use super::scope::Scope;
use super::shape::Patterns;
use super::text::Place;

/// How many trusts a stack may have.
const TRUSTS: usize = 500;

/// An entry of `trust`.
pub(super) struct Edge {
    pub(super) name: String,
    pub(super) place: Place,
    /// What references to it bear until it is expanded.
    pub(super) address: Address,
    node: Node,
}

/// Reads which edges there are. `taken` says what names other sections use.
pub(super) fn edges(
    section: Option<&Node>,
    taken: &dyn Fn(&str) -> Option<usize>,
    patterns: &Patterns,
    report: &mut Report,
) -> Vec<Edge> {
    let Some(section) = section.filter(|node| !node.is_null()) else { return Vec::new() };
    if !matches!(section.kind, Kind::Map(_)) {
        let summary = format!("`trust` is to be a map, but this is {}", section.describe());
        report.error(
            &section.place,
            summary,
            "write `name: { from: \"${role}\", to: \"${account}\" }` below it",
        );
        return Vec::new();
    }
    if section.entries().len() > TRUSTS {
        report.error(&section.place, format!("the stack has more than {TRUSTS} trusts"), "split it");
        return Vec::new();
    }
    let mut edges = Vec::new();
    for entry in section.entries() {
        if name_fits(entry, "a trust", patterns, report).is_none() {
            continue;
        }
        if let Some(line) = taken(&entry.key) {
            let summary = format!("`{}` names both a resource and a trust", entry.key);
            let hint = format!("the resource stands on line {line}: give one of them another name");
            report.error(&entry.key_place, summary, hint);
            continue;
        }
        if !matches!(entry.value.kind, Kind::Map(_)) {
            let summary =
                format!("the trust `{}` is to be a map, but this is {}", entry.key, entry.value.describe());
            report.error(&entry.value.place, summary, "write `{ from: \"${role}\", to: \"${account}\" }`");
            continue;
        }
        let Ok(address) = Address::parse(&format!("trust.{}", entry.key)) else { continue };
        edges.push(Edge {
            name: entry.key.clone(),
            place: entry.key_place.clone(),
            address,
            node: entry.value.clone(),
        });
    }
    edges
}

impl Edge {
    /// Expands the edge into resources, over the resources as they are known by now.
    pub(super) fn expand(
        &self,
        scope: &Scope<'_>,
        stack: &Stack,
        dialect: Dialect<'_>,
        report: &mut Report,
    ) -> Option<Expansion> {
        let before = report.errors();
        let from = self.end("from", scope, stack, report);
        let to = self.end("to", scope, stack, report);
        let options = self.options(scope, report);
        let (from, to) = (from?, to?);
        if report.errors() > before {
            return None;
        }
        let location = Some(self.place.location());
        let edge = TrustEdge { name: self.name.clone(), from, to, options, location };
        match (dialect.trust)(&edge, stack, dialect.catalogue) {
            Ok(expansion) => Some(expansion),
            Err(diagnostics) => {
                for mut diagnostic in diagnostics {
                    diagnostic.location = Some(self.meant(&diagnostic).location());
                    report.push(diagnostic);
                }
                None
            }
        }
    }

    /// The place of the key that a diagnostic speaks of, else that of the entry.
    fn meant(&self, diagnostic: &Diagnostic) -> &Place {
        let words = diagnostic.summary.split('`').skip(1).step_by(2);
        words
            .filter_map(|word| self.node.entry(word))
            .map(|entry| &entry.key_place)
            .next()
            .unwrap_or(&self.place)
    }

    /// One end: a resource of the stack. `None` also where that resource is wrong, which was told.
    fn end(&self, key: &str, scope: &Scope<'_>, stack: &Stack, report: &mut Report) -> Option<Address> {
        let Some(node) = self.node.get(key).filter(|node| !node.is_null()) else {
            let doc = grammar::TRUST.iter().find(|property| property.name == key).map_or("", |key| key.doc);
            report.error(&self.place, format!("the trust `{}` needs the key `{key}`", self.name), doc);
            return None;
        };
        let address = scope.bare(node, report)?;
        if let Some(resource) = stack.get(&address) {
            return Some(resource.address.clone());
        }
        if address.as_str().starts_with("trust.")
            || stack.resources.iter().any(|other| below(&other.address, &address))
        {
            let summary = format!("`{key}` of the trust `{}` is no single resource", self.name);
            report.error(
                &node.place,
                summary,
                "name a resource: `${name}`, or `${part.name}` within an included part",
            );
        }
        None
    }

    /// Everything else in the entry.
    fn options(&self, scope: &Scope<'_>, report: &mut Report) -> Map {
        let fixed = |entry: &&Entry| !grammar::TRUST.iter().any(|key| key.name == entry.key);
        let entries = self.node.entries().iter().filter(fixed);
        entries.map(|entry| (entry.key.clone(), scope.evaluate(&entry.value, report).value())).collect()
    }

    /// What its resources wait for besides what they refer to.
    pub(super) fn depends_on(&self, scope: &Scope<'_>, report: &mut Report) -> Vec<Address> {
        scope.bare_list(self.node.get("dependsOn"), report)
    }
}

/// Whether an address lies below another one.
pub(super) fn below(address: &Address, parent: &Address) -> bool {
    address.as_str().strip_prefix(parent.as_str()).is_some_and(|rest| rest.starts_with('.'))
}
