//! Undoes what a failed run did, last first. Nothing is overwritten or deleted that is not as this run left it: in
//! doubt it is kept, and said so.

use tokio::time::Instant;

use super::diff::{diff, hide, normalise};
use super::record::Record;
use super::step::{Task, perform};
use crate::model::{
    CloudError, Condition, ErrorKind, Event, Kept, Ledger, LedgerError, Live, Map, Op, Phase, Plan, Provider,
    Read, Step, StepId, Undo,
};

/// A step that ran.
#[derive(Clone, Debug)]
pub(super) struct Done {
    pub(super) step: StepId,
    /// Whether it came to its end, or failed and may have left something half made.
    pub(super) complete: bool,
    /// Whether it failed with an answer that says that nothing was made.
    pub(super) refused: bool,
    /// The object as the step left it; `None` for a deletion, and for a step that failed.
    pub(super) wrote: Option<Live>,
}

/// Why a step's result was not undone.
enum Stay {
    /// On purpose.
    Kept(String),
    /// The cloud refused.
    Failed(CloudError),
}

impl From<CloudError> for Stay {
    fn from(error: CloudError) -> Self {
        match error.kind {
            ErrorKind::NotEmpty => Self::Kept(format!("it holds something by now: {}", error.message)),
            _ => Self::Failed(error),
        }
    }
}

/// Undoes steps, last first. How many were undone, and what was kept.
pub(super) async fn roll_back<L: Ledger>(
    plan: &Plan,
    done: Vec<Done>,
    record: &mut Record<'_, L>,
    clouds: &impl Provider,
    events: &(dyn Fn(Event) + Sync),
) -> Result<(usize, Vec<Kept>), LedgerError> {
    let (mut undone, mut kept) = (0, Vec::new());
    // A failed step may have left something half made on top of the others: it comes first.
    for done in done.iter().rev() {
        let step = &plan.steps[done.step.0];
        let (address, op, phase) = (step.address.clone(), step.op, Phase::Undo);
        events(Event::Started { step: step.id, address: address.clone(), op, phase });
        let began = Instant::now();
        match undo(step, done, record, clouds, events).await? {
            Ok(()) => {
                undone += usize::from(done.complete);
                events(Event::Finished { step: step.id, address, op, phase, took: began.elapsed() });
            }
            Err(Stay::Kept(why)) => {
                events(Event::Kept { step: step.id, address: address.clone(), why: why.clone() });
                kept.push(Kept { address, op, why });
            }
            Err(Stay::Failed(error)) => {
                let why = error.to_string();
                events(Event::Failed { step: step.id, address: address.clone(), op, phase, error });
                kept.push(Kept { address, op, why });
            }
        }
    }
    Ok((undone, kept))
}

async fn undo<L: Ledger>(
    step: &Step,
    done: &Done,
    record: &mut Record<'_, L>,
    clouds: &impl Provider,
    events: &(dyn Fn(Event) + Sync),
) -> Result<Result<(), Stay>, LedgerError> {
    let task = match record.again(step) {
        Ok(task) => task,
        // It could not even be started, so there is nothing to undo.
        Err(_) if done.wrote.is_none() => return Ok(Ok(())),
        Err(error) => return Ok(Err(error.into())),
    };
    match step.op {
        Op::Create | Op::Restore => {
            let result = unmake(&task, done, clouds, events).await;
            if result.is_ok() {
                record.unmade(&task)?;
            }
            Ok(result)
        }
        Op::Update | Op::Adopt => {
            let Some(before) = record.before(&step.address) else { return Ok(Ok(())) };
            let result = put_back(&task, before, done.wrote.as_ref(), clouds, events).await;
            if result.is_ok() && step.op == Op::Adopt {
                record.unmade(&task)?;
            }
            Ok(result)
        }
        Op::Delete | Op::DeleteFormer | Op::DeleteFirst => {
            if let Undo::Impossible { why } = &step.undo {
                return Ok(Err(Stay::Kept(why.clone())));
            }
            let before = task.before.clone();
            match bring_back(task, before.as_ref(), clouds, events).await {
                Ok(Some((task, live))) => {
                    record.remade(&task, &live)?;
                    Ok(Ok(()))
                }
                Ok(None) => Ok(Ok(())),
                Err(stay) => Ok(Err(stay)),
            }
        }
        Op::Forget => Ok(Ok(())),
    }
}

