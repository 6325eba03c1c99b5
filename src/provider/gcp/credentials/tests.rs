//! Where credentials are found, and what is said where there are none: against an issuer on loopback.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::HashMap;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;

use super::*;

const EMAIL: &str = "writer@project.iam.gserviceaccount.com";

/// Starts a token service, an impersonation service and a metadata server; ends with the process.
fn issuer() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            answer(&mut stream.unwrap());
        }
    });
    at
}

fn answer(stream: &mut TcpStream) {
    let mut request = Vec::new();
    let mut chunk = [0; 4096];
    let (head, body) = loop {
        let count = stream.read(&mut chunk).unwrap();
        request.extend_from_slice(&chunk[..count]);
        let text = String::from_utf8_lossy(&request).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length =
            head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
        if body.len() >= length.unwrap_or(0_usize) || count == 0 {
            break (head.to_lowercase(), body.to_owned());
        }
    };
    let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
    let (status, body) = match reply(&path, &head, &body) {
        Ok(body) => ("200 OK", body),
        Err(why) => {
            ("400 Bad Request", json!({ "error": "invalid_grant", "error_description": why }).to_string())
        }
    };
    let length = body.len();
    write!(stream, "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}")
        .unwrap();
}

fn reply(path: &str, head: &str, body: &str) -> Result<String, String> {
    let token = |token: &str| {
        json!({ "access_token": token, "token_type": "Bearer", "expires_in": 3600 }).to_string()
    };
    match path {
        "/v1/token" => {
            let form: HashMap<_, _> = form_urlencoded::parse(body.as_bytes()).into_owned().collect();
            let subject = form["subject_token"].trim();
            let aws = form["subject_token_type"].ends_with("aws4_request") && subject.contains("AKIDEXAMPLE");
            if aws {
                Ok(token("from-aws"))
            } else if subject == "who-i-am" {
                Ok(token("from-subject"))
            } else {
                Err("who are you".to_owned())
            }
        }
        "/subject" => Ok("who-i-am".to_owned()),
        "/wrapped" => Ok(json!({ "token": "who-i-am" }).to_string()),
        path if path.starts_with("/computemetadata/") && head.contains("metadata-flavor: google") => {
            Ok(token("from-metadata"))
        }
        path if path.ends_with(":generateaccesstoken") && head.contains("bearer from-aws") => {
            Ok(json!({ "accessToken": "impersonated", "expireTime": "2099-01-01T00:00:00Z" }).to_string())
        }
        other => Err(format!("nothing at {other}")),
    }
}

fn external(at: &str, token_type: &str, source: &Json) -> Json {
    json!({
        "type": "external_account",
        "audience": "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/q",
        "subject_token_type": token_type,
        "token_url": format!("http://{at}/v1/token"),
        "credential_source": source,
    })
}

fn aws(at: &str) -> Json {
    let source = json!({
        "environment_id": "aws1",
        "region_url": "http://169.254.169.254/latest/meta-data/placement/availability-zone",
        "url": "http://169.254.169.254/latest/meta-data/iam/security-credentials",
        "regional_cred_verification_url": "https://sts.{region}.amazonaws.com?Action=GetCallerIdentity&Version=2011-06-15",
    });
    external(at, "urn:ietf:params:aws:token-type:aws4_request", &source)
}

/// The token that is found with nothing else in the environment.
async fn find_token(folder: &Path, file: Option<&Json>, more: &[(&str, &str)]) -> Result<String, CloudError> {
    let mut variables: HashMap<String, String> =
        more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    variables.insert("HOME".to_owned(), folder.display().to_string());
    variables.insert("APPDATA".to_owned(), folder.display().to_string());
    if let Some(json) = file {
        let path = folder.join("credentials.json");
        std::fs::write(&path, json.to_string()).unwrap();
        variables.insert("GOOGLE_APPLICATION_CREDENTIALS".to_owned(), path.display().to_string());
    }
    let tokens = Tokens::new(None, Arc::new(move |name| variables.get(name).cloned()));
    tokens.token().await.map(|token| token.expose().to_owned())
}

const KEYS: &[(&str, &str)] = &[
    ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"),
    ("AWS_SECRET_ACCESS_KEY", "secret"),
    ("AWS_DEFAULT_REGION", "eu-west-1"),
];

