//! Whatever fails, the cause and the way out are told, and nothing is left half-known.

use std::path::Path;
use std::process::Command;

use aws_sdk_s3::config::{Credentials, Region};
use aws_sdk_s3::primitives::ByteStream;

use super::binary::{SMALL, folder, mcm, run};
use super::road::Served;

/// A stack whose second resource no cloud accepts.
fn broken() -> String {
    SMALL.replace(
        "RoleName: small-worker",
        "RoleName: small-worker\n      ManagedPolicyArns: [\"arn:aws:iam::aws:policy/NoSuchPolicyAnywhere\"]",
    )
}

/// Somebody else in the same account, with the vendor's own client.
fn someone_else(home: &Path) -> aws_sdk_s3::Client {
    let env = run(home, &["sandbox", "env", "--json"]).exits(0);
    let env: serde_json::Value = serde_json::from_str(&env.out).unwrap();
    let text = |name: &str| env["aws"][name].as_str().unwrap().to_owned();
    let keys = Credentials::new(text("access_key_id"), text("secret_access_key"), None, None, "test");
    let config = aws_sdk_s3::Config::builder()
        .behavior_version_latest()
        .region(Region::new("us-east-1"))
        .endpoint_url(text("endpoint"))
        .force_path_style(true)
        .credentials_provider(keys)
        .http_client(aws_smithy_http_client::Builder::new().build_http());
    aws_sdk_s3::Client::from_conf(config.build())
}

#[test]
fn a_failed_apply_is_undone() {
    let home = folder(&broken());
    let ran = run(home.path(), &["apply", "--sandbox", "--auto-approve"]).exits(5);
    let told: Vec<&str> = ran.err.lines().skip_while(|line| !line.starts_with("error")).collect();
    let told = told.join("\n");
    insta::with_settings!({ filters => [("request id: [0-9a-zA-Z-]+", "request id: [id]")] }, {
        insta::assert_snapshot!("undone", told);
    });
    assert!(ran.err.contains("Undoing 2 steps"), "{}", ran.err);
    assert!(run(home.path(), &["state", "list", "--sandbox"]).exits(0).out.is_empty());
    std::fs::write(home.path().join("stack.yaml"), SMALL).unwrap();
    run(home.path(), &["apply", "--sandbox", "--auto-approve"]).exits(0);
}

#[test]
fn without_rollback_what_was_done_stays_and_is_listed() {
    let home = folder(&broken());
    let ran = run(home.path(), &["apply", "--sandbox", "--auto-approve", "--no-rollback"]).exits(6);
    assert!(ran.err.contains("resources.files: created and left in place: `--no-rollback`"), "{}", ran.err);
    assert!(ran.err.contains("mcm apply"), "{}", ran.err);
    // What was half made is recorded too: it may need mending.
    assert_eq!(run(home.path(), &["state", "list", "--sandbox"]).exits(0).out.lines().count(), 2);
    std::fs::write(home.path().join("stack.yaml"), SMALL).unwrap();
    run(home.path(), &["apply", "--sandbox", "--auto-approve"]).exits(0);
    run(home.path(), &["plan", "--sandbox", "--detailed-exitcode"]).exits(0);
}

