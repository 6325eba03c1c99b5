//! `iam.googleapis.com/WorkloadIdentityPoolProvider`: whose word a pool takes for who someone is.

use std::collections::HashMap;
use std::time::Duration;

use async_trait::async_trait;
use google_iam1::{FieldMask, api};

use super::Gcp;
use super::client::listen;
use super::failure::{self, found};
use super::operation;
use super::pool::{self, condition, mask};
use super::properties::{
    DESCRIPTION, POOL_ID, described, flag, in_project, known, reserved, some_text, text, undescribed,
};
use crate::model::{
    Attribute, CloudError, CloudId, Clouds, Condition, Create, Delete, Deletion, ErrorKind, Live, Map,
    NameRule, Owner, Property, Read, Restore, Schema, Shape, TextRule, Update, Value,
};
use crate::provider::Kind;
use crate::provider::retry::Call;

/// A pool made moments ago may not be seen everywhere yet.
const POOL: Duration = Duration::from_mins(2);

static AWS: &[Property] = &[Property::new(
    "accountId",
    Shape::Text(TextRule::matching("[0-9]{12}", "the twelve digits of an AWS account")),
    "The AWS account whose identities are let in.",
)
.required()];
const AUDIENCE: Shape = Shape::Text(TextRule::up_to(256));
static OIDC: &[Property] = &[
    Property::new(
        "issuerUri",
        Shape::Text(
            TextRule::matching("https://[^/?# ][^?# ]*", "an https:// URI without query and fragment")
                .sized(9, 2000),
        ),
        "The issuer, as the tokens name it.",
    )
    .required(),
    Property::new(
        "allowedAudiences",
        Shape::Set(&AUDIENCE),
        "The audiences accepted; none means the provider's own name.",
    ),
    Property::new(
        "jwksJson",
        Shape::Text(TextRule::ANY),
        "The issuer's public keys, where it does not publish them.",
    ),
];
const EXPRESSION: Shape = Shape::Text(TextRule::up_to(2048));

static SCHEMA: Schema = Schema {
    ty: "iam.googleapis.com/WorkloadIdentityPoolProvider",
    doc: "An identity provider that a pool trusts. A deleted one holds its id for 30 days and can be restored.",
    properties: &[
        Property::new("workloadIdentityPool", Shape::Text(POOL_ID), "The pool's id.").required().immutable(),
        Property::new("workloadIdentityPoolProviderId", Shape::Text(POOL_ID), "The provider's id.")
            .immutable(),
        Property::new("displayName", Shape::Text(TextRule::up_to(32)), "A name for people."),
        Property::new("description", Shape::Text(DESCRIPTION), "What the provider is for."),
        Property::new("disabled", Shape::Bool, "Whether its tokens are refused.")
            .default(|| Value::Bool(false)),
        Property::new(
            "attributeMapping",
            Shape::Map(&EXPRESSION),
            "How Google's attributes follow from the token: google.subject, google.groups, attribute.NAME. AWS has a default.",
        ),
        Property::new("attributeCondition", Shape::Text(TextRule::up_to(4096)), "Who is let in, in CEL."),
        Property::new("aws", Shape::Object(AWS), "An AWS account."),
        Property::new("oidc", Shape::Object(OIDC), "An OpenID Connect issuer."),
    ],
    attributes: &[
        Attribute::new("name", "The full resource name, with the project's number."),
        Attribute::new("state", "ACTIVE or DELETED."),
    ],
    name: Some(NameRule {
        property: "workloadIdentityPoolProviderId",
        default: |stack, logical, _| format!("{stack}-{logical}"),
    }),
    identify,
    predict: |_, _| Map::new(),
    check,
    marked: true,
    shared: false,
    compares: false,
    deletion: Deletion::Soft { hours: 30 * 24 },
};

fn identify(properties: &Map, clouds: &Clouds) -> Option<CloudId> {
    let pool = properties.get("workloadIdentityPool")?.as_text()?;
    let id = properties.get("workloadIdentityPoolProviderId")?.as_text()?;
    in_project(clouds, &format!("locations/global/workloadIdentityPools/{pool}/providers/{id}"))
}

