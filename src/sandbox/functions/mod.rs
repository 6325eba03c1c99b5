//! Functions as processes: each invocation is run by the `bootstrap` of the function's own archive, through Lambda's
//! Runtime API, with temporary keys of the function's role.
//!
//! A process serves one version of a function, one event at a time, and is kept for the next; until that comes it is
//! stopped, as Lambda freezes it. It lives no longer than this server, however that ends: each is held by a lifeline (see
//! `process`). Absences: isolation (a function is a process of whoever runs the sandbox, with the machine's files and
//! network), foreign architectures, layers and extensions, a limit on `/tmp`; the memory limit is watched, and that on
//! Linux alone; a child that makes itself a group of its own is not stopped between events.

mod archive;
mod environment;
mod group;
mod instance;
mod output;
mod process;
mod runtime_api;

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::{Semaphore, watch};

use super::World;
use super::aws::{self, Invocation, Outcome, Then};
use super::server::Endpoints;
use super::transport::Shared;
use instance::{Failure, Instance};
use process::Lifelines;

/// So many invocations run at once.
const MOST_AT_ONCE: usize = 32;
/// So many processes are kept for another event.
const MOST_IDLE: usize = 16;
/// A process is kept so long without an event.
const IDLE: Duration = Duration::from_mins(10);
/// How often idle processes are looked over, if nothing else happens.
const PRUNING: Duration = Duration::from_secs(30);
/// What cannot be written is tried again after such a time, and then after twice that, and so on.
const PAUSE: Duration = Duration::from_secs(1);
/// But not later than after this.
const LONGEST_PAUSE: Duration = Duration::from_mins(1);
/// A role's temporary keys are good for so long.
const KEYS: SignedDuration = SignedDuration::from_hours(1);
/// A process gets no more events well before its keys end: no function runs longer than 15 minutes.
const LIFE: Duration = Duration::from_mins(40);

/// Runs functions.
#[derive(Debug)]
pub(super) struct Runner {
    endpoints: Endpoints,
    /// Archives unpacked.
    folder: PathBuf,
    idle: Mutex<Vec<(Instant, Instance)>>,
    lifelines: Arc<Lifelines>,
    places: Semaphore,
    /// Keys of queued events that are being run.
    busy: Mutex<HashSet<String>>,
    /// Archives are unpacked and processes started one after the other: a process that is being started would inherit
    /// a file that is just being written, which then cannot be executed.
    starting: tokio::sync::Mutex<()>,
}

impl Runner {
    /// Runs functions whose clouds are at these endpoints. The folder is emptied: it is a cache.
    pub(super) fn new(endpoints: Endpoints, folder: PathBuf) -> std::io::Result<Self> {
        archive::clear(&folder)?;
        super::files::folder(&folder)?;
        Ok(Self {
            endpoints,
            folder,
            idle: Mutex::default(),
            lifelines: Arc::default(),
            places: Semaphore::new(MOST_AT_ONCE),
            busy: Mutex::default(),
            starting: tokio::sync::Mutex::default(),
        })
    }

    /// Ends every process, and removes the folder: whoever empties the sandbox's may not have to do with what is closed.
    pub(super) fn stop(&self) {
        self.idle().clear();
        self.lifelines.cut_all();
        let _ = archive::clear(&self.folder);
    }

    /// Runs a function once.
    pub(super) async fn run(&self, shared: &Shared, invocation: &Invocation) -> Outcome {
        let began = Timestamp::now();
        let Ok(_place) = self.places.try_acquire() else {
            return Outcome { throttled: true, ..nothing(began, "") };
        };
        let (mut instance, init) = match self.warm(invocation) {
            Some(instance) => (instance, None),
            None => match self.start(shared, invocation).await {
                Ok(instance) => (instance, Some(Instant::now())),
                Err(Failure { kind, message }) => {
                    let body = aws::error_document(&invocation.request_id, kind, &message);
                    let stream = environment::stream(&invocation.version, &invocation.request_id);
                    return Outcome { body, error: Some("Unhandled"), ..nothing(began, &stream) };
                }
            },
        };
        let outcome = instance.run(invocation, began, init).await;
        if instance.is_usable() {
            self.keep(instance);
        }
        outcome
    }

    /// A process that waits for an event of just this revision.
    fn warm(&self, invocation: &Invocation) -> Option<Instance> {
        let mut idle = self.idle();
        let fits = |instance: &Instance| {
            instance.serves(invocation) && instance.age() < LIFE && instance.is_usable()
        };
        let index = idle.iter().position(|(_, instance)| fits(instance))?;
        Some(idle.swap_remove(index).1)
    }

    /// Ends the processes that have waited long, are old, or are of what their function is no more.
    fn prune(&self, world: &World) {
        self.idle().retain(|(since, instance)| {
            since.elapsed() < IDLE
                && instance.age() < LIFE
                && instance.is_usable()
                && !instance.is_stuck()
                && instance.is_current(world)
        });
    }

