//! State and journal over a [`Medium`]: read as one truth, written in the order that a crash cannot harm.

use std::io;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::journal::{self, Unreadable};
use super::remote::lease::Guard;
use super::{Lock, Medium};
use crate::model::{Entry, Journal, Ledger, LedgerError, State};

/// The state's file.
const STATE: &str = "state.json";
/// The journal's file: there while a run is not over.
pub(super) const JOURNAL: &str = "journal.jsonl";
/// What stands in a state file's `format`.
const FORMAT: &str = "mcm-state";
/// The format this mcm writes, and the newest it reads.
const VERSION: u32 = 1;

/// What is known of a stack.
#[derive(Debug, Default)]
pub struct Loaded {
    /// Whose it is; `None` if nothing was ever written.
    pub stack: Option<String>,
    /// What it owns, as state and journal say together.
    pub state: State,
    /// The runs that are not over.
    pub journal: Journal,
    /// How the journal's file ends.
    tail: Tail,
}

/// How the journal's file ends.
#[derive(Clone, Debug, Default)]
enum Tail {
    /// After a whole line, or it is not there: it can be added to.
    #[default]
    Whole,
    /// Something torn stands behind these whole lines.
    Torn(Vec<u8>),
    /// Everything in it is over.
    Over,
}

/// What is known could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A file failed.
    #[error("reading {place} failed")]
    Io {
        /// Which.
        place: String,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// It is no state file, or a damaged one.
    #[error("{place} is not a state file of mcm, or it is damaged")]
    Corrupt {
        /// Which file.
        place: String,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
    /// The journal cannot be read. State and marks suffice to go on without it.
    #[error("{place} is not a journal of mcm, or it is damaged: {why}")]
    Journal {
        /// Which file.
        place: String,
        /// What is wrong with it.
        why: String,
    },
    /// A newer mcm wrote it.
    #[error("{place} was written by a newer mcm (format {found}; this one reads up to {VERSION})")]
    Newer {
        /// Which file.
        place: String,
        /// Its format.
        found: u32,
    },
    /// It is the state of another stack.
    #[error("{place} holds what the stack `{found}` owns, not `{expected}`")]
    OtherStack {
        /// Which file.
        place: String,
        /// Whose state it is.
        found: String,
        /// Whose state was wanted.
        expected: String,
    },
}

/// What is read first, whatever the version.
#[derive(Deserialize)]
struct Head {
    format: String,
    version: u32,
}

/// A whole state file.
#[derive(Serialize, Deserialize)]
struct File<S> {
    format: String,
    version: u32,
    stack: String,
    #[serde(flatten)]
    state: S,
}

/// Reads what is known of the stack `expected`, or of whichever it is. Writes nothing.
pub async fn load(medium: &dyn Medium, expected: Option<&str>) -> Result<Loaded, StoreError> {
    let read = async |name: &str| {
        let content = medium.read(name).await;
        content.map_err(|source| StoreError::Io { place: medium.place(name), source })
    };
    // The journal first: a state that is written in between is then not older than it.
    let lines = read(JOURNAL).await?.unwrap_or_default();
    let (mut stack, mut state) = match read(STATE).await? {
        Some(content) => {
            let file = parse(&content, || medium.place(STATE))?;
            (Some(file.stack), file.state)
        }
        None => (None, State::default()),
    };
    let place = || medium.place(JOURNAL);
    let reading = journal::read(&lines, &mut state).map_err(|error| match error {
        Unreadable::Newer { found } => StoreError::Newer { place: place(), found },
        error => StoreError::Journal { place: place(), why: error.to_string() },
    })?;
    stack = stack.or(reading.stack);
    if let (Some(found), Some(expected)) = (&stack, expected)
        && found != expected
    {
        let (found, expected) = (found.clone(), expected.to_owned());
        return Err(StoreError::OtherStack { place: medium.place(STATE), found, expected });
    }
    let tail = if lines.is_empty() {
        Tail::Whole
    } else if !reading.journal.is_open() {
        Tail::Over
    } else if reading.whole < lines.len() {
        Tail::Torn(lines[..reading.whole].to_vec())
    } else {
        Tail::Whole
    };
    Ok(Loaded { stack, state, journal: reading.journal, tail })
}

fn parse(content: &[u8], place: impl Fn() -> String) -> Result<File<State>, StoreError> {
    let corrupt = |source| StoreError::Corrupt { place: place(), source };
    let head: Head = serde_json::from_slice(content).map_err(corrupt)?;
    if head.format != FORMAT {
        let source = serde::de::Error::custom(format!("its format is `{}`", head.format));
        return Err(corrupt(source));
    }
    if head.version > VERSION {
        return Err(StoreError::Newer { place: place(), found: head.version });
    }
    serde_json::from_slice(content).map_err(corrupt)
}

/// State and journal of one stack, open for a run that holds the lock and read them under it.
#[derive(Debug)]
pub struct Store {
    medium: Arc<dyn Medium>,
    stack: String,
    /// The greatest serial written or read: a state that is older than the file is never written.
    serial: u64,
    tail: Tail,
    /// What must hold before each write.
    guard: Option<Guard>,
}

impl Store {
    /// Opens for writing what was loaded under this lock.
    pub fn new(medium: Arc<dyn Medium>, stack: &str, loaded: &Loaded, lock: &Lock) -> Self {
        Self { guard: lock.guard(), ..Self::unguarded(medium, stack, loaded) }
    }

    /// Opens for writing what nobody else can reach: for tests and simulations.
    pub fn unguarded(medium: Arc<dyn Medium>, stack: &str, loaded: &Loaded) -> Self {
        let (serial, tail) = (loaded.state.serial, loaded.tail.clone());
        Self { medium, stack: stack.to_owned(), serial, tail, guard: None }
    }

    /// Adds entries to the journal, after what was left behind there is mended.
    async fn write_entries(&mut self, entries: &[Entry], serial: u64) -> io::Result<()> {
        match &self.tail {
            Tail::Whole => {}
            Tail::Torn(whole) => self.medium.replace(JOURNAL, whole).await?,
            Tail::Over => self.medium.remove(JOURNAL).await?,
        }
        self.tail = Tail::Whole;
        let line = journal::line(&self.stack, serial, entries)?;
        self.medium.append(JOURNAL, &line).await
    }

    async fn write_state(&self, state: &State) -> io::Result<()> {
        let file = File { format: FORMAT.to_owned(), version: VERSION, stack: self.stack.clone(), state };
        let mut text = serde_json::to_vec_pretty(&file)?;
        text.push(b'\n');
        self.medium.replace(STATE, &text).await
    }
}

impl Ledger for Store {
    async fn record(&mut self, entries: &[Entry], state: &State) -> Result<(), LedgerError> {
        let failed = |name: &str, source| LedgerError {
            what: format!("writing {} failed", self.medium.place(name)),
            source,
        };
        if let Some(guard) = &self.guard {
            guard.require().map_err(|source| failed(STATE, source))?;
        }
        if state.serial < self.serial {
            let why = format!("serial {} is older than {}, which is written", state.serial, self.serial);
            return Err(failed(STATE, io::Error::new(io::ErrorKind::InvalidInput, why)));
        }
        if !entries.is_empty() {
            let place = self.medium.place(JOURNAL);
            let written = self.write_entries(entries, state.serial).await;
            written.map_err(|source| LedgerError { what: format!("writing {place} failed"), source })?;
        }
        self.write_state(state).await.map_err(|source| LedgerError {
            what: format!("writing {} failed", self.medium.place(STATE)),
            source,
        })?;
        self.serial = state.serial;
        if entries.last() == Some(&Entry::Ended) {
            // Should this fail, what is there says itself that it is over.
            self.tail = match self.medium.remove(JOURNAL).await {
                Ok(()) => Tail::Whole,
                Err(_) => Tail::Over,
            };
        }
        Ok(())
    }
}
