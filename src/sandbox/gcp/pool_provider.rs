//! iam.googleapis.com, v1: the identity providers of a workload identity pool.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json, json};

use super::call::{Call, typed};
use super::cel;
use super::message::{Field, Kind};
use super::operation::{self, Seen, Slow};
use super::pool::{self, Pool};
use super::project::Project;
use super::refusal::{Refusal, Status};
use crate::sandbox::World;

const TYPE: &str = "type.googleapis.com/google.iam.v1.WorkloadIdentityPoolProvider";

/// A provider; its key is `PROJECT/POOL/PROVIDER`.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Provider {
    display_name: String,
    description: String,
    disabled: bool,
    attribute_mapping: BTreeMap<String, String>,
    attribute_condition: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    aws: Option<Aws>,
    #[serde(skip_serializing_if = "Option::is_none")]
    oidc: Option<Oidc>,
    #[serde(skip_serializing_if = "Option::is_none")]
    saml: Option<Json>,
    #[serde(skip_serializing_if = "Option::is_none")]
    x509: Option<Json>,
    expire_time: Option<Timestamp>,
}

#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Aws {
    account_id: String,
}

#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Oidc {
    issuer_uri: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    allowed_audiences: Vec<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    jwks_json: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    discovery_uri: String,
}

impl Slow for Provider {
    const TABLE: &'static str = "gcp.pool_provider";
}

static AWS: [Field; 1] = [Field("accountId", Kind::Text)];
static OIDC: [Field; 4] = [
    Field("issuerUri", Kind::Text),
    Field("allowedAudiences", Kind::List(&Kind::Text)),
    Field("jwksJson", Kind::Text),
    Field("discoveryUri", Kind::Text),
];
static FIELDS: [Field; 13] = [
    Field("name", Kind::OutputOnly),
    Field("state", Kind::OutputOnly),
    Field("expireTime", Kind::OutputOnly),
    Field("displayName", Kind::Text),
    Field("description", Kind::Text),
    Field("disabled", Kind::Bool),
    Field("attributeMapping", Kind::TextMap),
    Field("attributeCondition", Kind::Text),
    Field("actorProviders", Kind::List(&Kind::Text)),
    Field("aws", Kind::Message(&AWS)),
    Field("oidc", Kind::Message(&OIDC)),
    Field("saml", Kind::Opaque),
    Field("x509", Kind::Opaque),
];

/// Issuers that sign for many tenants: trusting one without a condition would trust everyone there.
const MULTI_TENANT: &[&str] = &[
    "https://token.actions.githubusercontent.com",
    "https://gitlab.com",
    "https://app.terraform.io",
    "https://agent.buildkite.com",
    "https://oidc.vercel.com",
    "https://api.pulumi.com/oidc",
];

/// Answers for `…/workloadIdentityPools/POOL/providers…`.
pub(super) fn answer(
    world: &mut World,
    project: &str,
    pool: &str,
    path: &[&str],
    verb: Option<&str>,
    call: &Call<'_>,
) -> Option<Result<Json, Refusal>> {
    Some(match (call.method.as_str(), path, verb) {
        ("GET", [], None) => list(world, project, pool, call),
        ("POST", [], None) => create(world, project, pool, call),
        ("GET", [id], None) => get(world, project, pool, id, call),
        ("PATCH", [id], None) => patch(world, project, pool, id, call),
        ("DELETE", [id], None) => delete(world, project, pool, id, call),
        ("POST", [id], Some("undelete")) => undelete(world, project, pool, id, call),
        ("GET", [id, "operations", operation], None) => {
            pool::poll(world, project, &format!("{pool}/providers/{id}/operations/{operation}"), call)
        }
        _ => return None,
    })
}

fn key(project: &Project, pool: &str, id: &str) -> String {
    format!("{}/{pool}/{id}", project.id)
}

