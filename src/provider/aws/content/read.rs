//! What is below the prefix, and what of it is ours.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_s3::operation::head_object::HeadObjectOutput;
use aws_sdk_s3::types::ChecksumMode;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use sha2::{Digest as _, Sha256};

use super::super::Aws;
use super::super::document::encode;
use super::super::error::{Explain as _, optional, refusal};
use super::{AT_ONCE, Etags, File, Properties, same_owner};
use crate::model::{CloudError, CloudId, Condition, ErrorKind, Live, Map, Owner, Value};

/// The names in an object's metadata.
pub(super) const OWNER: &str = "mcm-owner";
pub(super) const PREFIX: &str = "mcm-prefix";
pub(super) const DIGEST: &str = "mcm-sha256";

/// At most this many objects below a prefix: each is asked whose it is.
const OBJECTS: usize = 20_000;
/// Content without a digest is fetched to make one, up to this many bytes.
const FETCHED: i64 = 64 << 20;

/// One object below the prefix.
struct Object {
    file: File,
    etag: String,
    cache_control: Option<String>,
    owner: Option<Owner>,
}

pub(super) async fn read(
    aws: &Aws,
    id: &CloudId,
    bucket: &str,
    prefix: &str,
    desired: Option<&Map>,
) -> Result<Option<Live>, CloudError> {
    let claimed: BTreeSet<String> = desired
        .and_then(|desired| desired.get("Files")?.as_map())
        .map(|files| files.keys().cloned().collect())
        .unwrap_or_default();
    let (listed, heads) = futures::join!(list(aws, bucket, prefix), heads(aws, bucket, prefix, &claimed));
    let Some(listed) = optional(listed)? else { return Ok(None) };
    let mut objects = heads?;
    let others = listed.into_iter().filter(|key| !claimed.contains(key)).collect();
    objects.extend(self::heads(aws, bucket, prefix, &others).await?);

    // Marks of several resources below one prefix would be a clash of stacks; the first one counts.
    let owner = objects.values().find_map(|object| object.owner.clone());
    let ours =
        |object: &Object| object.owner.as_ref().zip(owner.as_ref()).is_some_and(|(a, b)| same_owner(a, b));
    objects.retain(|key, object| claimed.contains(key) || ours(object));
    if objects.is_empty() {
        return Ok(None);
    }
    let wish = |name: &str| desired.and_then(|desired| desired.get(name)).and_then(Value::as_text);
    let etags: Etags = objects.iter().map(|(key, object)| (key.clone(), object.etag.clone())).collect();
    let properties = Properties {
        bucket: bucket.to_owned(),
        source: wish("Source").map(str::to_owned),
        prefix: prefix.to_owned(),
        cache_control: cache_control(&objects, &claimed, wish("CacheControl")),
        distribution: wish("Distribution").map(str::to_owned),
        files: objects.into_iter().map(|(key, object)| (key, object.file)).collect(),
        folder: wish("Folder").map(str::to_owned),
    };
    Ok(Some(Live {
        id: id.clone(),
        properties: encode(&properties),
        attributes: Map::new(),
        etag: serde_json::to_string(&etags).ok(),
        owner,
        condition: Condition::Ready,
    }))
}

/// One answer for all objects: what is desired, if all that stay have it; else that of the first that has not.
fn cache_control(
    objects: &BTreeMap<String, Object>,
    claimed: &BTreeSet<String>,
    desired: Option<&str>,
) -> Option<String> {
    let mut staying = objects.iter().filter(|(key, _)| claimed.is_empty() || claimed.contains(*key));
    let other = staying.find(|(_, object)| object.cache_control.as_deref() != desired);
    match other {
        Some((_, object)) => object.cache_control.clone(),
        None => desired.map(str::to_owned),
    }
}

async fn list(aws: &Aws, bucket: &str, prefix: &str) -> Result<Vec<String>, CloudError> {
    let s3 = aws.s3().await?;
    let mut keys = Vec::new();
    let mut token: Option<String> = None;
    loop {
        let page = aws
            .read("s3:ListBucket", || {
                s3.list_objects_v2()
                    .bucket(bucket)
                    .set_prefix((!prefix.is_empty()).then(|| prefix.to_owned()))
                    .set_continuation_token(token.clone())
                    .send()
            })
            .await?;
        keys.extend(page.contents().iter().filter_map(|object| object.key().map(str::to_owned)));
        if keys.len() > OBJECTS {
            return Err(too_many(bucket, prefix));
        }
        token = page.next_continuation_token.filter(|_| page.is_truncated == Some(true));
        if token.is_none() {
            return Ok(keys);
        }
    }
}

