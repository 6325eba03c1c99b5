//! What pages are answered, for each state of the document and each fault of the clouds.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use get_analysis::Reader;
use serde_json::{Value, json};
use shared::call::Patience;
use shared::stub::{Bootstrap, CANARIES, Fault, Stub};

const ID: &str = "6f9619ff-8b86-4d01-b42d-00cf4fc964ff";
const SITE: &str = "https://site.example";

/// As an HTTP API writes it (payload format 2.0).
fn request(method: &str, id: &str, origin: &str) -> Value {
    json!({
        "version": "2.0", "routeKey": "GET /analysis/{id}", "rawPath": format!("/analysis/{id}"), "rawQueryString": "",
        "headers": { "accept": "*/*", "origin": origin, "host": "x.execute-api.us-east-1.amazonaws.com" },
        "requestContext": {
            "accountId": "123456789012", "apiId": "x", "domainName": "x.execute-api.us-east-1.amazonaws.com",
            "domainPrefix": "x", "requestId": "r", "routeKey": "GET /analysis/{id}", "stage": "$default",
            "time": "01/Jan/2026:00:00:00 +0000", "timeEpoch": 1_767_225_600_000_u64,
            "http": { "method": method, "path": format!("/analysis/{id}"), "protocol": "HTTP/1.1",
                      "sourceIp": "127.0.0.1", "userAgent": "x" },
        },
        "pathParameters": { "id": id }, "isBase64Encoded": false,
    })
}

fn document(fields: &Value) -> Value {
    let mut document = json!({
        "etag": { "stringValue": "e1" }, "sequencer": { "stringValue": "01" },
        "analyzedAt": { "timestampValue": "2026-01-01T00:00:00Z" },
        "expireAt": { "timestampValue": "2126-01-31T00:00:00Z" },
    });
    let whole = document.as_object_mut().unwrap();
    whole.extend(fields.as_object().unwrap().clone());
    document
}

fn done() -> Value {
    let number = |value: f64| json!({ "doubleValue": value });
    let text = |value: &str| json!({ "stringValue": value });
    let map = |fields: Value| json!({ "mapValue": { "fields": fields } });
    let tag = map(json!({ "name": text("cat"), "confidence": number(1.0) }));
    document(&json!({
        "status": text("done"),
        "analysis": map(json!({
            "caption": map(json!({ "text": text("a cat"), "confidence": number(0.5) })),
            "tags": { "arrayValue": { "values": [tag] } },
            "colors": map(json!({ "dominant": { "arrayValue": {} }, "accent": text("8F5C3A") })),
            "image": map(json!({ "width": { "integerValue": "64" }, "height": { "integerValue": "64" } })),
            "model": text("m"),
        })),
    }))
}

fn now_and(seconds: i64) -> String {
    let now = jiff::Timestamp::try_from(SystemTime::now()).unwrap();
    (now + jiff::SignedDuration::from_secs(seconds)).to_string()
}

fn failed() -> Value {
    let fields = json!({ "code": { "stringValue": "too-small" }, "message": { "stringValue": "Larger." } });
    document(
        &json!({ "status": { "stringValue": "failed" }, "reason": { "mapValue": { "fields": fields } } }),
    )
}

struct Api {
    stub: Stub,
    reader: Reader,
}

async fn api(document: Option<Value>) -> Api {
    let stub = Stub::start().await.unwrap();
    let variables = variables(&stub);
    let patience = Patience {
        attempts: 2,
        attempt: Duration::from_millis(300),
        pause: Duration::from_millis(2),
        longest_pause: Duration::from_millis(10),
    };
    let reader = Reader::from_variables(&|name| variables.get(name).cloned(), patience).unwrap();
    if let Some(document) = document {
        stub.world(|world| world.documents.insert(ID.to_owned(), (document, 1)));
    }
    Api { stub, reader }
}

fn variables(stub: &Stub) -> BTreeMap<String, String> {
    let mut variables = stub.variables();
    variables.insert("CORS_ALLOWED_ORIGINS".to_owned(), format!("{SITE}/, https://other.example"));
    variables
}

impl Api {
    /// Status, headers and body.
    async fn ask(&self, request: Value) -> (i64, Value, Value) {
        let request = serde_json::from_value(request).unwrap();
        let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
        let answer = self.reader.handle(&request, deadline, SystemTime::now()).await;
        let answer = serde_json::to_value(answer).unwrap();
        let body = answer["body"].as_str().map_or(Value::Null, |body| serde_json::from_str(body).unwrap());
        (answer["statusCode"].as_i64().unwrap(), answer["headers"].clone(), body)
    }

    async fn get(&self) -> (i64, Value, Value) {
        self.ask(request("GET", ID, SITE)).await
    }
}

