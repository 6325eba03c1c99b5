//! How each cloud is reached: where, and with whose credentials.

use aws_smithy_runtime_api::client::http::SharedHttpClient;

use crate::model::Secret;

/// How the three clouds are reached. The default is the real clouds with ambient credentials.
#[derive(Clone, Debug, Default)]
pub struct Access {
    /// AWS.
    pub aws: AwsAccess,
    /// Google Cloud.
    pub gcp: GcpAccess,
    /// Azure.
    pub azure: AzureAccess,
}

/// How AWS is reached.
#[derive(Clone, Debug, Default)]
pub struct AwsAccess {
    /// One endpoint for every service, or AWS's own.
    pub endpoint: Option<String>,
    /// Access key id and secret access key, or AWS's default chain.
    pub keys: Option<(String, Secret)>,
    /// Carries every request instead of sockets of our own: an in-process cloud, for simulation.
    pub http: Option<SharedHttpClient>,
}

/// How Google Cloud is reached.
#[derive(Clone, Debug, Default)]
pub struct GcpAccess {
    /// One endpoint for every service, or Google's own.
    pub endpoint: Option<String>,
    /// An access token, or application-default credentials.
    pub token: Option<Secret>,
}

/// How Azure is reached.
#[derive(Clone, Debug, Default)]
pub struct AzureAccess {
    /// The endpoint of Azure Resource Manager, or Azure's own.
    pub endpoint: Option<String>,
    /// An access token, or azure_identity's credentials.
    pub token: Option<Secret>,
}
