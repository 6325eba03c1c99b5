//! One step: sends it, waits for what this run has just made to become usable, finds out what happened when no clear
//! answer came, and checks that the result is what was planned.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::diff::{diff, normalise};
use super::image::{is_another, neither};
use super::secrecy::{expose, hide};
use crate::model::{
    Address, CloudError, CloudId, Condition, Create, DeedId, Delete, Edit, ErrorKind, Event, Live, Map, Op,
    Owner, Path, Phase, Provider, Read, ResourceType, Restore, Schema, StepId, Update, Value,
};

/// A change is sent at most so often when it is not known what became of it.
const SENDS: u32 = 3;
/// After a change without an answer, "not there" is believed when it was said for so long.
pub(super) const UNSEEN: Duration = Duration::from_secs(8);
/// How long something that a cloud says exists may go on not being shown.
const HIDDEN: Duration = Duration::from_mins(1);
/// How long a cloud may go on answering with what was there before a change.
const STALE: Duration = Duration::from_secs(30);

/// Everything that performing a step takes, decided before it starts.
#[derive(Clone)]
pub(super) struct Task {
    pub(super) step: StepId,
    /// Its place in the journal.
    pub(super) deed: DeedId,
    /// Whether an interrupted run was about to make it, under the same mark.
    pub(super) resumed: bool,
    pub(super) address: Address,
    pub(super) op: Op,
    pub(super) ty: ResourceType,
    pub(super) schema: &'static Schema,
    pub(super) id: CloudId,
    /// Fully known and normalised; empty for a deletion.
    pub(super) properties: Map,
    /// What must follow from the properties.
    pub(super) predicted: Map,
    /// What the plan saw.
    pub(super) before: Option<Live>,
    pub(super) owner: Owner,
    pub(super) secrets: bool,
    /// What it is part of: undoing deletes no data.
    pub(super) phase: Phase,
    /// Whether this run made something that the step needs.
    pub(super) fresh: bool,
}

/// Performs a step. The object as it is afterwards, or `None` where it is gone.
pub(super) async fn perform(
    task: &Task,
    clouds: &impl Provider,
    events: &(dyn Fn(Event) + Sync),
) -> Result<Option<Live>, CloudError> {
    let live = match task.op {
        Op::Create => create(task, clouds, events).await?,
        Op::Update | Op::Adopt => update(task, clouds, events, task.before.as_ref()).await?,
        Op::Restore => restore(task, clouds, events).await?,
        Op::Delete | Op::DeleteFormer | Op::DeleteFirst => {
            delete(task, clouds).await?;
            return Ok(None);
        }
        Op::Forget => return Ok(None),
    };
    let live = converged(task, clouds, live).await?;
    as_predicted(task, &live)?;
    Ok(Some(live))
}

/// Waits, where waiting helps: the cloud says that something is not usable yet, and this run has just made it.
async fn settled(
    task: &Task,
    events: &(dyn Fn(Event) + Sync),
    began: Instant,
    tries: u32,
    error: CloudError,
) -> Result<(), CloudError> {
    let ErrorKind::Settling { window } = error.kind else { return Err(error) };
    let pause = pause(tries);
    if !task.fresh || began.elapsed() + pause > window {
        return Err(error);
    }
    events(Event::Waiting { step: task.step, address: task.address.clone(), error });
    sleep(pause).await;
    Ok(())
}

/// 100 ms, doubled each time up to 5 s.
fn pause(tries: u32) -> Duration {
    Duration::from_millis(100).saturating_mul(1 << tries.min(6)).min(Duration::from_secs(5))
}

async fn create(
    task: &Task,
    clouds: &impl Provider,
    events: &(dyn Fn(Event) + Sync),
) -> Result<Live, CloudError> {
    let properties = expose(&task.properties);
    let request = Create {
        ty: &task.ty,
        id: &task.id,
        properties: &properties,
        owner: &task.owner,
        secrets: task.secrets,
    };
    let (began, mut tries, mut unclear) = (Instant::now(), 0, 0);
    loop {
        let error = match clouds.create(request).await {
            Ok(live) => return Ok(live),
            Err(error) => error,
        };
        match error.kind {
            // It may have happened: what is there now decides.
            ErrorKind::Unknown => {
                unclear += 1;
                if let Some(live) = ours(task, clouds, UNSEEN).await.map_err(|blind| unseen(&error, blind))? {
                    // Whatever becomes of the rest, something is there.
                    let whole = update(task, clouds, events, Some(&live)).await;
                    return whole.map_err(|error| after(unclear, error));
                }
                if unclear == SENDS {
                    return Err(error);
                }
            }
            ErrorKind::AlreadyExists if unclear > 0 || task.resumed => {
                let live = ours(task, clouds, HIDDEN).await?.ok_or(error)?;
                let whole = update(task, clouds, events, Some(&live)).await;
                return whole.map_err(|error| after(unclear, error));
            }
            _ => {
                settled(task, events, began, tries, error).await.map_err(|error| after(unclear, error))?;
                tries += 1;
            }
        }
    }
}

