//! Credentials, endpoints, timeouts: how the SDK's clients are made.
//!
//! Plain HTTP is spoken with loopback addresses alone, and there with keys that were meant for it: given ones,
//! those of the environment, or dummies, never those of a profile or of a machine.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use aws_config::default_provider::credentials::DefaultCredentialsChain;
use aws_config::provider_config::ProviderConfig;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::{ProvideCredentials as _, SharedCredentialsProvider};
use aws_sdk_s3::config::interceptors::BeforeTransmitInterceptorContextRef;
use aws_sdk_s3::config::{ConfigBag, IdentityCache, Intercept, RuntimeComponents, SharedHttpClient};
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use aws_smithy_runtime_api::box_error::BoxError;

use super::super::{AwsAccess, AwsKey};
use super::dialled::{Carried, Time};
use super::error;
use crate::model::{AwsPlace, Cloud, CloudError, ErrorKind, Secret};

/// The SDK's clients.
pub(super) struct Clients {
    pub(super) cloudformation: aws_sdk_cloudformation::Client,
    pub(super) cloudfront: aws_sdk_cloudfront::Client,
    pub(super) iam: aws_sdk_iam::Client,
    pub(super) lambda: aws_sdk_lambda::Client,
    pub(super) logs: aws_sdk_cloudwatchlogs::Client,
    pub(super) s3: aws_sdk_s3::Client,
    pub(super) sts: aws_sdk_sts::Client,
    /// What they sign with.
    credentials: SharedCredentialsProvider,
    /// Whether they lead somewhere else than to AWS itself.
    pub(super) elsewhere: bool,
}

/// No connection within this: not reachable.
const CONNECT: Duration = Duration::from_secs(5);
/// No answer within this: the outcome is unknown.
pub(super) const ANSWER: Duration = Duration::from_secs(30);
/// All sources of credentials together; a single sign-on or a credential process may ask a server of its own.
const CREDENTIALS: Duration = Duration::from_secs(30);
/// A machine's metadata service answers within milliseconds, if there is one.
const METADATA: Duration = Duration::from_secs(1);

/// Makes the clients. Reads the environment and the profiles; sends nothing.
pub(super) async fn connect(place: &AwsPlace, access: &AwsAccess) -> Result<Clients, CloudError> {
    // The process may hold more than one TLS provider; without a default, the first handshake would panic.
    // It fails if there is one already, and that is fine.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let http = match &access.dial {
        Some(dial) => SharedHttpClient::new(Carried::new(dial)),
        None => sockets(),
    };
    let region = Region::new(place.region.clone());
    // What the stack says goes before what the caller says, and the environment, AWS's own way, comes last.
    let endpoint = place.endpoint.clone().or_else(|| access.endpoint.clone());
    let endpoint = endpoint.or_else(|| std::env::var("AWS_ENDPOINT_URL").ok().filter(|url| !url.is_empty()));
    let credentials = credentials(place, endpoint.as_deref(), access, &http).await;
    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        .region(region)
        .http_client(http.clone())
        .retry_config(RetryConfig::disabled())
        .timeout_config(TimeoutConfig::builder().connect_timeout(CONNECT).read_timeout(ANSWER).build())
        .identity_cache(IdentityCache::lazy().load_timeout(CREDENTIALS).build())
        .credentials_provider(credentials.clone());
    if let Some(endpoint) = endpoint {
        loader = loader.endpoint_url(endpoint);
    }
    if let Some(dial) = &access.dial {
        loader = loader.time_source(Time(dial.clone()));
    }
    let config = loader.load().await;
    if let Some(endpoint) = config.endpoint_url()
        && !is_private(endpoint)
    {
        return Err(CloudError {
            cloud: Cloud::Aws,
            call: "connect".to_owned(),
            kind: ErrorKind::Invalid,
            code: String::new(),
            message: PlainHttp(endpoint.to_owned()).to_string(),
            request_id: None,
            hint: Some(
                "use https://, or an address of this machine such as http://127.0.0.1:5000".to_owned(),
            ),
        });
    }
    Ok(clients(&config, credentials))
}

