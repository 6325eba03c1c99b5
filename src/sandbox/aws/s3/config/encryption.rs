//! Encryption at rest: there is always some. Keys of the customer's own are blocked since April 2026 unless allowed.

use super::super::super::error::Error;
use super::super::super::xml::Element;
use super::{Check, invalid, malformed, one_of, only, optional, optional_element, required};

pub(super) fn default() -> Element {
    let by_default = Element::new("ApplyServerSideEncryptionByDefault").text("SSEAlgorithm", "AES256");
    shown(by_default, "false", &["SSE-C"])
}

pub(super) fn check(check: &mut Check<'_>) -> Result<Element, Error> {
    only(check.document, &["Rule"])?;
    let rule = optional_element(check.document, "Rule")?.ok_or_else(malformed)?;
    only(rule, &["ApplyServerSideEncryptionByDefault", "BucketKeyEnabled", "BlockedEncryptionTypes"])?;
    let bucket_key = one_of(optional(rule, "BucketKeyEnabled")?.unwrap_or("false"), &["true", "false"])?;
    let blocked = match optional_element(rule, "BlockedEncryptionTypes")? {
        Some(blocked) => {
            only(blocked, &["EncryptionType"])?;
            let kinds = blocked.all("EncryptionType").map(|kind| one_of(&kind.text, &["NONE", "SSE-C"]));
            kinds.collect::<Result<Vec<_>, _>>()?
        }
        None => vec!["SSE-C"],
    };
    if blocked.len() != 1 {
        return Err(malformed());
    }
    let by_default = match optional_element(rule, "ApplyServerSideEncryptionByDefault")? {
        Some(by_default) => check_default(by_default)?,
        None => Element::new("ApplyServerSideEncryptionByDefault").text("SSEAlgorithm", "AES256"),
    };
    Ok(shown(by_default, bucket_key, &blocked))
}

fn check_default(by_default: &Element) -> Result<Element, Error> {
    only(by_default, &["SSEAlgorithm", "KMSMasterKeyID"])?;
    let algorithm = one_of(required(by_default, "SSEAlgorithm")?, &["AES256", "aws:kms", "aws:kms:dsse"])?;
    let key = optional(by_default, "KMSMasterKeyID")?;
    if key.is_some() && algorithm == "AES256" {
        return Err(invalid(
            "a KMSMasterKeyID is not applicable if the default sse algorithm is not aws:kms or aws:kms:dsse",
        ));
    }
    Ok(Element::new("ApplyServerSideEncryptionByDefault")
        .text("SSEAlgorithm", algorithm)
        .maybe("KMSMasterKeyID", key))
}

fn shown(by_default: Element, bucket_key: &str, blocked: &[&str]) -> Element {
    let blocked = blocked.iter().map(|kind| Element::leaf("EncryptionType", *kind));
    let rule = Element::new("Rule")
        .with(by_default)
        .text("BucketKeyEnabled", bucket_key)
        .with(Element::new("BlockedEncryptionTypes").with_all(blocked));
    Element::new("ServerSideEncryptionConfiguration").with(rule)
}
