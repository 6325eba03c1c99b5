//! Reads all of a bucket's settings side by side.

use aws_sdk_s3::Client;
use aws_sdk_s3::types::TransitionDefaultMinimumObjectSize;

use super::super::Aws;
use super::super::document::encode;
use super::super::error::{Explain as _, optional};
use super::super::tags;
use super::{lifecycle, schema, shape, wire};
use crate::model::{CloudError, CloudId, Condition, ErrorKind, Live};

pub(super) async fn read(aws: &Aws, id: &CloudId) -> Result<Option<Live>, CloudError> {
    let (s3, name) = (aws.s3().await?, id.0.as_str());
    let (head, tags, versioning, encryption, public, ownership, cors, website, lifecycle) = futures::join!(
        aws.read("s3:HeadBucket", || s3.head_bucket().bucket(name).send()),
        tags(aws, s3, name),
        aws.read("s3:GetBucketVersioning", || s3.get_bucket_versioning().bucket(name).send()),
        aws.read("s3:GetEncryptionConfiguration", || s3.get_bucket_encryption().bucket(name).send()),
        aws.read("s3:GetBucketPublicAccessBlock", || s3.get_public_access_block().bucket(name).send()),
        aws.read("s3:GetBucketOwnershipControls", || s3.get_bucket_ownership_controls().bucket(name).send()),
        aws.read("s3:GetBucketCORS", || s3.get_bucket_cors().bucket(name).send()),
        aws.read("s3:GetBucketWebsite", || s3.get_bucket_website().bucket(name).send()),
        aws.read("s3:GetLifecycleConfiguration", || {
            s3.get_bucket_lifecycle_configuration().bucket(name).send()
        }),
    );
    if optional(head.map_err(|error| explain(name, error)))?.is_none() {
        return Ok(None);
    }
    let sorted = tags::sort(tags?);
    let public = optional(public)?.and_then(|answer| answer.public_access_block_configuration);
    let lifecycle = optional(lifecycle)?.filter(|answer| !answer.rules().is_empty());
    let properties = shape::Properties {
        bucket_name: name.to_owned(),
        tags: sorted.own,
        versioning_configuration: optional(versioning)?
            .and_then(|answer| answer.status)
            .map(|status| shape::Versioning { status: status.as_str().to_owned() }),
        bucket_encryption: optional(encryption)?
            .and_then(|answer| answer.server_side_encryption_configuration)
            .map(|configuration| wire::encryption_read(&configuration)),
        // None at all means that nothing is blocked.
        public_access_block_configuration: Some(
            public.map_or_else(shape::PublicAccessBlock::default, |block| wire::public_access_read(&block)),
        ),
        ownership_controls: Some(
            optional(ownership)?
                .and_then(|answer| answer.ownership_controls)
                .map_or_else(uncontrolled, |controls| wire::ownership_read(&controls)),
        ),
        cors_configuration: optional(cors)?
            .filter(|answer| !answer.cors_rules().is_empty())
            .map(|answer| wire::cors_read(answer.cors_rules())),
        website_configuration: optional(website)?.map(|answer| wire::website_read(&answer)),
        lifecycle_configuration: lifecycle.map(|answer| {
            let minimum = answer.transition_default_minimum_object_size();
            lifecycle::read(answer.rules(), minimum.map(TransitionDefaultMinimumObjectSize::as_str))
        }),
    };
    let mut properties = encode(&properties);
    // S3 encrypts every bucket; an emulator that says otherwise knows no encryption.
    properties.entry("BucketEncryption".to_owned()).or_insert_with(schema::encrypted);
    Ok(Some(Live {
        id: id.clone(),
        properties,
        attributes: schema::attributes(name, &aws.place().region),
        etag: None,
        owner: sorted.mark,
        condition: Condition::Ready,
    }))
}

/// All tags, ours and AWS's own included.
pub(super) async fn tags(aws: &Aws, s3: &Client, name: &str) -> Result<Vec<tags::Tag>, CloudError> {
    let answer = aws.read("s3:GetBucketTagging", || s3.get_bucket_tagging().bucket(name).send()).await;
    let answer = optional(answer)?;
    Ok(answer.map(|answer| answer.tag_set().iter().map(wire::tag_read).collect()).unwrap_or_default())
}

/// A bucket without ownership controls is one from before there were any.
fn uncontrolled() -> shape::OwnershipControls {
    shape::OwnershipControls {
        rules: vec![shape::OwnershipRule { object_ownership: "ObjectWriter".to_owned() }],
    }
}

/// Why one cannot look at a bucket.
fn explain(name: &str, error: CloudError) -> CloudError {
    match (error.kind, error.code.as_str()) {
        (ErrorKind::Denied, _) => error.hinting(format!(
            "the bucket {name} belongs to someone else, or the caller lacks s3:ListBucket on it; bucket names are \
             shared by all accounts, so another `BucketName` may be needed"
        )),
        (_, "PermanentRedirect") => error.hinting(format!(
            "the bucket {name} is in another region than `clouds.aws.region`: choose another `BucketName`, or \
             correct the region"
        )),
        _ => error,
    }
}
