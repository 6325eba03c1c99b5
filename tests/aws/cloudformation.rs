//! Stacks by AWS's own client: made, changed by change sets, rolled back, and deleted.

use std::time::Duration;

use aws_sdk_cloudformation::Client;
use aws_sdk_cloudformation::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_cloudformation::error::ProvideErrorMetadata;
use aws_sdk_cloudformation::types::{ChangeSetType, Parameter, Stack, StackEvent};
use mcm::sandbox::{Accounts, Options, Session};
use tempfile::TempDir;

use crate::support;

const ACCOUNT: &str = "123456789012";
const TEMPLATE: &str = r#"
AWSTemplateFormatVersion: "2010-09-09"
Description: a function
Parameters:
  Key: { Type: String, AllowedPattern: "[a-z0-9.]+" }
  Role: { Type: String, Default: "arn:aws:iam::123456789012:role/runner" }
  Secret: { Type: String, NoEcho: true, Default: hush-hush }
  Memory: { Type: Number, Default: 128, MinValue: 128 }
  Extra: { Type: String, Default: "no", AllowedValues: ["yes", "no"] }
Conditions:
  HasExtra: !Equals [!Ref Extra, "yes"]
Resources:
  Group:
    Type: AWS::Logs::LogGroup
    Properties: { LogGroupName: !Sub "/aws/lambda/${AWS::StackName}-f", RetentionInDays: 14 }
  Function:
    Type: AWS::Lambda::Function
    DependsOn: Group
    Properties:
      FunctionName: !Sub "${AWS::StackName}-f"
      Runtime: provided.al2023
      Handler: bootstrap
      Architectures: [arm64]
      MemorySize: !Ref Memory
      Role: !Ref Role
      Code: { S3Bucket: code, S3Key: !Ref Key }
      Environment: { Variables: { SECRET: !Ref Secret } }
  Permission:
    Type: AWS::Lambda::Permission
    Properties:
      Action: lambda:InvokeFunction
      FunctionName: !GetAtt Function.Arn
      Principal: s3.amazonaws.com
      SourceAccount: !Ref AWS::AccountId
      SourceArn: !Join ["", ["arn:aws:s3:::", "uploads"]]
  More:
    Condition: HasExtra
    Type: AWS::Logs::LogGroup
    Properties: { LogGroupName: more }
Outputs:
  Arn: { Value: !GetAtt Function.Arn, Export: { Name: !Sub "${AWS::StackName}-arn" } }
"#;

/// A sandbox with a role, a bucket and two zips.
pub(super) struct Aws {
    session: Session,
    pub(super) cloud: Client,
    s3: aws_sdk_s3::Client,
    pub(super) iam: aws_sdk_iam::Client,
    _folder: TempDir,
}

macro_rules! client {
    ($crate_name:ident, $session:expr) => {{
        let (id, secret) = $session.credentials.aws_keys(ACCOUNT);
        $crate_name::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("eu-west-1"))
            .endpoint_url(&$session.endpoints.aws)
            .credentials_provider(Credentials::from_keys(id, secret, None))
            .http_client(aws_smithy_http_client::Builder::new().build_http())
            .retry_config($crate_name::config::retry::RetryConfig::disabled())
    }};
}

