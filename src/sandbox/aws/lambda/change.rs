//! How functions are made, changed and deleted, by whomever it is asked.

use std::collections::BTreeMap;

use super::super::error::Error;
use super::super::policy::Service;
use super::super::{iam, s3};
use super::archive;
use super::function::{Alias, Code, Configuration, Function, LATEST, Settling, find};
use crate::sandbox::World;
use bytes::Bytes;

/// Runtimes that are not past their end.
const RUNTIMES: [&str; 17] = [
    "provided.al2023",
    "provided.al2",
    "nodejs20.x",
    "nodejs22.x",
    "nodejs24.x",
    "python3.10",
    "python3.11",
    "python3.12",
    "python3.13",
    "python3.14",
    "java11",
    "java17",
    "java21",
    "java25",
    "dotnet8",
    "ruby3.3",
    "ruby3.4",
];
/// Names that Lambda itself gives to variables of the environment.
const RESERVED: [&str; 16] = [
    "_HANDLER",
    "_X_AMZN_TRACE_ID",
    "AWS_DEFAULT_REGION",
    "AWS_REGION",
    "AWS_EXECUTION_ENV",
    "AWS_LAMBDA_FUNCTION_NAME",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
    "AWS_LAMBDA_FUNCTION_VERSION",
    "AWS_LAMBDA_INITIALIZATION_TYPE",
    "AWS_LAMBDA_LOG_GROUP_NAME",
    "AWS_LAMBDA_LOG_STREAM_NAME",
    "AWS_ACCESS_KEY",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_LAMBDA_RUNTIME_API",
];
/// All variables together are no larger, in bytes.
const MOST_ENVIRONMENT: usize = 4096;
/// A zip is no larger, in bytes, when sent directly.
const MOST_ZIP: usize = 50 * 1024 * 1024;

/// Settings; those not given stay, or take their defaults.
#[derive(Clone, Debug, Default)]
pub(in crate::sandbox::aws) struct Settings {
    pub(in crate::sandbox::aws) description: Option<String>,
    pub(in crate::sandbox::aws) role: Option<String>,
    pub(in crate::sandbox::aws) runtime: Option<String>,
    pub(in crate::sandbox::aws) handler: Option<String>,
    pub(in crate::sandbox::aws) memory_mb: Option<u32>,
    pub(in crate::sandbox::aws) timeout_s: Option<u32>,
    pub(in crate::sandbox::aws) storage_mb: Option<u32>,
    pub(in crate::sandbox::aws) environment: Option<BTreeMap<String, String>>,
    pub(in crate::sandbox::aws) log_group: Option<String>,
    pub(in crate::sandbox::aws) log_format: Option<String>,
    pub(in crate::sandbox::aws) tracing: Option<String>,
}

/// Where a function's zip comes from.
#[derive(Clone, Debug)]
pub(in crate::sandbox::aws) enum Source {
    /// Bucket, key and version.
    Object(String, String, Option<String>),
    Zip(Bytes),
}

/// A function that is to be.
pub(in crate::sandbox::aws) struct Wanted {
    pub(in crate::sandbox::aws) account: String,
    pub(in crate::sandbox::aws) region: String,
    pub(in crate::sandbox::aws) name: String,
    pub(in crate::sandbox::aws) architecture: String,
    pub(in crate::sandbox::aws) settings: Settings,
    pub(in crate::sandbox::aws) source: Source,
    pub(in crate::sandbox::aws) tags: BTreeMap<String, String>,
}

