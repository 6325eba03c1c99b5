//! Who owns objects; access control lists are out of use where the bucket's owner does.

use super::super::super::error::Error;
use super::super::super::xml::Element;
use super::{Check, malformed, only, optional_element, required};

/// Whether it is one of the three settings.
pub(in super::super) fn is_ownership(text: &str) -> bool {
    matches!(text, "BucketOwnerEnforced" | "BucketOwnerPreferred" | "ObjectWriter")
}

/// The document of a setting.
pub(super) fn of(ownership: &str) -> Element {
    Element::new("OwnershipControls").with(Element::new("Rule").text("ObjectOwnership", ownership))
}

pub(super) fn check(check: &mut Check<'_>) -> Result<Element, Error> {
    only(check.document, &["Rule"])?;
    let rule = optional_element(check.document, "Rule")?.ok_or_else(malformed)?;
    only(rule, &["ObjectOwnership"])?;
    let ownership = required(rule, "ObjectOwnership")?;
    if is_ownership(ownership) { Ok(of(ownership)) } else { Err(malformed()) }
}
