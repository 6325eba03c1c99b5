//! The remote lock: one object, `lock.json`, changed on condition alone.
//!
//! A lease runs out by the *server's* time, so that no machine's clock counts: it is renewed while its holder lives,
//! and one that was not renewed for as long as it was given is taken over, by a conditional write that only one of
//! several can win. A holder that could not renew in time stops writing before anyone else may begin.
//!
//! A store that ignores conditions cannot lock. It is found out at the start: of two writes that must both be the
//! first, the second has to fail, and so has one that must follow a version which is gone.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use object_store::{ObjectStoreExt as _, PutMode, UpdateVersion};
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep};

use super::{Bucket, Trouble, TroubleKind, failed, lock};
use crate::store::lock::{Holder, Lasting, LockError};

/// The lock's object.
const LOCK: &str = "lock.json";
/// A lease holds for so long after it was last renewed.
const LEASE: Duration = Duration::from_mins(1);
/// It is renewed so often.
const RENEWAL: Duration = Duration::from_secs(20);
/// A renewal that failed is tried again so soon.
const AGAIN: Duration = Duration::from_secs(5);
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
    /// Wakes who waits for its end.
    told: tokio::sync::Notify,
}

/// Takes the lock, waiting at most `patience` for another holder.
pub(in crate::store) async fn take(
    bucket: &Bucket,
    holder: Holder,
    patience: Duration,
) -> Result<Lease, LockError> {
    let broken = |source| LockError::Io { file: place(bucket), source };
    probe(bucket).await.map_err(broken)?;
    let start = Instant::now();
    let id = fresh_id().map_err(broken)?;
    loop {
        let slip =
            Slip { holder: Some(holder.clone()), id: id.clone(), lease_s: LEASE.as_secs(), renewals: 0 };
        let sent = Instant::now();
        let mode = match look(bucket).await.map_err(broken)? {
            Seen::Nothing => PutMode::Create,
            Seen::Free(version) => PutMode::Update(version),
            Seen::Taken(..) if start.elapsed() < patience => {
                sleep(PAUSE.min(patience)).await;
                continue;
            }
            Seen::Taken(slip, until) => {
                let lease = Some(Lasting { id: slip.id, until });
                return Err(LockError::Held { by: slip.holder, lease, waited: patience });
            }
        };
        match write(bucket, &slip, mode).await {
            Ok(version) => return Ok(Lease::new(bucket.clone(), slip, version, sent)),
            // Another one was quicker: look again.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(broken(error)),
        }
    }
}

/// Takes away the lock of this id, whoever holds it. `false` if it is not held under this id.
pub(in crate::store) async fn unlock(bucket: &Bucket, id: &str) -> io::Result<bool> {
    let Some((content, version)) = bucket.get(&bucket.path(LOCK)).await? else { return Ok(false) };
    let slip = read(&content)?;
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
    /// Until then, by the server's clock, if it is not renewed.
    Taken(Slip, Timestamp),
}

fn read(content: &[u8]) -> io::Result<Slip> {
    let slip = serde_json::from_slice(content);
    slip.map_err(|error| {
        Trouble::error(TroubleKind::Unclear, format!("it is no lock of mcm, or damaged: {error}"))
    })
}

async fn look(bucket: &Bucket) -> io::Result<Seen> {
    let path = bucket.path(LOCK);
    let Some((content, version)) = bucket.get(&path).await? else { return Ok(Seen::Nothing) };
    let slip = read(&content)?;
    if slip.holder.is_none() {
        return Ok(Seen::Free(version));
    }
    let written = modified(bucket, &path).await?;
    let lease = SignedDuration::from_secs(i64::try_from(slip.lease_s).unwrap_or(i64::MAX));
    // The two times are the same clock's: the server's.
    let over = server_time(bucket).await?.duration_since(written) > lease;
    Ok(if over {
        Seen::Free(version)
    } else {
        Seen::Taken(slip, written.saturating_add(lease).unwrap_or(written))
    })
}

