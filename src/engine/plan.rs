//! Stack + state + inventory -> plan: select, decide, order, check. Pure and synchronous.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::decide::{self, Facts};
use super::order::order;
use super::resolve::{View, by_address, dependency_order};
use crate::model::{
    Action, Address, Catalogue, Change, CloudId, Condition, Diagnostic, Diagnostics, Inventory, Live, Map,
    Mode, Observed, Op, Output, OutputChange, Plan, Property, Resource, ResourceType, Stack, State, Step,
    Undo, Value,
};

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

/// Decides everything. All reasons against are told at once.
pub fn plan(
    stack: &Stack,
    state: &State,
    catalogue: &Catalogue,
    inventory: &Inventory,
    request: &Request,
) -> Result<Plan, Diagnostics> {
    let selection = select(stack, state, request)?;
    let facts = Facts { stack, state, inventory, allow_recreate: request.allow_recreate, now: request.now };
    let mut view = View::public();
    let mut problems = Vec::new();
    let mut wanted = Vec::new();
    let mut changes = match request.mode {
        Mode::Apply | Mode::RefreshOnly => desired(&facts, &selection, &mut view, &mut problems, &mut wanted),
        Mode::Destroy => Vec::new(),
    };
    changes.extend(released(&facts, catalogue, &selection, request.mode, &mut problems));
    problems.extend(changes.iter().filter_map(|change| unfinished(state, change)));
    problems.extend(changes.iter().filter_map(|change| wanted_elsewhere(state, &wanted, change)));
    if !problems.is_empty() {
        return Err(Diagnostics(problems));
    }
    if request.mode == Mode::RefreshOnly {
        changes.retain(|change| {
            matches!(change.action, Action::Update | Action::NoOp) || drifted(state, change)
        });
    }
    let (steps, pivot) = match request.mode {
        Mode::RefreshOnly => (Vec::new(), 0),
        Mode::Apply | Mode::Destroy => order(&changes, stack, state, catalogue, request.now),
    };
    let mut warnings = warnings(&steps);
    warnings.extend(taken_over(&facts, &selection, request.mode));
    if request.mode == Mode::Apply {
        warnings.extend(changes.iter().flat_map(|change| cautions(catalogue, inventory, change)));
    }
    if request.mode == Mode::Destroy {
        warnings.extend(left_behind(&facts, &selection));
    }
    Ok(Plan {
        stack: stack.name.clone(),
        mode: request.mode,
        warnings,
        changes,
        steps,
        pivot,
        outputs: match request.mode {
            Mode::Apply | Mode::RefreshOnly => planned_outputs(stack, inventory, &view),
            Mode::Destroy => Vec::new(),
        },
        stack_digest: stack.digest.clone(),
        live_digests: inventory.digests.clone(),
    })
}

/// A replacement on top of one that is not finished would lose sight of the first object.
fn unfinished(state: &State, change: &Change) -> Option<Diagnostic> {
    let former = state.replaced.get(&change.address)?;
    let standing = state.resources.get(&change.address)?;
    let moves = matches!(change.action, Action::Create | Action::Replace)
        && change.id.as_ref() != Some(&standing.id)
        && change.id.as_ref() != Some(&former.id);
    moves.then(|| {
        let summary = format!(
            "{}: an earlier replacement is unfinished: `{}` is still there and would be lost sight of",
            change.address, former.id
        );
        Diagnostic::error(summary)
            .hint("give it the name back that it had then, apply to finish that, and rename it afterwards")
    })
}

