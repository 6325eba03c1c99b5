//! Uploads by a form: a browser posts a file with a policy that somebody has signed, and S3 holds it to the policy.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value as Json;
use subtle::ConstantTimeEq as _;

use super::super::error::Error;
use super::super::sigv4::{self, Refused};
use super::super::xml::Element;
use super::super::{Caller, bearer, key_secret};
use super::answer::{empty, with};
use super::bucket::version_header;
use super::checksum;
use super::multipart_form::{self, Form};
use super::{Call, SKEW, access, denied, object, write};
use crate::sandbox::{Request, Response};

/// A key is good for a week after the day that it is for ("Browser-based uploads using POST").
const LONGEST: SignedDuration = SignedDuration::from_hours(7 * 24);
/// What a policy need not name.
const UNNAMED: [&str; 3] = ["policy", "x-amz-signature", "file"];

/// Whether a request is such a form.
pub(super) fn is_form(request: &Request) -> bool {
    kind(request).is_some_and(|kind| kind.to_ascii_lowercase().starts_with("multipart/form-data"))
}

fn kind(request: &Request) -> Option<&str> {
    request.headers().get(http::header::CONTENT_TYPE)?.to_str().ok()
}

/// `POST /BUCKET`, with a form.
pub(super) fn put(call: &mut Call<'_>) -> Result<Response, Error> {
    let read = multipart_form::read(kind(call.request).unwrap_or_default(), &call.body);
    let form = read.ok_or_else(|| {
        Error::new(
            400,
            "MalformedPOSTRequest",
            "The body of your POST request is not well-formed multipart/form-data.",
        )
    })?;
    let missing = |name: &str, what: &str| {
        let message = format!("Bucket POST must contain a field named '{name}'. {what}");
        Error::new(400, "InvalidArgument", message).detail("ArgumentName", name)
    };
    let Some((file_name, body)) = form.file.clone() else {
        let message = "POST requires exactly one file upload per request.";
        return Err(Error::new(400, "InvalidArgument", message).detail("ArgumentName", "file"));
    };
    let key = value(&form, "key")
        .ok_or_else(|| missing("key", "If it is specified, please check the order of the fields."))?;
    let key = key.replace("${filename}", &file_name);
    let (caller, region) = match value(&form, "policy") {
        Some(policy) => {
            let (caller, region) = signed_by(call, &form, policy)?;
            hold(call, &form, policy, &key, body.len())?;
            (Some(caller), region)
        }
        None => (None, call.region.clone()),
    };
    let request = as_put(&form, &body);
    let mut inner = Call {
        secure: call.secure,
        world: &mut *call.world,
        request: &request,
        caller,
        region,
        query: Vec::new(),
        bucket: call.bucket.clone(),
        key: key.clone(),
        body: body.clone(),
        trailers: Vec::new(),
    };
    let bucket = access::bucket(&inner, "s3:PutObject")?;
    object::check_key(&key)?;
    let said = write::said(&inner, &bucket)?;
    let checksum = checksum::verify(&inner)?;
    let content = write::content(&mut inner, &body, said, checksum);
    let etag = format!("\"{}\"", content.etag);
    let version = object::add(&mut inner, &bucket, &key, Some(content), "ObjectCreated:Post");
    let location =
        format!("http://{}/{}/{}", host(call.request), call.bucket, sigv4::encode(key.as_bytes(), true));
    let response = answer(&form, &call.bucket, &key, &etag, &location);
    Ok(version_header(response, &bucket, &version))
}

fn host(request: &Request) -> &str {
    request
        .headers()
        .get(http::header::HOST)
        .and_then(|host| host.to_str().ok())
        .unwrap_or("s3.amazonaws.com")
}

fn value<'a>(form: &'a Form, name: &str) -> Option<&'a str> {
    form.fields.iter().find(|(field, _)| field == name).map(|(_, value)| value.as_str())
}