fn check(properties: &Map, _clouds: &Clouds) -> Vec<String> {
    let mut wrong: Vec<String> = reserved(properties, "workloadIdentityPoolProviderId").into_iter().collect();
    let (aws, oidc) = (properties.get("aws"), properties.get("oidc"));
    if aws.is_some() == oidc.is_some() {
        wrong.push("exactly one of `aws` and `oidc` must be given".to_owned());
    }
    let mapping = properties.get("attributeMapping");
    match mapping {
        Some(Value::Map(mapping)) if !mapping.is_empty() => {
            if !mapping.contains_key("google.subject") {
                wrong.push("`attributeMapping` must map `google.subject`".to_owned());
            }
            wrong.extend(mapping.keys().filter(|key| !is_target(key)).map(|key| {
                format!("`attributeMapping` cannot map `{key}`: only google.subject, google.groups and attribute.NAME (NAME of [a-z0-9_])")
            }));
            if mapping.keys().filter(|key| key.starts_with("attribute.")).count() > 50 {
                wrong.push("`attributeMapping` can map at most 50 attributes".to_owned());
            }
        }
        None | Some(Value::Map(_)) if oidc.is_some() => {
            wrong.push("`oidc` needs an `attributeMapping` that maps `google.subject`".to_owned());
        }
        _ => {}
    }
    let audiences = oidc.and_then(|oidc| oidc.at(&["allowedAudiences"])).and_then(Value::as_list);
    if audiences.is_some_and(|audiences| audiences.len() > 10) {
        wrong.push("`oidc.allowedAudiences` can hold at most 10".to_owned());
    }
    wrong
}

fn is_target(key: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    match key.strip_prefix("attribute.") {
        Some(name) => (1..=100).contains(&name.len()) && name.bytes().all(legal),
        None => ["google.subject", "google.groups"].contains(&key),
    }
}

/// What Google maps for an AWS provider that says nothing (from the API's reference).
fn aws_default() -> HashMap<String, String> {
    let role = "assertion.arn.contains('assumed-role') ? assertion.arn.extract('{account_arn}assumed-role/') + \
                'assumed-role/' + assertion.arn.extract('assumed-role/{role_name}/') : assertion.arn";
    HashMap::from([
        ("google.subject".to_owned(), "assertion.arn".to_owned()),
        ("attribute.aws_role".to_owned(), role.to_owned()),
    ])
}

/// The type over google-iam1.
pub(super) struct PoolProviderKind;

