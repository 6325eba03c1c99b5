//! serviceusage.googleapis.com, v1: which APIs are enabled in a project, and the refusal of those that are not.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use super::call::Call;
use super::message::{Field, Kind};
use super::operation::{self, Slow};
use super::project::{self, Project};
use super::refusal::{Refusal, Status};
use crate::sandbox::World;

/// An API that a project may enable.
struct Api {
    name: &'static str,
    title: &'static str,
    /// The APIs that it needs: enabled along with it, and not to be disabled before it.
    needs: &'static [&'static str],
    /// Whether a fresh project has it. What manages projects is usable from the start; all else must be asked for.
    fresh: bool,
}

const fn api(name: &'static str, title: &'static str) -> Api {
    Api { name, title, needs: &[], fresh: false }
}

static APIS: &[Api] = &[
    api("artifactregistry.googleapis.com", "Artifact Registry API"),
    api("bigquery.googleapis.com", "BigQuery API"),
    api("cloudbuild.googleapis.com", "Cloud Build API"),
    api("cloudfunctions.googleapis.com", "Cloud Functions API"),
    api("cloudkms.googleapis.com", "Cloud Key Management Service (KMS) API"),
    Api {
        name: "cloudresourcemanager.googleapis.com",
        title: "Cloud Resource Manager API",
        needs: &[],
        fresh: true,
    },
    api("compute.googleapis.com", "Compute Engine API"),
    api("container.googleapis.com", "Kubernetes Engine API"),
    api("datastore.googleapis.com", "Cloud Datastore API"),
    api("eventarc.googleapis.com", "Eventarc API"),
    api("firebase.googleapis.com", "Firebase Management API"),
    Api { name: "firestore.googleapis.com", title: "Cloud Firestore API", needs: &[], fresh: false },
    Api {
        name: "iam.googleapis.com",
        title: "Identity and Access Management (IAM) API",
        needs: &[],
        fresh: true,
    },
    Api {
        name: "iamcredentials.googleapis.com",
        title: "IAM Service Account Credentials API",
        needs: &["iam.googleapis.com"],
        fresh: false,
    },
    api("logging.googleapis.com", "Cloud Logging API"),
    api("monitoring.googleapis.com", "Cloud Monitoring API"),
    api("pubsub.googleapis.com", "Cloud Pub/Sub API"),
    api("run.googleapis.com", "Cloud Run Admin API"),
    api("secretmanager.googleapis.com", "Secret Manager API"),
    Api { name: "serviceusage.googleapis.com", title: "Service Usage API", needs: &[], fresh: true },
    api("storage.googleapis.com", "Cloud Storage API"),
    api("sts.googleapis.com", "Security Token Service API"),
    api("vision.googleapis.com", "Cloud Vision API"),
];

/// Whether an API is enabled; its key is `PROJECT/API`. No record: as in a fresh project.
#[derive(Clone, Serialize, Deserialize)]
struct Enablement {
    enabled: bool,
}

impl Slow for Enablement {
    const TABLE: &'static str = "gcp.service";
}

/// Answers for `v1/projects/P/services…`.
pub(super) fn answer(
    world: &mut World,
    project: &str,
    path: &[&str],
    verb: Option<&str>,
    call: &Call<'_>,
) -> Option<Result<Json, Refusal>> {
    Some(match (call.method.as_str(), path, verb) {
        ("GET", [], None) => list(world, project, call),
        ("GET", [], Some("batchGet")) => batch_get(world, project, call),
        ("POST", [], Some("batchEnable")) => batch_enable(world, project, call),
        ("GET", [name], None) => get(world, project, name, call),
        ("POST", [name], Some("enable")) => enable(world, project, name, call),
        ("POST", [name], Some("disable")) => disable(world, project, name, call),
        _ => return None,
    })
}

/// Answers for `v1/operations/…`. The name of an operation that did nothing can be shown but not polled.
pub(super) fn poll(world: &mut World, id: &str, call: &Call<'_>) -> Result<Json, Refusal> {
    call.accepts(&[])?;
    if id == "noop.DONE_OPERATION" {
        return Err(Refusal::invalid("Invalid operation name: operations/noop.DONE_OPERATION"));
    }
    operation::poll(world, &format!("operations/{id}"))
}

