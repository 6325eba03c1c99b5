//! `MCM::S3::BucketNotification`: that a bucket calls a function when something happens to its objects.
//!
//! S3 keeps all notifications of a bucket in one document without a version. This type is one entry of it: it is found
//! by its name, and everyone else's entries are written back as they were read. Within a run those cycles go one after
//! the other; against someone who writes in the very same moment S3 offers no guard, so that every write is read back.

use async_trait::async_trait;
use aws_sdk_s3::operation::get_bucket_notification_configuration::GetBucketNotificationConfigurationOutput;
use aws_sdk_s3::types::{
    Event, FilterRule, FilterRuleName, LambdaFunctionConfiguration, NotificationConfiguration,
    NotificationConfigurationFilter, S3KeyFilter,
};
use serde::{Deserialize, Serialize};
use std::time::Duration;

use super::super::Kind;
use super::document::{decode, encode};
use super::error::{Explain as _, optional, refusal};
use super::{Aws, bucket};
use crate::model::{
    CloudError, CloudId, Clouds, Condition, Create, Delete, Deletion, ErrorKind, Live, Map, Owner, Property,
    Read, Schema, Shape, TextRule, Update, Value,
};

/// The kind.
pub(super) struct Notification;

const TEXT: Shape = Shape::Text(TextRule::ANY);
/// Facts: "Supported event types for SQS, SNS, and Lambda".
const EVENT: Shape = Shape::Enum(&[
    "s3:IntelligentTiering",
    "s3:LifecycleExpiration:*",
    "s3:LifecycleExpiration:Delete",
    "s3:LifecycleExpiration:DeleteMarkerCreated",
    "s3:LifecycleTransition",
    "s3:ObjectCreated:*",
    "s3:ObjectCreated:CompleteMultipartUpload",
    "s3:ObjectCreated:Copy",
    "s3:ObjectCreated:Post",
    "s3:ObjectCreated:Put",
    "s3:ObjectRemoved:*",
    "s3:ObjectRemoved:Delete",
    "s3:ObjectRemoved:DeleteMarkerCreated",
    "s3:ObjectRestore:*",
    "s3:ObjectRestore:Completed",
    "s3:ObjectRestore:Delete",
    "s3:ObjectRestore:Post",
    "s3:ObjectTagging:*",
    "s3:ObjectTagging:Delete",
    "s3:ObjectTagging:Put",
    "s3:ReducedRedundancyLostObject",
    "s3:Replication:*",
    "s3:Replication:OperationFailedReplication",
    "s3:Replication:OperationMissedThreshold",
    "s3:Replication:OperationNotTracked",
    "s3:Replication:OperationReplicatedAfterThreshold",
]);

static SCHEMA: Schema = Schema {
    ty: "MCM::S3::BucketNotification",
    doc: "That an S3 bucket calls a Lambda function when something happens to its objects; others' stay as they are.",
    properties: &[
        Property::new("Bucket", Shape::Text(bucket::NAME), "The bucket's name.").required().immutable(),
        Property::new(
            "Id",
            Shape::Text(
                TextRule::matching("^[A-Za-z0-9._-]+$", "letters, digits, `.`, `_` and `-`").sized(1, 80),
            ),
            "Its name among the bucket's notifications.",
        )
        .required()
        .immutable(),
        Property::new("Function", TEXT, "The function's ARN.").required(),
        Property::new("Events", Shape::Set(&EVENT), "Which, such as `s3:ObjectCreated:*`.").required(),
        Property::new("Prefix", Shape::Text(TextRule::up_to(1024)), "Only of objects whose keys begin so."),
        Property::new("Suffix", Shape::Text(TextRule::up_to(1024)), "Only of objects whose keys end so."),
    ],
    attributes: &[],
    name: None,
    identify,
    predict: |_, _| Map::new(),
    check: |properties, _| {
        properties.get("Bucket").and_then(Value::as_text).map(bucket::check_name).unwrap_or_default()
    },
    marked: true,
    shared: false,
    compares: false,
    deletion: Deletion::Recreatable { loses: "" },
};

