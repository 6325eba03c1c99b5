//! Under both Azure clients (the generated one and our own): one transport that classifies every failure, waits
//! out throttles, and repeats what can be repeated without harm.
//!
//! The clients' own retrying is switched off. Beneath stands any [`HttpClient`]: the network's, or one in process.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use azure_core::error::{Error, ErrorKind as CoreKind};
use azure_core::{CollectedResponse, HttpClient, Method, Request, Response};

use super::super::retry::{Attempt, Call, retry};
use super::errors;
use crate::model::{Cloud, CloudError, ErrorKind};

/// No connection within this time: unreachable.
const CONNECTING: Duration = Duration::from_secs(10);
/// No whole answer within this time: whether anything happened is not known.
pub(super) const ANSWERING: Duration = Duration::from_mins(1);

/// The network. Loopback is reached directly, whatever proxy the environment names.
pub(super) fn network(loopback: bool) -> Result<Arc<dyn HttpClient>, CloudError> {
    let builder = reqwest::Client::builder()
        .connect_timeout(CONNECTING)
        .timeout(ANSWERING)
        // A redirect would carry the token elsewhere; the resource manager sends none.
        .redirect(reqwest::redirect::Policy::none());
    let builder = if loopback { builder.no_proxy() } else { builder };
    let client = builder.build().map_err(|error| errors::transport(ErrorKind::Unreachable, &error))?;
    Ok(Arc::new(client))
}

/// The transport that classifies and repeats.
#[derive(Debug)]
pub(super) struct Transport(pub(super) Arc<dyn HttpClient>);

#[async_trait]
impl HttpClient for Transport {
    async fn execute_request(&self, request: &Request) -> azure_core::Result<Response> {
        let call = call(request);
        let answer = retry(call, || attempt(self.0.as_ref(), request)).await;
        answer.map_err(|error| Error::new(CoreKind::Other, error))
    }
}

/// Whether the request changes anything.
fn call(request: &Request) -> Call {
    match request.method() {
        Method::Get | Method::Head => Call::Read,
        Method::Post if request.url().path().ends_with("/listKeys") => Call::Read,
        _ => Call::Change,
    }
}

/// One send. Any answer that is no success is a failure, with the cloud's wish for the next one.
async fn attempt(wire: &dyn HttpClient, request: &Request) -> Result<Response, Attempt> {
    let response = wire.execute_request(request).await.map_err(|error| unanswered(&error))?;
    // Of the URL the path alone: the query of an operation's place can hold a signature.
    tracing::debug!(method = %request.method(), path = request.url().path(), status = %response.status(), "azure");
    if response.status().is_success() {
        return Ok(response);
    }
    // A body that breaks off leaves the status, which decides.
    let (status, headers, body) = response.deconstruct();
    let body = body.collect().await.unwrap_or_default();
    let refused = CollectedResponse::new(status, headers, body);
    Err(Attempt { error: errors::refused(&refused), retry_after: retry_after(&refused) })
}

/// No answer: either the request was never sent, or what became of it is not known.
fn unanswered(error: &Error) -> Attempt {
    let connected = error.downcast_ref::<reqwest::Error>().is_none_or(|error| !error.is_connect());
    let kind = if connected { ErrorKind::Unknown } else { ErrorKind::Unreachable };
    errors::transport(kind, error).into()
}

/// `Retry-After` in seconds.
pub(super) fn retry_after(response: &CollectedResponse) -> Option<Duration> {
    let header = azure_core::headers::HeaderName::from_static("retry-after");
    let seconds = response.headers().get_optional_str(&header)?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}

/// The failure inside an error of the Azure crates.
pub(super) fn failure<'e>(error: &'e (dyn std::error::Error + 'static)) -> Option<&'e CloudError> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<CloudError>() {
            return Some(found);
        }
        if let Some(core) = error.downcast_ref::<Error>()
            && let Some(found) = core.downcast_ref::<CloudError>()
        {
            return Some(found);
        }
        next = error.source();
    }
    None
}

/// The one conversion of the Azure crates' errors.
pub(super) fn convert(call: &str, error: &Error) -> CloudError {
    let mut found = failure(error).cloned().unwrap_or_else(|| CloudError {
        cloud: Cloud::Azure,
        call: String::new(),
        kind: if *error.kind() == CoreKind::Credential { ErrorKind::Credentials } else { ErrorKind::Unknown },
        code: String::new(),
        message: errors::chain(error),
        request_id: None,
        hint: None,
    });
    call.clone_into(&mut found.call);
    found
}
