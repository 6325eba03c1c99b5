//! Who may do what: the administrator of the bucket's account all, roles and others what policies say. And access control lists,
//! which say nothing beyond `private`.

use super::super::error::Error;
use super::super::identity::{self, Wish};
use super::super::policy::{Ask, Facts, evaluate, is_public};
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
    let bucket = existing(call, name)?;
    if let Err(why) = judge(call, &bucket, key, action) {
        // S3 tells the region even to those whom it tells nothing else.
        let refused = refusal(call, action, &resource(name, key), told(call, &bucket, &why));
        return Err(refused.header("x-amz-bucket-region", &bucket.region));
    }
    in_region(call, bucket, action, key)
}

/// The bucket that a call is about, where each of the objects that it names is judged for itself.
pub(super) fn bucket_of_many(call: &Call<'_>, action: &str) -> Result<Bucket, Error> {
    in_region(call, existing(call, &call.bucket)?, action, "")
}

fn existing(call: &Call<'_>, name: &str) -> Result<Bucket, Error> {
    call.world.get::<Bucket>(name).ok_or_else(|| {
        Error::new(404, "NoSuchBucket", "The specified bucket does not exist").detail("BucketName", name)
    })
}

/// The bucket, if it is whose the caller takes it for, and where it is asked.
fn in_region(call: &Call<'_>, bucket: Bucket, action: &str, key: &str) -> Result<Bucket, Error> {
    let name = &bucket.name;
    if call.header("x-amz-expected-bucket-owner").is_some_and(|expected| expected != bucket.account) {
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

/// Refuses a caller that may not do something that is about no bucket that exists yet, or about all of them.
pub(super) fn account_wide(call: &Call<'_>, action: &str, resource: &str) -> Result<(), Error> {
    located(call, action, resource, None)
}

/// The same of a bucket that is to be made in the place that the call's body names.
pub(super) fn located(
    call: &Call<'_>,
    action: &str,
    resource: &str,
    location: Option<&str>,
) -> Result<(), Error> {
    let Some(caller) = &call.caller else { return Err(denied(call, action, resource)) };
    let facts = facts(call, &call.region, &caller.account).maybe("s3:LocationConstraint", location);
    let wish = Wish { action, resource, owner: &caller.account, policy: None, facts: &facts };
    identity::judge(call.world, caller, wish).map_err(|why| refusal(call, action, resource, &why.to_string()))
}

/// The refusal of a caller that may not do something.
pub(super) fn denied(call: &Call<'_>, action: &str, resource: &str) -> Error {
    refusal(call, action, resource, "")
}

/// The reason of a refusal, which those of other accounts are not told.
fn told<'a>(call: &Call<'_>, bucket: &Bucket, why: &'a str) -> &'a str {
    let own = call.caller.as_ref().is_some_and(|caller| caller.account == bucket.account);
    if own { why } else { "" }
}

/// The same with the reason, where there is one to tell.
fn refusal(call: &Call<'_>, action: &str, resource: &str, why: &str) -> Error {
    match &call.caller {
        None => Error::new(403, "AccessDenied", "Access Denied"),
        Some(caller) => {
            let arn = caller.arn();
            let message = format!(
                "User: {arn} is not authorized to perform: {action} on resource: \"{resource}\" {why}"
            );
            Error::new(403, "AccessDenied", message.trim_end())
        }
    }
}

/// What is said of an object that is not there: nothing, to a caller that may not list its bucket.
pub(super) fn hidden(call: &Call<'_>, bucket: &Bucket, key: &str, action: &str, error: Error) -> Error {
    if error.code != "NoSuchKey" {
        return error;
    }
    match judge(call, bucket, "", "s3:ListBucket") {
        Ok(()) => error,
        Err(why) if call.caller.is_some() => {
            refusal(call, "s3:ListBucket", &resource(&bucket.name, ""), told(call, bucket, &why))
        }
        Err(_) => refusal(call, action, &resource(&bucket.name, key), ""),
    }
}

fn resource(bucket: &str, key: &str) -> String {
    if key.is_empty() { format!("arn:aws:s3:::{bucket}") } else { format!("arn:aws:s3:::{bucket}/{key}") }
}

/// Why a caller may not do something to a bucket or an object of it.
pub(super) fn judge(call: &Call<'_>, bucket: &Bucket, key: &str, action: &str) -> Result<(), String> {
    let document = bucket.policy.as_ref().and_then(|text| serde_json::from_str(text).ok());
    // Who signs nothing names no region either.
    let region = if call.caller.is_some() { &call.region } else { &bucket.region };
    let (resource, facts) = (resource(&bucket.name, key), facts(call, region, &bucket.account));
    let closed = |document| bucket.blocks("RestrictPublicBuckets") && is_public(document);
    let Some(caller) = &call.caller else {
        let ask = Ask { caller: None, action, resource: &resource, service: None, facts: &facts };
        let open =
            document.as_ref().is_some_and(|document| evaluate(document, ask).allows() && !closed(document));
        return if open { Ok(()) } else { Err(String::new()) };
    };
    let wish = Wish {
        action,
        resource: &resource,
        owner: &bucket.account,
        policy: document.as_ref(),
        facts: &facts,
    };
    identity::judge(call.world, caller, wish).map_err(|why| why.to_string())?;
    if caller.account != bucket.account && document.as_ref().is_some_and(closed) {
        return Err("because public access is blocked by the BlockPublicAccess setting".to_owned());
    }
    Ok(())
}

/// What conditions may be about: parameters, and all of S3's own header fields.
fn facts(call: &Call<'_>, region: &str, owner: &str) -> Facts {
    let mut facts = Facts::new(call.world, region, owner)
        .with("s3:ResourceAccount", owner)
        .maybe("s3:prefix", call.parameter("prefix"))
        .maybe("s3:delimiter", call.parameter("delimiter"))
        .maybe("s3:max-keys", call.parameter("max-keys"))
        .maybe("s3:VersionId", call.parameter("versionId"))
        .maybe("aws:Referer", call.header("referer"))
        .maybe("aws:UserAgent", call.header("user-agent"))
        .maybe("s3:signatureversion", call.caller.as_ref().map(|_| "AWS4-HMAC-SHA256"));
    facts.secure = call.secure;
    if call.secure {
        facts = facts.with("s3:TlsVersion", "1.3");
    }
    for (name, value) in call.request.headers() {
        if name.as_str().starts_with("x-amz-") {
            facts = facts.with(&format!("s3:{name}"), String::from_utf8_lossy(value.as_bytes()));
        }
    }
    facts
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
