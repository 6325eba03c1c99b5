//! Copying an object within S3.

use percent_encoding::percent_decode_str;

use super::super::error::Error;
use super::super::xml::Element;
use super::answer::{document, iso_millis, maybe};
use super::bucket::version_header;
use super::checksum::{Algorithm, Checksum};
use super::record::Content;
use super::write::{self, Said};
use super::{Call, access, object, read};
use crate::sandbox::Response;

pub(super) fn copy(call: &mut Call<'_>) -> Result<Response, Error> {
    let bucket = access::bucket(call, "s3:PutObject")?;
    object::check_key(&call.key)?;
    let (from_bucket, from_key, from_version) = source(call)?;
    let action = if from_version.is_some() { "s3:GetObjectVersion" } else { "s3:GetObject" };
    let source = access::bucket_named(call, &from_bucket, &from_key, action)?;
    let found = object::find_named(call, &from_bucket, &from_key, from_version.as_deref());
    let (_, from) = found.map_err(|error| access::hidden(call, &source, &from_key, action, error))?;
    if call.header("x-amz-copy-source-if-match").is_some_and(|tag| !object::is_tag(tag, &from.etag)) {
        let message = "At least one of the pre-conditions you specified did not hold";
        return Err(Error::new(412, "PreconditionFailed", message));
    }
    let replace = directive(call, "x-amz-metadata-directive")?;
    let mut said = write::said(call, &bucket)?;
    let same = from_bucket == call.bucket && from_key == call.key && from_version.is_none();
    let changed = replace
        || call.header("x-amz-storage-class").is_some_and(|class| class != from.storage_class)
        || call.header("x-amz-website-redirect-location").is_some()
        || call.header("x-amz-server-side-encryption").is_some();
    if same && !changed {
        let message = "This copy request is illegal because it is trying to copy an object to itself without changing \
                       the object's metadata, storage class, website redirect location or encryption attributes.";
        return Err(Error::new(400, "InvalidRequest", message));
    }
    object::check_condition(call)?;
    if !replace {
        said.headers.clone_from(&from.headers);
    }
    if !directive(call, "x-amz-tagging-directive")? {
        said.tags.clone_from(&from.tags);
    }
    let content = copied(call, &from, said)?;
    let result = Element::new("CopyObjectResult")
        .text("LastModified", iso_millis(call.world.now()))
        .text("ETag", format!("\"{}\"", content.etag))
        .text(&content.checksum.algorithm.element(), &content.checksum.value)
        .text("ChecksumType", content.checksum.kind());
    let response = write::describe(document(result), &content);
    let key = call.key.clone();
    let version = object::add(call, &bucket, &key, Some(content), "ObjectCreated:Copy");
    let response = maybe(response, "x-amz-copy-source-version-id", from_version);
    Ok(version_header(response, &bucket, &version))
}

/// The same bytes. What was uploaded in parts is one piece afterwards, with another entity tag.
fn copied(call: &mut Call<'_>, from: &Content, said: Said) -> Result<Content, Error> {
    let body = read::bytes(call, from, 0, from.size)?;
    let algorithm = match call.header("x-amz-checksum-algorithm") {
        Some(name) => Algorithm::named(name).ok_or_else(|| {
            Error::new(400, "InvalidRequest", "Checksum algorithm provided is unsupported.")
        })?,
        None => from.checksum.algorithm,
    };
    let checksum = Checksum { algorithm, value: algorithm.text(&body), composite: false };
    Ok(write::content(call, &body, said, checksum))
}

/// Whether what is said now replaces what was said of the source.
fn directive(call: &Call<'_>, name: &'static str) -> Result<bool, Error> {
    match call.header(name) {
        None | Some("COPY") => Ok(false),
        Some("REPLACE") => Ok(true),
        Some(other) => Err(Error::new(400, "InvalidArgument", format!("Unknown directive: {other}"))),
    }
}

/// Bucket, key and version of `/bucket/key?versionId=…`.
fn source(call: &Call<'_>) -> Result<(String, String, Option<String>), Error> {
    let invalid = || {
        let message = "Copy Source must mention the source bucket and key: sourcebucket/sourcekey";
        Error::new(400, "InvalidArgument", message)
    };
    let source = call.header("x-amz-copy-source").unwrap_or_default();
    let (path, version) = match source.split_once("?versionId=") {
        Some((path, version)) => (path, Some(version.to_owned())),
        None => (source, None),
    };
    let path = percent_decode_str(path).decode_utf8().map_err(|_| invalid())?;
    let (bucket, key) = path.trim_start_matches('/').split_once('/').ok_or_else(invalid)?;
    if bucket.is_empty() || key.is_empty() {
        return Err(invalid());
    }
    Ok((bucket.to_owned(), key.to_owned(), version))
}