    fn keep(&self, instance: Instance) {
        let mut idle = self.idle();
        if idle.len() >= MOST_IDLE {
            idle.remove(0);
        }
        idle.push((Instant::now(), instance));
    }

    async fn start(&self, shared: &Shared, invocation: &Invocation) -> Result<Instance, Failure> {
        let prepared = shared.act(|world| {
            let code = world.blob(&invocation.code);
            let keys = aws::assume(world, &invocation.role, &invocation.name, KEYS);
            (code, keys)
        });
        let prepared = prepared.await.and_then(Result::ok).unwrap_or_default();
        let (Some(code), Some(keys)) = prepared else {
            return Err(Failure::new(
                "Runtime.InvalidEntrypoint",
                "the code or the role is gone, or nothing can be written",
            ));
        };
        let _alone = self.starting.lock().await;
        if self.lifelines.is_closed() {
            return Err(Failure::new("Runtime.Unknown", "the sandbox is closed"));
        }
        let root = self.folder.join(&invocation.code);
        let unpacking = (code, root.clone(), invocation.architecture.clone());
        let unpacked = tokio::task::spawn_blocking(move || {
            let (code, root, architecture): (Bytes, PathBuf, String) = unpacking;
            archive::unpack(&code, &root)?;
            archive::check(&root, &architecture)
        });
        unpacked
            .await
            .unwrap_or_else(|_| Err(Failure::new("Runtime.Unknown", "the archive cannot be read")))?;
        let variables = environment::variables(invocation, &keys, &self.endpoints, &root);
        Instance::start(invocation, &root, variables, &self.lifelines).await
    }

    fn idle(&self) -> MutexGuard<'_, Vec<(Instant, Instance)>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn busy(&self) -> MutexGuard<'_, HashSet<String>> {
        self.busy.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The outcome of what did not run.
fn nothing(began: Timestamp, stream: &str) -> Outcome {
    Outcome {
        body: Bytes::new(),
        error: None,
        stream: stream.to_owned(),
        printed: Vec::new(),
        remark: None,
        began,
        duration_ms: 0.0,
        init_ms: None,
        used_mb: 0,
        throttled: false,
    }
}

/// Runs what is queued, as it falls due, until told to stop.
pub(super) async fn deliver(shared: Arc<Shared>, runner: Arc<Runner>, mut stop: watch::Receiver<bool>) {
    let mut pause = PAUSE;
    loop {
        let due = shared.act(|world| {
            runner.prune(world);
            let busy = runner.busy();
            aws::due(world, runner.places.available_permits(), &|key| busy.contains(key))
        });
        let (due, next) = match due.await {
            // The world is closed.
            None => return,
            Some(Ok(due)) => {
                pause = PAUSE;
                due
            }
            // Nothing can be written: what is due is asked for again, but not at once, whoever else wakes this.
            Some(Err(_)) => {
                tokio::select! {
                    () = tokio::time::sleep(longer(&mut pause)) => continue,
                    _ = stop.changed() => return,
                }
            }
        };
        for invocation in due {
            let Then::Queue(key) = invocation.then.clone() else { continue };
            runner.busy().insert(key.clone());
            let (shared, runner) = (Arc::clone(&shared), Arc::clone(&runner));
            tokio::spawn(async move {
                let outcome = runner.run(&shared, &invocation).await;
                settle(&shared, &invocation, &outcome).await;
                runner.busy().remove(&key);
                shared.wake.notify_one();
            });
        }
        let pause = next.map_or(PRUNING, |next| {
            let left = next.duration_since(Timestamp::now()).as_millis().max(0);
            Duration::from_millis(u64::try_from(left).unwrap_or_default().saturating_add(1)).min(PRUNING)
        });
        tokio::select! {
            () = shared.wake.notified() => {}
            () = tokio::time::sleep(pause) => {}
            _ = stop.changed() => return,
        }
    }
}

/// Records what came of an event. Until that can be written the event stays one that is being run: it is not run again
/// for want of a place on a disk.
async fn settle(shared: &Shared, invocation: &Invocation, outcome: &Outcome) {
    let mut pause = PAUSE;
    if outcome.throttled {
        // It has not run: nothing is to be recorded, but all places are taken for now.
        return tokio::time::sleep(pause).await;
    }
    while let Some(Err(_)) = shared.act(|world| aws::complete(world, invocation, outcome)).await {
        tokio::time::sleep(longer(&mut pause)).await;
    }
}

/// The pause, which is twice as long the next time, within bounds.
fn longer(pause: &mut Duration) -> Duration {
    let now = *pause;
    *pause = (now * 2).min(LONGEST_PAUSE);
    now
}

/// Variables of a process.
type Variables = HashMap<String, String>;
