//! Functions as Lambda shows them.

use base64::Engine as _;
use serde_json::{Value as Json, json};

use super::function::{Alias, Configuration, Function, LATEST};
use crate::sandbox::World;

/// `FunctionConfiguration` of what a qualifier stands for.
pub(super) fn configuration(world: &World, function: &Function, qualifier: &str) -> Option<Json> {
    let resolved = function.resolve(qualifier)?;
    let mut json = version(world, function, resolved);
    json["FunctionArn"] = json!(function.qualified_arn(qualifier));
    Some(json)
}

/// `FunctionConfiguration` of a version, or of the latest.
pub(super) fn version(world: &World, function: &Function, configuration: &Configuration) -> Json {
    let Configuration { code, .. } = configuration;
    let is_latest = configuration.version == LATEST;
    let mut json = json!({
        "FunctionName": function.name,
        "FunctionArn": if is_latest { function.arn() } else { function.qualified_arn(&configuration.version) },
        "Runtime": configuration.runtime,
        "Role": configuration.role,
        "Handler": configuration.handler,
        "CodeSize": code.size,
        "Description": configuration.description,
        "Timeout": configuration.timeout_s,
        "MemorySize": configuration.memory_mb,
        "LastModified": configuration.modified.strftime("%Y-%m-%dT%H:%M:%S.%3f+0000").to_string(),
        "CodeSha256": digest(&code.blob),
        "Version": configuration.version,
        "TracingConfig": { "Mode": configuration.tracing },
        "RevisionId": configuration.revision,
        "PackageType": "Zip",
        "Architectures": [configuration.architecture],
        "EphemeralStorage": { "Size": configuration.storage_mb },
        "SnapStart": { "ApplyOn": "None", "OptimizationStatus": "Off" },
        "LoggingConfig": { "LogFormat": configuration.log_format, "LogGroup": configuration.log_group },
        "State": "Active",
        "LastUpdateStatus": "Successful",
    });
    if !configuration.environment.is_empty() {
        json["Environment"] = json!({ "Variables": configuration.environment });
    }
    if let Some(settling) =
        function.settling.as_ref().filter(|_| is_latest && !function.is_ready(world.now()))
    {
        if settling.new {
            json["State"] = json!("Pending");
            json["StateReason"] = json!("The function is being created.");
            json["StateReasonCode"] = json!("Creating");
        }
        json["LastUpdateStatus"] = json!("InProgress");
        json["LastUpdateStatusReason"] = json!("The function is being updated.");
    }
    json
}

/// `AliasConfiguration`.
pub(super) fn alias(function: &Function, alias: &Alias) -> Json {
    let mut json = json!({
        "AliasArn": function.qualified_arn(&alias.name),
        "Name": alias.name,
        "FunctionVersion": alias.version,
        "Description": alias.description,
        "RevisionId": alias.revision,
    });
    if !alias.weights.is_empty() {
        let share = |percent: &u32| f64::from(*percent) / 100.0;
        let weights = alias.weights.iter().map(|(version, percent)| (version.clone(), json!(share(percent))));
        json["RoutingConfig"] =
            json!({ "AdditionalVersionWeights": weights.collect::<serde_json::Map<_, _>>() });
    }
    json
}

/// A blob's digest in Base64, as `CodeSha256` has it.
pub(super) fn digest(blob: &str) -> String {
    base64::engine::general_purpose::STANDARD.encode(hex::decode(blob).unwrap_or_default())
}
