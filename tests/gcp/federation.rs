//! Federation by direct calls: the exchange, impersonation and documents, with a clock that is moved.

use bytes::Bytes;
use hmac::{Hmac, Mac as _};
use jiff::{SignedDuration, Timestamp};
use mcm::sandbox::{Accounts, Clock, Credentials, World, aws, gcp, project_number};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value as Json, json};
use sha2::{Digest as _, Sha256};

const PROJECT: &str = "federated-project";
const ACCOUNT: &str = "123456789012";
const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";
const EMAIL: &str = "writer-of-documents@federated-project.iam.gserviceaccount.com";

/// A key that signs, with its session's token.
struct Signer {
    id: String,
    secret: String,
    token: Option<String>,
}

struct Scene {
    world: World,
    now: Timestamp,
}

impl Scene {
    /// A project with a pool, an AWS provider, a service account and a database; an AWS role.
    fn new(provider: &Json) -> Self {
        let accounts = Accounts {
            aws: [ACCOUNT.to_owned()].into(),
            gcp: [PROJECT.to_owned()].into(),
            ..Accounts::default()
        };
        let now: Timestamp = "2026-11-23T12:00:00Z".parse().unwrap();
        let mut scene = Self { world: World::new(Clock::Fixed(now), 7, accounts), now };
        let trust = json!({ "Version": "2012-10-17", "Statement": [
            { "Effect": "Allow", "Principal": { "Service": "lambda.amazonaws.com" }, "Action": "sts:AssumeRole" },
        ] });
        for role in ["writer", "neighbour"] {
            scene.iam(&format!(
                "Action=CreateRole&Version=2010-05-08&RoleName={role}&AssumeRolePolicyDocument={}",
                quoted(&trust.to_string())
            ));
        }
        let names = ["sts", "iamcredentials", "firestore"].map(|name| format!("{name}.googleapis.com"));
        scene.done(
            "POST",
            &format!("/v1/projects/{PROJECT}/services:batchEnable"),
            &json!({ "serviceIds": names }),
        );
        let pools = format!("/v1/projects/{PROJECT}/locations/global/workloadIdentityPools");
        scene.done("POST", &format!("{pools}?workloadIdentityPoolId=pool"), &json!({}));
        scene.done(
            "POST",
            &format!("{pools}/pool/providers?workloadIdentityPoolProviderId=from-aws"),
            provider,
        );
        scene.owner(
            "POST",
            &format!("/v1/projects/{PROJECT}/serviceAccounts"),
            &json!({ "accountId": "writer-of-documents" }),
        );
        let database = json!({ "locationId": "nam5", "type": "FIRESTORE_NATIVE" });
        scene.done("POST", &format!("/v1/projects/{PROJECT}/databases?databaseId=(default)"), &database);
        scene
    }

    fn iam(&mut self, form: &str) {
        let (id, secret) = Credentials::known().aws_keys(ACCOUNT);
        let signer = Signer { id, secret, token: None };
        let headers = signed(&signer, self.now, "iam", "POST", "iam.amazonaws.com", "", form, &[]);
        let mut request =
            http::Request::builder().method("POST").uri("/").body(Bytes::from(form.to_owned())).unwrap();
        request.headers_mut().insert("content-type", "application/x-www-form-urlencoded".parse().unwrap());
        for (name, value) in headers {
            request.headers_mut().insert(name.parse::<http::HeaderName>().unwrap(), value.parse().unwrap());
        }
        let response = aws::handle(&mut self.world, &request);
        assert_eq!(response.status(), 200, "{}", String::from_utf8_lossy(response.body()));
    }

    fn session(&mut self, role: &str) -> Signer {
        let arn = format!("arn:aws:iam::{ACCOUNT}:role/{role}");
        let keys = aws::assume(&mut self.world, &arn, "session", SignedDuration::from_hours(1)).unwrap();
        Signer { id: keys.access_key_id, secret: keys.secret_access_key, token: Some(keys.session_token) }
    }

