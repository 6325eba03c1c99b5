//! The life of a stack: an operation goes on tick by tick, from status to status.
//!
//! A tick passes with every look at the stack, and with time for those who do not look. Nothing runs in the
//! background: what time has done is made up for at the beginning of the next request to AWS.

use jiff::SignedDuration;

use super::begin;
use super::outputs;
use super::stack::{Held, OnFailure, Phase, Run, Running, Stack, Subject, Task, TaskState};
use super::task;
use super::template::Template;
use crate::sandbox::World;

/// Time passes in ticks of this length.
const TICK: SignedDuration = SignedDuration::from_millis(100);
/// No operation takes more.
const MOST_TICKS: i64 = 5000;

/// Makes up for the time that has passed, for every stack.
pub(in crate::sandbox::aws) fn settle(world: &mut World) {
    for (id, _) in world.list::<Running>("") {
        let Some(stack) = world.get::<Stack>(&id) else { continue };
        let Some(run) = &stack.run else { continue };
        let passed = world.now().duration_since(run.since).as_millis() / TICK.as_millis();
        for _ in 0..i64::try_from(passed).unwrap_or(MOST_TICKS).clamp(0, MOST_TICKS) {
            if !tick(world, &id) {
                break;
            }
        }
    }
}

/// Lets one tick pass for a stack; whether its operation goes on.
pub(super) fn tick(world: &mut World, id: &str) -> bool {
    let Some(mut stack) = world.get::<Stack>(id) else { return false };
    let Some(mut run) = stack.run.take() else { return false };
    // What is kept was read before.
    let Ok(template) = Template::read(&stack.design.template) else { return false };
    run.since = world.now();
    let ended = |task: &Task| matches!(task.state, TaskState::Done | TaskState::Failed);
    let failed = run.tasks.iter().any(|task| task.state == TaskState::Failed);
    if (failed && run.phase.stops_at_failure())
        || run.tasks.iter().all(|task| ended(task) || blocked(&run, task))
    {
        turn(world, &mut stack, &template, run);
    } else {
        let before = run.tasks.clone();
        let done =
            |name: &String| before.iter().any(|task| task.name == *name && task.state == TaskState::Done);
        for (index, task) in before.iter().enumerate() {
            if !ended(task) && (task.state != TaskState::Waiting || task.after.iter().all(done)) {
                task::advance(world, &mut stack, &template, &mut run, index);
            }
        }
        stack.run = Some(run);
    }
    stack.save(world);
    stack.is_busy()
}

/// Whether a task waits for what has failed, or for what waits for that.
fn blocked(run: &Run, task: &Task) -> bool {
    let mut seen = vec![&task.name];
    let mut ahead = task.after.iter().collect::<Vec<_>>();
    while let Some(name) = ahead.pop() {
        let Some(needed) = run.tasks.iter().find(|other| other.name == *name) else { continue };
        if needed.state == TaskState::Failed {
            return true;
        }
        if needed.state == TaskState::Waiting && !seen.contains(&name) {
            seen.push(name);
            ahead.extend(&needed.after);
        }
    }
    false
}

