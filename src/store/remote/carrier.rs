//! Carries the object stores' requests over the one HTTP client of this program, on ring.

use std::time::Duration;

use async_trait::async_trait;
use futures::TryStreamExt as _;
use http_body_util::StreamBody;
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpResponseBody,
    HttpService,
};

/// No connection within this time: unreachable.
const CONNECTING: Duration = Duration::from_secs(5);
/// No whole answer within this time: whether anything happened is not known.
const ANSWERING: Duration = Duration::from_secs(30);

/// Makes the client.
#[derive(Debug)]
pub(super) struct Carrier {
    /// Loopback is reached directly, whatever proxy the environment names.
    pub(super) loopback: bool,
}

impl HttpConnector for Carrier {
    fn connect(&self, _options: &ClientOptions) -> object_store::Result<HttpClient> {
        let builder = reqwest::Client::builder()
            .connect_timeout(CONNECTING)
            .timeout(ANSWERING)
            .redirect(reqwest::redirect::Policy::none());
        let builder = if self.loopback { builder.no_proxy() } else { builder };
        let client = builder
            .build()
            .map_err(|error| object_store::Error::Generic { store: "http", source: Box::new(error) })?;
        Ok(HttpClient::new(Client(client)))
    }
}

#[derive(Debug)]
struct Client(reqwest::Client);

#[async_trait]
impl HttpService for Client {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let (parts, body) = request.into_parts();
        let url = reqwest::Url::parse(&parts.uri.to_string())
            .map_err(|error| HttpError::new(HttpErrorKind::Request, error))?;
        let mut request = reqwest::Request::new(parts.method, url);
        *request.headers_mut() = parts.headers;
        let length = body.content_length();
        let content = http_body_util::BodyExt::collect(body).await?.to_bytes();
        if length > 0 {
            *request.body_mut() = Some(content.into());
        }
        let response = self.0.execute(request).await.map_err(classify)?;
        let mut answer = http::Response::builder().status(response.status());
        if let Some(headers) = answer.headers_mut() {
            headers.clone_from(response.headers());
        }
        let frames = response.bytes_stream().map_ok(http_body::Frame::data).map_err(classify);
        answer
            .body(HttpResponseBody::new(StreamBody::new(frames)))
            .map_err(|error| HttpError::new(HttpErrorKind::Decode, error))
    }
}

/// The kind decides whether a request may be sent again.
fn classify(error: reqwest::Error) -> HttpError {
    let kind = if error.is_timeout() {
        HttpErrorKind::Timeout
    } else if error.is_connect() {
        HttpErrorKind::Connect
    } else if error.is_body() || error.is_decode() {
        HttpErrorKind::Interrupted
    } else {
        HttpErrorKind::Request
    };
    HttpError::new(kind, error.without_url())
}
