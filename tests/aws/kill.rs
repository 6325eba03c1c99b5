//! A sandbox killed at any moment keeps what it has answered.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use aws_sdk_iam::config::{BehaviorVersion, Credentials, Region};
use mcm::sandbox::{Accounts, Endpoints, Options, Session};

const ACCOUNT: &str = "123456789012";
const TRUST: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow",
    "Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}]}"#;

fn iam(endpoint: &str, data: &std::path::Path) -> aws_sdk_iam::Client {
    let (id, secret) = mcm::sandbox::Credentials::of(data).unwrap().aws_keys(ACCOUNT);
    let http = aws_smithy_http_client::Builder::new().build_http();
    let config = aws_sdk_iam::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .endpoint_url(endpoint)
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new(id, secret, None, None, "test"))
        .http_client(http)
        .retry_config(aws_sdk_iam::config::retry::RetryConfig::disabled())
        .build();
    aws_sdk_iam::Client::from_conf(config)
}

/// The program, serving a folder in a process of its own.
#[expect(clippy::zombie_processes, reason = "the caller ends it, and waits for it")]
fn serve(data: &std::path::Path) -> (Child, Endpoints) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_mcm"))
        .args(["sandbox", "serve", "--data"])
        .arg(data)
        .current_dir(data)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let described = std::fs::read(data.join("server.json")).unwrap_or_default();
        let described = serde_json::from_slice::<serde_json::Value>(&described).unwrap_or_default();
        // What a killed server has left behind is another's.
        if described["process"] == child.id() {
            return (child, serde_json::from_value(described["endpoints"].clone()).unwrap());
        }
        if Instant::now() > deadline {
            child.kill().unwrap();
            child.wait().unwrap();
            panic!("the sandbox does not begin to serve");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_answered_outlasts_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let mut answered = Vec::new();
    for round in 0..4_u64 {
        let (mut child, endpoints) = serve(folder.path());
        let client = iam(&endpoints.aws, folder.path());
        let writers = (0..4).map(|writer| {
            let client = client.clone();
            tokio::spawn(async move {
                let mut made = Vec::new();
                for number in 0.. {
                    let name = format!("r{round}w{writer}n{number}");
                    let create = client.create_role().role_name(&name).assume_role_policy_document(TRUST);
                    if create.send().await.is_err() {
                        break;
                    }
                    made.push(name);
                }
                made
            })
        });
        let writers = writers.collect::<Vec<_>>();
        tokio::time::sleep(Duration::from_millis(150 + 37 * round)).await;
        child.kill().unwrap();
        child.wait().unwrap();
        for writer in writers {
            answered.extend(writer.await.unwrap());
        }
    }
    assert!(answered.len() > 20, "{}", answered.len());

    let accounts = Accounts::default();
    let options = Options { data: folder.path().to_owned(), port: None, latency: Duration::ZERO, accounts };
    let session = Session::open(options).await.unwrap();
    let mut pages = iam(&session.endpoints.aws, folder.path()).list_roles().into_paginator().send();
    let mut found = std::collections::BTreeSet::new();
    while let Some(page) = pages.next().await {
        found.extend(page.unwrap().roles.into_iter().map(|role| role.role_name));
    }
    let lost = answered.iter().filter(|name| !found.contains(*name)).collect::<Vec<_>>();
    assert!(lost.is_empty(), "{lost:?} of {}", answered.len());
    // One more request for each writer may have taken effect without an answer.
    assert!(found.len() <= answered.len() + 16);
    session.close().await;
}
