//! Writes those of a bucket's settings that changed, side by side.

use std::future::Future;

use futures::join;

use super::super::Aws;
use super::super::error::{Explain as _, optional};
use super::super::tags::{self, Tag};
use super::super::together::worst;
use super::shape::Properties;
use super::{incomplete, lifecycle, read, wire};
use crate::model::{CloudError, ErrorKind, Owner};

/// Writes every setting whose property `needed` names; one that is not desired is removed.
pub(super) async fn write(
    aws: &Aws,
    desired: &Properties,
    owner: &Owner,
    needed: &(dyn Fn(&str) -> bool + Sync),
) -> Result<(), CloudError> {
    let ends = join!(
        when(needed("Tags"), tagging(aws, desired, owner)),
        when(needed("VersioningConfiguration"), versioning(aws, desired)),
        when(needed("BucketEncryption"), encryption(aws, desired)),
        when(needed("PublicAccessBlockConfiguration"), public_access(aws, desired)),
        when(needed("OwnershipControls"), ownership(aws, desired)),
        when(needed("CorsConfiguration"), cors(aws, desired)),
        when(needed("WebsiteConfiguration"), website(aws, desired)),
        when(needed("LifecycleConfiguration"), lifecycle(aws, desired)),
    );
    worst(<[_; 8]>::from(ends))
}

async fn when(
    needed: bool,
    work: impl Future<Output = Result<(), CloudError>> + Send,
) -> Result<(), CloudError> {
    if needed { work.await } else { Ok(()) }
}

/// A put replaces all tags; those that AWS itself put there must be among them.
async fn tagging(aws: &Aws, desired: &Properties, owner: &Owner) -> Result<(), CloudError> {
    let (s3, name) = (aws.s3().await?, &desired.bucket_name);
    let system = tags::sort(read::tags(aws, s3, name).await?).system;
    let all: Vec<Tag> = desired.tags.iter().cloned().chain([tags::mark(owner)]).chain(system).collect();
    let tagging = wire::tagging(&all).map_err(|error| incomplete(&error))?;
    aws.put("s3:PutBucketTagging", || s3.put_bucket_tagging().bucket(name).tagging(tagging.clone()).send())
        .await?;
    Ok(())
}

async fn versioning(aws: &Aws, desired: &Properties) -> Result<(), CloudError> {
    let (s3, name) = (aws.s3().await?, &desired.bucket_name);
    let configuration = wire::versioning(desired.versioning_configuration.as_ref());
    aws.put("s3:PutBucketVersioning", || {
        s3.put_bucket_versioning().bucket(name).versioning_configuration(configuration.clone()).send()
    })
    .await?;
    Ok(())
}

async fn encryption(aws: &Aws, desired: &Properties) -> Result<(), CloudError> {
    let (s3, name) = (aws.s3().await?, &desired.bucket_name);
    let Some(wanted) = &desired.bucket_encryption else {
        // Resets it to AES256.
        let answer =
            aws.put("s3:PutEncryptionConfiguration", || s3.delete_bucket_encryption().bucket(name).send());
        return optional(answer.await).map(drop);
    };
    let configuration = wire::encryption(wanted).map_err(|error| incomplete(&error))?;
    aws.put("s3:PutEncryptionConfiguration", || {
        s3.put_bucket_encryption()
            .bucket(name)
            .server_side_encryption_configuration(configuration.clone())
            .send()
    })
    .await?;
    Ok(())
}

async fn public_access(aws: &Aws, desired: &Properties) -> Result<(), CloudError> {
    let (s3, name) = (aws.s3().await?, &desired.bucket_name);
    // Not desired means the default of a new bucket, all on; deleting the setting would turn all off.
    let Some(wanted) = desired.public_access_block_configuration else { return Ok(()) };
    let configuration = wire::public_access(wanted);
    aws.put("s3:PutBucketPublicAccessBlock", || {
        s3.put_public_access_block()
            .bucket(name)
            .public_access_block_configuration(configuration.clone())
            .send()
    })
    .await
    .map_err(|error| match error.kind {
        ErrorKind::Denied => error.hinting(
            "the caller needs s3:PutBucketPublicAccessBlock; an organisation's policy can also forbid to make \
             buckets public",
        ),
        _ => error,
    })?;
    Ok(())
}

async fn ownership(aws: &Aws, desired: &Properties) -> Result<(), CloudError> {
    let (s3, name) = (aws.s3().await?, &desired.bucket_name);
    let Some(wanted) = &desired.ownership_controls else { return Ok(()) };
    let controls = wire::ownership(wanted).map_err(|error| incomplete(&error))?;
    aws.put("s3:PutBucketOwnershipControls", || {
        s3.put_bucket_ownership_controls().bucket(name).ownership_controls(controls.clone()).send()
    })
    .await?;
    Ok(())
}

async fn cors(aws: &Aws, desired: &Properties) -> Result<(), CloudError> {
    let (s3, name) = (aws.s3().await?, &desired.bucket_name);
    let Some(wanted) = &desired.cors_configuration else {
        let answer = aws.put("s3:PutBucketCORS", || s3.delete_bucket_cors().bucket(name).send());
        return optional(answer.await).map(drop);
    };
    let configuration = wire::cors(wanted).map_err(|error| incomplete(&error))?;
    aws.put("s3:PutBucketCORS", || {
        s3.put_bucket_cors().bucket(name).cors_configuration(configuration.clone()).send()
    })
    .await?;
    Ok(())
}

async fn website(aws: &Aws, desired: &Properties) -> Result<(), CloudError> {
    let (s3, name) = (aws.s3().await?, &desired.bucket_name);
    let Some(wanted) = &desired.website_configuration else {
        let answer = aws.put("s3:DeleteBucketWebsite", || s3.delete_bucket_website().bucket(name).send());
        return optional(answer.await).map(drop);
    };
    let configuration = wire::website(wanted).map_err(|error| incomplete(&error))?;
    aws.put("s3:PutBucketWebsite", || {
        s3.put_bucket_website().bucket(name).website_configuration(configuration.clone()).send()
    })
    .await?;
    Ok(())
}

async fn lifecycle(aws: &Aws, desired: &Properties) -> Result<(), CloudError> {
    let (s3, name) = (aws.s3().await?, &desired.bucket_name);
    let Some(wanted) = &desired.lifecycle_configuration else {
        let answer =
            aws.put("s3:PutLifecycleConfiguration", || s3.delete_bucket_lifecycle().bucket(name).send());
        return optional(answer.await).map(drop);
    };
    let configuration = lifecycle::write(wanted).map_err(|error| incomplete(&error))?;
    let size = wanted.transition_default_minimum_object_size.as_deref().unwrap_or(lifecycle::MINIMUM_SIZE);
    aws.put("s3:PutLifecycleConfiguration", || {
        s3.put_bucket_lifecycle_configuration()
            .bucket(name)
            .lifecycle_configuration(configuration.clone())
            .transition_default_minimum_object_size(size.into())
            .send()
    })
    .await?;
    Ok(())
}
