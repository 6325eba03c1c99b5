//! Stacks that are changed behind mcm's back: a site behind its distribution, and an operation that is in progress.

use std::fmt::Write as _;

use super::deploy::{ACCOUNT, Lab};
use crate::support;
use crate::support::sign::{Signer, send};

const SITE: &str = r#"
stack: lab
clouds:
  aws: { account: "123456789012", region: us-east-1 }
resources:
  site:
    use: templates/cloudfront-website.yaml
    with: { name: lab-site, bucket: lab-site, source: site, api: "https://abc.execute-api.us-east-1.amazonaws.com" }
outputs:
  url: ${site.url}
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn content_that_is_made_anew_is_what_visitors_see() {
    let lab = Lab::new(SITE).await;
    let folder = lab.folder.path();
    support::copy(&support::root().join("templates"), &folder.join("templates"));
    std::fs::create_dir(folder.join("site")).unwrap();
    let write = |text: &str| {
        std::fs::write(folder.join("site/index.html"), text).unwrap();
        std::fs::write(folder.join("site/error.html"), "lost").unwrap();
    };
    write("one");
    lab.applies(&[]).await;
    let url = lab.mcm(&["output", "url"], &[]).await.exits(0).out;
    let host = url.trim().trim_start_matches("https://").replace("cloudfront.net", "cloudfront.localhost");
    let aws = Signer::of(&lab.session, ACCOUNT);
    let seen = async || {
        let reply = send(&aws.endpoint, "GET", "/", &[("host", host.as_str())], "").await;
        (reply.status, reply.text(), reply.header("x-cache").unwrap().to_owned())
    };
    let shown = |status, text: &str, told: &str| (status, text.to_owned(), format!("{told} from cloudfront"));
    assert_eq!(seen().await, shown(200, "one", "Miss"));

    // Somebody empties the bucket; the edge does not know.
    for key in ["index.html", "error.html"] {
        assert_eq!(aws.send("s3", "DELETE", &format!("/lab-site/{key}"), &[], "").await.status, 204);
    }
    assert_eq!(seen().await, shown(200, "one", "Hit"));
    write("two");
    let applied = lab.applies(&[]).await;
    assert!(applied.out.contains("+ resources.site.content"), "{}", applied.out);
    assert_eq!(seen().await, shown(200, "two", "Miss"));

    // What is deleted is not shown any longer either.
    lab.mcm(&["destroy", "--auto-approve", "--target", "resources.site.content"], &[]).await.exits(0);
    assert_eq!(seen().await.0, 403, "the page for what is not there is gone, too");
    lab.mcm(&["destroy", "--auto-approve"], &[]).await.exits(0);
    lab.session.close().await;
}

/// A stack that takes CloudFormation a while: one log group after the other.
fn slow() -> String {
    let mut text = "stack: lab\nclouds: { aws: { account: \"123456789012\", region: us-east-1 } }\nresources:\n  slow:\n    \
                    type: AWS::CloudFormation::Stack\n    properties:\n      StackName: lab-slow\n      TemplateBody:\n        \
                    Resources:\n"
        .to_owned();
    for at in 0..12 {
        let after = if at == 0 { String::new() } else { format!("DependsOn: [G{}], ", at - 1) };
        let _ = writeln!(
            text,
            "          G{at}: {{ Type: \"AWS::Logs::LogGroup\", {after}Properties: {{ LogGroupName: lab-{at} }} }}"
        );
    }
    text
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_that_waits_for_an_operation_says_so() {
    let lab = Lab::new(&slow()).await;
    lab.applies(&[]).await;
    lab.cloudformation().delete_stack().stack_name("lab-slow").send().await.unwrap();
    let plan = lab.mcm(&["plan", "--detailed-exitcode"], &[]).await.exits(2);
    assert!(plan.err.contains("waits for the stack lab-slow: DELETE_IN_PROGRESS"), "{}", plan.all());
    assert_eq!(plan.err.matches("waits for the stack").count(), 1, "{}", plan.err);
    assert!(plan.out.contains("+ resources.slow"), "{}", plan.all());
    lab.session.close().await;
}
