//! `AWS::Lambda::Function`, `::Version`, `::Alias` and `::Permission`.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};

use super::super::super::error::Error;
use super::super::super::lambda::change::{self, Settings, Source, Wanted};
use super::super::super::lambda::function::{self, Alias, Function};
use super::super::super::lambda::permission::{self, Permission};
use super::super::kind::{Failure, Kind, Made, Place, Property, Shape, TAGS};
use super::{number, text};

const CODE: &[Property] = &[
    Property::new("S3Bucket", Shape::Text),
    Property::new("S3Key", Shape::Text),
    Property::new("S3ObjectVersion", Shape::Text),
    Property::new("ZipFile", Shape::Text),
    Property::new("ImageUri", Shape::Text),
];

pub(super) const FUNCTION: Kind = Kind {
    name: "AWS::Lambda::Function",
    properties: &[
        Property::new("Architectures", Shape::List(&Shape::Text)),
        Property::new("Code", Shape::Map(CODE)).required(),
        Property::new("Description", Shape::Text),
        Property::new("Environment", Shape::Map(&[Property::new("Variables", Shape::Texts)])),
        Property::new("EphemeralStorage", Shape::Map(&[Property::new("Size", Shape::Number).required()])),
        Property::new("FunctionName", Shape::Text).fixed(),
        Property::new("Handler", Shape::Text),
        Property::new(
            "LoggingConfig",
            Shape::Map(&[Property::new("LogFormat", Shape::Text), Property::new("LogGroup", Shape::Text)]),
        ),
        Property::new("MemorySize", Shape::Number),
        Property::new("PackageType", Shape::Text).fixed(),
        Property::new("Role", Shape::Text).required(),
        Property::new("Runtime", Shape::Text),
        TAGS,
        Property::new("Timeout", Shape::Number),
        Property::new("TracingConfig", Shape::Map(&[Property::new("Mode", Shape::Text)])),
    ],
    attributes: &["Arn"],
    create: create_function,
    update: update_function,
    delete: delete_function,
};

pub(super) const VERSION: Kind = Kind {
    name: "AWS::Lambda::Version",
    properties: &[
        Property::new("CodeSha256", Shape::Text).fixed(),
        Property::new("Description", Shape::Text).fixed(),
        Property::new("FunctionName", Shape::Text).required().fixed(),
    ],
    attributes: &["FunctionArn", "Version"],
    create: create_version,
    update: |place, physical, _, after| version_made(&find(place, &after["FunctionName"])?, physical),
    delete: delete_version,
};

pub(super) const ALIAS: Kind = Kind {
    name: "AWS::Lambda::Alias",
    properties: &[
        Property::new("Description", Shape::Text),
        Property::new("FunctionName", Shape::Text).required().fixed(),
        Property::new("FunctionVersion", Shape::Text).required(),
        Property::new("Name", Shape::Text).required().fixed(),
    ],
    attributes: &["AliasArn"],
    create: create_alias,
    update: |place, _, _, after| {
        let function = find(place, &after["FunctionName"])?;
        put_alias(place, function, after)
    },
    delete: delete_alias,
};

pub(super) const PERMISSION: Kind = Kind {
    name: "AWS::Lambda::Permission",
    properties: &[
        Property::new("Action", Shape::Text).required().fixed(),
        Property::new("FunctionName", Shape::Text).required().fixed(),
        Property::new("FunctionUrlAuthType", Shape::Text).fixed(),
        Property::new("Principal", Shape::Text).required().fixed(),
        Property::new("SourceAccount", Shape::Text).fixed(),
        Property::new("SourceArn", Shape::Text).fixed(),
    ],
    attributes: &["Id"],
    create: create_permission,
    update: |_, physical, _, _| Ok(Made::new(physical, &[("Id", physical)])),
    delete: delete_permission,
};

fn failed(error: Error) -> Failure {
    Failure::of("Lambda", error)
}

fn create_function(place: &mut Place<'_>, properties: &Json) -> Result<Made, Failure> {
    let name = text(properties, "FunctionName").unwrap_or_else(|| place.generated(64));
    let wanted = Wanted {
        account: place.site.account.clone(),
        region: place.site.region.clone(),
        name,
        architecture: architecture(properties)?,
        settings: settings(properties, None),
        source: source(properties)?,
        tags: place.tags(&properties["Tags"]),
    };
    let mut function = change::create(place.world, wanted).map_err(failed)?;
    settle(place, &mut function);
    Ok(function_made(&function))
}

