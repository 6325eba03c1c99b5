//! Change sets: what a design would change, kept until it is executed or thrown away.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::super::error::Error;
use super::super::query::Call;
use super::compare::Change;
use super::invalid;
use super::stack::{self, Design, OnFailure, Stack};
use crate::sandbox::{Record, World};

/// A change set is there after so long.
const MAKING: SignedDuration = SignedDuration::from_millis(300);
/// Or at this look.
const LOOKS: u32 = 2;

/// A change set, under `STACK-ID#NAME`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct ChangeSet {
    /// Its ARN.
    pub(super) id: String,
    pub(super) name: String,
    pub(super) stack_id: String,
    pub(super) stack_name: String,
    pub(super) description: Option<String>,
    /// Whether it makes the stack.
    pub(super) creates: bool,
    pub(super) created: Timestamp,
    pub(super) looks: u32,
    pub(super) design: Design,
    pub(super) on_failure: OnFailure,
    /// Why there is nothing to execute, if there is not.
    pub(super) failure: Option<String>,
    pub(super) changes: Vec<Change>,
    pub(super) token: Option<String>,
    pub(super) executed: bool,
    pub(super) obsolete: bool,
}

impl Record for ChangeSet {
    const TABLE: &'static str = "aws.cloudformation.change-set";
}

impl ChangeSet {
    /// Keeps it.
    pub(super) fn save(&self, world: &mut World) {
        world.put(&format!("{}#{}", self.stack_id, self.name), self);
    }

    /// How far its making is.
    pub(super) fn status(&self, now: Timestamp) -> &'static str {
        let made = self.looks >= LOOKS || now.duration_since(self.created) >= MAKING;
        match (made, &self.failure, self.looks) {
            (true, Some(_), _) => "FAILED",
            (true, None, _) => "CREATE_COMPLETE",
            (false, _, 0) => "CREATE_PENDING",
            (false, ..) => "CREATE_IN_PROGRESS",
        }
    }

    /// Whether it can be, or has been, executed.
    pub(super) fn execution(&self, stack: &Stack, now: Timestamp) -> &'static str {
        if self.executed {
            return match stack.status.as_str() {
                "CREATE_COMPLETE" | "UPDATE_COMPLETE" | "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS" => {
                    "EXECUTE_COMPLETE"
                }
                "CREATE_IN_PROGRESS" | "UPDATE_IN_PROGRESS" => "EXECUTE_IN_PROGRESS",
                _ => "EXECUTE_FAILED",
            };
        }
        match (self.status(now), self.obsolete) {
            (_, true) => "OBSOLETE",
            ("CREATE_COMPLETE", false) => "AVAILABLE",
            _ => "UNAVAILABLE",
        }
    }
}

/// Every change set of a stack.
pub(super) fn of(world: &World, stack_id: &str) -> Vec<ChangeSet> {
    world.list::<ChangeSet>(&format!("{stack_id}#")).into_iter().map(|(_, found)| found).collect()
}

/// The change set of that name of a stack, or of that id.
pub(super) fn find(call: &Call<'_>, stack: Option<&String>, name: &str) -> Result<ChangeSet, Error> {
    let absent = || Error::new(404, "ChangeSetNotFound", format!("ChangeSet [{name}] does not exist"));
    if name.starts_with("arn:") {
        let prefix = format!("arn:aws:cloudformation:{}:{}:stack/", call.region, call.caller.account);
        let all = call.world.list::<ChangeSet>(&prefix);
        return all.into_iter().map(|(_, found)| found).find(|found| found.id == name).ok_or_else(absent);
    }
    let Some(stack) = stack else {
        return Err(invalid("StackName must be specified if ChangeSetName is not specified as an ARN."));
    };
    let found = stack::find(call.world, &call.caller.account, &call.region, stack)
        .ok_or_else(|| invalid(format!("Stack [{stack}] does not exist")))?;
    call.world.get(&format!("{}#{name}", found.id())).ok_or_else(absent)
}

/// Throws a change set away.
pub(super) fn forget(world: &mut World, found: &ChangeSet) {
    world.remove::<ChangeSet>(&format!("{}#{}", found.stack_id, found.name));
}

/// Throws all change sets of a stack away.
pub(super) fn forget_all(world: &mut World, stack_id: &str) {
    for found in of(world, stack_id) {
        forget(world, &found);
    }
}

/// What was compared with the stack before it changed says nothing any more.
pub(super) fn make_obsolete(world: &mut World, stack_id: &str) {
    for mut found in of(world, stack_id) {
        if !found.executed {
            found.obsolete = true;
            found.save(world);
        }
    }
}
