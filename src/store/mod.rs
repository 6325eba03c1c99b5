//! What a stack owns and what its runs did, durably, and the lock on it.
//!
//! - [`Medium`]: where the files lie. [`Folder`] is the local one: one stack, one folder (mode 0700); [`Bucket`] the
//!   remote one.
//! - `state.json` is replaced whole or not at all; `journal.jsonl` only grows, and is there while a run is not over.
//!   [`Store`] writes both; [`load`] reads both as one truth.
//! - [`Place`]: a medium with its [`Lock`]. On a disk the operating system's file lock holds it, so that a crashed
//!   holder leaves none behind; in an object store a lease, which runs out by the server's time.
//! - What cannot be read, what another stack wrote or what a newer mcm wrote is an error and is never overwritten. No
//!   symbolic link is followed below the stack's folder.
//!
//! Absences: no secret is ever written here, and nothing here knows a cloud's resource types.

mod backend;
mod files;
mod folder;
mod journal;
mod lock;
mod medium;
mod records;
mod remote;

pub use backend::{Lock, Place};
pub use folder::Folder;
pub use lock::{Holder, Lasting, LockError};
pub use medium::Medium;
pub use records::{Loaded, Store, StoreError, load};
pub use remote::{Bucket, Credential, Keys, Trouble, TroubleKind, Unusable};

pub use files::{make_private_folder, read_private, write_private};
