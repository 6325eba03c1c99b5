//! iam.googleapis.com, v1: workload identity pools, soft-deleted for thirty days.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json, json};

use super::call::{Call, typed};
use super::message::{Field, Kind};
use super::operation::{self, Seen, Slow};
use super::project::{self, Project};
use super::refusal::{Refusal, Status};
use super::{pool_provider, service};
use crate::sandbox::World;

/// How long a deleted pool or provider holds its name and can be undeleted.
pub(super) const HELD: SignedDuration = SignedDuration::from_hours(30 * 24);

const TYPE: &str = "type.googleapis.com/google.iam.v1.WorkloadIdentityPool";

/// A workload identity pool; its key is `PROJECT/POOL`.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Pool {
    display_name: String,
    description: String,
    pub(super) disabled: bool,
    mode: String,
    /// When it is purged, if it is deleted.
    expire_time: Option<Timestamp>,
}

impl Slow for Pool {
    const TABLE: &'static str = "gcp.pool";
}

impl Pool {
    /// Whether it is there and not deleted.
    pub(super) fn is_active(&self) -> bool {
        self.expire_time.is_none()
    }

    /// Whether workloads of other clouds may enter by it.
    pub(super) fn federates(&self) -> bool {
        matches!(self.mode.as_str(), "" | "FEDERATION_ONLY" | "MODE_UNSPECIFIED")
    }
}

static FIELDS: [Field; 9] = [
    Field("name", Kind::OutputOnly),
    Field("state", Kind::OutputOnly),
    Field("expireTime", Kind::OutputOnly),
    Field("displayName", Kind::Text),
    Field("description", Kind::Text),
    Field("disabled", Kind::Bool),
    Field(
        "mode",
        Kind::Enum(&["MODE_UNSPECIFIED", "FEDERATION_ONLY", "TRUST_DOMAIN", "SYSTEM_TRUST_DOMAIN"]),
    ),
    Field("inlineCertificateIssuanceConfig", Kind::Opaque),
    Field("inlineTrustConfig", Kind::Opaque),
];

/// Answers for `v1/projects/P/locations/global/workloadIdentityPools…`.
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
        ("GET", [pool], None) => get(world, project, pool, call),
        ("PATCH", [pool], None) => patch(world, project, pool, call),
        ("DELETE", [pool], None) => delete(world, project, pool, call),
        ("POST", [pool], Some("undelete")) => undelete(world, project, pool, call),
        ("GET", [pool, "operations", id], None) => {
            poll(world, project, &format!("{pool}/operations/{id}"), call)
        }
        (_, [pool, "providers", rest @ ..], _) => {
            return pool_provider::answer(world, project, pool, rest, verb, call);
        }
        _ => return None,
    })
}

/// The project, where the caller may use the API.
pub(super) fn usable(world: &World, project: &str, permission: &str) -> Result<Project, Refusal> {
    let project = project::require(world, project, permission)?;
    service::require(world, &project, "iam.googleapis.com")?;
    Ok(project)
}

/// The pool as it is now; a purged one is gone.
pub(super) fn look(world: &World, project: &Project, pool: &str) -> Seen<Pool> {
    let mut seen = operation::look::<Pool>(world, &key(project, pool));
    if seen.now.as_ref().and_then(|pool| pool.expire_time).is_some_and(|time| time <= world.now()) {
        seen.now = None;
    }
    seen
}

/// Whether a policy can name the pool; a deleted one still can.
pub(super) fn exists(world: &World, project: &Project, pool: &str) -> bool {
    look(world, project, pool).now.is_some()
}

/// Operation names, and their polls, contain the project's number.
pub(super) fn poll(world: &mut World, project: &str, rest: &str, call: &Call<'_>) -> Result<Json, Refusal> {
    call.accepts(&[])?;
    let project = usable(world, project, "iam.workloadIdentityPools.get")?;
    operation::poll(
        world,
        &format!("projects/{}/locations/global/workloadIdentityPools/{rest}", project.number),
    )
}

