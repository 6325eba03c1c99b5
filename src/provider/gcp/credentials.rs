//! Whose word Google gets: a given token, or application-default credentials as Google's own tools find them
//! (<https://google.aip.dev/auth/4110>): the file that `GOOGLE_APPLICATION_CREDENTIALS` names, the file that
//! `gcloud auth application-default login` writes, the metadata server. Looked for at the first request.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use google_iam1::common::GetToken;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value as Json, json};
use tokio::sync::OnceCell;
use yup_oauth2::authenticator::Authenticator;
use yup_oauth2::{
    ApplicationDefaultCredentialsAuthenticator, ApplicationDefaultCredentialsFlowOpts,
    AuthorizedUserAuthenticator, CustomHyperClientBuilder, ExternalAccountAuthenticator,
    HyperClientBuilder as _, ServiceAccountAuthenticator, ServiceAccountImpersonationAuthenticator,
};

use super::aws_exchange::{Exchange, is_local, safe};
use super::client::{Transport, transport};
use super::failure::{LOGIN, own};
use crate::model::{CloudError, ErrorKind, Secret};

/// What the tokens are for: everything that the credentials themselves may do.
pub(super) const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";

/// A token endpoint that takes longer is not there.
const PATIENCE: Duration = Duration::from_secs(30);
/// The metadata server is on the machine or it is not.
const METADATA_PATIENCE: Duration = Duration::from_secs(3);

/// The environment's variables, by name; empty ones count as not set.
pub(super) type Environment = Arc<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// The environment of this process.
pub(super) fn of_process() -> Environment {
    Arc::new(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
}

/// Gives tokens, renewed in time. Clones share what was found.
#[derive(Clone)]
pub(super) struct Tokens(Arc<Inner>);

struct Inner {
    given: Option<Secret>,
    environment: Environment,
    source: OnceCell<Source>,
    quota_project: OnceLock<String>,
}

/// Where tokens come from.
enum Source {
    /// yup-oauth2 gets and renews them.
    Library(Authenticator<Transport>, Duration),
    /// An AWS identity is exchanged for them, which yup-oauth2 does not know.
    Aws(Box<Exchange>),
}

impl Tokens {
    /// Touches nothing.
    pub(super) fn new(given: Option<Secret>, environment: Environment) -> Self {
        Self(Arc::new(Inner { given, environment, source: OnceCell::new(), quota_project: OnceLock::new() }))
    }

    /// A token that is valid now.
    pub(super) async fn token(&self) -> Result<Secret, CloudError> {
        if let Some(given) = &self.0.given {
            return Ok(given.clone());
        }
        match self.0.source.get_or_try_init(|| find(&self.0.environment, &self.0.quota_project)).await? {
            Source::Aws(exchange) => exchange.token().await,
            Source::Library(authenticator, patience) => {
                let token = tokio::time::timeout(*patience, authenticator.token(&[SCOPE])).await;
                let token = token.map_err(|_| missing("no access token came in time".to_owned()))?;
                let token = token.map_err(|error| missing(error.to_string()))?;
                token.token().map(Secret::new).ok_or_else(|| missing("no access token came".to_owned()))
            }
        }
    }

    /// The project that pays for the calls of a person's credentials, which belong to none.
    pub(super) fn quota_project(&self) -> Option<&str> {
        self.0.quota_project.get().map(String::as_str)
    }
}

impl GetToken for Tokens {
    fn get_token<'a>(
        &'a self,
        _scopes: &'a [&str],
    ) -> std::pin::Pin<
        Box<
            dyn Future<Output = Result<Option<String>, Box<dyn std::error::Error + Send + Sync>>> + Send + 'a,
        >,
    > {
        Box::pin(async move { Ok(Some(self.token().await?.expose().to_owned())) })
    }
}

/// Credentials cannot be found, read or used.
pub(super) fn missing(message: String) -> CloudError {
    CloudError { hint: Some(LOGIN.to_owned()), ..own("credentials", ErrorKind::Credentials, message) }
}

async fn find(environment: &Environment, quota_project: &OnceLock<String>) -> Result<Source, CloudError> {
    if let Some(file) = environment("GOOGLE_APPLICATION_CREDENTIALS") {
        return from_file(PathBuf::from(file), environment, quota_project).await;
    }
    match well_known(environment) {
        Some(file) if file.is_file() => from_file(file, environment, quota_project).await,
        _ => from_metadata(environment).await,
    }
}

/// The file that `gcloud auth application-default login` writes.
fn well_known(environment: &Environment) -> Option<PathBuf> {
    let (home, inside) = if cfg!(windows) { ("APPDATA", "gcloud") } else { ("HOME", ".config/gcloud") };
    let folder = match environment("CLOUDSDK_CONFIG") {
        Some(folder) => PathBuf::from(folder),
        None => PathBuf::from(environment(home)?).join(inside),
    };
    Some(folder.join("application_default_credentials.json"))
}

