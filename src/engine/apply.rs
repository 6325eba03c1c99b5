//! Runs an approved plan: every step starts the moment its own dependencies are done.
//!
//! All bookkeeping is done by one task; only the requests run side by side. Before a step's first request its intent
//! is durable in the journal, and after its last one the outcome is. A failure before the pivot starts no further step
//! and undoes what was done; past the pivot the run only goes forward, and a failed step stops only what needs it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::stream::FuturesUnordered;
use futures::{FutureExt as _, StreamExt as _};
use jiff::Timestamp;
use tokio::time::Instant;

use super::ApprovedPlan;
use super::books::Books;
use super::discreet::Discreet;
use super::record::{Record, left_whole, nothing_was_made};
use super::rollback::{Undoing, roll_back};
use super::step::{Task, perform};
use crate::model::{
    Catalogue, CloudError, ErrorKind, Event, Failure, Inventory, Journal, Kept, Ledger, LedgerError, Live,
    Op, Outcome, Phase, Plan, Provider, Stack, StepId,
};

/// How a run behaves.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// At most this many steps at once.
    pub parallelism: usize,
    /// Whether a failure undoes what was done.
    pub rollback: bool,
    /// The time of the run's beginning, for people who read the journal.
    pub now: Timestamp,
}

/// Asks a run to start no further step. Cloned freely; set once.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// No further step starts.
    pub fn request(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    /// Whether it was requested.
    pub fn is_requested(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

/// Runs the plan, and keeps the books around every step. A run that did not end is continued: should this one fail,
/// undoing goes back to where that one began. An empty plan still records what the stack says about protection and
/// retention, and ends what was not over.
#[expect(
    clippy::too_many_arguments,
    reason = "each is another room's thing, and a struct would only rename them"
)]
pub async fn apply<L: Ledger>(
    plan: ApprovedPlan,
    stack: &Stack,
    inventory: &Inventory,
    catalogue: &Catalogue,
    books: &mut Books<'_, L>,
    clouds: &impl Provider,
    settings: Settings,
    stop: &Stop,
    events: &(dyn Fn(Event) + Sync),
) -> Result<Outcome, LedgerError> {
    let plan = &plan.0;
    let clouds = &Discreet::new(clouds, stack);
    let mut record = Record::new(plan, stack, inventory, catalogue, books);
    record.open(settings.now);
    events(Event::Began { steps: plan.steps.len(), phase: Phase::Apply });
    let run = forward(plan, &mut record, clouds, settings, stop, events).await?;
    let Run { done, failures, .. } = &run;
    let left = plan.steps.len() - done.len();
    if left == 0 {
        books.end().await?;
        return Ok(Outcome::Applied { steps: done.len() });
    }
    if stop.is_requested() || failures.is_empty() {
        let (done, failures) = (done.len(), run.failures);
        return Ok(Outcome::Interrupted { phase: Phase::Apply, done, left, failures });
    }
    if let Some(why) = stays(&run, plan, books.journal, settings) {
        // What was deleted is not left in place.
        let made = done.iter().filter(|(_, there)| *there).map(|&(step, _)| kept(plan, step, why));
        let in_part = run
            .failed
            .iter()
            .zip(failures)
            .filter(|(step, _)| !run.untouched.contains(step))
            .filter_map(|(&step, failure)| Some(kept(plan, step, part(failure.op, &failure.error)?)));
        let kept = made.chain(in_part).collect();
        if books.journal.undoable().next().is_none() {
            books.end().await?;
        }
        return Ok(Outcome::Stuck { failures: run.failures, undone: 0, kept });
    }
    let undoing = Undoing { stack: &stack.name, catalogue, stop };
    let back = roll_back(undoing, books, clouds, events).await?;
    let failures = run.failures;
    if back.left > 0 {
        let (done, left) = (back.undone, back.left);
        return Ok(Outcome::Interrupted { phase: Phase::Undo, done, left, failures });
    }
    if !back.kept.is_empty() {
        return Ok(Outcome::Stuck { failures, undone: back.undone, kept: back.kept });
    }
    books.end().await?;
    Ok(Outcome::RolledBack { failures, undone: back.undone })
}

/// Why a failed run is not undone, if it is not.
fn stays(run: &Run, plan: &Plan, journal: &Journal, settings: Settings) -> Option<&'static str> {
    let is = |kind: ErrorKind| move |failure: &Failure| failure.error.kind == kind;
    if run.failures.iter().any(is(ErrorKind::Credentials)) {
        Some("the credentials do not work any more, so it was left as it is")
    } else if run.failures.iter().all(is(ErrorKind::Throttled)) {
        Some("a cloud asked for patience and refused nothing, so it was left as it is: apply again later")
    } else if journal.past_pivot().is_some() || run.failed.iter().all(|step| step.0 >= plan.pivot) {
        Some("deletions have begun, and from there a run only goes forward")
    } else if settings.rollback {
        None
    } else {
        Some("`--no-rollback`")
    }
}

/// What a failed step may have left, if it may. What is there already may take several requests to change or to
/// delete; what is refused when it is to be made is taken back by whoever made it.
fn part(op: Op, error: &CloudError) -> Option<&'static str> {
    let unclear = matches!(error.kind, ErrorKind::Unknown | ErrorKind::Credentials);
    match op {
        Op::Forget => None,
        _ if left_whole(error) => None,
        _ if unclear => Some("it may be done, or happen yet"),
        Op::Create | Op::Restore => (!nothing_was_made(error)).then_some("what it made may be there"),
        Op::Update | Op::Adopt | Op::Delete | Op::DeleteFormer | Op::DeleteFirst => {
            Some("a part of it may be done")
        }
    }
}