#[async_trait]
impl Kind<Gcp> for PoolProviderKind {
    fn schema(&self) -> &'static Schema {
        &SCHEMA
    }

    async fn read(&self, gcp: &Gcp, request: Read<'_>) -> Result<Option<Live>, CloudError> {
        // A provider says nothing of its pool being deleted; with its pool it is gone, and comes back with it.
        let (provider, gone) = futures::join!(get(gcp, request.id), is_of_deleted_pool(gcp, request.id));
        let Some(provider) = found(provider)? else { return Ok(None) };
        let live = live(request.id, provider, request.desired);
        let condition = if gone? && live.condition == Condition::Ready {
            Condition::SoftDeleted { until: None }
        } else {
            live.condition
        };
        Ok(Some(Live { condition, ..live }))
    }

    async fn create(&self, gcp: &Gcp, request: Create<'_>) -> Result<Live, CloudError> {
        let call = "iam.projects.locations.workloadIdentityPools.providers.create";
        gcp.own(request.id, call)?;
        let provider = &desired(request.properties, request.owner, call)?;
        let (parent, id) = request.id.0.split_once("/providers/").unwrap_or_default();
        let operation = gcp
            .hub(Call::Change, call, |hub| {
                listen!(
                    hub.projects()
                        .locations_workload_identity_pools_providers_create(provider.clone(), parent)
                        .workload_identity_pool_provider_id(id)
                )
            })
            .await
            .map_err(|error| {
                let settling = ErrorKind::Settling { window: POOL };
                let kind = if error.kind == ErrorKind::NotFound { settling } else { error.kind };
                CloudError { kind, ..error }
            })?;
        finish(gcp, call, operation).await?;
        after(gcp, request.id, request.properties).await
    }

    async fn update(&self, gcp: &Gcp, request: Update<'_>) -> Result<Live, CloudError> {
        let call = "iam.projects.locations.workloadIdentityPools.providers.patch";
        gcp.own(request.id, call)?;
        let kind = |properties: &Map| (properties.contains_key("aws"), properties.contains_key("oidc"));
        if kind(&request.before.properties) != kind(request.properties) {
            return Err(CloudError {
                hint: Some(
                    "give it another `workloadIdentityPoolProviderId`: the old one stays held for 30 days"
                        .to_owned(),
                ),
                ..failure::own(
                    call,
                    ErrorKind::Invalid,
                    "a provider cannot change between `aws` and `oidc`".to_owned(),
                )
            });
        }
        let mask = &mask(request.changed, request.before.owner.as_ref(), request.owner);
        if !mask.is_empty() {
            let provider = &desired(request.properties, request.owner, call)?;
            let operation = gcp
                .hub(Call::Change, call, |hub| {
                    listen!(
                        hub.projects()
                            .locations_workload_identity_pools_providers_patch(
                                provider.clone(),
                                &request.id.0
                            )
                            .update_mask(FieldMask::new(mask))
                    )
                })
                .await?;
            finish(gcp, call, operation).await?;
        }
        after(gcp, request.id, request.properties).await
    }

    async fn delete(&self, gcp: &Gcp, request: Delete<'_>) -> Result<(), CloudError> {
        let call = "iam.projects.locations.workloadIdentityPools.providers.delete";
        gcp.own(request.id, call)?;
        let operation = gcp
            .hub(Call::Change, call, |hub| {
                listen!(hub.projects().locations_workload_identity_pools_providers_delete(&request.id.0))
            })
            .await;
        match found(operation) {
            Ok(Some(operation)) => finish(gcp, call, operation).await,
            Ok(None) => Ok(()),
            // With its pool deleted, it is as deleted as it can be, and goes when the pool goes.
            Err(error)
                if error.code == "FAILED_PRECONDITION"
                    && is_of_deleted_pool(gcp, request.id).await.unwrap_or_default() =>
            {
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    async fn restore(&self, gcp: &Gcp, request: Restore<'_>) -> Result<Live, CloudError> {
        let call = "iam.projects.locations.workloadIdentityPools.providers.undelete";
        gcp.own(request.id, call)?;
        // It went with its pool, and came back with it.
        if get(gcp, request.id).await?.state.as_deref() != Some("DELETED") {
            return after(gcp, request.id, request.properties).await;
        }
        let operation = gcp
            .hub(Call::Change, call, |hub| {
                listen!(hub.projects().locations_workload_identity_pools_providers_undelete(
                    api::UndeleteWorkloadIdentityPoolProviderRequest::default(),
                    &request.id.0
                ))
            })
            .await?;
        finish(gcp, call, operation).await?;
        after(gcp, request.id, request.properties).await
    }
}

async fn get(gcp: &Gcp, id: &CloudId) -> Result<api::WorkloadIdentityPoolProvider, CloudError> {
    let call = "iam.projects.locations.workloadIdentityPools.providers.get";
    gcp.own(id, call)?;
    gcp.hub(Call::Read, call, |hub| {
        listen!(hub.projects().locations_workload_identity_pools_providers_get(&id.0))
    })
    .await
}

/// The provider as a finished change left it: an operation's own response is not to be trusted.
async fn after(gcp: &Gcp, id: &CloudId, desired: &Map) -> Result<Live, CloudError> {
    get(gcp, id).await.map(|provider| live(id, provider, Some(desired))).map_err(failure::halfway)
}

async fn finish(gcp: &Gcp, call: &str, operation: api::Operation) -> Result<(), CloudError> {
    operation::finish(call, operation.into(), |name| async move {
        let (call, name) =
            ("iam.projects.locations.workloadIdentityPools.providers.operations.get", name.as_str());
        gcp.hub(Call::Read, call, |hub| {
            listen!(hub.projects().locations_workload_identity_pools_providers_operations_get(name))
        })
        .await
        .map(operation::Progress::from)
    })
    .await
}

/// Whether the pool of a provider is deleted. Not being allowed to look says nothing.
async fn is_of_deleted_pool(gcp: &Gcp, id: &CloudId) -> Result<bool, CloudError> {
    let Some((pool, _)) = id.0.split_once("/providers/") else { return Ok(false) };
    match found(pool::get(gcp, &CloudId(pool.to_owned())).await) {
        Ok(Some(pool)) => Ok(pool.state.as_deref() == Some("DELETED")),
        Ok(None) => Ok(true),
        Err(error) if error.kind == ErrorKind::Denied => Ok(false),
        Err(error) => Err(error),
    }
}

fn desired(
    properties: &Map,
    owner: &Owner,
    call: &str,
) -> Result<api::WorkloadIdentityPoolProvider, CloudError> {
    let mapping = properties.get("attributeMapping").and_then(Value::as_map);
    let mapping: HashMap<String, String> =
        mapping.into_iter().flatten().map(|(key, value)| (key.clone(), value.to_text())).collect();
    let aws = properties.get("aws").and_then(Value::as_map);
    let oidc = properties.get("oidc").and_then(Value::as_map);
    Ok(api::WorkloadIdentityPoolProvider {
        display_name: Some(text(properties, "displayName")),
        description: Some(described(properties, owner, call)?),
        disabled: Some(flag(properties, "disabled")),
        attribute_condition: Some(text(properties, "attributeCondition")),
        // The default is written out, so that what is granted to can be read off the provider.
        attribute_mapping: Some(if mapping.is_empty() && aws.is_some() { aws_default() } else { mapping }),
        aws: aws.map(|aws| api::Aws { account_id: Some(text(aws, "accountId")) }),
        oidc: oidc.map(|oidc| api::Oidc {
            issuer_uri: Some(text(oidc, "issuerUri")),
            allowed_audiences: oidc
                .get("allowedAudiences")
                .and_then(Value::as_list)
                .map(|audiences| audiences.iter().map(Value::to_text).collect()),
            jwks_json: Some(text(oidc, "jwksJson")).filter(|keys| !keys.is_empty()),
        }),
        ..api::WorkloadIdentityPoolProvider::default()
    })
}

/// Whether the default mapping is spelt out in the answer or not, and whether it is in the stack or not: it means the
/// same, so it is shown as the stack has it.
fn shown_mapping(mapping: HashMap<String, String>, aws: bool, desired: Option<&Map>) -> Option<Value> {
    let default = aws && (mapping.is_empty() || mapping == aws_default());
    let mapping = if default { aws_default() } else { mapping };
    let mapping: Map = mapping.into_iter().map(|(key, value)| (key, Value::text(value))).collect();
    let mapping = Value::Map(mapping);
    let spelt = desired.and_then(|desired| desired.get("attributeMapping")) == Some(&mapping);
    (!default || spelt).then_some(mapping)
}

fn live(id: &CloudId, provider: api::WorkloadIdentityPoolProvider, desired: Option<&Map>) -> Live {
    let (description, owner) = undescribed(provider.description.as_ref());
    let (parent, provider_id) = id.0.split_once("/providers/").unwrap_or_default();
    let pool = parent.rsplit('/').next().unwrap_or_default();
    let mapping =
        shown_mapping(provider.attribute_mapping.unwrap_or_default(), provider.aws.is_some(), desired);
    let aws = provider.aws.map(|aws| Value::Map(known([("accountId", some_text(aws.account_id.as_ref()))])));
    let oidc = provider.oidc.map(|oidc| {
        let audiences = oidc.allowed_audiences.unwrap_or_default().into_iter().map(Value::text).collect();
        Value::Map(known([
            ("issuerUri", some_text(oidc.issuer_uri.as_ref())),
            ("allowedAudiences", Some(Value::List(audiences))),
            ("jwksJson", some_text(oidc.jwks_json.as_ref())),
        ]))
    });
    Live {
        id: id.clone(),
        properties: known([
            ("workloadIdentityPool", Some(Value::text(pool))),
            ("workloadIdentityPoolProviderId", Some(Value::text(provider_id))),
            ("displayName", some_text(provider.display_name.as_ref())),
            ("description", description),
            ("disabled", Some(Value::Bool(provider.disabled.unwrap_or_default()))),
            (
                "attributeMapping",
                mapping.filter(|mapping| mapping.as_map().is_some_and(|map| !map.is_empty())),
            ),
            ("attributeCondition", some_text(provider.attribute_condition.as_ref())),
            ("aws", aws),
            ("oidc", oidc),
        ]),
        attributes: known([
            ("name", some_text(provider.name.as_ref())),
            ("state", some_text(provider.state.as_ref())),
        ]),
        etag: None,
        owner,
        condition: condition(provider.state.as_deref(), provider.expire_time.map(|time| time.timestamp())),
    }
}
