//! Uploading an object in parts.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use md5::{Digest as _, Md5};
use serde::{Deserialize, Serialize};

use super::super::error::Error;
use super::super::xml::{self, Element};
use super::answer::{document, empty, with};
use super::bucket::version_header;
use super::checksum::{self, Algorithm, Checksum};
use super::record::{Bucket, Content};
use super::write::{self, Said};
use super::{Call, access, config, object};
use crate::sandbox::{Record, Response, World};

/// Every part but the last is at least so large.
const SMALLEST: u64 = 5 * 1024 * 1024;
const MOST_PARTS: u32 = 10_000;

/// An upload that has begun, under `bucket/id`.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Upload {
    pub(super) key: String,
    pub(super) began: Timestamp,
    pub(super) said: Said,
    /// The checksum asked for, and whether it is to be one of the parts' checksums.
    pub(super) checksum: Option<(Algorithm, bool)>,
    pub(super) parts: BTreeMap<u32, Part>,
}

impl Record for Upload {
    const TABLE: &'static str = "aws.s3.upload";
}

/// A part.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Part {
    pub(super) blob: String,
    pub(super) size: u64,
    pub(super) etag: String,
    pub(super) checksum: Checksum,
    pub(super) modified: Timestamp,
}

pub(super) fn create(call: &mut Call<'_>) -> Result<Response, Error> {
    let bucket = access::bucket(call, "s3:PutObject")?;
    object::check_key(&call.key)?;
    let said = write::said(call, &bucket)?;
    let checksum = asked_checksum(call)?;
    let id = call.world.word(64, b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._");
    let upload =
        Upload { key: call.key.clone(), began: call.world.now(), said, checksum, parts: BTreeMap::new() };
    call.world.put(&format!("{}/{id}", bucket.name), &upload);
    let result = Element::new("InitiateMultipartUploadResult")
        .text("Bucket", &bucket.name)
        .text("Key", &call.key)
        .text("UploadId", id);
    let mut response = with(document(result), "x-amz-server-side-encryption", &upload.said.encryption);
    if let Some((algorithm, composite)) = checksum {
        response = with(response, "x-amz-checksum-algorithm", algorithm.name());
        response = with(response, "x-amz-checksum-type", if composite { "COMPOSITE" } else { "FULL_OBJECT" });
    }
    Ok(response)
}

fn asked_checksum(call: &Call<'_>) -> Result<Option<(Algorithm, bool)>, Error> {
    let invalid = |message: &str| Error::new(400, "InvalidRequest", message);
    let Some(name) = call.header("x-amz-checksum-algorithm") else { return Ok(None) };
    let algorithm =
        Algorithm::named(name).ok_or_else(|| invalid("Checksum algorithm provided is unsupported."))?;
    // CRC64NVME is always of the whole; SHA is always of the parts.
    let of_whole = matches!(algorithm, Algorithm::Crc32 | Algorithm::Crc32c | Algorithm::Crc64Nvme);
    let of_parts = algorithm != Algorithm::Crc64Nvme;
    let composite = match call.header("x-amz-checksum-type") {
        None => of_parts,
        Some("FULL_OBJECT") if of_whole => false,
        Some("COMPOSITE") if of_parts => true,
        Some(kind) => {
            let name = algorithm.name().to_ascii_lowercase();
            return Err(invalid(&format!(
                "The {kind} checksum type cannot be used with the {name} checksum algorithm."
            )));
        }
    };
    Ok(Some((algorithm, composite)))
}

pub(super) fn put_part(call: &mut Call<'_>) -> Result<Response, Error> {
    let bucket = access::bucket(call, "s3:PutObject")?;
    let (place, mut upload) = find(call, &bucket)?;
    let number = call.parameter("partNumber").and_then(|number| number.parse::<u32>().ok());
    let number = number.filter(|number| (1..=MOST_PARTS).contains(number)).ok_or_else(|| {
        let message = format!("Part number must be an integer between 1 and {MOST_PARTS}, inclusive");
        Error::new(400, "InvalidArgument", message)
    })?;
    let mut checksum = checksum::verify(call)?;
    if let Some((algorithm, _)) = upload.checksum
        && algorithm != checksum.algorithm
    {
        checksum = Checksum { algorithm, value: algorithm.text(&call.body), composite: false };
    }
    let part = Part {
        blob: call.world.put_blob(&call.body),
        size: call.body.len() as u64,
        etag: checksum::etag(&call.body),
        checksum,
        modified: call.world.now(),
    };
    let mut response = with(empty(200), "etag", format!("\"{}\"", part.etag));
    response = with(response, part.checksum.algorithm.header(), &part.checksum.value);
    upload.parts.insert(number, part);
    call.world.put(&place, &upload);
    Ok(response)
}

pub(super) fn complete(call: &mut Call<'_>) -> Result<Response, Error> {
    let bucket = access::bucket(call, "s3:PutObject")?;
    let (place, upload) = find(call, &bucket)?;
    let parts = named_parts(call, &upload)?;
    object::check_condition(call)?;
    let mut body = Vec::new();
    let mut tags = Vec::new();
    for part in &parts {
        let lost = || Error::new(500, "InternalError", "We encountered an internal error. Please try again.");
        body.extend_from_slice(&call.world.blob(&part.blob).ok_or_else(lost)?);
        tags.extend(hex::decode(&part.etag).unwrap_or_default());
    }
    let content = Content {
        etag: format!("{}-{}", hex::encode(Md5::digest(&tags)), parts.len()),
        parts: Some(parts.len()),
        ..write::content(
            call,
            &body.clone().into(),
            upload.said.clone(),
            whole_checksum(&upload, &parts, &body),
        )
    };
    call.world.remove::<Upload>(&place);
    let result = Element::new("CompleteMultipartUploadResult")
        .text("Location", format!("https://s3.{}.amazonaws.com/{}/{}", bucket.region, bucket.name, call.key))
        .text("Bucket", &bucket.name)
        .text("Key", &call.key)
        .text("ETag", format!("\"{}\"", content.etag))
        .text(&content.checksum.algorithm.element(), &content.checksum.value)
        .text("ChecksumType", content.checksum.kind());
    let response = with(document(result), "x-amz-server-side-encryption", &content.encryption);
    let key = call.key.clone();
    let version = object::add(call, &bucket, &key, Some(content), "ObjectCreated:CompleteMultipartUpload");
    Ok(version_header(response, &bucket, &version))
}

/// The parts that the request names, in order, each as it was uploaded.
fn named_parts(call: &Call<'_>, upload: &Upload) -> Result<Vec<Part>, Error> {
    let root = xml::parse(&call.body).ok().filter(|root| root.name == "CompleteMultipartUpload");
    let root = root.ok_or_else(config::malformed)?;
    config::only(&root, &["Part"])?;
    if root.children.is_empty() {
        return Err(Error::new(400, "MalformedXML", "You must specify at least one part"));
    }
    let invalid = || {
        let message = "One or more of the specified parts could not be found. The part may not have been uploaded, or \
                       the specified entity tag may not match the part's entity tag.";
        Error::new(400, "InvalidPart", message)
    };
    let mut parts = Vec::new();
    let mut last = 0;
    for named in &root.children {
        let number = named.value("PartNumber").and_then(|number| number.parse::<u32>().ok());
        let number = number.ok_or_else(config::malformed)?;
        if number <= last {
            let message =
                "The list of parts was not in ascending order. Parts must be ordered by part number.";
            return Err(Error::new(400, "InvalidPartOrder", message));
        }
        last = number;
        let part = upload.parts.get(&number).ok_or_else(invalid)?;
        if !named.value("ETag").is_some_and(|tag| object::is_tag(tag, &part.etag)) {
            return Err(invalid());
        }
        parts.push(part.clone());
    }
    let small = parts.iter().rev().skip(1).find(|part| part.size < SMALLEST);
    if let Some(small) = small {
        let message = "Your proposed upload is smaller than the minimum allowed size";
        let error = Error::new(400, "EntityTooSmall", message);
        return Err(error
            .detail("ProposedSize", small.size.to_string())
            .detail("MinSizeAllowed", SMALLEST.to_string()));
    }
    Ok(parts)
}

fn whole_checksum(upload: &Upload, parts: &[Part], body: &[u8]) -> Checksum {
    let (algorithm, composite) = upload.checksum.unwrap_or((Algorithm::Crc64Nvme, false));
    if !composite {
        return Checksum { algorithm, value: algorithm.text(body), composite };
    }
    let sums = parts.iter().flat_map(|part| STANDARD.decode(&part.checksum.value).unwrap_or_default());
    let value = format!("{}-{}", algorithm.text(&sums.collect::<Vec<_>>()), parts.len());
    Checksum { algorithm, value, composite }
}

pub(super) fn abort(call: &mut Call<'_>) -> Result<Response, Error> {
    let bucket = access::bucket(call, "s3:AbortMultipartUpload")?;
    let (place, _) = find(call, &bucket)?;
    call.world.remove::<Upload>(&place);
    Ok(empty(204))
}

/// The upload that a call names.
pub(super) fn find(call: &Call<'_>, bucket: &Bucket) -> Result<(String, Upload), Error> {
    let id = call.parameter("uploadId").unwrap_or_default();
    let place = format!("{}/{id}", bucket.name);
    let upload = call.world.get::<Upload>(&place).filter(|upload| upload.key == call.key);
    let absent = || {
        let message = "The specified upload does not exist. The upload ID may be invalid, or the upload may have been \
                       aborted or completed.";
        Error::new(404, "NoSuchUpload", message).detail("UploadId", id)
    };
    upload.map(|upload| (place, upload)).ok_or_else(absent)
}

/// Forgets the uploads of a bucket that is deleted.
pub(super) fn forget(world: &mut World, bucket: &str) {
    for (place, _) in world.list::<Upload>(&format!("{bucket}/")) {
        world.remove::<Upload>(&place);
    }
}
