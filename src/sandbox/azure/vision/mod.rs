//! The Computer Vision service's data plane, v3.2: `POST /vision/v3.2/analyze`.
//!
//! What it answers is measured in the picture: its format and size, its colours, and tags and a caption composed of
//! these. What would take more than measuring (faces, objects, brands, adult content) it refuses instead of making it
//! up. An account is reached by its host, given as the `Host` header or as the first word of the path
//! (`/NAME.cognitiveservices.azure.com/vision/v3.2/…`); at a loopback address alone, by its key.
//!
//! Absences: pictures by URL (the sandbox fetches nothing), Entra tokens, captions in other languages than English.

mod analysis;
mod measure;

use std::collections::BTreeSet;

use bytes::Bytes;
use http::{Method, header};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use super::super::world::Record;
use super::super::{Request, Response, World};
use super::accounts::Account;
use super::locations;
use super::wire::Reply;
use analysis::FEATURES;

/// The versions of the service that there are.
const VERSIONS: &[&str] = &["v3.2"];
/// The kinds of account that contain it.
const KINDS: &[&str] = &["AIServices", "CognitiveServices", "ComputerVision"];
/// No picture is larger.
const MAX_BYTES: usize = 4 * 1024 * 1024;

/// A refusal: status, code, message, and the inner code where the service itself refuses.
struct Refusal {
    status: u16,
    code: &'static str,
    message: String,
    inner: Option<&'static str>,
    retry_after_s: Option<i64>,
}

impl Refusal {
    /// Of the gateway in front of the service.
    fn gateway(status: u16, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), inner: None, retry_after_s: None }
    }

    /// Of the service: it says twice what is wrong.
    fn service(code: &'static str, inner: &'static str, message: impl Into<String>) -> Self {
        Self { status: 400, code, message: message.into(), inner: Some(inner), retry_after_s: None }
    }

    fn image(inner: &'static str, message: impl Into<String>) -> Self {
        Self::service("InvalidRequest", inner, message)
    }

    fn argument(inner: &'static str, message: impl Into<String>) -> Self {
        Self::service("InvalidArgument", inner, message)
    }
}

/// The host that a request names, and the words of its path, if it is for the service.
pub(super) fn claims(request: &Request) -> Option<(Option<String>, Vec<&str>)> {
    let mut words: Vec<&str> = request.uri().path().split('/').filter(|word| !word.is_empty()).collect();
    let named = request.headers().get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let named = named.split(':').next().unwrap_or_default().to_lowercase();
    let mut host = is_host(&named).then_some(named);
    if let Some(first) = words.first()
        && is_host(&first.to_lowercase())
    {
        host = Some(words.remove(0).to_lowercase());
    }
    let vision = words.first().is_some_and(|word| word.eq_ignore_ascii_case("vision"));
    (vision || host.is_some()).then_some((host, words))
}

fn is_host(name: &str) -> bool {
    name.ends_with(".cognitiveservices.azure.com") || name.ends_with(".api.cognitive.microsoft.com")
}

/// A picture that somebody may have looked at. It is measured outside of the world: a large one takes a while, and the
/// rest of the clouds does not wait for it.
#[derive(Clone, Debug)]
pub struct Look {
    picture: Bytes,
    features: BTreeSet<&'static str>,
    id: String,
}

impl Look {
    /// Measures the picture, and says what is in it.
    pub fn answer(&self) -> Response {
        let refused = |problem| match problem {
            measure::Problem::Format => {
                Refusal::image("InvalidImageFormat", "Input data is not a valid image.")
            }
            measure::Problem::TooSmall => {
                Refusal::image("InvalidImageSize", "Image must be at least 50 pixels in width and height")
            }
            measure::Problem::TooLarge => {
                Refusal::image("InvalidImageSize", "Image must not exceed 10000 pixels in width or height")
            }
        };
        let reply = match measure::measure(&self.picture) {
            Ok(picture) => Reply::json(200, analysis::write(&picture, &self.features, &self.id)),
            Err(problem) => refused(problem).into(),
        };
        reply.header("apim-request-id", self.id.clone()).into()
    }
}

