//! Checks a tree against a [`Shape`], telling every mistake, and makes it a value.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};

use regex::Regex;

use crate::model::{Location, Map, Path, Property, Reference, Segment, Shape, Template, TextRule, Value};

use super::node::{Entry, Kind, Node};
use super::report::{Report, nearest, quoted, wrong};
use super::text::Place;

/// The regular expressions of text rules, each compiled once.
#[derive(Default)]
pub(super) struct Patterns(RefCell<HashMap<&'static str, Option<Regex>>>);

impl Patterns {
    /// Whether the whole of `text` matches. A pattern that is none is a mistake in a schema, which a test finds;
    /// a user is not troubled with it.
    fn matches(&self, pattern: &'static str, text: &str) -> bool {
        let mut compiled = self.0.borrow_mut();
        let regex = compiled.entry(pattern).or_insert_with(|| whole(pattern).ok());
        regex.as_ref().is_none_or(|regex| regex.is_match(text))
    }
}

/// A pattern over a whole text, within bounds.
pub(super) fn whole(pattern: &str) -> Result<Regex, regex::Error> {
    regex::RegexBuilder::new(&format!("^(?:{pattern})$")).size_limit(1 << 20).build()
}

/// Checks trees, and remembers where their values stand.
pub(super) struct Checker<'a> {
    pub(super) report: &'a mut Report,
    pub(super) patterns: &'a Patterns,
    /// The shape of what a lone reference refers to, where that is known.
    pub(super) target: &'a dyn Fn(&Reference) -> Option<Shape>,
    /// What an unknown key is said to be none of: `property`, `key`.
    pub(super) noun: &'static str,
    /// Where each value stands, by its path.
    pub(super) locations: BTreeMap<String, Location>,
}

impl<'a> Checker<'a> {
    /// For the fixed parts of a file, where nothing is remembered.
    pub(super) fn of_keys(report: &'a mut Report, patterns: &'a Patterns) -> Self {
        Self { report, patterns, target: &|_| None, noun: "key", locations: BTreeMap::new() }
    }

    /// Checks a map against its properties. `what` names the map, `place` is where it begins.
    pub(super) fn object(
        &mut self,
        node: &Node,
        properties: &[Property],
        path: &Path,
        what: &str,
        place: &Place,
    ) -> Map {
        let entries = match &node.kind {
            Kind::Map(entries) => entries.as_slice(),
            Kind::Null => &[],
            _ => {
                self.mismatch(node, path, "a map", "write `key: value` pairs below it");
                return Map::new();
            }
        };
        let mut map = Map::new();
        let mut misspelt = Vec::new();
        for entry in entries {
            let Some(property) = properties.iter().find(|property| property.name == entry.key) else {
                misspelt.extend(self.unknown_key(entry, properties, what));
                continue;
            };
            let path = path.key(&entry.key);
            self.remember(&path, entry_place(entry));
            if !entry.value.is_null() {
                let value = self.value(&entry.value, &property.shape, &path);
                map.insert(entry.key.clone(), value);
            }
        }
        for property in properties.iter().filter(|property| property.required) {
            // One that stands there misspelt is not missed as well.
            if !map.contains_key(property.name) && !misspelt.contains(&property.name) {
                let summary = format!("{what} needs the {} `{}`", self.noun, property.name);
                self.report.error(place, summary, format!("add `{}: …`. {}", property.name, property.doc));
            }
        }
        map
    }