fn update_function(
    place: &mut Place<'_>,
    physical: &str,
    before: &Json,
    after: &Json,
) -> Result<Made, Failure> {
    let mut function = find(place, &json!(physical))?;
    let unshaped = |properties: &Json| {
        let mut rest = properties.clone();
        for name in ["Code", "Architectures", "Tags"] {
            rest.as_object_mut().map(|map| map.remove(name));
        }
        rest
    };
    if before["Code"] != after["Code"] || before["Architectures"] != after["Architectures"] {
        let (source, architecture) = (source(after)?, architecture(after)?);
        change::update_code(place.world, &mut function, source, Some(architecture)).map_err(failed)?;
        settle(place, &mut function);
    }
    if unshaped(before) != unshaped(after) {
        let settings = settings(after, Some(&function.name));
        change::update_settings(place.world, &mut function, settings).map_err(failed)?;
        settle(place, &mut function);
    }
    function.tags = place.tags(&after["Tags"]);
    function.save(place.world);
    Ok(function_made(&function))
}

fn delete_function(place: &mut Place<'_>, physical: &str, _properties: &Json) -> Result<(), Failure> {
    let function = find(place, &json!(physical))?;
    change::delete(place.world, &function);
    Ok(())
}

/// The stack waits until the function is ready.
fn settle(place: &mut Place<'_>, function: &mut Function) {
    function.settling = None;
    function.save(place.world);
}

fn function_made(function: &Function) -> Made {
    Made::new(&function.name, &[("Arn", &function.arn())])
}

/// The function that a name or an ARN stands for.
fn find(place: &Place<'_>, name: &Json) -> Result<Function, Failure> {
    let name = name.as_str().unwrap_or_default();
    let (site, world) = (place.site, &*place.world);
    let found = if name.starts_with("arn:") {
        function::by_arn(world, name).map(|(function, _)| function)
    } else {
        function::find(world, &site.account, &site.region, name.split(':').next().unwrap_or_default())
    };
    found.ok_or_else(|| {
        let arn = if name.starts_with("arn:") {
            name.to_owned()
        } else {
            format!("arn:aws:lambda:{}:{}:function:{name}", site.region, site.account)
        };
        failed(change::not_found(&arn))
    })
}

/// The qualifier of `NAME:QUALIFIER` or of an ARN.
fn qualifier(name: &Json) -> String {
    let parts = name.as_str().unwrap_or_default().split(':').collect::<Vec<_>>();
    let index = if parts.first() == Some(&"arn") { 7 } else { 1 };
    parts.get(index).map(|part| (*part).to_owned()).unwrap_or_default()
}

/// The settings that a function is to have; with a name, what is not said takes its default.
fn settings(properties: &Json, name: Option<&str>) -> Settings {
    let or = |value: Option<String>, default: &str| value.or_else(|| name.map(|_| default.to_owned()));
    let or_number = |value: Option<u32>, default: u32| value.or_else(|| name.map(|_| default));
    let variables = properties["Environment"]["Variables"].as_object();
    let environment = variables.map(|variables| {
        let variables = variables.iter();
        variables.map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default().to_owned())).collect()
    });
    let group = name.map_or_else(String::new, |name| format!("/aws/lambda/{name}"));
    Settings {
        description: or(text(properties, "Description"), ""),
        role: text(properties, "Role"),
        runtime: text(properties, "Runtime"),
        handler: text(properties, "Handler"),
        memory_mb: or_number(number(properties, "MemorySize"), 128),
        timeout_s: or_number(number(properties, "Timeout"), 3),
        storage_mb: or_number(number(&properties["EphemeralStorage"], "Size"), 512),
        environment: environment.or_else(|| name.map(|_| BTreeMap::new())),
        log_group: or(text(&properties["LoggingConfig"], "LogGroup"), &group),
        log_format: or(text(&properties["LoggingConfig"], "LogFormat"), "Text"),
        tracing: or(text(&properties["TracingConfig"], "Mode"), "PassThrough"),
    }
}

fn architecture(properties: &Json) -> Result<String, Failure> {
    match properties["Architectures"].as_array().map(Vec::as_slice) {
        None | Some([]) => Ok("x86_64".to_owned()),
        Some([one]) => Ok(one.as_str().unwrap_or_default().to_owned()),
        Some(_) => Err(Failure {
            code: "InvalidRequest",
            message: "Architectures: expected at most 1 items".to_owned(),
        }),
    }
}

