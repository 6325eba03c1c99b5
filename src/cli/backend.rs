//! Where a stack's state lies: beside it, or in the object store that it names, reached with the cloud's own ambient
//! credentials.

use super::exit::Exit;
use super::failure::Failure;
use super::workspace::Workspace;
use crate::model::{Backend, CloudError, Clouds, Diagnostic, StoreKind};
use crate::provider::Ambient;
use crate::store::{Bucket, Credential, Keys, Place};

/// What Azure's storage wants a token for.
const STORAGE: &str = "https://storage.azure.com/.default";

/// The place of a stack's state. The sandbox's is always on this machine, except where the stack names an endpoint:
/// runs in the sandbox and real ones never mix.
pub(super) fn place(
    workspace: &Workspace,
    backend: Option<&Backend>,
    clouds: &Clouds,
) -> Result<Place, Failure> {
    match backend {
        Some(backend) if !workspace.sandbox || backend.endpoint.is_some() => {
            let region = clouds.aws.as_ref().map(|place| place.region.as_str());
            let bucket = Bucket::open(backend, region, keys(backend, region)).map_err(|error| {
                let diagnostic = Diagnostic::error(error.to_string());
                let cause = std::error::Error::source(&error).map(super::failure::chain);
                Failure::new(Exit::Invalid, diagnostic.detail(cause.unwrap_or_default()))
            })?;
            Ok(Place::Bucket(bucket))
        }
        Some(_) | None => Ok(Place::Folder(workspace.state())),
    }
}

/// Real credentials go to the clouds alone, dummies to emulators on this machine.
fn keys(backend: &Backend, region: Option<&str>) -> Keys {
    let region = backend.region.as_deref().or(region).unwrap_or("us-east-1");
    if let Some(endpoint) = &backend.endpoint
        && endpoint.starts_with("http://")
    {
        return emulator(backend.kind);
    }
    let (ambient, kind) = (Ambient::new(region), backend.kind);
    Keys::new(move || {
        let ambient = ambient.clone();
        Box::pin(async move {
            let credential = match kind {
                StoreKind::S3 => {
                    ambient.aws().await.map(|(id, secret, token)| Credential::Aws(id, secret, token))
                }
                StoreKind::Gs => ambient.gcp().await.map(Credential::Bearer),
                StoreKind::Az => ambient.azure(STORAGE).await.map(Credential::Bearer),
            };
            credential.map_err(|error: CloudError| error.to_string())
        })
    })
}

/// An emulator's keys: those of the environment where that names some, else what all of them take.
fn emulator(kind: StoreKind) -> Keys {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    match (kind, variable("AWS_ACCESS_KEY_ID"), variable("AWS_SECRET_ACCESS_KEY")) {
        (StoreKind::S3, Some(id), Some(secret)) => {
            let token = variable("AWS_SESSION_TOKEN").map(crate::model::Secret::new);
            Keys::fixed(Credential::Aws(id, crate::model::Secret::new(secret), token))
        }
        (kind, _, _) => Keys::of_emulators(kind),
    }
}
