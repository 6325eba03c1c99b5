//! What `${…}` means at some place of the stack: variables, the environment, parameters and other resources.

use std::cell::Cell;
use std::collections::BTreeMap;

use crate::model::{Absent, Address, Diagnostic, Part, Reference, Schema, Template};

use super::interpolate::{self, Piece, Unfit};
use super::node::{Entry, Kind, Node};
use super::report::{Report, nearest, quoted, wrong};
use super::text::Place;

/// How much all `${…}` together may bring in, in bytes of text and values: what is small in the file must not
/// grow without bound.
const GROWTH: usize = 16 << 20;

/// Values by name; `None` where a value is wrong and that was told already.
pub(super) type Values = BTreeMap<String, Option<Node>>;

/// What a name stands for.
pub(super) enum Target<'a> {
    /// A resource.
    Resource {
        address: Address,
        /// Absent where the type is not known, which was told already.
        schema: Option<&'static Schema>,
        /// Its properties as written.
        properties: Option<&'a Node>,
    },
    /// An included part: its outputs, and its own resources.
    Part { address: Address, outputs: Vec<&'a str>, names: Names<'a> },
    /// A trust edge: what it offers is known after it is expanded.
    Trust { address: Address },
}

/// Names and what they stand for.
pub(super) type Names<'a> = BTreeMap<&'a str, Target<'a>>;

/// What may be referred to at some place.
pub(super) struct Scope<'a> {
    /// The stack's name; `None` while it is being found out.
    pub(super) stack: Option<&'a str>,
    /// `${var.…}`, and the environment for `${env.…}`: in the stack file.
    pub(super) outside: Option<(&'a Values, &'a [(String, String)])>,
    /// `${param.…}`: in an included part.
    pub(super) parameters: Option<&'a Values>,
    /// Resources, parts and trusts, where those may be referred to.
    pub(super) names: Option<&'a Names<'a>>,
    /// What has been brought in so far.
    pub(super) growth: &'a Growth,
}

/// An expression within a text. Its place is looked for only where something is wrong with it.
pub(super) struct Spot<'a> {
    /// The whole text.
    place: &'a Place,
    /// The expression as written.
    raw: &'a str,
    /// How many times it stands before.
    nth: usize,
}

impl Spot<'_> {
    fn find(&self, report: &Report) -> Place {
        if report.is_full() { self.place.clone() } else { self.place.within(self.raw, self.nth) }
    }

    fn error(&self, report: &mut Report, summary: impl Into<String>, hint: impl Into<String>) {
        let place = self.find(report);
        report.error(&place, summary, hint);
    }
}

/// Counts what `${…}` brings in.
#[derive(Default)]
pub(super) struct Growth(Cell<usize>);

impl Growth {
    /// Whether there is room for so much more.
    pub(super) fn allows(&self, node: &Node) -> bool {
        if self.spent() {
            return false;
        }
        let total = self.0.get().saturating_add(weight(node));
        self.0.set(total);
        total <= GROWTH
    }

    /// Whether there is no room left at all.
    pub(super) fn spent(&self) -> bool {
        self.0.get() > GROWTH
    }

    /// Tells that there is none.
    pub(super) fn exceeded(place: &Place) -> Diagnostic {
        let summary = format!("the values brought in by `${{…}}` exceed {} MiB in all", GROWTH >> 20);
        wrong(place, summary).hint("repeat less")
    }
}

/// Roughly the memory that a copy takes.
fn weight(node: &Node) -> usize {
    64 + match &node.kind {
        Kind::Text(text) => text.len(),
        Kind::Secret(text) => text.expose().len(),
        Kind::List(items) => items.iter().map(weight).sum(),
        Kind::Map(entries) => entries.iter().map(|entry| entry.key.len() + weight(&entry.value)).sum(),
        Kind::Unknown(template) => 64 * template.parts().len(),
        Kind::Null | Kind::Bool(_) | Kind::Number(_) => 0,
    }
}

/// Stands for a value that is wrong, which was told already: fits everywhere.
pub(super) fn poison(place: &Place) -> Node {
    Node::new(Kind::Unknown(Template::new([])), place.clone())
}