async fn read(task: &Task, clouds: &impl Provider) -> Result<Option<Live>, CloudError> {
    let desired = Some(&task.properties);
    clouds.read(Read { ty: &task.ty, id: &task.id, desired, secrets: false }).await
}

/// Deletes what a step made, if it is still ours and as we left it.
async fn unmake(
    task: &Task,
    done: &Done,
    clouds: &impl Provider,
    events: &(dyn Fn(Event) + Sync),
) -> Result<(), Stay> {
    let wrote = done.wrote.as_ref();
    let Some(live) = read(task, clouds).await? else { return Ok(()) };
    if matches!(live.condition, Condition::SoftDeleted { .. }) {
        return Ok(());
    }
    let ours = match &live.owner {
        Some(owner) => owner.nonce == task.owner.nonce,
        // Without room for a mark, only an object that we were told we had made is ours.
        None => !task.schema.marked && wrote.is_some(),
    };
    if !ours {
        return if wrote.is_some() {
            Err(Stay::Kept("it does not bear this run's mark any more".to_owned()))
        } else if !task.schema.marked && !done.refused {
            Err(Stay::Kept("it may be this run's, and stays recorded as being made: apply again".to_owned()))
        } else {
            // The step failed because somebody else's object stands there.
            Ok(())
        };
    }
    if let Some(path) = wrote.and_then(|wrote| moved(task, wrote, &live)) {
        return Err(Stay::Kept(format!("somebody changed `{path}` since")));
    }
    let task = Task { op: Op::Delete, before: Some(live), properties: Map::new(), ..task.clone() };
    perform(&task, clouds, events).await?;
    Ok(())
}

/// Puts a before-image back, if what we wrote still stands.
async fn put_back(
    task: &Task,
    before: &Live,
    wrote: Option<&Live>,
    clouds: &impl Provider,
    events: &(dyn Fn(Event) + Sync),
) -> Result<(), Stay> {
    let Some(live) = read(task, clouds).await? else {
        return Err(Stay::Kept("it is not there any more".to_owned()));
    };
    if live.owner.is_some() && live.owner != before.owner && live.owner.as_ref() != Some(&task.owner) {
        return Err(Stay::Kept("it bears another mark now".to_owned()));
    }
    let changed = match wrote {
        Some(wrote) => moved(task, wrote, &live),
        None => neither(task, before, &live),
    };
    if let Some(path) = changed {
        return Err(Stay::Kept(format!("somebody changed `{path}` since")));
    }
    let properties = hide(&normalise(task.schema, &before.properties), &task.properties);
    let task = Task { op: Op::Update, before: Some(live), properties, predicted: Map::new(), ..task.clone() };
    perform(&task, clouds, events).await?;
    Ok(())
}

/// Undeletes or remakes what a step deleted; `None` where it is there.
async fn bring_back(
    task: Task,
    before: Option<&Live>,
    clouds: &impl Provider,
    events: &(dyn Fn(Event) + Sync),
) -> Result<Option<(Task, Live)>, Stay> {
    let Some(before) = before else { return Ok(None) };
    let properties = normalise(task.schema, &before.properties);
    let task = Task { properties, ..task };
    let task = match read(&task, clouds).await? {
        Some(live) if live.condition == Condition::Ready => return Ok(None),
        Some(live) => Task { op: Op::Restore, before: Some(live), ..task },
        None => Task { op: Op::Create, before: None, ..task },
    };
    let live = perform(&task, clouds, events).await?;
    Ok(live.map(|live| (task, live)))
}

/// The first property that is neither as it was nor as a failed step was to make it.
fn neither(task: &Task, before: &Live, live: &Live) -> Option<String> {
    let (was, is) = (normalise(task.schema, &before.properties), normalise(task.schema, &live.properties));
    let from_ours = diff(task.schema, &hide(&is, &task.properties), &task.properties);
    let from_before = diff(task.schema, &is, &was);
    let other = |property: &str| from_ours.iter().any(|edit| edit.path.property() == property);
    from_before.iter().find(|edit| other(edit.path.property())).map(|edit| edit.path.to_string())
}

/// The first property that is live and not as we wrote it. What the cloud filled in where nothing was desired is no
/// one's change.
fn moved(task: &Task, wrote: &Live, live: &Live) -> Option<String> {
    let (wrote, live) = (normalise(task.schema, &wrote.properties), normalise(task.schema, &live.properties));
    diff(task.schema, &live, &wrote).first().map(|edit| edit.path.to_string())
}
