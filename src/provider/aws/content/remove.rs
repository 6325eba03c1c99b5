//! Removes objects, only those that bear our mark.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_s3::types::{Delete, ObjectIdentifier};
use futures::stream::{self, StreamExt as _, TryStreamExt as _};

use super::super::Aws;
use super::super::error::{optional, refusal};
use super::read::{head, owner as owner_of, too_many};
use super::{AT_ONCE, same_owner};
use crate::model::{CloudError, ErrorKind, Owner};

/// S3 takes so many in one request.
const BATCH: usize = 1000;
/// At most so many versions below a prefix.
const VERSIONS: usize = 100_000;

/// An object, or one version of it.
#[derive(Clone, Debug)]
struct Target {
    key: String,
    version: Option<String>,
    /// Whether it is what one sees without asking for a version.
    current: bool,
}

/// Removes those of these objects that are still ours.
pub(super) async fn remove(
    aws: &Aws,
    bucket: &str,
    prefix: &str,
    keys: Vec<String>,
    owner: &Owner,
) -> Result<(), CloudError> {
    let targets = keys.into_iter().map(|key| Target { key, version: None, current: true }).collect();
    let (ours, _) = sort(aws, bucket, prefix, targets, owner).await?;
    delete(aws, bucket, &ours).await
}

/// Removes every object and version below the prefix that bears our mark.
pub(super) async fn remove_all(
    aws: &Aws,
    bucket: &str,
    prefix: &str,
    owner: &Owner,
) -> Result<(), CloudError> {
    let Some((versions, markers)) = optional(list(aws, bucket, prefix).await)? else { return Ok(()) };
    let (ours, theirs) = sort(aws, bucket, prefix, versions, owner).await?;
    let own_keys: BTreeSet<&str> = ours.iter().map(|target| target.key.as_str()).collect();
    let shared_keys: BTreeSet<&str> = theirs.iter().map(|target| target.key.as_str()).collect();
    let markers: Vec<Target> = markers
        .into_iter()
        .filter(|marker| own_keys.contains(marker.key.as_str()) && !shared_keys.contains(marker.key.as_str()))
        .collect();
    // Where someone else's older version would come to light, a marker takes the place of ours.
    let hidden: Vec<Target> = ours
        .iter()
        .filter(|target| {
            target.current && target.version.is_some() && shared_keys.contains(target.key.as_str())
        })
        .map(|target| Target { version: None, ..target.clone() })
        .collect();
    delete(aws, bucket, &hidden).await?;
    delete(aws, bucket, &ours).await?;
    // Last: a marker that went before its versions would show them again.
    delete(aws, bucket, &markers).await
}

/// Every version below the prefix, and every delete marker. Without versioning, each object is one version.
async fn list(aws: &Aws, bucket: &str, prefix: &str) -> Result<(Vec<Target>, Vec<Target>), CloudError> {
    let s3 = aws.s3().await?;
    let (mut versions, mut markers) = (Vec::new(), Vec::new());
    let (mut key, mut version): (Option<String>, Option<String>) = (None, None);
    let target = |key: Option<&str>, version: Option<&str>, current: Option<bool>| Target {
        key: key.unwrap_or_default().to_owned(),
        version: version.map(str::to_owned),
        current: current.unwrap_or(false),
    };
    loop {
        let page = aws
            .read("s3:ListBucketVersions", || {
                s3.list_object_versions()
                    .bucket(bucket)
                    .set_prefix((!prefix.is_empty()).then(|| prefix.to_owned()))
                    .set_key_marker(key.clone())
                    .set_version_id_marker(version.clone())
                    .send()
            })
            .await?;
        versions.extend(
            page.versions().iter().map(|found| target(found.key(), found.version_id(), found.is_latest())),
        );
        markers.extend(
            page.delete_markers()
                .iter()
                .map(|found| target(found.key(), found.version_id(), found.is_latest())),
        );
        if versions.len() + markers.len() > VERSIONS {
            return Err(too_many(bucket, prefix));
        }
        if page.is_truncated != Some(true) || page.next_key_marker.is_none() {
            break;
        }
        (key, version) = (page.next_key_marker, page.next_version_id_marker);
    }
    // In a bucket that never had versions, each object is its own "null" version, and is named without one.
    if versions.iter().chain(&markers).all(|target| matches!(target.version.as_deref(), None | Some("null")))
    {
        for target in &mut versions {
            target.version = None;
        }
    }
    Ok((versions, markers))
}

/// Which of them are ours, and which are someone else's; those that are gone are neither.
async fn sort(
    aws: &Aws,
    bucket: &str,
    prefix: &str,
    targets: Vec<Target>,
    owner: &Owner,
) -> Result<(Vec<Target>, Vec<Target>), CloudError> {
    let judged: Vec<Option<(bool, Target)>> = stream::iter(targets.into_iter().map(|target| async move {
        let head = head(aws, bucket, &target.key, target.version.as_deref()).await?;
        let ours = |head| owner_of(head, prefix).is_some_and(|found| same_owner(&found, owner));
        Ok::<_, CloudError>(head.as_ref().map(|head| (ours(head), target)))
    }))
    .buffer_unordered(AT_ONCE)
    .try_collect()
    .await?;
    let (ours, theirs): (Vec<_>, Vec<_>) = judged.into_iter().flatten().partition(|(ours, _)| *ours);
    let targets = |judged: Vec<(bool, Target)>| judged.into_iter().map(|(_, target)| target).collect();
    Ok((targets(ours), targets(theirs)))
}

async fn delete(aws: &Aws, bucket: &str, targets: &[Target]) -> Result<(), CloudError> {
    let s3 = aws.s3().await?;
    for batch in targets.chunks(BATCH) {
        let objects = batch
            .iter()
            .map(|target| {
                ObjectIdentifier::builder().key(&target.key).set_version_id(target.version.clone()).build()
            })
            .collect::<Result<Vec<_>, _>>()
            .and_then(|objects| Delete::builder().set_objects(Some(objects)).quiet(true).build())
            .map_err(|error| refusal("s3:DeleteObject", ErrorKind::Invalid, error.to_string()))?;
        let answer = aws
            .put("s3:DeleteObject", || s3.delete_objects().bucket(bucket).delete(objects.clone()).send())
            .await?;
        let refused: BTreeMap<&str, (&str, &str)> = answer
            .errors()
            .iter()
            .filter(|error| error.code() != Some("NoSuchKey"))
            .map(|error| {
                let why = (error.code().unwrap_or_default(), error.message().unwrap_or_default());
                (error.key().unwrap_or_default(), why)
            })
            .collect();
        if let Some((key, (code, message))) = refused.first_key_value() {
            let kind = match *code {
                "AccessDenied" => ErrorKind::Denied,
                "SlowDown" => ErrorKind::Throttled,
                "InternalError" => ErrorKind::Unknown,
                _ => ErrorKind::Invalid,
            };
            let message = format!(
                "{} of {} objects were not removed; s3://{bucket}/{key}: {message}",
                refused.len(),
                batch.len()
            );
            return Err(CloudError { code: (*code).to_owned(), ..refusal("s3:DeleteObject", kind, message) });
        }
    }
    Ok(())
}
