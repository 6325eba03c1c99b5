//! The tags of an object.

use super::super::error::Error;
use super::super::xml::{self, Element};
use super::answer::{document, empty};
use super::bucket::version_header;
use super::record::{Object, object_key};
use super::{Call, access, checksum, config, object, write};
use crate::sandbox::Response;

pub(super) fn get(call: &mut Call<'_>) -> Result<Response, Error> {
    let bucket = access::bucket(call, "s3:GetObjectTagging")?;
    let (version, content) = object::find(call)?;
    let tags =
        content.tags.iter().map(|(key, value)| Element::new("Tag").text("Key", key).text("Value", value));
    let tagging = Element::new("Tagging").with(Element::new("TagSet").with_all(tags));
    Ok(version_header(document(tagging), &bucket, &version.id))
}

pub(super) fn put(call: &mut Call<'_>) -> Result<Response, Error> {
    access::bucket(call, "s3:PutObjectTagging")?;
    checksum::require(call)?;
    let root =
        xml::parse(&call.body).ok().filter(|root| root.name == "Tagging").ok_or_else(config::malformed)?;
    let tags = config::tags::read(&root)?;
    write::check_object_tags(&tags)?;
    replace(call, &tags)?;
    Ok(empty(200))
}

pub(super) fn delete(call: &mut Call<'_>) -> Result<Response, Error> {
    access::bucket(call, "s3:DeleteObjectTagging")?;
    replace(call, &[])?;
    Ok(empty(204))
}

fn replace(call: &mut Call<'_>, tags: &[(String, String)]) -> Result<(), Error> {
    let (found, _) = object::find(call)?;
    let place = object_key(&call.bucket, &call.key);
    let mut object: Object = call.world.get(&place).unwrap_or_default();
    for version in &mut object.versions {
        if let Some(content) = version.content.as_mut().filter(|_| version.id == found.id) {
            content.tags = tags.to_vec();
        }
    }
    call.world.put(&place, &object);
    Ok(())
}
