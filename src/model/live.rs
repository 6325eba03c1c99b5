//! What was observed in the clouds.

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Address, Digest, Map, Owner};

/// The name under which a cloud's API finds an object: a role's name, a bucket's name, a full resource name,
/// an ARM id. Unique within its type and the stack's account.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CloudId(pub String);

impl fmt::Display for CloudId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// An object as a cloud holds it, in the shape of its schema.
#[derive(Clone, Debug, PartialEq)]
pub struct Live {
    /// Where the cloud finds it.
    pub id: CloudId,
    /// What a stack could set, as the cloud answers it; our own mark and the cloud's own tags taken out.
    pub properties: Map,
    /// What others may refer to besides: ARNs, endpoints, keys.
    pub attributes: Map,
    /// The cloud's version of it, for conditional writes.
    pub etag: Option<String>,
    /// Whose mark it bears.
    pub owner: Option<Owner>,
    /// Whether it can be used.
    pub condition: Condition,
}

/// Whether an object can be used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Condition {
    /// It can.
    Ready,
    /// It is deleted, holds its name, and can be restored.
    SoftDeleted {
        /// Until when, where the cloud says it.
        until: Option<Timestamp>,
    },
    /// It ended in a failed state; the vendor's word for it.
    Failed(String),
}

/// What reading one identity found.
#[derive(Clone, Debug, PartialEq)]
pub enum Observed {
    /// An object.
    Found(Live),
    /// No object.
    Missing(Absence),
}

/// Why there is no object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Absence {
    /// The cloud said so.
    Confirmed,
    /// Its identity depends on something that does not exist yet, so neither does it.
    Implied,
}

/// What was observed live, once.
#[derive(Clone, Debug, Default)]
pub struct Inventory {
    /// For each address of the stack: the object at its desired identity.
    pub desired: BTreeMap<Address, Observed>,
    /// For each address of the state whose recorded identity is another one, or that the stack no longer has:
    /// the object at the recorded identity.
    pub recorded: BTreeMap<Address, Observed>,
    /// For each former object in the state that was replaced and not deleted yet.
    pub replaced: BTreeMap<Address, Observed>,
    /// How many waves of reads were needed.
    pub waves: usize,
    /// A digest of each object that was read, in the same two groups; `None` where there was none.
    pub digests: BTreeMap<String, Option<Digest>>,
    /// For each address of the stack whose object was found: its properties, normalised, with what is sensitive hidden.
    pub shown: BTreeMap<Address, Map>,
}

impl Observed {
    /// The object, if one was found.
    pub fn live(&self) -> Option<&Live> {
        match self {
            Self::Found(live) => Some(live),
            Self::Missing(_) => None,
        }
    }
}

impl Inventory {
    /// The object at the desired identity of an address.
    pub fn at(&self, address: &Address) -> Option<&Live> {
        self.desired.get(address).and_then(Observed::live)
    }

    /// The object at the recorded identity of an address, where that is another one.
    pub fn recorded_at(&self, address: &Address) -> Option<&Live> {
        self.recorded.get(address).and_then(Observed::live)
    }
}
