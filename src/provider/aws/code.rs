//! `MCM::Lambda::Code`: a function's archive, at a key that its content gives.
//!
//! New content is a new object: CloudFormation would not notice other bytes under an old key. The new one is made
//! before the function changes, and the old one is deleted after, so that a change can be undone in between. Files whose
//! text is known only when their sources are made (a credential configuration) are put beside the program as the archive
//! is uploaded; they are part of the key.

use std::collections::BTreeMap;
use std::io::{Cursor, Write as _};
use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::operation::head_object::HeadObjectOutput;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::ChecksumMode;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use sha2::{Digest as _, Sha256};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, System, ZipWriter};

use super::super::Kind;
use super::document::{decode, encode};
use super::error::{Explain as _, optional, refusal};
use super::{Aws, bucket};
use crate::model::{
    Architecture, Attribute, CloudError, CloudId, Clouds, Condition, Create, Delete, Deletion, ErrorKind,
    Live, Map, Owner, Property, Read, Schema, Shape, TextRule, Update, Value,
};

/// The kind.
pub(super) struct Code;

static SCHEMA: Schema = Schema {
    ty: "MCM::Lambda::Code",
    doc: "The archive of a Lambda function, as an object whose key follows from its content.",
    properties: &[
        Property::new("Bucket", Shape::Text(bucket::NAME), "The bucket's name.").required(),
        Property::new(
            "Function",
            Shape::Text(TextRule::matching("^[a-z][a-z0-9-]*$", "a function's logical name").sized(1, 63)),
            "The function's logical name.",
        )
        .required(),
        Property::new("Architecture", Shape::Enum(&Architecture::WORDS), "What it is built for.").unmanaged(),
        Property::new(
            "Digest",
            Shape::Text(TextRule::matching("^[0-9a-f]{64}$", "64 hexadecimal digits")),
            "Filled in by mcm: SHA-256 of the archive as it was built.",
        )
        .required(),
        Property::new(
            "Size",
            Shape::Integer { min: 1, max: i64::MAX },
            "Filled in by mcm: its size in bytes.",
        ),
        Property::new(
            "Files",
            Shape::Map(&Shape::Document),
            "Files beside the program, by plain name; a map becomes JSON.",
        ),
        Property::new("File", Shape::Text(TextRule::ANY), "Filled in by mcm: where it is on this machine.")
            .unmanaged(),
    ],
    attributes: &[Attribute::new("Key", "The object's key.")],
    name: None,
    identify,
    predict,
    check: |properties, _| {
        properties.get("Bucket").and_then(Value::as_text).map(bucket::check_name).unwrap_or_default()
    },
    marked: true,
    shared: false,
    compares: true,
    deletion: Deletion::Recreatable { loses: "" },
};

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Properties {
    bucket: String,
    function: String,
    architecture: Option<String>,
    digest: String,
    size: u64,
    files: BTreeMap<String, Json>,
    file: Option<String>,
}

/// `s3://BUCKET/KEY`.
fn identify(properties: &Map, _: &Clouds) -> Option<CloudId> {
    let bucket = properties.get("Bucket")?.as_text()?;
    Some(CloudId(format!("s3://{bucket}/{}", key(properties)?)))
}

fn predict(properties: &Map, _: &Clouds) -> Map {
    key(properties).map(|key| ("Key".to_owned(), key.into())).into_iter().collect()
}

/// `functions/NAME/DIGEST.zip`; with files, the digest is over those, too.
fn key(properties: &Map) -> Option<String> {
    let text = |name: &str| properties.get(name)?.as_text();
    let (function, digest) = (text("Function")?, text("Digest")?);
    let files = properties.get("Files").filter(|files| files.as_map().is_some_and(|files| !files.is_empty()));
    let digest = match files {
        None => digest.to_owned(),
        Some(files) if files.is_known() => {
            let content = serde_json::to_vec(&(digest, files.to_json())).ok()?;
            hex::encode(Sha256::digest(content))
        }
        Some(_) => return None,
    };
    Some(format!("functions/{function}/{digest}.zip"))
}

/// Bucket and key of an identity.
fn place(id: &CloudId) -> Result<(&str, &str), CloudError> {
    let place = id.0.strip_prefix("s3://").and_then(|rest| rest.split_once('/'));
    place.filter(|(bucket, key)| !bucket.is_empty() && key.starts_with("functions/")).ok_or_else(|| {
        let message =
            format!("`{id}` is no archive of a function: expected `s3://BUCKET/functions/NAME/DIGEST.zip`");
        refusal("s3:GetObject", ErrorKind::Invalid, message)
    })
}

