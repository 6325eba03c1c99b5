//! CloudFront: distributions, origin access controls and invalidations over its REST protocol in XML, and the browsers'
//! side of distributions (`edge`).
//!
//! Absences: functions at the edge, key groups, policies beyond the managed ones,
//! streaming and staging distributions, tags but at creation.

mod cache;
pub(super) mod change;
mod config;
pub(super) mod distribution;
pub(super) mod edge;
mod policies;
mod show;

pub use edge::Passing;
pub(super) use edge::pass;

use std::collections::BTreeMap;

use bytes::Bytes;
use http::Method;

use super::error::Error;
use super::rest::{Call, enter, nowhere};
use super::xml::{self, Element};
use crate::sandbox::{Request, Response, World};
use distribution::{AccessControl, Distribution, Invalidation};

/// The service is global: requests are signed for this region.
const REGION: &str = "us-east-1";
/// The namespace of its documents.
const NAMESPACE: &str = "http://cloudfront.amazonaws.com/doc/2020-05-31/";

/// What an answer is made of: status, document, `ETag` and `Location`.
struct Told {
    status: u16,
    document: Option<Element>,
    etag: Option<String>,
    location: Option<String>,
}

impl Told {
    fn new(status: u16, document: Element) -> Self {
        Self { status, document: Some(document), etag: None, location: None }
    }

    fn nothing() -> Self {
        Self { status: 204, document: None, etag: None, location: None }
    }

    fn etag(self, etag: &str) -> Self {
        Self { etag: Some(etag.to_owned()), ..self }
    }

    fn location(self, path: &str) -> Self {
        Self { location: Some(format!("https://cloudfront.amazonaws.com/2020-05-31/{path}")), ..self }
    }
}

/// Answers a request.
pub(super) fn handle(world: &mut World, request: &Request) -> Response {
    let told = enter(world, request, "cloudfront", Some(REGION)).and_then(|mut call| route(&mut call));
    let id = world.uuid();
    let told = told.unwrap_or_else(|error| {
        let kind = if error.status < 500 { "Sender" } else { "Receiver" };
        let code = error.code.trim_end_matches("Exception").to_owned();
        let body =
            Element::new("Error").text("Type", kind).text("Code", code).text("Message", &error.message);
        Told::new(error.status, Element::new("ErrorResponse").with(body).text("RequestId", &id))
    });
    let mut response = http::Response::builder().status(told.status).header("x-amzn-requestid", &id);
    for (name, value) in [("etag", told.etag), ("location", told.location)] {
        if let Some(value) = value {
            response = response.header(name, value);
        }
    }
    let body = told.document.map(|document| document.attribute("xmlns", NAMESPACE).document());
    if body.is_some() {
        response = response.header("content-type", "text/xml");
    }
    response.body(Bytes::from(body.unwrap_or_default())).unwrap_or_default()
}

fn route(call: &mut Call<'_>) -> Result<Told, Error> {
    let (method, path) = call.target();
    let path = path.iter().map(String::as_str).collect::<Vec<_>>();
    let ["2020-05-31", rest @ ..] = path.as_slice() else { return Err(nowhere(call)) };
    permit(call, &method, rest)?;
    match (&method, rest) {
        (&Method::POST, ["distribution"]) => create(call),
        (&Method::GET, ["distribution"]) => {
            let all = call.world.list::<Distribution>("").into_iter().map(|(_, found)| found);
            let own = all.filter(|found| found.account == call.account).collect::<Vec<_>>();
            Ok(Told::new(200, show::list(call.world, &own)))
        }
        (_, ["distribution", id, rest @ ..]) => {
            let found = call.world.get::<Distribution>(id).filter(|found| found.account == call.account);
            let found = found.ok_or_else(|| {
                Error::new(404, "NoSuchDistribution", "The specified distribution does not exist.")
            })?;
            one(call, &method, found, rest)
        }
        (_, ["origin-access-control", rest @ ..]) => controls(call, &method, rest),
        (&Method::GET, ["tagging"]) => {
            let arn = call.parameter("Resource").unwrap_or_default();
            let all = call.world.list::<Distribution>("").into_iter().map(|(_, found)| found);
            let found = all.into_iter().find(|found| found.arn() == arn && found.account == call.account);
            let found =
                found.ok_or_else(|| Error::new(404, "NoSuchResource", "The resource does not exist."))?;
            let tags = found
                .tags
                .iter()
                .map(|(key, value)| Element::new("Tag").text("Key", key).text("Value", value));
            Ok(Told::new(200, Element::new("Tags").with(Element::new("Items").with_all(tags))))
        }
        _ => Err(nowhere(call)),
    }
}

