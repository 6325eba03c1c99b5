//! Property values: what a stack desires and what a cloud holds, in one shape.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value as Json;
use zeroize::Zeroizing;

use super::Address;

/// Named values. Sorted, so that equal maps print and digest alike.
pub type Map = BTreeMap<String, Value>;

/// A typed property.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Value {
    /// Explicitly nothing; treated as an absent property.
    #[default]
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number, kept as written.
    Number(serde_json::Number),
    /// Text.
    Text(String),
    /// An ordered list; a schema may call it a set.
    List(Vec<Value>),
    /// Named values.
    Map(Map),
    /// Text that is never shown, stored or compared in clear.
    Secret(Secret),
    /// Not known before some other step is done: text with references in it.
    Unknown(Template),
}

/// Text that is never shown or serialised, and is wiped from memory when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes text into custody.
    pub fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    /// The text in clear: only for the request that needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(sensitive)")
    }
}

/// Points at an attribute or property of another resource: `${vision.properties.endpoint}`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Reference {
    /// Whose attribute.
    pub address: Address,
    /// Which one, in the vendor's spelling, outermost first. Empty: the resource itself.
    pub attribute: Vec<String>,
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "${{{}", self.address)?;
        for (index, word) in self.attribute.iter().enumerate() {
            write!(f, "{}{word}", if index == 0 { "#" } else { "." })?;
        }
        f.write_str("}")
    }
}

/// Text with references in it. A template that is one lone reference takes the target's type.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Template(Vec<Part>);

/// A piece of a [`Template`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Part {
    /// Literal text.
    Text(String),
    /// To be replaced by the attribute's value.
    Reference(Reference),
}

impl Template {
    /// Joins parts, merging neighbouring texts.
    pub fn new(parts: impl IntoIterator<Item = Part>) -> Self {
        let mut joined: Vec<Part> = Vec::new();
        for part in parts {
            match (joined.last_mut(), part) {
                (Some(Part::Text(left)), Part::Text(right)) => left.push_str(&right),
                (_, Part::Text(text)) if text.is_empty() => {}
                (_, part) => joined.push(part),
            }
        }
        Self(joined)
    }

    /// A template of one lone reference.
    pub fn reference(address: Address, attribute: &[&str]) -> Self {
        let attribute = attribute.iter().map(|&word| word.to_owned()).collect();
        Self(vec![Part::Reference(Reference { address, attribute })])
    }

    /// The pieces, in order.
    pub fn parts(&self) -> &[Part] {
        &self.0
    }

    /// The references, in order.
    pub fn references(&self) -> impl Iterator<Item = &Reference> {
        self.0.iter().filter_map(|part| match part {
            Part::Reference(reference) => Some(reference),
            Part::Text(_) => None,
        })
    }

    /// Replaces every reference that `lookup` knows. The result is [`Value::Unknown`] while one is left,
    /// a [`Value::Secret`] if any part was secret.
    pub fn resolve(&self, lookup: &dyn Fn(&Reference) -> Option<Value>) -> Value {
        if let [Part::Reference(lone)] = self.0.as_slice() {
            return match lookup(lone) {
                Some(value) => value,
                None => Value::Unknown(self.clone()),
            };
        }
        let mut secret = false;
        let mut parts = Vec::with_capacity(self.0.len());
        for part in &self.0 {
            let resolved = match part {
                Part::Text(_) => None,
                Part::Reference(reference) => lookup(reference),
            };
            match resolved {
                None => parts.push(part.clone()),
                Some(Value::Secret(text)) => {
                    secret = true;
                    parts.push(Part::Text(text.expose().to_owned()));
                }
                Some(Value::Unknown(inner)) => parts.extend(inner.0),
                Some(value) => parts.push(Part::Text(value.to_text())),
            }
        }
        let joined = Self::new(parts);
        if joined.references().next().is_some() {
            // A secret must not be mixed into a half-known text that is shown.
            return if secret { Value::Unknown(self.clone()) } else { Value::Unknown(joined) };
        }
        let text: String = joined
            .0
            .into_iter()
            .map(|part| match part {
                Part::Text(text) => text,
                Part::Reference(_) => String::new(),
            })
            .collect();
        if secret { Value::Secret(Secret::new(text)) } else { Value::Text(text) }
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in &self.0 {
            match part {
                Part::Text(text) => f.write_str(&text.replace("${", "$${"))?,
                Part::Reference(reference) => reference.fmt(f)?,
            }
        }
        Ok(())
    }
}

