//! What a stack owns. Identity and ownership only: no attribute value is ever kept.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Address, CloudId, Map, ResourceType};

/// The mark of one particular creation: 96 random bits as 24 hex digits.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Nonce(pub String);

impl fmt::Debug for Nonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Who made an object: written on the object itself where the cloud has room for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// The stack's name.
    pub stack: String,
    /// The address within it.
    pub address: Address,
    /// Which creation.
    pub nonce: Nonce,
}

impl Owner {
    /// The key of the tag or label that holds the mark.
    pub const TAG: &'static str = "mcm:owner";

    /// The mark as a tag's value: `image-recognition/resources.lambda-role/5f0c…`. Legal in AWS and Azure tags.
    pub fn to_text(&self) -> String {
        format!("{}/{}/{}", self.stack, self.address, self.nonce.0)
    }

    /// Reads a mark back; `None` if it is not one of ours.
    pub fn parse(text: &str) -> Option<Self> {
        let mut words = text.split('/');
        let (stack, address, nonce) = (words.next()?, words.next()?, words.next()?);
        let hex = nonce.len() == 24 && nonce.bytes().all(|b| b.is_ascii_hexdigit());
        if words.next().is_some() || stack.is_empty() || !hex {
            return None;
        }
        let address = Address::parse(address).ok()?;
        Some(Self { stack: stack.to_owned(), address, nonce: Nonce(nonce.to_owned()) })
    }

    /// A description with the mark behind it, for clouds that have no tags: `text [mcm:owner=…]`.
    pub fn describe(&self, description: &str) -> String {
        let space = if description.is_empty() { "" } else { " " };
        format!("{description}{space}[{}={}]", Self::TAG, self.to_text())
    }

    /// Splits a description into what the user wrote and the mark.
    pub fn split(description: &str) -> (&str, Option<Self>) {
        let marked = description.strip_suffix(']').and_then(|inner| {
            let start = inner.rfind(&format!("[{}=", Self::TAG))?;
            let owner = Self::parse(&inner[start + Self::TAG.len() + 2..])?;
            Some((description[..start].trim_end_matches(' '), owner))
        });
        match marked {
            Some((text, owner)) => (text, Some(owner)),
            None => (description, None),
        }
    }
}

/// How far an owned object is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Standing {
    /// Its creation was about to be sent, and may have happened.
    Creating,
    /// It is there.
    #[default]
    Ready,
    /// Its deletion was about to be sent, and may have happened.
    Deleting,
}

/// One owned object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owned {
    /// Its type.
    #[serde(rename = "type")]
    pub ty: ResourceType,
    /// Where the cloud finds it.
    pub id: CloudId,
    /// Which creation it is.
    pub nonce: Nonce,
    /// The vendor's unique id of this creation, where there is one: a namesake made by someone else has another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incarnation: Option<String>,
    /// How far it is.
    pub standing: Standing,
    /// What it needs: deletions go the other way round.
    pub dependencies: BTreeSet<Address>,
    /// Refuse to delete or replace it, even after the line that said so is gone.
    #[serde(default)]
    pub protect: bool,
    /// Leave it in place when the stack lets go of it.
    #[serde(default)]
    pub retain: bool,
    /// Where it holds something sensitive: its properties' shape with only those places in it, and no secret.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub sensitive: Map,
}

/// What a stack owns: address -> identity. A second object for an address (while one replaces the other)
/// stands under `replaced`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// The owned objects.
    pub resources: BTreeMap<Address, Owned>,
    /// Former objects of an address that were replaced and are not deleted yet.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub replaced: BTreeMap<Address, Owned>,
    /// Grows by one with every write.
    pub serial: u64,
    /// The marks of what it owned once and let go of while they stayed on the objects: they say nothing any more.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub let_go: BTreeSet<Nonce>,
}