    /// Tells of a key that is none, and returns the one that was probably meant.
    fn unknown_key(&mut self, entry: &Entry, properties: &[Property], what: &str) -> Option<&'static str> {
        let names: Vec<&'static str> = properties.iter().map(|property| property.name).collect();
        let hint = self.report.suggest(&entry.key, properties.iter().map(|property| property.name));
        let summary = format!("`{}` is no {} of {what}", entry.key, self.noun);
        self.report.error(&entry.key_place, summary, hint);
        nearest(&entry.key, &names)
    }

    fn remember(&mut self, path: &Path, place: &Place) {
        self.locations.insert(path.to_string(), place.location());
    }

    /// Checks a value.
    pub(super) fn value(&mut self, node: &Node, shape: &Shape, path: &Path) -> Value {
        if let Kind::Unknown(template) = &node.kind {
            self.unknown(node, template, shape, path);
            return node.value();
        }
        match shape {
            Shape::Text(rule) => self.text(node, rule, path),
            Shape::Enum(words) => self.word(node, words, path),
            Shape::Integer { min, max } => self.integer(node, *min, *max, path),
            Shape::Bool => self.bool(node, path),
            Shape::List(of) | Shape::Set(of) => self.list(node, of, path),
            Shape::Keyed { by, of } => self.keyed(node, by, of, path),
            Shape::Map(of) => self.map(node, of, path),
            Shape::Object(of) => {
                let what = format!("`{path}`");
                Value::Map(self.object(node, of, path, &what, &node.place))
            }
            Shape::Document => {
                self.remember_all(node, path);
                node.value()
            }
        }
    }

    fn text(&mut self, node: &Node, rule: &TextRule, path: &Path) -> Value {
        let text = match &node.kind {
            Kind::Text(text) => text.as_str(),
            Kind::Secret(secret) => secret.expose(),
            Kind::Bool(_) | Kind::Number(_) => {
                let raw = node.place.raw().trim();
                let quotes = || format!("write it in quotes: `\"{raw}\"`");
                let hint = self.breaks(raw, rule).unwrap_or_else(quotes);
                self.mismatch(node, path, "a text", &hint);
                return Value::Null;
            }
            _ => {
                self.mismatch(node, path, "a text", "write one text here");
                return Value::Null;
            }
        };
        if let Some(why) = self.breaks(text, rule) {
            let shown = match &node.kind {
                Kind::Text(text) if text.chars().count() <= 80 => format!(": {text:?}"),
                _ => String::new(),
            };
            self.report.error(&node.place, format!("`{path}` is not valid{shown}"), why);
        }
        node.value()
    }

    /// How a text breaks its rule.
    pub(super) fn breaks(&self, text: &str, rule: &TextRule) -> Option<String> {
        let length = text.chars().count();
        let bounds = match (rule.min, rule.max) {
            (0, 0) => None,
            (0, max) => Some(format!("at most {max} characters")),
            (min, 0) => Some(format!("at least {min} characters")),
            (min, max) => Some(format!("{min} to {max} characters")),
        };
        if let Some(bounds) = &bounds
            && (length < rule.min || (rule.max > 0 && length > rule.max))
        {
            let says = if rule.says.is_empty() { String::new() } else { format!("; {}", rule.says) };
            return Some(format!("it is to have {bounds}, and has {length}{says}"));
        }
        let pattern = rule.pattern?;
        if self.patterns.matches(pattern, text) {
            return None;
        }
        let says =
            if rule.says.is_empty() { format!("what matches `{pattern}`") } else { rule.says.to_owned() };
        Some(match bounds {
            Some(bounds) => format!("expected {says}; {bounds}"),
            None => format!("expected {says}"),
        })
    }

    fn word(&mut self, node: &Node, words: &[&'static str], path: &Path) -> Value {
        match node.text() {
            Some(text) if words.contains(&text) => {}
            Some(text) => {
                let hint = self.report.suggest(text, words.iter().copied());
                let hint =
                    if hint.starts_with("did") { format!("{hint} Known: {}", quoted(words)) } else { hint };
                self.report.error(&node.place, format!("`{path}` cannot be {text:?}"), hint);
            }
            None => {
                self.mismatch(node, path, &format!("one of {}", quoted(words)), "write one of these words");
            }
        }
        node.value()
    }

    fn integer(&mut self, node: &Node, min: i64, max: i64, path: &Path) -> Value {
        let bounds = match (min, max) {
            (i64::MIN, i64::MAX) => "a whole number".to_owned(),
            (min, i64::MAX) => format!("a whole number of at least {min}"),
            (i64::MIN, max) => format!("a whole number of at most {max}"),
            (min, max) => format!("a whole number from {min} to {max}"),
        };
        let number = match &node.kind {
            Kind::Number(number) => number.as_i64(),
            _ => None,
        };
        if number.is_none_or(|number| number < min || number > max) {
            let hint = match &node.kind {
                Kind::Text(text) if text.parse::<i64>().is_ok() => "write the number without quotes",
                _ => "write a number within the bounds",
            };
            self.mismatch(node, path, &bounds, hint);
        }
        node.value()
    }

    fn bool(&mut self, node: &Node, path: &Path) -> Value {
        let hint = match node.text().map(str::to_lowercase).as_deref() {
            Some("true" | "false") => "write it without quotes",
            Some("yes" | "on" | "y") => "write `true`: in YAML 1.2 the words yes and on are texts",
            Some("no" | "off" | "n") => "write `false`: in YAML 1.2 the words no and off are texts",
            _ => "write `true` or `false`",
        };
        if !matches!(node.kind, Kind::Bool(_)) {
            self.mismatch(node, path, "`true` or `false`", hint);
        }
        node.value()
    }

    fn list(&mut self, node: &Node, of: &Shape, path: &Path) -> Value {
        let Kind::List(items) = &node.kind else {
            self.mismatch(node, path, "a list", "write one item a line, each after a `- `");
            return Value::Null;
        };
        let items = items.iter().enumerate().map(|(index, item)| {
            let path = path.index(index);
            self.remember(&path, &item.place);
            self.value(item, of, &path)
        });
        Value::List(items.collect())
    }

    fn keyed(&mut self, node: &Node, by: &str, of: &[Property], path: &Path) -> Value {
        let Kind::List(items) = &node.kind else {
            let hint = format!("write a list of maps, each beginning `- {by}: …`");
            self.mismatch(node, path, "a list", &hint);
            return Value::Null;
        };
        let mut seen: BTreeMap<String, usize> = BTreeMap::new();
        let mut values = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            let at = path.index(index);
            self.remember(&at, &item.place);
            if let Kind::Unknown(template) = &item.kind {
                self.unknown(item, template, &Shape::Object(&[]), &at);
                values.push(item.value());
                continue;
            }
            let what = format!("`{at}`");
            let value = self.object(item, of, &at, &what, &item.place);
            let key = item.get(by).filter(|_| value.contains_key(by));
            if let (Some(key), Some(text)) = (key, value.get(by).and_then(Value::as_text)) {
                self.remember(
                    &Path([path.0.clone(), vec![Segment::Key(text.to_owned())]].concat()),
                    &item.place,
                );
                if let Some(line) = seen.get(text) {
                    let summary = format!("two items of `{path}` have the same `{by}`: {text:?}");
                    let hint = format!("the other one stands on line {line}: keep one of the two");
                    self.report.error(&key.place, summary, hint);
                } else {
                    seen.insert(text.to_owned(), key.place.line());
                }
            }
            values.push(Value::Map(value));
        }
        Value::List(values)
    }

    fn map(&mut self, node: &Node, of: &Shape, path: &Path) -> Value {
        let Kind::Map(entries) = &node.kind else {
            self.mismatch(node, path, "a map", "write `key: value` pairs below it");
            return Value::Null;
        };
        let mut map = Map::new();
        for entry in entries {
            let path = path.key(&entry.key);
            self.remember(&path, entry_place(entry));
            map.insert(entry.key.clone(), self.value(&entry.value, of, &path));
        }
        Value::Map(map)
    }

    /// Everything in a document has its place, too.
    fn remember_all(&mut self, node: &Node, path: &Path) {
        match &node.kind {
            Kind::List(items) => {
                for (index, item) in items.iter().enumerate() {
                    let path = path.index(index);
                    self.remember(&path, &item.place);
                    self.remember_all(item, &path);
                }
            }
            Kind::Map(entries) => {
                for entry in entries {
                    let path = path.key(&entry.key);
                    self.remember(&path, entry_place(entry));
                    self.remember_all(&entry.value, &path);
                }
            }
            Kind::Null
            | Kind::Bool(_)
            | Kind::Number(_)
            | Kind::Text(_)
            | Kind::Secret(_)
            | Kind::Unknown(_) => {}
        }
    }

    /// A value that is not known yet: its type may be.
    fn unknown(&mut self, node: &Node, template: &Template, shape: &Shape, path: &Path) {
        let mut references = template.references();
        let found = match (template.parts(), references.next()) {
            ([], _) => return,
            ([_], Some(lone)) => match (self.target)(lone) {
                Some(shape) => Sort::of(&shape),
                None => return,
            },
            _ => Sort::Text,
        };
        let wanted = Sort::of(shape);
        if wanted != Sort::Any && found != Sort::Any && wanted != found {
            let lone = template.parts().len() == 1;
            let summary = if lone {
                format!("`{path}` is to be {}, but this refers to {}", wanted.noun(), found.noun())
            } else {
                format!("`{path}` is to be {}, but this is a text", wanted.noun())
            };
            let hint = if lone { "refer to another attribute" } else { "let `${…}` be the whole value" };
            self.report.error(&node.place, summary, hint);
        }
    }

    fn mismatch(&mut self, node: &Node, path: &Path, wanted: &str, hint: &str) {
        let summary = format!("`{path}` is to be {wanted}, but this is {}", node.describe());
        self.report.push(wrong(&node.place, summary).hint(hint));
    }
}

