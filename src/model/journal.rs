//! The record of a run: what was about to be sent, what became of it, and how to undo it.
//!
//! A run writes an [`Intent`] down before the first byte of a mutating request leaves, and the outcome after the
//! answer. Each entry also says what its address owns from then on, so that a state that was not written any more
//! follows from the entries. A run that did not end stays *open*: a later run continues it, in the same journal, so
//! that undoing still leads back to where the first of them began.
//!
//! Invariant: a deed moves only along [`Deed::take`]; an entry that does not fit makes the whole journal invalid.
//! Absences: no secret, and no digest of one, is ever serialised; a value that was sensitive has a mark in its place, and
//! what needs it to be undone is kept and said so. The digest of the approved plan covers the whole stack, what is
//! sensitive in it included.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    Address, CloudId, Clouds, Digest, Live, Map, Mode, Nonce, Op, Owned, Owner, ResourceType, Schema, State,
    Undo,
};

/// A mutation's position in its journal, over all runs that continue each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DeedId(pub usize);

impl fmt::Display for DeedId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0 + 1)
    }
}

/// One run, as it begins.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// Names it: the plan's digest and the time make it unique.
    pub id: String,
    /// What it is for.
    pub mode: Mode,
    /// When it began, by this machine's clock; for people only.
    pub began: Timestamp,
    /// The plan that was approved.
    pub plan: Digest,
    /// Where it acts: undoing goes there, whatever the stack says by then.
    pub clouds: Clouds,
}

/// An object as it was or as it was left, as far as undoing needs it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Image {
    /// Where the cloud finds it.
    pub id: CloudId,
    /// Its properties.
    pub properties: Map,
    /// The cloud's version of it.
    pub etag: Option<String>,
    /// Whose mark it bore.
    pub owner: Option<String>,
    /// The vendor's unique id of its creation, where the type has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incarnation: Option<String>,
}

impl Image {
    /// Of a live object.
    pub fn of(schema: &Schema, live: &Live) -> Self {
        Self {
            incarnation: schema.incarnation(live),
            id: live.id.clone(),
            properties: live.properties.clone(),
            etag: live.etag.clone(),
            owner: live.owner.as_ref().map(Owner::to_text),
        }
    }
}

/// What an address owns at some moment: its object, and one that it replaces and that is not deleted yet.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holding {
    /// Its object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current: Option<Owned>,
    /// What is being replaced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub former: Option<Owned>,
}

/// A mutation that is about to be sent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Intent {
    /// Which.
    pub deed: DeedId,
    /// Whose.
    pub address: Address,
    /// Its type.
    #[serde(rename = "type")]
    pub ty: ResourceType,
    /// Where the cloud finds it.
    pub id: CloudId,
    /// What is done to it.
    pub op: Op,
    /// Whether it comes after the pivot: from there a run only goes forward.
    pub past_pivot: bool,
    /// The mark that it bears, or will bear.
    pub nonce: Nonce,
    /// How it can be undone.
    pub undo: Undo,
    /// What stood there when the plan was made; `None` where nothing did.
    pub before: Option<Image>,
    /// All properties as they are to be; empty for a deletion.
    pub shall: Map,
    /// Of what is sent.
    pub request: Digest,
    /// What the address owned before.
    pub owned: Holding,
    /// What it owns from now on.
    pub owns: Holding,
}

/// One line of the record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "entry", rename_all = "kebab-case")]
pub enum Entry {
    /// A run begins, or continues one that did not end.
    Began(Run),
    /// A mutation is about to be sent.
    Intent(Box<Intent>),
    /// It was done.
    Done {
        /// Which.
        deed: DeedId,
        /// The object as it was left; `None` where it is gone.
        wrote: Option<Image>,
        /// What the address owns now.
        owns: Holding,
    },
    /// It failed.
    Failed {
        /// Which.
        deed: DeedId,
        /// Whether the answer says that nothing was changed, not even in part.
        untouched: bool,
        /// The cloud's words.
        why: String,
    },
    /// No clear answer came, and looking did not tell either: it may have happened, or happen yet.
    Unclear {
        /// Which.
        deed: DeedId,
        /// The cloud's words, or the transport's.
        why: String,
    },
    /// It is about to be undone.
    Undoing {
        /// Which.
        deed: DeedId,
    },
    /// It is undone.
    Undone {
        /// Which.
        deed: DeedId,
        /// What the address owns now.
        owns: Holding,
    },
    /// It was not undone.
    Kept {
        /// Which.
        deed: DeedId,
        /// Why.
        why: String,
    },
    /// The run is over, and nothing is left to resume or to undo.
    Ended,
}

