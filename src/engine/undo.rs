//! How a step could be undone: its class, told before anyone approves it. Pure.

use jiff::{SignedDuration, Timestamp};

use crate::model::{Change, Deletion, Map, Op, Schema, Undo, Value};

/// The class of undoing an operation on a type.
pub(super) fn class(schema: &Schema, op: Op, now: Timestamp) -> Undo {
    match op {
        Op::Create => match schema.deletion {
            Deletion::Soft { hours } => {
                Undo::Equivalent { differs: format!("its name stays held until {}", day(later(now, hours))) }
            }
            Deletion::Recreatable { .. } | Deletion::Irreversible { .. } => Undo::Exact,
        },
        Op::Adopt if schema.marked => {
            Undo::Equivalent { differs: "the ownership mark stays on it".to_owned() }
        }
        Op::Update | Op::Forget | Op::Adopt => Undo::Exact,
        Op::Restore => Undo::Equivalent { differs: "the time until which its name is held".to_owned() },
        Op::Delete | Op::DeleteFormer | Op::DeleteFirst => match schema.deletion {
            Deletion::Recreatable { loses: "" } => Undo::Exact,
            Deletion::Recreatable { loses } => Undo::Equivalent { differs: loses.to_owned() },
            Deletion::Soft { hours } => Undo::Soft { until: later(now, hours) },
            Deletion::Irreversible { why } => Undo::Impossible { why: why.to_owned() },
        },
    }
}

/// The class of undoing a step of a change: not at all where it writes over what no one knows, or takes that away.
pub(super) fn class_of(schema: &Schema, op: Op, change: &Change, now: Timestamp) -> Undo {
    let lost = match op {
        Op::Update | Op::Adopt => {
            let lost = |value: &Option<Value>| value.as_ref().is_some_and(holds_lost);
            change.edits.iter().find(|edit| lost(&edit.before)).map(|edit| edit.path.to_string())
        }
        Op::DeleteFirst => change.before.as_ref().and_then(lost).map(str::to_owned),
        Op::Create | Op::Restore | Op::Delete | Op::DeleteFormer | Op::Forget => None,
    };
    let why = |place| format!("`{place}` is sensitive, and its former value is known to no one");
    lost.map_or_else(|| class(schema, op, now), |place| Undo::Impossible { why: why(place) })
}

/// The first property that holds a secret which is known to no one: a cloud does not show it, or it was read back from
/// a file, where only its place stands.
pub(super) fn lost(properties: &Map) -> Option<&str> {
    properties.iter().find(|(_, value)| holds_lost(value)).map(|(name, _)| name.as_str())
}

/// Whether a value holds a secret that is known to no one.
pub(super) fn holds_lost(value: &Value) -> bool {
    match value {
        Value::Secret(secret) => secret.expose().is_empty(),
        Value::List(items) => items.iter().any(holds_lost),
        Value::Map(map) => map.values().any(holds_lost),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Text(_) | Value::Unknown(_) => false,
    }
}

fn later(now: Timestamp, hours: u32) -> Timestamp {
    now.checked_add(SignedDuration::from_hours(i64::from(hours))).unwrap_or(Timestamp::MAX)
}

/// The day of an instant, for people.
pub(super) fn day(instant: Timestamp) -> String {
    instant.strftime("%Y-%m-%d").to_string()
}
