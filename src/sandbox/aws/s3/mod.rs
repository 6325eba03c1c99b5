//! S3's REST protocol, path style: authentication, and which call a request is.
//!
//! Absences: virtual-hosted addressing, access points, directory buckets, replication, object lock's retention,
//! copies of parts, and access control lists beyond `private`.

mod access;
mod answer;
mod bucket;
mod checksum;
mod config;
mod copy;
mod cors;
mod delete;
mod events;
mod list;
mod multipart;
mod multipart_form;
mod multipart_read;
mod object;
pub(super) mod origin;
mod policy;
mod post;
mod reach;
mod read;
mod record;
mod tagging;
mod versions;
pub(super) mod website;
mod write;

pub(super) use reach::{bucket_policy, put_bucket_policy, stored};

use bytes::Bytes;
use http::Method;
use jiff::SignedDuration;
use percent_encoding::percent_decode_str;
use sha2::{Digest, Sha256};

use super::chunked::{self, Decoded};
use super::error::Error;
use super::{Caller, authenticate, sigv4};
use crate::sandbox::{Request, Response, World};
use answer::failure;

/// A request's time may be off by this much.
const SKEW: SignedDuration = SignedDuration::from_mins(15);
/// The region of requests that name none.
const NOWHERE: &str = "us-east-1";

/// One request, authenticated, its body decoded and verified against its signature.
struct Call<'a> {
    world: &'a mut World,
    request: &'a Request,
    /// Who calls; `None` for anybody.
    caller: Option<Caller>,
    /// The region whose endpoint is asked.
    region: String,
    /// Whether it would come by TLS at AWS; loopback stands for that.
    secure: bool,
    query: Vec<(String, String)>,
    /// Empty where the path is `/`.
    bucket: String,
    /// Empty where the path names a bucket alone.
    key: String,
    body: Bytes,
    /// Header fields that trailed the body.
    trailers: Vec<(String, String)>,
}

impl Call<'_> {
    /// A header field, or one that trailed the body.
    fn header(&self, name: &str) -> Option<&str> {
        let sent = self.request.headers().get(name).and_then(|value| value.to_str().ok());
        sent.or_else(|| self.trailers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str()))
    }

    /// A parameter of the query.
    fn parameter(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    fn has(&self, name: &str) -> bool {
        self.parameter(name).is_some()
    }
}

/// Answers a request.
pub(super) fn handle(world: &mut World, request: &Request) -> Response {
    let id = world.word(16, b"0123456789ABCDEFGHJKMNPQRSTVWXYZ");
    let host_id = format!("{}=", world.hex(75));
    let resource = request.uri().path().to_owned();
    let answered = if cors::is_preflight(request) {
        cors::preflight(world, request)
    } else {
        answer(world, request).map(|response| cors::apply(world, request, response))
    };
    let mut response =
        answered.unwrap_or_else(|error| failure(&error, request.method(), &resource, &id, &host_id));
    let headers = response.headers_mut();
    for (name, value) in [("x-amz-request-id", id.as_str()), ("x-amz-id-2", &host_id), ("server", "AmazonS3")]
    {
        if let Ok(value) = value.parse() {
            headers.insert(name, value);
        }
    }
    response
}

fn answer(world: &mut World, request: &Request) -> Result<Response, Error> {
    let signed = match authenticate(world, request, SKEW) {
        Ok(signed) => signed,
        Err(refused) => return Err(denied(request, refused)),
    };
    let Decoded { body, trailers } = match &signed {
        Some((_, signed)) => decode(request, signed)?,
        None => Decoded { body: request.body().clone(), trailers: Vec::new() },
    };
    let query = form_urlencoded::parse(request.uri().query().unwrap_or_default().as_bytes());
    let query = query.map(|(key, value)| (key.into_owned(), value.into_owned())).collect();
    let (bucket, key) = request.uri().path()[1..].split_once('/').unwrap_or((&request.uri().path()[1..], ""));
    let decoded = |text: &str| {
        percent_decode_str(text)
            .decode_utf8()
            .map(std::borrow::Cow::into_owned)
            .map_err(|_| Error::new(400, "InvalidURI", "Couldn't parse the specified URI."))
    };
    let (bucket, key) = (decoded(bucket)?, decoded(key)?);
    let region = signed.as_ref().map_or(NOWHERE.to_owned(), |(_, signed)| signed.region.clone());
    let caller = signed.map(|(caller, _)| caller);
    route(&mut Call { world, request, caller, region, secure: true, query, bucket, key, body, trailers })
}

