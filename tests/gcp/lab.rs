//! A sandbox, and what reaches it.

use std::time::Duration;

use mcm::model::Secret;
use mcm::provider::{Access, GcpAccess};
use mcm::sandbox::{Accounts, Options, Session};
use tempfile::TempDir;

/// A sandbox that plays these projects, for as long as the folder lives.
pub async fn sandbox(projects: &[&str]) -> (TempDir, Session) {
    let folder = tempfile::tempdir().unwrap();
    let accounts =
        Accounts { gcp: projects.iter().map(|&id| id.to_owned()).collect(), ..Accounts::default() };
    let data = folder.path().join("sandbox");
    let session =
        Session::open(Options { data, port: None, latency: Duration::ZERO, accounts }).await.unwrap();
    (folder, session)
}

/// Google Cloud at an endpoint, with a token.
pub fn access(endpoint: &str, token: &str) -> Access {
    let gcp = GcpAccess { endpoint: Some(endpoint.to_owned()), token: Some(Secret::new(token)), dial: None };
    Access { gcp, ..Access::default() }
}
