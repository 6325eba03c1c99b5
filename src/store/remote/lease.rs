//! The remote lock: one object, `lock.json`, changed on condition alone.
//!
//! A lease runs out by the *server's* time, so that no machine's clock counts: it is renewed while its holder lives,
//! and one that was not renewed for as long as it was given is taken over, by a conditional write that only one of
//! several can win. A holder that could not renew in time stops writing before anyone else may begin.
//!
//! A store that ignores conditions cannot lock. It is found out at the start: of two writes that must both be the
//! first, the second has to fail.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use object_store::{ObjectStoreExt as _, PutMode, UpdateVersion};
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep};

use super::{Bucket, lock};
use crate::store::lock::{Holder, LockError};

/// The lock's object.
const LOCK: &str = "lock.json";
/// A lease holds for so long after it was last renewed.
const LEASE: Duration = Duration::from_mins(1);
/// It is renewed so often.
const RENEWAL: Duration = Duration::from_secs(20);
/// Nothing is written when less than this is left of it: a write takes its time.
const MARGIN: Duration = Duration::from_secs(15);
/// How often a lock that someone else holds is looked at again.
const PAUSE: Duration = Duration::from_secs(2);

/// What the object says.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Slip {
    /// Who holds it; `None` where no one does.
    holder: Option<Holder>,
    /// Names this holding; what `mcm unlock` takes.
    id: String,
    /// In seconds, from when the object was last written.
    lease_s: u64,
    /// Grows with each renewal, so that each is another version of the object.
    renewals: u64,
}

/// A lease that is held.
#[derive(Debug)]
pub(in crate::store) struct Lease {
    held: Arc<Held>,
    renewing: tokio::task::JoinHandle<()>,
}

/// What the holder and the renewal share.
#[derive(Debug)]
struct Held {
    bucket: Bucket,
    slip: Mutex<(Slip, UpdateVersion)>,
    /// When it was last known to be ours, by this machine's monotonic clock, taken before the request was sent.
    renewed: Mutex<Instant>,
    lost: AtomicBool,
}

/// Takes the lock, waiting at most `patience` for another holder.
pub(in crate::store) async fn take(
    bucket: &Bucket,
    holder: Holder,
    patience: Duration,
) -> Result<Lease, LockError> {
    let failed = |source| LockError::Io { file: place(bucket), source };
    probe(bucket).await.map_err(failed)?;
    let start = Instant::now();
    let id = fresh_id().map_err(failed)?;
    loop {
        let slip =
            Slip { holder: Some(holder.clone()), id: id.clone(), lease_s: LEASE.as_secs(), renewals: 0 };
        let sent = Instant::now();
        let mode = match look(bucket).await.map_err(failed)? {
            Seen::Nothing => PutMode::Create,
            Seen::Free(version) => PutMode::Update(version),
            Seen::Taken(_) if start.elapsed() < patience => {
                sleep(PAUSE.min(patience)).await;
                continue;
            }
            Seen::Taken(slip) => {
                return Err(LockError::Held { by: slip.holder, lease: Some(slip.id), waited: patience });
            }
        };
        match write(bucket, &slip, mode).await {
            Ok(version) => return Ok(Lease::new(bucket.clone(), slip, version, sent)),
            // Another one was quicker: look again.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(failed(error)),
        }
    }
}

/// Takes away the lock of this id, whoever holds it. `false` if it is not held under this id.
pub(in crate::store) async fn unlock(bucket: &Bucket, id: &str) -> io::Result<bool> {
    let Some((content, version)) = bucket.get(&bucket.path(LOCK)).await? else { return Ok(false) };
    let slip: Slip = serde_json::from_slice(&content)?;
    if slip.id != id || slip.holder.is_none() {
        return Ok(false);
    }
    write(bucket, &Slip { holder: None, ..slip }, PutMode::Update(version)).await?;
    Ok(true)
}

/// What stands in the lock's place.
enum Seen {
    Nothing,
    /// Nobody's, or run out.
    Free(UpdateVersion),
    Taken(Slip),
}

async fn look(bucket: &Bucket) -> io::Result<Seen> {
    let path = bucket.path(LOCK);
    let Some((content, version)) = bucket.get(&path).await? else { return Ok(Seen::Nothing) };
    let slip: Slip = serde_json::from_slice(&content)?;
    if slip.holder.is_none() {
        return Ok(Seen::Free(version));
    }
    let written = modified(bucket, &path).await?;
    let lease = SignedDuration::from_secs(i64::try_from(slip.lease_s).unwrap_or(i64::MAX));
    // The two times are the same clock's: the server's.
    let over = server_time(bucket).await?.duration_since(written) > lease;
    Ok(if over { Seen::Free(version) } else { Seen::Taken(slip) })
}

