//! The sandbox on loopback sockets: one listener for each cloud.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Accounts;

/// How a sandbox is served.
#[derive(Clone, Debug)]
pub struct Options {
    /// The folder of its data; made if it is not there.
    pub data: PathBuf,
    /// The first of three ports in a row (AWS, GCP, Azure), or any free ones.
    pub port: Option<u16>,
    /// Added to every request, to feel what distance costs.
    pub latency: Duration,
    /// The accounts it plays, besides those it has played before.
    pub accounts: Accounts,
}

/// Where the three clouds listen: `http://127.0.0.1:PORT`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoints {
    /// AWS: every service.
    pub aws: String,
    /// Google Cloud: every service.
    pub gcp: String,
    /// Azure Resource Manager and Entra.
    pub azure: String,
}

/// A sandbox in use: one of our own, or one that some other process serves over the same folder.
#[derive(Debug)]
pub struct Session {
    /// Where to send requests.
    pub endpoints: Endpoints,
}

/// The sandbox could not be started.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// A file or a socket failed.
    #[error("{what}")]
    Io {
        /// What was attempted, with the path or address.
        what: String,
        /// Why it failed.
        #[source]
        source: std::io::Error,
    },
    /// `serve` was asked for a folder that is served already.
    #[error("a sandbox is already serving {folder} (process {process})")]
    Busy {
        /// Which folder.
        folder: PathBuf,
        /// Whose process id.
        process: u32,
    },
}

impl Session {
    /// Uses the server that runs over the folder, or starts one for as long as the session lives.
    pub async fn open(_options: Options) -> Result<Self, SandboxError> {
        Err(SandboxError::Io { what: "not yet".to_owned(), source: std::io::ErrorKind::Unsupported.into() })
    }

    /// Starts a server, and fails if one runs over the folder already.
    pub async fn serve(options: Options) -> Result<Self, SandboxError> {
        Self::open(options).await
    }
}

/// The access key of an AWS account's administrator in the sandbox: id and secret.
pub fn aws_keys(account: &str) -> (String, String) {
    use sha2::{Digest, Sha256};
    let secret = hex::encode(Sha256::digest(format!("mcm sandbox {account}")));
    (format!("AKIASBOX{account}"), secret[..40].to_owned())
}

/// The access token of the owner of every Google project in the sandbox.
pub const GCP_TOKEN: &str = "ya29.mcm-sandbox-owner";

/// The number of a Google project in the sandbox: twelve digits that follow from its id.
pub fn project_number(project: &str) -> String {
    use sha2::{Digest, Sha256};
    let digest = Sha256::digest(format!("mcm sandbox project {project}"));
    let number = digest.iter().take(8).fold(0_u64, |sum, byte| (sum << 8) | u64::from(*byte));
    (100_000_000_000 + number % 900_000_000_000).to_string()
}

/// The access token of the owner of every Azure subscription in the sandbox.
pub const AZURE_TOKEN: &str = "mcm-sandbox-owner";

/// The Entra tenant of the sandbox.
pub const AZURE_TENANT: &str = "5a4d0b0c-0000-4000-8000-6d636d73626f";
