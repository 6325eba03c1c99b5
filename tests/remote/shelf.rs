//! An object store in memory with a clock of its own, that fails, hangs, forgets and cheats on demand.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt as _;
use futures::TryStreamExt as _;
use futures::stream::{self, BoxStream};
use mcm::store::{Bucket, Place};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    ObjectStoreExt as _, PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

/// Below which everything lies.
pub const PREFIX: &str = "team/lab";

/// What shall go wrong at one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Not done, and answered with an error that says nothing.
    Error,
    /// Done, and answered with an error that says nothing.
    ReplyLost,
    /// Not done, and answered as if a condition did not hold: S3's 409 while another write is in flight.
    Conflict,
    /// The process dies before it is sent.
    DiesBefore,
    /// The process dies after it is done.
    DiesAfter,
    /// It waits until [`Shelf::resume`].
    Parked,
    /// Half of what is written is there, and then the process dies: no store should, but who knows.
    Torn,
}

/// What the store does not do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cheat {
    /// It writes what must be new over what is there.
    IgnoresNew,
    /// It writes over another version than the one that is named.
    IgnoresVersion,
}

/// The store. Clones are the same one.
#[derive(Clone)]
pub struct Shelf(Arc<Inner>, Option<Machine>);

/// A machine that can be put to sleep: from then on nothing leaves it, and nothing reaches it.
#[derive(Clone)]
struct Machine {
    asleep: watch::Receiver<bool>,
    /// How long the store takes to answer it.
    latency: Duration,
}

impl Machine {
    async fn awake(&self) {
        // Who puts it to sleep is there for as long as it is.
        let _ = self.asleep.clone().wait_for(|asleep| !asleep).await;
    }
}

struct Inner {
    store: InMemory,
    /// When each object was written, by the server's clock: since it began.
    written: Mutex<BTreeMap<Path, Duration>>,
    began: Instant,
    /// When that was, by this machine's clock.
    epoch: Duration,
    /// How far the server's clock is from this machine's, in seconds.
    skew_s: i64,
    cheat: Option<Cheat>,
    calls: AtomicUsize,
    trap: Mutex<Option<(usize, Fault)>>,
    /// Writes of objects whose path ends so fail, every one.
    blocked: Mutex<Option<&'static str>>,
    /// Something died or was parked.
    sprung: Notify,
    resume: Notify,
}

impl Shelf {
    pub fn new() -> Self {
        Self::with(0, None)
    }

    pub fn with(skew_s: i64, cheat: Option<Cheat>) -> Self {
        let inner = Inner {
            store: InMemory::new(),
            written: Mutex::default(),
            began: Instant::now(),
            epoch: std::time::UNIX_EPOCH.elapsed().unwrap(),
            skew_s,
            cheat,
            calls: AtomicUsize::new(0),
            trap: Mutex::default(),
            blocked: Mutex::default(),
            sprung: Notify::new(),
            resume: Notify::new(),
        };
        Self(Arc::new(inner), None)
    }

    /// As a machine that can be put to sleep sees it.
    pub fn seen_by(&self, asleep: watch::Receiver<bool>, latency: Duration) -> Self {
        Self(Arc::clone(&self.0), Some(Machine { asleep, latency }))
    }

    /// As one process sees it.
    pub fn bucket(&self) -> Bucket {
        Bucket::over(Arc::new(self.clone()), PREFIX, "s3://shelf/team/lab".to_owned())
    }

    pub fn place(&self) -> Place {
        Place::Bucket(self.bucket())
    }

    /// The call after so many more goes wrong.
    pub fn trap(&self, calls: usize, fault: Fault) {
        *self.0.trap.lock().unwrap() = Some((self.0.calls.load(Ordering::SeqCst) + calls, fault));
    }

    /// Whether nothing went wrong yet; nothing will any more.
    pub fn disarm(&self) -> bool {
        self.0.trap.lock().unwrap().take().is_some()
    }

    pub fn block(&self, suffix: Option<&'static str>) {
        *self.0.blocked.lock().unwrap() = suffix;
    }

    /// Ends when the process dies or a call is parked.
    pub async fn sprung(&self) {
        self.0.sprung.notified().await;
    }

    pub fn resume(&self) {
        self.0.resume.notify_one();
    }

    pub fn calls(&self) -> usize {
        self.0.calls.load(Ordering::SeqCst)
    }

    /// The names below the prefix.
    pub async fn names(&self) -> Vec<String> {
        let all: Vec<ObjectMeta> = self.0.store.list(None).try_collect().await.unwrap();
        let name = |meta: &ObjectMeta| meta.location.as_ref()[PREFIX.len() + 1..].to_owned();
        all.iter().map(name).collect()
    }

    /// An object's content.
    pub async fn content(&self, name: &str) -> Option<Vec<u8>> {
        let found = self.0.store.get(&Path::from(format!("{PREFIX}/{name}"))).await.ok()?;
        Some(found.bytes().await.unwrap().to_vec())
    }

    /// Puts an object there behind everyone's back.
    pub async fn plant(&self, name: &str, content: Vec<u8>) {
        self.0.store.put(&Path::from(format!("{PREFIX}/{name}")), content.into()).await.unwrap();
    }

