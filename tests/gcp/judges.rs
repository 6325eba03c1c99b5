//! Others' clients as judges of the sandbox.

use std::process::Command;

use mcm::sandbox::project_number;

use super::lab::sandbox;

#[tokio::test(flavor = "multi_thread")]
async fn googles_own_client_agrees() {
    let modules = ["googleapiclient", "google.oauth2", "google.api_core"];
    let Some(python) = crate::support::judges("gcp::googles_own_client_agrees", &modules) else { return };
    let (_folder, session) = sandbox(&["gcp-judged", "gcp-other"]).await;
    let script = crate::support::root().join("tests/gcp/judge.py");
    let mut judge = Command::new(python);
    let number = project_number("gcp-judged");
    judge.arg(script).args([
        &session.endpoints.gcp,
        &session.credentials.gcp_token(),
        "gcp-judged",
        &number,
        "gcp-other",
    ]);
    let judged = tokio::task::spawn_blocking(move || judge.output()).await.unwrap().unwrap();
    let (out, err) = (String::from_utf8_lossy(&judged.stdout), String::from_utf8_lossy(&judged.stderr));
    assert!(judged.status.success(), "{out}\n{err}");
}
