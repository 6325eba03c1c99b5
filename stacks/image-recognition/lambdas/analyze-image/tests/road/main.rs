//! From an event of S3 to the document, over clouds that are played on this machine.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod claims;
mod probe;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use analyze_image::{AnalyzeError, Analyzer, Turn};
use serde_json::{Value, json};
use shared::call::Patience;
use shared::stub::{Bootstrap, CANARIES, Fault, Stub};

const ID: &str = "6f9619ff-8b86-4d01-b42d-00cf4fc964ff";

fn png(width: u32, height: u32) -> Vec<u8> {
    let mut bytes = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR".to_vec();
    bytes.extend(width.to_be_bytes());
    bytes.extend(height.to_be_bytes());
    bytes.extend([8, 2, 0, 0, 0, 0, 0, 0, 0]);
    bytes
}

/// As S3 writes it.
fn event(key: &str, etag: &str, sequencer: &str) -> Value {
    json!({ "Records": [{
        "eventVersion": "2.1", "eventSource": "aws:s3", "awsRegion": "us-east-1",
        "eventTime": "2026-01-01T00:00:00.000Z", "eventName": "ObjectCreated:Post",
        "userIdentity": { "principalId": "AWS:AROA:uploads" },
        "requestParameters": { "sourceIPAddress": "127.0.0.1" },
        "responseElements": { "x-amz-request-id": "C3D13FE58DE4C810", "x-amz-id-2": "x" },
        "s3": {
            "s3SchemaVersion": "1.0", "configurationId": "pictures",
            "bucket": { "name": "pictures", "ownerIdentity": { "principalId": "A" }, "arn": "arn:aws:s3:::pictures" },
            "object": { "key": key, "size": 1024, "eTag": etag, "sequencer": sequencer },
        },
    }] })
}

struct Road {
    stub: Stub,
    analyzer: Analyzer,
    /// Invocations so far: each has a request id of its own.
    turns: AtomicU32,
}

impl Road {
    async fn new(change: impl FnOnce(&mut BTreeMap<String, String>)) -> Self {
        let stub = Stub::start().await.unwrap();
        let mut variables = stub.variables();
        change(&mut variables);
        let patience = Patience {
            attempts: 3,
            attempt: Duration::from_millis(500),
            pause: Duration::from_millis(2),
            longest_pause: Duration::from_millis(10),
        };
        let analyzer = Analyzer::from_variables(&|name| variables.get(name).cloned(), patience).unwrap();
        Self { stub, analyzer, turns: AtomicU32::new(0) }
    }

    fn store(&self, etag: &str, bytes: Vec<u8>) {
        let object = (etag.to_owned(), bytes.into());
        self.stub.world(|world| world.objects.insert(format!("pictures/uploads/{ID}"), object));
    }

    async fn invoke(&self, request_id: &str, event: Value) -> Result<Value, AnalyzeError> {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
        self.analyzer.handle(event, Turn { request_id, deadline }).await
    }

    async fn tell(&self, event: Value) -> Result<(), AnalyzeError> {
        let turn = self.turns.fetch_add(1, Ordering::Relaxed);
        self.invoke(&format!("r{turn}"), event).await.map(|_| ())
    }

    async fn arrive(&self, etag: &str, sequencer: &str) -> Result<(), AnalyzeError> {
        self.tell(event(&format!("uploads/{ID}"), etag, sequencer)).await
    }

    /// A field of the document, in Firestore's notation.
    fn field(&self, place: &str) -> Value {
        let found = self
            .stub
            .world(|world| world.documents.get(ID).and_then(|(fields, _)| fields.pointer(place).cloned()));
        found.unwrap_or_default()
    }

    fn code(&self) -> Value {
        self.field("/reason/mapValue/fields/code/stringValue")
    }
}

#[tokio::test]
async fn a_picture_becomes_a_document() {
    let road = Road::new(|_| {}).await;
    road.store("e1", png(64, 64));
    road.arrive("e1", "0055AED6DCD90281E5").await.unwrap();
    assert_eq!(road.field("/status/stringValue"), "done");
    assert!(road.field("/expireAt/timestampValue").is_string());
    let seen = "/analysis/mapValue/fields";
    assert_eq!(road.field(&format!("{seen}/caption/mapValue/fields/text/stringValue")), "a cat on a wall");
    let surest = format!("{seen}/tags/arrayValue/values/0/mapValue/fields/name/stringValue");
    assert_eq!(road.field(&surest), "cat");
    assert_eq!(road.field(&format!("{seen}/image/mapValue/fields/bytes/integerValue")), "33");
    let call = &road.stub.seen("/vision/")[0];
    assert_eq!(call.body, png(64, 64));
    assert!(call.query.contains("visualFeatures=Tags,Description,Color"));
}

