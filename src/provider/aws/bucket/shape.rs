//! A bucket's properties as concrete types, spelt as CloudFormation spells them.

use serde::{Deserialize, Serialize};

use super::super::tags::Tag;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Properties {
    pub(super) bucket_name: String,
    pub(super) tags: Vec<Tag>,
    pub(super) versioning_configuration: Option<Versioning>,
    pub(super) bucket_encryption: Option<Encryption>,
    pub(super) public_access_block_configuration: Option<PublicAccessBlock>,
    pub(super) ownership_controls: Option<OwnershipControls>,
    pub(super) cors_configuration: Option<Cors>,
    pub(super) website_configuration: Option<Website>,
    pub(super) lifecycle_configuration: Option<Lifecycle>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Versioning {
    pub(super) status: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Encryption {
    pub(super) server_side_encryption_configuration: Vec<EncryptionRule>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct EncryptionRule {
    pub(super) server_side_encryption_by_default: Option<EncryptionDefault>,
    pub(super) bucket_key_enabled: Option<bool>,
    pub(super) blocked_encryption_types: Option<BlockedEncryption>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct EncryptionDefault {
    #[serde(rename = "SSEAlgorithm")]
    pub(super) algorithm: String,
    #[serde(rename = "KMSMasterKeyID", default)]
    pub(super) key: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct BlockedEncryption {
    pub(super) encryption_type: Vec<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
#[expect(clippy::struct_excessive_bools, reason = "S3's own four switches")]
pub(super) struct PublicAccessBlock {
    pub(super) block_public_acls: bool,
    pub(super) block_public_policy: bool,
    pub(super) ignore_public_acls: bool,
    pub(super) restrict_public_buckets: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct OwnershipControls {
    pub(super) rules: Vec<OwnershipRule>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct OwnershipRule {
    pub(super) object_ownership: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Cors {
    pub(super) cors_rules: Vec<CorsRule>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct CorsRule {
    pub(super) id: Option<String>,
    pub(super) allowed_headers: Vec<String>,
    pub(super) allowed_methods: Vec<String>,
    pub(super) allowed_origins: Vec<String>,
    pub(super) exposed_headers: Vec<String>,
    pub(super) max_age: Option<i32>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Website {
    pub(super) index_document: Option<String>,
    pub(super) error_document: Option<String>,
    pub(super) redirect_all_requests_to: Option<RedirectAll>,
    pub(super) routing_rules: Vec<RoutingRule>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct RedirectAll {
    pub(super) host_name: String,
    #[serde(default)]
    pub(super) protocol: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct RoutingRule {
    pub(super) routing_rule_condition: Option<RoutingCondition>,
    pub(super) redirect_rule: RedirectRule,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct RoutingCondition {
    pub(super) http_error_code_returned_equals: Option<String>,
    pub(super) key_prefix_equals: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct RedirectRule {
    pub(super) host_name: Option<String>,
    pub(super) http_redirect_code: Option<String>,
    pub(super) protocol: Option<String>,
    pub(super) replace_key_prefix_with: Option<String>,
    pub(super) replace_key_with: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Lifecycle {
    pub(super) rules: Vec<LifecycleRule>,
    pub(super) transition_default_minimum_object_size: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct LifecycleRule {
    pub(super) id: Option<String>,
    pub(super) status: String,
    pub(super) prefix: Option<String>,
    pub(super) tag_filters: Vec<Tag>,
    pub(super) object_size_greater_than: Option<String>,
    pub(super) object_size_less_than: Option<String>,
    pub(super) expiration_in_days: Option<i32>,
    pub(super) expiration_date: Option<String>,
    pub(super) expired_object_delete_marker: Option<bool>,
    pub(super) noncurrent_version_expiration: Option<NoncurrentExpiration>,
    pub(super) noncurrent_version_transitions: Vec<NoncurrentTransition>,
    pub(super) transitions: Vec<Transition>,
    pub(super) abort_incomplete_multipart_upload: Option<AbortUpload>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct NoncurrentExpiration {
    pub(super) noncurrent_days: Option<i32>,
    pub(super) newer_noncurrent_versions: Option<i32>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct NoncurrentTransition {
    pub(super) storage_class: String,
    pub(super) transition_in_days: Option<i32>,
    pub(super) newer_noncurrent_versions: Option<i32>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
#[expect(clippy::struct_field_names, reason = "CloudFormation's own words")]
pub(super) struct Transition {
    pub(super) storage_class: String,
    pub(super) transition_in_days: Option<i32>,
    pub(super) transition_date: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct AbortUpload {
    pub(super) days_after_initiation: Option<i32>,
}
