//! Deleted accounts: for 48 hours they hold their name, their subdomain and their free tier, and can be restored
//! or purged.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use super::super::World;
use super::super::world::Record;
use super::accounts::{self, Account};
use super::wire::{Answer, Call, Refusal, Reply};
use super::{arm, locations, operations, view};

/// How long a deleted account can be restored.
const WINDOW: SignedDuration = SignedDuration::from_hours(48);

/// A deleted account.
#[derive(Clone, Serialize, Deserialize)]
struct Deleted {
    account: Account,
    at: Timestamp,
}

impl Record for Deleted {
    const TABLE: &'static str = "azure.account.deleted";
}

/// Takes an account into the table.
pub(super) fn keep(world: &mut World, subscription: &str, account: Account) {
    let key = accounts::key(subscription, &account.group, &account.name);
    let at = world.now();
    world.put(&key, &Deleted { account, at });
}

/// Takes an account out of the table.
pub(super) fn forget(world: &mut World, subscription: &str, account: &Account) {
    world.remove::<Deleted>(&accounts::key(subscription, &account.group, &account.name));
}

/// Forgets those whose time is over.
pub(super) fn expire(world: &mut World) {
    let now = world.now();
    for (key, deleted) in world.list::<Deleted>("") {
        if deleted.at.saturating_add(WINDOW).is_ok_and(|end| end <= now) {
            world.remove::<Deleted>(&key);
        }
    }
}

/// Every deleted account.
pub(super) fn all(world: &World) -> Vec<Account> {
    world.list::<Deleted>("").into_iter().map(|(_, deleted)| deleted.account).collect()
}

/// Whether one below `prefix` still holds the free tier of a kind.
pub(super) fn holds_free(world: &World, prefix: &str, kind: &str) -> bool {
    let held = |account: &Account| account.kind == kind && account.sku == "F0";
    world.list::<Deleted>(prefix).iter().any(|(_, deleted)| held(&deleted.account))
}

/// What a PUT at a name finds here: nothing, or an account that it must ask back.
pub(super) fn take(
    world: &World,
    subscription: &str,
    group: &str,
    name: &str,
    restore: bool,
) -> Result<Option<Account>, Refusal> {
    let found: Option<Deleted> = world.get(&accounts::key(subscription, group, name));
    match (found, restore) {
        (Some(deleted), true) => Ok(Some(deleted.account)),
        (None, false) => Ok(None),
        (Some(Deleted { account, .. }), false) => Err(Refusal::new(
            409,
            "FlagMustBeSetForRestore",
            format!(
                "An existing resource with ID '/subscriptions/{subscription}/resourceGroups/{}/providers/\
                 Microsoft.CognitiveServices/accounts/{}' has been soft-deleted. To restore the resource, you must \
                 specify 'restore' to be 'true' in the property. If you don't want to restore existing resource, \
                 please purge it first.",
                account.group, account.name
            ),
        )),
        // The code of this refusal is not documented.
        (None, true) => Err(Refusal::new(
            404,
            "CanNotRestoreANonExistingResource",
            format!("There is no deleted account '{name}' to restore."),
        )),
    }
}

/// `GET …/deletedAccounts`
pub(super) fn list(world: &World, subscription: &str) -> Reply {
    let all = world.list::<Deleted>(&format!("{subscription}/"));
    Reply::list(all.iter().map(|(_, deleted)| show(subscription, deleted)))
}

/// `GET …/locations/LOC/resourceGroups/RG/deletedAccounts/NAME`
pub(super) fn get(world: &World, call: &Call<'_>, subscription: &str) -> Answer {
    Ok(Reply::json(200, show(subscription, &addressed(world, call, subscription)?)))
}

/// `DELETE …/locations/LOC/resourceGroups/RG/deletedAccounts/NAME`
pub(super) fn purge(world: &mut World, call: &Call<'_>, subscription: &str) -> Reply {
    let Ok(Deleted { account, .. }) = addressed(world, call, subscription) else {
        return Reply::empty(204);
    };
    forget(world, subscription, &account);
    let id = operations::begin_purge(world, subscription);
    let place = operations::place(call, subscription, &account.location, &id);
    Reply::empty(202)
        .header("location", format!("{place}&operationResultResponseType=Location"))
        .header("azure-asyncoperation", place)
        .header("retry-after", "0")
}

/// The deleted account that a path names. The location counts too.
fn addressed(world: &World, call: &Call<'_>, subscription: &str) -> Result<Deleted, Refusal> {
    let [location, group, name] = [5, 7, 9].map(|index| call.words.get(index).map_or("", String::as_str));
    let found: Option<Deleted> = world.get(&accounts::key(subscription, group, name));
    found
        .filter(|deleted| locations::normalise(&deleted.account.location) == locations::normalise(location))
        .ok_or_else(|| {
            Refusal::new(
                404,
                "ResourceNotFound",
                format!(
                    "The deleted account '{name}' of resource group '{group}' was not found in '{location}'."
                ),
            )
        })
}

/// An account as before, under another id and type, with its dates.
fn show(subscription: &str, deleted: &Deleted) -> Json {
    let account = &deleted.account;
    let mut json = view::show(subscription, account);
    json["id"] = json!(format!(
        "/subscriptions/{subscription}/providers/Microsoft.CognitiveServices/locations/{}/resourceGroups/{}\
         /deletedAccounts/{}",
        account.location, account.group, account.name
    ));
    json["type"] = json!("Microsoft.CognitiveServices/deletedAccounts");
    json["properties"]["deletionDate"] = json!(arm::stamp(deleted.at));
    if let Ok(end) = deleted.at.saturating_add(WINDOW) {
        json["properties"]["scheduledPurgeDate"] = json!(arm::stamp(end));
    }
    json
}