#[test]
fn a_failure_is_told_to_programs_too() {
    let home = folder(&broken());
    let ran = run(home.path(), &["apply", "--sandbox", "--auto-approve", "--json"]).exits(5);
    let events: Vec<serde_json::Value> =
        ran.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let count = |kind: &str| events.iter().filter(|event| event["type"] == kind).count();
    assert_eq!((count("apply_errored"), count("undo_complete")), (1, 2), "{}", ran.out);
    assert!(count("diagnostic") >= 1, "{}", ran.out);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_is_taken_is_refused_before_anything_is_done() {
    let home = folder(SMALL);
    let _served = Served::start(home.path(), &[]);
    let client = someone_else(home.path());
    client.create_bucket().bucket("small-files-123456789012").send().await.unwrap();
    let ran = run(home.path(), &["apply", "--sandbox", "--auto-approve"]).exits(4);
    insta::assert_snapshot!("taken", ran.err);
    assert!(!home.path().join(".mcm/sandbox/state/state.json").exists());
    // Both ways out work.
    run(home.path(), &["import", "files", "small-files-123456789012", "--sandbox"]).exits(0);
    run(home.path(), &["apply", "--sandbox", "--auto-approve"]).exits(0);
    run(home.path(), &["plan", "--sandbox", "--detailed-exitcode"]).exits(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_that_holds_something_is_not_destroyed() {
    let home = folder(SMALL);
    let _served = Served::start(home.path(), &[]);
    run(home.path(), &["apply", "--sandbox", "--auto-approve"]).exits(0);
    let client = someone_else(home.path());
    let put = client.put_object().bucket("small-files-123456789012").key("precious");
    put.body(ByteStream::from_static(b"data")).send().await.unwrap();
    let ran = run(home.path(), &["destroy", "--sandbox", "--auto-approve"]);
    let told =
        "resources.files cannot be deleted: the bucket holds `precious`, which this stack did not put there";
    assert!(ran.code == Some(4) && ran.err.contains(told), "{}", ran.all());
    // It is told before anything is deleted, and by the plan already.
    let plan = run(home.path(), &["plan", "--destroy", "--sandbox"]).exits(0);
    assert!(plan.err.contains(told) && plan.out.contains("2 to destroy"), "{}", plan.all());
    run(home.path(), &["plan", "--sandbox", "--detailed-exitcode"]).exits(0);
    let kept = client.get_object().bucket("small-files-123456789012").key("precious").send().await;
    assert!(kept.is_ok());
    client.delete_object().bucket("small-files-123456789012").key("precious").send().await.unwrap();
    run(home.path(), &["destroy", "--sandbox", "--auto-approve"]).exits(0);
    assert!(run(home.path(), &["state", "list", "--sandbox"]).exits(0).out.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_by_someone_else_is_exactly_that_difference() {
    let home = folder(SMALL);
    let _served = Served::start(home.path(), &[]);
    run(home.path(), &["apply", "--sandbox", "--auto-approve"]).exits(0);
    let client = someone_else(home.path());
    let bucket = "small-files-123456789012";
    let tagging = client.get_bucket_tagging().bucket(bucket).send().await.unwrap();
    let edited = tagging.tag_set().iter().map(|tag| {
        let value = if tag.key() == "label" { "edited" } else { tag.value() };
        aws_sdk_s3::types::Tag::builder().key(tag.key()).value(value).build().unwrap()
    });
    let edited = aws_sdk_s3::types::Tagging::builder().set_tag_set(Some(edited.collect())).build().unwrap();
    client.put_bucket_tagging().bucket(bucket).tagging(edited).send().await.unwrap();
    let report = run(home.path(), &["plan", "--sandbox", "--refresh-only", "--detailed-exitcode"]).exits(2);
    insta::assert_snapshot!("drift", report.out);
    run(home.path(), &["apply", "--sandbox", "--auto-approve"]).exits(0);
    run(home.path(), &["plan", "--sandbox", "--detailed-exitcode"]).exits(0);
}

#[test]
fn a_cloud_that_cannot_be_reached_is_named() {
    let home = folder(SMALL);
    let mut command = mcm(home.path());
    command.env("AWS_ENDPOINT_URL", "http://127.0.0.1:9").env("AWS_ACCESS_KEY_ID", "x");
    command.env("AWS_SECRET_ACCESS_KEY", "y");
    let ran = super::binary::Ran::from(command.args(["apply", "--auto-approve"]).output().unwrap()).exits(1);
    assert!(ran.err.contains("cannot be reached"), "{}", ran.err);
    assert!(!home.path().join(".mcm/state.json").exists());
}

#[test]
fn a_record_that_cannot_be_written_stops_the_run_before_a_request() {
    let tags: Vec<String> =
        (0..5).map(|n| format!("{{ Key: t{n}, Value: \"{}\" }}", "x".repeat(250))).collect();
    let home = folder(&SMALL.replace("Tags: [", &format!("Tags: [{}, ", tags.join(", "))));
    let _served = Served::start(home.path(), &[]);
    // No file of this process may grow past one block: the lock fits into it, what the first step intends does not.
    let limited = "trap '' XFSZ; ulimit -f 1; exec \"$0\" \"$@\"";
    let apply = ["apply", "--sandbox", "--auto-approve"];
    let mut shell = Command::new("sh");
    shell.args(["-c", limited, env!("CARGO_BIN_EXE_mcm")]).args(apply).current_dir(home.path());
    let ran = super::binary::Ran::from(shell.output().unwrap()).exits(6);
    assert!(ran.err.contains("the run was stopped"), "{}", ran.err);
    assert!(
        ran.err.contains("no further step was begun; what was under way may have happened"),
        "{}",
        ran.err
    );
    let plan = run(home.path(), &["plan", "--sandbox", "--detailed-exitcode"]).exits(2);
    assert!(plan.out.contains("Plan: 2 to add"), "nothing was made: {}", plan.out);
    run(home.path(), &apply).exits(0);
    run(home.path(), &["plan", "--sandbox", "--detailed-exitcode"]).exits(0);
}

#[test]
fn protection_outlasts_its_line() {
    let home =
        folder(&SMALL.replace("    type: AWS::S3::Bucket", "    type: AWS::S3::Bucket\n    protect: true"));
    run(home.path(), &["apply", "--sandbox", "--auto-approve"]).exits(0);
    std::fs::write(home.path().join("stack.yaml"), SMALL).unwrap();
    let ran = run(home.path(), &["destroy", "--sandbox", "--auto-approve"]).exits(4);
    assert!(ran.err.contains("protected"), "{}", ran.err);
    assert_eq!(run(home.path(), &["state", "list", "--sandbox"]).exits(0).out.lines().count(), 2);
}

#[test]
fn nothing_waits_for_a_terminal() {
    let home = folder(SMALL);
    let ran = mcm(home.path()).args(["apply", "--sandbox"]).write_stdin("yes\n").output().unwrap();
    assert_eq!(ran.status.code(), Some(4));
}
