//! Long-running operations: each knows what it works on, and is as far as that is.

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::super::World;
use super::super::world::Record;
use super::wire::{Answer, Call, Refusal, Reply};
use super::{accounts, arm, groups};

/// An operation.
#[derive(Serialize, Deserialize)]
struct Operation {
    subscription: String,
    started: jiff::Timestamp,
    subject: Subject,
}

/// What an operation works on.
#[derive(Clone, Serialize, Deserialize)]
enum Subject {
    /// A resource group being deleted.
    Group { name: String },
    /// An account that is made, changed or deleted.
    Account { group: String, name: String },
    /// A deleted account that is purged: gone already, and this many looks do not say so yet.
    Purge { looks_left: u8 },
}

impl Record for Operation {
    const TABLE: &'static str = "azure.operation";
}

fn begin(world: &mut World, subscription: &str, subject: Subject) -> String {
    let id = world.uuid();
    let operation = Operation { subscription: subscription.to_owned(), started: world.now(), subject };
    world.put(&id, &operation);
    id
}

/// The deletion of a group.
pub(super) fn begin_group(world: &mut World, subscription: &str, name: &str) -> String {
    begin(world, subscription, Subject::Group { name: name.to_owned() })
}

/// Anything that an account passes through.
pub(super) fn begin_account(world: &mut World, subscription: &str, group: &str, name: &str) -> String {
    begin(world, subscription, Subject::Account { group: group.to_owned(), name: name.to_owned() })
}

/// A purge.
pub(super) fn begin_purge(world: &mut World, subscription: &str) -> String {
    begin(world, subscription, Subject::Purge { looks_left: 2 })
}

/// 202 with the place of a group's operation.
pub(super) fn at_group(call: &Call<'_>, subscription: &str, id: &str) -> Reply {
    let version = call.query.get("api-version").map_or("2021-04-01", String::as_str);
    let place =
        format!("{}/subscriptions/{subscription}/operationresults/{id}?api-version={version}", call.base);
    Reply::empty(202).header("location", place).header("retry-after", "0")
}

/// Where the operations of accounts are looked at.
pub(super) fn place(call: &Call<'_>, subscription: &str, location: &str, id: &str) -> String {
    format!(
        "{}/subscriptions/{subscription}/providers/Microsoft.CognitiveServices/locations/{location}\
         /operationResults/{id}?api-version=2017-04-18",
        call.base
    )
}

/// `GET …/operationresults/ID`: 202 while a group's deletion goes on, then 200.
pub(super) fn group(world: &mut World, call: &Call<'_>, subscription: &str, id: &str) -> Answer {
    let operation = existing(world, subscription, id)?;
    let Subject::Group { name } = operation.subject else { return Err(missing(id)) };
    if groups::advance(world, subscription, &name) {
        return Ok(at_group(call, subscription, id));
    }
    Ok(Reply::empty(200))
}

/// `GET …/locations/LOC/operationResults/ID`: the status of what happens to an account. The variant that a
/// `Location` header leads to answers 202 until it is done.
pub(super) fn account(world: &mut World, call: &Call<'_>, subscription: &str, id: &str) -> Answer {
    let operation = existing(world, subscription, id)?;
    let going_on = match operation.subject.clone() {
        Subject::Group { .. } => return Err(missing(id)),
        Subject::Account { group, name } => {
            accounts::advance(world, subscription, &group, &name);
            accounts::in_progress(world, subscription, &group, &name)
        }
        Subject::Purge { looks_left: 0 } => false,
        Subject::Purge { looks_left } => {
            let subject = Subject::Purge { looks_left: looks_left - 1 };
            world.put(id, &Operation { subject, subscription: subscription.to_owned(), ..operation });
            true
        }
    };
    let by_location = call.query.get("operationresultresponsetype").is_some_and(|kind| kind == "Location");
    if by_location {
        return Ok(if going_on {
            let place = format!("{}{}", call.base, call.target);
            Reply::empty(202).header("location", place).header("retry-after", "0")
        } else {
            Reply::empty(204)
        });
    }
    let mut json = json!({
        "id": format!("/{}", call.words.join("/")),
        "name": id,
        "status": if going_on { "InProgress" } else { "Succeeded" },
        "startTime": arm::stamp(operation.started),
    });
    if !going_on {
        json["endTime"] = json!(arm::stamp(world.now()));
    }
    Ok(Reply::json(200, json).header("retry-after", "0"))
}

fn existing(world: &World, subscription: &str, id: &str) -> Result<Operation, Refusal> {
    world
        .get::<Operation>(id)
        .filter(|operation| operation.subscription == subscription)
        .ok_or_else(|| missing(id))
}

fn missing(id: &str) -> Refusal {
    Refusal::new(404, "OperationNotFound", format!("The operation '{id}' could not be found."))
}
