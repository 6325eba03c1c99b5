//! Cognitive Services accounts: their life from the first PUT to the soft deletion.

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::super::World;
use super::super::world::Record;
use super::arm::Tags;
use super::body::{self, Settings, Wanted, bad};
use super::groups::{self, Group};
use super::wire::{Answer, Call, Refusal, Reply};
use super::{deleted, keys, locations, operations, subscriptions, view};

/// An account, live or (in its own table) deleted.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Account {
    /// In the case it was made with.
    pub(super) name: String,
    /// The resource group's name, in the case it was made with.
    pub(super) group: String,
    /// As it was given: the service keeps the caller's spelling.
    pub(super) location: String,
    /// `ComputerVision`
    pub(super) kind: String,
    /// `F0`
    pub(super) sku: String,
    pub(super) tags: Option<Tags>,
    pub(super) identity: Option<Json>,
    /// What the caller set.
    pub(super) settings: Settings,
    pub(super) internal_id: String,
    pub(super) created: jiff::Timestamp,
    pub(super) modified: jiff::Timestamp,
    pub(super) etag: String,
    /// The two access keys.
    pub(super) keys: [String; 2],
    /// The states it has yet to pass through, the present one first; empty when it is ready.
    pub(super) passing: Vec<State>,
}

/// A state that is not the final one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum State {
    /// Taken on.
    Accepted,
    /// Being made.
    Creating,
    /// Its subdomain is not known everywhere yet.
    #[serde(rename = "ResolvingDNS")]
    ResolvingDns,
    /// Going.
    Deleting,
}

impl Record for Account {
    const TABLE: &'static str = "azure.account";
}

/// Where an account stands in its table.
pub(super) fn key(subscription: &str, group: &str, name: &str) -> String {
    format!("{subscription}/{}/{}", group.to_lowercase(), name.to_lowercase())
}

/// Requests to one account.
pub(super) fn handle(
    world: &mut World,
    call: &Call<'_>,
    subscription: &str,
    group: &Group,
    name: &str,
) -> Answer {
    advance(world, subscription, &group.name, name);
    match call.method.as_str() {
        "GET" => Ok(Reply::json(200, view::show(subscription, &existing(world, subscription, group, name)?))),
        "PUT" => put(world, call, subscription, group, name),
        "PATCH" => patch(world, call, subscription, group, name),
        "DELETE" => delete(world, call, subscription, group, name),
        _ => Err(super::nothing_here(call)),
    }
}

/// The live account of this name.
pub(super) fn existing(
    world: &World,
    subscription: &str,
    group: &Group,
    name: &str,
) -> Result<Account, Refusal> {
    world.get(&key(subscription, &group.name, name)).ok_or_else(|| {
        Refusal::new(
            404,
            "ResourceNotFound",
            format!(
                "The Resource 'Microsoft.CognitiveServices/accounts/{name}' under resource group '{}' was not found. \
                 For more details please go to https://aka.ms/ARMResourceNotFoundFix",
                group.name
            ),
        )
    })
}

fn put(world: &mut World, call: &Call<'_>, subscription: &str, group: &Group, name: &str) -> Answer {
    let wanted = body::read(call)?;
    groups::writable(group)?;
    subscriptions::require_cognitive(world, subscription)?;
    check_name(name)?;
    if let Ok(before) = existing(world, subscription, group, name) {
        let kept = before.settings.custom_sub_domain_name.clone();
        let mut account = change(world, call, subscription, before, &wanted)?;
        // A PUT says all: what it leaves out goes back to its default, but for the name that is never given up.
        account.settings = wanted.settings;
        account.settings.custom_sub_domain_name = account.settings.custom_sub_domain_name.or(kept);
        account.tags = wanted.tags;
        account.identity = wanted.identity;
        return Ok(write(world, subscription, account));
    }
    let account = match deleted::take(world, subscription, &group.name, name, wanted.restore)? {
        Some(before) => restored(world, subscription, before, wanted.location.as_deref())?,
        None => made(world, subscription, group, name, wanted)?,
    };
    world.put(&key(subscription, &group.name, name), &account);
    let id = operations::begin_account(world, subscription, &group.name, name);
    let place = operations::place(call, subscription, &account.location, &id);
    Ok(Reply::json(201, view::show(subscription, &account))
        .header("azure-asyncoperation", place)
        .header("etag", account.etag.clone())
        .header("retry-after", "0"))
}

