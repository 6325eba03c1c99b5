//! firestore.googleapis.com, v1, the administrator's part: databases.
//!
//! Whether and how long the id of a deleted database stays blocked is not documented by Google; here it is free at once.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use sha2::{Digest as _, Sha256};

use super::call::{Call, paths, typed};
use super::message::{Field, Kind};
use super::operation::{self, Slow};
use super::project::{self, Project};
use super::refusal::{Refusal, Status};
use super::service;
use crate::sandbox::World;

/// Multi-regions and regions that hold databases.
const LOCATIONS: &[&str] = &[
    "africa-south1",
    "asia-east1",
    "asia-east2",
    "asia-northeast1",
    "asia-northeast2",
    "asia-northeast3",
    "asia-south1",
    "asia-south2",
    "asia-southeast1",
    "asia-southeast2",
    "australia-southeast1",
    "australia-southeast2",
    "eur3",
    "europe-central2",
    "europe-north1",
    "europe-southwest1",
    "europe-west1",
    "europe-west10",
    "europe-west12",
    "europe-west2",
    "europe-west3",
    "europe-west4",
    "europe-west6",
    "europe-west8",
    "europe-west9",
    "me-central1",
    "me-central2",
    "me-west1",
    "nam5",
    "nam7",
    "northamerica-northeast1",
    "northamerica-northeast2",
    "northamerica-south1",
    "southamerica-east1",
    "southamerica-west1",
    "us-central1",
    "us-east1",
    "us-east4",
    "us-east5",
    "us-south1",
    "us-west1",
    "us-west2",
    "us-west3",
    "us-west4",
];
/// How many a project may have.
const QUOTA: usize = 100;

/// A database; its key is `PROJECT/DATABASE`.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Database {
    uid: String,
    create_time: Timestamp,
    update_time: Timestamp,
    location_id: String,
    r#type: String,
    #[serde(rename = "databaseEdition")]
    edition: String,
    concurrency_mode: String,
    delete_protection_state: String,
    point_in_time_recovery_enablement: String,
    app_engine_integration_mode: String,
    realtime_updates_mode: String,
    firestore_data_access_mode: String,
    mongodb_compatible_data_access_mode: String,
    cmek_config: Option<Json>,
    etag: String,
    free_tier: bool,
}

impl Slow for Database {
    const TABLE: &'static str = "gcp.database";
}

const MODES: &[&str] =
    &["DATA_ACCESS_MODE_UNSPECIFIED", "DATA_ACCESS_MODE_ENABLED", "DATA_ACCESS_MODE_DISABLED"];
const PITR: &[&str] = &[
    "POINT_IN_TIME_RECOVERY_ENABLEMENT_UNSPECIFIED",
    "POINT_IN_TIME_RECOVERY_ENABLED",
    "POINT_IN_TIME_RECOVERY_DISABLED",
];
const PROTECTION: &[&str] =
    &["DELETE_PROTECTION_STATE_UNSPECIFIED", "DELETE_PROTECTION_DISABLED", "DELETE_PROTECTION_ENABLED"];
const CONCURRENCY: &[&str] =
    &["CONCURRENCY_MODE_UNSPECIFIED", "OPTIMISTIC", "PESSIMISTIC", "OPTIMISTIC_WITH_ENTITY_GROUPS"];
const REALTIME: &[&str] =
    &["REALTIME_UPDATES_MODE_UNSPECIFIED", "REALTIME_UPDATES_MODE_ENABLED", "REALTIME_UPDATES_MODE_DISABLED"];
const APP_ENGINE: &[&str] = &["APP_ENGINE_INTEGRATION_MODE_UNSPECIFIED", "ENABLED", "DISABLED"];

