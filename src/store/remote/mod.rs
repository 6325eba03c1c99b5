//! The remote medium: a prefix in an object store, with conditional writes in the place of a disk's order.
//!
//! - `state.json` is replaced on condition that it is still the version that this run saw last. It is written with
//!   every entry, so it is the fence: a run whose lock was taken over, and that does not know it yet, fails there
//!   before it sends anything.
//! - `journal.jsonl` is a row of numbered objects, each written on condition that it is new: a journal on a runner's
//!   disk would die with the runner. They are taken away first to last, so that what a crash leaves of them ends as
//!   the whole did: by saying that it is over.
//! - A write whose reply is lost is looked for: every write's content is its own, so that finding it says whose it is.
//!   The transport may for that reason send a write again.
//! - [`lease`] is the lock.
//!
//! S3's part is tested against our sandbox and ministack, Blob storage's against azurite. Cloud Storage's
//! has met no emulator that honours its conditions, and no real cloud.

mod carrier;
mod connect;
pub(super) mod lease;
mod trouble;

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures::{StreamExt as _, TryStreamExt as _};
use object_store::path::Path;
use object_store::{Error, ObjectStore, ObjectStoreExt as _, PutMode, PutOptions, PutPayload, UpdateVersion};

use super::Medium;
use crate::model::Backend;

use trouble::{failed, is_no_bucket};

pub use connect::{Credential, Keys, Unusable};
pub use trouble::{Trouble, TroubleKind};

/// A journal has no more objects than this; they are numbered in eight digits.
const MOST_SEGMENTS: usize = 1_000_000;
/// No object of ours is larger.
const LARGEST: u64 = 256 * 1024 * 1024;
/// So many objects are read at once.
const AT_ONCE: usize = 16;
/// A write that met another one in flight, and a journal that was taken away while it was read, are tried so often.
const TRIES: usize = 3;
/// Between two of them.
const PAUSE: Duration = Duration::from_millis(200);

/// A prefix in an object store.
#[derive(Clone)]
pub struct Bucket(Arc<Inner>);

struct Inner {
    store: Arc<dyn ObjectStore>,
    prefix: Path,
    /// For messages.
    name: String,
    /// The version of each replaced file that was seen last; `None` where there was none.
    versions: Mutex<BTreeMap<String, Option<UpdateVersion>>>,
    /// How many objects the journal has.
    segments: Mutex<Option<usize>>,
}

impl fmt::Debug for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bucket({})", self.0.name)
    }
}

impl Bucket {
    /// The place that a stack names, reached with these keys. Sends nothing.
    pub fn open(backend: &Backend, region: Option<&str>, keys: Keys) -> Result<Self, Unusable> {
        Ok(Self::over(connect::connect(backend, region, keys)?, &backend.prefix, backend.to_string()))
    }

    /// Any object store, for tests.
    pub fn over(store: Arc<dyn ObjectStore>, prefix: &str, name: String) -> Self {
        let (versions, segments) = (Mutex::default(), Mutex::default());
        Self(Arc::new(Inner { store, prefix: Path::from(prefix), name, versions, segments }))
    }