/// Nothing is deleted under one address that another one wants, be it let go of there or replaced; whether the plan is
/// about that other one or not.
fn wanted_elsewhere(state: &State, wanted: &[Wanted<'_>], going: &Change) -> Option<Diagnostic> {
    let (id, replaced) = match (&going.former_id, &going.id) {
        (Some(former), id) if id.as_ref() != Some(former) => (former, true),
        (_, Some(id)) if going.action == Action::Delete => (id, false),
        _ => return None,
    };
    let mut recorded =
        [&state.resources, &state.replaced].into_iter().filter_map(|book| book.get(&going.address));
    let ty = recorded.find(|owned| owned.id == *id).map_or(&going.ty, |owned| &owned.ty);
    let wants =
        |wanted: &&Wanted<'_>| wanted.address != &going.address && wanted.ty == ty && wanted.id == *id;
    let other = wanted.iter().find(wants)?;
    let (address, other) = (&going.address, other.address);
    let summary = format!("{address} would be deleted, and {other} wants the same object: `{id}`");
    if replaced {
        return Some(Diagnostic::error(summary).hint(format!(
            "to hand it over, let go of it with `mcm state rm {address}`: {address} then gets one of its own, and {other} takes \
             it over with `adopt: true` in its entry, or with `mcm import {other} '{id}'`"
        )));
    }
    Some(Diagnostic::error(summary).hint(format!(
        "if {other} is the new name of {address}, let go of the old one with `mcm state rm {address}`, and take the object \
         over with `adopt: true` in the entry of {other}, or, where it bears no mark, with `mcm import {other} '{id}'`"
    )))
}

/// Whether an owned object is not there any more, or is deleted: the other drift besides an update.
fn drifted(state: &State, change: &Change) -> bool {
    state.resources.contains_key(&change.address)
        && !matches!(change.action, Action::Delete | Action::Replace)
}

/// The addresses a plan is about; `None` means all.
type Selection = Option<BTreeSet<Address>>;

/// `--target` takes what it names and what that needs; `--exclude` leaves out what it names and what needs that.
fn select(stack: &Stack, state: &State, request: &Request) -> Result<Selection, Diagnostics> {
    if request.targets.is_empty() && request.excludes.is_empty() {
        return Ok(None);
    }
    let mut needs: BTreeMap<Address, BTreeSet<Address>> = BTreeMap::new();
    for (address, owned) in &state.resources {
        needs.insert(address.clone(), owned.dependencies.clone());
    }
    for resource in &stack.resources {
        needs.insert(resource.address.clone(), resource.dependencies());
    }
    let named = request.targets.iter().chain(&request.excludes);
    let missing: Vec<Diagnostic> = named
        .filter(|address| !needs.contains_key(*address))
        .map(|address| {
            Diagnostic::error(format!("there is no `{address}` in the stack or in its state"))
                .hint("`mcm state list` and the stack file name what there is")
        })
        .collect();
    if !missing.is_empty() {
        return Err(Diagnostics(missing));
    }
    let mut needed_by: BTreeMap<Address, BTreeSet<Address>> = BTreeMap::new();
    for (address, dependencies) in &needs {
        for dependency in dependencies {
            needed_by.entry(dependency.clone()).or_default().insert(address.clone());
        }
    }
    // What is destroyed takes along what depends on it; what is made, what it depends on.
    let (with, without) = match request.mode {
        Mode::Apply | Mode::RefreshOnly => (&needs, &needed_by),
        Mode::Destroy => (&needed_by, &needs),
    };
    let mut selected = if request.targets.is_empty() {
        needs.keys().cloned().collect()
    } else {
        closure(&request.targets, with)
    };
    for excluded in closure(&request.excludes, without) {
        selected.remove(&excluded);
    }
    Ok(Some(selected))
}

/// Everything reachable from `start`, itself included.
fn closure(start: &[Address], edges: &BTreeMap<Address, BTreeSet<Address>>) -> BTreeSet<Address> {
    let mut reached = BTreeSet::new();
    let mut ahead: Vec<Address> = start.to_vec();
    while let Some(address) = ahead.pop() {
        if let Some(next) = edges.get(&address) {
            ahead.extend(next.iter().filter(|next| !reached.contains(*next)).cloned());
        }
        reached.insert(address);
    }
    reached
}

fn is_selected(selection: &Selection, address: &Address) -> bool {
    selection.as_ref().is_none_or(|selected| selected.contains(address))
}

/// An object that an entry of the stack is about.
struct Wanted<'a> {
    address: &'a Address,
    ty: &'a ResourceType,
    id: CloudId,
}

/// The changes of the stack's resources, decided dependencies first, told in the order of the stack.
fn desired<'a>(
    facts: &Facts<'a>,
    selection: &Selection,
    view: &mut View<'a>,
    problems: &mut Vec<Diagnostic>,
    wanted: &mut Vec<Wanted<'a>>,
) -> Vec<Change> {
    let resources = by_address(facts.stack);
    let mut changes = BTreeMap::new();
    for address in dependency_order(facts.stack) {
        let Some(&resource) = resources.get(address) else { continue };
        let decision = decide::desired(facts, resource, view);
        let properties = view.resolve(&resource.properties);
        let predicted = (resource.schema.predict)(&properties, &facts.stack.clouds);
        let id = (resource.schema.identify)(&properties, &facts.stack.clouds);
        wanted.extend(id.map(|id| Wanted { address, ty: &resource.ty, id }));
        let made_new =
            matches!(&decision, Ok(change) if matches!(change.action, Action::Create | Action::Replace));
        view.desire(address, properties, predicted);
        if let Some(live) = facts.inventory.at(address).filter(|_| !made_new) {
            view.hold(address, live);
        }
        match decision {
            _ if !is_selected(selection, address) => {}
            Ok(change) => {
                changes.insert(address, change);
            }
            Err(problem) => problems.push(problem),
        }
    }
    facts.stack.resources.iter().filter_map(|resource| changes.remove(&resource.address)).collect()
}

