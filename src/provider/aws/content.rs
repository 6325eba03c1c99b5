//! `MCM::S3::Content`: the files of a folder, kept equal to objects of a bucket.
//!
//! # Whose an object is
//! Every object that is uploaded bears our mark and the prefix it belongs to in its metadata (`x-amz-meta-mcm-owner`,
//! `-prefix`, `-sha256`). From that follows what may happen to an object below the prefix:
//!
//! - One with our mark is ours: it is compared, replaced when the file changes, and removed when the file is gone.
//! - One without it, at a key that a file of the folder claims: before the first upload it is someone else's, and
//!   stands in the way (`AlreadyExists`, unless the stack says `adopt: true`). Once the content is ours it is an edit
//!   made outside of mcm: it shows as that file's digest, and is put back.
//! - Any other without it is none of our business: not shown, not touched. It keeps the bucket from being deleted.
//!
//! # What deleting means
//! People expect that a stack with a site can be destroyed, and a bucket must be empty for that; and nothing that
//! someone else put there may be lost. So a deletion removes exactly the objects with our mark. In a versioned bucket
//! it removes their versions, too, each only if that very version bears our mark, and the delete markers of keys all
//! of whose versions are ours; where an older version of someone else's would come to light, a delete marker hides it
//! as our version did. What remains is named when the bucket refuses to be deleted.
//!
//! # Writing
//! Uploads are conditional: a new key must be free (`If-None-Match`), a known one must be what the plan saw
//! (`If-Match`; the entity tags are this type's `etag`). A file is digested again as it is uploaded, and S3 checks the
//! digest once more. What an update replaces or removes is kept in memory, within bounds, until the process ends: a
//! rollback in the same run can put it back although the folder no longer holds it.
//!
//! Where a CloudFront distribution serves the bucket, it is made to forget what was replaced or removed, and the step is
//! done when it has: whoever opens the site after an apply sees the new one. Content that is created may follow on other
//! content in the same place, of which answers are kept: everything is forgotten then, which costs no more than one path.
//! After a deletion everything is forgotten too, and not waited for, where the stack still says which distribution it is.

mod disk;
mod edge;
mod read;
mod remove;
mod schema;
mod write;

use std::collections::BTreeMap;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::super::Kind;
use super::Aws;
use super::document::decode;
use super::error::refusal;
use crate::model::{
    CloudError, CloudId, Condition, Create, Delete, ErrorKind, Live, Map, Owner, Read, Schema, Update, Value,
};

pub(super) use write::Stash;

/// The kind.
pub(super) struct Content;

/// The properties of a folder's content.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Properties {
    bucket: String,
    source: Option<String>,
    prefix: String,
    cache_control: Option<String>,
    distribution: Option<String>,
    files: BTreeMap<String, File>,
    folder: Option<String>,
}

/// One object's content.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct File {
    content_type: String,
    digest: String,
    size: u64,
}

/// The entity tag of each object, by key.
type Etags = BTreeMap<String, String>;

/// How many objects are read, written or removed at once.
const AT_ONCE: usize = 32;

