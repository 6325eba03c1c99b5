//! How each cloud is reached: where, and with whose credentials.

use super::Dial;
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
    /// Opens connections in place of sockets, for simulation.
    pub dial: Option<Dial>,
}

/// How Google Cloud is reached.
#[derive(Clone, Debug, Default)]
pub struct GcpAccess {
    /// One endpoint for every service, or Google's own.
    pub endpoint: Option<String>,
    /// An access token, or application-default credentials.
    pub token: Option<Secret>,
    /// Opens connections in place of sockets, for simulation.
    pub dial: Option<Dial>,
}

/// How Azure is reached.
#[derive(Clone, Debug, Default)]
pub struct AzureAccess {
    /// The endpoint of Azure Resource Manager, or Azure's own.
    pub endpoint: Option<String>,
    /// An access token, or azure_identity's credentials.
    pub token: Option<Secret>,
    /// Opens connections in place of sockets, for simulation.
    pub dial: Option<Dial>,
}