/// Refuses calls to an API that is not enabled in the project.
pub(super) fn require(world: &World, project: &Project, name: &str) -> Result<(), Refusal> {
    if is_enabled(world, project, name) {
        return Ok(());
    }
    let title = APIS.iter().find(|api| api.name == name).map_or(name, |api| api.title);
    let number = &project.number;
    let url = format!("https://console.developers.google.com/apis/api/{name}/overview?project={number}");
    let message = format!(
        "{title} has not been used in project {number} before or it is disabled. Enable it by visiting {url} then retry. \
         If you enabled this API recently, wait a few minutes for the action to propagate to our systems and retry."
    );
    let link = json!({ "description": "Google developers console API activation", "url": url });
    let metadata = json!({
        "consumer": format!("projects/{number}"),
        "service": name,
        "serviceTitle": title,
        "activationUrl": url,
        "containerInfo": project.id,
    });
    let localized = json!({ "@type": "type.googleapis.com/google.rpc.LocalizedMessage", "locale": "en-US", "message": message });
    Err(Refusal::new(Status::PermissionDenied, message)
        .because("SERVICE_DISABLED", "googleapis.com", &metadata)
        .with(localized)
        .with(json!({ "@type": "type.googleapis.com/google.rpc.Help", "links": [link] })))
}

fn is_enabled(world: &World, project: &Project, name: &str) -> bool {
    let set = operation::look::<Enablement>(world, &key(project, name)).now;
    let fresh = || APIS.iter().any(|api| api.name == name && api.fresh);
    set.map_or_else(fresh, |it| it.enabled)
}

fn key(project: &Project, name: &str) -> String {
    format!("{}/{name}", project.id)
}

/// The API of this name. One that does not exist cannot be told from one that the caller may not see.
fn known(name: &str) -> Result<&'static Api, Refusal> {
    APIS.iter().find(|api| api.name == name).ok_or_else(|| {
        Refusal::new(
            Status::PermissionDenied,
            format!("Not found or permission denied for service(s): {name}."),
        )
        .because(
            "SERVICE_CONFIG_NOT_FOUND_OR_PERMISSION_DENIED",
            "serviceusage.googleapis.com",
            &json!({ "services": name }),
        )
    })
}

fn show(world: &World, project: &Project, api: &Api) -> Json {
    shown(project, api, is_enabled(world, project, api.name))
}

fn shown(project: &Project, api: &Api, enabled: bool) -> Json {
    json!({
        "name": format!("projects/{}/services/{}", project.number, api.name),
        "parent": format!("projects/{}", project.number),
        "config": { "name": api.name, "title": api.title },
        "state": if enabled { "ENABLED" } else { "DISABLED" },
    })
}

fn get(world: &World, project: &str, name: &str, call: &Call<'_>) -> Result<Json, Refusal> {
    call.accepts(&[])?;
    let project = project::require(world, project, "serviceusage.services.get")?;
    Ok(show(world, &project, known(name)?))
}

fn list(world: &World, project: &str, call: &Call<'_>) -> Result<Json, Refusal> {
    call.accepts(&["filter", "pageSize", "pageToken"])?;
    let project = project::require(world, project, "serviceusage.services.list")?;
    let wanted = match call.parameter("filter").unwrap_or_default() {
        "" => None,
        "state:ENABLED" => Some(true),
        "state:DISABLED" => Some(false),
        other => return Err(Refusal::field("filter", format!("Invalid filter: {other}"))),
    };
    let apis = APIS.iter().map(|api| (api.name.to_owned(), (api, is_enabled(world, &project, api.name))));
    let apis = apis.filter(|(_, (_, enabled))| wanted.is_none_or(|wanted| wanted == *enabled)).collect();
    Ok(call.page(apis, 50, 200)?.reply("services", |(api, enabled)| shown(&project, api, enabled)))
}

fn batch_get(world: &World, project: &str, call: &Call<'_>) -> Result<Json, Refusal> {
    call.accepts(&["names"])?;
    let project = project::require(world, project, "serviceusage.services.get")?;
    let names = call.parameter("names").into_iter();
    let services = names.map(|name| {
        let name = name.rsplit('/').next().unwrap_or_default();
        Ok(show(world, &project, known(name)?))
    });
    Ok(json!({ "services": services.collect::<Result<Vec<_>, Refusal>>()? }))
}

fn enable(world: &mut World, project: &str, name: &str, call: &Call<'_>) -> Result<Json, Refusal> {
    call.accepts(&[])?;
    call.fields(&[])?;
    let project = project::require(world, project, "serviceusage.services.enable")?;
    let api = known(name)?;
    let response = json!({
        "@type": "type.googleapis.com/google.api.serviceusage.v1.EnableServiceResponse",
        "service": shown(&project, api, true),
    });
    Ok(switch(world, &project, &with_needs([api]), true, response))
}

