//! IAM policies: read whole, written whole, guarded by etags; the same for projects and service accounts.
//!
//! A service account stands in a stored policy with its unique id, so that deleting it and making another of the
//! same e-mail address does not hand the grants over.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use sha2::{Digest as _, Sha256};

use super::call::{Call, typed};
use super::caller::{self, Caller};
use super::message::{Field, Kind, Message};
use super::project::Project;
use super::refusal::{Refusal, Status};
use super::{expression, member};
use crate::sandbox::{Record, World};

/// What a policy belongs to.
pub(super) enum Owner {
    Project(Project),
    /// Its project and unique id.
    ServiceAccount(Project, String),
}

impl Owner {
    fn key(&self) -> String {
        match self {
            Self::Project(project) => format!("project/{}", project.id),
            Self::ServiceAccount(_, unique_id) => format!("serviceAccount/{unique_id}"),
        }
    }

    fn project(&self) -> &Project {
        match self {
            Self::Project(project) | Self::ServiceAccount(project, _) => project,
        }
    }
}

/// A stored policy.
#[derive(Clone, Default, Serialize, Deserialize)]
struct Policy {
    bindings: Vec<Binding>,
    #[serde(default)]
    audit_configs: Vec<Json>,
    /// Hex; empty for a policy that was never written.
    etag: String,
}

impl Record for Policy {
    const TABLE: &'static str = "gcp.policy";
}

/// Members of a role, under a condition.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[derive(Default)]
struct Binding {
    role: String,
    members: Vec<String>,
    condition: Option<Condition>,
}

#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Condition {
    expression: String,
    title: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    description: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    location: String,
}

/// The fields of a policy that a client may send.
static EXPR: [Field; 4] = [
    Field("expression", Kind::Text),
    Field("title", Kind::Text),
    Field("description", Kind::Text),
    Field("location", Kind::Text),
];
static BINDING: [Field; 3] = [
    Field("role", Kind::Text),
    Field("members", Kind::List(&Kind::Text)),
    Field("condition", Kind::Message(&EXPR)),
];
static AUDIT_LOG_CONFIG: [Field; 2] = [
    Field("logType", Kind::Enum(&["LOG_TYPE_UNSPECIFIED", "ADMIN_READ", "DATA_WRITE", "DATA_READ"])),
    Field("exemptedMembers", Kind::List(&Kind::Text)),
];
static AUDIT_CONFIG: [Field; 2] =
    [Field("service", Kind::Text), Field("auditLogConfigs", Kind::List(&Kind::Message(&AUDIT_LOG_CONFIG)))];