impl Scope<'_> {
    /// Replaces every `${…}` in a tree.
    pub(super) fn evaluate(&self, node: &Node, report: &mut Report) -> Node {
        let kind = match &node.kind {
            Kind::Text(text) if interpolate::is_plain(text) => return node.clone(),
            Kind::Text(text) => return self.text(text, &node.place, report),
            Kind::List(items) => Kind::List(items.iter().map(|item| self.evaluate(item, report)).collect()),
            Kind::Map(entries) => Kind::Map(entries.iter().map(|entry| self.entry(entry, report)).collect()),
            Kind::Null | Kind::Bool(_) | Kind::Number(_) | Kind::Secret(_) | Kind::Unknown(_) => {
                return node.clone();
            }
        };
        Node::new(kind, node.place.clone())
    }

    fn entry(&self, entry: &Entry, report: &mut Report) -> Entry {
        if !interpolate::is_plain(&entry.key) {
            let summary = "`${…}` stands in a key, where it means nothing";
            report.error(&entry.key_place, summary, "only values can refer to something; keys are literal");
        }
        Entry {
            key: entry.key.clone(),
            key_place: entry.key_place.clone(),
            value: self.evaluate(&entry.value, report),
        }
    }

    /// Replaces every `${…}` in a text. One that is a lone `${…}` takes what it means, whatever its type.
    fn text(&self, text: &str, place: &Place, report: &mut Report) -> Node {
        if self.growth.spent() {
            return poison(place);
        }
        let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
        let mut nodes = Vec::new();
        let mut sound = true;
        for piece in interpolate::pieces(text) {
            let node = match &piece {
                Piece::Text(literal) => Some(Node::new(Kind::Text(literal.clone()), place.clone())),
                Piece::Expression { raw, words } => {
                    let nth = seen.entry(raw).or_default();
                    let spot = Spot { place, raw, nth: *nth };
                    *nth += 1;
                    match self.expression(words, &spot, report) {
                        Some(node) if !self.growth.allows(&node) => {
                            report.push(Growth::exceeded(place));
                            None
                        }
                        other => other,
                    }
                }
                Piece::Wrong { raw, why } => {
                    let hint = if raw.contains(':') {
                        "a policy variable of AWS is written with two dollars: `$${aws:username}`"
                    } else {
                        "a literal `${` is written `$${`; a reference looks like `${name.Attribute}`"
                    };
                    report.error(&Spot { place, raw, nth: 0 }.find(report), *why, hint);
                    None
                }
            };
            match node {
                Some(node) => nodes.push(node),
                None => sound = false,
            }
        }
        if !sound {
            return poison(place);
        }
        if nodes.len() == 1
            && let Some(lone) = nodes.pop()
        {
            return lone;
        }
        joined(nodes, place, report)
    }

    /// What an expression means; `None` after telling that it means nothing.
    fn expression(&self, words: &[&str], spot: &Spot<'_>, report: &mut Report) -> Option<Node> {
        match words {
            ["stack"] => {
                let Some(name) = self.stack else {
                    spot.error(report, "the stack's name cannot contain itself", "write the name out");
                    return None;
                };
                Some(Node::new(Kind::Text(name.to_owned()), spot.place.clone()))
            }
            ["stack", ..] => {
                spot.error(report, "`${stack}` is the stack's name and has no parts", "write `${stack}`");
                None
            }
            ["var", name] => self.variable(name, spot, report),
            ["env", name] => self.environment(name, spot, report),
            ["param", name] => self.parameter(name, spot, report),
            ["var" | "env" | "param", ..] => {
                let summary = format!("`${{{}.…}}` takes one name", words[0]);
                spot.error(report, summary, format!("write `${{{}.NAME}}`", words[0]));
                None
            }
            [head, rest @ ..] => self.reference(head, rest, spot, report),
            [] => None,
        }
    }

    fn variable(&self, name: &str, spot: &Spot<'_>, report: &mut Report) -> Option<Node> {
        let Some((variables, _)) = self.outside else {
            let summary = "an included part sees no variables of the stack";
            spot.error(report, summary, "declare it under the part's `parameters:` and write `${param.…}`");
            return None;
        };
        value_of(variables, name, "variable", spot, report)
    }

    fn environment(&self, name: &str, spot: &Spot<'_>, report: &mut Report) -> Option<Node> {
        let Some((_, environment)) = self.outside else {
            let summary = "an included part sees nothing of the environment";
            spot.error(report, summary, "declare a parameter and write `${param.…}`");
            return None;
        };
        if let Some((_, value)) = environment.iter().find(|(key, _)| key == name) {
            return Some(Node::new(Kind::Text(value.clone()), spot.place.clone()));
        }
        let hint = format!("export {name}=…, or use a variable with a default");
        spot.error(report, format!("the environment variable `{name}` is not set"), hint);
        None
    }

    fn parameter(&self, name: &str, spot: &Spot<'_>, report: &mut Report) -> Option<Node> {
        let Some(parameters) = self.parameters else {
            let summary = "`${param.…}` means something in an included part alone";
            spot.error(report, summary, "the stack file has variables: `${var.…}`");
            return None;
        };
        // A parameter keeps the place of its argument: that is where its user can mend it.
        value_of(parameters, name, "parameter", spot, report)
    }

    /// A reference to a resource, a part or a trust.
    fn reference(&self, head: &str, rest: &[&str], spot: &Spot<'_>, report: &mut Report) -> Option<Node> {
        let Some(names) = self.names else {
            let summary = "other resources cannot be referred to here";
            let known = match self.stack {
                Some(_) => "`${var.…}`, `${env.…}` and `${stack}`",
                None => "`${var.…}` and `${env.…}`",
            };
            spot.error(report, summary, format!("this place knows {known} only"));
            return None;
        };
        let Some(target) = names.get(head) else {
            let reserved = if self.outside.is_some() { ["var", "env"] } else { ["param", "stack"] };
            let hint = match nearest(head, &reserved) {
                Some(near) => format!("did you mean `${{{near}.…}}`?"),
                None => report.suggest(head, names.keys().copied()),
            };
            spot.error(report, format!("there is no resource or trust `{head}`"), hint);
            return None;
        };
        let reference = target.refer(head, rest, spot, report)?;
        Some(Node::new(Kind::Unknown(Template::new([Part::Reference(reference)])), spot.place.clone()))
    }

    /// The addresses that a `dependsOn` names.
    pub(super) fn bare_list(&self, node: Option<&Node>, report: &mut Report) -> Vec<Address> {
        let Some(node) = node.filter(|node| !node.is_null()) else { return Vec::new() };
        let Kind::List(names) = &node.kind else {
            let summary = format!("`dependsOn` is to be a list, but this is {}", node.describe());
            report.error(&node.place, summary, "write `dependsOn: [name]`");
            return Vec::new();
        };
        names.iter().filter_map(|name| self.bare(name, report)).collect()
    }

    /// The address that a bare `${name}`, or just `name`, stands for: in `dependsOn` and in a trust.
    pub(super) fn bare(&self, node: &Node, report: &mut Report) -> Option<Address> {
        let text = node.text().unwrap_or_default();
        let pieces = interpolate::pieces(text);
        let words: Vec<&str> = match pieces.as_slice() {
            [Piece::Expression { words, .. }] => words.clone(),
            [Piece::Text(_)] if !text.is_empty() => text.split('.').collect(),
            _ => Vec::new(),
        };
        let Some((head, rest)) = words.split_first() else {
            let summary = format!("expected the name of a resource, but this is {}", node.describe());
            report.error(&node.place, summary, "write its logical name: `${name}`");
            return None;
        };
        let names = self.names?;
        let mut target = names.get(head);
        for word in rest {
            target = match target {
                Some(Target::Part { names, .. }) => names.get(word),
                Some(Target::Resource { .. } | Target::Trust { .. }) => {
                    let summary = format!("`{text}` names an attribute; the resource itself is meant here");
                    report.error(&node.place, summary, format!("write `${{{head}}}`"));
                    return None;
                }
                None => None,
            };
        }
        match target {
            Some(
                Target::Resource { address, .. } | Target::Part { address, .. } | Target::Trust { address },
            ) => Some(address.clone()),
            None => {
                let hint = report.suggest(head, names.keys().copied());
                report.error(
                    &node.place,
                    format!("there is no resource or trust `{}`", words.join(".")),
                    hint,
                );
                None
            }
        }
    }
}

