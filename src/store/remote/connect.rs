//! An address and keys -> an object store.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use object_store::aws::{AmazonS3Builder, AwsCredential};
use object_store::azure::{AzureAccessKey, AzureCredential, MicrosoftAzureBuilder};
use object_store::gcp::{GcpCredential, GoogleCloudStorageBuilder};
use object_store::{BackoffConfig, CredentialProvider, ObjectStore, RetryConfig};

use super::carrier::Carrier;
use crate::model::{Backend, Secret, StoreKind};

/// All sends of one request together.
const PATIENCE: Duration = Duration::from_secs(45);
/// One request is sent at most so often more.
const RETRIES: usize = 4;
/// The key that every Azure emulator has: <https://learn.microsoft.com/azure/storage/common/storage-use-azurite>.
const EMULATOR: (&str, &str) = (
    "devstoreaccount1",
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==",
);

/// What an object store is shown.
#[derive(Clone, Debug)]
pub enum Credential {
    /// An AWS access key: id, secret, and the token of a session.
    Aws(String, Secret, Option<Secret>),
    /// An access token.
    Bearer(Secret),
    /// The shared key of a storage account.
    AccountKey(Secret),
}

/// Gives credentials that are valid now; renewing them is its own affair.
#[derive(Clone)]
pub struct Keys(Arc<Ask>);

type Asked = Pin<Box<dyn Future<Output = Result<Credential, String>> + Send>>;
type Ask = dyn Fn() -> Asked + Send + Sync;

impl Keys {
    /// Asked before each request.
    pub fn new(ask: impl Fn() -> Asked + Send + Sync + 'static) -> Self {
        Self(Arc::new(ask))
    }

    /// Always the same.
    pub fn fixed(credential: Credential) -> Self {
        Self::new(move || {
            let credential = credential.clone();
            Box::pin(async move { Ok(credential) })
        })
    }

    /// What emulators on this machine take.
    pub fn of_emulators(kind: StoreKind) -> Self {
        Self::fixed(match kind {
            StoreKind::S3 => Credential::Aws("test".to_owned(), Secret::new("test"), None),
            StoreKind::Gs => Credential::Bearer(Secret::new("test")),
            StoreKind::Az => Credential::AccountKey(Secret::new(EMULATOR.1)),
        })
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keys")
    }
}

/// A place that cannot be used as it is written.
#[derive(Debug, thiserror::Error)]
#[error("{place} cannot be used")]
pub struct Unusable {
    place: String,
    #[source]
    source: object_store::Error,
}

/// Opens the store. Sends nothing.
pub(super) fn connect(
    backend: &Backend,
    region: Option<&str>,
    keys: Keys,
) -> Result<Arc<dyn ObjectStore>, Unusable> {
    let built = match backend.kind {
        StoreKind::S3 => s3(backend, region, keys),
        StoreKind::Gs => gs(backend, keys),
        StoreKind::Az => az(backend, keys),
    };
    built.map_err(|source| Unusable { place: backend.to_string(), source })
}

fn retry() -> RetryConfig {
    RetryConfig { backoff: BackoffConfig::default(), max_retries: RETRIES, retry_timeout: PATIENCE }
}

fn s3(backend: &Backend, region: Option<&str>, keys: Keys) -> object_store::Result<Arc<dyn ObjectStore>> {
    let region = backend.region.as_deref().or(region).unwrap_or("us-east-1");
    let mut builder = AmazonS3Builder::new()
        .with_bucket_name(&backend.bucket)
        .with_region(region)
        .with_credentials(Arc::new(ForS3(keys)))
        .with_retry(retry())
        .with_http_connector(Carrier { loopback: backend.endpoint.is_some() });
    if let Some(endpoint) = &backend.endpoint {
        // The stack file's own rule lets plain HTTP through for loopback alone.
        builder = builder.with_endpoint(endpoint).with_allow_http(true);
    }
    Ok(Arc::new(builder.build()?))
}

fn gs(backend: &Backend, keys: Keys) -> object_store::Result<Arc<dyn ObjectStore>> {
    let mut builder = GoogleCloudStorageBuilder::new()
        .with_bucket_name(&backend.bucket)
        .with_credentials(Arc::new(ForGs(keys)))
        .with_retry(retry())
        .with_http_connector(Carrier { loopback: backend.endpoint.is_some() });
    if let Some(endpoint) = &backend.endpoint {
        builder = builder
            .with_base_url(endpoint)
            .with_client_options(object_store::ClientOptions::new().with_allow_http(true));
    }
    Ok(Arc::new(builder.build()?))
}

fn az(backend: &Backend, keys: Keys) -> object_store::Result<Arc<dyn ObjectStore>> {
    let account = backend.account.as_deref().unwrap_or(EMULATOR.0);
    let mut builder = MicrosoftAzureBuilder::new()
        .with_account(account)
        .with_container_name(&backend.bucket)
        .with_credentials(Arc::new(ForAz(keys)))
        .with_retry(retry())
        .with_http_connector(Carrier { loopback: backend.endpoint.is_some() });
    if let Some(endpoint) = &backend.endpoint {
        // Emulators tell accounts by path.
        builder = builder
            .with_endpoint(format!("{}/{account}", endpoint.trim_end_matches('/')))
            .with_allow_http(true);
    }
    Ok(Arc::new(builder.build()?))
}

/// Keys of another kind of store.
fn other(store: &'static str) -> object_store::Error {
    object_store::Error::Generic { store, source: "these are another cloud's credentials".into() }
}

impl Keys {
    async fn ask(&self, store: &'static str) -> object_store::Result<Credential> {
        (self.0)().await.map_err(|why| object_store::Error::Unauthenticated {
            path: store.to_owned(),
            source: why.into(),
        })
    }
}

/// As S3 wants them.
#[derive(Debug)]
struct ForS3(Keys);
/// As Cloud Storage wants them.
#[derive(Debug)]
struct ForGs(Keys);
/// As Blob storage wants them.
#[derive(Debug)]
struct ForAz(Keys);

#[async_trait]
impl CredentialProvider for ForS3 {
    type Credential = AwsCredential;

    async fn get_credential(&self) -> object_store::Result<Arc<AwsCredential>> {
        match self.0.ask("S3").await? {
            Credential::Aws(key_id, secret, token) => Ok(Arc::new(AwsCredential {
                key_id,
                secret_key: secret.expose().to_owned(),
                token: token.map(|token| token.expose().to_owned()),
            })),
            Credential::Bearer(_) | Credential::AccountKey(_) => Err(other("S3")),
        }
    }
}

#[async_trait]
impl CredentialProvider for ForGs {
    type Credential = GcpCredential;

    async fn get_credential(&self) -> object_store::Result<Arc<GcpCredential>> {
        match self.0.ask("Cloud Storage").await? {
            Credential::Bearer(token) => Ok(Arc::new(GcpCredential { bearer: token.expose().to_owned() })),
            Credential::Aws(..) | Credential::AccountKey(_) => Err(other("Cloud Storage")),
        }
    }
}

#[async_trait]
impl CredentialProvider for ForAz {
    type Credential = AzureCredential;

    async fn get_credential(&self) -> object_store::Result<Arc<AzureCredential>> {
        Ok(Arc::new(match self.0.ask("Blob storage").await? {
            Credential::Bearer(token) => AzureCredential::BearerToken(token.expose().to_owned()),
            Credential::AccountKey(key) => {
                let key = AzureAccessKey::try_new(key.expose());
                AzureCredential::AccessKey(key.map_err(|_| other("Blob storage"))?)
            }
            Credential::Aws(..) => return Err(other("Blob storage")),
        }))
    }
}