#[async_trait]
impl Kind<Aws> for Code {
    fn schema(&self) -> &'static Schema {
        &SCHEMA
    }

    async fn read(&self, aws: &Aws, request: Read<'_>) -> Result<Option<Live>, CloudError> {
        let (bucket, key) = place(request.id)?;
        let Some(head) = head(aws, bucket, key).await? else { return Ok(None) };
        let desired = request.desired.filter(|desired| self::key(desired).as_deref() == Some(key));
        Ok(Some(seen(request.id, bucket, key, &head, desired)))
    }

    async fn create(&self, aws: &Aws, request: Create<'_>) -> Result<Live, CloudError> {
        put(aws, request.id, request.properties, request.owner, None).await
    }

    /// Its content cannot change: it is put back, or marked.
    async fn update(&self, aws: &Aws, request: Update<'_>) -> Result<Live, CloudError> {
        put(aws, request.id, request.properties, request.owner, request.before.etag.as_deref()).await
    }

    async fn delete(&self, aws: &Aws, request: Delete<'_>) -> Result<(), CloudError> {
        let (s3, (bucket, key)) = (aws.s3().await?, place(request.id)?);
        let answer = aws.put("s3:DeleteObject", || s3.delete_object().bucket(bucket).key(key).send()).await;
        optional(answer).map(drop)
    }
}

/// The names in an object's metadata.
const OWNER: &str = "mcm-owner";
const BUILT: &str = "mcm-code";

async fn head(aws: &Aws, bucket: &str, key: &str) -> Result<Option<HeadObjectOutput>, CloudError> {
    let s3 = aws.s3().await?;
    let send = || s3.head_object().bucket(bucket).key(key).checksum_mode(ChecksumMode::Enabled).send();
    optional(aws.read("s3:GetObject", send).await)
}

/// What an object is. One that someone has overwritten has no mark any more, and another digest.
fn seen(id: &CloudId, bucket: &str, key: &str, head: &HeadObjectOutput, desired: Option<&Map>) -> Live {
    let metadata = |name: &str| head.metadata().and_then(|metadata| metadata.get(name)).cloned();
    let digest = metadata(BUILT);
    let wish = desired.and_then(|desired| desired.get("Digest")).and_then(Value::as_text);
    let properties = match desired {
        Some(desired) if digest.is_some() && wish == digest.as_deref() => desired.clone(),
        _ => encode(&Properties {
            bucket: bucket.to_owned(),
            function: key.split('/').nth(1).unwrap_or_default().to_owned(),
            digest: digest.unwrap_or_else(|| "unknown".to_owned()),
            size: head.content_length().and_then(|size| u64::try_from(size).ok()).unwrap_or_default(),
            ..Properties::default()
        }),
    };
    Live {
        id: id.clone(),
        properties,
        attributes: Map::from([("Key".to_owned(), key.into())]),
        etag: head.e_tag().map(str::to_owned),
        owner: metadata(OWNER).and_then(|text| Owner::parse(&text)),
        condition: Condition::Ready,
    }
}

/// An upload slower than this, in bytes a second, is given up.
const SLOWEST: u64 = 64 << 10;

/// Uploads the archive; the key must be free, or what the plan saw.
async fn put(
    aws: &Aws,
    id: &CloudId,
    properties: &Map,
    owner: &Owner,
    etag: Option<&str>,
) -> Result<Live, CloudError> {
    let desired: Properties = decode("s3:PutObject", properties)?;
    let (s3, (bucket, key)) = (aws.s3().await?, place(id)?);
    let archive = load(&desired).await?;
    let checksum = BASE64.encode(Sha256::digest(&archive));
    let patience = Duration::from_secs(30 + archive.len() as u64 / SLOWEST);
    let send = || {
        s3.put_object()
            .bucket(bucket)
            .key(key)
            .body(ByteStream::from(archive.clone()))
            .content_type("application/zip")
            .checksum_sha256(&checksum)
            .metadata(OWNER, owner.to_text())
            .metadata(BUILT, &desired.digest)
            .set_if_match(etag.map(str::to_owned))
            .set_if_none_match(etag.is_none().then(|| "*".to_owned()))
            .customize()
            .config_override(
                aws_sdk_s3::Config::builder()
                    .timeout_config(TimeoutConfig::builder().read_timeout(patience).build()),
            )
            .send()
    };
    let etag = match aws.change("s3:PutObject", send).await {
        Ok(answer) => answer.e_tag,
        Err(error) if error.kind == ErrorKind::Conflict => {
            moved(aws, bucket, key, owner, etag.is_none()).await?
        }
        Err(error) => return Err(error),
    };
    Ok(Live {
        id: id.clone(),
        properties: properties.clone(),
        attributes: Map::from([("Key".to_owned(), key.into())]),
        etag,
        owner: Some(owner.clone()),
        condition: Condition::Ready,
    })
}

