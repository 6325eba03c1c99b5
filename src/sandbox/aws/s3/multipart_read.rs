//! Listing uploads, and the parts of one.

use super::super::error::Error;
use super::super::xml::Element;
use super::answer::{document, iso_millis};
use super::multipart::{Upload, find};
use super::record::owner;
use super::{Call, access};
use crate::sandbox::Response;

/// No page is longer.
const MOST: usize = 1000;

pub(super) fn list_parts(call: &mut Call<'_>) -> Result<Response, Error> {
    let bucket = access::bucket(call, "s3:ListMultipartUploadParts")?;
    let (_, upload) = find(call, &bucket)?;
    let most = number(call, "max-parts")?.unwrap_or(MOST).min(MOST);
    let after = number(call, "part-number-marker")?.unwrap_or(0);
    let mut rest = upload.parts.iter().filter(|(number, _)| **number as usize > after);
    let page = rest.by_ref().take(most).collect::<Vec<_>>();
    let more = rest.next().is_some();
    let last = page.last().map_or(after, |(number, _)| **number as usize);
    let parts = page.into_iter().map(|(number, part)| {
        Element::new("Part")
            .text("PartNumber", number.to_string())
            .text("LastModified", iso_millis(part.modified))
            .text("ETag", format!("\"{}\"", part.etag))
            .text("Size", part.size.to_string())
            .text(&part.checksum.algorithm.element(), &part.checksum.value)
    });
    Ok(document(
        Element::new("ListPartsResult")
            .text("Bucket", &bucket.name)
            .text("Key", &call.key)
            .text("UploadId", call.parameter("uploadId").unwrap_or_default())
            .text("StorageClass", &upload.said.storage_class)
            .text("PartNumberMarker", after.to_string())
            .text("NextPartNumberMarker", last.to_string())
            .text("MaxParts", most.to_string())
            .text("IsTruncated", more.to_string())
            .with(owner(&bucket.account))
            .with_all(parts),
    ))
}

pub(super) fn list_uploads(call: &mut Call<'_>) -> Result<Response, Error> {
    let bucket = access::bucket(call, "s3:ListBucketMultipartUploads")?;
    let most = number(call, "max-uploads")?.unwrap_or(MOST).min(MOST);
    let prefix = call.parameter("prefix").unwrap_or_default();
    let key_marker = call.parameter("key-marker").unwrap_or_default();
    let id_marker = call.parameter("upload-id-marker").unwrap_or_default();
    let mut found = call
        .world
        .list::<Upload>(&format!("{}/", bucket.name))
        .into_iter()
        .map(|(place, upload)| (upload.key.clone(), place[bucket.name.len() + 1..].to_owned(), upload))
        .filter(|(key, id, _)| {
            let after = if id_marker.is_empty() {
                key.as_str() > key_marker
            } else {
                (key.as_str(), id.as_str()) > (key_marker, id_marker)
            };
            key.starts_with(prefix) && after
        })
        .collect::<Vec<_>>();
    found.sort_by(|one, other| (&one.0, &one.1).cmp(&(&other.0, &other.1)));
    let more = found.len() > most;
    found.truncate(most);
    let next = found.last().filter(|_| more).map(|(key, id, _)| (key.clone(), id.clone()));
    let uploads = found.into_iter().map(|(key, id, upload)| {
        Element::new("Upload")
            .text("Key", key)
            .text("UploadId", id)
            .with(owner(&bucket.account))
            .text("StorageClass", &upload.said.storage_class)
            .text("Initiated", iso_millis(upload.began))
    });
    Ok(document(
        Element::new("ListMultipartUploadsResult")
            .text("Bucket", &bucket.name)
            .text("KeyMarker", key_marker)
            .text("UploadIdMarker", id_marker)
            .maybe("NextKeyMarker", next.as_ref().map(|(key, _)| key))
            .maybe("NextUploadIdMarker", next.as_ref().map(|(_, id)| id))
            .text("Prefix", prefix)
            .text("MaxUploads", most.to_string())
            .text("IsTruncated", more.to_string())
            .with_all(uploads),
    ))
}

fn number(call: &Call<'_>, name: &str) -> Result<Option<usize>, Error> {
    let invalid = || {
        Error::new(400, "InvalidArgument", format!("Provided {name} not an integer or within integer range"))
    };
    call.parameter(name).map(|text| text.parse().map_err(|_| invalid())).transpose()
}
