//! What a resource type is, as data: the one source of validation, JSON Schema, diff and undo class.

use std::collections::BTreeMap;

use super::{CloudId, Clouds, Diagnostic, Live, Map, ResourceType, Value};

/// Everything the rest of mcm knows about a resource type.
///
/// Declared as a `static` beside the type's provider. Facts cite the vendor's model.
#[derive(Debug)]
pub struct Schema {
    /// The vendor's type name.
    pub ty: &'static str,
    /// One sentence for the JSON Schema and for completion.
    pub doc: &'static str,
    /// The properties a stack may set.
    pub properties: &'static [Property],
    /// What others may refer to besides the properties.
    pub attributes: &'static [Attribute],
    /// The property that names it in the cloud, filled in from the stack where the user gives none.
    pub name: Option<NameRule>,
    /// The cloud's id, as far as properties and place tell it without asking the cloud.
    pub identify: fn(&Map, &Clouds) -> Option<CloudId>,
    /// The attributes that follow from properties and place alone (an ARN, an e-mail address). A create
    /// whose result differs from its prediction fails: what was approved is what runs.
    pub predict: fn(&Map, &Clouds) -> Map,
    /// What the properties alone cannot say: rules over several of them. Texts of what is wrong.
    pub check: fn(&Map, &Clouds) -> Vec<String>,
    /// Whether the object itself can carry the mark of its owner (a tag, a label, a description).
    pub marked: bool,
    /// Whether it is a fact rather than an object (a service enabled, a grant made): one already there is
    /// accepted without taking it over, and is left in place when the stack goes.
    pub shared: bool,
    /// Whether a read takes what it cannot see from what is desired: it is then told all of that.
    pub compares: bool,
    /// What deleting it means.
    pub deletion: Deletion,
}

/// A property's rules.
#[derive(Clone, Copy, Debug)]
pub struct Property {
    /// In the vendor's spelling.
    pub name: &'static str,
    /// Its type.
    pub shape: Shape,
    /// Whether a stack must set it.
    pub required: bool,
    /// What changing it means.
    pub mutability: Mutability,
    /// What leaving it out means.
    pub absent: Absent,
    /// Brings two ways of writing the same thing to one form before they are compared.
    pub normalise: Option<fn(Value) -> Value>,
    /// What the user should know before approving that it is changed: from what is live, and from the desired
    /// properties. Warnings.
    pub caution: Option<fn(&Live, &Map) -> Vec<Diagnostic>>,
    /// One sentence.
    pub doc: &'static str,
}

impl Property {
    /// An optional property that can be changed in place and whose absence means that it is not set.
    pub const fn new(name: &'static str, shape: Shape, doc: &'static str) -> Self {
        Self {
            name,
            shape,
            required: false,
            mutability: Mutability::InPlace,
            absent: Absent::Unset,
            normalise: None,
            caution: None,
            doc,
        }
    }

    /// Must be given.
    #[must_use]
    pub const fn required(mut self) -> Self {
        self.required = true;
        self
    }

    /// Changing it makes a new object.
    #[must_use]
    pub const fn immutable(mut self) -> Self {
        self.mutability = Mutability::Replace;
        self
    }

    /// Can be added later, but once set never changed.
    #[must_use]
    pub const fn set_once(mut self) -> Self {
        self.mutability = Mutability::SetOnce;
        self
    }

    /// Absence means this value.
    #[must_use]
    pub const fn default(mut self, value: fn() -> Value) -> Self {
        self.absent = Absent::Means(value);
        self
    }

    /// Absence means: whatever the cloud holds is fine.
    #[must_use]
    pub const fn unmanaged(mut self) -> Self {
        self.absent = Absent::Unmanaged;
        self
    }

    /// Told of before it is changed.
    #[must_use]
    pub const fn cautioned(mut self, by: fn(&Live, &Map) -> Vec<Diagnostic>) -> Self {
        self.caution = Some(by);
        self
    }

    /// Compared in this form.
    #[must_use]
    pub const fn normalised(mut self, by: fn(Value) -> Value) -> Self {
        self.normalise = Some(by);
        self
    }
}