/// An id of a pool or a provider: `[a-z0-9-]{4,32}`, without the prefix that Google keeps for itself.
pub(super) fn identifier<'i>(id: Option<&'i str>, field: &str) -> Result<&'i str, Refusal> {
    let id = id.unwrap_or_default();
    let legal = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if !(4..=32).contains(&id.len()) || !id.bytes().all(legal) {
        let message =
            format!("{field} must be 4-32 characters, and may contain the characters [a-z0-9-]: \"{id}\"");
        return Err(Refusal::field(field, message));
    }
    if id.starts_with("gcp-") {
        return Err(Refusal::field(
            field,
            format!("{field} must not begin with the reserved prefix gcp-: \"{id}\""),
        ));
    }
    Ok(id)
}

/// A text no longer than so many characters.
pub(super) fn at_most(field: &str, text: &str, most: usize) -> Result<(), Refusal> {
    if text.chars().count() > most {
        return Err(Refusal::field(field, format!("{field} must not exceed {most} characters.")));
    }
    Ok(())
}

/// Only one operation at a time.
pub(super) fn idle(busy: bool) -> Result<(), Refusal> {
    if busy {
        return Err(Refusal::new(Status::Aborted, "Another operation on this resource is in progress."));
    }
    Ok(())
}

/// A timestamp after which a thing deleted now is purged.
pub(super) fn expiry(world: &World) -> Option<Timestamp> {
    world.now().checked_add(HELD).ok()
}

fn key(project: &Project, pool: &str) -> String {
    format!("{}/{pool}", project.id)
}

fn name(project: &Project, pool: &str) -> String {
    format!("projects/{}/locations/global/workloadIdentityPools/{pool}", project.number)
}

fn show(project: &Project, id: &str, pool: &Pool) -> Json {
    let mut json = Map::new();
    json.insert("name".to_owned(), json!(name(project, id)));
    for (field, text) in
        [("displayName", &pool.display_name), ("description", &pool.description), ("mode", &pool.mode)]
    {
        if !text.is_empty() {
            json.insert(field.to_owned(), json!(text));
        }
    }
    standing(&mut json, pool.disabled, pool.expire_time);
    Json::Object(json)
}

/// What pools and providers both show of their state.
pub(super) fn standing(json: &mut Map<String, Json>, disabled: bool, expire_time: Option<Timestamp>) {
    if disabled {
        json.insert("disabled".to_owned(), json!(true));
    }
    match expire_time {
        None => json.insert("state".to_owned(), json!("ACTIVE")),
        Some(time) => {
            json.insert("expireTime".to_owned(), json!(time.to_string()));
            json.insert("state".to_owned(), json!("DELETED"))
        }
    };
}

/// A message as an operation's response.
pub(super) fn typed_response(ty: &str, message: Json) -> Json {
    let mut response = json!({ "@type": ty });
    if let (Some(response), Json::Object(fields)) = (response.as_object_mut(), message) {
        response.extend(fields);
    }
    response
}

fn get(world: &World, project: &str, id: &str, call: &Call<'_>) -> Result<Json, Refusal> {
    call.accepts(&[])?;
    let project = usable(world, project, "iam.workloadIdentityPools.get")?;
    let pool = look(world, &project, id).now.ok_or_else(Refusal::not_found)?;
    Ok(show(&project, id, &pool))
}

fn list(world: &World, project: &str, call: &Call<'_>) -> Result<Json, Refusal> {
    call.accepts(&["pageSize", "pageToken", "showDeleted"])?;
    let project = usable(world, project, "iam.workloadIdentityPools.list")?;
    let deleted = call.flag("showDeleted")?;
    let now = world.now();
    let pools = operation::list::<Pool>(world, &format!("{}/", project.id)).into_iter();
    let pools = pools
        .filter(|(_, pool)| pool.expire_time.is_none_or(|time| deleted && time > now))
        .map(|(key, pool)| (key.rsplit('/').next().unwrap_or_default().to_owned(), pool))
        .map(|(id, pool)| (id.clone(), (id, pool)))
        .collect();
    Ok(call.page(pools, 50, 1000)?.reply("workloadIdentityPools", |(id, pool)| show(&project, &id, &pool)))
}

