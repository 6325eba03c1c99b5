//! Deleting objects: one, or up to a thousand at once.

use super::super::error::Error;
use super::super::xml::{self, Element};
use super::answer::{document, empty, with};
use super::events::{self, Happening};
use super::record::{Bucket, Object, Versioning, object_key};
use super::{Call, access, checksum, config, object};
use crate::sandbox::Response;

const MOST: usize = 1000;

/// What a deletion did.
struct Deleted {
    /// The version deleted, or the marker made.
    version: Option<String>,
    /// Whether a delete marker was made, or deleted.
    marker: bool,
}

pub(super) fn one(call: &mut Call<'_>) -> Result<Response, Error> {
    let version = call.parameter("versionId").map(str::to_owned);
    let action = if version.is_some() { "s3:DeleteObjectVersion" } else { "s3:DeleteObject" };
    let bucket = access::bucket(call, action)?;
    if call.header("if-match").is_some() {
        object::check_condition(call)?;
    }
    let key = call.key.clone();
    let deleted = delete(call, &bucket, &key, version.as_deref());
    let mut response = empty(204);
    if let Some(version) = &deleted.version {
        response = with(response, "x-amz-version-id", version);
    }
    Ok(if deleted.marker { with(response, "x-amz-delete-marker", "true") } else { response })
}

pub(super) fn many(call: &mut Call<'_>) -> Result<Response, Error> {
    let bucket = access::bucket_of_many(call, "s3:DeleteObject")?;
    checksum::require(call)?;
    let root =
        xml::parse(&call.body).ok().filter(|root| root.name == "Delete").ok_or_else(config::malformed)?;
    config::only(&root, &["Object", "Quiet"])?;
    let quiet = root.value("Quiet").is_some_and(|quiet| quiet.eq_ignore_ascii_case("true"));
    let objects = root.all("Object").collect::<Vec<_>>();
    if objects.is_empty() || objects.len() > MOST {
        return Err(config::malformed());
    }
    let mut result = Element::new("DeleteResult");
    for named in objects {
        config::only(named, &["Key", "VersionId", "ETag", "LastModifiedTime", "Size"])?;
        let key = named.value("Key").filter(|key| !key.is_empty()).ok_or_else(config::malformed)?;
        let version = named.value("VersionId").filter(|version| !version.is_empty());
        let action = if version.is_some() { "s3:DeleteObjectVersion" } else { "s3:DeleteObject" };
        if let Err(error) = access::bucket_named(call, &bucket.name, key, action) {
            let element = Element::new("Error").text("Key", key).maybe("VersionId", version);
            result = result.with(element.text("Code", error.code.as_ref()).text("Message", &error.message));
            continue;
        }
        let deleted = delete(call, &bucket, key, version);
        if quiet {
            continue;
        }
        let mut element = Element::new("Deleted").text("Key", key).maybe("VersionId", version);
        if deleted.marker {
            element = element.text("DeleteMarker", "true").maybe("DeleteMarkerVersionId", deleted.version);
        }
        result = result.with(element);
    }
    Ok(document(result))
}

/// Deletes a version for good; or without one hides the object, where the bucket has versions. What is not there
/// is deleted already.
fn delete(call: &mut Call<'_>, bucket: &Bucket, key: &str, version: Option<&str>) -> Deleted {
    match (version, bucket.versioning()) {
        (Some(version), _) => {
            Deleted { version: Some(version.to_owned()), marker: remove(call, bucket, key, version) }
        }
        (None, Versioning::Off) => {
            if call.world.remove::<Object>(&object_key(&bucket.name, key)) {
                tell(call, bucket, key, "null");
            }
            Deleted { version: None, marker: false }
        }
        (None, Versioning::Enabled | Versioning::Suspended) => {
            let made = object::add(call, bucket, key, None, "ObjectRemoved:DeleteMarkerCreated");
            Deleted { version: Some(made), marker: true }
        }
    }
}

/// Tells of what is gone.
fn tell(call: &mut Call<'_>, bucket: &Bucket, key: &str, version: &str) {
    events::tell(call, bucket, &Happening { event: "ObjectRemoved:Delete", key, version, content: None });
}

/// Removes a version; returns whether it was a delete marker.
fn remove(call: &mut Call<'_>, bucket: &Bucket, key: &str, version: &str) -> bool {
    let place = object_key(&bucket.name, key);
    let Some(mut object) = call.world.get::<Object>(&place) else { return false };
    let Some(index) = object.versions.iter().position(|kept| kept.id == version) else { return false };
    let removed = object.versions.remove(index);
    tell(call, bucket, key, version);
    if object.versions.is_empty() {
        call.world.remove::<Object>(&place);
    } else {
        call.world.put(&place, &object);
    }
    removed.content.is_none()
}
