//! What several calls say of a stack that is to be: template, parameters, capabilities, tags.

use std::collections::BTreeMap;

use super::super::super::error::Error;
use super::super::super::query::Call;
use super::super::super::{s3, tags};
use super::super::invalid;
use super::super::stack::{Design, OnFailure};
use super::super::template::Template;

/// A body is no larger, in bytes.
const MOST_BODY: usize = 51_200;
/// A template in a bucket is no larger, in bytes.
const MOST_OBJECT: u64 = 1_048_576;
/// Names of stacks and change sets.
pub(in super::super) const NAME: &str = "[a-zA-Z][-a-zA-Z0-9]*";
/// Names and ids.
pub(in super::super) const NAME_OR_ID: &str = r"[a-zA-Z][-a-zA-Z0-9]*|arn:[-a-zA-Z0-9:/._+]*";

/// Takes the text of a template, from the body or a bucket; `None` if neither is given.
pub(super) fn template_text(call: &mut Call<'_>) -> Result<Option<String>, Error> {
    let (body, url) = (call.form.take("TemplateBody"), call.form.take("TemplateURL"));
    match (body, url) {
        (Some(_), Some(_)) => Err(invalid("You cannot specify both TemplateBody and TemplateURL")),
        (Some(body), None) if body.len() > MOST_BODY => Err(invalid(format!(
            "1 validation error detected: Value at 'templateBody' failed to satisfy constraint: Member must have length \
             less than or equal to {MOST_BODY}"
        ))),
        (Some(body), None) => Ok(Some(body)),
        (None, Some(url)) => from_bucket(call, &url).map(Some),
        (None, None) => Ok(None),
    }
}

fn from_bucket(call: &Call<'_>, url: &str) -> Result<String, Error> {
    let wrong = || invalid("TemplateURL must be a supported URL.");
    let uri: http::Uri = url.parse().map_err(|_| wrong())?;
    let host = uri.host().ok_or_else(wrong)?;
    let path = uri.path().trim_start_matches('/');
    let (bucket, key) = match host.split_once(".s3.").or_else(|| host.split_once(".s3-")) {
        Some((bucket, _)) => (bucket, path),
        None => path.split_once('/').ok_or_else(wrong)?,
    };
    let key = percent_encoding::percent_decode_str(key).decode_utf8_lossy();
    let stored = s3::stored(call.world, &call.caller.account, &call.region, bucket, &key, None);
    let (blob, size) = stored.map_err(|error| {
        invalid(format!("S3 error: {}\nFor more information check http://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html", error.message))
    })?;
    if size > MOST_OBJECT {
        return Err(invalid("Template may not exceed 1000000 bytes in size."));
    }
    let bytes = call.world.blob(&blob).unwrap_or_default();
    String::from_utf8(bytes.to_vec()).map_err(|_| invalid("Template format error: unsupported structure."))
}

/// Takes a whole design; `before` is what the stack is now.
pub(super) fn design(call: &mut Call<'_>, before: Option<&Design>) -> Result<(Design, Template), Error> {
    let text = template_text(call)?;
    let previous = call.form.take("UsePreviousTemplate").as_deref() == Some("true");
    let given = call
        .form
        .structures("Parameters", ["ParameterKey", "ParameterValue", "UsePreviousValue", "ResolvedValue"]);
    let capabilities = call.form.list("Capabilities");
    let tags_given = call.form.structures("Tags", ["Key", "Value"]);
    let clears_tags = call.form.take("Tags").is_some();
    let role = call.form.text("RoleARN", 20..=2048, ".*");
    let notifications = call.form.list("NotificationARNs");
    let text = match (text, before, previous) {
        (Some(_), _, true) => {
            return Err(invalid("You cannot specify both usePreviousTemplate and Template Body/URL."));
        }
        (Some(text), _, false) => text,
        (None, Some(before), true) => before.template.clone(),
        (None, ..) => return Err(invalid("Either Template URL or Template Body must be specified.")),
    };
    let template = Template::read(&text).map_err(invalid)?;
    let parameters = parameters(&template, given, before)?;
    let mut tags = Vec::new();
    for [key, value] in tags_given {
        let (key, value) = (key.unwrap_or_default(), value.unwrap_or_default());
        if !tags::is_key(&key) || !tags::is_value(&value) || tags::is_reserved(&key) {
            return Err(invalid(format!("Invalid tag: {key}={value}")));
        }
        tags.push((key, value));
    }
    if tags.len() > tags::MOST {
        return Err(invalid(format!("A stack can have at most {} tags", tags::MOST)));
    }
    if tags.is_empty() && !clears_tags {
        // Not said is not changed.
        tags = before.map(|before| before.tags.clone()).unwrap_or_default();
    }
    if let Some((needed, _)) = template.capabilities() {
        let given = |name: &str| capabilities.iter().any(|given| given == name);
        if !given(needed) && !given("CAPABILITY_NAMED_IAM") {
            let message = format!("Requires capabilities : [{needed}]");
            return Err(Error::new(400, "InsufficientCapabilitiesException", message));
        }
    }
    let role = role.or_else(|| before.and_then(|before| before.role.clone()));
    Ok((Design { template: text, parameters, capabilities, role, tags, notifications }, template))
}

