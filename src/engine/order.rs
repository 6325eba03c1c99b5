//! Changes -> steps, in an order in which every step comes after what it needs. Pure and linear.
//!
//! Creations and changes come first, dependencies before dependents. Then the pivot. Then deletions, dependents
//! before dependencies: up to the pivot everything can be undone, past it the run only goes forward.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

use super::resolve::by_address;
use super::undo;
use crate::model::{Action, Address, Catalogue, Change, Op, Stack, State, Step, StepId, Undo};

/// The steps, and the position of the first one past the pivot.
pub(super) fn order(
    changes: &[Change],
    stack: &Stack,
    state: &State,
    catalogue: &Catalogue,
    now: jiff::Timestamp,
) -> (Vec<Step>, usize) {
    let undo = |node: &Node| {
        let change = &changes[node.change];
        let schema = catalogue.get(&change.ty);
        schema.map_or(Undo::Exact, |schema| undo::class_of(schema, node.op, change, now))
    };
    let forward = sorted(forward(changes, stack));
    let pivot = forward.len();
    let backward = sorted(backward(changes, stack, state));
    let mut steps = Vec::with_capacity(pivot + backward.len());
    for (offset, nodes) in [(0, forward), (pivot, backward)] {
        steps.extend(nodes.into_iter().enumerate().map(|(position, node)| Step {
            id: StepId(offset + position),
            address: changes[node.change].address.clone(),
            change: node.change,
            op: node.op,
            undo: undo(&node),
            needs: node.after.into_iter().map(|other| StepId(offset + other)).collect(),
        }));
    }
    (steps, pivot)
}

/// An operation, and the nodes that must be done before it.
struct Node {
    change: usize,
    op: Op,
    after: BTreeSet<usize>,
}

impl Node {
    fn new(change: usize, op: Op) -> Self {
        Self { change, op, after: BTreeSet::new() }
    }
}

/// Up to the pivot: what makes and changes. An object that must go before its namesake is made goes here too, after
/// the dependents of it that go likewise.
fn forward(changes: &[Change], stack: &Stack) -> Vec<Node> {
    let mut nodes = Vec::new();
    let mut makes: BTreeMap<&Address, usize> = BTreeMap::new();
    let mut clears: BTreeMap<&Address, usize> = BTreeMap::new();
    for (index, change) in changes.iter().enumerate() {
        let op = match change.action {
            Action::NoOp | Action::Delete | Action::Forget => continue,
            Action::Create | Action::Replace => Op::Create,
            Action::Update => Op::Update,
            Action::Restore => Op::Restore,
            Action::Adopt => Op::Adopt,
        };
        if recreates(change) {
            clears.insert(&change.address, nodes.len());
            nodes.push(Node::new(index, Op::DeleteFirst));
        }
        makes.insert(&change.address, nodes.len());
        nodes.push(Node::new(index, op));
    }
    let resources = by_address(stack);
    for (&address, &make) in &makes {
        let clear = clears.get(address).copied();
        nodes[make].after.extend(clear);
        let Some(resource) = resources.get(address) else { continue };
        for dependency in resource.dependencies() {
            nodes[make].after.extend(makes.get(&dependency));
            if let (Some(clear), Some(&other)) = (clear, clears.get(&dependency)) {
                nodes[other].after.insert(clear);
            }
        }
    }
    nodes
}

/// Whether the old object must go before the new one of the same name is made.
fn recreates(change: &Change) -> bool {
    change.action == Action::Replace && change.id.is_some() && change.former_id == change.id
}

/// Past the pivot: what deletes, dependents first, as dependencies were when the objects were made.
fn backward(changes: &[Change], stack: &Stack, state: &State) -> Vec<Node> {
    let mut nodes = Vec::new();
    let mut by_owner: BTreeMap<&Address, Vec<usize>> = BTreeMap::new();
    for (index, change) in changes.iter().enumerate() {
        let op = match change.action {
            Action::Replace if recreates(change) => continue,
            Action::Replace => Op::DeleteFormer,
            // An unfinished replacement that is taken back.
            Action::Adopt if change.former_id.is_some() => Op::DeleteFormer,
            Action::NoOp | Action::Create | Action::Update | Action::Restore | Action::Adopt => continue,
            Action::Delete => Op::Delete,
            Action::Forget => Op::Forget,
        };
        by_owner.entry(&change.address).or_default().push(nodes.len());
        nodes.push(Node::new(index, op));
    }
    let resources = by_address(stack);
    for (&address, own) in &by_owner {
        let recorded = state.resources.get(address).or_else(|| state.replaced.get(address));
        let dependencies = match recorded {
            Some(owned) => owned.dependencies.clone(),
            None => resources.get(address).map(|resource| resource.dependencies()).unwrap_or_default(),
        };
        for dependency in &dependencies {
            for &later in by_owner.get(dependency).into_iter().flatten() {
                nodes[later].after.extend(own);
            }
        }
    }
    nodes
}

/// Nodes in an order in which each comes after what it needs, as close to the given order as that allows. The
/// dependencies of a state that was edited by hand may run in a circle: what is in it keeps its order and waits
/// only for what stands before.
fn sorted(nodes: Vec<Node>) -> Vec<Node> {
    let mut waits: Vec<usize> = nodes.iter().map(|node| node.after.len()).collect();
    let mut needed_by: Vec<Vec<usize>> = vec![Vec::new(); nodes.len()];
    for (index, node) in nodes.iter().enumerate() {
        for &before in &node.after {
            needed_by[before].push(index);
        }
    }
    let mut ready: BinaryHeap<Reverse<usize>> =
        (0..nodes.len()).filter(|&index| waits[index] == 0).map(Reverse).collect();
    let mut order = Vec::with_capacity(nodes.len());
    while let Some(Reverse(index)) = ready.pop() {
        order.push(index);
        for &dependent in &needed_by[index] {
            waits[dependent] -= 1;
            if waits[dependent] == 0 {
                ready.push(Reverse(dependent));
            }
        }
    }
    order.extend((0..nodes.len()).filter(|&index| waits[index] > 0));
    let mut position = vec![0; nodes.len()];
    for (place, &index) in order.iter().enumerate() {
        position[index] = place;
    }
    let mut placed: Vec<(usize, Node)> =
        nodes.into_iter().enumerate().map(|(index, node)| (position[index], node)).collect();
    placed.sort_by_key(|(place, _)| *place);
    placed
        .into_iter()
        .map(|(place, mut node)| {
            node.after =
                node.after.iter().map(|&other| position[other]).filter(|&other| other < place).collect();
            node
        })
        .collect()
}
