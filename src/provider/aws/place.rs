//! Names that follow from the region: host names.

use crate::model::{AwsPlace, Clouds};

/// The domain of a region's services.
pub(super) fn domain(region: &str) -> &'static str {
    if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" }
}

/// The regions whose website host names join the region by a dash; all later ones use a dot.
/// <https://docs.aws.amazon.com/general/latest/gr/s3.html#s3_website_region_endpoints>
const DASHED: &[&str] = &[
    "us-east-1",
    "us-west-1",
    "us-west-2",
    "us-gov-west-1",
    "ap-southeast-1",
    "ap-southeast-2",
    "ap-northeast-1",
    "eu-west-1",
    "sa-east-1",
];

/// Where a website bucket is served.
pub(super) fn website(bucket: &str, region: &str) -> String {
    let join = if DASHED.contains(&region) { '-' } else { '.' };
    format!("http://{bucket}.s3-website{join}{region}.{}", domain(region))
}

/// The AWS part of a stack's places.
pub(super) fn aws(clouds: &Clouds) -> Option<&AwsPlace> {
    clouds.aws.as_ref()
}
