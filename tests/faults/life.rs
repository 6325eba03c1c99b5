//! A stack's life in simulated clouds, without the command line: what one process after the other does to it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use mcm::engine::{self, Answer, Books, Request, Settings, Stop, Undoing};
use mcm::model::*;
use mcm::provider::{self, Access, AwsAccess, AzureAccess, Dial, GcpAccess, Router};
use mcm::sandbox::{self, Accounts, Clock, Fault, Simulation, Traffic, Trouble, World};
use mcm::stack::{Dialect, Given, Source};
use mcm::store::{self, Lock, Store};

use serde_json::json;

use super::disk::Disk;
use super::mutants::{self, Crooked, Misread, Mutant};
use crate::support::root;

/// Every answer of a cloud takes this long.
const LATENCY: Duration = Duration::from_millis(10);
/// No process takes longer, whatever happens to it.
const BOUND: Duration = Duration::from_hours(3);
/// After the first stop signal, as on the command line.
const SETTLE: Duration = Duration::from_secs(4);

/// A secret that must never be seen.
pub const CANARY: &str = "c4n4ry/\"s3cret\"+7d1f";

/// All types.
pub static CATALOGUE: LazyLock<Catalogue> = LazyLock::new(provider::catalogue);

/// Clouds and a disk.
pub struct Life {
    pub clouds: Simulation,
    pub disk: Disk,
    /// The mistake that its processes make.
    pub mutant: Option<Mutant>,
}