/// Makes a function. It is not ready at once.
pub(in crate::sandbox::aws) fn create(world: &mut World, wanted: Wanted) -> Result<Function, Error> {
    let Wanted { account, region, name, architecture, settings, source, tags } = wanted;
    check_name(&name)?;
    if find(world, &account, &region, &name).is_some() {
        return Err(Error::new(409, "ResourceConflictException", format!("Function already exist: {name}")));
    }
    for (given, what) in [(&settings.runtime, "Runtime"), (&settings.handler, "Handler")] {
        if given.is_none() {
            return Err(invalid(format!(
                "{what} is mandatory for functions created with deployment packages."
            )));
        }
    }
    check_architecture(&architecture)?;
    let code = fetch(world, &account, &region, source)?;
    let revision = world.uuid();
    let latest = Configuration {
        version: LATEST.to_owned(),
        description: String::new(),
        role: String::new(),
        runtime: String::new(),
        handler: String::new(),
        architecture,
        memory_mb: 128,
        timeout_s: 3,
        storage_mb: 512,
        environment: BTreeMap::new(),
        code,
        log_group: format!("/aws/lambda/{name}"),
        log_format: "Text".to_owned(),
        tracing: "PassThrough".to_owned(),
        modified: world.now(),
        revision,
    };
    let mut function = Function {
        account,
        region,
        name,
        latest,
        versions: BTreeMap::new(),
        next_version: 1,
        aliases: BTreeMap::new(),
        policies: BTreeMap::new(),
        tags,
        settling: Some(Settling { since: world.now(), looks: 0, new: true }),
    };
    let mut latest = function.latest.clone();
    apply(world, &function, &mut latest, settings)?;
    function.latest = latest;
    function.save(world);
    Ok(function)
}

/// Changes settings of the latest.
pub(in crate::sandbox::aws) fn update_settings(
    world: &mut World,
    function: &mut Function,
    settings: Settings,
) -> Result<(), Error> {
    must_be_ready(world, function)?;
    let mut latest = function.latest.clone();
    apply(world, function, &mut latest, settings)?;
    changed(world, function, latest);
    Ok(())
}

/// Changes the code of the latest.
pub(in crate::sandbox::aws) fn update_code(
    world: &mut World,
    function: &mut Function,
    source: Source,
    architecture: Option<String>,
) -> Result<(), Error> {
    must_be_ready(world, function)?;
    let mut latest = function.latest.clone();
    if let Some(architecture) = architecture {
        check_architecture(&architecture)?;
        latest.architecture = architecture;
    }
    latest.code = fetch(world, &function.account, &function.region, source)?;
    changed(world, function, latest);
    Ok(())
}

fn changed(world: &mut World, function: &mut Function, mut latest: Configuration) {
    latest.modified = world.now();
    latest.revision = world.uuid();
    function.latest = latest;
    function.settling = Some(Settling { since: world.now(), looks: 0, new: false });
    function.save(world);
    // Processes of what it was are ended.
    world.wake();
}

fn must_be_ready(world: &World, function: &Function) -> Result<(), Error> {
    if function.is_ready(world.now()) {
        return Ok(());
    }
    let message = format!(
        "The operation cannot be performed at this time. An update is in progress for resource: {}",
        function.arn()
    );
    Err(Error::new(409, "ResourceConflictException", message))
}

/// Publishes the latest as a version; what is published already is not published again.
pub(in crate::sandbox::aws) fn publish(
    world: &mut World,
    function: &mut Function,
    description: Option<String>,
) -> Result<Configuration, Error> {
    must_be_ready(world, function)?;
    let mut version = function.latest.clone();
    if let Some(description) = description {
        version.description = description;
    }
    let latest = &function.latest;
    let same = |published: &&Configuration| {
        // All but what every version has of its own.
        let as_latest = Configuration {
            version: LATEST.to_owned(),
            revision: latest.revision.clone(),
            modified: latest.modified,
            description: latest.description.clone(),
            code: Code { source: latest.code.source.clone(), ..published.code.clone() },
            ..(*published).clone()
        };
        as_latest == *latest
    };
    if let Some(published) = function.versions.values().next_back().filter(same) {
        return Ok(published.clone());
    }
    version.version = function.next_version.to_string();
    version.revision = world.uuid();
    function.versions.insert(function.next_version, version.clone());
    function.next_version += 1;
    function.save(world);
    Ok(version)
}

/// Makes an alias, or changes it.
pub(in crate::sandbox::aws) fn put_alias(
    world: &mut World,
    function: &mut Function,
    mut alias: Alias,
) -> Result<Alias, Error> {
    check_alias(&alias.name)?;
    let exists = |version: &str| {
        version == LATEST || version.parse().is_ok_and(|number: u64| function.versions.contains_key(&number))
    };
    for version in std::iter::once(&alias.version).chain(alias.weights.keys()) {
        if !exists(version) {
            return Err(not_found(&function.qualified_arn(version)));
        }
    }
    if alias.weights.len() > 1 || (alias.version == LATEST && !alias.weights.is_empty()) {
        return Err(invalid(
            "An alias's routing config takes one additional version, and none where it points at $LATEST"
                .to_owned(),
        ));
    }
    alias.revision = world.uuid();
    function.aliases.insert(alias.name.clone(), alias.clone());
    function.save(world);
    Ok(alias)
}

