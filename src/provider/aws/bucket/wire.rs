//! Between a bucket's properties and the SDK's types, but for lifecycle rules.

use aws_sdk_s3::error::BuildError;
use aws_sdk_s3::operation::get_bucket_website::GetBucketWebsiteOutput;
use aws_sdk_s3::types::{
    BlockedEncryptionTypes, BucketVersioningStatus, Condition, CorsConfiguration, CorsRule, EncryptionType,
    ErrorDocument, IndexDocument, OwnershipControls, OwnershipControlsRule, PublicAccessBlockConfiguration,
    Redirect, RedirectAllRequestsTo, RoutingRule, ServerSideEncryptionByDefault,
    ServerSideEncryptionConfiguration, ServerSideEncryptionRule, Tagging, VersioningConfiguration,
    WebsiteConfiguration,
};

use super::super::tags::Tag;
use super::shape;

pub(super) fn tag(tag: &Tag) -> Result<aws_sdk_s3::types::Tag, BuildError> {
    aws_sdk_s3::types::Tag::builder().key(&tag.key).value(&tag.value).build()
}

pub(super) fn tag_read(tag: &aws_sdk_s3::types::Tag) -> Tag {
    Tag { key: tag.key().to_owned(), value: tag.value().to_owned() }
}

pub(super) fn tagging(tags: &[Tag]) -> Result<Tagging, BuildError> {
    Tagging::builder().set_tag_set(Some(tags.iter().map(tag).collect::<Result<_, _>>()?)).build()
}

/// Once set it cannot be unset: without a wish it is suspended.
pub(super) fn versioning(desired: Option<&shape::Versioning>) -> VersioningConfiguration {
    let status = desired.map_or("Suspended", |versioning| &versioning.status);
    VersioningConfiguration::builder().status(BucketVersioningStatus::from(status)).build()
}

pub(super) fn encryption(
    desired: &shape::Encryption,
) -> Result<ServerSideEncryptionConfiguration, BuildError> {
    let rule = |rule: &shape::EncryptionRule| {
        let default = rule.server_side_encryption_by_default.as_ref().map(|default| {
            ServerSideEncryptionByDefault::builder()
                .sse_algorithm(default.algorithm.as_str().into())
                .set_kms_master_key_id(default.key.clone())
                .build()
        });
        let blocked = rule.blocked_encryption_types.as_ref().map(|blocked| {
            let types = blocked.encryption_type.iter().map(|word| EncryptionType::from(word.as_str()));
            BlockedEncryptionTypes::builder().set_encryption_type(Some(types.collect())).build()
        });
        Ok::<_, BuildError>(
            ServerSideEncryptionRule::builder()
                .set_apply_server_side_encryption_by_default(default.transpose()?)
                .set_bucket_key_enabled(rule.bucket_key_enabled)
                .set_blocked_encryption_types(blocked)
                .build(),
        )
    };
    let rules =
        desired.server_side_encryption_configuration.iter().map(rule).collect::<Result<_, BuildError>>()?;
    ServerSideEncryptionConfiguration::builder().set_rules(Some(rules)).build()
}

pub(super) fn encryption_read(live: &ServerSideEncryptionConfiguration) -> shape::Encryption {
    let rule = |rule: &ServerSideEncryptionRule| shape::EncryptionRule {
        server_side_encryption_by_default: rule.apply_server_side_encryption_by_default().map(|default| {
            shape::EncryptionDefault {
                algorithm: default.sse_algorithm().as_str().to_owned(),
                key: default.kms_master_key_id().filter(|key| !key.is_empty()).map(str::to_owned),
            }
        }),
        bucket_key_enabled: Some(rule.bucket_key_enabled().unwrap_or(false)),
        blocked_encryption_types: rule.blocked_encryption_types().map(|blocked| shape::BlockedEncryption {
            encryption_type: blocked.encryption_type().iter().map(|word| word.as_str().to_owned()).collect(),
        }),
    };
    shape::Encryption { server_side_encryption_configuration: live.rules().iter().map(rule).collect() }
}

pub(super) fn public_access(desired: shape::PublicAccessBlock) -> PublicAccessBlockConfiguration {
    PublicAccessBlockConfiguration::builder()
        .block_public_acls(desired.block_public_acls)
        .block_public_policy(desired.block_public_policy)
        .ignore_public_acls(desired.ignore_public_acls)
        .restrict_public_buckets(desired.restrict_public_buckets)
        .build()
}

pub(super) fn public_access_read(live: &PublicAccessBlockConfiguration) -> shape::PublicAccessBlock {
    shape::PublicAccessBlock {
        block_public_acls: live.block_public_acls().unwrap_or(false),
        block_public_policy: live.block_public_policy().unwrap_or(false),
        ignore_public_acls: live.ignore_public_acls().unwrap_or(false),
        restrict_public_buckets: live.restrict_public_buckets().unwrap_or(false),
    }
}

pub(super) fn ownership(desired: &shape::OwnershipControls) -> Result<OwnershipControls, BuildError> {
    let rule = |rule: &shape::OwnershipRule| {
        OwnershipControlsRule::builder().object_ownership(rule.object_ownership.as_str().into()).build()
    };
    let rules = desired.rules.iter().map(rule).collect::<Result<_, _>>()?;
    OwnershipControls::builder().set_rules(Some(rules)).build()
}

