//! Reading an object, or only what is known of it.

use bytes::Bytes;
use http::Method;

use super::super::error::Error;
use super::answer::{empty, http_date, maybe, with};
use super::bucket::version_header;
use super::object::{self, is_tag};
use super::record::{Content, Version};
use super::{Call, access};
use crate::sandbox::Response;

/// Parameters of a signed request that change a header field of the answer.
const OVERRIDES: [(&str, &str); 6] = [
    ("response-content-type", "content-type"),
    ("response-content-language", "content-language"),
    ("response-expires", "expires"),
    ("response-cache-control", "cache-control"),
    ("response-content-disposition", "content-disposition"),
    ("response-content-encoding", "content-encoding"),
];

pub(super) fn get(call: &mut Call<'_>) -> Result<Response, Error> {
    let action = if call.has("versionId") { "s3:GetObjectVersion" } else { "s3:GetObject" };
    let bucket = access::bucket(call, action)?;
    let found = object::find(call);
    let (version, content) =
        found.map_err(|error| access::hidden(call, &bucket, &call.key, action, error))?;
    check_conditions(call, &version, &content)?;
    let range = range(call, content.size)?;
    let mut response = headers(call, &version, &content)?;
    let (first, count) = range.unwrap_or((0, content.size));
    response = with(response, "content-length", count.to_string());
    if range.is_some() {
        let last = first + count - 1;
        response = with(response, "content-range", format!("bytes {first}-{last}/{}", content.size));
        *response.status_mut() = http::StatusCode::PARTIAL_CONTENT;
    } else if call.header("x-amz-checksum-mode") == Some("ENABLED") {
        response = with(response, content.checksum.algorithm.header(), &content.checksum.value);
        response = with(response, "x-amz-checksum-type", content.checksum.kind());
    }
    if *call.request.method() == Method::GET {
        *response.body_mut() = bytes(call, &content, first, count)?;
    }
    Ok(version_header(response, &bucket, &version.id))
}

/// The bytes of some content.
pub(super) fn bytes(call: &Call<'_>, content: &Content, first: u64, count: u64) -> Result<Bytes, Error> {
    let lost = || Error::new(500, "InternalError", "We encountered an internal error. Please try again.");
    let whole = call.world.blob(&content.blob).ok_or_else(lost)?;
    let first = usize::try_from(first).map_err(|_| lost())?;
    let end = usize::try_from(count).ok().and_then(|count| first.checked_add(count)).ok_or_else(lost)?;
    if end > whole.len() { Err(lost()) } else { Ok(whole.slice(first..end)) }
}

fn headers(call: &Call<'_>, version: &Version, content: &Content) -> Result<Response, Error> {
    let mut response = with(empty(200), "last-modified", http_date(version.modified));
    response = with(response, "etag", format!("\"{}\"", content.etag));
    response = with(response, "accept-ranges", "bytes");
    response = with(response, "x-amz-server-side-encryption", &content.encryption);
    for (name, value) in &content.headers {
        if let (Ok(name), Ok(value)) =
            (http::HeaderName::try_from(name), http::HeaderValue::from_bytes(value.as_bytes()))
        {
            response.headers_mut().insert(name, value);
        }
    }
    let class = Some(&content.storage_class).filter(|class| *class != "STANDARD");
    response = maybe(response, "x-amz-storage-class", class);
    let tags = Some(content.tags.len()).filter(|count| *count > 0).map(|count| count.to_string());
    response = maybe(response, "x-amz-tagging-count", tags);
    for (parameter, header) in OVERRIDES {
        let Some(value) = call.parameter(parameter) else { continue };
        if call.caller.is_none() {
            let message = "Request specific response headers cannot be used for anonymous GET requests.";
            return Err(Error::new(400, "InvalidRequest", message));
        }
        response = with(response, header, value);
    }
    Ok(response)
}

fn check_conditions(call: &Call<'_>, version: &Version, content: &Content) -> Result<(), Error> {
    let failed = |condition: &str| {
        let error = Error::new(
            412,
            "PreconditionFailed",
            "At least one of the pre-conditions you specified did not hold",
        );
        Err(error.detail("Condition", condition))
    };
    let unmodified = || {
        let tag = format!("\"{}\"", content.etag);
        Err(Error::new(304, "NotModified", "")
            .header("etag", tag)
            .header("last-modified", http_date(version.modified)))
    };
    let since = |name: &str| {
        let date = jiff::fmt::rfc2822::parse(call.header(name)?).ok()?;
        Some(version.modified.as_second() > date.timestamp().as_second())
    };
    match (call.header("if-match"), since("if-unmodified-since")) {
        (Some(tags), _) if !is_tag(tags, &content.etag) => return failed("If-Match"),
        (None, Some(true)) => return failed("If-Unmodified-Since"),
        (Some(_), _) | (None, Some(false) | None) => {}
    }
    match (call.header("if-none-match"), since("if-modified-since")) {
        (Some(tags), _) if is_tag(tags, &content.etag) => unmodified(),
        (None, Some(false)) => unmodified(),
        (Some(_), _) | (None, Some(true) | None) => Ok(()),
    }
}

/// First byte and count of the range that is asked, if one is; what is no range is passed over.
fn range(call: &Call<'_>, size: u64) -> Result<Option<(u64, u64)>, Error> {
    let Some((first, last)) =
        call.header("range").and_then(|range| range.strip_prefix("bytes=")?.split_once('-'))
    else {
        return Ok(None);
    };
    let unsatisfiable = || {
        let error = Error::new(416, "InvalidRange", "The requested range is not satisfiable");
        Err(error.header("content-range", format!("bytes */{size}")))
    };
    match (first.parse::<u64>(), last.parse::<u64>()) {
        (Ok(first), _) if first >= size => unsatisfiable(),
        (Ok(first), Ok(last)) if last < first => Ok(None),
        (Ok(first), Ok(last)) => Ok(Some((first, last.min(size - 1) - first + 1))),
        (Ok(first), Err(_)) if last.is_empty() => Ok(Some((first, size - first))),
        (Err(_), Ok(count)) if first.is_empty() && (count == 0 || size == 0) => unsatisfiable(),
        (Err(_), Ok(count)) if first.is_empty() => {
            let count = count.min(size);
            Ok(Some((size - count, count)))
        }
        (Ok(_), Err(_)) | (Err(_), _) => Ok(None),
    }
}
