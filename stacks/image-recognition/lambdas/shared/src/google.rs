//! Google Cloud without a key: the function's AWS role is exchanged for a short-lived token of a service account.
//!
//! 1. A GetCallerIdentity request is signed with the role's keys, and not sent: it is the *subject token*. Google
//!    sends it to AWS, and so learns which role holds the keys. The header `x-goog-cloud-target-resource`, signed
//!    along, makes it good for one provider of one pool alone.
//! 2. Google's STS takes it for a federated token.
//! 3. With that, the service account's own access token is asked for.
//!
//! The configuration of all this is the file that `GOOGLE_APPLICATION_CREDENTIALS` names, or the same JSON in
//! `GOOGLE_CREDENTIAL_CONFIGURATION`. It holds no secret. It is read at the start, so that a function without a sound one
//! does not start.
//!
//! A token is kept until five minutes before it expires. Any number of callers share one exchange at a time:
//! those who come meanwhile wait for it, and share its failure too.

use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde_json::json;
use thiserror::Error;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::aws::{Aws, Unsigned};
use crate::call::{CallError, Caller, Reply, json};
use crate::endpoint::{Endpoint, EndpointError};
use crate::secret::Secret;
use crate::settings::Settings;

/// A token is renewed when no more than this is left of it.
const MARGIN: Duration = Duration::from_mins(5);
/// What the federated token may be used for: becoming the service account, and whatever else the pool may do.
const FEDERATED_SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";
/// What the service account's token may be used for: documents alone.
const SCOPE: &str = "https://www.googleapis.com/auth/datastore";
/// As Python's `quote` leaves them: this is how Google's own libraries write a subject token.
const QUOTED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');

/// Why there is no token.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TokenError {
    /// The settings have no sound configuration; whoever finishes them is told, and why.
    #[error("there is no credential configuration for Google Cloud")]
    Configuration,
    /// A step of the exchange failed.
    #[error("no token for Google Cloud")]
    Exchange(#[source] CallError),
}

#[derive(Debug, Clone, Deserialize)]
struct Document {
    r#type: String,
    audience: String,
    subject_token_type: String,
    token_url: String,
    credential_source: CredentialSource,
    service_account_impersonation_url: String,
    service_account_impersonation: Option<Impersonation>,
}

#[derive(Debug, Clone, Deserialize)]
struct CredentialSource {
    environment_id: String,
    regional_cred_verification_url: String,
}

#[derive(Debug, Clone, Deserialize)]
struct Impersonation {
    token_lifetime_seconds: Option<u32>,
}

/// The configuration, checked.
#[derive(Debug, Clone)]
struct Exchange {
    audience: String,
    verification_url: String,
    token_url: Endpoint,
    impersonation_url: Endpoint,
    lifetime_seconds: u32,
}

#[derive(Default)]
struct Cache {
    token: Option<(Secret, SystemTime)>,
    failure: Option<(TokenError, Instant)>,
}

/// The service account's tokens.
pub struct Tokens {
    aws: Aws,
    caller: Caller,
    /// Nothing where the settings are wrong.
    exchange: Option<Exchange>,
    cache: Mutex<Cache>,
}

impl Tokens {
    /// Reads the configuration: from the file that `GOOGLE_APPLICATION_CREDENTIALS` names, or from
    /// `GOOGLE_CREDENTIAL_CONFIGURATION`. `GOOGLE_ENDPOINT_URL` says where Google's services are when they are not where
    /// the configuration says: the sandbox.
    pub fn from_settings(settings: &mut Settings<'_>, aws: Aws, caller: Caller) -> Self {
        let endpoint = settings.endpoint("GOOGLE_ENDPOINT_URL");
        let exchange = configuration(settings).and_then(|(name, text)| {
            let parsed = Exchange::parse(&text, &aws.region, endpoint.as_ref());
            parsed.map_err(|why| settings.wrong(format!("{name} is no configuration to be used: {why}"))).ok()
        });
        Self { aws, caller, exchange, cache: Mutex::default() }
    }

