//! A bucket as a web site, for a browser: `http://BUCKET.s3-website-REGION.localhost:PORT/`, or any other domain after
//! the region. Everybody is anonymous here; what they may read is the bucket's policy's to say.

use bytes::Bytes;
use http::Method;
use percent_encoding::percent_decode_str;

use super::super::error::Error;
use super::super::xml::Element;
use super::answer::{empty, http_date, with};
use super::record::{Bucket, Content, Version};
use super::{Call, NOWHERE, access, object, read};
use crate::sandbox::{Request, Response, World};

/// The bucket whose site a request's host names.
pub(in super::super) fn host(request: &Request) -> Option<String> {
    let host = request.headers().get(http::header::HOST)?.to_str().ok()?;
    let (bucket, rest) = host.split_once(".s3-website")?;
    // Older regions write `s3-website-us-east-1`, newer ones `s3-website.eu-central-1`.
    rest.starts_with(['-', '.']).then(|| bucket.to_owned())
}

/// Answers a browser.
pub(in super::super) fn handle(world: &mut World, request: &Request, bucket: String) -> Response {
    let path = percent_decode_str(&request.uri().path()[1..]).decode_utf8_lossy().into_owned();
    let mut call = Call {
        world,
        request,
        caller: None,
        region: NOWHERE.to_owned(),
        // A website's endpoint has no TLS.
        secure: false,
        query: Vec::new(),
        bucket,
        key: path,
        body: Bytes::new(),
        trailers: Vec::new(),
    };
    let response = serve(&mut call).unwrap_or_else(|error| page(&error));
    if *request.method() == Method::HEAD {
        let length = response.body().len().to_string();
        return with(response.map(|_| Bytes::new()), "content-length", length);
    }
    response
}

fn serve(call: &mut Call<'_>) -> Result<Response, Error> {
    if !matches!(*call.request.method(), Method::GET | Method::HEAD) {
        return Err(super::not_allowed());
    }
    let Some(bucket) = call.world.get::<Bucket>(&call.bucket) else {
        return Err(Error::new(404, "NoSuchBucket", "The specified bucket does not exist"));
    };
    let Some(site) = bucket.config.get("website").cloned() else {
        let message = "The specified bucket does not have a website configuration";
        return Err(Error::new(404, "NoSuchWebsiteConfiguration", message));
    };
    if let Some(to) = site.child("RedirectAllRequestsTo") {
        let path = call.request.uri().path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
        let protocol = to.value("Protocol").unwrap_or("http");
        return Ok(redirect(
            301,
            &format!("{protocol}://{}{path}", to.value("HostName").unwrap_or_default()),
        ));
    }
    if let Some(response) = routed(call, &site, None) {
        return Ok(response);
    }
    let index = site.child("IndexDocument").and_then(|index| index.value("Suffix")).unwrap_or_default();
    let asked = call.key.clone();
    if asked.is_empty() || asked.ends_with('/') {
        call.key.push_str(index);
    }
    match find(call) {
        Ok((version, content)) => shown(call, &version, &content, 200),
        Err(error) => {
            call.key = format!("{asked}/{index}");
            if !asked.is_empty() && !asked.ends_with('/') && find(call).is_ok() {
                return Ok(redirect(302, &format!("/{asked}/")));
            }
            call.key = asked;
            failed(call, &site, error)
        }
    }
}

/// The object that the call names, if everybody may read it.
fn find(call: &Call<'_>) -> Result<(Version, Content), Error> {
    access::bucket(call, "s3:GetObject")?;
    object::find(call)
}

/// An error, as the site would have it: by a rule, by its own page, or S3's.
fn failed(call: &mut Call<'_>, site: &Element, error: Error) -> Result<Response, Error> {
    if let Some(response) = routed(call, site, Some(error.status)) {
        return Ok(response);
    }
    let own = site.child("ErrorDocument").and_then(|document| document.value("Key"));
    let Some(own) = own.filter(|_| (400..500).contains(&error.status)) else { return Err(error) };
    own.clone_into(&mut call.key);
    match find(call) {
        Ok((version, content)) => shown(call, &version, &content, error.status),
        Err(_) => Err(error),
    }
}

/// The answer of the first rule that fits the key and, after a failure, its status.
fn routed(call: &Call<'_>, site: &Element, status: Option<u16>) -> Option<Response> {
    let rules = site.child("RoutingRules")?;
    let status = status.map(|status| status.to_string());
    for rule in rules.all("RoutingRule") {
        let condition = rule.child("Condition");
        let prefix = condition.and_then(|condition| condition.value("KeyPrefixEquals"));
        let code = condition.and_then(|condition| condition.value("HttpErrorCodeReturnedEquals"));
        if prefix.is_some_and(|prefix| !call.key.starts_with(prefix)) || code != status.as_deref() {
            continue;
        }
        let to = rule.child("Redirect")?;
        let key = match (to.value("ReplaceKeyWith"), to.value("ReplaceKeyPrefixWith")) {
            (Some(key), _) => key.to_owned(),
            (None, Some(start)) => format!("{start}{}", &call.key[prefix.unwrap_or_default().len()..]),
            (None, None) => call.key.clone(),
        };
        let own = call.request.headers().get(http::header::HOST).and_then(|host| host.to_str().ok());
        let host = to.value("HostName").or(own).unwrap_or_default();
        let code = to.value("HttpRedirectCode").and_then(|code| code.parse().ok()).unwrap_or(301);
        return Some(redirect(code, &format!("{}://{host}/{key}", to.value("Protocol").unwrap_or("http"))));
    }
    None
}

pub(super) fn shown(
    call: &Call<'_>,
    version: &Version,
    content: &Content,
    status: u16,
) -> Result<Response, Error> {
    if let Some(location) = content.headers.get("x-amz-website-redirect-location") {
        return Ok(redirect(301, location));
    }
    let tag = format!("\"{}\"", content.etag);
    let known = call.header("if-none-match").is_some_and(|given| object::is_tag(given, &content.etag));
    let mut response = with(empty(if known { 304 } else { status }), "etag", tag);
    response = with(response, "last-modified", http_date(version.modified));
    for name in
        ["content-type", "cache-control", "content-encoding", "content-language", "content-disposition"]
    {
        if let Some(value) = content.headers.get(name) {
            response = with(response, name, value);
        }
    }
    if !known {
        *response.body_mut() = read::bytes(call, content, 0, content.size)?;
    }
    Ok(response)
}

fn redirect(status: u16, location: &str) -> Response {
    with(empty(status), "location", location)
}

/// S3's own page about an error.
fn page(error: &Error) -> Response {
    let status = http::StatusCode::from_u16(error.status).unwrap_or(http::StatusCode::INTERNAL_SERVER_ERROR);
    let details = Element::new("ul")
        .text("li", format!("Code: {}", error.code))
        .text("li", format!("Message: {}", error.message));
    let body = Element::new("body").text("h1", status.to_string()).with(details);
    let head = Element::new("head").text("title", status.to_string());
    let mut response = with(empty(error.status), "content-type", "text/html; charset=utf-8");
    *response.body_mut() = Element::new("html").with(head).with(body).render().into();
    response
}
