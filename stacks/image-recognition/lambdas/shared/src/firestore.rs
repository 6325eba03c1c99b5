//! Documents of Firestore, over REST. A write says what it takes to be there (nothing, or a document last changed
//! at a given moment): so of two writers one is told that it came late, and a write that was sent twice does no
//! harm.

use std::sync::Arc;

use jiff::Timestamp;
use reqwest::{Method, RequestBuilder};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use thiserror::Error;
use tokio::time::Instant;

use crate::call::{CallError, Caller, Reply, json as read_json};
use crate::google::{TokenError, Tokens};
use crate::secret::Secret;
use crate::settings::Settings;

const SERVICE: &str = "Firestore";
/// A document is at most one mebibyte; its JSON is somewhat longer.
const MOST_BYTES: usize = 4 * 1024 * 1024;
/// Values nest at most so deep (Firestore's own limit is 20).
const MOST_LEVELS: u32 = 20;

/// Why a document could not be read or written.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum DocumentError {
    /// There is no token.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The call failed.
    #[error(transparent)]
    Call(#[from] CallError),
    /// The document is not one of ours.
    #[error("the document {0} does not have the form expected")]
    Foreign(String),
}

/// A document, and when it was last changed.
#[derive(Debug, Clone, PartialEq)]
pub struct Stored {
    /// Its fields, as plain JSON.
    pub fields: Value,
    /// In RFC 3339, as Firestore wrote it: to be handed back as a precondition.
    pub updated_at: String,
}

/// What a write takes to be there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expected {
    /// No document.
    Nothing,
    /// The document as it was at this moment.
    Since(String),
}

/// What became of a write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Written {
    /// It is there, since this moment: what the next write can take to be there.
    Yes(String),
    /// Something else was there than expected: read again.
    Conflict,
}

/// One collection of one database.
pub struct Collection {
    caller: Caller,
    tokens: Arc<Tokens>,
    base: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    #[serde(default)]
    fields: Map<String, Value>,
    update_time: String,
}

impl Collection {
    /// Reads `FIRESTORE_PROJECT`, `FIRESTORE_DATABASE` (or the default one), `FIRESTORE_COLLECTION` (or
    /// `analyses`) and, for the sandbox, `FIRESTORE_ENDPOINT_URL` or `GOOGLE_ENDPOINT_URL`.
    pub fn from_settings(settings: &mut Settings<'_>, tokens: Arc<Tokens>, caller: Caller) -> Self {
        let google = settings.endpoint("GOOGLE_ENDPOINT_URL");
        let endpoint = settings.endpoint("FIRESTORE_ENDPOINT_URL").or(google);
        let endpoint =
            endpoint.map_or("https://firestore.googleapis.com".to_owned(), |at| at.as_str().to_owned());
        let project = settings.required("FIRESTORE_PROJECT");
        let database = settings.optional("FIRESTORE_DATABASE").unwrap_or_else(|| "(default)".to_owned());
        let collection = settings.optional("FIRESTORE_COLLECTION").unwrap_or_else(|| "analyses".to_owned());
        for (name, text) in [("FIRESTORE_PROJECT", &project), ("FIRESTORE_COLLECTION", &collection)] {
            // They become part of an address.
            if !text.bytes().all(|c| c.is_ascii_alphanumeric() || b"-_.:".contains(&c)) {
                settings.wrong(format!("{name} holds what no name has: `{text}`"));
            }
        }
        let plain = database.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-');
        if database != "(default)" && !plain {
            settings.wrong(format!("FIRESTORE_DATABASE holds what no name has: `{database}`"));
        }
        let base = format!("{endpoint}/v1/projects/{project}/databases/{database}/documents/{collection}");
        Self { caller, tokens, base }
    }

