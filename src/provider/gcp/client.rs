//! The HTTP client under everything here: one connection pool for google-iam1's hub and for the plain JSON calls.
//!
//! google-iam1's helper crate is no longer maintained: nothing outside of this file and `failure.rs` knows it. The
//! transport is one type alias, so that another connector can stand here without touching a resource type.

use std::time::Duration;

use google_iam1::common::Delegate;
use google_iam1::{Iam, common};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

use super::Gcp;
use super::credentials::{Tokens, of_process};
use super::failure;
use super::wire::Wire;
use crate::model::{CloudError, ErrorKind};
use crate::provider::retry::{Attempt, Call, retry};
use crate::provider::{Dial, GcpAccess};

/// What carries bytes.
pub(super) type Transport = HttpsConnector<Wire>;
/// Google's generated client for iam.googleapis.com.
pub(super) type Hub = Iam<Transport>;
/// The pool of connections, as the hub wants it.
pub(super) type Http = common::Client<Transport>;

/// No answer within this time means that none came.
const ANSWER: Duration = Duration::from_mins(1);
const CONNECT: Duration = Duration::from_secs(10);

/// Everything needed to talk to Google.
pub(super) struct Client {
    pub(super) hub: Hub,
    pub(super) http: Http,
    pub(super) tokens: Tokens,
    /// One endpoint for every service, with a `/` behind it; `None` for Google's own.
    pub(super) endpoint: Option<String>,
}

impl Client {
    /// Touches no network. Plain HTTP is for loopback addresses alone.
    pub(super) fn new(endpoint: Option<&str>, access: &GcpAccess) -> Result<Self, CloudError> {
        let endpoint = endpoint.map(checked).transpose()?;
        let plain = endpoint.as_deref().is_some_and(|endpoint| endpoint.starts_with("http://"));
        let transport = transport(plain, access.dial.as_ref())?;
        let http = hyper_util::client::legacy::Client::builder(TokioExecutor::new()).build(transport);
        let tokens = Tokens::new(access.token.clone(), of_process());
        let mut hub = Iam::new(http.clone(), tokens.clone());
        hub.user_agent(concat!("mcm/", env!("CARGO_PKG_VERSION")).to_owned());
        if let Some(endpoint) = &endpoint {
            hub.base_url(endpoint.clone());
            hub.root_url(endpoint.clone());
        }
        Ok(Self { hub, http, tokens, endpoint })
    }
}

/// A connector on ring. Only where plain HTTP is meant does it speak it.
pub(super) fn transport(plain: bool, dial: Option<&Dial>) -> Result<Transport, CloudError> {
    let wire = dial.map_or_else(sockets, |dial| Wire::Dial(dial.clone()));
    let ring = rustls::crypto::ring::default_provider();
    let wrong = |error: String| failure::own("TLS", ErrorKind::Invalid, error);
    // The machine's certificates where it has some, for proxies that have their own; else the well-known ones. Within
    // the process nothing is encrypted.
    let builder = if dial.is_some() {
        let config = rustls::ClientConfig::builder_with_provider(ring.into());
        let config = config.with_safe_default_protocol_versions();
        config.map(|config| {
            let config = config.with_root_certificates(rustls::RootCertStore::empty()).with_no_client_auth();
            HttpsConnectorBuilder::new().with_tls_config(config)
        })
    } else if plain {
        HttpsConnectorBuilder::new().with_provider_and_webpki_roots(ring)
    } else {
        match HttpsConnectorBuilder::new().with_provider_and_native_roots(ring.clone()) {
            Ok(builder) => Ok(builder),
            Err(_) => HttpsConnectorBuilder::new().with_provider_and_webpki_roots(ring),
        }
    };
    let builder = builder.map_err(|error| wrong(error.to_string()))?;
    let builder = if plain { builder.https_or_http() } else { builder.https_only() };
    Ok(builder.enable_all_versions().wrap_connector(wire))
}

fn sockets() -> Wire {
    let mut http = HttpConnector::new();
    http.enforce_http(false);
    http.set_nodelay(true);
    http.set_connect_timeout(Some(CONNECT));
    Wire::Socket(http)
}

/// An endpoint with a `/` behind it.
fn checked(endpoint: &str) -> Result<String, CloudError> {
    let uri: Option<http::Uri> = endpoint.parse().ok();
    let host = uri.as_ref().and_then(http::Uri::host).map(|host| host.trim_matches(['[', ']']).to_owned());
    let local = host.as_deref().is_some_and(|host| {
        host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
    });
    let allowed = match uri.as_ref().and_then(http::Uri::scheme_str) {
        Some("https") => host.is_some(),
        Some("http") => local,
        _ => false,
    };
    if allowed {
        return Ok(format!("{}/", endpoint.trim_end_matches('/')));
    }
    Err(CloudError {
        hint: Some(
            "use https://, or http:// with a loopback address such as http://127.0.0.1:8081".to_owned(),
        ),
        ..failure::own("endpoint", ErrorKind::Invalid, format!("`{endpoint}` cannot be used as an endpoint"))
    })
}

/// Listens to a call of the hub for what its result does not tell.
#[derive(Default)]
pub(super) struct Ear {
    /// The cloud's wish, from `Retry-After`.
    pub(super) retry_after: Option<Duration>,
}

impl Delegate for Ear {
    fn http_failure(
        &mut self,
        response: &common::Response,
        _error: Option<&serde_json::Value>,
    ) -> common::Retry {
        self.retry_after = failure::retry_after(response.headers());
        common::Retry::Abort
    }
}

impl Gcp {
    /// Sends a call of the hub until it is answered, within bounds.
    pub(super) async fn hub<'g, T, F>(
        &'g self,
        call: Call,
        name: &'static str,
        send: impl Fn(&'g Hub) -> F,
    ) -> Result<T, CloudError>
    where
        F: Future<Output = (common::Result<(common::Response, T)>, Ear)>,
    {
        let client = self.client().await?;
        retry(call, || async {
            match tokio::time::timeout(ANSWER, send(&client.hub)).await {
                Ok((Ok((_, answer)), _)) => Ok(answer),
                Ok((Err(error), ear)) => {
                    Err(Attempt { error: failure::from_hub(name, error), retry_after: ear.retry_after })
                }
                Err(_) => Err(failure::unanswered(name).into()),
            }
        })
        .await
    }
}

/// Builds and sends one call of the hub, listening to it. What it captures has to be borrowed: it may be sent again.
macro_rules! listen {
    ($builder:expr) => {
        async move {
            let mut ear = $crate::provider::gcp::client::Ear::default();
            let answer = $builder.delegate(&mut ear).doit().await;
            (answer, ear)
        }
    };
}
pub(super) use listen;

/// Bounds one exchange in time.
pub(super) async fn within<T>(name: &str, exchange: impl Future<Output = T>) -> Result<T, CloudError> {
    tokio::time::timeout(ANSWER, exchange).await.map_err(|_| failure::unanswered(name))
}