fn batch_enable(world: &mut World, project: &str, call: &Call<'_>) -> Result<Json, Refusal> {
    static REQUEST: [Field; 1] = [Field("serviceIds", Kind::List(&Kind::Text))];
    call.accepts(&[])?;
    let fields = call.fields(&REQUEST)?;
    let project = project::require(world, project, "serviceusage.services.enable")?;
    let names = fields.get("serviceIds").and_then(Json::as_array).cloned().unwrap_or_default();
    if names.is_empty() || names.len() > 20 {
        return Err(Refusal::field("service_ids", "Between 1 and 20 services can be enabled at once."));
    }
    let apis =
        names.iter().map(|name| known(name.as_str().unwrap_or_default())).collect::<Result<Vec<_>, _>>()?;
    let response = json!({
        "@type": "type.googleapis.com/google.api.serviceusage.v1.BatchEnableServicesResponse",
        "services": apis.iter().map(|api| shown(&project, api, true)).collect::<Vec<_>>(),
    });
    Ok(switch(world, &project, &with_needs(apis), true, response))
}

fn disable(world: &mut World, project: &str, name: &str, call: &Call<'_>) -> Result<Json, Refusal> {
    static REQUEST: [Field; 2] = [
        Field("disableDependentServices", Kind::Bool),
        Field(
            "checkIfServiceHasUsage",
            Kind::Enum(&["CHECK_IF_SERVICE_HAS_USAGE_UNSPECIFIED", "SKIP", "CHECK"]),
        ),
    ];
    call.accepts(&[])?;
    let fields = call.fields(&REQUEST)?;
    let project = project::require(world, project, "serviceusage.services.disable")?;
    let api = known(name)?;
    if !is_enabled(world, &project, name) {
        let message = format!("The service {name} is not enabled for consumer {}.", project.number);
        return Err(Refusal::precondition(message).because(
            "SERVICE_NOT_ENABLED",
            "serviceusage.googleapis.com",
            &json!({ "serviceNames": name }),
        ));
    }
    let dependents =
        APIS.iter().filter(|other| other.needs.contains(&name) && is_enabled(world, &project, other.name));
    let dependents: Vec<&Api> = dependents.collect();
    let all = fields.get("disableDependentServices").and_then(Json::as_bool).unwrap_or_default();
    if !dependents.is_empty() && !all {
        let names = dependents.iter().map(|api| api.name).collect::<Vec<_>>().join(",");
        return Err(Refusal::precondition(format!(
            "The service {name} is depended on by the following active service(s): {names}; Please specify \
             disable_dependent_services=true if you want to proceed with disabling all services."
        )));
    }
    let response = json!({
        "@type": "type.googleapis.com/google.api.serviceusage.v1.DisableServiceResponse",
        "service": shown(&project, api, false),
    });
    let names = dependents.iter().map(|api| api.name).chain([name]).collect();
    Ok(switch(world, &project, &names, false, response))
}

/// The APIs, and those that they need.
fn with_needs<'a>(apis: impl IntoIterator<Item = &'a Api>) -> BTreeSet<&'a str> {
    apis.into_iter().flat_map(|api| api.needs.iter().copied().chain([api.name])).collect()
}

/// Switches APIs; one operation for those that are not so already, and none if all are.
fn switch(
    world: &mut World,
    project: &Project,
    names: &BTreeSet<&str>,
    enabled: bool,
    response: Json,
) -> Json {
    let differ: Vec<&&str> =
        names.iter().filter(|name| is_enabled(world, project, name) != enabled).collect();
    if differ.is_empty() {
        return json!({ "name": "operations/noop.DONE_OPERATION", "done": true, "response": response });
    }
    let resources: Vec<String> =
        differ.iter().map(|name| format!("projects/{}/services/{name}", project.number)).collect();
    let metadata = json!({
        "@type": "type.googleapis.com/google.api.serviceusage.v1.OperationMetadata",
        "resourceNames": resources,
    });
    let prefix = format!("operations/acat.p2-{}-", project.number);
    let (operation, reply) = operation::start(world, &prefix, metadata, response);
    for name in differ {
        operation::become_(world, &key(project, name), Some(Enablement { enabled }), operation.clone());
    }
    reply
}
