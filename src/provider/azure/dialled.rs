//! The Azure crates' requests over connections within the process.

use async_trait::async_trait;
use azure_core::error::{Error, ErrorKind};
use azure_core::{Body, HttpClient, Method, Request, Response, StatusCode};
use futures::TryStreamExt as _;
use http_body_util::{BodyExt as _, BodyStream, Full};

use super::super::dial::Dialled;
use super::wire::ANSWERING;

/// The transport over [`super::super::dial::Dial`].
#[derive(Debug)]
pub(super) struct Carried(pub(super) Dialled);

#[async_trait]
impl HttpClient for Carried {
    async fn execute_request(&self, request: &Request) -> azure_core::Result<Response> {
        let wrong = |error: http::Error| Error::new(ErrorKind::DataConversion, error);
        let mut built = http::Request::builder().method(verb(*request.method())).uri(request.url().as_str());
        for (name, value) in request.headers().iter() {
            built = built.header(name.as_str(), value.as_str());
        }
        let body = match request.body() {
            Body::Bytes(bytes) => bytes.clone(),
            Body::SeekableStream(_) => {
                return Err(Error::message(ErrorKind::DataConversion, "a stream is never sent here"));
            }
        };
        let sent = self.0.request(built.body(Full::new(body)).map_err(wrong)?);
        let answer = tokio::time::timeout(ANSWERING, sent).await;
        let answer = answer.map_err(|late| Error::new(ErrorKind::Io, late))?;
        let (parts, body) = answer.map_err(|error| Error::new(ErrorKind::Io, error))?.into_parts();
        let headers: std::collections::HashMap<_, _> = parts
            .headers
            .iter()
            .filter_map(|(name, value)| {
                let value = value.to_str().ok()?.to_owned();
                Some((name.as_str().to_owned().into(), value.into()))
            })
            .collect();
        let status = StatusCode::try_from(parts.status.as_u16())
            .map_err(|_| Error::message(ErrorKind::DataConversion, "a status that Azure does not have"))?;
        let body = BodyStream::new(body.map_err(|error| Error::new(ErrorKind::Io, error)));
        let body = body.try_filter_map(async |frame| Ok(frame.into_data().ok()));
        Ok(Response::new(status, headers.into(), Box::pin(body)))
    }
}

fn verb(method: Method) -> http::Method {
    match method {
        Method::Get => http::Method::GET,
        Method::Head => http::Method::HEAD,
        Method::Post => http::Method::POST,
        Method::Put => http::Method::PUT,
        Method::Patch => http::Method::PATCH,
        Method::Delete => http::Method::DELETE,
        other => http::Method::from_bytes(other.as_ref().as_bytes()).unwrap_or_default(),
    }
}
