//! The clouds' clients against clouds that break: each fault, on each kind of call.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use shared::aws::{Aws, Object};
use shared::call::{CallError, Caller, Patience};
use shared::firestore::{Collection, DocumentError, Expected, Written};
use shared::google::{TokenError, Tokens};
use shared::settings::Settings;
use shared::stub::{Fault, Stub};

struct Function {
    stub: Stub,
    aws: Aws,
    caller: Caller,
    tokens: Arc<Tokens>,
    documents: Collection,
}

/// Impatient, so that a test of patience is short.
fn patience() -> Patience {
    Patience {
        attempts: 4,
        attempt: Duration::from_millis(400),
        pause: Duration::from_millis(2),
        longest_pause: Duration::from_millis(10),
    }
}

fn soon() -> tokio::time::Instant {
    tokio::time::Instant::now() + Duration::from_secs(10)
}

async fn function(change: impl FnOnce(&mut BTreeMap<String, String>)) -> Function {
    let stub = Stub::start().await.unwrap();
    let mut variables = stub.variables();
    change(&mut variables);
    let variable = |name: &str| variables.get(name).cloned();
    let caller = Caller::new(patience()).unwrap();
    let mut settings = Settings::new(&variable);
    let aws = Aws::from_settings(&mut settings);
    let tokens = Arc::new(Tokens::from_settings(&mut settings, aws.clone(), caller.clone()));
    let documents = Collection::from_settings(&mut settings, Arc::clone(&tokens), caller.clone());
    settings.finish(Function { stub, aws, caller, tokens, documents }).unwrap()
}

const PASSING: &[Fault] = &[
    Fault::Status(429, None),
    Fault::Status(503, None),
    Fault::Status(500, None),
    Fault::Status(408, None),
    Fault::AppliedThen(500),
    Fault::Hang,
    Fault::Truncated,
    Fault::Html,
];

#[tokio::test]
async fn a_token_survives_every_passing_fault_of_either_step() {
    for step in ["/v1/token", ":generateAccessToken"] {
        for fault in PASSING {
            let function = function(|_| {}).await;
            function.stub.fault(step, fault.clone());
            let token = function.tokens.token(soon()).await;
            assert!(token.is_ok(), "{step} {fault:?}: {token:?}");
            assert_eq!(function.stub.seen(step).len(), 2, "{step} {fault:?}");
        }
    }
}

#[tokio::test]
async fn a_document_is_written_once_whatever_happens() {
    for fault in PASSING {
        let function = function(|_| {}).await;
        function.tokens.token(soon()).await.unwrap();
        function.stub.fault("/documents/", fault.clone());
        let fields = json!({ "text": "a" });
        let written = function.documents.write("x", &fields, &Expected::Nothing, soon()).await.unwrap();
        // Where the first write was applied, the second one finds something there, and says so.
        let applied = matches!(fault, Fault::AppliedThen(_) | Fault::Truncated);
        assert_eq!(written == Written::Conflict, applied, "{fault:?}: {written:?}");
        let stored = function.documents.read("x", soon()).await.unwrap().unwrap();
        assert_eq!(stored.fields, fields, "{fault:?}");
        let changes = function.stub.world(|world| world.documents["x"].1);
        assert_eq!(changes, 1, "{fault:?}");
    }
}

#[tokio::test]
async fn a_write_that_comes_late_is_told() {
    let function = function(|_| {}).await;
    let documents = &function.documents;
    documents.write("x", &json!({ "a": 1 }), &Expected::Nothing, soon()).await.unwrap();
    let seen = documents.read("x", soon()).await.unwrap().unwrap();
    let since = Expected::Since(seen.updated_at);
    let written = documents.write("x", &json!({ "a": 2 }), &since, soon()).await.unwrap();
    let now = documents.read("x", soon()).await.unwrap().unwrap().updated_at;
    assert_eq!(written, Written::Yes(now), "what the next write can take to be there");
    assert_eq!(documents.write("x", &json!({ "a": 3 }), &since, soon()).await.unwrap(), Written::Conflict);
    assert_eq!(documents.read("x", soon()).await.unwrap().unwrap().fields, json!({ "a": 2 }));
    assert_eq!(documents.write("y", &json!({}), &since, soon()).await.unwrap(), Written::Conflict);
    assert_eq!(documents.read("y", soon()).await.unwrap(), None);
}

#[tokio::test]
async fn retry_after_is_honoured_and_bounded_by_the_deadline() {
    let function = function(|_| {}).await;
    function.stub.fault("/v1/token", Fault::Status(429, Some(1)));
    let started = Instant::now();
    function.tokens.token(soon()).await.unwrap();
    let [first, second] = &function.stub.seen("/v1/token")[..] else { panic!("two calls") };
    assert!(second.at - first.at >= Duration::from_secs(1), "it came back before it was asked to");
    assert!(started.elapsed() < Duration::from_secs(5));

    let function = self::function(|_| {}).await;
    function.stub.fault("/v1/token", Fault::Status(503, Some(3600)));
    let started = Instant::now();
    let error = function.tokens.token(soon()).await.unwrap_err();
    assert!(matches!(error, TokenError::Exchange(CallError::Busy { status: 503, .. })), "{error:?}");
    assert!(started.elapsed() < Duration::from_secs(2), "it waited for what cannot come in time");
}

