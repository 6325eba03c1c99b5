//! Listing all versions of objects, delete markers included.

use super::super::error::Error;
use super::super::xml::Element;
use super::answer::{document, iso_millis};
use super::list::{Entry, Query, all, described};
use super::record::{Object, Version, owner};
use super::{Call, access};
use crate::sandbox::Response;

/// One line: a version with its key, or a common prefix.
enum Line {
    Version(String, Box<Version>, bool),
    Prefix(String),
}

pub(super) fn list(call: &mut Call<'_>) -> Result<Response, Error> {
    let bucket = access::bucket(call, "s3:ListBucketVersions")?;
    let query = Query::read(call, "max-keys")?;
    let key_marker = call.parameter("key-marker").unwrap_or_default().to_owned();
    let id_marker =
        call.parameter("version-id-marker").filter(|marker| !marker.is_empty()).map(str::to_owned);
    if id_marker.is_some() && key_marker.is_empty() {
        let message = "A version-id marker cannot be specified without a key marker.";
        return Err(Error::new(400, "InvalidArgument", message));
    }
    let mut lines = lines(call, &bucket.name, &query, &key_marker, id_marker.as_deref());
    let more = query.most > 0 && lines.len() > query.most;
    lines.truncate(query.most);
    let mut result = query
        .head("ListVersionsResult", &bucket.name, more)
        .text("KeyMarker", query.shown(&key_marker))
        .text("VersionIdMarker", id_marker.unwrap_or_default());
    if more {
        result = match lines.last() {
            Some(Line::Version(key, version, _)) => {
                result.text("NextKeyMarker", query.shown(key)).text("NextVersionIdMarker", &version.id)
            }
            Some(Line::Prefix(prefix)) => result.text("NextKeyMarker", query.shown(prefix)),
            None => result,
        };
    }
    for line in lines {
        result = result.with(match line {
            Line::Prefix(prefix) => query.common(&prefix),
            Line::Version(key, version, newest) => {
                let name = if version.content.is_some() { "Version" } else { "DeleteMarker" };
                let element = Element::new(name)
                    .text("Key", query.shown(&key))
                    .text("VersionId", &version.id)
                    .text("IsLatest", newest.to_string())
                    .text("LastModified", iso_millis(version.modified))
                    .with(owner(&bucket.account));
                match &version.content {
                    Some(content) => described(element, content),
                    None => element,
                }
            }
        });
    }
    Ok(document(result))
}

/// Everything after the markers. A version's marker stands within its key.
fn lines(
    call: &Call<'_>,
    bucket: &str,
    query: &Query,
    key_marker: &str,
    id_marker: Option<&str>,
) -> Vec<Line> {
    let everything = Query {
        prefix: query.prefix.clone(),
        delimiter: query.delimiter.clone(),
        most: usize::MAX,
        encoded: false,
    };
    // The marked key itself is looked at again where a version within it is marked.
    let mut lines = Vec::new();
    let objects = all(call, bucket, &query.prefix);
    if let Some(id) = id_marker
        && let Some((key, object)) = objects.iter().find(|(key, _)| key == key_marker)
    {
        let after = object.versions.iter().position(|version| version.id == id).map_or(0, |index| index + 1);
        push(&mut lines, key, object.clone(), after);
    }
    for entry in everything.page(objects, key_marker).0 {
        match entry {
            Entry::Object(key, object) => push(&mut lines, &key, object, 0),
            Entry::Prefix(prefix) => lines.push(Line::Prefix(prefix)),
        }
    }
    lines
}

fn push(lines: &mut Vec<Line>, key: &str, object: Object, from: usize) {
    let versions = object.versions.into_iter().enumerate().skip(from);
    lines.extend(
        versions.map(|(index, version)| Line::Version(key.to_owned(), Box::new(version), index == 0)),
    );
}