/// Who signed the policy, and for which region.
fn signed_by(call: &Call<'_>, form: &Form, policy: &str) -> Result<(Caller, String), Error> {
    let field = |name: &'static str| {
        value(form, name).ok_or_else(|| {
            let message = format!("Bucket POST must contain a field named '{name}'.");
            Error::new(400, "InvalidArgument", message).detail("ArgumentName", name)
        })
    };
    if field("x-amz-algorithm")? != "AWS4-HMAC-SHA256" {
        return Err(Error::new(400, "InvalidArgument", "x-amz-algorithm only supports AWS4-HMAC-SHA256"));
    }
    let (credential, signature, time) =
        (field("x-amz-credential")?, field("x-amz-signature")?, field("x-amz-date")?);
    let parts = credential.split('/').collect::<Vec<_>>();
    let [access_key, date, region, "s3", "aws4_request"] = parts[..] else {
        return Err(Error::new(400, "InvalidArgument", "The x-amz-credential field is malformed."));
    };
    check_time(call.world.now(), time, date)?;
    let refused = |refused: Refused| denied(call.request, refused);
    let secret = key_secret(call.world, access_key)
        .ok_or_else(|| refused(Refused::UnknownKey(access_key.to_owned())))?;
    let key = sigv4::signing_key(&secret, date, region, "s3");
    let computed = hex::encode(sigv4::mac(&key, policy.as_bytes()));
    if !bool::from(computed.as_bytes().ct_eq(signature.as_bytes())) {
        return Err(refused(Refused::Mismatch {
            access_key: access_key.to_owned(),
            string_to_sign: policy.to_owned(),
            canonical_request: String::new(),
        }));
    }
    let caller = bearer(call.world, access_key, value(form, "x-amz-security-token")).map_err(refused)?;
    Ok((caller, region.to_owned()))
}

/// Refuses a form whose time is not of the day that its key is for, or whose key is past its time.
fn check_time(now: Timestamp, time: &str, day: &str) -> Result<(), Error> {
    let denied = |why: &str| Err(Error::new(403, "AccessDenied", why));
    let Some(signed) = sigv4::instant(time).filter(|_| time.starts_with(day)) else {
        return denied(
            "Invalid according to Policy: x-amz-date must be of the day that x-amz-credential names",
        );
    };
    let age = now.duration_since(signed);
    if age > LONGEST {
        return denied("Invalid according to Policy: the signing key is more than seven days old");
    }
    if age < -SKEW {
        return denied("Invalid according to Policy: x-amz-date is not yet current");
    }
    Ok(())
}

/// Refuses what the policy does not permit.
fn hold(call: &Call<'_>, form: &Form, policy: &str, key: &str, size: usize) -> Result<(), Error> {
    let malformed = |why: &str| {
        Error::new(
            400,
            "InvalidPolicyDocument",
            format!(
                "The content of the form does not meet the conditions specified in the policy document. {why}"
            ),
        )
    };
    let failed = |why: String| Error::new(403, "AccessDenied", format!("Invalid according to Policy: {why}"));
    let decoded = STANDARD.decode(policy).ok().and_then(|bytes| serde_json::from_slice::<Json>(&bytes).ok());
    let document = decoded.ok_or_else(|| malformed("Invalid Policy: Invalid JSON."))?;
    let expiration = document["expiration"].as_str().and_then(|text| text.parse::<Timestamp>().ok());
    if expiration.ok_or_else(|| malformed("Invalid 'expiration' value."))? <= call.world.now() {
        return Err(failed("Policy expired.".to_owned()));
    }
    let conditions = document["conditions"].as_array().ok_or_else(|| malformed("Missing 'conditions'."))?;
    let given = |name: &str| match name {
        "bucket" => Some(call.bucket.as_str()),
        "key" => Some(key),
        name => value(form, name),
    };
    let mut named = Vec::new();
    for condition in conditions {
        for (operator, name, wanted) in tests(condition).ok_or_else(|| malformed("Invalid condition."))? {
            let actual = given(&name).unwrap_or_default();
            let holds = if operator == "eq" { actual == wanted } else { actual.starts_with(&wanted) };
            if !holds {
                return Err(failed(format!(
                    "Policy Condition failed: [\"{operator}\", \"${name}\", \"{wanted}\"]"
                )));
            }
            named.push(name);
        }
        check_size(condition, size)?;
    }
    let extra = form.fields.iter().map(|(name, _)| name).find(|name| {
        !UNNAMED.contains(&name.as_str()) && !name.starts_with("x-ignore-") && !named.contains(name)
    });
    match extra {
        Some(name) => Err(failed(format!("Extra input fields: {name}"))),
        None => Ok(()),
    }
}