/// What stands for an entry: its value where that is short, else its key.
fn entry_place(entry: &Entry) -> &Place {
    match entry.value.kind {
        Kind::List(_) | Kind::Map(_) | Kind::Null => &entry.key_place,
        Kind::Bool(_) | Kind::Number(_) | Kind::Text(_) | Kind::Secret(_) | Kind::Unknown(_) => {
            &entry.value.place
        }
    }
}

/// Types as far as a reference must fit.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sort {
    Text,
    Integer,
    Bool,
    List,
    Map,
    Any,
}

impl Sort {
    fn of(shape: &Shape) -> Self {
        match shape {
            Shape::Text(_) | Shape::Enum(_) => Self::Text,
            Shape::Integer { .. } => Self::Integer,
            Shape::Bool => Self::Bool,
            Shape::List(_) | Shape::Set(_) | Shape::Keyed { .. } => Self::List,
            Shape::Map(_) | Shape::Object(_) => Self::Map,
            Shape::Document => Self::Any,
        }
    }

    fn noun(self) -> &'static str {
        match self {
            Self::Text => "a text",
            Self::Integer => "a whole number",
            Self::Bool => "a boolean",
            Self::List => "a list",
            Self::Map => "a map",
            Self::Any => "anything",
        }
    }
}

/// The shape of what lies at a path within a shape.
pub(super) fn descend(shape: &Shape, path: &[String]) -> Option<Shape> {
    let Some((first, rest)) = path.split_first() else { return Some(*shape) };
    match shape {
        Shape::Object(of) => descend(&of.iter().find(|property| property.name == first)?.shape, rest),
        Shape::Map(of) => descend(of, rest),
        Shape::List(of) | Shape::Set(of) if first.parse::<usize>().is_ok() => descend(of, rest),
        Shape::Keyed { of, .. } if first.parse::<usize>().is_ok() => descend(&Shape::Object(of), rest),
        Shape::Document => Some(Shape::Document),
        Shape::Text(_)
        | Shape::Enum(_)
        | Shape::Integer { .. }
        | Shape::Bool
        | Shape::List(_)
        | Shape::Set(_)
        | Shape::Keyed { .. } => None,
    }
}

/// The names one level below a shape.
pub(super) fn children(shape: &Shape) -> Vec<&'static str> {
    match shape {
        Shape::Object(of) => of.iter().map(|property| property.name).collect(),
        _ => Vec::new(),
    }
}
