//! The policy of a bucket.

use serde_json::Value as Json;

use super::super::error::Error;
use super::super::policy::{Kind, check, is_public, show_principals, store_principals};
use super::super::xml::Element;
use super::answer::{document, empty, with};
use super::{Call, access, checksum};
use crate::sandbox::Response;

/// A policy is no larger, in bytes.
const QUOTA: usize = 20 * 1024;

pub(super) fn put(call: &mut Call<'_>) -> Result<Response, Error> {
    let mut bucket = access::bucket(call, "s3:PutBucketPolicy")?;
    checksum::require(call)?;
    let malformed = |message: String| Error::new(400, "MalformedPolicy", message);
    if call.body.len() > QUOTA {
        return Err(malformed("Policy exceeds the maximum allowed document size.".to_owned()));
    }
    let text = std::str::from_utf8(&call.body)
        .map_err(|_| malformed("Policies must be valid JSON and the first byte must be '{'".to_owned()))?;
    let mut policy = check(text, Kind::Bucket(&bucket.name)).map_err(malformed)?;
    if bucket.blocks("BlockPublicPolicy") && is_public(&policy) {
        let caller = call.caller.as_ref().map(super::Caller::arn).unwrap_or_default();
        let message = format!(
            "User: {caller} is not authorized to perform: s3:PutBucketPolicy on resource: \"{}\" because public \
             policies are prevented by the BlockPublicPolicy setting in S3 Block Public Access.",
            bucket.arn()
        );
        return Err(Error::new(403, "AccessDenied", message));
    }
    store_principals(call.world, &mut policy, true).map_err(malformed)?;
    bucket.policy = Some(policy.to_string());
    bucket.save(call.world);
    Ok(empty(204))
}

pub(super) fn get(call: &mut Call<'_>) -> Result<Response, Error> {
    let bucket = access::bucket(call, "s3:GetBucketPolicy")?;
    let kept = bucket.policy.ok_or_else(|| absent(&bucket.name))?;
    let mut policy: Json = serde_json::from_str(&kept).unwrap_or_default();
    show_principals(call.world, &mut policy);
    let mut response = empty(200);
    *response.body_mut() = policy.to_string().into();
    Ok(with(response, "content-type", "application/json"))
}

pub(super) fn status(call: &mut Call<'_>) -> Result<Response, Error> {
    let bucket = access::bucket(call, "s3:GetBucketPolicyStatus")?;
    let kept = bucket.policy.ok_or_else(|| absent(&bucket.name))?;
    let policy: Json = serde_json::from_str(&kept).unwrap_or_default();
    Ok(document(Element::new("PolicyStatus").text("IsPublic", is_public(&policy).to_string())))
}

/// Deleting what is not there is done.
pub(super) fn delete(call: &mut Call<'_>) -> Result<Response, Error> {
    let mut bucket = access::bucket(call, "s3:DeleteBucketPolicy")?;
    bucket.policy = None;
    bucket.save(call.world);
    Ok(empty(204))
}

fn absent(bucket: &str) -> Error {
    Error::new(404, "NoSuchBucketPolicy", "The bucket policy does not exist").detail("BucketName", bucket)
}
