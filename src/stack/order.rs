//! Cycles: dependencies that no order can satisfy.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use petgraph::algo::tarjan_scc;
use petgraph::graph::{DiGraph, NodeIndex};

use crate::model::{Address, Diagnostic, Location, Path, Resource, Value};

/// One error for each group of resources that wait for one another, with a shortest way around.
pub(super) fn cycles(resources: &[Resource]) -> Vec<Diagnostic> {
    let mut graph: DiGraph<usize, ()> = DiGraph::with_capacity(resources.len(), resources.len());
    let nodes: BTreeMap<&Address, NodeIndex> = resources
        .iter()
        .enumerate()
        .map(|(index, resource)| (&resource.address, graph.add_node(index)))
        .collect();
    for resource in resources {
        for dependency in resource.dependencies() {
            if let (Some(&from), Some(&to)) = (nodes.get(&resource.address), nodes.get(&dependency)) {
                graph.add_edge(from, to, ());
            }
        }
    }
    let groups = tarjan_scc(&graph);
    let mut found: Vec<Diagnostic> = groups
        .iter()
        .filter(|group| group.len() > 1 || group.iter().any(|&node| graph.contains_edge(node, node)))
        .map(|group| told(&graph, group, resources))
        .collect();
    found.sort_by(|left, right| left.summary.cmp(&right.summary));
    found
}

/// Names the way around, beginning at the resource that stands first in the file.
fn told(graph: &DiGraph<usize, ()>, group: &[NodeIndex], resources: &[Resource]) -> Diagnostic {
    let start = group.iter().copied().min_by_key(|&node| graph[node]).unwrap_or_default();
    let way = around(graph, group, start);
    let name = |node: &NodeIndex| {
        let address = resources[graph[*node]].address.as_str();
        address.strip_prefix("resources.").unwrap_or(address).to_owned()
    };
    let names: Vec<String> = way.iter().map(name).collect();
    let first = &resources[graph[start]];
    let next = way.get(1).map(|&node| &resources[graph[node]].address);
    let summary = if group.len() == 1 {
        format!("`{}` depends on itself", names[0])
    } else {
        format!("resources depend on one another: {}", names.join(" -> "))
    };
    let location = next.and_then(|next| refers(first, next)).or_else(|| first.location.clone());
    Diagnostic::error(summary)
        .at(location)
        .hint("break the cycle: replace one of the references, or the `dependsOn`, by literal text")
}

/// A shortest way from `start` back to it within its group, found breadth first.
fn around(graph: &DiGraph<usize, ()>, group: &[NodeIndex], start: NodeIndex) -> Vec<NodeIndex> {
    let inside: BTreeSet<NodeIndex> = group.iter().copied().collect();
    let mut came_from: BTreeMap<NodeIndex, NodeIndex> = BTreeMap::new();
    let mut queue = VecDeque::from([start]);
    while let Some(node) = queue.pop_front() {
        let mut next: Vec<NodeIndex> = graph.neighbors(node).filter(|next| inside.contains(next)).collect();
        next.sort_by_key(|&next| graph[next]);
        for next in next {
            if next == start {
                let mut way = vec![start, node];
                let mut at = node;
                while at != start {
                    at = came_from.get(&at).copied().unwrap_or(start);
                    way.push(at);
                }
                way.reverse();
                return way;
            }
            if let Entry::Vacant(entry) = came_from.entry(next) {
                entry.insert(node);
                queue.push_back(next);
            }
        }
    }
    vec![start]
}

/// Where a resource refers to another one: at the innermost value that does, as far as its place shows it.
fn refers(resource: &Resource, to: &Address) -> Option<Location> {
    let mut path = Path::default();
    let property = resource.properties.iter().find(|(_, value)| points(value, to))?;
    path = path.key(property.0);
    let mut value = property.1;
    let mut place = resource.property_locations.get(&path.to_string());
    loop {
        let inner = match value {
            Value::List(items) => items
                .iter()
                .enumerate()
                .find(|(_, item)| points(item, to))
                .map(|(index, item)| (path.index(index), item)),
            Value::Map(map) => {
                map.iter().find(|(_, item)| points(item, to)).map(|(key, item)| (path.key(key), item))
            }
            _ => None,
        };
        let Some((deeper, item)) = inner else { return place.cloned() };
        (path, value) = (deeper, item);
        place = resource.property_locations.get(&path.to_string()).or(place);
    }
}

fn points(value: &Value, to: &Address) -> bool {
    value.references().iter().any(|reference| reference.address == *to)
}
