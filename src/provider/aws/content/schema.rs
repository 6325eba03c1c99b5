//! What site content is, as data.

use super::super::bucket;
use crate::model::{CloudId, Clouds, Deletion, Map, Property, Schema, Shape, TextRule, Value};

pub(in super::super) static SCHEMA: Schema = Schema {
    ty: "MCM::S3::Content",
    doc: "The files of a folder beside the stack file, kept equal to the objects of a bucket.",
    properties: PROPERTIES,
    attributes: &[],
    name: None,
    identify,
    predict: |_, _| Map::new(),
    check,
    marked: true,
    shared: false,
    compares: true,
    deletion: Deletion::Recreatable { loses: "" },
};

static PROPERTIES: &[Property] = &[
    Property::new("Bucket", Shape::Text(bucket::NAME), "The bucket's name, such as `${site.BucketName}`.")
        .required()
        .immutable(),
    Property::new(
        "Source",
        Shape::Text(TextRule::ANY.sized(1, 1024)),
        "The folder, relative to the stack file.",
    )
    .required(),
    Property::new("Prefix", Shape::Text(PREFIX), "Put before each file's name: `docs/`. Left out, nothing.")
        .default(|| "".into())
        .immutable(),
    Property::new(
        "CacheControl",
        Shape::Text(TextRule::matching(r"^[\x20-\x7e]*$", "printable ASCII").sized(0, 1024)),
        "How long browsers may keep the files: `max-age=300`.",
    ),
    Property::new(
        "Distribution",
        Shape::Text(TextRule::matching("^[A-Z0-9]+$", "a distribution's id, such as `E2QWRUHAPOMQZL`")),
        "The id of the CloudFront distribution that serves the bucket: it forgets the files that change.",
    )
    .unmanaged(),
    Property::new(
        "Files",
        Shape::Map(&Shape::Object(FILE)),
        "Filled in by mcm: each object's key and content.",
    ),
    Property::new(
        "Folder",
        Shape::Text(TextRule::ANY),
        "Filled in by mcm: where the folder is on this machine.",
    )
    .unmanaged(),
];

static FILE: &[Property] = &[
    Property::new("ContentType", Shape::Text(TextRule::ANY), "What browsers take it for."),
    Property::new("Digest", Shape::Text(TextRule::ANY), "SHA-256 of the content, in hex."),
    Property::new("Size", Shape::Integer { min: 0, max: i64::MAX }, "In bytes."),
];

const PREFIX: TextRule =
    TextRule::matching(r"^([^/\x00-\x1f][^\x00-\x1f]*)?$", "no `/` at its beginning, no control characters")
        .sized(0, 512);

/// `s3://BUCKET/PREFIX`, as S3's own tools write it.
fn identify(properties: &Map, _: &Clouds) -> Option<CloudId> {
    let bucket = properties.get("Bucket")?.as_text()?;
    let prefix = properties.get("Prefix").map_or(Some(""), |prefix| match prefix {
        Value::Null => Some(""),
        other => other.as_text(),
    })?;
    Some(CloudId(format!("s3://{bucket}/{prefix}")))
}

/// S3's bound on a key, in bytes.
const KEY: usize = 1024;

fn check(properties: &Map, _: &Clouds) -> Vec<String> {
    let bucket = properties.get("Bucket").and_then(Value::as_text);
    let mut wrong: Vec<String> = bucket.map(bucket::check_name).unwrap_or_default();
    let files = properties.get("Files").and_then(Value::as_map);
    for key in files.into_iter().flat_map(Map::keys).filter(|key| key.len() > KEY) {
        wrong.push(format!("the object key `{key}` is longer than the {KEY} bytes that S3 takes"));
    }
    wrong
}