/// The body as it was before it was encoded for the wire, once it agrees with what was signed.
fn decode(request: &Request, signed: &sigv4::Signed) -> Result<Decoded, Error> {
    let text = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok());
    let plain = || Decoded { body: request.body().clone(), trailers: Vec::new() };
    match text("x-amz-content-sha256") {
        None if signed.presigned => Ok(plain()),
        None => {
            let message = "Missing required header for this request: x-amz-content-sha256";
            Err(Error::new(400, "InvalidRequest", message))
        }
        Some("UNSIGNED-PAYLOAD") => Ok(plain()),
        Some(said) if said.starts_with("STREAMING-") => {
            let length = text("x-amz-decoded-content-length").and_then(|length| length.parse().ok());
            chunked::decode(signed, request.body(), length)
        }
        Some(said) if said.len() == 64 && said.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
            let computed = hex::encode(Sha256::digest(request.body()));
            if computed == said.to_ascii_lowercase() {
                return Ok(plain());
            }
            let message = "The provided 'x-amz-content-sha256' header does not match what was computed.";
            Err(Error::new(400, "XAmzContentSHA256Mismatch", message)
                .detail("ClientComputedContentSHA256", said)
                .detail("S3ComputedContentSHA256", computed))
        }
        Some(_) => {
            let message = "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, STREAMING-UNSIGNED-PAYLOAD-TRAILER, \
                 STREAMING-AWS4-HMAC-SHA256-PAYLOAD, STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER, or a valid sha256 value.";
            Err(Error::new(400, "InvalidArgument", message))
        }
    }
}

fn denied(request: &Request, refused: sigv4::Refused) -> Error {
    let in_query = !request.headers().contains_key(http::header::AUTHORIZATION);
    match refused {
        sigv4::Refused::Malformed(message) if in_query => {
            Error::new(400, "AuthorizationQueryParametersError", message)
        }
        sigv4::Refused::Malformed(message) if message.starts_with("Unsupported Authorization Type") => Error::new(
            400,
            "InvalidRequest",
            "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256.",
        ),
        sigv4::Refused::Malformed(message) | sigv4::Refused::Scope(message) => Error::new(
            400,
            "AuthorizationHeaderMalformed",
            format!("The authorization header is malformed; {message}"),
        ),
        sigv4::Refused::InvalidToken => {
            Error::new(400, "InvalidToken", "The provided token is malformed or otherwise invalid.")
        }
        sigv4::Refused::ExpiredToken => Error::new(400, "ExpiredToken", "The provided token has expired."),
        sigv4::Refused::UnknownKey(key) => {
            Error::new(403, "InvalidAccessKeyId", "The AWS Access Key Id you provided does not exist in our records.")
                .detail("AWSAccessKeyId", key)
        }
        sigv4::Refused::Mismatch { access_key, string_to_sign, canonical_request } => Error::new(
            403,
            "SignatureDoesNotMatch",
            "The request signature we calculated does not match the signature you provided. Check your key and \
             signing method.",
        )
        .detail("AWSAccessKeyId", access_key)
        .detail("StringToSign", string_to_sign)
        .detail("CanonicalRequest", canonical_request),
        sigv4::Refused::Skewed { signed, now } => Error::new(
            403,
            "RequestTimeTooSkewed",
            "The difference between the request time and the current time is too large.",
        )
        .detail("RequestTime", signed.to_string())
        .detail("ServerTime", now.to_string())
        .detail("MaxAllowedSkewMilliseconds", SKEW.as_millis().to_string()),
        sigv4::Refused::Expired { until, now } => Error::new(403, "AccessDenied", "Request has expired")
            .detail("Expires", until.to_string())
            .detail("ServerTime", now.to_string()),
        sigv4::Refused::HeadersNotSigned(names) => Error::new(
            403,
            "AccessDenied",
            "There were headers present in the request which were not signed",
        )
        .detail("HeadersNotSigned", names.join(", ")),
    }
}