/// Refuses a caller that may not make this call.
fn permit(call: &Call<'_>, method: &Method, rest: &[&str]) -> Result<(), Error> {
    let action = match (method.as_str(), rest) {
        ("POST", ["distribution"]) => "CreateDistribution",
        ("GET", ["distribution"]) => "ListDistributions",
        ("GET", ["distribution", _]) => "GetDistribution",
        ("GET", ["distribution", _, "config"]) => "GetDistributionConfig",
        ("PUT", ["distribution", _, "config"]) => "UpdateDistribution",
        ("DELETE", ["distribution", _]) => "DeleteDistribution",
        ("POST", ["distribution", _, "invalidation"]) => "CreateInvalidation",
        ("GET", ["distribution", _, "invalidation"]) => "ListInvalidations",
        ("GET", ["distribution", _, "invalidation", _]) => "GetInvalidation",
        ("POST", ["origin-access-control"]) => "CreateOriginAccessControl",
        ("GET", ["origin-access-control"]) => "ListOriginAccessControls",
        ("GET", ["origin-access-control", _]) => "GetOriginAccessControl",
        ("GET", ["origin-access-control", _, "config"]) => "GetOriginAccessControlConfig",
        ("PUT", ["origin-access-control", _, "config"]) => "UpdateOriginAccessControl",
        ("DELETE", ["origin-access-control", _]) => "DeleteOriginAccessControl",
        ("GET", ["tagging"]) => "ListTagsForResource",
        _ => return Ok(()),
    };
    let resource = match rest {
        [kind, id, ..] => format!("arn:aws:cloudfront::{}:{kind}/{id}", call.account),
        ["tagging"] => call.parameter("Resource").unwrap_or_default().to_owned(),
        _ => "*".to_owned(),
    };
    call.may(&format!("cloudfront:{action}"), &resource)
}

/// The document that a request brings.
fn body(call: &Call<'_>, name: &str) -> Result<Element, Error> {
    let read = xml::parse(call.request.body()).ok();
    read.filter(|read| read.name == name).map(|read| Element { attributes: Vec::new(), ..read }).ok_or_else(
        || Error::new(400, "MalformedXML", format!("The XML document is malformed: {name} is expected.")),
    )
}

fn create(call: &mut Call<'_>) -> Result<Told, Error> {
    let (document, tags) = if call.parameter("WithTags").is_some() {
        let whole = body(call, "DistributionConfigWithTags")?;
        let items = whole.child("Tags").and_then(|tags| tags.child("Items"));
        let tags = items.into_iter().flat_map(|items| items.children.iter()).map(|tag| {
            let part = |name: &str| tag.value(name).unwrap_or_default().to_owned();
            (part("Key"), part("Value"))
        });
        let document = whole.child("DistributionConfig").cloned().unwrap_or_default();
        (document, tags.collect())
    } else {
        (body(call, "DistributionConfig")?, BTreeMap::new())
    };
    let found = change::create(call.world, &call.account, document, tags)?;
    let shown = show::distribution(call.world, &found);
    Ok(Told::new(201, shown).etag(&found.etag).location(&format!("distribution/{}", found.id)))
}

/// Refuses a change that does not say of which state, or of an old one.
fn must_match(call: &Call<'_>, etag: &str) -> Result<(), Error> {
    match call.header("if-match") {
        None => Err(Error::new(
            400,
            "InvalidIfMatchVersion",
            "The If-Match version is missing or not valid for the resource.",
        )),
        Some(given) if given.trim_matches('"') == etag => Ok(()),
        Some(_) => Err(Error::new(
            412,
            "PreconditionFailed",
            "The request failed because it didn't meet the preconditions in one or more request-header fields.",
        )),
    }
}

