//! `Microsoft.Resources/resourceGroups`.
//!
//! Facts: the REST API reference of Azure Resource Manager, version 2022-09-01.

use async_trait::async_trait;
use azure_core::Method;
use serde::Deserialize;
use serde_json::{Value as Json, json};

use super::super::Kind;
use super::arm::{self, Ask, running};
use super::errors::ours;
use super::names::{self, Tags};
use super::{Azure, RESOURCES_VERSION};
use crate::model::{
    Attribute, CloudError, CloudId, Clouds, Condition, Create, Delete, Deletion, ErrorKind, Live, Map,
    NameRule, Owner, Property, Read, Restore, Schema, Shape, Update, Value,
};

/// The type.
pub(super) struct Group;

/// Its rules.
static SCHEMA: Schema = Schema {
    ty: "Microsoft.Resources/resourceGroups",
    doc: "A container for Azure resources; deleting it deletes what is in it, so mcm deletes only an empty one.",
    properties: &[
        Property::new("name", Shape::Text(names::GROUP_NAME), "The group's name.").immutable(),
        Property::new(
            "location",
            names::LOCATION,
            "Where its metadata lie; the stack's location by default.",
        )
        .immutable()
        .unmanaged()
        .normalised(names::location),
        names::TAGS,
    ],
    attributes: &[Attribute::new("id", "The full id, `/subscriptions/…/resourceGroups/…`.")],
    name: Some(NameRule { property: "name", default: |stack, logical, _| format!("{stack}-{logical}") }),
    identify,
    predict,
    check: |properties, _| names::check_tags(properties),
    marked: true,
    shared: false,
    compares: false,
    deletion: Deletion::Recreatable { loses: "" },
};

fn identify(properties: &Map, clouds: &Clouds) -> Option<CloudId> {
    let name = names::text_or(properties, "name", None)?;
    Some(CloudId(names::group_id(names::subscription(clouds)?, &name)))
}

fn predict(properties: &Map, clouds: &Clouds) -> Map {
    identify(properties, clouds).map(|id| ("id".to_owned(), Value::Text(id.0))).into_iter().collect()
}

/// The properties.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Desired {
    #[serde(rename = "name")]
    _name: Option<String>,
    location: Option<String>,
    #[serde(default)]
    tags: Tags,
}

const READ: &str = "Microsoft.Resources/subscriptions/resourceGroups/read";
const WRITE: &str = "Microsoft.Resources/subscriptions/resourceGroups/write";
const DELETE: &str = "Microsoft.Resources/subscriptions/resourceGroups/delete";

#[async_trait]
impl Kind<Azure> for Group {
    fn schema(&self) -> &'static Schema {
        &SCHEMA
    }

    async fn read(&self, cloud: &Azure, request: Read<'_>) -> Result<Option<Live>, CloudError> {
        let path = path(cloud, READ, request.id)?;
        let found = look(cloud, &path).await?;
        Ok(found.map(|json| live(&path, &json)))
    }

    async fn create(&self, cloud: &Azure, request: Create<'_>) -> Result<Live, CloudError> {
        let path = path(cloud, WRITE, request.id)?;
        let desired: Desired = names::decode(WRITE, request.properties)?;
        // A PUT takes over whatever is there.
        if look(cloud, &path).await?.is_some() {
            return Err(ours(ErrorKind::AlreadyExists, WRITE, format!("{path} exists")));
        }
        let body = json!({
            "location": desired.location.unwrap_or_else(|| cloud.place.location.clone()),
            "tags": names::marked(&desired.tags, request.owner),
        });
        write(cloud, Method::Put, &path, body).await
    }

    async fn update(&self, cloud: &Azure, request: Update<'_>) -> Result<Live, CloudError> {
        let path = path(cloud, WRITE, request.id)?;
        let desired: Desired = names::decode(WRITE, request.properties)?;
        let body = json!({ "tags": names::marked(&desired.tags, request.owner) });
        write(cloud, Method::Patch, &path, body).await
    }

    async fn delete(&self, cloud: &Azure, request: Delete<'_>) -> Result<(), CloudError> {
        let path = path(cloud, DELETE, request.id)?;
        let inside = contents(cloud, &path).await?;
        if !inside.is_empty() {
            let mut error = ours(
                ErrorKind::NotEmpty,
                DELETE,
                format!("the resource group holds {}, which deleting it would delete", inside.join(", ")),
            );
            error.hint = Some(
                "delete or move what is in it first, or keep the group with `onDelete: retain`".to_owned(),
            );
            return Err(error);
        }
        let ask = Ask { method: Method::Delete, ..Ask::get(DELETE, &path, RESOURCES_VERSION) };
        match cloud.arm()?.send(&ask).await {
            Ok(answer) => cloud.arm()?.settle(DELETE, &answer, &path, RESOURCES_VERSION).await,
            Err(error) if error.kind == ErrorKind::NotFound => Ok(()),
            // Someone else deletes it already.
            Err(error) if error.code == "ResourceGroupBeingDeleted" => look(cloud, &path).await.map(|_| ()),
            Err(error) => Err(error),
        }
    }

    async fn restore(&self, _cloud: &Azure, _request: Restore<'_>) -> Result<Live, CloudError> {
        Err(ours(ErrorKind::Invalid, WRITE, "a deleted resource group cannot be restored"))
    }
}

