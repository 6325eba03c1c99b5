//! Ambient credentials, in a bounded chain: the environment (a federated token or a client secret), then a managed
//! identity, then the Azure CLI.
//!
//! What the environment names is used or fails; only what merely happens to be there is tried in turn.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use azure_core::auth::{AccessToken, TokenCredential};
use azure_core::date::{diff, parse_rfc3339};
use azure_core::error::{Error, ErrorKind as CoreKind};
use azure_core::{HttpClient, Url};
use azure_identity::{
    AppServiceManagedIdentityCredential, AzureCliCredential, ClientSecretCredential, TokenCredentialOptions,
    VirtualMachineManagedIdentityCredential, WorkloadIdentityCredential,
};
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use super::errors::{chain, ours};
use super::wire::{self, Transport};
use crate::model::{CloudError, ErrorKind, Secret};

/// Azure's own directory.
const AUTHORITY: &str = "https://login.microsoftonline.com";
/// The metadata service answers within this time, or there is none.
const METADATA: Duration = Duration::from_secs(1);
/// The Azure CLI is slow to start.
const CLI: Duration = Duration::from_secs(20);
/// A token request, retries included.
const DIRECTORY: Duration = Duration::from_secs(90);
/// A token is renewed when this much of its life is left.
const MARGIN: Duration = Duration::from_mins(5);

/// The credential for a client: the token given, or the chain.
pub(super) fn credential(
    token: Option<&Secret>,
    wire: &Arc<dyn HttpClient>,
) -> Result<Arc<dyn TokenCredential>, CloudError> {
    Ok(match token {
        Some(token) => Arc::new(Given::new(token)?),
        None => Arc::new(Chain { wire: Arc::clone(wire), held: Mutex::new(None) }),
    })
}

/// A token that the caller brought.
#[derive(Debug)]
struct Given(AccessToken);

impl Given {
    fn new(token: &Secret) -> Result<Self, CloudError> {
        // It is the caller's to renew.
        let expires = parse_rfc3339("9999-01-01T00:00:00Z")
            .map_err(|error| ours(ErrorKind::Credentials, "token", chain(&error)))?;
        Ok(Self(AccessToken::new(token.expose().to_owned(), expires)))
    }
}

#[async_trait]
impl TokenCredential for Given {
    async fn get_token(&self, _scopes: &[&str]) -> azure_core::Result<AccessToken> {
        Ok(self.0.clone())
    }

    async fn clear_cache(&self) -> azure_core::Result<()> {
        Ok(())
    }
}

/// The chain, with the token it found last.
#[derive(Debug)]
struct Chain {
    wire: Arc<dyn HttpClient>,
    held: Mutex<Option<(AccessToken, Instant)>>,
}

#[async_trait]
impl TokenCredential for Chain {
    async fn get_token(&self, scopes: &[&str]) -> azure_core::Result<AccessToken> {
        let mut held = self.held.lock().await;
        if let Some((token, fresh_until)) = held.as_ref()
            && Instant::now() < *fresh_until
        {
            return Ok(token.clone());
        }
        let token = self.find(scopes).await.map_err(|error| Error::new(CoreKind::Credential, error))?;
        *held = Some((token.clone(), Instant::now() + fresh_for(&token)));
        Ok(token)
    }

    async fn clear_cache(&self) -> azure_core::Result<()> {
        *self.held.lock().await = None;
        Ok(())
    }
}

impl Chain {
    async fn find(&self, scopes: &[&str]) -> Result<AccessToken, CloudError> {
        let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        if let Some(credential) = from_environment(&self.wire, &set)? {
            let token = timeout(DIRECTORY, credential.get_token(scopes)).await;
            return match token {
                Ok(Ok(token)) => Ok(token),
                Ok(Err(error)) => Err(refused(&error)),
                Err(_) => Err(missing("the directory did not answer in time".to_owned())),
            };
        }
        // Both side by side: a laptop has no metadata service, and waiting for it first would be felt.
        let (identity, cli) = tokio::join!(managed_identity(&self.wire, scopes), azure_cli(scopes));
        identity.or_else(|identity| {
            cli.map_err(|cli| {
                missing(format!("environment: nothing set; managed identity: {identity}; Azure CLI: {cli}"))
            })
        })
    }
}

