//! Ambient credentials for whoever speaks to a cloud beside the resource types: the state's object store.

use std::sync::Arc;

use crate::model::{CloudError, Secret};

use super::{aws, azure, gcp};

/// An AWS access key: id, secret, and the token of a session.
pub type AwsKey = (String, Secret, Option<Secret>);

/// The credentials that the three clouds' own tools would find. Clones share what was found; nothing is looked for
/// before it is needed.
#[derive(Clone)]
pub struct Ambient {
    aws: Arc<aws::Ambient>,
    gcp: gcp::Ambient,
    azure: Arc<azure::Ambient>,
}

impl Ambient {
    /// Touches nothing. `region` is where AWS's own services for credentials are asked.
    pub fn new(region: &str) -> Self {
        Self {
            aws: Arc::new(aws::Ambient::new(region)),
            gcp: gcp::ambient(),
            azure: Arc::new(azure::Ambient::default()),
        }
    }

    /// An AWS access key that is valid now.
    pub async fn aws(&self) -> Result<AwsKey, CloudError> {
        self.aws.key().await
    }

    /// A Google access token that is valid now.
    pub async fn gcp(&self) -> Result<Secret, CloudError> {
        self.gcp.token().await
    }

    /// An Azure access token for this scope that is valid now.
    pub async fn azure(&self, scope: &str) -> Result<Secret, CloudError> {
        self.azure.token(scope).await
    }
}
