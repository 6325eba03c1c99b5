//! Pages of other origins: the bucket's cross-origin rules, asked beforehand and applied to every answer.

use http::Method;

use super::super::error::Error;
use super::super::xml::Element;
use super::answer::{empty, with};
use super::record::Bucket;
use crate::sandbox::{Request, Response, World};

/// Whether a browser asks beforehand.
pub(super) fn is_preflight(request: &Request) -> bool {
    *request.method() == Method::OPTIONS && field(request, "origin").is_some()
}

/// The answer to a browser that asks beforehand.
pub(super) fn preflight(world: &World, request: &Request) -> Result<Response, Error> {
    let forbidden = |why: &str| Error::new(403, "AccessForbidden", format!("CORSResponse: {why}"));
    let method = field(request, "access-control-request-method").ok_or_else(|| {
        Error::new(
            400,
            "BadRequest",
            "Insufficient information. Origin request header needed, and Access-Control-Request-Method.",
        )
    })?;
    let rules = rules(world, request).ok_or_else(|| forbidden("CORS is not enabled for this bucket."))?;
    let wanted = field(request, "access-control-request-headers").unwrap_or_default();
    let wanted = wanted.split(',').map(|name| name.trim().to_ascii_lowercase());
    let wanted = wanted.filter(|name| !name.is_empty()).collect::<Vec<_>>();
    let allows = |rule: &&Element| {
        wanted.iter().all(|name| {
            rule.all("AllowedHeader").any(|pattern| fits(&pattern.text.to_ascii_lowercase(), name))
        })
    };
    let origin = field(request, "origin").unwrap_or_default();
    let rule = rules.children.iter().filter(|rule| takes(rule, origin, method)).find(allows).ok_or_else(|| {
        forbidden(
            "This CORS request is not allowed. This is usually because the evalution of Origin, request method / \
             Access-Control-Request-Method or Access-Control-Request-Headers are not whitelisted by the resource's CORS \
             spec.",
        )
    })?;
    let mut response = decorate(empty(200), rule, origin);
    if !wanted.is_empty() {
        response = with(response, "access-control-allow-headers", wanted.join(", "));
    }
    Ok(match rule.value("MaxAgeSeconds") {
        Some(seconds) => with(response, "access-control-max-age", seconds),
        None => response,
    })
}

/// Adds what lets the page read the answer, if a rule does.
pub(super) fn apply(world: &World, request: &Request, response: Response) -> Response {
    let Some(origin) = field(request, "origin") else { return response };
    let Some(rules) = rules(world, request) else { return response };
    let method = request.method().as_str();
    match rules.children.iter().find(|rule| takes(rule, origin, method)) {
        Some(rule) => decorate(response, rule, origin),
        None => response,
    }
}

fn rules(world: &World, request: &Request) -> Option<Element> {
    let name = request.uri().path()[1..].split('/').next().unwrap_or_default();
    world.get::<Bucket>(name)?.config.get("cors").cloned()
}

fn takes(rule: &Element, origin: &str, method: &str) -> bool {
    rule.all("AllowedOrigin").any(|pattern| fits(&pattern.text, origin))
        && rule.all("AllowedMethod").any(|allowed| allowed.text == method)
}

/// A pattern has one `*` at most.
fn fits(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        Some((start, end)) => {
            text.len() >= start.len() + end.len() && text.starts_with(start) && text.ends_with(end)
        }
        None => pattern == text,
    }
}

fn decorate(response: Response, rule: &Element, origin: &str) -> Response {
    let all = rule.all("AllowedOrigin").any(|pattern| pattern.text == "*");
    let texts = |name: &str| rule.all(name).map(|one| one.text.as_str()).collect::<Vec<_>>().join(", ");
    let mut response = with(response, "access-control-allow-origin", if all { "*" } else { origin });
    response = with(response, "access-control-allow-methods", texts("AllowedMethod"));
    if !all {
        response = with(response, "access-control-allow-credentials", "true");
    }
    if rule.child("ExposeHeader").is_some() {
        response = with(response, "access-control-expose-headers", texts("ExposeHeader"));
    }
    with(response, "vary", "Origin, Access-Control-Request-Headers, Access-Control-Request-Method")
}

fn field<'a>(request: &'a Request, name: &str) -> Option<&'a str> {
    request.headers().get(name).and_then(|value| value.to_str().ok())
}
