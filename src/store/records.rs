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
    /// Every run is over whose lines have no greater serial.
    over: u64,
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
    /// Every run is over whose lines in the journal have no greater serial.
    #[serde(default)]
    over: u64,
    /// The holding of the lock under which it was written, so that no two runs ever write the same file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    writer: Option<String>,
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
    let (mut stack, mut state, over) = match read(STATE).await? {
        Some(content) => {
            let file = parse(&content, || medium.place(STATE))?;
            (Some(file.stack), file.state, file.over)
        }
        None => (None, State::default(), 0),
    };
    let place = || medium.place(JOURNAL);
    let reading = journal::read(&lines, &mut state, over).map_err(|error| match error {
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
    Ok(Loaded { stack, state, journal: reading.journal, tail, over: reading.over })
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
    /// Every run is over whose lines have no greater serial.
    over: u64,
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
        Self { medium, stack: stack.to_owned(), serial, tail, over: loaded.over, guard: None }
    }

    /// Whether the lock is held still, as far as this machine knows: asked before something is deleted of which no
    /// record is written.
    pub fn is_held(&self) -> bool {
        self.guard.as_ref().is_none_or(|guard| guard.require().is_ok())
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

    async fn write_state(&self, state: &State, over: u64) -> io::Result<()> {
        let (format, stack) = (FORMAT.to_owned(), self.stack.clone());
        let writer = self.guard.as_ref().map(Guard::id);
        let file = File { format, version: VERSION, stack, over, writer, state };
        let mut text = serde_json::to_vec_pretty(&file)?;
        text.push(b'\n');
        self.medium.replace(STATE, &text).await
    }

    async fn write(&mut self, entries: &[Entry], state: &State, over: u64) -> Result<(), LedgerError> {
        if !entries.is_empty() {
            let written = self.write_entries(entries, state.serial).await;
            written.map_err(|source| self.failed(JOURNAL, source))?;
        }
        self.write_state(state, over).await.map_err(|source| self.failed(STATE, source))
    }

    fn failed(&self, name: &str, source: io::Error) -> LedgerError {
        LedgerError { what: format!("writing {} failed", self.medium.place(name)), source }
    }
}

/// Does something as long as the lock is held. Where it is lost in the midst, what was begun may have happened; so it
/// may where it is done, and the machine slept before it heard of that: nothing further is begun on such an answer.
async fn while_held<T>(guard: Option<Guard>, work: impl Future<Output = T>) -> io::Result<T> {
    let Some(guard) = guard else { return Ok(work.await) };
    guard.require()?;
    tokio::select! {
        biased;
        done = work => guard.require().map(|()| done),
        () = guard.ended() => Err(Guard::lost()),
    }
}

impl Ledger for Store {
    async fn lost(&self) -> LedgerError {
        match &self.guard {
            Some(guard) => {
                guard.ended().await;
                self.failed(STATE, Guard::lost())
            }
            None => std::future::pending().await,
        }
    }

    async fn record(&mut self, entries: &[Entry], state: &State) -> Result<(), LedgerError> {
        if state.serial < self.serial {
            let why = format!("serial {} is older than {}, which is written", state.serial, self.serial);
            return Err(self.failed(STATE, io::Error::new(io::ErrorKind::InvalidInput, why)));
        }
        let ends = entries.last() == Some(&Entry::Ended);
        let over = if ends { state.serial } else { self.over };
        let guard = self.guard.clone();
        let written = while_held(guard.clone(), self.write(entries, state, over)).await;
        written.map_err(|source| self.failed(STATE, source))??;
        (self.serial, self.over) = (state.serial, over);
        if ends {
            // Should this fail, the state says that what is there is over. It is never done without the lock: by then
            // it may be another run's.
            let medium = Arc::clone(&self.medium);
            self.tail = match while_held(guard, medium.remove(JOURNAL)).await {
                Ok(Ok(())) => Tail::Whole,
                Ok(Err(_)) | Err(_) => Tail::Over,
            };
        }
        Ok(())
    }
}
