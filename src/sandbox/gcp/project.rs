//! cloudresourcemanager.googleapis.com, v3: projects and their policies.

use serde_json::{Value as Json, json};

use super::call::Call;
use super::message::{Field, Kind};
use super::policy::{self, Owner};
use super::refusal::Refusal;
use super::service;
use crate::sandbox::{World, project_number};

/// A project that exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Project {
    pub(super) id: String,
    pub(super) number: String,
}

/// The project of this id or number.
pub(super) fn find(world: &World, text: &str) -> Option<Project> {
    let projects =
        world.accounts().gcp.iter().map(|id| Project { id: id.clone(), number: project_number(id) });
    projects.into_iter().find(|project| project.id == text || project.number == text)
}

/// The project of this id or number. Google answers 403 for one that does not exist.
pub(super) fn require(world: &World, text: &str, permission: &str) -> Result<Project, Refusal> {
    find(world, text).ok_or_else(|| {
        Refusal::denied(permission, &format!("//cloudresourcemanager.googleapis.com/projects/{text}"))
    })
}

/// Answers for `v3/projects…`.
pub(super) fn answer(
    world: &mut World,
    path: &[&str],
    verb: Option<&str>,
    call: &Call<'_>,
) -> Option<Result<Json, Refusal>> {
    Some(match (call.method.as_str(), path, verb) {
        ("GET", [], Some("search")) => search(world, call),
        ("GET", [project], None) => get(world, project, call),
        ("POST", [project], Some("getIamPolicy")) => get_policy(world, project, call),
        ("POST", [project], Some("setIamPolicy")) => set_policy(world, project, call),
        ("POST", [project], Some("testIamPermissions")) => test_permissions(world, project, call),
        _ => return None,
    })
}

/// The project, once the API that shows it is enabled in it.
fn usable(world: &World, text: &str, permission: &str) -> Result<Project, Refusal> {
    let project = require(world, text, permission)?;
    service::require(world, &project, "cloudresourcemanager.googleapis.com")?;
    Ok(project)
}

fn get(world: &World, project: &str, call: &Call<'_>) -> Result<Json, Refusal> {
    call.accepts(&[])?;
    Ok(show(&usable(world, project, "resourcemanager.projects.get")?))
}

fn search(world: &World, call: &Call<'_>) -> Result<Json, Refusal> {
    call.accepts(&["query", "pageSize", "pageToken"])?;
    let wanted = call.parameter("query").unwrap_or_default().to_owned();
    let wanted = wanted.trim_start_matches("id:").trim_start_matches("projectId:");
    let ids = world.accounts().gcp.iter().filter(|id| wanted.is_empty() || *id == wanted);
    let projects = ids.filter_map(|id| Some((id.clone(), find(world, id)?))).collect();
    Ok(call.page(projects, 500, 1000)?.reply("projects", |project| show(&project)))
}

fn show(project: &Project) -> Json {
    json!({
        "name": format!("projects/{}", project.number),
        "projectId": project.id,
        "displayName": project.id,
        "state": "ACTIVE",
        // Projects come with the stack that names them; they have no history.
        "createTime": "2026-01-01T00:00:00Z",
        "updateTime": "2026-01-01T00:00:00Z",
        "etag": format!("W/\"{}\"", &project.number[..8]),
    })
}

fn get_policy(world: &mut World, project: &str, call: &Call<'_>) -> Result<Json, Refusal> {
    static OPTIONS: [Field; 1] = [Field("requestedPolicyVersion", Kind::Int32)];
    static REQUEST: [Field; 1] = [Field("options", Kind::Message(&OPTIONS))];
    call.accepts(&[])?;
    let fields = call.fields(&REQUEST)?;
    let project = usable(world, project, "resourcemanager.projects.getIamPolicy")?;
    let version = fields.get("options").and_then(|options| options.get("requestedPolicyVersion"));
    policy::get(world, &Owner::Project(project), version.and_then(Json::as_i64))
}

fn set_policy(world: &mut World, project: &str, call: &Call<'_>) -> Result<Json, Refusal> {
    call.accepts(&[])?;
    let project = usable(world, project, "resourcemanager.projects.setIamPolicy")?;
    policy::set(world, &Owner::Project(project), call)
}

fn test_permissions(world: &World, project: &str, call: &Call<'_>) -> Result<Json, Refusal> {
    call.accepts(&[])?;
    usable(world, project, "resourcemanager.projects.get")?;
    policy::test(call)
}
