//! The four public access blocks; all on for a new bucket, and off where a put does not say.

use super::super::super::error::Error;
use super::super::super::xml::Element;
use super::{Check, one_of, only, optional};

const BLOCKS: [&str; 4] =
    ["BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"];

pub(super) fn default() -> Element {
    let blocks = BLOCKS.iter().map(|name| Element::leaf(name, "true"));
    Element::new("PublicAccessBlockConfiguration").with_all(blocks)
}

pub(super) fn check(check: &mut Check<'_>) -> Result<Element, Error> {
    only(check.document, &BLOCKS)?;
    let mut shown = Element::new("PublicAccessBlockConfiguration");
    for name in BLOCKS {
        let value = optional(check.document, name)?.unwrap_or("false").to_ascii_lowercase();
        shown = shown.text(name, one_of(&value, &["true", "false"])?);
    }
    Ok(shown)
}
