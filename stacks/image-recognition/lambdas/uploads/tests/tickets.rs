//! What may be uploaded, and what the form permits.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use shared::stub::{Bootstrap, Stub};
use uploads::Uploads;

const SITE: &str = "https://site.example";

fn variables() -> BTreeMap<String, String> {
    let pairs = [
        ("AWS_REGION", "eu-central-1"),
        ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"),
        ("AWS_SECRET_ACCESS_KEY", "canary-secret"),
        ("AWS_SESSION_TOKEN", "session"),
        ("UPLOAD_BUCKET", "pictures"),
        ("CORS_ALLOWED_ORIGINS", SITE),
    ];
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

fn request(method: &str, body: &str, query: &Value) -> Value {
    json!({
        "version": "2.0", "routeKey": "POST /uploads", "rawPath": "/uploads", "rawQueryString": "",
        "headers": { "content-type": "application/json", "origin": SITE },
        "queryStringParameters": query,
        "requestContext": {
            "accountId": "123456789012", "apiId": "x", "requestId": "r", "stage": "$default",
            "http": { "method": method, "path": "/uploads", "protocol": "HTTP/1.1" },
        },
        "body": body, "isBase64Encoded": false,
    })
}

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_hours(490_896)
}

fn ask(request: Value) -> (i64, Value) {
    let variables = variables();
    let uploads = Uploads::from_variables(&|name| variables.get(name).cloned()).unwrap();
    let answer = uploads.handle(&serde_json::from_value(request).unwrap(), now());
    let answer = serde_json::to_value(answer).unwrap();
    assert_eq!(answer["headers"]["access-control-allow-origin"], SITE);
    let body = answer["body"].as_str().map_or(Value::Null, |body| serde_json::from_str(body).unwrap());
    (answer["statusCode"].as_i64().unwrap(), body)
}

fn post(body: &Value) -> (i64, Value) {
    ask(request("POST", &body.to_string(), &json!({})))
}

/// S3's own check of a form: every field is permitted by a condition, every condition is met.
fn permits(ticket: &Value, field: &str, value: &str, length: u64) -> bool {
    let mut fields = ticket["fields"].as_object().unwrap().clone();
    fields.insert(field.to_owned(), json!(value));
    let policy = STANDARD.decode(ticket["fields"]["policy"].as_str().unwrap()).unwrap();
    let policy: Value = serde_json::from_slice(&policy).unwrap();
    let conditions = policy["conditions"].as_array().unwrap();
    let exact = |name: &str| {
        conditions.iter().find_map(|condition| condition.as_object()?.get(name)?.as_str().map(str::to_owned))
    };
    let range = conditions.iter().find(|condition| condition[0] == "content-length-range").unwrap();
    let signed = ["policy", "x-amz-signature"];
    let met = fields.iter().all(|(name, value)| {
        signed.contains(&name.as_str()) || exact(name).is_some_and(|exact| value == exact.as_str())
    });
    met && exact("bucket").as_deref() == Some("pictures")
        && (range[1].as_u64().unwrap()..=range[2].as_u64().unwrap()).contains(&length)
}

#[test]
fn a_form_permits_one_key_one_type_and_so_many_bytes() {
    let (status, ticket) = post(&json!({ "contentType": "image/png", "bytes": 1000 }));
    assert_eq!(status, 201);
    assert_eq!(ticket["url"], "https://pictures.s3.eu-central-1.amazonaws.com");
    assert_eq!(ticket["expiresAt"], "2026-01-01T00:05:00Z");
    let key = format!("uploads/{}", ticket["id"].as_str().unwrap());
    assert_eq!(ticket["fields"]["key"], key.as_str());
    assert!(permits(&ticket, "key", &key, 4_194_303));
    assert!(!permits(&ticket, "key", &key, 4_194_304), "too large");
    assert!(!permits(&ticket, "key", &key, 0), "empty");
    assert!(!permits(&ticket, "key", &format!("{key}x"), 1000), "another key");
    assert!(!permits(&ticket, "Content-Type", "text/html", 1000), "another type");
    assert!(!permits(&ticket, "acl", "public-read", 1000), "a field that was not signed");
    assert!(!permits(&ticket, "x-amz-meta-x", "y", 1000), "a field that was not signed");
    assert!(!ticket.to_string().contains("canary-secret"));
}