async fn from_file(
    file: PathBuf,
    environment: &Environment,
    quota_project: &OnceLock<String>,
) -> Result<Source, CloudError> {
    let shown = file.display().to_string();
    let wrong = |why: String| missing(format!("{shown}: {why}"));
    let text = tokio::fs::read_to_string(&file).await.map_err(|error| wrong(error.to_string()))?;
    let json: Json = serde_json::from_str(&text).map_err(|_| wrong("it is not JSON".to_owned()))?;
    let quota = environment("GOOGLE_CLOUD_QUOTA_PROJECT");
    if let Some(project) =
        quota.as_deref().or_else(|| json["quota_project_id"].as_str()).filter(|id| !id.is_empty())
    {
        let _ = quota_project.set(project.to_owned());
    }
    // Secrets go out over TLS alone, or stay on the machine.
    let mut plain = false;
    for name in ["token_uri", "token_url", "service_account_impersonation_url"] {
        if let Some(url) = json[name].as_str() {
            plain |= is_local(&safe(url.to_owned()).map_err(wrong)?);
        }
    }
    let client = || http(plain).map(CustomHyperClientBuilder::from);
    let parse = |error: serde_json::Error| wrong(format!("it is not complete: {error}"));
    let built = match json["type"].as_str().unwrap_or_default() {
        "service_account" => {
            let key = serde_json::from_value(json).map_err(parse)?;
            ServiceAccountAuthenticator::with_client(key, client()?).build().await
        }
        "authorized_user" => {
            let secret = serde_json::from_value(json).map_err(parse)?;
            AuthorizedUserAuthenticator::with_client(secret, client()?).build().await
        }
        "impersonated_service_account" => {
            let email = impersonated(&json).ok_or_else(|| wrong("it names no service account".to_owned()))?;
            let secret = serde_json::from_value(json["source_credentials"].clone()).map_err(parse)?;
            ServiceAccountImpersonationAuthenticator::with_client(secret, &email, client()?).build().await
        }
        "external_account" => {
            let source = json["credential_source"]["environment_id"].as_str().unwrap_or_default();
            if source.starts_with("aws") {
                return Exchange::new(&json, http_for_exchange()?, environment.clone())
                    .map(|exchange| Source::Aws(Box::new(exchange)))
                    .map_err(wrong);
            }
            // Metadata servers of other clouds are asked over plain HTTP on the machine itself.
            let client = CustomHyperClientBuilder::from(http(true)?);
            let secret = serde_json::from_value(with_format(json)).map_err(parse)?;
            ExternalAccountAuthenticator::with_client(secret, client).build().await
        }
        other => return Err(wrong(format!("mcm does not know credentials of the type `{other}`"))),
    };
    built
        .map(|authenticator| Source::Library(authenticator, PATIENCE))
        .map_err(|error| wrong(error.to_string()))
}

/// `…/serviceAccounts/EMAIL:generateAccessToken` -> `EMAIL`.
fn impersonated(json: &Json) -> Option<String> {
    let url = json["service_account_impersonation_url"].as_str()?;
    let (_, rest) = url.split_once("/serviceAccounts/")?;
    rest.strip_suffix(":generateAccessToken").map(str::to_owned)
}

/// The format of a source's answer is optional; yup-oauth2 wants it said.
fn with_format(mut json: Json) -> Json {
    let source = &mut json["credential_source"];
    if source["url"].is_string() && source["format"]["type"].is_null() {
        source["format"] = json!({ "type": "text" });
    }
    json
}

async fn from_metadata(environment: &Environment) -> Result<Source, CloudError> {
    let host = environment("GCE_METADATA_HOST").unwrap_or_else(|| "metadata.google.internal".to_owned());
    let options = ApplicationDefaultCredentialsFlowOpts {
        metadata_url: Some(format!(
            "http://{host}/computeMetadata/v1/instance/service-accounts/default/token"
        )),
    };
    let client = CustomHyperClientBuilder::from(http(true)?).with_timeout(METADATA_PATIENCE);
    let authenticator = match ApplicationDefaultCredentialsAuthenticator::with_client(options, client).await {
        yup_oauth2::authenticator::ApplicationDefaultCredentialsTypes::InstanceMetadata(builder) => {
            builder.build().await
        }
        yup_oauth2::authenticator::ApplicationDefaultCredentialsTypes::ServiceAccount(builder) => {
            builder.build().await
        }
    };
    let authenticator = authenticator.map_err(|error| missing(error.to_string()))?;
    // Off Google's machines nothing answers here: find out now, and say so in terms of what the user can do.
    let probe = tokio::time::timeout(METADATA_PATIENCE, authenticator.token(&[SCOPE])).await;
    match probe {
        Ok(Ok(_)) => Ok(Source::Library(authenticator, PATIENCE)),
        Ok(Err(_)) | Err(_) => Err(missing(
            "there are no application-default credentials: neither GOOGLE_APPLICATION_CREDENTIALS, nor gcloud's file, nor a \
             metadata server"
                .to_owned(),
        )),
    }
}

/// A client of the kind that yup-oauth2 takes.
fn http(plain: bool) -> Result<hyper_util::client::legacy::Client<Transport, String>, CloudError> {
    Ok(hyper_util::client::legacy::Client::builder(TokioExecutor::new()).build(transport(plain, None)?))
}

/// A client of our own kind; AWS's metadata server speaks plain HTTP.
fn http_for_exchange() -> Result<super::client::Http, CloudError> {
    Ok(hyper_util::client::legacy::Client::builder(TokioExecutor::new()).build(transport(true, None)?))
}

#[cfg(test)]
mod tests;
