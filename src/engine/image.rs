//! Live objects against the journal's images of them: whether one is the same object, and whether somebody changed it.

use super::diff::{diff, normalise};
use super::secrecy::{hide, hide_former};
use super::step::Task;
use super::undo::holds_lost;
use crate::model::{Absent, Edit, Image, Live, Map, Path, Schema, Segment, Shape, Value};

/// Whether an object is the task's: it bears the task's mark, or it is the one of the image, with the mark that it bore
/// then. A namesake of another creation is not, whatever it looks like.
pub(super) fn is_ours(task: &Task, image: &Image, live: &Live) -> bool {
    let found = task.schema.incarnation(live);
    let incarnation = image.incarnation.as_ref().zip(found.as_ref()).map(|(was, is)| was == is);
    match &live.owner {
        Some(mark) if mark.nonce == task.owner.nonce => true,
        // Whoever has marked it since has it.
        Some(mark) => image.owner.as_ref() == Some(&mark.to_text()) && incarnation != Some(false),
        None => incarnation.unwrap_or(image.owner.is_none()),
    }
}

/// Whether an object is known to be another one than an earlier look saw in its place.
pub(super) fn is_another(schema: &Schema, before: &Live, live: &Live) -> bool {
    match (schema.incarnation(before), schema.incarnation(live)) {
        (Some(was), Some(is)) => was != is,
        _ => false,
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
///
/// All three sides are brought to one form: normalised, and with what is sensitive in one of them hidden in all.
pub(super) fn neither(task: &Task, before: &Map, live: &Live) -> Option<String> {
    let before = hide(&normalise(task.schema, before), &task.properties);
    let is = hide_former(&normalise(task.schema, &live.properties), &task.properties, Some(&before));
    let is = opened(task.schema, is);
    let shall = opened(task.schema, filled(&task.properties, &is));
    let was = opened(task.schema, filled(&before, &is));
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
pub(super) fn moved(task: &Task, image: &Image, live: &Live) -> Option<String> {
    let live = hide(&normalise(task.schema, &live.properties), &image.properties);
    let image = filled(&image.properties, &live);
    diff(task.schema, &live, &image).first().map(|edit| edit.path.to_string())
}
