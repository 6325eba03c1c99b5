//! Azure: the client, the table of resource types, the account guard.

mod account;
mod account_model;
mod account_schema;
mod arm;
mod credentials;
mod dialled;
mod errors;
mod group;
mod names;
mod wire;

use std::sync::{Arc, OnceLock};

use azure_core::{HttpClient, Method, RetryOptions, TransportOptions, Url};
use azure_mgmt_cognitiveservices::package_2023_05 as cognitive;

use super::{AzureAccess, Kind};
use crate::model::{AzurePlace, CloudError, ErrorKind, ResourceType, Schema, Secret};
use arm::{Arm, Ask, SCOPE};
use errors::ours;
use wire::Transport;

/// Every resource type of this cloud.
static KINDS: &[&dyn Kind<Azure>] = &[&group::Group, &account::Account];

/// Azure Resource Manager of the public cloud.
const ENDPOINT: &str = "https://management.azure.com";
/// The version of `Microsoft.Resources` that is spoken.
const RESOURCES_VERSION: &str = "2022-09-01";

/// The cloud's client; made at the first request.
pub(crate) struct Azure {
    place: AzurePlace,
    access: AzureAccess,
    clients: OnceLock<Result<Clients, CloudError>>,
}

/// The two clients, over one transport and one credential.
struct Clients {
    arm: Arm,
    cognitive: cognitive::Client,
}

impl Clients {
    /// Both clients of one endpoint.
    fn over(url: Url, network: Arc<dyn HttpClient>, token: Option<&Secret>) -> Result<Self, CloudError> {
        let credential = credentials::credential(token, &network)?;
        let transport: Arc<dyn HttpClient> = Arc::new(Transport(network));
        let cognitive = cognitive::Client::builder(Arc::clone(&credential))
            .endpoint(url.clone())
            .scopes(&[SCOPE])
            .retry(RetryOptions::none())
            .transport(TransportOptions::new(Arc::clone(&transport)))
            .build()
            .map_err(|error| ours(ErrorKind::Invalid, "endpoint", errors::chain(&error)))?;
        Ok(Self { arm: Arm::new(url, &transport, credential), cognitive })
    }
}

impl Azure {
    /// Touches no network.
    pub(crate) fn new(place: AzurePlace, access: AzureAccess) -> Self {
        Self { place, access, clients: OnceLock::new() }
    }

    /// Checks live that the credentials belong to the account that the stack names.
    pub(crate) async fn guard(&self) -> Result<(), CloudError> {
        const CALL: &str = "Microsoft.Resources/subscriptions/read";
        let path = format!("/subscriptions/{}", self.subscription()?);
        let subscription = match self.arm()?.send(&Ask::get(CALL, &path, "2022-12-01")).await {
            Ok(response) => arm::json(CALL, &response)?,
            Err(error) if error.kind == ErrorKind::NotFound => {
                return Err(CloudError { kind: ErrorKind::WrongAccount, ..error });
            }
            Err(error) => return Err(error),
        };
        let state = subscription["state"].as_str().unwrap_or("Enabled");
        if ["Disabled", "Deleted", "Expired"].contains(&state) {
            let mut error = ours(ErrorKind::Denied, CALL, format!("the subscription's state is {state}"));
            error.hint = Some("enable the subscription in the Azure portal, or name another".to_owned());
            return Err(error);
        }
        Ok(())
    }

    /// Our own client.
    fn arm(&self) -> Result<&Arm, CloudError> {
        Ok(&self.clients()?.arm)
    }

    /// The generated client.
    fn cognitive(&self) -> Result<&cognitive::Client, CloudError> {
        Ok(&self.clients()?.cognitive)
    }

    /// The subscription's id, fit for a path.
    fn subscription(&self) -> Result<&str, CloudError> {
        let id = self.place.subscription.as_str();
        if id.len() == 36 && id.bytes().all(|b| b == b'-' || b.is_ascii_hexdigit()) {
            return Ok(id);
        }
        Err(ours(ErrorKind::Invalid, "subscription", format!("`{id}` is no subscription id")))
    }