impl Clients {
    /// The access key that they sign with now.
    pub(super) async fn key(&self) -> Result<AwsKey, CloudError> {
        key(&self.credentials).await
    }
}

/// A client for each service.
fn clients(config: &SdkConfig, credentials: SharedCredentialsProvider) -> Clients {
    let elsewhere = config.endpoint_url().is_some();
    let mut iam = aws_sdk_iam::config::Builder::from(config).interceptor(LoopbackOnly);
    let mut cloudfront = aws_sdk_cloudfront::config::Builder::from(config).interceptor(LoopbackOnly);
    if elsewhere {
        // Both are global and signed for us-east-1; behind an endpoint of its own the SDK would sign for the region.
        iam = iam.region(Region::from_static("us-east-1"));
        cloudfront = cloudfront.region(Region::from_static("us-east-1"));
    }
    Clients {
        cloudformation: aws_sdk_cloudformation::Client::from_conf(
            aws_sdk_cloudformation::config::Builder::from(config).interceptor(LoopbackOnly).build(),
        ),
        cloudfront: aws_sdk_cloudfront::Client::from_conf(cloudfront.build()),
        iam: aws_sdk_iam::Client::from_conf(iam.build()),
        lambda: aws_sdk_lambda::Client::from_conf(
            aws_sdk_lambda::config::Builder::from(config).interceptor(LoopbackOnly).build(),
        ),
        logs: aws_sdk_cloudwatchlogs::Client::from_conf(
            aws_sdk_cloudwatchlogs::config::Builder::from(config).interceptor(LoopbackOnly).build(),
        ),
        // An endpoint elsewhere has no host name for each bucket.
        s3: aws_sdk_s3::Client::from_conf(
            aws_sdk_s3::config::Builder::from(config)
                .force_path_style(elsewhere)
                .interceptor(LoopbackOnly)
                .build(),
        ),
        sts: aws_sdk_sts::Client::from_conf(
            aws_sdk_sts::config::Builder::from(config).interceptor(LoopbackOnly).build(),
        ),
        credentials,
        elsewhere,
    }
}

fn sockets() -> SharedHttpClient {
    aws_smithy_http_client::Builder::new()
        .pool_idle_timeout(Duration::from_secs(30))
        .tls_provider(Provider::Rustls(CryptoMode::Ring))
        .build_https()
}

/// Given keys; or for plain HTTP those of the environment or dummies; or AWS's default chain.
async fn credentials(
    place: &AwsPlace,
    endpoint: Option<&str>,
    access: &AwsAccess,
    http: &SharedHttpClient,
) -> SharedCredentialsProvider {
    if let Some((id, secret)) = &access.keys {
        return SharedCredentialsProvider::new(Credentials::from_keys(id, secret.expose(), None));
    }
    let keys_in_environment = std::env::var_os("AWS_ACCESS_KEY_ID").is_some();
    if endpoint.is_some_and(|endpoint| !endpoint.starts_with("https://")) && !keys_in_environment {
        // Emulators take any key; those that play several accounts take the account's number for one.
        return SharedCredentialsProvider::new(Credentials::from_keys(&place.account, "none", None));
    }
    default_chain(&place.region, http).await
}

/// AWS's default chain: environment, profiles, single sign-on, credential processes, container and machine.
async fn default_chain(region: &str, http: &SharedHttpClient) -> SharedCredentialsProvider {
    let config = ProviderConfig::without_region()
        .with_http_client(http.clone())
        .with_region(Some(Region::new(region.to_owned())));
    // Outside of EC2 nothing answers there; without a bound, finding that out takes half a minute.
    let metadata = aws_config::imds::Client::builder()
        .configure(&config)
        .max_attempts(1)
        .connect_timeout(METADATA)
        .read_timeout(METADATA)
        .operation_timeout(METADATA * 3)
        .build();
    let chain = DefaultCredentialsChain::builder().configure(config).imds_client(metadata);
    SharedCredentialsProvider::new(chain.build().await)
}