fn kept(plan: &Plan, step: StepId, why: &str) -> Kept {
    let step = &plan.steps[step.0];
    Kept { address: step.address.clone(), op: step.op, why: why.to_owned() }
}

/// How far the forward run came.
#[derive(Default)]
struct Run {
    /// The finished steps, and whether there is an object after each.
    done: Vec<(StepId, bool)>,
    failed: Vec<StepId>,
    /// Those of them that are known to have left nothing.
    untouched: BTreeSet<StepId>,
    failures: Vec<Failure>,
}

/// Which steps wait for what.
struct Schedule {
    waits: Vec<usize>,
    needed_by: Vec<Vec<usize>>,
    ready: BTreeSet<usize>,
    /// Steps before the pivot that are not done yet.
    before_pivot: usize,
}

impl Schedule {
    fn new(plan: &Plan) -> Self {
        let waits: Vec<usize> = plan.steps.iter().map(|step| step.needs.len()).collect();
        let mut needed_by = vec![Vec::new(); plan.steps.len()];
        for step in &plan.steps {
            for need in &step.needs {
                needed_by[need.0].push(step.id.0);
            }
        }
        let ready = (0..waits.len()).filter(|&step| waits[step] == 0).collect();
        Self { waits, needed_by, ready, before_pivot: plan.pivot }
    }

    /// The next step that may start.
    fn take(&mut self, plan: &Plan) -> Option<usize> {
        let step = *self.ready.first()?;
        if step >= plan.pivot && self.before_pivot > 0 {
            return None;
        }
        self.ready.remove(&step);
        Some(step)
    }

    fn finish(&mut self, plan: &Plan, step: usize) {
        if step < plan.pivot {
            self.before_pivot -= 1;
        }
        for &dependent in &self.needed_by[step] {
            self.waits[dependent] -= 1;
            if self.waits[dependent] == 0 {
                self.ready.insert(dependent);
            }
        }
    }
}

/// Runs steps until all are done, or nothing may start any more and everything in flight has ended.
async fn forward<L: Ledger>(
    plan: &Plan,
    record: &mut Record<'_, '_, L>,
    clouds: &Discreet<'_, impl Provider>,
    settings: Settings,
    stop: &Stop,
    events: &(dyn Fn(Event) + Sync),
) -> Result<Run, LedgerError> {
    let mut run = Run::default();
    let mut schedule = Schedule::new(plan);
    let mut flying = FuturesUnordered::new();
    let mut tasks: BTreeMap<usize, Arc<Task>> = BTreeMap::new();
    loop {
        let halted = stop.is_requested() || run.failed.iter().any(|step| step.0 < plan.pivot);
        let mut starting = Vec::new();
        while !halted && flying.len() + starting.len() < settings.parallelism.max(1) {
            let Some(next) = schedule.take(plan) else { break };
            match record.begin(&plan.steps[next]) {
                Ok(task) => {
                    if let Some(deed) = record.books.journal.deeds.last() {
                        clouds.expect(&deed.intent);
                    }
                    starting.push(Arc::new(task));
                }
                Err(error) => {
                    // Nothing was sent.
                    run.untouched.insert(StepId(next));
                    fail(plan, StepId(next), error, &mut run, events);
                    break;
                }
            }
        }
        // One durable write for what has ended and what begins; nothing is sent before it.
        record.books.settle().await?;
        for task in starting {
            tasks.insert(task.step.0, Arc::clone(&task));
            flying.push(fly(task, clouds, events));
        }
        let Some(first) = record.books.amid(flying.next()).await? else { break };
        let mut landed = vec![first];
        while let Some(Some(another)) = flying.next().now_or_never() {
            landed.push(another);
        }
        for (step, took, answer) in landed {
            match (answer, tasks.remove(&step.0)) {
                (Ok(live), Some(task)) => {
                    record.finish(&task, live.as_ref());
                    let (address, op) = (task.address.clone(), task.op);
                    events(Event::Finished { step, address, op, phase: Phase::Apply, took });
                    schedule.finish(plan, step.0);
                    run.done.push((step, live.is_some()));
                }
                (Err(error), Some(task)) => {
                    let untouched = record.fail(&task, &error);
                    run.untouched.extend(untouched.then_some(step));
                    fail(plan, step, error, &mut run, events);
                }
                (Ok(_) | Err(_), None) => unreachable!("a step in flight has its task"),
            }
        }
    }
    Ok(run)
}

/// One step on its way.
async fn fly(
    task: Arc<Task>,
    clouds: &impl Provider,
    events: &(dyn Fn(Event) + Sync),
) -> (StepId, Duration, Result<Option<Live>, CloudError>) {
    let (step, address, op) = (task.step, task.address.clone(), task.op);
    events(Event::Started { step, address, op, phase: Phase::Apply });
    let began = Instant::now();
    let answer = perform(&task, clouds, events).await;
    (step, began.elapsed(), answer)
}

fn fail(plan: &Plan, step: StepId, error: CloudError, run: &mut Run, events: &(dyn Fn(Event) + Sync)) {
    let planned = &plan.steps[step.0];
    let (address, op) = (planned.address.clone(), planned.op);
    events(Event::Failed { step, address: address.clone(), op, phase: Phase::Apply, error: error.clone() });
    run.failed.push(step);
    run.failures.push(Failure { address, op, error });
}
