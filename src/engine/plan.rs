//! Stack + state + inventory -> plan: diff, order, undo, check. Pure and synchronous.

use jiff::Timestamp;

use crate::model::{Address, Catalogue, Diagnostics, Inventory, Map, Mode, Plan, Stack, State, Value};

/// What kind of plan is wanted.
#[derive(Clone, Debug)]
pub struct Request {
    /// What for.
    pub mode: Mode,
    /// Only these addresses and what they need; empty means all.
    pub targets: Vec<Address>,
    /// Not these addresses, nor what needs them.
    pub excludes: Vec<Address>,
    /// Whether an object may be deleted before its successor of the same name is made.
    pub allow_recreate: bool,
    /// The time of planning, for the dates of undo windows.
    pub now: Timestamp,
}

/// Decides everything.
pub fn plan(
    _stack: &Stack,
    _state: &State,
    _catalogue: &Catalogue,
    _inventory: &Inventory,
    _request: &Request,
) -> Result<Plan, Diagnostics> {
    Err(crate::model::Diagnostic::error("not yet").into())
}

/// The outputs as the live objects say them now: name, value (unknown where its source does not exist),
/// whether it is hidden.
pub fn outputs(_stack: &Stack, _inventory: &Inventory) -> Vec<(String, Value, bool)> {
    let _ = Map::new();
    Vec::new()
}
