//! A sandbox is served once for each folder, outlasts its server, and gives trouble when told to.

use std::path::Path;
use std::time::Duration;

use mcm::model::Cloud;
use mcm::sandbox::{Accounts, Fault, Options, SandboxError, Session, Trouble};

use crate::support::sign::{self, Signer};

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
        .header("content-type", "application/json")
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

/// What any web page can make a browser send, as long as no key is needed to guess: nothing of it is answered, but what
/// the real clouds serve to pages.
#[tokio::test]
async fn web_pages_of_other_addresses_drive_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let session = Session::open(options(folder.path(), "111111111111")).await.unwrap();
    let (aws, gcp, azure) = (&session.endpoints.aws, &session.endpoints.gcp, &session.endpoints.azure);
    let admin = Signer::of(&session, "111111111111");
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let list = "Action=ListRoles&Version=2010-05-08";
    let (page, navigation) = (("origin", "https://evil.example"), ("sec-fetch-site", "cross-site"));
    assert_eq!(admin.send("iam", "POST", "/", &form, list).await.status, 200);
    for field in [page, navigation, ("sec-fetch-site", "same-site"), ("origin", "null")] {
        let told = admin.send("iam", "POST", "/", &[form[0], field], list).await;
        assert_eq!(told.status, 403, "{field:?}");
        assert!(told.text().contains("no web pages of other addresses"), "{}", told.text());
        let told = admin.send("lambda", "GET", "/2015-03-31/functions", &[field], "").await;
        assert_eq!(told.status, 403, "{field:?}");
        let token = ("authorization", "Bearer x");
        for endpoint in [gcp, azure] {
            let told = sign::send(endpoint, "GET", "/v1/projects/x", &[token, field], "").await;
            assert!(told.text().contains("no web pages of other addresses"), "{}", told.text());
        }
        let json = ("content-type", "application/json");
        assert_eq!(sign::send(aws, "POST", "/_mcm/faults", &[json, field], "[]").await.status, 403);
    }
    // A name that was pointed to this machine: what it says is signed, and answered all the same by nobody.
    let rebound = [("host", "evil.example"), form[0]];
    let told = sign::send(aws, "POST", "/", &rebound, "Action=GetCallerIdentity&Version=2011-06-15").await;
    assert!(told.status == 403 && told.text().contains("no web pages"), "{}", told.text());
    assert_eq!(sign::send(aws, "GET", "/a-bucket", &rebound, "").await.status, 403);
    assert_eq!(sign::send(aws, "GET", "/_mcm/health", &[("host", "x.localhost")], "").await.status, 403);
    // Where no preflight is asked for.
    assert_eq!(
        sign::send(aws, "POST", "/_mcm/faults", &[("content-type", "text/plain")], "[]").await.status,
        415
    );
    // S3, web sites and APIs answer pages by their own rules.
    let told = sign::send(aws, "GET", "/no-such-bucket/x", &[page, navigation], "").await;
    assert!(told.status == 404 && told.text().contains("NoSuchBucket"), "{}", told.text());
    let api = ("host", "x.execute-api.us-east-1.localhost");
    let told = sign::send(aws, "GET", "/x", &[api, page, navigation], "").await;
    assert_eq!((told.status, told.text().as_str()), (404, r#"{"message":"Not Found"}"#));
    session.close().await;
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
