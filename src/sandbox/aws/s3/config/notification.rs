//! Notifications. Functions are the destinations that the sandbox plays: S3 has to be allowed to call one when the
//! configuration is put. The event bus is taken, and nothing listens to it.

use super::super::super::error::Error;
use super::super::super::xml::Element;
use super::super::events;
use super::{Check, invalid, malformed, one_of, only, optional, plain, required};

pub(super) fn check(check: &mut Check<'_>) -> Result<Element, Error> {
    const DESTINATIONS: [(&str, &str); 3] = [
        ("CloudFunctionConfiguration", "CloudFunction"),
        ("TopicConfiguration", "Topic"),
        ("QueueConfiguration", "Queue"),
    ];
    let document = check.document;
    let kinds =
        DESTINATIONS.iter().map(|(kind, _)| *kind).chain(["EventBridgeConfiguration"]).collect::<Vec<_>>();
    only(document, &kinds)?;
    let mut wrong: Option<Error> = None;
    for (kind, destination) in DESTINATIONS {
        for configuration in document.all(kind) {
            let arn = check_form(configuration, destination)?;
            let reached =
                kind == "CloudFunctionConfiguration" && events::may_call(check.world, check.bucket, &arn);
            if !reached {
                // All that cannot be reached are told in one refusal.
                let error = wrong.take().unwrap_or_else(|| {
                    invalid("Unable to validate the following destination configurations")
                });
                let why = "Not authorized to invoke function, or the destination does not exist.";
                wrong = Some(error.detail("ArgumentName", arn).detail("ArgumentValue", why));
            }
        }
    }
    if let Some(error) = wrong {
        return Err(error);
    }
    let functions = document.all("CloudFunctionConfiguration").collect::<Vec<_>>();
    for (index, one) in functions.iter().enumerate() {
        if functions[..index].iter().any(|other| overlap(one, other)) {
            return Err(invalid(
                "Configuration is ambiguously defined. Cannot have overlapping suffixes in two rules if the prefixes are \
                 overlapping for the same event type.",
            ));
        }
    }
    let mut shown = plain(document);
    for configuration in &mut shown.children {
        if configuration.name != "EventBridgeConfiguration" && configuration.child("Id").is_none() {
            let id = check.world.uuid();
            configuration.children.insert(0, Element::leaf("Id", id));
        }
    }
    Ok(shown)
}

/// The events that there are ("Supported event types for SQS, SNS, and Lambda"); most of them never come here.
const EVENTS: [&str; 27] = [
    "s3:TestEvent",
    "s3:ObjectCreated:*",
    "s3:ObjectCreated:Put",
    "s3:ObjectCreated:Post",
    "s3:ObjectCreated:Copy",
    "s3:ObjectCreated:CompleteMultipartUpload",
    "s3:ObjectRemoved:*",
    "s3:ObjectRemoved:Delete",
    "s3:ObjectRemoved:DeleteMarkerCreated",
    "s3:ObjectRestore:*",
    "s3:ObjectRestore:Post",
    "s3:ObjectRestore:Completed",
    "s3:ObjectRestore:Delete",
    "s3:ReducedRedundancyLostObject",
    "s3:Replication:*",
    "s3:Replication:OperationFailedReplication",
    "s3:Replication:OperationMissedThreshold",
    "s3:Replication:OperationReplicatedAfterThreshold",
    "s3:Replication:OperationNotTracked",
    "s3:LifecycleExpiration:*",
    "s3:LifecycleExpiration:Delete",
    "s3:LifecycleExpiration:DeleteMarkerCreated",
    "s3:LifecycleTransition",
    "s3:IntelligentTiering",
    "s3:ObjectTagging:*",
    "s3:ObjectTagging:Put",
    "s3:ObjectTagging:Delete",
];

/// Checks what a configuration says by itself; returns its destination.
fn check_form(configuration: &Element, destination: &str) -> Result<String, Error> {
    only(configuration, &["Id", "Event", "Filter", destination])?;
    optional(configuration, "Id")?;
    let arn = required(configuration, destination)?;
    if !arn.starts_with("arn:aws:") {
        return Err(invalid("The ARN could not be parsed").detail("ArgumentValue", arn));
    }
    if configuration.child("Event").is_none() {
        return Err(malformed());
    }
    for event in configuration.all("Event") {
        if !EVENTS.contains(&event.text.as_str()) {
            let error = invalid("The event is not supported for notifications");
            return Err(error.detail("ArgumentValue", &event.text));
        }
    }
    check_filter(configuration)?;
    Ok(arn.to_owned())
}

fn check_filter(configuration: &Element) -> Result<(), Error> {
    let rules = configuration.all("Filter").flat_map(|filter| filter.all("S3Key"));
    for rule in rules.flat_map(|key| key.all("FilterRule")) {
        only(rule, &["Name", "Value"])?;
        let name = required(rule, "Name")?.to_ascii_lowercase();
        one_of(&name, &["prefix", "suffix"]).map_err(|_| {
            invalid("filter rule name must be either prefix or suffix").detail("ArgumentValue", &name)
        })?;
        required(rule, "Value")?;
    }
    Ok(())
}

/// Whether some event of some key would be both configurations'.
fn overlap(one: &Element, other: &Element) -> bool {
    let starts = |left: &str, right: &str| left.starts_with(right) || right.starts_with(left);
    let ends = |left: &str, right: &str| left.ends_with(right) || right.ends_with(left);
    let events = one.all("Event").any(|event| {
        let event = event.text.trim_end_matches('*');
        other.all("Event").any(|also| starts(event, also.text.trim_end_matches('*')))
    });
    events
        && starts(&filter(one, "prefix"), &filter(other, "prefix"))
        && ends(&filter(one, "suffix"), &filter(other, "suffix"))
}

fn filter(configuration: &Element, name: &str) -> String {
    let rules = configuration.all("Filter").flat_map(|filter| filter.all("S3Key"));
    let mut rules = rules.flat_map(|key| key.all("FilterRule"));
    let rule = rules.find(|rule| rule.value("Name").is_some_and(|found| found.eq_ignore_ascii_case(name)));
    rule.and_then(|rule| rule.value("Value")).unwrap_or_default().to_owned()
}
