//! What a client of an HTTP API is answered: a function's answer in the format 2.0, the API's own refusals, and the
//! fields by which pages of other origins may read it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use serde_json::{Value as Json, json};

use super::super::cloudfront;
use super::super::lambda::invoke::Outcome;
use super::api::Cors;
use crate::sandbox::{Response, World};

/// A client that waits for a function.
#[derive(Clone, Debug)]
pub struct Waiting {
    pub(super) cors: Option<Cors>,
    /// The origin of the page that asks.
    pub(super) origin: Option<String>,
    pub(super) method: String,
    pub(super) edge: Option<cloudfront::Passing>,
}

impl Waiting {
    /// Whether a browser asks beforehand, and the API itself answers that.
    pub(super) fn is_preflight(&self, headers: &HeaderMap) -> bool {
        self.cors.is_some()
            && self.method == "OPTIONS"
            && self.origin.is_some()
            && headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
    }
}

/// Answers the client with what the function did.
pub(in super::super) fn complete(world: &mut World, waiting: &Waiting, outcome: &Outcome) -> Response {
    if outcome.throttled {
        return give_up(world, waiting);
    }
    if outcome.error.is_some() {
        return refuse(world, waiting, 500, "Internal Server Error");
    }
    match read(&outcome.body) {
        Some(response) => finish(world, waiting, response),
        None => refuse(world, waiting, 500, "Internal Server Error"),
    }
}

/// Answers the client that nothing came in time.
pub(in super::super) fn give_up(world: &mut World, waiting: &Waiting) -> Response {
    refuse(world, waiting, 503, "Service Unavailable")
}

/// A refusal of the API itself.
pub(super) fn refuse(world: &mut World, waiting: &Waiting, status: u16, message: &str) -> Response {
    let mut response = Response::new(Bytes::from(json!({ "message": message }).to_string()));
    *response.status_mut() = http::StatusCode::from_u16(status).unwrap_or_default();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    finish(world, waiting, response)
}

/// The answer to a browser that asks beforehand.
pub(super) fn preflight(world: &mut World, waiting: &Waiting) -> Response {
    let mut response = Response::default();
    *response.status_mut() = http::StatusCode::NO_CONTENT;
    let mut response = finish(world, waiting, response);
    if let (Some(cors), true) = (&waiting.cors, waiting.allowed().is_some()) {
        let age = cors.max_age.map(|seconds| seconds.to_string()).unwrap_or_default();
        let fields = [
            ("access-control-allow-methods", cors.allow_methods.join(",")),
            ("access-control-allow-headers", cors.allow_headers.join(",")),
            ("access-control-max-age", age),
        ];
        for (name, value) in fields.into_iter().filter(|(_, value)| !value.is_empty()) {
            set(response.headers_mut(), name, &value);
        }
    }
    response
}

impl Waiting {
    /// The origin as the answer allows it.
    fn allowed(&self) -> Option<String> {
        let (cors, origin) = (self.cors.as_ref()?, self.origin.as_ref()?);
        let allows = |pattern: &String| match pattern.split_once('*') {
            // `https://*` and `http://*` are taken too.
            Some((start, "")) => origin.starts_with(start),
            Some(_) | None => pattern == origin,
        };
        if cors.allow_origins.iter().any(|pattern| pattern == "*") {
            return Some("*".to_owned());
        }
        cors.allow_origins.iter().any(allows).then(|| origin.clone())
    }
}

fn finish(world: &mut World, waiting: &Waiting, mut response: Response) -> Response {
    let id = world.word(15, b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789");
    let headers = response.headers_mut();
    set(headers, "apigw-requestid", &format!("{id}="));
    if let Some(cors) = &waiting.cors {
        // Where the API has rules of its own, those of the function are not asked.
        let own = headers.keys().filter(|name| name.as_str().starts_with("access-control-"));
        for name in own.cloned().collect::<Vec<_>>() {
            headers.remove(name);
        }
        if let Some(origin) = waiting.allowed() {
            set(headers, "access-control-allow-origin", &origin);
            if cors.allow_credentials == Some(true) {
                set(headers, "access-control-allow-credentials", "true");
            }
            if !cors.expose_headers.is_empty() {
                set(headers, "access-control-expose-headers", &cors.expose_headers.join(","));
            }
        }
    }
    match &waiting.edge {
        Some(passing) => cloudfront::pass(world, passing, response),
        None => response,
    }
}

/// Reads a function's answer: an object with `statusCode`, or anything, which is then the body.
fn read(body: &Bytes) -> Option<Response> {
    let json: Json = serde_json::from_slice(body).ok()?;
    let Some(status) = json.get("statusCode") else {
        let mut response = Response::new(match &json {
            Json::String(text) => Bytes::from(text.clone()),
            _ => body.clone(),
        });
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        return Some(response);
    };
    let status = status.as_u64().or_else(|| status.as_str()?.parse().ok())?;
    let text = match &json["body"] {
        Json::Null => "",
        Json::String(text) => text,
        Json::Bool(_) | Json::Number(_) | Json::Array(_) | Json::Object(_) => return None,
    };
    let body = match json["isBase64Encoded"].as_bool() {
        Some(true) => Bytes::from(STANDARD.decode(text).ok()?),
        Some(false) | None => Bytes::from(text.to_owned()),
    };
    let mut response = Response::new(body);
    *response.status_mut() = http::StatusCode::from_u16(u16::try_from(status).ok()?).ok()?;
    let headers = response.headers_mut();
    for (name, value) in json["headers"].as_object().into_iter().flatten() {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        set(headers, name, &value);
    }
    for cookie in json["cookies"].as_array().into_iter().flatten().filter_map(Json::as_str) {
        headers.append(header::SET_COOKIE, HeaderValue::from_str(cookie).ok()?);
    }
    if !headers.contains_key(header::CONTENT_TYPE) && !response.body().is_empty() {
        let kind = HeaderValue::from_static("text/plain; charset=utf-8");
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
    }
    Some(response)
}

fn set(headers: &mut HeaderMap, name: &str, value: &str) {
    if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::from_str(value)) {
        // The length is that of what is sent.
        if name != header::CONTENT_LENGTH && name != header::TRANSFER_ENCODING {
            headers.insert(name, value);
        }
    }
}