static POLICY: [Field; 4] = [
    Field("version", Kind::Int32),
    Field("bindings", Kind::List(&Kind::Message(&BINDING))),
    Field("etag", Kind::Text),
    Field("auditConfigs", Kind::List(&Kind::Message(&AUDIT_CONFIG))),
];
static REQUEST: &Message = &[Field("policy", Kind::Message(&POLICY)), Field("updateMask", Kind::Text)];

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SetRequest {
    policy: Option<Given>,
    update_mask: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[derive(Default)]
struct Given {
    version: i64,
    bindings: Vec<Binding>,
    etag: String,
    audit_configs: Vec<Json>,
}

/// The policy as its reader asked for it.
pub(super) fn get(world: &World, owner: &Owner, version: Option<i64>) -> Result<Json, Refusal> {
    let version = version.unwrap_or(0);
    if !matches!(version, 0 | 1 | 3) {
        return Err(Refusal::field(
            "options.requested_policy_version",
            format!("Invalid policy version: {version}"),
        ));
    }
    Ok(show(world, &load(world, owner), version == 3))
}

/// Replaces the policy.
pub(super) fn set(world: &mut World, owner: &Owner, call: &Call<'_>) -> Result<Json, Refusal> {
    let SetRequest { policy, update_mask } = typed(call.fields(REQUEST)?)?;
    let Some(given) = policy else { return Err(Refusal::field("policy", "The policy is required.")) };
    let mask = update_mask.map_or_else(|| vec!["bindings".to_owned()], |mask| super::call::paths(&mask));
    if let Some(path) =
        mask.iter().find(|path| !["bindings", "etag", "version", "auditConfigs"].contains(&path.as_str()))
    {
        return Err(Refusal::field("update_mask", format!("Invalid field mask path: {path}")));
    }
    let former = load(world, owner);
    guard(&former, &given)?;
    let bindings = if mask.iter().any(|path| path == "bindings") {
        merge(world, owner, &former, given.bindings)?
    } else {
        former.bindings
    };
    let audits = mask.iter().any(|path| path == "auditConfigs");
    let audit_configs = if audits { given.audit_configs } else { former.audit_configs };
    let policy = Policy { bindings, audit_configs, etag: world.hex(16) };
    world.put(&owner.key(), &policy);
    Ok(show(world, &policy, true))
}

/// Whether one of these roles is granted to the caller on what the policy belongs to. `resource` is the full name that
/// conditions see. What custom roles contain is not known here: they grant nothing.
pub(super) fn grants(world: &World, owner: &Owner, caller: &Caller, roles: &[&str], resource: &str) -> bool {
    let members = caller::members(world, caller);
    load(world, owner).bindings.iter().any(|binding| {
        roles.contains(&binding.role.as_str())
            && binding.members.iter().any(|member| members.contains(member))
            && binding.condition.as_ref().is_none_or(|condition| holds(world, condition, resource))
    })
}

/// A condition that cannot be evaluated does not hold.
fn holds(world: &World, condition: &Condition, resource: &str) -> bool {
    let request = json!({ "time": world.now().to_string() });
    let (kind, service) = if resource.contains("/databases/") {
        ("firestore.googleapis.com/Database", "firestore.googleapis.com")
    } else {
        ("iam.googleapis.com/ServiceAccount", "iam.googleapis.com")
    };
    let resource = json!({ "name": resource, "type": kind, "service": service });
    let variables = [("request", request), ("resource", resource)];
    expression::evaluate(&condition.expression, &variables) == Ok(Json::Bool(true))
}

/// `testIamPermissions`: only an owner gets here.
pub(super) fn test(call: &Call<'_>) -> Result<Json, Refusal> {
    static REQUEST: [Field; 1] = [Field("permissions", Kind::List(&Kind::Text))];
    let fields = call.fields(&REQUEST)?;
    let permissions = fields.get("permissions").and_then(Json::as_array).cloned().unwrap_or_default();
    let wild =
        |permission: &Json| permission.as_str().is_some_and(|text| text.contains('*') || !text.contains('.'));
    if let Some(bad) = permissions.iter().find(|permission| wild(permission)) {
        return Err(Refusal::field(
            "permissions",
            format!("Permission {bad} is not valid for this resource."),
        ));
    }
    Ok(if permissions.is_empty() { json!({}) } else { json!({ "permissions": permissions }) })
}

/// A project begins with its owner; a service account with a policy that was never written.
fn load(world: &World, owner: &Owner) -> Policy {
    world.get::<Policy>(&owner.key()).unwrap_or_else(|| match owner {
        Owner::Project(project) => Policy {
            bindings: vec![Binding {
                role: "roles/owner".to_owned(),
                members: vec!["user:owner@example.com".to_owned()],
                condition: None,
            }],
            audit_configs: Vec::new(),
            etag: hex::encode(&Sha256::digest(&project.id)[..8]),
        },
        Owner::ServiceAccount(..) => Policy::default(),
    })
}

/// What must hold before any binding is looked at: version and etag.
fn guard(former: &Policy, given: &Given) -> Result<(), Refusal> {
    if !matches!(given.version, 0 | 1 | 3) {
        return Err(Refusal::field("policy.version", format!("Invalid policy version: {}", given.version)));
    }
    if given.version < 3 && given.bindings.iter().any(|binding| binding.condition.is_some()) {
        let message = "Policies with conditional role bindings must specify version 3.";
        return Err(Refusal::field("policy.version", message));
    }
    if given.etag.is_empty() {
        // A policy without an etag overwrites whatever is there, conditions included: Google's documented trap.
        return Ok(());
    }
    if bytes(&given.etag) != Some(etag_bytes(former)) {
        return Err(Refusal::new(
            Status::Aborted,
            "There were concurrent policy changes. Please retry the whole read-modify-write with exponential backoff. \
             The request's ETag did not match the current policy's ETag.",
        ));
    }
    if given.version < 3 && former.bindings.iter().any(|binding| binding.condition.is_some()) {
        let message = "The existing policy has conditional role bindings: version 3 must be specified.";
        return Err(Refusal::field("policy.version", message));
    }
    Ok(())
}

/// Checks the bindings and merges those of the same role and condition; members are sets, empty bindings vanish.
fn merge(
    world: &World,
    owner: &Owner,
    former: &Policy,
    given: Vec<Binding>,
) -> Result<Vec<Binding>, Refusal> {
    let known: BTreeSet<&String> = former.bindings.iter().flat_map(|binding| &binding.members).collect();
    let mut merged: Vec<Binding> = Vec::new();
    for binding in given {
        role(owner, &binding)?;
        let mut members = Vec::new();
        for text in &binding.members {
            members.push(member::store(world, owner, text, &known)?);
        }
        if members.is_empty() {
            continue;
        }
        let same = |other: &&mut Binding| other.role == binding.role && other.condition == binding.condition;
        match merged.iter_mut().find(same) {
            Some(other) => other.members.extend(members),
            None => merged.push(Binding { members, ..binding }),
        }
    }
    for binding in &mut merged {
        binding.members.sort();
        binding.members.dedup();
    }
    merged.sort_by(|a, b| a.role.cmp(&b.role));
    limits(&merged)?;
    let owned = |binding: &Binding| {
        binding.role == "roles/owner" && binding.members.iter().any(|member| member.starts_with("user:"))
    };
    if matches!(owner, Owner::Project(_)) && !merged.iter().any(owned) {
        // A project outside of an organisation keeps an owner who has accepted the terms of service.
        return Err(Refusal::precondition(
            "Request contains an invalid argument: the project must keep an owner.",
        )
        .because("SOLO_REQUIRE_TOS_ACCEPTOR", "cloudresourcemanager.googleapis.com", &json!({})));
    }
    Ok(merged)
}

fn limits(bindings: &[Binding]) -> Result<(), Refusal> {
    let members: Vec<&String> = bindings.iter().flat_map(|binding| &binding.members).collect();
    if members.len() > 1500 {
        return Err(Refusal::field(
            "policy.bindings",
            "The number of members in the policy is larger than the maximum allowed size 1,500.",
        ));
    }
    if members.iter().filter(|member| member.starts_with("group:")).count() > 250 {
        return Err(Refusal::field(
            "policy.bindings",
            "The number of groups in the policy is larger than the maximum allowed size 250.",
        ));
    }
    Ok(())
}

/// A role that this kind of resource can grant, and a condition that it can bear.
fn role(owner: &Owner, binding: &Binding) -> Result<(), Refusal> {
    let role = binding.role.as_str();
    let word = |text: &str| {
        !text.is_empty()
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'.' || byte == b'_')
    };
    let basic = ["roles/owner", "roles/editor", "roles/viewer"].contains(&role);
    let supported = match (role.strip_prefix("roles/"), owner) {
        (Some(name), Owner::Project(_)) => basic || name == "browser" || (word(name) && name.contains('.')),
        (Some(name), Owner::ServiceAccount(..)) => basic || (word(name) && name.starts_with("iam.")),
        (None, _) => {
            let custom = role.strip_prefix(&format!("projects/{}/roles/", owner.project().id));
            custom
                .or_else(|| role.strip_prefix("organizations/")?.split_once("/roles/").map(|(_, name)| name))
                .is_some_and(word)
        }
    };
    if !supported || role.contains("_withcond_") {
        return Err(Refusal::field(
            "policy.bindings.role",
            format!("Role {role} is not supported for this resource."),
        ));
    }
    let Some(condition) = &binding.condition else { return Ok(()) };
    if basic {
        return Err(Refusal::field(
            "policy.bindings.condition",
            format!("Conditions can't be set on basic role {role}."),
        ));
    }
    if condition.title.is_empty() || condition.title.chars().count() > 100 {
        return Err(Refusal::field(
            "policy.bindings.condition.title",
            "Condition title must be between 1 and 100 characters.",
        ));
    }
    if condition.description.chars().count() > 256 {
        return Err(Refusal::field(
            "policy.bindings.condition.description",
            "Condition description is too long.",
        ));
    }
    super::cel::check(&condition.expression, &["request", "resource"]).map_err(|problem| {
        Refusal::field("policy.bindings.condition.expression", format!("Condition expression: {problem}"))
    })
}

