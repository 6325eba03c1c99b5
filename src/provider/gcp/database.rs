//! `firestore.googleapis.com/Database`.

use async_trait::async_trait;
use http::Method;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map as JsonMap, Value as Json};

use super::Gcp;
use super::failure::{self, found};
use super::operation::{self, Progress};
use super::properties::{in_project, known};
use super::rest::Service;
use crate::model::{
    Attribute, CloudError, CloudId, Clouds, Condition, Create, Delete, Deletion, ErrorKind, Live, Map,
    NameRule, Property, Read, Schema, Shape, TextRule, Update, Value,
};
use crate::provider::Kind;
use crate::provider::retry::Call;

static SCHEMA: Schema = Schema {
    ty: "firestore.googleapis.com/Database",
    doc: "A Firestore database.",
    properties: &[
        Property::new(
            "databaseId",
            Shape::Text(TextRule::matching(
                "\\(default\\)|[a-z][a-z0-9-]{2,61}[a-z0-9]",
                "`(default)`, or 4 to 63 lower-case letters, digits and `-`, beginning with a letter and not ending with `-`",
            )),
            "The database's id; `(default)` is the one that clients use if they name none.",
        )
        .immutable(),
        Property::new(
            "locationId",
            Shape::Text(TextRule::matching("[a-z0-9-]+", "a location such as nam5, eur3 or us-east1")),
            "Where the data is: a multi-region (nam5, eur3) or a region.",
        )
        .required()
        .immutable(),
        Property::new("type", Shape::Enum(&["FIRESTORE_NATIVE", "DATASTORE_MODE"]), "Can change while the database is empty.")
            .required(),
        Property::new("databaseEdition", Shape::Enum(&["STANDARD", "ENTERPRISE"]), "The edition.")
            .immutable()
            .default(|| Value::text("STANDARD")),
        Property::new(
            "concurrencyMode",
            Shape::Enum(&["OPTIMISTIC", "PESSIMISTIC", "OPTIMISTIC_WITH_ENTITY_GROUPS"]),
            "How transactions lock; the edition decides if nothing is said.",
        )
        .unmanaged(),
        Property::new(
            "deleteProtectionState",
            Shape::Enum(&["DELETE_PROTECTION_DISABLED", "DELETE_PROTECTION_ENABLED"]),
            "Whether Google refuses to delete it.",
        )
        .default(|| Value::text("DELETE_PROTECTION_DISABLED")),
        Property::new(
            "pointInTimeRecoveryEnablement",
            Shape::Enum(&["POINT_IN_TIME_RECOVERY_ENABLED", "POINT_IN_TIME_RECOVERY_DISABLED"]),
            "Whether old versions are kept for a week rather than an hour.",
        )
        .default(|| Value::text("POINT_IN_TIME_RECOVERY_DISABLED")),
    ],
    attributes: &[
        Attribute::new("name", "The full resource name."),
        Attribute::new("uid", "The UUID of this one creation.").unique(),
    ],
    name: Some(NameRule { property: "databaseId", default: |stack, logical, _| format!("{stack}-{logical}") }),
    identify,
    predict: |properties, clouds| known([("name", identify(properties, clouds).map(|id| Value::text(id.0)))]),
    check,
    // The only tags it takes are given at creation and never shown again.
    marked: false,
    shared: false,
    compares: false,
    deletion: Deletion::Irreversible { why: "the documents in it" },
};

fn identify(properties: &Map, clouds: &Clouds) -> Option<CloudId> {
    in_project(clouds, &format!("databases/{}", properties.get("databaseId")?.as_text()?))
}

fn check(properties: &Map, _clouds: &Clouds) -> Vec<String> {
    let is = |name: &str, word: &str| properties.get(name).and_then(Value::as_text) == Some(word);
    let mut wrong = Vec::new();
    if let Some(id) = properties.get("databaseId").and_then(Value::as_text) {
        let groups: Vec<usize> = id.split('-').map(str::len).collect();
        if groups == [8, 4, 4, 4, 12] && id.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-') {
            wrong.push("`databaseId` must not look like a UUID".to_owned());
        }
    }
    if is("databaseEdition", "ENTERPRISE") && is("type", "DATASTORE_MODE") {
        wrong.push("the ENTERPRISE edition is for FIRESTORE_NATIVE alone".to_owned());
    }
    if is("concurrencyMode", "OPTIMISTIC_WITH_ENTITY_GROUPS") && is("type", "FIRESTORE_NATIVE") {
        wrong.push("OPTIMISTIC_WITH_ENTITY_GROUPS is for DATASTORE_MODE alone".to_owned());
    }
    wrong
}

/// The type over Firestore's administration, v1.
pub(super) struct DatabaseKind;

