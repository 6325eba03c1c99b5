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
use super::diff::{diff, normalise};
use super::secrecy::hide;
use super::step::{Task, UNSEEN, appeared, perform, watched};
use super::undo::{self, holds_lost};
use crate::model::{
    Absent, Address, Catalogue, CloudError, Condition, Deed, Deletion, Edit, Entry, ErrorKind, Event,
    Holding, Image, Kept, Ledger, LedgerError, Live, Map, Op, Outcome, Owned, Path, Phase, Progress,
    Provider, Schema, Segment, Shape, Standing, StepId, Undo, Value,
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
            undo(undoing, deed, clouds, events).await
        };
        // What is not known to have failed may be on its way: it is being undone until somebody has looked.
        let unclear = matches!(&result, Err(Stay::Failed(error))
            if matches!(error.kind, ErrorKind::Unknown | ErrorKind::Credentials));
        let why = match result {
            Ok(owns) => {
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
        let holding = &deed.intent.owns;
        needed.extend(holding.current.iter().flat_map(|owned| owned.dependencies.iter().cloned()));
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
            owned.incarnation = undo::incarnation(schema, live);
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
    let Some(live) = appeared(task, clouds, patience).await? else { return Ok(()) };
    if matches!(live.condition, Condition::SoftDeleted { .. }) {
        return Ok(());
    }
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
    let empty = Image { properties: normalise(task.schema, &Map::new()), ..Image::of(&live) };
    let changed = match wrote {
        Some(wrote) => moved(task, wrote, &live),
        // It may be half made: then a place is as it was, or as in an empty one, or as it was to be.
        None => neither(task, deed.intent.before.as_ref().unwrap_or(&empty), &live),
    };
    if let Some(path) = changed {
        return Err(Stay::Kept(format!("somebody changed `{path}` since")));
    }
    let task = Task { op: Op::Delete, before: Some(live), properties: Map::new(), ..task.clone() };
    perform(&task, clouds, events).await?;
    Ok(())
}

/// Whether the object bore this mark before the step.
fn was_marked(deed: &Deed, mark: &crate::model::Owner) -> bool {
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
    let shall = Image { properties: task.properties.clone(), ..Image::of(live) };
    if again && moved(task, &shall, live).is_none() {
        return Ok(());
    }
    Err(Stay::Kept("no answer said that this run made it, so it may be somebody else's".to_owned()))
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
    if let Some(mark) = &live.owner
        && *mark != task.owner
        && Some(mark.to_text()) != before.owner
    {
        return Err(Stay::Kept("it bears another mark now".to_owned()));
    }
    let restored = hide(&before.properties, &task.properties);
    let known = require_kept(&restored);
    if moved(task, before, &live).is_none() && (known.is_ok() || never_came(task, deed, clouds).await?) {
        return Ok(());
    }
    known?;
    let changed = match wrote {
        Some(wrote) => moved(task, wrote, &live),
        None => neither(task, before, &live),
    };
    if let Some(path) = changed {
        return Err(Stay::Kept(format!("somebody changed `{path}` since")));
    }
    let update = |live| Task {
        op: Op::Update,
        before: Some(live),
        properties: restored.clone(),
        predicted: Map::new(),
        ..task.clone()
    };
    perform(&update(live), clouds, events).await?;
    // What to send was decided by a look that may have been behind in part: a second one finds what was left.
    match watched(&look, clouds, Duration::ZERO, |_| true).await? {
        Some(live) if moved(task, before, &live).is_some() => {
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
        Some(live) if is_ready(&live) => {
            let ours = live.owner.as_ref().is_none_or(|mark| mark.nonce == task.owner.nonce);
            let same =
                Some(live.owner.as_ref().map(crate::model::Owner::to_text)) == Some(before.owner.clone());
            return if ours || same {
                Ok(live)
            } else {
                Err(Stay::Kept("somebody made another one in its place".to_owned()))
            };
        }
        Some(live) => Task { op: Op::Restore, before: Some(live), ..task },
        None => Task { op: Op::Create, before: None, ..task },
    };
    require_kept(&task.properties)?;
    let live = perform(&task, clouds, events).await?;
    live.ok_or_else(|| Stay::Kept("it was brought back, and is not there".to_owned()))
}

/// What was sensitive is kept nowhere: after a crash it cannot be put back, nor what its cloud never shows.
fn require_kept(properties: &Map) -> Result<(), Stay> {
    match undo::lost(properties) {
        None => Ok(()),
        Some(name) => Err(Stay::Kept(format!("`{name}` was sensitive, so its former value is kept nowhere"))),
    }
}

/// An image with what it does not know taken from what is live: it cannot be compared.
fn filled(image: &Map, live: &Map) -> Map {
    let fill = |(name, value): (&String, &Value)| {
        let value = match (value, live.get(name)) {
            (Value::Map(inner), Some(Value::Map(live))) => Value::Map(filled(inner, live)),
            (value, Some(live)) if holds_lost(value) => live.clone(),
            (value, _) => value.clone(),
        };
        (name.clone(), value)
    };
    image.iter().map(fill).collect()
}

/// The first place that is neither as it was nor as a failed step was to make it. A step of several requests may have
/// stopped between two of them: some places are as they were, others as they were to be, and nobody else did that.
fn neither(task: &Task, before: &Image, live: &Live) -> Option<String> {
    let is = opened(task.schema, hide(&normalise(task.schema, &live.properties), &task.properties));
    let shall = opened(task.schema, filled(&task.properties, &is));
    let was = opened(task.schema, filled(&before.properties, &is));
    let from_ours = diff(task.schema, &is, &shall);
    let from_before = diff(task.schema, &is, &was);
    let foreign = |back: &&Edit| {
        let clashes = |on: &Edit| overlap(&back.path, &on.path) && !is_between(task.schema, back, on);
        from_ours.iter().any(clashes)
    };
    from_before.iter().find(foreign).map(|edit| edit.path.to_string())
}

/// With an empty container where there is none, so that it is compared item by item.
fn opened(schema: &Schema, mut properties: Map) -> Map {
    for property in schema.properties.iter().filter(|property| !matches!(property.absent, Absent::Unmanaged))
    {
        let empty = match property.shape {
            Shape::Keyed { .. } | Shape::Set(_) => Value::List(Vec::new()),
            Shape::Map(_) => Value::Map(Map::new()),
            Shape::Text(_)
            | Shape::Enum(_)
            | Shape::Integer { .. }
            | Shape::Bool
            | Shape::List(_)
            | Shape::Object(_)
            | Shape::Document => continue,
        };
        properties.entry(property.name.to_owned()).or_insert(empty);
    }
    properties
}

/// Whether two places are the same, or one lies within the other.
fn overlap(one: &Path, other: &Path) -> bool {
    one.0.iter().zip(&other.0).all(|(left, right)| left == right)
}

/// Whether a set is on its way from what it was to what it was to be: it holds nothing of a third party's, and still
/// all that it held and was to go on holding.
fn is_between(schema: &Schema, back: &Edit, on: &Edit) -> bool {
    let [Segment::Key(name)] = back.path.0.as_slice() else { return false };
    let is_set = schema.property(name).is_some_and(|property| matches!(property.shape, Shape::Set(_)));
    if !is_set || back.path != on.path {
        return false;
    }
    let items = |value: &Option<Value>| -> Vec<Value> {
        value.as_ref().and_then(Value::as_list).map(<[Value]>::to_vec).unwrap_or_default()
    };
    let (is, was, shall) = (items(&back.before), items(&back.after), items(&on.after));
    is.iter().all(|item| was.contains(item) || shall.contains(item))
        && was.iter().filter(|item| shall.contains(item)).all(|item| is.contains(item))
}

/// The first property that is live and not as an image says. What the cloud filled in where nothing was desired is
/// no one's change.
fn moved(task: &Task, image: &Image, live: &Live) -> Option<String> {
    let live = hide(&normalise(task.schema, &live.properties), &image.properties);
    let image = filled(&image.properties, &live);
    diff(task.schema, &live, &image).first().map(|edit| edit.path.to_string())
}