pub(super) fn too_many(bucket: &str, prefix: &str) -> CloudError {
    let message = format!("there are more than {OBJECTS} objects below s3://{bucket}/{prefix}");
    refusal("s3:ListBucket", ErrorKind::Invalid, message)
        .hinting("give the content a `Prefix`, or a bucket, of its own")
}

async fn heads(
    aws: &Aws,
    bucket: &str,
    prefix: &str,
    keys: &BTreeSet<String>,
) -> Result<BTreeMap<String, Object>, CloudError> {
    let found: Vec<Option<(String, Object)>> = stream::iter(keys.iter().cloned().map(|key| async move {
        let Some(head) = head(aws, bucket, &key, None).await? else { return Ok::<_, CloudError>(None) };
        let object = object(aws, bucket, prefix, &key, &head).await?;
        Ok(object.map(|object| (key, object)))
    }))
    .buffer_unordered(AT_ONCE)
    .try_collect()
    .await?;
    Ok(found.into_iter().flatten().collect())
}

/// What S3 says about an object, or one version of it; `None` if there is none.
pub(super) async fn head(
    aws: &Aws,
    bucket: &str,
    key: &str,
    version: Option<&str>,
) -> Result<Option<HeadObjectOutput>, CloudError> {
    let s3 = aws.s3().await?;
    let answer = aws
        .read("s3:GetObject", || {
            s3.head_object()
                .bucket(bucket)
                .key(key)
                .set_version_id(version.map(str::to_owned))
                .checksum_mode(ChecksumMode::Enabled)
                .send()
        })
        .await;
    optional(answer)
}

async fn object(
    aws: &Aws,
    bucket: &str,
    prefix: &str,
    key: &str,
    head: &HeadObjectOutput,
) -> Result<Option<Object>, CloudError> {
    let size = head.content_length().unwrap_or_default();
    let digest = match digest(head) {
        Some(digest) => digest,
        None if size <= FETCHED => match fetch(aws, bucket, key).await? {
            Some(content) => hex::encode(Sha256::digest(&content)),
            None => return Ok(None),
        },
        None => format!("unknown (entity tag {})", head.e_tag().unwrap_or_default()),
    };
    Ok(Some(Object {
        file: File {
            content_type: head.content_type().unwrap_or_default().to_owned(),
            digest,
            size: u64::try_from(size).unwrap_or_default(),
        },
        etag: head.e_tag().unwrap_or_default().to_owned(),
        cache_control: head.cache_control().filter(|text| !text.is_empty()).map(str::to_owned),
        owner: owner(head, prefix),
    }))
}

/// S3's own checksum of the whole object, or the one in our metadata, in hex.
pub(super) fn digest(head: &HeadObjectOutput) -> Option<String> {
    let checksum = head.checksum_sha256().and_then(|text| BASE64.decode(text).ok()).map(hex::encode);
    checksum.or_else(|| head.metadata()?.get(DIGEST).cloned())
}

/// Whose mark an object bears, if it is one of this prefix.
pub(super) fn owner(head: &HeadObjectOutput, prefix: &str) -> Option<Owner> {
    let metadata = head.metadata()?;
    let here = metadata.get(PREFIX).is_some_and(|text| *text == scope(prefix));
    metadata.get(OWNER).filter(|_| here).and_then(|text| Owner::parse(text))
}

/// A prefix as metadata can hold it: ASCII, and not empty.
pub(super) fn scope(prefix: &str) -> String {
    format!("/{}", utf8_percent_encode(prefix, NON_ALPHANUMERIC))
}

/// An object's content; `None` if it is gone.
pub(super) async fn fetch(aws: &Aws, bucket: &str, key: &str) -> Result<Option<bytes::Bytes>, CloudError> {
    let s3 = aws.s3().await?;
    let answer = aws.read("s3:GetObject", || s3.get_object().bucket(bucket).key(key).send()).await;
    let Some(answer) = optional(answer)? else { return Ok(None) };
    let content = answer.body.collect().await.map_err(|why| {
        refusal("s3:GetObject", ErrorKind::Unknown, format!("s3://{bucket}/{key} broke off: {why}"))
    })?;
    Ok(Some(content.into_bytes()))
}