#[async_trait]
impl Kind<Gcp> for DatabaseKind {
    fn schema(&self) -> &'static Schema {
        &SCHEMA
    }

    async fn read(&self, gcp: &Gcp, request: Read<'_>) -> Result<Option<Live>, CloudError> {
        Ok(found(get(gcp, request.id).await)?.map(|database| live(request.id, &database)))
    }

    async fn create(&self, gcp: &Gcp, request: Create<'_>) -> Result<Live, CloudError> {
        let call = "firestore.projects.databases.create";
        gcp.own(request.id, call)?;
        let (parent, id) = request.id.0.split_once("/databases/").unwrap_or_default();
        let id = utf8_percent_encode(id, NON_ALPHANUMERIC);
        let path = format!("v1/{parent}/databases?databaseId={id}");
        let body = Json::Object(fields(request.properties));
        let operation =
            gcp.rest(Call::Change, call, Service::Firestore, Method::POST, &path, Some(&body)).await?;
        after(gcp, call, request.id, operation).await
    }

    async fn update(&self, gcp: &Gcp, request: Update<'_>) -> Result<Live, CloudError> {
        let call = "firestore.projects.databases.patch";
        gcp.own(request.id, call)?;
        let mut mask: Vec<&str> = request.changed.iter().map(crate::model::Path::property).collect();
        mask.sort_unstable();
        mask.dedup();
        if mask.is_empty() {
            return get(gcp, request.id).await.map(|database| live(request.id, &database));
        }
        let mut body = fields(request.properties);
        body.retain(|name, _| mask.contains(&name.as_str()));
        if let Some(etag) = &request.before.etag {
            body.insert("etag".to_owned(), Json::String(etag.clone()));
        }
        let path = format!("v1/{}?updateMask={}", request.id, mask.join(","));
        let body = Json::Object(body);
        let operation =
            gcp.rest(Call::Change, call, Service::Firestore, Method::PATCH, &path, Some(&body)).await?;
        after(gcp, call, request.id, operation).await
    }

    async fn delete(&self, gcp: &Gcp, request: Delete<'_>) -> Result<(), CloudError> {
        let call = "firestore.projects.databases.delete";
        gcp.own(request.id, call)?;
        if request.spares_data {
            require_empty(gcp, request.id).await?;
        }
        let etag = request.before.etag.as_deref().unwrap_or_default();
        let path = match etag {
            "" => format!("v1/{}", request.id),
            etag => format!("v1/{}?etag={}", request.id, utf8_percent_encode(etag, NON_ALPHANUMERIC)),
        };
        let operation = gcp.rest(Call::Change, call, Service::Firestore, Method::DELETE, &path, None).await;
        let operation = found(operation).map_err(|error| {
            let protected = error.message.to_lowercase().contains("delete protection");
            let hint = "set `deleteProtectionState: DELETE_PROTECTION_DISABLED` and apply, then destroy";
            CloudError { hint: if protected { Some(hint.to_owned()) } else { error.hint }, ..error }
        })?;
        match operation {
            Some(operation) => finish(gcp, call, operation).await,
            None => Ok(()),
        }
    }
}

/// Firestore deletes a database with all that is in it, and has no condition against that: so a look comes first. What
/// is written between the two is lost.
async fn require_empty(gcp: &Gcp, id: &CloudId) -> Result<(), CloudError> {
    let call = "firestore.projects.databases.documents.listCollectionIds";
    let path = format!("v1/{id}/documents:listCollectionIds");
    let body = serde_json::json!({ "pageSize": 1 });
    let answer = gcp.rest(Call::Read, call, Service::Firestore, Method::POST, &path, Some(&body)).await;
    let why = match answer.as_ref().map(|answer| answer["collectionIds"].get(0).and_then(Json::as_str)) {
        Ok(None) => return Ok(()),
        Ok(Some(name)) => format!("there are documents in it, in `{name}`"),
        // A database in Datastore mode shows no documents here, and who may delete one need not be let in.
        Err(error) if matches!(error.kind, ErrorKind::Invalid | ErrorKind::Denied) => {
            format!("nobody could see whether there are documents in it: {}", error.message)
        }
        Err(_) => return answer.map(drop),
    };
    Err(failure::own(call, ErrorKind::NotEmpty, why))
}

async fn get(gcp: &Gcp, id: &CloudId) -> Result<Json, CloudError> {
    let call = "firestore.projects.databases.get";
    gcp.own(id, call)?;
    gcp.rest(Call::Read, call, Service::Firestore, Method::GET, &format!("v1/{id}"), None).await
}

/// The database as a finished change left it.
async fn after(gcp: &Gcp, call: &str, id: &CloudId, operation: Json) -> Result<Live, CloudError> {
    finish(gcp, call, operation).await?;
    get(gcp, id).await.map(|database| live(id, &database)).map_err(failure::halfway)
}

async fn finish(gcp: &Gcp, call: &str, operation: Json) -> Result<(), CloudError> {
    operation::finish(call, operation.into(), |name| async move {
        let call = "firestore.projects.databases.operations.get";
        let path = format!("v1/{name}");
        gcp.rest(Call::Read, call, Service::Firestore, Method::GET, &path, None).await.map(Progress::from)
    })
    .await
}

/// The body of a create or a patch.
fn fields(properties: &Map) -> JsonMap<String, Json> {
    let set = properties.iter().filter(|(name, _)| name.as_str() != "databaseId");
    set.map(|(name, value)| (name.clone(), value.to_json())).collect()
}

fn live(id: &CloudId, database: &Json) -> Live {
    let text = |name: &str| database[name].as_str().map(Value::text);
    Live {
        id: id.clone(),
        properties: known([
            ("databaseId", id.0.rsplit('/').next().map(Value::text)),
            ("locationId", text("locationId")),
            ("type", text("type")),
            ("databaseEdition", text("databaseEdition")),
            ("concurrencyMode", text("concurrencyMode")),
            ("deleteProtectionState", text("deleteProtectionState")),
            ("pointInTimeRecoveryEnablement", text("pointInTimeRecoveryEnablement")),
        ]),
        attributes: known([("name", text("name")), ("uid", text("uid"))]),
        etag: database["etag"].as_str().map(str::to_owned),
        owner: None,
        condition: Condition::Ready,
    }
}
