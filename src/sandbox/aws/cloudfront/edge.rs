//! Distributions as browsers meet them: `http://dXXXX.cloudfront.localhost:PORT/…`, or the distribution's own names.
//!
//! A loopback connection counts as HTTPS: there is no redirect. Absences: compression, ranges, signed URLs, functions at
//! the edge, origins outside of the sandbox, an answer that is out of date in place of an origin's failure.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use percent_encoding::percent_decode_str;

use super::super::policy::Service;
use super::super::{apigateway, s3};
use super::cache::{self, Kept};
use super::distribution::{Behaviour, Distribution, Origin, by_host};
use super::policies::Told;
use crate::sandbox::{Request, Response, World};

/// The managed policy that adds fields for security.
const SECURITY_HEADERS: &str = "67f7725c-6f97-4210-82d7-5512b31e9d03";

/// What a distribution does with an answer that is still to come.
#[derive(Clone, Debug)]
pub struct Passing {
    distribution: String,
    /// The path that the viewer asked for.
    path: String,
    /// Where the answer is kept, if it may be.
    key: Option<String>,
    method: Method,
    /// What the viewer has already.
    known: Option<String>,
}

impl Passing {
    fn new(distribution: &Distribution, behaviour: &Behaviour, request: &Request, path: &str) -> Self {
        // An answer to HEAD has no body that could be shown to others.
        let reads = *request.method() == Method::GET;
        Self {
            distribution: distribution.id.clone(),
            path: path.to_owned(),
            key: reads.then(|| cache::key(distribution, behaviour, path, request)),
            method: request.method().clone(),
            known: known(request).map(str::to_owned),
        }
    }
}

/// The distribution that a request's host names.
pub(in super::super) fn host(world: &World, request: &Request) -> Option<Distribution> {
    let host = request.headers().get(header::HOST)?.to_str().ok()?;
    let host = host.rsplit_once(':').map_or(host, |(name, _)| name).to_ascii_lowercase();
    let named = match host.split_once(".cloudfront.") {
        Some((name, _)) => format!("{name}.cloudfront.net"),
        // Nobody's alias: every other request would otherwise be looked up among the distributions.
        None if host.ends_with(".amazonaws.com")
            || !host.contains(|byte: char| byte.is_ascii_alphabetic()) =>
        {
            return None;
        }
        None if host == "localhost" => return None,
        None => host,
    };
    by_host(world, &named)
}

/// Answers a browser.
pub(in super::super) fn handle(
    world: &mut World,
    request: &Request,
    distribution: &Distribution,
) -> Response {
    let asked = request.uri().path();
    let root = &distribution.config.default_root_object;
    let path = if asked == "/" && !root.is_empty() { format!("/{root}") } else { asked.to_owned() };
    let behaviour = behaviour(distribution, &path);
    if !distribution.config.enabled
        || !behaviour.methods.iter().any(|method| method == request.method().as_str())
    {
        let why = "This distribution is not configured to allow the HTTP request method that was used for this request.";
        return finish(world, distribution, behaviour, error(403, why), "Error from cloudfront");
    }
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    let key = cache::key(distribution, behaviour, &path, request);
    if reads && let Some(kept) = cache::find(world, &key) {
        let told = if kept.status < 400 { "Hit from cloudfront" } else { "Error from cloudfront" };
        let age = world.now().duration_since(kept.stored).as_secs().to_string();
        let mut response = kept.response(world);
        set(response.headers_mut(), "age", &age);
        let response = conditional(request.method(), known(request), response);
        return finish(world, distribution, behaviour, response, told);
    }
    let fetched = fetch(world, request, distribution, behaviour, &path);
    // A function is to answer: the rest is done then (see `pass`).
    if fetched.extensions().get::<super::super::Invocation>().is_some() {
        return fetched;
    }
    let mut told = "Miss from cloudfront";
    let seconds = lasts(distribution, behaviour, &fetched);
    let response = if fetched.status().as_u16() < 400 {
        fetched
    } else {
        told = "Error from cloudfront";
        replaced(world, distribution, fetched)
    };
    if *request.method() == Method::GET {
        keep(world, &key, &path, seconds, &response);
    }
    let response = conditional(request.method(), known(request), response);
    finish(world, distribution, behaviour, response, told)
}

