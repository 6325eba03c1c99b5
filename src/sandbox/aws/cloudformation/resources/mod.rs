//! One file for each service whose resources a stack may hold.

mod apigateway;
mod cloudfront;
mod iam;
mod lambda;
mod logs;
mod s3;
mod ssm;

use serde_json::Value as Json;

use super::kind::Kind;

/// Every type.
pub(super) const ALL: &[&Kind] = &[
    &apigateway::API,
    &apigateway::INTEGRATION,
    &apigateway::ROUTE,
    &apigateway::STAGE,
    &cloudfront::ACCESS_CONTROL,
    &cloudfront::DISTRIBUTION,
    &iam::ROLE,
    &lambda::ALIAS,
    &lambda::FUNCTION,
    &lambda::PERMISSION,
    &lambda::VERSION,
    &logs::GROUP,
    &s3::BUCKET_POLICY,
    &ssm::PARAMETER,
];

/// A property's text.
fn text(properties: &Json, name: &str) -> Option<String> {
    properties[name].as_str().map(str::to_owned)
}

/// A property's number.
fn number(properties: &Json, name: &str) -> Option<u32> {
    properties[name].as_u64().and_then(|number| u32::try_from(number).ok())
}