impl Aws {
    pub(super) async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let accounts = Accounts { aws: [ACCOUNT.to_owned()].into(), ..Accounts::default() };
        let data = folder.path().to_owned();
        let options = Options { data, port: None, latency: Duration::ZERO, accounts };
        let session = Session::open(options).await.unwrap();
        let cloud = Client::from_conf(client!(aws_sdk_cloudformation, &session).build());
        let s3 = client!(aws_sdk_s3, &session).force_path_style(true).build();
        let s3 = aws_sdk_s3::Client::from_conf(s3);
        let iam = client!(aws_sdk_iam, &session).region(Region::new("us-east-1")).build();
        let iam = aws_sdk_iam::Client::from_conf(iam);
        let trust = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"sts:AssumeRole","Principal":{"Service":"lambda.amazonaws.com"}}}"#;
        iam.create_role().role_name("runner").assume_role_policy_document(trust).send().await.unwrap();
        let other = trust.replace("lambda", "ec2");
        iam.create_role().role_name("stranger").assume_role_policy_document(other).send().await.unwrap();
        let place = aws_sdk_s3::types::CreateBucketConfiguration::builder()
            .location_constraint("eu-west-1".into())
            .build();
        s3.create_bucket().bucket("code").create_bucket_configuration(place).send().await.unwrap();
        for key in ["one.zip", "two.zip"] {
            let body = support::zip(key.as_bytes());
            s3.put_object().bucket("code").key(key).body(body.into()).send().await.unwrap();
        }
        Self { session, cloud, s3, iam, _folder: folder }
    }

    pub(super) async fn stack(&self, name: &str) -> Stack {
        let told = self.cloud.describe_stacks().stack_name(name).send().await.unwrap();
        told.stacks()[0].clone()
    }

    /// Looks until the stack rests; every status seen on the way.
    pub(super) async fn rest(&self, name: &str) -> Vec<String> {
        let mut seen: Vec<String> = Vec::new();
        for _ in 0..200 {
            let status = self.stack(name).await.stack_status().unwrap().as_str().to_owned();
            let done = !status.ends_with("_IN_PROGRESS");
            if seen.last() != Some(&status) {
                seen.push(status);
            }
            if done {
                return seen;
            }
        }
        panic!("{name} does not rest: {seen:?}");
    }

    /// Every event, the oldest first: name, status, and reason.
    pub(super) async fn events(&self, name: &str) -> Vec<String> {
        let told = self.cloud.describe_stack_events().stack_name(name).send().await.unwrap();
        let tell = |event: &StackEvent| {
            let reason =
                event.resource_status_reason().map(|reason| format!(": {reason}")).unwrap_or_default();
            let (id, status) =
                (event.logical_resource_id().unwrap(), event.resource_status().unwrap().as_str());
            format!("{id} {status}{reason}")
        };
        told.stack_events().iter().rev().map(tell).collect()
    }

    async fn create(&self, name: &str, parameters: &[(&str, &str)]) -> String {
        let call = self.cloud.create_stack().stack_name(name).template_body(TEMPLATE);
        let call = call.set_parameters(Some(given(parameters)));
        call.send().await.unwrap().stack_id().unwrap().to_owned()
    }

    async fn update(&self, name: &str, parameters: &[(&str, &str)]) -> Result<(), String> {
        let call = self.cloud.update_stack().stack_name(name).use_previous_template(true);
        match call.set_parameters(Some(given(parameters))).send().await {
            Ok(_) => Ok(()),
            Err(error) => Err(error.message().unwrap_or_default().to_owned()),
        }
    }
}

pub(super) fn given(parameters: &[(&str, &str)]) -> Vec<Parameter> {
    let one = |(key, value): &(&str, &str)| {
        Parameter::builder().parameter_key(*key).parameter_value(*value).build()
    };
    parameters.iter().map(one).collect()
}

#[tokio::test]
async fn a_stack_is_made_told_and_deleted() {
    let aws = Aws::new().await;
    let id = aws.create("app", &[("Key", "one.zip")]).await;
    let seen = aws.rest("app").await;
    assert_eq!(seen, ["CREATE_IN_PROGRESS", "CREATE_COMPLETE"]);
    let events = aws.events("app").await;
    assert_eq!(
        events,
        [
            "app CREATE_IN_PROGRESS: User Initiated",
            "Group CREATE_IN_PROGRESS",
            "Group CREATE_IN_PROGRESS: Resource creation Initiated",
            "Group CREATE_COMPLETE",
            "Function CREATE_IN_PROGRESS",
            "Function CREATE_IN_PROGRESS: Resource creation Initiated",
            "Function CREATE_COMPLETE",
            "Permission CREATE_IN_PROGRESS",
            "Permission CREATE_IN_PROGRESS: Resource creation Initiated",
            "Permission CREATE_COMPLETE",
            "app CREATE_COMPLETE",
        ]
    );
    let stack = aws.stack("app").await;
    assert_eq!(
        stack.outputs()[0].output_value(),
        Some("arn:aws:lambda:eu-west-1:123456789012:function:app-f")
    );
    let secret = stack.parameters().iter().find(|one| one.parameter_key() == Some("Secret")).unwrap();
    assert_eq!(secret.parameter_value(), Some("****"));
    let told = aws.cloud.describe_stack_events().stack_name("app").send().await.unwrap();
    let told = format!("{told:?}");
    assert!(told.contains("****") && !told.contains("hush-hush"), "a secret is told");
    let resources = aws.cloud.list_stack_resources().stack_name("app").send().await.unwrap();
    let names = resources.stack_resource_summaries().iter().map(|one| one.logical_resource_id().unwrap());
    assert_eq!(names.collect::<Vec<_>>(), ["Function", "Group", "Permission"]);

    aws.cloud.delete_stack().stack_name("app").send().await.unwrap();
    assert_eq!(aws.rest(&id).await, ["DELETE_IN_PROGRESS", "DELETE_COMPLETE"]);
    let gone = aws.cloud.describe_stacks().stack_name("app").send().await.unwrap_err();
    assert_eq!(gone.message(), Some("Stack with id app does not exist"));
    aws.cloud.delete_stack().stack_name("app").send().await.unwrap();
    // The name is free again, and nothing of the first is in the way.
    assert_ne!(aws.create("app", &[("Key", "one.zip")]).await, id);
    assert_eq!(aws.rest("app").await.last().unwrap(), "CREATE_COMPLETE");
    aws.session.close().await;
}

