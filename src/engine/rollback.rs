//! Undoes what runs did, last first, from the journal alone. Nothing is overwritten or deleted that is not as those
//! runs left it: in doubt it is kept, and said so.
//!
//! A step whose outcome is not known, or whose undoing was interrupted, is looked at before anything is sent, so
//! undoing twice leaves the world as undoing once.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::Instant;

use super::apply::Stop;
use super::books::{Books, owner, schema_of};
use super::diff::normalise;
use super::image::{is_ours, moved, neither};
use super::secrecy::hide;
use super::step::{Task, UNSEEN, perform, watched};
use super::undo;
use crate::model::{
    Address, Catalogue, CloudError, Condition, Deed, Deletion, Entry, ErrorKind, Event, Holding, Image, Kept,
    Ledger, LedgerError, Live, Map, Op, Outcome, Owned, Owner, Phase, Progress, Provider, Schema, Standing,
    StepId, Undo,
};

/// What undoing needs besides the books.
#[derive(Clone, Copy, Debug)]
pub struct Undoing<'a> {
    /// The stack's name, for the marks.
    pub stack: &'a str,
    /// The types.
    pub catalogue: &'a Catalogue,
    /// Ends it between two steps.
    pub stop: &'a Stop,
}

/// Undoes everything in the journal that is not undone: what `mcm rollback` does. The caller has found that no run in
/// it is past its pivot.
pub async fn rollback<L: Ledger>(
    undoing: Undoing<'_>,
    books: &mut Books<'_, L>,
    clouds: &impl Provider,
    events: &(dyn Fn(Event) + Sync),
) -> Result<Outcome, LedgerError> {
    let back = roll_back(undoing, books, clouds, events).await?;
    if back.left > 0 {
        let (done, left, failures) = (back.undone, back.left, Vec::new());
        return Ok(Outcome::Interrupted { phase: Phase::Undo, done, left, failures });
    }
    if back.kept.is_empty() {
        books.end().await?;
        return Ok(Outcome::RolledBack { failures: Vec::new(), undone: back.undone });
    }
    Ok(Outcome::Stuck { failures: Vec::new(), undone: back.undone, kept: back.kept })
}

/// How far undoing came.
#[derive(Default)]
pub(super) struct Back {
    /// So many steps are undone.
    pub(super) undone: usize,
    /// What was left in place.
    pub(super) kept: Vec<Kept>,
    /// So many steps were not looked at, because someone asked to stop.
    pub(super) left: usize,
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

/// Undoes steps, last first.
pub(super) async fn roll_back<L: Ledger>(
    undoing: Undoing<'_>,
    books: &mut Books<'_, L>,
    clouds: &impl Provider,
    events: &(dyn Fn(Event) + Sync),
) -> Result<Back, LedgerError> {
    let deeds: Vec<Deed> = books.journal.undoable().cloned().collect();
    events(Event::Began { steps: deeds.len(), phase: Phase::Undo });
    let mut back = Back::default();
    // What is kept may need what came before it.
    let mut needed: BTreeSet<Address> = BTreeSet::new();
    for (position, deed) in deeds.iter().enumerate() {
        if undoing.stop.is_requested() {
            back.left = deeds.len() - position;
            break;
        }
        let (id, step) = (deed.intent.deed, StepId(deed.intent.deed.0));
        let (address, op, phase) = (deed.intent.address.clone(), deed.intent.op, Phase::Undo);
        events(Event::Started { step, address: address.clone(), op, phase });
        let began = Instant::now();
        // The intent to undo is durable before anything is sent.
        books.write(Entry::Undoing { deed: id });
        books.settle().await?;
        let result = if needed.contains(&address) && deed.is_making() {
            Err(Stay::Kept("something that was kept needs it".to_owned()))
        } else {
            books.amid(Box::pin(undo(undoing, deed, clouds, events))).await?
        };
        // What is not known to have failed may be on its way: it is being undone until somebody has looked.
        let unclear = matches!(&result, Err(Stay::Failed(error))
            if matches!(error.kind, ErrorKind::Unknown | ErrorKind::Credentials));
        let why = match result {
            Ok(owns) => {
                // The mark that an adoption put on stays, and says nothing from now on.
                if op == Op::Adopt && deed.intent.before.as_ref().is_some_and(|before| before.owner.is_none())
                {
                    books.state.let_go.insert(deed.intent.nonce.clone());
                }
                books.write(Entry::Undone { deed: id, owns });
                back.undone += usize::from(deed.is_complete());
                events(Event::Finished { step, address, op, phase, took: began.elapsed() });
                continue;
            }
            Err(Stay::Kept(why)) => {
                events(Event::Kept { step, address: address.clone(), why: why.clone() });
                why
            }
            Err(Stay::Failed(error)) => {
                let why = error.to_string();
                events(Event::Failed { step, address: address.clone(), op, phase, error });
                why
            }
        };
        if !unclear {
            books.write(Entry::Kept { deed: id, why: why.clone() });
        }
        needed.extend(deed.owns.current.iter().flat_map(|owned| owned.dependencies.iter().cloned()));
        back.kept.push(Kept { address, op, why });
    }
    books.settle().await?;
    Ok(back)
}

impl Deed {
    /// Whether it came to its end, or may have left something half made.
    fn is_complete(&self) -> bool {
        self.wrote.is_some() || self.progress == Progress::Done
    }

