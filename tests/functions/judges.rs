//! Functions, as AWS's own library for Python finds them.

use std::process::Command;

use super::{ACCOUNT, Scene, archive, bootstrap};
use crate::support::{judges, root};

#[tokio::test(flavor = "multi_thread")]
async fn boto3_finds_functions_here() {
    let Some(python) = judges("functions::boto3_finds_functions_here", &["boto3", "requests"]) else {
        return;
    };
    let scene = Scene::new().await;
    let endpoint = scene.session.endpoints.aws.clone();
    let (id, secret) = scene.session.credentials.aws_keys(ACCOUNT);
    let judged = tokio::task::spawn_blocking(move || {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("function.zip");
        std::fs::write(&file, archive(&bootstrap(), 0o755)).unwrap();
        let architecture = if cfg!(target_arch = "aarch64") { "arm64" } else { "x86_64" };
        let mut judge = Command::new(python);
        judge.arg(root().join("tests/functions/judge.py")).args([&endpoint, &id, &secret]).arg(file);
        judge.arg(architecture).env("AWS_EC2_METADATA_DISABLED", "true").output().unwrap()
    });
    let judged = judged.await.unwrap();
    let (out, err) = (String::from_utf8_lossy(&judged.stdout), String::from_utf8_lossy(&judged.stderr));
    assert!(judged.status.success() && out.trim() == "ok", "{out}\n{err}");
    scene.session.close().await;
}