/// Deletes a function with all that belongs to it.
pub(in crate::sandbox::aws) fn delete(world: &mut World, function: &Function) {
    world.remove::<Function>(&super::function::key(&function.account, &function.region, &function.name));
    world.wake();
}

/// Deletes a version that no alias points at.
pub(in crate::sandbox::aws) fn delete_version(
    world: &mut World,
    function: &mut Function,
    number: u64,
) -> Result<(), Error> {
    let text = number.to_string();
    let points = |alias: &&Alias| alias.version == text || alias.weights.contains_key(&text);
    if let Some(alias) = function.aliases.values().find(points) {
        let message = format!("Version {text} is used by alias {}: delete or change it first.", alias.name);
        return Err(Error::new(409, "ResourceConflictException", message));
    }
    function.versions.remove(&number);
    function.policies.remove(&text);
    function.save(world);
    Ok(())
}

/// Whether Lambda may run a function as a role.
pub(super) fn is_assumable(world: &World, function: &Function, role: &str) -> bool {
    let Function { account, region, .. } = function;
    let arn = function.arn();
    let lambda = Service { principal: "lambda.amazonaws.com", source_arn: &arn, source_account: account };
    let found = iam::role_by_arn(world, role).filter(|found| found.account == *account);
    found.is_some_and(|found| iam::lets_service(world, &found, region, lambda))
}

fn apply(
    world: &World,
    function: &Function,
    latest: &mut Configuration,
    settings: Settings,
) -> Result<(), Error> {
    if let Some(runtime) = &settings.runtime
        && !RUNTIMES.contains(&runtime.as_str())
    {
        return Err(invalid(format!(
            "Value {runtime} at 'runtime' failed to satisfy constraint: Member must satisfy enum value set: [{}] or be \
             a valid ARN",
            RUNTIMES.join(", ")
        )));
    }
    if let Some(handler) = &settings.handler
        && (handler.is_empty() || handler.len() > 128 || handler.contains(char::is_whitespace))
    {
        return Err(pattern("handler", handler, r"[^\s]+"));
    }
    within("memorySize", settings.memory_mb, 128..=10_240)?;
    within("timeout", settings.timeout_s, 1..=900)?;
    within("ephemeralStorage.size", settings.storage_mb, 512..=10_240)?;
    if let Some(environment) = &settings.environment {
        check_environment(environment)?;
    }
    if let Some(role) = &settings.role
        && !is_assumable(world, function, role)
    {
        return Err(invalid("The role defined for the function cannot be assumed by Lambda.".to_owned()));
    }
    let text = |into: &mut String, from: Option<String>| from.into_iter().for_each(|value| *into = value);
    text(&mut latest.description, settings.description);
    text(&mut latest.role, settings.role);
    text(&mut latest.runtime, settings.runtime);
    text(&mut latest.handler, settings.handler);
    text(&mut latest.log_group, settings.log_group);
    text(&mut latest.log_format, settings.log_format);
    text(&mut latest.tracing, settings.tracing);
    latest.memory_mb = settings.memory_mb.unwrap_or(latest.memory_mb);
    latest.timeout_s = settings.timeout_s.unwrap_or(latest.timeout_s);
    latest.storage_mb = settings.storage_mb.unwrap_or(latest.storage_mb);
    if let Some(environment) = settings.environment {
        latest.environment = environment;
    }
    Ok(())
}