fn create(world: &mut World, project: &str, call: &Call<'_>) -> Result<Json, Refusal> {
    call.accepts(&["workloadIdentityPoolId"])?;
    let pool: Pool = call.body(&FIELDS)?;
    let project = usable(world, project, "iam.workloadIdentityPools.create")?;
    let id = identifier(call.parameter("workloadIdentityPoolId"), "workload_identity_pool_id")?.to_owned();
    check(&pool)?;
    if pool.mode == "SYSTEM_TRUST_DOMAIN" {
        return Err(Refusal::field(
            "workload_identity_pool.mode",
            "SYSTEM_TRUST_DOMAIN pools are made by Google.",
        ));
    }
    let seen = look(world, &project, &id);
    if seen.now.is_some() || seen.busy {
        return Err(Refusal::new(Status::AlreadyExists, "Requested entity already exists"));
    }
    Ok(change(world, &project, &id, pool))
}

fn patch(world: &mut World, project: &str, id: &str, call: &Call<'_>) -> Result<Json, Refusal> {
    call.accepts(&["updateMask"])?;
    let fields = call.fields(&FIELDS)?;
    let project = usable(world, project, "iam.workloadIdentityPools.update")?;
    let mask = call.mask("updateMask").filter(|mask| !mask.is_empty());
    let mask = mask.ok_or_else(|| Refusal::field("update_mask", "The update mask is required."))?;
    let seen = look(world, &project, id);
    let mut pool = seen.now.ok_or_else(Refusal::not_found)?;
    idle(seen.busy)?;
    if !pool.is_active() {
        return Err(Refusal::precondition("The workload identity pool is deleted and cannot be updated."));
    }
    let given: Pool = typed(fields)?;
    for path in &mask {
        match path.as_str() {
            "displayName" => pool.display_name.clone_from(&given.display_name),
            "description" => pool.description.clone_from(&given.description),
            "disabled" => pool.disabled = given.disabled,
            "mode" => return Err(Refusal::field("update_mask", "The field mode is immutable.")),
            other => return Err(Refusal::field("update_mask", format!("Invalid field mask path: {other}"))),
        }
    }
    check(&pool)?;
    Ok(change(world, &project, id, pool))
}

fn delete(world: &mut World, project: &str, id: &str, call: &Call<'_>) -> Result<Json, Refusal> {
    call.accepts(&[])?;
    let project = usable(world, project, "iam.workloadIdentityPools.delete")?;
    let seen = look(world, &project, id);
    let mut pool = seen.now.filter(Pool::is_active).ok_or_else(Refusal::not_found)?;
    idle(seen.busy)?;
    pool.expire_time = expiry(world);
    Ok(change(world, &project, id, pool))
}

fn undelete(world: &mut World, project: &str, id: &str, call: &Call<'_>) -> Result<Json, Refusal> {
    call.accepts(&[])?;
    call.fields(&[])?;
    let project = usable(world, project, "iam.workloadIdentityPools.undelete")?;
    let seen = look(world, &project, id);
    let mut pool = seen.now.ok_or_else(Refusal::not_found)?;
    idle(seen.busy)?;
    if pool.is_active() {
        return Err(Refusal::precondition("The workload identity pool is not deleted."));
    }
    pool.expire_time = None;
    Ok(change(world, &project, id, pool))
}

fn check(pool: &Pool) -> Result<(), Refusal> {
    at_most("workload_identity_pool.display_name", &pool.display_name, 32)?;
    at_most("workload_identity_pool.description", &pool.description, 256)
}

fn change(world: &mut World, project: &Project, id: &str, pool: Pool) -> Json {
    let response = typed_response(TYPE, show(project, id, &pool));
    let metadata =
        json!({ "@type": "type.googleapis.com/google.iam.v1.WorkloadIdentityPoolOperationMetadata" });
    let prefix = format!("{}/operations/", name(project, id));
    let (operation, reply) = operation::start(world, &prefix, metadata, response);
    operation::become_(world, &key(project, id), Some(pool), operation);
    reply
}