#[tokio::test]
async fn a_repeated_event_is_harmless_and_costs_nothing() {
    let road = Road::new(|_| {}).await;
    road.store("e1", png(64, 64));
    road.arrive("e1", "01").await.unwrap();
    let before = road.stub.world(|world| world.documents.clone());
    road.arrive("e1", "01").await.unwrap();
    assert_eq!(road.stub.world(|world| world.documents.clone()), before);
    assert_eq!(road.stub.seen("/vision/").len(), 1);
}

#[tokio::test]
async fn an_older_event_does_not_undo_a_newer_one() {
    let road = Road::new(|_| {}).await;
    road.store("e2", png(64, 64));
    road.arrive("e2", "02").await.unwrap();
    // The first event comes late, or twice: its object is no longer there.
    road.arrive("e1", "01").await.unwrap();
    assert_eq!(road.field("/etag/stringValue"), "e2");
    road.store("e3", png(80, 80));
    road.arrive("e3", "03").await.unwrap();
    assert_eq!(road.field("/etag/stringValue"), "e3");
}

#[tokio::test]
async fn what_is_the_pictures_fault_is_written_down_and_not_retried() {
    let mut large = png(64, 64);
    large.resize(5 * 1024 * 1024, 0);
    let cases: [(&str, Vec<u8>); 5] = [
        ("no-picture", b"#!/bin/sh\necho hello, world\n".to_vec()),
        ("empty", Vec::new()),
        ("too-small", png(50, 64)),
        ("too-large", large),
        ("unsupported-format", b"RIFF\x24\0\0\0WEBPVP8 \x18\0\0\0".to_vec()),
    ];
    for (code, bytes) in cases {
        let road = Road::new(|_| {}).await;
        road.store("e1", bytes);
        road.arrive("e1", "01").await.unwrap();
        assert_eq!(road.field("/status/stringValue"), "failed", "{code}");
        assert_eq!(road.code(), code);
        assert!(road.stub.seen("/vision/").is_empty(), "{code}");
    }
    for (place, code) in
        [("error", "InvalidImageFormat"), ("inner", "InvalidImageFormat"), ("top", "InvalidImageSize")]
    {
        let road = Road::new(|_| {}).await;
        road.store("e1", png(64, 64));
        let body = match place {
            "top" => json!({ "code": code, "message": "x" }),
            "error" => json!({ "error": { "code": code, "message": "x" } }),
            _ => {
                json!({ "error": { "code": "InvalidRequest", "innererror": { "code": code, "message": "x" } } })
            }
        };
        road.stub.world(|world| world.vision = (400, body));
        road.arrive("e1", "01").await.unwrap();
        let expected = if place == "top" { "too-large" } else { "unreadable" };
        assert_eq!(road.code(), expected, "{place}");
    }
}

#[tokio::test]
async fn what_is_our_fault_is_an_error_that_is_told_until_a_later_try_succeeds() {
    for (status, body) in [
        (400, json!({ "error": { "code": "InvalidArgument", "message": "no such feature" } })),
        (404, json!({ "error": { "code": "404", "message": "no such resource" } })),
        (429, json!({ "error": { "code": "429", "message": "too many" } })),
        (200, json!({ "unexpected": true })),
    ] {
        let road = Road::new(|_| {}).await;
        road.store("e1", png(64, 64));
        let good = road.stub.world(|world| std::mem::replace(&mut world.vision, (status, body)));
        for _ in 0..2 {
            let error = road.arrive("e1", "01").await.unwrap_err();
            assert!(matches!(error, AnalyzeError::Vision { .. }), "{status}: {error:?}");
            assert_eq!(
                (road.field("/status/stringValue"), road.code()),
                (json!("failed"), json!("unavailable"))
            );
        }
        road.stub.world(|world| world.vision = good);
        road.arrive("e1", "01").await.unwrap();
        assert_eq!(road.field("/status/stringValue"), "done", "{status}");
        assert_eq!(road.field("/looks/integerValue"), "1", "{status}");
    }
}

