//! The ports: what one room asks of another without knowing it.

use std::collections::BTreeMap;
use std::future::Future;

use super::{
    Artifact, Catalogue, CloudError, CloudId, Diagnostic, Entry, Function, Live, Map, Owner, Path, Resource,
    ResourceType, Stack, State, TrustEdge,
};

/// Read one object by its identity.
#[derive(Clone, Copy, Debug)]
pub struct Read<'a> {
    /// Its type.
    pub ty: &'a ResourceType,
    /// Where the cloud finds it.
    pub id: &'a CloudId,
    /// What the stack desires of it, where it does: a provider may use it to know what to look at.
    pub desired: Option<&'a Map>,
    /// Whether secret attributes are wanted.
    pub secrets: bool,
}

/// Make one object.
#[derive(Clone, Copy, Debug)]
pub struct Create<'a> {
    /// Its type.
    pub ty: &'a ResourceType,
    /// Where the cloud shall find it.
    pub id: &'a CloudId,
    /// All desired properties, fully known and normalised.
    pub properties: &'a Map,
    /// The mark to leave on it.
    pub owner: &'a Owner,
    /// Whether secret attributes are wanted in the answer.
    pub secrets: bool,
}

/// Change one object in place.
#[derive(Clone, Copy, Debug)]
pub struct Update<'a> {
    /// Its type.
    pub ty: &'a ResourceType,
    /// Where the cloud finds it.
    pub id: &'a CloudId,
    /// What the plan saw; its `etag` makes the write conditional where the cloud allows it.
    pub before: &'a Live,
    /// All desired properties, fully known and normalised.
    pub properties: &'a Map,
    /// Where the two differ. Empty when only the mark is to be written.
    pub changed: &'a [Path],
    /// The mark it must bear afterwards.
    pub owner: &'a Owner,
    /// Whether secret attributes are wanted in the answer.
    pub secrets: bool,
}

/// Delete one object.
#[derive(Clone, Copy, Debug)]
pub struct Delete<'a> {
    /// Its type.
    pub ty: &'a ResourceType,
    /// Where the cloud finds it.
    pub id: &'a CloudId,
    /// What the plan saw.
    pub before: &'a Live,
    /// Whether data in it keeps it: nobody has approved their loss. One that holds some is an error, `NotEmpty`.
    pub spares_data: bool,
}

/// Ask what stands in the way of deleting one object.
#[derive(Clone, Copy, Debug)]
pub struct Leaving<'a> {
    /// Its type.
    pub ty: &'a ResourceType,
    /// Where the cloud finds it.
    pub id: &'a CloudId,
    /// What goes before it.
    pub others: &'a [&'a CloudId],
}

/// Undelete one object, as it was; changes come after, as an update.
#[derive(Clone, Copy, Debug)]
pub struct Restore<'a> {
    /// Its type.
    pub ty: &'a ResourceType,
    /// Where the cloud finds it.
    pub id: &'a CloudId,
    /// The soft-deleted object that the plan saw.
    pub before: &'a Live,
    /// All desired properties, for clouds whose undelete is a create with a flag.
    pub properties: &'a Map,
    /// The mark it must bear afterwards.
    pub owner: &'a Owner,
    /// Whether secret attributes are wanted in the answer.
    pub secrets: bool,
}

/// The clouds. A provider knows no plan, takes no decision, and is done when the object is in its final
/// state: long-running operations are awaited within. Reads are retried within; changes only after an answer
/// that says that nothing was changed (a throttle).
pub trait Provider: Send + Sync {
    /// The object with this identity, soft-deleted ones included; `None` if there is none.
    fn read(&self, request: Read<'_>) -> impl Future<Output = Result<Option<Live>, CloudError>> + Send;
    /// Makes it. An object of that identity is an error, `AlreadyExists`.
    fn create(&self, request: Create<'_>) -> impl Future<Output = Result<Live, CloudError>> + Send;
    /// Changes it.
    fn update(&self, request: Update<'_>) -> impl Future<Output = Result<Live, CloudError>> + Send;
    /// Deletes it. One that is gone already is done.
    fn delete(&self, request: Delete<'_>) -> impl Future<Output = Result<(), CloudError>> + Send;
    /// Undeletes it.
    fn restore(&self, request: Restore<'_>) -> impl Future<Output = Result<Live, CloudError>> + Send;
}

/// Where a run is recorded, durably, step by step.
///
/// The entries and the state are written *before* a change is sent and after its outcome is known. When
/// [`Ledger::record`] returns, both have survived a crash, and the right to change what the stack owns was still
/// held; when it fails, nothing may be sent.
pub trait Ledger: Send {
    /// Makes these entries, and then this state, durable.
    fn record(
        &mut self,
        entries: &[Entry],
        state: &State,
    ) -> impl Future<Output = Result<(), LedgerError>> + Send;

    /// Ends when the right to change what the stack owns is lost: whatever is on its way then is let go of, and nothing
    /// more is sent. One that cannot be lost never ends.
    fn lost(&self) -> impl Future<Output = LedgerError> + Send {
        std::future::pending()
    }
}

/// The record of a run could not be written.
#[derive(Debug, thiserror::Error)]
#[error("{what}")]
pub struct LedgerError {
    /// What could not be written, and where.
    pub what: String,
    /// Why.
    #[source]
    pub source: std::io::Error,
}

/// Turns a trust edge into the resources that make it, with their schemas out of the catalogue.
pub type Expander = fn(&TrustEdge, &Stack, &Catalogue) -> Result<Expansion, Vec<Diagnostic>>;

/// Turns the functions of a stack into the resources that deploy them. What is not built yet has no artifact: its
/// archive is then unknown, and such a stack can be checked, but not planned. Each attribute bears a function's name,
/// and holds what others may refer to by it.
pub type FunctionExpander =
    fn(&[Function], &BTreeMap<String, Artifact>, &Stack, &Catalogue) -> Result<Expansion, Vec<Diagnostic>>;

/// What an expansion made.
#[derive(Clone, Debug, Default)]
pub struct Expansion {
    /// Resources, addressed below the entry: `trust.to-gcp.pool`.
    pub resources: Vec<Resource>,
    /// What others may refer to by the entry's own name: `${to-gcp.credentialConfiguration}`.
    pub attributes: Map,
}
