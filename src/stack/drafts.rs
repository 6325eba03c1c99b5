//! The entries of all modules, evaluated: resources whose properties are not checked yet.

use std::collections::BTreeMap;

use crate::model::{
    Address, Lifecycle, OnDelete, Part, Path, Reference, Resource, ResourceType, Schema, Template,
};

use super::grammar;
use super::modules::{Body, Item, Module};
use super::node::{Entry, Kind, Node};
use super::report::Report;
use super::scope::{Growth, Names, Scope, Target, Values, joined, poison};
use super::shape::{Checker, Patterns};
use super::text::Place;

/// So many outputs may stand for one another in a row.
const CHAIN: usize = 64;

/// A resource whose properties are not checked yet.
pub(super) struct Draft {
    pub(super) address: Address,
    /// Its name within the stack: `bucket`, or `site-bucket` for the `bucket` of an included `site`.
    pub(super) logical: String,
    pub(super) ty: ResourceType,
    pub(super) schema: &'static Schema,
    pub(super) properties: Node,
    /// Whether nothing was wrong with it so far.
    pub(super) sound: bool,
    pub(super) depends_on: Vec<Address>,
    pub(super) lifecycle: Lifecycle,
    pub(super) place: Place,
}

impl Draft {
    /// A resource that an expansion of `section` made, so that it passes the same checks as all others.
    pub(super) fn expanded(
        resource: &Resource,
        section: &str,
        depends_on: &[Address],
        place: &Place,
    ) -> Self {
        let logical = resource.address.as_str().trim_start_matches(section).replace('.', "-");
        let entries = resource.properties.iter().map(|(key, value)| Entry {
            key: key.clone(),
            key_place: place.clone(),
            value: Node::from_value(value, place),
        });
        Self {
            address: resource.address.clone(),
            logical,
            ty: resource.ty.clone(),
            schema: resource.schema,
            properties: Node::new(Kind::Map(entries.collect()), place.clone()),
            sound: true,
            depends_on: resource.depends_on.iter().chain(depends_on).cloned().collect(),
            lifecycle: resource.lifecycle,
            place: place.clone(),
        }
    }
}

/// All that the entries of a stack come to.
#[derive(Default)]
pub(super) struct Drafts {
    pub(super) drafts: Vec<Draft>,
    /// What included parts offer, by the address of the entry that includes them.
    pub(super) offers: Offers,
}

/// What entries offer that are no resources: the outputs of parts, the attributes of trusts.
pub(super) type Offers = BTreeMap<Address, BTreeMap<String, Node>>;

/// What entries of one module share.
#[derive(Clone, Default)]
struct Inherited {
    /// The logical names of the entries around.
    logical: Vec<String>,
    depends_on: Vec<Address>,
    lifecycle: Lifecycle,
}

/// The names that a module's own texts may refer to.
pub(super) fn names(module: &Module) -> Names<'_> {
    module
        .items
        .iter()
        .map(|item| {
            let target = match &item.body {
                Body::Resource(ty) => Target::Resource {
                    address: item.address.clone(),
                    schema: ty.as_ref().map(|(_, schema)| *schema),
                    properties: item.node.get("properties"),
                },
                Body::Use(part) => Target::Part {
                    address: item.address.clone(),
                    outputs: part
                        .iter()
                        .flat_map(|part| &part.outputs)
                        .map(|entry| entry.key.as_str())
                        .collect(),
                    names: part.as_ref().map(names).unwrap_or_default(),
                },
            };
            (item.name.as_str(), target)
        })
        .collect()
}

/// Evaluates the stack's own entries and, below them, those of included parts.
pub(super) fn evaluate(
    module: &Module,
    scope: &Scope<'_>,
    patterns: &Patterns,
    report: &mut Report,
) -> Drafts {
    let mut drafts = Drafts::default();
    Evaluation { drafts: &mut drafts, patterns, report }.module(module, scope, &Inherited::default());
    drafts
}

struct Evaluation<'a> {
    drafts: &'a mut Drafts,
    patterns: &'a Patterns,
    report: &'a mut Report,
}

