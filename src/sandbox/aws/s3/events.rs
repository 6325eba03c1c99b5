//! What a bucket tells of its objects: its notifications, as events for functions.
//!
//! Absences: topics, queues and the event bus, which the sandbox does not play.

use bytes::Bytes;
use serde_json::json;

use super::super::lambda::{function, permission, queue};
use super::super::sigv4::encode;
use super::super::xml::Element;
use super::Call;
use super::answer::iso_millis;
use super::record::{Bucket, canonical_user};
use crate::sandbox::World;

/// What happened to an object.
pub(super) struct Happening<'a> {
    /// `ObjectCreated:Put`.
    pub(super) event: &'static str,
    pub(super) key: &'a str,
    /// The version's id, `null` where there are none.
    pub(super) version: &'a str,
    /// Size and entity tag, where there is content.
    pub(super) content: Option<(u64, &'a str)>,
}

/// Queues an event for every function that the bucket's notifications name.
pub(super) fn tell(call: &mut Call<'_>, bucket: &Bucket, happening: &Happening<'_>) {
    let Some(configurations) = bucket.config.get("notification") else { return };
    let wanted = configurations
        .all("CloudFunctionConfiguration")
        .filter(|configuration| is_meant(configuration, happening.event, happening.key))
        .map(|configuration| {
            let text = |name: &str| configuration.value(name).unwrap_or_default().to_owned();
            (text("Id"), text("CloudFunction"))
        });
    for (id, arn) in wanted.collect::<Vec<_>>() {
        // S3 is told nothing when a permission is taken away: the event is lost, as at the real one.
        if may_call(call.world, bucket, &arn) {
            let event = event(call, bucket, happening, &id);
            queue::add(call.world, &arn, &event);
        }
    }
}

/// Whether a configuration is about this event of this key.
fn is_meant(configuration: &Element, event: &str, key: &str) -> bool {
    let matches = |pattern: &str| match pattern.strip_prefix("s3:").unwrap_or(pattern).strip_suffix('*') {
        Some(start) => event.starts_with(start),
        None => pattern == format!("s3:{event}"),
    };
    let mut rules = configuration.all("Filter").flat_map(|filter| filter.all("S3Key"));
    configuration.all("Event").any(|pattern| matches(&pattern.text))
        && rules.all(|rules| {
            rules.all("FilterRule").all(|rule| {
                let value = rule.value("Value").unwrap_or_default();
                match rule.value("Name").unwrap_or_default().to_ascii_lowercase().as_str() {
                    "prefix" => key.starts_with(value),
                    _ => key.ends_with(value),
                }
            })
        })
}

/// Whether S3 may call a function for a bucket.
pub(super) fn may_call(world: &World, bucket: &Bucket, arn: &str) -> bool {
    let Some((function, qualifier)) = function::by_arn(world, arn) else { return false };
    function.region == bucket.region
        && function.resolve(&qualifier).is_some()
        && permission::lets(world, &function, &qualifier, "s3.amazonaws.com", &bucket.arn(), &bucket.account)
}

fn event(call: &mut Call<'_>, bucket: &Bucket, happening: &Happening<'_>, configuration: &str) -> Bytes {
    let Happening { event, key, version, content } = happening;
    let now = call.world.now();
    let principal = match &call.caller {
        Some(caller) => format!("AWS:{}", caller.user_id()),
        None => "Anonymous".to_owned(),
    };
    // Encoded as in a form, but for the slashes.
    let key = encode(key.as_bytes(), true).replace("%20", "+");
    let mut object = json!({ "key": key, "sequencer": format!("{:018X}", now.as_nanosecond()) });
    if let Some((size, etag)) = content {
        object["size"] = json!(size);
        object["eTag"] = json!(etag);
    }
    if *version != "null" {
        object["versionId"] = json!(version);
    }
    let record = json!({
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "awsRegion": bucket.region,
        "eventTime": iso_millis(now),
        "eventName": event,
        "userIdentity": { "principalId": principal },
        "requestParameters": { "sourceIPAddress": "127.0.0.1" },
        "responseElements": {
            "x-amz-request-id": call.world.word(16, b"0123456789ABCDEFGHJKMNPQRSTVWXYZ"),
            "x-amz-id-2": format!("{}=", call.world.hex(75)),
        },
        "s3": {
            "s3SchemaVersion": "1.0",
            "configurationId": configuration,
            "bucket": {
                "name": bucket.name,
                "ownerIdentity": { "principalId": canonical_user(&bucket.account) },
                "arn": bucket.arn(),
            },
            "object": object,
        },
    });
    Bytes::from(json!({ "Records": [record] }).to_string())
}