static CMEK: [Field; 2] = [Field("kmsKeyName", Kind::Text), Field("activeKeyVersion", Kind::OutputOnly)];
static FIELDS: [Field; 24] = [
    Field("name", Kind::OutputOnly),
    Field("uid", Kind::OutputOnly),
    Field("createTime", Kind::OutputOnly),
    Field("updateTime", Kind::OutputOnly),
    Field("deleteTime", Kind::OutputOnly),
    Field("versionRetentionPeriod", Kind::OutputOnly),
    Field("earliestVersionTime", Kind::OutputOnly),
    Field("keyPrefix", Kind::OutputOnly),
    Field("freeTier", Kind::OutputOnly),
    Field("previousId", Kind::OutputOnly),
    Field("sourceInfo", Kind::OutputOnly),
    Field("locationId", Kind::Text),
    Field("etag", Kind::Text),
    Field("type", Kind::Enum(&["DATABASE_TYPE_UNSPECIFIED", "FIRESTORE_NATIVE", "DATASTORE_MODE"])),
    Field("databaseEdition", Kind::Enum(&["DATABASE_EDITION_UNSPECIFIED", "STANDARD", "ENTERPRISE"])),
    Field("concurrencyMode", Kind::Enum(CONCURRENCY)),
    Field("deleteProtectionState", Kind::Enum(PROTECTION)),
    Field("pointInTimeRecoveryEnablement", Kind::Enum(PITR)),
    Field("appEngineIntegrationMode", Kind::Enum(APP_ENGINE)),
    Field("realtimeUpdatesMode", Kind::Enum(REALTIME)),
    Field("firestoreDataAccessMode", Kind::Enum(MODES)),
    Field("mongodbCompatibleDataAccessMode", Kind::Enum(MODES)),
    Field("cmekConfig", Kind::Message(&CMEK)),
    Field("tags", Kind::TextMap),
];

/// Answers for `v1/projects/P/databases…`.
pub(super) fn answer(
    world: &mut World,
    project: &str,
    path: &[&str],
    verb: Option<&str>,
    call: &Call<'_>,
) -> Option<Result<Json, Refusal>> {
    Some(match (call.method.as_str(), path, verb) {
        ("GET", [], None) => list(world, project, call),
        ("POST", [], None) => create(world, project, call),
        ("GET", [id], None) => get(world, project, id, call),
        ("PATCH", [id], None) => patch(world, project, id, call),
        ("DELETE", [id], None) => delete(world, project, id, call),
        ("GET", [id, "operations", operation], None) => poll(world, project, id, operation, call),
        _ => return None,
    })
}

/// Answers for `v1/projects/P/locations…` beside IAM's one location `global`.
pub(super) fn locations(
    world: &World,
    project: &str,
    path: &[&str],
    call: &Call<'_>,
) -> Option<Result<Json, Refusal>> {
    let show = |project: &Project, id: &str| json!({ "name": format!("projects/{}/locations/{id}", project.id), "locationId": id });
    let usable = || usable(world, project, "datastore.locations.get");
    Some(match (call.method.as_str(), path) {
        ("GET", []) => usable().and_then(|project| {
            call.accepts(&["filter", "pageSize", "pageToken", "extraLocationTypes"])?;
            let all = LOCATIONS.iter().map(|id| ((*id).to_owned(), *id)).collect();
            Ok(call.page(all, 50, 100)?.reply("locations", |id| show(&project, id)))
        }),
        ("GET", [id]) => usable().and_then(|project| {
            call.accepts(&[])?;
            if LOCATIONS.contains(id) { Ok(show(&project, id)) } else { Err(Refusal::not_found()) }
        }),
        _ => return None,
    })
}

fn usable(world: &World, project: &str, permission: &str) -> Result<Project, Refusal> {
    let project = project::require(world, project, permission)?;
    service::require(world, &project, "firestore.googleapis.com")?;
    Ok(project)
}

fn key(project: &Project, id: &str) -> String {
    format!("{}/{id}", project.id)
}

fn name(project: &Project, id: &str) -> String {
    format!("projects/{}/databases/{id}", project.id)
}

fn absent(project: &Project, id: &str) -> Refusal {
    Refusal::new(Status::NotFound, format!("Project '{}' or database '{id}' does not exist.", project.id))
}

