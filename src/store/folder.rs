//! The local medium: a folder of one stack.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;

use super::Medium;
use super::files::{append_private, make_private_folder, read_private, remove_private, write_private};
use super::lock::{Local, LockError};

/// Where what is known of one stack lies. Nothing is made before it is needed.
#[derive(Clone, Debug)]
pub struct Folder {
    folder: PathBuf,
}

impl Folder {
    /// The one at this path.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }

    /// Takes the stack's lock for `command`, waiting at most `patience`. Makes the folder.
    pub(super) async fn lock(&self, command: &str, patience: Duration) -> Result<Local, LockError> {
        let file = self.folder.join("lock.json");
        if let Err(source) = make_private_folder(&self.folder) {
            return Err(LockError::Io { file, source });
        }
        Local::take(&file, command, patience).await
    }
}

/// The disk is quick: nothing is gained by waiting for it elsewhere.
#[async_trait]
impl Medium for Folder {
    fn place(&self, name: &str) -> String {
        self.folder.join(name).display().to_string()
    }

    async fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        refuse_link(&self.folder)?;
        read_private(&self.folder.join(name))
    }

    async fn append(&self, name: &str, content: &[u8]) -> io::Result<()> {
        append_private(&self.folder.join(name), content)
    }

    async fn replace(&self, name: &str, content: &[u8]) -> io::Result<()> {
        write_private(&self.folder.join(name), content)
    }

    async fn remove(&self, name: &str) -> io::Result<()> {
        remove_private(&self.folder.join(name))
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
