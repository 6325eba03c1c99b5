//! One resource's part in an operation, step by step: said, done, said to be done.

use serde_json::Value as Json;

use super::kind::{self, Failure, Kind, Made, Place};
use super::outputs;
use super::references::dependencies;
use super::run::{note, say};
use super::stack::{self, Held, Phase, Run, Stack, TaskState};
use super::template::{Resource, Template};
use crate::sandbox::World;

/// Takes a task's next step.
pub(super) fn advance(
    world: &mut World,
    stack: &mut Stack,
    template: &Template,
    run: &mut Run,
    index: usize,
) {
    let state = match (run.phase, run.tasks[index].leftover) {
        (Phase::Create | Phase::Update, _) => make(world, stack, template, run, index),
        (Phase::UpdateRollback, _) => restore(world, stack, run, index),
        (Phase::Rollback | Phase::Delete, _) => remove(world, stack, run, index),
        (Phase::Cleanup | Phase::RollbackCleanup, Some(leftover)) => tidy(world, stack, run, index, leftover),
        (Phase::Cleanup | Phase::RollbackCleanup, None) => TaskState::Done,
    };
    run.tasks[index].state = state;
}

/// What has to be done to a resource.
enum Deed {
    Create,
    Keep,
    Change,
    Replace,
}

/// Makes or changes a declared resource.
fn make(world: &mut World, stack: &mut Stack, template: &Template, run: &mut Run, index: usize) -> TaskState {
    let (name, state) = (run.tasks[index].name.clone(), run.tasks[index].state);
    let Some(resource) = template.resource(&name) else { return TaskState::Done };
    if let TaskState::Initiated { anew } = state {
        let status = if anew && !is_known(stack, &name) { "CREATE_COMPLETE" } else { "UPDATE_COMPLETE" };
        say(world, stack, &name, status, None);
        return TaskState::Done;
    }
    let Some(kind) = kind::find(&resource.kind) else { return TaskState::Failed };
    let known = is_known(stack, &name);
    let wanted = wanted(world, stack, template, resource, kind);
    let (properties, deed) = match wanted {
        Ok(wanted) => wanted,
        Err(failure) => {
            let progress = if known { "UPDATE_IN_PROGRESS" } else { "CREATE_IN_PROGRESS" };
            if state == TaskState::Waiting {
                hold(world, stack, template, resource);
                say(world, stack, &name, progress, None);
            }
            return fail(world, stack, &name, known, &failure);
        }
    };
    if state == TaskState::Waiting {
        let told = match deed {
            Deed::Keep => {
                hold(world, stack, template, resource);
                return TaskState::Done;
            }
            Deed::Create => ("CREATE_IN_PROGRESS", None),
            Deed::Change => ("UPDATE_IN_PROGRESS", None),
            Deed::Replace => {
                let reason =
                    "Requested update requires the creation of a new physical resource; hence creating one.";
                ("UPDATE_IN_PROGRESS", Some(reason))
            }
        };
        hold(world, stack, template, resource);
        say(world, stack, &name, told.0, told.1);
        return TaskState::Begun;
    }
    let site = stack.site.clone();
    let mut place = Place { world: &mut *world, site: &site, name: &name };
    let old = stack.held.get(&name).cloned();
    let made = match (&deed, &old) {
        (Deed::Change | Deed::Keep, Some(old)) => {
            (kind.update)(&mut place, &old.physical, &old.properties, &properties)
        }
        _ => (kind.create)(&mut place, &properties),
    };
    if let Some(held) = stack.held.get_mut(&name) {
        held.touched = true;
        if made.is_err() && matches!(deed, Deed::Change | Deed::Create) {
            held.properties = properties.clone();
        }
    }
    match made {
        Err(failure) => fail(world, stack, &name, known, &failure),
        Ok(made) => {
            if let (Deed::Replace, Some(old)) = (&deed, old) {
                run.leftovers.push(stack::Leftover { name: name.clone(), held: old, replaced: true });
            }
            let anew = !matches!(deed, Deed::Change);
            take(stack, &name, made, properties);
            if anew {
                let status = if known { "UPDATE_IN_PROGRESS" } else { "CREATE_IN_PROGRESS" };
                say(world, stack, &name, status, Some("Resource creation Initiated"));
            }
            TaskState::Initiated { anew }
        }
    }
}

