//! Managed policies: AWS's own, of which a plausible list exists, and the account's.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::super::error::Error;
use super::super::policy::{Kind, check, size};
use super::super::query::{Call, Page, date};
use super::super::sigv4::encode;
use super::super::xml::Element;
use super::super::{ID_ALPHABET, is_account};
use super::role::Role;
use super::{
    ANY, NAME, PATH, TEXT, invalid_input, limit_exceeded, malformed, merge_tags, no_such_entity, policy_arn,
    shipped, tags_element, take_tags,
};
use crate::sandbox::{Record, World};

/// A managed policy may have so many characters, white space aside.
const QUOTA: usize = 6144;

/// A policy of an account, under its ARN. It has one version, `v1`.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Policy {
    id: String,
    arn: String,
    created: Timestamp,
    description: Option<String>,
    document: String,
    tags: Vec<(String, String)>,
}

impl Record for Policy {
    const TABLE: &'static str = "aws.iam.policy";
}

/// AWS's own policies, by what follows `arn:aws:iam::aws:policy/`.
const OF_AWS: &[&str] = &[
    "AdministratorAccess",
    "AdministratorAccess-Amplify",
    "AmazonAPIGatewayAdministrator",
    "AmazonAPIGatewayInvokeFullAccess",
    "AmazonAthenaFullAccess",
    "AmazonBedrockFullAccess",
    "AmazonBedrockReadOnly",
    "AmazonCognitoPowerUser",
    "AmazonCognitoReadOnly",
    "AmazonDynamoDBFullAccess",
    "AmazonDynamoDBReadOnlyAccess",
    "AmazonEC2ContainerRegistryFullAccess",
    "AmazonEC2ContainerRegistryPowerUser",
    "AmazonEC2ContainerRegistryReadOnly",
    "AmazonEC2FullAccess",
    "AmazonEC2ReadOnlyAccess",
    "AmazonECS_FullAccess",
    "AmazonEKSClusterPolicy",
    "AmazonEKSWorkerNodePolicy",
    "AmazonEKS_CNI_Policy",
    "AmazonEventBridgeFullAccess",
    "AmazonEventBridgeReadOnlyAccess",
    "AmazonKinesisFullAccess",
    "AmazonKinesisReadOnlyAccess",
    "AmazonRDSFullAccess",
    "AmazonRDSReadOnlyAccess",
    "AmazonRekognitionFullAccess",
    "AmazonRekognitionReadOnlyAccess",
    "AmazonRoute53FullAccess",
    "AmazonRoute53ReadOnlyAccess",
    "AmazonS3FullAccess",
    "AmazonS3ObjectLambdaExecutionRolePolicy",
    "AmazonS3OutpostsFullAccess",
    "AmazonS3ReadOnlyAccess",
    "AmazonSESFullAccess",
    "AmazonSESReadOnlyAccess",
    "AmazonSNSFullAccess",
    "AmazonSNSReadOnlyAccess",
    "AmazonSQSFullAccess",
    "AmazonSQSReadOnlyAccess",
    "AmazonSSMFullAccess",
    "AmazonSSMManagedInstanceCore",
    "AmazonSSMReadOnlyAccess",
    "AmazonVPCFullAccess",
    "AmazonVPCReadOnlyAccess",
    "AWSCertificateManagerFullAccess",
    "AWSCertificateManagerReadOnly",
    "AWSCloudFormationFullAccess",
    "AWSCloudFormationReadOnlyAccess",
    "AWSCloudTrail_FullAccess",
    "AWSCodeBuildAdminAccess",
    "AWSKeyManagementServicePowerUser",
    "AWSLambdaExecute",
    "AWSLambdaInvocation-DynamoDB",
    "AWSLambda_FullAccess",
    "AWSLambda_ReadOnlyAccess",
    "AWSStepFunctionsFullAccess",
    "AWSStepFunctionsReadOnlyAccess",
    "AWSXRayDaemonWriteAccess",
    "AWSXrayFullAccess",
    "AWSXrayReadOnlyAccess",
    "AWSXrayWriteOnlyAccess",
    "CloudFrontFullAccess",
    "CloudFrontReadOnlyAccess",
    "CloudWatchAgentServerPolicy",
    "CloudWatchFullAccess",
    "CloudWatchFullAccessV2",
    "CloudWatchLambdaInsightsExecutionRolePolicy",
    "CloudWatchLogsFullAccess",
    "CloudWatchLogsReadOnlyAccess",
    "CloudWatchReadOnlyAccess",
    "ComprehendFullAccess",
    "IAMFullAccess",
    "IAMReadOnlyAccess",
    "PowerUserAccess",
    "ReadOnlyAccess",
    "SecretsManagerReadWrite",
    "SecurityAudit",
    "TranslateFullAccess",
    "TranslateReadOnly",
    "job-function/Billing",
    "job-function/DatabaseAdministrator",
    "job-function/NetworkAdministrator",
    "job-function/SupportUser",
    "job-function/SystemAdministrator",
    "job-function/ViewOnlyAccess",
    "service-role/AWSAppSyncPushToCloudWatchLogs",
    "service-role/AWSCodeDeployRole",
    "service-role/AWSCodeDeployRoleForLambda",
    "service-role/AWSGlueServiceRole",
    "service-role/AWSLambdaBasicDurableExecutionRolePolicy",
    "service-role/AWSLambdaBasicExecutionRole",
    "service-role/AWSLambdaDynamoDBExecutionRole",
    "service-role/AWSLambdaENIManagementAccess",
    "service-role/AWSLambdaKinesisExecutionRole",
    "service-role/AWSLambdaMSKExecutionRole",
    "service-role/AWSLambdaRole",
    "service-role/AWSLambdaSQSQueueExecutionRole",
    "service-role/AWSLambdaVPCAccessExecutionRole",
    "service-role/AWS_ConfigRole",
    "service-role/AmazonAPIGatewayPushToCloudWatchLogs",
    "service-role/AmazonEC2RoleforSSM",
    "service-role/AmazonECSTaskExecutionRolePolicy",
    "service-role/AmazonEBSCSIDriverPolicy",
    "service-role/AmazonRDSEnhancedMonitoringRole",
    "service-role/AmazonSNSRole",
    "service-role/CloudWatch-CrossAccountAccess",
];