/// A new account.
fn made(
    world: &mut World,
    subscription: &str,
    group: &Group,
    name: &str,
    wanted: Wanted,
) -> Result<Account, Refusal> {
    let location = wanted.location.ok_or_else(|| {
        Refusal::new(400, "LocationRequired", "The location property is required for this definition.")
    })?;
    check_location(&location)?;
    let kind = wanted.kind.unwrap_or_default();
    let sku = wanted.sku.unwrap_or_default();
    keys::check_sku(&kind, &sku)?;
    check_free(world, subscription, &kind, &sku, "")?;
    check_settings(world, &wanted.settings, "")?;
    let dns = wanted.settings.custom_sub_domain_name.is_some();
    let now = world.now();
    Ok(Account {
        name: name.to_owned(),
        group: group.name.clone(),
        location,
        kind,
        sku,
        tags: wanted.tags,
        identity: wanted.identity,
        settings: wanted.settings,
        internal_id: world.hex(32),
        created: now,
        modified: now,
        etag: etag(world),
        keys: [keys::fresh(world), keys::fresh(world)],
        passing: if dns {
            vec![State::Accepted, State::Creating, State::ResolvingDns]
        } else {
            vec![State::Accepted, State::Creating]
        },
    })
}

/// A deleted account that is asked back: it is as it was, whatever else the body says of it.
fn restored(
    world: &mut World,
    subscription: &str,
    before: Account,
    location: Option<&str>,
) -> Result<Account, Refusal> {
    if let Some(location) = location
        && locations::normalise(location) != locations::normalise(&before.location)
    {
        return Err(moved(&before, location));
    }
    deleted::forget(world, subscription, &before);
    let modified = world.now();
    Ok(Account { etag: etag(world), modified, passing: vec![State::Accepted, State::Creating], ..before })
}

fn patch(world: &mut World, call: &Call<'_>, subscription: &str, group: &Group, name: &str) -> Answer {
    let mut wanted = body::read(call)?;
    groups::writable(group)?;
    let before = existing(world, subscription, group, name)?;
    wanted.settings = wanted.settings.over(before.settings.clone());
    let mut account = change(world, call, subscription, before, &wanted)?;
    account.settings = wanted.settings;
    account.tags = wanted.tags.or(account.tags);
    account.identity = wanted.identity.or(account.identity);
    Ok(write(world, subscription, account))
}

/// What holds for every change of a live account. The sku is changed; the rest is the caller's.
fn change(
    world: &World,
    call: &Call<'_>,
    subscription: &str,
    before: Account,
    wanted: &Wanted,
) -> Result<Account, Refusal> {
    let own = key(subscription, &before.group, &before.name);
    settled(subscription, &before)?;
    conditional(call, &before)?;
    if let Some(location) = &wanted.location
        && locations::normalise(location) != locations::normalise(&before.location)
    {
        return Err(moved(&before, location));
    }
    if wanted.kind.as_ref().is_some_and(|kind| *kind != before.kind) {
        return Err(bad(format!("The kind of account '{}' cannot be changed.", before.name)));
    }
    let name = &wanted.settings.custom_sub_domain_name;
    if let (Some(name), Some(held)) = (name, &before.settings.custom_sub_domain_name)
        && !name.eq_ignore_ascii_case(held)
    {
        return Err(bad(format!("The custom subdomain name '{held}' cannot be changed once it is set.")));
    }
    let mut whole = wanted.settings.clone();
    whole.custom_sub_domain_name =
        whole.custom_sub_domain_name.or_else(|| before.settings.custom_sub_domain_name.clone());
    check_settings(world, &whole, &own)?;
    let sku = wanted.sku.clone().unwrap_or_else(|| before.sku.clone());
    keys::check_sku(&before.kind, &sku)?;
    check_free(world, subscription, &before.kind, &sku, &own)?;
    Ok(Account { sku, ..before })
}

