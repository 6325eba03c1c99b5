//! Plain JSON calls to Resource Manager, Service Usage and Firestore's administration.
//!
//! Google's official crates cover these services, but they take no transport of ours: the same requests could not be
//! answered in process, nor made to fail on purpose. So these few calls are sent by hand, over the client and the
//! tokens that google-iam1 uses too.

use bytes::Bytes;
use google_iam1::common;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use serde_json::Value as Json;

use super::Gcp;
use super::client::{Http, within};
use super::failure;
use crate::model::CloudError;
use crate::provider::retry::{Attempt, Call, retry};

/// No answer of these services is larger.
const LARGEST: usize = 16 * 1024 * 1024;

/// A service that is called by hand.
#[derive(Clone, Copy, Debug)]
pub(super) enum Service {
    Projects,
    Services,
    Firestore,
}

impl Service {
    fn base(self) -> &'static str {
        match self {
            Self::Projects => "https://cloudresourcemanager.googleapis.com/",
            Self::Services => "https://serviceusage.googleapis.com/",
            Self::Firestore => "https://firestore.googleapis.com/",
        }
    }
}

impl Gcp {
    /// Sends a JSON call until it is answered, within bounds. `path` has no leading `/`.
    pub(super) async fn rest(
        &self,
        call: Call,
        name: &'static str,
        service: Service,
        method: Method,
        path: &str,
        body: Option<&Json>,
    ) -> Result<Json, CloudError> {
        let client = self.client().await?;
        let url = format!("{}{path}", client.endpoint.as_deref().unwrap_or(service.base()));
        let body = body.map(|json| Bytes::from(json.to_string()));
        retry(call, || async {
            let token = client.tokens.token().await?;
            let request = Request::builder()
                .method(&method)
                .uri(&url)
                .header(http::header::AUTHORIZATION, format!("Bearer {}", token.expose()))
                .header(http::header::USER_AGENT, concat!("mcm/", env!("CARGO_PKG_VERSION")))
                .header(http::header::CONTENT_TYPE, "application/json");
            let request = match client.tokens.quota_project() {
                Some(project) => request.header("x-goog-user-project", project),
                None => request,
            };
            let (status, headers, answer) =
                fetch(&client.http, name, request, body.clone().unwrap_or_default()).await?;
            let json: Option<Json> =
                if answer.is_empty() { Some(Json::Null) } else { serde_json::from_slice(&answer).ok() };
            match json {
                Some(json) if status.is_success() => Ok(json),
                Some(json) => {
                    let error = failure::classify(name, status.as_u16(), &json);
                    Err(Attempt { error, retry_after: failure::retry_after(&headers) })
                }
                None if status.is_success() => Err(failure::garbled(name).into()),
                None => Err(Attempt {
                    error: failure::classify(name, status.as_u16(), &Json::Null),
                    retry_after: failure::retry_after(&headers),
                }),
            }
        })
        .await
    }
}

/// One exchange, bounded in time and size.
pub(super) async fn fetch(
    http: &Http,
    name: &str,
    request: http::request::Builder,
    body: Bytes,
) -> Result<(StatusCode, http::HeaderMap, Bytes), CloudError> {
    let body = common::Body::new(Full::new(body).map_err(|never| match never {}));
    let request = request
        .body(body)
        .map_err(|error| failure::own(name, crate::model::ErrorKind::Invalid, error.to_string()))?;
    within(name, async {
        let response = http.request(request).await.map_err(|error| failure::from_http(name, &error))?;
        let (parts, body) = response.into_parts();
        let body = Limited::new(body, LARGEST).collect().await.map_err(|_| failure::garbled(name))?;
        Ok((parts.status, parts.headers, body.to_bytes()))
    })
    .await?
}