impl Evaluation<'_> {
    fn module(&mut self, module: &Module, scope: &Scope<'_>, inherited: &Inherited) {
        for item in &module.items {
            match &item.body {
                Body::Resource(ty) => self.resource(item, ty.as_ref(), scope, inherited),
                Body::Use(part) => self.part(item, part.as_ref(), scope, inherited),
            }
        }
    }

    fn resource(
        &mut self,
        item: &Item,
        ty: Option<&(ResourceType, &'static Schema)>,
        scope: &Scope<'_>,
        inherited: &Inherited,
    ) {
        let before = self.report.errors();
        let own = self.options(item, &grammar::RESOURCE, scope, inherited);
        let nothing = Node::new(Kind::Map(Vec::new()), item.place.clone());
        let properties = item.node.get("properties").filter(|node| !node.is_null()).unwrap_or(&nothing);
        let properties = scope.evaluate(properties, self.report);
        let Some((ty, schema)) = ty else { return };
        if !matches!(properties.kind, Kind::Map(_)) {
            let summary = format!(
                "the `properties` of `{}` are to be a map, but this is {}",
                item.name,
                properties.describe()
            );
            self.report.error(&properties.place, summary, "write `Name: value` pairs below it");
            return;
        }
        self.drafts.drafts.push(Draft {
            address: item.address.clone(),
            logical: own.logical.join("-"),
            ty: ty.clone(),
            schema,
            properties,
            sound: self.report.errors() == before,
            depends_on: own.depends_on,
            lifecycle: own.lifecycle,
            place: item.place.clone(),
        });
    }

    fn part(&mut self, item: &Item, part: Option<&Module>, scope: &Scope<'_>, inherited: &Inherited) {
        let own = self.options(item, &grammar::USE, scope, inherited);
        let given = item.node.get("with").map(|with| scope.evaluate(with, self.report));
        let Some(part) = part else { return };
        let parameters = self.arguments(item, part, given.as_ref());
        let names = names(part);
        let inner = Scope {
            stack: scope.stack,
            outside: None,
            parameters: Some(&parameters),
            names: Some(&names),
            growth: scope.growth,
        };
        self.module(part, &inner, &own);
        let outputs =
            part.outputs.iter().map(|entry| (entry.key.clone(), inner.evaluate(&entry.value, self.report)));
        let outputs = outputs.collect();
        self.drafts.offers.insert(item.address.clone(), outputs);
    }

    /// The values of a part's parameters.
    fn arguments(&mut self, item: &Item, part: &Module, given: Option<&Node>) -> Values {
        let place = item.node.entry("with").map_or(&item.place, |entry| &entry.key_place);
        if let Some(given) = given.filter(|node| !matches!(node.kind, Kind::Map(_) | Kind::Null)) {
            let summary = format!("`with` is to be a map, but this is {}", given.describe());
            self.report.error(&given.place, summary, "write `parameter: value` pairs below it");
            return part.parameters.iter().map(|parameter| (parameter.name.clone(), None)).collect();
        }
        for entry in given.map(Node::entries).unwrap_or_default() {
            if !part.parameters.iter().any(|parameter| parameter.name == entry.key) {
                let known = part.parameters.iter().map(|parameter| parameter.name.as_str());
                let hint = self.report.suggest(&entry.key, known);
                let summary = format!("the part of `{}` has no parameter `{}`", item.name, entry.key);
                self.report.error(&entry.key_place, summary, hint);
            }
        }
        part.parameters
            .iter()
            .map(|parameter| {
                let argument =
                    given.and_then(|given| given.get(&parameter.name)).filter(|node| !node.is_null());
                (parameter.name.clone(), parameter.argument(argument, place, self.report))
            })
            .collect()
    }

    /// The keys that say what may be done to a resource, or to all of a part.
    fn options(
        &mut self,
        item: &Item,
        keys: &[crate::model::Property],
        scope: &Scope<'_>,
        inherited: &Inherited,
    ) -> Inherited {
        let entries = item.node.entries().iter().map(|entry| {
            // Names are literal, and properties are evaluated on their own.
            let evaluated = matches!(entry.key.as_str(), "protect" | "adopt" | "onDelete");
            let value =
                if evaluated { scope.evaluate(&entry.value, self.report) } else { entry.value.clone() };
            Entry { key: entry.key.clone(), key_place: entry.key_place.clone(), value }
        });
        let node = Node::new(Kind::Map(entries.collect()), item.node.place.clone());
        let mut checker = Checker::of_keys(self.report, self.patterns);
        let what = format!("the resource `{}`", item.name);
        // A missing type was told where the entry was read.
        let keys: Vec<_> =
            keys.iter().map(|key| crate::model::Property { required: false, ..*key }).collect();
        checker.object(&node, &keys, &Path::default(), &what, &item.place);
        let flag = |key: &str| match node.get(key).map(|node| &node.kind) {
            Some(Kind::Bool(flag)) => Some(*flag),
            _ => None,
        };
        let mut own = inherited.clone();
        own.logical.push(item.name.clone());
        own.depends_on.extend(scope.bare_list(node.get("dependsOn"), self.report));
        own.lifecycle.protect = flag("protect").or(own.lifecycle.protect);
        own.lifecycle.adopt |= flag("adopt").unwrap_or(false);
        match node.get("onDelete").and_then(Node::text) {
            Some("retain") => own.lifecycle.on_delete = OnDelete::Retain,
            Some("delete") => own.lifecycle.on_delete = OnDelete::Delete,
            Some(_) | None => {}
        }
        own
    }
}

