//! What a role is, as data. Facts: the cloud facts, 2.2; spelling and limits:
//! <https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-iam-role.html>.

use super::super::{place, policy, tags};
use crate::model::{
    Attribute, CloudId, Clouds, Deletion, Map, NameRule, Property, Schema, Shape, TextRule, Value,
};

pub(in super::super) static SCHEMA: Schema = Schema {
    ty: "AWS::IAM::Role",
    doc: "An identity that AWS services and trusted principals can assume.",
    properties: PROPERTIES,
    attributes: &[
        Attribute::new("Arn", "The role's ARN."),
        Attribute::new("RoleId", "The unique id of this very role, `AROA…`; new with each creation."),
    ],
    name: Some(NameRule { property: "RoleName", default: |stack, logical, _| format!("{stack}-{logical}") }),
    identify: |properties, _| Some(CloudId(properties.get("RoleName")?.as_text()?.to_owned())),
    predict,
    check,
    marked: true,
    shared: false,
    compares: false,
    deletion: Deletion::Recreatable {
        loses: "its unique id (RoleId): trust policies that name the role must be written again",
    },
};

/// How long a session lasts where nothing is said.
pub(super) const SESSION_SECONDS: i32 = 3600;

static PROPERTIES: &[Property] = &[
    Property::new("RoleName", Shape::Text(NAME), "Unique in the account, whatever the case.")
        .required()
        .immutable(),
    Property::new("Path", Shape::Text(PATH), "A folder of the account's IAM names, such as `/service/`.")
        .default(|| "/".into())
        .immutable(),
    Property::new("AssumeRolePolicyDocument", Shape::Document, "Who may assume the role: its trust policy.")
        .required()
        .normalised(policy::normalise),
    Property::new("Description", Shape::Text(DESCRIPTION), "What the role is for."),
    Property::new(
        "MaxSessionDuration",
        Shape::Integer { min: 3600, max: 43_200 },
        "The longest session in seconds, one hour to twelve.",
    )
    .default(|| i64::from(SESSION_SECONDS).into()),
    Property::new(
        "ManagedPolicyArns",
        Shape::Set(&Shape::Text(POLICY_ARN)),
        "Managed policies attached to it.",
    ),
    Property::new("Policies", Shape::Keyed { by: "PolicyName", of: INLINE }, "Policies that are part of it."),
    Property::new(
        "PermissionsBoundary",
        Shape::Text(POLICY_ARN),
        "The policy that bounds what it may ever do.",
    ),
    Property::new("Tags", tags::SHAPE, "Tags of the role."),
];

static INLINE: &[Property] = &[
    Property::new("PolicyName", Shape::Text(POLICY_NAME), "Unique in the role.").required(),
    Property::new("PolicyDocument", Shape::Document, "What it allows and denies.")
        .required()
        .normalised(policy::normalise),
];

const NAME: TextRule =
    TextRule::matching(r"^[\w+=,.@-]+$", "letters, digits and `_ + = , . @ -`").sized(1, 64);
const PATH: TextRule =
    TextRule::matching(r"^/([\x21-\x7e]+/)?$", "`/`, or a folder that begins and ends with `/`")
        .sized(1, 512);
const DESCRIPTION: TextRule =
    TextRule::matching(r"^[\t\n\r\x20-\x7e\u{a1}-\u{ff}]*$", "Latin letters and signs").sized(0, 1000);
const POLICY_NAME: TextRule =
    TextRule::matching(r"^[\w+=,.@-]+$", "letters, digits and `_ + = , . @ -`").sized(1, 128);
const POLICY_ARN: TextRule = TextRule::matching(
    r"^arn:aws[a-z-]*:iam::([0-9]{12}|aws):policy/[\w+=,.@/-]+$",
    "a managed policy's ARN, `arn:aws:iam::aws:policy/…`",
)
.sized(20, 2048);

/// The length of a trust policy that no raised quota exceeds; 2048 without one.
const TRUST_LIMIT: usize = 4096;
/// The length of all inline policies of a role together, white space not counted.
const INLINE_LIMIT: usize = 10_240;

fn predict(properties: &Map, clouds: &Clouds) -> Map {
    let arn = || {
        let name = properties.get("RoleName")?.as_text()?;
        let path = properties.get("Path").map_or(Some("/"), Value::as_text)?;
        let aws = place::aws(clouds)?;
        Some(format!("arn:{}:iam::{}:role{path}{name}", aws.partition(), aws.account))
    };
    arn().map(|arn| ("Arn".to_owned(), arn.into())).into_iter().collect()
}

fn check(properties: &Map, _: &Clouds) -> Vec<String> {
    let mut wrong = tags::check(properties.get("Tags"));
    if let Some(trust) = properties.get("AssumeRolePolicyDocument") {
        wrong.extend(policy::check("AssumeRolePolicyDocument", trust, policy::Use::Trust));
        let length = policy::print(trust).len();
        if trust.is_known() && length > TRUST_LIMIT {
            wrong
                .push(format!("`AssumeRolePolicyDocument` has {length} characters; AWS takes {TRUST_LIMIT}"));
        }
    }
    let mut total = 0;
    for inline in properties.get("Policies").and_then(Value::as_list).unwrap_or_default() {
        let Some(document) = inline.at(&["PolicyDocument"]) else { continue };
        let name = inline.at(&["PolicyName"]).and_then(Value::as_text).unwrap_or("?");
        wrong.extend(policy::check(
            &format!("Policies[{name}].PolicyDocument"),
            document,
            policy::Use::Identity,
        ));
        total += if document.is_known() { policy::print(document).len() } else { 0 };
    }
    if total > INLINE_LIMIT {
        wrong.push(format!("`Policies` have {total} characters together; AWS takes {INLINE_LIMIT}"));
    }
    wrong
}