#[tokio::test]
async fn a_creation_that_fails_is_rolled_back_for_its_reason() {
    let aws = Aws::new().await;
    let stranger = "arn:aws:iam::123456789012:role/stranger";
    aws.create("bad", &[("Key", "one.zip"), ("Role", stranger)]).await;
    let seen = aws.rest("bad").await;
    assert_eq!(seen, ["CREATE_IN_PROGRESS", "ROLLBACK_IN_PROGRESS", "ROLLBACK_COMPLETE"]);
    let events = aws.events("bad").await.join("\n");
    assert!(events.contains("Function CREATE_FAILED: Resource handler returned message: \"The role defined for the function cannot be assumed by Lambda."), "{events}");
    let told = "bad ROLLBACK_IN_PROGRESS: The following resource(s) failed to create: [Function]. Rollback requested by user.";
    assert!(events.contains(told), "{events}");
    assert!(events.contains("Group DELETE_COMPLETE"), "{events}");
    let refused = aws.update("bad", &[("Key", "two.zip")]).await.unwrap_err();
    assert!(refused.ends_with("is in ROLLBACK_COMPLETE state and can not be updated."), "{refused}");
    // The same with a zip that is not there, and nothing taken back.
    let call = aws.cloud.create_stack().stack_name("kept").template_body(TEMPLATE).disable_rollback(true);
    call.set_parameters(Some(given(&[("Key", "none.zip")]))).send().await.unwrap();
    assert_eq!(aws.rest("kept").await.last().unwrap(), "CREATE_FAILED");
    let events = aws.events("kept").await.join("\n");
    assert!(events.contains("S3 Error Code: NoSuchKey"), "{events}");
    aws.cloud.rollback_stack().stack_name("kept").send().await.unwrap();
    assert_eq!(aws.rest("kept").await, ["ROLLBACK_IN_PROGRESS", "ROLLBACK_COMPLETE"]);
}

#[tokio::test]
async fn an_update_is_done_or_undone() {
    let aws = Aws::new().await;
    aws.create("app", &[("Key", "one.zip")]).await;
    aws.rest("app").await;
    let same = aws.update("app", &[("Key", "one.zip")]).await;
    assert_eq!(same.unwrap_err(), "No updates are to be performed.");
    aws.update("app", &[("Key", "two.zip"), ("Extra", "yes")]).await.unwrap();
    let seen = aws.rest("app").await;
    assert_eq!(seen, ["UPDATE_IN_PROGRESS", "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", "UPDATE_COMPLETE"]);
    // Memory within CloudFormation's bounds and beyond Lambda's.
    aws.update("app", &[("Key", "two.zip"), ("Memory", "99999")]).await.unwrap();
    let seen = aws.rest("app").await;
    let expected = [
        "UPDATE_IN_PROGRESS",
        "UPDATE_ROLLBACK_IN_PROGRESS",
        "UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS",
        "UPDATE_ROLLBACK_COMPLETE",
    ];
    assert_eq!(seen, expected);
    // A rollback that cannot be: the code to go back to is gone.
    aws.s3.delete_object().bucket("code").key("two.zip").send().await.unwrap();
    aws.update("app", &[("Key", "one.zip"), ("Memory", "99999"), ("Extra", "yes")]).await.unwrap();
    let seen = aws.rest("app").await;
    assert_eq!(seen, ["UPDATE_IN_PROGRESS", "UPDATE_ROLLBACK_IN_PROGRESS", "UPDATE_ROLLBACK_FAILED"]);
    let refused = aws.update("app", &[("Key", "one.zip")]).await.unwrap_err();
    assert!(refused.ends_with("is in UPDATE_ROLLBACK_FAILED state and can not be updated."), "{refused}");
    aws.cloud.continue_update_rollback().stack_name("app").send().await.unwrap();
    assert_eq!(aws.rest("app").await.last().unwrap(), "UPDATE_ROLLBACK_FAILED");
    let skip = aws.cloud.continue_update_rollback().stack_name("app").resources_to_skip("Function");
    skip.send().await.unwrap();
    assert_eq!(aws.rest("app").await.last().unwrap(), "UPDATE_ROLLBACK_COMPLETE");
    aws.update("app", &[("Key", "one.zip")]).await.unwrap();
    assert_eq!(aws.rest("app").await.last().unwrap(), "UPDATE_COMPLETE");
}

