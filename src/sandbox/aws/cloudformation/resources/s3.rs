//! `AWS::S3::BucketPolicy`.

use serde_json::Value as Json;

use super::super::super::error::Error;
use super::super::super::s3;
use super::super::kind::{Failure, Kind, Made, Place, Property, Shape};
use super::text;

pub(super) const BUCKET_POLICY: Kind = Kind {
    name: "AWS::S3::BucketPolicy",
    properties: &[
        Property::new("Bucket", Shape::Text).required().fixed(),
        Property::new("PolicyDocument", Shape::Document).required(),
    ],
    attributes: &[],
    create: |place, properties| {
        let bucket = text(properties, "Bucket").unwrap_or_default();
        let present = s3::bucket_policy(place.world, &place.site.account, &bucket).map_err(failed)?;
        if present.is_some() {
            let message = format!("The bucket policy already exists on bucket {bucket}.");
            return Err(Failure { code: "AlreadyExists", message });
        }
        put(place, &bucket, properties)
    },
    update: |place, physical, _, after| put(place, physical, after),
    delete: |place, physical, _| {
        s3::put_bucket_policy(place.world, &place.site.account, physical, None).map_err(failed)
    },
};

fn failed(error: Error) -> Failure {
    Failure::of("S3", error)
}

fn put(place: &mut Place<'_>, bucket: &str, properties: &Json) -> Result<Made, Failure> {
    let policy = &properties["PolicyDocument"];
    s3::put_bucket_policy(place.world, &place.site.account, bucket, Some(policy)).map_err(failed)?;
    Ok(Made::new(bucket, &[]))
}
