//! Lambda: functions, versions, aliases, permissions and invocations over its REST protocol.
//!
//! Absences: images, layers, event source mappings, function URLs, reserved concurrency, code signing. Nothing is executed
//! here: an invocation is handed to whoever serves the sandbox (see `invoke`, and `functions` beside the clouds).

pub(super) mod archive;
pub(super) mod change;
pub(super) mod function;
pub(super) mod invoke;
mod journal;
mod members;
pub(super) mod permission;
mod permit;
pub(super) mod queue;
mod show;

use std::collections::BTreeMap;

use base64::Engine as _;
use http::Method;
use serde_json::{Value as Json, json};

use super::error::Error;
use super::rest::{Call, answer, empty, enter, finish, nowhere};
use crate::sandbox::{Request, Response, World};
use change::{Settings, Source, Wanted, invalid, not_found};
use function::{Alias, Function, LATEST};
use permission::Permission;

/// Answers a request.
pub(super) fn handle(world: &mut World, request: &Request) -> Response {
    let answered = enter(world, request, "lambda", None).and_then(|mut call| route(&mut call));
    finish(world, answered)
}

fn route(call: &mut Call<'_>) -> Result<Response, Error> {
    permit::check(call)?;
    let (method, path) = call.target();
    let path = path.iter().map(String::as_str).collect::<Vec<_>>();
    match (&method, path.as_slice()) {
        (&Method::GET, ["2015-03-31", "functions"]) => Ok(list(call)),
        (&Method::POST, ["2015-03-31", "functions"]) => create(call),
        (&Method::GET, ["2017-03-31", "tags", arn]) => {
            let (function, _) = find(call, arn)?;
            Ok(answer(200, &json!({ "Tags": function.tags })))
        }
        (_, ["2015-03-31", "functions", name]) => whole(call, &method, name),
        (_, ["2015-03-31", "functions", name, rest @ ..]) => part(call, &method, name, rest),
        _ => Err(nowhere(call)),
    }
}

fn whole(call: &mut Call<'_>, method: &Method, name: &str) -> Result<Response, Error> {
    let (mut function, qualifier) = find(call, name)?;
    match *method {
        Method::GET => {
            look(call.world, &mut function);
            let configuration = show::configuration(call.world, &function, &qualifier)
                .ok_or_else(|| not_found(&function.qualified_arn(&qualifier)))?;
            let mut body = json!({ "Configuration": configuration, "Code": { "RepositoryType": "S3" } });
            if let Some(resolved) = function.resolve(&qualifier) {
                let code = format!(
                    "https://awslambda-{}-tasks.s3.{}.amazonaws.com/snapshots/{}/{}",
                    function.region, function.region, function.account, resolved.code.blob
                );
                body["Code"]["Location"] = json!(code);
            }
            if !function.tags.is_empty() {
                body["Tags"] = json!(function.tags);
            }
            Ok(answer(200, &body))
        }
        Method::DELETE => {
            match qualifier.parse() {
                Ok(number) => change::delete_version(call.world, &mut function, number)?,
                Err(_) => change::delete(call.world, &function),
            }
            Ok(empty(204))
        }
        _ => Err(nowhere(call)),
    }
}