/// The changes of what the stack owns and no longer wants, and of what an earlier run left behind.
fn released(
    facts: &Facts<'_>,
    catalogue: &Catalogue,
    selection: &Selection,
    mode: Mode,
    problems: &mut Vec<Diagnostic>,
) -> Vec<Change> {
    let resources = by_address(facts.stack);
    let (state, inventory) = (facts.state, facts.inventory);
    let mut decisions = Vec::new();
    for (address, owned) in state.resources.iter().filter(|(address, _)| is_selected(selection, address)) {
        if mode != Mode::Destroy && resources.contains_key(address) {
            continue;
        }
        let live = inventory.recorded_at(address).or_else(|| {
            inventory.at(address).filter(|live| {
                live.id == owned.id && resources.get(address).is_some_and(|resource| resource.ty == owned.ty)
            })
        });
        let reason = (mode != Mode::Destroy).then_some("no longer in the stack");
        decisions.push(match catalogue.get(&owned.ty) {
            Some(schema) => {
                let resource = resources.get(address).copied();
                decide::released(facts, address, schema, resource, Some(owned), live, reason)
            }
            None => {
                Err(Diagnostic::error(format!("{address}: this mcm does not know the type {}", owned.ty))
                    .hint("use the mcm that made it, or let go of it with `mcm state rm`"))
            }
        });
    }
    for (address, owned) in state.replaced.iter().filter(|(address, _)| is_selected(selection, address)) {
        let wanted_again = resources.get(address).is_some_and(|resource| resource.ty == owned.ty)
            && inventory.at(address).is_some_and(|live| live.id == owned.id);
        if mode != Mode::Destroy && wanted_again {
            // The stack was changed back to it before it was deleted.
            continue;
        }
        let live = inventory.replaced.get(address).and_then(Observed::live);
        let reason = Some("an earlier run replaced it and did not come to delete it");
        if let Some(schema) = catalogue.get(&owned.ty) {
            decisions.push(decide::released(facts, address, schema, None, Some(owned), live, reason));
        }
    }
    if mode == Mode::Destroy {
        // The state may be lost: what bears our mark is ours all the same.
        for (resource, live) in unrecorded(facts, selection).filter(|(_, live)| !is_let_go(state, live)) {
            let (address, schema) = (&resource.address, resource.schema);
            decisions.push(decide::released(facts, address, schema, Some(resource), None, Some(live), None));
        }
    }
    let mut changes = Vec::new();
    for decision in decisions {
        match decision {
            Ok(change) => changes.extend(change),
            Err(problem) => problems.push(problem),
        }
    }
    changes
}

/// What bears the stack's mark though the state does not know it.
fn unrecorded<'f>(
    facts: &'f Facts<'_>,
    selection: &'f Selection,
) -> impl Iterator<Item = (&'f Resource, &'f Live)> {
    let strays = facts.stack.resources.iter().filter(|resource| {
        let address = &resource.address;
        let state = facts.state;
        let known = state.resources.contains_key(address) || state.replaced.contains_key(address);
        !known && is_selected(selection, address)
    });
    strays.filter_map(|resource| {
        let live = facts.inventory.at(&resource.address)?;
        decide::standing_mark(facts.stack, &resource.address, Some(live))?;
        Some((resource, live))
    })
}