fn name(project: &Project, pool: &str, id: &str) -> String {
    format!("projects/{}/locations/global/workloadIdentityPools/{pool}/providers/{id}", project.number)
}

fn look(world: &World, project: &Project, pool: &str, id: &str) -> Seen<Provider> {
    let mut seen = operation::look::<Provider>(world, &key(project, pool, id));
    let purged =
        seen.now.as_ref().and_then(|provider| provider.expire_time).is_some_and(|time| time <= world.now());
    if purged || !pool::exists(world, project, pool) {
        seen.now = None;
    }
    seen
}

/// By what a provider lets identities in.
pub(super) struct Rules {
    /// The one AWS account, where it is a provider for AWS.
    pub(super) aws_account: Option<String>,
    pub(super) mapping: BTreeMap<String, String>,
    pub(super) condition: String,
}

/// The rules of a provider that is neither disabled nor deleted.
pub(super) fn in_force(world: &World, project: &Project, pool: &str, id: &str) -> Option<Rules> {
    let provider = look(world, project, pool, id).now?;
    let Provider { disabled, expire_time, aws, attribute_mapping, attribute_condition, .. } = provider;
    (!disabled && expire_time.is_none()).then(|| Rules {
        aws_account: aws.map(|aws| aws.account_id),
        mapping: attribute_mapping,
        condition: attribute_condition,
    })
}

fn show(project: &Project, pool: &str, id: &str, provider: &Provider) -> Json {
    let mut json = Map::new();
    json.insert("name".to_owned(), json!(name(project, pool, id)));
    for (field, text) in [
        ("displayName", &provider.display_name),
        ("description", &provider.description),
        ("attributeCondition", &provider.attribute_condition),
    ] {
        if !text.is_empty() {
            json.insert(field.to_owned(), json!(text));
        }
    }
    if !provider.attribute_mapping.is_empty() {
        json.insert("attributeMapping".to_owned(), json!(provider.attribute_mapping));
    }
    let kinds = [
        ("aws", provider.aws.as_ref().map(|aws| json!(aws))),
        ("oidc", provider.oidc.as_ref().map(|oidc| json!(oidc))),
        ("saml", provider.saml.clone()),
        ("x509", provider.x509.clone()),
    ];
    json.extend(kinds.into_iter().filter_map(|(field, kind)| Some((field.to_owned(), kind?))));
    pool::standing(&mut json, provider.disabled, provider.expire_time);
    Json::Object(json)
}

fn get(world: &World, project: &str, pool: &str, id: &str, call: &Call<'_>) -> Result<Json, Refusal> {
    call.accepts(&[])?;
    let project = pool::usable(world, project, "iam.workloadIdentityPoolProviders.get")?;
    let provider = look(world, &project, pool, id).now.ok_or_else(Refusal::not_found)?;
    Ok(show(&project, pool, id, &provider))
}

fn list(world: &World, project: &str, pool: &str, call: &Call<'_>) -> Result<Json, Refusal> {
    call.accepts(&["pageSize", "pageToken", "showDeleted"])?;
    let project = pool::usable(world, project, "iam.workloadIdentityPoolProviders.list")?;
    let deleted = call.flag("showDeleted")?;
    if !pool::exists(world, &project, pool) {
        return Err(Refusal::not_found());
    }
    let now = world.now();
    let providers = operation::list::<Provider>(world, &format!("{}/{pool}/", project.id)).into_iter();
    let providers = providers
        .filter(|(_, provider)| provider.expire_time.is_none_or(|time| deleted && time > now))
        .map(|(key, provider)| (key.rsplit('/').next().unwrap_or_default().to_owned(), provider))
        .map(|(id, provider)| (id.clone(), (id, provider)))
        .collect();
    let page = call.page(providers, 50, 100)?;
    Ok(page.reply("workloadIdentityPoolProviders", |(id, provider)| show(&project, pool, &id, &provider)))
}