/// The tests of a condition, `{"acl": "private"}` or `["starts-with", "$key", "user/"]`: operator, field and value.
fn tests(condition: &Json) -> Option<Vec<(&'static str, String, String)>> {
    match condition {
        Json::Object(exact) => {
            let test = |(name, value): (&String, &Json)| {
                Some(("eq", name.to_ascii_lowercase(), value.as_str()?.to_owned()))
            };
            exact.iter().map(test).collect()
        }
        Json::Array(parts) => match parts.as_slice() {
            [operator, name, value] if name.as_str().is_some_and(|name| name.starts_with('$')) => {
                let operator = match operator.as_str()?.to_ascii_lowercase().as_str() {
                    "eq" => "eq",
                    "starts-with" => "starts-with",
                    _ => return None,
                };
                Some(vec![(operator, name.as_str()?[1..].to_ascii_lowercase(), value.as_str()?.to_owned())])
            }
            [operator, _, _] if operator == "content-length-range" => Some(Vec::new()),
            _ => None,
        },
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => None,
    }
}

fn check_size(condition: &Json, size: usize) -> Result<(), Error> {
    let size = size as u64;
    let [operator, least, most] = condition.as_array().map(Vec::as_slice).unwrap_or_default() else {
        return Ok(());
    };
    if operator != "content-length-range" {
        return Ok(());
    }
    let number = |json: &Json| json.as_u64().or_else(|| json.as_str()?.parse().ok()).unwrap_or_default();
    let (least, most) = (number(least), number(most));
    if size > most {
        let message = "Your proposed upload exceeds the maximum allowed size";
        return Err(Error::new(400, "EntityTooLarge", message)
            .detail("ProposedSize", size.to_string())
            .detail("MaxSizeAllowed", most.to_string()));
    }
    if size < least {
        let message = "Your proposed upload is smaller than the minimum allowed size";
        return Err(Error::new(400, "EntityTooSmall", message)
            .detail("ProposedSize", size.to_string())
            .detail("MinSizeAllowed", least.to_string()));
    }
    Ok(())
}

/// The form's fields as the header fields that a plain upload would have.
fn as_put(form: &Form, body: &Bytes) -> Request {
    let mut request = Request::new(body.clone());
    for (name, value) in &form.fields {
        let signs =
            ["x-amz-algorithm", "x-amz-credential", "x-amz-date", "x-amz-signature", "x-amz-security-token"];
        if signs.contains(&name.as_str()) {
            continue;
        }
        let name = if name == "acl" { "x-amz-acl" } else { name };
        if let (Ok(name), Ok(value)) = (http::HeaderName::try_from(name), http::HeaderValue::from_str(value))
        {
            request.headers_mut().insert(name, value);
        }
    }
    request
}

fn answer(form: &Form, bucket: &str, key: &str, etag: &str, location: &str) -> Response {
    let redirect = value(form, "success_action_redirect").or(value(form, "redirect"));
    if let Some(to) = redirect.filter(|to| to.starts_with("http://") || to.starts_with("https://")) {
        let query = form_urlencoded::Serializer::new(String::new())
            .append_pair("bucket", bucket)
            .append_pair("key", key)
            .append_pair("etag", etag)
            .finish();
        let joint = if to.contains('?') { '&' } else { '?' };
        return with(with(empty(303), "location", format!("{to}{joint}{query}")), "etag", etag);
    }
    let status = value(form, "success_action_status").and_then(|status| status.parse().ok());
    let status = status.filter(|status| [200, 201, 204].contains(status)).unwrap_or(204);
    let mut response = with(with(empty(status), "location", location), "etag", etag);
    if status == 201 {
        let told = Element::new("PostResponse")
            .text("Location", location)
            .text("Bucket", bucket)
            .text("Key", key)
            .text("ETag", etag);
        response = with(response, "content-type", "application/xml");
        *response.body_mut() = told.document().into();
    }
    response
}