    /// Its address.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    fn path(&self, name: &str) -> Path {
        name.split('/').fold(self.0.prefix.clone(), Path::join)
    }

    fn segment(&self, name: &str, number: usize) -> Path {
        self.path(&format!("{name}/{number:08}"))
    }

    /// The numbers of a journal's objects.
    async fn numbers(&self, name: &str) -> io::Result<Vec<usize>> {
        let listed = self.0.store.list(Some(&self.path(name)));
        let listed = listed.take(MOST_SEGMENTS).try_collect::<Vec<_>>().await;
        let listed = listed.map_err(|error| failed(&error))?;
        let number = |path: &Path| path.filename()?.parse().ok();
        let mut numbers: Vec<usize> = listed.iter().filter_map(|found| number(&found.location)).collect();
        numbers.sort_unstable();
        Ok(numbers)
    }

    /// An object and its version; `None` if it is not there.
    async fn get(&self, path: &Path) -> io::Result<Option<(Vec<u8>, UpdateVersion)>> {
        match self.0.store.get(path).await {
            Ok(found) => {
                if found.meta.size > LARGEST {
                    return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is too large"));
                }
                let (e_tag, version) = (found.meta.e_tag.clone(), found.meta.version.clone());
                let content = found.bytes().await.map_err(|error| failed(&error))?;
                Ok(Some((content.to_vec(), UpdateVersion { e_tag, version })))
            }
            Err(error @ Error::NotFound { .. }) if !is_no_bucket(&error) => Ok(None),
            Err(error) => Err(failed(&error)),
        }
    }

    /// Writes an object on a condition; an error of kind `AlreadyExists` says that it did not hold. The content must be
    /// like no other: it tells whether a write without a clear answer has happened.
    async fn put(&self, path: &Path, content: &[u8], mode: PutMode) -> io::Result<UpdateVersion> {
        for turn in 1..=TRIES {
            let (payload, options) = (PutPayload::from(content.to_vec()), PutOptions::from(mode.clone()));
            let unclear = match self.0.store.put_opts(path, payload, options).await {
                Ok(done) => return Ok(done.into()),
                Err(Error::AlreadyExists { .. } | Error::Precondition { .. }) => None,
                Err(error) => Some(failed(&error)),
            };
            if let Some(error) = &unclear
                && !Trouble::is(error, TroubleKind::Unclear)
            {
                return Err(unclear.unwrap_or_else(lost));
            }
            match (self.get(path).await?, unclear) {
                // It is ours: the reply was lost on the way.
                (Some((found, version)), _) if found == content => return Ok(version),
                // S3 answers 409 while another conditional write is in flight that then fails itself.
                (None, None) if matches!(mode, PutMode::Create) && turn < TRIES => {
                    tokio::time::sleep(PAUSE).await;
                }
                (_, None) => return Err(lost()),
                (_, Some(error)) => return Err(error),
            }
        }
        Err(lost())
    }

    /// A journal's content; `None` where another run took it away meanwhile.
    async fn pieces(&self, name: &str, numbers: &[usize]) -> io::Result<Option<Vec<Vec<u8>>>> {
        let mut reads = Vec::with_capacity(numbers.len());
        for number in numbers {
            let path = self.segment(name, *number);
            reads.push(async move { self.get(&path).await });
        }
        let pieces: Vec<_> = futures::stream::iter(reads).buffered(AT_ONCE).try_collect().await?;
        Ok(pieces.into_iter().map(|piece| piece.map(|(content, _)| content)).collect())
    }

    /// Takes away what stands behind the whole lines of a journal. An object is there whole or not at all, but who
    /// knows every store.
    async fn cut(&self, name: &str, whole: usize) -> io::Result<()> {
        let numbers = self.numbers(name).await?;
        let Some(pieces) = self.pieces(name, &numbers).await? else { return Err(lost()) };
        let mut end = 0;
        for (number, piece) in numbers.into_iter().zip(pieces) {
            end += piece.len();
            if end > whole {
                self.delete(&self.segment(name, number)).await?;
            }
        }
        *lock(&self.0.segments) = None;
        Ok(())
    }

    async fn delete(&self, path: &Path) -> io::Result<()> {
        match self.0.store.delete(path).await {
            Ok(()) | Err(Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(failed(&error)),
        }
    }
}

/// A condition did not hold, and what is there is not ours.
fn lost() -> io::Error {
    Trouble::error(
        TroubleKind::Lost,
        "somebody else has written it meanwhile, so another run holds this stack by now",
    )
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether a file is written in pieces that are put one behind the other.
fn grows(name: &str) -> bool {
    name == super::records::JOURNAL
}

#[async_trait]
impl Medium for Bucket {
    fn place(&self, name: &str) -> String {
        format!("{}/{name}", self.0.name)
    }

    async fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        if !grows(name) {
            let found = self.get(&self.path(name)).await?;
            let (content, version) =
                found.map_or((None, None), |(content, version)| (Some(content), Some(version)));
            lock(&self.0.versions).insert(name.to_owned(), version);
            return Ok(content);
        }
        for _ in 0..TRIES {
            let numbers = self.numbers(name).await?;
            *lock(&self.0.segments) = Some(numbers.last().map_or(0, |last| last + 1));
            if numbers.is_empty() {
                return Ok(None);
            }
            if let Some(pieces) = self.pieces(name, &numbers).await? {
                return Ok(Some(pieces.concat()));
            }
        }
        Err(Trouble::error(TroubleKind::Unclear, "other runs come and go while it is read"))
    }

    async fn append(&self, name: &str, content: &[u8]) -> io::Result<()> {
        let known = *lock(&self.0.segments);
        let next = match known {
            Some(next) => next,
            None => self.numbers(name).await?.last().map_or(0, |last| last + 1),
        };
        self.put(&self.segment(name, next), content, PutMode::Create).await?;
        *lock(&self.0.segments) = Some(next + 1);
        Ok(())
    }

    async fn replace(&self, name: &str, content: &[u8]) -> io::Result<()> {
        if grows(name) {
            return self.cut(name, content.len()).await;
        }
        let seen = lock(&self.0.versions).get(name).cloned().flatten();
        let mode = seen.map_or(PutMode::Create, PutMode::Update);
        let version = self.put(&self.path(name), content, mode).await?;
        lock(&self.0.versions).insert(name.to_owned(), Some(version));
        Ok(())
    }

    async fn remove(&self, name: &str) -> io::Result<()> {
        let paths: Vec<Path> = if grows(name) {
            self.numbers(name).await?.into_iter().map(|number| self.segment(name, number)).collect()
        } else {
            vec![self.path(name)]
        };
        for path in paths {
            self.delete(&path).await?;
        }
        lock(&self.0.versions).insert(name.to_owned(), None);
        *lock(&self.0.segments) = Some(0);
        Ok(())
    }
}