/// The properties that a resource is to have, and what that means.
fn wanted(
    world: &World,
    stack: &Stack,
    template: &Template,
    resource: &Resource,
    kind: &Kind,
) -> Result<(Json, Deed), Failure> {
    let exports = stack::exports(world, &stack.site.account, &stack.site.region);
    let invalid = |message: String| Failure { code: "", message };
    let properties = stack.scope(template, &exports).properties(&resource.properties).map_err(invalid)?;
    let properties = kind::check(kind, &resource.name, &properties)
        .map_err(|failure| Failure { code: "", message: failure.message })?;
    let Some(held) = stack.held.get(&resource.name).filter(|held| !held.physical.is_empty()) else {
        return Ok((properties, Deed::Create));
    };
    if held.kind != resource.kind {
        return Err(invalid(
            "Update of resource type is not permitted. The new template modifies resource type of the \
                            following resources"
                .to_owned(),
        ));
    }
    let tags_changed = stack.before.as_ref().is_some_and(|before| before.design.tags != stack.design.tags)
        && kind.properties.iter().any(|property| property.name == "Tags");
    let differences = kind::differences(kind, &held.properties, &properties);
    let deed = if differences.iter().any(|(_, replaces)| *replaces) {
        Deed::Replace
    } else if differences.is_empty() && !tags_changed && !held.touched {
        Deed::Keep
    } else {
        Deed::Change
    };
    Ok((properties, deed))
}

fn is_known(stack: &Stack, name: &str) -> bool {
    stack.before.as_ref().is_some_and(|before| before.held.contains_key(name))
}

/// Has the stack hold a resource, or brings what it says of it up to date.
fn hold(world: &World, stack: &mut Stack, template: &Template, resource: &Resource) {
    let held = stack.held.entry(resource.name.clone()).or_insert_with(|| Held {
        kind: resource.kind.clone(),
        physical: String::new(),
        attributes: std::collections::BTreeMap::new(),
        properties: Json::Object(serde_json::Map::new()),
        status: String::new(),
        reason: None,
        updated: world.now(),
        needs: Vec::new(),
        deletion: String::new(),
        replacing: String::new(),
        touched: false,
    });
    held.needs = dependencies(template, resource).into_iter().collect();
    held.deletion.clone_from(&resource.deletion);
    held.replacing.clone_from(&resource.replacing);
}

fn take(stack: &mut Stack, name: &str, made: Made, properties: Json) {
    if let Some(held) = stack.held.get_mut(name) {
        held.physical = made.physical;
        held.attributes = made.attributes;
        held.properties = properties;
    }
}

fn fail(world: &mut World, stack: &mut Stack, name: &str, known: bool, failure: &Failure) -> TaskState {
    let status = if known { "UPDATE_FAILED" } else { "CREATE_FAILED" };
    let reason = told(world, failure);
    // A service may repeat in its refusal what it was given.
    let hidden = outputs::hide(&outputs::secrets(&stack.design), &Json::String(reason));
    say(world, stack, name, status, hidden.as_str());
    TaskState::Failed
}

/// A failure as an event tells it.
fn told(world: &mut World, failure: &Failure) -> String {
    if failure.code.is_empty() {
        return failure.message.clone();
    }
    let (token, Failure { code, message }) = (world.uuid(), failure);
    format!(
        "Resource handler returned message: \"{message}\" (RequestToken: {token}, HandlerErrorCode: {code})"
    )
}

/// Takes an update of a resource back.
fn restore(world: &mut World, stack: &mut Stack, run: &Run, index: usize) -> TaskState {
    let (name, state) = (run.tasks[index].name.clone(), run.tasks[index].state);
    let old = stack.before.as_ref().and_then(|before| before.held.get(&name).cloned());
    let (Some(old), Some(now)) = (old, stack.held.get(&name).cloned()) else { return TaskState::Done };
    match state {
        TaskState::Waiting if run.skipped.contains(&name) => {
            stack.held.insert(name.clone(), Held { touched: false, ..old });
            say(world, stack, &name, "UPDATE_COMPLETE", Some("Resource update rollback skipped by user"));
            TaskState::Done
        }
        TaskState::Waiting => {
            say(world, stack, &name, "UPDATE_IN_PROGRESS", None);
            TaskState::Begun
        }
        TaskState::Begun => {
            let Some(kind) = kind::find(&old.kind) else { return TaskState::Failed };
            let site = stack.site.clone();
            let mut place = Place { world: &mut *world, site: &site, name: &name };
            match (kind.update)(&mut place, &now.physical, &now.properties, &old.properties) {
                Err(failure) => fail(world, stack, &name, true, &failure),
                Ok(made) => {
                    let restored = Held { status: now.status, touched: false, ..old };
                    let properties = restored.properties.clone();
                    stack.held.insert(name.clone(), restored);
                    take(stack, &name, made, properties);
                    TaskState::Initiated { anew: false }
                }
            }
        }
        TaskState::Initiated { .. } => {
            say(world, stack, &name, "UPDATE_COMPLETE", None);
            TaskState::Done
        }
        TaskState::Done | TaskState::Failed => state,
    }
}