fn part(call: &mut Call<'_>, method: &Method, name: &str, rest: &[&str]) -> Result<Response, Error> {
    let (mut function, qualifier) = find(call, name)?;
    match (method, rest) {
        (&Method::GET, ["configuration"]) => {
            look(call.world, &mut function);
            let shown = show::configuration(call.world, &function, &qualifier);
            shown
                .map(|shown| answer(200, &shown))
                .ok_or_else(|| not_found(&function.qualified_arn(&qualifier)))
        }
        (&Method::PUT, ["configuration"]) => {
            let body = call.json()?;
            members::check(&body, &[members::SETTINGS])?;
            members::revision(body["RevisionId"].as_str(), &function.latest.revision, "GetFunction")?;
            let settings = settings(&body)?;
            change::update_settings(call.world, &mut function, settings)?;
            shown(call, &function, 200)
        }
        (&Method::PUT, ["code"]) => {
            let body = call.json()?;
            members::check(&body, &[members::CODE, members::NEW_CODE])?;
            permit::read_code(call, &body)?;
            members::revision(body["RevisionId"].as_str(), &function.latest.revision, "GetFunction")?;
            change::update_code(call.world, &mut function, source(&body)?, architecture(&body))?;
            if body["Publish"] == json!(true) {
                function.settling = None;
                let version = change::publish(call.world, &mut function, None)?;
                return Ok(answer(200, &show::version(call.world, &function, &version)));
            }
            shown(call, &function, 200)
        }
        (&Method::GET, ["versions"]) => {
            let latest = std::iter::once(&function.latest);
            let all = latest.chain(function.versions.values());
            let all = all.map(|version| show::version(call.world, &function, version)).collect::<Vec<_>>();
            Ok(answer(200, &json!({ "Versions": all })))
        }
        (&Method::POST, ["versions"]) => publish(call, &mut function),
        (&Method::POST, ["invocations"]) => {
            look(call.world, &mut function);
            invoke::invoke(call, &function, &qualifier)
        }
        (&Method::GET, ["policy"]) => {
            let statements = function.policies.get(&qualifier).ok_or_else(|| {
                Error::new(404, "ResourceNotFoundException", "The resource you requested does not exist.")
            })?;
            let policy = json!({ "Version": "2012-10-17", "Id": "default", "Statement": statements });
            let revision = function.resolve(&qualifier).map(|resolved| resolved.revision.clone());
            Ok(answer(200, &json!({ "Policy": policy.to_string(), "RevisionId": revision })))
        }
        (&Method::POST, ["policy"]) => {
            let body = call.json()?;
            members::check(&body, &[members::PERMISSION])?;
            if let Some(found) = function.resolve(&qualifier) {
                members::revision(body["RevisionId"].as_str(), &found.revision, "GetPolicy")?;
            }
            let wanted = wanted_permission(&body, qualifier);
            let statement = permission::add_permission(call.world, &mut function, &wanted)?;
            Ok(answer(201, &json!({ "Statement": statement.to_string() })))
        }
        (&Method::DELETE, ["policy", id]) => {
            permission::remove_permission(call.world, &mut function, &qualifier, id)?;
            Ok(empty(204))
        }
        (_, ["aliases", rest @ ..]) => aliases(call, method, &mut function, rest),
        _ => Err(nowhere(call)),
    }
}

fn aliases(
    call: &mut Call<'_>,
    method: &Method,
    function: &mut Function,
    rest: &[&str],
) -> Result<Response, Error> {
    let absent = |name: &str, function: &Function| {
        let message = format!("Cannot find alias arn: {}", function.qualified_arn(name));
        Error::new(404, "ResourceNotFoundException", message)
    };
    match (method, rest) {
        (&Method::GET, []) => {
            let wanted = call.parameter("FunctionVersion");
            let all =
                function.aliases.values().filter(|alias| wanted.is_none_or(|wanted| alias.version == wanted));
            Ok(answer(
                200,
                &json!({ "Aliases": all.map(|alias| show::alias(function, alias)).collect::<Vec<_>>() }),
            ))
        }
        (&Method::POST, []) => {
            let body = call.json()?;
            members::check(&body, &[members::ALIAS])?;
            let name = body["Name"].as_str().unwrap_or_default();
            let alias = alias(&body, name, None);
            if function.aliases.contains_key(&alias.name) {
                let message = format!("Alias already exists: {}", function.qualified_arn(&alias.name));
                return Err(Error::new(409, "ResourceConflictException", message));
            }
            let alias = change::put_alias(call.world, function, alias)?;
            Ok(answer(201, &show::alias(function, &alias)))
        }
        (&Method::GET, [name]) => {
            let alias = function.aliases.get(*name).ok_or_else(|| absent(name, function))?;
            Ok(answer(200, &show::alias(function, alias)))
        }
        (&Method::PUT, [name]) => {
            let before = function.aliases.get(*name).cloned().ok_or_else(|| absent(name, function))?;
            let body = call.json()?;
            members::check(&body, &[members::ALIAS])?;
            members::revision(body["RevisionId"].as_str(), &before.revision, "GetAlias")?;
            let alias = change::put_alias(call.world, function, alias(&body, name, Some(before)))?;
            Ok(answer(200, &show::alias(function, &alias)))
        }
        (&Method::DELETE, [name]) => {
            function.aliases.remove(*name);
            function.policies.remove(*name);
            function.save(call.world);
            Ok(empty(204))
        }
        _ => Err(nowhere(call)),
    }
}

