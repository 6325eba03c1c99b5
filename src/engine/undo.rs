//! How a step could be undone: its class, told before anyone approves it. Pure.

use jiff::{SignedDuration, Timestamp};

use crate::model::{Deletion, Live, Op, Schema, Undo, Value};

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

fn later(now: Timestamp, hours: u32) -> Timestamp {
    now.checked_add(SignedDuration::from_hours(i64::from(hours))).unwrap_or(Timestamp::MAX)
}

/// The day of an instant, for people.
pub(super) fn day(instant: Timestamp) -> String {
    instant.strftime("%Y-%m-%d").to_string()
}

/// The vendor's unique id of an object's creation.
pub(super) fn incarnation(schema: &Schema, live: &Live) -> Option<String> {
    let unique = schema.attributes.iter().find(|attribute| attribute.unique)?;
    let path: Vec<&str> = unique.path.split('.').collect();
    let (first, rest) = path.split_first()?;
    live.attributes.get(*first)?.at(rest).and_then(Value::as_text).map(str::to_owned)
}