/// Goes on with an answer that a function has given.
pub(in super::super) fn pass(world: &mut World, passing: &Passing, response: Response) -> Response {
    let Some(distribution) = world.get::<Distribution>(&passing.distribution) else { return response };
    let behaviour = behaviour(&distribution, &passing.path);
    let seconds = lasts(&distribution, behaviour, &response);
    let (response, told) = if response.status().as_u16() < 400 {
        (response, "Miss from cloudfront")
    } else {
        (replaced(world, &distribution, response), "Error from cloudfront")
    };
    if let Some(key) = &passing.key {
        keep(world, key, &passing.path, seconds, &response);
    }
    let response = conditional(&passing.method, passing.known.as_deref(), response);
    finish(world, &distribution, behaviour, response, told)
}

fn behaviour<'a>(distribution: &'a Distribution, path: &str) -> &'a Behaviour {
    let config = &distribution.config;
    let mut found = config.behaviours.iter().filter(|behaviour| cache::is_like(&behaviour.pattern, path));
    found.next().unwrap_or(&config.default_behaviour)
}

fn fetch(
    world: &mut World,
    request: &Request,
    distribution: &Distribution,
    behaviour: &Behaviour,
    path: &str,
) -> Response {
    let unreachable = || error(502, "CloudFront wasn't able to resolve the origin domain name.");
    let origins = &distribution.config.origins;
    let Some(origin) = origins.iter().find(|origin| origin.id == behaviour.origin) else {
        return unreachable();
    };
    let asked = path;
    let path = format!("{}{path}", origin.path);
    if origin.is_s3 {
        return from_bucket(world, distribution, origin, &path);
    }
    let told = Told::of(behaviour);
    let mut forwarded = request.clone();
    *forwarded.headers_mut() = told.fields(request.method(), request.headers());
    let query = request.uri().query().filter(|_| told.query).map(|query| format!("?{query}"));
    let Ok(uri) = format!("{path}{}", query.unwrap_or_default()).parse() else { return unreachable() };
    *forwarded.uri_mut() = uri;
    set(forwarded.headers_mut(), "host", &origin.domain);
    for (name, value) in &origin.headers {
        set(forwarded.headers_mut(), name, value);
    }
    if let Some(id) = apigateway::serve::host(&forwarded) {
        if told.host() {
            // API Gateway knows no API by the distribution's name.
            let mut refused = Response::new(Bytes::from_static(b"{\"message\":\"Forbidden\"}"));
            *refused.status_mut() = StatusCode::FORBIDDEN;
            set(refused.headers_mut(), "content-type", "application/json");
            return refused;
        }
        let passing = Passing::new(distribution, behaviour, request, asked);
        return apigateway::serve::handle(world, &forwarded, &id, Some(passing));
    }
    match s3::website::host(&forwarded) {
        Some(bucket) => s3::website::handle(world, &forwarded, bucket),
        None => unreachable(),
    }
}

fn from_bucket(world: &mut World, distribution: &Distribution, origin: &Origin, path: &str) -> Response {
    let bucket = origin.domain.split_once(".s3").map_or(origin.domain.as_str(), |(bucket, _)| bucket);
    let key = percent_decode_str(path.trim_start_matches('/')).decode_utf8_lossy().into_owned();
    let arn = distribution.arn();
    let service = Service {
        principal: "cloudfront.amazonaws.com",
        source_arn: &arn,
        source_account: &distribution.account,
    };
    let control = origin.access_control.as_ref().and_then(|id| world.get::<super::AccessControl>(id));
    let signs = control.is_some_and(|control| control.signing != "never");
    s3::origin::get(world, bucket, &key, signs.then_some(service))
}

