//! What a request's body says that the sandbox does not play, and that is therefore refused instead of being lost.

use serde_json::Value as Json;

use super::super::error::Error;
use super::change::invalid;

/// What the settings of a function may be.
pub(super) const SETTINGS: &[&str] = &[
    "Description",
    "Environment.Variables",
    "EphemeralStorage.Size",
    "Handler",
    "LoggingConfig.LogFormat",
    "LoggingConfig.LogGroup",
    "MemorySize",
    "RevisionId",
    "Role",
    "Runtime",
    "Timeout",
    "TracingConfig.Mode",
];
/// What else a new function may have.
pub(super) const NEW: &[&str] = &["Architectures", "Code", "FunctionName", "PackageType", "Publish", "Tags"];
/// Where a function's code may come from.
pub(super) const CODE: &[&str] = &["S3Bucket", "S3Key", "S3ObjectVersion", "ZipFile"];
/// What else may be said with new code.
pub(super) const NEW_CODE: &[&str] = &["Architectures", "FunctionName", "Publish", "RevisionId"];
/// What an alias may be.
pub(super) const ALIAS: &[&str] =
    &["Description", "FunctionVersion", "Name", "RevisionId", "RoutingConfig.AdditionalVersionWeights"];
/// What a version may be given.
pub(super) const VERSION: &[&str] = &["CodeSha256", "Description", "RevisionId"];
/// What a permission may be.
pub(super) const PERMISSION: &[&str] = &[
    "Action",
    "FunctionUrlAuthType",
    "Principal",
    "RevisionId",
    "SourceAccount",
    "SourceArn",
    "StatementId",
];

/// Refuses what is neither known nor says as much as nothing. A member of a member is known as `Outer.Inner`.
pub(super) fn check(body: &Json, known: &[&[&str]]) -> Result<(), Error> {
    let is_known = |name: &str| known.iter().any(|names| names.contains(&name));
    for (name, value) in body.as_object().into_iter().flatten() {
        if is_known(name) || is_nothing(name, value) {
            continue;
        }
        let within = format!("{name}.");
        if !known.iter().any(|names| names.iter().any(|known| known.starts_with(&within))) {
            return Err(unplayed(name));
        }
        for (inner, value) in value.as_object().into_iter().flatten() {
            let full = format!("{within}{inner}");
            if !is_known(&full) && !is_nothing(inner, value) {
                return Err(unplayed(&full));
            }
        }
    }
    Ok(())
}

/// Whether a member asks for nothing: tools send such for what they do not set.
fn is_nothing(name: &str, value: &Json) -> bool {
    match value {
        Json::Null | Json::Bool(false) => true,
        Json::String(text) => text.is_empty() || (name, text.as_str()) == ("ApplyOn", "None"),
        Json::Array(items) => items.is_empty(),
        Json::Object(map) => map.iter().all(|(name, value)| is_nothing(name, value)),
        Json::Bool(true) | Json::Number(_) => false,
    }
}

fn unplayed(name: &str) -> Error {
    invalid(format!("The sandbox does not play {name} of functions"))
}

/// Refuses a change of what is not any more as its maker believes.
pub(super) fn revision(given: Option<&str>, now: &str, call: &str) -> Result<(), Error> {
    if given.is_none_or(|given| given == now) {
        return Ok(());
    }
    let message = format!(
        "The Revision Id provided does not match the latest Revision Id. Call the {call} API to retrieve the latest \
         Revision Id"
    );
    Err(Error::new(412, "PreconditionFailedException", message))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_not_played_is_refused_and_what_says_nothing_is_not() {
        let told = |body: Json| check(&body, &[SETTINGS, NEW]).map_err(|error| error.message);
        let said = json!({
            "MemorySize": 128, "Environment": { "Variables": { "A": "b" } }, "VpcConfig": { "SubnetIds": [] },
            "SnapStart": { "ApplyOn": "None" }, "Layers": [], "KMSKeyArn": "", "Publish": true,
        });
        assert_eq!(told(said), Ok(()));
        for (body, name) in [
            (json!({ "Layers": ["arn:aws:lambda:us-east-1:1:layer:a:1"] }), "Layers"),
            (json!({ "VpcConfig": { "SubnetIds": ["subnet-1"] } }), "VpcConfig"),
            (json!({ "LoggingConfig": { "SystemLogLevel": "WARN" } }), "LoggingConfig.SystemLogLevel"),
            (json!({ "Memory": 128 }), "Memory"),
        ] {
            assert_eq!(told(body).unwrap_err(), format!("The sandbox does not play {name} of functions"));
        }
        assert!(
            revision(Some("a"), "a", "GetFunction").is_ok() && revision(None, "a", "GetFunction").is_ok()
        );
        assert_eq!(revision(Some("b"), "a", "GetFunction").unwrap_err().code, "PreconditionFailedException");
    }
}
