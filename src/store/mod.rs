//! What a stack owns and what its runs did, durably, and the lock on it.
//!
//! - [`Medium`]: where the files lie. [`Folder`] is the local one: one stack, one folder (mode 0700).
//! - `state.json` is replaced whole or not at all; `journal.jsonl` only grows, and is there while a run is not over.
//!   [`Store`] writes both; [`load`] reads both as one truth.
//! - [`Lock`]: held through the operating system's file lock, so that a crashed holder leaves none behind.
//! - What cannot be read, what another stack wrote or what a newer mcm wrote is an error and is never overwritten. No
//!   symbolic link is followed below the stack's folder.
//!
//! Absences: no secret is ever written here, and nothing here knows a cloud's resource types.

mod files;
mod folder;
mod journal;
mod lock;
mod medium;
mod records;

pub use folder::Folder;
pub use lock::{Holder, Lock, LockError};
pub use medium::Medium;
pub use records::{Loaded, Store, StoreError, load};

pub use files::{make_private_folder, read_private, write_private};
