//! What the played clouds hold, and how they answer.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use jiff::Timestamp;
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

use super::{Played, Seen};

pub(super) const ACCESS_KEY_ID: &str = "ASIACANARYEXAMPLE";
pub(super) const SECRET_ACCESS_KEY: &str = "canary-secret-access-key";
pub(super) const SESSION_TOKEN: &str = "canary-session-token";
pub(super) const VISION_KEY: &str = "canary-vision-key";
const FEDERATED: &str = "canary-federated-token";
const AUDIENCE: &str =
    "//iam.googleapis.com/projects/555/locations/global/workloadIdentityPools/pool/providers/aws";

/// Every secret that is about in a test: no log may show one of them.
pub const CANARIES: &[&str] =
    &[SECRET_ACCESS_KEY, SESSION_TOKEN, VISION_KEY, FEDERATED, "canary-access-token"];

/// What the clouds hold.
pub struct World {
    /// Objects of S3, by `bucket/key`: their etag and bytes.
    pub objects: BTreeMap<String, (String, Bytes)>,
    /// Secure parameters of Systems Manager.
    pub parameters: BTreeMap<String, String>,
    /// Documents of Firestore, by id: their fields, and the count of changes that dates them.
    pub documents: BTreeMap<String, (Value, u64)>,
    /// Whether the database is not there at all.
    pub no_database: bool,
    /// The key that Computer Vision takes.
    pub vision_key: String,
    /// What Computer Vision answers: status and body.
    pub vision: (u16, Value),
    /// Whether it answers so to everything, also to what is no picture.
    pub vision_refuses_all: bool,
    /// For how long a token of the service account holds.
    pub lifetime: Duration,
    /// How many tokens were given out. The last one is the one that Firestore takes.
    pub tokens: u64,
    changes: u64,
}

impl Default for World {
    fn default() -> Self {
        Self {
            objects: BTreeMap::new(),
            parameters: BTreeMap::new(),
            documents: BTreeMap::new(),
            no_database: false,
            vision_key: VISION_KEY.to_owned(),
            vision: (200, seen_by_vision()),
            vision_refuses_all: false,
            lifetime: Duration::from_hours(1),
            tokens: 0,
            changes: 0,
        }
    }
}

/// As `mcm` writes it for the trust of this stack.
pub(super) fn credential_configuration() -> String {
    json!({
        "universe_domain": "googleapis.com",
        "type": "external_account",
        "audience": AUDIENCE,
        "subject_token_type": "urn:ietf:params:aws:token-type:aws4_request",
        "token_url": "https://sts.googleapis.com/v1/token",
        "credential_source": {
            "environment_id": "aws1",
            "region_url": "http://169.254.169.254/latest/meta-data/placement/availability-zone",
            "url": "http://169.254.169.254/latest/meta-data/iam/security-credentials",
            "regional_cred_verification_url":
                "https://sts.{region}.amazonaws.com?Action=GetCallerIdentity&Version=2011-06-15",
        },
        "service_account_impersonation_url":
            "https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/w@demo.iam.gserviceaccount.com:generateAccessToken",
    })
    .to_string()
}

/// The answer of v3.2 to a picture, in its documented form.
pub fn seen_by_vision() -> Value {
    json!({
        "tags": [{ "name": "outdoor", "confidence": 0.71 }, { "name": "cat", "confidence": 0.99 }],
        "description": { "tags": ["cat"], "captions": [{ "text": "a cat on a wall", "confidence": 0.82 }] },
        "color": {
            "dominantColorForeground": "Brown", "dominantColorBackground": "White",
            "dominantColors": ["White", "Brown"], "accentColor": "8F5C3A", "isBwImg": false, "isBWImg": false,
        },
        "requestId": "1", "metadata": { "width": 64, "height": 64, "format": "Png" }, "modelVersion": "2021-05-01",
    })
}

impl World {
    pub(super) fn play(&mut self, seen: &Seen) -> Played {
        let path = percent_decode_str(&seen.path).decode_utf8_lossy().into_owned();
        if seen.headers.get("x-amz-target").is_some_and(|target| target == "AmazonSSM.GetParameter") {
            self.parameter(seen)
        } else if path == "/v1/token" {
            exchange(seen)
        } else if path.ends_with(":generateAccessToken") {
            self.impersonate(seen)
        } else if let Some(id) =
            path.strip_prefix("/v1/projects/demo/databases/(default)/documents/analyses/")
        {
            self.document(id, seen)
        } else if path.starts_with("/vision/") {
            self.look(seen)
        } else {
            self.object(path.trim_start_matches('/'), seen)
        }
    }

