//! The tags of a role.

use super::super::error::Error;
use super::super::query::{Call, Page};
use super::super::xml::Element;
use super::{merge_tags, role, role_name, tag_element, take_tags};

pub(super) fn tag(call: &mut Call<'_>) -> Result<Vec<Element>, Error> {
    let name = role_name(&mut call.form);
    let added = take_tags(&mut call.form);
    call.form.finish()?;
    let mut role = role::find(call, &name)?;
    merge_tags(&mut role.tags, added)?;
    role.save(call.world);
    Ok(Vec::new())
}

/// Keys that are not there are passed over.
pub(super) fn untag(call: &mut Call<'_>) -> Result<Vec<Element>, Error> {
    let name = role_name(&mut call.form);
    let keys = call.form.list("TagKeys");
    for (number, key) in (1..).zip(&keys) {
        call.form.check(&format!("tagKeys.{number}.member"), key, 1..=128, r"[\p{L}\p{Z}\p{N}_.:/=+\-@]+");
    }
    call.form.finish()?;
    let mut role = role::find(call, &name)?;
    role.tags.retain(|(key, _)| !keys.iter().any(|gone| gone.eq_ignore_ascii_case(key)));
    role.save(call.world);
    Ok(Vec::new())
}

pub(super) fn list(call: &mut Call<'_>) -> Result<Vec<Element>, Error> {
    let name = role_name(&mut call.form);
    let page = Page::take(&mut call.form);
    call.form.finish()?;
    let mut tags = role::find(call, &name)?.tags;
    tags.sort();
    Ok(page.cut("Tags", tags.iter().map(|tag| (tag.0.clone(), tag_element(tag)))))
}