impl From<Refusal> for Reply {
    fn from(refusal: Refusal) -> Self {
        let mut error = json!({ "code": refusal.code, "message": refusal.message });
        if let Some(inner) = refusal.inner {
            error["innererror"] = json!({ "code": inner, "message": refusal.message });
        }
        let reply = Self::json(refusal.status, json!({ "error": error }));
        match refusal.retry_after_s {
            Some(seconds) => reply.header("retry-after", seconds.to_string()),
            None => reply,
        }
    }
}

/// Answers a request: at once where it is refused, otherwise with a [`Look`] to be taken.
pub(super) fn handle(world: &mut World, request: &Request, host: Option<&str>, words: &[&str]) -> Response {
    let id = world.uuid();
    match answer(world, request, host, words, &id) {
        Ok(look) => {
            let mut response = Response::default();
            response.extensions_mut().insert(look);
            response
        }
        Err(refusal) => Reply::from(refusal).header("apim-request-id", id).into(),
    }
}

fn answer(
    world: &mut World,
    request: &Request,
    host: Option<&str>,
    words: &[&str],
    id: &str,
) -> Result<Look, Refusal> {
    let (key, account) = account(world, request, host)?;
    let lower: Vec<String> = words.iter().map(|word| word.to_lowercase()).collect();
    let lower: Vec<&str> = lower.iter().map(String::as_str).collect();
    let absent = || Refusal::gateway(404, "404", "Resource not found");
    let (["vision", version, "analyze"], true) = (lower.as_slice(), KINDS.contains(&account.kind.as_str()))
    else {
        return Err(absent());
    };
    if !VERSIONS.contains(version) || request.method() != Method::POST {
        return Err(absent());
    }
    take_turn(world, &key, &account)?;
    Ok(Look { features: features(request)?, picture: body(request)?.clone(), id: id.to_owned() })
}

/// The live account whose key the request bears, at a host that is the account's.
fn account(world: &World, request: &Request, host: Option<&str>) -> Result<(String, Account), Refusal> {
    let given = request.headers().get("ocp-apim-subscription-key").and_then(|value| value.to_str().ok());
    let accounts = world.list::<Account>("").into_iter();
    let found = accounts.filter(|(_, account)| account.passing.is_empty()).find(|(_, account)| {
        given.is_some_and(|given| account.keys.iter().any(|key| same(key, given)))
            && host.is_none_or(|host| is_at(account, host))
    });
    let Some((key, account)) = found else {
        return Err(Refusal::gateway(
            401,
            "401",
            "Access denied due to invalid subscription key or wrong API endpoint. Make sure to provide a valid key for an \
             active subscription and use a correct regional API endpoint for your resource.",
        ));
    };
    let settings = &account.settings;
    if settings.disable_local_auth == Some(true) {
        let message = "Key based authentication is disabled for this resource.";
        return Err(Refusal::gateway(403, "AuthenticationTypeDisabled", message));
    }
    if settings.public_network_access.as_deref() == Some("Disabled") {
        let message = "Public access is disabled. Please configure private endpoint.";
        return Err(Refusal::gateway(403, "403", message));
    }
    if settings.network_acls.as_ref().is_some_and(|acls| !acls.admits("127.0.0.1")) {
        let message = "Access denied due to Virtual Network/Firewall rules.";
        return Err(Refusal::gateway(403, "403", message));
    }
    Ok((key, account))
}

fn same(key: &str, given: &str) -> bool {
    use subtle::ConstantTimeEq as _;
    key.as_bytes().ct_eq(given.as_bytes()).into()
}

/// An account has its subdomain, and its region's common host.
fn is_at(account: &Account, host: &str) -> bool {
    let region = format!("{}.api.cognitive.microsoft.com", locations::normalise(&account.location));
    let own = account.settings.custom_sub_domain_name.as_ref();
    host == region
        || own.is_some_and(|name| host == format!("{}.cognitiveservices.azure.com", name.to_lowercase()))
}

/// When an account was asked lately; its key is the account's.
#[derive(Default, Serialize, Deserialize)]
struct Turns(Vec<Timestamp>);