    fn clients(&self) -> Result<&Clients, CloudError> {
        self.clients.get_or_init(|| self.connect()).as_ref().map_err(Clone::clone)
    }

    fn connect(&self) -> Result<Clients, CloudError> {
        // What the stack says of its own place goes before what the command line chose for all.
        let endpoint = self.place.endpoint.as_ref().or(self.access.endpoint.as_ref());
        let text = endpoint.map_or(ENDPOINT, String::as_str);
        let url = Url::parse(text)
            .map_err(|error| ours(ErrorKind::Invalid, "endpoint", format!("`{text}` is no URL: {error}")))?;
        let loopback = matches!(url.host_str(), Some("127.0.0.1" | "localhost" | "[::1]"));
        let plain = url.scheme() == "http";
        if url.scheme() != "https" && !(plain && loopback) {
            let mut error =
                ours(ErrorKind::Invalid, "endpoint", format!("`{text}` is neither https nor on loopback"));
            error.hint = Some("plain http is accepted for 127.0.0.1, [::1] and localhost alone".to_owned());
            return Err(error);
        }
        let network: Arc<dyn HttpClient> = match &self.access.dial {
            Some(dial) => Arc::new(dialled::Carried(dial.client())),
            None => wire::network(loopback)?,
        };
        // Real credentials never travel in the clear.
        let dummy = Secret::new("mcm");
        let token = self.access.token.as_ref().or(plain.then_some(&dummy));
        Clients::over(url, network, token)
    }

    /// Registers a resource provider, as a new subscription needs it once, and waits until that is done.
    async fn register(&self, namespace: &str) -> Result<(), CloudError> {
        let call = format!("{namespace}/register/action");
        let path = format!("/subscriptions/{}/providers/{namespace}", self.subscription()?);
        let register = format!("{path}/register");
        let ask = Ask { method: Method::Post, ..Ask::get(&call, &register, RESOURCES_VERSION) };
        let mut answer = arm::json(&call, &self.arm()?.send(&ask).await?)?;
        // Ten minutes at five seconds each, after a quick start.
        for looks in 0..130 {
            if answer["registrationState"].as_str() == Some("Registered") {
                return Ok(());
            }
            tokio::time::sleep(arm::pause(looks)).await;
            let response = self.arm()?.send(&Ask::get(&call, &path, RESOURCES_VERSION)).await?;
            answer = arm::json(&call, &response)?;
        }
        let mut error = ours(ErrorKind::Invalid, &call, format!("{namespace} is still being registered"));
        error.hint = Some("wait until it is registered (`az provider show`), and run again".to_owned());
        Err(error)
    }
}

/// The credential chain, for whoever sends requests beside the clients.
#[derive(Default)]
pub(crate) struct Ambient(OnceLock<Result<Arc<dyn azure_core::auth::TokenCredential>, CloudError>>);

impl Ambient {
    /// A token for this scope that is valid now.
    pub(crate) async fn token(&self, scope: &str) -> Result<Secret, CloudError> {
        let find = || credentials::credential(None, &wire::network(false)?);
        let credential = self.0.get_or_init(find).as_ref().map_err(Clone::clone)?;
        let token = credential.get_token(&[scope]).await;
        let token = token.map_err(|error| wire::convert("credentials", &error))?;
        Ok(Secret::new(token.token.secret()))
    }
}

/// The kind of a type.
pub(crate) fn kind(ty: &ResourceType) -> Option<&'static dyn Kind<Azure>> {
    KINDS.iter().copied().find(|kind| kind.schema().ty == ty.as_str())
}

/// The schemas of the table.
pub(crate) fn schemas() -> impl Iterator<Item = &'static Schema> {
    super::schemas_of(KINDS)
}

#[cfg(test)]
mod tests;