/// The page that is shown for an error, if the distribution names one.
fn replaced(world: &mut World, distribution: &Distribution, response: Response) -> Response {
    let code = response.status().as_u16();
    let rule = distribution.config.error_responses.iter().find(|rule| rule.code == code);
    let Some((page, status)) = rule.and_then(|rule| rule.page.as_ref()) else { return response };
    let request = Request::new(Bytes::new());
    let behaviour = behaviour(distribution, page);
    let mut shown = fetch(world, &request, distribution, behaviour, page);
    // Where the page itself cannot be had, the error is shown.
    if shown.status() != StatusCode::OK || shown.extensions().get::<super::super::Invocation>().is_some() {
        return response;
    }
    *shown.status_mut() = StatusCode::from_u16(*status).unwrap_or(response.status());
    shown
}

/// How many seconds an origin's answer is kept; that of an error is, whatever page is shown for it.
fn lasts(distribution: &Distribution, behaviour: &Behaviour, answer: &Response) -> u64 {
    let status = answer.status().as_u16();
    if status < 400 {
        return cache::seconds(behaviour, answer.headers());
    }
    let rule = distribution.config.error_responses.iter().find(|rule| rule.code == status);
    cache::error_seconds(behaviour, status, answer.headers(), rule.map_or(10, |rule| rule.ttl_s))
}

fn keep(world: &mut World, key: &str, path: &str, seconds: u64, response: &Response) {
    // A part, or the word that the viewer has it already, is no answer for others.
    if seconds > 0 && !matches!(response.status().as_u16(), 206 | 304) {
        cache::put(world, key, Kept::new(world.now(), seconds, path, response), response.body());
    }
}

/// The tag of what a viewer has already.
fn known(request: &Request) -> Option<&str> {
    request.headers().get(header::IF_NONE_MATCH).and_then(|known| known.to_str().ok())
}

/// Nothing but the fields, for who has the same already.
fn conditional(method: &Method, known: Option<&str>, mut response: Response) -> Response {
    let tag = response.headers().get(header::ETAG).and_then(|tag| tag.to_str().ok());
    let same = known.zip(tag).is_some_and(|(known, tag)| {
        known.split(',').any(|one| one.trim() == "*" || one.trim().trim_start_matches("W/") == tag)
    });
    if same && response.status() == StatusCode::OK {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        *response.body_mut() = Bytes::new();
    } else if *method == Method::HEAD && !response.body().is_empty() {
        let length = response.body().len().to_string();
        *response.body_mut() = Bytes::new();
        set(response.headers_mut(), "content-length", &length);
    }
    response
}

fn finish(
    world: &mut World,
    distribution: &Distribution,
    behaviour: &Behaviour,
    mut response: Response,
    told: &str,
) -> Response {
    let id = world.hex(56);
    let via = format!("1.1 {}.cloudfront.net (CloudFront)", &id[..32]);
    let headers = response.headers_mut();
    if behaviour.response_policy.as_deref() == Some(SECURITY_HEADERS) {
        for (name, value) in [
            ("x-xss-protection", "1; mode=block"),
            ("x-frame-options", "SAMEORIGIN"),
            ("referrer-policy", "strict-origin-when-cross-origin"),
            ("x-content-type-options", "nosniff"),
            ("strict-transport-security", "max-age=31536000"),
        ] {
            set(headers, name, value);
        }
    }
    let pop = format!("SBX{}", distribution.id.len());
    for (name, value) in [
        ("x-cache", told),
        ("via", via.as_str()),
        ("x-amz-cf-pop", pop.as_str()),
        ("x-amz-cf-id", id.as_str()),
    ] {
        set(headers, name, value);
    }
    response
}

/// CloudFront's own page about an error.
fn error(status: u16, why: &str) -> Response {
    let title = if status == 403 { "403 ERROR" } else { "502 ERROR" };
    let body = format!(
        "<!DOCTYPE HTML>\n<html><head><title>ERROR: The request could not be satisfied</title></head><body>\n<h1>{title}</h1>\n\
         <h2>The request could not be satisfied.</h2>\n<p>{why}</p>\n</body></html>\n"
    );
    let mut response = Response::new(Bytes::from(body));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
    set(response.headers_mut(), "content-type", "text/html");
    set(response.headers_mut(), "server", "CloudFront");
    response
}

fn set(headers: &mut HeaderMap, name: &str, value: &str) {
    if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::from_str(value)) {
        headers.insert(name, value);
    }
}
