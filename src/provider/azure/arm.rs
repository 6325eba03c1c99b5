//! A thin client of Azure Resource Manager: what no generated client covers, and the end of every long-running
//! operation, including those that the generated client begins (its own poller takes failures for successes).

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use azure_core::auth::TokenCredential;
use azure_core::headers::{AUTHORIZATION, CONTENT_TYPE, HeaderName};
use azure_core::{
    ClientOptions, CollectedResponse, Context, HttpClient, Method, Pipeline, Request, Response, RetryOptions,
    StatusCode, TransportOptions, Url,
};
use serde_json::Value as Json;
use tokio::time::{Instant, sleep};

use super::errors::ours;
use super::wire::{convert, retry_after};
use crate::model::{CloudError, ErrorKind};

/// What tokens are asked for.
pub(super) const SCOPE: &str = "https://management.azure.com/.default";
/// No operation is waited for longer.
const DEADLINE: Duration = Duration::from_mins(15);
/// The first pause between two looks at an operation that does not say how long to wait; each further one is half
/// as long again, up to [`LONGEST`].
const SHORTEST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(5);
/// A service may say `Retry-After: 0`; this many times it is taken at its word.
const AT_ONCE: u32 = 20;

/// The client.
pub(super) struct Arm {
    endpoint: Url,
    pipeline: Pipeline,
    credential: Arc<dyn TokenCredential>,
}

/// One request.
pub(super) struct Ask<'a> {
    /// The action, in Azure's words: `Microsoft.Resources/subscriptions/resourceGroups/write`.
    pub(super) call: &'a str,
    /// The verb.
    pub(super) method: Method,
    /// The path, which begins with `/`.
    pub(super) path: &'a str,
    /// The version of the resource type's interface.
    pub(super) version: &'a str,
    /// What is sent.
    pub(super) body: Option<Json>,
    /// The etag that the object must still have.
    pub(super) etag: Option<&'a str>,
}

impl<'a> Ask<'a> {
    /// A request that reads.
    pub(super) fn get(call: &'a str, path: &'a str, version: &'a str) -> Self {
        Self { call, method: Method::Get, path, version, body: None, etag: None }
    }
}

/// Where to look for the end of an operation.
enum Follow {
    /// `Azure-AsyncOperation`: a status to be read.
    Status(Url),
    /// `Location`: 202 until it is done.
    Place(Url),
    /// The object's own `provisioningState`.
    Object,
}

impl Arm {
    /// A client over a transport.
    pub(super) fn new(
        endpoint: Url,
        transport: &Arc<dyn HttpClient>,
        credential: Arc<dyn TokenCredential>,
    ) -> Self {
        let options = ClientOptions::new(TransportOptions::new(Arc::clone(transport)));
        let options = options.retry(RetryOptions::none());
        let pipeline =
            Pipeline::new(Some("mcm"), option_env!("CARGO_PKG_VERSION"), options, Vec::new(), Vec::new());
        Self { endpoint, pipeline, credential }
    }

    /// Sends a request. A refusal is an error.
    pub(super) async fn send(&self, ask: &Ask<'_>) -> Result<CollectedResponse, CloudError> {
        let url = self.url(ask.path, ask.version);
        self.send_to(ask.call, ask.method, url, ask.body.as_ref(), ask.etag).await
    }