#[tokio::test]
async fn attempts_are_bounded_and_refusals_final() {
    let function = function(|_| {}).await;
    for _ in 0..10 {
        function.stub.fault("/v1/token", Fault::Status(500, None));
    }
    let error = function.tokens.token(soon()).await.unwrap_err();
    assert!(matches!(error, TokenError::Exchange(CallError::Busy { status: 500, .. })), "{error:?}");
    assert_eq!(function.stub.seen("/v1/token").len(), 4);

    let function = self::function(|_| {}).await;
    function.stub.fault("/v1/token", Fault::Status(403, None));
    let error = function.tokens.token(soon()).await.unwrap_err();
    assert!(matches!(error, TokenError::Exchange(CallError::Refused { status: 403, .. })), "{error:?}");
    assert_eq!(function.stub.seen("/v1/token").len(), 1);
}

#[tokio::test]
async fn a_deadline_ends_even_a_call_that_hangs() {
    let function = function(|_| {}).await;
    function.stub.fault("/v1/token", Fault::Hang);
    let started = Instant::now();
    let deadline = tokio::time::Instant::now() + Duration::from_millis(120);
    let error = function.tokens.token(deadline).await.unwrap_err();
    assert!(matches!(error, TokenError::Exchange(CallError::TimedOut { .. })), "{error:?}");
    assert!(started.elapsed() < Duration::from_millis(390), "{:?}", started.elapsed());
}

#[tokio::test]
async fn many_callers_share_one_exchange() {
    let function = function(|_| {}).await;
    let asked = (0..64).map(|_| {
        let tokens = Arc::clone(&function.tokens);
        tokio::spawn(async move { tokens.token(soon()).await })
    });
    let asked: Vec<_> = asked.collect();
    for token in asked {
        assert_eq!(token.await.unwrap().unwrap().reveal(), "canary-access-token-1");
    }
    assert_eq!(function.stub.seen("/v1/token").len(), 1);
    assert_eq!(function.stub.seen(":generateAccessToken").len(), 1);
}

#[tokio::test]
async fn many_callers_share_one_failure() {
    let function = function(|_| {}).await;
    for _ in 0..2 {
        function.stub.fault("/v1/token", Fault::Status(403, None));
    }
    let asked: Vec<_> = (0..16)
        .map(|_| {
            let tokens = Arc::clone(&function.tokens);
            tokio::spawn(async move { tokens.token(soon()).await })
        })
        .collect();
    for token in asked {
        assert!(token.await.unwrap().is_err());
    }
    assert_eq!(function.stub.seen("/v1/token").len(), 1);
    // Whoever comes later tries anew, and meets the second fault; the one after succeeds.
    assert!(function.tokens.token(soon()).await.is_err());
    assert!(function.tokens.token(soon()).await.is_ok());
}

#[tokio::test]
async fn a_caller_that_gives_up_does_not_block_the_others() {
    let function = function(|_| {}).await;
    function.stub.fault("/v1/token", Fault::Hang);
    let tokens = Arc::clone(&function.tokens);
    let first = tokio::spawn(async move { tokens.token(soon()).await });
    while function.stub.seen("/v1/token").is_empty() {
        tokio::task::yield_now().await;
    }
    first.abort();
    assert!(function.tokens.token(soon()).await.is_ok());
}

#[tokio::test]
async fn a_token_is_renewed_before_it_expires() {
    let function = function(|_| {}).await;
    function.stub.world(|world| world.lifetime = Duration::from_secs(299));
    let first = function.tokens.token(soon()).await.unwrap();
    let second = function.tokens.token(soon()).await.unwrap();
    assert_ne!(first, second, "less than five minutes were left of it");
    function.stub.world(|world| world.lifetime = Duration::from_secs(320));
    let third = function.tokens.token(soon()).await.unwrap();
    assert_eq!(function.tokens.token(soon()).await.unwrap(), third);
}

#[tokio::test]
async fn a_token_that_cannot_be_renewed_is_used_to_its_end() {
    let function = function(|_| {}).await;
    function.stub.world(|world| world.lifetime = Duration::from_secs(200));
    let first = function.tokens.token(soon()).await.unwrap();
    function.stub.fault("/v1/token", Fault::Status(403, None));
    assert_eq!(function.tokens.token(soon()).await.unwrap(), first);
    function.stub.world(|world| world.lifetime = Duration::from_secs(20));
    function.tokens.token(soon()).await.unwrap();
    function.stub.fault("/v1/token", Fault::Status(403, None));
    assert!(function.tokens.token(soon()).await.is_err(), "too little was left of it");
}

