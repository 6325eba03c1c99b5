//! `AWS::S3::Bucket`.
//!
//! A bucket's settings are documents of their own, each with its own get, put and delete. All are read side by
//! side in one round trip; on a change only those that changed are written, side by side, too (S3 answers
//! `OperationAborted` when two of them collide, and they are sent again).
//!
//! A bucket is made with its tags and our mark in the same request, so that there is no moment at which it
//! exists and no one knows whose it is. It is never emptied to be deleted.

mod check;
mod held;
mod lifecycle;
mod read;
mod schema;
mod shape;
mod wire;
mod write;

use async_trait::async_trait;
use aws_sdk_s3::types::{BucketLocationConstraint, CreateBucketConfiguration, ObjectOwnership};

use super::super::Kind;
use super::Aws;
use super::document::decode;
use super::error::{Explain as _, optional, refusal};
use super::tags::{self, Tag};
use crate::model::{
    CloudError, CloudId, Condition, Create, Delete, ErrorKind, Leaving, Live, Map, Owner, Read, Schema,
    Update,
};
use shape::Properties;

pub(super) use check::check_name;
pub(super) use schema::NAME;

/// The kind.
pub(super) struct Bucket;

#[async_trait]
impl Kind<Aws> for Bucket {
    fn schema(&self) -> &'static Schema {
        &schema::SCHEMA
    }

    async fn read(&self, aws: &Aws, request: Read<'_>) -> Result<Option<Live>, CloudError> {
        read::read(aws, request.id).await
    }

    async fn create(&self, aws: &Aws, request: Create<'_>) -> Result<Live, CloudError> {
        let desired: Properties = decode("s3:CreateBucket", request.properties)?;
        must_be_free(aws, &desired.bucket_name).await?;
        make(aws, &desired, request.owner).await?;
        if let Err(error) = furnish(aws, &desired, request.owner).await {
            return Err(take_back(aws, &desired.bucket_name, error).await);
        }
        Ok(live(aws, request.id, request.properties, request.owner))
    }

    async fn update(&self, aws: &Aws, request: Update<'_>) -> Result<Live, CloudError> {
        let desired: Properties = decode("s3:UpdateBucket", request.properties)?;
        let marked = request.before.owner.as_ref() == Some(request.owner);
        let changed = |name: &str| {
            request.changed.iter().any(|path| path.property() == name) || (name == "Tags" && !marked)
        };
        write::write(aws, &desired, request.owner, &changed).await?;
        Ok(live(aws, request.id, request.properties, request.owner))
    }

    async fn delete(&self, aws: &Aws, request: Delete<'_>) -> Result<(), CloudError> {
        delete(aws, &request.id.0).await
    }

    async fn obstacle(&self, aws: &Aws, request: Leaving<'_>) -> Result<Option<String>, CloudError> {
        held::obstacle(aws, &request.id.0, request.others).await
    }
}

/// In us-east-1 creating a bucket that one already owns succeeds and resets its ACLs; so it is asked first.
async fn must_be_free(aws: &Aws, name: &str) -> Result<(), CloudError> {
    let s3 = aws.s3().await?;
    let taken = |message: &str, hint: &str| {
        let message = format!("the bucket {name} {message}");
        CloudError {
            code: "BucketAlreadyExists".to_owned(),
            ..refusal("s3:HeadBucket", ErrorKind::AlreadyExists, message)
        }
        .hinting(hint)
    };
    match optional(aws.read("s3:HeadBucket", || s3.head_bucket().bucket(name).send()).await) {
        Ok(None) => Ok(()),
        Ok(Some(_)) => Err(taken(
            "exists already, in this account",
            "choose another `BucketName`, or take the bucket over with `adopt: true`",
        )),
        Err(error) if error.kind == ErrorKind::Denied => Err(taken(
            "belongs to someone else, or this identity may not look at it",
            "bucket names are shared by all accounts: choose another `BucketName`; if the bucket is yours, the \
             caller needs s3:ListBucket on it",
        )),
        Err(error) if error.code == "PermanentRedirect" => Err(taken(
            "exists in another region",
            "bucket names are shared by all accounts and regions: choose another `BucketName`",
        )),
        Err(error) => Err(error),
    }
}