    /// Reads an object; `None` if it, or its parent, is not there.
    pub(super) async fn read(&self, ask: &Ask<'_>) -> Result<Option<Json>, CloudError> {
        match self.send(ask).await {
            Ok(response) => Ok(Some(json(ask.call, &response)?)),
            Err(error) if error.kind == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Reads every page of a list.
    pub(super) async fn list(&self, call: &str, path: &str, version: &str) -> Result<Vec<Json>, CloudError> {
        // A thousand items a page: more pages than these are a server that goes round in circles.
        const PAGES: usize = 100;
        let mut items = Vec::new();
        let mut url = self.url(path, version);
        for _ in 0..PAGES {
            let response = self.send_to(call, Method::Get, url, None, None).await?;
            let page = json(call, &response)?;
            items.extend(page["value"].as_array().cloned().unwrap_or_default());
            match page["nextLink"].as_str().filter(|link| !link.is_empty()) {
                Some(link) => url = self.own(call, link)?,
                None => return Ok(items),
            }
        }
        Err(ours(ErrorKind::Invalid, call, format!("the list has more than {PAGES} pages")))
    }

    /// Waits until what a change began has ended. `path` and `version` are the changed object's.
    ///
    /// Whatever goes wrong from here on, the change had been taken on: the outcome is unknown until it is read.
    pub(super) async fn settle(
        &self,
        call: &str,
        begun: &CollectedResponse,
        path: &str,
        version: &str,
    ) -> Result<(), CloudError> {
        let follow = self.follow(call, begun)?;
        let mut pause = pause_after(begun, 0);
        if matches!(follow, Follow::Object) && !running(&body(begun)) {
            return Ok(());
        }
        let start = Instant::now();
        for looks in 1.. {
            if start.elapsed() + pause > DEADLINE {
                break;
            }
            sleep(pause).await;
            let url = match &follow {
                Follow::Status(url) | Follow::Place(url) => url.clone(),
                Follow::Object => self.url(path, version),
            };
            let look = self.send_to(call, Method::Get, url, None, None).await;
            let look = look.map_err(|error| CloudError { kind: ErrorKind::Unknown, ..error })?;
            let still = match &follow {
                Follow::Status(_) => status(call, &body(&look))?,
                Follow::Place(_) => *look.status() == StatusCode::Accepted,
                Follow::Object => running(&body(&look)),
            };
            if !still {
                return Ok(());
            }
            pause = pause_after(&look, looks);
        }
        let minutes = DEADLINE.as_secs() / 60;
        Err(ours(
            ErrorKind::Unknown,
            call,
            format!("the operation is still going on after {minutes} minutes"),
        ))
    }

    fn follow(&self, call: &str, begun: &CollectedResponse) -> Result<Follow, CloudError> {
        let header = |name| begun.headers().get_optional_str(&HeaderName::from_static(name));
        Ok(match (header("azure-asyncoperation"), header("location")) {
            (Some(url), _) => Follow::Status(self.own(call, url)?),
            (None, Some(url)) if *begun.status() == StatusCode::Accepted => {
                Follow::Place(self.own(call, url)?)
            }
            (None, _) => Follow::Object,
        })
    }

    /// A URL out of an answer: the token goes to the resource manager alone.
    fn own(&self, call: &str, url: &str) -> Result<Url, CloudError> {
        let parsed = Url::parse(url).ok().filter(|url| {
            let regional =
                |host: &str| self.endpoint.host_str().is_some_and(|own| host.ends_with(&format!(".{own}")));
            url.scheme() == self.endpoint.scheme()
                && (url.origin() == self.endpoint.origin() || url.host_str().is_some_and(regional))
        });
        parsed.ok_or_else(|| {
            ours(
                ErrorKind::Unknown,
                call,
                format!("the answer leads to another host, which is not followed: {url}"),
            )
        })
    }

    fn url(&self, path: &str, version: &str) -> Url {
        let mut url = self.endpoint.clone();
        url.set_path(path);
        url.query_pairs_mut().clear().append_pair("api-version", version);
        url
    }

    async fn send_to(
        &self,
        call: &str,
        method: Method,
        url: Url,
        body: Option<&Json>,
        etag: Option<&str>,
    ) -> Result<CollectedResponse, CloudError> {
        let token = self.credential.get_token(&[SCOPE]).await.map_err(|error| convert(call, &error))?;
        let mut request = Request::new(url, method);
        request.insert_header(AUTHORIZATION, format!("Bearer {}", token.token.secret()));
        if let Some(etag) = etag {
            request.insert_header("if-match", etag.to_owned());
        }
        if let Some(body) = body {
            request.insert_header(CONTENT_TYPE, "application/json");
            request.set_body(body.to_string());
        } else {
            request.insert_header("content-length", "0");
        }
        let response = self.pipeline.send(&Context::new(), &mut request).await;
        collect(call, response).await
    }
}

impl fmt::Debug for Arm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Arm({})", self.endpoint)
    }
}

/// The whole answer to a request of either client.
pub(super) async fn collect(
    call: &str,
    response: azure_core::Result<Response>,
) -> Result<CollectedResponse, CloudError> {
    let response = response.map_err(|error| convert(call, &error))?;
    CollectedResponse::from_response(response).await.map_err(|error| convert(call, &error))
}

/// The body as JSON.
pub(super) fn json(call: &str, response: &CollectedResponse) -> Result<Json, CloudError> {
    serde_json::from_slice(response.body())
        .map_err(|error| ours(ErrorKind::Unknown, call, format!("the answer cannot be read: {error}")))
}

/// The body as JSON, if it is any.
fn body(response: &CollectedResponse) -> Json {
    serde_json::from_slice(response.body()).unwrap_or_default()
}

/// Whether an object's `provisioningState` is not its last. None at all means that it is.
pub(super) fn running(object: &Json) -> bool {
    let state = object.pointer("/properties/provisioningState").and_then(Json::as_str).unwrap_or("Succeeded");
    !["succeeded", "failed", "canceled"].contains(&state.to_lowercase().as_str())
}

/// Whether an operation is still going on; its failure is an error.
fn status(call: &str, operation: &Json) -> Result<bool, CloudError> {
    let status = operation["status"].as_str().unwrap_or_default();
    match status.to_lowercase().as_str() {
        "succeeded" => Ok(false),
        "failed" | "canceled" => {
            let text =
                |name: &str| operation.pointer(name).and_then(Json::as_str).unwrap_or_default().to_owned();
            let message = format!("the operation ended as {status}: {}", text("/error/message"));
            Err(CloudError { code: text("/error/code"), ..ours(ErrorKind::Unknown, call, message) })
        }
        _ => Ok(true),
    }
}

fn pause_after(answer: &CollectedResponse, looks: u32) -> Duration {
    match retry_after(answer) {
        Some(wish) if !wish.is_zero() => wish.min(Duration::from_mins(1)),
        Some(_) if looks < AT_ONCE => Duration::ZERO,
        Some(_) | None => pause(looks),
    }
}

/// The pause after so many looks.
pub(super) fn pause(looks: u32) -> Duration {
    SHORTEST.mul_f64(1.5_f64.powi(i32::try_from(looks.min(30)).unwrap_or(30))).min(LONGEST)
}
