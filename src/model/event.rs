//! What just happened, for whoever watches; and how a run ended.

use std::time::Duration;

use super::{Address, CloudError, Op, StepId};

/// Which way a run is going.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Doing the plan's steps.
    Apply,
    /// Undoing steps, last first.
    Undo,
}

/// What just happened.
#[derive(Clone, Debug)]
pub enum Event {
    /// A run begins.
    Began {
        /// How many steps there are.
        steps: usize,
        /// Which way.
        phase: Phase,
    },
    /// A step's request is about to be sent.
    Started {
        /// Which.
        step: StepId,
        /// Whose.
        address: Address,
        /// What.
        op: Op,
        /// Which way.
        phase: Phase,
    },
    /// A step waits for something made moments ago to become usable.
    Waiting {
        /// Which.
        step: StepId,
        /// Whose.
        address: Address,
        /// What the cloud said.
        error: CloudError,
    },
    /// A step is done.
    Finished {
        /// Which.
        step: StepId,
        /// Whose.
        address: Address,
        /// What.
        op: Op,
        /// Which way.
        phase: Phase,
        /// How long it took.
        took: Duration,
    },
    /// A step failed.
    Failed {
        /// Which.
        step: StepId,
        /// Whose.
        address: Address,
        /// What.
        op: Op,
        /// Which way.
        phase: Phase,
        /// Why.
        error: CloudError,
    },
    /// While undoing, a step's result was left in place on purpose.
    Kept {
        /// Which.
        step: StepId,
        /// Whose.
        address: Address,
        /// Why.
        why: String,
    },
}

/// A step that failed.
#[derive(Clone, Debug)]
pub struct Failure {
    /// Whose step.
    pub address: Address,
    /// What it was to do.
    pub op: Op,
    /// Why it failed.
    pub error: CloudError,
}

/// Something a rollback left in place.
#[derive(Clone, Debug)]
pub struct Kept {
    /// Whose.
    pub address: Address,
    /// What the step had done.
    pub op: Op,
    /// Why it was not undone.
    pub why: String,
}

/// How a run ended. Rollback is an outcome, not an error.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// Every step is done.
    Applied {
        /// How many steps.
        steps: usize,
    },
    /// A step failed, and everything that was done is undone.
    RolledBack {
        /// What failed.
        failures: Vec<Failure>,
        /// How many steps were undone.
        undone: usize,
    },
    /// A step failed, and something that was done could not be undone, or was not to be.
    Stuck {
        /// What failed.
        failures: Vec<Failure>,
        /// How many steps were undone.
        undone: usize,
        /// What is left.
        kept: Vec<Kept>,
    },
    /// The user stopped it. What was finished is recorded; the run can be resumed.
    Interrupted {
        /// Which way it was going.
        phase: Phase,
        /// How many steps were done, or undone.
        done: usize,
        /// How many were not.
        left: usize,
        /// What failed meanwhile.
        failures: Vec<Failure>,
    },
}