    fn object(&self, place: &str, seen: &Seen) -> Played {
        if !signed_for(seen, "s3") || !seen.headers.contains_key("x-amz-content-sha256") {
            return xml(403, "AccessDenied");
        }
        let Some((etag, body)) = self.objects.get(place) else { return xml(404, "NoSuchKey") };
        let wanted = seen.headers.get("if-match");
        if wanted.is_some_and(|wanted| wanted.trim_matches('"') != etag) {
            return xml(412, "PreconditionFailed");
        }
        let last =
            seen.headers.get("range").and_then(|range| range.strip_prefix("bytes=0-")?.parse::<usize>().ok());
        if body.is_empty() && last.is_some() {
            return xml(416, "InvalidRange");
        }
        let end = last.map_or(body.len(), |last| body.len().min(last + 1));
        let headers = vec![("etag", format!("\"{etag}\"")), ("content-type", "image/png".to_owned())];
        Played { status: if last.is_some() { 206 } else { 200 }, headers, body: body.slice(..end) }
    }

    fn parameter(&self, seen: &Seen) -> Played {
        let body: Value = serde_json::from_slice(&seen.body).unwrap_or_default();
        let name = body["Name"].as_str().unwrap_or_default();
        if !signed_for(seen, "ssm") || body["WithDecryption"] != true {
            return answer(400, &json!({ "__type": "AccessDeniedException" }));
        }
        match self.parameters.get(name) {
            Some(value) => answer(200, &json!({ "Parameter": { "Name": name, "Value": value } })),
            None => answer(400, &json!({ "__type": "ParameterNotFound" })),
        }
    }

    fn impersonate(&mut self, seen: &Seen) -> Played {
        let body: Value = serde_json::from_slice(&seen.body).unwrap_or_default();
        let federated =
            seen.headers.get("authorization").is_some_and(|is| *is == format!("Bearer {FEDERATED}"));
        if !federated || body["scope"] != json!(["https://www.googleapis.com/auth/datastore"]) {
            return google_error(403, "PERMISSION_DENIED");
        }
        self.tokens += 1;
        let expires = Timestamp::try_from(SystemTime::now() + self.lifetime).unwrap_or_default();
        answer(200, &json!({ "accessToken": self.token(), "expireTime": expires.to_string() }))
    }

    fn token(&self) -> String {
        format!("canary-access-token-{}", self.tokens)
    }

    fn document(&mut self, id: &str, seen: &Seen) -> Played {
        let bearer = format!("Bearer {}", self.token());
        if self.tokens == 0 || seen.headers.get("authorization") != Some(&bearer) {
            return google_error(401, "UNAUTHENTICATED");
        }
        if self.no_database {
            let message = "The database (default) does not exist for project demo Please visit \
                           https://console.cloud.google.com/datastore/setup?project=demo to add a Cloud Datastore or \
                           Cloud Firestore database. ";
            return answer(
                404,
                &json!({ "error": { "code": 404, "message": message, "status": "NOT_FOUND" } }),
            );
        }
        let current = self.documents.get(id).cloned();
        if seen.method == "GET" {
            return match current {
                Some((fields, change)) => {
                    answer(200, &json!({ "fields": fields, "updateTime": moment(change) }))
                }
                None => google_error(404, "NOT_FOUND"),
            };
        }
        let query: BTreeMap<String, String> =
            form_urlencoded::parse(seen.query.as_bytes()).into_owned().collect();
        if query.get("currentDocument.exists").is_some_and(|exists| exists == "false") && current.is_some() {
            return google_error(409, "ALREADY_EXISTS");
        }
        if let Some(since) = query.get("currentDocument.updateTime")
            && current.is_none_or(|(_, change)| moment(change) != *since)
        {
            return google_error(400, "FAILED_PRECONDITION");
        }
        let body: Value = serde_json::from_slice(&seen.body).unwrap_or_default();
        self.changes += 1;
        let (fields, change) = (body["fields"].clone(), self.changes);
        self.documents.insert(id.to_owned(), (fields.clone(), change));
        answer(200, &json!({ "fields": fields, "updateTime": moment(change) }))
    }

