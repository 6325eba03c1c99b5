//! What other services of AWS do with buckets on behalf of an account.

use serde_json::Value as Json;

use super::super::error::Error;
use super::super::policy::{Kind, check, is_public, store_principals};
use super::record::{Bucket, Object, object_key};
use crate::sandbox::World;

/// The bytes of an object that an account has in a region: the name of the blob, and the size.
pub(in crate::sandbox::aws) fn stored(
    world: &World,
    account: &str,
    region: &str,
    bucket: &str,
    key: &str,
    version: Option<&str>,
) -> Result<(String, u64), Error> {
    let found = bucket_of(world, account, bucket)?;
    if found.region != region {
        let message = format!(
            "The bucket is in this region: {}. Please use this region to retry the request",
            found.region
        );
        return Err(Error::new(301, "PermanentRedirect", message));
    }
    let object: Object = world.get(&object_key(bucket, key)).unwrap_or_default();
    let mut versions = object.versions.into_iter();
    let wanted = match version {
        None => versions.next(),
        Some(id) => versions.find(|version| version.id == id),
    };
    match (wanted.and_then(|version| version.content), version) {
        (Some(content), _) => Ok((content.blob, content.size)),
        (None, None) => Err(Error::new(404, "NoSuchKey", "The specified key does not exist.")),
        (None, Some(_)) => Err(Error::new(404, "NoSuchVersion", "The specified version does not exist.")),
    }
}

fn bucket_of(world: &World, account: &str, bucket: &str) -> Result<Bucket, Error> {
    let found = world.get::<Bucket>(bucket);
    let found =
        found.ok_or_else(|| Error::new(404, "NoSuchBucket", "The specified bucket does not exist"))?;
    if found.account != account {
        return Err(Error::new(403, "AccessDenied", "Access Denied"));
    }
    Ok(found)
}

/// The policy of a bucket, if it has one.
pub(in crate::sandbox::aws) fn bucket_policy(
    world: &World,
    account: &str,
    bucket: &str,
) -> Result<Option<String>, Error> {
    Ok(bucket_of(world, account, bucket)?.policy)
}

/// Puts the policy of a bucket, or takes it away.
pub(in crate::sandbox::aws) fn put_bucket_policy(
    world: &mut World,
    account: &str,
    bucket: &str,
    policy: Option<&Json>,
) -> Result<(), Error> {
    let mut found = bucket_of(world, account, bucket)?;
    let malformed = |message: String| Error::new(400, "MalformedPolicy", message);
    found.policy = match policy {
        None => None,
        Some(policy) => {
            let mut document = check(&policy.to_string(), Kind::Bucket(bucket)).map_err(malformed)?;
            if found.blocks("BlockPublicPolicy") && is_public(&document) {
                return Err(Error::new(403, "AccessDenied", "Access Denied"));
            }
            store_principals(world, &mut document, true).map_err(malformed)?;
            Some(document.to_string())
        }
    };
    found.save(world);
    Ok(())
}