pub(super) fn ownership_read(live: &OwnershipControls) -> shape::OwnershipControls {
    let rule = |rule: &OwnershipControlsRule| shape::OwnershipRule {
        object_ownership: rule.object_ownership().as_str().to_owned(),
    };
    shape::OwnershipControls { rules: live.rules().iter().map(rule).collect() }
}

pub(super) fn cors(desired: &shape::Cors) -> Result<CorsConfiguration, BuildError> {
    let rule = |rule: &shape::CorsRule| {
        CorsRule::builder()
            .set_id(rule.id.clone())
            .set_allowed_headers(some(&rule.allowed_headers))
            .set_allowed_methods(Some(rule.allowed_methods.clone()))
            .set_allowed_origins(Some(rule.allowed_origins.clone()))
            .set_expose_headers(some(&rule.exposed_headers))
            .set_max_age_seconds(rule.max_age)
            .build()
    };
    let rules = desired.cors_rules.iter().map(rule).collect::<Result<_, _>>()?;
    CorsConfiguration::builder().set_cors_rules(Some(rules)).build()
}

pub(super) fn cors_read(live: &[CorsRule]) -> shape::Cors {
    let rule = |rule: &CorsRule| shape::CorsRule {
        id: rule.id().map(str::to_owned),
        allowed_headers: rule.allowed_headers().to_vec(),
        allowed_methods: rule.allowed_methods().to_vec(),
        allowed_origins: rule.allowed_origins().to_vec(),
        exposed_headers: rule.expose_headers().to_vec(),
        max_age: rule.max_age_seconds(),
    };
    shape::Cors { cors_rules: live.iter().map(rule).collect() }
}

pub(super) fn website(desired: &shape::Website) -> Result<WebsiteConfiguration, BuildError> {
    let index = desired.index_document.as_ref().map(|suffix| IndexDocument::builder().suffix(suffix).build());
    let error = desired.error_document.as_ref().map(|key| ErrorDocument::builder().key(key).build());
    let redirect = desired.redirect_all_requests_to.as_ref().map(|to| {
        RedirectAllRequestsTo::builder()
            .host_name(&to.host_name)
            .set_protocol(to.protocol.as_deref().map(Into::into))
            .build()
    });
    let rules: Vec<RoutingRule> = desired.routing_rules.iter().map(routing_rule).collect();
    Ok(WebsiteConfiguration::builder()
        .set_index_document(index.transpose()?)
        .set_error_document(error.transpose()?)
        .set_redirect_all_requests_to(redirect.transpose()?)
        .set_routing_rules((!rules.is_empty()).then_some(rules))
        .build())
}

fn routing_rule(rule: &shape::RoutingRule) -> RoutingRule {
    let redirect = &rule.redirect_rule;
    let condition = rule.routing_rule_condition.as_ref().map(|condition| {
        Condition::builder()
            .set_http_error_code_returned_equals(condition.http_error_code_returned_equals.clone())
            .set_key_prefix_equals(condition.key_prefix_equals.clone())
            .build()
    });
    RoutingRule::builder()
        .set_condition(condition)
        .redirect(
            Redirect::builder()
                .set_host_name(redirect.host_name.clone())
                .set_http_redirect_code(redirect.http_redirect_code.clone())
                .set_protocol(redirect.protocol.as_deref().map(Into::into))
                .set_replace_key_prefix_with(redirect.replace_key_prefix_with.clone())
                .set_replace_key_with(redirect.replace_key_with.clone())
                .build(),
        )
        .build()
}

pub(super) fn website_read(live: &GetBucketWebsiteOutput) -> shape::Website {
    let rule = |rule: &RoutingRule| shape::RoutingRule {
        routing_rule_condition: rule.condition().map(|condition| shape::RoutingCondition {
            http_error_code_returned_equals: set(condition.http_error_code_returned_equals()),
            key_prefix_equals: set(condition.key_prefix_equals()),
        }),
        redirect_rule: rule.redirect().map_or_else(shape::RedirectRule::default, |redirect| {
            shape::RedirectRule {
                host_name: set(redirect.host_name()),
                http_redirect_code: set(redirect.http_redirect_code()),
                protocol: set(redirect.protocol().map(aws_sdk_s3::types::Protocol::as_str)),
                replace_key_prefix_with: set(redirect.replace_key_prefix_with()),
                replace_key_with: set(redirect.replace_key_with()),
            }
        }),
    };
    shape::Website {
        index_document: live.index_document().map(|index| index.suffix().to_owned()),
        error_document: live.error_document().map(|error| error.key().to_owned()),
        redirect_all_requests_to: live.redirect_all_requests_to().map(|to| shape::RedirectAll {
            host_name: to.host_name().to_owned(),
            protocol: set(to.protocol().map(aws_sdk_s3::types::Protocol::as_str)),
        }),
        routing_rules: live.routing_rules().iter().map(rule).collect(),
    }
}

/// Text that says something.
fn set(text: Option<&str>) -> Option<String> {
    text.filter(|text| !text.is_empty()).map(str::to_owned)
}

fn some(items: &[String]) -> Option<Vec<String>> {
    (!items.is_empty()).then(|| items.to_vec())
}