/// How far a mutation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// About to be sent, and no outcome is known: it may have happened.
    Intended,
    /// Done.
    Done,
    /// Failed, and it may have left something half made.
    Failed,
    /// Failed with an answer that says that nothing was changed.
    Untouched,
    /// About to be undone: it may be undone already.
    Undoing,
    /// Undone.
    Undone,
}

/// A mutation, with what became of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Deed {
    /// What was to be done.
    pub intent: Intent,
    /// How far it is.
    pub progress: Progress,
    /// The object as it was left, where that is known.
    pub wrote: Option<Image>,
    /// What its address owns since.
    pub owns: Holding,
    /// Whether no outcome of it was ever heard: it may be on its way yet, whatever became of its undoing.
    pub unheard: bool,
}

/// The runs that are not over, as one.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Journal {
    /// The runs, each continuing the one before it.
    pub runs: Vec<Run>,
    /// What they did, in the order of the intents.
    pub deeds: Vec<Deed>,
}

/// An entry that cannot come where it stands.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Misplaced(String);

impl Deed {
    /// The one transition function: how far a mutation is after an entry about it.
    fn take(&mut self, entry: &Entry) -> Result<(), Misplaced> {
        use Progress::{Done, Failed, Intended, Undoing, Undone, Untouched};
        self.progress = match (self.progress, entry) {
            (Intended, Entry::Done { wrote, owns, .. }) => {
                self.wrote.clone_from(wrote);
                self.owns.clone_from(owns);
                self.unheard = false;
                Done
            }
            (Intended, Entry::Failed { untouched, .. }) => {
                self.unheard = false;
                if *untouched { Untouched } else { Failed }
            }
            (Intended, Entry::Unclear { .. }) => Intended,
            // What was kept once may be tried again later.
            (Intended | Done | Failed | Untouched | Undoing, Entry::Undoing { .. }) => Undoing,
            (Undoing, Entry::Undone { .. }) => Undone,
            // It is as far as it was before: whoever asks again looks at what is live again.
            (Undoing, Entry::Kept { .. }) if self.wrote.is_some() => Done,
            (Undoing, Entry::Kept { .. }) if self.unheard => Intended,
            (Undoing, Entry::Kept { .. }) => Failed,
            (progress, entry) => {
                let deed = self.intent.deed;
                return Err(Misplaced(format!("step {deed} is {progress:?}, and `{entry:?}` cannot follow")));
            }
        };
        Ok(())
    }
}

impl Journal {
    /// Takes in the next entry.
    pub fn take(&mut self, entry: &Entry) -> Result<(), Misplaced> {
        match entry {
            Entry::Began(run) => self.runs.push(run.clone()),
            Entry::Intent(intent) => {
                if intent.deed != self.next() || self.runs.is_empty() {
                    return Err(Misplaced(format!("step {} stands where another must", intent.deed)));
                }
                let intent = intent.as_ref().clone();
                let (owns, progress) = (intent.owns.clone(), Progress::Intended);
                self.deeds.push(Deed { intent, progress, wrote: None, owns, unheard: true });
            }
            Entry::Done { deed, .. }
            | Entry::Failed { deed, .. }
            | Entry::Unclear { deed, .. }
            | Entry::Undoing { deed }
            | Entry::Undone { deed, .. }
            | Entry::Kept { deed, .. } => {
                let found = self.deeds.get_mut(deed.0);
                found.ok_or_else(|| Misplaced(format!("there is no step {deed}")))?.take(entry)?;
            }
            Entry::Ended => *self = Self::default(),
        }
        Ok(())
    }

