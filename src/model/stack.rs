//! A validated stack: desired resources with their places in the source.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Address, Backend, Clouds, Digest, Function, Location, Map, ResourceType, Schema, Value};

/// Validated desired resources. Every reference in it leads somewhere and there is no cycle.
#[derive(Clone, Debug)]
pub struct Stack {
    /// `[a-z][a-z0-9-]{0,62}`
    pub name: String,
    /// For people.
    pub description: Option<String>,
    /// The folder of the stack file: local files are relative to it.
    pub folder: PathBuf,
    /// Where, and the guard.
    pub clouds: Clouds,
    /// Where its state lies, if not beside the stack file.
    pub backend: Option<Backend>,
    /// In the order of the file; parts of an expansion follow in the order they were made.
    pub resources: Vec<Resource>,
    /// In the order of the file; what they come to is among the resources.
    pub functions: Vec<Function>,
    /// In the order of the file.
    pub outputs: Vec<Output>,
    /// The variables' values by name, as the file, flags and environment gave them; sensitive ones as secrets.
    pub variables: Map,
    /// Over everything above that decides a plan.
    pub digest: Digest,
}

/// One desired resource.
#[derive(Clone, Debug)]
pub struct Resource {
    /// Its stable identity.
    pub address: Address,
    /// The vendor's type.
    pub ty: ResourceType,
    /// The type's rules.
    pub schema: &'static Schema,
    /// What is desired; references to other resources are [`Value::Unknown`].
    pub properties: Map,
    /// Dependencies that no reference says.
    pub depends_on: BTreeSet<Address>,
    /// What may be done to it.
    pub lifecycle: Lifecycle,
    /// Where its entry stands.
    pub location: Option<Location>,
    /// Where each property stands, by its path (`Tags[0].Key`).
    pub property_locations: BTreeMap<String, Location>,
}

/// What may be done to a resource.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Lifecycle {
    /// Refuse to delete or replace it. `None` where the stack says neither: then what the state remembers holds, so
    /// that removing the line does not remove the protection.
    pub protect: Option<bool>,
    /// Take over a live object that this stack does not own.
    pub adopt: bool,
    /// What happens to it when the stack lets go of it.
    pub on_delete: OnDelete,
}

/// What happens to an object when the stack lets go of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnDelete {
    /// It is deleted.
    #[default]
    Delete,
    /// It stays, and the stack forgets it.
    Retain,
}

/// One output.
#[derive(Clone, Debug)]
pub struct Output {
    /// Its name.
    pub name: String,
    /// What it shows; references resolve against live objects.
    pub value: Value,
    /// Whether it is hidden unless asked for by name.
    pub sensitive: bool,
}

/// Keyless access from one identity to another, as the stack file says it.
#[derive(Clone, Debug)]
pub struct TrustEdge {
    /// The entry's name.
    pub name: String,
    /// The identity that is trusted.
    pub from: Address,
    /// The identity that it may become.
    pub to: Address,
    /// Everything else in the entry, such as `pool` and `provider` ids.
    pub options: Map,
    /// Where the entry stands.
    pub location: Option<Location>,
}

impl Resource {
    /// Every resource it needs: by reference or by `dependsOn`.
    pub fn dependencies(&self) -> BTreeSet<Address> {
        let referred = self.properties.values().flat_map(Value::references);
        referred.map(|reference| reference.address.clone()).chain(self.depends_on.iter().cloned()).collect()
    }
}

impl Stack {
    /// The resource at an address.
    pub fn get(&self, address: &Address) -> Option<&Resource> {
        self.resources.iter().find(|resource| resource.address == *address)
    }
}
