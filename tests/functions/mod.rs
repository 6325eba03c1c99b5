//! Functions run: as processes through the Runtime API, by Invoke, by events of a bucket and by an HTTP API.

mod app;
mod browser;
mod edge;
mod front;
mod judges;
mod orphans;
mod runtime;

use std::io::{Cursor, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mcm::sandbox::{Accounts, Options, Session};
use serde_json::{Value as Json, json};

use crate::support::sign::{Reply, Signer};

const ACCOUNT: &str = "123456789012";

/// A sandbox with a role for functions.
struct Scene {
    session: Session,
    aws: Signer,
    folder: tempfile::TempDir,
}

impl Scene {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let accounts = Accounts { aws: [ACCOUNT.to_owned()].into(), ..Accounts::default() };
        let options =
            Options { data: folder.path().join("data"), port: None, latency: Duration::ZERO, accounts };
        let session = Session::serve(options).await.unwrap();
        let aws = Signer::of(&session, ACCOUNT);
        let scene = Self { session, aws, folder };
        scene.role("runner", "lambda.amazonaws.com").await;
        scene
    }

    /// Where the sandbox's data lies.
    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    async fn role(&self, name: &str, service: &str) {
        let trust = trust(service);
        let form = form(&[
            ("Action", "CreateRole"),
            ("Version", "2010-05-08"),
            ("RoleName", name),
            ("AssumeRolePolicyDocument", &trust),
        ]);
        self.iam(form).await;
        self.iam(attach("AttachRolePolicy", name)).await;
    }

    async fn iam(&self, form: String) {
        let kind = [("content-type", "application/x-www-form-urlencoded")];
        self.aws.send("iam", "POST", "/", &kind, form).await.good();
    }

    /// Makes a function of the test's own bootstrap, and waits until it is ready.
    async fn function(&self, name: &str, settings: &Json) {
        function(&self.aws, name, &archive(&bootstrap(), 0o755), settings).await;
    }

    async fn invoke(&self, name: &str, event: &Json) -> Reply {
        let path = format!("/2015-03-31/functions/{name}/invocations");
        let tail = [("x-amz-log-type", "Tail")];
        self.aws.send("lambda", "POST", &path, &tail, event.to_string()).await
    }

    async fn logs(&self, action: &str, body: &Json) -> Reply {
        logs(&self.aws, action, body).await
    }
}

async fn logs(aws: &Signer, action: &str, body: &Json) -> Reply {
    let target = format!("Logs_20140328.{action}");
    let fields = [("content-type", "application/x-amz-json-1.1"), ("x-amz-target", target.as_str())];
    aws.send("logs", "POST", "/", &fields, body.to_string()).await
}

/// Makes a function, and waits until it is ready.
async fn function(aws: &Signer, name: &str, archive: &[u8], settings: &Json) {
    let mut body = json!({
        "FunctionName": name, "Runtime": "provided.al2023", "Handler": "bootstrap",
        "Architectures": [if cfg!(target_arch = "aarch64") { "arm64" } else { "x86_64" }],
        "Role": format!("arn:aws:iam::{ACCOUNT}:role/runner"),
        "Code": { "ZipFile": STANDARD.encode(archive) }, "Timeout": 10,
    });
    for (name, value) in settings.as_object().into_iter().flatten() {
        body[name] = value.clone();
    }
    aws.lambda("POST", "/2015-03-31/functions", &body).await.good();
    ready(aws, name).await;
}

async fn ready(aws: &Signer, name: &str) {
    let path = format!("/2015-03-31/functions/{name}/configuration");
    eventually(async || {
        let shown = aws.lambda("GET", &path, &Json::Null).await.good();
        (shown["State"] == "Active" && shown["LastUpdateStatus"] == "Successful").then_some(())
    })
    .await;
}

/// Asks again until there is an answer; not for ever.
async fn eventually<T>(mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(40);
    loop {
        if let Some(found) = ask().await {
            return found;
        }
        assert!(Instant::now() < deadline, "it does not come");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// What lets a role write a log, given or taken.
fn attach(action: &str, role: &str) -> String {
    let basic = "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole";
    form(&[("Action", action), ("Version", "2010-05-08"), ("RoleName", role), ("PolicyArn", basic)])
}

fn trust(service: &str) -> String {
    json!({ "Version": "2012-10-17", "Statement": [
        { "Effect": "Allow", "Principal": { "Service": service }, "Action": "sts:AssumeRole" },
    ] })
    .to_string()
}

fn form(fields: &[(&str, &str)]) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish()
}

/// An archive with one file, `bootstrap`.
fn archive(bootstrap: &[u8], mode: u32) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default().unix_permissions(mode);
    writer.start_file("bootstrap", options).unwrap();
    writer.write_all(bootstrap).unwrap();
    writer.finish().unwrap().into_inner()
}

/// The test's own bootstrap, compiled once.
fn bootstrap() -> Vec<u8> {
    static BUILT: LazyLock<Vec<u8>> = LazyLock::new(|| {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("bootstrap");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/functions/bootstrap.rs");
        let compiler = std::env::var_os("RUSTC").map_or_else(|| PathBuf::from("rustc"), PathBuf::from);
        let done = Command::new(compiler)
            .args(["--edition", "2021", "-C", "opt-level=1", "-C", "strip=symbols", "-o"])
            .arg(&target)
            .arg(source)
            .output()
            .unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        std::fs::read(target).unwrap()
    });
    BUILT.clone()
}