    /// Whether it may have happened, or happen yet.
    fn is_unclear(&self) -> bool {
        match self.progress {
            Progress::Intended | Progress::Undoing => self.wrote.is_none(),
            Progress::Done | Progress::Failed | Progress::Untouched | Progress::Undone => false,
        }
    }

    /// Whether undoing it takes something away.
    fn is_making(&self) -> bool {
        match self.intent.op {
            Op::Create | Op::Restore => true,
            Op::Update | Op::Adopt | Op::Delete | Op::DeleteFormer | Op::DeleteFirst | Op::Forget => false,
        }
    }
}

/// Undoes one step. What its address owns afterwards.
async fn undo(
    undoing: Undoing<'_>,
    deed: &Deed,
    clouds: &impl Provider,
    events: &(dyn Fn(Event) + Sync),
) -> Result<Holding, Stay> {
    let task = task(undoing, deed);
    let owned = deed.intent.owned.clone();
    match deed.intent.op {
        Op::Create | Op::Restore => {
            unmake(&task, deed, clouds, events).await?;
            Ok(owned)
        }
        Op::Update | Op::Adopt => {
            let Some(before) = &deed.intent.before else { return Ok(owned) };
            put_back(&task, before, deed, clouds, events).await?;
            Ok(owned)
        }
        Op::Delete | Op::DeleteFormer | Op::DeleteFirst => {
            if let Undo::Impossible { why } = &deed.intent.undo {
                return Err(Stay::Kept(why.clone()));
            }
            let Some(before) = &deed.intent.before else { return Ok(owned) };
            let schema = task.schema;
            let live = bring_back(task, before, deed, clouds, events).await?;
            Ok(brought(owned, schema, &live))
        }
        Op::Forget => Ok(owned),
    }
}

/// What an address owned, with what was brought back in its place: it may be another incarnation.
fn brought(mut holding: Holding, schema: &Schema, live: &Live) -> Holding {
    let again = |owned: &mut Owned| {
        if owned.id == live.id {
            owned.standing = Standing::Ready;
            owned.incarnation = schema.incarnation(live);
        }
    };
    holding.current.iter_mut().chain(&mut holding.former).for_each(again);
    holding
}

/// A recorded step as a task of its own: the same identity, mark and rules.
fn task(undoing: Undoing<'_>, deed: &Deed) -> Task {
    let intent = &deed.intent;
    Task {
        step: StepId(intent.deed.0),
        deed: intent.deed,
        resumed: true,
        address: intent.address.clone(),
        op: intent.op,
        ty: intent.ty.clone(),
        schema: schema_of(undoing.catalogue, &intent.ty),
        id: intent.id.clone(),
        properties: intent.shall.clone(),
        predicted: Map::new(),
        before: None,
        owner: owner(undoing.stack, &intent.address, &intent.nonce),
        secrets: false,
        phase: Phase::Undo,
        fresh: true,
    }
}

/// Deletes what a step made, if it is still ours and as we left it.
async fn unmake(
    task: &Task,
    deed: &Deed,
    clouds: &impl Provider,
    events: &(dyn Fn(Event) + Sync),
) -> Result<(), Stay> {
    let wrote = deed.wrote.as_ref();
    // It may be under way yet; or it was made, and is not shown yet.
    let patience = if deed.is_unclear() || wrote.is_some() { UNSEEN } else { Duration::ZERO };
    let is_deleted = |live: &Live| matches!(live.condition, Condition::SoftDeleted { .. });
    // What is being restored is shown as deleted until it is there.
    let is_shown = |live: &Live| !is_deleted(live) || !deed.is_unclear();
    let found = watched(task, clouds, patience, |live| live.is_some_and(is_shown)).await?;
    let Some(live) = found.filter(|live| !is_deleted(live)) else { return Ok(()) };
    match &live.owner {
        Some(mark) if mark.nonce == task.owner.nonce => {}
        // It was undeleted, and not marked anew yet.
        Some(mark) if task.op == Op::Restore && was_marked(deed, mark) => {}
        // The step failed because somebody else's object stands there, or it was never sent.
        Some(_) if wrote.is_none() => return Ok(()),
        None if wrote.is_none() && task.schema.marked => return Ok(()),
        None if !task.schema.marked => certain(task, deed, &live)?,
        Some(_) | None => {
            return Err(Stay::Kept("it does not bear this run's mark any more".to_owned()));
        }
    }
    let empty = Image { properties: normalise(task.schema, &Map::new()), ..Image::of(task.schema, &live) };
    let changed = match wrote {
        Some(wrote) => moved(task, wrote, &live),
        // It may be half made: then a place is as it was, or as in an empty one, or as it was to be.
        None => neither(task, &deed.intent.before.as_ref().unwrap_or(&empty).properties, &live),
    };
    if let Some(path) = changed {
        return Err(Stay::Kept(format!("somebody changed `{path}` since")));
    }
    let task = Task { op: Op::Delete, before: Some(live), properties: Map::new(), ..task.clone() };
    perform(&task, clouds, events).await?;
    Ok(())
}

/// Whether the object bore this mark before the step.
fn was_marked(deed: &Deed, mark: &Owner) -> bool {
    let before = deed.intent.before.as_ref().and_then(|before| before.owner.clone());
    before == Some(mark.to_text())
}

/// Without room for a mark, an object is ours if we were told that we had made it. If no answer came, one that was
/// not there before and is exactly as we would have made it may go, provided that an equal one can be made again.
fn certain(task: &Task, deed: &Deed, live: &Live) -> Result<(), Stay> {
    if deed.wrote.is_some() {
        return Ok(());
    }
    let again = match task.schema.deletion {
        Deletion::Recreatable { .. } | Deletion::Soft { .. } => true,
        Deletion::Irreversible { .. } => false,
    };
    let shall = Image { properties: task.properties.clone(), ..Image::of(task.schema, live) };
    if again && moved(task, &shall, live).is_none() {
        return Ok(());
    }
    Err(Stay::Kept("no answer said that this run made it, so it may be somebody else's".to_owned()))
}

/// The mark that an object bore before the step; the step's own where there was none.
fn former_mark(task: &Task, before: &Image) -> Owner {
    before.owner.as_deref().and_then(Owner::parse).unwrap_or_else(|| task.owner.clone())
}

/// Puts a before-image back, if what we wrote still stands.
async fn put_back(
    task: &Task,
    before: &Image,
    deed: &Deed,
    clouds: &impl Provider,
    events: &(dyn Fn(Event) + Sync),
) -> Result<(), Stay> {
    // Looked at as what it was: where several objects make one, the first that is different is told.
    let look = Task { properties: before.properties.clone(), ..task.clone() };
    let wrote = deed.wrote.as_ref();
    // We changed it, so a cloud that says that it never was is behind; and a change under way shows what was before it.
    let doubted = wrote.is_some() || deed.is_unclear();
    let is_behind = |live: &Live| doubted && moved(task, before, live).is_none();
    let found = watched(&look, clouds, UNSEEN, |live| !live.is_some_and(is_behind)).await?;
    let Some(live) = found else {
        return Err(Stay::Kept("it is not there any more".to_owned()));
    };
    if ![Some(before), wrote].into_iter().flatten().any(|image| is_ours(task, image, &live)) {
        return Err(Stay::Kept(match live.owner {
            Some(_) => "it bears another mark now".to_owned(),
            None => "somebody made another one in its place, or took its mark off".to_owned(),
        }));
    }
    let restored = hide(&before.properties, &task.properties);
    let known = require_kept(&restored);
    let owner = former_mark(task, before);
    let is_back = |live: &Live| {
        moved(task, before, live).is_none() && (before.owner.is_none() || live.owner.as_ref() == Some(&owner))
    };
    if is_back(&live) && (known.is_ok() || never_came(task, deed, clouds).await?) {
        return Ok(());
    }
    known?;
    let changed = match wrote {
        Some(wrote) => moved(task, wrote, &live),
        None => neither(task, &before.properties, &live),
    };
    if let Some(path) = changed {
        return Err(Stay::Kept(format!("somebody changed `{path}` since")));
    }
    let update = |live| Task {
        op: Op::Update,
        before: Some(live),
        properties: restored.clone(),
        predicted: Map::new(),
        owner: owner.clone(),
        ..task.clone()
    };
    perform(&update(live), clouds, events).await?;
    // What to send was decided by a look that may have been behind in part: a second one finds what was left.
    match watched(&look, clouds, Duration::ZERO, |_| true).await? {
        Some(live) if !is_back(&live) => {
            perform(&update(live), clouds, events).await?;
            Ok(())
        }
        Some(_) => Ok(()),
        None => Err(Stay::Kept("it is not there any more".to_owned())),
    }
}

/// Whether the secrets that a failed step was to write never came: what is live is not those, so it is what was there
/// before, whatever that is.
async fn never_came(task: &Task, deed: &Deed, clouds: &impl Provider) -> Result<bool, CloudError> {
    if deed.wrote.is_some() || undo::lost(&task.properties).is_some() {
        return Ok(false);
    }
    let live = watched(task, clouds, Duration::ZERO, |_| true).await?;
    Ok(live.is_some_and(|live| undo::lost(&live.properties).is_some()))
}

/// Undeletes or remakes what a step deleted, where it is not there. As it is afterwards.
async fn bring_back(
    task: Task,
    before: &Image,
    deed: &Deed,
    clouds: &impl Provider,
    events: &(dyn Fn(Event) + Sync),
) -> Result<Live, Stay> {
    let task = Task { properties: before.properties.clone(), ..task };
    // A cloud that still shows what is deleted is behind; and so does a deletion that is under way.
    let is_ready = |live: &Live| live.condition == Condition::Ready;
    let doubted = deed.progress == Progress::Done || deed.is_unclear();
    let patience = if doubted { UNSEEN } else { Duration::ZERO };
    let task = match watched(&task, clouds, patience, |live| !live.is_some_and(is_ready)).await? {
        Some(live) if !is_ours(&task, before, &live) => {
            return Err(Stay::Kept("somebody made another one in its place".to_owned()));
        }
        Some(live) if is_ready(&live) => return made_whole(&task, before, live, clouds, events).await,
        Some(Live { condition: Condition::Failed(word), .. }) => {
            return Err(Stay::Kept(format!("it is there yet, and ended in a failed state: {word}")));
        }
        Some(live) => Task { op: Op::Restore, before: Some(live), ..task },
        None => Task { op: Op::Create, before: None, ..task },
    };
    require_kept(&task.properties)?;
    let live = perform(&task, clouds, events).await?;
    live.ok_or_else(|| Stay::Kept("it was brought back, and is not there".to_owned()))
}

/// Puts back what a deletion that stopped in the midst has taken off: it goes piece by piece.
async fn made_whole(
    task: &Task,
    before: &Image,
    live: Live,
    clouds: &impl Provider,
    events: &(dyn Fn(Event) + Sync),
) -> Result<Live, Stay> {
    if moved(task, before, &live).is_none() {
        return Ok(live);
    }
    let bare = Task { properties: normalise(task.schema, &Map::new()), ..task.clone() };
    if let Some(path) = neither(&bare, &before.properties, &live) {
        return Err(Stay::Kept(format!("somebody changed `{path}` since")));
    }
    require_kept(&task.properties)?;
    let owner = former_mark(task, before);
    let task = Task { op: Op::Update, before: Some(live), predicted: Map::new(), owner, ..task.clone() };
    let live = perform(&task, clouds, events).await?;
    live.ok_or_else(|| Stay::Kept("it was put together again, and is not there".to_owned()))
}

/// What was sensitive is kept nowhere: after a crash it cannot be put back, nor what its cloud never shows.
fn require_kept(properties: &Map) -> Result<(), Stay> {
    match undo::lost(properties) {
        None => Ok(()),
        Some(name) => Err(Stay::Kept(format!("`{name}` was sensitive, so its former value is kept nowhere"))),
    }
}