/// `s3://BUCKET?notification=ID`
fn identify(properties: &Map, _: &Clouds) -> Option<CloudId> {
    let text = |name: &str| properties.get(name)?.as_text();
    Some(CloudId(format!("s3://{}?notification={}", text("Bucket")?, text("Id")?)))
}

/// Bucket and name of an identity.
fn place(id: &CloudId) -> Result<(&str, &str), CloudError> {
    let place = id.0.strip_prefix("s3://").and_then(|rest| rest.split_once("?notification="));
    place.ok_or_else(|| {
        let message = format!("`{id}` is no notification: expected `s3://BUCKET?notification=ID`");
        refusal(READ, ErrorKind::Invalid, message)
    })
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Properties {
    bucket: String,
    id: String,
    function: String,
    events: Vec<String>,
    prefix: Option<String>,
    suffix: Option<String>,
}

const READ: &str = "s3:GetBucketNotification";
const WRITE: &str = "s3:PutBucketNotification";

/// S3 asks Lambda whether it may call the function; a permission made moments ago may not be known everywhere.
const PERMISSION_SETTLES: Duration = Duration::from_mins(1);

#[async_trait]
impl Kind<Aws> for Notification {
    fn schema(&self) -> &'static Schema {
        &SCHEMA
    }

    async fn read(&self, aws: &Aws, request: Read<'_>) -> Result<Option<Live>, CloudError> {
        let (bucket, name) = place(request.id)?;
        let Some(all) = optional(get(aws, bucket).await)? else { return Ok(None) };
        Ok(all
            .lambda_function_configurations()
            .iter()
            .find(|one| is(one, name))
            .map(|one| seen(request.id, one)))
    }

    async fn create(&self, aws: &Aws, request: Create<'_>) -> Result<Live, CloudError> {
        write(aws, request.id, request.properties, request.owner, true).await
    }

    async fn update(&self, aws: &Aws, request: Update<'_>) -> Result<Live, CloudError> {
        write(aws, request.id, request.properties, request.owner, false).await
    }

    async fn delete(&self, aws: &Aws, request: Delete<'_>) -> Result<(), CloudError> {
        let (bucket, name) = place(request.id)?;
        let _turn = aws.notifications.lock().await;
        let Some(all) = optional(get(aws, bucket).await)? else { return Ok(()) };
        if !all.lambda_function_configurations().iter().any(|one| is(one, name)) {
            return Ok(());
        }
        put(aws, bucket, merged(all, name, None)).await
    }
}

async fn get(aws: &Aws, bucket: &str) -> Result<GetBucketNotificationConfigurationOutput, CloudError> {
    let s3 = aws.s3().await?;
    aws.read(READ, || s3.get_bucket_notification_configuration().bucket(bucket).send()).await
}

async fn put(aws: &Aws, bucket: &str, all: NotificationConfiguration) -> Result<(), CloudError> {
    let s3 = aws.s3().await?;
    let send = || {
        s3.put_bucket_notification_configuration()
            .bucket(bucket)
            .notification_configuration(all.clone())
            .send()
    };
    let answer = aws.put(WRITE, send).await;
    answer.map(drop).map_err(|error| {
        if error.message.contains("Unable to validate the following destination") {
            let error = CloudError { kind: ErrorKind::Settling { window: PERMISSION_SETTLES }, ..error };
            return error.hinting("S3 may not call the function: it needs an AWS::Lambda::Permission for this bucket");
        }
        if error.message.contains("overlapping") || error.message.contains("ambiguously") {
            return error.hinting(
                "another notification of this bucket is called for the same objects: tell them apart by `prefix` and \
                 `suffix`",
            );
        }
        error
    })
}

/// The name of an entry, and the mark behind it: `demo-resize-1/demo/functions.resize.event-1/5f0c…`.
fn split(id: Option<&str>) -> (&str, Option<Owner>) {
    let id = id.unwrap_or_default();
    match id.split_once('/') {
        Some((name, mark)) => (name, Owner::parse(mark)),
        None => (id, None),
    }
}

fn is(one: &LambdaFunctionConfiguration, name: &str) -> bool {
    split(one.id()).0 == name
}