    /// The id of the lock, if it is held.
    pub async fn lock_id(&self) -> Option<String> {
        let slip: serde_json::Value = serde_json::from_slice(&self.content("lock.json").await?).unwrap();
        (!slip["holder"].is_null()).then(|| slip["id"].as_str().unwrap().to_owned())
    }

    /// What goes wrong at this call.
    fn next(&self) -> Option<Fault> {
        let number = self.0.calls.fetch_add(1, Ordering::SeqCst);
        let mut trap = self.0.trap.lock().unwrap();
        match *trap {
            Some((at, fault)) if at <= number => {
                *trap = None;
                Some(fault)
            }
            Some(_) | None => None,
        }
    }

    async fn call<T>(&self, torn: bool, act: impl Future<Output = Result<T>>) -> Result<T> {
        let Some(machine) = &self.1 else { return self.answer(torn, act).await };
        machine.awake().await;
        tokio::time::sleep(machine.latency).await;
        let answer = self.answer(torn, act).await;
        machine.awake().await;
        answer
    }

    async fn answer<T>(&self, torn: bool, act: impl Future<Output = Result<T>>) -> Result<T> {
        match self.next() {
            None => act.await,
            Some(Fault::Error) => Err(broken()),
            Some(Fault::ReplyLost) => {
                let _ = act.await;
                Err(broken())
            }
            Some(Fault::Conflict) => Err(Error::AlreadyExists {
                path: "somewhere".to_owned(),
                source: "ConditionalRequestConflict".into(),
            }),
            Some(Fault::Parked) => {
                self.0.sprung.notify_one();
                self.0.resume.notified().await;
                act.await
            }
            Some(fault) => {
                if fault == Fault::DiesAfter || (fault == Fault::Torn && !torn) {
                    let _ = act.await;
                }
                self.0.sprung.notify_one();
                std::future::pending().await
            }
        }
    }

    fn stamp(&self, path: &Path) {
        self.0.written.lock().unwrap().insert(path.clone(), self.0.began.elapsed());
    }

    /// The server's clock says when it was written.
    fn dated(&self, mut meta: ObjectMeta) -> ObjectMeta {
        let since = self.0.written.lock().unwrap().get(&meta.location).copied().unwrap_or_default();
        // The inner store's clock is this machine's, which a stopped runtime does not stop: nothing of it is used.
        let told = Duration::from_secs(meta.last_modified.timestamp().unsigned_abs());
        let server = meta.last_modified - told + self.0.epoch + since;
        let skew = Duration::from_secs(self.0.skew_s.unsigned_abs());
        meta.last_modified = if self.0.skew_s < 0 { server - skew } else { server + skew };
        meta
    }

    async fn write(&self, path: &Path, payload: PutPayload, mut opts: PutOptions) -> Result<PutResult> {
        match (self.0.cheat, &opts.mode) {
            (Some(Cheat::IgnoresNew), PutMode::Create)
            | (Some(Cheat::IgnoresVersion), PutMode::Update(_)) => {
                opts.mode = PutMode::Overwrite;
            }
            _ => {}
        }
        let done = self.0.store.put_opts(path, payload, opts).await?;
        self.stamp(path);
        Ok(done)
    }
}

fn broken() -> Error {
    Error::Generic { store: "shelf", source: "connection reset".into() }
}

impl fmt::Debug for Shelf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Shelf")
    }
}

impl fmt::Display for Shelf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Shelf")
    }
}

#[async_trait]
impl ObjectStore for Shelf {
    async fn put_opts(&self, location: &Path, payload: PutPayload, opts: PutOptions) -> Result<PutResult> {
        if self.0.blocked.lock().unwrap().is_some_and(|suffix| location.as_ref().ends_with(suffix)) {
            return Err(broken());
        }
        let torn = matches!(*self.0.trap.lock().unwrap(), Some((at, Fault::Torn)) if at <= self.calls());
        if torn {
            let whole: Vec<u8> = payload.iter().flatten().copied().collect();
            let half = PutPayload::from(whole[..whole.len() / 2].to_vec());
            self.write(location, half, opts.clone()).await?;
        }
        self.call(torn, self.write(location, payload, opts)).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let mut found = self.call(false, self.0.store.get_opts(location, options)).await?;
        found.meta = self.dated(found.meta);
        Ok(found)
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let shelf = self.clone();
        let deleted = locations.then(move |location| {
            let shelf = shelf.clone();
            async move {
                let location = location?;
                shelf.call(false, shelf.0.store.delete(&location)).await?;
                Ok(location)
            }
        });
        deleted.boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let (shelf, prefix) = (self.clone(), prefix.cloned());
        let listed = async move {
            let listing = shelf.0.store.list(prefix.as_ref()).try_collect::<Vec<_>>();
            let listed = shelf.call(false, listing).await?;
            Ok::<_, Error>(stream::iter(listed.into_iter().map(Ok)))
        };
        stream::once(listed).try_flatten().boxed()
    }

    async fn put_multipart_opts(
        &self,
        _location: &Path,
        _options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        unreachable!("nothing of ours is so large")
    }

    async fn list_with_delimiter(&self, _prefix: Option<&Path>) -> Result<ListResult> {
        unreachable!("nobody asks for folders")
    }

    async fn copy_opts(&self, _from: &Path, _to: &Path, _options: CopyOptions) -> Result<()> {
        unreachable!("nothing is copied")
    }
}
