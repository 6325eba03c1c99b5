//! API Gateway's HTTP APIs: their control plane, over its REST protocol, version 2, and their clients' side (`serve`).
//!
//! Absences: WebSocket APIs, authorizers, domain names, VPC links, models, deployments by hand (a stage that does not
//! deploy by itself serves what was deployed while it did, or nothing), imports.

mod answer;
pub(super) mod api;
pub(super) mod change;
pub(super) mod serve;

pub use answer::Waiting;
pub(super) use answer::{complete, give_up};

use std::collections::BTreeMap;

use http::Method;
use serde_json::{Value as Json, json};

use super::error::Error;
use super::rest::{Call, answer, empty, enter, finish, nowhere};
use crate::sandbox::{Request, Response, World};
use api::{Api, Cors, Integration, Route, Stage};
use change::{Wanted, absent, bad};

/// Answers a request.
pub(super) fn handle(world: &mut World, request: &Request) -> Response {
    let answered = enter(world, request, "apigateway", None).and_then(|mut call| route(&mut call));
    finish(world, answered)
}

fn route(call: &mut Call<'_>) -> Result<Response, Error> {
    let (method, path) = call.target();
    let path = path.iter().map(String::as_str).collect::<Vec<_>>();
    // One action for each verb, and the path is the resource.
    let resource =
        format!("arn:aws:apigateway:{}::/{}", call.region, path.get(1..).unwrap_or_default().join("/"));
    call.may(&format!("apigateway:{method}"), &resource)?;
    match (&method, path.as_slice()) {
        (&Method::GET, ["v2", "apis"]) => {
            let all = call.world.list::<Api>("").into_iter().map(|(_, api)| api);
            let own = all.filter(|api| api.account == call.account && api.region == call.region);
            Ok(answer(200, &json!({ "items": own.map(|api| show_api(&api)).collect::<Vec<_>>() })))
        }
        (&Method::POST, ["v2", "apis"]) => {
            let wanted = wanted(&call.json()?)?;
            let api = change::create(call.world, &call.account, &call.region, wanted)?;
            Ok(answer(201, &show_api(&api)))
        }
        (&Method::GET, ["v2", "apis", id]) => Ok(answer(200, &show_api(&find(call, id)?))),
        (&Method::DELETE, ["v2", "apis", id]) => {
            let api = find(call, id)?;
            change::delete(call.world, &api);
            Ok(empty(204))
        }
        (_, ["v2", "apis", id, kind, rest @ ..]) => {
            let api = find(call, id)?;
            match *kind {
                "stages" => stage(call, &method, api, rest),
                kind => part(call, &method, api, kind, rest),
            }
        }
        _ => Err(nowhere(call)),
    }
}

fn find(call: &Call<'_>, id: &str) -> Result<Api, Error> {
    let found = api::find(call.world, id);
    let own = found.filter(|api| api.account == call.account && api.region == call.region);
    own.ok_or_else(|| absent("API", id))
}

fn part(
    call: &mut Call<'_>,
    method: &Method,
    mut api: Api,
    kind: &str,
    rest: &[&str],
) -> Result<Response, Error> {
    let items = |items: Vec<Json>| Ok(answer(200, &json!({ "items": items })));
    match (method, kind, rest) {
        (&Method::GET, "integrations", []) => {
            items(api.integrations.values().map(show_integration).collect())
        }
        (&Method::GET, "routes", []) => items(api.routes.values().map(show_route).collect()),
        (&Method::GET, "integrations", [id]) => {
            let found = api.integrations.get(*id).ok_or_else(|| absent("Integration", id))?;
            Ok(answer(200, &show_integration(found)))
        }
        (&Method::GET, "routes", [id]) => {
            let found = api.routes.get(*id).ok_or_else(|| absent("Route", id))?;
            Ok(answer(200, &show_route(found)))
        }
        (&Method::POST, "integrations", []) => {
            let integration = integration(&call.json()?);
            Ok(answer(201, &show_integration(&change::put_integration(call.world, &mut api, integration)?)))
        }
        (&Method::POST, "routes", []) => {
            let body = call.json()?;
            let route = Route {
                id: String::new(),
                key: text(&body, "routeKey").unwrap_or_default(),
                target: text(&body, "target"),
                authorization: text(&body, "authorizationType").unwrap_or_else(|| "NONE".to_owned()),
            };
            Ok(answer(201, &show_route(&change::put_route(call.world, &mut api, route)?)))
        }
        (&Method::DELETE, "integrations", [id]) => {
            change::delete_integration(call.world, &mut api, id).map(|()| empty(204))
        }
        (&Method::DELETE, "routes", [id]) => {
            change::delete_route(call.world, &mut api, id).map(|()| empty(204))
        }
        _ => Err(nowhere(call)),
    }
}