fn seen(id: &CloudId, one: &LambdaFunctionConfiguration) -> Live {
    let (name, owner) = split(one.id());
    let rules =
        one.filter().and_then(|filter| filter.key()).map(S3KeyFilter::filter_rules).unwrap_or_default();
    // S3 answers the names as they were written, or capitalised.
    let rule = |wanted: &str| {
        let named =
            |rule: &&FilterRule| rule.name().is_some_and(|name| name.as_str().eq_ignore_ascii_case(wanted));
        rules
            .iter()
            .find(named)
            .and_then(FilterRule::value)
            .filter(|text| !text.is_empty())
            .map(str::to_owned)
    };
    let properties = Properties {
        bucket: place(id).map(|(bucket, _)| bucket.to_owned()).unwrap_or_default(),
        id: name.to_owned(),
        function: one.lambda_function_arn().to_owned(),
        events: one.events().iter().map(|event| event.as_str().to_owned()).collect(),
        prefix: rule("prefix"),
        suffix: rule("suffix"),
    };
    Live {
        id: id.clone(),
        properties: encode(&properties),
        attributes: Map::new(),
        etag: None,
        owner,
        condition: Condition::Ready,
    }
}

/// Reads, puts in, writes, and reads back.
async fn write(
    aws: &Aws,
    id: &CloudId,
    properties: &Map,
    owner: &Owner,
    must_be_free: bool,
) -> Result<Live, CloudError> {
    let desired: Properties = decode(WRITE, properties)?;
    let _turn = aws.notifications.lock().await;
    let all = get(aws, &desired.bucket).await?;
    if must_be_free
        && let Some(other) = all.lambda_function_configurations().iter().find(|one| is(one, &desired.id))
        && split(other.id()).1.as_ref() != Some(owner)
    {
        let message = format!("the bucket {} has a notification `{}` already", desired.bucket, desired.id);
        return Err(refusal(WRITE, ErrorKind::AlreadyExists, message)
            .hinting("take it over with `adopt: true`, or remove it"));
    }
    put(aws, &desired.bucket, merged(all, &desired.id, Some(entry(&desired, owner)?))).await?;
    let all = get(aws, &desired.bucket).await?;
    let found = all.lambda_function_configurations().iter().find(|one| is(one, &desired.id));
    found.map(|one| seen(id, one)).ok_or_else(|| {
        let message = format!("the notification `{}` was written and is not there", desired.id);
        refusal(WRITE, ErrorKind::Unknown, message)
            .hinting("someone else has written the bucket's notifications in the same moment: try again")
    })
}

fn entry(desired: &Properties, owner: &Owner) -> Result<LambdaFunctionConfiguration, CloudError> {
    let rule = |name: FilterRuleName, value: &Option<String>| {
        value.as_ref().map(|value| FilterRule::builder().name(name).value(value).build())
    };
    let rules: Vec<FilterRule> =
        [rule(FilterRuleName::Prefix, &desired.prefix), rule(FilterRuleName::Suffix, &desired.suffix)]
            .into_iter()
            .flatten()
            .collect();
    let filter = (!rules.is_empty()).then(|| {
        let key = S3KeyFilter::builder().set_filter_rules(Some(rules)).build();
        NotificationConfigurationFilter::builder().key(key).build()
    });
    LambdaFunctionConfiguration::builder()
        .id(format!("{}/{}", desired.id, owner.to_text()))
        .lambda_function_arn(&desired.function)
        .set_events(Some(desired.events.iter().map(|event| Event::from(event.as_str())).collect()))
        .set_filter(filter)
        .build()
        .map_err(|error| refusal(WRITE, ErrorKind::Invalid, error.to_string()))
}

/// Everything that was there, with our own entry replaced or taken out.
fn merged(
    all: GetBucketNotificationConfigurationOutput,
    name: &str,
    own: Option<LambdaFunctionConfiguration>,
) -> NotificationConfiguration {
    let others =
        all.lambda_function_configurations.unwrap_or_default().into_iter().filter(|one| !is(one, name));
    NotificationConfiguration::builder()
        .set_lambda_function_configurations(Some(others.chain(own).collect()))
        .set_topic_configurations(all.topic_configurations)
        .set_queue_configurations(all.queue_configurations)
        .set_event_bridge_configuration(all.event_bridge_configuration)
        .build()
}