/// The unique id of a database, where its documents are Firestore's own and not Datastore's.
pub(super) fn native(world: &World, project: &Project, id: &str) -> Result<String, Refusal> {
    let Some(database) = operation::look::<Database>(world, &key(project, id)).now else {
        let message = format!(
            "The database {id} does not exist for project {0} Please visit \
             https://console.cloud.google.com/datastore/setup?project={0} to add a Cloud Datastore or Cloud Firestore \
             database. ",
            project.id
        );
        return Err(Refusal::new(Status::NotFound, message));
    };
    if database.r#type != "FIRESTORE_NATIVE" {
        return Err(Refusal::precondition(format!(
            "The Cloud Firestore API is not available for Firestore in Datastore Mode database {}.",
            name(project, id)
        )));
    }
    Ok(database.uid)
}

fn show(world: &World, project: &Project, id: &str, database: &Database) -> Json {
    let recovery = database.point_in_time_recovery_enablement == "POINT_IN_TIME_RECOVERY_ENABLED";
    let retention = SignedDuration::from_secs(if recovery { 604_800 } else { 3600 });
    // Versions are kept for so long, but none is older than the database; hence it changes with every read.
    let earliest =
        world.now().checked_sub(retention).unwrap_or(database.create_time).max(database.create_time);
    let mut json = json!({
        "name": name(project, id),
        "uid": database.uid,
        "createTime": database.create_time.to_string(),
        "updateTime": database.update_time.to_string(),
        "locationId": database.location_id,
        "type": database.r#type,
        "databaseEdition": database.edition,
        "concurrencyMode": database.concurrency_mode,
        "deleteProtectionState": database.delete_protection_state,
        "pointInTimeRecoveryEnablement": database.point_in_time_recovery_enablement,
        "appEngineIntegrationMode": database.app_engine_integration_mode,
        "realtimeUpdatesMode": database.realtime_updates_mode,
        "firestoreDataAccessMode": database.firestore_data_access_mode,
        "mongodbCompatibleDataAccessMode": database.mongodb_compatible_data_access_mode,
        "versionRetentionPeriod": format!("{}s", retention.as_secs()),
        "earliestVersionTime": earliest.to_string(),
        "keyPrefix": "s",
        "etag": database.etag,
    });
    if database.free_tier {
        json["freeTier"] = json!(true);
    }
    if let Some(config) = &database.cmek_config {
        json["cmekConfig"] = config.clone();
    }
    json
}

fn get(world: &World, project: &str, id: &str, call: &Call<'_>) -> Result<Json, Refusal> {
    call.accepts(&[])?;
    let project = usable(world, project, "datastore.databases.getMetadata")?;
    let database = operation::look::<Database>(world, &key(&project, id)).now;
    Ok(show(world, &project, id, &database.ok_or_else(|| absent(&project, id))?))
}

fn list(world: &World, project: &str, call: &Call<'_>) -> Result<Json, Refusal> {
    call.accepts(&["showDeleted"])?;
    let project = usable(world, project, "datastore.databases.list")?;
    let all = operation::list::<Database>(world, &format!("{}/", project.id)).into_iter();
    let shown: Vec<Json> = all
        .map(|(key, database)| show(world, &project, key.rsplit('/').next().unwrap_or_default(), &database))
        .collect();
    Ok(if shown.is_empty() { json!({}) } else { json!({ "databases": shown }) })
}

fn create(world: &mut World, project: &str, call: &Call<'_>) -> Result<Json, Refusal> {
    call.accepts(&["databaseId"])?;
    let mut database: Database = typed(call.fields(&FIELDS)?)?;
    let project = usable(world, project, "datastore.databases.create")?;
    let id = identifier(call.parameter("databaseId"))?.to_owned();
    defaults(&mut database);
    check(&database)?;
    let seen = operation::look::<Database>(world, &key(&project, &id));
    if seen.now.is_some() || seen.busy {
        return Err(Refusal::new(
            Status::AlreadyExists,
            "Database already exists. Please use another database_id",
        ));
    }
    let there = operation::list::<Database>(world, &format!("{}/", project.id));
    if there.len() >= QUOTA {
        return Err(Refusal::new(
            Status::ResourceExhausted,
            format!("Project {} has too many databases.", project.id),
        ));
    }
    database.free_tier = there.iter().all(|(_, other)| !other.free_tier);
    database.uid = world.uuid();
    database.create_time = world.now();
    Ok(change(world, &project, &id, Some(database), "CreateDatabaseMetadata"))
}