/// The object at the task's identity, if it is the one that this task made.
async fn ours(task: &Task, clouds: &impl Provider, patience: Duration) -> Result<Option<Live>, CloudError> {
    let live = appeared(task, clouds, patience).await?;
    Ok(live.filter(|live| {
        let marked = live.owner.as_ref().is_none_or(|owner| owner.nonce == task.owner.nonce);
        marked && (live.owner.is_some() || !task.schema.marked)
    }))
}

/// What stands at the task's identity. "Not there" is asked for several times: a cloud may need a moment to show what
/// it has just made, and an operation that nobody watches may still be at it.
async fn appeared(
    task: &Task,
    clouds: &impl Provider,
    patience: Duration,
) -> Result<Option<Live>, CloudError> {
    watched(task, clouds, patience, |live| live.is_some()).await
}

/// What stands at the task's identity. As long as patience lasts it is looked at again until it is as expected: a
/// cloud may go on answering with what was there before a change.
pub(super) async fn watched(
    task: &Task,
    clouds: &impl Provider,
    patience: Duration,
    expected: impl Fn(Option<&Live>) -> bool,
) -> Result<Option<Live>, CloudError> {
    let (began, mut tries) = (Instant::now(), 1);
    loop {
        let live = read(task, clouds).await?;
        if expected(live.as_ref()) || began.elapsed() > patience {
            return Ok(live);
        }
        sleep(pause(tries)).await;
        tries += 1;
    }
}

async fn read(task: &Task, clouds: &impl Provider) -> Result<Option<Live>, CloudError> {
    let desired = (!task.properties.is_empty()).then_some(&task.properties);
    clouds.read(Read { ty: &task.ty, id: &task.id, desired, secrets: task.secrets }).await
}

/// Makes `before` equal to the task's properties; sends nothing where there is nothing to change.
async fn update(
    task: &Task,
    clouds: &impl Provider,
    events: &(dyn Fn(Event) + Sync),
    before: Option<&Live>,
) -> Result<Live, CloudError> {
    let Some(before) = before else {
        return Err(vanished(task));
    };
    if as_planned(task, before) {
        return Ok(before.clone());
    }
    let changed: Vec<Path> = differences(task, before).into_iter().map(|edit| edit.path).collect();
    let properties = expose(&task.properties);
    let request = Update {
        ty: &task.ty,
        id: &task.id,
        before,
        properties: &properties,
        changed: &changed,
        owner: &task.owner,
        secrets: task.secrets,
    };
    let (began, mut tries, mut unclear) = (Instant::now(), 0, 0);
    loop {
        match clouds.update(request).await {
            Ok(live) => return Ok(live),
            Err(error) if error.kind == ErrorKind::Unknown => {
                unclear += 1;
                let now = read(task, clouds).await.map_err(|blind| unseen(&error, blind))?;
                let now = now.ok_or_else(|| vanished(task))?;
                if as_planned(task, &now) {
                    return Ok(now);
                }
                // It may have happened in part. What is neither as it was nor as planned is somebody else's doing.
                if unclear == SENDS || neither(task, &before.properties, &now).is_some() {
                    return Err(error);
                }
            }
            Err(error) if error.kind == ErrorKind::Conflict && began.elapsed() < HIDDEN => {
                // Another operation is at it, our own of a run that died perhaps; or somebody has just changed it.
                sleep(pause(tries)).await;
                tries += 1;
                let now = read(task, clouds).await?.ok_or_else(|| vanished(task))?;
                if as_planned(task, &now) {
                    return Ok(now);
                }
                if now.properties != before.properties || now.owner != before.owner || now.etag != before.etag
                {
                    return Err(error);
                }
            }
            Err(error) => {
                settled(task, events, began, tries, error).await.map_err(|error| after(unclear, error))?;
                tries += 1;
            }
        }
    }
}

async fn restore(
    task: &Task,
    clouds: &impl Provider,
    events: &(dyn Fn(Event) + Sync),
) -> Result<Live, CloudError> {
    let before = task.before.as_ref().ok_or_else(|| vanished(task))?;
    let properties = expose(&task.properties);
    let request = Restore {
        ty: &task.ty,
        id: &task.id,
        before,
        properties: &properties,
        owner: &task.owner,
        secrets: task.secrets,
    };
    let mut unclear = 0;
    let restored = match clouds.restore(request).await {
        Ok(live) => live,
        Err(error) if error.kind == ErrorKind::Unknown => {
            unclear = 1;
            let is_ready = |live: &Live| live.condition == Condition::Ready;
            let seen = watched(task, clouds, UNSEEN, |live| live.is_some_and(is_ready)).await;
            match seen.map_err(|blind| unseen(&error, blind))?.filter(is_ready) {
                Some(live) => live,
                None => clouds.restore(request).await.map_err(|error| after(1, error))?,
            }
        }
        Err(error) => return Err(error),
    };
    update(task, clouds, events, Some(&restored)).await.map_err(|error| after(unclear, error))
}