/// Joins pieces into a text, or tells why they make none.
pub(super) fn joined(nodes: Vec<Node>, place: &Place, report: &mut Report) -> Node {
    if nodes.iter().any(|node| matches!(&node.kind, Kind::Unknown(template) if template.parts().is_empty())) {
        return poison(place);
    }
    match interpolate::join(nodes) {
        Ok(kind) => Node::new(kind, place.clone()),
        Err(Unfit::Collection) => {
            let summary = "a list or a map cannot stand inside of a text";
            report.error(place, summary, "let `${…}` be the whole value, with nothing before and after it");
            poison(place)
        }
        Err(Unfit::HalfSecret) => {
            let summary =
                "a sensitive value stands in one text with something that is only known after an apply";
            report.error(
                place,
                summary,
                "give each a property of its own: a half-known text is shown in plans",
            );
            poison(place)
        }
    }
}

fn value_of(values: &Values, name: &str, noun: &str, spot: &Spot<'_>, report: &mut Report) -> Option<Node> {
    if let Some(value) = values.get(name) {
        return value.clone();
    }
    let hint = if values.is_empty() {
        format!("declare it under `{noun}s:`")
    } else {
        report.suggest(name, values.keys().map(String::as_str))
    };
    spot.error(report, format!("there is no {noun} `{name}`"), hint);
    None
}

