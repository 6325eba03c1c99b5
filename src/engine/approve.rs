//! Turns a plan into one that may run: someone said yes, and the world is still the one that was planned for.

use std::collections::BTreeSet;

use super::diff::diff;
use super::secrecy::hide;
use super::undo::holds_lost;
use crate::model::{Catalogue, Change, Edit, Inventory, Live, Plan, Value};

/// Who said yes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// `--auto-approve`, or a plan file that was approved elsewhere.
    Automatic,
    /// A person at the prompt.
    Yes,
    /// A person at the prompt said no.
    No,
}

/// A plan that may run. Made by [`approve`] alone.
#[derive(Debug)]
pub struct ApprovedPlan(pub(super) Plan);

/// Why a plan may not run.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The person said no.
    #[error("not approved")]
    Declined,
    /// A live object is no longer what the plan saw.
    #[error("the plan is stale: `{object}` has changed since it was made")]
    Stale {
        /// Which object, by address.
        object: String,
        /// Which attribute moved, where one can be named, with both values: then and now, what is sensitive hidden.
        moved: Vec<(String, Option<Value>, Option<Value>)>,
    },
}

/// Checks the plan against what is live now: every object that was read for it must be as it was.
pub fn approve(
    plan: Plan,
    live: &Inventory,
    catalogue: &Catalogue,
    answer: Answer,
) -> Result<ApprovedPlan, Refusal> {
    if answer == Answer::No {
        return Err(Refusal::Declined);
    }
    let objects: BTreeSet<&String> = plan.live_digests.keys().chain(live.digests.keys()).collect();
    for object in objects {
        if plan.live_digests.get(object).unwrap_or(&None) != live.digests.get(object).unwrap_or(&None) {
            let moved = moved(&plan, live, catalogue, object);
            return Err(Refusal::Stale { object: object.clone(), moved });
        }
    }
    Ok(ApprovedPlan(plan))
}

/// The attributes of an object that are not what the plan saw. What either side calls sensitive is hidden in both; a
/// saved plan does not know what it was, so nothing is said of it then.
fn moved(
    plan: &Plan,
    live: &Inventory,
    catalogue: &Catalogue,
    object: &str,
) -> Vec<(String, Option<Value>, Option<Value>)> {
    let Some(change) = plan.changes.iter().find(|change| change.address.as_str() == object) else {
        return Vec::new();
    };
    match (&change.before, live.shown.get(&change.address)) {
        (Some(before), Some(now)) => {
            let Some(schema) = catalogue.get(&change.ty) else { return Vec::new() };
            let edits = diff(schema, &hide(before, now), &hide(now, before)).into_iter();
            edits.filter(is_told).map(|edit| (edit.path.to_string(), edit.before, edit.after)).collect()
        }
        (before, _) => existence(change, before.is_some(), live.at(&change.address)),
    }
}

/// Whether something is known to differ there.
fn is_told(edit: &Edit) -> bool {
    let shown = |value: &Option<Value>| value.as_ref().map(Value::to_json);
    !edit.before.as_ref().is_some_and(holds_lost) || shown(&edit.before) != shown(&edit.after)
}

/// It came or went as a whole.
fn existence(change: &Change, was: bool, now: Option<&Live>) -> Vec<(String, Option<Value>, Option<Value>)> {
    let id = |there: bool| {
        let id = now.map(|live| live.id.to_string()).or_else(|| change.id.as_ref().map(ToString::to_string));
        there.then(|| Value::Text(id.unwrap_or_default()))
    };
    vec![("the object itself".to_owned(), id(was), id(now.is_some()))]
}
