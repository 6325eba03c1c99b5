//! Cross-origin rules.

use super::super::super::error::Error;
use super::super::super::xml::Element;
use super::{Check, invalid_request, malformed, only, optional, plain};

const MOST: usize = 100;

pub(super) fn check(check: &mut Check<'_>) -> Result<Element, Error> {
    only(check.document, &["CORSRule"])?;
    let rules = &check.document.children;
    if rules.is_empty() || rules.len() > MOST {
        return Err(malformed());
    }
    for rule in rules {
        only(
            rule,
            &["ID", "AllowedHeader", "AllowedMethod", "AllowedOrigin", "ExposeHeader", "MaxAgeSeconds"],
        )?;
        if optional(rule, "ID")?.is_some_and(|id| id.chars().count() > 255) {
            return Err(invalid_request("The ID of a CORS rule cannot be longer than 255 characters"));
        }
        if optional(rule, "MaxAgeSeconds")?.is_some_and(|seconds| seconds.parse::<u32>().is_err()) {
            return Err(malformed());
        }
        check_rule(rule)?;
    }
    Ok(plain(check.document))
}

fn check_rule(rule: &Element) -> Result<(), Error> {
    if rule.child("AllowedMethod").is_none() || rule.child("AllowedOrigin").is_none() {
        return Err(malformed());
    }
    for method in rule.all("AllowedMethod") {
        if !matches!(method.text.as_str(), "GET" | "PUT" | "POST" | "DELETE" | "HEAD") {
            let message = format!(
                "Found unsupported HTTP method in CORS config. Unsupported method is {}",
                method.text
            );
            return Err(invalid_request(message));
        }
    }
    for name in ["AllowedOrigin", "AllowedHeader"] {
        if let Some(pattern) = rule.all(name).find(|pattern| pattern.text.matches('*').count() > 1) {
            return Err(invalid_request(format!(
                "{name} \"{}\" can not have more than one wildcard.",
                pattern.text
            )));
        }
    }
    if let Some(header) = rule.all("ExposeHeader").find(|header| header.text.contains('*')) {
        return Err(invalid_request(format!(
            "ExposeHeader \"{}\" contains wildcard. We currently do not support wildcard for ExposeHeader.",
            header.text
        )));
    }
    Ok(())
}
