//! Rules by which objects expire and move to colder storage.

use std::collections::BTreeSet;

use super::super::super::error::Error;
use super::super::super::xml::Element;
use super::{
    Check, invalid, invalid_request, malformed, one_of, only, optional, optional_element, plain, required,
};

const MOST: usize = 1000;
const ACTIONS: [&str; 5] = [
    "Expiration",
    "Transition",
    "NoncurrentVersionExpiration",
    "NoncurrentVersionTransition",
    "AbortIncompleteMultipartUpload",
];
const CLASSES: [&str; 6] =
    ["STANDARD_IA", "ONEZONE_IA", "INTELLIGENT_TIERING", "GLACIER", "GLACIER_IR", "DEEP_ARCHIVE"];

pub(super) fn check(check: &mut Check<'_>) -> Result<Element, Error> {
    only(check.document, &["Rule"])?;
    let mut shown = plain(check.document);
    if shown.children.is_empty() || shown.children.len() > MOST {
        return Err(malformed());
    }
    let mut ids = BTreeSet::new();
    for rule in &mut shown.children {
        check_rule(rule)?;
        let id = match optional(rule, "ID")? {
            Some(id) if !id.is_empty() => id.to_owned(),
            Some(_) | None => {
                // S3 names the rules that have no name.
                let id = check.world.uuid();
                rule.children.retain(|child| child.name != "ID");
                rule.children.insert(0, Element::leaf("ID", &id));
                id
            }
        };
        if id.chars().count() > 255 {
            return Err(invalid("ID length should not exceed allowed limit of 255"));
        }
        if !ids.insert(id) {
            return Err(invalid("Rule ID must be unique. Found same ID for more than one rule"));
        }
    }
    Ok(shown)
}

fn check_rule(rule: &Element) -> Result<(), Error> {
    let known = ["ID", "Status", "Prefix", "Filter"].into_iter().chain(ACTIONS).collect::<Vec<_>>();
    only(rule, &known)?;
    one_of(required(rule, "Status")?, &["Enabled", "Disabled"])?;
    let prefix = optional(rule, "Prefix")?;
    let filter = optional_element(rule, "Filter")?;
    if prefix.is_some() == filter.is_some() {
        return Err(malformed());
    }
    let tagged = match filter {
        Some(filter) => check_filter(filter)?,
        None => false,
    };
    if !ACTIONS.iter().any(|action| rule.child(action).is_some()) {
        return Err(invalid_request("At least one action needs to be specified in a rule"));
    }
    if let Some(expiration) = optional_element(rule, "Expiration")? {
        check_expiration(expiration, tagged)?;
    }
    for transition in rule.all("Transition") {
        only(transition, &["Days", "Date", "StorageClass"])?;
        let class = one_of(required(transition, "StorageClass")?, &CLASSES)?;
        check_transition(when(transition, "Transition")?, class)?;
    }
    for transition in rule.all("NoncurrentVersionTransition") {
        only(transition, &["NoncurrentDays", "NewerNoncurrentVersions", "StorageClass"])?;
        let class = one_of(required(transition, "StorageClass")?, &CLASSES)?;
        let days = days(transition, "NoncurrentDays", "NoncurrentVersionTransition", 0)?;
        check_transition(days, class)?;
    }
    if let Some(expiration) = optional_element(rule, "NoncurrentVersionExpiration")? {
        only(expiration, &["NoncurrentDays", "NewerNoncurrentVersions"])?;
        days(expiration, "NoncurrentDays", "NoncurrentVersionExpiration", 1)?;
        let kept = optional(expiration, "NewerNoncurrentVersions")?;
        if kept.is_some_and(|kept| !kept.parse::<u32>().is_ok_and(|kept| (1..=100).contains(&kept))) {
            return Err(invalid("'NewerNoncurrentVersions' must be between 1 and 100"));
        }
    }
    if let Some(abort) = optional_element(rule, "AbortIncompleteMultipartUpload")? {
        only(abort, &["DaysAfterInitiation"])?;
        days(abort, "DaysAfterInitiation", "AbortIncompleteMultipartUpload", 1)?;
        if tagged {
            return Err(invalid_request("AbortIncompleteMultipartUpload cannot be specified with Tags."));
        }
    }
    Ok(())
}

/// Checks what a rule is about; returns whether tags are part of it.
fn check_filter(filter: &Element) -> Result<bool, Error> {
    const CRITERIA: [&str; 5] = ["Prefix", "Tag", "ObjectSizeGreaterThan", "ObjectSizeLessThan", "And"];
    only(filter, &CRITERIA)?;
    if filter.children.len() > 1 {
        return Err(malformed());
    }
    let inner = match optional_element(filter, "And")? {
        Some(and) => {
            only(and, &CRITERIA[..4])?;
            if and.children.len() < 2 {
                return Err(malformed());
            }
            and
        }
        None => filter,
    };
    optional(inner, "Prefix")?;
    let mut keys = BTreeSet::new();
    for tag in inner.all("Tag") {
        only(tag, &["Key", "Value"])?;
        required(tag, "Value")?;
        if !keys.insert(required(tag, "Key")?) {
            return Err(invalid_request("Duplicate Tag Keys are not allowed."));
        }
    }
    for name in ["ObjectSizeGreaterThan", "ObjectSizeLessThan"] {
        if optional(inner, name)?.is_some_and(|size| size.parse::<u64>().is_err()) {
            return Err(malformed());
        }
    }
    Ok(!keys.is_empty())
}

fn check_expiration(expiration: &Element, tagged: bool) -> Result<(), Error> {
    only(expiration, &["Days", "Date", "ExpiredObjectDeleteMarker"])?;
    match optional(expiration, "ExpiredObjectDeleteMarker")? {
        None => when(expiration, "Expiration").map(drop),
        Some(_) if expiration.children.len() > 1 => Err(malformed()),
        Some(_) if tagged => Err(invalid_request("ExpiredObjectDeleteMarker cannot be specified with Tags.")),
        Some(value) => one_of(value, &["true", "false"]).map(drop),
    }
}

/// One of days and date; the days, if it is days.
fn when(element: &Element, action: &str) -> Result<Option<u32>, Error> {
    let least = u32::from(action == "Expiration");
    match (optional(element, "Days")?, optional(element, "Date")?) {
        (Some(_), None) => days(element, "Days", action, least),
        (None, Some(date)) => {
            let midnight = date.parse::<jiff::Timestamp>().is_ok_and(|date| date.as_second() % 86_400 == 0)
                || date.parse::<jiff::civil::Date>().is_ok();
            if midnight { Ok(None) } else { Err(invalid("'Date' must be at midnight GMT")) }
        }
        (Some(_), Some(_)) | (None, None) => Err(malformed()),
    }
}

fn days(element: &Element, name: &str, action: &str, least: u32) -> Result<Option<u32>, Error> {
    let days = required(element, name)?.parse::<u32>().map_err(|_| malformed())?;
    if days < least {
        return Err(invalid(format!("'{name}' for {action} action must be a positive integer")));
    }
    Ok(Some(days))
}

fn check_transition(days: Option<u32>, class: &str) -> Result<(), Error> {
    if matches!(class, "STANDARD_IA" | "ONEZONE_IA") && days.is_some_and(|days| days < 30) {
        return Err(invalid(format!(
            "'Days' in Transition action must be greater than or equal to 30 for storageClass '{class}'"
        )));
    }
    Ok(())
}