fn one(call: &mut Call<'_>, method: &Method, mut found: Distribution, rest: &[&str]) -> Result<Told, Error> {
    match (method, rest) {
        (&Method::GET, []) => {
            // A change shows in progress at the first look.
            let shown = show::distribution(call.world, &found);
            found.looks = found.looks.saturating_add(1).min(9);
            found.save(call.world);
            Ok(Told::new(200, shown).etag(&found.etag))
        }
        (&Method::GET, ["config"]) => {
            Ok(Told::new(200, Element { name: "DistributionConfig".to_owned(), ..found.document })
                .etag(&found.etag))
        }
        (&Method::PUT, ["config"]) => {
            must_match(call, &found.etag)?;
            let document = body(call, "DistributionConfig")?;
            change::update(call.world, &mut found, document)?;
            Ok(Told::new(200, show::distribution(call.world, &found)).etag(&found.etag))
        }
        (&Method::DELETE, []) => {
            must_match(call, &found.etag)?;
            change::delete(call.world, &found)?;
            Ok(Told::nothing())
        }
        (&Method::POST, ["invalidation"]) => {
            let batch = body(call, "InvalidationBatch")?;
            let items = batch.child("Paths").and_then(|paths| paths.child("Items"));
            let paths =
                items.into_iter().flat_map(|items| items.children.iter()).map(|path| path.text.clone());
            let reference = batch.value("CallerReference").unwrap_or_default().to_owned();
            let made = change::invalidate(call.world, &found, paths.collect(), reference)?;
            let path = format!("distribution/{}/invalidation/{}", found.id, made.id);
            Ok(Told::new(201, show::invalidation(call.world, &made)).location(&path))
        }
        (&Method::GET, ["invalidation"]) => {
            let all = call.world.list::<Invalidation>(&format!("{}/", found.id));
            let all = all.into_iter().map(|(_, made)| made).collect::<Vec<_>>();
            Ok(Told::new(200, show::invalidations(call.world, &all)))
        }
        (&Method::GET, ["invalidation", id]) => {
            let key = format!("{}/{id}", found.id);
            let mut made: Invalidation = call.world.get(&key).ok_or_else(|| {
                Error::new(404, "NoSuchInvalidation", "The specified invalidation does not exist.")
            })?;
            let shown = show::invalidation(call.world, &made);
            made.looks = made.looks.saturating_add(1).min(9);
            call.world.put(&key, &made);
            Ok(Told::new(200, shown))
        }
        _ => Err(nowhere(call)),
    }
}

fn controls(call: &mut Call<'_>, method: &Method, rest: &[&str]) -> Result<Told, Error> {
    let find = |call: &Call<'_>, id: &str| {
        let found = call.world.get::<AccessControl>(id).filter(|found| found.account == call.account);
        found.ok_or_else(|| {
            Error::new(
                404,
                "NoSuchOriginAccessControl",
                "The specified origin access control does not exist.",
            )
        })
    };
    match (method, rest) {
        (&Method::POST, []) => {
            let made = change::put_access_control(call.world, control(call, "")?)?;
            let path = format!("origin-access-control/{}", made.id);
            Ok(Told::new(201, show::access_control(&made)).etag(&made.etag).location(&path))
        }
        (&Method::GET, []) => {
            let all = call.world.list::<AccessControl>("").into_iter().map(|(_, found)| found);
            let own = all.filter(|found| found.account == call.account).collect::<Vec<_>>();
            Ok(Told::new(200, show::access_controls(&own)))
        }
        (&Method::GET, [id]) => {
            let found = find(call, id)?;
            Ok(Told::new(200, show::access_control(&found)).etag(&found.etag))
        }
        (&Method::GET, [id, "config"]) => {
            let found = find(call, id)?;
            Ok(Told::new(200, show::access_control_config(&found)).etag(&found.etag))
        }
        (&Method::PUT, [id, "config"]) => {
            must_match(call, &find(call, id)?.etag)?;
            let made = change::put_access_control(call.world, control(call, id)?)?;
            Ok(Told::new(200, show::access_control(&made)).etag(&made.etag))
        }
        (&Method::DELETE, [id]) => {
            let found = find(call, id)?;
            must_match(call, &found.etag)?;
            change::delete_access_control(call.world, &found)?;
            Ok(Told::nothing())
        }
        _ => Err(nowhere(call)),
    }
}

fn control(call: &Call<'_>, id: &str) -> Result<AccessControl, Error> {
    let config = body(call, "OriginAccessControlConfig")?;
    let text = |name: &str| config.value(name).unwrap_or_default().to_owned();
    Ok(AccessControl {
        id: id.to_owned(),
        account: call.account.clone(),
        etag: String::new(),
        name: text("Name"),
        description: text("Description"),
        signing: text("SigningBehavior"),
        origin_type: text("OriginAccessControlOriginType"),
    })
}