    fn call(&mut self, token: &str, method: &str, path: &str, body: &Json) -> (u16, Json) {
        let body = if body.is_null() { Bytes::new() } else { Bytes::from(body.to_string()) };
        let mut request =
            http::Request::builder().method(method).uri(path).header("content-type", "application/json");
        if !token.is_empty() {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let response = gcp::handle(&mut self.world, &request.body(body).unwrap());
        (response.status().as_u16(), serde_json::from_slice(response.body()).unwrap())
    }

    fn owner(&mut self, method: &str, path: &str, body: &Json) -> Json {
        let (status, reply) = self.call(&Credentials::known().gcp_token(), method, path, body);
        assert_eq!(status, 200, "{method} {path}: {reply:#}");
        reply
    }

    fn done(&mut self, method: &str, path: &str, body: &Json) {
        let mut reply = self.owner(method, path, body);
        let name = reply["name"].as_str().unwrap().to_owned();
        while reply.get("done").is_none() {
            reply = self.owner("GET", &format!("/v1/{name}"), &Json::Null);
        }
    }

    fn exchange(&mut self, signer: &Signer) -> Result<String, String> {
        let audience = audience();
        let query = "Action=GetCallerIdentity&Version=2011-06-15";
        let host = "sts.eu-west-1.amazonaws.com";
        let extra = [("x-goog-cloud-target-resource", audience.as_str())];
        let headers = signed(signer, self.now, "sts", "POST", host, query, "", &extra);
        let headers: Vec<Json> =
            headers.iter().map(|(key, value)| json!({ "key": key, "value": value })).collect();
        let subject =
            json!({ "url": format!("https://{host}?{query}"), "method": "POST", "headers": headers });
        let body = json!({
            "grantType": "urn:ietf:params:oauth:grant-type:token-exchange",
            "audience": audience,
            "scope": SCOPE,
            "requestedTokenType": "urn:ietf:params:oauth:token-type:access_token",
            "subjectTokenType": "urn:ietf:params:aws:token-type:aws4_request",
            "subjectToken": quoted(&subject.to_string()),
        });
        let (status, reply) = self.call("", "POST", "/v1/token", &body);
        match status {
            200 => Ok(reply["access_token"].as_str().unwrap().to_owned()),
            _ => Err(reply["error"].as_str().unwrap_or_default().to_owned()),
        }
    }

    fn impersonate(&mut self, token: &str) -> Result<String, u16> {
        let path = format!("/v1/projects/-/serviceAccounts/{EMAIL}:generateAccessToken");
        let (status, reply) =
            self.call(token, "POST", &path, &json!({ "scope": [SCOPE], "lifetime": "600s" }));
        if status == 200 { Ok(reply["accessToken"].as_str().unwrap().to_owned()) } else { Err(status) }
    }

    fn grant(&mut self, member: &str, condition: &Json) {
        let mut binding = json!({ "role": "roles/iam.workloadIdentityUser", "members": [member] });
        if !condition.is_null() {
            binding["condition"] = condition.clone();
        }
        let path = format!("/v1/projects/{PROJECT}/serviceAccounts/{EMAIL}:setIamPolicy");
        self.owner("POST", &path, &json!({ "policy": { "version": 3, "bindings": [binding] } }));
    }

    fn later(&mut self, by: SignedDuration) {
        self.now += by;
        self.world.set_clock(Clock::Fixed(self.now));
    }
}

fn audience() -> String {
    let number = project_number(PROJECT);
    format!(
        "//iam.googleapis.com/projects/{number}/locations/global/workloadIdentityPools/pool/providers/from-aws"
    )
}

fn principals(rest: &str) -> String {
    let number = project_number(PROJECT);
    format!(
        "principalSet://iam.googleapis.com/projects/{number}/locations/global/workloadIdentityPools/pool/{rest}"
    )
}

fn quoted(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

/// The header fields of a signed request to `/`, `query` being in canonical form.
#[expect(clippy::too_many_arguments, reason = "they are what is signed")]
fn signed(
    signer: &Signer,
    now: Timestamp,
    service: &str,
    method: &str,
    host: &str,
    query: &str,
    body: &str,
    extra: &[(&str, &str)],
) -> Vec<(String, String)> {
    let time = now.strftime("%Y%m%dT%H%M%SZ").to_string();
    let mut headers = vec![("host".to_owned(), host.to_owned()), ("x-amz-date".to_owned(), time.clone())];
    headers.extend(signer.token.iter().map(|token| ("x-amz-security-token".to_owned(), token.clone())));
    headers.extend(extra.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    headers.sort();
    let names = headers.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(";");
    let fields =
        headers.iter().fold(String::new(), |fields, (name, value)| fields + name + ":" + value + "\n");
    let digest = |text: &str| hex::encode(Sha256::digest(text));
    let canonical = format!("{method}\n/\n{query}\n{fields}\n{names}\n{}", digest(body));
    let scope = format!("{}/us-east-1/{service}/aws4_request", &time[..8]);
    let text = format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{}", digest(&canonical));
    let mac = |key: &[u8], text: &str| {
        let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
        mac.update(text.as_bytes());
        mac.finalize().into_bytes().to_vec()
    };
    let mut key = format!("AWS4{}", signer.secret).into_bytes();
    for part in [&time[..8], "us-east-1", service, "aws4_request"] {
        key = mac(&key, part);
    }
    let signature = hex::encode(mac(&key, &text));
    let credential = format!("{}/{scope}", signer.id);
    let header =
        format!("AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders={names}, Signature={signature}");
    headers.push(("authorization".to_owned(), header));
    headers
}

fn provider() -> Json {
    json!({ "aws": { "accountId": ACCOUNT } })
}

fn role(name: &str) -> String {
    principals(&format!("attribute.aws_role/arn:aws:sts::{ACCOUNT}:assumed-role/{name}"))
}

#[test]
fn the_grant_names_one_role_and_lets_in_no_other() {
    let mut scene = Scene::new(&provider());
    scene.grant(&role("writer"), &Json::Null);
    let (writer, neighbour) = (scene.session("writer"), scene.session("neighbour"));
    let token = scene.exchange(&writer).unwrap();
    assert!(scene.impersonate(&token).is_ok());
    let token = scene.exchange(&neighbour).unwrap();
    assert_eq!(scene.impersonate(&token), Err(403), "Google's default mapping tells the roles apart");
    scene.grant(&principals("*"), &Json::Null);
    assert!(scene.impersonate(&token).is_ok(), "now everyone of the pool may");
}

#[test]
fn a_proof_tells_who_is_let_in_and_leaves_nothing_behind() {
    use mcm::sandbox::proof::{Claim, Who, prove};
    let mut scene = Scene::new(&provider());
    scene.grant(&role("writer"), &Json::Null);
    let claim = Claim {
        account: ACCOUNT.to_owned(),
        role: "writer".to_owned(),
        provider: audience().trim_start_matches("//iam.googleapis.com/").to_owned(),
        service_account: EMAIL.to_owned(),
    };
    let records = |scene: &Scene| scene.world.records().count();
    let before = records(&scene);
    let let_in = |scene: &Scene| -> Vec<Who> {
        let tried = prove(&scene.world, &claim);
        assert_eq!(tried.len(), Who::ALL.len());
        tried.into_iter().filter(|tried| tried.outcome.is_ok()).map(|tried| tried.who).collect()
    };
    assert_eq!(let_in(&scene), [Who::Role]);
    scene.grant(&principals("*"), &Json::Null);
    assert_eq!(let_in(&scene), [Who::Role, Who::Neighbour], "everyone of the account, and no one else");
    scene.grant(&role("reader"), &Json::Null);
    assert_eq!(let_in(&scene), [], "another role's grant");
    assert_eq!(records(&scene), before);
}

#[test]
fn mapping_and_condition_are_the_providers() {
    let mut provider = provider();
    provider["attributeMapping"] = json!({ "google.subject": "assertion.userid.extract('{id}:')", "attribute.account": "assertion.account" });
    provider["attributeCondition"] =
        json!("assertion.arn.startsWith('arn:aws:sts::123456789012:assumed-role/writer/')");
    let mut scene = Scene::new(&provider);
    scene.grant(&principals(&format!("attribute.account/{ACCOUNT}")), &Json::Null);
    let (writer, neighbour) = (scene.session("writer"), scene.session("neighbour"));
    let token = scene.exchange(&writer).unwrap();
    assert!(scene.impersonate(&token).is_ok());
    assert_eq!(scene.exchange(&neighbour), Err("unauthorized_client".to_owned()));
    let (id, secret) = Credentials::known().aws_keys("210987654321");
    assert_eq!(scene.exchange(&Signer { id, secret, token: None }), Err("invalid_grant".to_owned()));
}

#[test]
fn everything_ends_in_its_time() {
    let mut scene = Scene::new(&provider());
    let until =
        json!({ "title": "for a while", "expression": "request.time < timestamp('2026-11-23T12:20:00Z')" });
    scene.grant(&role("writer"), &until);
    let writer = scene.session("writer");
    let token = scene.exchange(&writer).unwrap();
    let account = scene.impersonate(&token).unwrap();
    let documents = format!("/v1/projects/{PROJECT}/databases/(default)/documents/a/b");
    assert_eq!(scene.call(&account, "GET", &documents, &Json::Null).0, 403, "no role on the project yet");
    let policy = json!({ "bindings": [
        { "role": "roles/owner", "members": ["user:owner@example.com"] },
        { "role": "roles/datastore.viewer", "members": [format!("serviceAccount:{EMAIL}")] },
    ] });
    scene.owner("POST", &format!("/v3/projects/{PROJECT}:setIamPolicy"), &json!({ "policy": policy }));
    assert_eq!(scene.call(&account, "GET", &documents, &Json::Null).0, 404);
    assert_eq!(
        scene.call(&account, "PATCH", &documents, &json!({ "fields": {} })).0,
        403,
        "a viewer writes nothing"
    );
    scene.later(SignedDuration::from_mins(11));
    assert_eq!(scene.call(&account, "GET", &documents, &Json::Null).0, 401, "after its ten minutes");
    assert!(scene.impersonate(&token).is_ok());
    scene.later(SignedDuration::from_mins(10));
    assert_eq!(scene.impersonate(&token), Err(403), "the grant has ended");
    scene.grant(&role("writer"), &Json::Null);
    assert!(scene.impersonate(&token).is_ok());
    scene.later(SignedDuration::from_mins(40));
    assert_eq!(scene.impersonate(&token), Err(401), "the federated token has ended");
    assert_eq!(scene.exchange(&writer), Err("invalid_grant".to_owned()), "and so has the role's session");
}

#[test]
fn a_disabled_account_or_pool_opens_nothing() {
    let mut scene = Scene::new(&provider());
    scene.grant(&role("writer"), &Json::Null);
    let writer = scene.session("writer");
    let token = scene.exchange(&writer).unwrap();
    let account = format!("/v1/projects/{PROJECT}/serviceAccounts/{EMAIL}");
    scene.owner("POST", &format!("{account}:disable"), &json!({}));
    assert_eq!(scene.impersonate(&token), Err(400));
    scene.owner("POST", &format!("{account}:enable"), &json!({}));
    let pool = format!("/v1/projects/{PROJECT}/locations/global/workloadIdentityPools/pool");
    scene.done("PATCH", &format!("{pool}?updateMask=disabled"), &json!({ "disabled": true }));
    assert_eq!(scene.impersonate(&token), Err(403), "issued tokens grant nothing while the pool is disabled");
    assert_eq!(scene.exchange(&writer), Err("invalid_target".to_owned()));
    scene.done("PATCH", &format!("{pool}?updateMask=disabled"), &json!({ "disabled": false }));
    assert!(scene.impersonate(&token).is_ok());
    scene.done("DELETE", &format!("{pool}/providers/from-aws"), &Json::Null);
    assert!(scene.impersonate(&token).is_ok(), "issued tokens outlive the provider");
    assert_eq!(scene.exchange(&writer), Err("invalid_target".to_owned()));
}