/// The path of a group, and its canonical id.
fn path(cloud: &Azure, call: &str, id: &CloudId) -> Result<String, CloudError> {
    let subscription = cloud.subscription()?;
    match names::parse_id(call, id, subscription)? {
        (group, None) => Ok(names::group_id(subscription, &group)),
        (_, Some(_)) => Err(ours(ErrorKind::Invalid, call, format!("`{id}` is no resource group's id"))),
    }
}

/// The group in a final state; one that is being deleted is waited for.
async fn look(cloud: &Azure, path: &str) -> Result<Option<Json>, CloudError> {
    let ask = Ask::get(READ, path, RESOURCES_VERSION);
    // A quarter of an hour at five seconds each.
    for looks in 0..180 {
        match cloud.arm()?.read(&ask).await? {
            Some(json) if running(&json) => tokio::time::sleep(arm::pause(looks)).await,
            found => return Ok(found),
        }
    }
    Err(ours(ErrorKind::Conflict, READ, format!("{path} is still being changed by someone else")))
}

/// Sends a change; the group as it is then.
async fn write(cloud: &Azure, method: Method, path: &str, body: Json) -> Result<Live, CloudError> {
    let ask = Ask { method, body: Some(body), ..Ask::get(WRITE, path, RESOURCES_VERSION) };
    let answer = cloud.arm()?.send(&ask).await?;
    match serde_json::from_slice::<Json>(answer.body()) {
        // The answer is the group itself, unless there is something to wait for.
        Ok(json) if json["location"].is_string() && !running(&json) => return Ok(live(path, &json)),
        Ok(_) | Err(_) => cloud.arm()?.settle(WRITE, &answer, path, RESOURCES_VERSION).await?,
    }
    let found = look(cloud, path).await.map_err(|error| CloudError { kind: ErrorKind::Unknown, ..error })?;
    let gone = || ours(ErrorKind::Unknown, WRITE, format!("{path} is not there after its change"));
    Ok(live(path, &found.ok_or_else(gone)?))
}

/// The ids of what is in a group. Azure's list lags behind: a deleted account may still be named, so each is asked.
async fn contents(cloud: &Azure, path: &str) -> Result<Vec<String>, CloudError> {
    const LIST: &str = "Microsoft.Resources/subscriptions/resources/read";
    const ACCOUNT: &str = "Microsoft.CognitiveServices/accounts/read";
    let listed = match cloud.arm()?.list(LIST, &format!("{path}/resources"), RESOURCES_VERSION).await {
        Err(error) if error.kind == ErrorKind::NotFound => return Ok(Vec::new()),
        listed => listed?,
    };
    let mut inside = Vec::new();
    for id in listed.iter().filter_map(|item| item["id"].as_str()) {
        let account = id.to_lowercase().contains("/providers/microsoft.cognitiveservices/accounts/");
        if account && cloud.arm()?.read(&Ask::get(ACCOUNT, id, "2023-05-01")).await?.is_none() {
            continue;
        }
        inside.push(id.rsplit_once("/providers/").map_or(id, |(_, rest)| rest).to_owned());
    }
    Ok(inside)
}

fn live(path: &str, json: &Json) -> Live {
    let (tags, owner): (Tags, Option<Owner>) = names::split(json.get("tags"));
    let name = path.rsplit('/').next().unwrap_or_default();
    let location = names::same_place(json["location"].as_str().unwrap_or_default());
    let state = json.pointer("/properties/provisioningState").and_then(Json::as_str).unwrap_or("Succeeded");
    Live {
        id: CloudId(path.to_owned()),
        properties: Map::from([
            ("name".to_owned(), name.into()),
            ("location".to_owned(), location.into()),
            ("tags".to_owned(), names::property(tags)),
        ]),
        attributes: Map::from([("id".to_owned(), path.into())]),
        etag: None,
        owner,
        condition: match state {
            "Succeeded" => Condition::Ready,
            failed => Condition::Failed(failed.to_owned()),
        },
    }
}