fn of_aws(arn: &str) -> bool {
    arn.strip_prefix("arn:aws:iam::aws:policy/").is_some_and(|name| OF_AWS.contains(&name))
}

/// The document of a policy; `None` of one that is not there, or is one of AWS's that is not known here.
pub(super) fn document(world: &World, arn: &str) -> Option<String> {
    match arn.strip_prefix("arn:aws:iam::aws:policy/") {
        Some(name) => shipped::document(name),
        None => world.get::<Policy>(arn).map(|policy| policy.document),
    }
}

/// Whether it is one of AWS's whose document is not known here.
pub(super) fn is_unplayed(arn: &str) -> bool {
    arn.strip_prefix("arn:aws:iam::aws:policy/").is_some_and(|name| shipped::document(name).is_none())
}

/// Whether the caller may attach a policy of that ARN.
pub(super) fn exists(call: &Call<'_>, arn: &str) -> bool {
    is_known(call.world, &call.caller.account, arn)
}

/// Whether an account may attach a policy of that ARN.
pub(super) fn is_known(world: &World, account: &str, arn: &str) -> bool {
    let own = arn.starts_with(&format!("arn:aws:iam::{account}:policy/"));
    of_aws(arn) || own && world.has::<Policy>(arn)
}

/// Refuses an ARN that is none, or that nobody has.
pub(super) fn must_exist(call: &Call<'_>, arn: &str) -> Result<(), Error> {
    must_be_arn(arn)?;
    if exists(call, arn) {
        return Ok(());
    }
    Err(no_such_entity(format!("Policy {arn} does not exist or is not attachable.")))
}

fn must_be_arn(arn: &str) -> Result<(), Error> {
    let owner = arn.strip_prefix("arn:aws:iam::").and_then(|rest| rest.split_once(":policy/"));
    match owner {
        Some((owner, name)) if (owner == "aws" || is_account(owner)) && !name.is_empty() => Ok(()),
        Some(_) | None => Err(invalid_input(format!("ARN {arn} is not valid."))),
    }
}