/// That objects are taken over by their marks alone: of a state that was lost, or of another copy of the stack.
fn taken_over(facts: &Facts<'_>, selection: &Selection, mode: Mode) -> Option<Diagnostic> {
    let stands = |live: &Live| !is_let_go(facts.state, live) && !is_deleted(live);
    let strays = unrecorded(facts, selection).filter(|(_, live)| stands(live));
    let addresses: Vec<&str> = strays.map(|(resource, _)| resource.address.as_str()).collect();
    let (first, more) = addresses.split_first()?;
    let end = match mode {
        Mode::Apply => "taken over",
        Mode::Destroy => "destroyed",
        Mode::RefreshOnly => return None,
    };
    let (who, bears) = match more.len() {
        0 => ((*first).to_owned(), "bears"),
        more => (format!("{first} and {more} more"), "bear"),
    };
    let summary =
        format!("{who} {bears} this stack's mark, unknown to the state at hand: {end} by the mark alone");
    Some(
        Diagnostic::warning(summary)
            .detail("that is right where the state was lost; where another copy of the stack owns them, it loses them")
            .hint("each copy needs a name of its own: a variable in `stack:`"),
    )
}

/// What a destroy leaves in place, though it bears the stack's mark.
fn left_behind(facts: &Facts<'_>, selection: &Selection) -> Vec<Diagnostic> {
    let tell = |(resource, live): (&Resource, &Live)| {
        let address = &resource.address;
        Diagnostic::warning(format!("{address}: `{}` stays, though it bears this stack's mark", live.id))
            .detail("the stack let go of it")
            .hint(format!("to destroy it too, take it back first: `mcm import {address} '{}'`", live.id))
    };
    let stays = |live: &Live| is_let_go(facts.state, live) && !is_deleted(live);
    unrecorded(facts, selection).filter(|(_, live)| stays(live)).map(tell).collect()
}

fn is_let_go(state: &State, live: &Live) -> bool {
    live.owner.as_ref().is_some_and(|mark| state.let_go.contains(&mark.nonce))
}

fn is_deleted(live: &Live) -> bool {
    matches!(live.condition, Condition::SoftDeleted { .. })
}

/// What the user should know before approving.
fn warnings(steps: &[Step]) -> Vec<Diagnostic> {
    let lost = steps.iter().filter(|step| matches!(step.op, Op::Delete | Op::DeleteFormer | Op::DeleteFirst));
    lost.filter_map(|step| match &step.undo {
        Undo::Impossible { why } => Some(Diagnostic::warning(format!(
            "{} cannot be brought back once it is deleted: {why}",
            step.address
        ))),
        Undo::Exact | Undo::Equivalent { .. } | Undo::Soft { .. } => None,
    })
    .collect()
}

/// What the properties that a change edits in place give cause to say.
fn cautions(catalogue: &Catalogue, inventory: &Inventory, change: &Change) -> Vec<Diagnostic> {
    let in_place = matches!(change.action, Action::Update | Action::Adopt | Action::Restore);
    let (Some(schema), Some(live), Some(after), true) =
        (catalogue.get(&change.ty), inventory.at(&change.address), &change.after, in_place)
    else {
        return Vec::new();
    };
    let is_edited =
        |property: &&Property| change.edits.iter().any(|edit| edit.path.property() == property.name);
    let told = schema.properties.iter().filter(is_edited).filter_map(|property| property.caution);
    let here =
        |told: Diagnostic| Diagnostic { summary: format!("{}: {}", change.address, told.summary), ..told };
    told.flat_map(|caution| caution(live, after)).map(here).collect()
}

/// The outputs as they will be, as far as known, beside what they are.
fn planned_outputs(stack: &Stack, inventory: &Inventory, view: &View<'_>) -> Vec<OutputChange> {
    let now = live_view(stack, inventory, View::public());
    let change = |output: &Output| OutputChange {
        name: output.name.clone(),
        before: Some(now.resolve_value(&output.value)).filter(Value::is_known),
        after: view.resolve_value(&output.value),
        sensitive: output.sensitive,
    };
    stack.outputs.iter().map(change).collect()
}

/// The outputs as the live objects say them now: name, value (unknown where its source does not exist),
/// whether it is hidden.
pub fn outputs(stack: &Stack, inventory: &Inventory) -> Vec<(String, Value, bool)> {
    let view = live_view(stack, inventory, View::private());
    let value = |output: &Output| (output.name.clone(), view.resolve_value(&output.value), output.sensitive);
    stack.outputs.iter().map(value).collect()
}

/// What is known from live objects alone.
fn live_view<'a>(stack: &'a Stack, inventory: &Inventory, mut view: View<'a>) -> View<'a> {
    let resources = by_address(stack);
    for address in dependency_order(stack) {
        let live = inventory.at(address).filter(|live| live.condition == Condition::Ready);
        if let (Some(resource), Some(live)) = (resources.get(address), live) {
            view.desire(address, view.resolve(&resource.properties), Map::new());
            view.hold(address, live);
        }
    }
    view
}
