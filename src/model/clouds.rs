//! Where a stack lives: the clouds, the accounts it is pinned to, and the vendors' resource types.

use std::fmt;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One of the three clouds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Cloud {
    /// Amazon Web Services.
    Aws,
    /// Google Cloud.
    Gcp,
    /// Microsoft Azure.
    Azure,
}

impl fmt::Display for Cloud {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Aws => "AWS",
            Self::Gcp => "GCP",
            Self::Azure => "Azure",
        })
    }
}

/// The vendor's own name of a type of resource, such as `AWS::S3::Bucket`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ResourceType(Arc<str>);

impl ResourceType {
    /// Takes the name as the vendor spells it.
    pub fn new(name: &str) -> Self {
        Self(name.into())
    }

    /// The name as the vendor spells it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The cloud, told by the vendor's way of naming: `AWS::…`, `….googleapis.com/…`, `Microsoft.…/…`.
    pub fn cloud(&self) -> Cloud {
        if self.0.contains(".googleapis.com/") {
            Cloud::Gcp
        } else if self.0.starts_with("Microsoft.") {
            Cloud::Azure
        } else {
            Cloud::Aws
        }
    }
}

impl fmt::Display for ResourceType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for ResourceType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The `clouds` section: where each cloud's resources go, and the guard against any other account.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Clouds {
    /// The AWS account and region.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aws: Option<AwsPlace>,
    /// The Google Cloud project.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gcp: Option<GcpPlace>,
    /// The Azure subscription, with the default resource group and location.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub azure: Option<AzurePlace>,
}

/// The AWS account and region of a stack.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AwsPlace {
    /// The twelve digits of the only account that mcm may touch.
    #[schemars(regex(pattern = "^[0-9]{12}$"))]
    pub account: String,
    /// The region of regional resources, such as `us-east-1`.
    pub region: String,
    /// Another endpoint for every AWS service, for emulators. Plain HTTP on loopback only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
}

impl AwsPlace {
    /// The partition that the stack's region lies in.
    pub fn partition(&self) -> &'static str {
        Self::partition_of(&self.region)
    }

    /// The partition of a region: what its ARNs begin with. Accounts and token services are others in each.
    pub fn partition_of(region: &str) -> &'static str {
        let partitions =
            [("cn-", "aws-cn"), ("us-gov-", "aws-us-gov"), ("us-iso-", "aws-iso"), ("us-isob-", "aws-iso-b")];
        let found = partitions.iter().find(|(prefix, _)| region.starts_with(prefix));
        found.map_or("aws", |(_, partition)| partition)
    }
}

/// The Google Cloud project of a stack.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GcpPlace {
    /// The project's id (not its number).
    pub project: String,
    /// Another endpoint for every Google service, for emulators. Plain HTTP on loopback only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
}

/// The Azure subscription of a stack.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AzurePlace {
    /// The subscription's UUID.
    pub subscription: String,
    /// The resource group of resources that name none.
    pub resource_group: String,
    /// The location of resources that name none, such as `eastus`.
    pub location: String,
    /// Another endpoint for Azure Resource Manager, for emulators. Plain HTTP on loopback only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
}

impl Clouds {
    /// Whether the stack says where `cloud`'s resources go.
    pub fn has(&self, cloud: Cloud) -> bool {
        match cloud {
            Cloud::Aws => self.aws.is_some(),
            Cloud::Gcp => self.gcp.is_some(),
            Cloud::Azure => self.azure.is_some(),
        }
    }
}
