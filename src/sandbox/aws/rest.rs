//! What the services that speak JSON have in common: who calls, which region, the path in parts, and refusals.
//!
//! REST services tell a call by method and path, the older JSON services by the header `X-Amz-Target`.

use bytes::Bytes;
use http::Method;
use jiff::SignedDuration;
use percent_encoding::percent_decode_str;
use serde_json::{Value as Json, json};

use super::error::Error;
use super::identity::{self, Wish};
use super::policy::Facts;
use super::{Caller, authenticate, sigv4};
use crate::sandbox::{Request, Response, World};

/// A request's time may be off by this much.
const SKEW: SignedDuration = SignedDuration::from_mins(5);

/// One request, authenticated.
pub(super) struct Call<'a> {
    pub(super) world: &'a mut World,
    pub(super) request: &'a Request,
    pub(super) account: String,
    /// Who calls.
    pub(super) caller: Caller,
    /// The region that the signature is for.
    pub(super) region: String,
    /// The parts of the path, decoded; empty ones are left out.
    pub(super) path: Vec<String>,
    pub(super) query: Vec<(String, String)>,
}

impl Call<'_> {
    /// Refuses a caller that may not do this.
    pub(super) fn may(&self, action: &str, resource: &str) -> Result<(), Error> {
        self.may_by(action, resource, None)
    }

    /// The same where the thing has a policy of its own.
    pub(super) fn may_by(&self, action: &str, resource: &str, policy: Option<&Json>) -> Result<(), Error> {
        let facts = Facts::new(self.world, &self.region, &self.account);
        self.permit(Wish { action, resource, owner: &self.account, policy, facts: &facts })
    }

    /// Refuses a caller that may not let a service act as a role.
    pub(super) fn may_pass(&self, role: &str, service: &str) -> Result<(), Error> {
        let facts = Facts::new(self.world, &self.region, &self.account).with("iam:PassedToService", service);
        self.permit(Wish::passing(role, &self.account, &facts))
    }

    /// Refuses a caller that may not do what it wants.
    pub(super) fn permit(&self, wish: Wish<'_>) -> Result<(), Error> {
        identity::permit(self.world, &self.caller, wish)
            .map_err(|message| Error::new(403, "AccessDeniedException", message))
    }

    /// The method, and the parts of the path.
    pub(super) fn target(&self) -> (Method, Vec<String>) {
        (self.request.method().clone(), self.path.clone())
    }

    /// A parameter of the query.
    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// A header field.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.request.headers().get(name).and_then(|value| value.to_str().ok())
    }

    /// The body as JSON; none is an empty map.
    pub(super) fn json(&self) -> Result<Json, Error> {
        if self.request.body().is_empty() {
            return Ok(json!({}));
        }
        let body = serde_json::from_slice::<Json>(self.request.body());
        body.ok().filter(Json::is_object).ok_or_else(|| {
            Error::new(400, "SerializationException", "Could not parse request body into json.")
        })
    }
}

/// Lets a caller in whose signature is for this service, and for this region if there is but one.
pub(super) fn enter<'a>(
    world: &'a mut World,
    request: &'a Request,
    service: &str,
    region: Option<&str>,
) -> Result<Call<'a>, Error> {
    let missing = || Error::new(403, "MissingAuthenticationTokenException", "Missing Authentication Token");
    let (caller, signed) = authenticate(world, request, SKEW).map_err(refused)?.ok_or_else(missing)?;
    if signed.service != service {
        let message = format!("Credential should be scoped to correct service: '{service}'. ");
        return Err(Error::new(403, "InvalidSignatureException", message));
    }
    if region.is_some_and(|region| region != signed.region) {
        let message = format!("Credential should be scoped to a valid region, not '{}'. ", signed.region);
        return Err(Error::new(403, "InvalidSignatureException", message));
    }
    let path = request.uri().path().split('/').filter(|part| !part.is_empty());
    let path = path.map(|part| percent_decode_str(part).decode_utf8_lossy().into_owned()).collect();
    let query = form_urlencoded::parse(request.uri().query().unwrap_or_default().as_bytes());
    let query = query.map(|(name, value)| (name.into_owned(), value.into_owned())).collect();
    let account = caller.account.clone();
    Ok(Call { world, request, account, caller, region: signed.region, path, query })
}

fn refused(refused: sigv4::Refused) -> Error {
    let (code, message) = match refused {
        sigv4::Refused::Malformed(message) => ("IncompleteSignatureException", message),
        sigv4::Refused::Scope(message) => ("InvalidSignatureException", message),
        sigv4::Refused::ExpiredToken => (
            "ExpiredTokenException",
            "The security token included in the request is expired".to_owned(),
        ),
        sigv4::Refused::UnknownKey(_) | sigv4::Refused::InvalidToken => (
            "UnrecognizedClientException",
            "The security token included in the request is invalid.".to_owned(),
        ),
        sigv4::Refused::Mismatch { .. } => (
            "InvalidSignatureException",
            "The request signature we calculated does not match the signature you provided. Check your AWS Secret \
             Access Key and signing method. Consult the service documentation for details."
                .to_owned(),
        ),
        sigv4::Refused::Skewed { signed, now } => (
            "InvalidSignatureException",
            format!("Signature expired or not yet current: {signed} is too far from {now}"),
        ),
        sigv4::Refused::Expired { until, now } => {
            ("InvalidSignatureException", format!("Signature expired: {until} is now earlier than {now}"))
        }
        sigv4::Refused::HeadersNotSigned(names) => (
            "InvalidSignatureException",
            format!("'{}' must be a 'SignedHeader' in the AWS Authorization.", names.join("', '")),
        ),
    };
    Error::new(403, code, message)
}

/// An answer in JSON.
pub(super) fn answer(status: u16, body: &Json) -> Response {
    write(status, "application/json", body.to_string())
}

/// An answer without a body.
pub(super) fn empty(status: u16) -> Response {
    http::Response::builder().status(status).body(Bytes::new()).unwrap_or_default()
}

/// Finishes an answer, or turns a refusal into one.
pub(super) fn finish(world: &mut World, answered: Result<Response, Error>) -> Response {
    let mut response = answered.unwrap_or_else(|error| {
        let body = json!({
            "__type": error.code, "message": error.message, "Type": if error.status < 500 { "User" } else { "Service" },
        });
        let mut response = write(error.status, "application/json", body.to_string());
        if let Ok(code) = error.code.parse() {
            response.headers_mut().insert("x-amzn-errortype", code);
        }
        response
    });
    if let Ok(id) = world.uuid().parse() {
        response.headers_mut().insert("x-amzn-requestid", id);
    }
    response
}

fn write(status: u16, kind: &str, body: String) -> Response {
    let response = http::Response::builder().status(status).header("content-type", kind);
    response.body(Bytes::from(body)).unwrap_or_default()
}

/// The refusal of a path that leads nowhere.
pub(super) fn nowhere(call: &Call<'_>) -> Error {
    let (method, path) = (call.request.method(), call.request.uri().path());
    let message = format!("Unable to determine service/operation name to be authorized: {method} {path}");
    Error::new(404, "UnknownOperationException", message)
}

/// The action that the header `X-Amz-Target` names.
pub(super) fn target<'a>(request: &'a Request, prefix: &str) -> &'a str {
    let target = request.headers().get("x-amz-target").and_then(|value| value.to_str().ok());
    target.and_then(|target| target.strip_prefix(prefix)).unwrap_or_default()
}
