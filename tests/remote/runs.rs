//! Whole runs over an object store: every call to the store fails in every way, and another run comes in between at
//! every one of them. Whatever happens, a run goes on or stops, and the next one converges.

use std::time::Duration;

use jiff::Timestamp;
use mcm::engine::{self, Answer, Books, Request, Settings, Stop};
use mcm::model::*;
use mcm::store::{self, Lock, LockError, Place, Store};

use super::shelf::{Fault, Shelf};
use super::{TroubleKind, kind};
use crate::engine::fake::{Fake, SOFT, THING, catalogue};
use crate::engine::{link, resource, stack};

/// Until a dead run's lock has run out, and more.
const PATIENCE: Duration = Duration::from_mins(2);

/// A cloud, and a store with what the stack's runs left in it.
struct Life {
    cloud: Fake,
    shelf: Shelf,
}

/// Why a run ended before its outcome.
#[derive(Debug)]
enum Halt {
    /// It never began.
    Locked(LockError),
    /// It could not read what is known.
    Unread(String),
    /// It could not write any more.
    Stopped(LedgerError),
}

impl Life {
    fn new() -> Self {
        Self { cloud: Fake::default(), shelf: Shelf::new() }
    }

    /// One process, on a machine that knows nothing.
    async fn apply(&self, stack: &Stack, patience: Duration) -> Result<Outcome, Halt> {
        let place = self.shelf.place();
        let lock = place.lock("apply", patience).await.map_err(Halt::Locked)?;
        let ended = self.under(&place, &lock, stack).await;
        lock.release().await;
        ended
    }

    async fn under(&self, place: &Place, lock: &Lock, stack: &Stack) -> Result<Outcome, Halt> {
        let medium = place.medium();
        let known = store::load(&*medium, Some("test")).await;
        let mut known = known.map_err(|error| Halt::Unread(error.to_string()))?;
        let inventory =
            engine::observe(stack, &known.state, &known.journal, &catalogue(), Mode::Apply, &self.cloud)
                .await
                .unwrap();
        let (mode, now) = (Mode::Apply, Timestamp::UNIX_EPOCH);
        let request = Request { mode, targets: Vec::new(), excludes: Vec::new(), allow_recreate: true, now };
        let plan = engine::plan(stack, &known.state, &catalogue(), &inventory, &request).unwrap();
        let plan = engine::approve(plan, &inventory, &catalogue(), Answer::Automatic).unwrap();
        let mut store = Store::new(medium, "test", &known, lock);
        let mut books = Books::new(&mut known.state, &mut known.journal, &mut store);
        let settings = Settings { parallelism: 4, rollback: true, now };
        let (cloud, stop) = (&self.cloud, Stop::default());
        engine::apply(plan, stack, &inventory, &catalogue(), &mut books, cloud, settings, &stop, &|_| ())
            .await
            .map_err(Halt::Stopped)
    }

    /// What must hold in the end: one more run makes it so, and then there is nothing left to do.
    async fn converges(&self, told: &str) {
        let outcome = self.apply(&after(), PATIENCE).await;
        assert!(matches!(outcome, Ok(Outcome::Applied { .. })), "{told}: {outcome:?}");
        assert_eq!(self.cloud.names(), ["a", "b", "c", "d"], "{told}");
        let known = store::load(&*self.shelf.place().medium(), Some("test")).await.unwrap();
        let owns: Vec<_> = known.state.resources.values().map(|owned| owned.id.0.clone()).collect();
        assert_eq!(owns, ["a", "b", "c", "d"], "{told}");
        assert!(!known.journal.is_open(), "{told}");
        self.cloud.sent();
        let outcome = self.apply(&after(), Duration::ZERO).await;
        assert!(matches!(outcome, Ok(Outcome::Applied { steps: 0 })), "{told}: {outcome:?}");
        assert_eq!(self.cloud.sent(), Vec::<String>::new(), "{told}");
        // What was left of a journal that is over goes with the next run that writes.
        let outcome = self.apply(&before(), Duration::ZERO).await;
        assert!(matches!(outcome, Ok(Outcome::Applied { .. })), "{told}: {outcome:?}");
        assert_eq!(self.cloud.names(), ["a", "b", "gone"], "{told}");
        let names = self.shelf.names().await;
        assert!(!names.iter().any(|name| name.starts_with("journal")), "{told}: {names:?}");
    }
}

