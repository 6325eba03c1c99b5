//! What somebody, or an earlier run, may have left under a stack's name, and that it is not in the way, or told.

use std::time::Duration;

use aws_sdk_cloudformation::types::{ChangeSetType, Tag};
use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_s3::primitives::ByteStream;
use mcm::sandbox::{Fault, Trouble};

use super::deploy::{ACCOUNT, Lab, until};
use crate::support::zip;

const STACK: &str = r#"
stack: lab
clouds:
  aws: { account: "123456789012", region: us-east-1 }
resources:
  x:
    type: AWS::CloudFormation::Stack
    properties:
      StackName: lab-left
      TemplateBody:
        Resources:
          Group: { Type: "AWS::Logs::LogGroup", Properties: { LogGroupName: lab-group } }
"#;

/// As an earlier run has left it.
const MARK: &str = "lab/resources.x/0123456789abcdef01234567";

/// A template with a log group of this name.
fn group(name: &str) -> String {
    format!(
        r#"{{"Resources":{{"A":{{"Type":"AWS::Logs::LogGroup","Properties":{{"LogGroupName":"{name}"}}}}}}}}"#
    )
}

/// A change set that would make the stack, with a tag, executed or not.
async fn leave(lab: &Lab, change_set: &str, template: String, mark: Option<&str>) {
    let cloud = lab.cloudformation();
    let tags = mark.map(|mark| vec![Tag::builder().key("mcm:owner").value(mark).build()]);
    let set = cloud.create_change_set().stack_name("lab-left").change_set_name(change_set);
    let set = set.change_set_type(ChangeSetType::Create).template_body(template).set_tags(tags);
    set.send().await.unwrap();
    for _ in 0..200 {
        let found = cloud.describe_change_set().stack_name("lab-left").change_set_name(change_set).send();
        if found.await.unwrap().status().unwrap().as_str() == "CREATE_COMPLETE" {
            return;
        }
    }
    panic!("the change set {change_set} does not come");
}

async fn execute(lab: &Lab, change_set: &str, status: &str) {
    let call = lab.cloudformation().execute_change_set().stack_name("lab-left").change_set_name(change_set);
    call.send().await.unwrap();
    until(lab, "lab-left", status).await;
}

async fn delete(lab: &Lab) {
    lab.cloudformation().delete_stack().stack_name("lab-left").send().await.unwrap();
    until(lab, "lab-left", "").await;
}

