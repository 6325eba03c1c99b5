//! No process of a function outlives its sandbox, however that ends.

use std::process::{Command, Stdio};

use mcm::sandbox::Credentials;
use serde_json::{Value as Json, json};

use super::{ACCOUNT, archive, bootstrap, eventually, form, function, trust};
use crate::support::sign::Signer;

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn a_killed_sandbox_leaves_no_process_behind() {
    for signal in ["KILL", "INT"] {
        let folder = tempfile::tempdir().unwrap();
        let mut sandbox = Command::new(env!("CARGO_BIN_EXE_mcm"))
            .args(["sandbox", "serve", "--data"])
            .arg(folder.path())
            .current_dir(folder.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let endpoint = eventually(async || {
            let described = std::fs::read(folder.path().join("server.json")).ok()?;
            let described: Json = serde_json::from_slice(&described).ok()?;
            Some(described["endpoints"]["aws"].as_str()?.to_owned())
        })
        .await;
        let aws = Signer::at(&endpoint, &Credentials::of(folder.path()).unwrap(), ACCOUNT);
        let trust = trust("lambda.amazonaws.com");
        let role = form(&[
            ("Action", "CreateRole"),
            ("Version", "2010-05-08"),
            ("RoleName", "runner"),
            ("AssumeRolePolicyDocument", &trust),
        ]);
        let kind = [("content-type", "application/x-www-form-urlencoded")];
        aws.send("iam", "POST", "/", &kind, role).await.good();
        function(&aws, "idle", &archive(&bootstrap(), 0o755), &json!({})).await;
        function(&aws, "busy", &archive(&bootstrap(), 0o755), &json!({ "Timeout": 900 })).await;
        let invoke = |name: &str| format!("/2015-03-31/functions/{name}/invocations");
        aws.send("lambda", "POST", &invoke("idle"), &[], "{}").await.good();
        let event = [("x-amz-invocation-type", "Event")];
        aws.send("lambda", "POST", &invoke("busy"), &event, r#"{"do":"sleep"}"#).await.good();
        let ours = folder.path().join("functions");
        let running = || {
            let all = std::fs::read_dir("/proc").unwrap().filter_map(Result::ok);
            let theirs = all.filter(|entry| {
                std::fs::read_link(entry.path().join("cwd")).is_ok_and(|folder| folder.starts_with(&ours))
            });
            theirs.count()
        };
        // Each is two: the function, and the watcher of its lifeline.
        eventually(async || (running() == 4).then_some(())).await;
        let killed = Command::new("kill").args([&format!("-{signal}"), &sandbox.id().to_string()]).status();
        assert!(killed.unwrap().success());
        sandbox.wait().unwrap();
        eventually(async || (running() == 0).then_some(())).await;
    }
}