async fn delete(task: &Task, clouds: &impl Provider) -> Result<(), CloudError> {
    let Some(mut before) = task.before.clone() else { return Ok(()) };
    let (began, mut tries, mut unclear) = (Instant::now(), 0, 0);
    loop {
        let spares_data = task.phase == Phase::Undo;
        let request = Delete { ty: &task.ty, id: &task.id, before: &before, spares_data };
        let error = match clouds.delete(request).await {
            Ok(()) => return Ok(()),
            Err(error) if error.kind == ErrorKind::NotFound => return Ok(()),
            Err(error) => error,
        };
        if error.kind == ErrorKind::Conflict && began.elapsed() < HIDDEN {
            // Another operation is at it, our own of a run that died perhaps; or somebody has just changed it.
            sleep(pause(tries)).await;
            tries += 1;
            match read(task, clouds).await?.filter(|live| is_left(task, &before, live)) {
                Some(live) if live.properties == before.properties && live.owner == before.owner => {
                    before = live;
                }
                Some(_) => return Err(after(unclear, error)),
                None => return Ok(()),
            }
            continue;
        }
        if error.kind != ErrorKind::Unknown {
            return Err(after(unclear, error));
        }
        unclear += 1;
        let now = read(task, clouds).await.map_err(|blind| unseen(&error, blind))?;
        match now.filter(|live| is_left(task, &before, live)) {
            // It may be taken apart by now, piece by piece: whatever is left of it goes.
            Some(live) if unclear < SENDS && live.owner == before.owner => before = live,
            Some(_) => return Err(error),
            None => return Ok(()),
        }
    }
}

/// Whether what stands there may be what is to be deleted. One that is deleted and holds its name is not, nor is one that
/// is known to be another; one in a failed state is.
fn is_left(task: &Task, before: &Live, live: &Live) -> bool {
    !matches!(live.condition, Condition::SoftDeleted { .. }) && !is_another(task.schema, before, live)
}

/// Waits until the cloud shows what was asked for: success is what is live, not what was answered.
async fn converged(task: &Task, clouds: &impl Provider, mut live: Live) -> Result<Live, CloudError> {
    let began = Instant::now();
    let mut tries = 0;
    while let Some((path, is, shall)) = difference(task, &live) {
        if began.elapsed() > STALE {
            let message = format!("`{path}` is {is} although it was set to {shall}");
            return Err(own_error(task, "NotConverged", message));
        }
        sleep(pause(tries)).await;
        tries += 1;
        let shown = read(task, clouds).await.map_err(|error| after(1, error))?;
        live = shown.ok_or_else(|| vanished(task))?;
    }
    Ok(live)
}

/// Whether an object is as the task is to leave it, its mark included.
fn as_planned(task: &Task, live: &Live) -> bool {
    let marked = !task.schema.marked || live.owner.as_ref() == Some(&task.owner);
    marked && difference(task, live).is_none()
}

/// The first difference between what is live and what was planned.
fn difference(task: &Task, live: &Live) -> Option<(Path, String, String)> {
    let show = |value: Option<Value>| {
        value.map_or_else(|| "not set".to_owned(), |value| value.to_json().to_string())
    };
    differences(task, live).into_iter().next().map(|edit| (edit.path, show(edit.before), show(edit.after)))
}

/// What has to change for a live object to be as planned.
fn differences(task: &Task, live: &Live) -> Vec<Edit> {
    let live = hide(&normalise(task.schema, &live.properties), &task.properties);
    diff(task.schema, &live, &task.properties)
}

/// What the plan showed as following from the properties must be so: others were planned with it.
fn as_predicted(task: &Task, live: &Live) -> Result<(), CloudError> {
    for (name, predicted) in &task.predicted {
        if let Some(found) = live.attributes.get(name)
            && *predicted != *found
            && predicted.as_map().is_none()
        {
            let message =
                format!("`{name}` is {} and was planned as {}", found.to_text(), predicted.to_text());
            return Err(own_error(task, "NotAsPlanned", message));
        }
    }
    Ok(())
}

/// A change may have happened, and looking does not tell: it stays unknown, whatever kept us from looking. Dead
/// credentials are told as such, and are as unclear.
fn unseen(error: &CloudError, blind: CloudError) -> CloudError {
    if blind.kind == ErrorKind::Credentials {
        return blind;
    }
    let message = format!("{}; what became of it could not be read: {blind}", error.message);
    CloudError { message, ..error.clone() }
}

/// What is said after a change that got no clear answer, however clear it is, does not say that the change did not happen.
fn after(unclear: u32, error: CloudError) -> CloudError {
    if unclear == 0 || error.kind == ErrorKind::Credentials {
        return error;
    }
    CloudError { kind: ErrorKind::Unknown, ..error }
}

fn vanished(task: &Task) -> CloudError {
    CloudError {
        kind: ErrorKind::NotFound,
        ..own_error(task, "Vanished", format!("`{}` is not there any more", task.id))
    }
}

fn own_error(task: &Task, code: &str, message: String) -> CloudError {
    CloudError {
        cloud: task.ty.cloud(),
        call: format!("{} {}", task.ty, task.id),
        kind: ErrorKind::Invalid,
        code: code.to_owned(),
        message,
        request_id: None,
        hint: Some("plan again: it reads what is live".to_owned()),
    }
}
