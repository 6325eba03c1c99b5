//! What a bucket is, as data. Facts: the cloud facts, 2.5; spelling and limits:
//! <https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-s3-bucket.html>.

use super::super::{place, tags};
use super::check::check;
use super::lifecycle::MINIMUM_SIZE;
use crate::model::{
    Attribute, AwsPlace, CloudId, Clouds, Deletion, Map, NameRule, Property, Schema, Shape, TextRule, Value,
};

pub(in super::super) static SCHEMA: Schema = Schema {
    ty: "AWS::S3::Bucket",
    doc: "A bucket of objects in S3.",
    properties: PROPERTIES,
    attributes: &[
        Attribute::new("Arn", "The bucket's ARN."),
        Attribute::new("DomainName", "The bucket's host name, for any region."),
        Attribute::new("RegionalDomainName", "The bucket's host name in its region."),
        Attribute::new("WebsiteURL", "Where it is served as a website, if it is one."),
    ],
    name: Some(NameRule { property: "BucketName", default: name }),
    identify: |properties, _| Some(CloudId(properties.get("BucketName")?.as_text()?.to_owned())),
    predict,
    check,
    marked: true,
    shared: false,
    compares: false,
    deletion: Deletion::Recreatable {
        loses: "its name, until it is made again: any account may take it (only an empty bucket is ever deleted)",
    },
};

/// The rule of bucket names that a pattern can say; `check` knows the rest.
pub(in super::super) const NAME: TextRule = TextRule::matching(
    r"^[a-z0-9][a-z0-9.-]*[a-z0-9]$",
    "lower-case letters, digits, `.` and `-`, beginning and ending with a letter or digit",
)
.sized(3, 63);

static PROPERTIES: &[Property] = &[
    Property::new("BucketName", Shape::Text(NAME), "Unique among all buckets of all accounts.")
        .required()
        .immutable(),
    Property::new("Tags", tags::SHAPE, "Tags of the bucket."),
    Property::new(
        "VersioningConfiguration",
        Shape::Object(VERSIONING),
        "Whether overwritten and deleted objects are kept. Once on it can only be suspended.",
    )
    .default(|| object([("Status", "Suspended".into())])),
    Property::new("BucketEncryption", Shape::Object(ENCRYPTION), "How new objects are encrypted.")
        .default(encrypted),
    Property::new(
        "PublicAccessBlockConfiguration",
        Shape::Object(PUBLIC_ACCESS),
        "What keeps the bucket from being public. Left out, all four switches are on.",
    )
    .default(|| object(PUBLIC_ACCESS.iter().map(|switch| (switch.name, true.into())))),
    Property::new("OwnershipControls", Shape::Object(OWNERSHIP), "Who owns what others put in.").default(
        || {
            let rule = object([("ObjectOwnership", "BucketOwnerEnforced".into())]);
            object([("Rules", Value::List(vec![rule]))])
        },
    ),
    Property::new("CorsConfiguration", Shape::Object(CORS), "Which other sites' pages may use it."),
    Property::new("WebsiteConfiguration", Shape::Object(WEBSITE), "How it is served as a website."),
    Property::new("LifecycleConfiguration", Shape::Object(LIFECYCLE), "When objects move, expire and go."),
];

static VERSIONING: &[Property] =
    &[Property::new("Status", Shape::Enum(&["Enabled", "Suspended"]), "Whether versions are kept.")
        .required()];

static ENCRYPTION: &[Property] = &[Property::new(
    "ServerSideEncryptionConfiguration",
    Shape::List(&Shape::Object(ENCRYPTION_RULE)),
    "One rule.",
)
.required()];

static ENCRYPTION_RULE: &[Property] = &[
    Property::new("ServerSideEncryptionByDefault", Shape::Object(ENCRYPTION_DEFAULT), "The default."),
    Property::new("BucketKeyEnabled", Shape::Bool, "Fewer, cheaper calls to KMS.").default(|| false.into()),
    Property::new("BlockedEncryptionTypes", Shape::Object(BLOCKED), "What uploads may not ask for.")
        .unmanaged(),
];

static ENCRYPTION_DEFAULT: &[Property] = &[
    Property::new("SSEAlgorithm", Shape::Enum(&["AES256", "aws:kms", "aws:kms:dsse"]), "The algorithm.")
        .required(),
    Property::new("KMSMasterKeyID", Shape::Text(TextRule::up_to(2048)), "The KMS key's ARN, id or alias."),
];

static BLOCKED: &[Property] = &[Property::new(
    "EncryptionType",
    Shape::Set(&Shape::Enum(&["SSE-C", "NONE"])),
    "`SSE-C`, as AWS sets it since 2026, or `NONE`.",
)
.required()];

