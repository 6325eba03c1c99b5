//! The tree of a YAML file, with the place of everything in it.

use crate::model::{Map, Part, Secret, Template, Value};

use super::text::Place;

/// A value with its place.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) kind: Kind,
    pub(super) place: Place,
}

/// What a [`Node`] holds. The last two never come from YAML itself, but from the `${…}` in its texts.
#[derive(Clone, Debug)]
pub(super) enum Kind {
    Null,
    Bool(bool),
    Number(serde_json::Number),
    Text(String),
    List(Vec<Node>),
    Map(Vec<Entry>),
    Secret(Secret),
    Unknown(Template),
}

/// A key of a map with its value.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) key_place: Place,
    pub(super) value: Node,
}

impl Node {
    pub(super) fn new(kind: Kind, place: Place) -> Self {
        Self { kind, place }
    }

    /// The value of a map's key.
    pub(super) fn get(&self, key: &str) -> Option<&Node> {
        self.entry(key).map(|entry| &entry.value)
    }

    /// A map's entry.
    pub(super) fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries().iter().find(|entry| entry.key == key)
    }

    /// Sets the value of a key that a map has.
    pub(super) fn set(&mut self, key: &str, value: Node) {
        if let Kind::Map(entries) = &mut self.kind
            && let Some(entry) = entries.iter_mut().find(|entry| entry.key == key)
        {
            entry.value = value;
        }
    }

    /// A map's entries; none if it is no map.
    pub(super) fn entries(&self) -> &[Entry] {
        match &self.kind {
            Kind::Map(entries) => entries,
            Kind::Null
            | Kind::Bool(_)
            | Kind::Number(_)
            | Kind::Text(_)
            | Kind::List(_)
            | Kind::Secret(_)
            | Kind::Unknown(_) => &[],
        }
    }

    /// The text, if it is one.
    pub(super) fn text(&self) -> Option<&str> {
        match &self.kind {
            Kind::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(super) fn is_null(&self) -> bool {
        matches!(self.kind, Kind::Null)
    }

    /// How many nodes it is made of, itself included.
    pub(super) fn size(&self) -> usize {
        match &self.kind {
            Kind::List(items) => 1 + items.iter().map(Self::size).sum::<usize>(),
            Kind::Map(entries) => 1 + entries.iter().map(|entry| entry.value.size()).sum::<usize>(),
            Kind::Null
            | Kind::Bool(_)
            | Kind::Number(_)
            | Kind::Text(_)
            | Kind::Secret(_)
            | Kind::Unknown(_) => 1,
        }
    }

    /// As a value, its places forgotten.
    pub(super) fn value(&self) -> Value {
        match &self.kind {
            Kind::Null => Value::Null,
            Kind::Bool(flag) => Value::Bool(*flag),
            Kind::Number(number) => Value::Number(number.clone()),
            Kind::Text(text) => Value::Text(text.clone()),
            Kind::List(items) => Value::List(items.iter().map(Self::value).collect()),
            Kind::Map(entries) => {
                Value::Map(entries.iter().map(|entry| (entry.key.clone(), entry.value.value())).collect())
            }
            Kind::Secret(secret) => Value::Secret(secret.clone()),
            Kind::Unknown(template) => Value::Unknown(template.clone()),
        }
    }

    /// A value, all of it at one place.
    pub(super) fn from_value(value: &Value, place: &Place) -> Self {
        let kind = match value {
            Value::Null => Kind::Null,
            Value::Bool(flag) => Kind::Bool(*flag),
            Value::Number(number) => Kind::Number(number.clone()),
            Value::Text(text) => Kind::Text(text.clone()),
            Value::List(items) => {
                Kind::List(items.iter().map(|item| Self::from_value(item, place)).collect())
            }
            Value::Map(map) => Kind::Map(entries_of(map, place)),
            Value::Secret(secret) => Kind::Secret(secret.clone()),
            Value::Unknown(template) => Kind::Unknown(template.clone()),
        };
        Self::new(kind, place.clone())
    }

    /// What it is, for a message: `the number 3`, `a list`.
    pub(super) fn describe(&self) -> String {
        match &self.kind {
            Kind::Null => "nothing".to_owned(),
            Kind::Bool(flag) => format!("the boolean `{flag}`"),
            Kind::Number(number) => format!("the number {number}"),
            Kind::Text(text) if text.chars().count() > 40 => "a text".to_owned(),
            Kind::Text(text) => format!("the text {text:?}"),
            Kind::List(_) => "a list".to_owned(),
            Kind::Map(_) => "a map".to_owned(),
            Kind::Secret(_) => "a sensitive text".to_owned(),
            Kind::Unknown(template) => match template.parts() {
                [Part::Reference(_)] => "a reference".to_owned(),
                _ => "a text".to_owned(),
            },
        }
    }
}

fn entries_of(map: &Map, place: &Place) -> Vec<Entry> {
    map.iter()
        .map(|(key, value)| Entry {
            key: key.clone(),
            key_place: place.clone(),
            value: Node::from_value(value, place),
        })
        .collect()
}