#[tokio::test]
async fn a_service_that_does_not_let_us_in_is_asked_once() {
    for (status, message) in [
        (401, "Access denied due to invalid subscription key or wrong API endpoint."),
        (403, "Out of call volume quota. Quota will be replenished in 12.03:04:05."),
    ] {
        let road = Road::new(|_| {}).await;
        road.store("e1", png(64, 64));
        let body = json!({ "error": { "code": status.to_string(), "message": message } });
        road.stub.world(|world| world.vision = (status, body));
        for _ in 0..3 {
            // That is no error of the invocation: Lambda does not try again.
            road.arrive("e1", "01").await.unwrap();
        }
        assert_eq!(road.field("/status/stringValue"), "failed", "{status}");
        assert_eq!(road.code(), "out-of-service", "{status}");
        assert_eq!(road.stub.seen("/vision/").len(), 1, "{status}");
    }
}

#[tokio::test]
async fn a_database_that_is_not_there_is_no_missing_document() {
    let road = Road::new(|_| {}).await;
    road.store("e1", png(64, 64));
    road.stub.world(|world| world.no_database = true);
    let error = road.arrive("e1", "01").await.unwrap_err();
    assert!(matches!(error, AnalyzeError::Document { .. }), "{error:?}");
    assert!(error.to_string().contains("does not exist"), "{error}");
    assert!(road.stub.seen("/vision/").is_empty(), "a picture was paid for");
    // It goes while the picture is looked at.
    let road = Road::new(|_| {}).await;
    road.store("e1", png(64, 64));
    road.stub.fault("/documents/", Fault::Status(404, None));
    road.stub.world(|world| world.no_database = true);
    let error = road.arrive("e1", "01").await.unwrap_err();
    assert!(matches!(error, AnalyzeError::Document { .. }), "{error:?}");
}

#[tokio::test]
async fn every_passing_fault_of_every_cloud_is_survived() {
    let faults = [
        Fault::Status(429, Some(0)),
        Fault::Status(503, None),
        Fault::AppliedThen(500),
        Fault::Hang,
        Fault::Truncated,
    ];
    for part in ["/v1/token", ":generateAccessToken", "/documents/", "/pictures/", "/vision/"] {
        for fault in &faults {
            let road = Road::new(|_| {}).await;
            road.store("e1", png(64, 64));
            road.stub.fault(part, fault.clone());
            road.arrive("e1", "01").await.unwrap_or_else(|error| panic!("{part} {fault:?}: {error}"));
            assert_eq!(road.field("/status/stringValue"), "done", "{part} {fault:?}");
            assert_eq!(road.stub.world(|world| world.documents[ID].1), 2, "{part} {fault:?}");
        }
    }
}

