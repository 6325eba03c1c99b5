//! S3's answers: documents, empty ones, and errors.

use bytes::Bytes;
use http::Method;
use jiff::Timestamp;

use super::super::error::Error;
use super::super::xml::Element;
use crate::sandbox::Response;

/// The namespace of S3's documents.
pub(super) const NAMESPACE: &str = "http://s3.amazonaws.com/doc/2006-03-01/";

/// A document.
pub(super) fn document(root: Element) -> Response {
    let root = root.attribute("xmlns", NAMESPACE);
    built(http::Response::builder().header("content-type", "application/xml"), root.document())
}

/// Nothing but a status.
pub(super) fn empty(status: u16) -> Response {
    built(http::Response::builder().status(status), Bytes::new())
}

/// Adds a header field.
pub(super) fn with(mut response: Response, name: &'static str, value: impl AsRef<str>) -> Response {
    if let Ok(value) = http::HeaderValue::from_bytes(value.as_ref().as_bytes()) {
        response.headers_mut().insert(name, value);
    }
    response
}

/// Adds a header field, if there is a value.
pub(super) fn maybe(response: Response, name: &'static str, value: Option<impl AsRef<str>>) -> Response {
    match value {
        Some(value) => with(response, name, value),
        None => response,
    }
}

/// An error; without its document where the method is HEAD.
pub(super) fn failure(error: &Error, method: &Method, resource: &str, id: &str, host_id: &str) -> Response {
    let mut root = Element::new("Error").text("Code", error.code.as_ref()).text("Message", &error.message);
    for (name, value) in &error.details {
        root = root.text(name, value);
    }
    let root = root.text("Resource", resource).text("RequestId", id).text("HostId", host_id);
    let builder = http::Response::builder().status(error.status).header("content-type", "application/xml");
    let has_body = *method != Method::HEAD && error.status != 304;
    let body = if has_body { Bytes::from(root.document()) } else { Bytes::new() };
    error.headers.iter().fold(built(builder, body), |response, (name, value)| with(response, name, value))
}

/// `2013-05-24T00:00:00.000Z`.
pub(super) fn iso_millis(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%S.000Z").to_string()
}

/// `Fri, 24 May 2013 00:00:00 GMT`.
pub(super) fn http_date(time: Timestamp) -> String {
    time.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

fn built(builder: http::response::Builder, body: impl Into<Bytes>) -> Response {
    // Every part is one of ours: a builder of ours does not fail.
    builder.body(body.into()).unwrap_or_default()
}
