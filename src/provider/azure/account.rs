//! `Microsoft.CognitiveServices/accounts`.
//!
//! Facts: the resource provider's API model, version 2023-05-01, and recorded answers of the service. A deleted
//! account is kept for 48 hours under another path; restoring it is a PUT with a flag.

use async_trait::async_trait;
use azure_core::{CollectedResponse, Method};
use azure_mgmt_cognitiveservices::package_2023_05::models;
use futures::StreamExt as _;

use super::super::Kind;
use super::Azure;
use super::account_model::{Desired, in_progress, live};
use super::account_schema::SCHEMA;
use super::arm::{self, Ask, collect};
use super::errors::ours;
use super::names;
use super::wire::convert;
use crate::model::{
    CloudError, CloudId, Condition, Create, Delete, ErrorKind, Live, Map, Owner, Read, Restore, Schema,
    Secret, Update, Value,
};

/// The type.
pub(super) struct Account;

const NAMESPACE: &str = "Microsoft.CognitiveServices";
const VERSION: &str = "2023-05-01";
/// A quarter of an hour at five seconds each, after a quick start.
const LOOKS: u32 = 180;
const READ: &str = "Microsoft.CognitiveServices/accounts/read";
const WRITE: &str = "Microsoft.CognitiveServices/accounts/write";
const DELETE: &str = "Microsoft.CognitiveServices/accounts/delete";
const LIST_KEYS: &str = "Microsoft.CognitiveServices/accounts/listKeys/action";
const READ_DELETED: &str = "Microsoft.CognitiveServices/locations/resourceGroups/deletedAccounts/read";

/// Which account a request is about.
struct Target<'a> {
    subscription: &'a str,
    group: String,
    name: String,
}

impl Target<'_> {
    fn path(&self) -> String {
        names::account_id(self.subscription, &self.group, &self.name)
    }
}

#[async_trait]
impl Kind<Azure> for Account {
    fn schema(&self) -> &'static Schema {
        &SCHEMA
    }

    async fn read(&self, cloud: &Azure, request: Read<'_>) -> Result<Option<Live>, CloudError> {
        let target = target(cloud, READ, request.id)?;
        let location = request
            .desired
            .and_then(|desired| names::text_or(desired, "location", Some(&cloud.place.location)));
        find(cloud, &target, location.as_deref(), request.secrets).await
    }

    async fn create(&self, cloud: &Azure, request: Create<'_>) -> Result<Live, CloudError> {
        let target = target(cloud, WRITE, request.id)?;
        let desired: Desired = names::decode(WRITE, request.properties)?;
        // A PUT would change an account that is there.
        if get(cloud, &target).await?.is_some() {
            return Err(ours(ErrorKind::AlreadyExists, WRITE, format!("{} exists", target.path())));
        }
        let location = desired.location.clone().unwrap_or_else(|| cloud.place.location.clone());
        let account = desired.model(&location, request.owner);
        let begun = match put(cloud, &target, account.clone()).await {
            Err(error) if error.code == "MissingSubscriptionRegistration" => {
                cloud.register(NAMESPACE).await?;
                put(cloud, &target, account).await?
            }
            begun => begun?,
        };
        cloud.arm()?.settle(WRITE, &begun, &target.path(), VERSION).await?;
        changed(cloud, &target, request.secrets).await
    }

    async fn update(&self, cloud: &Azure, request: Update<'_>) -> Result<Live, CloudError> {
        let target = target(cloud, WRITE, request.id)?;
        let desired: Desired = names::decode(WRITE, request.properties)?;
        // One that has just been restored bears another etag than the plan saw.
        let seen = request.before.condition == Condition::Ready;
        let etag = request.before.etag.as_deref().filter(|_| seen);
        let body = desired.patch(request.changed, request.owner);
        patch(cloud, &target, body, etag, request.secrets).await
    }

    async fn delete(&self, cloud: &Azure, request: Delete<'_>) -> Result<(), CloudError> {
        let target = target(cloud, DELETE, request.id)?;
        if matches!(request.before.condition, Condition::SoftDeleted { .. }) {
            // Nothing is purged on the way.
            return Ok(());
        }
        let accounts = cloud.cognitive()?.accounts_client();
        let begun = accounts.delete(&target.group, &target.name, target.subscription).send().await;
        match collect(DELETE, begun.map(Into::into)).await {
            Ok(begun) => cloud.arm()?.settle(DELETE, &begun, &target.path(), VERSION).await,
            Err(error) if error.kind == ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn restore(&self, cloud: &Azure, request: Restore<'_>) -> Result<Live, CloudError> {
        let target = target(cloud, WRITE, request.id)?;
        let held = request.before.properties.get("location").and_then(Value::as_text);
        // Location and flag are all that is asked for, and all that counts: the rest comes back as it was.
        let account = models::Account {
            location: Some(held.unwrap_or(&cloud.place.location).to_owned()),
            properties: Some(models::AccountProperties { restore: Some(true), ..Default::default() }),
            ..models::Account::default()
        };
        let begun = put(cloud, &target, account).await?;
        cloud.arm()?.settle(WRITE, &begun, &target.path(), VERSION).await?;
        let restored = changed(cloud, &target, request.secrets).await?;
        if restored.owner.as_ref() == Some(request.owner) {
            return Ok(restored);
        }
        mark(cloud, &target, &restored, request.owner, request.secrets).await
    }
}

/// The account that an id names.
fn target<'a>(cloud: &'a Azure, call: &str, id: &CloudId) -> Result<Target<'a>, CloudError> {
    let subscription = cloud.subscription()?;
    match names::parse_id(call, id, subscription)? {
        (group, Some(name)) => Ok(Target { subscription, group, name }),
        (_, None) => Err(ours(ErrorKind::Invalid, call, format!("`{id}` is no account's id"))),
    }
}