/// AWS's default chain, for whoever signs requests beside the SDK's clients.
pub(crate) struct Ambient {
    region: String,
    chain: tokio::sync::OnceCell<SharedCredentialsProvider>,
}

impl Ambient {
    /// Touches nothing.
    pub(crate) fn new(region: &str) -> Self {
        Self { region: region.to_owned(), chain: tokio::sync::OnceCell::new() }
    }

    /// An access key that is valid now.
    pub(crate) async fn key(&self) -> Result<AwsKey, CloudError> {
        let find = || async {
            let _ = rustls::crypto::ring::default_provider().install_default();
            default_chain(&self.region, &sockets()).await
        };
        key(self.chain.get_or_init(find).await).await
    }
}

/// The access key that is valid now.
async fn key(credentials: &SharedCredentialsProvider) -> Result<AwsKey, CloudError> {
    let missing = |message: String| CloudError {
        cloud: Cloud::Aws,
        call: "credentials".to_owned(),
        kind: ErrorKind::Credentials,
        code: String::new(),
        message,
        request_id: None,
        hint: Some(error::SIGN_IN.to_owned()),
    };
    let found = tokio::time::timeout(CREDENTIALS, credentials.provide_credentials()).await;
    let found = found.map_err(|_| missing("no credentials came in time".to_owned()))?.map_err(|error| {
        missing(error::no_credentials(&error, std::env::var("AWS_PROFILE").ok().as_deref()))
    })?;
    let token = found.session_token().map(Secret::new);
    Ok((found.access_key_id().to_owned(), Secret::new(found.secret_access_key()), token))
}

/// Whether what is sent there stays private: TLS, or an address of this machine.
fn is_private(url: &str) -> bool {
    match url.parse::<http::Uri>().ok().as_ref().and_then(http::Uri::scheme_str) {
        Some("https") => true,
        Some("http") => is_loopback(url),
        _ => false,
    }
}

/// Whether an endpoint is an address of this machine.
pub(crate) fn is_loopback(url: &str) -> bool {
    let Ok(uri) = url.parse::<http::Uri>() else { return false };
    let Some(host) = uri.host() else { return false };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost"
        || host.ends_with(".localhost")
        || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// An endpoint that would carry credentials and data in clear over a network.
#[derive(Debug)]
pub(super) struct PlainHttp(String);

impl fmt::Display for PlainHttp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "plain HTTP to {} is refused", self.0)
    }
}

impl std::error::Error for PlainHttp {}

/// Stands before every request of a client: endpoints can come from many places (a service's own variable, a
/// profile), and none of them may lead plain HTTP off this machine.
#[derive(Debug)]
struct LoopbackOnly;

#[aws_smithy_runtime_api::client::interceptors::dyn_dispatch_hint]
impl Intercept for LoopbackOnly {
    fn name(&self) -> &'static str {
        "LoopbackOnly"
    }

    fn read_before_transmit(
        &self,
        context: &BeforeTransmitInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let uri = context.request().uri();
        if is_private(uri) { Ok(()) } else { Err(PlainHttp(uri.to_owned()).into()) }
    }
}

#[cfg(test)]
mod tests {
    use super::is_private;

    #[test]
    fn plain_http_stays_on_this_machine() {
        for url in [
            "https://s3.amazonaws.com/a?b",
            "http://127.0.0.1:5000",
            "http://[::1]:5000/x",
            "http://localhost:4566/",
            "http://bucket.localhost:4566/",
            "http://127.9.9.9",
        ] {
            assert!(is_private(url), "{url}");
        }
        for url in [
            "http://s3.amazonaws.com/",
            "http://127.0.0.1.example.com/",
            "http://localhost.example.com",
            "http://10.0.0.1:5000",
            "127.0.0.1:5000",
            "ftp://example.com",
            "",
        ] {
            assert!(!is_private(url), "{url}");
        }
    }
}