/// The function that a name, a part of an ARN or an ARN stands for, and the qualifier, from there or the query.
fn find(call: &Call<'_>, name: &str) -> Result<(Function, String), Error> {
    let (name, qualifier) = name_and_qualifier(call, name);
    let found = function::find(call.world, &call.account, &call.region, &name);
    let found = found.ok_or_else(|| {
        not_found(&format!("arn:aws:lambda:{}:{}:function:{name}", call.region, call.account))
    })?;
    Ok((found, qualifier))
}

/// A function's bare name, and the qualifier.
fn name_and_qualifier(call: &Call<'_>, name: &str) -> (String, String) {
    let mut parts = name.split(':').collect::<Vec<_>>();
    if let Some(index) = parts.iter().position(|part| *part == "function") {
        parts.drain(..=index);
    }
    let name = parts.first().copied().unwrap_or_default().to_owned();
    let qualifier = call.parameter("Qualifier").or(parts.get(1).copied()).unwrap_or_default().to_owned();
    (name, qualifier)
}

/// Counts a look at a function that is not ready yet.
fn look(world: &mut World, function: &mut Function) {
    if function.is_ready(world.now()) {
        return;
    }
    if let Some(settling) = &mut function.settling {
        settling.looks += 1;
        function.save(world);
    }
}

fn shown(call: &Call<'_>, function: &Function, status: u16) -> Result<Response, Error> {
    let shown = show::configuration(call.world, function, "").ok_or_else(|| not_found(&function.arn()))?;
    Ok(answer(status, &shown))
}

fn list(call: &Call<'_>) -> Response {
    let most =
        call.parameter("MaxItems").and_then(|text| text.parse::<usize>().ok()).unwrap_or(50).clamp(1, 50);
    let after = call.parameter("Marker").unwrap_or_default().to_owned();
    let prefix = format!("{}/{}/", call.account, call.region);
    let mut all = call.world.list::<Function>(&prefix).into_iter().map(|(_, found)| found);
    let page = all.by_ref().filter(|found| found.name > after).take(most).collect::<Vec<_>>();
    let last = page.last().map(|found| found.name.clone());
    let functions = page.iter().filter_map(|found| show::configuration(call.world, found, ""));
    let mut body = json!({ "Functions": functions.collect::<Vec<_>>() });
    if all.next().is_some() {
        body["NextMarker"] = json!(last);
    }
    answer(200, &body)
}

fn create(call: &mut Call<'_>) -> Result<Response, Error> {
    let body = call.json()?;
    members::check(&body, &[members::SETTINGS, members::NEW])?;
    members::check(&body["Code"], &[members::CODE])?;
    permit::read_code(call, &body["Code"])?;
    if body["PackageType"].as_str().is_some_and(|kind| kind != "Zip") {
        return Err(invalid("The sandbox plays functions of zips alone".to_owned()));
    }
    let wanted = Wanted {
        account: call.account.clone(),
        region: call.region.clone(),
        name: body["FunctionName"].as_str().unwrap_or_default().to_owned(),
        architecture: architecture(&body).unwrap_or_else(|| "x86_64".to_owned()),
        settings: settings(&body)?,
        source: source(&body["Code"])?,
        tags: texts(&body["Tags"]),
    };
    if wanted.settings.role.is_none() {
        return Err(invalid("Role is mandatory".to_owned()));
    }
    let mut function = change::create(call.world, wanted)?;
    if body["Publish"] == json!(true) {
        function.settling = None;
        let version = change::publish(call.world, &mut function, None)?;
        return Ok(answer(201, &show::version(call.world, &function, &version)));
    }
    shown(call, &function, 201)
}