#[async_trait]
impl Kind<Aws> for Content {
    fn schema(&self) -> &'static Schema {
        &schema::SCHEMA
    }

    async fn read(&self, aws: &Aws, request: Read<'_>) -> Result<Option<Live>, CloudError> {
        let (bucket, prefix) = place(request.id)?;
        read::read(aws, request.id, bucket, prefix, request.desired).await
    }

    async fn create(&self, aws: &Aws, request: Create<'_>) -> Result<Live, CloudError> {
        let desired: Properties = decode("s3:PutObject", request.properties)?;
        let keys = desired.files.keys().cloned().collect();
        let (error, whole) = match write::upload(aws, &desired, request.owner, keys, &Etags::new()).await {
            Err(error) => (error, false),
            Ok(etags) => match forget_all(aws, desired.distribution.as_deref()).await {
                Ok(()) => return Ok(live(request.id, request.properties, request.owner, &etags)),
                Err(error) => (error, true),
            },
        };
        // What was uploaded before it failed is taken back, unless it may still be on its way; where that is not possible,
        // the marks on the objects tell whose they are.
        let taken = (whole || error.kind != ErrorKind::Unknown)
            && remove::remove_all(aws, &desired.bucket, &desired.prefix, request.owner).await.is_ok();
        Err(if taken { error } else { CloudError { kind: ErrorKind::Unknown, ..error } })
    }

    async fn update(&self, aws: &Aws, request: Update<'_>) -> Result<Live, CloudError> {
        let before: Properties = decode("s3:PutObject", &request.before.properties)?;
        let desired: Properties = decode("s3:PutObject", request.properties)?;
        let marked = request.before.owner.as_ref() == Some(request.owner);
        let all = !marked || request.changed.iter().any(|path| path.property() == "CacheControl");
        let stale = |key: &String| all || before.files.get(key) != desired.files.get(key);
        let changed: Vec<String> = desired.files.keys().filter(|key| stale(key)).cloned().collect();
        let gone: Vec<String> =
            before.files.keys().filter(|key| !desired.files.contains_key(*key)).cloned().collect();
        let mut etags: Etags = request
            .before
            .etag
            .as_deref()
            .and_then(|text| serde_json::from_str(text).ok())
            .unwrap_or_default();
        let replaced = before
            .files
            .iter()
            .filter(|(key, old)| desired.files.get(*key).is_none_or(|new| new.digest != old.digest));
        let replaced = replaced.map(|(key, _)| key.clone()).collect();
        write::keep(aws, &before, replaced).await;
        let written = write::upload(aws, &desired, request.owner, changed.clone(), &etags).await?;
        if let Some(owner) = &request.before.owner {
            remove::remove(aws, &desired.bucket, &desired.prefix, gone.clone(), owner).await?;
        }
        if let Some(distribution) = &desired.distribution {
            edge::forget(aws, distribution, changed.iter().chain(&gone)).await?;
        }
        etags.extend(written);
        etags.retain(|key, _| desired.files.contains_key(key));
        Ok(live(request.id, request.properties, request.owner, &etags))
    }

    async fn delete(&self, aws: &Aws, request: Delete<'_>) -> Result<(), CloudError> {
        let (bucket, prefix) = place(request.id)?;
        let Some(owner) = &request.before.owner else {
            let message = format!("no object below {} bears mcm's mark", request.id);
            return Err(refusal("s3:DeleteObject", ErrorKind::Denied, message));
        };
        remove::remove_all(aws, bucket, prefix, owner).await?;
        match request.before.properties.get("Distribution").and_then(Value::as_text) {
            Some(distribution) => edge::let_go(aws, distribution).await,
            None => Ok(()),
        }
    }
}

async fn forget_all(aws: &Aws, distribution: Option<&str>) -> Result<(), CloudError> {
    match distribution {
        Some(distribution) => edge::forget_all(aws, distribution).await,
        None => Ok(()),
    }
}

/// Bucket and prefix of an identity.
fn place(id: &CloudId) -> Result<(&str, &str), CloudError> {
    let place = id.0.strip_prefix("s3://").and_then(|rest| rest.split_once('/'));
    place.filter(|(bucket, _)| !bucket.is_empty()).ok_or_else(|| {
        let message = format!("`{id}` is no place of content: expected `s3://BUCKET/PREFIX`, with an empty prefix `s3://BUCKET/`");
        refusal("s3:ListBucket", ErrorKind::Invalid, message)
    })
}

/// Whether two marks are those of one resource, of whatever creation.
fn same_owner(left: &Owner, right: &Owner) -> bool {
    left.stack == right.stack && left.address == right.address
}

/// What is live after uploads that S3 has acknowledged: objects are strongly consistent.
fn live(id: &CloudId, properties: &Map, owner: &Owner, etags: &Etags) -> Live {
    Live {
        id: id.clone(),
        properties: properties.clone(),
        attributes: Map::new(),
        etag: serde_json::to_string(etags).ok(),
        owner: Some(owner.clone()),
        condition: Condition::Ready,
    }
}