fn stage(call: &mut Call<'_>, method: &Method, mut api: Api, rest: &[&str]) -> Result<Response, Error> {
    match (method, rest) {
        (&Method::GET, []) => {
            let all = api.stages.values().map(show_stage).collect::<Vec<_>>();
            Ok(answer(200, &json!({ "items": all })))
        }
        (&Method::GET, [name]) => {
            let found = api.stages.get(*name).ok_or_else(|| absent("Stage", name))?;
            Ok(answer(200, &show_stage(found)))
        }
        (&Method::POST, []) => {
            let body = call.json()?;
            if !body["deploymentId"].is_null() {
                return Err(bad(
                    "The sandbox plays no deployments by hand: a stage has autoDeploy, or serves nothing",
                ));
            }
            let stage = Stage {
                name: text(&body, "stageName").unwrap_or_default(),
                auto_deploy: body["autoDeploy"] == json!(true),
                deployment: None,
                description: text(&body, "description"),
                variables: texts(&body["stageVariables"]),
                default_settings: settings(&body["defaultRouteSettings"])?,
                route_settings: settings(&body["routeSettings"])?,
                created: call.world.now(),
                updated: call.world.now(),
                deployed: None,
            };
            Ok(answer(201, &show_stage(&change::put_stage(call.world, &mut api, stage, true)?)))
        }
        (&Method::DELETE, [name]) => change::delete_stage(call.world, &mut api, name).map(|()| empty(204)),
        (&Method::DELETE, [name, "routesettings", key]) => {
            change::delete_route_settings(call.world, &mut api, name, key).map(|()| empty(204))
        }
        _ => Err(nowhere(call)),
    }
}

/// Settings of routes, or of one; none where nothing is said.
fn settings<T: Default + serde::de::DeserializeOwned>(json: &Json) -> Result<T, Error> {
    if json.is_null() {
        return Ok(T::default());
    }
    serde_json::from_value(json.clone()).map_err(|error| bad(error.to_string()))
}

fn text(body: &Json, name: &str) -> Option<String> {
    body[name].as_str().map(str::to_owned)
}

fn texts(json: &Json) -> BTreeMap<String, String> {
    let pairs = json.as_object().into_iter().flatten();
    pairs.map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default().to_owned())).collect()
}

fn wanted(body: &Json) -> Result<Wanted, Error> {
    let cors = match &body["corsConfiguration"] {
        Json::Null => None,
        json => Some(serde_json::from_value::<Cors>(json.clone()).map_err(|error| bad(error.to_string()))?),
    };
    Ok(Wanted {
        name: text(body, "name").unwrap_or_default(),
        protocol: text(body, "protocolType").unwrap_or_default(),
        description: text(body, "description"),
        version: text(body, "version"),
        cors,
        endpoint_disabled: body["disableExecuteApiEndpoint"] == json!(true),
        tags: texts(&body["tags"]),
    })
}

fn integration(body: &Json) -> Integration {
    let timeout = body["timeoutInMillis"].as_u64().map(|ms| u32::try_from(ms).unwrap_or(u32::MAX));
    Integration {
        id: String::new(),
        kind: text(body, "integrationType").unwrap_or_default(),
        uri: text(body, "integrationUri").unwrap_or_default(),
        method: text(body, "integrationMethod"),
        payload_format: text(body, "payloadFormatVersion").unwrap_or_else(|| "1.0".to_owned()),
        timeout_ms: timeout.unwrap_or(30_000),
        description: text(body, "description"),
    }
}

fn show_api(api: &Api) -> Json {
    let mut json = json!({
        "apiId": api.id,
        "apiEndpoint": api.endpoint(),
        "apiKeySelectionExpression": "$request.header.x-api-key",
        "createdDate": api.created.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        "disableExecuteApiEndpoint": api.endpoint_disabled,
        "ipAddressType": "ipv4",
        "name": api.name,
        "protocolType": "HTTP",
        "routeSelectionExpression": "${request.method} ${request.path}",
        "tags": api.tags,
    });
    for (name, value) in [("description", &api.description), ("version", &api.version)] {
        if let Some(value) = value {
            json[name] = json!(value);
        }
    }
    if let Some(cors) = &api.cors {
        json["corsConfiguration"] = json!(cors);
    }
    json
}

fn show_integration(integration: &Integration) -> Json {
    let mut json = json!({
        "connectionType": "INTERNET",
        "integrationId": integration.id,
        "integrationType": integration.kind,
        "integrationUri": integration.uri,
        "payloadFormatVersion": integration.payload_format,
        "timeoutInMillis": integration.timeout_ms,
    });
    // A function is always called by POST.
    let method = integration.method.as_deref().or((integration.kind == "AWS_PROXY").then_some("POST"));
    for (name, value) in [("integrationMethod", method), ("description", integration.description.as_deref())]
    {
        if let Some(value) = value {
            json[name] = json!(value);
        }
    }
    json
}

fn show_route(route: &Route) -> Json {
    let mut json = json!({
        "apiKeyRequired": false,
        "authorizationType": route.authorization,
        "routeId": route.id,
        "routeKey": route.key,
    });
    if let Some(target) = &route.target {
        json["target"] = json!(target);
    }
    json
}

fn show_stage(stage: &Stage) -> Json {
    let time = |time: jiff::Timestamp| time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let mut json = json!({
        "autoDeploy": stage.auto_deploy,
        "createdDate": time(stage.created),
        "defaultRouteSettings": stage.default_settings,
        "lastUpdatedDate": time(stage.updated),
        "routeSettings": stage.route_settings,
        "stageName": stage.name,
        "stageVariables": stage.variables,
        "tags": {},
    });
    for (name, value) in [("deploymentId", &stage.deployment), ("description", &stage.description)] {
        if let Some(value) = value {
            json[name] = json!(value);
        }
    }
    json
}