#[tokio::test]
async fn each_state_of_the_document_has_its_status() {
    let (status, headers, body) = api(Some(done())).await.get().await;
    assert_eq!(status, 200);
    assert_eq!(headers["content-type"], "application/json; charset=utf-8");
    assert_eq!((&body["id"], &body["status"]), (&json!(ID), &json!("done")));
    assert_eq!(body["analysis"]["caption"], json!({ "text": "a cat", "confidence": 0.5 }));
    assert_eq!(body["analysis"]["image"]["width"], 64);
    assert!(body.get("etag").is_none(), "what is ours stays ours");

    let (status, headers, body) = api(None).await.get().await;
    assert_eq!((status, body), (404, json!({ "id": ID, "status": "pending" })));
    assert_eq!((&headers["retry-after"], &headers["cache-control"]), (&json!("1"), &json!("no-store")));

    let (status, _, body) = api(Some(failed())).await.get().await;
    assert_eq!(status, 422);
    assert_eq!(body["reason"], json!({ "code": "too-small", "message": "Larger." }));

    // What Lambda tries again is pending; what it has given up has failed.
    let mut unavailable = failed();
    unavailable["reason"]["mapValue"]["fields"]["code"]["stringValue"] = json!("unavailable");
    let (status, _, body) = api(Some(unavailable.clone())).await.get().await;
    assert_eq!((status, &body["reason"]["code"]), (422, &json!("unavailable")));
    unavailable["analyzedAt"]["timestampValue"] = json!(now_and(0));
    let (status, _, body) = api(Some(unavailable)).await.get().await;
    assert_eq!((status, body), (404, json!({ "id": ID, "status": "pending" })));

    // So is what somebody looks at; and what whoever looked at it died over, until Lambda has tried it for the last time.
    for (lapses_at, status) in [(now_and(30), 404), (now_and(-200), 404), (now_and(-300), 422)] {
        let (by, lapses_at) = (json!({ "stringValue": "r" }), json!({ "timestampValue": lapses_at }));
        let claim =
            document(&json!({ "status": { "stringValue": "looking" }, "by": by, "lapsesAt": lapses_at }));
        let (answered, _, body) = api(Some(claim)).await.get().await;
        assert_eq!(answered, status, "{body}");
        assert_eq!(body["status"], if status == 404 { "pending" } else { "failed" });
        assert!(status == 404 || body["reason"]["code"] == "unavailable", "{body}");
    }

    let api_without = api(Some(done())).await;
    api_without.stub.world(|world| world.no_database = true);
    let (status, _, body) = api_without.get().await;
    assert_eq!((status, &body["error"]["code"]), (503, &json!("unavailable")));

    let mut over = done();
    over["expireAt"]["timestampValue"] = json!("2026-01-31T00:00:00Z");
    let (status, _, body) = api(Some(over)).await.get().await;
    assert_eq!((status, &body["error"]["code"]), (410, &json!("expired")));

    let (status, ..) = api(Some(json!({ "x": { "stringValue": "y" } }))).await.get().await;
    assert_eq!(status, 503);
}

#[tokio::test]
async fn a_name_that_is_none_is_refused_before_anyone_is_asked() {
    let api = api(None).await;
    for id in
        ["", "x", "..%2Fother", "6F9619FF-8B86-4D01-B42D-00CF4FC964FF", "6f9619ff8b864d01b42d00cf4fc964ff"]
    {
        let (status, _, body) = api.ask(request("GET", id, SITE)).await;
        assert_eq!((status, &body["error"]["code"]), (400, &json!("no-picture-name")), "{id}");
    }
    let mut nameless = request("GET", ID, SITE);
    nameless.as_object_mut().unwrap().remove("pathParameters");
    assert_eq!(api.ask(nameless).await.0, 400);
    assert_eq!(api.ask(request("DELETE", ID, SITE)).await.0, 405);
    assert!(api.stub.seen("").is_empty());
}

#[tokio::test]
async fn pages_of_the_named_origins_may_read() {
    let api = api(None).await;
    for (origin, allowed) in
        [(SITE, true), ("https://other.example", true), ("https://evil.example", false), ("null", false)]
    {
        let (_, headers, _) = api.ask(request("GET", ID, origin)).await;
        let named = headers.get("access-control-allow-origin");
        assert_eq!(named, allowed.then(|| json!(origin)).as_ref(), "{origin}");
        assert_eq!(headers["vary"], "origin");
    }
    let (status, headers, body) = api.ask(request("OPTIONS", ID, SITE)).await;
    assert_eq!((status, body), (204, Value::Null));
    assert_eq!(headers["access-control-allow-methods"], "GET, OPTIONS");
}

#[tokio::test]
async fn a_cloud_that_fails_is_an_answer_that_pages_can_read() {
    for (part, fault) in [
        ("/v1/token", Fault::Status(403, None)),
        (":generateAccessToken", Fault::Status(403, None)),
        ("/documents/", Fault::Status(403, None)),
    ] {
        let api = api(Some(done())).await;
        api.stub.fault(part, fault);
        let (status, headers, body) = api.get().await;
        assert_eq!((status, &body["error"]["code"]), (503, &json!("unavailable")), "{part}");
        assert_eq!(headers["access-control-allow-origin"], SITE, "{part}");
        assert_eq!(headers["retry-after"], "3");
        assert_eq!(api.get().await.0, 200, "{part}: and it passes");
    }
    for fault in [Fault::Status(503, None), Fault::Hang, Fault::Truncated, Fault::Html] {
        let api = api(Some(done())).await;
        api.stub.fault("/documents/", fault.clone());
        assert_eq!(api.get().await.0, 200, "{fault:?}");
    }
}

#[tokio::test]
async fn the_bootstrap_answers_and_logs_no_secret() {
    let api = api(Some(done())).await;
    let mut variables = variables(&api.stub);
    variables.insert("LOG_LEVEL".to_owned(), "trace".to_owned());
    let bootstrap = Bootstrap::start(env!("CARGO_BIN_EXE_get-analysis"), &variables).unwrap();
    let answer = api.stub.invoke(request("GET", ID, SITE)).await.unwrap();
    assert_eq!(
        (&answer["statusCode"], &answer["headers"]["access-control-allow-origin"]),
        (&json!(200), &json!(SITE))
    );
    let log = bootstrap.end().unwrap();
    for canary in CANARIES {
        assert!(!log.contains(canary) && !answer.to_string().contains(canary), "{canary}");
    }
}
