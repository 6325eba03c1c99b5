//! Signed requests to the sandbox's AWS, for services that mcm itself has no client of.

use hmac::{Hmac, Mac as _};
use serde_json::Value as Json;
use sha2::{Digest as _, Sha256};

/// A key, and the region that it asks.
#[derive(Clone)]
pub struct Signer {
    pub endpoint: String,
    pub id: String,
    pub secret: String,
    pub token: Option<String>,
}

/// An answer, whole.
pub struct Reply {
    pub status: u16,
    pub headers: reqwest::header::HeaderMap,
    pub body: Vec<u8>,
}

impl Reply {
    pub fn json(&self) -> Json {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// The JSON of an answer that must be a success.
    #[track_caller]
    pub fn good(&self) -> Json {
        assert!(self.status < 300, "{} {}", self.status, self.text());
        self.json()
    }
}

impl Signer {
    /// The administrator of an account.
    pub fn of(session: &mcm::sandbox::Session, account: &str) -> Self {
        Self::at(&session.endpoints.aws, &session.credentials, account)
    }

    /// The administrator of an account, in a sandbox that another process serves.
    pub fn at(endpoint: &str, owner: &mcm::sandbox::Credentials, account: &str) -> Self {
        let (id, secret) = owner.aws_keys(account);
        Self { endpoint: endpoint.to_owned(), id, secret, token: None }
    }

    /// Sends a signed request. The path is given as it is sent, its query sorted and encoded.
    pub async fn send(
        &self,
        service: &str,
        method: &str,
        path: &str,
        fields: &[(&str, &str)],
        body: impl AsRef<[u8]>,
    ) -> Reply {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let body = body.as_ref();
        let time = jiff::Timestamp::now().strftime("%Y%m%dT%H%M%SZ").to_string();
        // Another name of the same server may be asked.
        let named = fields.iter().find(|(name, _)| *name == "host").map(|(_, host)| *host);
        let host = named.unwrap_or(self.endpoint.trim_start_matches("http://")).to_owned();
        let digest = hex::encode(Sha256::digest(body));
        let mut headers = vec![
            ("host".to_owned(), host),
            ("x-amz-content-sha256".to_owned(), digest.clone()),
            ("x-amz-date".to_owned(), time.clone()),
        ];
        headers.extend(self.token.iter().map(|token| ("x-amz-security-token".to_owned(), token.clone())));
        let others = fields.iter().filter(|(name, _)| *name != "host");
        headers.extend(others.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        headers.sort();
        let names = headers.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(";");
        let lines =
            headers.iter().fold(String::new(), |lines, (name, value)| lines + name + ":" + value + "\n");
        // S3 signs a path as it is sent, the others encode it once more.
        let signed_path = if service == "s3" { path.to_owned() } else { path.replace('%', "%25") };
        let canonical = format!("{method}\n{signed_path}\n{query}\n{lines}\n{names}\n{digest}");
        let scope = format!("{}/us-east-1/{service}/aws4_request", &time[..8]);
        let text = format!(
            "AWS4-HMAC-SHA256\n{time}\n{scope}\n{}",
            hex::encode(Sha256::digest(canonical.as_bytes()))
        );
        let mut key = format!("AWS4{}", self.secret).into_bytes();
        for part in [&time[..8], "us-east-1", service, "aws4_request"] {
            key = mac(&key, part.as_bytes());
        }
        let signature = hex::encode(mac(&key, text.as_bytes()));
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={names}, Signature={signature}",
            self.id
        );
        let target = if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") };
        let mut all: Vec<(&str, &str)> =
            headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        all.push(("authorization", &authorization));
        send(&self.endpoint, method, &target, &all, body).await
    }

    /// Calls Lambda.
    pub async fn lambda(&self, method: &str, path: &str, body: &Json) -> Reply {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        self.send("lambda", method, path, &[], body).await
    }
}

fn mac(key: &[u8], text: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(text);
    mac.finalize().into_bytes().to_vec()
}

/// Sends a bare request.
pub async fn send(
    endpoint: &str,
    method: &str,
    target: &str,
    fields: &[(&str, &str)],
    body: impl AsRef<[u8]>,
) -> Reply {
    let client =
        reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
    let mut request = client.request(method, format!("{endpoint}{target}")).body(body.as_ref().to_vec());
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    let answer = request.send().await.unwrap();
    let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
    Reply { status, headers, body: answer.bytes().await.unwrap().to_vec() }
}
