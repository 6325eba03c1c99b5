//! The policies that a role has: its inline ones, those attached, its boundary.

use super::managed;
use super::role::Role;
use crate::sandbox::World;

/// The documents of all policies of a role, its boundary aside.
pub(in crate::sandbox::aws) fn documents(world: &World, role: &Role) -> Vec<String> {
    let attached = role.attached.iter().filter_map(|arn| managed::document(world, arn));
    role.inline.values().cloned().chain(attached).collect()
}

/// The document of a role's boundary. One that is not known bounds everything.
pub(in crate::sandbox::aws) fn boundary(world: &World, role: &Role) -> Option<String> {
    role.boundary.as_ref().map(|arn| managed::document(world, arn).unwrap_or_default())
}

/// Whether a role has a boundary.
pub(in crate::sandbox::aws) fn is_bounded(role: &Role) -> bool {
    role.boundary.is_some()
}

/// The policies of a role whose documents the sandbox does not have.
pub(in crate::sandbox::aws) fn unplayed(role: &Role) -> Vec<String> {
    let all = role.attached.iter().chain(&role.boundary);
    all.filter(|arn| managed::is_unplayed(arn)).cloned().collect()
}

/// A role's tags, which its sessions are known by.
pub(in crate::sandbox::aws) fn tags(role: &Role) -> Vec<(String, String)> {
    role.tags.clone()
}
