//! The sandbox's Google Cloud: IAM, Resource Manager, Service Usage, Firestore, and the token services by which an
//! identity of AWS becomes a service account.
//!
//! One endpoint answers for all of them; the path tells which one is meant. Written from Google's documentation and
//! discovery documents alone, so that it checks the provider and does not merely echo it.

mod aws_identity;
mod call;
mod caller;
mod cel;
mod credentials;
mod database;
mod documents;
mod expression;
mod member;
mod message;
mod meter;
mod operation;
mod policy;
mod pool;
mod pool_provider;
mod project;
mod refusal;
mod service;
mod service_account;
mod sts;

use http::StatusCode;
use percent_encoding::percent_decode_str;
use serde_json::Value as Json;

use super::{Request, Response, World};
use call::Call;
use refusal::{Refusal, Status, reply};

/// Answers one request.
pub fn handle(world: &mut World, request: &Request) -> Response {
    if request.method() == http::Method::POST && request.uri().path() == "/v1/token" {
        return sts::token(world, request);
    }
    match answer(world, request) {
        Ok(json) => reply(StatusCode::OK, &json),
        Err(refusal) => refusal.into_response(),
    }
}

fn answer(world: &mut World, request: &Request) -> Result<Json, Refusal> {
    let call = Call::new(request);
    if let Some(place) = documents::path(request) {
        let by = caller::authenticate(world, &call, request)?;
        return documents::answer(world, request, place, &by);
    }
    let path = request.uri().path();
    // A verb of its own stands behind the last colon of the last segment: `…/pools/mine:undelete`.
    let (path, verb) = match path.rfind(':') {
        Some(colon) if colon > path.rfind('/').unwrap_or_default() => {
            (&path[..colon], Some(&path[colon + 1..]))
        }
        _ => (path, None),
    };
    let decode = |segment: &str| percent_decode_str(segment).decode_utf8().map(std::borrow::Cow::into_owned);
    let segments = path.trim_start_matches('/').split('/').map(decode).collect::<Result<Vec<_>, _>>();
    let segments = segments.map_err(|_| Refusal::invalid("The path is not UTF-8."))?;
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    let by = caller::authenticate(world, &call, request)?;
    if let (["v1", "projects", project, "serviceAccounts", who], Some("generateAccessToken"), "POST") =
        (segments.as_slice(), verb, request.method().as_str())
    {
        return credentials::generate(world, project, who, &call, &by);
    }
    by.administers(world, segments.get(2).copied())?;
    let answer = match segments.as_slice() {
        ["v1", "projects", project, "locations", "global", "workloadIdentityPools", rest @ ..] => {
            pool::answer(world, project, rest, verb, &call)
        }
        ["v1", "projects", project, "serviceAccounts", rest @ ..] => {
            service_account::answer(world, project, rest, verb, &call)
        }
        ["v1", "projects", project, "services", rest @ ..] => {
            service::answer(world, project, rest, verb, &call)
        }
        ["v1", "projects", project, "databases", rest @ ..] => {
            database::answer(world, project, rest, verb, &call)
        }
        ["v1", "projects", project, "locations", rest @ ..] if verb.is_none() => {
            database::locations(world, project, rest, &call)
        }
        ["v1", "operations", id] if request.method() == http::Method::GET && verb.is_none() => {
            Some(service::poll(world, id, &call))
        }
        ["v3", "projects", rest @ ..] => project::answer(world, rest, verb, &call),
        _ => None,
    };
    answer.unwrap_or_else(|| {
        let path = request.uri().path();
        Err(Refusal::new(Status::NotFound, format!("The requested URL {path} was not found on this server.")))
    })
}