async fn lives(lab: &Lab) {
    lab.applies(&[]).await;
    lab.nothing_to_do(&[]).await;
    assert_eq!(lab.stacks().await, ["lab-left"]);
    lab.mcm(&["destroy", "--auto-approve"], &[]).await.exits(0);
    assert!(lab.stacks().await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_empty_shell_is_used_unless_someone_prepares_something_in_it() {
    let lab = Lab::new(STACK).await;
    leave(&lab, "mcm-old", group("lab-free"), Some(MARK)).await;
    until(&lab, "lab-left", "REVIEW_IN_PROGRESS").await;
    lives(&lab).await;

    // Its name does not make a change set ours.
    leave(&lab, "mcm-theirs", group("lab-free"), Some("other/resources.x/0123456789abcdef01234567")).await;
    let refused = lab.mcm(&["apply", "--auto-approve"], &[]).await.exits(5);
    assert!(refused.err.contains("its change set `mcm-theirs` waits to be executed"), "{}", refused.err);
    assert!(refused.err.contains("adopt: true"), "{}", refused.err);
    // It is still theirs to execute.
    execute(&lab, "mcm-theirs", "CREATE_COMPLETE").await;
    let refused = lab.mcm(&["apply", "--auto-approve"], &[]).await.exits(4);
    assert!(refused.err.contains("adopt: true"), "{}", refused.err);
    delete(&lab).await;
    lives(&lab).await;
    lab.session.close().await;
}

/// Makes the same stack as a run of mcm does, faster than it: in the shell of its change set, once that is there.
async fn overtake(lab: &Lab) {
    let cloud = lab.cloudformation();
    let begun = async || {
        let sets = cloud.list_change_sets().stack_name("lab-left").send().await.ok()?;
        sets.summaries().first()?.change_set_name().map(str::to_owned)
    };
    let mut tries = 0;
    while begun().await.is_none() {
        tries += 1;
        assert!(tries < 2000, "no change set comes");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let set = cloud.create_change_set().stack_name("lab-left").change_set_name("theirs");
    set.change_set_type(ChangeSetType::Create).template_body(group("lab-group")).send().await.unwrap();
    for _ in 0..200 {
        let call = cloud.execute_change_set().stack_name("lab-left").change_set_name("theirs");
        if call.send().await.is_ok() {
            return until(lab, "lab-left", "CREATE_COMPLETE").await;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("the change set `theirs` cannot be executed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_creation_that_somebody_overtakes_leaves_their_stack_alone() {
    let lab = Lab::new(STACK).await;
    // The run looks at its change set when theirs has long been executed, which has dropped it.
    let what = Trouble::Delay { ms: 4000 };
    let contains = "DescribeChangeSet".to_owned();
    let fault = Fault { cloud: None, contains, target: None, skip: 0, times: Some(1), what };
    lab.session.wire().unwrap().set_faults(vec![fault]);
    let (ran, ()) = tokio::join!(lab.mcm(&["apply", "--auto-approve"], &[]), overtake(&lab));
    let ran = ran.exits(5);
    assert!(ran.err.contains("somebody else made the stack lab-left at the same time"), "{}", ran.err);
    until(&lab, "lab-left", "CREATE_COMPLETE").await;
    delete(&lab).await;

    // Where nobody does, nothing is left of a creation that cannot be begun.
    let stack = lab.folder.path().join("stack.yaml");
    let text = std::fs::read_to_string(&stack).unwrap();
    std::fs::write(&stack, text.replace("AWS::Logs::LogGroup", "AWS::Logs::Group")).unwrap();
    lab.mcm(&["apply", "--auto-approve"], &[]).await.exits(5);
    assert!(lab.stacks().await.is_empty());
    lab.session.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_left_of_a_failed_creation_is_cleared_away_if_it_was_ours() {
    let lab = Lab::new(STACK).await;
    let cloud = lab.cloudformation();
    cloud.create_stack().stack_name("others").template_body(group("lab-taken")).send().await.unwrap();
    until(&lab, "others", "CREATE_COMPLETE").await;

    leave(&lab, "theirs", group("lab-taken"), None).await;
    execute(&lab, "theirs", "ROLLBACK_COMPLETE").await;
    let refused = lab.mcm(&["apply", "--auto-approve"], &[]).await.exits(5);
    assert!(refused.err.contains("failed to be created by someone else"), "{}", refused.err);
    until(&lab, "lab-left", "ROLLBACK_COMPLETE").await;
    delete(&lab).await;

    // A run of ours that was killed while CloudFormation took everything back.
    leave(&lab, "mcm-old", group("lab-taken"), Some(MARK)).await;
    execute(&lab, "mcm-old", "ROLLBACK_COMPLETE").await;
    cloud.delete_stack().stack_name("others").send().await.unwrap();
    until(&lab, "others", "").await;
    lives(&lab).await;
    lab.session.close().await;
}

const FUNCTION: &str = r#"
stack: lab
variables:
  memory: { type: number, default: 128 }
clouds:
  aws: { account: "123456789012", region: us-east-1 }
resources:
  role:
    type: AWS::IAM::Role
    properties:
      RoleName: lab
      AssumeRolePolicyDocument:
        Version: "2012-10-17"
        Statement: { Effect: Allow, Principal: { Service: lambda.amazonaws.com }, Action: "sts:AssumeRole" }
  x:
    type: AWS::CloudFormation::Stack
    properties:
      StackName: lab-left
      TemplateBody:
        Resources:
          Function:
            Type: AWS::Lambda::Function
            Properties:
              FunctionName: lab-f
              Runtime: provided.al2023
              Handler: bootstrap
              Role: ${role.Arn}
              Code: { S3Bucket: lab-code, S3Key: two.zip }
              MemorySize: ${var.memory}
"#;

fn s3(lab: &Lab) -> aws_sdk_s3::Client {
    let (id, secret) = lab.session.credentials.aws_keys(ACCOUNT);
    let config = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .endpoint_url(&lab.session.endpoints.aws)
        .credentials_provider(Credentials::from_keys(id, secret, None))
        .force_path_style(true)
        .http_client(aws_smithy_http_client::Builder::new().build_http());
    aws_sdk_s3::Client::from_conf(config.build())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rollback_that_failed_is_continued() {
    let lab = Lab::new(FUNCTION).await;
    let s3 = s3(&lab);
    s3.create_bucket().bucket("lab-code").send().await.unwrap();
    let put = async |key: &str| {
        let body = ByteStream::from(zip(b"bootstrap"));
        s3.put_object().bucket("lab-code").key(key).body(body).send().await.unwrap();
    };
    put("one.zip").await;
    put("two.zip").await;
    lab.applies(&[]).await;
    lab.nothing_to_do(&[]).await;

    // Somebody's update fails half-way, and the code to go back to is gone.
    s3.delete_object().bucket("lab-code").key("two.zip").send().await.unwrap();
    let cloud = lab.cloudformation();
    let template = cloud.get_template().stack_name("lab-left").send().await.unwrap();
    let template = template.template_body().unwrap().replace("two.zip", "one.zip");
    let template = template.replace("\"MemorySize\":128", "\"MemorySize\":99999");
    assert!(template.contains("one.zip") && template.contains("99999"), "{template}");
    cloud.update_stack().stack_name("lab-left").template_body(template).send().await.unwrap();
    until(&lab, "lab-left", "UPDATE_ROLLBACK_FAILED").await;

    // The function is no longer what the template says: a plan shows it, and an apply mends it, once it can.
    let plan = lab.mcm(&["plan", "--detailed-exitcode"], &[]).await.exits(2).out;
    assert!(plan.contains("FunctionName: \"lab-f\""), "{plan}");
    let failed = lab.mcm(&["apply", "--auto-approve"], &["memory=256"]).await.exits(5);
    assert!(failed.err.contains("the rollback of the stack lab-left failed again"), "{}", failed.err);
    put("two.zip").await;
    lab.applies(&["memory=256"]).await;
    lab.nothing_to_do(&["memory=256"]).await;
    let function = lab.lambda().get_function_configuration().function_name("lab-f").send().await.unwrap();
    assert_eq!(function.memory_size(), Some(256));
    lab.mcm(&["destroy", "--auto-approve"], &[]).await.exits(0);
    assert!(lab.stacks().await.is_empty());
    lab.session.close().await;
}
