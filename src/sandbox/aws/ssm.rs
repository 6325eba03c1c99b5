//! Systems Manager: parameters.
//!
//! Absences: histories, labels, policies, advanced tiers; KMS keys are named and nothing is encrypted by them.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use super::error::Error;
use super::rest::{Call, answer, enter, finish, target};
use crate::sandbox::{Record, Request, Response, World};

/// A value is no larger, in bytes.
const MOST: usize = 4096;
/// What a secret value looks like to those who do not ask for it.
const SEALED: &str = "AQICAHi";

/// A parameter, under `ACCOUNT/REGION/NAME`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Parameter {
    pub(super) account: String,
    pub(super) region: String,
    pub(super) name: String,
    /// `String`, `StringList` or `SecureString`.
    pub(super) kind: String,
    pub(super) value: String,
    pub(super) description: Option<String>,
    pub(super) pattern: Option<String>,
    pub(super) key: Option<String>,
    pub(super) version: u64,
    pub(super) modified: Timestamp,
    pub(super) tags: BTreeMap<String, String>,
}

impl Record for Parameter {
    const TABLE: &'static str = "aws.ssm.parameter";
}

/// A parameter that is to be.
#[derive(Clone, Debug, Default)]
pub(super) struct Wanted {
    pub(super) name: String,
    /// What it is of; not said, it stays.
    pub(super) kind: Option<String>,
    pub(super) value: String,
    pub(super) description: Option<String>,
    pub(super) pattern: Option<String>,
    pub(super) key: Option<String>,
    pub(super) overwrite: bool,
    pub(super) tags: BTreeMap<String, String>,
}

impl Parameter {
    fn arn(&self) -> String {
        let slash = if self.name.starts_with('/') { "" } else { "/" };
        format!("arn:aws:ssm:{}:{}:parameter{slash}{}", self.region, self.account, self.name)
    }
}

fn key(account: &str, region: &str, name: &str) -> String {
    format!("{account}/{region}/{name}")
}

/// The parameter of that name.
pub(super) fn find(world: &World, account: &str, region: &str, name: &str) -> Option<Parameter> {
    world.get(&key(account, region, name))
}

/// Puts a parameter.
pub(super) fn put(
    world: &mut World,
    account: &str,
    region: &str,
    wanted: Wanted,
) -> Result<Parameter, Error> {
    check(&wanted)?;
    let present = find(world, account, region, &wanted.name);
    if let Some(present) = &present {
        if !wanted.overwrite {
            let message = "The parameter already exists. To overwrite this value, set the overwrite option in the request \
                           to true.";
            return Err(Error::new(400, "ParameterAlreadyExists", message));
        }
        if !wanted.tags.is_empty() {
            let message = "Invalid request: tags and overwrite can't be used together. To create a parameter with tags, \
                           please remove overwrite flag. To update tags for an existing parameter, please use \
                           AddTagsToResource or RemoveTagsFromResource.";
            return Err(Error::new(400, "ValidationException", message));
        }
        if wanted.kind.as_ref().is_some_and(|kind| *kind != present.kind) {
            let message = format!("The parameter type {} cannot be changed", present.kind);
            return Err(Error::new(400, "HierarchyTypeMismatchException", message));
        }
    }
    let parameter = Parameter {
        account: account.to_owned(),
        region: region.to_owned(),
        kind: present.as_ref().map(|present| present.kind.clone()).or(wanted.kind).unwrap_or_default(),
        name: wanted.name,
        value: wanted.value,
        description: wanted.description,
        pattern: wanted.pattern,
        key: wanted.key,
        version: present.as_ref().map_or(1, |present| present.version + 1),
        modified: world.now(),
        tags: present.map_or(wanted.tags, |present| present.tags),
    };
    if parameter.kind.is_empty() {
        return Err(invalid("A parameter type is required when you create a parameter."));
    }
    world.put(&key(account, region, &parameter.name), &parameter);
    Ok(parameter)
}

fn check(wanted: &Wanted) -> Result<(), Error> {
    let name = &wanted.name;
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-/".contains(&byte);
    let reserved = ["aws", "ssm"].iter().any(|word| {
        name.trim_start_matches('/').get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word))
    });
    if reserved {
        return Err(invalid("Parameter name: can't be prefixed with \"aws\" or \"ssm\" (case-insensitive)."));
    }
    let rooted = name.starts_with('/') || !name.contains('/');
    if name.is_empty()
        || !name.bytes().all(allowed)
        || !rooted
        || name.ends_with('/')
        || name.matches('/').count() > 15
    {
        return Err(invalid(
            "Parameter name must be a fully qualified name: letters, digits and the symbols . - _ and /",
        ));
    }
    if wanted
        .kind
        .as_ref()
        .is_some_and(|kind| !["String", "StringList", "SecureString"].contains(&kind.as_str()))
    {
        return Err(Error::new(400, "UnsupportedParameterType", "The parameter type isn't supported."));
    }
    if wanted.value.is_empty() {
        return Err(invalid("Value must have length greater than or equal to 1"));
    }
    if wanted.value.len() > MOST {
        return Err(invalid(
            "Standard tier parameters support a maximum parameter value of 4096 characters.",
        ));
    }
    if let Some(pattern) = &wanted.pattern {
        let regex = regex::Regex::new(&format!("^(?:{pattern})$")).map_err(|_| {
            Error::new(
                400,
                "InvalidAllowedPatternException",
                "The request doesn't meet the regular expression requirement.",
            )
        })?;
        if !regex.is_match(&wanted.value) {
            let message = format!("Parameter value, cannot be validated against allowedPattern: {pattern}");
            return Err(Error::new(400, "ParameterPatternMismatchException", message));
        }
    }
    Ok(())
}

