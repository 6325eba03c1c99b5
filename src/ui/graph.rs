//! The dependencies of a stack as a picture's source.

use std::fmt::Write as _;

use super::text;
use crate::model::{Address, Cloud, Stack};

/// Graphviz: an arrow leads from what needs to what is needed.
pub fn dot(stack: &Stack) -> String {
    let mut out =
        format!("digraph {} {{\n  rankdir = \"RL\";\n  node [shape = \"box\"];\n", text::quoted(&stack.name));
    for resource in &stack.resources {
        let label = format!("{}\n{}", resource.address, resource.ty);
        let _ = writeln!(
            out,
            "  {} [label = {}, color = {}];",
            text::quoted(resource.address.as_str()),
            text::quoted(&label),
            text::quoted(color(resource.ty.cloud())),
        );
    }
    for (from, to) in edges(stack) {
        let _ = writeln!(out, "  {} -> {};", text::quoted(from.as_str()), text::quoted(to.as_str()));
    }
    out.push_str("}\n");
    out
}

/// Mermaid, as Markdown pages show it.
pub fn mermaid(stack: &Stack) -> String {
    let mut out = String::from("flowchart RL\n");
    for resource in &stack.resources {
        let _ = writeln!(out, "  {}[\"{}<br/>{}\"]", node(&resource.address), resource.address, resource.ty);
    }
    for (from, to) in edges(stack) {
        let _ = writeln!(out, "  {} --> {}", node(from), node(&to));
    }
    out
}

fn edges(stack: &Stack) -> impl Iterator<Item = (&Address, Address)> {
    stack.resources.iter().flat_map(|resource| {
        resource.dependencies().into_iter().map(move |needed| (&resource.address, needed))
    })
}

/// Mermaid's ids are words; in an address only `.` and `-` are not.
fn node(address: &Address) -> String {
    address.as_str().replace('-', "__").replace('.', "_")
}

fn color(cloud: Cloud) -> &'static str {
    match cloud {
        Cloud::Aws => "orange",
        Cloud::Gcp => "green",
        Cloud::Azure => "blue",
    }
}