    /// A token that is good for some minutes at least, or for as long as the last one was if no new one is to be
    /// had. One exchange at a time.
    pub async fn token(&self, deadline: Instant) -> Result<Secret, TokenError> {
        let asked = Instant::now();
        let mut cache = self.cache.lock().await;
        let now = SystemTime::now();
        if let Some((token, expires)) = &cache.token
            && *expires > now + MARGIN
        {
            return Ok(token.clone());
        }
        // Whoever waited while an exchange failed shares its failure, rather than failing the same way in turn.
        if let Some((error, failed)) = &cache.failure
            && *failed >= asked
        {
            return Err(error.clone());
        }
        match self.exchange(deadline).await {
            Ok((token, expires)) => {
                cache.failure = None;
                cache.token = Some((token.clone(), expires));
                tracing::info!(expires_at = %moment(expires), "a token for Google Cloud was obtained");
                Ok(token)
            }
            Err(error) => match &cache.token {
                Some((token, expires)) if *expires > now + Duration::from_secs(30) => {
                    tracing::warn!(error = %error, "the token could not be renewed, the old one still holds");
                    Ok(token.clone())
                }
                _ => {
                    cache.failure = Some((error.clone(), Instant::now()));
                    Err(error)
                }
            },
        }
    }

    /// Forgets a token that a service did not take; another one that came meanwhile is kept.
    pub async fn forget(&self, refused: &Secret) {
        let mut cache = self.cache.lock().await;
        if cache.token.as_ref().is_some_and(|(token, _)| token == refused) {
            cache.token = None;
        }
    }

    async fn exchange(&self, deadline: Instant) -> Result<(Secret, SystemTime), TokenError> {
        let exchange = self.exchange.as_ref().ok_or(TokenError::Configuration)?;
        let federated = self.federated(exchange, deadline).await.map_err(TokenError::Exchange)?;
        self.impersonated(exchange, &federated, deadline).await.map_err(TokenError::Exchange)
    }

    async fn federated(&self, exchange: &Exchange, deadline: Instant) -> Result<Secret, CallError> {
        #[derive(Deserialize)]
        struct Answer {
            access_token: Secret,
        }
        let service = "Google's STS";
        let make = |client: &reqwest::Client| {
            let subject = subject_token(&self.aws, exchange, SystemTime::now())?;
            let body = form_urlencoded::Serializer::new(String::new())
                .append_pair("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange")
                .append_pair("audience", &exchange.audience)
                .append_pair("scope", FEDERATED_SCOPE)
                .append_pair("requested_token_type", "urn:ietf:params:oauth:token-type:access_token")
                .append_pair("subject_token", subject.reveal())
                .append_pair("subject_token_type", SUBJECT_TOKEN_TYPE)
                .finish();
            let request = client.post(exchange.token_url.as_str()).body(body);
            Ok(request.header("content-type", "application/x-www-form-urlencoded"))
        };
        let read = |reply: &Reply| json::<Answer>(service, reply).map(|answer| answer.access_token);
        self.caller.call(service, deadline, 64 * 1024, make, read).await
    }

    async fn impersonated(
        &self,
        exchange: &Exchange,
        federated: &Secret,
        deadline: Instant,
    ) -> Result<(Secret, SystemTime), CallError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Answer {
            access_token: Secret,
            expire_time: Timestamp,
        }
        let service = "Google's IAM Credentials";
        let body =
            json!({ "scope": [SCOPE], "lifetime": format!("{}s", exchange.lifetime_seconds) }).to_string();
        let make = |client: &reqwest::Client| {
            let request = client.post(exchange.impersonation_url.as_str()).bearer_auth(federated.reveal());
            Ok(request.header("content-type", "application/json").body(body.clone()))
        };
        let read = |reply: &Reply| {
            json::<Answer>(service, reply).map(|answer| (answer.access_token, answer.expire_time.into()))
        };
        self.caller.call(service, deadline, 64 * 1024, make, read).await
    }
}

