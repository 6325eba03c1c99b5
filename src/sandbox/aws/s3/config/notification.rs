//! Notifications. There is no destination in the sandbox that S3 could validate, but for the event bus.

use super::super::super::error::Error;
use super::super::super::xml::Element;
use super::{Check, invalid, one_of, only, plain, required};

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
    for (kind, destination) in DESTINATIONS {
        if let Some(configuration) = document.all(kind).next() {
            return Err(refuse(configuration, destination)?);
        }
    }
    Ok(plain(document))
}

/// Why a configuration is refused: for its form, or because its destination is not there.
fn refuse(configuration: &Element, destination: &str) -> Result<Error, Error> {
    const EVENTS: [&str; 4] =
        ["s3:ObjectCreated:", "s3:ObjectRemoved:", "s3:ObjectTagging:", "s3:LifecycleExpiration:"];
    only(configuration, &["Id", "Event", "Filter", destination])?;
    let arn = required(configuration, destination)?;
    if !arn.starts_with("arn:aws:") {
        return Err(invalid("The ARN could not be parsed").detail("ArgumentValue", arn));
    }
    for event in configuration.all("Event") {
        if !EVENTS.iter().any(|known| event.text.starts_with(known)) {
            let error = invalid("The event is not supported for notifications");
            return Err(error.detail("ArgumentValue", &event.text));
        }
    }
    check_filter(configuration)?;
    Ok(invalid("Unable to validate the following destination configurations")
        .detail("ArgumentName", arn)
        .detail("ArgumentValue", "The destination does not exist, or S3 may not use it."))
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