impl Record for Turns {
    const TABLE: &'static str = "azure.vision.turns";
}

/// The free tier takes twenty requests a minute, the paid one ten a second.
fn take_turn(world: &mut World, key: &str, account: &Account) -> Result<(), Refusal> {
    let (most, seconds) = if account.sku == "F0" { (20, 60) } else { (10, 1) };
    let (now, window) = (world.now(), SignedDuration::from_secs(seconds));
    let mut turns = world.get::<Turns>(key).unwrap_or_default();
    turns.0.retain(|turn| now.duration_since(*turn) < window);
    if turns.0.len() >= most {
        let oldest = turns.0.first().copied().unwrap_or(now);
        let wait = (seconds - now.duration_since(oldest).as_secs()).max(1);
        let message = format!(
            "Requests to the Analyze Image Operation under Computer Vision API (v3.2) have exceeded call rate limit of \
             your current ComputerVision {} pricing tier. Please retry after {wait} seconds.",
            account.sku
        );
        let refusal = Refusal::gateway(429, "429", message);
        return Err(Refusal { retry_after_s: Some(wait), ..refusal });
    }
    turns.0.push(now);
    world.put(key, &turns);
    Ok(())
}

/// What the caller wants to know; categories unless it says.
fn features(request: &Request) -> Result<BTreeSet<&'static str>, Refusal> {
    let mut features = BTreeSet::new();
    for (name, value) in form_urlencoded::parse(request.uri().query().unwrap_or_default().as_bytes()) {
        let values = || value.split(',').map(str::trim).filter(|word| !word.is_empty());
        match name.to_lowercase().as_str() {
            "visualfeatures" => {
                for word in values() {
                    features.insert(feature(word)?);
                }
            }
            "language" if !["", "en"].contains(&value.as_ref()) => {
                let message = "The specified language is not supported. The sandbox writes English alone.";
                return Err(Refusal::argument("NotSupportedLanguage", message));
            }
            "details"
                if values()
                    .any(|word| !["landmarks", "celebrities"].contains(&word.to_lowercase().as_str())) =>
            {
                return Err(Refusal::argument("InvalidDetails", "The specified details are not valid."));
            }
            "model-version" if !["", "latest", "2021-05-01"].contains(&value.as_ref()) => {
                return Err(Refusal::argument("InvalidModel", "The specified model version is not valid."));
            }
            _ => {}
        }
    }
    if features.is_empty() {
        features.insert("Categories");
    }
    Ok(features)
}

fn feature(word: &str) -> Result<&'static str, Refusal> {
    if let Some(feature) = FEATURES.iter().find(|feature| feature.eq_ignore_ascii_case(word)) {
        return Ok(feature);
    }
    let unseen = ["adult", "brands", "faces", "objects"].contains(&word.to_lowercase().as_str());
    let message = if unseen {
        format!("The sandbox measures pictures and recognises nothing in them: it cannot answer for {word}.")
    } else {
        format!("The specified feature type is not valid: {word}")
    };
    Err(Refusal::argument("NotSupportedVisualFeature", message))
}

/// The picture's bytes.
fn body(request: &Request) -> Result<&Bytes, Refusal> {
    let media = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let media = media.unwrap_or_default().split(';').next().unwrap_or_default().trim().to_lowercase();
    match media.as_str() {
        "application/octet-stream" if request.body().len() > MAX_BYTES => {
            Err(Refusal::image("InvalidImageSize", "Input image is too large."))
        }
        "application/octet-stream" => Ok(request.body()),
        "application/json" => {
            let json: Json = serde_json::from_slice(request.body())
                .map_err(|_| Refusal::argument("BadArgument", "The JSON of the request is not valid."))?;
            match json["url"].as_str() {
                Some(_) => Err(Refusal::image("InvalidImageUrl", "Image URL is not accessible.")),
                None => Err(Refusal::argument("BadArgument", "The request has no url.")),
            }
        }
        _ => {
            let message = format!("Unsupported media type: '{media}'");
            Err(Refusal {
                status: 415,
                ..Refusal::service("InvalidRequest", "UnsupportedMediaType", message)
            })
        }
    }
}