/// What is there, and what is wanted instead.
fn before() -> Stack {
    stack(vec![
        resource(&THING, "a", &[("Size", 1.into())]),
        resource(&THING, "b", &[link("a", "Serial")]),
        resource(&THING, "gone", &[]),
    ])
}

fn after() -> Stack {
    stack(vec![
        resource(&THING, "a", &[("Size", 2.into())]),
        resource(&THING, "b", &[link("a", "Serial"), ("Size", 5.into())]),
        resource(&SOFT, "c", &[link("b", "Serial")]),
        resource(&THING, "d", &[link("c", "Url")]),
    ])
}

/// A life in which the first stack is there.
async fn begun() -> Life {
    let life = Life::new();
    assert!(matches!(life.apply(&before(), Duration::ZERO).await, Ok(Outcome::Applied { .. })));
    life.cloud.sent();
    life
}

/// One run with one fault. `false` where it made fewer calls than that.
async fn one_fault(calls: usize, fault: Fault) -> bool {
    let life = begun().await;
    let told = format!("{fault:?} at call {calls}");
    life.shelf.trap(calls, fault);
    let stack = after();
    let ended = tokio::select! {
        ended = life.apply(&stack, Duration::ZERO) => Some(ended),
        () = life.shelf.sprung() => None,
    };
    if life.shelf.disarm() {
        return false;
    }
    match ended {
        None | Some(Ok(Outcome::Applied { .. })) => {}
        // It never began, so it sent nothing.
        Some(Err(Halt::Locked(_))) => assert_eq!(life.cloud.sent(), Vec::<String>::new(), "{told}"),
        Some(Err(Halt::Unread(why))) => assert_eq!(life.cloud.sent(), Vec::<String>::new(), "{told}: {why}"),
        Some(Err(Halt::Stopped(error))) => {
            let trouble = kind(&error.source);
            assert!(matches!(trouble, Some(TroubleKind::Unclear | TroubleKind::Lost)), "{told}: {error:?}");
        }
        Some(Ok(other)) => panic!("{told}: {other:?}"),
    }
    life.converges(&told).await;
    true
}

#[tokio::test(start_paused = true)]
async fn every_call_to_the_store_fails_in_every_way_and_the_next_run_converges() {
    let faults = [Fault::Error, Fault::ReplyLost, Fault::Conflict, Fault::DiesBefore, Fault::DiesAfter];
    let mut points = Vec::new();
    for fault in faults {
        let mut calls = 0;
        while one_fault(calls, fault).await {
            calls += 1;
        }
        points.push(calls);
    }
    assert!(points.iter().all(|calls| *calls > 30), "{points:?}");
}

