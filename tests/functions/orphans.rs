//! No process of a function outlives its sandbox, however that ends, nor does what it has started.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use mcm::sandbox::Credentials;
use serde_json::{Value as Json, json};

use super::{ACCOUNT, archive, attach, bootstrap, eventually, form, function, logs, trust};
use crate::support::sign::Signer;

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn a_killed_sandbox_leaves_no_process_behind() {
    for signal in ["KILL", "INT"] {
        let folder = tempfile::tempdir().unwrap();
        let serve = format!("exec '{}' sandbox serve --data \"$PWD\"", env!("CARGO_BIN_EXE_mcm"));
        let (mut sandbox, aws) = serve_with_role(&serve, folder.path()).await;
        function(&aws, "idle", &archive(&bootstrap(), 0o755), &json!({})).await;
        function(&aws, "busy", &archive(&bootstrap(), 0o755), &json!({ "Timeout": 900 })).await;
        let stubborn = |timeout: u32| json!({ "Timeout": timeout, "Environment": { "Variables": { "INIT": "stubborn" } } });
        function(&aws, "stray", &archive(&bootstrap(), 0o755), &stubborn(900)).await;
        function(&aws, "brief", &archive(&bootstrap(), 0o755), &stubborn(1)).await;
        let invoke = |name: &str| format!("/2015-03-31/functions/{name}/invocations");
        aws.send("lambda", "POST", &invoke("idle"), &[], "{}").await.good();
        let event = [("x-amz-invocation-type", "Event")];
        aws.send("lambda", "POST", &invoke("busy"), &event, r#"{"do":"sleep"}"#).await.good();
        // A function whose time is over takes with it what it has started.
        let told = aws.send("lambda", "POST", &invoke("brief"), &[], r#"{"do":"stray"}"#).await.json();
        assert_eq!(told["errorType"], "Sandbox.Timedout", "{told}");
        aws.send("lambda", "POST", &invoke("stray"), &event, r#"{"do":"stray"}"#).await.good();
        let ours = folder.path().join("functions");
        let running = || {
            let all = std::fs::read_dir("/proc").unwrap().filter_map(Result::ok);
            let theirs = all.filter(|entry| {
                std::fs::read_link(entry.path().join("cwd")).is_ok_and(|folder| folder.starts_with(&ours))
            });
            theirs.count()
        };
        // Two that behave, and one with a child in a session of its own.
        eventually(async || (running() == 4).then_some(())).await;
        let killed = Command::new("kill").args([&format!("-{signal}"), &sandbox.id().to_string()]).status();
        assert!(killed.unwrap().success());
        sandbox.wait().unwrap();
        eventually(async || (running() == 0).then_some(())).await;
    }
}

/// Serves a sandbox from a folder by a command of the shell, with a role for functions.
async fn serve_with_role(command: &str, folder: &Path) -> (Child, Signer) {
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", command]).current_dir(folder).stdout(Stdio::null()).stderr(Stdio::null());
    let sandbox = shell.spawn().unwrap();
    let endpoint = eventually(async || {
        let described = std::fs::read(folder.join("server.json")).ok()?;
        let described: Json = serde_json::from_slice(&described).ok()?;
        // One that was killed leaves its own behind.
        (described["process"] == sandbox.id()).then_some(())?;
        Some(described["endpoints"]["aws"].as_str()?.to_owned())
    })
    .await;
    let aws = Signer::at(&endpoint, &Credentials::of(folder).unwrap(), ACCOUNT);
    let trust = trust("lambda.amazonaws.com");
    let role = form(&[
        ("Action", "CreateRole"),
        ("Version", "2010-05-08"),
        ("RoleName", "runner"),
        ("AssumeRolePolicyDocument", &trust),
    ]);
    let kind = [("content-type", "application/x-www-form-urlencoded")];
    for call in [role, attach("AttachRolePolicy", "runner")] {
        aws.send("iam", "POST", "/", &kind, call).await;
    }
    (sandbox, aws)
}

/// An event whose outcome cannot be written is not run again for that; a next sandbox, which does not know of it, does.
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn an_event_is_not_run_again_because_the_disk_is_full() {
    let folder = tempfile::tempdir().unwrap();
    let tally = folder.path().join("tally");
    let runs = || std::fs::metadata(&tally).map_or(0, |file| file.len());
    let serve = format!("'{}' sandbox serve --data \"$PWD\"", env!("CARGO_BIN_EXE_mcm"));
    // No file grows beyond two megabytes: the event still has a place in the log, what came of it has none.
    let full = format!("ulimit -f 4096; trap '' XFSZ; exec {serve}");
    let (mut sandbox, aws) = serve_with_role(&full, folder.path()).await;
    let settings = json!({ "Environment": { "Variables": { "TALLY": tally } } });
    function(&aws, "loud", &archive(&bootstrap(), 0o755), &settings).await;
    let event = json!({ "do": "flood", "more": "x".repeat(1_000_000) }).to_string();
    let kind = [("x-amz-invocation-type", "Event")];
    let path = "/2015-03-31/functions/loud/invocations";
    aws.send("lambda", "POST", path, &kind, event).await.good();
    eventually(async || (runs() > 0).then_some(())).await;
    // It took less than a tenth of a second from one run to the next.
    tokio::time::sleep(std::time::Duration::from_millis(800)).await;
    assert_eq!(runs(), 1);
    sandbox.kill().unwrap();
    sandbox.wait().unwrap();
    let (mut sandbox, aws) = serve_with_role(&format!("exec {serve}"), folder.path()).await;
    let group = json!({ "logGroupName": "/aws/lambda/loud", "filterPattern": "REPORT" });
    eventually(async || {
        let found = logs(&aws, "FilterLogEvents", &group).await.json();
        (found["events"].as_array().map(Vec::len) == Some(1)).then_some(())
    })
    .await;
    assert_eq!(runs(), 2);
    sandbox.kill().unwrap();
    sandbox.wait().unwrap();
}