/// When the server says that an object was last written.
async fn modified(bucket: &Bucket, path: &object_store::path::Path) -> io::Result<Timestamp> {
    let meta = bucket.0.store.head(path).await.map_err(super::failed)?;
    Timestamp::from_second(meta.last_modified.timestamp()).map_err(io::Error::other)
}

/// What time it is at the server: it says when it took something in.
async fn server_time(bucket: &Bucket) -> io::Result<Timestamp> {
    let path = bucket.path(&format!("clock-{}", fresh_id()?));
    bucket.put(&path, b"{}", PutMode::Create).await?;
    let now = modified(bucket, &path).await;
    // Should it stay, it is an object of two bytes that nobody reads.
    let _ = bucket.0.store.delete(&path).await;
    now
}

/// Finds out whether the store keeps conditions.
async fn probe(bucket: &Bucket) -> io::Result<()> {
    let path = bucket.path(&format!("probe-{}", fresh_id()?));
    bucket.put(&path, b"1", PutMode::Create).await?;
    let second = bucket.put(&path, b"2", PutMode::Create).await;
    let _ = bucket.0.store.delete(&path).await;
    match second {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
        Ok(_) => Err(io::Error::new(
            io::ErrorKind::Unsupported,
            "this store overwrites what must be new, so it cannot lock; use one with conditional writes",
        )),
    }
}

async fn write(bucket: &Bucket, slip: &Slip, mode: PutMode) -> io::Result<UpdateVersion> {
    bucket.put(&bucket.path(LOCK), &serde_json::to_vec_pretty(slip)?, mode).await
}

fn place(bucket: &Bucket) -> std::path::PathBuf {
    format!("{}/{LOCK}", bucket.name()).into()
}

fn fresh_id() -> io::Result<String> {
    let mut random = [0_u8; 8];
    getrandom::fill(&mut random).map_err(io::Error::other)?;
    Ok(hex::encode(random))
}

impl Lease {
    fn new(bucket: Bucket, slip: Slip, version: UpdateVersion, sent: Instant) -> Self {
        let held = Arc::new(Held {
            bucket,
            slip: Mutex::new((slip, version)),
            renewed: Mutex::new(sent),
            lost: AtomicBool::new(false),
        });
        let renewing = tokio::spawn(renew(Arc::clone(&held)));
        Self { held, renewing }
    }

    /// Says whether the lease is still ours, with time to spare for a write.
    pub(in crate::store) fn guard(&self) -> Guard {
        Guard(Arc::clone(&self.held))
    }

    /// Gives it back, if it is still ours.
    pub(in crate::store) async fn release(self) {
        self.renewing.abort();
        let (slip, version) = lock(&self.held.slip).clone();
        // What cannot be given back runs out by itself.
        let _ = write(&self.held.bucket, &Slip { holder: None, ..slip }, PutMode::Update(version)).await;
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.renewing.abort();
    }
}

/// Renews until it is lost.
async fn renew(held: Arc<Held>) {
    loop {
        sleep(RENEWAL).await;
        let (slip, version) = lock(&held.slip).clone();
        let slip = Slip { renewals: slip.renewals + 1, ..slip };
        let sent = Instant::now();
        match write(&held.bucket, &slip, PutMode::Update(version)).await {
            Ok(version) => {
                *lock(&held.slip) = (slip, version);
                *lock(&held.renewed) = sent;
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                held.lost.store(true, Ordering::SeqCst);
                return;
            }
            // The network, most likely: there is time for another try.
            Err(_) => {}
        }
    }
}

/// The right to write, as long as it lasts.
#[derive(Clone, Debug)]
pub(in crate::store) struct Guard(Arc<Held>);

impl Guard {
    /// Fails when the lease is lost, or about to run out.
    pub(in crate::store) fn require(&self) -> io::Result<()> {
        let left = LEASE.saturating_sub(lock(&self.0.renewed).elapsed());
        if self.0.lost.load(Ordering::SeqCst) || left < MARGIN {
            let why = "the lock of this stack is not held any more: it was taken away, or could not be renewed in time";
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, why));
        }
        Ok(())
    }
}