/// The configuration's text, and the variable that it is from.
fn configuration(settings: &mut Settings<'_>) -> Option<(&'static str, String)> {
    const FILE: &str = "GOOGLE_APPLICATION_CREDENTIALS";
    const TEXT: &str = "GOOGLE_CREDENTIAL_CONFIGURATION";
    let Some(path) = settings.optional(FILE) else {
        let text = settings.optional(TEXT);
        if text.is_none() {
            settings.wrong(format!("neither {FILE} nor {TEXT} is set"));
        }
        return text.map(|text| (TEXT, text));
    };
    // A few hundred bytes on a local disk, once.
    let text = std::fs::read_to_string(&path);
    text.map_err(|why| settings.wrong(format!("{FILE}: {path} cannot be read: {why}")))
        .ok()
        .map(|text| (FILE, text))
}

const SUBJECT_TOKEN_TYPE: &str = "urn:ietf:params:aws:token-type:aws4_request";

impl Exchange {
    fn parse(text: &str, region: &str, elsewhere: Option<&Endpoint>) -> Result<Self, String> {
        let document: Document = serde_json::from_str(text).map_err(|why| why.to_string())?;
        if document.r#type != "external_account" {
            return Err(format!("its type is `{}`, not `external_account`", document.r#type));
        }
        if document.subject_token_type != SUBJECT_TOKEN_TYPE
            || document.credential_source.environment_id != "aws1"
        {
            return Err("it is not made for an AWS role".to_owned());
        }
        let service = |text: &str| {
            let url = Endpoint::parse(text).map_err(|why: EndpointError| why.to_string())?;
            Ok::<_, String>(elsewhere.map_or(url.clone(), |other| url.moved_to(other)))
        };
        let source = document.credential_source;
        // This address is signed for, not called; still nothing but AWS's STS has a use for the signature.
        let verification_url = source.regional_cred_verification_url.replace("{region}", region);
        Endpoint::parse(&verification_url).map_err(|why| why.to_string())?;
        let impersonation = document.service_account_impersonation;
        let lifetime = impersonation.and_then(|asked| asked.token_lifetime_seconds);
        Ok(Self {
            audience: document.audience,
            verification_url,
            token_url: service(&document.token_url)?,
            impersonation_url: service(&document.service_account_impersonation_url)?,
            lifetime_seconds: lifetime.unwrap_or(3600),
        })
    }
}

/// The signed request, as Google wants it: JSON, percent-encoded.
fn subject_token(aws: &Aws, exchange: &Exchange, now: SystemTime) -> Result<Secret, CallError> {
    let url = &exchange.verification_url;
    let audience = exchange.audience.as_str();
    let bound = [("x-goog-cloud-target-resource", audience)];
    let unsigned = Unsigned { service: "sts", method: "POST", url, headers: &bound, body: b"" };
    let signed = aws.sign(&unsigned, now)?;
    let host = reqwest::Url::parse(url).ok().and_then(|url| {
        let host = url.host_str()?.to_owned();
        Some(url.port().map_or(host.clone(), |port| format!("{host}:{port}")))
    });
    let mut headers = vec![
        json!({ "key": "host", "value": host.unwrap_or_default() }),
        json!({ "key": "x-goog-cloud-target-resource", "value": audience }),
    ];
    headers.extend(signed.iter().map(|(name, value)| {
        let name = if name == "authorization" { "Authorization" } else { name };
        json!({ "key": name, "value": value.reveal() })
    }));
    headers.sort_by_key(|header| header["key"].as_str().unwrap_or_default().to_ascii_lowercase());
    let document = json!({ "url": url, "method": "POST", "headers": headers }).to_string();
    Ok(Secret::new(utf8_percent_encode(&document, QUOTED).to_string()))
}

fn moment(time: SystemTime) -> String {
    Timestamp::try_from(time).map(|time| time.to_string()).unwrap_or_default()
}