impl Value {
    /// Text.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    /// The text inside, if it is text.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The map inside, if it is one.
    pub fn as_map(&self) -> Option<&Map> {
        match self {
            Self::Map(map) => Some(map),
            _ => None,
        }
    }

    /// The list inside, if it is one.
    pub fn as_list(&self) -> Option<&[Value]> {
        match self {
            Self::List(items) => Some(items),
            _ => None,
        }
    }

    /// Whether nothing in it is unknown.
    pub fn is_known(&self) -> bool {
        match self {
            Self::Unknown(_) => false,
            Self::List(items) => items.iter().all(Self::is_known),
            Self::Map(map) => map.values().all(Self::is_known),
            Self::Null | Self::Bool(_) | Self::Number(_) | Self::Text(_) | Self::Secret(_) => true,
        }
    }

    /// The value at a path of map keys (and list positions written as numbers).
    pub fn at<'v>(&'v self, path: &[impl AsRef<str>]) -> Option<&'v Value> {
        let Some((first, rest)) = path.split_first() else { return Some(self) };
        match self {
            Self::Map(map) => map.get(first.as_ref())?.at(rest),
            Self::List(items) => items.get(first.as_ref().parse::<usize>().ok()?)?.at(rest),
            _ => None,
        }
    }

    /// Every reference in it, in order.
    pub fn references(&self) -> Vec<&Reference> {
        match self {
            Self::Unknown(template) => template.references().collect(),
            Self::List(items) => items.iter().flat_map(Self::references).collect(),
            Self::Map(map) => map.values().flat_map(Self::references).collect(),
            Self::Null | Self::Bool(_) | Self::Number(_) | Self::Text(_) | Self::Secret(_) => Vec::new(),
        }
    }

    /// Replaces what `lookup` knows, all the way down.
    #[must_use]
    pub fn resolve(&self, lookup: &dyn Fn(&Reference) -> Option<Value>) -> Self {
        match self {
            Self::Unknown(template) => template.resolve(lookup),
            Self::List(items) => Self::List(items.iter().map(|item| item.resolve(lookup)).collect()),
            Self::Map(map) => {
                Self::Map(map.iter().map(|(key, value)| (key.clone(), value.resolve(lookup))).collect())
            }
            known => known.clone(),
        }
    }

    /// As it stands inside a text: text as it is, anything else as JSON.
    pub fn to_text(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            other => other.to_json().to_string(),
        }
    }

    /// As plain JSON. A secret becomes `"(sensitive)"`, an unknown its template's text.
    pub fn to_json(&self) -> Json {
        match self {
            Self::Null => Json::Null,
            Self::Bool(flag) => Json::Bool(*flag),
            Self::Number(number) => Json::Number(number.clone()),
            Self::Text(text) => Json::String(text.clone()),
            Self::List(items) => Json::Array(items.iter().map(Self::to_json).collect()),
            Self::Map(map) => {
                Json::Object(map.iter().map(|(key, value)| (key.clone(), value.to_json())).collect())
            }
            Self::Secret(_) => Json::String("(sensitive)".to_owned()),
            Self::Unknown(template) => Json::String(template.to_string()),
        }
    }

    /// From plain JSON.
    pub fn from_json(json: Json) -> Self {
        match json {
            Json::Null => Self::Null,
            Json::Bool(flag) => Self::Bool(flag),
            Json::Number(number) => Self::Number(number),
            Json::String(text) => Self::Text(text),
            Json::Array(items) => Self::List(items.into_iter().map(Self::from_json).collect()),
            Json::Object(map) => {
                Self::Map(map.into_iter().map(|(key, value)| (key, Self::from_json(value))).collect())
            }
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<bool> for Value {
    fn from(flag: bool) -> Self {
        Self::Bool(flag)
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Number(number.into())
    }
}

impl From<Map> for Value {
    fn from(map: Map) -> Self {
        Self::Map(map)
    }
}

impl From<Vec<Value>> for Value {
    fn from(items: Vec<Value>) -> Self {
        Self::List(items)
    }
}

/// The key under which an unknown value stands in a plan file.
const UNKNOWN: &str = "$unknown";
/// The key under which the place of a secret stands in a plan file; the secret itself never does.
const SENSITIVE: &str = "$sensitive";

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(flag) => flag.serialize(serializer),
            Self::Number(number) => number.serialize(serializer),
            Self::Text(text) => text.serialize(serializer),
            Self::List(items) => items.serialize(serializer),
            Self::Map(map) => map.serialize(serializer),
            Self::Secret(_) => BTreeMap::from([(SENSITIVE, true)]).serialize(serializer),
            Self::Unknown(template) => {
                let parts: Vec<PartFile> = template.0.iter().map(PartFile::from).collect();
                BTreeMap::from([(UNKNOWN, parts)]).serialize(serializer)
            }
        }
    }
}