#[tokio::test]
async fn a_revoked_token_is_replaced_once() {
    let function = function(|_| {}).await;
    function.tokens.token(soon()).await.unwrap();
    // The service now takes another one than ours.
    function.stub.world(|world| world.tokens += 1);
    assert_eq!(function.documents.read("x", soon()).await.unwrap(), None);
    assert_eq!(function.stub.seen(":generateAccessToken").len(), 2);
    function.stub.fault("/documents/", Fault::Status(401, None));
    function.stub.fault("/documents/", Fault::Status(401, None));
    let error = function.documents.read("x", soon()).await.unwrap_err();
    assert!(matches!(error, DocumentError::Call(CallError::Refused { status: 401, .. })), "{error:?}");
}

#[tokio::test]
async fn the_configuration_may_be_a_file_and_must_be_one_of_an_aws_role() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("google.json");
    let place = path.display().to_string();
    let function = function(|variables| {
        std::fs::write(&path, &variables["GOOGLE_CREDENTIAL_CONFIGURATION"]).unwrap();
        variables.insert("GOOGLE_APPLICATION_CREDENTIALS".to_owned(), place);
        variables.remove("GOOGLE_CREDENTIAL_CONFIGURATION");
    })
    .await;
    assert!(function.tokens.token(soon()).await.is_ok());

    let good: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    let spoilt: [(&str, Value); 4] = [
        ("/type", json!("service_account")),
        ("/subject_token_type", json!("urn:ietf:params:oauth:token-type:jwt")),
        ("/token_url", json!("http://sts.googleapis.com/v1/token")),
        (
            "/credential_source/regional_cred_verification_url",
            json!("http://sts.amazonaws.com?Action=GetCallerIdentity"),
        ),
    ];
    for (place, value) in spoilt {
        let mut bad = good.clone();
        *bad.pointer_mut(place).unwrap() = value;
        let told = refusal(&[("GOOGLE_CREDENTIAL_CONFIGURATION", &bad.to_string())]);
        assert!(
            told.contains("GOOGLE_CREDENTIAL_CONFIGURATION is no configuration to be used"),
            "{place}: {told}"
        );
    }
    let absent = folder.path().join("absent.json").display().to_string();
    let told = refusal(&[("GOOGLE_APPLICATION_CREDENTIALS", &absent)]);
    assert!(told.contains("absent.json cannot be read"), "{told}");
    std::fs::write(&path, "{").unwrap();
    let told = refusal(&[("GOOGLE_APPLICATION_CREDENTIALS", &path.display().to_string())]);
    assert!(told.contains("GOOGLE_APPLICATION_CREDENTIALS is no configuration to be used"), "{told}");
    assert!(refusal(&[]).contains("neither GOOGLE_APPLICATION_CREDENTIALS nor"), "{}", refusal(&[]));
}

/// What a start with these settings is refused for.
fn refusal(given: &[(&str, &str)]) -> String {
    let role =
        [("AWS_REGION", "us-east-1"), ("AWS_ACCESS_KEY_ID", "id"), ("AWS_SECRET_ACCESS_KEY", "secret")];
    let all: BTreeMap<&str, &str> = role.iter().chain(given).copied().collect();
    let variable = |name: &str| all.get(name).map(|value| (*value).to_owned());
    let mut settings = Settings::new(&variable);
    let aws = Aws::from_settings(&mut settings);
    let tokens = Tokens::from_settings(&mut settings, aws, Caller::new(patience()).unwrap());
    settings.finish(tokens).map(|_| ()).unwrap_err().to_string()
}

#[tokio::test]
async fn an_object_is_read_whole_or_not_at_all() {
    let function = function(|_| {}).await;
    let body = |length: usize| bytes::Bytes::from(vec![7_u8; length]);
    function.stub.world(|world| {
        for (key, length) in [("fits", 100), ("over", 101), ("none", 0), ("a b+ü/c", 3)] {
            world.objects.insert(format!("pictures/{key}"), ("e1".to_owned(), body(length)));
        }
    });
    let read = async |key: &str, etag: Option<&str>| {
        function.aws.object(&function.caller, soon(), ("pictures", key), etag, 100).await.unwrap()
    };
    assert_eq!(read("fits", Some("e1")).await, Object::Found(body(100)));
    assert_eq!(read("over", Some("e1")).await, Object::TooLarge);
    assert_eq!(read("none", None).await, Object::Found(body(0)));
    assert_eq!(read("a b+ü/c", None).await, Object::Found(body(3)));
    assert_eq!(read("fits", Some("e2")).await, Object::Gone);
    assert_eq!(read("absent", None).await, Object::Gone);
    for fault in PASSING.iter().filter(|fault| !matches!(fault, Fault::Html)) {
        function.stub.fault("/fits", fault.clone());
        assert_eq!(read("fits", None).await, Object::Found(body(100)), "{fault:?}");
    }
}

#[tokio::test]
async fn a_parameter_is_read_decrypted() {
    let function = function(|_| {}).await;
    function.stub.world(|world| world.parameters.insert("/vision/key".to_owned(), "k".to_owned()));
    let key = function.aws.parameter(&function.caller, soon(), "/vision/key").await.unwrap();
    assert_eq!(key.reveal(), "k");
    let error = function.aws.parameter(&function.caller, soon(), "/other").await.unwrap_err();
    assert!(
        matches!(&error, CallError::Refused { status: 400, message, .. } if message == "ParameterNotFound")
    );
}