/// The account in a final state, live or deleted, with its keys if they are wanted: side by side, one round trip deep
/// where there is one, two where there is none.
async fn find(
    cloud: &Azure,
    target: &Target<'_>,
    location: Option<&str>,
    secrets: bool,
) -> Result<Option<Live>, CloudError> {
    for looks in 0..LOOKS {
        let (found, deleted, keys) = futures::join!(
            get(cloud, target),
            get_deleted(cloud, target, location),
            keys(cloud, target, secrets)
        );
        if let Some(account) = found? {
            if in_progress(&account) {
                tokio::time::sleep(arm::pause(looks)).await;
                continue;
            }
            let mut live = live(target.path(), &target.group, &target.name, account, false);
            if let Some(keys) = keys? {
                live.attributes.insert("keys".to_owned(), keys.into());
            }
            return Ok(Some(live));
        }
        let deleted = match deleted? {
            // One whose deletion ended between the two looks is in neither: only a look that begins after the live
            // one is gone says that there is none.
            None => get_deleted(cloud, target, location).await?,
            found => found,
        };
        return Ok(deleted.map(|account| live(target.path(), &target.group, &target.name, account, true)));
    }
    Err(ours(ErrorKind::Conflict, READ, format!("{} is still being changed by someone else", target.path())))
}

async fn get(cloud: &Azure, target: &Target<'_>) -> Result<Option<models::Account>, CloudError> {
    let accounts = cloud.cognitive()?.accounts_client();
    match accounts.get(&target.group, &target.name, target.subscription).await {
        Ok(account) => Ok(Some(account)),
        Err(error) => absent(convert(READ, &error)),
    }
}

/// The deleted account: at its place where the location is known, else out of the subscription's list. Credentials
/// that may not look there see no deleted accounts; a create then says what stands in its way.
async fn get_deleted(
    cloud: &Azure,
    target: &Target<'_>,
    location: Option<&str>,
) -> Result<Option<models::Account>, CloudError> {
    let client = cloud.cognitive()?.deleted_accounts_client();
    let found = if let Some(location) = location {
        let location = names::same_place(location);
        client.get(location, &target.group, &target.name, target.subscription).await.map(Some)
    } else {
        listed(client.list(target.subscription).into_stream(), target).await
    };
    match found.map_err(|error| convert(READ_DELETED, &error)) {
        Ok(account) => Ok(account),
        Err(error) if error.kind == ErrorKind::Denied => {
            tracing::debug!(%error, "deleted accounts cannot be seen");
            Ok(None)
        }
        Err(error) => absent(error),
    }
}

