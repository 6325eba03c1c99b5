//! An object and its versions: finding one, and putting a new one on top.

use super::super::error::Error;
use super::answer::http_date;
use super::events::{self, Happening};
use super::record::{Bucket, Content, Object, Version, Versioning, object_key};
use super::{Call, not_allowed};

/// A key has at most so many bytes.
const LONGEST_KEY: usize = 1024;

/// The version that a call is about: the one it names, or the newest.
pub(super) fn find(call: &Call<'_>) -> Result<(Version, Content), Error> {
    find_named(call, &call.bucket, &call.key, call.parameter("versionId"))
}

/// The same for an object that the call names elsewhere.
pub(super) fn find_named(
    call: &Call<'_>,
    bucket: &str,
    key: &str,
    version: Option<&str>,
) -> Result<(Version, Content), Error> {
    let object: Object = call.world.get(&object_key(bucket, key)).unwrap_or_default();
    let found = match version {
        None => object.versions.into_iter().next(),
        Some(id) => {
            let found = object.versions.into_iter().find(|version| version.id == id);
            Some(found.ok_or_else(|| {
                let error = Error::new(404, "NoSuchVersion", "The specified version does not exist.");
                error.detail("Key", key).detail("VersionId", id)
            })?)
        }
    };
    let absent = || Error::new(404, "NoSuchKey", "The specified key does not exist.").detail("Key", key);
    let mut found = found.ok_or_else(absent)?;
    match (found.content.take(), version) {
        (Some(content), _) => Ok((found, content)),
        (None, None) => {
            Err(absent().header("x-amz-delete-marker", "true").header("x-amz-version-id", found.id))
        }
        (None, Some(_)) => Err(not_allowed()
            .header("x-amz-delete-marker", "true")
            .header("allow", "DELETE")
            .header("last-modified", http_date(found.modified))),
    }
}

/// Puts content on top as the bucket's versioning has it, tells of it, and returns the version's id.
pub(super) fn add(
    call: &mut Call<'_>,
    bucket: &Bucket,
    key: &str,
    content: Option<Content>,
    event: &'static str,
) -> String {
    let id = match bucket.versioning() {
        Versioning::Enabled => version_id(call),
        Versioning::Off | Versioning::Suspended => "null".to_owned(),
    };
    let place = object_key(&bucket.name, key);
    let mut object: Object = call.world.get(&place).unwrap_or_default();
    if id == "null" {
        object.versions.retain(|version| version.id != "null");
    }
    let told = content.as_ref().map(|content| (content.size, content.etag.clone()));
    object.versions.insert(0, Version { id: id.clone(), modified: call.world.now(), content });
    call.world.put(&place, &object);
    let content = told.as_ref().map(|(size, etag)| (*size, etag.as_str()));
    events::tell(call, bucket, &Happening { event, key, version: &id, content });
    id
}

/// Refuses a write whose condition on what is there does not hold.
pub(super) fn check_condition(call: &Call<'_>) -> Result<(), Error> {
    let failed = |condition: &str| {
        let error = Error::new(
            412,
            "PreconditionFailed",
            "At least one of the pre-conditions you specified did not hold",
        );
        error.detail("Condition", condition)
    };
    let (none_match, if_match) = (call.header("if-none-match"), call.header("if-match"));
    if none_match.is_none() && if_match.is_none() {
        return Ok(());
    }
    let present = find_named(call, &call.bucket, &call.key, None).ok();
    match none_match {
        Some("*") if present.is_some() => return Err(failed("If-None-Match")),
        Some("*") | None => {}
        Some(_) => return Err(super::not_implemented()),
    }
    match (if_match, present) {
        (None, _) => Ok(()),
        (Some(tag), Some((_, content))) if is_tag(tag, &content.etag) => Ok(()),
        (Some(_), Some(_)) => Err(failed("If-Match")),
        (Some(_), None) => {
            Err(Error::new(404, "NoSuchKey", "The specified key does not exist.").detail("Key", &call.key))
        }
    }
}

/// Refuses a key that is too long.
pub(super) fn check_key(key: &str) -> Result<(), Error> {
    if key.len() > LONGEST_KEY {
        let error = Error::new(400, "KeyTooLongError", "Your key is too long");
        return Err(error
            .detail("Size", key.len().to_string())
            .detail("MaxSizeAllowed", LONGEST_KEY.to_string()));
    }
    Ok(())
}

/// Whether an entity tag, or one of a list, is this one.
pub(super) fn is_tag(given: &str, etag: &str) -> bool {
    given.split(',').any(|tag| {
        let tag = tag.trim();
        tag == "*" || tag.trim_start_matches("W/").trim_matches('"') == etag
    })
}

fn version_id(call: &mut Call<'_>) -> String {
    call.world.word(32, b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._")
}
