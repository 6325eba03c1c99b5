//! firestore.googleapis.com, v1, the data: documents, by Google's REST mapping.
//!
//! Who may read and write is said by the project's policy, for every caller but the owner. Absences: queries,
//! transactions, listening, reads of the past, and the listing of collections below a document.

mod name;
mod path;
mod read;
mod transform;
mod value;
mod write;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

use super::call::Call;
use super::caller::Authenticated;
use super::policy::{self, Owner};
use super::project::{self, Project};
use super::refusal::{Refusal, Status};
use super::{database, service};
use crate::sandbox::{Record, Request, World};
use name::Place;

/// What is larger is refused before it is read.
const MAX_REQUEST: usize = 11_534_336;
/// The scope of Firestore itself.
const SCOPE: &str = "https://www.googleapis.com/auth/datastore";
/// Predefined roles that let read, the first of them write too.
const ROLES: [&str; 6] = [
    "roles/datastore.user",
    "roles/datastore.owner",
    "roles/editor",
    "roles/owner",
    "roles/datastore.viewer",
    "roles/viewer",
];
const WRITERS: usize = 4;

/// A document; its key is `PROJECT/UID OF THE DATABASE/PATH`, so that another database of the same name is empty.
#[derive(Clone, Serialize, Deserialize)]
struct Document {
    fields: Map<String, Json>,
    created: Timestamp,
    updated: Timestamp,
}

impl Record for Document {
    const TABLE: &'static str = "gcp.document";
}

/// What a request wants to do.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Access {
    Read,
    Write,
}

/// The part of a request's path behind `/v1/projects/P/databases/D/documents`, with project and database.
pub(super) fn path(request: &Request) -> Option<(&str, &str, &str)> {
    let rest = request.uri().path().strip_prefix("/v1/projects/")?;
    let (project, rest) = rest.split_once("/databases/")?;
    let (database, rest) = rest.split_once("/documents")?;
    let whole = !project.contains('/') && !database.contains('/');
    (whole && (rest.is_empty() || rest.starts_with(['/', ':']))).then_some((project, database, rest))
}

/// Answers for `/v1/projects/P/databases/D/documents…`.
pub(super) fn answer(
    world: &mut World,
    request: &Request,
    (project, database, rest): (&str, &str, &str),
    by: &Authenticated,
) -> Result<Json, Refusal> {
    let call = Call::new(request);
    if request.body().len() > MAX_REQUEST {
        return Err(Refusal::invalid(format!(
            "Request payload size exceeds the limit: {MAX_REQUEST} bytes."
        )));
    }
    let (project, database) = (name::decode(project)?, name::decode(database)?);
    let access = match (call.method.as_str(), rest) {
        ("GET", _) | ("POST", ":batchGet" | ":listCollectionIds") => Access::Read,
        _ => Access::Write,
    };
    let place = enter(world, &project, &database, access, by)?;
    let segments = name::segments(rest)?;
    let even = segments.len().is_multiple_of(2);
    match (call.method.as_str(), rest, segments.len()) {
        ("POST", ":commit", _) => write::commit(world, &place, &call),
        ("POST", ":batchGet", _) => read::batch(world, &place, &call),
        ("POST", ":listCollectionIds", _) => read::collections(world, &place, &call),
        ("GET", _, 1..) if even => read::get(world, &place, &segments, &call),
        ("GET", _, 1..) => read::list(world, &place, &segments, &call),
        ("POST", _, 1..) if !even => write::create(world, &place, &segments, &call),
        ("PATCH", _, 1..) if even => write::patch(world, &place, &segments, &call),
        ("DELETE", _, 1..) if even => write::delete(world, &place, &segments, &call),
        _ => {
            let message = format!("The requested URL {} was not found on this server.", request.uri().path());
            Err(Refusal::new(Status::NotFound, message))
        }
    }
}

/// The database, if the caller may do that to its documents.
fn enter(
    world: &World,
    project: &str,
    database: &str,
    access: Access,
    by: &Authenticated,
) -> Result<Place, Refusal> {
    by.in_scope(&[SCOPE])?;
    let denied = || Refusal::new(Status::PermissionDenied, "Missing or insufficient permissions.");
    let project = project::find(world, project).ok_or_else(denied)?;
    service::require(world, &project, "firestore.googleapis.com")?;
    let roles = if access == Access::Write { &ROLES[..WRITERS] } else { &ROLES[..] };
    let Project { id, .. } = &project;
    let resource = format!("projects/{id}/databases/{database}");
    let owner = Owner::Project(project.clone());
    if by.administers(world, Some(id)).is_err()
        && !policy::grants(world, &owner, &by.caller, roles, &resource)
    {
        return Err(denied());
    }
    let uid = database::native(world, &project, database)?;
    Ok(Place { name: resource, prefix: format!("{id}/{uid}/") })
}
