//! Buckets: made, found, listed, deleted.

use std::collections::BTreeMap;

use super::super::error::Error;
use super::super::xml::{self, Element};
use super::answer::{document, empty, iso_millis, maybe, with};
use super::record::{Bucket, Object, Versioning, owner};
use super::{Call, access, config, not_implemented};
use crate::sandbox::Response;

/// Names are unique in the whole partition, whoever takes them first.
pub(super) fn create(call: &mut Call<'_>) -> Result<Response, Error> {
    let Some(caller) = call.caller.clone() else { return Err(access::denied(call, "s3:CreateBucket", "")) };
    let name = call.bucket.clone();
    if !is_bucket_name(&name) {
        let error = Error::new(400, "InvalidBucketName", "The specified bucket is not valid.");
        return Err(error.detail("BucketName", name));
    }
    let request = if call.body.is_empty() { None } else { Some(read_body(&call.body)?) };
    let location = request.as_ref().and_then(|request| request.value("LocationConstraint"));
    access::located(call, "s3:CreateBucket", &format!("arn:aws:s3:::{name}"), location)?;
    check_location(call, location)?;
    check_namespace(call, &caller.account)?;
    let ownership = call.header("x-amz-object-ownership").unwrap_or("BucketOwnerEnforced").to_owned();
    if !config::is_ownership(&ownership) {
        return Err(Error::new(
            400,
            "InvalidArgument",
            format!("Invalid x-amz-object-ownership header: {ownership}"),
        ));
    }
    match call.header("x-amz-acl") {
        None | Some("private") => {}
        Some(_) if ownership == "BucketOwnerEnforced" => {
            let message = "Bucket cannot have ACLs set with ObjectOwnership's BucketOwnerEnforced setting";
            return Err(Error::new(400, "InvalidBucketAclWithObjectOwnership", message));
        }
        Some(_) => return Err(not_implemented()),
    }
    if call.header("x-amz-bucket-object-lock-enabled").is_some_and(|value| value.eq_ignore_ascii_case("true"))
    {
        return Err(not_implemented());
    }
    if let Some(bucket) = call.world.get::<Bucket>(&name) {
        return taken(&bucket, &caller.account, &call.region);
    }
    let mut bucket = Bucket {
        name: name.clone(),
        account: caller.account,
        region: call.region.clone(),
        created: call.world.now(),
        config: config::of_new_bucket(&ownership),
        policy: None,
    };
    if let Some(tags) = request.as_ref().and_then(|request| request.child("Tags")) {
        let tagging = Element::new("Tagging").with(Element { name: "TagSet".to_owned(), ..tags.clone() });
        config::set(call, &mut bucket, "tagging", &tagging)?;
    }
    bucket.save(call.world);
    Ok(with(with(empty(200), "location", format!("/{name}")), "x-amz-bucket-arn", bucket.arn()))
}

/// A name that is taken. In us-east-1, and only there, making one's own bucket again succeeds.
fn taken(bucket: &Bucket, account: &str, region: &str) -> Result<Response, Error> {
    if bucket.account != account {
        let message = "The requested bucket name is not available. The bucket namespace is shared by all users of \
                       the system. Please select a different name and try again.";
        return Err(Error::new(409, "BucketAlreadyExists", message).detail("BucketName", &bucket.name));
    }
    if region == "us-east-1" && bucket.region == region {
        return Ok(with(empty(200), "location", format!("/{}", bucket.name)));
    }
    let message = "Your previous request to create the named bucket succeeded and you already own it.";
    Err(Error::new(409, "BucketAlreadyOwnedByYou", message).detail("BucketName", &bucket.name))
}

/// The location that the body names, if it names one, must be that of the endpoint asked.
fn check_location(call: &Call<'_>, location: Option<&str>) -> Result<(), Error> {
    let incompatible = |location: &str| {
        let message = format!(
            "The {location} location constraint is incompatible for the region specific endpoint this request was sent to."
        );
        Err(Error::new(400, "IllegalLocationConstraintException", message))
    };
    let invalid = |location: &str| {
        let error =
            Error::new(400, "InvalidLocationConstraint", "The specified location-constraint is not valid");
        Err(error.detail("LocationConstraint", location))
    };
    match (location, call.region.as_str()) {
        (Some("us-east-1" | ""), "us-east-1") => invalid(location.unwrap_or_default()),
        (None, "us-east-1") | (Some("EU"), "eu-west-1") => Ok(()),
        (None, _) => incompatible("unspecified"),
        (Some(location), region) if location == region => Ok(()),
        (Some(location), _) if !location.contains('-') => invalid(location),
        (Some(location), _) => incompatible(location),
    }
}

fn read_body(body: &[u8]) -> Result<Element, Error> {
    let root = xml::parse(body).ok().filter(|root| root.name == "CreateBucketConfiguration");
    let root = root.ok_or_else(config::malformed)?;
    config::only(&root, &["LocationConstraint", "Tags"])?;
    Ok(root)
}

