//! Whether what is behind `$LATEST` is what the function's stack has made: its settings, as Lambda tells them, against
//! the template's. What somebody has changed there by hand meets no one, until it is published.

use std::collections::BTreeMap;

use aws_sdk_lambda::operation::get_function_configuration::GetFunctionConfigurationOutput as Latest;
use aws_sdk_lambda::types::{Runtime, TracingMode};
use serde_json::{Value as Json, json};

use super::told::SECRETS;

/// What a function has of `/tmp` where nothing is said.
const EPHEMERAL_MB: i32 = 512;

/// The first setting that is another one than the template's. Of a variable the name alone is told.
pub(super) fn differs(configuration: &BTreeMap<String, Json>, latest: &Latest) -> Option<String> {
    let wished = configuration.get("Function")?;
    let secrets = configuration.get(SECRETS).unwrap_or(&Json::Null);
    let settings = [
        ("Runtime", json!(latest.runtime().map(Runtime::as_str))),
        ("Handler", json!(latest.handler())),
        ("Role", json!(latest.role())),
        ("MemorySize", json!(latest.memory_size())),
        ("Timeout", json!(latest.timeout())),
        ("Description", json!(latest.description().filter(|text| !text.is_empty()))),
    ];
    let setting = settings.iter().find(|(name, found)| plain(&wished[*name]) != plain(found));
    if let Some((name, _)) = setting {
        return Some((*name).to_owned());
    }
    if let Some(name) = beyond(latest) {
        return Some(name.to_owned());
    }
    if latest.environment().is_some_and(|environment| environment.error().is_some()) {
        // Whoever may not decrypt it cannot compare it.
        return None;
    }
    let found = latest.environment().and_then(|environment| environment.variables());
    let found: BTreeMap<&str, &str> =
        found.into_iter().flatten().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let wished: BTreeMap<&str, Option<String>> = wished["Environment"]["Variables"]
        .as_object()
        .into_iter()
        .flatten()
        // What is a parameter in the template is a secret, known by the variable's name.
        .map(|(name, value)| (name.as_str(), plain(if value.is_object() { &secrets[name] } else { value })))
        .collect();
    let mut names = wished.keys().chain(found.keys());
    let other = names
        .find(|name| wished.get(**name).map(Option::as_deref) != found.get(**name).map(|&text| Some(text)));
    other.map(|name| format!("Environment.Variables.{name}"))
}

/// A setting that no template of a stack's functions has.
fn beyond(latest: &Latest) -> Option<&'static str> {
    let settings = [
        ("Layers", !latest.layers().is_empty()),
        ("VpcConfig", latest.vpc_config().is_some_and(|place| !place.subnet_ids().is_empty())),
        ("KMSKeyArn", latest.kms_key_arn().is_some()),
        ("FileSystemConfigs", !latest.file_system_configs().is_empty()),
        ("DeadLetterConfig", latest.dead_letter_config().is_some_and(|queue| queue.target_arn().is_some())),
        ("TracingConfig", latest.tracing_config().and_then(|on| on.mode()) == Some(&TracingMode::Active)),
        (
            "EphemeralStorage",
            latest.ephemeral_storage().is_some_and(|storage| storage.size() != EPHEMERAL_MB),
        ),
    ];
    settings.iter().find(|(_, is_set)| *is_set).map(|(name, _)| *name)
}

/// A scalar as its text.
fn plain(value: &Json) -> Option<String> {
    match value {
        Json::Null => None,
        Json::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_lambda::types::{EnvironmentResponse, EphemeralStorage, Layer};

    use super::*;

    #[test]
    fn each_setting_that_is_another_one_is_named() {
        let wished = json!({
            "Runtime": "provided.al2023", "Handler": "bootstrap", "Role": "arn", "MemorySize": 256, "Timeout": 30,
            "Environment": { "Variables": { "N": 5, "TOKEN": { "Ref": "EchoSecretToken" } } },
        });
        let wished = BTreeMap::from([
            ("Function".to_owned(), wished),
            (SECRETS.to_owned(), json!({ "TOKEN": "hunter2" })),
        ]);
        let with = |variables: &[(&str, &str)]| {
            let variables = variables.iter().map(|&(name, value)| (name.to_owned(), value.to_owned()));
            EnvironmentResponse::builder().set_variables(Some(variables.collect())).build()
        };
        let good = || {
            let latest =
                Latest::builder().runtime(Runtime::from("provided.al2023")).handler("bootstrap").role("arn");
            let latest = latest.memory_size(256).timeout(30).description("");
            latest.environment(with(&[("N", "5"), ("TOKEN", "hunter2")]))
        };
        assert_eq!(differs(&wished, &good().build()), None);
        for (latest, name) in [
            (good().memory_size(512), "MemorySize"),
            (good().handler("other"), "Handler"),
            (good().description("by hand"), "Description"),
            (good().layers(Layer::builder().arn("arn").build()), "Layers"),
            (good().kms_key_arn("arn"), "KMSKeyArn"),
            (
                good().ephemeral_storage(EphemeralStorage::builder().size(1024).build().unwrap()),
                "EphemeralStorage",
            ),
            (good().environment(with(&[("N", "6"), ("TOKEN", "hunter2")])), "Environment.Variables.N"),
            (good().environment(with(&[("N", "5"), ("TOKEN", "x")])), "Environment.Variables.TOKEN"),
            (good().environment(with(&[("N", "5")])), "Environment.Variables.TOKEN"),
            (
                good().environment(with(&[("MORE", ""), ("N", "5"), ("TOKEN", "hunter2")])),
                "Environment.Variables.MORE",
            ),
        ] {
            assert_eq!(differs(&wished, &latest.build()).as_deref(), Some(name));
        }
        let none = BTreeMap::from([("Function".to_owned(), json!({ "Runtime": "provided.al2023" }))]);
        let latest = Latest::builder().runtime(Runtime::from("provided.al2023")).build();
        assert_eq!(differs(&none, &latest), None);
    }
}
