//! What a stack owns, durably, and the lock on it.
//!
//! - [`Folder`]: the local backend. One stack, one folder (mode 0700), two files (0600): `state.json`, replaced
//!   whole or not at all, and `lock.json`, held through the operating system's file lock, so that a crashed
//!   holder leaves none behind.
//! - A state that cannot be read, that another stack wrote or that a newer mcm wrote is an error and is never
//!   overwritten. No symbolic link is followed below the stack's folder.
//!
//! Absences: no attribute value is ever written here, and nothing here knows a cloud. A backend in an object
//! store takes the place of [`Folder`] behind the same three verbs: load, lock, record.

mod files;
mod folder;
mod lock;

pub use folder::{Folder, Store, StoreError};
pub use lock::{Holder, Lock, LockError};

pub use files::{make_private_folder, read_private, write_private};
