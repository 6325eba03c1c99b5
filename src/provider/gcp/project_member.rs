//! `cloudresourcemanager.googleapis.com/ProjectIamMember`: one grant on the project.

use async_trait::async_trait;

use super::grant::{CONDITION, Grant, MEMBER, ROLE};
use super::properties::in_project;
use super::{Gcp, service_account_member};
use crate::model::{
    CloudError, CloudId, Clouds, Create, Delete, Deletion, Live, Map, Read, Schema, Update, Value,
};
use crate::provider::Kind;

static SCHEMA: Schema = Schema {
    ty: "cloudresourcemanager.googleapis.com/ProjectIamMember",
    doc: "A role granted to one member on the project. One that is granted already is accepted, and stays when the stack goes.",
    properties: &[ROLE, MEMBER, CONDITION],
    attributes: &[],
    name: None,
    identify,
    predict: |_, _| Map::new(),
    check,
    marked: false,
    shared: true,
    compares: false,
    deletion: Deletion::Recreatable { loses: "" },
};

fn identify(properties: &Map, clouds: &Clouds) -> Option<CloudId> {
    let grant = Grant::id(properties)?;
    let CloudId(project) = in_project(clouds, "")?;
    Some(CloudId(format!("{} {grant}", project.trim_end_matches('/'))))
}

/// Google refuses both at once.
fn check(properties: &Map, _clouds: &Clouds) -> Vec<String> {
    let basic = ["roles/owner", "roles/editor", "roles/viewer"];
    let role = properties.get("role").and_then(Value::as_text).unwrap_or_default();
    if basic.contains(&role) && properties.contains_key("condition") {
        return vec![format!("the basic role `{role}` cannot be granted under a condition")];
    }
    Vec::new()
}

/// The type over Resource Manager, v3.
pub(super) struct ProjectMemberKind;

#[async_trait]
impl Kind<Gcp> for ProjectMemberKind {
    fn schema(&self) -> &'static Schema {
        &SCHEMA
    }

    async fn read(&self, gcp: &Gcp, request: Read<'_>) -> Result<Option<Live>, CloudError> {
        service_account_member::read(gcp, request).await
    }

    async fn create(&self, gcp: &Gcp, request: Create<'_>) -> Result<Live, CloudError> {
        service_account_member::write(gcp, request.id, request.properties).await
    }

    async fn update(&self, gcp: &Gcp, request: Update<'_>) -> Result<Live, CloudError> {
        service_account_member::write(gcp, request.id, request.properties).await
    }

    async fn delete(&self, gcp: &Gcp, request: Delete<'_>) -> Result<(), CloudError> {
        service_account_member::remove(gcp, request.id).await
    }
}
