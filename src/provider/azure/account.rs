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
use super::arm::{self, Ask, collect};
use super::errors::ours;
use super::names;
use super::wire::convert;
use crate::model::{
    Attribute, CloudError, CloudId, Clouds, Condition, Create, Delete, Deletion, ErrorKind, Live, Map,
    NameRule, Owner, Property, Read, Restore, Schema, Secret, Shape, TextRule, Update, Value,
};

/// The type.
pub(super) struct Account;

const NAMESPACE: &str = "Microsoft.CognitiveServices";
const VERSION: &str = "2023-05-01";
const READ: &str = "Microsoft.CognitiveServices/accounts/read";
const WRITE: &str = "Microsoft.CognitiveServices/accounts/write";
const DELETE: &str = "Microsoft.CognitiveServices/accounts/delete";
const LIST_KEYS: &str = "Microsoft.CognitiveServices/accounts/listKeys/action";
const READ_DELETED: &str = "Microsoft.CognitiveServices/locations/resourceGroups/deletedAccounts/read";

const NAME: TextRule = TextRule::matching(
    "^[a-zA-Z0-9][a-zA-Z0-9_.-]*$",
    "letters, digits, `_`, `.` and `-`, the first a letter or digit",
)
.sized(2, 64);
const SUBDOMAIN: TextRule = TextRule::matching(
    "^[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?$",
    "letters, digits and `-`, neither first nor last a `-`; unique in all of Azure",
)
.sized(2, 64);
const KIND: TextRule =
    TextRule::matching("^[A-Za-z][A-Za-z0-9.]*$", "a kind of account, such as `ComputerVision`");
const SKU: TextRule =
    TextRule::matching("^[A-Za-z][A-Za-z0-9]{0,9}$", "a pricing tier, such as `F0` or `S1`");
const ADDRESS: TextRule = TextRule::matching(
    r"^[0-9]{1,3}(\.[0-9]{1,3}){3}(/[0-9]{1,2})?$",
    "an IPv4 address or range, such as `203.0.113.7` or `203.0.113.0/24`",
);
const SUBNET: TextRule = TextRule::matching(
    r"^/subscriptions/[^/]+/(?i:resourceGroups)/[^/]+/providers/Microsoft\.Network/virtualNetworks/[^/]+/subnets/[^/]+$",
    "a subnet's full id",
);
const FQDN: Shape =
    Shape::Text(TextRule::matching("^[A-Za-z0-9*_][A-Za-z0-9._*-]*$", "a domain name").sized(1, 255));

static IP_RULE: &[Property] =
    &[Property::new("value", Shape::Text(ADDRESS), "An IPv4 address or range.").required()];
static SUBNET_RULE: &[Property] = &[
    Property::new("id", Shape::Text(SUBNET), "The subnet.").required(),
    Property::new(
        "ignoreMissingVnetServiceEndpoint",
        Shape::Bool,
        "Accept a subnet without the service endpoint.",
    )
    .default(no),
];
static NETWORK_ACLS: &[Property] = &[
    Property::new("defaultAction", Shape::Enum(&["Allow", "Deny"]), "What holds where no rule matches.")
        .default(|| "Allow".into()),
    Property::new("ipRules", Shape::Keyed { by: "value", of: IP_RULE }, "Addresses that are let in."),
    Property::new(
        "virtualNetworkRules",
        Shape::Keyed { by: "id", of: SUBNET_RULE },
        "Subnets that are let in.",
    ),
];
static PROPERTIES: &[Property] = &[
    Property::new(
        "customSubDomainName",
        Shape::Text(SUBDOMAIN),
        "The subdomain of cognitiveservices.azure.com; needed for network rules and Entra tokens, never changed.",
    )
    .set_once()
    .normalised(lower),
    Property::new("publicNetworkAccess", Shape::Enum(&["Enabled", "Disabled"]), "Whether the internet reaches it.")
        .default(|| "Enabled".into()),
    Property::new("networkAcls", Shape::Object(NETWORK_ACLS), "Who is let in over the network.").default(empty),
    Property::new("disableLocalAuth", Shape::Bool, "Refuse access keys: Entra tokens only.").default(no),
    Property::new("restrictOutboundNetworkAccess", Shape::Bool, "Let it out to the allowed names only.").default(no),
    Property::new("allowedFqdnList", Shape::Set(&FQDN), "The names it may reach."),
    Property::new("dynamicThrottlingEnabled", Shape::Bool, "Let the service raise the rate limit.").default(no),
];

/// Its rules.
static SCHEMA: Schema = Schema {
    ty: "Microsoft.CognitiveServices/accounts",
    doc: "An account of an Azure AI service, such as Computer Vision.",
    properties: &[
        Property::new("name", Shape::Text(NAME), "The account's name.").immutable(),
        Property::new(
            "resourceGroup",
            Shape::Text(names::GROUP_NAME),
            "The stack's resource group by default.",
        )
        .immutable()
        .unmanaged(),
        Property::new("location", names::LOCATION, "The stack's location by default.")
            .immutable()
            .unmanaged()
            .normalised(names::location),
        Property::new("kind", Shape::Text(KIND), "Which service, such as `ComputerVision`.")
            .required()
            .immutable(),
        Property::new(
            "sku",
            Shape::Object(&[Property::new(
                "name",
                Shape::Text(SKU),
                "`F0` (free, one of each kind) or `S1`.",
            )
            .required()]),
            "The pricing tier.",
        )
        .required(),
        names::TAGS,
        Property::new("properties", Shape::Object(PROPERTIES), "The account's settings.").default(empty),
    ],
    attributes: &[
        Attribute::new("id", "The full id, `/subscriptions/…/accounts/…`."),
        Attribute::new("properties.endpoint", "The URL of its data plane."),
        Attribute::new("properties.internalId", "The service's own id of this account.").unique(),
        Attribute::secret("keys.key1", "The first access key."),
        Attribute::secret("keys.key2", "The second access key."),
    ],
    name: Some(NameRule { property: "name", default: |stack, logical, _| format!("{stack}-{logical}") }),
    identify,
    predict,
    check,
    marked: true,
    shared: false,
    deletion: Deletion::Soft { hours: 48 },
};

