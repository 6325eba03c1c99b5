//! References -> values: what a resource will look like, as far as it is known.

use std::collections::BTreeMap;

use crate::model::{Address, Condition, Live, Map, Reference, Resource, Stack, Value};

/// What is known of each resource at some moment: its desired properties, what follows from them, and what the
/// cloud holds.
#[derive(Debug, Default)]
pub(super) struct View<'a> {
    known: BTreeMap<&'a Address, Known>,
    secrets: bool,
}

/// What is known of one resource.
#[derive(Debug, Default)]
struct Known {
    /// Attributes, live and predicted.
    attributes: Map,
    /// Desired properties, resolved; live ones where nothing is desired.
    properties: Map,
}

impl<'a> View<'a> {
    /// A view that never hands out a secret: what it resolves may be shown and stored.
    pub(super) fn public() -> Self {
        Self { known: BTreeMap::new(), secrets: false }
    }

    /// A view for the requests themselves.
    pub(super) fn private() -> Self {
        Self { known: BTreeMap::new(), secrets: true }
    }

    /// Tells what a resource desires and what follows from it alone.
    pub(super) fn desire(&mut self, address: &'a Address, properties: Map, predicted: Map) {
        self.known.insert(address, Known { attributes: predicted, properties });
    }

    /// Tells what the cloud holds. A soft-deleted object keeps its attributes: it will be restored.
    pub(super) fn hold(&mut self, address: &'a Address, live: &Live) {
        let known = self.known.entry(address).or_default();
        if self.secrets {
            merge(&mut known.attributes, &live.attributes);
        } else {
            // A preview shows what will be: what follows from the desired properties beats what is there now.
            let mut attributes = live.attributes.clone();
            merge(&mut attributes, &known.attributes);
            known.attributes = attributes;
        }
        for (name, value) in &live.properties {
            known.properties.entry(name.clone()).or_insert_with(|| value.clone());
        }
        if live.condition != Condition::Ready {
            known.attributes.remove("state");
        }
    }

    /// The value of a reference, if it is known.
    pub(super) fn lookup(&self, reference: &Reference) -> Option<Value> {
        let value = self.found(reference)?;
        let presentable = self.secrets || !holds_secret(&value);
        (value.is_known() && presentable).then_some(value)
    }

    fn found(&self, reference: &Reference) -> Option<Value> {
        let known = self.known.get(&reference.address)?;
        let found = |map: &Map| {
            let (first, rest) = reference.attribute.split_first()?;
            map.get(first)?.at(rest).cloned()
        };
        found(&known.attributes).or_else(|| found(&known.properties))
    }

    /// Properties with every known reference replaced, those to secrets by secrets: they compare, and neither show nor
    /// serialise.
    pub(super) fn resolve_sealed(&self, properties: &Map) -> Map {
        let lookup = |reference: &Reference| {
            self.lookup(reference).or_else(|| self.found(reference).filter(is_secret))
        };
        properties.iter().map(|(name, value)| (name.clone(), value.resolve(&lookup))).collect()
    }

    /// Properties with every known reference replaced.
    pub(super) fn resolve(&self, properties: &Map) -> Map {
        let lookup = |reference: &Reference| self.lookup(reference);
        properties.iter().map(|(name, value)| (name.clone(), value.resolve(&lookup))).collect()
    }

    /// One value with every known reference replaced.
    pub(super) fn resolve_value(&self, value: &Value) -> Value {
        value.resolve(&|reference: &Reference| self.lookup(reference))
    }
}

fn is_secret(value: &Value) -> bool {
    matches!(value, Value::Secret(_))
}

/// Whether anything in a value is secret.
pub(super) fn holds_secret(value: &Value) -> bool {
    match value {
        Value::Secret(_) => true,
        Value::List(items) => items.iter().any(holds_secret),
        Value::Map(map) => map.values().any(holds_secret),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Text(_) | Value::Unknown(_) => false,
    }
}

/// Lays `over` on `under`, maps into maps.
fn merge(under: &mut Map, over: &Map) {
    for (name, value) in over {
        match (under.get_mut(name), value) {
            (Some(Value::Map(inner)), Value::Map(value)) => merge(inner, value),
            _ => {
                under.insert(name.clone(), value.clone());
            }
        }
    }
}

/// The resources by address, for everything that looks up more than one.
pub(super) fn by_address(stack: &Stack) -> BTreeMap<&Address, &Resource> {
    stack.resources.iter().map(|resource| (&resource.address, resource)).collect()
}

/// The addresses of a stack in an order in which everything comes after what it needs. A checked stack has no
/// cycle; what would be left over by one stays in file order at the end.
pub(super) fn dependency_order(stack: &Stack) -> Vec<&Address> {
    let resources: BTreeMap<&Address, usize> =
        stack.resources.iter().enumerate().map(|(index, resource)| (&resource.address, index)).collect();
    let mut waits = vec![0_usize; stack.resources.len()];
    let mut needed_by: Vec<Vec<usize>> = vec![Vec::new(); stack.resources.len()];
    for (index, resource) in stack.resources.iter().enumerate() {
        for dependency in resource.dependencies() {
            if let Some(&other) = resources.get(&dependency) {
                waits[index] += 1;
                needed_by[other].push(index);
            }
        }
    }
    // A min-heap on the file position keeps the order stable and close to what the user wrote.
    let ready = (0..waits.len()).filter(|&index| waits[index] == 0).map(std::cmp::Reverse);
    let mut ready: std::collections::BinaryHeap<_> = ready.collect();
    let mut order = Vec::with_capacity(waits.len());
    while let Some(std::cmp::Reverse(index)) = ready.pop() {
        order.push(&stack.resources[index].address);
        for &dependent in &needed_by[index] {
            waits[dependent] -= 1;
            if waits[dependent] == 0 {
                ready.push(std::cmp::Reverse(dependent));
            }
        }
    }
    order
}

/// The addresses whose secret attributes something in the stack refers to: only theirs are read.
pub(super) fn secrets_wanted(stack: &Stack) -> std::collections::BTreeSet<Address> {
    let resources = by_address(stack);
    let properties = stack.resources.iter().flat_map(|resource| resource.properties.values());
    let outputs = stack.outputs.iter().map(|output| &output.value);
    properties
        .chain(outputs)
        .flat_map(Value::references)
        .filter(|reference| {
            let target = resources.get(&reference.address);
            let attribute = target.and_then(|target| target.schema.attribute(&reference.attribute));
            attribute.is_some_and(|attribute| attribute.secret)
        })
        .map(|reference| reference.address.clone())
        .collect()
}