/// The key is not what was expected. It may be what an earlier send of this very upload has made of it.
async fn moved(
    aws: &Aws,
    bucket: &str,
    key: &str,
    owner: &Owner,
    expected_free: bool,
) -> Result<Option<String>, CloudError> {
    let head = head(aws, bucket, key).await?;
    let mark = head.as_ref().and_then(|head| Owner::parse(head.metadata()?.get(OWNER)?));
    if mark.as_ref() == Some(owner) {
        return Ok(head.and_then(|head| head.e_tag));
    }
    Err(if expected_free {
        let message =
            format!("there is an object s3://{bucket}/{key} already, and this stack did not put it there");
        refusal("s3:PutObject", ErrorKind::AlreadyExists, message)
            .hinting("remove the object, then plan again")
    } else {
        let message = format!("the object s3://{bucket}/{key} has changed since it was planned");
        refusal("s3:PutObject", ErrorKind::Conflict, message).hinting("plan again, then apply")
    })
}

/// The archive as it was planned, with its further files.
async fn load(desired: &Properties) -> Result<Bytes, CloudError> {
    let refuse = |message: String| {
        refusal("s3:PutObject", ErrorKind::Invalid, message)
            .hinting("run `mcm functions build`, then plan again: it reads the archive anew")
    };
    let Some(file) = desired.file.clone() else {
        return Err(refuse(format!("the archive of `{}` is not on this machine", desired.function)));
    };
    let read = tokio::task::spawn_blocking({
        let file = file.clone();
        move || std::fs::read(Path::new(&file))
    });
    let content = match read.await {
        Ok(Ok(content)) => content,
        Ok(Err(why)) => return Err(refuse(format!("{file} cannot be read: {why}"))),
        Err(why) => return Err(refuse(format!("{file} cannot be read: {why}"))),
    };
    if hex::encode(Sha256::digest(&content)) != desired.digest {
        return Err(refuse(format!("{file} has changed since it was planned")));
    }
    let whole = if desired.files.is_empty() { Ok(content) } else { with_files(content, &desired.files) };
    whole
        .map(Bytes::from)
        .map_err(|why| refuse(format!("{file} is no archive that files can be added to: {why}")))
}

/// An archive with further files: regular ones with plain names, and nothing in them that depends on when or where.
fn with_files(archive: Vec<u8>, files: &BTreeMap<String, Json>) -> zip::result::ZipResult<Vec<u8>> {
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .last_modified_time(DateTime::default())
        .unix_permissions(0o644)
        .system(System::Unix);
    let mut archive = ZipWriter::new_append(Cursor::new(archive))?;
    for (name, content) in files {
        archive.start_file(name.as_str(), options)?;
        match content {
            Json::String(text) => archive.write_all(text.as_bytes())?,
            other => archive.write_all(format!("{other:#}\n").as_bytes())?,
        }
    }
    Ok(archive.finish()?.into_inner())
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    fn properties(files: Option<Value>) -> Map {
        let mut properties = Map::from([
            ("Bucket".to_owned(), "files".into()),
            ("Function".to_owned(), "resize".into()),
            ("Digest".to_owned(), "ab".repeat(32).into()),
        ]);
        properties.extend(files.map(|files| ("Files".to_owned(), files)));
        properties
    }

    #[test]
    fn content_gives_the_key() {
        let file = |text: &str| Value::Map(Map::from([("a.json".to_owned(), text.into())]));
        let plain = key(&properties(None)).unwrap();
        assert_eq!(plain, format!("functions/resize/{}.zip", "ab".repeat(32)));
        assert_eq!(key(&properties(Some(Value::Map(Map::new())))).unwrap(), plain);
        let one = key(&properties(Some(file("1")))).unwrap();
        assert_ne!(one, plain);
        assert_eq!(one, key(&properties(Some(file("1")))).unwrap());
        assert_ne!(one, key(&properties(Some(file("2")))).unwrap());
        let unknown = crate::model::Template::reference(crate::model::Address::resource("x"), &["y"]);
        let unknown = Value::Map(Map::from([("a.json".to_owned(), Value::Unknown(unknown))]));
        assert_eq!(key(&properties(Some(unknown))), None);
    }

    #[test]
    fn files_are_added_to_an_archive_the_same_way_each_time() {
        let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
        archive.start_file("bootstrap", SimpleFileOptions::default()).unwrap();
        archive.write_all(b"program").unwrap();
        let archive = archive.finish().unwrap().into_inner();
        let files = BTreeMap::from([
            ("a.json".to_owned(), serde_json::json!({"b": 1})),
            ("c.txt".to_owned(), Json::from("d")),
        ]);
        let whole = with_files(archive.clone(), &files).unwrap();
        assert_eq!(whole, with_files(archive, &files).unwrap());
        let mut read = zip::ZipArchive::new(Cursor::new(whole)).unwrap();
        for (name, content) in [("bootstrap", "program"), ("a.json", "{\n  \"b\": 1\n}\n"), ("c.txt", "d")] {
            let mut text = String::new();
            read.by_name(name).unwrap().read_to_string(&mut text).unwrap();
            assert_eq!(text, content);
        }
    }
}