/// Writes a changed account; such changes are done at once.
fn write(world: &mut World, subscription: &str, mut account: Account) -> Reply {
    account.etag = etag(world);
    account.modified = world.now();
    world.put(&key(subscription, &account.group, &account.name), &account);
    Reply::json(200, view::show(subscription, &account)).header("etag", account.etag.clone())
}

fn delete(world: &mut World, call: &Call<'_>, subscription: &str, group: &Group, name: &str) -> Answer {
    groups::writable(group)?;
    let Ok(account) = existing(world, subscription, group, name) else { return Ok(Reply::empty(204)) };
    settled(subscription, &account)?;
    conditional(call, &account)?;
    let location = account.location.clone();
    let gone = Account { passing: vec![State::Deleting, State::Deleting], ..account };
    world.put(&key(subscription, &group.name, name), &gone);
    let id = operations::begin_account(world, subscription, &group.name, name);
    let place = operations::place(call, subscription, &location, &id);
    Ok(Reply::empty(202)
        .header("location", format!("{place}&operationResultResponseType=Location"))
        .header("azure-asyncoperation", place)
        .header("retry-after", "0"))
}

/// One look further: an account passes to its next state, and one being deleted goes to the deleted ones.
pub(super) fn advance(world: &mut World, subscription: &str, group: &str, name: &str) {
    let key = key(subscription, group, name);
    let Some(mut account) = world.get::<Account>(&key) else { return };
    if account.passing.is_empty() {
        return;
    }
    let was = account.passing.remove(0);
    if was == State::Deleting && account.passing.is_empty() {
        world.remove::<Account>(&key);
        deleted::keep(world, subscription, account);
        return;
    }
    account.etag = etag(world);
    world.put(&key, &account);
}

/// Whether the account is still on its way somewhere.
pub(super) fn in_progress(world: &World, subscription: &str, group: &str, name: &str) -> bool {
    world.get::<Account>(&key(subscription, group, name)).is_some_and(|account| !account.passing.is_empty())
}

/// A resource group goes, and its accounts with it: they are soft-deleted.
pub(super) fn delete_all(world: &mut World, subscription: &str, group: &str) {
    for (key, account) in world.list::<Account>(&format!("{subscription}/{}/", group.to_lowercase())) {
        world.remove::<Account>(&key);
        deleted::keep(world, subscription, Account { passing: Vec::new(), ..account });
    }
}

/// Whether the subscription holds any.
pub(super) fn any(world: &World, subscription: &str) -> bool {
    !world.list::<Account>(&format!("{subscription}/")).is_empty()
}

/// The accounts of a subscription or of one group.
pub(super) fn list(world: &mut World, subscription: &str, group: Option<&str>) -> Reply {
    let prefix = prefix(subscription, group);
    for (_, account) in world.list::<Account>(&prefix) {
        advance(world, subscription, &account.group, &account.name);
    }
    Reply::list(world.list::<Account>(&prefix).iter().map(|(_, account)| view::show(subscription, account)))
}

/// The same in the short form of the resource manager's own listings.
pub(super) fn brief(world: &World, subscription: &str, group: Option<&str>) -> Vec<Json> {
    let short = |account: &Account| {
        let mut json = view::show(subscription, account);
        if let Some(map) = json.as_object_mut() {
            map.retain(|name, _| {
                ["id", "name", "type", "location", "sku", "kind", "tags"].contains(&name.as_str())
            });
        }
        json
    };
    world.list::<Account>(&prefix(subscription, group)).iter().map(|(_, account)| short(account)).collect()
}

fn prefix(subscription: &str, group: Option<&str>) -> String {
    group.map_or_else(
        || format!("{subscription}/"),
        |group| format!("{subscription}/{}/", group.to_lowercase()),
    )
}

/// A state that is not final takes no change.
fn settled(subscription: &str, account: &Account) -> Result<(), Refusal> {
    let Some(state) = account.passing.first() else { return Ok(()) };
    Err(Refusal::new(
        409,
        "AccountProvisioningStateInvalid",
        format!("Account {} in state {}", view::id(subscription, account), view::word(*state)),
    ))
}

