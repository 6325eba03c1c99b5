//! Large content, by the digest of what it is: in memory for simulation, in files for a served sandbox.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::files;

/// Where large content is kept.
#[derive(Clone, Debug)]
pub enum Blobs {
    /// In memory.
    Memory(HashMap<String, Bytes>),
    /// One file each in this folder, named by its digest.
    Folder(PathBuf),
}

impl Default for Blobs {
    fn default() -> Self {
        Self::Memory(HashMap::new())
    }
}

impl Blobs {
    /// The name of this content: its SHA-256 digest, hexadecimal.
    pub fn name(content: &[u8]) -> String {
        hex::encode(Sha256::digest(content))
    }

    /// Keeps the content. A file is in place whole or not at all.
    pub fn put(&mut self, name: &str, content: &Bytes) -> io::Result<()> {
        match self {
            Self::Memory(blobs) => {
                blobs.insert(name.to_owned(), content.clone());
                Ok(())
            }
            Self::Folder(folder) => {
                let path = folder.join(name);
                if path.exists() {
                    return Ok(());
                }
                files::replace(&path, content).map(drop)
            }
        }
    }

    /// The content of that name.
    pub fn get(&self, name: &str) -> Option<Bytes> {
        match self {
            Self::Memory(blobs) => blobs.get(name).cloned(),
            Self::Folder(folder) => std::fs::read(folder.join(name)).ok().map(Bytes::from),
        }
    }

    /// Removes the files of a folder that are not in `used`: left behind by deletions and by a killed server.
    pub fn sweep(folder: &Path, used: &BTreeSet<String>) -> io::Result<()> {
        for entry in std::fs::read_dir(folder)? {
            let entry = entry?;
            let unused = entry.file_name().to_str().is_none_or(|name| !used.contains(name));
            if unused && entry.file_type()?.is_file() {
                std::fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }
}