    /// The document, if there is one. `id` must be plain: letters, digits, hyphens.
    pub async fn read(&self, id: &str, deadline: Instant) -> Result<Option<Stored>, DocumentError> {
        let url = format!("{}/{id}", self.base);
        let make = |client: &reqwest::Client, token: &Secret| client.get(&url).bearer_auth(token.reveal());
        let read = |reply: &Reply| match reply.status.as_u16() {
            404 if !database_missing(reply) => Ok(None),
            _ => read_json::<Document>(SERVICE, reply).map(Some),
        };
        let Some(document) = self.call(deadline, make, read).await? else { return Ok(None) };
        let fields = plain_fields(&document.fields, MOST_LEVELS);
        let fields = fields.ok_or_else(|| DocumentError::Foreign(id.to_owned()))?;
        Ok(Some(Stored { fields, updated_at: document.update_time }))
    }

    /// Writes the whole document. Fields whose name ends in `At` become timestamps, where they hold one.
    pub async fn write(
        &self,
        id: &str,
        fields: &Value,
        expected: &Expected,
        deadline: Instant,
    ) -> Result<Written, DocumentError> {
        let precondition = match expected {
            Expected::Nothing => ("currentDocument.exists", "false"),
            Expected::Since(moment) => ("currentDocument.updateTime", moment.as_str()),
        };
        let url = format!("{}/{id}", self.base);
        let body = json!({ "fields": typed_fields(fields) }).to_string();
        let make = |client: &reqwest::Client, token: &Secret| {
            let request = client.request(Method::PATCH, &url).query(&[precondition]);
            let request = request.header("content-type", "application/json").body(body.clone());
            request.bearer_auth(token.reveal())
        };
        let read = |reply: &Reply| match reply.status.as_u16() {
            200 => read_json::<Document>(SERVICE, reply).map(|document| Written::Yes(document.update_time)),
            409 => Ok(Written::Conflict),
            // A document that was expected is gone. Where none was expected, it is the database that is not there.
            404 if database_missing(reply) || *expected == Expected::Nothing => Err(reply.refused(SERVICE)),
            400 | 404 if precondition_failed(reply) => Ok(Written::Conflict),
            _ => Err(reply.refused(SERVICE)),
        };
        self.call(deadline, make, read).await
    }

    /// Calls with a token, and once more with a fresh one if the first is not taken: it may have been revoked.
    async fn call<T>(
        &self,
        deadline: Instant,
        make: impl Fn(&reqwest::Client, &Secret) -> RequestBuilder,
        read: impl Fn(&Reply) -> Result<T, CallError>,
    ) -> Result<T, DocumentError> {
        let token = self.tokens.token(deadline).await?;
        let with = |token: &Secret| {
            let token = token.clone();
            let make = &make;
            move |client: &reqwest::Client| Ok(make(client, &token))
        };
        let first = self.caller.call(SERVICE, deadline, MOST_BYTES, with(&token), &read).await;
        let Err(CallError::Refused { status: 401, .. }) = first else { return Ok(first?) };
        self.tokens.forget(&token).await;
        let token = self.tokens.token(deadline).await?;
        Ok(self.caller.call(SERVICE, deadline, MOST_BYTES, with(&token), &read).await?)
    }
}

/// Firestore answers `NOT_FOUND` for a document that is not there, and for one of a database that is not: "The database X
/// does not exist for project Y". The words alone tell the two apart.
fn database_missing(reply: &Reply) -> bool {
    let json: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
    let message = json.pointer("/error/message").and_then(Value::as_str).unwrap_or_default().to_lowercase();
    message.contains("database") && message.contains("does not exist")
}

/// Firestore answers `FAILED_PRECONDITION` with status 400, and `NOT_FOUND` where a document that was expected is
/// gone.
fn precondition_failed(reply: &Reply) -> bool {
    let json: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
    let status = json.pointer("/error/status").and_then(Value::as_str);
    matches!(status, Some("FAILED_PRECONDITION" | "NOT_FOUND" | "ABORTED"))
}

fn typed_fields(fields: &Value) -> Value {
    let Value::Object(map) = fields else { return json!({}) };
    map.iter().map(|(name, value)| (name.clone(), typed(name, value))).collect::<Map<_, _>>().into()
}

