//! Stores that are reached over the wire, as backends.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region};
use base64::Engine as _;
use hmac::Mac as _;
use mcm::model::{Backend, Secret};
use mcm::sandbox::Endpoints;
use mcm::store::{Bucket, Credential, Keys, Place};

pub const ACCOUNT: &str = "123456789012";
/// The bucket or container that is there.
pub const BUCKET: &str = "mcm-state-lab";

/// The sandbox's key of the account.
pub fn key() -> (String, String) {
    mcm::sandbox::Credentials::known().aws_keys(ACCOUNT)
}

/// Gives a sandbox's folder the secret that these keys follow from.
pub fn give_secret(data: &Path) {
    std::fs::create_dir_all(data).unwrap();
    std::fs::write(data.join("secret"), "0".repeat(64)).unwrap();
}

pub fn sandbox_keys() -> Keys {
    let (id, secret) = key();
    Keys::fixed(Credential::Aws(id, Secret::new(secret), None))
}

/// A place below an address, as one process sees it.
pub fn place(url: &str, endpoint: &str, keys: Keys) -> Place {
    let mut backend = Backend::parse(url).unwrap();
    backend.endpoint = Some(endpoint.to_owned());
    Place::Bucket(Bucket::open(&backend, Some("us-east-1"), keys).unwrap())
}

/// Makes the bucket, with whatever key.
pub async fn make_bucket(endpoint: &str, (id, secret): (String, String)) {
    let http = aws_smithy_http_client::Builder::new().build_http();
    let config = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .endpoint_url(endpoint)
        .force_path_style(true)
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new(id, secret, None, None, "test"))
        .http_client(http)
        .build();
    aws_sdk_s3::Client::from_conf(config).create_bucket().bucket(BUCKET).send().await.unwrap();
}

/// Makes the container in an emulator of Azure, with the account and the key that all of them have:
/// <https://learn.microsoft.com/rest/api/storageservices/authorize-with-shared-key>.
pub async fn make_container(endpoint: &str) {
    const NAME: &str = "devstoreaccount1";
    const KEY: &str =
        "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";
    let date = jiff::Timestamp::now().strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
    let path = format!("/{NAME}/{BUCKET}");
    let text = format!(
        "PUT\n\n\n\n\n\n\n\n\n\n\n\nx-ms-date:{date}\nx-ms-version:2023-11-03\n/{NAME}{path}\nrestype:container"
    );
    let key = base64::engine::general_purpose::STANDARD.decode(KEY).unwrap();
    let mut mac = hmac::Hmac::<sha2::Sha256>::new_from_slice(&key).unwrap();
    mac.update(text.as_bytes());
    let signature = base64::engine::general_purpose::STANDARD.encode(mac.finalize().into_bytes());
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let made = client
        .put(format!("{endpoint}{path}?restype=container"))
        .header("x-ms-date", &date)
        .header("x-ms-version", "2023-11-03")
        .header("authorization", format!("SharedKey {NAME}:{signature}"))
        .send()
        .await
        .unwrap();
    let status = made.status();
    assert_eq!(status, 201, "{}", made.text().await.unwrap());
}

/// `mcm sandbox serve`, in a process of its own, over the account of the stack in a folder.
pub struct Served {
    child: Child,
    pub aws: String,
}

impl Served {
    pub fn start(folder: &Path, latency_ms: u32) -> Self {
        give_secret(&folder.join(".mcm/sandbox"));
        let child = Command::new(env!("CARGO_BIN_EXE_mcm"))
            .args(["sandbox", "serve", "--latency-ms", &latency_ms.to_string()])
            .current_dir(folder)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut served = Self { child, aws: String::new() };
        let began = Instant::now();
        while served.aws.is_empty() {
            assert!(began.elapsed() < Duration::from_secs(30), "the sandbox does not begin to serve");
            std::thread::sleep(Duration::from_millis(20));
            let described = std::fs::read(folder.join(".mcm/sandbox/server.json")).unwrap_or_default();
            let described = serde_json::from_slice::<serde_json::Value>(&described).unwrap_or_default();
            if let Ok(endpoints) = serde_json::from_value::<Endpoints>(described["endpoints"].clone()) {
                served.aws = endpoints.aws;
            }
        }
        served
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
