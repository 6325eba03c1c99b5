//! What is released, behind an alias: led back when a later step fails, and known by what stands in the cloud alone.

use std::path::Path;

use aws_sdk_lambda::primitives::Blob;
use mcm::sandbox::{Fault, Traffic, Trouble};

use super::deploy::{Lab, versions};
use crate::support::zip;

/// A function with a secret, and a step behind its release that can be made to fail.
const STACK: &str = r#"
stack: lab
variables:
  note: { type: string, default: hello }
  edition: { type: string, default: one }
  more: { type: string, default: "" }
  policy: { type: string, default: AmazonS3ReadOnlyAccess }
  token: { type: string, sensitive: true }
clouds:
  aws: { account: "123456789012", region: us-east-1 }
resources:
  role:
    type: AWS::IAM::Role
    properties:
      RoleName: lab
      AssumeRolePolicyDocument: TRUST
      ManagedPolicyArns: ["arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"]
  late:
    type: AWS::IAM::Role
    dependsOn: [echo]
    properties:
      RoleName: lab-late
      AssumeRolePolicyDocument: TRUST
      ManagedPolicyArns: ["arn:aws:iam::aws:policy/${var.policy}"]
functions:
  echo:
    package: echo
    architecture: ARCHITECTURE
    role: ${role}
    # Its size is known after the role is made, and so to Lambda alone.
    environment: { EDITION: "${var.edition}", ID: "${role.RoleId}${var.more}" }
    secrets: { TOKEN: "${var.token}" }
    files: { note.txt: "${var.note}" }
"#;

const TRUST: &str = r#"{ Version: "2012-10-17", Statement: { Effect: Allow, Principal: { Service: lambda.amazonaws.com }, Action: "sts:AssumeRole" } }"#;

pub fn stack() -> String {
    STACK.replace("TRUST", TRUST)
}

/// What the alias's description tells of the releases: the digests.
async fn seals(lab: &Lab) -> Vec<String> {
    let alias = lab.lambda().get_alias().function_name("lab-echo").name("live").send().await.unwrap();
    let (_, releases) = alias.description().unwrap_or_default().split_once(' ').unwrap();
    releases.split([' ', ':', '.']).filter(|word| word.len() > 20).map(str::to_owned).collect()
}

/// Where the deployed archive lies: bucket and key, as the template has them.
async fn archive(lab: &Lab) -> (String, String) {
    let template = lab.cloudformation().get_template().stack_name("lab-functions").send().await.unwrap();
    let template: serde_json::Value = serde_json::from_str(template.template_body().unwrap()).unwrap();
    let code = &template["Resources"]["EchoFunction"]["Properties"]["Code"];
    let text = |name: &str| code[name].as_str().unwrap().to_owned();
    (text("S3Bucket"), text("S3Key"))
}

