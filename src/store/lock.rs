//! One run at a time: a lock file that says who holds it.

use std::fs::{File, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::files;

/// How often a lock that someone else holds is tried again.
const PAUSE: Duration = Duration::from_millis(100);

/// Who holds a lock, for the message to everyone else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// The user's name.
    pub holder: String,
    /// The machine's name.
    pub host: String,
    /// The process.
    pub pid: u32,
    /// Since when.
    pub since: Timestamp,
    /// What it is doing: `apply`.
    pub command: String,
}

/// A lock that could outlast its holder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lasting {
    /// What `mcm unlock` takes.
    pub id: String,
    /// When it ends if its holder does not renew it, by the store's clock.
    pub until: Timestamp,
}

/// A lock file that is held, until dropped.
#[derive(Debug)]
pub(super) struct Local {
    file: File,
}

/// The lock could not be had.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Someone else holds it, and still did when the waiting was over.
    #[error("another run holds the lock of this stack")]
    Held {
        /// Who, where that could be read.
        by: Option<Holder>,
        /// Its id and its end, where it could outlast its holder.
        lease: Option<Lasting>,
        /// How long was waited.
        waited: Duration,
    },
    /// The lock file could not be made or written.
    #[error("the lock file {} cannot be used", file.display())]
    Io {
        /// Which file.
        file: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl Local {
    /// Takes the lock, waiting at most `patience` for another holder to let go.
    ///
    /// The operating system holds it: it ends with the process, however that ends.
    pub(super) async fn take(path: &Path, command: &str, patience: Duration) -> Result<Self, LockError> {
        let failed = |source| LockError::Io { file: path.to_owned(), source };
        let mut file = files::open_private(path).map_err(failed)?;
        let start = Instant::now();
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if start.elapsed() < patience => {
                    tokio::time::sleep(PAUSE).await;
                }
                Err(TryLockError::WouldBlock) => {
                    return Err(LockError::Held {
                        by: read_holder(&mut file),
                        lease: None,
                        waited: patience,
                    });
                }
                Err(TryLockError::Error(source)) => return Err(failed(source)),
            }
        }
        write_holder(&mut file, &Holder::this(command)).map_err(failed)?;
        Ok(Self { file })
    }
}

impl Drop for Local {
    fn drop(&mut self) {
        // An empty lock file says that no one holds it. Should this fail, the lock still ends with the process.
        let _ = self.file.set_len(0);
        let _ = self.file.unlock();
    }
}

impl Holder {
    /// This process.
    pub(super) fn this(command: &str) -> Self {
        let variable = |names: [&str; 2]| names.iter().find_map(|name| std::env::var(name).ok());
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
        let host = host.map(|name| name.trim().to_owned()).or_else(|| variable(["HOSTNAME", "COMPUTERNAME"]));
        Self {
            holder: variable(["USER", "USERNAME"]).unwrap_or_else(|| "unknown".to_owned()),
            host: host.unwrap_or_else(|| "unknown".to_owned()),
            pid: std::process::id(),
            since: Timestamp::now(),
            command: command.to_owned(),
        }
    }
}

fn write_holder(file: &mut File, holder: &Holder) -> io::Result<()> {
    let mut text = serde_json::to_vec_pretty(holder)?;
    text.push(b'\n');
    file.set_len(0)?;
    file.rewind()?;
    file.write_all(&text)?;
    file.sync_data()
}

/// What the lock file says; nothing while its holder is just writing it.
fn read_holder(file: &mut File) -> Option<Holder> {
    let mut text = String::new();
    file.rewind().ok()?;
    file.take(64 * 1024).read_to_string(&mut text).ok()?;
    serde_json::from_str(&text).ok()
}
