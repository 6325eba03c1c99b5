//! Where a stack's files lie, and the lock that goes with the place.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::lock::{Holder, Local, LockError};
use super::remote::{Bucket, lease};
use super::{Folder, Medium};

/// Pipelines kill soon after they have asked to stop.
const RELEASING: Duration = Duration::from_millis(1500);

/// A place: a folder on this machine, or a prefix in an object store.
#[derive(Clone, Debug)]
pub enum Place {
    /// On this machine.
    Folder(Folder),
    /// In an object store.
    Bucket(Bucket),
}

/// The right to change what a stack owns. Dropped without [`Lock::release`], a remote one runs out by itself.
#[derive(Debug)]
pub struct Lock(Kind);

#[derive(Debug)]
enum Kind {
    Local(Local),
    Lease(lease::Lease),
}

impl Place {
    /// Takes the stack's lock for `command`, waiting at most `patience` for another holder to let go.
    pub async fn lock(&self, command: &str, patience: Duration) -> Result<Lock, LockError> {
        Ok(Lock(match self {
            Self::Folder(folder) => Kind::Local(folder.lock(command, patience).await?),
            Self::Bucket(bucket) => Kind::Lease(lease::take(bucket, Holder::this(command), patience).await?),
        }))
    }

    /// Takes away a remote lock that a dead run left, named by its id; `None` where the lock is this machine's own,
    /// which ends with its process.
    pub async fn unlock(&self, id: &str) -> io::Result<Option<bool>> {
        match self {
            Self::Folder(_) => Ok(None),
            Self::Bucket(bucket) => lease::unlock(bucket, id).await.map(Some),
        }
    }

    /// The files.
    pub fn medium(&self) -> Arc<dyn Medium> {
        match self {
            Self::Folder(folder) => Arc::new(folder.clone()),
            Self::Bucket(bucket) => Arc::new(bucket.clone()),
        }
    }
}

impl Lock {
    /// Lets go.
    pub async fn release(self) {
        match self.0 {
            Kind::Local(local) => drop(local),
            // What cannot be given back in time runs out by itself.
            Kind::Lease(lease) => drop(tokio::time::timeout(RELEASING, lease.release()).await),
        }
    }

    /// What must hold before each write; a local lock holds until it is dropped.
    pub(super) fn guard(&self) -> Option<lease::Guard> {
        match &self.0 {
            Kind::Local(_) => None,
            Kind::Lease(lease) => Some(lease.guard()),
        }
    }
}
