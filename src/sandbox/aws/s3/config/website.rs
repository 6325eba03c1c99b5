//! Serving a bucket as a web site.

use super::super::super::error::Error;
use super::super::super::xml::Element;
use super::{
    Check, invalid, invalid_request, malformed, one_of, only, optional, optional_element, plain, required,
};

const MOST_RULES: usize = 50;

pub(super) fn check(check: &mut Check<'_>) -> Result<Element, Error> {
    let document = check.document;
    only(document, &["IndexDocument", "ErrorDocument", "RedirectAllRequestsTo", "RoutingRules"])?;
    let index = optional_element(document, "IndexDocument")?;
    let error = optional_element(document, "ErrorDocument")?;
    let rules = optional_element(document, "RoutingRules")?;
    if let Some(redirect) = optional_element(document, "RedirectAllRequestsTo")? {
        if index.is_some() || error.is_some() || rules.is_some() {
            return Err(invalid_request(
                "RedirectAllRequestsTo cannot be provided in conjunction with other Routing Rules.",
            ));
        }
        check_redirect_all(redirect)?;
        return Ok(plain(document));
    }
    let Some(index) = index else {
        return Err(invalid(
            "A value for IndexDocument Suffix must be provided if RedirectAllRequestsTo is empty",
        ));
    };
    only(index, &["Suffix"])?;
    let suffix = required(index, "Suffix")?;
    if suffix.is_empty() || suffix.contains('/') {
        return Err(invalid("The IndexDocument Suffix is not well formed"));
    }
    if let Some(error) = error {
        only(error, &["Key"])?;
        if required(error, "Key")?.is_empty() {
            return Err(invalid("The ErrorDocument Key is not well formed"));
        }
    }
    if let Some(rules) = rules {
        check_rules(rules)?;
    }
    Ok(plain(document))
}

fn check_redirect_all(redirect: &Element) -> Result<(), Error> {
    only(redirect, &["HostName", "Protocol"])?;
    if required(redirect, "HostName")?.is_empty() {
        return Err(invalid("The HostName of RedirectAllRequestsTo cannot be empty"));
    }
    if let Some(protocol) = optional(redirect, "Protocol")? {
        check_protocol(protocol)?;
    }
    Ok(())
}

fn check_protocol(protocol: &str) -> Result<(), Error> {
    let message = "Invalid protocol, protocol can be http or https. If not defined the protocol will be selected automatically.";
    one_of(protocol, &["http", "https"]).map(drop).map_err(|_| invalid_request(message))
}

fn check_rules(rules: &Element) -> Result<(), Error> {
    only(rules, &["RoutingRule"])?;
    if rules.children.is_empty() {
        return Err(malformed());
    }
    if rules.children.len() > MOST_RULES {
        return Err(invalid_request(format!(
            "{} routing rules provided, the number of routing rules in a website configuration is limited to {MOST_RULES}.",
            rules.children.len()
        )));
    }
    for rule in &rules.children {
        only(rule, &["Condition", "Redirect"])?;
        if let Some(condition) = optional_element(rule, "Condition")? {
            only(condition, &["KeyPrefixEquals", "HttpErrorCodeReturnedEquals"])?;
            if condition.children.is_empty() {
                return Err(invalid_request(
                    "Condition cannot be empty. To redirect all requests without a condition, the condition element shouldn't be present.",
                ));
            }
        }
        let redirect = optional_element(rule, "Redirect")?.ok_or_else(malformed)?;
        only(
            redirect,
            &["HostName", "HttpRedirectCode", "Protocol", "ReplaceKeyPrefixWith", "ReplaceKeyWith"],
        )?;
        if redirect.child("ReplaceKeyPrefixWith").is_some() && redirect.child("ReplaceKeyWith").is_some() {
            return Err(invalid_request("You can only define ReplaceKeyPrefix or ReplaceKey but not both."));
        }
        if let Some(protocol) = optional(redirect, "Protocol")? {
            check_protocol(protocol)?;
        }
        let code = optional(redirect, "HttpRedirectCode")?;
        if code.is_some_and(|code| !matches!(code, "301" | "302" | "303" | "304" | "307" | "308")) {
            return Err(invalid_request(format!(
                "The provided HTTP redirect code ({}) is not valid. Valid codes are 3XX except 300.",
                code.unwrap_or_default()
            )));
        }
    }
    Ok(())
}
