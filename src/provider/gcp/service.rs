//! `serviceusage.googleapis.com/Service`: an API that is enabled in the project.

use async_trait::async_trait;
use http::Method;
use serde_json::{Value as Json, json};

use super::Gcp;
use super::failure::found;
use super::operation::{self, Progress};
use super::properties::in_project;
use super::rest::Service;
use crate::model::{
    Attribute, CloudError, CloudId, Clouds, Condition, Create, Delete, Deletion, ErrorKind, Live, Map,
    Property, Read, Schema, Shape, TextRule, Update, Value,
};
use crate::provider::Kind;
use crate::provider::retry::{Call, back_off};

/// Sends of one switch that met another one: Google changes a project's services one at a time.
const SENDS: u32 = 6;

static SCHEMA: Schema = Schema {
    ty: "serviceusage.googleapis.com/Service",
    doc: "An API that is enabled in the project. One that is enabled already is accepted, and stays enabled when the stack goes.",
    properties: &[Property::new(
        "name",
        Shape::Text(
            TextRule::matching(
                "[a-z0-9-]+(?:\\.[a-z0-9-]+)+",
                "a service's DNS name, such as firestore.googleapis.com",
            )
            .sized(3, 253),
        ),
        "The service's DNS name, such as firestore.googleapis.com.",
    )
    .required()
    .immutable()],
    attributes: &[Attribute::new("state", "ENABLED.")],
    name: None,
    identify,
    predict: |_, _| Map::from([("state".to_owned(), Value::text("ENABLED"))]),
    check: |_, _| Vec::new(),
    marked: false,
    shared: true,
    compares: false,
    deletion: Deletion::Recreatable { loses: "" },
};

fn identify(properties: &Map, clouds: &Clouds) -> Option<CloudId> {
    in_project(clouds, &format!("services/{}", properties.get("name")?.as_text()?))
}

/// The type over Service Usage, v1.
pub(super) struct ServiceKind;

#[async_trait]
impl Kind<Gcp> for ServiceKind {
    fn schema(&self) -> &'static Schema {
        &SCHEMA
    }

    async fn read(&self, gcp: &Gcp, request: Read<'_>) -> Result<Option<Live>, CloudError> {
        let call = "serviceusage.services.get";
        gcp.own(request.id, call)?;
        let path = format!("v1/{}", request.id);
        let answer = gcp.rest(Call::Read, call, Service::Services, Method::GET, &path, None).await;
        let service = found(answer)?.filter(|service| service["state"] == "ENABLED");
        Ok(service.map(|_| live(request.id)))
    }

    async fn create(&self, gcp: &Gcp, request: Create<'_>) -> Result<Live, CloudError> {
        // Enabling what someone else enabled meanwhile does nothing and is answered with a finished operation.
        switch(gcp, request.id, "serviceusage.services.enable", "enable", json!({})).await?;
        Ok(live(request.id))
    }

    async fn update(&self, _gcp: &Gcp, request: Update<'_>) -> Result<Live, CloudError> {
        Ok(live(request.id))
    }

    async fn delete(&self, gcp: &Gcp, request: Delete<'_>) -> Result<(), CloudError> {
        let call = "serviceusage.services.disable";
        let body = json!({ "disableDependentServices": false });
        let error = match switch(gcp, request.id, call, "disable", body).await {
            Ok(()) => return Ok(()),
            Err(error) => error,
        };
        let read = Read { ty: request.ty, id: request.id, desired: None, secrets: false };
        if error.kind == ErrorKind::Invalid && self.read(gcp, read).await?.is_none() {
            return Ok(());
        }
        let hint = "other enabled services need it: disable those first, or keep it with `onDelete: retain`";
        Err(CloudError { hint: error.hint.or(Some(hint.to_owned())), ..error })
    }
}

fn live(id: &CloudId) -> Live {
    let name = id.0.rsplit('/').next().unwrap_or_default();
    Live {
        id: id.clone(),
        properties: Map::from([("name".to_owned(), Value::text(name))]),
        attributes: Map::from([("state".to_owned(), Value::text("ENABLED"))]),
        etag: None,
        owner: None,
        condition: Condition::Ready,
    }
}

/// Enables or disables, and waits for it.
async fn switch(
    gcp: &Gcp,
    id: &CloudId,
    call: &'static str,
    verb: &str,
    body: Json,
) -> Result<(), CloudError> {
    gcp.own(id, call)?;
    let path = format!("v1/{id}:{verb}");
    let mut sent = 0;
    let operation = loop {
        sent += 1;
        match gcp.rest(Call::Change, call, Service::Services, Method::POST, &path, Some(&body)).await {
            Err(error) if error.kind == ErrorKind::Conflict && sent < SENDS => {
                tokio::time::sleep(back_off(sent)).await;
            }
            answer => break answer?,
        }
    };
    operation::finish(call, operation.into(), |name| async move {
        let path = format!("v1/{name}");
        let call = "serviceusage.operations.get";
        gcp.rest(Call::Read, call, Service::Services, Method::GET, &path, None).await.map(Progress::from)
    })
    .await
}