/// Path and name, out of an ARN.
pub(super) fn path_and_name(arn: &str) -> Option<(String, String)> {
    let (_, rest) = arn.split_once(":policy/")?;
    Some(match rest.rsplit_once('/') {
        Some((path, name)) => (format!("/{path}/"), name.to_owned()),
        None => ("/".to_owned(), rest.to_owned()),
    })
}

pub(super) fn create(call: &mut Call<'_>) -> Result<Vec<Element>, Error> {
    let form = &mut call.form;
    let name = form.need_text("PolicyName", 1..=128, NAME);
    let document = form.need_text("PolicyDocument", 1..=131_072, TEXT);
    let path = form.text("Path", 1..=512, PATH).unwrap_or_else(|| "/".to_owned());
    let description = form.text("Description", 0..=1000, ANY);
    let given = take_tags(form);
    form.finish()?;
    check(&document, Kind::Identity).map_err(malformed)?;
    if size(&document) > QUOTA {
        return Err(limit_exceeded(format!("Cannot exceed quota for PolicySize: {QUOTA}")));
    }
    let account = call.caller.account.clone();
    let prefix = format!("arn:aws:iam::{account}:policy/");
    let taken = call.world.list::<Policy>(&prefix).into_iter().any(|(arn, _)| {
        // Names are unique across paths.
        path_and_name(&arn).is_some_and(|(_, other)| other.eq_ignore_ascii_case(&name))
    });
    if taken {
        let message = format!("A policy called {name} already exists. Duplicate names are not allowed.");
        return Err(Error::new(409, "EntityAlreadyExists", message));
    }
    let mut tags = Vec::new();
    merge_tags(&mut tags, given)?;
    let arn = format!("arn:aws:iam::{account}:policy{path}{name}");
    let id = format!("ANPA{}", call.world.word(17, ID_ALPHABET));
    let policy = Policy { id, arn: arn.clone(), created: call.world.now(), description, document, tags };
    call.world.put(&arn, &policy);
    Ok(vec![Element { name: "Policy".to_owned(), ..element(call, &policy) }])
}