#[tokio::test]
async fn change_sets_tell_what_will_be() {
    let aws = Aws::new().await;
    let make = |name: &str, kind: ChangeSetType, parameters: &[(&str, &str)]| {
        let call =
            aws.cloud.create_change_set().stack_name("app").change_set_name(name).change_set_type(kind);
        call.template_body(TEMPLATE).set_parameters(Some(given(parameters))).client_token(format!("t-{name}"))
    };
    let first = make("first", ChangeSetType::Create, &[("Key", "one.zip")]);
    let id = first.clone().send().await.unwrap().id().unwrap().to_owned();
    assert_eq!(first.send().await.unwrap().id().unwrap(), id, "the token makes it the same");
    let other = make("first", ChangeSetType::Create, &[("Key", "one.zip")]).client_token("other");
    assert_eq!(other.send().await.unwrap_err().code(), Some("AlreadyExistsException"));
    assert_eq!(aws.stack("app").await.stack_status().unwrap().as_str(), "REVIEW_IN_PROGRESS");
    let early = aws.cloud.execute_change_set().change_set_name(&id).send().await.unwrap_err();
    assert_eq!(early.code(), Some("InvalidChangeSetStatus"));
    let told = described(&aws, &id).await;
    assert_eq!(told.execution_status().unwrap().as_str(), "AVAILABLE");
    let actions = told.changes().iter().map(|change| {
        let change = change.resource_change().unwrap();
        format!("{} {}", change.action().unwrap(), change.logical_resource_id().unwrap())
    });
    assert_eq!(actions.collect::<Vec<_>>(), ["Add Function", "Add Group", "Add Permission"]);
    aws.cloud.execute_change_set().change_set_name(&id).send().await.unwrap();
    assert_eq!(aws.rest("app").await, ["CREATE_IN_PROGRESS", "CREATE_COMPLETE"]);

    let empty = make("empty", ChangeSetType::Update, &[("Key", "one.zip")]).send().await.unwrap();
    let told = described(&aws, empty.id().unwrap()).await;
    assert_eq!(told.status().unwrap().as_str(), "FAILED");
    assert!(told.status_reason().unwrap().contains("didn't contain changes"));

    let second =
        make("second", ChangeSetType::Update, &[("Key", "two.zip"), ("Extra", "yes")]).send().await.unwrap();
    let told = described(&aws, second.id().unwrap()).await;
    let changes = told.changes().iter().map(|change| change.resource_change().unwrap()).collect::<Vec<_>>();
    assert_eq!(changes.len(), 2, "{changes:?}");
    assert_eq!(changes[0].replacement().unwrap().as_str(), "False");
    let detail = &changes[0].details()[0];
    assert_eq!(detail.causing_entity(), Some("Key"));
    assert_eq!(detail.change_source().unwrap().as_str(), "ParameterReference");
    assert_eq!(changes[1].action().unwrap().as_str(), "Add");
    aws.cloud.execute_change_set().change_set_name("second").stack_name("app").send().await.unwrap();
    assert_eq!(aws.rest("app").await.last().unwrap(), "UPDATE_COMPLETE");
    let absent = aws.cloud.describe_change_set().change_set_name("empty").stack_name("app").send().await;
    assert_eq!(absent.unwrap_err().code(), Some("ChangeSetNotFound"));
}

/// Looks until the change set is made.
async fn described(
    aws: &Aws,
    id: &str,
) -> aws_sdk_cloudformation::operation::describe_change_set::DescribeChangeSetOutput {
    for _ in 0..20 {
        let told = aws.cloud.describe_change_set().change_set_name(id).send().await.unwrap();
        if !told.status().unwrap().as_str().ends_with("_IN_PROGRESS")
            && told.status().unwrap().as_str() != "CREATE_PENDING"
        {
            return told;
        }
    }
    panic!("{id} is never made");
}

