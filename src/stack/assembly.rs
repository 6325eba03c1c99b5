//! From evaluated drafts to the stack: what parts and trusts offer is put in, trusts become resources, everything
//! is checked, and the whole is digested.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{Address, Resource, Stack};

use super::Dialect;
use super::check::{Check, Schemas};
use super::drafts::{Draft, Drafts, Offers, Substitution};
use super::node::{Kind, Node};
use super::report::Report;
use super::scope::{Growth, Scope};
use super::trust::{Edge, below};
use super::{digest, order, outputs};

/// The trusts of a stack, and what they mean.
pub(super) struct Trusts<'a> {
    pub(super) edges: &'a [Edge],
    pub(super) scope: &'a Scope<'a>,
    pub(super) dialect: Dialect<'a>,
}

/// Fills `stack`, which has everything else, with its resources, outputs and digest.
pub(super) fn assemble(
    mut stack: Stack,
    drafts: Drafts,
    outputs: Vec<outputs::Draft>,
    check: &Check<'_>,
    trusts: &Trusts<'_>,
    report: &mut Report,
) -> Stack {
    let Drafts { mut drafts, mut offers } = drafts;
    let growth = trusts.scope.growth;
    substitute(&mut drafts, &offers, growth, report);
    for draft in &mut drafts {
        check.complete(draft, &stack, report);
    }
    check.clouds_present(&drafts, &stack.clouds, report);
    let mut schemas: Schemas = drafts.iter().map(|draft| (draft.address.clone(), draft.schema)).collect();

    let mut first = FirstPass::new(&drafts, &stack, check, trusts.edges, &schemas, report);
    stack.resources.clone_from(&first.sound);
    expand(&stack, trusts, &mut drafts, &mut offers, &mut schemas, report);
    substitute(&mut drafts, &offers, growth, report);
    stack.resources = drafts
        .iter()
        .map(|draft| {
            let done = first.done.remove(&draft.address);
            let resource = done.unwrap_or_else(|| check.resource(draft, &stack.clouds, &schemas, report));
            spread(resource, &schemas)
        })
        .collect();

    let mut substitution = Substitution { offers: &offers, growth, open: Vec::new() };
    for output in outputs {
        let value = substitution.apply(&output.value, report);
        stack.outputs.push(output.finish(&value, &schemas, report));
    }
    if report.errors() == 0 {
        check.identities(&stack.resources, &stack.clouds, report);
    }
    for cycle in order::cycles(&stack.resources) {
        report.push(cycle);
    }
    stack.digest = digest::of(&stack);
    stack
}

/// What can be checked before trusts are expanded.
struct FirstPass {
    /// Checked for good, well or not.
    done: BTreeMap<Address, Resource>,
    /// Without a mistake: what a trust may rely on.
    sound: Vec<Resource>,
}

impl FirstPass {
    /// Checks all drafts. One that refers to a trust is looked at again after the expansion, and what is wrong
    /// with it is told then.
    fn new(
        drafts: &[Draft],
        stack: &Stack,
        check: &Check<'_>,
        edges: &[Edge],
        schemas: &Schemas,
        report: &mut Report,
    ) -> Self {
        let trusts: BTreeSet<&Address> = edges.iter().map(|edge| &edge.address).collect();
        let mut pass = Self { done: BTreeMap::new(), sound: Vec::new() };
        for draft in drafts {
            let waits = mentions(&draft.properties, &trusts);
            let mut untold = Report::default();
            let told = if waits { &mut untold } else { &mut *report };
            let before = told.errors();
            let resource = check.resource(draft, &stack.clouds, schemas, told);
            if told.errors() == before {
                pass.sound.push(resource.clone());
            }
            if !waits {
                pass.done.insert(draft.address.clone(), resource);
            }
        }
        pass
    }
}

/// Expands every trust; what the expansions make joins the drafts.
fn expand(
    stack: &Stack,
    trusts: &Trusts<'_>,
    drafts: &mut Vec<Draft>,
    offers: &mut Offers,
    schemas: &mut Schemas,
    report: &mut Report,
) {
    for edge in trusts.edges {
        let depends_on = edge.depends_on(trusts.scope, report);
        let Some(expansion) = edge.expand(trusts.scope, stack, trusts.dialect, report) else { continue };
        for resource in &expansion.resources {
            schemas.insert(resource.address.clone(), resource.schema);
            drafts.push(edge.draft(resource, &depends_on));
        }
        let attribute = |(key, value)| (String::clone(key), Node::from_value(value, &edge.place));
        offers.insert(edge.address.clone(), expansion.attributes.iter().map(attribute).collect());
    }
}

/// Replaces what parts and trusts offer, in all drafts.
fn substitute(drafts: &mut [Draft], offers: &Offers, growth: &Growth, report: &mut Report) {
    let mut substitution = Substitution { offers, growth, open: Vec::new() };
    for draft in drafts {
        draft.properties = substitution.apply(&draft.properties, report);
    }
}

/// A dependency on a part or a trust is one on each of its resources.
fn spread(mut resource: Resource, schemas: &Schemas) -> Resource {
    for address in std::mem::take(&mut resource.depends_on) {
        if schemas.contains_key(&address) {
            resource.depends_on.insert(address);
        } else {
            // Addresses are sorted, so those below one follow it, among others that begin alike.
            let alike = |other: &&Address| other.as_str().starts_with(address.as_str());
            let parts = schemas.range(&address..).map(|(other, _)| other).take_while(alike);
            resource.depends_on.extend(parts.filter(|other| below(other, &address)).cloned());
        }
    }
    resource
}

/// Whether a tree refers to one of some addresses.
fn mentions(node: &Node, addresses: &BTreeSet<&Address>) -> bool {
    match &node.kind {
        Kind::Unknown(template) => template.references().any(|to| addresses.contains(&to.address)),
        Kind::List(items) => items.iter().any(|item| mentions(item, addresses)),
        Kind::Map(entries) => entries.iter().any(|entry| mentions(&entry.value, addresses)),
        Kind::Null | Kind::Bool(_) | Kind::Number(_) | Kind::Text(_) | Kind::Secret(_) => false,
    }
}
