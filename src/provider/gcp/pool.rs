//! `iam.googleapis.com/WorkloadIdentityPool`: where identities of other clouds enter the project.

use async_trait::async_trait;
use google_iam1::{FieldMask, api};
use jiff::Timestamp;

use super::Gcp;
use super::client::listen;
use super::failure::{self, found};
use super::operation;
use super::properties::{
    DESCRIPTION, POOL_ID, described, flag, in_project, known, reserved, some_text, text, undescribed,
};
use crate::model::{
    Attribute, CloudError, CloudId, Clouds, Condition, Create, Delete, Deletion, Live, Map, NameRule, Owner,
    Path, Property, Read, Restore, Schema, Shape, TextRule, Update, Value,
};
use crate::provider::Kind;
use crate::provider::retry::Call;

static SCHEMA: Schema = Schema {
    ty: "iam.googleapis.com/WorkloadIdentityPool",
    doc: "A pool of identities that other clouds vouch for. A deleted pool holds its id for 30 days and can be restored.",
    properties: &[
        Property::new("workloadIdentityPoolId", Shape::Text(POOL_ID), "The pool's id.").immutable(),
        Property::new("displayName", Shape::Text(TextRule::up_to(32)), "A name for people."),
        Property::new("description", Shape::Text(DESCRIPTION), "What the pool is for."),
        Property::new("disabled", Shape::Bool, "Whether its identities are shut out.")
            .default(|| Value::Bool(false)),
        Property::new(
            "mode",
            Shape::Enum(&["FEDERATION_ONLY", "TRUST_DOMAIN"]),
            "Whose identities it holds: those of other clouds, or Google-managed workload identities.",
        )
        .immutable()
        .default(|| Value::text("FEDERATION_ONLY")),
    ],
    attributes: &[
        Attribute::new("name", "The full resource name, with the project's number."),
        Attribute::new("state", "ACTIVE or DELETED."),
    ],
    name: Some(NameRule {
        property: "workloadIdentityPoolId",
        default: |stack, logical, _| format!("{stack}-{logical}"),
    }),
    identify,
    // The name contains the project's number, which no one knows without asking.
    predict: |_, _| Map::new(),
    check: |properties, _| reserved(properties, "workloadIdentityPoolId").into_iter().collect(),
    marked: true,
    shared: false,
    compares: false,
    deletion: Deletion::Soft { hours: 30 * 24 },
};

fn identify(properties: &Map, clouds: &Clouds) -> Option<CloudId> {
    let id = properties.get("workloadIdentityPoolId")?.as_text()?;
    in_project(clouds, &format!("locations/global/workloadIdentityPools/{id}"))
}

/// The type over google-iam1.
pub(super) struct PoolKind;

#[async_trait]
impl Kind<Gcp> for PoolKind {
    fn schema(&self) -> &'static Schema {
        &SCHEMA
    }

    async fn read(&self, gcp: &Gcp, request: Read<'_>) -> Result<Option<Live>, CloudError> {
        Ok(found(get(gcp, request.id).await)?.map(|pool| live(request.id, pool)))
    }

    async fn create(&self, gcp: &Gcp, request: Create<'_>) -> Result<Live, CloudError> {
        let call = "iam.projects.locations.workloadIdentityPools.create";
        gcp.own(request.id, call)?;
        let pool = &desired(request.properties, request.owner, call)?;
        let (parent, id) = request.id.0.split_once("/workloadIdentityPools/").unwrap_or_default();
        let operation = gcp
            .hub(Call::Change, call, |hub| {
                listen!(
                    hub.projects()
                        .locations_workload_identity_pools_create(pool.clone(), parent)
                        .workload_identity_pool_id(id)
                )
            })
            .await?;
        finish(gcp, call, operation).await?;
        get(gcp, request.id).await.map(|pool| live(request.id, pool)).map_err(failure::halfway)
    }

    async fn update(&self, gcp: &Gcp, request: Update<'_>) -> Result<Live, CloudError> {
        let call = "iam.projects.locations.workloadIdentityPools.patch";
        gcp.own(request.id, call)?;
        let mask = &mask(request.changed, request.before.owner.as_ref(), request.owner);
        if !mask.is_empty() {
            let pool = &api::WorkloadIdentityPool {
                mode: None,
                ..desired(request.properties, request.owner, call)?
            };
            let operation = gcp
                .hub(Call::Change, call, |hub| {
                    listen!(
                        hub.projects()
                            .locations_workload_identity_pools_patch(pool.clone(), &request.id.0)
                            .update_mask(FieldMask::new(mask))
                    )
                })
                .await?;
            finish(gcp, call, operation).await?;
        }
        get(gcp, request.id).await.map(|pool| live(request.id, pool)).map_err(failure::halfway)
    }

    async fn delete(&self, gcp: &Gcp, request: Delete<'_>) -> Result<(), CloudError> {
        let call = "iam.projects.locations.workloadIdentityPools.delete";
        gcp.own(request.id, call)?;
        let operation = gcp
            .hub(Call::Change, call, |hub| {
                listen!(hub.projects().locations_workload_identity_pools_delete(&request.id.0))
            })
            .await;
        match found(operation)? {
            Some(operation) => finish(gcp, call, operation).await,
            None => Ok(()),
        }
    }

    async fn restore(&self, gcp: &Gcp, request: Restore<'_>) -> Result<Live, CloudError> {
        let call = "iam.projects.locations.workloadIdentityPools.undelete";
        gcp.own(request.id, call)?;
        let operation = gcp
            .hub(Call::Change, call, |hub| {
                listen!(hub.projects().locations_workload_identity_pools_undelete(
                    api::UndeleteWorkloadIdentityPoolRequest::default(),
                    &request.id.0
                ))
            })
            .await?;
        finish(gcp, call, operation).await?;
        get(gcp, request.id).await.map(|pool| live(request.id, pool)).map_err(failure::halfway)
    }
}

