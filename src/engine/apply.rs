//! Runs an approved plan: every step starts the moment its own dependencies are done.
//!
//! All bookkeeping is done by one task; only the requests run side by side. Before a step's first request the state
//! that names it is durable, and after its last one the result is. A failure before the pivot starts no further step
//! and undoes what was done; past the pivot the run only goes forward, and a failed step stops only what needs it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::stream::FuturesUnordered;
use futures::{FutureExt as _, StreamExt as _};
use tokio::time::Instant;

use super::ApprovedPlan;
use super::record::Record;
use super::rollback::{self, Done};
use super::step::{Task, perform};
use crate::model::{
    Catalogue, CloudError, ErrorKind, Event, Failure, Inventory, Kept, Ledger, LedgerError, Live, Outcome,
    Phase, Plan, Provider, Stack, State, StepId,
};

/// How a run behaves.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// At most this many steps at once.
    pub parallelism: usize,
    /// Whether a failure undoes what was done.
    pub rollback: bool,
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

/// Runs the plan. `state` is kept current and recorded in the ledger around every step. An empty plan still records
/// what the stack says about protection and retention.
#[expect(
    clippy::too_many_arguments,
    reason = "each is another room's thing, and a struct would only rename them"
)]
pub async fn apply(
    plan: ApprovedPlan,
    stack: &Stack,
    inventory: &Inventory,
    catalogue: &Catalogue,
    state: &mut State,
    clouds: &impl Provider,
    ledger: &mut impl Ledger,
    settings: Settings,
    stop: &Stop,
    events: &(dyn Fn(Event) + Sync),
) -> Result<Outcome, LedgerError> {
    let plan = &plan.0;
    let mut record = Record::new(plan, stack, inventory, catalogue, state, ledger);
    record.remember_lifecycles()?;
    events(Event::Began { steps: plan.steps.len(), phase: Phase::Apply });
    let run = forward(plan, &mut record, clouds, settings, stop, events).await?;
    if run.failures.is_empty() {
        let left = plan.steps.len() - run.done.len();
        let done = run.done.len();
        return Ok(if left == 0 {
            Outcome::Applied { steps: done }
        } else {
            Outcome::Interrupted { done, left }
        });
    }
    let expired = run.failures.iter().any(|failure| failure.error.kind == ErrorKind::Credentials);
    let throttled = run.failures.iter().all(|failure| failure.error.kind == ErrorKind::Throttled);
    let past_pivot = run.done.iter().any(|done| done.step.0 >= plan.pivot)
        || run.failed.iter().all(|step| step.0 >= plan.pivot);
    let left = if expired {
        Some("the credentials do not work any more, so it was left as it is")
    } else if throttled {
        Some("a cloud asked for patience and refused nothing, so it was left as it is: apply again later")
    } else if past_pivot {
        Some("deletions have begun, and from there a run only goes forward")
    } else if !settings.rollback {
        Some("`--no-rollback`")
    } else {
        None
    };
    if let Some(why) = left {
        // What was deleted is not left in place.
        let made = run.done.iter().filter(|done| done.wrote.is_some());
        let kept = made.map(|done| kept(plan, done.step, why)).collect();
        return Ok(Outcome::Stuck { failures: run.failures, undone: 0, kept });
    }
    events(Event::Began { steps: run.done.len(), phase: Phase::Undo });
    let (undone, kept) = rollback::roll_back(plan, run.undoable(), &mut record, clouds, events).await?;
    let failures = run.failures;
    Ok(if kept.is_empty() {
        Outcome::RolledBack { failures, undone }
    } else {
        Outcome::Stuck { failures, undone, kept }
    })
}

fn kept(plan: &Plan, step: StepId, why: &str) -> Kept {
    let step = &plan.steps[step.0];
    Kept { address: step.address.clone(), op: step.op, why: why.to_owned() }
}

/// How far the forward run came.
#[derive(Default)]
struct Run {
    done: Vec<Done>,
    /// Started and failed: they may have left something half made.
    failed: Vec<StepId>,
    failures: Vec<Failure>,
}

impl Run {
    /// What a rollback must look at: what is done, and what failed half-way, in the order it ended.
    fn undoable(&self) -> Vec<Done> {
        let failed = self.failed.iter().zip(&self.failures).map(|(&step, failure)| Done {
            step,
            complete: false,
            refused: nothing_was_made(&failure.error),
            wrote: None,
        });
        self.done.iter().cloned().chain(failed).collect()
    }
}

/// Whether an error says that a creation did not happen, not even in part.
fn nothing_was_made(error: &CloudError) -> bool {
    match error.kind {
        ErrorKind::AlreadyExists
        | ErrorKind::Denied
        | ErrorKind::Throttled
        | ErrorKind::Unreachable
        | ErrorKind::Settling { .. }
        | ErrorKind::WrongAccount => true,
        // Our own codes say that it is there and not as it should be.
        ErrorKind::Invalid => !matches!(error.code.as_str(), "NotConverged" | "NotAsPlanned"),
        ErrorKind::NotFound
        | ErrorKind::Conflict
        | ErrorKind::Credentials
        | ErrorKind::NotEmpty
        | ErrorKind::Unknown => false,
    }
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
    record: &mut Record<'_, L>,
    clouds: &impl Provider,
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
                Ok(task) => starting.push(Arc::new(task)),
                Err(error) => {
                    fail(plan, StepId(next), error, &mut run, events);
                    break;
                }
            }
        }
        // One durable write for what has ended and what begins; nothing is sent before it.
        record.settle()?;
        for task in starting {
            tasks.insert(task.step.0, Arc::clone(&task));
            flying.push(fly(task, clouds, events));
        }
        let Some(first) = flying.next().await else { break };
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
                    run.done.push(Done { step, complete: true, refused: false, wrote: live });
                }
                (Err(error), _) => fail(plan, step, error, &mut run, events),
                (Ok(_), None) => unreachable!("a step in flight has its task"),
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
