//! The state in an object store: conditional writes, the journal's objects, the lease, and runs over all of it while
//! every call to the store fails in turn.
//!
//! Most of it runs over a store in memory, on a stopped clock. `medium` holds other people's stores and our sandbox
//! to the same conversation; `road` and `errors` are the shipped program's.

mod errors;
mod journal;
mod lease;
mod medium;
mod road;
mod runs;
mod servers;
pub mod shelf;

use std::time::Duration;

use mcm::model::{Entry, Ledger as _, LedgerError, State};
use mcm::store::{self, Loaded, Lock, LockError, Place, Store, StoreError, Trouble, TroubleKind};

/// Takes the lock at once or not at all.
async fn lock(place: &Place) -> Result<Lock, LockError> {
    place.lock("apply", Duration::ZERO).await
}

async fn load(place: &Place) -> Result<Loaded, StoreError> {
    store::load(&*place.medium(), Some("lab")).await
}

/// Opens for writing what is there.
async fn open(place: &Place, lock: &Lock) -> (Store, Loaded) {
    let medium = place.medium();
    let known = store::load(&*medium, Some("lab")).await.unwrap();
    (Store::new(medium, "lab", &known, lock), known)
}

async fn record(store: &mut Store, entries: &[Entry], serial: u64) -> Result<(), LedgerError> {
    store.record(entries, &State { serial, ..State::default() }).await
}

/// What kind of trouble an error is.
fn kind(error: &std::io::Error) -> Option<TroubleKind> {
    Trouble::of(error).map(|trouble| trouble.kind)
}

/// A run that begins.
fn began(id: &str) -> Entry {
    Entry::Began(mcm::model::Run {
        id: id.to_owned(),
        mode: mcm::model::Mode::Apply,
        began: jiff::Timestamp::UNIX_EPOCH,
        plan: mcm::model::Digest::default(),
        clouds: mcm::model::Clouds::default(),
    })
}
