//! Requests and answers as Azure Resource Manager words them.
//!
//! Error codes and messages are those of the public cloud where a record of them exists; where none does, the
//! code says so.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value as Json, json};

use super::super::{Request, Response};

/// What an adapter says: an answer, or a refusal.
pub(super) type Answer = Result<Reply, Refusal>;

/// A request, taken apart.
pub(super) struct Call<'r> {
    /// The verb.
    pub(super) method: &'r Method,
    /// The words of the path, percent-decoded, in the caller's case.
    pub(super) words: Vec<String>,
    /// The same in lower case: Azure's paths are case-insensitive.
    pub(super) lower: Vec<String>,
    /// The query; names in lower case.
    pub(super) query: BTreeMap<String, String>,
    /// The headers.
    pub(super) headers: &'r HeaderMap,
    /// The body.
    pub(super) body: &'r Bytes,
    /// Where the caller reached us, for the URLs of operations: `http://127.0.0.1:4002`.
    pub(super) base: String,
    /// Path and query, as sent.
    pub(super) target: String,
}

impl<'r> Call<'r> {
    /// Takes a request apart.
    pub(super) fn new(request: &'r Request) -> Self {
        let decode = |word: &str| percent_decode_str(word).decode_utf8_lossy().into_owned();
        let words: Vec<String> =
            request.uri().path().split('/').filter(|word| !word.is_empty()).map(decode).collect();
        let query = form_urlencoded::parse(request.uri().query().unwrap_or_default().as_bytes())
            .map(|(name, value)| (name.to_lowercase(), value.into_owned()))
            .collect();
        let authority = request
            .uri()
            .authority()
            .map(ToString::to_string)
            .or_else(|| Some(request.headers().get(header::HOST)?.to_str().ok()?.to_owned()));
        let scheme = request.uri().scheme_str().unwrap_or("http");
        Self {
            method: request.method(),
            lower: words.iter().map(|word| word.to_lowercase()).collect(),
            words,
            query,
            headers: request.headers(),
            body: request.body(),
            base: format!("{scheme}://{}", authority.as_deref().unwrap_or("127.0.0.1")),
            target: request.uri().path_and_query().map(ToString::to_string).unwrap_or_default(),
        }
    }

    /// The body as a JSON object whose names are all known; `null` members are left out. ARM names the type it
    /// could not read in its message.
    pub(super) fn object(&self, ty: &str, known: &[&str]) -> Result<Map<String, Json>, Refusal> {
        let media =
            self.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
        if !media.to_lowercase().starts_with("application/json") {
            return Err(Refusal::new(
                415,
                "UnsupportedMediaType",
                format!(
                    "The content media type '{media}' is not supported. Only 'application/json' is supported."
                ),
            ));
        }
        let json: Json = serde_json::from_slice(self.body).map_err(|error| unreadable(&error.to_string()))?;
        members(&json, ty, known)
    }

    /// A request header as text.
    pub(super) fn header(&self, name: HeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// The members of a JSON object under the type's own spelling, `null` ones left out; a name that the type does
/// not have is refused.
pub(super) fn members(json: &Json, ty: &str, known: &[&str]) -> Result<Map<String, Json>, Refusal> {
    let Json::Object(given) = json else {
        return Err(unreadable(&format!("Error converting value to type '{ty}'")));
    };
    let mut members = Map::new();
    for (name, value) in given {
        let Some(spelling) = known.iter().find(|word| word.eq_ignore_ascii_case(name)) else {
            return Err(unreadable(&format!(
                "Could not find member '{name}' on object of type '{ty}'. Path '{name}'"
            )));
        };
        if !value.is_null() {
            members.insert((*spelling).to_owned(), value.clone());
        }
    }
    Ok(members)
}

/// A body that is not what the resource type's model says.
pub(super) fn unreadable(why: &str) -> Refusal {
    Refusal::new(
        400,
        "InvalidRequestContent",
        format!("The request content was invalid and could not be deserialized: '{why}.'."),
    )
}

/// The member as text.
pub(super) fn text(map: &Map<String, Json>, name: &str) -> Result<Option<String>, Refusal> {
    match map.get(name) {
        None => Ok(None),
        Some(Json::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(unreadable(&format!("Error converting value to type 'System.String'. Path '{name}'"))),
    }
}

/// The member as a truth value.
pub(super) fn flag(map: &Map<String, Json>, name: &str) -> Result<Option<bool>, Refusal> {
    match map.get(name) {
        None => Ok(None),
        Some(Json::Bool(flag)) => Ok(Some(*flag)),
        Some(_) => {
            Err(unreadable(&format!("Error converting value to type 'System.Boolean'. Path '{name}'")))
        }
    }
}

/// An answer.
#[derive(Debug)]
pub(super) struct Reply {
    status: u16,
    body: Option<Json>,
    headers: Vec<(&'static str, String)>,
}

impl Reply {
    /// With a body.
    pub(super) fn json(status: u16, body: Json) -> Self {
        Self { status, body: Some(body), headers: Vec::new() }
    }

    /// Without one.
    pub(super) fn empty(status: u16) -> Self {
        Self { status, body: None, headers: Vec::new() }
    }

    /// A page that holds everything.
    pub(super) fn list(items: impl IntoIterator<Item = Json>) -> Self {
        Self::json(200, json!({ "value": items.into_iter().collect::<Vec<_>>() }))
    }

    /// With a header.
    #[must_use]
    pub(super) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

/// A refusal in ARM's shape.
#[derive(Debug)]
pub(super) struct Refusal {
    status: u16,
    code: &'static str,
    message: String,
    target: Option<String>,
    /// Repeats code and message among the details, as the provider-registration check does.
    detailed: bool,
    headers: Vec<(&'static str, String)>,
}

impl Refusal {
    /// With a status, a code and a message.
    pub(super) fn new(status: u16, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), target: None, detailed: false, headers: Vec::new() }
    }

    /// Says what it is about.
    #[must_use]
    pub(super) fn target(mut self, target: impl Into<String>) -> Self {
        self.target = Some(target.into());
        self
    }

    /// Repeats itself among the details.
    #[must_use]
    pub(super) fn detailed(mut self) -> Self {
        self.detailed = true;
        self
    }

    /// With a header.
    #[must_use]
    pub(super) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

impl From<Refusal> for Reply {
    fn from(refusal: Refusal) -> Self {
        let mut error = json!({ "code": refusal.code, "message": refusal.message });
        if let Some(target) = &refusal.target {
            error["target"] = json!(target);
        }
        if refusal.detailed {
            error["details"] = json!([error.clone()]);
        }
        let mut reply = Self::json(refusal.status, json!({ "error": error }));
        reply.headers = refusal.headers;
        // Without it some clients take the body for plain text.
        reply.header("x-ms-failure-cause", "gateway")
    }
}

impl From<Reply> for Response {
    fn from(reply: Reply) -> Self {
        let bytes = reply.body.map(|json| Bytes::from(json.to_string()));
        let has_body = bytes.is_some();
        let mut response = Self::new(bytes.unwrap_or_default());
        *response.status_mut() =
            StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        if has_body {
            let json = HeaderValue::from_static("application/json; charset=utf-8");
            headers.insert(header::CONTENT_TYPE, json);
        }
        for (name, value) in reply.headers {
            if let Ok(value) = HeaderValue::from_str(&value) {
                headers.insert(HeaderName::from_static(name), value);
            }
        }
        response
    }
}