/// A property's type.
#[derive(Clone, Copy, Debug)]
pub enum Shape {
    /// Text that keeps a rule.
    Text(TextRule),
    /// One of these words.
    Enum(&'static [&'static str]),
    /// A whole number within bounds, both included.
    Integer {
        /// The least.
        min: i64,
        /// The greatest.
        max: i64,
    },
    /// `true` or `false`.
    Bool,
    /// A list whose order counts.
    List(&'static Shape),
    /// A list whose order does not count.
    Set(&'static Shape),
    /// A list of objects told apart by one of their properties, such as tags by `Key`.
    Keyed {
        /// The property that tells them apart.
        by: &'static str,
        /// The objects' properties.
        of: &'static [Property],
    },
    /// Any keys, values of one shape.
    Map(&'static Shape),
    /// Exactly these properties.
    Object(&'static [Property]),
    /// Any JSON.
    Document,
}

/// What a text must look like.
#[derive(Clone, Copy, Debug, Default)]
pub struct TextRule {
    /// A regular expression over the whole text, anchored.
    pub pattern: Option<&'static str>,
    /// The least number of characters.
    pub min: usize,
    /// The greatest number of characters; 0 means no bound.
    pub max: usize,
    /// What the pattern means, in words.
    pub says: &'static str,
}

impl TextRule {
    /// Any text.
    pub const ANY: Self = Self { pattern: None, min: 0, max: 0, says: "" };

    /// Text of at most this many characters.
    pub const fn up_to(max: usize) -> Self {
        Self { pattern: None, min: 0, max, says: "" }
    }

    /// Text that matches, with the rule in words for the error message.
    pub const fn matching(pattern: &'static str, says: &'static str) -> Self {
        Self { pattern: Some(pattern), min: 0, max: 0, says }
    }

    /// With bounds on the number of characters.
    #[must_use]
    pub const fn sized(mut self, min: usize, max: usize) -> Self {
        self.min = min;
        self.max = max;
        self
    }
}

/// What changing a property means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutability {
    /// Changed in place.
    InPlace,
    /// A new object is needed.
    Replace,
    /// Adding it is a change in place, changing or removing it needs a new object.
    SetOnce,
}

/// What the absence of a property in the stack means.
#[derive(Clone, Copy, Debug)]
pub enum Absent {
    /// It is not set: a live value is drift and is removed.
    Unset,
    /// The vendor's default.
    Means(fn() -> Value),
    /// Whatever the cloud holds is fine.
    Unmanaged,
}

/// Something others may refer to that is no property: `Arn`, `keys.key1`.
#[derive(Clone, Copy, Debug)]
pub struct Attribute {
    /// The path, joined by `.`, in the vendor's spelling.
    pub path: &'static str,
    /// Whether its value is never shown. Secret attributes are read only where the stack refers to one.
    pub secret: bool,
    /// Whether the vendor gives each creation a new one, so that a namesake made later is told apart.
    pub unique: bool,
    /// One sentence.
    pub doc: &'static str,
}

impl Attribute {
    /// An attribute anyone may see.
    pub const fn new(path: &'static str, doc: &'static str) -> Self {
        Self { path, secret: false, unique: false, doc }
    }

    /// An attribute that is never shown.
    pub const fn secret(path: &'static str, doc: &'static str) -> Self {
        Self { path, secret: true, unique: false, doc }
    }

    /// The vendor's unique id of this one creation: `RoleId`, `uid`.
    #[must_use]
    pub const fn unique(mut self) -> Self {
        self.unique = true;
        self
    }
}

/// How a resource is named where the user gives no name.
#[derive(Clone, Copy, Debug)]
pub struct NameRule {
    /// The property that holds the name.
    pub property: &'static str,
    /// The name, from the stack's name, the logical name and the place.
    pub default: fn(stack: &str, logical: &str, clouds: &Clouds) -> String,
}

/// What deleting an object means for getting it back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deletion {
    /// It is gone and its name is free; an equal one can be made again.
    Recreatable {
        /// What an equal one does not bring back, such as a unique id; empty if nothing is lost.
        loses: &'static str,
    },
    /// It can be restored for so many hours, during which its name stays held.
    Soft {
        /// The vendor's window.
        hours: u32,
    },
    /// It holds data that no one brings back.
    Irreversible {
        /// What is lost.
        why: &'static str,
    },
}

impl Schema {
    /// The property of this name.
    pub fn property(&self, name: &str) -> Option<&'static Property> {
        self.properties.iter().find(|property| property.name == name)
    }

    /// The vendor's unique id of an object's creation, where the type has one.
    pub fn incarnation(&self, live: &Live) -> Option<String> {
        let unique = self.attributes.iter().find(|attribute| attribute.unique)?;
        let path: Vec<&str> = unique.path.split('.').collect();
        let (first, rest) = path.split_first()?;
        live.attributes.get(*first)?.at(rest).and_then(Value::as_text).map(str::to_owned)
    }

    /// The attribute at this path, or the one that contains it or lies within it.
    pub fn attribute(&self, path: &[String]) -> Option<&'static Attribute> {
        let joined = path.join(".");
        self.attributes.iter().find(|attribute| {
            attribute.path == joined
                || attribute.path.strip_prefix(&joined).is_some_and(|rest| rest.starts_with('.'))
                || joined.strip_prefix(attribute.path).is_some_and(|rest| rest.starts_with('.'))
        })
    }
}

/// The resource types that this build of mcm knows.
#[derive(Debug, Default)]
pub struct Catalogue(BTreeMap<&'static str, &'static Schema>);

impl Catalogue {
    /// Gathers schemas by their type names.
    pub fn new(schemas: impl IntoIterator<Item = &'static Schema>) -> Self {
        Self(schemas.into_iter().map(|schema| (schema.ty, schema)).collect())
    }

    /// The schema of a type.
    pub fn get(&self, ty: &ResourceType) -> Option<&'static Schema> {
        self.0.get(ty.as_str()).copied()
    }

    /// All schemas, sorted by type name.
    pub fn iter(&self) -> impl Iterator<Item = &'static Schema> {
        self.0.values().copied()
    }
}