/// `(default)`, or 4 to 63 characters of `[a-z][a-z0-9-]*[a-z0-9]` that do not look like a UUID.
fn identifier(id: Option<&str>) -> Result<&str, Refusal> {
    let id = id.unwrap_or_default();
    let legal = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let shaped =
        id.starts_with(|c: char| c.is_ascii_lowercase()) && !id.ends_with('-') && id.bytes().all(legal);
    let groups: Vec<usize> = id.split('-').map(str::len).collect();
    let hex = id.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    let uuid = hex && groups == [8, 4, 4, 4, 12];
    if id == "(default)" || (shaped && (4..=63).contains(&id.len()) && !uuid) {
        return Ok(id);
    }
    Err(Refusal::field(
        "database_id",
        format!(
            "Invalid database ID \"{id}\": it must be \"(default)\", or 4-63 characters that match \
             [a-z][a-z0-9-]*[a-z0-9] and not look like a UUID."
        ),
    ))
}

fn defaults(database: &mut Database) {
    let enterprise = database.edition == "ENTERPRISE";
    let on = |on: bool| if on { "DATA_ACCESS_MODE_ENABLED" } else { "DATA_ACCESS_MODE_DISABLED" };
    for (field, default) in [
        (&mut database.edition, "STANDARD"),
        (&mut database.concurrency_mode, if enterprise { "OPTIMISTIC" } else { "PESSIMISTIC" }),
        (&mut database.delete_protection_state, "DELETE_PROTECTION_DISABLED"),
        (&mut database.point_in_time_recovery_enablement, "POINT_IN_TIME_RECOVERY_DISABLED"),
        (&mut database.app_engine_integration_mode, "DISABLED"),
        (
            &mut database.realtime_updates_mode,
            if enterprise { "REALTIME_UPDATES_MODE_DISABLED" } else { "REALTIME_UPDATES_MODE_ENABLED" },
        ),
        (&mut database.firestore_data_access_mode, on(!enterprise)),
        (&mut database.mongodb_compatible_data_access_mode, on(enterprise)),
    ] {
        if field.is_empty() || field.ends_with("_UNSPECIFIED") {
            default.clone_into(field);
        }
    }
}

fn check(database: &Database) -> Result<(), Refusal> {
    let wrong = |field: &str, message: String| Err(Refusal::field(&format!("database.{field}"), message));
    if !LOCATIONS.contains(&database.location_id.as_str()) {
        return wrong("location_id", format!("Invalid location: \"{}\"", database.location_id));
    }
    if !["FIRESTORE_NATIVE", "DATASTORE_MODE"].contains(&database.r#type.as_str()) {
        return wrong("type", "The database type must be FIRESTORE_NATIVE or DATASTORE_MODE.".to_owned());
    }
    if database.edition == "ENTERPRISE" && database.r#type != "FIRESTORE_NATIVE" {
        return wrong(
            "database_edition",
            "The ENTERPRISE edition supports FIRESTORE_NATIVE only.".to_owned(),
        );
    }
    if database.concurrency_mode == "OPTIMISTIC_WITH_ENTITY_GROUPS" && database.r#type != "DATASTORE_MODE" {
        let message = "OPTIMISTIC_WITH_ENTITY_GROUPS is supported in DATASTORE_MODE only.";
        return wrong("concurrency_mode", message.to_owned());
    }
    Ok(())
}