#[tokio::test(start_paused = true)]
async fn another_run_comes_in_between_at_every_call() {
    for stack in [after(), before()] {
        let mut robbed = 0;
        for calls in 0.. {
            let life = begun().await;
            let told = format!("another run before call {calls}");
            life.shelf.trap(calls, Fault::Parked);
            let wanted = after();
            let first = life.apply(&wanted, Duration::ZERO);
            tokio::pin!(first);
            let ended = tokio::select! {
                ended = &mut first => Some(ended),
                () = life.shelf.sprung() => None,
            };
            if ended.is_some() {
                assert!(life.shelf.disarm());
                break;
            }
            // Somebody takes the first one for dead: its lock is taken away, and a run goes from its beginning to its end.
            if let Some(id) = life.shelf.lock_id().await {
                assert_eq!(life.shelf.place().unlock(&id).await.unwrap(), Some(true), "{told}");
                robbed += 1;
            }
            let second = life.apply(&stack, Duration::ZERO).await;
            assert!(matches!(second, Ok(Outcome::Applied { .. })), "{told}: {second:?}");
            life.cloud.sent();
            // The first one wakes up, and thinks that it holds the lock.
            life.shelf.resume();
            let first = first.await;
            let sent = life.cloud.sent();
            match &first {
                Err(Halt::Stopped(error)) => {
                    assert_eq!(kind(&error.source), Some(TroubleKind::Lost), "{told}: {error:?}");
                    // Nothing but what was under way already.
                    assert!(sent.len() <= 2, "{told}: {sent:?}");
                }
                // It had not read anything yet, or had nothing left to write.
                Ok(Outcome::Applied { .. }) | Err(Halt::Locked(_)) => {}
                other => panic!("{told}: {other:?}"),
            }
            life.converges(&told).await;
        }
        assert!(robbed > 20, "{robbed}");
    }
}

#[tokio::test(start_paused = true)]
async fn of_several_applies_at_once_one_runs_and_the_losers_send_nothing() {
    let alone = begun().await;
    alone.apply(&after(), Duration::ZERO).await.unwrap();
    let alone = alone.cloud.sent();
    for others in 1..4 {
        let life = begun().await;
        let stack = after();
        let runs = (0..=others).map(|_| life.apply(&stack, Duration::ZERO));
        let ended = futures::future::join_all(runs).await;
        let won = ended.iter().filter(|ended| matches!(ended, Ok(Outcome::Applied { .. }))).count();
        let lost =
            ended.iter().filter(|ended| matches!(ended, Err(Halt::Locked(LockError::Held { .. })))).count();
        assert_eq!((won, lost), (1, others), "{ended:?}");
        assert_eq!(life.cloud.sent(), alone);
        life.converges("a race").await;
        // With patience, they run one after the other, and all but the first find nothing to do.
        let life = begun().await;
        let runs = (0..=others).map(|_| life.apply(&stack, Duration::from_mins(10)));
        let ended = futures::future::join_all(runs).await;
        assert!(ended.iter().all(|ended| matches!(ended, Ok(Outcome::Applied { .. }))), "{ended:?}");
        assert_eq!(life.cloud.sent(), alone);
    }
}

#[tokio::test(start_paused = true)]
async fn an_unfinished_run_is_undone_from_another_machine() {
    let mut undone = 0;
    for calls in 0.. {
        let life = begun().await;
        life.shelf.trap(calls, Fault::DiesAfter);
        let stack = after();
        tokio::select! {
            ended = life.apply(&stack, Duration::ZERO) => panic!("{calls}: {ended:?}"),
            () = life.shelf.sprung() => {}
        }
        let place = life.shelf.place();
        let lock = place.lock("rollback", PATIENCE).await.unwrap();
        let medium = place.medium();
        let mut known = store::load(&*medium, Some("test")).await.unwrap();
        if known.journal.past_pivot().is_some() {
            break;
        }
        if !known.journal.is_open() {
            continue;
        }
        let mut store = Store::new(medium, "test", &known, &lock);
        let mut books = Books::new(&mut known.state, &mut known.journal, &mut store);
        let (stop, catalogue) = (Stop::default(), catalogue());
        let undoing = engine::Undoing { stack: "test", catalogue: &catalogue, stop: &stop };
        let outcome = engine::rollback(undoing, &mut books, &life.cloud, &|_| ()).await.unwrap();
        assert!(matches!(outcome, Outcome::RolledBack { .. }), "{calls}: {outcome:?}");
        lock.release().await;
        assert_eq!(life.cloud.names(), ["a", "b", "gone"], "{calls}");
        undone += 1;
    }
    assert!(undone > 5, "{undone}");
}
