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
mod trial;
mod wire;

use tokio::sync::OnceCell;

use super::retry::Call;
use super::{GcpAccess, Kind};
use crate::model::{CloudError, CloudId, ErrorKind, GcpPlace, ResourceType, Schema};
use client::Client;
use rest::Service;
#[cfg(test)]
pub(crate) use trial::Refusal;
pub(crate) use trial::{Answer, Trial};

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
        if self.place.project.starts_with(|first: char| first.is_ascii_digit()) {
            let hint = "write the project's id; `gcloud projects list` shows both";
            let error = failure::own(
                call,
                ErrorKind::WrongAccount,
                format!("`{}` is a project's number, not its id", self.place.project),
            );
            return Err(CloudError { hint: Some(hint.to_owned()), ..error });
        }
        let path = format!("v3/projects/{}", self.place.project);
        let answer = self.rest(Call::Read, call, Service::Projects, http::Method::GET, &path, None).await;
        let Err(error) = answer else { return Ok(()) };
        if matches!(error.kind, ErrorKind::Settling { .. }) {
            // Fresh projects have this API switched off, and a stack may be about to switch it on. The one that
            // switches others on is always there.
            let call = "serviceusage.services.get";
            let path =
                format!("v1/projects/{}/services/cloudresourcemanager.googleapis.com", self.place.project);
            return self
                .rest(Call::Read, call, Service::Services, http::Method::GET, &path, None)
                .await
                .map(|_| ());
        }
        if !matches!(error.kind, ErrorKind::Denied | ErrorKind::NotFound) {
            return Err(error);
        }
        let hint = format!(
            "Google answers this both for a project that does not exist and for one that these credentials may not see: check \
             `clouds.gcp.project: {}`, or have roles/browser granted on it",
            self.place.project
        );
        Err(CloudError { hint: Some(hint), ..error })
    }

    /// The client, made now if it was not made before.
    async fn client(&self) -> Result<&Client, CloudError> {
        let endpoint = self.access.endpoint.as_deref().or(self.place.endpoint.as_deref());
        self.client.get_or_try_init(|| async { Client::new(endpoint, &self.access) }).await
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

/// Application-default credentials, for whoever sends requests beside the clients.
pub(crate) fn ambient() -> Ambient {
    Ambient(credentials::Tokens::new(None, credentials::of_process()))
}

/// See [`ambient`].
#[derive(Clone)]
pub(crate) struct Ambient(credentials::Tokens);

impl Ambient {
    /// A token that is valid now.
    pub(crate) async fn token(&self) -> Result<crate::model::Secret, CloudError> {
        let _ = rustls::crypto::ring::default_provider().install_default();
        self.0.token().await
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