/// The policy for a reader. One who does not ask for version 3 sees conditional bindings under a made-up role name and
/// without their conditions.
fn show(world: &World, policy: &Policy, conditions: bool) -> Json {
    let mut reply = serde_json::Map::new();
    let conditional = policy.bindings.iter().any(|binding| binding.condition.is_some());
    if !policy.bindings.is_empty() {
        reply.insert("version".to_owned(), json!(if conditional && conditions { 3 } else { 1 }));
        let bindings = policy.bindings.iter().map(|binding| {
            let members: Vec<String> = binding.members.iter().map(|stored| member::show(world, stored)).collect();
            match &binding.condition {
                None => json!({ "role": binding.role, "members": members }),
                Some(condition) if conditions => {
                    json!({ "role": binding.role, "members": members, "condition": condition })
                }
                Some(condition) => {
                    let digest = hex::encode(Sha256::digest(&condition.expression));
                    json!({ "role": format!("{}_withcond_{}", binding.role, &digest[..20]), "members": members })
                }
            }
        });
        reply.insert("bindings".to_owned(), bindings.collect());
    }
    if !policy.audit_configs.is_empty() {
        reply.insert("auditConfigs".to_owned(), Json::Array(policy.audit_configs.clone()));
    }
    reply.insert("etag".to_owned(), json!(STANDARD.encode(etag_bytes(policy))));
    Json::Object(reply)
}

/// A policy that was never written has the etag `ACAB`.
fn etag_bytes(policy: &Policy) -> Vec<u8> {
    if policy.etag.is_empty() { vec![0, 32, 1] } else { hex::decode(&policy.etag).unwrap_or_default() }
}

/// Proto3 reads bytes from either base64 alphabet.
fn bytes(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).or_else(|_| URL_SAFE.decode(text)).ok()
}