fn create(world: &mut World, project: &str, pool: &str, call: &Call<'_>) -> Result<Json, Refusal> {
    call.accepts(&["workloadIdentityPoolProviderId"])?;
    let provider: Provider = call.body(&FIELDS)?;
    let project = pool::usable(world, project, "iam.workloadIdentityPoolProviders.create")?;
    let id = call.parameter("workloadIdentityPoolProviderId");
    let id = pool::identifier(id, "workload_identity_pool_provider_id")?.to_owned();
    let parent = parent(world, &project, pool)?;
    if !parent.federates() {
        return Err(Refusal::precondition(
            "The mode of the workload identity pool does not allow providers.",
        ));
    }
    check(&provider)?;
    let seen = look(world, &project, pool, &id);
    if seen.now.is_some() || seen.busy {
        return Err(Refusal::new(Status::AlreadyExists, "Requested entity already exists"));
    }
    Ok(change(world, &project, pool, &id, provider))
}

fn patch(world: &mut World, project: &str, pool: &str, id: &str, call: &Call<'_>) -> Result<Json, Refusal> {
    call.accepts(&["updateMask"])?;
    let fields = call.fields(&FIELDS)?;
    let project = pool::usable(world, project, "iam.workloadIdentityPoolProviders.update")?;
    let mask = call.mask("updateMask").filter(|mask| !mask.is_empty());
    let mask = mask.ok_or_else(|| Refusal::field("update_mask", "The update mask is required."))?;
    let seen = look(world, &project, pool, id);
    let mut provider = seen.now.ok_or_else(Refusal::not_found)?;
    pool::idle(seen.busy)?;
    parent(world, &project, pool)?;
    if provider.expire_time.is_some() {
        return Err(Refusal::precondition(
            "The workload identity pool provider is deleted and cannot be updated.",
        ));
    }
    let given: Provider = typed(fields)?;
    for path in &mask {
        merge(&mut provider, &given, path)?;
    }
    check(&provider)?;
    Ok(change(world, &project, pool, id, provider))
}

/// Takes one path of an update mask over.
fn merge(provider: &mut Provider, given: &Provider, path: &str) -> Result<(), Refusal> {
    let kind = path.split('.').next().unwrap_or_default();
    let same_kind = match kind {
        "aws" => provider.aws.is_some() && given.aws.is_some(),
        "oidc" => provider.oidc.is_some() && given.oidc.is_some(),
        "saml" => provider.saml.is_some() && given.saml.is_some(),
        "x509" => provider.x509.is_some() && given.x509.is_some(),
        _ => true,
    };
    if !same_kind {
        return Err(Refusal::field("update_mask", "The type of the identity provider cannot be changed."));
    }
    let given_oidc = given.oidc.clone().unwrap_or_default();
    match path {
        "displayName" => provider.display_name.clone_from(&given.display_name),
        "description" => provider.description.clone_from(&given.description),
        "disabled" => provider.disabled = given.disabled,
        "attributeMapping" => provider.attribute_mapping.clone_from(&given.attribute_mapping),
        "attributeCondition" => provider.attribute_condition.clone_from(&given.attribute_condition),
        "aws" | "aws.accountId" => provider.aws.clone_from(&given.aws),
        "oidc" => provider.oidc.clone_from(&given.oidc),
        "saml" => provider.saml.clone_from(&given.saml),
        "x509" => provider.x509.clone_from(&given.x509),
        path => match (path, provider.oidc.as_mut()) {
            ("oidc.issuerUri", Some(oidc)) => oidc.issuer_uri = given_oidc.issuer_uri,
            ("oidc.allowedAudiences", Some(oidc)) => oidc.allowed_audiences = given_oidc.allowed_audiences,
            ("oidc.jwksJson", Some(oidc)) => oidc.jwks_json = given_oidc.jwks_json,
            ("oidc.discoveryUri", Some(oidc)) => oidc.discovery_uri = given_oidc.discovery_uri,
            (other, _) => {
                return Err(Refusal::field("update_mask", format!("Invalid field mask path: {other}")));
            }
        },
    }
    Ok(())
}