#[tokio::test]
async fn only_visitors_pictures_are_analysed() {
    let road = Road::new(|_| {}).await;
    road.tell(json!({ "Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "pictures" }))
        .await
        .unwrap();
    for key in ["uploads/notes.txt", "other/6f9619ff-8b86-4d01-b42d-00cf4fc964ff", "uploads/..%2Fx", ""] {
        road.tell(event(key, "e1", "01")).await.unwrap();
    }
    let mut removed = event(&format!("uploads/{ID}"), "e1", "01");
    removed["Records"][0]["eventName"] = json!("ObjectRemoved:Delete");
    road.tell(removed).await.unwrap();
    let mut foreign = event(&format!("uploads/{ID}"), "e1", "01");
    foreign["Records"][0]["s3"]["bucket"]["name"] = json!("others");
    road.tell(foreign).await.unwrap();
    assert!(road.stub.seen("").is_empty());
}

#[tokio::test]
async fn keys_are_decoded() {
    let road = Road::new(|variables| {
        variables.insert("UPLOAD_PREFIX".to_owned(), "new pictures/ü+/".to_owned());
    })
    .await;
    let object = ("e1".to_owned(), png(64, 64).into());
    road.stub.world(|world| world.objects.insert(format!("pictures/new pictures/ü+/{ID}"), object));
    road.tell(event(&format!("new+pictures/%C3%BC%2B/{ID}"), "e1", "01")).await.unwrap();
    assert_eq!(road.field("/status/stringValue"), "done");
}

#[tokio::test]
async fn a_rotated_key_is_read_anew() {
    let road = Road::new(|variables| {
        variables.remove("AZURE_VISION_KEY");
        variables.insert("AZURE_VISION_KEY_PARAMETER".to_owned(), "/vision/key".to_owned());
    })
    .await;
    let rotate = |key: &str| {
        road.stub.world(|world| {
            world.vision_key = key.to_owned();
            world.parameters.insert("/vision/key".to_owned(), key.to_owned());
        });
    };
    rotate("first");
    road.store("e1", png(64, 64));
    road.arrive("e1", "01").await.unwrap();
    rotate("second");
    road.store("e2", png(64, 64));
    road.arrive("e2", "02").await.unwrap();
    assert_eq!(road.field("/etag/stringValue"), "e2");
    // A wrong key that stays wrong is an error, not a loop.
    road.stub.world(|world| world.vision_key = "third".to_owned());
    road.store("e3", png(64, 64));
    let before = road.stub.seen("/vision/").len();
    road.arrive("e3", "03").await.unwrap();
    assert_eq!((road.code(), road.stub.seen("/vision/").len()), (json!("out-of-service"), before + 1));
}

#[tokio::test]
async fn a_document_of_another_form_is_overwritten() {
    let road = Road::new(|_| {}).await;
    road.store("e1", png(64, 64));
    let foreign = json!({ "x": { "stringValue": "y" } });
    road.stub.world(|world| world.documents.insert(ID.to_owned(), (foreign, 7)));
    road.arrive("e1", "01").await.unwrap();
    assert_eq!(road.field("/status/stringValue"), "done");
}

#[tokio::test]
async fn the_bootstrap_works_and_logs_no_secret() {
    let road = Road::new(|_| {}).await;
    road.store("e1", png(64, 64));
    let mut variables = road.stub.variables();
    variables.insert("LOG_LEVEL".to_owned(), "trace".to_owned());
    let bootstrap = Bootstrap::start(env!("CARGO_BIN_EXE_analyze-image"), &variables).unwrap();
    road.stub.invoke(event(&format!("uploads/{ID}"), "e1", "01")).await.unwrap();
    assert_eq!(road.field("/status/stringValue"), "done");
    // An error is told to Lambda, which then tries again; and the program lives on.
    road.stub.world(|world| world.vision = (404, json!({ "error": { "code": "404", "message": "x" } })));
    road.store("e2", png(64, 64));
    let error = road.stub.invoke(event(&format!("uploads/{ID}"), "e2", "02")).await.unwrap_err();
    assert_eq!(error["errorType"], "Vision");
    assert!(road.stub.invoke(json!({ "Records": 7 })).await.is_err());
    assert_eq!(road.stub.invoke(json!({ "probe": true })).await.unwrap(), json!({ "ok": true }));
    road.stub.world(|world| world.vision_key = "another".to_owned());
    let unready = road.stub.invoke(json!({ "probe": true })).await.unwrap_err();
    assert_eq!(unready["errorType"], "Probe");
    // That the key is not taken is no error for Lambda, and one in the log.
    road.store("e3", png(64, 64));
    road.stub.invoke(event(&format!("uploads/{ID}"), "e3", "03")).await.unwrap();
    road.stub.invoke(event(&format!("uploads/{ID}"), "e1", "01")).await.unwrap();

    let log = bootstrap.end().unwrap();
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(
        lines.iter().any(|line| line["message"] == "the analysis is written" && line["id"] == ID),
        "{log}"
    );
    let shut = |line: &Value| {
        line["level"] == "ERROR"
            && line["message"].as_str().is_some_and(|said| said.contains("does not let us in"))
    };
    assert!(lines.iter().any(shut), "{log}");
    assert!(log.contains("8476a536-e9f4-11e8-9739-2dfe598c3fcd"), "no request id: {log}");
    for canary in CANARIES {
        assert!(!log.contains(canary), "the log shows {canary}");
        assert!(!error.to_string().contains(canary), "the error shows {canary}");
    }
}

#[tokio::test]
async fn the_bootstrap_names_every_mistake_of_its_set_up() {
    let bootstrap = Bootstrap::start(env!("CARGO_BIN_EXE_analyze-image"), &BTreeMap::new()).unwrap();
    let (succeeded, log) = bootstrap.wait().unwrap();
    assert!(!succeeded);
    for name in [
        "AWS_REGION",
        "AZURE_VISION_ENDPOINT",
        "AZURE_VISION_KEY",
        "FIRESTORE_PROJECT",
        "GOOGLE_APPLICATION_CREDENTIALS",
    ] {
        assert!(log.contains(name), "{name} is not named: {log}");
    }
}
