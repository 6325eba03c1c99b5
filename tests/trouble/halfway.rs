//! A change of several requests that stops between two of them is this run's own doing, and is undone whole.

use std::fs;

use super::{APPLY, clouds, denied, told};
use crate::cli::binary::{SMALL, folder, run};

const READ: &str = "arn:aws:iam::aws:policy/ReadOnlyAccess";
const BASIC: &str = "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole";
const POWER: &str = "arn:aws:iam::aws:policy/PowerUserAccess";

/// The small stack, whose role has these managed policies, and tags and an inline policy of these names.
fn stack(policies: &[&str], name: &str) -> String {
    let role = format!(
        "RoleName: small-worker\n      ManagedPolicyArns: [\"{}\"]\n      Tags: [{{ Key: {name}, Value: x }}]",
        policies.join("\", \"")
    );
    SMALL.replace("RoleName: small-worker", &role).replace("PolicyName: read", &format!("PolicyName: {name}"))
}

#[test]
fn a_role_is_as_it_was_whichever_request_is_refused() {
    let (before, after) = (stack(&[READ, BASIC], "one"), stack(&[BASIC, POWER], "two"));
    for action in
        ["AttachRolePolicy", "DetachRolePolicy", "PutRolePolicy", "DeleteRolePolicy", "UntagRole", "TagRole"]
    {
        let home = folder(&before);
        let clouds = clouds(home.path());
        run(home.path(), APPLY).exits(0);
        fs::write(home.path().join("stack.yaml"), &after).unwrap();
        clouds.answer(&format!(" {action}"), Some(1), 403, &denied(&format!("iam:{action}")));
        let ran = run(home.path(), APPLY).exits(5);
        assert!(
            ran.err.contains(&format!("the caller needs the permission for iam:{action}")),
            "{}",
            ran.err
        );
        let met = clouds.session.wire().unwrap().faults().first().and_then(|fault| fault.times);
        assert_eq!(met, Some(0), "{action} was refused");
        fs::write(home.path().join("stack.yaml"), &before).unwrap();
        run(home.path(), &["plan", "--sandbox", "--detailed-exitcode"]).exits(0);
        fs::write(home.path().join("stack.yaml"), &after).unwrap();
        run(home.path(), APPLY).exits(0);
        run(home.path(), &["plan", "--sandbox", "--detailed-exitcode"]).exits(0);
    }
}

#[test]
fn somebody_elses_part_of_a_set_is_still_kept() {
    use aws_sdk_iam::config::{BehaviorVersion, Credentials, Region};
    let home = folder(&stack(&[READ], "one"));
    let clouds = clouds(home.path());
    run(home.path(), APPLY).exits(0);
    fs::write(home.path().join("stack.yaml"), stack(&[BASIC], "one")).unwrap();
    run(home.path(), &["plan", "--sandbox", "--out", "plan.json"]).exits(0);
    clouds.answer(" AttachRolePolicy", Some(1), 403, &denied("iam:AttachRolePolicy"));
    let ran = run(home.path(), &["apply", "plan.json", "--no-rollback"]).exits(6);
    assert!(ran.err.contains("mcm rollback"), "{}", ran.err);
    let (id, secret) = clouds.session.credentials.aws_keys("123456789012");
    let config = aws_sdk_iam::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new(id, secret, None, None, "test"))
        .endpoint_url(&clouds.session.endpoints.aws)
        .http_client(aws_smithy_http_client::Builder::new().build_http());
    let client = aws_sdk_iam::Client::from_conf(config.build());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let theirs = client.attach_role_policy().role_name("small-worker").policy_arn(POWER).send();
    runtime.block_on(theirs).unwrap();
    let ran = run(home.path(), &["rollback", "--sandbox"]).exits(6);
    insta::assert_snapshot!("theirs", told(&ran));
    let attached = client.list_attached_role_policies().role_name("small-worker").send();
    let attached = runtime.block_on(attached).unwrap();
    let names: Vec<_> = attached.attached_policies().iter().filter_map(|one| one.policy_arn()).collect();
    assert_eq!(names, [POWER]);
}