#[test]
fn every_form_has_a_name_of_its_own() {
    let wish = json!({ "contentType": "image/gif" });
    let names: std::collections::BTreeSet<String> =
        (0..200).map(|_| post(&wish).1["id"].as_str().unwrap().to_owned()).collect();
    assert_eq!(names.len(), 200);
}

#[test]
fn only_pictures_that_can_be_analysed_are_taken() {
    for kind in ["image/jpeg", "image/png", "image/gif", "image/bmp", " IMAGE/PNG "] {
        assert_eq!(post(&json!({ "contentType": kind, "bytes": 1 })).0, 201, "{kind}");
    }
    for kind in ["image/svg+xml", "image/webp", "text/html", "image/", "image/*", "", "image/png, text/html"]
    {
        let (status, body) = post(&json!({ "contentType": kind, "bytes": 1 }));
        assert_eq!((status, &body["error"]["code"]), (415, &json!("unsupported-format")), "{kind}");
    }
    assert_eq!(post(&json!({ "contentType": "image/png", "bytes": 4_194_304 })).0, 413);
    assert_eq!(post(&json!({ "contentType": "image/png", "bytes": 0 })).0, 400);
    for body in ["", "{", "[]7", "{\"contentType\":7}", "{\"bytes\":-1}", "{\"key\":\"uploads/mine\"}"] {
        assert_eq!(ask(request("POST", body, &json!({}))).0, 400, "{body}");
    }
    assert_eq!(ask(request("POST", &" ".repeat(5000), &json!({}))).0, 400);
    assert_eq!(ask(request("DELETE", "", &json!({}))).0, 405);
    assert_eq!(ask(request("OPTIONS", "", &json!({}))).0, 204);
}

#[test]
fn the_query_and_an_encoded_body_say_the_same() {
    let query = json!({ "contentType": "image/png", "bytes": "1000" });
    assert_eq!(ask(request("GET", "", &query)).0, 201);
    assert_eq!(ask(request("GET", "", &json!({ "contentType": "image/png", "bytes": "many" }))).0, 400);
    assert_eq!(ask(request("GET", "", &json!({}))).0, 415);
    let mut encoded =
        request("POST", &STANDARD.encode(query.to_string().replace("\"1000\"", "1000")), &json!({}));
    encoded["isBase64Encoded"] = json!(true);
    assert_eq!(ask(encoded).0, 201);
}

#[tokio::test]
async fn the_bootstrap_answers_and_logs_no_secret() {
    let stub = Stub::start().await.unwrap();
    let mut all = stub.variables();
    all.insert("LOG_LEVEL".to_owned(), "trace".to_owned());
    let bootstrap = Bootstrap::start(env!("CARGO_BIN_EXE_uploads"), &all).unwrap();
    let wish = json!({ "contentType": "image/png", "bytes": 1000 }).to_string();
    let answer = stub.invoke(request("POST", &wish, &json!({}))).await.unwrap();
    assert_eq!(answer["statusCode"], 201);
    let body: Value = serde_json::from_str(answer["body"].as_str().unwrap()).unwrap();
    // Elsewhere than at AWS a bucket is a path.
    assert_eq!(body["url"], format!("{}/pictures", stub.url()));
    let log = bootstrap.end().unwrap();
    assert!(log.contains("a picture may be uploaded"), "{log}");
    for canary in shared::stub::CANARIES {
        assert!(!log.contains(canary), "the log shows {canary}");
    }
}
