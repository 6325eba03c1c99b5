//! Uploads, and what is kept of that which they replace.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::primitives::ByteStream;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use futures::stream::{self, StreamExt as _};
use sha2::{Digest as _, Sha256};
use tokio::sync::Semaphore;

use super::super::Aws;
use super::super::error::{Explain as _, refusal};
use super::super::together::worst;
use super::{AT_ONCE, Etags, File, Properties, disk, read};
use crate::model::{CloudError, ErrorKind, Owner};

/// At most about so much of the files is in memory at once, in units of [`UNIT`]: 256 MiB.
const MEMORY: u32 = 4096;
const UNIT: u64 = 64 << 10;
/// An upload slower than this, in bytes a second, is given up.
const SLOWEST: u64 = 64 << 10;

/// Content that an update has replaced, by digest, for a rollback in the same run.
#[derive(Default)]
pub(in super::super) struct Stash(Mutex<HashMap<String, Bytes>>);

/// At most so many bytes are kept; what is beyond cannot be brought back.
const KEPT: usize = 64 << 20;

impl Stash {
    fn put(&self, digest: String, content: Bytes) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.values().map(Bytes::len).sum::<usize>() + content.len() <= KEPT {
            kept.insert(digest, content);
        }
    }

    fn get(&self, digest: &str) -> Option<Bytes> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(digest).cloned()
    }
}

/// Keeps what is about to be replaced or removed. Failing to do so stops nothing: it only makes a rollback poorer.
pub(super) async fn keep(aws: &Aws, before: &Properties, keys: Vec<String>) {
    let small = |key: &String| before.files.get(key).is_some_and(|file| file.size <= KEPT as u64);
    stream::iter(keys.into_iter().filter(small))
        .for_each_concurrent(AT_ONCE, |key| async move {
            if let Ok(Some(content)) = read::fetch(aws, &before.bucket, &key).await {
                aws.stash.put(hex::encode(Sha256::digest(&content)), content);
            }
        })
        .await;
}

/// Uploads these keys; each must be what `etags` says, or free where that says nothing. Returns the new entity tags.
pub(super) async fn upload(
    aws: &Aws,
    desired: &Properties,
    owner: &Owner,
    keys: Vec<String>,
    etags: &Etags,
) -> Result<BTreeMap<String, String>, CloudError> {
    let memory = Semaphore::new(MEMORY as usize);
    let failed = AtomicBool::new(false);
    let (memory, failed) = (&memory, &failed);
    let one = |key: String| async move {
        let Some(file) = desired.files.get(&key) else { return Ok(None) };
        let units = u32::try_from(file.size.div_ceil(UNIT) + 1).unwrap_or(MEMORY).min(MEMORY);
        // Never closed.
        let _room = memory.acquire_many(units).await;
        // After a failure nothing more is sent; what is on its way is awaited.
        if failed.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let written = async {
            let content = match aws.stash.get(&file.digest) {
                Some(content) => content,
                None => disk::load(desired, &key, file).await?,
            };
            put(aws, desired, owner, &key, file, &content, etags.get(&key)).await
        };
        let written = written.await;
        failed.fetch_or(written.is_err(), Ordering::Relaxed);
        written.map(|etag| Some((key, etag)))
    };
    let ends: Vec<_> = stream::iter(keys.into_iter().map(one)).buffer_unordered(AT_ONCE).collect().await;
    let mut written = BTreeMap::new();
    worst(ends.into_iter().map(|end| end.map(|entry| written.extend(entry))))?;
    Ok(written)
}

async fn put(
    aws: &Aws,
    desired: &Properties,
    owner: &Owner,
    key: &str,
    file: &File,
    content: &Bytes,
    etag: Option<&String>,
) -> Result<String, CloudError> {
    let s3 = aws.s3().await?;
    let checksum = BASE64.encode(hex::decode(&file.digest).unwrap_or_default());
    let patience = Duration::from_secs(30 + file.size / SLOWEST);
    let answer = aws
        .change("s3:PutObject", || {
            s3.put_object()
                .bucket(&desired.bucket)
                .key(key)
                .body(ByteStream::from(content.clone()))
                .content_type(&file.content_type)
                .set_cache_control(desired.cache_control.clone())
                .checksum_sha256(&checksum)
                .metadata(read::OWNER, owner.to_text())
                .metadata(read::PREFIX, read::scope(&desired.prefix))
                .metadata(read::DIGEST, &file.digest)
                .set_if_match(etag.cloned())
                .set_if_none_match(etag.is_none().then(|| "*".to_owned()))
                .customize()
                .config_override(
                    aws_sdk_s3::Config::builder()
                        .timeout_config(TimeoutConfig::builder().read_timeout(patience).build()),
                )
                .send()
        })
        .await;
    match answer {
        Ok(answer) => Ok(answer.e_tag.unwrap_or_default()),
        Err(error) if matches!(error.kind, ErrorKind::Conflict | ErrorKind::NotFound) => {
            moved(aws, desired, owner, key, file, etag.is_none(), error).await
        }
        Err(error) => Err(error),
    }
}

/// The key is not what was expected. It may be what an earlier send of this very upload has made of it.
async fn moved(
    aws: &Aws,
    desired: &Properties,
    owner: &Owner,
    key: &str,
    file: &File,
    expected_free: bool,
    error: CloudError,
) -> Result<String, CloudError> {
    // The bucket itself is not there.
    if error.code == "NoSuchBucket" {
        return Err(error);
    }
    let head = read::head(aws, &desired.bucket, key, None).await?;
    if let Some(head) = &head {
        let ours = read::owner(head, &desired.prefix).as_ref() == Some(owner);
        if ours && read::digest(head).as_deref() == Some(&file.digest) {
            return Ok(head.e_tag().unwrap_or_default().to_owned());
        }
    }
    let (bucket, call) = (&desired.bucket, "s3:PutObject");
    Err(if expected_free {
        let message =
            format!("there is an object s3://{bucket}/{key} already, and this stack did not put it there");
        refusal(call, ErrorKind::AlreadyExists, message)
            .hinting("remove the object, or rename the file, or take it over with `adopt: true`")
    } else {
        let message = format!("the object s3://{bucket}/{key} has changed since it was planned");
        refusal(call, ErrorKind::Conflict, message).hinting("plan again, then apply")
    })
}