    fn look(&self, seen: &Seen) -> Played {
        let key = seen.headers.get("ocp-apim-subscription-key");
        if key != Some(&self.vision_key) {
            return answer(401, &json!({ "error": { "code": "401", "message": "Access denied" } }));
        }
        let bytes = seen.headers.get("content-type").is_some_and(|kind| kind == "application/octet-stream");
        if !bytes || seen.body.is_empty() || !seen.path.starts_with("/vision/v3.2/analyze") {
            return answer(415, &json!({ "error": { "code": "BadArgument", "message": "no picture" } }));
        }
        // Every picture of the tests is a PNG.
        if !self.vision_refuses_all && !seen.body.starts_with(b"\x89PNG") {
            let inner =
                json!({ "code": "InvalidImageFormat", "message": "Input data is not a valid image." });
            let error = json!({ "code": "InvalidRequest", "message": inner["message"], "innererror": inner });
            return answer(400, &json!({ "error": error }));
        }
        answer(self.vision.0, &self.vision.1)
    }
}

/// Google's STS: the subject token must be a signed GetCallerIdentity request, made for this audience.
fn exchange(seen: &Seen) -> Played {
    let form: BTreeMap<String, String> = form_urlencoded::parse(&seen.body).into_owned().collect();
    let field = |name: &str| form.get(name).map_or("", String::as_str);
    let subject = percent_decode_str(field("subject_token")).decode_utf8_lossy().into_owned();
    let subject: Value = serde_json::from_str(&subject).unwrap_or_default();
    let header = |name: &str| {
        let headers = subject["headers"].as_array().into_iter().flatten();
        let mut named = headers.filter(|header| header["key"] == name);
        named.find_map(|header| header["value"].as_str().map(str::to_owned)).unwrap_or_default()
    };
    let signed = "SignedHeaders=host;x-amz-date;x-amz-security-token;x-goog-cloud-target-resource,";
    let good = !seen.headers.contains_key("authorization")
        && field("grant_type") == "urn:ietf:params:oauth:grant-type:token-exchange"
        && field("audience") == AUDIENCE
        && field("subject_token_type") == "urn:ietf:params:aws:token-type:aws4_request"
        && subject["method"] == "POST"
        && subject["url"]
            == "https://sts.us-east-1.amazonaws.com?Action=GetCallerIdentity&Version=2011-06-15"
        && header("host") == "sts.us-east-1.amazonaws.com"
        && header("x-goog-cloud-target-resource") == AUDIENCE
        && header("x-amz-security-token") == SESSION_TOKEN
        && header("Authorization").contains(signed);
    if !good {
        return answer(
            400,
            &json!({ "error": "invalid_grant", "error_description": "the request is not signed" }),
        );
    }
    let token_type = "urn:ietf:params:oauth:token-type:access_token";
    let granted = json!({
        "access_token": FEDERATED, "issued_token_type": token_type, "token_type": "Bearer", "expires_in": 3600 });
    answer(200, &granted)
}

fn signed_for(seen: &Seen, service: &str) -> bool {
    let scope = format!("/us-east-1/{service}/aws4_request");
    seen.headers.get("authorization").is_some_and(|value| value.contains(&scope))
        && seen.headers.get("x-amz-security-token").is_some_and(|token| token == SESSION_TOKEN)
}

fn moment(change: u64) -> String {
    format!("2026-01-01T00:00:00.{change:06}Z")
}

fn answer(status: u16, body: &Value) -> Played {
    let headers = vec![("content-type", "application/json; charset=UTF-8".to_owned())];
    Played { status, headers, body: Bytes::from(body.to_string()) }
}

fn google_error(code: u16, status: &str) -> Played {
    answer(code, &json!({ "error": { "code": code, "message": "refused", "status": status } }))
}

fn xml(status: u16, code: &str) -> Played {
    let body = Bytes::from(format!("<Error><Code>{code}</Code></Error>"));
    Played { status, headers: vec![("content-type", "application/xml".to_owned())], body }
}
