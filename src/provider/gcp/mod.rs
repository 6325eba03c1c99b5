//! Google Cloud: the client, the table of resource types, the account guard.

mod aws_exchange;
mod client;
mod credentials;
mod database;
mod failure;
mod grant;
mod operation;
mod policy;
mod pool;
mod pool_provider;
mod project_member;
mod properties;
mod rest;
mod service;
mod service_account;
mod service_account_member;

use tokio::sync::OnceCell;

use super::retry::Call;
use super::{GcpAccess, Kind};
use crate::model::{CloudError, CloudId, ErrorKind, GcpPlace, ResourceType, Schema};
use client::Client;
use rest::Service;

/// Every resource type of this cloud.
static KINDS: &[&dyn Kind<Gcp>] = &[
    &service::ServiceKind,
    &pool::PoolKind,
    &pool_provider::PoolProviderKind,
    &service_account::ServiceAccountKind,
    &service_account_member::ServiceAccountMemberKind,
    &project_member::ProjectMemberKind,
    &database::DatabaseKind,
];

/// The cloud's client; made at the first request.
pub(crate) struct Gcp {
    place: GcpPlace,
    access: GcpAccess,
    client: OnceCell<Client>,
    /// Policies are written whole: two of our own writes of one policy go one after the other.
    policies: policy::Locks,
}

impl Gcp {
    /// Touches no network.
    pub(crate) fn new(place: GcpPlace, access: GcpAccess) -> Self {
        Self { place, access, client: OnceCell::new(), policies: policy::Locks::default() }
    }

    /// Checks live that the project that the stack names is there and can be seen with these credentials.
    pub(crate) async fn guard(&self) -> Result<(), CloudError> {
        let call = "cloudresourcemanager.projects.get";
        let path = format!("v3/projects/{}", self.place.project);
        let project = self.rest(Call::Read, call, Service::Projects, http::Method::GET, &path, None).await;
        let project = project.map_err(|error| match error.kind {
            ErrorKind::Denied | ErrorKind::NotFound => CloudError {
                hint: Some(format!(
                    "Google answers this both for a project that does not exist and for one that these credentials may not \
                     see: check `clouds.gcp.project: {}`, or have roles/browser granted on it",
                    self.place.project
                )),
                ..error
            },
            ErrorKind::AlreadyExists
            | ErrorKind::Conflict
            | ErrorKind::Credentials
            | ErrorKind::Throttled
            | ErrorKind::Invalid
            | ErrorKind::NotEmpty
            | ErrorKind::Settling { .. }
            | ErrorKind::Unreachable
            | ErrorKind::Unknown
            | ErrorKind::WrongAccount => error,
        })?;
        let found = project["projectId"].as_str().unwrap_or_default();
        if found == self.place.project {
            return Ok(());
        }
        Err(CloudError {
            hint: Some("`clouds.gcp.project` is the project's id, not its number".to_owned()),
            ..failure::own(
                call,
                ErrorKind::WrongAccount,
                format!("the stack names project `{}`, and Google found `{found}`", self.place.project),
            )
        })
    }

    /// The client, made now if it was not made before.
    async fn client(&self) -> Result<&Client, CloudError> {
        let endpoint = self.access.endpoint.as_deref().or(self.place.endpoint.as_deref());
        self.client.get_or_try_init(|| async { Client::new(endpoint, self.access.token.clone()) }).await
    }

    /// The part of a full resource name behind `projects/PROJECT/`. Ids come from the state and from `mcm import`,
    /// and go into URLs: one of another project, or one that is no plain path, is refused here.
    fn own<'i>(&self, id: &'i CloudId, call: &str) -> Result<&'i str, CloudError> {
        let rest =
            id.0.strip_prefix("projects/").and_then(|rest| rest.strip_prefix(self.place.project.as_str()));
        let plain =
            |text: &&str| !text.contains(['?', '#', '%', '\\']) && !text.split('/').any(|part| part == "..");
        rest.and_then(|rest| rest.strip_prefix('/')).filter(plain).ok_or_else(|| CloudError {
            hint: Some(format!("ids here begin with `projects/{}/`", self.place.project)),
            ..failure::own(call, ErrorKind::Invalid, format!("`{id}` is not an id of this stack's project"))
        })
    }
}

/// The kind of a type.
pub(crate) fn kind(ty: &ResourceType) -> Option<&'static dyn Kind<Gcp>> {
    KINDS.iter().copied().find(|kind| kind.schema().ty == ty.as_str())
}

/// The schemas of the table.
pub(crate) fn schemas() -> impl Iterator<Item = &'static Schema> {
    super::schemas_of(KINDS)
}