/// `If-Match` with another etag than the live one.
fn conditional(call: &Call<'_>, account: &Account) -> Result<(), Refusal> {
    match call.header(http::header::IF_MATCH) {
        Some(etag) if etag != "*" && etag != account.etag => Err(Refusal::new(
            412,
            "PreconditionFailed",
            format!("The account '{}' has been changed: its etag is {}.", account.name, account.etag),
        )),
        Some(_) | None => Ok(()),
    }
}

/// 2 to 64 letters, digits, `.`, `_` and `-`, the first a letter or digit.
fn check_name(name: &str) -> Result<(), Refusal> {
    let legal = name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b))
        && name.starts_with(|c: char| c.is_ascii_alphanumeric());
    if legal && (2..=64).contains(&name.len()) {
        return Ok(());
    }
    Err(Refusal::new(
        400,
        "InvalidResourceName",
        format!(
            "Resource name {name} is invalid. The name must match '^[a-zA-Z0-9][a-zA-Z0-9_.-]*$', 2 to 64 characters."
        ),
    ))
}

fn check_location(location: &str) -> Result<(), Refusal> {
    let normalised = locations::normalise(location);
    if locations::exists(&normalised) || normalised == "global" {
        return Ok(());
    }
    Err(Refusal::new(
        400,
        "LocationNotAvailableForResourceType",
        format!(
            "The provided location '{location}' is not available for resource type \
             'Microsoft.CognitiveServices/accounts'. List of available regions for the resource type is '{}'.",
            locations::list()
        ),
    ))
}

/// One free account of each kind in a subscription; deleted ones count until they are purged.
fn check_free(world: &World, subscription: &str, kind: &str, sku: &str, own: &str) -> Result<(), Refusal> {
    let prefix = format!("{subscription}/");
    let live = world.list::<Account>(&prefix);
    let taken = live.iter().any(|(key, other)| other.kind == kind && other.sku == "F0" && key != own);
    if sku != "F0" || !(taken || deleted::holds_free(world, &prefix, kind)) {
        return Ok(());
    }
    Err(Refusal::new(
        400,
        "CanNotCreateMultipleFreeAccounts",
        format!("Operation failed. Only one free account is allowed for account type '{kind}'."),
    ))
}

/// The rules over several properties: a subdomain is one account's in all the world, and network rules need one.
fn check_settings(world: &World, settings: &Settings, own: &str) -> Result<(), Refusal> {
    let Some(name) = &settings.custom_sub_domain_name else {
        if settings.network_acls.is_some() {
            return Err(bad(
                "Network rules need a custom subdomain name, and the account has none.".to_owned()
            ));
        }
        return Ok(());
    };
    if !domain_taken(world, name, own) {
        return Ok(());
    }
    Err(Refusal::new(
        409,
        "CustomDomainInUse",
        format!(
            "Please pick a different name. The subdomain name '{name}' is not available as it's already used by a \
             resource. If the resource using the name was deleted in the last 48 hours, you may need to purge the \
             deleted resource. Learn more at \"https://go.microsoft.com/fwlink/?linkid=2215493\""
        ),
    ))
}

/// Whether another account than `own` holds a subdomain, live or deleted.
pub(super) fn domain_taken(world: &World, name: &str, own: &str) -> bool {
    let held = |account: &Account| {
        account.settings.custom_sub_domain_name.as_ref().is_some_and(|held| held.eq_ignore_ascii_case(name))
    };
    world.list::<Account>("").iter().any(|(key, account)| held(account) && key != own)
        || deleted::all(world).iter().any(held)
}

fn moved(before: &Account, location: &str) -> Refusal {
    Refusal::new(
        409,
        "InvalidResourceLocation",
        format!(
            "The resource '{}' already exists in location '{}' in resource group '{}'. A resource with the same name \
             cannot be created in location '{location}'. Please select a new resource name.",
            before.name, before.location, before.group
        ),
    )
}

fn etag(world: &mut World) -> String {
    let hex = world.hex(16);
    format!("\"{}-0000-0500-0000-{}0000\"", &hex[..8], &hex[8..])
}