fn invalid(message: &str) -> Error {
    Error::new(400, "ValidationException", message)
}

/// Deletes a parameter.
pub(super) fn delete(world: &mut World, account: &str, region: &str, name: &str) -> Result<(), Error> {
    if world.remove::<Parameter>(&key(account, region, name)) { Ok(()) } else { Err(absent()) }
}

/// The refusal of what is not there.
pub(super) fn absent() -> Error {
    Error::new(400, "ParameterNotFound", "The parameter could not be found.")
}

/// Answers a request.
pub(super) fn handle(world: &mut World, request: &Request) -> Response {
    let action = target(request, "AmazonSSM.");
    let answered = enter(world, request, "ssm", None).and_then(|mut call| run(action, &mut call));
    finish(world, answered)
}

fn run(action: &str, call: &mut Call<'_>) -> Result<Response, Error> {
    let body = call.json()?;
    let text = |name: &str| body[name].as_str().map(str::to_owned);
    let (account, region) = (call.account.clone(), call.region.clone());
    permit(call, action, &body)?;
    let decrypt = body["WithDecryption"] == json!(true);
    match action {
        "PutParameter" => {
            let tags = body["Tags"].as_array().into_iter().flatten();
            let part = |tag: &Json, name: &str| tag[name].as_str().unwrap_or_default().to_owned();
            let wanted = Wanted {
                name: text("Name").unwrap_or_default(),
                kind: text("Type"),
                value: text("Value").unwrap_or_default(),
                description: text("Description"),
                pattern: text("AllowedPattern"),
                key: text("KeyId"),
                overwrite: body["Overwrite"] == json!(true),
                tags: tags.map(|tag| (part(tag, "Key"), part(tag, "Value"))).collect(),
            };
            let parameter = put(call.world, &account, &region, wanted)?;
            Ok(answer(200, &json!({ "Version": parameter.version, "Tier": "Standard" })))
        }
        "GetParameter" => {
            let found = find(call.world, &account, &region, &text("Name").unwrap_or_default());
            Ok(answer(200, &json!({ "Parameter": show(&found.ok_or_else(absent)?, decrypt) })))
        }
        "GetParameters" => {
            let names = body["Names"].as_array().into_iter().flatten().filter_map(Json::as_str);
            let (mut found, mut missing) = (Vec::new(), Vec::new());
            for name in names {
                match find(call.world, &account, &region, name) {
                    Some(parameter) => found.push(show(&parameter, decrypt)),
                    None => missing.push(name),
                }
            }
            Ok(answer(200, &json!({ "Parameters": found, "InvalidParameters": missing })))
        }
        "DeleteParameter" => {
            delete(call.world, &account, &region, &text("Name").unwrap_or_default())?;
            Ok(answer(200, &json!({})))
        }
        "DescribeParameters" => {
            let all = call.world.list::<Parameter>(&format!("{account}/{region}/"));
            let wanted = body["ParameterFilters"][0]["Values"].as_array().cloned();
            let all = all.into_iter().map(|(_, parameter)| parameter);
            let all =
                all.filter(|found| wanted.as_ref().is_none_or(|wanted| wanted.contains(&json!(found.name))));
            Ok(answer(200, &json!({ "Parameters": all.map(|found| describe(&found)).collect::<Vec<_>>() })))
        }
        _ => Err(Error::new(400, "UnknownOperationException", format!("The sandbox does not play {action}"))),
    }
}

/// Refuses a caller that may not do this to all the parameters that it names.
fn permit(call: &Call<'_>, action: &str, body: &Json) -> Result<(), Error> {
    let place = format!("arn:aws:ssm:{}:{}", call.region, call.account);
    let names = body["Names"].as_array().into_iter().flatten().chain(body.get("Name"));
    let names = names.filter_map(Json::as_str).collect::<Vec<_>>();
    if names.is_empty() {
        return call.may(&format!("ssm:{action}"), &format!("{place}:*"));
    }
    names.into_iter().try_for_each(|name| {
        let name = name.strip_prefix('/').unwrap_or(name);
        call.may(&format!("ssm:{action}"), &format!("{place}:parameter/{name}"))
    })
}

/// Seconds, as these services tell time.
fn seconds(time: Timestamp) -> Json {
    json!(time.as_second())
}

fn show(parameter: &Parameter, decrypt: bool) -> Json {
    use base64::Engine as _;
    let sealed = || {
        let bytes = format!("{} {}", parameter.arn(), parameter.version);
        format!("{SEALED}{}", base64::engine::general_purpose::STANDARD.encode(bytes))
    };
    let hidden = parameter.kind == "SecureString" && !decrypt;
    json!({
        "Name": parameter.name,
        "Type": parameter.kind,
        "Value": if hidden { sealed() } else { parameter.value.clone() },
        "Version": parameter.version,
        "LastModifiedDate": seconds(parameter.modified),
        "ARN": parameter.arn(),
        "DataType": "text",
    })
}

fn describe(parameter: &Parameter) -> Json {
    let mut json = json!({
        "Name": parameter.name,
        "ARN": parameter.arn(),
        "Type": parameter.kind,
        "LastModifiedDate": seconds(parameter.modified),
        "LastModifiedUser": format!("arn:aws:iam::{}:user/{}", parameter.account, super::Caller::USER),
        "Version": parameter.version,
        "Tier": "Standard",
        "Policies": [],
        "DataType": "text",
    });
    let all = [
        ("Description", &parameter.description),
        ("AllowedPattern", &parameter.pattern),
        ("KeyId", &parameter.key),
    ];
    for (name, value) in all {
        if let Some(value) = value {
            json[name] = json!(value);
        }
    }
    json
}
