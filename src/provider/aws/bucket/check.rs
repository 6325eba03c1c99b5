//! Rules over a bucket's properties that no single property can say.

use super::super::tags;
use crate::model::{Clouds, Map, Value};

const FORBIDDEN_BEGINNINGS: &[&str] = &["xn--", "sthree-", "amzn-s3-demo-"];
const FORBIDDEN_ENDS: &[&str] = &["-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3"];

/// What is wrong, in words.
pub(super) fn check(properties: &Map, _: &Clouds) -> Vec<String> {
    let mut wrong = tags::check(properties.get("Tags"));
    if let Some(name) = properties.get("BucketName").and_then(Value::as_text) {
        wrong.extend(check_name(name));
    }
    for (list, path) in [
        (
            "BucketEncryption.ServerSideEncryptionConfiguration",
            ["BucketEncryption", "ServerSideEncryptionConfiguration"],
        ),
        ("OwnershipControls.Rules", ["OwnershipControls", "Rules"]),
    ] {
        let rules = at(properties, &path).and_then(Value::as_list);
        if let Some(rules) = rules.filter(|rules| rules.len() != 1) {
            wrong.push(format!("`{list}` has {} rules; S3 takes exactly one", rules.len()));
        }
    }
    wrong.extend(check_encryption(properties));
    wrong.extend(check_website(properties));
    for (index, rule) in list(properties, &["LifecycleConfiguration", "Rules"]).iter().enumerate() {
        check_lifecycle(&format!("LifecycleConfiguration.Rules[{index}]"), rule, &mut wrong);
    }
    for (index, rule) in list(properties, &["CorsConfiguration", "CorsRules"]).iter().enumerate() {
        for name in ["AllowedOrigins", "AllowedHeaders"] {
            let words = rule.at(&[name]).and_then(Value::as_list).unwrap_or_default();
            for word in words.iter().filter_map(Value::as_text).filter(|word| word.matches('*').count() > 1) {
                wrong.push(format!(
                    "`CorsConfiguration.CorsRules[{index}].{name}`: `{word}` has more than one `*`; S3 takes one"
                ));
            }
        }
    }
    wrong
}

/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html>
pub(in super::super) fn check_name(name: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    if name.contains("..") {
        wrong.push(format!("the bucket name `{name}` has two dots in a row"));
    }
    if name.split('.').count() == 4 && name.split('.').all(|part| part.parse::<u8>().is_ok()) {
        wrong.push(format!("the bucket name `{name}` looks like an IP address"));
    }
    if let Some(beginning) = FORBIDDEN_BEGINNINGS.iter().find(|beginning| name.starts_with(**beginning)) {
        wrong.push(format!("the bucket name `{name}` begins with `{beginning}`, which S3 reserves"));
    }
    if let Some(end) = FORBIDDEN_ENDS.iter().find(|end| name.ends_with(**end)) {
        wrong.push(format!("the bucket name `{name}` ends with `{end}`, which S3 reserves"));
    }
    wrong
}

fn check_encryption(properties: &Map) -> Option<String> {
    let rules = list(properties, &["BucketEncryption", "ServerSideEncryptionConfiguration"]);
    let default = rules.first()?.at(&["ServerSideEncryptionByDefault"])?;
    let aes = default.at(&["SSEAlgorithm"])?.as_text()? == "AES256";
    (aes && default.at(&["KMSMasterKeyID"]).is_some_and(|key| *key != Value::Null)).then(|| {
        "`BucketEncryption` names a KMS key, but `AES256` uses none: use `aws:kms`, or drop the key"
            .to_owned()
    })
}

fn check_website(properties: &Map) -> Option<String> {
    let website = properties.get("WebsiteConfiguration")?.as_map()?;
    let has = |name: &str| website.get(name).is_some_and(|value| *value != Value::Null);
    let pages = has("IndexDocument") || has("ErrorDocument") || has("RoutingRules");
    if has("RedirectAllRequestsTo") && pages {
        return Some(
            "`WebsiteConfiguration.RedirectAllRequestsTo` excludes every other setting beside it".to_owned(),
        );
    }
    (!has("RedirectAllRequestsTo") && !has("IndexDocument"))
        .then(|| "`WebsiteConfiguration` needs an `IndexDocument` or `RedirectAllRequestsTo`".to_owned())
}

fn check_lifecycle(at: &str, rule: &Value, wrong: &mut Vec<String>) {
    let Some(rule) = rule.as_map() else { return };
    let has = |name: &str| {
        rule.get(name).is_some_and(|value| {
            !matches!(value, Value::Null | Value::Bool(false)) && *value != Value::List(Vec::new())
        })
    };
    let actions = [
        "ExpirationInDays",
        "ExpirationDate",
        "ExpiredObjectDeleteMarker",
        "NoncurrentVersionExpiration",
        "NoncurrentVersionTransitions",
        "Transitions",
        "AbortIncompleteMultipartUpload",
    ];
    if !actions.iter().any(|action| has(action)) {
        wrong.push(format!("`{at}` does nothing: give one of {}", actions.join(", ")));
    }
    let expirations = actions[..3].iter().filter(|name| has(name)).count();
    if expirations > 1 {
        wrong.push(format!(
            "`{at}`: only one of ExpirationInDays, ExpirationDate and ExpiredObjectDeleteMarker goes into a rule"
        ));
    }
    let filtered = has("TagFilters") || has("ObjectSizeGreaterThan") || has("ObjectSizeLessThan");
    if has("AbortIncompleteMultipartUpload") && filtered {
        wrong.push(format!(
            "`{at}.AbortIncompleteMultipartUpload` cannot be combined with tags or sizes: unfinished uploads have none"
        ));
    }
    if has("ExpiredObjectDeleteMarker") && has("TagFilters") {
        wrong.push(format!(
            "`{at}.ExpiredObjectDeleteMarker` cannot be combined with tags: markers have none"
        ));
    }
    let transitions = rule.get("Transitions").and_then(Value::as_list).unwrap_or_default();
    for (index, transition) in transitions.iter().enumerate() {
        let given = ["TransitionInDays", "TransitionDate"];
        if given.iter().filter(|name| transition.at(&[**name]).is_some()).count() != 1 {
            wrong
                .push(format!("`{at}.Transitions[{index}]` needs either TransitionInDays or TransitionDate"));
        }
    }
}

fn at<'m>(properties: &'m Map, path: &[&str]) -> Option<&'m Value> {
    let (first, rest) = path.split_first()?;
    properties.get(*first)?.at(rest)
}

fn list<'m>(properties: &'m Map, path: &[&str]) -> &'m [Value] {
    at(properties, path).and_then(Value::as_list).unwrap_or_default()
}
