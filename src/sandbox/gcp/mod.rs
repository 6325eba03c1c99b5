//! The sandbox's GCP.

use super::{Request, Response, World};

/// Answers one request.
pub fn handle(_world: &mut World, _request: &Request) -> Response {
    Response::default()
}