fn patch(world: &mut World, project: &str, id: &str, call: &Call<'_>) -> Result<Json, Refusal> {
    call.accepts(&["updateMask"])?;
    let fields = call.fields(&FIELDS)?;
    let project = usable(world, project, "datastore.databases.update")?;
    // Without a mask every field that is given is meant.
    let given = || fields.keys().filter(|name| *name != "etag").cloned().collect::<Vec<_>>();
    let mask = call.parameter("updateMask").map_or_else(given, paths);
    let seen = operation::look::<Database>(world, &key(&project, id));
    let mut database = seen.now.ok_or_else(|| absent(&project, id))?;
    super::pool::idle(seen.busy)?;
    let given: Database = typed(fields)?;
    fresh(&database, &given.etag)?;
    for path in &mask {
        match path.as_str() {
            // Google allows it while the database is empty, and nothing else can fill one here.
            "type" => database.r#type.clone_from(&given.r#type),
            "concurrencyMode" => database.concurrency_mode.clone_from(&given.concurrency_mode),
            "deleteProtectionState" => {
                database.delete_protection_state.clone_from(&given.delete_protection_state);
            }
            "pointInTimeRecoveryEnablement" => {
                database
                    .point_in_time_recovery_enablement
                    .clone_from(&given.point_in_time_recovery_enablement);
            }
            "appEngineIntegrationMode" => {
                database.app_engine_integration_mode.clone_from(&given.app_engine_integration_mode);
            }
            "locationId" | "databaseEdition" | "cmekConfig" | "realtimeUpdatesMode" | "tags" => {
                return Err(Refusal::field("update_mask", format!("The field {path} is immutable.")));
            }
            other => return Err(Refusal::field("update_mask", format!("Invalid field mask path: {other}"))),
        }
    }
    defaults(&mut database);
    check(&database)?;
    Ok(change(world, &project, id, Some(database), "UpdateDatabaseMetadata"))
}

fn delete(world: &mut World, project: &str, id: &str, call: &Call<'_>) -> Result<Json, Refusal> {
    call.accepts(&["etag"])?;
    let project = usable(world, project, "datastore.databases.delete")?;
    let seen = operation::look::<Database>(world, &key(&project, id));
    let database = seen.now.ok_or_else(|| absent(&project, id))?;
    super::pool::idle(seen.busy)?;
    fresh(&database, call.parameter("etag").unwrap_or_default())?;
    if database.delete_protection_state == "DELETE_PROTECTION_ENABLED" {
        return Err(Refusal::precondition(format!(
            "Database '{id}' has delete protection enabled. Disable delete protection before deleting the database."
        )));
    }
    Ok(change(world, &project, id, None, "DeleteDatabaseMetadata"))
}

/// A given etag must be the current one.
fn fresh(database: &Database, etag: &str) -> Result<(), Refusal> {
    if etag.is_empty() || etag == database.etag {
        return Ok(());
    }
    Err(Refusal::precondition("The etag does not match the current etag of the database."))
}

fn change(
    world: &mut World,
    project: &Project,
    id: &str,
    database: Option<Database>,
    metadata: &str,
) -> Json {
    let metadata = json!({ "@type": format!("type.googleapis.com/google.firestore.admin.v1.{metadata}") });
    let database = database.map(|mut database| {
        database.update_time = world.now();
        let digest = Sha256::digest(serde_json::to_vec(&database).unwrap_or_default());
        database.etag = hex::encode(&digest[..12]);
        database
    });
    let response = match &database {
        Some(database) => super::pool::typed_response(
            "type.googleapis.com/google.firestore.admin.v1.Database",
            show(world, project, id, database),
        ),
        None => json!({ "@type": "type.googleapis.com/google.protobuf.Empty" }),
    };
    let prefix = format!("{}/operations/", name(project, id));
    let (operation, reply) = operation::start(world, &prefix, metadata, response);
    operation::become_(world, &key(project, id), database, operation);
    reply
}

fn poll(
    world: &mut World,
    project: &str,
    id: &str,
    operation: &str,
    call: &Call<'_>,
) -> Result<Json, Refusal> {
    call.accepts(&[])?;
    let project = usable(world, project, "datastore.operations.get")?;
    operation::poll(world, &format!("{}/operations/{operation}", name(&project, id)))
}