fn publish(call: &mut Call<'_>, function: &mut Function) -> Result<Response, Error> {
    let body = call.json()?;
    members::check(&body, &[members::VERSION])?;
    members::revision(body["RevisionId"].as_str(), &function.latest.revision, "GetFunction")?;
    if let Some(wanted) = body["CodeSha256"].as_str()
        && wanted != show::digest(&function.latest.code.blob)
    {
        let message = format!(
            "CodeSHA256 ({wanted}) is different from current CodeSHA256 in $LATEST ({}). Please try again with the CodeSHA256 \
             in $LATEST.",
            show::digest(&function.latest.code.blob)
        );
        return Err(invalid(message));
    }
    let description = body["Description"].as_str().map(str::to_owned);
    let version = change::publish(call.world, function, description)?;
    Ok(answer(201, &show::version(call.world, function, &version)))
}

fn settings(body: &Json) -> Result<Settings, Error> {
    let text = |name: &str| body[name].as_str().map(str::to_owned);
    let number = |json: &Json, name: &str| match json {
        Json::Null => Ok(None),
        json => match json.as_u64().and_then(|number| u32::try_from(number).ok()) {
            Some(number) => Ok(Some(number)),
            None => Err(invalid(format!("{name} must be a whole number"))),
        },
    };
    let environment = &body["Environment"]["Variables"];
    Ok(Settings {
        description: text("Description"),
        role: text("Role"),
        runtime: text("Runtime"),
        handler: text("Handler"),
        memory_mb: number(&body["MemorySize"], "MemorySize")?,
        timeout_s: number(&body["Timeout"], "Timeout")?,
        storage_mb: number(&body["EphemeralStorage"]["Size"], "EphemeralStorage.Size")?,
        environment: environment.is_object().then(|| texts(environment)),
        log_group: body["LoggingConfig"]["LogGroup"].as_str().map(str::to_owned),
        log_format: body["LoggingConfig"]["LogFormat"].as_str().map(str::to_owned),
        tracing: body["TracingConfig"]["Mode"].as_str().map(str::to_owned),
    })
}

fn source(code: &Json) -> Result<Source, Error> {
    let text = |name: &str| code[name].as_str().map(str::to_owned);
    if let Some(zip) = code["ZipFile"].as_str() {
        let bytes = base64::engine::general_purpose::STANDARD.decode(zip);
        let bytes = bytes.map_err(|_| {
            invalid(
                "Could not unzip uploaded file. Please check your file, then try to upload again.".to_owned(),
            )
        })?;
        return Ok(Source::Zip(bytes.into()));
    }
    match (text("S3Bucket"), text("S3Key")) {
        (Some(bucket), Some(key)) => Ok(Source::Object(bucket, key, text("S3ObjectVersion"))),
        _ => Err(invalid("Please provide a source for function code.".to_owned())),
    }
}

fn architecture(body: &Json) -> Option<String> {
    body["Architectures"][0].as_str().map(str::to_owned)
}

fn alias(body: &Json, name: &str, before: Option<Alias>) -> Alias {
    let text = |field: &str| body[field].as_str().map(str::to_owned);
    let weights = body["RoutingConfig"]["AdditionalVersionWeights"].as_object().map(|weights| {
        let percent = |share: &Json| {
            let hundredths = (share.as_f64().unwrap_or_default() * 100.0).round().clamp(0.0, 100.0);
            (0..=100_u32).find(|percent| f64::from(*percent) >= hundredths).unwrap_or_default()
        };
        weights.iter().map(|(version, share)| (version.clone(), percent(share))).collect()
    });
    let before = before.unwrap_or_else(|| Alias {
        name: name.to_owned(),
        version: LATEST.to_owned(),
        description: String::new(),
        weights: BTreeMap::new(),
        revision: String::new(),
    });
    Alias {
        version: text("FunctionVersion").unwrap_or(before.version),
        description: text("Description").unwrap_or(before.description),
        weights: weights.unwrap_or(before.weights),
        ..before
    }
}

fn wanted_permission(body: &Json, qualifier: String) -> Permission {
    let text = |field: &str| body[field].as_str().map(str::to_owned);
    Permission {
        id: text("StatementId").unwrap_or_default(),
        action: text("Action").unwrap_or_default(),
        principal: text("Principal").unwrap_or_default(),
        source_arn: text("SourceArn"),
        source_account: text("SourceAccount"),
        url_auth: text("FunctionUrlAuthType"),
        qualifier,
    }
}

/// Texts by name.
fn texts(json: &Json) -> BTreeMap<String, String> {
    let pairs = json.as_object().into_iter().flatten();
    pairs.map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default().to_owned())).collect()
}
