//! How HTTP APIs and their parts are made, changed and deleted, by whomever it is asked.

use std::collections::BTreeMap;

use super::super::error::Error;
use super::api::{Api, Cors, Integration, Route, Stage};
use crate::sandbox::World;

const ID: &[u8] = b"abcdefghijklmnopqrstuvwxyz0123456789";
const METHODS: [&str; 8] = ["ANY", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"];

/// An API that is to be.
#[derive(Clone, Debug, Default)]
pub(in crate::sandbox::aws) struct Wanted {
    pub(in crate::sandbox::aws) name: String,
    pub(in crate::sandbox::aws) protocol: String,
    pub(in crate::sandbox::aws) description: Option<String>,
    pub(in crate::sandbox::aws) version: Option<String>,
    pub(in crate::sandbox::aws) cors: Option<Cors>,
    pub(in crate::sandbox::aws) endpoint_disabled: bool,
    pub(in crate::sandbox::aws) tags: BTreeMap<String, String>,
}

/// The refusal of a value.
pub(in crate::sandbox::aws) fn bad(message: impl Into<String>) -> Error {
    Error::new(400, "BadRequestException", message)
}

/// The refusal of what is not there.
pub(in crate::sandbox::aws) fn absent(what: &str, id: &str) -> Error {
    Error::new(404, "NotFoundException", format!("Invalid {what} identifier specified {id}"))
}

/// Makes an API.
pub(in crate::sandbox::aws) fn create(
    world: &mut World,
    account: &str,
    region: &str,
    wanted: Wanted,
) -> Result<Api, Error> {
    check(&wanted)?;
    let api = Api {
        id: world.word(10, ID),
        account: account.to_owned(),
        region: region.to_owned(),
        name: wanted.name,
        description: wanted.description,
        version: wanted.version,
        cors: wanted.cors,
        endpoint_disabled: wanted.endpoint_disabled,
        created: world.now(),
        tags: wanted.tags,
        integrations: BTreeMap::new(),
        routes: BTreeMap::new(),
        stages: BTreeMap::new(),
    };
    api.save(world);
    Ok(api)
}

/// Changes an API.
pub(in crate::sandbox::aws) fn update(world: &mut World, api: &mut Api, wanted: Wanted) -> Result<(), Error> {
    check(&wanted)?;
    api.name = wanted.name;
    api.description = wanted.description;
    api.version = wanted.version;
    api.cors = wanted.cors;
    api.endpoint_disabled = wanted.endpoint_disabled;
    api.tags = wanted.tags;
    deploy(world, api);
    Ok(())
}

fn check(wanted: &Wanted) -> Result<(), Error> {
    if wanted.protocol != "HTTP" {
        return Err(bad(format!("The sandbox plays APIs of protocol HTTP alone, not {}", wanted.protocol)));
    }
    if !(1..=128).contains(&wanted.name.chars().count()) {
        return Err(bad("Name must be between 1 and 128 characters in length"));
    }
    if wanted.description.as_ref().is_some_and(|text| text.chars().count() > 1024) {
        return Err(bad("Description must be at most 1024 characters in length"));
    }
    let Some(cors) = &wanted.cors else { return Ok(()) };
    if cors.max_age.is_some_and(|seconds| !(-1..=86_400).contains(&seconds)) {
        return Err(bad("MaxAge must be between -1 and 86400"));
    }
    if cors.allow_credentials == Some(true) && cors.allow_origins.iter().any(|origin| origin == "*") {
        return Err(bad("AllowCredentials can not be true when AllowOrigins is *"));
    }
    let is_origin =
        |origin: &String| origin == "*" || origin.starts_with("http://") || origin.starts_with("https://");
    if let Some(origin) = cors.allow_origins.iter().find(|origin| !is_origin(origin)) {
        return Err(bad(format!("Invalid origin {origin}: it must be * or begin with http:// or https://")));
    }
    let is_method = |method: &String| method == "*" || METHODS[1..].contains(&method.as_str());
    if let Some(method) = cors.allow_methods.iter().find(|method| !is_method(method)) {
        return Err(bad(format!("Invalid method {method}")));
    }
    Ok(())
}

/// Deletes an API with all that belongs to it; permissions of functions stay.
pub(in crate::sandbox::aws) fn delete(world: &mut World, api: &Api) {
    world.remove::<Api>(&api.id);
}

/// Puts an integration; one without an id is new.
pub(in crate::sandbox::aws) fn put_integration(
    world: &mut World,
    api: &mut Api,
    mut integration: Integration,
) -> Result<Integration, Error> {
    let Integration { kind, uri, payload_format, timeout_ms, .. } = &integration;
    match kind.as_str() {
        "AWS_PROXY" if function_of(uri).is_none() => {
            return Err(bad("Invalid function ARN or invalid uri"));
        }
        "HTTP_PROXY" if !uri.starts_with("http://") && !uri.starts_with("https://") => {
            return Err(bad(format!("Invalid HTTP endpoint specified for URI: {uri}")));
        }
        "AWS_PROXY" | "HTTP_PROXY" => {}
        other => {
            return Err(bad(format!(
                "Invalid integration type {other}: HTTP APIs take AWS_PROXY and HTTP_PROXY"
            )));
        }
    }
    if !matches!((kind.as_str(), payload_format.as_str()), ("AWS_PROXY", "1.0" | "2.0") | (_, "1.0")) {
        return Err(bad(format!("Invalid payload format version {payload_format}")));
    }
    if !(50..=30_000).contains(timeout_ms) {
        return Err(bad("Timeout should be between 50 ms and 30000 ms"));
    }
    if kind == "HTTP_PROXY" && integration.method.is_none() {
        return Err(bad("HttpMethod is required for HTTP_PROXY integrations"));
    }
    if integration.id.is_empty() {
        integration.id = world.word(7, ID);
    }
    api.integrations.insert(integration.id.clone(), integration.clone());
    deploy(world, api);
    Ok(integration)
}

/// The function's ARN in what an integration calls: the ARN itself, or a path that holds it.
pub(in crate::sandbox::aws) fn function_of(uri: &str) -> Option<&str> {
    let arn = match uri.split_once(":lambda:path/2015-03-31/functions/") {
        Some((_, rest)) => rest.strip_suffix("/invocations")?,
        None => uri,
    };
    (arn.starts_with("arn:aws:lambda:") && arn.contains(":function:")).then_some(arn)
}

/// Puts a route; one without an id is new.
pub(in crate::sandbox::aws) fn put_route(
    world: &mut World,
    api: &mut Api,
    mut route: Route,
) -> Result<Route, Error> {
    if route.key != "$default" {
        let valid = route
            .key
            .split_once(' ')
            .is_some_and(|(method, path)| METHODS.contains(&method) && is_path(path));
        if !valid {
            let key = &route.key;
            return Err(bad(format!(
                "The provided route key is not formatted properly for HTTP protocol. Format should be \"<HTTP METHOD> \
                 /<RESOURCE PATH>\" or \"$default\": {key}"
            )));
        }
    }
    if !matches!(route.authorization.as_str(), "NONE" | "AWS_IAM") {
        return Err(bad(format!("The sandbox does not play authorization of type {}", route.authorization)));
    }
    if api.routes.values().any(|other| other.key == route.key && other.id != route.id) {
        let message = format!("Route with key {} already exists for this API", route.key);
        return Err(Error::new(409, "ConflictException", message));
    }
    if let Some(target) = &route.target
        && api.integration(&route).is_none()
    {
        return Err(bad(format!("Invalid target {target}: there is no such integration")));
    }
    if route.id.is_empty() {
        route.id = world.word(7, ID);
    }
    api.routes.insert(route.id.clone(), route.clone());
    deploy(world, api);
    Ok(route)
}

/// `/pets/{id}/{rest+}`: a greedy part can only be the last.
fn is_path(path: &str) -> bool {
    let Some(rest) = path.strip_prefix('/') else { return false };
    let parts = rest.split('/').collect::<Vec<_>>();
    rest.is_empty()
        || parts.iter().enumerate().all(|(index, part)| {
            match part.strip_prefix('{').map(|inner| inner.strip_suffix('}')) {
                None => !part.is_empty() && !part.contains(['{', '}', ' ']),
                Some(None) => false,
                Some(Some(name)) => {
                    let (name, last) = match name.strip_suffix('+') {
                        Some(name) => (name, index + 1 == parts.len()),
                        None => (name, true),
                    };
                    let word = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
                    last && !name.is_empty() && name.bytes().all(word)
                }
            }
        })
}

/// Deletes an integration that no route calls.
pub(in crate::sandbox::aws) fn delete_integration(
    world: &mut World,
    api: &mut Api,
    id: &str,
) -> Result<(), Error> {
    let target = format!("integrations/{id}");
    if let Some(route) = api.routes.values().find(|route| route.target.as_ref() == Some(&target)) {
        let message = format!("Cannot delete Integration {id} because it is used by route {}", route.key);
        return Err(Error::new(409, "ConflictException", message));
    }
    api.integrations.remove(id).ok_or_else(|| absent("Integration", id))?;
    deploy(world, api);
    Ok(())
}

/// Deletes a route.
pub(in crate::sandbox::aws) fn delete_route(world: &mut World, api: &mut Api, id: &str) -> Result<(), Error> {
    api.routes.remove(id).ok_or_else(|| absent("Route", id))?;
    deploy(world, api);
    Ok(())
}

/// Puts a stage. The settings of routes that it has already stay beside the new ones, and all of them must have a route
/// where new ones are given (aws/serverless-application-model#1939, hashicorp/terraform-provider-aws#16094).
pub(in crate::sandbox::aws) fn put_stage(
    world: &mut World,
    api: &mut Api,
    stage: Stage,
    new: bool,
) -> Result<Stage, Error> {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let name = &stage.name;
    if name != "$default" && (!(1..=128).contains(&name.len()) || !name.bytes().all(word)) {
        return Err(bad(
            "Stage name only allows alphanumeric characters, hyphens, and underscores, or $default",
        ));
    }
    if new && api.stages.contains_key(name) {
        return Err(Error::new(409, "ConflictException", "Stage already exists"));
    }
    let before = api.stages.get(name).map(|before| before.route_settings.clone()).unwrap_or_default();
    let speaks = !stage.route_settings.is_empty();
    let settings = before.into_iter().chain(stage.route_settings.clone()).collect::<BTreeMap<_, _>>();
    let lost = settings.keys().find(|key| !api.routes.values().any(|route| route.key == **key));
    if let Some(key) = lost.filter(|_| speaks) {
        let message = format!("Unable to find Route by key {key} within the provided RouteSettings");
        return Err(Error::new(404, "NotFoundException", message));
    }
    let deployed = match api.stages.get(name) {
        Some(before) if before.auto_deploy => Some(api.to_deploy()),
        Some(before) => before.deployed.clone(),
        None => None,
    };
    let deployed = deployed.filter(|_| !stage.auto_deploy);
    let put = Stage { updated: world.now(), deployed, route_settings: settings, ..stage.clone() };
    api.stages.insert(name.clone(), put);
    deploy(world, api);
    Ok(api.stages.get(&stage.name).cloned().unwrap_or(stage))
}

/// Deletes a stage.
pub(in crate::sandbox::aws) fn delete_stage(
    world: &mut World,
    api: &mut Api,
    name: &str,
) -> Result<(), Error> {
    api.stages.remove(name).ok_or_else(|| absent("Stage", name))?;
    api.save(world);
    Ok(())
}

/// Deletes what a stage says of a route.
pub(in crate::sandbox::aws) fn delete_route_settings(
    world: &mut World,
    api: &mut Api,
    stage: &str,
    key: &str,
) -> Result<(), Error> {
    let found = api.stages.get_mut(stage).ok_or_else(|| absent("Stage", stage))?;
    found.route_settings.remove(key).ok_or_else(|| absent("Route", key))?;
    deploy(world, api);
    Ok(())
}

/// Keeps a changed API; stages that deploy by themselves get a new deployment.
fn deploy(world: &mut World, api: &mut Api) {
    let now = world.now();
    for stage in api.stages.values_mut().filter(|stage| stage.auto_deploy) {
        stage.deployment = Some(world.word(6, ID));
        stage.updated = now;
    }
    api.save(world);
}

#[cfg(test)]
mod tests {
    use super::super::api::RouteSettings;
    use super::*;
    use crate::sandbox::{Accounts, Clock};

    #[test]
    fn a_stage_serves_what_is_deployed_to_it() {
        let mut world = World::new(Clock::Fixed(jiff::Timestamp::UNIX_EPOCH), 1, Accounts::default());
        let wanted = Wanted { name: "a".to_owned(), protocol: "HTTP".to_owned(), ..Wanted::default() };
        let mut api = create(&mut world, "123456789012", "us-east-1", wanted).unwrap();
        let stage = |auto_deploy| Stage {
            name: "s".to_owned(),
            auto_deploy,
            deployment: None,
            description: None,
            variables: BTreeMap::new(),
            default_settings: RouteSettings::default(),
            route_settings: BTreeMap::new(),
            created: jiff::Timestamp::UNIX_EPOCH,
            updated: jiff::Timestamp::UNIX_EPOCH,
            deployed: None,
        };
        let route = |key: &str| Route {
            id: String::new(),
            key: key.to_owned(),
            target: None,
            authorization: "NONE".to_owned(),
        };
        let served = |api: &Api| api.clone().served("s").map(|api| api.routes.len());
        put_stage(&mut world, &mut api, stage(false), true).unwrap();
        put_route(&mut world, &mut api, route("GET /one")).unwrap();
        assert_eq!(served(&api), None, "nothing was ever deployed");
        put_stage(&mut world, &mut api, stage(true), false).unwrap();
        assert_eq!(served(&api), Some(1));
        put_stage(&mut world, &mut api, stage(false), false).unwrap();
        put_route(&mut world, &mut api, route("GET /two")).unwrap();
        assert_eq!(served(&api), Some(1), "the second is not deployed");
        put_stage(&mut world, &mut api, stage(true), false).unwrap();
        assert_eq!(served(&api), Some(2));

        // What it says of a route it keeps, until that is deleted.
        let rated = |key: &str| Stage {
            route_settings: [(key.to_owned(), RouteSettings::default())].into(),
            ..stage(true)
        };
        let kept = |api: &Api| api.stages["s"].route_settings.keys().cloned().collect::<Vec<_>>();
        let refused = put_stage(&mut world, &mut api, rated("GET /three"), false).unwrap_err();
        let message = "Unable to find Route by key GET /three within the provided RouteSettings";
        assert_eq!(
            (refused.status, refused.code.as_ref(), refused.message.as_str()),
            (404, "NotFoundException", message)
        );
        put_stage(&mut world, &mut api, rated("GET /one"), false).unwrap();
        put_stage(&mut world, &mut api, stage(true), false).unwrap();
        let one = api.routes.values().find(|route| route.key == "GET /one").unwrap().id.clone();
        delete_route(&mut world, &mut api, &one).unwrap();
        assert_eq!(kept(&api), ["GET /one"]);
        put_stage(&mut world, &mut api, rated("GET /two"), false).unwrap_err();
        delete_route_settings(&mut world, &mut api, "s", "GET /one").unwrap();
        delete_route_settings(&mut world, &mut api, "s", "GET /one").unwrap_err();
        put_stage(&mut world, &mut api, rated("GET /two"), false).unwrap();
        assert_eq!(kept(&api), ["GET /two"]);
    }
}
