//! Versioning: on or suspended; once on, never off again.

use super::super::super::error::Error;
use super::super::super::xml::Element;
use super::{Check, only, optional};

pub(super) fn check(check: &mut Check<'_>) -> Result<Element, Error> {
    only(check.document, &["Status", "MfaDelete", "MFADelete"])?;
    let status = optional(check.document, "Status")?;
    match status {
        Some(status @ ("Enabled" | "Suspended")) => {
            Ok(Element::new("VersioningConfiguration").text("Status", status))
        }
        Some(_) | None => Err(Error::new(
            400,
            "IllegalVersioningConfigurationException",
            "The Versioning element must be specified",
        )),
    }
}