/// The credential that the environment names, if it names one.
pub(super) fn from_environment(
    wire: &Arc<dyn HttpClient>,
    set: &dyn Fn(&str) -> Option<String>,
) -> Result<Option<Box<dyn TokenCredential>>, CloudError> {
    let (tenant, client) = (set("AZURE_TENANT_ID"), set("AZURE_CLIENT_ID"));
    let secret = set("AZURE_CLIENT_SECRET");
    let file = set("AZURE_FEDERATED_TOKEN_FILE");
    if secret.is_none() && file.is_none() {
        return Ok(None);
    }
    let (Some(tenant), Some(client)) = (tenant, client) else {
        let given = if file.is_some() { "AZURE_FEDERATED_TOKEN_FILE" } else { "AZURE_CLIENT_SECRET" };
        return Err(missing(format!("{given} is set, and AZURE_TENANT_ID or AZURE_CLIENT_ID is not")));
    };
    let authority = set("AZURE_AUTHORITY_HOST").unwrap_or_else(|| AUTHORITY.to_owned());
    let authority = Url::parse(&authority)
        .ok()
        .filter(|url| url.scheme() == "https")
        .ok_or_else(|| missing(format!("AZURE_AUTHORITY_HOST is no https URL: {authority}")))?;
    let http: Arc<dyn HttpClient> = Arc::new(Transport(Arc::clone(wire)));
    if let Some(file) = file {
        // Read anew for each token: whoever put it there renews it.
        let assertion = std::fs::read_to_string(&file)
            .map_err(|error| missing(format!("reading AZURE_FEDERATED_TOKEN_FILE {file}: {error}")))?;
        let assertion = assertion.trim().to_owned();
        return Ok(Some(Box::new(WorkloadIdentityCredential::new(
            http, authority, tenant, client, assertion,
        ))));
    }
    let secret = secret.unwrap_or_default();
    Ok(Some(Box::new(ClientSecretCredential::new(http, authority, tenant, client, secret))))
}

/// An app service's identity where its variables are set, else the virtual machine's.
async fn managed_identity(wire: &Arc<dyn HttpClient>, scopes: &[&str]) -> Result<AccessToken, String> {
    let options = TokenCredentialOptions::from(Arc::clone(wire));
    if std::env::var_os("IDENTITY_ENDPOINT").is_some() {
        let credential =
            AppServiceManagedIdentityCredential::create(options).map_err(|error| chain(&error))?;
        return match timeout(DIRECTORY, credential.get_token(scopes)).await {
            Ok(token) => token.map_err(|error| chain(&error)),
            Err(_) => Err("no answer".to_owned()),
        };
    }
    let credential = VirtualMachineManagedIdentityCredential::new(options);
    match timeout(METADATA, credential.get_token(scopes)).await {
        Ok(Ok(token)) => Ok(token),
        Ok(Err(_)) | Err(_) => Err("not on an Azure machine, or it has none".to_owned()),
    }
}

async fn azure_cli(scopes: &[&str]) -> Result<AccessToken, String> {
    match timeout(CLI, AzureCliCredential::new().get_token(scopes)).await {
        Ok(Ok(token)) => Ok(token),
        Ok(Err(error)) => Err(error.to_string().lines().next().unwrap_or_default().to_owned()),
        Err(_) => Err("`az` did not answer in time".to_owned()),
    }
}

/// How long a token is used before it is renewed.
fn fresh_for(token: &AccessToken) -> Duration {
    match parse_rfc3339(&jiff::Timestamp::now().to_string()) {
        Ok(now) if now < token.expires_on => diff(token.expires_on, now).saturating_sub(MARGIN),
        Ok(_) | Err(_) => Duration::ZERO,
    }
}

/// The directory said no, or could not be asked.
fn refused(error: &Error) -> CloudError {
    match wire::failure(error) {
        Some(found) if found.kind == ErrorKind::Unreachable => found.clone(),
        Some(found) => missing(found.message.clone()),
        None => missing(chain(error)),
    }
}

fn missing(message: String) -> CloudError {
    let mut error = ours(ErrorKind::Credentials, "token", message);
    error.hint = Some(
        "run `az login`; or set AZURE_TENANT_ID and AZURE_CLIENT_ID with AZURE_FEDERATED_TOKEN_FILE or \
         AZURE_CLIENT_SECRET; or run where there is a managed identity"
            .to_owned(),
    );
    error
}
