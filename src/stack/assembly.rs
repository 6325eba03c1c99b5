//! From evaluated drafts to the stack: what parts and trusts offer is put in, trusts and functions become resources,
//! everything is checked, and the whole is digested.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{Address, Function, Resource, Stack, Value};

use super::Dialect;
use super::check::{Check, Schemas};
use super::drafts::{Draft, Drafts, Offers, Substitution};
use super::node::{Kind, Node};
use super::report::Report;
use super::scope::{Growth, Scope};
use super::trust::{Edge, below};
use super::{digest, functions, order, outputs};

/// The sections of a stack that become resources, and what they mean.
pub(super) struct Sections<'a> {
    pub(super) edges: &'a [Edge],
    pub(super) functions: &'a [functions::Entry],
    pub(super) scope: &'a Scope<'a>,
    pub(super) dialect: Dialect<'a>,
}

/// Fills `stack`, which has everything else, with its resources, outputs and digest.
pub(super) fn assemble(
    mut stack: Stack,
    drafts: Drafts,
    outputs: Vec<outputs::Draft>,
    check: &Check<'_>,
    sections: &Sections<'_>,
    report: &mut Report,
) -> Stack {
    let Drafts { mut drafts, mut offers } = drafts;
    let growth = sections.scope.growth;
    substitute(&mut drafts, &offers, growth, report);
    for draft in &mut drafts {
        check.complete(draft, &stack, report);
    }
    check.clouds_present(&drafts, &stack.clouds, report);
    let mut schemas: Schemas = drafts.iter().map(|draft| (draft.address.clone(), draft.schema)).collect();

    let mut first = FirstPass::new(&drafts, &stack, check, sections, &schemas, report);
    stack.resources.clone_from(&first.sound);
    expand(&stack, sections, &mut drafts, &mut offers, &mut schemas, report);
    stack.functions = deploy(&stack, sections, check, &mut drafts, &mut offers, &mut schemas, report);
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

/// What can be checked before trusts and functions are expanded.
struct FirstPass {
    /// Checked for good, well or not.
    done: BTreeMap<Address, Resource>,
    /// Without a mistake: what a trust may rely on.
    sound: Vec<Resource>,
}

impl FirstPass {
    /// Checks all drafts. One that refers to a trust or a function is looked at again after the expansion, and what is
    /// wrong with it is told then.
    fn new(
        drafts: &[Draft],
        stack: &Stack,
        check: &Check<'_>,
        sections: &Sections<'_>,
        schemas: &Schemas,
        report: &mut Report,
    ) -> Self {
        let edges = sections.edges.iter().map(|edge| &edge.address);
        let later: BTreeSet<&Address> =
            edges.chain(sections.functions.iter().map(|entry| &entry.address)).collect();
        let mut pass = Self { done: BTreeMap::new(), sound: Vec::new() };
        for draft in drafts {
            let waits = mentions(&draft.properties, &later);
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
    sections: &Sections<'_>,
    drafts: &mut Vec<Draft>,
    offers: &mut Offers,
    schemas: &mut Schemas,
    report: &mut Report,
) {
    for edge in sections.edges {
        let depends_on = edge.depends_on(sections.scope, report);
        let Some(expansion) = edge.expand(sections.scope, stack, sections.dialect, report) else { continue };
        for resource in &expansion.resources {
            schemas.insert(resource.address.clone(), resource.schema);
            drafts.push(Draft::expanded(resource, "trust.", &depends_on, &edge.place));
        }
        let attribute = |(key, value)| (String::clone(key), Node::from_value(value, &edge.place));
        offers.insert(edge.address.clone(), expansion.attributes.iter().map(attribute).collect());
    }
}

/// Expands the functions, over the resources and what trusts offer; what the expansion makes joins the drafts.
fn deploy(
    stack: &Stack,
    sections: &Sections<'_>,
    check: &Check<'_>,
    drafts: &mut Vec<Draft>,
    offers: &mut Offers,
    schemas: &mut Schemas,
    report: &mut Report,
) -> Vec<Function> {
    let mut functions = Vec::with_capacity(sections.functions.len());
    let mut depends_on = Vec::new();
    for entry in sections.functions {
        let mut substitution = Substitution { offers, growth: sections.scope.growth, open: Vec::new() };
        functions.extend(entry.read(sections.scope, check, stack, &mut substitution, report));
        depends_on.extend(entry.depends_on(sections.scope, report));
    }
    // One that is wrong was told; what the others come to is not known without it.
    if functions.is_empty() || functions.len() < sections.functions.len() {
        return functions;
    }
    let dialect = sections.dialect;
    match (dialect.functions)(&functions, dialect.artifacts, stack, dialect.catalogue) {
        Ok(expansion) => {
            for resource in &expansion.resources {
                schemas.insert(resource.address.clone(), resource.schema);
                let place = functions::place(sections.functions, resource);
                drafts.extend(place.map(|place| Draft::expanded(resource, "functions.", &depends_on, place)));
            }
            for entry in sections.functions {
                let offered = expansion.attributes.get(&entry.name).and_then(Value::as_map);
                let attribute = |(key, value)| (String::clone(key), Node::from_value(value, &entry.place));
                offers.insert(entry.address.clone(), offered.into_iter().flatten().map(attribute).collect());
            }
        }
        Err(diagnostics) => {
            for diagnostic in diagnostics {
                report.push(functions::placed(sections.functions, diagnostic));
            }
        }
    }
    functions
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
            // A function is there when the deployment is, which all functions share.
            if address.as_str().starts_with("functions.") {
                resource.depends_on.extend(schemas.keys().find(|other| is_deployment(other)).cloned());
            }
        }
    }
    resource
}

fn is_deployment(address: &Address) -> bool {
    address.as_str() == "functions.deployment"
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
