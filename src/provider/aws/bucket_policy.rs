//! `AWS::S3::BucketPolicy`: who may do what with a bucket.
//!
//! A type of its own, as in CloudFormation, because a policy names things that need the bucket to be made first.
//! A policy has no room for a mark: the state alone says whose it is.

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::Value as Json;

use super::super::Kind;
use super::bucket;
use super::document::decode;
use super::error::{Explain as _, optional, refusal};
use super::{Aws, policy};
use crate::model::{
    CloudError, CloudId, Clouds, Condition, Create, Delete, Deletion, ErrorKind, Live, Map, Property, Read,
    Schema, Shape, Update, Value,
};

/// The kind.
pub(super) struct BucketPolicy;

static SCHEMA: Schema = Schema {
    ty: "AWS::S3::BucketPolicy",
    doc: "The policy of an S3 bucket: who may do what with it.",
    properties: &[
        Property::new("Bucket", Shape::Text(bucket::NAME), "The bucket's name, such as `${site}`.")
            .required()
            .immutable(),
        Property::new("PolicyDocument", Shape::Document, "What it allows and denies.")
            .required()
            .normalised(policy::normalise),
    ],
    attributes: &[],
    name: None,
    identify: |properties, _| Some(CloudId(properties.get("Bucket")?.as_text()?.to_owned())),
    predict: |_, _| Map::new(),
    check,
    marked: false,
    shared: false,
    compares: false,
    deletion: Deletion::Recreatable { loses: "" },
};

/// S3 takes policies of up to 20 KB.
const LIMIT: usize = 20 * 1024;

fn check(properties: &Map, _: &Clouds) -> Vec<String> {
    let mut wrong: Vec<String> =
        properties.get("Bucket").and_then(Value::as_text).map(bucket::check_name).unwrap_or_default();
    if let Some(document) = properties.get("PolicyDocument") {
        wrong.extend(policy::check("PolicyDocument", document, policy::Use::Resource));
        let length = policy::print(document).len();
        if document.is_known() && length > LIMIT {
            wrong.push(format!("`PolicyDocument` has {length} characters; S3 takes {LIMIT}"));
        }
    }
    wrong
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Properties {
    bucket: String,
    policy_document: Json,
}

#[async_trait]
impl Kind<Aws> for BucketPolicy {
    fn schema(&self) -> &'static Schema {
        &SCHEMA
    }

    async fn read(&self, aws: &Aws, request: Read<'_>) -> Result<Option<Live>, CloudError> {
        let (s3, name) = (aws.s3().await?, &request.id.0);
        let answer = aws.read("s3:GetBucketPolicy", || s3.get_bucket_policy().bucket(name).send()).await;
        let Some(text) = optional(answer)?.and_then(|answer| answer.policy).filter(|text| !text.is_empty())
        else {
            return Ok(None);
        };
        let wanted = request.desired.and_then(|desired| desired.get("PolicyDocument"));
        let document = policy::in_words_of(wanted, policy::parse(&text));
        let properties =
            Map::from([("Bucket".to_owned(), name.as_str().into()), ("PolicyDocument".to_owned(), document)]);
        Ok(Some(live(request.id, &properties)))
    }

    async fn create(&self, aws: &Aws, request: Create<'_>) -> Result<Live, CloudError> {
        let desired: Properties = decode("s3:PutBucketPolicy", request.properties)?;
        let read = Read { ty: request.ty, id: request.id, desired: None, secrets: false };
        if self.read(aws, read).await?.is_some() {
            let message = format!("the bucket {} has a policy already", desired.bucket);
            return Err(refusal("s3:GetBucketPolicy", ErrorKind::AlreadyExists, message)
                .hinting("take the policy over with `adopt: true`"));
        }
        put(aws, &desired).await?;
        Ok(live(request.id, request.properties))
    }

    async fn update(&self, aws: &Aws, request: Update<'_>) -> Result<Live, CloudError> {
        if !request.changed.is_empty() {
            put(aws, &decode("s3:PutBucketPolicy", request.properties)?).await?;
        }
        Ok(live(request.id, request.properties))
    }

    async fn delete(&self, aws: &Aws, request: Delete<'_>) -> Result<(), CloudError> {
        let (s3, name) = (aws.s3().await?, &request.id.0);
        let answer = aws.put("s3:DeleteBucketPolicy", || s3.delete_bucket_policy().bucket(name).send()).await;
        optional(answer).map(drop)
    }
}

async fn put(aws: &Aws, desired: &Properties) -> Result<(), CloudError> {
    let s3 = aws.s3().await?;
    let text = desired.policy_document.to_string();
    let answer = aws
        .put("s3:PutBucketPolicy", || s3.put_bucket_policy().bucket(&desired.bucket).policy(&text).send())
        .await;
    match answer {
        Err(error) if error.kind == ErrorKind::Denied => Err(denied(aws, &desired.bucket, error).await),
        other => other.map(drop),
    }
}

/// A refused policy is either public while the bucket must not be, or beyond the caller's permissions; or the
/// bucket was opened moments ago and S3 does not know it everywhere yet.
async fn denied(aws: &Aws, bucket: &str, error: CloudError) -> CloudError {
    let Ok(s3) = aws.s3().await else { return error };
    let block = aws
        .read("s3:GetBucketPublicAccessBlock", || s3.get_public_access_block().bucket(bucket).send())
        .await;
    let blocked = optional(block)
        .ok()
        .flatten()
        .and_then(|answer| answer.public_access_block_configuration)
        .and_then(|block| block.block_public_policy);
    if blocked == Some(true) {
        return error.hinting(
            "the bucket refuses public policies: narrow the policy's principals, or set \
             `PublicAccessBlockConfiguration.BlockPublicPolicy: false` on the bucket",
        );
    }
    error.hinting(
        "the caller needs s3:PutBucketPolicy; a public policy is also refused where the account as a whole blocks \
         public access",
    )
}

fn live(id: &CloudId, properties: &Map) -> Live {
    Live {
        id: id.clone(),
        properties: properties.clone(),
        attributes: Map::new(),
        etag: None,
        owner: None,
        condition: Condition::Ready,
    }
}
