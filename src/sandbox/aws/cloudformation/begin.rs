//! How operations begin: which tasks they have, and which waits for which.

use std::collections::{BTreeMap, BTreeSet};

use super::references::dependencies;
use super::stack;
use super::stack::{Before, Design, Held, Leftover, Phase, Run, Stack, Task};
use super::template::Template;
use crate::sandbox::World;

fn start(world: &World, stack: &mut Stack, phase: Phase, tasks: Vec<Task>, leftovers: Vec<Leftover>) {
    let (skipped, since) = (Vec::new(), world.now());
    stack.run = Some(Run { phase, tasks, leftovers, skipped, since });
}

/// The tasks of making or changing what a template declares.
fn tasks_of(world: &World, stack: &Stack, template: &Template) -> Result<Vec<Task>, String> {
    let exports = stack::exports(world, &stack.site.account, &stack.site.region);
    let scope = stack.scope(template, &exports);
    let mut tasks = Vec::new();
    for resource in &template.resources {
        if scope.includes(resource.condition.as_ref())? {
            tasks.push(Task::new(&resource.name, dependencies(template, resource).into_iter().collect()));
        }
    }
    let present = tasks.iter().map(|task| task.name.clone()).collect::<BTreeSet<_>>();
    for task in &mut tasks {
        task.after.retain(|name| present.contains(name));
    }
    Ok(tasks)
}

/// Begins to make a stack.
pub(super) fn create(world: &mut World, stack: &mut Stack, template: &Template) -> Result<(), String> {
    let tasks = tasks_of(world, stack, template)?;
    start(world, stack, Phase::Create, tasks, Vec::new());
    stack.turn(world, "CREATE_IN_PROGRESS", Some("User Initiated"));
    Ok(())
}

/// Begins to change a stack.
pub(super) fn update(
    world: &mut World,
    stack: &mut Stack,
    design: Design,
    template: &Template,
) -> Result<(), String> {
    let old = std::mem::replace(&mut stack.design, design);
    let tasks = match tasks_of(world, stack, template) {
        Ok(tasks) => tasks,
        Err(reason) => {
            stack.design = old;
            return Err(reason);
        }
    };
    // An update of what an earlier one has left half done is rolled back to where that one began.
    let kept = stack.before.take().filter(|_| stack.status == "UPDATE_FAILED");
    stack.before = Some(kept.unwrap_or_else(|| {
        let (held, outputs) = (stack.held.clone(), stack.outputs.clone());
        Box::new(Before { design: old, held, outputs, leftovers: Vec::new() })
    }));
    let leftovers =
        stack.before.as_mut().map(|before| std::mem::take(&mut before.leftovers)).unwrap_or_default();
    stack.updated = Some(world.now());
    stack.site.tags.clone_from(&stack.design.tags);
    start(world, stack, Phase::Update, tasks, leftovers);
    stack.turn(world, "UPDATE_IN_PROGRESS", Some("User Initiated"));
    Ok(())
}

/// Which of these need which: what is needed goes last.
fn backwards<'a>(things: impl Iterator<Item = (&'a String, &'a Held)>) -> Vec<Task> {
    let things = things.collect::<Vec<_>>();
    let needers = |name: &String| {
        let of = things.iter().filter(|(other, held)| *other != name && held.needs.contains(name));
        of.map(|(other, _)| (*other).clone()).collect::<Vec<_>>()
    };
    things.iter().map(|(name, _)| Task::new(name, needers(name))).collect()
}

/// Begins to delete a stack.
pub(super) fn delete(world: &mut World, stack: &mut Stack, retain: Vec<String>, reason: Option<&str>) {
    // What a rollback has not come to delete goes too.
    for left in stack.before.take().map(|before| before.leftovers).unwrap_or_default() {
        stack.held.entry(left.name).or_insert(left.held);
    }
    let tasks = backwards(stack.held.iter().filter(|(_, held)| !held.is_gone()));
    start(world, stack, Phase::Delete, tasks, Vec::new());
    if let Some(run) = &mut stack.run {
        run.skipped = retain;
    }
    stack.turn(world, "DELETE_IN_PROGRESS", reason.or(Some("User Initiated")));
}

/// Begins to take a creation back.
pub(super) fn rollback(world: &mut World, stack: &mut Stack, reason: &str) {
    let tasks = backwards(stack.held.iter().filter(|(_, held)| !held.is_gone()));
    start(world, stack, Phase::Rollback, tasks, Vec::new());
    stack.turn(world, "ROLLBACK_IN_PROGRESS", Some(reason));
}

/// Begins to take an update back, or goes on with it.
pub(super) fn update_rollback(world: &mut World, stack: &mut Stack, skipped: &[String], reason: &str) {
    let Some(before) = stack.before.clone() else { return };
    stack.design = before.design.clone();
    stack.site.tags.clone_from(&before.design.tags);
    stack.outputs.clone_from(&before.outputs);
    let mut leftovers = if stack.status == "UPDATE_ROLLBACK_FAILED" { before.leftovers } else { Vec::new() };
    let mut tasks = Vec::new();
    for (name, now) in std::mem::take(&mut stack.held) {
        match before.held.get(&name) {
            None => leftovers.push(Leftover { name, held: now, replaced: false }),
            Some(old) if old.physical != now.physical => {
                let mut restored = old.clone();
                restored.touched = true;
                stack.held.insert(name.clone(), restored);
                leftovers.push(Leftover { name: name.clone(), held: now, replaced: true });
                tasks.push(name);
            }
            Some(_) => {
                if now.touched {
                    tasks.push(name.clone());
                }
                stack.held.insert(name, now);
            }
        }
    }
    // It is an update to what was: what is needed comes first, as in any other.
    let of = before.held.iter().filter(|(name, _)| tasks.contains(name));
    let needed = |held: &Held| held.needs.iter().filter(|name| tasks.contains(name)).cloned().collect();
    let tasks = of.map(|(name, held)| Task::new(name, needed(held))).collect();
    start(world, stack, Phase::UpdateRollback, tasks, leftovers);
    if let Some(run) = &mut stack.run {
        run.skipped = skipped.to_vec();
    }
    stack.turn(world, "UPDATE_ROLLBACK_IN_PROGRESS", Some(reason));
}

/// Begins to delete what is not needed any more.
pub(super) fn cleanup(
    world: &mut World,
    stack: &mut Stack,
    mut leftovers: Vec<Leftover>,
    status: &str,
    phase: Phase,
) {
    if phase == Phase::Cleanup {
        let template = Template::read(&stack.design.template);
        let kept = template.and_then(|template| {
            let tasks = tasks_of(world, stack, &template)?;
            Ok(tasks.into_iter().map(|task| task.name).collect::<BTreeSet<_>>())
        });
        if let Ok(kept) = kept {
            let (held, removed): (BTreeMap<_, _>, BTreeMap<_, _>) =
                std::mem::take(&mut stack.held).into_iter().partition(|(name, _)| kept.contains(name));
            stack.held = held;
            let removed = removed.into_iter();
            leftovers.extend(removed.map(|(name, held)| Leftover { name, held, replaced: false }));
        }
    }
    let mut tasks = backwards(leftovers.iter().map(|leftover| (&leftover.name, &leftover.held)));
    for (index, task) in tasks.iter_mut().enumerate() {
        task.leftover = Some(index);
    }
    for held in stack.held.values_mut() {
        held.touched = false;
    }
    start(world, stack, phase, tasks, leftovers);
    stack.turn(world, status, None);
}