#[tokio::test]
async fn templates_are_refused_in_the_clouds_words() {
    let aws = Aws::new().await;
    let group = "Type: AWS::Logs::LogGroup";
    let cases = [
        (
            "Resources: { A: { Type: AWS::Nope::X } }".to_owned(),
            "Template format error: Unrecognized resource types: [AWS::Nope::X]",
        ),
        (
            format!("Resources: {{ A: {{ {group}, DependsOn: B }}, B: {{ {group}, DependsOn: A }} }}"),
            "Circular dependency between resources: [A, B]",
        ),
        (
            format!("Resources: {{ A: {{ {group}, Properties: {{ LogGroupName: !Ref Gone }} }} }}"),
            "Template format error: Unresolved resource dependencies [Gone] in the Resources block of the template",
        ),
        (
            format!("Resources: {{ A: {{ {group}, Properties: {{ LogGroupName: !GetAtt B.Arn }} }} }}"),
            "Template error: instance of Fn::GetAtt references undefined resource B",
        ),
        (
            format!(
                "Resources: {{ A: {{ {group} }}, B: {{ {group}, Properties: {{ LogGroupName: !GetAtt A.Nope }} }} }}"
            ),
            "Template error: resource A does not support attribute type Nope in Fn::GetAtt",
        ),
        (
            format!("Resources: {{ A: {{ {group}, Condition: C }} }}"),
            "Template format error: Unresolved condition dependency C in the Resources block of the template",
        ),
        ("Resources: {}".to_owned(), "Template format error: At least one Resources member must be defined."),
        (
            format!("Nonsense: 1\nResources: {{ A: {{ {group} }} }}"),
            "Invalid template property or properties [Nonsense]",
        ),
        (
            format!(
                "Parameters: {{ P: {{ Type: 'AWS::SSM::Parameter::Value<String>' }} }}\nResources: {{ A: {{ {group} }} }}"
            ),
            "which the sandbox does not play",
        ),
    ];
    for (template, told) in cases {
        let refused = aws.cloud.validate_template().template_body(&template).send().await.unwrap_err();
        assert!(refused.message().unwrap().contains(told), "{template}: {refused:?}");
    }
    // Unknown properties come to light when the resource is made.
    let template = format!("Resources: {{ A: {{ {group}, Properties: {{ Nope: 1 }} }} }}");
    aws.cloud.create_stack().stack_name("unknown").template_body(template).send().await.unwrap();
    assert_eq!(aws.rest("unknown").await.last().unwrap(), "ROLLBACK_COMPLETE");
    let events = aws.events("unknown").await.join("\n");
    assert!(events.contains("extraneous key [Nope] is not permitted"), "{events}");
    let missing = aws.cloud.create_stack().stack_name("p").template_body(TEMPLATE).send().await.unwrap_err();
    assert_eq!(missing.message(), Some("Parameters: [Key] must have values"));
    let call = aws.cloud.create_stack().stack_name("p").template_body(TEMPLATE);
    let wrong = call.set_parameters(Some(given(&[("Key", "NO!")]))).send().await.unwrap_err();
    assert_eq!(wrong.message(), Some("Parameter 'Key' must match pattern [a-z0-9.]+"));
}

#[tokio::test(flavor = "multi_thread")]
async fn boto3_and_the_command_line_find_stacks_here() {
    let Some(python) = support::judges("CloudFormation's clients", &["boto3"]) else { return };
    let folder = tempfile::tempdir().unwrap();
    let accounts = Accounts { aws: [ACCOUNT.to_owned()].into(), ..Accounts::default() };
    let data = folder.path().to_owned();
    let options = Options { data, port: None, latency: Duration::ZERO, accounts };
    let session = Session::open(options).await.unwrap();
    let (id, secret) = session.credentials.aws_keys(ACCOUNT);
    let mut judge = std::process::Command::new(python);
    judge.arg(support::root().join("tests/aws/cloudformation.py"));
    judge.args([&session.endpoints.aws, ACCOUNT, &id, &secret]);
    let done = tokio::task::spawn_blocking(move || judge.output()).await.unwrap().unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert!(done.status.success(), "{said}");
    session.close().await;
}