fn no() -> Value {
    Value::Bool(false)
}

fn empty() -> Value {
    Value::Map(Map::new())
}

/// Host names are the same in any case.
fn lower(value: Value) -> Value {
    match value {
        Value::Text(text) => Value::Text(text.to_lowercase()),
        other => other,
    }
}

fn identify(properties: &Map, clouds: &Clouds) -> Option<CloudId> {
    let place = clouds.azure.as_ref()?;
    let name = names::text_or(properties, "name", None)?;
    let group = names::text_or(properties, "resourceGroup", Some(&place.resource_group))?;
    Some(CloudId(names::account_id(&place.subscription, &group, &name)))
}

/// The id always; the endpoint where the name of the kind's domain is documented.
fn predict(properties: &Map, clouds: &Clouds) -> Map {
    let mut attributes = Map::new();
    if let Some(id) = identify(properties, clouds) {
        attributes.insert("id".to_owned(), Value::Text(id.0));
    }
    if let Some(endpoint) = endpoint(properties, clouds) {
        let inner = Map::from([("endpoint".to_owned(), Value::Text(endpoint))]);
        attributes.insert("properties".to_owned(), Value::Map(inner));
    }
    attributes
}

fn endpoint(properties: &Map, clouds: &Clouds) -> Option<String> {
    if properties.get("kind")?.as_text()? != "ComputerVision" {
        return None;
    }
    let inner = match properties.get("properties") {
        None | Some(Value::Null) => None,
        Some(value) => Some(value.as_map()?),
    };
    match inner.and_then(|inner| inner.get("customSubDomainName")) {
        Some(Value::Text(name)) => {
            Some(format!("https://{}.cognitiveservices.azure.com/", name.to_lowercase()))
        }
        Some(Value::Null) | None => {
            let place = clouds.azure.as_ref()?;
            let location = names::text_or(properties, "location", Some(&place.location))?;
            Some(format!("https://{}.api.cognitive.microsoft.com/", names::same_place(&location)))
        }
        Some(_) => None,
    }
}

fn check(properties: &Map, _: &Clouds) -> Vec<String> {
    let mut wrong = names::check_tags(properties);
    let inner = properties.get("properties").and_then(Value::as_map);
    let set = |name: &str| inner.and_then(|inner| inner.get(name)).filter(|value| **value != Value::Null);
    let acls = set("networkAcls").and_then(Value::as_map);
    let denies = acls.and_then(|acls| acls.get("defaultAction")).and_then(Value::as_text) == Some("Deny");
    let rules = |name| {
        acls.and_then(|acls| acls.get(name)).and_then(Value::as_list).is_some_and(|list| !list.is_empty())
    };
    if (denies || rules("ipRules") || rules("virtualNetworkRules")) && set("customSubDomainName").is_none() {
        wrong.push("`properties.networkAcls` needs `properties.customSubDomainName`".to_owned());
    }
    wrong
}

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
        patch(cloud, &target, desired.patch(request.changed, request.owner), etag).await?;
        changed(cloud, &target, request.secrets).await
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
        mark(cloud, &target, &restored, request.owner).await?;
        changed(cloud, &target, request.secrets).await
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

/// The account in a final state, live or deleted, with its keys if they are wanted: side by side, one round trip deep.
async fn find(
    cloud: &Azure,
    target: &Target<'_>,
    location: Option<&str>,
    secrets: bool,
) -> Result<Option<Live>, CloudError> {
    // A quarter of an hour at five seconds each.
    for looks in 0..180 {
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
        let deleted = deleted?;
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

/// Sends a change and waits for its end.
async fn patch(
    cloud: &Azure,
    target: &Target<'_>,
    body: serde_json::Value,
    etag: Option<&str>,
) -> Result<(), CloudError> {
    let path = target.path();
    let ask = Ask { method: Method::Patch, body: Some(body), etag, ..Ask::get(WRITE, &path, VERSION) };
    let begun = cloud.arm()?.send(&ask).await?;
    cloud.arm()?.settle(WRITE, &begun, &path, VERSION).await
}

/// Puts the owner's mark on a live account and leaves its other tags alone.
async fn mark(cloud: &Azure, target: &Target<'_>, live: &Live, owner: &Owner) -> Result<(), CloudError> {
    let tags = live.properties.get("tags").map(names::plain);
    let (tags, _) = names::split(tags.as_ref());
    let body = serde_json::json!({ "tags": names::marked(&tags, owner) });
    patch(cloud, target, body, live.etag.as_deref()).await
}

/// The account after a change.
async fn changed(cloud: &Azure, target: &Target<'_>, secrets: bool) -> Result<Live, CloudError> {
    let found = find(cloud, target, Some(&cloud.place.location), secrets).await;
    let found = found.map_err(|error| CloudError { kind: ErrorKind::Unknown, ..error })?;
    let gone = || ours(ErrorKind::Unknown, WRITE, format!("{} is not there after its change", target.path()));
    let live =
        found.filter(|live| !matches!(live.condition, Condition::SoftDeleted { .. })).ok_or_else(gone)?;
    match &live.condition {
        Condition::Failed(state) => {
            Err(ours(ErrorKind::Unknown, WRITE, format!("{} ended in state {state}", target.path())))
        }
        Condition::Ready | Condition::SoftDeleted { .. } => Ok(live),
    }
}