/// When the server says that an object was last written.
async fn modified(bucket: &Bucket, path: &object_store::path::Path) -> io::Result<Timestamp> {
    let meta = bucket.0.store.head(path).await.map_err(|error| failed(&error))?;
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

/// Finds out whether the store keeps conditions: that something is new, and that it is still what it was.
async fn probe(bucket: &Bucket) -> io::Result<()> {
    let path = bucket.path(&format!("probe-{}", fresh_id()?));
    let probed = async {
        let first = bucket.put(&path, b"1", PutMode::Create).await?;
        must_fail(bucket.put(&path, b"2", PutMode::Create).await)?;
        bucket.put(&path, b"3", PutMode::Update(first.clone())).await?;
        must_fail(bucket.put(&path, b"4", PutMode::Update(first)).await)
    };
    let probed = probed.await;
    // Should it stay, it is an object of one byte that nobody reads.
    let _ = bucket.0.store.delete(&path).await;
    probed
}

/// A write whose condition does not hold.
fn must_fail(written: io::Result<UpdateVersion>) -> io::Result<()> {
    match written {
        Err(error) if Trouble::is(&error, TroubleKind::Lost) => Ok(()),
        Err(error) => Err(error),
        Ok(_) => Err(Trouble::error(
            TroubleKind::Unconditional,
            "this store writes whatever the condition (If-None-Match, If-Match), so it cannot hold a lock",
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
            told: tokio::sync::Notify::new(),
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
        let (bucket, id) = (&self.held.bucket, slip.id.clone());
        let given = write(bucket, &Slip { holder: None, ..slip }, PutMode::Update(version)).await;
        // A renewal may have been under way. What cannot be given back runs out by itself.
        if given.is_err() {
            let _ = unlock(bucket, &id).await;
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.renewing.abort();
    }
}

/// Renews until it is lost.
async fn renew(held: Arc<Held>) {
    let mut pause = RENEWAL;
    loop {
        sleep(pause).await;
        let (slip, version) = lock(&held.slip).clone();
        let slip = Slip { renewals: slip.renewals + 1, ..slip };
        let sent = Instant::now();
        pause = match write(&held.bucket, &slip, PutMode::Update(version)).await {
            Ok(version) => {
                *lock(&held.slip) = (slip, version);
                *lock(&held.renewed) = sent;
                RENEWAL
            }
            Err(error) if Trouble::is(&error, TroubleKind::Lost) => {
                held.lost.store(true, Ordering::SeqCst);
                held.told.notify_waiters();
                return;
            }
            // The network, most likely: there is time for another try.
            Err(_) => AGAIN,
        }
    }
}

/// The right to write, as long as it lasts.
#[derive(Clone, Debug)]
pub(in crate::store) struct Guard(Arc<Held>);

impl Guard {
    /// Names the holding.
    pub(in crate::store) fn id(&self) -> String {
        lock(&self.0.slip).0.id.clone()
    }

    /// Fails when the lease is lost, or about to run out.
    pub(in crate::store) fn require(&self) -> io::Result<()> {
        if self.left() < MARGIN { Err(Self::lost()) } else { Ok(()) }
    }

    /// Ends when the lease is lost or has run out.
    pub(in crate::store) async fn ended(&self) {
        loop {
            let told = self.0.told.notified();
            let left = self.left();
            if left.is_zero() {
                return;
            }
            // It may be renewed meanwhile.
            tokio::select! { () = told => {}, () = sleep(left) => {} }
        }
    }

    fn left(&self) -> Duration {
        if self.0.lost.load(Ordering::SeqCst) {
            return Duration::ZERO;
        }
        LEASE.saturating_sub(lock(&self.0.renewed).elapsed())
    }

    pub(in crate::store) fn lost() -> io::Error {
        let why =
            "the lock of this stack is not held any more: it was taken away, or could not be renewed in time";
        Trouble::error(TroubleKind::Lost, why)
    }
}