fn delete(world: &mut World, project: &str, pool: &str, id: &str, call: &Call<'_>) -> Result<Json, Refusal> {
    call.accepts(&[])?;
    let project = pool::usable(world, project, "iam.workloadIdentityPoolProviders.delete")?;
    let seen = look(world, &project, pool, id);
    let active = |provider: &Provider| provider.expire_time.is_none();
    let mut provider = seen.now.filter(active).ok_or_else(Refusal::not_found)?;
    pool::idle(seen.busy)?;
    parent(world, &project, pool)?;
    provider.expire_time = pool::expiry(world);
    Ok(change(world, &project, pool, id, provider))
}

fn undelete(
    world: &mut World,
    project: &str,
    pool: &str,
    id: &str,
    call: &Call<'_>,
) -> Result<Json, Refusal> {
    call.accepts(&[])?;
    call.fields(&[])?;
    let project = pool::usable(world, project, "iam.workloadIdentityPoolProviders.undelete")?;
    let seen = look(world, &project, pool, id);
    let mut provider = seen.now.ok_or_else(Refusal::not_found)?;
    pool::idle(seen.busy)?;
    parent(world, &project, pool)?;
    if provider.expire_time.is_none() {
        return Err(Refusal::precondition("The workload identity pool provider is not deleted."));
    }
    provider.expire_time = None;
    Ok(change(world, &project, pool, id, provider))
}

/// The pool that a provider is changed in: it must be there, and not deleted.
fn parent(world: &World, project: &Project, pool: &str) -> Result<Pool, Refusal> {
    let pool = pool::look(world, project, pool).now.ok_or_else(Refusal::not_found)?;
    if !pool.is_active() {
        return Err(Refusal::precondition("The workload identity pool is deleted."));
    }
    Ok(pool)
}

fn check(provider: &Provider) -> Result<(), Refusal> {
    pool::at_most("workload_identity_pool_provider.display_name", &provider.display_name, 32)?;
    pool::at_most("workload_identity_pool_provider.description", &provider.description, 256)?;
    let kinds =
        [provider.aws.is_some(), provider.oidc.is_some(), provider.saml.is_some(), provider.x509.is_some()];
    if kinds.into_iter().filter(|kind| *kind).count() != 1 {
        return Err(Refusal::field(
            "workload_identity_pool_provider.provider_config",
            "Exactly one of aws, oidc, saml and x509 must be set.",
        ));
    }
    if let Some(aws) = &provider.aws {
        let digits = aws.account_id.len() == 12 && aws.account_id.bytes().all(|byte| byte.is_ascii_digit());
        if !digits {
            let message = "The AWS account ID must be twelve digits.";
            return Err(Refusal::field("workload_identity_pool_provider.aws.account_id", message));
        }
    }
    if let Some(oidc) = &provider.oidc {
        check_oidc(oidc)?;
    }
    check_mapping(provider)?;
    check_condition(provider)
}

fn check_oidc(oidc: &Oidc) -> Result<(), Refusal> {
    let https = |text: &str| {
        let rest = text.strip_prefix("https://").unwrap_or_default();
        !rest.is_empty() && !rest.starts_with('/') && !rest.contains(['?', '#', ' ']) && text.len() <= 2000
    };
    if !https(&oidc.issuer_uri) {
        let message = "The issuer URI must be an https:// URI without query and fragment.";
        return Err(Refusal::field("workload_identity_pool_provider.oidc.issuer_uri", message));
    }
    if !oidc.discovery_uri.is_empty() && !https(&oidc.discovery_uri) {
        let message = "The discovery URI must be an https:// URI.";
        return Err(Refusal::field("workload_identity_pool_provider.oidc.discovery_uri", message));
    }
    let long =
        oidc.allowed_audiences.iter().any(|audience| audience.is_empty() || audience.chars().count() > 256);
    if oidc.allowed_audiences.len() > 10 || long {
        let message = "At most 10 audiences of 1 to 256 characters each may be configured.";
        return Err(Refusal::field("workload_identity_pool_provider.oidc.allowed_audiences", message));
    }
    if oidc.jwks_json.is_empty() {
        return Ok(());
    }
    let jwks: Json = serde_json::from_str(&oidc.jwks_json).unwrap_or_default();
    let kinds =
        jwks["keys"].as_array().map(|keys| keys.iter().all(|key| key["kty"] == "RSA" || key["kty"] == "EC"));
    if kinds != Some(true) {
        let message = "The JWKs must be JSON of the form {\"keys\": [{\"kty\": \"RSA\" or \"EC\", ...}]}.";
        return Err(Refusal::field("workload_identity_pool_provider.oidc.jwks_json", message));
    }
    Ok(())
}