/// What a process does.
#[derive(Clone, Copy)]
pub enum Job<'a> {
    /// `mcm apply --auto-approve`
    Apply(&'a Stack),
    /// `mcm apply --auto-approve --allow-recreate`
    Recreate(&'a Stack),
    /// `mcm destroy --auto-approve`
    Destroy(&'a Stack),
    /// `mcm rollback`
    Rollback(&'a Stack),
}

/// What an apply is asked for.
#[derive(Clone, Copy)]
pub struct Wanted {
    pub mode: Mode,
    pub allow_recreate: bool,
}

/// `mcm apply`, with nothing special.
pub const PLAIN: Wanted = Wanted { mode: Mode::Apply, allow_recreate: false };

/// How a process ended.
#[derive(Clone, Debug)]
pub enum End {
    /// With this outcome; nothing was to be undone where it is `None`.
    Ran(Option<Outcome>),
    /// It refused to begin, or gave up before it changed anything.
    Refused(String),
    /// The record could not be written.
    Unrecorded(String),
    /// It changed what its plan does not show.
    Unplanned(Vec<String>),
    /// It was killed.
    Killed,
    /// It did not end in any bearable time.
    Hung,
}

/// A process that is over.
pub struct Ran {
    pub end: End,
    /// What it sent, in the order of the answers.
    pub traffic: Vec<Traffic>,
    /// What it said.
    pub told: String,
}

/// When a process is killed or asked to stop, besides what its disk does to it.
#[derive(Clone, Debug)]
pub enum Signal {
    /// Never.
    None,
    /// Killed, when a request meets its fault.
    Kill,
    /// Asked to stop then, and killed when it takes too long.
    Stop,
    /// Not at all; but from then on this trouble meets every request to this cloud.
    All(Cloud, Trouble),
    /// Not at all; but then somebody edits the clouds.
    Edit(fn(&mut World)),
}

/// Reads a stack of this folder.
pub fn stack(file: &str, edition: &str, name: &str) -> Stack {
    let file = root().join("tests/faults/stacks").join(file);
    let set = |name: &str, value: &str| Given::Flag(format!("{name}={value}"));
    let variables = vec![set("edition", edition), set("name", name), set("canary", CANARY)];
    read(&file, variables)
}

fn read(file: &Path, variables: Vec<Given>) -> Stack {
    let source = Source { file: file.to_owned(), variables, environment: Vec::new() };
    let dialect = Dialect {
        catalogue: &CATALOGUE,
        trust: mcm::trust::expand,
        functions: mcm::lambda::expand,
        artifacts: &BTreeMap::new(),
    };
    match mcm::stack::parse(&source, dialect) {
        Ok((stack, _)) => stack,
        Err(errors) => panic!("{errors:#?}"),
    }
}

impl Life {
    /// Nothing anywhere.
    pub fn new(seed: u64) -> Self {
        let accounts = Accounts {
            aws: ["123456789012".to_owned()].into(),
            gcp: ["lab-project".to_owned()].into(),
            azure: ["00000000-0000-4000-8000-000000000000".to_owned()].into(),
        };
        let clouds = Simulation::new(seed, accounts, LATENCY);
        // A project has an owner from the first day on.
        let owner =
            json!({ "role": "roles/owner", "members": ["user:owner@example.com"], "condition": null });
        let policy = json!({ "bindings": [owner], "audit_configs": [], "etag": "0123456789abcdef" });
        clouds.world(|world| world.replay("gcp.policy", "project/lab-project", Some(policy)));
        Self { clouds, disk: Disk::default(), mutant: None }
    }

    /// Time stands still here from now on: this is only copied any more.
    pub fn freeze(self) -> Self {
        self.clouds.world(|world| world.set_clock(Clock::Fixed(world.now())));
        self
    }

    /// A copy that goes its own way, in this runtime.
    pub fn fork(&self) -> Self {
        Self { clouds: self.clouds.fork(LATENCY), disk: self.disk.fork(), mutant: self.mutant }
    }

    fn router(&self, stack: &Stack) -> Misread {
        let aws = stack.clouds.aws.as_ref().map(|place| {
            let (id, secret) = sandbox::Credentials::known().aws_keys(&place.account);
            (id, Secret::new(secret))
        });
        let endpoint = || Some("http://127.0.0.1:1".to_owned());
        let token = |token: &str| Some(Secret::new(token));
        let now = self.clouds.world(|world| world.now()).into();
        let dial = |cloud| Some(Dial::new(self.clouds.dial(cloud), now));
        let access = Access {
            aws: AwsAccess { endpoint: endpoint(), keys: aws, dial: dial(Cloud::Aws) },
            gcp: GcpAccess {
                endpoint: endpoint(),
                token: token(&sandbox::Credentials::known().gcp_token()),
                dial: dial(Cloud::Gcp),
            },
            azure: AzureAccess {
                endpoint: endpoint(),
                token: token(&sandbox::Credentials::known().azure_token()),
                dial: dial(Cloud::Azure),
            },
        };
        Misread::new(Router::new(&stack.clouds, &access), self.mutant)
    }

    /// Runs a process that nobody disturbs but the faults that are set.
    pub async fn run(&self, job: Job<'_>) -> Ran {
        self.process(job, Signal::None).await
    }

    /// Runs a process. It dies when its disk says so.
    pub async fn process(&self, job: Job<'_>, signal: Signal) -> Ran {
        let wire = self.clouds.wire();
        wire.forget_traffic();
        let told = Arc::new(Mutex::new(String::new()));
        let tell = |event: Event| {
            let _ = writeln!(told.lock().unwrap(), "{event:?}");
        };
        let stop = Stop::default();
        let (mut met, mut dying) = (wire.met(), self.disk.dying());
        met.mark_unchanged();
        let struck = async {
            let _ = met.changed().await;
            match signal {
                Signal::None => std::future::pending().await,
                Signal::All(cloud, what) => {
                    wire.set_faults(vec![everywhere(cloud, what)]);
                    std::future::pending::<()>().await;
                }
                Signal::Edit(edit) => {
                    self.clouds.world(edit);
                    std::future::pending::<()>().await;
                }
                Signal::Kill => {}
                Signal::Stop => {
                    stop.request();
                    tokio::time::sleep(SETTLE).await;
                }
            }
        };
        let powerless = async {
            let _ = dying.wait_for(|dying| *dying).await;
        };
        let working = async {
            match job {
                Job::Apply(stack) => self.apply(stack, PLAIN, &stop, &tell).await,
                Job::Recreate(stack) => {
                    self.apply(stack, Wanted { allow_recreate: true, ..PLAIN }, &stop, &tell).await
                }
                Job::Destroy(stack) => {
                    self.apply(stack, Wanted { mode: Mode::Destroy, ..PLAIN }, &stop, &tell).await
                }
                Job::Rollback(stack) => self.rollback(stack, &stop, &tell).await,
            }
        };
        // The order matters: a process whose work is done at the moment of a signal is done.
        let end = tokio::select! {
            biased;
            end = Box::pin(working) => end,
            () = powerless => End::Killed,
            () = struck => End::Killed,
            () = tokio::time::sleep(BOUND) => End::Hung,
        };
        let mut told = std::mem::take(&mut *told.lock().unwrap());
        if let End::Unrecorded(why) = &end {
            let _ = writeln!(told, "{why}");
        }
        Ran { end, traffic: wire.traffic(), told }
    }

    async fn apply(&self, stack: &Stack, wanted: Wanted, stop: &Stop, tell: &(dyn Fn(Event) + Sync)) -> End {
        self.apply_over(Arc::new(self.disk.clone()), None, stack, wanted, stop, tell).await
    }

    /// An apply that keeps its books in this medium, for as long as it holds the lock.
    pub async fn apply_over(
        &self,
        medium: Arc<dyn store::Medium>,
        lock: Option<&Lock>,
        stack: &Stack,
        wanted: Wanted,
        stop: &Stop,
        tell: &(dyn Fn(Event) + Sync),
    ) -> End {
        let mut known = match store::load(&*medium, Some(&stack.name)).await {
            Ok(known) => known,
            Err(error) => return End::Refused(error.to_string()),
        };
        let router = self.router(stack);
        mutants::known(self.mutant, &mut known.state, &mut known.journal);
        let unwatched = Journal::default();
        let watched = if self.mutant == Some(Mutant::LeavingUnwatched) { &unwatched } else { &known.journal };
        let observing = engine::observe(stack, &known.state, watched, &CATALOGUE, wanted.mode, &router);
        let (guarded, observed) = futures::join!(router.clouds.guard(), Box::pin(observing));
        if !guarded.is_empty() {
            return End::Refused(format!("{guarded:?}"));
        }
        let inventory = match observed {
            Ok(inventory) => inventory,
            Err(error) => return End::Refused(format!("{:?}", error.0)),
        };
        let now = self.clouds.world(|world| world.now());
        let (targets, excludes) = (Vec::new(), Vec::new());
        let Wanted { mode, allow_recreate } = wanted;
        let request = Request { mode, targets, excludes, allow_recreate, now };
        let mut plan = match engine::plan(stack, &known.state, &CATALOGUE, &inventory, &request) {
            Ok(plan) => plan,
            Err(problems) => return End::Refused(format!("{:?}", problems.0)),
        };
        mutants::plan(self.mutant, &mut plan);
        router.fidelity.hold(&mutants::shown(self.mutant, &plan), &known.journal);
        let approved = match engine::approve(plan, &inventory, &CATALOGUE, Answer::Automatic) {
            Ok(approved) => approved,
            Err(refusal) => return End::Refused(refusal.to_string()),
        };
        let store = match lock {
            Some(lock) => Store::new(medium, &stack.name, &known, lock),
            None => Store::unguarded(medium, &stack.name, &known),
        };
        let mut ledger = Crooked::new(store, self.mutant);
        let mut books = Books::new(&mut known.state, &mut known.journal, &mut ledger);
        let settings = Settings { parallelism: 16, rollback: self.mutant != Some(Mutant::Naive), now };
        let ran =
            engine::apply(approved, stack, &inventory, &CATALOGUE, &mut books, &router, settings, stop, tell);
        let ran = Box::pin(ran).await;
        let beyond = router.fidelity.beyond();
        if !beyond.is_empty() {
            return End::Unplanned(beyond);
        }
        match ran {
            Ok(outcome) => End::Ran(Some(outcome)),
            Err(error) => End::Unrecorded(format!("{error}: {}", error.source)),
        }
    }

    async fn rollback(&self, stack: &Stack, stop: &Stop, tell: &(dyn Fn(Event) + Sync)) -> End {
        let medium: Arc<dyn store::Medium> = Arc::new(self.disk.clone());
        let mut known = match store::load(&*medium, Some(&stack.name)).await {
            Ok(known) => known,
            Err(error) => return End::Refused(error.to_string()),
        };
        mutants::known(self.mutant, &mut known.state, &mut known.journal);
        mutants::undoing(self.mutant, &mut known.journal);
        if known.journal.past_pivot().is_some() {
            return End::Refused("past the pivot".to_owned());
        }
        if known.journal.runs.is_empty() {
            return End::Ran(None);
        }
        let router = self.router(stack);
        let guarded = router.clouds.guard().await;
        if !guarded.is_empty() {
            return End::Refused(format!("{guarded:?}"));
        }
        let mut ledger = Crooked::new(Store::unguarded(medium, &stack.name, &known), self.mutant);
        let mut books = Books::new(&mut known.state, &mut known.journal, &mut ledger);
        let undoing = Undoing { stack: &stack.name, catalogue: &CATALOGUE, stop };
        match Box::pin(engine::rollback(undoing, &mut books, &router, tell)).await {
            Ok(outcome) => End::Ran(Some(outcome)),
            Err(error) => End::Unrecorded(format!("{error}: {}", error.source)),
        }
    }

    /// What the stack owns, by address: the ids, sorted.
    pub async fn owned(&self, stack: &Stack) -> Vec<(String, String)> {
        let known = store::load(&self.disk, Some(&stack.name)).await.unwrap();
        let resources = known.state.resources.iter();
        resources.map(|(address, owned)| (address.to_string(), owned.id.to_string())).collect()
    }
}

/// Trouble for every request to a cloud.
fn everywhere(cloud: Cloud, what: Trouble) -> Fault {
    Fault { cloud: Some(cloud), contains: String::new(), target: None, skip: 0, times: None, what }
}