impl Target<'_> {
    /// A reference to one of its attributes.
    fn refer(&self, name: &str, words: &[&str], spot: &Spot<'_>, report: &mut Report) -> Option<Reference> {
        let attribute: Vec<String> = words.iter().map(|&word| word.to_owned()).collect();
        match self {
            Self::Resource { address, schema, properties } => {
                if let Some(schema) = schema {
                    exists(schema, *properties, name, &attribute, spot, report)?;
                }
                Some(Reference { address: address.clone(), attribute })
            }
            Self::Trust { .. } if attribute.is_empty() => {
                let summary = format!("which attribute of the trust `{name}`?");
                spot.error(report, summary, format!("write `${{{name}.ATTRIBUTE}}`"));
                None
            }
            Self::Trust { address } => Some(Reference { address: address.clone(), attribute }),
            Self::Part { address, outputs, names } => match words {
                [] => {
                    let summary = format!("which output of `{name}`?");
                    spot.error(report, summary, format!("it has {}", quoted(outputs)));
                    None
                }
                [first, ..] if outputs.contains(first) => {
                    Some(Reference { address: address.clone(), attribute })
                }
                [first, rest @ ..] => {
                    if let Some(target) = names.get(first) {
                        target.refer(&format!("{name}.{first}"), rest, spot, report)
                    } else {
                        let hint =
                            report.suggest(first, outputs.iter().copied().chain(names.keys().copied()));
                        spot.error(report, format!("`{name}` has no output and no resource `{first}`"), hint);
                        None
                    }
                }
            },
        }
    }
}

/// Checks that a resource has such an attribute or property, and that it will have a value.
fn exists(
    schema: &'static Schema,
    properties: Option<&Node>,
    name: &str,
    attribute: &[String],
    spot: &Spot<'_>,
    report: &mut Report,
) -> Option<()> {
    let attributes = || schema.attributes.iter().map(|attribute| attribute.path);
    let Some(first) = attribute.first() else {
        let summary = format!("which attribute of `{name}`?");
        let own = schema.name.map(|rule| rule.property);
        let known: Vec<&str> = own.into_iter().chain(attributes()).collect();
        spot.error(report, summary, format!("write `${{{name}.…}}` with one of {}", quoted(&known)));
        return None;
    };
    if schema.attribute(attribute).is_some() {
        return Some(());
    }
    let path = attribute.join(".");
    let Some(property) = schema.property(first) else {
        let known = attributes().chain(schema.properties.iter().map(|property| property.name));
        let hint = report.suggest(&path, known);
        spot.error(report, format!("`{name}`, of type {}, has no attribute `{path}`", schema.ty), hint);
        return None;
    };
    if super::shape::descend(&property.shape, &attribute[1..]).is_none() {
        let known =
            super::shape::children(&property.shape).into_iter().map(|child| format!("{first}.{child}"));
        let known: Vec<String> = known.collect();
        let hint = report.suggest(&path, known.iter().map(String::as_str));
        spot.error(report, format!("`{name}`, of type {}, has no attribute `{path}`", schema.ty), hint);
        return None;
    }
    let named = schema.name.is_some_and(|rule| rule.property == first);
    let set = properties.and_then(|properties| properties.get(first)).is_some_and(|value| !value.is_null());
    let unset = match property.absent {
        Absent::Unset => !named && !set,
        Absent::Means(_) | Absent::Unmanaged => false,
    };
    if unset {
        let summary = format!("`{name}` sets no `{first}`, so there is nothing to refer to");
        spot.error(report, summary, format!("set `{first}` under the properties of `{name}`"));
        return None;
    }
    Some(())
}