fn check_mapping(provider: &Provider) -> Result<(), Refusal> {
    let wrong =
        |message: String| Refusal::field("workload_identity_pool_provider.attribute_mapping", message);
    let mapping = &provider.attribute_mapping;
    // AWS and X.509 have default mappings.
    let defaulted = mapping.is_empty() && (provider.aws.is_some() || provider.x509.is_some());
    if !defaulted && !mapping.contains_key("google.subject") {
        return Err(wrong("The attribute mapping must contain a mapping for google.subject.".to_owned()));
    }
    let custom = mapping.keys().filter(|key| key.starts_with("attribute."));
    if custom.count() > 50 {
        return Err(wrong("At most 50 custom attributes may be mapped.".to_owned()));
    }
    for (key, value) in mapping {
        let legal = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        let known = match key.strip_prefix("attribute.") {
            Some(name) => (1..=100).contains(&name.len()) && name.bytes().all(legal),
            None => ["google.subject", "google.groups"].contains(&key.as_str()),
        };
        if !known {
            return Err(wrong(format!("Invalid mapped attribute key: {key}")));
        }
        if value.chars().count() > 2048 {
            return Err(wrong(format!("The mapping of {key} must not exceed 2048 characters.")));
        }
        cel::check(value, &["assertion"])
            .map_err(|problem| wrong(format!("Failed to parse the mapping of {key}: {problem}")))?;
    }
    Ok(())
}

fn check_condition(provider: &Provider) -> Result<(), Refusal> {
    let wrong =
        |message: String| Refusal::field("workload_identity_pool_provider.attribute_condition", message);
    let condition = &provider.attribute_condition;
    pool::at_most("workload_identity_pool_provider.attribute_condition", condition, 4096)?;
    let variables = ["assertion", "google", "attribute"];
    if !condition.is_empty() {
        cel::check(condition, &variables)
            .map_err(|problem| wrong(format!("Failed to parse the attribute condition: {problem}")))?;
    }
    let issuer = provider.oidc.as_ref().map(|oidc| oidc.issuer_uri.trim_end_matches('/'));
    if issuer.is_some_and(|issuer| MULTI_TENANT.contains(&issuer)) && !cel::refers_to(condition, &variables) {
        return Err(wrong(
            "The attribute condition must reference one of the provider's claims. For more information, see \
             https://cloud.google.com/iam/docs/workload-identity-federation-with-deployment-pipelines#conditions"
                .to_owned(),
        ));
    }
    Ok(())
}

fn change(world: &mut World, project: &Project, pool: &str, id: &str, provider: Provider) -> Json {
    let response = pool::typed_response(TYPE, show(project, pool, id, &provider));
    let metadata =
        json!({ "@type": "type.googleapis.com/google.iam.v1.WorkloadIdentityPoolOperationMetadata" });
    let prefix = format!("{}/operations/", name(project, pool, id));
    let (operation, reply) = operation::start(world, &prefix, metadata, response);
    operation::become_(world, &key(project, pool, id), Some(provider), operation);
    reply
}