/// The policy of that ARN. AWS's own are as old as time here, and say what is known of them.
fn find(call: &Call<'_>, arn: &str) -> Result<Policy, Error> {
    must_be_arn(arn)?;
    if of_aws(arn) {
        return Ok(Policy {
            id: "ANPAAAAAAAAAAAAAAAAAA".to_owned(),
            arn: arn.to_owned(),
            created: Timestamp::UNIX_EPOCH,
            description: None,
            document: document(call.world, arn)
                .unwrap_or_else(|| r#"{"Version":"2012-10-17","Statement":[]}"#.to_owned()),
            tags: Vec::new(),
        });
    }
    let own = arn.starts_with(&format!("arn:aws:iam::{}:policy/", call.caller.account));
    call.world.get(arn).filter(|_| own).ok_or_else(|| no_such_entity(format!("Policy {arn} was not found.")))
}

pub(super) fn get(call: &mut Call<'_>) -> Result<Vec<Element>, Error> {
    let arn = policy_arn(&mut call.form, "PolicyArn");
    call.form.finish()?;
    let policy = find(call, &arn)?;
    Ok(vec![Element { name: "Policy".to_owned(), ..element(call, &policy) }])
}

pub(super) fn get_version(call: &mut Call<'_>) -> Result<Vec<Element>, Error> {
    let arn = policy_arn(&mut call.form, "PolicyArn");
    let version = call.form.need_text("VersionId", 1..=32, r"v[1-9][0-9]*(\.[A-Za-z0-9-]*)?");
    call.form.finish()?;
    let policy = find(call, &arn)?;
    if version != "v1" {
        return Err(no_such_entity(format!(
            "Policy {arn} version {version} does not exist or is not attachable."
        )));
    }
    let document = encode(policy.document.as_bytes(), false);
    Ok(vec![version_element("PolicyVersion", &policy).text("Document", document)])
}

pub(super) fn list_versions(call: &mut Call<'_>) -> Result<Vec<Element>, Error> {
    let arn = policy_arn(&mut call.form, "PolicyArn");
    let page = Page::take(&mut call.form);
    call.form.finish()?;
    let policy = find(call, &arn)?;
    Ok(page.cut("Versions", [("v1".to_owned(), version_element("member", &policy))]))
}

/// Lists the account's own; AWS's list would be a list of this file.
pub(super) fn list(call: &mut Call<'_>) -> Result<Vec<Element>, Error> {
    let scope = call.form.take("Scope").unwrap_or_else(|| "All".to_owned());
    if !matches!(scope.as_str(), "All" | "AWS" | "Local") {
        call.form.problem(
            &format!("'{scope}'"),
            "Scope",
            "Member must satisfy enum value set: [AWS, Local, All]",
        );
    }
    let prefix = call.form.take("PathPrefix").unwrap_or_else(|| "/".to_owned());
    let attached_only = call.form.take("OnlyAttached").is_some_and(|value| value == "true");
    let page = Page::take(&mut call.form);
    call.form.finish()?;
    let mut arns = Vec::new();
    if scope != "AWS" {
        let own = call.world.list::<Policy>(&format!("arn:aws:iam::{}:policy/", call.caller.account));
        arns.extend(own.into_iter().map(|(arn, _)| arn));
    }
    if scope != "Local" {
        arns.extend(OF_AWS.iter().map(|name| format!("arn:aws:iam::aws:policy/{name}")));
    }
    arns.sort();
    let mut found = Vec::new();
    for arn in arns {
        let fits = path_and_name(&arn).is_some_and(|(path, _)| path.starts_with(&prefix));
        if fits && (!attached_only || attachments(call, &arn) > 0) {
            let policy = find(call, &arn)?;
            found.push((arn, element(call, &policy)));
        }
    }
    Ok(page.cut("Policies", found))
}

pub(super) fn delete(call: &mut Call<'_>) -> Result<Vec<Element>, Error> {
    let arn = policy_arn(&mut call.form, "PolicyArn");
    call.form.finish()?;
    if of_aws(&arn) {
        return Err(Error::new(
            403,
            "AccessDenied",
            format!("Policy {arn} belongs to AWS and cannot be deleted."),
        ));
    }
    find(call, &arn)?;
    if attachments(call, &arn) > 0 {
        return Err(Error::new(409, "DeleteConflict", "Cannot delete a policy attached to entities."));
    }
    call.world.remove::<Policy>(&arn);
    Ok(Vec::new())
}

/// How many of the caller's roles have it attached, or as their boundary.
fn attachments(call: &Call<'_>, arn: &str) -> usize {
    let roles = call.world.list::<Role>(&format!("{}/", call.caller.account));
    roles
        .iter()
        .filter(|(_, role)| {
            role.attached.iter().any(|attached| attached == arn) || role.boundary.as_deref() == Some(arn)
        })
        .count()
}

fn element(call: &Call<'_>, policy: &Policy) -> Element {
    let (path, name) = path_and_name(&policy.arn).unwrap_or_default();
    let mut element = Element::new("member")
        .text("PolicyName", name)
        .text("PolicyId", &policy.id)
        .text("Arn", &policy.arn)
        .text("Path", path)
        .text("DefaultVersionId", "v1")
        .text("AttachmentCount", attachments(call, &policy.arn).to_string())
        .text("PermissionsBoundaryUsageCount", "0")
        .text("IsAttachable", "true")
        .maybe("Description", policy.description.as_ref())
        .with(date("CreateDate", policy.created))
        .with(date("UpdateDate", policy.created));
    if !policy.tags.is_empty() {
        element = element.with(tags_element(&policy.tags));
    }
    element
}

fn version_element(name: &str, policy: &Policy) -> Element {
    Element::new(name)
        .text("VersionId", "v1")
        .text("IsDefaultVersion", "true")
        .with(date("CreateDate", policy.created))
}
