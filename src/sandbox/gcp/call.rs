//! A request as the services see it: query, body and update mask, each checked before use.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::Method;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value as Json};

use super::message::{self, Message};
use super::refusal::Refusal;
use crate::sandbox::Request;

/// Query parameters that every Google API takes.
const STANDARD: &[&str] = &[
    "$.xgafv",
    "$alt",
    "$fields",
    "$prettyPrint",
    "access_token",
    "alt",
    "callback",
    "fields",
    "key",
    "oauth_token",
    "prettyPrint",
    "quotaUser",
    "uploadType",
    "upload_protocol",
];

/// A request, taken apart.
pub(super) struct Call<'r> {
    pub(super) method: &'r Method,
    query: BTreeMap<String, String>,
    /// The same, with every value of a parameter that is repeated.
    pairs: Vec<(String, String)>,
    body: &'r [u8],
}

impl<'r> Call<'r> {
    /// Takes a request apart.
    pub(super) fn new(request: &'r Request) -> Self {
        let query = request.uri().query().unwrap_or_default();
        let pairs: Vec<(String, String)> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        Self { method: request.method(), query: pairs.iter().cloned().collect(), pairs, body: request.body() }
    }

    /// The request's access token.
    pub(super) fn token<'a>(&'a self, request: &'a Request) -> Option<&'a str> {
        let header = request.headers().get(http::header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        match header {
            // Another scheme is a token that nobody has.
            Some(text) => {
                let bearer = text.strip_prefix("Bearer ").or_else(|| text.strip_prefix("bearer "));
                Some(bearer.unwrap_or_default())
            }
            None => {
                self.query.get("access_token").or_else(|| self.query.get("oauth_token")).map(String::as_str)
            }
        }
    }

    /// Refuses query parameters other than these and the standard ones.
    pub(super) fn accepts(&self, parameters: &[&str]) -> Result<(), Refusal> {
        for name in self.query.keys() {
            let known = |known: &&str| message::spelt(known, name);
            if !STANDARD.contains(&name.as_str()) && !parameters.iter().any(known) {
                return Err(Refusal::field(
                    name,
                    format!(
                        "Invalid JSON payload received. Unknown name \"{name}\": Cannot bind query parameter. \
                         Field '{name}' could not be found in request message."
                    ),
                ));
            }
        }
        match self.query.get("alt").or_else(|| self.query.get("$alt")).map(String::as_str) {
            // Google's generated clients ask for numbers in the place of enums' names; there are none here.
            None | Some("json" | "json;enum-encoding=int") => Ok(()),
            Some(other) => Err(Refusal::invalid(format!("Invalid value for alt: {other}"))),
        }
    }

    /// A query parameter.
    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        let value = self.query.iter().find(|(given, _)| message::spelt(name, given));
        value.map(|(_, value)| value.as_str())
    }

    /// Every value of a query parameter that may be repeated.
    pub(super) fn all(&self, name: &str) -> Vec<&str> {
        let values = self.pairs.iter().filter(|(given, _)| message::spelt(name, given));
        values.map(|(_, value)| value.as_str()).collect()
    }

    /// A flag among the query parameters.
    pub(super) fn flag(&self, name: &str) -> Result<bool, Refusal> {
        match self.parameter(name) {
            None | Some("false" | "False") => Ok(false),
            Some("true" | "True") => Ok(true),
            Some(other) => {
                Err(Refusal::field(name, format!("Invalid value at '{name}' (TYPE_BOOL), \"{other}\"")))
            }
        }
    }

    /// The body, checked against a message, as a type of ours. No body is an empty message.
    pub(super) fn body<T: DeserializeOwned>(&self, message: &Message) -> Result<T, Refusal> {
        typed(self.fields(message)?)
    }

    /// The body, checked against a message.
    pub(super) fn fields(&self, message: &Message) -> Result<Map<String, Json>, Refusal> {
        if self.body.iter().all(u8::is_ascii_whitespace) {
            return Ok(Map::new());
        }
        let json: Json = serde_json::from_slice(self.body)
            .map_err(|error| Refusal::invalid(format!("Invalid JSON payload received. {error}")))?;
        message::decode(message, &json)
    }

    /// The paths of a mask among the query parameters, in camelCase.
    pub(super) fn mask(&self, name: &str) -> Option<Vec<String>> {
        self.parameter(name).map(paths)
    }

    /// One page of sorted, keyed items, and the token of the next one.
    pub(super) fn page<T>(
        &self,
        items: Vec<(String, T)>,
        default: usize,
        most: usize,
    ) -> Result<Page<T>, Refusal> {
        let size = match self.parameter("pageSize").map(str::parse::<i32>) {
            None | Some(Ok(0)) => default,
            Some(Ok(size)) if size > 0 => usize::try_from(size).unwrap_or(most).min(most),
            Some(_) => return Err(Refusal::field("page_size", "Page size must be a non-negative int32.")),
        };
        let after = match self.parameter("pageToken").filter(|token| !token.is_empty()) {
            None => None,
            Some(token) => Some(
                URL_SAFE_NO_PAD
                    .decode(token)
                    .ok()
                    .and_then(|bytes| String::from_utf8(bytes).ok())
                    .ok_or_else(|| Refusal::field("page_token", "The page token is invalid."))?,
            ),
        };
        let mut rest = items.into_iter().filter(|(key, _)| after.as_ref().is_none_or(|after| key > after));
        let page: Vec<(String, T)> = rest.by_ref().take(size).collect();
        let last = page.last().map(|(key, _)| URL_SAFE_NO_PAD.encode(key));
        let next = rest.next().and(last);
        Ok(Page { items: page.into_iter().map(|(_, item)| item).collect(), next })
    }
}

/// One page of a list.
pub(super) struct Page<T> {
    pub(super) items: Vec<T>,
    pub(super) next: Option<String>,
}

impl<T> Page<T> {
    /// The page as its reply: empty lists and the absence of a next page are left out.
    pub(super) fn reply(self, name: &str, json: impl Fn(T) -> Json) -> Json {
        let mut reply = Map::new();
        if !self.items.is_empty() {
            reply.insert(name.to_owned(), self.items.into_iter().map(json).collect());
        }
        if let Some(token) = self.next {
            reply.insert("nextPageToken".to_owned(), Json::String(token));
        }
        Json::Object(reply)
    }
}

/// Checked fields as a type of ours.
pub(super) fn typed<T: DeserializeOwned>(fields: Map<String, Json>) -> Result<T, Refusal> {
    serde_json::from_value(Json::Object(fields))
        .map_err(|error| Refusal::invalid(format!("Invalid JSON payload received. {error}")))
}

/// The paths of a field mask's text, in camelCase.
pub(super) fn paths(text: &str) -> Vec<String> {
    text.split(',').map(str::trim).filter(|path| !path.is_empty()).map(camel).collect()
}

/// `display_name` -> `displayName`.
fn camel(snake: &str) -> String {
    let mut camel = String::with_capacity(snake.len());
    let mut upper = false;
    for letter in snake.chars() {
        if letter == '_' {
            upper = true;
        } else {
            camel.push(if upper { letter.to_ascii_uppercase() } else { letter });
            upper = false;
        }
    }
    camel
}
