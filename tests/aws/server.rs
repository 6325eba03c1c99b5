//! A sandbox is served once for each folder, outlasts its server, and gives trouble when told to.

use std::path::Path;
use std::time::Duration;

use mcm::model::Cloud;
use mcm::sandbox::{Accounts, Fault, Options, SandboxError, Session, Trouble};

fn options(data: &Path, account: &str) -> Options {
    Options {
        data: data.to_path_buf(),
        port: None,
        latency: Duration::ZERO,
        accounts: Accounts { aws: [account.to_owned()].into(), ..Accounts::default() },
    }
}

/// Sends a bare request; the status, or `None` where the connection was broken.
async fn send(endpoint: &str, method: &str, path: &str, body: &str) -> Option<(u16, String)> {
    use http_body_util::BodyExt as _;
    use hyper_util::client::legacy::Client;
    use hyper_util::rt::TokioExecutor;
    let client = Client::builder(TokioExecutor::new()).build_http::<http_body_util::Full<bytes::Bytes>>();
    let request = http::Request::builder()
        .method(method)
        .uri(format!("{endpoint}{path}"))
        .body(bytes::Bytes::from(body.to_owned()).into())
        .unwrap();
    let response = client.request(request).await.ok()?;
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.ok()?.to_bytes();
    Some((status, String::from_utf8_lossy(&body).into_owned()))
}

#[tokio::test]
async fn a_folder_is_served_once_and_shared() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("a/b");
    let first = Session::open(options(&data, "111111111111")).await.unwrap();
    assert!(first.is_own());
    let second = Session::open(options(&data, "222222222222")).await.unwrap();
    assert!(!second.is_own());
    assert_eq!(first.endpoints, second.endpoints);
    assert!(matches!(
        Session::serve(options(&data, "111111111111")).await,
        Err(SandboxError::Busy { process, .. }) if process == std::process::id()
    ));
    drop(second);
    assert_eq!(send(&first.endpoints.gcp, "GET", "/_mcm/health", "").await.unwrap().0, 200);
    let log = std::fs::read_to_string(data.join("world.jsonl")).unwrap();
    assert!(log.contains("111111111111") && log.contains("222222222222"), "{log}");
    first.close().await;
    assert!(!data.join("server.json").exists());
    Session::serve(options(&data, "111111111111")).await.unwrap().close().await;
}

#[tokio::test]
async fn a_stale_description_does_not_keep_the_folder() {
    let folder = tempfile::tempdir().unwrap();
    let stale = r#"{"id":"x","process":1,"endpoints":{"aws":"http://127.0.0.1:9","gcp":"","azure":""}}"#;
    std::fs::write(folder.path().join("server.json"), stale).unwrap();
    assert!(Session::open(options(folder.path(), "111111111111")).await.unwrap().is_own());
}

#[cfg(unix)]
#[tokio::test]
async fn the_data_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let session = Session::open(options(&data, "111111111111")).await.unwrap();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&data), 0o700);
    for file in ["world.jsonl", "server.json", "server.lock"] {
        assert_eq!(mode(&data.join(file)), 0o600, "{file}");
    }
    drop(session);
}

#[tokio::test]
async fn faults_come_as_told_and_requests_are_recorded() {
    let folder = tempfile::tempdir().unwrap();
    let session = Session::open(options(folder.path(), "111111111111")).await.unwrap();
    let gcp = &session.endpoints.gcp;
    let wire = session.wire().unwrap();
    let status = |code| Trouble::Status { code, body: "no".to_owned(), headers: [].into(), applied: false };
    let fault = |what| Fault {
        cloud: Some(Cloud::Gcp),
        contains: "GET /v1/x".to_owned(),
        target: None,
        skip: 1,
        times: Some(1),
        what,
    };
    wire.set_faults(vec![fault(status(418))]);
    let mut met = Vec::new();
    for _ in 0..3 {
        met.push(send(gcp, "GET", "/v1/x", "").await.unwrap().0 == 418);
    }
    assert_eq!(met, [false, true, false]);
    wire.set_faults(vec![Fault { skip: 0, ..fault(Trouble::DropBefore) }]);
    assert_eq!(send(gcp, "GET", "/v1/x", "").await, None);
    assert!(send(gcp, "GET", "/v1/x", "").await.is_some());
    // The same by a request, as a test of the shipped binary has it.
    let rules = r#"[{"contains":"POST","what":{"status":{"code":503,"headers":{"retry-after":"1"}}}}]"#;
    assert_eq!(send(gcp, "POST", "/_mcm/faults", rules).await.unwrap().0, 200);
    assert_eq!(send(gcp, "POST", "/v1/y", "").await.unwrap().0, 503);
    assert_eq!(send(gcp, "POST", "/_mcm/faults", r#"[{"what":"Nonsense"}]"#).await.unwrap().0, 400);
    assert_eq!(send(gcp, "DELETE", "/_mcm/faults", "").await.unwrap().0, 200);
    assert!(wire.faults().is_empty());
    let targets = wire.traffic().into_iter().map(|one| (one.target, one.status)).collect::<Vec<_>>();
    assert_eq!(targets.len(), 6, "{targets:?}");
    assert_eq!(targets[3], ("GET /v1/x".to_owned(), 0));
    assert_eq!(targets[5], ("POST /v1/y".to_owned(), 503));
    let listed = send(gcp, "GET", "/_mcm/requests", "").await.unwrap().1;
    assert!(listed.contains(r#""target":"POST /v1/y""#) && listed.contains("endMs"), "{listed}");
}

#[tokio::test]
async fn latency_is_felt_by_each_and_shared_by_none() {
    let folder = tempfile::tempdir().unwrap();
    let latency = Duration::from_millis(100);
    let session = Session::open(Options { latency, ..options(folder.path(), "111111111111") }).await.unwrap();
    let started = std::time::Instant::now();
    let gcp = &session.endpoints.gcp;
    futures::future::join_all((0..20).map(|_| send(gcp, "GET", "/v1/x", ""))).await;
    assert!(started.elapsed() >= latency);
    assert!(started.elapsed() < latency * 10, "{:?}", started.elapsed());
}

/// A target that is no path reaches no cloud.
#[tokio::test]
async fn the_sandbox_is_no_proxy() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let folder = tempfile::tempdir().unwrap();
    let session = Session::open(options(folder.path(), "111111111111")).await.unwrap();
    for host in ["x.example", "b.s3-website-us-east-1.localhost", "a.execute-api.us-east-1.localhost"] {
        let address = session.endpoints.aws.strip_prefix("http://").unwrap();
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let request = format!("CONNECT host:1 HTTP/1.1\r\nhost: {host}\r\norigin: http://page\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"HTTP/1.1 405");
    }
    session.close().await;
}