/// The account out of a list of deleted ones.
async fn listed(
    mut pages: azure_core::Pageable<models::AccountListResult, azure_core::Error>,
    target: &Target<'_>,
) -> azure_core::Result<Option<models::Account>> {
    let end = format!("/resourceGroups/{}/deletedAccounts/{}", target.group, target.name).to_lowercase();
    let ours = |account: &models::Account| {
        let id = account.azure_entity_resource.resource.id.as_deref().unwrap_or_default();
        id.to_lowercase().ends_with(&end)
    };
    while let Some(page) = pages.next().await {
        if let Some(found) = page?.value.into_iter().find(ours) {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// Not there is an answer, not a failure.
fn absent(error: CloudError) -> Result<Option<models::Account>, CloudError> {
    if error.kind == ErrorKind::NotFound { Ok(None) } else { Err(error) }
}

/// The access keys, if they are wanted and there are any.
async fn keys(cloud: &Azure, target: &Target<'_>, wanted: bool) -> Result<Option<Map>, CloudError> {
    if !wanted {
        return Ok(None);
    }
    let accounts = cloud.cognitive()?.accounts_client();
    match accounts.list_keys(&target.group, &target.name, target.subscription).await {
        Ok(models::ApiKeys { key1, key2 }) => {
            let keys = [("key1", key1), ("key2", key2)];
            let secret = |(name, key): (&str, Option<String>)| {
                Some((name.to_owned(), Value::Secret(Secret::new(key?))))
            };
            Ok(Some(keys.into_iter().filter_map(secret).collect()))
        }
        Err(error) => {
            let error = convert(LIST_KEYS, &error);
            let no_keys = error.kind == ErrorKind::Invalid && error.message.contains("disableLocalAuth");
            if no_keys || error.kind == ErrorKind::NotFound { Ok(None) } else { Err(error) }
        }
    }
}

async fn put(
    cloud: &Azure,
    target: &Target<'_>,
    account: models::Account,
) -> Result<CollectedResponse, CloudError> {
    let accounts = cloud.cognitive()?.accounts_client();
    let begun = accounts.create(&target.group, &target.name, account, target.subscription).send().await;
    collect(WRITE, begun.map(Into::into)).await
}

/// Sends a change and waits for its end; the account as it is then.
async fn patch(
    cloud: &Azure,
    target: &Target<'_>,
    body: serde_json::Value,
    etag: Option<&str>,
    secrets: bool,
) -> Result<Live, CloudError> {
    let path = target.path();
    let ask = Ask { method: Method::Patch, body: Some(body), etag, ..Ask::get(WRITE, &path, VERSION) };
    let answer = cloud.arm()?.send(&ask).await?;
    match serde_json::from_slice::<models::Account>(answer.body()) {
        // The answer is the account itself, unless there is something to wait for.
        Ok(account) if account.properties.is_some() && !in_progress(&account) => {
            let keys = keys(cloud, target, secrets).await.map_err(unknown)?;
            ready(target, account, keys)
        }
        Ok(_) | Err(_) => {
            cloud.arm()?.settle(WRITE, &answer, &path, VERSION).await?;
            changed(cloud, target, secrets).await
        }
    }
}

/// Puts the owner's mark on a live account and leaves its other tags alone.
async fn mark(
    cloud: &Azure,
    target: &Target<'_>,
    live: &Live,
    owner: &Owner,
    secrets: bool,
) -> Result<Live, CloudError> {
    let tags = live.properties.get("tags").map(names::plain);
    let (tags, _) = names::split(tags.as_ref());
    let body = serde_json::json!({ "tags": names::marked(&tags, owner) });
    patch(cloud, target, body, live.etag.as_deref(), secrets).await
}

/// The account after a change.
async fn changed(cloud: &Azure, target: &Target<'_>, secrets: bool) -> Result<Live, CloudError> {
    for looks in 0..LOOKS {
        let (found, keys) = futures::join!(get(cloud, target), keys(cloud, target, secrets));
        match found.map_err(unknown)? {
            Some(account) if in_progress(&account) => tokio::time::sleep(arm::pause(looks)).await,
            Some(account) => return ready(target, account, keys.map_err(unknown)?),
            None => {
                let gone = format!("{} is not there after its change", target.path());
                return Err(ours(ErrorKind::Unknown, WRITE, gone));
            }
        }
    }
    Err(ours(ErrorKind::Unknown, WRITE, format!("{} is still not in a final state", target.path())))
}

/// An account in a final state, which must be the good one.
fn ready(target: &Target<'_>, account: models::Account, keys: Option<Map>) -> Result<Live, CloudError> {
    let mut live = live(target.path(), &target.group, &target.name, account, false);
    if let Condition::Failed(state) = &live.condition {
        return Err(ours(ErrorKind::Unknown, WRITE, format!("{} ended in state {state}", target.path())));
    }
    if let Some(keys) = keys {
        live.attributes.insert("keys".to_owned(), keys.into());
    }
    Ok(live)
}

/// A change has been made, and what came of it could not be read.
fn unknown(error: CloudError) -> CloudError {
    CloudError { kind: ErrorKind::Unknown, ..error }
}
