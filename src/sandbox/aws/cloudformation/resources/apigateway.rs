//! `AWS::ApiGatewayV2::Api`, `::Integration`, `::Route` and `::Stage`.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value as Json, json};

use super::super::super::apigateway::api::{self, Api, Cors, Integration, Route, RouteSettings, Stage};
use super::super::super::apigateway::change::{self, Wanted};
use super::super::super::error::Error;
use super::super::kind::{Failure, Kind, Made, Place, Property, Shape};
use super::{number, text};

const CORS: &[Property] = &[
    Property::new("AllowCredentials", Shape::Bool),
    Property::new("AllowHeaders", Shape::List(&Shape::Text)),
    Property::new("AllowMethods", Shape::List(&Shape::Text)),
    Property::new("AllowOrigins", Shape::List(&Shape::Text)),
    Property::new("ExposeHeaders", Shape::List(&Shape::Text)),
    Property::new("MaxAge", Shape::Number),
];

pub(super) const API: Kind = Kind {
    name: "AWS::ApiGatewayV2::Api",
    properties: &[
        Property::new("CorsConfiguration", Shape::Map(CORS)),
        Property::new("Description", Shape::Text),
        Property::new("DisableExecuteApiEndpoint", Shape::Bool),
        Property::new("Name", Shape::Text),
        Property::new("ProtocolType", Shape::Text).fixed(),
        Property::new("Tags", Shape::Texts),
        Property::new("Version", Shape::Text),
    ],
    attributes: &["ApiEndpoint", "ApiId"],
    create: create_api,
    update: update_api,
    delete: |place, physical, _| {
        let api = find(place, physical)?;
        change::delete(place.world, &api);
        Ok(())
    },
};

pub(super) const INTEGRATION: Kind = Kind {
    name: "AWS::ApiGatewayV2::Integration",
    properties: &[
        Property::new("ApiId", Shape::Text).required().fixed(),
        Property::new("ConnectionType", Shape::Text),
        Property::new("Description", Shape::Text),
        Property::new("IntegrationMethod", Shape::Text),
        Property::new("IntegrationType", Shape::Text).required(),
        Property::new("IntegrationUri", Shape::Text),
        Property::new("PayloadFormatVersion", Shape::Text),
        Property::new("TimeoutInMillis", Shape::Number),
    ],
    attributes: &["IntegrationId"],
    create: |place, properties| put_integration(place, String::new(), properties),
    update: |place, physical, _, after| put_integration(place, physical.to_owned(), after),
    delete: |place, physical, properties| {
        let mut api = parent(place, properties)?;
        change::delete_integration(place.world, &mut api, physical).map_err(failed)
    },
};

pub(super) const ROUTE: Kind = Kind {
    name: "AWS::ApiGatewayV2::Route",
    properties: &[
        Property::new("ApiId", Shape::Text).required().fixed(),
        Property::new("AuthorizationType", Shape::Text),
        Property::new("OperationName", Shape::Text),
        Property::new("RouteKey", Shape::Text).required(),
        Property::new("Target", Shape::Text),
    ],
    attributes: &["RouteId"],
    create: |place, properties| put_route(place, String::new(), properties),
    update: |place, physical, _, after| put_route(place, physical.to_owned(), after),
    delete: |place, physical, properties| {
        let mut api = parent(place, properties)?;
        change::delete_route(place.world, &mut api, physical).map_err(failed)
    },
};

const ROUTE_SETTINGS: &[Property] = &[
    Property::new("DetailedMetricsEnabled", Shape::Bool),
    Property::new("ThrottlingBurstLimit", Shape::Number),
    Property::new("ThrottlingRateLimit", Shape::Number),
];

pub(super) const STAGE: Kind = Kind {
    name: "AWS::ApiGatewayV2::Stage",
    properties: &[
        Property::new("ApiId", Shape::Text).required().fixed(),
        Property::new("AutoDeploy", Shape::Bool),
        Property::new("DefaultRouteSettings", Shape::Map(ROUTE_SETTINGS)),
        Property::new("Description", Shape::Text),
        Property::new("RouteSettings", Shape::Document),
        Property::new("StageName", Shape::Text).required().fixed(),
        Property::new("StageVariables", Shape::Texts),
        Property::new("Tags", Shape::Texts),
    ],
    attributes: &[],
    create: |place, properties| put_stage(place, properties, true),
    update: |place, _, _, after| put_stage(place, after, false),
    delete: |place, physical, properties| {
        let mut api = parent(place, properties)?;
        change::delete_stage(place.world, &mut api, physical).map_err(failed)
    },
};

fn failed(error: Error) -> Failure {
    Failure::of("AmazonApiGatewayV2", error)
}

fn find(place: &Place<'_>, id: &str) -> Result<Api, Failure> {
    let own = |api: &Api| api.account == place.site.account && api.region == place.site.region;
    api::find(place.world, id).filter(own).ok_or_else(|| failed(change::absent("API", id)))
}

