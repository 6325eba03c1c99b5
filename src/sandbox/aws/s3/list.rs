//! Listing objects, both ways: by continuation token, and by marker as it once was.

use super::super::error::Error;
use super::super::sigv4::encode;
use super::super::xml::Element;
use super::answer::{document, iso_millis};
use super::record::{Content, Object, owner};
use super::{Call, access};
use crate::sandbox::Response;

/// No page is longer.
const MOST: usize = 1000;

/// What is asked for, the same for all listings.
pub(super) struct Query {
    pub(super) prefix: String,
    pub(super) delimiter: Option<String>,
    pub(super) most: usize,
    /// Whether keys are shown percent-encoded.
    pub(super) encoded: bool,
}

/// One line of a page.
pub(super) enum Entry {
    /// An object, under its key.
    Object(String, Object),
    /// All keys that begin so, up to the delimiter.
    Prefix(String),
}

impl Entry {
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Object(key, _) => key,
            Self::Prefix(prefix) => prefix,
        }
    }
}

impl Query {
    pub(super) fn read(call: &Call<'_>, most: &str) -> Result<Self, Error> {
        let invalid = |message: String| Error::new(400, "InvalidArgument", message);
        let asked = match call.parameter(most).map(str::parse::<i64>) {
            None => 1000,
            Some(Ok(number)) if (0..=i64::from(i32::MAX)).contains(&number) => number,
            Some(Ok(_)) => {
                return Err(invalid(format!("Argument {most} must be an integer between 0 and 2147483647")));
            }
            Some(Err(_)) => {
                return Err(invalid(format!("Provided {most} not an integer or within integer range")));
            }
        };
        let encoded = match call.parameter("encoding-type") {
            None => false,
            Some("url") => true,
            Some(_) => return Err(invalid("Invalid Encoding Method specified in Request".to_owned())),
        };
        Ok(Self {
            prefix: call.parameter("prefix").unwrap_or_default().to_owned(),
            delimiter: call
                .parameter("delimiter")
                .filter(|delimiter| !delimiter.is_empty())
                .map(str::to_owned),
            most: usize::try_from(asked).unwrap_or(MOST).min(MOST),
            encoded,
        })
    }

    /// A name as it is shown.
    pub(super) fn shown(&self, name: &str) -> String {
        if self.encoded { encode(name.as_bytes(), true) } else { name.to_owned() }
    }

    /// Cuts the keys after `after` into a page, and says whether more follow.
    pub(super) fn page(&self, objects: Vec<(String, Object)>, after: &str) -> (Vec<Entry>, bool) {
        let mut page: Vec<Entry> = Vec::new();
        for (key, object) in objects {
            let rest = &key[self.prefix.len()..];
            let common = self.delimiter.as_ref().and_then(|delimiter| {
                rest.find(delimiter.as_str())
                    .map(|at| format!("{}{}", self.prefix, &rest[..at + delimiter.len()]))
            });
            let entry = match common {
                Some(common) => Entry::Prefix(common),
                None => Entry::Object(key, object),
            };
            // A marker that is a common prefix hides all that is below it.
            if entry.name() <= after || page.last().is_some_and(|last| last.name() == entry.name()) {
                continue;
            }
            if page.len() == self.most {
                return (page, self.most > 0);
            }
            page.push(entry);
        }
        (page, false)
    }

    /// The elements that every listing begins with.
    pub(super) fn head(&self, root: &str, bucket: &str, more: bool) -> Element {
        Element::new(root)
            .text("Name", bucket)
            .text("Prefix", self.shown(&self.prefix))
            .maybe("Delimiter", self.delimiter.as_ref().map(|delimiter| self.shown(delimiter)))
            .text("MaxKeys", self.most.to_string())
            .maybe("EncodingType", self.encoded.then_some("url"))
            .text("IsTruncated", more.to_string())
    }

    pub(super) fn common(&self, prefix: &str) -> Element {
        Element::new("CommonPrefixes").text("Prefix", self.shown(prefix))
    }
}

pub(super) fn objects(call: &mut Call<'_>) -> Result<Response, Error> {
    let bucket = access::bucket(call, "s3:ListBucket")?;
    let query = Query::read(call, "max-keys")?;
    let second = match call.parameter("list-type") {
        None => false,
        Some("2") => true,
        Some(_) => return Err(Error::new(400, "InvalidArgument", "Invalid List Type specified in Request")),
    };
    let token = call.parameter("continuation-token").filter(|_| second);
    let after = match token {
        Some(token) => continued(token)?,
        None if second => call.parameter("start-after").unwrap_or_default().to_owned(),
        None => call.parameter("marker").unwrap_or_default().to_owned(),
    };
    let (page, more) = query.page(present(call, &bucket.name, &query.prefix), &after);
    let last = page.last().map(|entry| entry.name().to_owned()).unwrap_or_default();
    let mut result = query.head("ListBucketResult", &bucket.name, more);
    if second {
        result = result
            .text("KeyCount", page.len().to_string())
            .maybe("ContinuationToken", token)
            .maybe("NextContinuationToken", more.then(|| hex::encode(&last)))
            .maybe("StartAfter", call.parameter("start-after").map(|after| query.shown(after)));
    } else {
        result = result
            .text("Marker", query.shown(&after))
            .maybe("NextMarker", (more && query.delimiter.is_some()).then(|| query.shown(&last)));
    }
    let owned = !second || call.parameter("fetch-owner") == Some("true");
    for entry in page {
        result = match entry {
            Entry::Prefix(prefix) => result.with(query.common(&prefix)),
            Entry::Object(key, object) => {
                let newest = object.versions.into_iter().next();
                let Some((modified, content)) =
                    newest.and_then(|newest| Some((newest.modified, newest.content?)))
                else {
                    continue;
                };
                let element = Element::new("Contents").text("Key", query.shown(&key));
                let element = described(element.text("LastModified", iso_millis(modified)), &content);
                result.with(if owned { element.with(owner(&bucket.account)) } else { element })
            }
        };
    }
    Ok(document(result))
}

/// What every listing says of content.
pub(super) fn described(element: Element, content: &Content) -> Element {
    element
        .text("ETag", format!("\"{}\"", content.etag))
        .text("ChecksumAlgorithm", content.checksum.algorithm.name())
        .text("ChecksumType", content.checksum.kind())
        .text("Size", content.size.to_string())
        .text("StorageClass", &content.storage_class)
}

/// The objects that are not hidden by a delete marker, by key.
fn present(call: &Call<'_>, bucket: &str, prefix: &str) -> Vec<(String, Object)> {
    let mut objects = all(call, bucket, prefix);
    objects.retain(|(_, object)| object.versions.first().is_some_and(|newest| newest.content.is_some()));
    objects
}

/// All objects, by key.
pub(super) fn all(call: &Call<'_>, bucket: &str, prefix: &str) -> Vec<(String, Object)> {
    let objects = call.world.list::<Object>(&format!("{bucket}/{prefix}"));
    objects.into_iter().map(|(key, object)| (key[bucket.len() + 1..].to_owned(), object)).collect()
}

/// The key after which a page begins.
fn continued(token: &str) -> Result<String, Error> {
    let bytes = hex::decode(token).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    bytes.ok_or_else(|| Error::new(400, "InvalidArgument", "The continuation token provided is incorrect"))
}