/// Replaces references to what entries offer by what that is. References to entries that are not among the
/// offers are left as they are.
pub(super) struct Substitution<'a> {
    pub(super) offers: &'a Offers,
    pub(super) growth: &'a Growth,
    /// The outputs that are being looked up, to find cycles.
    pub(super) open: Vec<(Address, String)>,
}

impl Substitution<'_> {
    /// Replaces in a tree.
    pub(super) fn apply(&mut self, node: &Node, report: &mut Report) -> Node {
        let kind = match &node.kind {
            // A reference to an entry itself stays one: what it may name is for its reader to say.
            Kind::Unknown(template)
                if template
                    .references()
                    .any(|to| !to.attribute.is_empty() && self.offers.contains_key(&to.address)) =>
            {
                return self.template(template, &node.place, report);
            }
            Kind::List(items) => Kind::List(items.iter().map(|item| self.apply(item, report)).collect()),
            Kind::Map(entries) => {
                let entry = |entry: &Entry| Entry {
                    key: entry.key.clone(),
                    key_place: entry.key_place.clone(),
                    value: self.apply(&entry.value, report),
                };
                Kind::Map(entries.iter().map(entry).collect())
            }
            _ => return node.clone(),
        };
        Node::new(kind, node.place.clone())
    }

    fn template(&mut self, template: &Template, place: &Place, report: &mut Report) -> Node {
        let mut nodes = Vec::with_capacity(template.parts().len());
        for part in template.parts() {
            nodes.push(match part {
                Part::Text(text) => Node::new(Kind::Text(text.clone()), place.clone()),
                Part::Reference(reference) if self.offers.contains_key(&reference.address) => {
                    self.offer(reference, place, report)
                }
                Part::Reference(reference) => {
                    let template = Template::new([Part::Reference(reference.clone())]);
                    Node::new(Kind::Unknown(template), place.clone())
                }
            });
        }
        if nodes.len() == 1
            && let Some(lone) = nodes.pop()
        {
            return lone;
        }
        joined(nodes, place, report)
    }

    /// What one reference means.
    fn offer(&mut self, reference: &Reference, place: &Place, report: &mut Report) -> Node {
        let Reference { address, attribute } = reference;
        let Some((first, rest)) = attribute.split_first() else { return poison(place) };
        let offered = self.offers.get(address);
        let Some(value) = offered.and_then(|offered| offered.get(first)) else {
            let known = offered.into_iter().flatten().map(|(name, _)| name.as_str());
            let hint = report.suggest(first, known);
            report.error(place, format!("`{}` has no attribute `{first}`", address.name()), hint);
            return poison(place);
        };
        let key = (address.clone(), first.clone());
        if self.open.len() >= CHAIN || self.growth.spent() {
            report.push(Growth::exceeded(place));
            return poison(place);
        }
        if self.open.contains(&key) {
            let names: Vec<String> =
                self.open.iter().map(|(at, name)| format!("{}.{name}", at.name())).collect();
            let summary = format!("the output `{}.{first}` depends on itself", address.name());
            report.error(place, summary, format!("the cycle is {}: break it", names.join(" -> ")));
            return poison(place);
        }
        self.open.push(key);
        let value = self.apply(value, report);
        self.open.pop();
        if !self.growth.allows(&value) {
            report.push(Growth::exceeded(place));
            return poison(place);
        }
        inside(&value, rest).unwrap_or_else(|| {
            let summary = format!("`{}.{first}` has no `{}` in it", address.name(), rest.join("."));
            report.error(place, summary, format!("it is {}", value.describe()));
            poison(place)
        })
    }
}

/// What lies at a path within a node. Within something unknown, the path goes on there.
fn inside(node: &Node, path: &[String]) -> Option<Node> {
    let Some((first, rest)) = path.split_first() else { return Some(node.clone()) };
    match &node.kind {
        Kind::Map(_) => inside(node.get(first)?, rest),
        Kind::List(items) => inside(items.get(first.parse::<usize>().ok()?)?, rest),
        Kind::Unknown(template) => match template.parts() {
            [Part::Reference(to)] => {
                let attribute = to.attribute.iter().chain(path).cloned().collect();
                let further = Reference { address: to.address.clone(), attribute };
                let template = Template::new([Part::Reference(further)]);
                Some(Node::new(Kind::Unknown(template), node.place.clone()))
            }
            [] => Some(node.clone()),
            _ => None,
        },
        Kind::Null | Kind::Bool(_) | Kind::Number(_) | Kind::Text(_) | Kind::Secret(_) => None,
    }
}