fn source(properties: &Json) -> Result<Source, Failure> {
    let code = &properties["Code"];
    match (text(code, "S3Bucket"), text(code, "S3Key")) {
        (Some(bucket), Some(key)) => Ok(Source::Object(bucket, key, text(code, "S3ObjectVersion"))),
        _ => Err(Failure {
            code: "InvalidRequest",
            message: "The sandbox takes code from S3 alone: Code needs S3Bucket and S3Key".to_owned(),
        }),
    }
}

fn create_version(place: &mut Place<'_>, properties: &Json) -> Result<Made, Failure> {
    let mut function = find(place, &properties["FunctionName"])?;
    let last = function.next_version;
    let version =
        change::publish(place.world, &mut function, text(properties, "Description")).map_err(failed)?;
    if function.next_version == last {
        // CloudFormation will not own a version that something else has published.
        let message = format!(
            "A version for this Lambda function exists ( {} ). Modify the function to create a new version.",
            version.version
        );
        return Err(Failure { code: "AlreadyExists", message });
    }
    version_made(&function, &function.qualified_arn(&version.version))
}

fn version_made(function: &Function, physical: &str) -> Result<Made, Failure> {
    let number = physical.rsplit(':').next().unwrap_or_default();
    if function.resolve(number).is_none() {
        return Err(failed(change::not_found(physical)));
    }
    Ok(Made::new(physical, &[("FunctionArn", physical), ("Version", number)]))
}

fn delete_version(place: &mut Place<'_>, physical: &str, properties: &Json) -> Result<(), Failure> {
    let mut function = find(place, &properties["FunctionName"])?;
    let number = physical.rsplit(':').next().and_then(|number| number.parse().ok()).unwrap_or_default();
    change::delete_version(place.world, &mut function, number).map_err(failed)
}

fn create_alias(place: &mut Place<'_>, properties: &Json) -> Result<Made, Failure> {
    let function = find(place, &properties["FunctionName"])?;
    let name = text(properties, "Name").unwrap_or_default();
    if function.aliases.contains_key(&name) {
        let message = format!("Alias already exists: {}", function.qualified_arn(&name));
        return Err(Failure { code: "AlreadyExists", message });
    }
    put_alias(place, function, properties)
}

fn put_alias(place: &mut Place<'_>, mut function: Function, properties: &Json) -> Result<Made, Failure> {
    let alias = Alias {
        name: text(properties, "Name").unwrap_or_default(),
        version: text(properties, "FunctionVersion").unwrap_or_default(),
        description: text(properties, "Description").unwrap_or_default(),
        weights: BTreeMap::new(),
        revision: String::new(),
    };
    let alias = change::put_alias(place.world, &mut function, alias).map_err(failed)?;
    let arn = function.qualified_arn(&alias.name);
    Ok(Made::new(&arn, &[("AliasArn", &arn)]))
}

fn delete_alias(place: &mut Place<'_>, physical: &str, properties: &Json) -> Result<(), Failure> {
    let mut function = find(place, &properties["FunctionName"])?;
    let name = physical.rsplit(':').next().unwrap_or_default();
    function.aliases.remove(name);
    function.policies.remove(name);
    function.save(place.world);
    Ok(())
}

fn create_permission(place: &mut Place<'_>, properties: &Json) -> Result<Made, Failure> {
    let mut function = find(place, &properties["FunctionName"])?;
    let wanted = Permission {
        id: place.generated(100),
        action: text(properties, "Action").unwrap_or_default(),
        principal: text(properties, "Principal").unwrap_or_default(),
        source_arn: text(properties, "SourceArn"),
        source_account: text(properties, "SourceAccount"),
        url_auth: text(properties, "FunctionUrlAuthType"),
        qualifier: qualifier(&properties["FunctionName"]),
    };
    permission::add_permission(place.world, &mut function, &wanted).map_err(failed)?;
    Ok(Made::new(&wanted.id, &[("Id", &wanted.id)]))
}

fn delete_permission(place: &mut Place<'_>, physical: &str, properties: &Json) -> Result<(), Failure> {
    let mut function = find(place, &properties["FunctionName"])?;
    let qualifier = qualifier(&properties["FunctionName"]);
    permission::remove_permission(place.world, &mut function, &qualifier, physical).map_err(failed)
}
