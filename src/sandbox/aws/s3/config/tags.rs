//! The tags of a bucket.

use std::collections::BTreeSet;

use super::super::super::error::Error;
use super::super::super::tags;
use super::super::super::xml::Element;
use super::{Check, malformed, only, optional_element, plain, required};

pub(super) fn check(check: &mut Check<'_>) -> Result<Element, Error> {
    let tags = read(check.document)?;
    if tags.len() > tags::MOST {
        let message = format!("Bucket tag count cannot be greater than {}", tags::MOST);
        return Err(Error::new(400, "BadRequest", message));
    }
    Ok(plain(check.document))
}

/// Reads a set of tags, of a bucket or an object.
pub(in super::super) fn read(document: &Element) -> Result<Vec<(String, String)>, Error> {
    only(document, &["TagSet"])?;
    let set = optional_element(document, "TagSet")?.ok_or_else(malformed)?;
    only(set, &["Tag"])?;
    let mut found = Vec::new();
    for tag in &set.children {
        only(tag, &["Key", "Value"])?;
        found.push((required(tag, "Key")?.to_owned(), required(tag, "Value")?.to_owned()));
    }
    check_tags(&found)?;
    Ok(found)
}

/// Says what is wrong with tags.
pub(in super::super) fn check_tags(found: &[(String, String)]) -> Result<(), Error> {
    let mut keys = BTreeSet::new();
    let invalid = |message: &str| Error::new(400, "InvalidTag", message);
    for (key, value) in found {
        if !tags::is_key(key) {
            return Err(invalid("The TagKey you have provided is invalid").detail("TagKey", key));
        }
        if tags::is_reserved(key) {
            return Err(invalid("System tags cannot be added/updated by requester").detail("TagKey", key));
        }
        if !tags::is_value(value) {
            return Err(invalid("The TagValue you have provided is invalid").detail("TagValue", value));
        }
        if !keys.insert(key) {
            return Err(invalid("Cannot provide multiple Tags with the same key").detail("TagKey", key));
        }
    }
    Ok(())
}