/// Everything that lies below a folder, as text.
fn texts(folder: &Path) -> String {
    let mut all = String::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.push_str(&texts(&path));
        } else {
            all.push_str(&String::from_utf8_lossy(&std::fs::read(path).unwrap()));
        }
    }
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_release_that_is_undone_leads_back_to_what_it_was() {
    let lab = Lab::new(&format!("{}    smoke: {{ event: {{}} }}\n", stack())).await;
    lab.applies(&[]).await;
    let first = seals(&lab).await;
    assert_eq!(first.len(), 2, "a salt and a digest: {first:?}");

    let failing = ["edition=two", "policy=NoSuchPolicy"];
    let failed = lab.mcm(&["apply", "--auto-approve"], &failing).await.exits(5);
    assert!(failed.out.contains(r#"- Outdated: "1""#), "{}", failed.out);
    assert!(failed.err.contains("functions.echo.release: update undone"), "{}", failed.err);
    assert_eq!(lab.versions().await, versions("1", &["$LATEST", "1", "2"]));
    assert_eq!(lab.answer().await["edition"], "one");
    lab.nothing_to_do(&[]).await;
    // What was released is known by the same digest as before, and what was not released is remembered.
    assert_eq!(seals(&lab).await[..2], first);

    // What is released then is the version that was published already.
    lab.applies(&["edition=two"]).await;
    lab.nothing_to_do(&["edition=two"]).await;
    assert_eq!(lab.versions().await, versions("2", &["$LATEST", "1", "2"]));

    // A smoke test without an answer has failed: it is not run again, and no version is left of it.
    let wire = lab.session.wire().unwrap();
    let (contains, what) = ("/invocations".to_owned(), Trouble::DropAfter);
    wire.set_faults(vec![Fault { cloud: None, contains, target: None, skip: 0, times: None, what }]);
    let failed = lab.mcm(&["apply", "--auto-approve"], &["edition=three"]).await.exits(5);
    assert!(failed.err.contains("the smoke test had no answer"), "{}", failed.err);
    wire.set_faults(Vec::new());
    let broken = |one: &Traffic| one.target.contains("/invocations") && one.status == 0;
    assert_eq!(wire.traffic().iter().filter(|one| broken(one)).count(), 1);
    assert_eq!(lab.versions().await, versions("2", &["$LATEST", "1", "2"]));
    lab.nothing_to_do(&["edition=two"]).await;

    // What somebody has put in the place of the deployed code is not released as if it were that.
    let lambda = lab.lambda();
    let code = lambda.get_function().function_name("lab-echo").send().await.unwrap();
    let deployed = code.configuration().unwrap().code_sha256().unwrap().to_owned();
    let own = Blob::new(zip(b"something else"));
    lambda.update_function_code().function_name("lab-echo").zip_file(own).send().await.unwrap();
    lab.ready().await;
    let failed = lab.mcm(&["apply", "--auto-approve"], &["edition=three"]).await.exits(5);
    assert!(failed.err.contains("somebody has changed the code of lab-echo"), "{}", failed.err);
    assert!(failed.err.contains(&deployed), "{}", failed.err);
    assert_eq!(lab.versions().await, versions("2", &["$LATEST", "1", "2"]));
    let key = archive(&lab).await;
    let back = lambda.update_function_code().function_name("lab-echo").s3_bucket(&key.0).s3_key(&key.1);
    back.send().await.unwrap();
    lab.ready().await;
    let set = |text: &str| lambda.update_function_configuration().function_name("lab-echo").description(text);
    set("by hand").send().await.unwrap();
    lab.ready().await;
    let failed = lab.mcm(&["apply", "--auto-approve"], &["edition=two", "note=other"]).await.exits(5);
    let told = "`Description` of the function lab-echo is not what was deployed";
    assert!(failed.err.contains(told), "{}", failed.err);
    assert_eq!(lab.versions().await, versions("2", &["$LATEST", "1", "2"]));
    set("").send().await.unwrap();
    lab.ready().await;

    // A secret alone is another release, too, and its undoing. But what CloudFormation held before is known to no one.
    // (Where CloudFormation itself takes the change back, it does know.)
    let long = format!("more={}", "x".repeat(5000));
    let failed = lab.mcm(&["apply", "--auto-approve"], &["edition=two", &long, "token=other"]).await.exits(5);
    assert!(failed.err.contains("UPDATE_ROLLBACK_COMPLETE"), "{}", failed.err);
    lab.nothing_to_do(&["edition=two"]).await;
    let failing = ["edition=four", "token=longer-than-before", "policy=NoSuchPolicy"];
    let failed = lab.mcm(&["apply", "--auto-approve"], &failing).await.exits(6);
    let told = "undo: impossible: `Parameters.EchoSecretToken` is sensitive, and its former value is known to no one";
    assert!(failed.out.contains(told), "{}", failed.out);
    let kept = "`Parameters` was sensitive, so its former value is kept nowhere";
    assert!(failed.err.contains(kept), "{}", failed.err);
    assert_eq!(lab.versions().await, versions("2", &["$LATEST", "1", "2", "4"]));
    assert_eq!(lab.answer().await["token"], 7);
    // What is left is seen by the next plan, and goes with the next apply.
    let plan = lab.mcm(&["plan", "--detailed-exitcode"], &["edition=two"]).await.exits(2);
    assert!(plan.out.contains("Parameters.EchoSecretToken"), "{}", plan.out);
    lab.applies(&["edition=two"]).await;
    lab.nothing_to_do(&["edition=two"]).await;
    assert_eq!(lab.answer().await["token"], 7);
    lab.session.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn versions_long_past_are_deleted_once_a_run_is_over() {
    let lab = Lab::new(&stack()).await;
    lab.applies(&[]).await;
    for edition in ["b", "c", "d", "e"] {
        lab.applies(&[&format!("edition={edition}")]).await;
    }
    // The first one is CloudFormation's, which makes it; it is not ours to delete.
    assert_eq!(lab.versions().await, versions("5", &["$LATEST", "1", "2", "3", "4", "5"]));

    // Somebody's own version, and their alias to one of ours.
    let lambda = lab.lambda();
    let change = lambda.update_function_configuration().function_name("lab-echo").memory_size(512);
    change.send().await.unwrap();
    lab.ready().await;
    lambda.publish_version().function_name("lab-echo").description("mine").send().await.unwrap();
    let alias = lambda.create_alias().function_name("lab-echo").name("theirs").function_version("3");
    alias.send().await.unwrap();
    let change = lambda.update_function_configuration().function_name("lab-echo").memory_size(256);
    change.send().await.unwrap();
    lab.ready().await;

    // A run that fails deletes nothing: its undoing leads back.
    let failing = ["edition=f", "policy=NoSuchPolicy"];
    lab.mcm(&["apply", "--auto-approve"], &failing).await.exits(5);
    assert_eq!(lab.versions().await, versions("5", &["$LATEST", "1", "2", "3", "4", "5", "6", "7"]));
    let applied = lab.applies(&["edition=f"]).await;
    assert!(applied.err.contains("lab-echo: deleted its former versions 2\n"), "{}", applied.all());
    assert_eq!(lab.versions().await, versions("7", &["$LATEST", "1", "3", "4", "5", "6", "7"]));
    lab.nothing_to_do(&["edition=f"]).await;
    let applied = lab.applies(&["edition=g"]).await;
    assert!(!applied.err.contains("deleted"), "3 is what their alias leads to: {}", applied.all());
    lambda.delete_alias().function_name("lab-echo").name("theirs").send().await.unwrap();
    let applied = lab.applies(&["edition=h"]).await;
    assert!(applied.err.contains("lab-echo: deleted its former versions 3, 4\n"), "{}", applied.all());
    assert_eq!(lab.versions().await, versions("9", &["$LATEST", "1", "5", "6", "7", "8", "9"]));
    lab.session.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_digest_of_a_release_stands_in_the_cloud_alone() {
    let lab = Lab::new(&stack()).await;
    lab.applies(&[]).await;
    let two = ["edition=two"];
    let plan = lab.mcm(&["plan", "--json", "--out", "two.plan"], &two).await.exits(0);
    let failing = ["edition=two", "policy=NoSuchPolicy"];
    let failed = lab.mcm(&["apply", "--auto-approve", "--no-rollback"], &failing).await.exits(6);
    let state = lab.folder.path().join(".mcm/sandbox/state");
    let kept = texts(&state);
    assert!(kept.contains("functions.echo.release"), "{kept}");
    let saved = std::fs::read_to_string(lab.folder.path().join("two.plan")).unwrap();
    let seals = seals(&lab).await;
    assert!(seals.len() >= 4, "two releases: {seals:?}");
    for text in [plan.all(), failed.all(), kept, saved] {
        assert!(text.contains("Outdated"), "{text}");
        for seal in &seals {
            assert!(!text.contains(seal), "{seal}: {text}");
        }
    }
    lab.session.close().await;
}