    /// The number of the next mutation.
    pub fn next(&self) -> DeedId {
        DeedId(self.deeds.len())
    }

    /// Whether a run began and is not over.
    pub fn is_open(&self) -> bool {
        !self.runs.is_empty()
    }

    /// What is not undone yet, last first. What failed without touching anything has nothing to undo.
    pub fn undoable(&self) -> impl Iterator<Item = &Deed> {
        let left = |deed: &&Deed| match deed.progress {
            Progress::Intended | Progress::Done | Progress::Failed | Progress::Undoing => true,
            Progress::Untouched | Progress::Undone => false,
        };
        self.deeds.iter().rev().filter(left)
    }

    /// What may be on its way out still: a deletion was sent, or is being sent, and no outcome of it is known.
    pub fn is_leaving(&self, ty: &ResourceType, id: &CloudId) -> bool {
        self.deeds.iter().any(|deed| {
            let intent = &deed.intent;
            let deleting = matches!(intent.op, Op::Delete | Op::DeleteFormer | Op::DeleteFirst);
            let making = matches!(intent.op, Op::Create | Op::Restore);
            let leaving = (deed.progress == Progress::Intended && deleting)
                || (deed.progress == Progress::Undoing && making);
            leaving && intent.ty == *ty && intent.id == *id
        })
    }

    /// The first deletion past the pivot that happened or may have happened: from there a run only goes forward. What
    /// was only let go of is still there.
    pub fn past_pivot(&self) -> Option<&Deed> {
        self.undoable().filter(|deed| deed.intent.past_pivot && deed.intent.op != Op::Forget).last()
    }

    /// What stands of what is not undone, or may: what was done, what is unclear, what was changed or deleted in part.
    /// Of what was refused when it was to be made nothing stands.
    pub fn standing(&self) -> impl Iterator<Item = &Deed> {
        self.undoable().filter(|deed| match deed.progress {
            Progress::Failed => !matches!(deed.intent.op, Op::Create | Op::Restore | Op::Forget),
            Progress::Intended | Progress::Done | Progress::Undoing => true,
            Progress::Untouched | Progress::Undone => false,
        })
    }

    /// How far the last mutation of this kind at an address is.
    pub fn progress(&self, address: &Address, op: Op) -> Option<Progress> {
        let mut last = self.deeds.iter().rev();
        let found = last.find(|deed| deed.intent.address == *address && deed.intent.op == op);
        found.map(|deed| deed.progress)
    }
}

impl Entry {
    /// What an address owns after this entry, where the entry changes it.
    fn holding<'e>(&'e self, journal: &'e Journal) -> Option<(&'e Address, &'e Holding)> {
        match self {
            Self::Intent(intent) => Some((&intent.address, &intent.owns)),
            Self::Done { deed, owns, .. } | Self::Undone { deed, owns } => {
                Some((&journal.deeds.get(deed.0)?.intent.address, owns))
            }
            // Nothing came of it: the address owns what it owned before.
            Self::Failed { deed, untouched: true, .. } => {
                let intent = &journal.deeds.get(deed.0)?.intent;
                Some((&intent.address, &intent.owned))
            }
            Self::Began(_)
            | Self::Failed { untouched: false, .. }
            | Self::Unclear { .. }
            | Self::Undoing { .. }
            | Self::Kept { .. }
            | Self::Ended => None,
        }
    }
}

impl State {
    /// What an address owns.
    pub fn holding(&self, address: &Address) -> Holding {
        Holding { current: self.resources.get(address).cloned(), former: self.replaced.get(address).cloned() }
    }

    /// Sets what an address owns.
    pub fn hold(&mut self, address: &Address, holding: &Holding) {
        for (book, owned) in [(&mut self.resources, &holding.current), (&mut self.replaced, &holding.former)]
        {
            match owned {
                Some(owned) => book.insert(address.clone(), owned.clone()),
                None => book.remove(address),
            };
        }
    }

    /// Takes over what an entry says of ownership; `journal` has taken the entry in already.
    pub fn follow(&mut self, entry: &Entry, journal: &Journal) {
        if let Some((address, holding)) = entry.holding(journal) {
            self.hold(address, holding);
        }
    }
}
