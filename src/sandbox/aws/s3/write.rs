//! Putting an object.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::super::error::Error;
use super::answer::{empty, with};
use super::bucket::version_header;
use super::checksum::{self, Checksum};
use super::record::{Bucket, Content};
use super::{Call, access, config, object};
use crate::sandbox::Response;

/// User metadata is no larger, in bytes.
const MOST_METADATA: usize = 2048;
/// An object has no more tags.
const MOST_TAGS: usize = 10;
/// What S3 keeps and gives back as it is.
const KEPT: [&str; 6] = [
    "content-type",
    "cache-control",
    "content-disposition",
    "content-encoding",
    "content-language",
    "expires",
];
const CLASSES: [&str; 9] = [
    "STANDARD",
    "REDUCED_REDUNDANCY",
    "STANDARD_IA",
    "ONEZONE_IA",
    "INTELLIGENT_TIERING",
    "GLACIER",
    "GLACIER_IR",
    "DEEP_ARCHIVE",
    "EXPRESS_ONEZONE",
];

/// What is said about an object when it is put, or when its upload begins.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub(super) struct Said {
    pub(super) headers: BTreeMap<String, String>,
    pub(super) storage_class: String,
    pub(super) encryption: String,
    pub(super) tags: Vec<(String, String)>,
}

pub(super) fn put(call: &mut Call<'_>) -> Result<Response, Error> {
    let bucket = access::bucket(call, "s3:PutObject")?;
    object::check_key(&call.key)?;
    let said = said(call, &bucket)?;
    let checksum = checksum::verify(call)?;
    object::check_condition(call)?;
    let body = call.body.clone();
    let content = content(call, &body, said, checksum);
    let response = describe(with(empty(200), "etag", format!("\"{}\"", content.etag)), &content);
    let key = call.key.clone();
    let version = object::add(call, &bucket, &key, Some(content), "ObjectCreated:Put");
    Ok(version_header(response, &bucket, &version))
}

/// Keeps bytes, and says what S3 says of them.
pub(super) fn content(call: &mut Call<'_>, body: &Bytes, said: Said, checksum: Checksum) -> Content {
    Content {
        blob: call.world.put_blob(body),
        size: body.len() as u64,
        etag: checksum::etag(body),
        checksum,
        headers: said.headers,
        storage_class: said.storage_class,
        encryption: said.encryption,
        tags: said.tags,
        parts: None,
    }
}

/// The header fields of an answer to a write.
pub(super) fn describe(response: Response, content: &Content) -> Response {
    let response = with(response, "x-amz-server-side-encryption", &content.encryption);
    let response = with(response, content.checksum.algorithm.header(), &content.checksum.value);
    with(response, "x-amz-checksum-type", content.checksum.kind())
}

/// Reads and checks what the header fields say about an object.
pub(super) fn said(call: &Call<'_>, bucket: &Bucket) -> Result<Said, Error> {
    access::check_acl(call, bucket)?;
    let mut headers = BTreeMap::new();
    let mut size = 0;
    for (name, value) in call.request.headers() {
        let value = String::from_utf8_lossy(value.as_bytes());
        if let Some(key) = name.as_str().strip_prefix("x-amz-meta-") {
            size += key.len() + value.len();
            // Repeated fields are one, joined.
            let entry = headers.entry(name.as_str().to_owned()).or_insert_with(String::new);
            if !entry.is_empty() {
                entry.push(',');
            }
            entry.push_str(&value);
        }
    }
    if size > MOST_METADATA {
        let error = Error::new(
            400,
            "MetadataTooLarge",
            "Your metadata headers exceed the maximum allowed metadata size",
        );
        return Err(error
            .detail("Size", size.to_string())
            .detail("MaxSizeAllowed", MOST_METADATA.to_string()));
    }
    for name in KEPT {
        let Some(value) = call.header(name) else { continue };
        let value = if name == "content-encoding" {
            // The encoding for the wire is not the object's.
            let parts = value.split(',').map(str::trim).filter(|part| *part != "aws-chunked");
            parts.collect::<Vec<_>>().join(",")
        } else {
            value.to_owned()
        };
        if !value.is_empty() {
            headers.insert(name.to_owned(), value);
        }
    }
    headers.entry("content-type".to_owned()).or_insert_with(|| "binary/octet-stream".to_owned());
    if let Some(location) = call.header("x-amz-website-redirect-location") {
        headers.insert("x-amz-website-redirect-location".to_owned(), location.to_owned());
    }
    Ok(Said {
        headers,
        storage_class: storage_class(call)?,
        encryption: encryption(call, bucket)?,
        tags: tags(call)?,
    })
}

fn storage_class(call: &Call<'_>) -> Result<String, Error> {
    let class = call.header("x-amz-storage-class").unwrap_or("STANDARD");
    if CLASSES.contains(&class) {
        return Ok(class.to_owned());
    }
    Err(Error::new(400, "InvalidStorageClass", "The storage class you specified is not valid"))
}

fn encryption(call: &Call<'_>, bucket: &Bucket) -> Result<String, Error> {
    let rule = bucket.config.get("encryption").and_then(|config| config.child("Rule"));
    if call
        .request
        .headers()
        .keys()
        .any(|name| name.as_str().starts_with("x-amz-server-side-encryption-customer-"))
    {
        let blocked = rule.and_then(|rule| rule.child("BlockedEncryptionTypes"));
        if blocked.is_some_and(|blocked| blocked.value("EncryptionType") == Some("SSE-C")) {
            return Err(access::denied(call, "s3:PutObject", &format!("{}/{}", bucket.arn(), call.key)));
        }
        return Err(super::not_implemented());
    }
    let by_default = rule.and_then(|rule| rule.child("ApplyServerSideEncryptionByDefault"));
    let by_default = by_default.and_then(|default| default.value("SSEAlgorithm")).unwrap_or("AES256");
    let algorithm = call.header("x-amz-server-side-encryption").unwrap_or(by_default);
    if matches!(algorithm, "AES256" | "aws:kms" | "aws:kms:dsse") {
        return Ok(algorithm.to_owned());
    }
    Err(Error::new(400, "InvalidArgument", "The encryption method specified is not supported"))
}

fn tags(call: &Call<'_>) -> Result<Vec<(String, String)>, Error> {
    let Some(tagging) = call.header("x-amz-tagging") else { return Ok(Vec::new()) };
    access::bucket(call, "s3:PutObjectTagging")?;
    let tags = form_urlencoded::parse(tagging.as_bytes());
    let tags = tags.map(|(key, value)| (key.into_owned(), value.into_owned())).collect::<Vec<_>>();
    check_object_tags(&tags)?;
    Ok(tags)
}

/// Says what is wrong with an object's tags.
pub(super) fn check_object_tags(tags: &[(String, String)]) -> Result<(), Error> {
    if tags.len() > MOST_TAGS {
        let message = format!("Object tags cannot be greater than {MOST_TAGS}");
        return Err(Error::new(400, "BadRequest", message));
    }
    config::tags::check_tags(tags)
}