/// Ends a phase.
fn turn(world: &mut World, stack: &mut Stack, template: &Template, run: Run) {
    let failed = run.tasks.iter().filter(|task| task.state == TaskState::Failed);
    let failed = failed.map(|task| task.name.clone()).collect::<Vec<_>>();
    let names = failed.join(", ");
    match run.phase {
        Phase::Create if failed.is_empty() => match outputs::evaluate(world, stack, template) {
            Ok(()) => end(world, stack, "CREATE_COMPLETE", None),
            Err(reason) => creation_failed(world, stack, &reason),
        },
        Phase::Create => {
            cancel(world, stack, &run);
            creation_failed(world, stack, &format!("The following resource(s) failed to create: [{names}]."));
        }
        Phase::Update if failed.is_empty() => match outputs::evaluate(world, stack, template) {
            Ok(()) => {
                begin::cleanup(
                    world,
                    stack,
                    run.leftovers,
                    "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS",
                    Phase::Cleanup,
                );
            }
            Err(reason) => update_failed(world, stack, &reason),
        },
        Phase::Update => {
            let created = |name: &&String| !is_known(stack, name);
            let (made, changed): (Vec<_>, Vec<_>) = failed.iter().partition(created);
            cancel(world, stack, &run);
            let mut reasons = Vec::new();
            for (names, verb) in [(made, "create"), (changed, "update")] {
                if !names.is_empty() {
                    let names = names.into_iter().cloned().collect::<Vec<_>>().join(", ");
                    reasons.push(format!("The following resource(s) failed to {verb}: [{names}]."));
                }
            }
            update_failed(world, stack, &reasons.join(" "));
        }
        Phase::Cleanup => end(world, stack, "UPDATE_COMPLETE", None),
        Phase::RollbackCleanup => end(world, stack, "UPDATE_ROLLBACK_COMPLETE", None),
        Phase::UpdateRollback if failed.is_empty() => {
            let status = "UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS";
            begin::cleanup(world, stack, run.leftovers, status, Phase::RollbackCleanup);
        }
        Phase::UpdateRollback => {
            if let Some(before) = &mut stack.before {
                before.leftovers = run.leftovers;
            }
            let reason = format!("The following resource(s) failed to update: [{names}]. ");
            end(world, stack, "UPDATE_ROLLBACK_FAILED", Some(&reason));
        }
        Phase::Rollback if failed.is_empty() => end(world, stack, "ROLLBACK_COMPLETE", None),
        Phase::Delete if failed.is_empty() => {
            stack.deleted = Some(world.now());
            end(world, stack, "DELETE_COMPLETE", None);
            super::change_set::forget_all(world, stack.id());
        }
        Phase::Rollback | Phase::Delete => {
            let reason = format!("The following resource(s) failed to delete: [{names}]. ");
            let status = if run.phase == Phase::Delete { "DELETE_FAILED" } else { "ROLLBACK_FAILED" };
            end(world, stack, status, Some(&reason));
        }
    }
}

fn end(world: &mut World, stack: &mut Stack, status: &str, reason: Option<&str>) {
    stack.run = None;
    if matches!(status, "UPDATE_COMPLETE" | "UPDATE_ROLLBACK_COMPLETE") {
        stack.before = None;
    }
    if status == "CREATE_COMPLETE" {
        stack.held.values_mut().for_each(|held| held.touched = false);
    }
    stack.turn(world, status, reason);
}

fn is_known(stack: &Stack, name: &str) -> bool {
    stack.before.as_ref().is_some_and(|before| before.held.contains_key(name))
}

fn creation_failed(world: &mut World, stack: &mut Stack, reason: &str) {
    match stack.on_failure {
        OnFailure::Nothing => end(world, stack, "CREATE_FAILED", Some(reason)),
        OnFailure::Delete => {
            begin::delete(world, stack, Vec::new(), Some(&format!("{reason} Delete requested by user.")));
        }
        OnFailure::Rollback => {
            begin::rollback(world, stack, &format!("{reason} Rollback requested by user."));
        }
    }
}

fn update_failed(world: &mut World, stack: &mut Stack, reason: &str) {
    match stack.on_failure {
        OnFailure::Nothing => end(world, stack, "UPDATE_FAILED", Some(reason)),
        OnFailure::Rollback | OnFailure::Delete => begin::update_rollback(world, stack, &[], reason),
    }
}

/// What was under way when something else failed is given up.
fn cancel(world: &mut World, stack: &mut Stack, run: &Run) {
    for task in &run.tasks {
        if matches!(task.state, TaskState::Begun | TaskState::Initiated { .. }) {
            let known = is_known(stack, &task.name);
            let (status, reason) = if known {
                ("UPDATE_FAILED", "Resource update cancelled")
            } else {
                ("CREATE_FAILED", "Resource creation cancelled")
            };
            say(world, stack, &task.name, status, Some(reason));
        }
    }
    // What an update has left behind is needed again, unless the update is kept as it is.
    if stack.on_failure == OnFailure::Nothing
        && let Some(before) = &mut stack.before
    {
        before.leftovers.clone_from(&run.leftovers);
    }
}

/// Notes an event of a resource that the stack holds, and its new status.
pub(super) fn say(world: &mut World, stack: &mut Stack, name: &str, status: &str, reason: Option<&str>) {
    let now = world.now();
    let Some(held) = stack.held.get_mut(name) else { return };
    status.clone_into(&mut held.status);
    held.reason = reason.map(str::to_owned);
    held.updated = now;
    let held = held.clone();
    note(world, stack, name, &held, status, reason);
}

/// Notes an event of a resource.
pub(super) fn note(
    world: &mut World,
    stack: &mut Stack,
    name: &str,
    held: &Held,
    status: &str,
    reason: Option<&str>,
) {
    let shown = outputs::hide(&outputs::secrets(&stack.design), &held.properties).to_string();
    let subject = Subject { name, physical: &held.physical, kind: &held.kind };
    stack.note(world, &subject, status, reason, Some(shown));
}