fn parameters(
    template: &Template,
    given: Vec<[Option<String>; 4]>,
    before: Option<&Design>,
) -> Result<BTreeMap<String, String>, Error> {
    let mut values = BTreeMap::new();
    let mut unknown = Vec::new();
    for [key, value, previous, _] in given {
        let key = key.unwrap_or_default();
        let previous = previous.as_deref() == Some("true");
        if template.parameter(&key).is_none() {
            unknown.push(key);
            continue;
        }
        let value = match (value, previous) {
            (Some(_), true) => {
                return Err(invalid(format!(
                    "Invalid input for parameter key {key}. Cannot specify usePreviousValue as true and also supply a \
                     parameter value"
                )));
            }
            (Some(value), false) => value,
            (None, true) => {
                let kept = before.and_then(|before| before.parameters.get(&key));
                kept.cloned().ok_or_else(|| {
                    invalid(format!(
                        "Invalid input for parameter key {key}. Cannot specify usePreviousValue as true for a parameter key \
                         not in the previous template"
                    ))
                })?
            }
            (None, false) => {
                return Err(invalid(format!(
                    "Invalid input for parameter key {key}. Either specify a value or set usePreviousValue to true"
                )));
            }
        };
        values.insert(key, value);
    }
    if !unknown.is_empty() {
        return Err(invalid(format!("Parameters: [{}] do not exist in the template", unknown.join(", "))));
    }
    let mut missing = Vec::new();
    for declared in &template.parameters {
        match (values.get(&declared.name), &declared.default) {
            (Some(value), _) => declared.check(value).map_err(invalid)?,
            (None, Some(default)) => {
                values.insert(declared.name.clone(), default.clone());
            }
            (None, None) => missing.push(declared.name.clone()),
        }
    }
    if missing.is_empty() {
        return Ok(values);
    }
    Err(invalid(format!("Parameters: [{}] must have values", missing.join(", "))))
}

/// Takes what is to become of a failure: by `DisableRollback`, or by the parameter of this name.
pub(super) fn on_failure(call: &mut Call<'_>, name: &str) -> Result<OnFailure, Error> {
    let disabled = call.form.take("DisableRollback").map(|text| text == "true");
    match (call.form.take(name).as_deref(), disabled) {
        (Some(_), Some(_)) => {
            Err(invalid(format!("Either DisableRollback or {name} can be specified, not both.")))
        }
        (None, Some(true)) | (Some("DO_NOTHING"), None) => Ok(OnFailure::Nothing),
        (None, Some(false) | None) | (Some("ROLLBACK"), None) => Ok(OnFailure::Rollback),
        (Some("DELETE"), None) => Ok(OnFailure::Delete),
        (Some(other), None) => {
            call.form.problem(
                &format!("'{other}'"),
                name,
                "Member must satisfy enum value set: [DELETE, DO_NOTHING, ROLLBACK]",
            );
            Ok(OnFailure::Rollback)
        }
    }
}