static PUBLIC_ACCESS: &[Property] = &[
    Property::new("BlockPublicAcls", Shape::Bool, "Refuse public ACLs.").default(|| false.into()),
    Property::new("BlockPublicPolicy", Shape::Bool, "Refuse public bucket policies.")
        .default(|| false.into()),
    Property::new("IgnorePublicAcls", Shape::Bool, "Ignore public ACLs.").default(|| false.into()),
    Property::new("RestrictPublicBuckets", Shape::Bool, "Shut a public bucket for strangers.")
        .default(|| false.into()),
];

static OWNERSHIP: &[Property] =
    &[Property::new("Rules", Shape::List(&Shape::Object(OWNERSHIP_RULE)), "One rule.").required()];

static OWNERSHIP_RULE: &[Property] = &[Property::new(
    "ObjectOwnership",
    Shape::Enum(&["BucketOwnerEnforced", "BucketOwnerPreferred", "ObjectWriter"]),
    "`BucketOwnerEnforced` turns ACLs off.",
)
.required()];

static CORS: &[Property] =
    &[Property::new("CorsRules", Shape::List(&Shape::Object(CORS_RULE)), "Up to 100 rules.").required()];

const WORD: Shape = Shape::Text(TextRule::up_to(1024));

static CORS_RULE: &[Property] = &[
    Property::new("Id", Shape::Text(TextRule::up_to(255)), "The rule's name.").unmanaged(),
    Property::new("AllowedHeaders", Shape::Set(&WORD), "Request headers; at most one `*` in each."),
    Property::new(
        "AllowedMethods",
        Shape::Set(&Shape::Enum(&["GET", "PUT", "HEAD", "POST", "DELETE"])),
        "HTTP methods.",
    )
    .required(),
    Property::new("AllowedOrigins", Shape::Set(&WORD), "Sites; at most one `*` in each.").required(),
    Property::new("ExposedHeaders", Shape::Set(&WORD), "Response headers that scripts may read."),
    Property::new("MaxAge", Shape::Integer { min: 0, max: 2_147_483_647 }, "Seconds to remember the answer."),
];

static WEBSITE: &[Property] = &[
    Property::new("IndexDocument", WORD, "The object that stands for a folder, such as `index.html`."),
    Property::new("ErrorDocument", WORD, "The object that is shown for an error."),
    Property::new("RedirectAllRequestsTo", Shape::Object(REDIRECT_ALL), "Send everyone elsewhere."),
    Property::new(
        "RoutingRules",
        Shape::List(&Shape::Object(ROUTING_RULE)),
        "Up to 50, the first match counts.",
    ),
];

const PROTOCOL: Shape = Shape::Enum(&["http", "https"]);

static REDIRECT_ALL: &[Property] = &[
    Property::new("HostName", WORD, "Where to.").required(),
    Property::new("Protocol", PROTOCOL, "Left out, as the request came."),
];

static ROUTING_RULE: &[Property] = &[
    Property::new("RoutingRuleCondition", Shape::Object(ROUTING_CONDITION), "When."),
    Property::new("RedirectRule", Shape::Object(REDIRECT_RULE), "Where to.").required(),
];

static ROUTING_CONDITION: &[Property] = &[
    Property::new("HttpErrorCodeReturnedEquals", WORD, "An HTTP status, such as \"404\"."),
    Property::new("KeyPrefixEquals", WORD, "The beginning of an object's key."),
];

static REDIRECT_RULE: &[Property] = &[
    Property::new("HostName", WORD, "Another host."),
    Property::new("HttpRedirectCode", WORD, "An HTTP status, such as \"301\"."),
    Property::new("Protocol", PROTOCOL, "Another protocol."),
    Property::new("ReplaceKeyPrefixWith", WORD, "Instead of the beginning that matched."),
    Property::new("ReplaceKeyWith", WORD, "Instead of the whole key."),
];

static LIFECYCLE: &[Property] = &[
    Property::new("Rules", Shape::List(&Shape::Object(LIFECYCLE_RULE)), "Up to 1000 rules.").required(),
    Property::new(
        "TransitionDefaultMinimumObjectSize",
        Shape::Enum(&["all_storage_classes_128K", "varies_by_storage_class"]),
        "Which objects are too small to move.",
    )
    .default(|| MINIMUM_SIZE.into()),
];

const DAYS: Shape = Shape::Integer { min: 1, max: 2_147_483_647 };
const DAYS_OR_NONE: Shape = Shape::Integer { min: 0, max: 2_147_483_647 };
const VERSIONS: Shape = Shape::Integer { min: 1, max: 100 };
const SIZE: Shape = Shape::Text(
    TextRule::matching(r"^[1-9][0-9]*$", "a number of bytes in quotes, as CloudFormation has it")
        .sized(1, 20),
);
const MIDNIGHT: Shape = Shape::Text(TextRule::matching(
    r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T00:00:00(\.000)?Z$",
    "midnight UTC in ISO 8601, \"2030-01-01T00:00:00Z\"",
));
const CLASS: Shape = Shape::Enum(&[
    "STANDARD_IA",
    "ONEZONE_IA",
    "INTELLIGENT_TIERING",
    "GLACIER_IR",
    "GLACIER",
    "DEEP_ARCHIVE",
]);