#[tokio::test]
async fn found_where_googles_tools_find_them() {
    let folder = tempfile::tempdir().unwrap();
    let (folder, at) = (folder.path(), issuer());
    let jwt = "urn:ietf:params:oauth:token-type:jwt";
    std::fs::write(folder.join("subject"), "who-i-am\n").unwrap();
    let mut impersonating = aws(&at);
    let url = format!("http://{at}/v1/projects/-/serviceAccounts/{EMAIL}:generateAccessToken");
    impersonating["service_account_impersonation_url"] = json!(url);
    let wrapped = json!({ "type": "json", "subject_token_field_name": "token" });
    for (file, environment, expected) in [
        (Some(aws(&at)), KEYS, "from-aws"),
        (Some(impersonating), KEYS, "impersonated"),
        (Some(external(&at, jwt, &json!({ "file": folder.join("subject") }))), &[], "from-subject"),
        (Some(external(&at, jwt, &json!({ "url": format!("http://{at}/subject") }))), &[], "from-subject"),
        (
            Some(external(&at, jwt, &json!({ "url": format!("http://{at}/wrapped"), "format": wrapped }))),
            &[],
            "from-subject",
        ),
        (None, &[("GCE_METADATA_HOST", at.as_str())], "from-metadata"),
    ] {
        let found = find_token(folder, file.as_ref(), environment).await;
        assert_eq!(found.as_deref(), Ok(expected), "{file:?}");
    }
    let gcloud = folder.join("gcloud");
    std::fs::create_dir_all(&gcloud).unwrap();
    std::fs::write(gcloud.join("application_default_credentials.json"), aws(&at).to_string()).unwrap();
    let gcloud = gcloud.display().to_string();
    let environment: Vec<(&str, &str)> =
        KEYS.iter().copied().chain([("CLOUDSDK_CONFIG", gcloud.as_str())]).collect();
    assert_eq!(find_token(folder, None, &environment).await.as_deref(), Ok("from-aws"));
}

/// A credentials file, the environment, and what is said.
type Case<'a> = (Option<Json>, &'a [(&'a str, &'a str)], &'a str);

#[tokio::test]
async fn without_any_it_says_how_to_get_some() {
    let folder = tempfile::tempdir().unwrap();
    let (folder, at) = (folder.path(), issuer());
    let mut elsewhere = aws(&at);
    elsewhere["token_url"] = json!("http://tokens.example/v1/token");
    let mut spoofed = aws(&at);
    spoofed["credential_source"]["url"] = json!("http://169.254.169.254.example/");
    let mut plain = external(&at, "jwt", &json!({ "file": "nowhere" }));
    plain["service_account_impersonation_url"] = json!("http://iamcredentials.example/");
    let strangers = &[
        ("AWS_ACCESS_KEY_ID", "AKIDSTRANGER"),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
        ("AWS_REGION", "eu-west-1"),
    ];
    let missing = folder.join("missing.json").display().to_string();
    let cases: [Case<'_>; 9] = [
        (None, &[("GCE_METADATA_HOST", "127.0.0.1:9")], "there are no application-default credentials"),
        (None, &[("GOOGLE_APPLICATION_CREDENTIALS", &missing)], "missing.json"),
        (Some(json!({ "type": "gold" })), &[], "credentials of the type `gold`"),
        (Some(json!({ "type": "service_account" })), &[], "it is not complete"),
        (Some(elsewhere), KEYS, "http://tokens.example/v1/token is not https://"),
        (Some(plain), KEYS, "http://iamcredentials.example/ is not https://"),
        (Some(spoofed), KEYS, "which is not AWS's metadata server"),
        (Some(aws(&at)), strangers, "sts.token answered 400: who are you"),
        (Some(external(&at, "jwt", &json!({ "file": "nowhere" }))), &[], "No such file"),
    ];
    for (file, environment, word) in cases {
        let error = find_token(folder, file.as_ref(), environment).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Credentials, "{error}");
        assert!(error.message.contains(word), "{word}: {error}");
        assert_eq!(error.hint.as_deref(), Some(LOGIN));
    }
}

#[tokio::test]
async fn a_persons_credentials_say_who_pays() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("credentials.json");
    let json = json!({
        "type": "authorized_user", "client_id": "c", "client_secret": "s", "refresh_token": "r", "quota_project_id": "mine",
    });
    std::fs::write(&file, json.to_string()).unwrap();
    let quota = OnceLock::new();
    let environment: Environment = Arc::new(|_| None);
    assert!(from_file(file, &environment, &quota).await.is_ok());
    assert_eq!(quota.get().map(String::as_str), Some("mine"));
}