/// Which call it is: by method, bucket, key and the parameters that select a sub-resource.
fn route(call: &mut Call<'_>) -> Result<Response, Error> {
    if call.bucket.is_empty() {
        return match *call.request.method() {
            Method::GET => bucket::list(call),
            _ => Err(not_allowed()),
        };
    }
    if call.key.is_empty() { route_bucket(call) } else { route_object(call) }
}

fn route_bucket(call: &mut Call<'_>) -> Result<Response, Error> {
    let method = call.request.method().clone();
    if let Some(resource) = config::find(call) {
        return match method {
            Method::GET => config::get(call, resource),
            Method::PUT => config::put(call, resource),
            Method::DELETE => config::delete(call, resource),
            _ => Err(not_allowed()),
        };
    }
    if call.has("policy") || call.has("policyStatus") {
        return match method {
            Method::GET if call.has("policy") => policy::get(call),
            Method::GET => policy::status(call),
            Method::PUT if call.has("policy") => policy::put(call),
            Method::DELETE if call.has("policy") => policy::delete(call),
            _ => Err(not_allowed()),
        };
    }
    if call.has("acl") {
        return match method {
            Method::GET => access::get_acl(call),
            Method::PUT => access::put_acl(call),
            _ => Err(not_allowed()),
        };
    }
    match method {
        Method::GET if call.has("location") => bucket::location(call),
        Method::GET if call.has("versions") => versions::list(call),
        Method::GET if call.has("uploads") => multipart_read::list_uploads(call),
        Method::GET => list::objects(call),
        Method::HEAD => bucket::head(call),
        Method::PUT => bucket::create(call),
        Method::DELETE => bucket::delete(call),
        Method::POST if call.has("delete") => delete::many(call),
        Method::POST if post::is_form(call.request) => post::put(call),
        _ => Err(not_allowed()),
    }
}

fn route_object(call: &mut Call<'_>) -> Result<Response, Error> {
    let method = call.request.method().clone();
    if call.has("tagging") {
        return match method {
            Method::GET => tagging::get(call),
            Method::PUT => tagging::put(call),
            Method::DELETE => tagging::delete(call),
            _ => Err(not_allowed()),
        };
    }
    if call.has("acl") {
        return match method {
            Method::GET => access::get_acl(call),
            Method::PUT => access::put_acl(call),
            _ => Err(not_allowed()),
        };
    }
    if call.has("uploadId") {
        return match method {
            Method::PUT if call.header("x-amz-copy-source").is_some() => Err(not_implemented()),
            Method::PUT => multipart::put_part(call),
            Method::POST => multipart::complete(call),
            Method::DELETE => multipart::abort(call),
            Method::GET => multipart_read::list_parts(call),
            _ => Err(not_allowed()),
        };
    }
    match method {
        Method::GET | Method::PUT if unknown_object_resource(call) => Err(not_implemented()),
        Method::GET | Method::HEAD => read::get(call),
        Method::PUT if call.header("x-amz-copy-source").is_some() => copy::copy(call),
        Method::PUT => write::put(call),
        Method::DELETE => delete::one(call),
        Method::POST if call.has("uploads") => multipart::create(call),
        _ => Err(not_allowed()),
    }
}

fn unknown_object_resource(call: &Call<'_>) -> bool {
    ["attributes", "legal-hold", "retention", "torrent", "restore", "select"]
        .iter()
        .any(|name| call.has(name))
}

fn not_allowed() -> Error {
    Error::new(405, "MethodNotAllowed", "The specified method is not allowed against this resource.")
}

fn not_implemented() -> Error {
    Error::new(
        501,
        "NotImplemented",
        "A header or query you provided requested a function that is not implemented.",
    )
}