static LIFECYCLE_RULE: &[Property] = &[
    Property::new("Id", Shape::Text(TextRule::up_to(255)), "The rule's name.").unmanaged(),
    Property::new("Status", Shape::Enum(&["Enabled", "Disabled"]), "Whether it is in force.").required(),
    Property::new("Prefix", WORD, "Only objects whose keys begin so.").default(|| "".into()),
    Property::new("TagFilters", tags::FILTERS, "Only objects with all these tags."),
    Property::new("ObjectSizeGreaterThan", SIZE, "Only objects of more bytes."),
    Property::new("ObjectSizeLessThan", SIZE, "Only objects of fewer bytes."),
    Property::new("ExpirationInDays", DAYS, "Days after which an object expires."),
    Property::new("ExpirationDate", MIDNIGHT, "When objects expire.").normalised(seconds),
    Property::new("ExpiredObjectDeleteMarker", Shape::Bool, "Whether lone delete markers go.")
        .default(|| false.into()),
    Property::new(
        "NoncurrentVersionExpiration",
        Shape::Object(NONCURRENT_EXPIRATION),
        "When old versions go.",
    ),
    Property::new(
        "NoncurrentVersionTransitions",
        Shape::List(&Shape::Object(NONCURRENT_TRANSITION)),
        "When old versions move.",
    ),
    Property::new("Transitions", Shape::List(&Shape::Object(TRANSITION)), "When objects move."),
    Property::new("AbortIncompleteMultipartUpload", Shape::Object(ABORT), "When unfinished uploads go."),
];

static NONCURRENT_EXPIRATION: &[Property] = &[
    Property::new("NoncurrentDays", DAYS, "Days after a version was replaced.").required(),
    Property::new("NewerNoncurrentVersions", VERSIONS, "How many old versions stay."),
];

static NONCURRENT_TRANSITION: &[Property] = &[
    Property::new("StorageClass", CLASS, "Where to.").required(),
    Property::new("TransitionInDays", DAYS_OR_NONE, "Days after a version was replaced.").required(),
    Property::new("NewerNoncurrentVersions", VERSIONS, "How many old versions stay."),
];

static TRANSITION: &[Property] = &[
    Property::new("StorageClass", CLASS, "Where to.").required(),
    Property::new("TransitionInDays", DAYS_OR_NONE, "Days after an object was made."),
    Property::new("TransitionDate", MIDNIGHT, "When.").normalised(seconds),
];

static ABORT: &[Property] =
    &[Property::new("DaysAfterInitiation", DAYS, "Days after an upload was begun.").required()];

/// A time without its empty fraction, as S3's answer is read.
fn seconds(time: Value) -> Value {
    match time {
        Value::Text(text) => Value::Text(text.replace(".000Z", "Z")),
        other => other,
    }
}

/// How a new bucket is encrypted.
pub(super) fn encrypted() -> Value {
    let rule = object([
        ("ServerSideEncryptionByDefault", object([("SSEAlgorithm", "AES256".into())])),
        ("BucketKeyEnabled", false.into()),
    ]);
    object([("ServerSideEncryptionConfiguration", Value::List(vec![rule]))])
}

fn object<'a>(properties: impl IntoIterator<Item = (&'a str, Value)>) -> Value {
    Value::Map(properties.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

/// Bucket names are shared by all accounts, so the account's number is part of the default.
fn name(stack: &str, logical: &str, clouds: &Clouds) -> String {
    let account = place::aws(clouds).map_or("", |aws| &aws.account);
    format!("{stack}-{logical}-{account}")
}

fn predict(properties: &Map, clouds: &Clouds) -> Map {
    let known = properties.get("BucketName").and_then(Value::as_text).zip(place::aws(clouds));
    known.map(|(name, aws)| attributes(name, &aws.region)).unwrap_or_default()
}

/// Everything that follows from a bucket's name and region.
pub(super) fn attributes(name: &str, region: &str) -> Map {
    let domain = place::domain(region);
    Map::from([
        ("Arn".to_owned(), format!("arn:{}:s3:::{name}", AwsPlace::partition_of(region)).into()),
        ("DomainName".to_owned(), format!("{name}.s3.{domain}").into()),
        ("RegionalDomainName".to_owned(), format!("{name}.s3.{region}.{domain}").into()),
        ("WebsiteURL".to_owned(), place::website(name, region).into()),
    ])
}