/// The bucket itself, with its tags and our mark.
async fn make(aws: &Aws, desired: &Properties, owner: &Owner) -> Result<(), CloudError> {
    let s3 = aws.s3().await?;
    let region = aws.place().region.as_str();
    let tags: Vec<Tag> = desired.tags.iter().cloned().chain([tags::mark(owner)]).collect();
    let tags =
        tags.iter().map(wire::tag).collect::<Result<Vec<_>, _>>().map_err(|error| incomplete(&error))?;
    // S3 does not accept its first region as a location.
    let location = (region != "us-east-1").then(|| BucketLocationConstraint::from(region));
    let configuration =
        CreateBucketConfiguration::builder().set_location_constraint(location).set_tags(Some(tags)).build();
    let ownership = desired.ownership_controls.as_ref().and_then(|controls| controls.rules.first());
    let ownership = ownership.map(|rule| ObjectOwnership::from(rule.object_ownership.as_str()));
    aws.put("s3:CreateBucket", || {
        s3.create_bucket()
            .bucket(&desired.bucket_name)
            .create_bucket_configuration(configuration.clone())
            .set_object_ownership(ownership.clone())
            .send()
    })
    .await
    .map_err(|error| match (error.kind, error.code.as_str()) {
        (ErrorKind::Conflict, _) => error.hinting(
            "a bucket of this name was deleted moments ago; S3 can take up to an hour to free the name",
        ),
        (ErrorKind::AlreadyExists, "BucketAlreadyExists") => {
            error.hinting("bucket names are shared by all accounts: choose another `BucketName`")
        }
        (ErrorKind::AlreadyExists, _) => {
            error.hinting("choose another `BucketName`, or take the bucket over with `adopt: true`")
        }
        _ => error,
    })?;
    Ok(())
}

/// The settings of a new bucket. What protects data is written even where it is AWS's own default: an
/// organisation can have others.
async fn furnish(aws: &Aws, desired: &Properties, owner: &Owner) -> Result<(), CloudError> {
    // Not every emulator knows tags in the request that makes a bucket (moto drops them).
    let tags_again = aws.is_elsewhere().await?;
    let versioned = desired.versioning_configuration.as_ref().is_some_and(|kept| kept.status == "Enabled");
    let needed = |name: &str| match name {
        "Tags" => tags_again,
        "VersioningConfiguration" => versioned,
        "BucketEncryption" => desired.bucket_encryption.is_some(),
        "PublicAccessBlockConfiguration" => desired.public_access_block_configuration.is_some(),
        "OwnershipControls" => desired.ownership_controls.is_some() && tags_again,
        "CorsConfiguration" => desired.cors_configuration.is_some(),
        "WebsiteConfiguration" => desired.website_configuration.is_some(),
        "LifecycleConfiguration" => desired.lifecycle_configuration.is_some(),
        _ => false,
    };
    write::write(aws, desired, owner, &needed).await
}

/// Undoes a creation that failed halfway: the bucket is as new and empty. Where that fails, too, or where it is
/// not known what happened, the outcome is unknown, and the mark on the bucket tells whose it is.
async fn take_back(aws: &Aws, name: &str, error: CloudError) -> CloudError {
    if error.kind != ErrorKind::Unknown && delete(aws, name).await.is_ok() {
        return error;
    }
    CloudError { kind: ErrorKind::Unknown, ..error }
        .hinting(format!("the bucket {name} was made, but not all of its settings"))
}

async fn delete(aws: &Aws, name: &str) -> Result<(), CloudError> {
    let s3 = aws.s3().await?;
    let answer = aws.put("s3:DeleteBucket", || s3.delete_bucket().bucket(name).send()).await;
    optional(answer.map_err(|error| match error.kind {
        ErrorKind::NotEmpty => error.hinting(format!(
            "mcm never empties a bucket. Look with `aws s3api list-object-versions --bucket {name}`; if nothing in \
             it is needed, `aws s3 rm s3://{name} --recursive` empties it (old versions have to be deleted one by \
             one). To keep the bucket, say `onDelete: retain`"
        )),
        _ => error,
    }))?;
    Ok(())
}

/// What is live after a write that S3 has acknowledged. Reading it back would be no better: S3's settings are
/// eventually consistent.
fn live(aws: &Aws, id: &CloudId, properties: &Map, owner: &Owner) -> Live {
    Live {
        id: id.clone(),
        properties: properties.clone(),
        attributes: schema::attributes(&id.0, &aws.place().region),
        etag: None,
        owner: Some(owner.clone()),
        condition: Condition::Ready,
    }
}

/// A request that the SDK could not put together: a required part is missing.
fn incomplete(error: &aws_sdk_s3::error::BuildError) -> CloudError {
    refusal("s3", ErrorKind::Invalid, error.to_string())
}
