//! Resource groups.

use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use super::super::World;
use super::super::world::Record;
use super::arm::{self, Tags};
use super::wire::{Answer, Call, Refusal, Reply, text};
use super::{accounts, locations, operations};

/// A resource group.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Group {
    /// In the case it was made with.
    pub(super) name: String,
    location: String,
    tags: Option<Tags>,
    managed_by: Option<String>,
    /// How many looks see its deletion in progress, once that was asked for.
    deleting: Option<u8>,
}

impl Record for Group {
    const TABLE: &'static str = "azure.group";
}

fn key(subscription: &str, name: &str) -> String {
    format!("{subscription}/{}", name.to_lowercase())
}

/// Requests to one group.
pub(super) fn handle(world: &mut World, call: &Call<'_>, subscription: &str, name: &str) -> Answer {
    match call.method.as_str() {
        "PUT" => put(world, call, subscription, name),
        "GET" => {
            advance(world, subscription, name);
            let group = existing(world, subscription, name)?;
            Ok(Reply::json(200, show(subscription, &group)))
        }
        "HEAD" => {
            advance(world, subscription, name);
            Ok(Reply::empty(if world.has::<Group>(&key(subscription, name)) { 204 } else { 404 }))
        }
        "PATCH" => patch(world, call, subscription, name),
        "DELETE" => delete(world, call, subscription, name),
        _ => Err(super::nothing_here(call)),
    }
}

/// The group of this name.
pub(super) fn existing(world: &World, subscription: &str, name: &str) -> Result<Group, Refusal> {
    world.get(&key(subscription, name)).ok_or_else(|| {
        Refusal::new(404, "ResourceGroupNotFound", format!("Resource group '{name}' could not be found."))
    })
}

/// A group that is being deleted takes no writes.
pub(super) fn writable(group: &Group) -> Result<(), Refusal> {
    if group.deleting.is_none() {
        return Ok(());
    }
    Err(Refusal::new(
        409,
        "ResourceGroupBeingDeleted",
        format!(
            "The resource group '{}' is in deprovisioning state and cannot perform this operation.",
            group.name
        ),
    ))
}

fn put(world: &mut World, call: &Call<'_>, subscription: &str, name: &str) -> Answer {
    check_name(name)?;
    let known = ["location", "tags", "managedBy", "id", "name", "type", "properties"];
    let body = call.object("ResourceGroupDefinition", &known)?;
    let tags = arm::tags(&body)?;
    let managed_by = text(&body, "managedBy")?;
    if text(&body, "name")?.is_some_and(|given| !given.eq_ignore_ascii_case(name)) {
        return Err(Refusal::new(
            400,
            "InvalidRequestContent",
            "The name in the body is not the one in the URL.",
        ));
    }
    let location =
        text(&body, "location")?.filter(|location| !location.trim().is_empty()).ok_or_else(|| {
            Refusal::new(400, "LocationRequired", "The location property is required for this definition.")
        })?;
    let location = locations::normalise(&location);
    if !locations::exists(&location) {
        return Err(Refusal::new(
            400,
            "LocationNotAvailableForResourceGroup",
            format!(
                "The provided location '{location}' is not available for resource group. List of available \
                 regions is '{}'.",
                locations::list()
            ),
        ));
    }
    advance(world, subscription, name);
    let (status, group) = match existing(world, subscription, name) {
        Err(_) => (201, Group { name: name.to_owned(), location, tags, managed_by, deleting: None }),
        Ok(group) => {
            writable(&group)?;
            if group.location != location {
                return Err(Refusal::new(
                    409,
                    "InvalidResourceGroupLocation",
                    format!(
                        "Invalid resource group location '{location}'. The Resource group already exists in \
                         location '{}'.",
                        group.location
                    ),
                ));
            }
            (200, Group { tags, managed_by, ..group })
        }
    };
    world.put(&key(subscription, name), &group);
    Ok(Reply::json(status, show(subscription, &group)))
}

fn patch(world: &mut World, call: &Call<'_>, subscription: &str, name: &str) -> Answer {
    let body = call.object("ResourceGroupPatchable", &["name", "tags", "managedBy", "properties"])?;
    let tags = arm::tags(&body)?;
    advance(world, subscription, name);
    let mut group = existing(world, subscription, name)?;
    writable(&group)?;
    group.tags = tags.or(group.tags);
    group.managed_by = text(&body, "managedBy")?.or(group.managed_by);
    world.put(&key(subscription, name), &group);
    Ok(Reply::json(200, show(subscription, &group)))
}

fn delete(world: &mut World, call: &Call<'_>, subscription: &str, name: &str) -> Answer {
    let group = existing(world, subscription, name)?;
    writable(&group)?;
    world.put(&key(subscription, name), &Group { deleting: Some(2), ..group });
    let id = operations::begin_group(world, subscription, name);
    Ok(operations::at_group(call, subscription, &id))
}

/// One look further in a deletion; at its end everything in the group is deleted, and the group with it.
/// Whether it is still going on.
pub(super) fn advance(world: &mut World, subscription: &str, name: &str) -> bool {
    let key = key(subscription, name);
    match world.get::<Group>(&key) {
        Some(group) if group.deleting == Some(0) => {
            accounts::delete_all(world, subscription, &group.name);
            world.remove::<Group>(&key);
            false
        }
        Some(Group { deleting: Some(left), name, location, tags, managed_by }) => {
            let group = Group { deleting: Some(left - 1), name, location, tags, managed_by };
            world.put(&key, &group);
            true
        }
        Some(Group { deleting: None, .. }) | None => false,
    }
}

/// `GET …/resourcegroups`
pub(super) fn list(world: &mut World, subscription: &str) -> Reply {
    let prefix = format!("{subscription}/");
    for (_, group) in world.list::<Group>(&prefix) {
        advance(world, subscription, &group.name);
    }
    Reply::list(world.list::<Group>(&prefix).iter().map(|(_, group)| show(subscription, group)))
}

/// Every resource of a subscription or of one group, in the short form of listings.
pub(super) fn resources(world: &World, subscription: &str, group: Option<&str>) -> Reply {
    Reply::list(accounts::brief(world, subscription, group))
}

fn show(subscription: &str, group: &Group) -> Json {
    let mut json = json!({
        "id": format!("/subscriptions/{subscription}/resourceGroups/{}", group.name),
        "name": group.name,
        "type": "Microsoft.Resources/resourceGroups",
        "location": group.location,
        "properties": {
            "provisioningState": if group.deleting.is_some() { "Deleting" } else { "Succeeded" },
        },
    });
    if let Some(tags) = &group.tags {
        json["tags"] = json!(tags);
    }
    if let Some(managed_by) = &group.managed_by {
        json["managedBy"] = json!(managed_by);
    }
    json
}

/// Up to 90 letters, digits, `-`, `_`, `.`, `(` and `)`, the last one no full stop.
fn check_name(name: &str) -> Result<(), Refusal> {
    let stranger = |c: &char| !(c.is_alphanumeric() || "-_.()".contains(*c));
    let strangers: String = name.chars().filter(stranger).collect();
    let why = if !strangers.is_empty() {
        format!(
            "The provided resource group name '{name}' has these invalid characters: '{strangers}'. The name can \
             only be a letter, digit, '-', '.', '(', ')' or '_'."
        )
    } else if name.ends_with('.') {
        format!("The provided resource group name '{name}' cannot end with '.'.")
    } else if name.chars().count() > 90 {
        format!("The provided resource group name '{name}' is longer than 90 characters.")
    } else {
        return Ok(());
    };
    Err(Refusal::new(400, "InvalidResourceGroup", why))
}