/// Deletes a resource of a stack that goes.
fn remove(world: &mut World, stack: &mut Stack, run: &Run, index: usize) -> TaskState {
    let (name, state) = (run.tasks[index].name.clone(), run.tasks[index].state);
    let Some(held) = stack.held.get(&name).cloned() else { return TaskState::Done };
    let retained = match run.phase {
        Phase::Rollback => held.deletion == "Retain",
        Phase::Create
        | Phase::Update
        | Phase::Cleanup
        | Phase::UpdateRollback
        | Phase::RollbackCleanup
        | Phase::Delete => held.deletion != "Delete" || run.skipped.contains(&name),
    };
    match state {
        TaskState::Waiting if held.physical.is_empty() => {
            say(world, stack, &name, "DELETE_COMPLETE", None);
            TaskState::Done
        }
        TaskState::Waiting if retained => {
            say(world, stack, &name, "DELETE_SKIPPED", None);
            TaskState::Done
        }
        TaskState::Waiting => {
            say(world, stack, &name, "DELETE_IN_PROGRESS", None);
            TaskState::Begun
        }
        TaskState::Begun => match deleted(world, stack, &name, &held) {
            Ok(()) => TaskState::Initiated { anew: false },
            Err(reason) => {
                say(world, stack, &name, "DELETE_FAILED", Some(&reason));
                TaskState::Failed
            }
        },
        TaskState::Initiated { .. } => {
            say(world, stack, &name, "DELETE_COMPLETE", None);
            TaskState::Done
        }
        TaskState::Done | TaskState::Failed => state,
    }
}

/// Deletes what an update or its rollback left behind.
fn tidy(world: &mut World, stack: &mut Stack, run: &Run, index: usize, leftover: usize) -> TaskState {
    let state = run.tasks[index].state;
    let Some(left) = run.leftovers.get(leftover).cloned() else { return TaskState::Done };
    let policy = if left.replaced { &left.held.replacing } else { &left.held.deletion };
    let retained = run.phase == Phase::Cleanup && policy != "Delete"
        || run.phase == Phase::RollbackCleanup && policy == "Retain" && !left.replaced;
    let tell = |world: &mut World, stack: &mut Stack, status: &str, reason: Option<&str>| {
        note(world, stack, &left.name, &left.held, status, reason);
    };
    match state {
        TaskState::Waiting if left.held.physical.is_empty() => {
            tell(world, stack, "DELETE_COMPLETE", None);
            TaskState::Done
        }
        TaskState::Waiting if retained => {
            tell(world, stack, "DELETE_SKIPPED", None);
            TaskState::Done
        }
        TaskState::Waiting => {
            tell(world, stack, "DELETE_IN_PROGRESS", None);
            TaskState::Begun
        }
        TaskState::Begun => match deleted(world, stack, &left.name, &left.held) {
            Ok(()) => TaskState::Initiated { anew: false },
            Err(reason) => {
                tell(world, stack, "DELETE_FAILED", Some(&reason));
                TaskState::Failed
            }
        },
        TaskState::Initiated { .. } => {
            tell(world, stack, "DELETE_COMPLETE", None);
            TaskState::Done
        }
        TaskState::Done | TaskState::Failed => state,
    }
}

/// Deletes a thing; one that is gone already is deleted.
fn deleted(world: &mut World, stack: &Stack, name: &str, held: &Held) -> Result<(), String> {
    let Some(kind) = kind::find(&held.kind) else { return Ok(()) };
    let mut place = Place { world: &mut *world, site: &stack.site, name };
    match (kind.delete)(&mut place, &held.physical, &held.properties) {
        Ok(()) => Ok(()),
        Err(failure) if failure.code == "NotFound" => Ok(()),
        Err(failure) => Err(told(world, &failure)),
    }
}
