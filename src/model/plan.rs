//! What will be done: decided once, written down whole, sealed.

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{Address, CloudId, Diagnostic, Map, Path, ResourceType, Value};

/// SHA-256 of something's canonical JSON, in hex.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Digest(pub String);

impl Digest {
    /// Digests anything by its JSON; maps are sorted, so equal things digest alike.
    pub fn of(thing: &impl Serialize) -> Self {
        let json = serde_json::to_vec(thing).unwrap_or_default();
        Self(hex::encode(Sha256::digest(&json)))
    }

    /// The first twelve digits, for people.
    pub fn short(&self) -> &str {
        self.0.get(..12).unwrap_or(&self.0)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a plan is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Make the clouds equal to the stack.
    Apply,
    /// Delete what the stack owns.
    Destroy,
    /// Only say how the clouds differ from the stack; no steps.
    RefreshOnly,
}

/// What will be done to a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// Nothing.
    NoOp,
    /// `+`
    Create,
    /// `~`
    Update,
    /// `-/+`: a new one is made, then the old one is deleted.
    Replace,
    /// `-`
    Delete,
    /// `<-`: undelete, then update where it differs.
    Restore,
    /// `=`: take ownership, then update where it differs.
    Adopt,
    /// Ownership is dropped, the object (if any) stays.
    Forget,
}

impl Action {
    /// The symbol in front of a change.
    pub fn symbol(self) -> &'static str {
        match self {
            Self::NoOp => " ",
            Self::Create => "+",
            Self::Update => "~",
            Self::Replace => "-/+",
            Self::Delete => "-",
            Self::Restore => "<-",
            Self::Adopt => "=",
            Self::Forget => ".",
        }
    }
}

/// One property that differs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Edit {
    /// Where.
    pub path: Path,
    /// What the cloud holds; `None` if it is not set.
    pub before: Option<Value>,
    /// What is desired; `None` if it is to be removed.
    pub after: Option<Value>,
    /// Whether this edit makes a new object necessary.
    pub forces_replacement: bool,
}

/// What will happen to one resource, and why.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// Which.
    pub address: Address,
    /// Its type.
    #[serde(rename = "type")]
    pub ty: ResourceType,
    /// What.
    pub action: Action,
    /// The identity after the change, where known.
    pub id: Option<CloudId>,
    /// The identity of what is replaced, where it is another one; or of the replacement that is taken back.
    pub former_id: Option<CloudId>,
    /// Normalised live properties.
    pub before: Option<Map>,
    /// Normalised desired properties, as far as known.
    pub after: Option<Map>,
    /// The differences, sorted by path.
    pub edits: Vec<Edit>,
    /// Explains, never decides: "deleted outside of mcm", "no longer in the stack".
    pub reason: Option<String>,
    /// How it could be undone.
    pub undo: Undo,
}

/// A step's position in its plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StepId(pub usize);

/// What a step does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Op {
    /// Make it.
    Create,
    /// Change it in place.
    Update,
    /// Undelete it, then change it where it differs.
    Restore,
    /// Record ownership, then change it where it differs.
    Adopt,
    /// Delete the object at the change's `id`.
    Delete,
    /// Delete the former object of a replacement.
    DeleteFormer,
    /// Delete the object that stands in the way of one with the same identity, before that is made.
    /// Only with `--allow-recreate`.
    DeleteFirst,
    /// Drop ownership; no request is sent.
    Forget,
}

/// One executable mutation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// Its position in the plan.
    pub id: StepId,
    /// Which resource.
    pub address: Address,
    /// The position of its change in the plan's `changes`: an address whose replacement was left unfinished by an
    /// earlier run has two.
    pub change: usize,
    /// What to do.
    pub op: Op,
    /// The steps that must be done before.
    pub needs: Vec<StepId>,
    /// The planned inverse.
    pub undo: Undo,
}

/// How a step can be undone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "class")]
pub enum Undo {
    /// The world is as it was.
    Exact,
    /// As it was, but for what is named here (such as a unique id).
    Equivalent {
        /// What is not the same.
        differs: String,
    },
    /// By undeleting, within the vendor's window.
    Soft {
        /// Until when.
        until: Timestamp,
    },
    /// Not at all.
    Impossible {
        /// Why.
        why: String,
    },
}

/// An output and how it changes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OutputChange {
    /// Its name.
    pub name: String,
    /// What it is now; `None` where its source does not exist.
    pub before: Option<Value>,
    /// What it will be, as far as known.
    pub after: Value,
    /// Whether it is hidden.
    pub sensitive: bool,
}

/// Ordered steps, with all that was read to decide them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// The stack's name.
    pub stack: String,
    /// What it is for.
    pub mode: Mode,
    /// One for each address of the stack and the state, no-ops included, in the order of the stack.
    pub changes: Vec<Change>,
    /// What to do, in an order that respects every `needs`.
    pub steps: Vec<Step>,
    /// The position of the first step past the pivot. Those before it can be undone; when all of them are done the
    /// run only goes forward, through the deletions.
    pub pivot: usize,
    /// The outputs.
    pub outputs: Vec<OutputChange>,
    /// What the user should know before approving.
    pub warnings: Vec<Diagnostic>,
    /// Of the stack this was planned from.
    pub stack_digest: Digest,
    /// Of each live object that was read; `None` where there was none.
    pub live_digests: BTreeMap<String, Option<Digest>>,
}

impl Plan {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.changes.iter().all(|change| change.action == Action::NoOp)
    }

    /// The change of an address.
    pub fn change(&self, address: &Address) -> Option<&Change> {
        self.changes.iter().find(|change| change.address == *address)
    }

    /// Over all of it: two plans with one digest do the same to the same world.
    pub fn digest(&self) -> Digest {
        Digest::of(self)
    }
}
