//! The local backend: a folder of one stack.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::files::{make_private_folder, read_private, write_private};
use super::{Lock, LockError};
use crate::model::{Ledger, LedgerError, State};

/// What stands in a state file's `format`.
const FORMAT: &str = "mcm-state";
/// The format this mcm writes, and the newest it reads.
const VERSION: u32 = 1;

/// Where the state of one stack lies.
#[derive(Clone, Debug)]
pub struct Folder {
    folder: PathBuf,
}

/// The state file of one stack, open for a run that holds the lock.
#[derive(Debug)]
pub struct Store {
    file: PathBuf,
    stack: String,
    /// The greatest serial written or read: a state that is older than the file is never written.
    serial: u64,
}

/// The state could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A file or folder failed.
    #[error("{what} {} failed", path.display())]
    Io {
        /// What was attempted: `reading`.
        what: &'static str,
        /// With which file or folder.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// It is no state file, or a damaged one.
    #[error("{} is not a state file of mcm, or it is damaged", path.display())]
    Corrupt {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
    /// A newer mcm wrote it.
    #[error("{} was written by a newer mcm (format {found}; this one reads up to {VERSION})", path.display())]
    Newer {
        /// Which file.
        path: PathBuf,
        /// Its format.
        found: u32,
    },
    /// It is the state of another stack.
    #[error("{} holds what the stack `{found}` owns, not `{expected}`", path.display())]
    OtherStack {
        /// Which file.
        path: PathBuf,
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

impl Folder {
    /// The state that lies in this folder. Nothing is made before it is needed.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }

    /// The state file.
    pub fn file(&self) -> PathBuf {
        self.folder.join("state.json")
    }

    /// What the stack owns; nothing, if no state was ever written. Writes nothing.
    pub fn load(&self, stack: &str) -> Result<State, StoreError> {
        match self.load_any()? {
            None => Ok(State::default()),
            Some((found, state)) if found == stack => Ok(state),
            Some((found, _)) => {
                Err(StoreError::OtherStack { path: self.file(), found, expected: stack.to_owned() })
            }
        }
    }

    /// What lies here and which stack's it is, for the commands that look at the state alone.
    pub fn load_any(&self) -> Result<Option<(String, State)>, StoreError> {
        let path = self.file();
        let content = refuse_link(&self.folder).and_then(|()| read_private(&path));
        let content = match content {
            Ok(Some(content)) => content,
            Ok(None) => return Ok(None),
            Err(source) => return Err(StoreError::Io { what: "reading", path, source }),
        };
        let head: Head = match serde_json::from_slice(&content) {
            Ok(head) => head,
            Err(source) => return Err(StoreError::Corrupt { path, source }),
        };
        if head.format != FORMAT {
            let source = serde::de::Error::custom(format!("its format is `{}`", head.format));
            return Err(StoreError::Corrupt { path, source });
        }
        if head.version > VERSION {
            return Err(StoreError::Newer { path, found: head.version });
        }
        match serde_json::from_slice::<File<State>>(&content) {
            Ok(file) => Ok(Some((file.stack, file.state))),
            Err(source) => Err(StoreError::Corrupt { path, source }),
        }
    }

    /// Takes the stack's lock for `command`, waiting at most `patience`. Makes the folder.
    pub fn lock(&self, command: &str, patience: Duration) -> Result<Lock, LockError> {
        let file = self.folder.join("lock.json");
        if let Err(source) = make_private_folder(&self.folder) {
            return Err(LockError::Io { file, source });
        }
        Lock::take(&file, command, patience)
    }

    /// Opens the state for writing. Whoever does so holds the lock, and read `state` under it.
    pub fn open(&self, stack: &str, state: &State, _lock: &Lock) -> Store {
        Store { file: self.file(), stack: stack.to_owned(), serial: state.serial }
    }
}

impl Ledger for Store {
    fn record(&mut self, state: &State) -> Result<(), LedgerError> {
        let failed = |source| LedgerError { what: format!("writing {} failed", self.file.display()), source };
        if state.serial < self.serial {
            let why = format!("serial {} is older than {}, which is written", state.serial, self.serial);
            return Err(failed(io::Error::new(io::ErrorKind::InvalidInput, why)));
        }
        let file = File { format: FORMAT.to_owned(), version: VERSION, stack: self.stack.clone(), state };
        let mut text = serde_json::to_vec_pretty(&file).map_err(|error| failed(error.into()))?;
        text.push(b'\n');
        write_private(&self.file, &text).map_err(failed)?;
        self.serial = state.serial;
        Ok(())
    }
}

/// A link in the place of the folder could lead the state anywhere.
fn refuse_link(folder: &Path) -> io::Result<()> {
    match std::fs::symlink_metadata(folder) {
        Ok(found) if found.is_symlink() => {
            Err(io::Error::new(io::ErrorKind::InvalidInput, "its folder is a symbolic link"))
        }
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}
