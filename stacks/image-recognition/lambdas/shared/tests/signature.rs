//! The subject token's signature, computed a second time by the letter of AWS's documentation: the way Google
//! has it checked.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

use std::collections::BTreeMap;
use std::sync::Arc;

use hmac::{Hmac, Mac as _};
use percent_encoding::percent_decode_str;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use shared::aws::Aws;
use shared::call::{Caller, Patience};
use shared::google::Tokens;
use shared::settings::Settings;
use shared::stub::Stub;

fn mac(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

#[tokio::test]
async fn the_subject_token_is_signed_for_this_audience() {
    let stub = Stub::start().await.unwrap();
    let variables = stub.variables();
    let variable = |name: &str| variables.get(name).cloned();
    let mut settings = Settings::new(&variable);
    let aws = Aws::from_settings(&mut settings);
    let caller = Caller::new(Patience::default()).unwrap();
    let tokens = Arc::new(Tokens::from_settings(&mut settings, aws, caller));
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(10);
    tokens.token(deadline).await.unwrap();

    let call = stub.seen("/v1/token").remove(0);
    let form: BTreeMap<String, String> = form_urlencoded::parse(&call.body).into_owned().collect();
    let subject = percent_decode_str(&form["subject_token"]).decode_utf8().unwrap().into_owned();
    let subject: Value = serde_json::from_str(&subject).unwrap();
    let headers: BTreeMap<String, String> = subject["headers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|header| {
            (header["key"].as_str().unwrap().to_lowercase(), header["value"].as_str().unwrap().to_owned())
        })
        .collect();
    let authorization = &headers["authorization"];
    let part = |name: &str| {
        let after = authorization.split_once(&format!("{name}=")).unwrap().1;
        after.split(',').next().unwrap().trim().to_owned()
    };
    let names = part("SignedHeaders");
    assert!(names.split(';').any(|name| name == "x-goog-cloud-target-resource"));
    let lines: Vec<String> = names.split(';').map(|name| format!("{name}:{}\n", headers[name])).collect();
    let lines = lines.concat();
    let nothing = hex::encode(Sha256::digest(b""));
    let canonical =
        format!("POST\n/\nAction=GetCallerIdentity&Version=2011-06-15\n{lines}\n{names}\n{nothing}");
    let (date, scope) = (&headers["x-amz-date"], part("Credential").split_once('/').unwrap().1.to_owned());
    assert_eq!(scope, format!("{}/us-east-1/sts/aws4_request", &date[..8]));
    let digest = hex::encode(Sha256::digest(&canonical));
    let to_sign = format!("AWS4-HMAC-SHA256\n{date}\n{scope}\n{digest}");
    let key = scope.split('/').fold(b"AWS4canary-secret-access-key".to_vec(), |key, part| mac(&key, part));
    assert_eq!(part("Signature"), hex::encode(mac(&key, &to_sign)));
}