fn check_environment(environment: &BTreeMap<String, String>) -> Result<(), Error> {
    let reserved = environment.keys().filter(|name| RESERVED.contains(&name.as_str())).cloned();
    let reserved = reserved.collect::<Vec<_>>();
    if !reserved.is_empty() {
        return Err(invalid(format!(
            "Lambda was unable to configure your environment variables because the environment variables you have \
             provided contains reserved keys that are currently not supported for modification. Reserved keys used in \
             this request: {}",
            reserved.join(", ")
        )));
    }
    let is_name = |name: &str| {
        let mut bytes = name.bytes();
        name.len() > 1
            && bytes.next().is_some_and(|first| first.is_ascii_alphabetic())
            && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    };
    if let Some(name) = environment.keys().find(|name| !is_name(name)) {
        return Err(pattern("environment.variables", name, "[a-zA-Z]([a-zA-Z0-9_])+"));
    }
    if environment.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>() > MOST_ENVIRONMENT {
        return Err(invalid(format!(
            "Lambda was unable to configure your environment variables because the environment variables you have \
             provided exceeded the 4KB limit. String measured: {}",
            serde_json::to_string(environment).unwrap_or_default()
        )));
    }
    Ok(())
}

fn fetch(world: &mut World, account: &str, region: &str, source: Source) -> Result<Code, Error> {
    let code = match source {
        Source::Object(bucket, key, version) => {
            let (blob, size) = s3::stored(world, account, region, &bucket, &key, version.as_deref())
                .map_err(|error| {
                    invalid(format!(
                        "Error occurred while GetObject. S3 Error Code: {}. S3 Error Message: {}",
                        error.code, error.message
                    ))
                })?;
            Code { source: Some((bucket, key, version)), blob, size }
        }
        Source::Zip(bytes) if bytes.len() > MOST_ZIP => {
            let message =
                format!("Request must be smaller than {MOST_ZIP} bytes for the CreateFunction operation");
            return Err(Error::new(413, "RequestEntityTooLargeException", message));
        }
        Source::Zip(bytes) => Code { source: None, size: bytes.len() as u64, blob: world.put_blob(&bytes) },
    };
    archive::check(&world.blob(&code.blob).unwrap_or_default())?;
    Ok(code)
}

fn check_architecture(architecture: &str) -> Result<(), Error> {
    if matches!(architecture, "x86_64" | "arm64") {
        return Ok(());
    }
    Err(invalid(format!(
        "1 validation error detected: Value '[{architecture}]' at 'architectures' failed to satisfy constraint: Member \
         must satisfy constraint: [Member must satisfy enum value set: [x86_64, arm64], Member must not be null]"
    )))
}

fn check_name(name: &str) -> Result<(), Error> {
    let is_name = (1..=64).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    if is_name { Ok(()) } else { Err(pattern("functionName", name, "[a-zA-Z0-9-_]+")) }
}

/// Refuses what is no name of an alias; one of digits alone would be a version.
fn check_alias(name: &str) -> Result<(), Error> {
    let is_name = (1..=128).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
        && !name.bytes().all(|byte| byte.is_ascii_digit());
    if is_name { Ok(()) } else { Err(pattern("name", name, "(?!^[0-9]+$)([a-zA-Z0-9-_]+)")) }
}

fn within(name: &str, value: Option<u32>, bounds: std::ops::RangeInclusive<u32>) -> Result<(), Error> {
    let Some(value) = value.filter(|value| !bounds.contains(value)) else { return Ok(()) };
    let rule = if value < *bounds.start() {
        format!("greater than or equal to {}", bounds.start())
    } else {
        format!("less than or equal to {}", bounds.end())
    };
    Err(validation(&format!(
        "Value '{value}' at '{name}' failed to satisfy constraint: Member must have value {rule}"
    )))
}

/// The refusal of a value that does not have the right form.
pub(super) fn pattern(name: &str, value: &str, pattern: &str) -> Error {
    validation(&format!(
        "Value '{value}' at '{name}' failed to satisfy constraint: Member must satisfy regular expression pattern: {pattern}"
    ))
}

fn validation(rule: &str) -> Error {
    Error::new(400, "ValidationException", format!("1 validation error detected: {rule}"))
}

/// The refusal of a value.
pub(super) fn invalid(message: String) -> Error {
    Error::new(400, "InvalidParameterValueException", message)
}

/// The refusal of what is not there.
pub(in crate::sandbox::aws) fn not_found(arn: &str) -> Error {
    Error::new(404, "ResourceNotFoundException", format!("Function not found: {arn}"))
}