pub(super) async fn get(gcp: &Gcp, id: &CloudId) -> Result<api::WorkloadIdentityPool, CloudError> {
    let call = "iam.projects.locations.workloadIdentityPools.get";
    gcp.own(id, call)?;
    gcp.hub(Call::Read, call, |hub| listen!(hub.projects().locations_workload_identity_pools_get(&id.0)))
        .await
}

async fn finish(gcp: &Gcp, call: &str, operation: api::Operation) -> Result<(), CloudError> {
    operation::finish(call, operation.into(), |name| async move {
        let (call, name) = ("iam.projects.locations.workloadIdentityPools.operations.get", name.as_str());
        gcp.hub(Call::Read, call, |hub| {
            listen!(hub.projects().locations_workload_identity_pools_operations_get(name))
        })
        .await
        .map(operation::Progress::from)
    })
    .await
}

fn desired(properties: &Map, owner: &Owner, call: &str) -> Result<api::WorkloadIdentityPool, CloudError> {
    Ok(api::WorkloadIdentityPool {
        display_name: Some(text(properties, "displayName")),
        description: Some(described(properties, owner, call)?),
        disabled: Some(flag(properties, "disabled")),
        mode: Some(text(properties, "mode")).filter(|mode| !mode.is_empty()),
        ..api::WorkloadIdentityPool::default()
    })
}

/// What a patch has to touch: the properties that differ, and the description where the mark does.
pub(super) fn mask(changed: &[Path], bears: Option<&Owner>, owner: &Owner) -> Vec<String> {
    let mut mask: Vec<String> = changed.iter().map(|path| path.property().to_owned()).collect();
    if bears != Some(owner) {
        mask.push("description".to_owned());
    }
    mask.sort();
    mask.dedup();
    mask
}

/// Ready, or deleted until its time runs out.
pub(super) fn condition(state: Option<&str>, expire_time: Option<i64>) -> Condition {
    match state {
        Some("DELETED") => Condition::SoftDeleted {
            until: expire_time.and_then(|seconds| Timestamp::from_second(seconds).ok()),
        },
        _ => Condition::Ready,
    }
}

fn live(id: &CloudId, pool: api::WorkloadIdentityPool) -> Live {
    let (description, owner) = undescribed(pool.description.as_ref());
    let pool_id = id.0.rsplit('/').next().unwrap_or_default();
    let mode = pool.mode.filter(|mode| mode != "MODE_UNSPECIFIED");
    Live {
        id: id.clone(),
        properties: known([
            ("workloadIdentityPoolId", Some(Value::text(pool_id))),
            ("displayName", some_text(pool.display_name.as_ref())),
            ("description", description),
            ("disabled", Some(Value::Bool(pool.disabled.unwrap_or_default()))),
            ("mode", some_text(mode.as_ref())),
        ]),
        attributes: known([
            ("name", some_text(pool.name.as_ref())),
            ("state", some_text(pool.state.as_ref())),
        ]),
        etag: None,
        owner,
        condition: condition(pool.state.as_deref(), pool.expire_time.map(|time| time.timestamp())),
    }
}
