//! The vocabulary: every noun that two rooms share, and the ports between them.
//!
//! One word, one meaning. Nothing here performs I/O, knows a runtime, or knows a particular cloud's
//! rules; what a resource type is comes in as data, a [`Schema`].

mod address;
mod backend;
mod clouds;
mod diagnostic;
mod error;
mod event;
mod function;
mod journal;
mod live;
mod plan;
mod ports;
mod schema;
mod stack;
mod state;
mod value;

pub use address::{Address, InvalidAddress};
pub use backend::{Backend, StoreKind};
pub use clouds::{AwsPlace, AzurePlace, Cloud, Clouds, GcpPlace, ResourceType};
pub use diagnostic::{Diagnostic, Diagnostics, Location, Severity};
pub use error::{CloudError, ErrorKind};
pub use event::{Event, Failure, Kept, Outcome, Phase};
pub use function::{Architecture, Artifact, BuildEvent, Function, LogEvent};
pub use journal::{Deed, DeedId, Entry, Holding, Image, Intent, Journal, Misplaced, Progress, Run};
pub use live::{Absence, CloudId, Condition, Inventory, Live, Observed};
pub use plan::{Action, Change, Digest, Edit, Mode, Op, OutputChange, Plan, Step, StepId, Undo};
pub use ports::{
    Create, Delete, Expander, Expansion, FunctionExpander, Leaving, Ledger, LedgerError, Provider, Read,
    Restore, Update,
};
pub use schema::{
    Absent, Attribute, Catalogue, Deletion, Mutability, NameRule, Property, Schema, Shape, TextRule,
};
pub use stack::{Lifecycle, OnDelete, Output, Resource, Stack, TrustEdge};
pub use state::{Nonce, Owned, Owner, Standing, State};
pub use value::{Map, Part, Path, Reference, Secret, Segment, Template, Value};
