//! What API Gateway keeps of HTTP APIs.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::sandbox::{Record, World};

/// An HTTP API with all that belongs to it, under its id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::sandbox::aws) struct Api {
    /// Ten letters and digits; unique in the whole world.
    pub(in crate::sandbox::aws) id: String,
    pub(in crate::sandbox::aws) account: String,
    pub(in crate::sandbox::aws) region: String,
    /// Not unique.
    pub(in crate::sandbox::aws) name: String,
    pub(in crate::sandbox::aws) description: Option<String>,
    pub(in crate::sandbox::aws) version: Option<String>,
    pub(in crate::sandbox::aws) cors: Option<Cors>,
    /// Whether `https://ID.execute-api.…` answers nothing.
    pub(in crate::sandbox::aws) endpoint_disabled: bool,
    pub(in crate::sandbox::aws) created: Timestamp,
    pub(in crate::sandbox::aws) tags: BTreeMap<String, String>,
    /// By id.
    pub(in crate::sandbox::aws) integrations: BTreeMap<String, Integration>,
    /// By id.
    pub(in crate::sandbox::aws) routes: BTreeMap<String, Route>,
    /// By name.
    pub(in crate::sandbox::aws) stages: BTreeMap<String, Stage>,
}

impl Record for Api {
    const TABLE: &'static str = "aws.apigateway.api";
}

/// Who may call from a page of another origin.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(in crate::sandbox::aws) struct Cors {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(in crate::sandbox::aws) allow_origins: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(in crate::sandbox::aws) allow_methods: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(in crate::sandbox::aws) allow_headers: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(in crate::sandbox::aws) expose_headers: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::sandbox::aws) allow_credentials: Option<bool>,
    /// Seconds; -1 says that nothing may be kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::sandbox::aws) max_age: Option<i32>,
}

/// What a route calls: a function by `AWS_PROXY`, or an address by `HTTP_PROXY`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::sandbox::aws) struct Integration {
    pub(in crate::sandbox::aws) id: String,
    pub(in crate::sandbox::aws) kind: String,
    /// A function's ARN (of a version or an alias also), or a URL.
    pub(in crate::sandbox::aws) uri: String,
    pub(in crate::sandbox::aws) method: Option<String>,
    /// `1.0` or `2.0`.
    pub(in crate::sandbox::aws) payload_format: String,
    pub(in crate::sandbox::aws) timeout_ms: u32,
    pub(in crate::sandbox::aws) description: Option<String>,
}

/// Which requests go where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::sandbox::aws) struct Route {
    pub(in crate::sandbox::aws) id: String,
    /// `GET /pets/{id}`, `ANY /{proxy+}`, or `$default`.
    pub(in crate::sandbox::aws) key: String,
    /// `integrations/ID`.
    pub(in crate::sandbox::aws) target: Option<String>,
    /// `NONE` or `AWS_IAM`.
    pub(in crate::sandbox::aws) authorization: String,
}

/// A stage: what is called, under its name or at the root if it is `$default`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::sandbox::aws) struct Stage {
    pub(in crate::sandbox::aws) name: String,
    /// Whether every change of the API is deployed at once.
    pub(in crate::sandbox::aws) auto_deploy: bool,
    pub(in crate::sandbox::aws) deployment: Option<String>,
    pub(in crate::sandbox::aws) description: Option<String>,
    pub(in crate::sandbox::aws) variables: BTreeMap<String, String>,
    #[serde(default)]
    pub(in crate::sandbox::aws) default_settings: RouteSettings,
    /// By route key. They outlast the route, and an update that does not speak of them.
    #[serde(default)]
    pub(in crate::sandbox::aws) route_settings: BTreeMap<String, RouteSettings>,
    pub(in crate::sandbox::aws) created: Timestamp,
    pub(in crate::sandbox::aws) updated: Timestamp,
    /// What it serves where it does not deploy by itself: the API as it was when it still did. Without it, nothing.
    #[serde(default)]
    pub(in crate::sandbox::aws) deployed: Option<Deployed>,
}

/// What a stage says of a route, or of those that it says nothing of. Not played: what only WebSocket APIs know.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(in crate::sandbox::aws) struct RouteSettings {
    detailed_metrics_enabled: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    throttling_burst_limit: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    throttling_rate_limit: Option<serde_json::Number>,
}

/// What is deployed of an API.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::sandbox::aws) struct Deployed {
    pub(in crate::sandbox::aws) cors: Option<Cors>,
    pub(in crate::sandbox::aws) integrations: BTreeMap<String, Integration>,
    pub(in crate::sandbox::aws) routes: BTreeMap<String, Route>,
}

impl Api {
    /// What would be deployed now.
    pub(in crate::sandbox::aws) fn to_deploy(&self) -> Deployed {
        Deployed {
            cors: self.cors.clone(),
            integrations: self.integrations.clone(),
            routes: self.routes.clone(),
        }
    }

    /// The API as a stage serves it; `None` where nothing was ever deployed to it. "You must deploy an API for changes to
    /// take effect", unless the stage does so by itself.
    pub(in crate::sandbox::aws) fn served(self, stage: &str) -> Option<Self> {
        let stage = self.stages.get(stage)?;
        if stage.auto_deploy {
            return Some(self);
        }
        let Deployed { cors, integrations, routes } = stage.deployed.clone()?;
        Some(Self { cors, integrations, routes, ..self })
    }

    /// `https://ID.execute-api.REGION.amazonaws.com`.
    pub(in crate::sandbox::aws) fn endpoint(&self) -> String {
        format!("https://{}.execute-api.{}.amazonaws.com", self.id, self.region)
    }

    /// The integration that a route's target names.
    pub(in crate::sandbox::aws) fn integration(&self, route: &Route) -> Option<&Integration> {
        self.integrations.get(route.target.as_deref()?.strip_prefix("integrations/")?)
    }

    /// Keeps it.
    pub(in crate::sandbox::aws) fn save(&self, world: &mut World) {
        world.put(&self.id, self);
    }
}

/// The API of that id, whoever's it is.
pub(in crate::sandbox::aws) fn find(world: &World, id: &str) -> Option<Api> {
    world.get(id)
}