/// The API that a part belongs to.
fn parent(place: &Place<'_>, properties: &Json) -> Result<Api, Failure> {
    find(place, properties["ApiId"].as_str().unwrap_or_default())
}

/// What a template writes with a capital, as API Gateway writes it.
fn lower<T: DeserializeOwned>(json: &Json) -> Result<Option<T>, Failure> {
    let Some(map) = json.as_object() else { return Ok(None) };
    let lower = |name: &str| {
        let mut letters = name.chars();
        letters
            .next()
            .map(|first| first.to_lowercase().chain(letters).collect::<String>())
            .unwrap_or_default()
    };
    let map = map.iter().map(|(name, value)| (lower(name), value.clone())).collect::<Map<_, _>>();
    let read = serde_json::from_value(Json::Object(map));
    read.map(Some).map_err(|error| Failure { code: "InvalidRequest", message: error.to_string() })
}

fn wanted(place: &Place<'_>, properties: &Json) -> Result<Wanted, Failure> {
    let cors = lower::<Cors>(&properties["CorsConfiguration"])?;
    Ok(Wanted {
        name: text(properties, "Name").unwrap_or_default(),
        protocol: text(properties, "ProtocolType").unwrap_or_default(),
        description: text(properties, "Description"),
        version: text(properties, "Version"),
        cors,
        endpoint_disabled: properties["DisableExecuteApiEndpoint"] == json!(true),
        tags: place.tags(&properties["Tags"]),
    })
}

fn create_api(place: &mut Place<'_>, properties: &Json) -> Result<Made, Failure> {
    let wanted = wanted(place, properties)?;
    let (account, region) = (&place.site.account, &place.site.region);
    let api = change::create(place.world, account, region, wanted).map_err(failed)?;
    Ok(api_made(&api))
}

fn update_api(place: &mut Place<'_>, physical: &str, _before: &Json, after: &Json) -> Result<Made, Failure> {
    let mut api = find(place, physical)?;
    let wanted = wanted(place, after)?;
    change::update(place.world, &mut api, wanted).map_err(failed)?;
    Ok(api_made(&api))
}

fn api_made(api: &Api) -> Made {
    Made::new(&api.id, &[("ApiId", &api.id), ("ApiEndpoint", &api.endpoint())])
}

fn put_integration(place: &mut Place<'_>, id: String, properties: &Json) -> Result<Made, Failure> {
    let mut api = parent(place, properties)?;
    let integration = Integration {
        id,
        kind: text(properties, "IntegrationType").unwrap_or_default(),
        uri: text(properties, "IntegrationUri").unwrap_or_default(),
        method: text(properties, "IntegrationMethod"),
        payload_format: text(properties, "PayloadFormatVersion").unwrap_or_else(|| "1.0".to_owned()),
        timeout_ms: number(properties, "TimeoutInMillis").unwrap_or(30_000),
        description: text(properties, "Description"),
    };
    let made = change::put_integration(place.world, &mut api, integration).map_err(failed)?;
    Ok(Made::new(&made.id, &[("IntegrationId", &made.id)]))
}

fn put_route(place: &mut Place<'_>, id: String, properties: &Json) -> Result<Made, Failure> {
    let mut api = parent(place, properties)?;
    let route = Route {
        id,
        key: text(properties, "RouteKey").unwrap_or_default(),
        target: text(properties, "Target"),
        authorization: text(properties, "AuthorizationType").unwrap_or_else(|| "NONE".to_owned()),
    };
    let made = change::put_route(place.world, &mut api, route).map_err(failed)?;
    Ok(Made::new(&made.id, &[("RouteId", &made.id)]))
}

fn put_stage(place: &mut Place<'_>, properties: &Json, new: bool) -> Result<Made, Failure> {
    let mut api = parent(place, properties)?;
    let name = text(properties, "StageName").unwrap_or_default();
    let old = api.stages.get(&name);
    let created = old.map_or_else(|| place.world.now(), |old| old.created);
    let deployment = old.and_then(|old| old.deployment.clone());
    let variables = properties["StageVariables"].as_object().into_iter().flatten();
    let variables =
        variables.map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default().to_owned()));
    let mut route_settings = BTreeMap::new();
    for (key, settings) in properties["RouteSettings"].as_object().into_iter().flatten() {
        route_settings.insert(key.clone(), lower::<RouteSettings>(settings)?.unwrap_or_default());
    }
    let stage = Stage {
        name,
        auto_deploy: properties["AutoDeploy"] == json!(true),
        deployment,
        description: text(properties, "Description"),
        variables: variables.collect::<BTreeMap<_, _>>(),
        default_settings: lower(&properties["DefaultRouteSettings"])?.unwrap_or_default(),
        route_settings,
        created,
        updated: place.world.now(),
        deployed: None,
    };
    let made = change::put_stage(place.world, &mut api, stage, new).map_err(failed)?;
    Ok(Made::new(&made.name, &[]))
}