/// A plain value in Firestore's notation, where every value bears its type.
fn typed(name: &str, value: &Value) -> Value {
    match value {
        Value::Null => json!({ "nullValue": null }),
        Value::Bool(flag) => json!({ "booleanValue": flag }),
        Value::Number(number) => match number.as_i64() {
            // 64 bits do not fit a number of JSON: they travel as text.
            Some(whole) => json!({ "integerValue": whole.to_string() }),
            None => json!({ "doubleValue": number }),
        },
        Value::String(text) if name.ends_with("At") && text.parse::<Timestamp>().is_ok() => {
            json!({ "timestampValue": text })
        }
        Value::String(text) => json!({ "stringValue": text }),
        Value::Array(items) => {
            let values: Vec<Value> = items.iter().map(|item| typed("", item)).collect();
            json!({ "arrayValue": { "values": values } })
        }
        Value::Object(_) => json!({ "mapValue": { "fields": typed_fields(value) } }),
    }
}

fn plain_fields(fields: &Map<String, Value>, levels: u32) -> Option<Value> {
    let plain =
        fields.iter().map(|(name, value)| Some((name.clone(), plain(value, levels.checked_sub(1)?)?)));
    plain.collect::<Option<Map<_, _>>>().map(Value::Object)
}

/// The plain value behind Firestore's notation; nothing for types that no document of ours has.
fn plain(value: &Value, levels: u32) -> Option<Value> {
    let (kind, inner) = value.as_object()?.iter().next()?;
    match kind.as_str() {
        "nullValue" => Some(Value::Null),
        "booleanValue" | "stringValue" | "timestampValue" => Some(inner.clone()),
        // Whole doubles come back as whole numbers of JSON: `1` for 1.0.
        "doubleValue" => inner.as_f64().map(Value::from),
        "integerValue" => inner.as_str()?.parse::<i64>().ok().map(Value::from),
        "arrayValue" => {
            let items = inner.get("values").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
            let levels = levels.checked_sub(1)?;
            items.iter().map(|item| plain(item, levels)).collect::<Option<Vec<_>>>().map(Value::Array)
        }
        "mapValue" => {
            let none = Map::new();
            plain_fields(inner.get("fields").and_then(Value::as_object).unwrap_or(&none), levels)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_survive_the_notation() {
        let fields = json!({
            "text": "a", "analyzedAt": "2026-01-01T00:00:00Z", "noMomentAt": "soon", "whole": 3, "half": 0.5,
            "yes": true, "none": null, "list": [1, "two", { "three": [] }], "map": { "empty": {} },
        });
        let typed = typed_fields(&fields);
        assert_eq!(typed["analyzedAt"], json!({ "timestampValue": "2026-01-01T00:00:00Z" }));
        assert_eq!(typed["noMomentAt"], json!({ "stringValue": "soon" }));
        assert_eq!(typed["whole"], json!({ "integerValue": "3" }));
        assert_eq!(plain_fields(typed.as_object().unwrap(), MOST_LEVELS), Some(fields));
    }

    #[test]
    fn firestore_leaves_out_what_is_empty() {
        let typed = json!({ "list": { "arrayValue": {} }, "map": { "mapValue": {} } });
        let plain = plain_fields(typed.as_object().unwrap(), MOST_LEVELS);
        assert_eq!(plain, Some(json!({ "list": [], "map": {} })));
    }

    #[test]
    fn what_is_foreign_or_too_deep_is_refused() {
        let foreign = json!({ "where": { "geoPointValue": {} } });
        assert_eq!(plain_fields(foreign.as_object().unwrap(), MOST_LEVELS), None);
        let mut deep = json!({ "stringValue": "x" });
        for _ in 0..100 {
            deep = json!({ "mapValue": { "fields": { "x": deep } } });
        }
        assert_eq!(plain(&deep, MOST_LEVELS), None);
    }
}
