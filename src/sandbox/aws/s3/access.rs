//! Who may do what: the bucket's account all, others what the bucket's policy says. And access control lists,
//! which say nothing beyond `private`.

use super::super::error::Error;
use super::super::policy::{Ask, Verdict, evaluate, is_public};
use super::super::xml::Element;
use super::answer::{document, empty};
use super::record::{Bucket, canonical_user, owner};
use super::{Call, not_implemented};
use crate::sandbox::Response;

/// The bucket that a call is about, if its caller may do `action` to it or, where the call names one, to its object.
pub(super) fn bucket(call: &Call<'_>, action: &str) -> Result<Bucket, Error> {
    bucket_named(call, &call.bucket, &call.key, action)
}

/// The same for a bucket and an object that the call names elsewhere.
pub(super) fn bucket_named(call: &Call<'_>, name: &str, key: &str, action: &str) -> Result<Bucket, Error> {
    let Some(bucket) = call.world.get::<Bucket>(name) else {
        return Err(
            Error::new(404, "NoSuchBucket", "The specified bucket does not exist").detail("BucketName", name)
        );
    };
    let allowed = is_allowed(call, &bucket, key, action);
    let expected =
        call.header("x-amz-expected-bucket-owner").is_none_or(|expected| expected == bucket.account);
    if !allowed || !expected {
        // S3 tells the region even to those whom it tells nothing else.
        return Err(denied(call, action, &resource(name, key)).header("x-amz-bucket-region", &bucket.region));
    }
    if call.caller.is_some() && bucket.region != call.region {
        let message = "The bucket you are attempting to access must be addressed using the specified endpoint. \
                       Please send all future requests to this endpoint.";
        return Err(Error::new(301, "PermanentRedirect", message)
            .detail("Endpoint", format!("{name}.s3.{}.amazonaws.com", bucket.region))
            .detail("Bucket", name)
            .header("x-amz-bucket-region", &bucket.region));
    }
    Ok(bucket)
}

/// The refusal of a caller that may not do something.
pub(super) fn denied(call: &Call<'_>, action: &str, resource: &str) -> Error {
    match &call.caller {
        None => Error::new(403, "AccessDenied", "Access Denied"),
        Some(caller) => {
            let arn = caller.arn();
            let message =
                format!("User: {arn} is not authorized to perform: {action} on resource: \"{resource}\"");
            Error::new(403, "AccessDenied", message)
        }
    }
}

fn resource(bucket: &str, key: &str) -> String {
    if key.is_empty() { format!("arn:aws:s3:::{bucket}") } else { format!("arn:aws:s3:::{bucket}/{key}") }
}

fn is_allowed(call: &Call<'_>, bucket: &Bucket, key: &str, action: &str) -> bool {
    let identity =
        call.caller.as_ref().map(|caller| (caller.arn(), caller.account.as_str(), caller.user_id()));
    let is_owner = call.caller.as_ref().is_some_and(|caller| caller.account == bucket.account);
    let Some(document) = bucket.policy.as_ref().and_then(|text| serde_json::from_str(text).ok()) else {
        return is_owner;
    };
    let ask = Ask {
        caller: identity.as_ref().map(|(arn, account, id)| (arn.as_str(), *account, id.as_str())),
        action,
        resource: &resource(&bucket.name, key),
        service: None,
    };
    match evaluate(&document, ask) {
        Verdict::Denied => false,
        Verdict::Allowed => is_owner || !(bucket.blocks("RestrictPublicBuckets") && is_public(&document)),
        Verdict::Silent => is_owner,
    }
}

/// Refuses what a header says of access control lists, but for what is the case anyway.
pub(super) fn check_acl(call: &Call<'_>, bucket: &Bucket) -> Result<(), Error> {
    let grants = call.request.headers().keys().any(|name| name.as_str().starts_with("x-amz-grant-"));
    let acl = call.header("x-amz-acl");
    if bucket.enforces_owner() && (grants || !matches!(acl, None | Some("bucket-owner-full-control"))) {
        return Err(Error::new(400, "AccessControlListNotSupported", "The bucket does not allow ACLs"));
    }
    match acl {
        Some("public-read" | "public-read-write") if bucket.blocks("BlockPublicAcls") => {
            Err(denied(call, "s3:PutObjectAcl", &bucket.arn()))
        }
        None | Some("private" | "bucket-owner-full-control" | "bucket-owner-read") if !grants => Ok(()),
        None | Some(_) => Err(not_implemented()),
    }
}

pub(super) fn get_acl(call: &mut Call<'_>) -> Result<Response, Error> {
    let action = if call.key.is_empty() { "s3:GetBucketAcl" } else { "s3:GetObjectAcl" };
    let bucket = bucket(call, action)?;
    if !call.key.is_empty() {
        super::object::find(call)?;
    }
    let grantee = Element::new("Grantee")
        .attribute("xmlns:xsi", "http://www.w3.org/2001/XMLSchema-instance")
        .attribute("xsi:type", "CanonicalUser")
        .text("ID", canonical_user(&bucket.account));
    let grant = Element::new("Grant").with(grantee).text("Permission", "FULL_CONTROL");
    Ok(document(
        Element::new("AccessControlPolicy")
            .with(owner(&bucket.account))
            .with(Element::new("AccessControlList").with(grant)),
    ))
}

pub(super) fn put_acl(call: &mut Call<'_>) -> Result<Response, Error> {
    let action = if call.key.is_empty() { "s3:PutBucketAcl" } else { "s3:PutObjectAcl" };
    let bucket = bucket(call, action)?;
    if !call.key.is_empty() {
        super::object::find(call)?;
    }
    if bucket.enforces_owner() && !call.body.is_empty() {
        return Err(Error::new(400, "AccessControlListNotSupported", "The bucket does not allow ACLs"));
    }
    check_acl(call, &bucket)?;
    if call.body.is_empty() { Ok(empty(200)) } else { Err(not_implemented()) }
}