/// A [`Part`] as a plan file holds it.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum PartFile {
    Text(String),
    Reference { of: Address, attribute: Vec<String> },
}

impl From<&Part> for PartFile {
    fn from(part: &Part) -> Self {
        match part {
            Part::Text(text) => Self::Text(text.clone()),
            Part::Reference(Reference { address, attribute }) => {
                Self::Reference { of: address.clone(), attribute: attribute.clone() }
            }
        }
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        from_plan_file(Json::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

/// The inverse of [`Value`]'s serialisation.
fn from_plan_file(json: Json) -> Result<Value, serde_json::Error> {
    Ok(match json {
        Json::Array(items) => Value::List(items.into_iter().map(from_plan_file).collect::<Result<_, _>>()?),
        Json::Object(mut map) if map.len() == 1 && map.contains_key(UNKNOWN) => {
            let parts: Vec<PartFile> = serde_json::from_value(map.remove(UNKNOWN).unwrap_or_default())?;
            Value::Unknown(Template::new(parts.into_iter().map(|part| match part {
                PartFile::Text(text) => Part::Text(text),
                PartFile::Reference { of, attribute } => {
                    Part::Reference(Reference { address: of, attribute })
                }
            })))
        }
        Json::Object(map) if map.len() == 1 && map.contains_key(SENSITIVE) => Value::Secret(Secret::new("")),
        Json::Object(map) => Value::Map(
            map.into_iter()
                .map(|(key, value)| Ok((key, from_plan_file(value)?)))
                .collect::<Result<_, serde_json::Error>>()?,
        ),
        plain => Value::from_json(plain),
    })
}

/// Where inside a resource's properties something stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Path(pub Vec<Segment>);

/// One step of a [`Path`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Segment {
    /// A position in a list.
    Index(usize),
    /// A key of a map, or an item of a keyed list.
    Key(String),
}

impl Path {
    /// One level further down, by key.
    #[must_use]
    pub fn key(&self, key: &str) -> Self {
        let mut path = self.clone();
        path.0.push(Segment::Key(key.to_owned()));
        path
    }

    /// One level further down, by position.
    #[must_use]
    pub fn index(&self, index: usize) -> Self {
        let mut path = self.clone();
        path.0.push(Segment::Index(index));
        path
    }

    /// The outermost key: the property's name.
    pub fn property(&self) -> &str {
        match self.0.first() {
            Some(Segment::Key(key)) => key,
            _ => "",
        }
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, segment) in self.0.iter().enumerate() {
            match segment {
                Segment::Index(position) => write!(f, "[{position}]")?,
                Segment::Key(key) if key.contains(['.', '/', ' ']) => write!(f, "[{key:?}]")?,
                Segment::Key(key) if index == 0 => f.write_str(key)?,
                Segment::Key(key) => write!(f, ".{key}")?,
            }
        }
        Ok(())
    }
}