/// Names of the account's own namespace end in `-ACCT-REGION-an`.
fn check_namespace(call: &Call<'_>, account: &str) -> Result<(), Error> {
    let suffix = format!("-{account}-{}-an", call.region);
    match call.header("x-amz-bucket-namespace") {
        None | Some("global") => Ok(()),
        Some("account-regional") if call.bucket.ends_with(&suffix) => Ok(()),
        Some("account-regional") => {
            let message = format!(
                "A bucket of the account-regional namespace must have a name that ends with {suffix}"
            );
            Err(Error::new(400, "InvalidBucketName", message).detail("BucketName", &call.bucket))
        }
        Some(other) => Err(Error::new(400, "InvalidArgument", format!("Invalid bucket namespace: {other}"))),
    }
}

/// Nothing may be left in it: no object, no old version, no delete marker.
pub(super) fn delete(call: &mut Call<'_>) -> Result<Response, Error> {
    let bucket = access::bucket(call, "s3:DeleteBucket")?;
    let objects = call.world.list::<Object>(&format!("{}/", bucket.name));
    if !objects.is_empty() {
        let message = if bucket.versioning() == Versioning::Off {
            "The bucket you tried to delete is not empty"
        } else {
            "The bucket you tried to delete is not empty. You must delete all versions in the bucket."
        };
        return Err(Error::new(409, "BucketNotEmpty", message).detail("BucketName", &bucket.name));
    }
    super::multipart::forget(call.world, &bucket.name);
    call.world.remove::<Bucket>(&bucket.name);
    Ok(empty(204))
}

pub(super) fn head(call: &mut Call<'_>) -> Result<Response, Error> {
    let bucket = access::bucket(call, "s3:ListBucket")?;
    let response = with(empty(200), "x-amz-bucket-region", &bucket.region);
    let response = with(response, "x-amz-bucket-arn", bucket.arn());
    Ok(with(with(response, "x-amz-access-point-alias", "false"), "content-type", "application/xml"))
}

/// Empty for us-east-1, as it was before there were others.
pub(super) fn location(call: &mut Call<'_>) -> Result<Response, Error> {
    // Answered whatever region is asked.
    let found = call.world.get::<Bucket>(&call.bucket);
    if let Some(bucket) = found {
        call.region = bucket.region;
    }
    let bucket = access::bucket(call, "s3:GetBucketLocation")?;
    let location = match bucket.region.as_str() {
        "us-east-1" => "",
        other => other,
    };
    Ok(document(Element::leaf("LocationConstraint", location)))
}

pub(super) fn list(call: &mut Call<'_>) -> Result<Response, Error> {
    let Some(caller) = call.caller.clone() else {
        return Err(access::denied(call, "s3:ListAllMyBuckets", ""));
    };
    access::account_wide(call, "s3:ListAllMyBuckets", "arn:aws:s3:::*")?;
    let most = match call.parameter("max-buckets").map(str::parse::<usize>) {
        None => 10_000,
        Some(Ok(most)) if (1..=10_000).contains(&most) => most,
        Some(Ok(_) | Err(_)) => {
            return Err(Error::new(
                400,
                "InvalidArgument",
                "Argument max-buckets must be an integer between 1 and 10000",
            ));
        }
    };
    let prefix = call.parameter("prefix").unwrap_or_default();
    let after = call.parameter("continuation-token").unwrap_or_default();
    let region = call.parameter("bucket-region");
    let mut found = call.world.list::<Bucket>(prefix);
    found.retain(|(name, bucket)| {
        bucket.account == caller.account
            && name.as_str() > after
            && region.is_none_or(|region| region == bucket.region)
    });
    let more = found.len() > most;
    found.truncate(most);
    let last = found.last().map(|(name, _)| name.clone());
    let buckets = found.into_iter().map(|(name, bucket)| {
        let element =
            Element::new("Bucket").text("Name", name).text("CreationDate", iso_millis(bucket.created));
        element.text("BucketRegion", &bucket.region).text("BucketArn", bucket.arn())
    });
    let result = Element::new("ListAllMyBucketsResult")
        .with(owner(&caller.account))
        .with(Element::new("Buckets").with_all(buckets))
        .maybe("Prefix", call.parameter("prefix"))
        .maybe("ContinuationToken", last.filter(|_| more));
    Ok(document(result))
}

/// S3's rules for names of general purpose buckets.
fn is_bucket_name(name: &str) -> bool {
    let ends =
        |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    let bytes = name.as_bytes();
    let allowed =
        bytes.iter().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'-'));
    let reserved = ["xn--", "sthree-", "amzn-s3-demo-"].iter().any(|prefix| name.starts_with(prefix))
        || ["-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3"]
            .iter()
            .any(|suffix| name.ends_with(suffix));
    (3..=63).contains(&name.len())
        && allowed
        && ends(bytes.first())
        && ends(bytes.last())
        && !name.contains("..")
        && name.parse::<std::net::Ipv4Addr>().is_err()
        && !reserved
}

/// What a version's headers say, for answers about it; see `read`.
pub(super) fn version_header(response: Response, bucket: &Bucket, version: &str) -> Response {
    let shown = (bucket.versioning() != Versioning::Off).then_some(version);
    maybe(response, "x-amz-version-id", shown)
}

/// Configurations of a bucket, by sub-resource.
pub(super) type Config = BTreeMap<String, Element>;
