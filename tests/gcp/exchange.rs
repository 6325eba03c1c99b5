//! The road from an AWS role to a document in Firestore, by Google's own libraries: with the credential file that mcm
//! writes after it has applied the shipped stack.

use std::process::Command;
use std::time::Duration;

use mcm::sandbox::{Accounts, Options, Session};

use crate::support::{judges, root, three_clouds};

/// The account of the stack, and another one.
const ACCOUNTS: [&str; 2] = ["123456789012", "210987654321"];

#[tokio::test(flavor = "multi_thread")]
async fn an_aws_role_becomes_a_service_account_and_no_other_does() {
    let modules = ["boto3", "google.auth.aws", "google.cloud.firestore", "googleapiclient", "requests"];
    let Some(python) = judges("gcp::an_aws_role_becomes_a_service_account", &modules) else { return };
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().to_owned();
    three_clouds(&home);
    let accounts = Accounts { aws: ACCOUNTS.map(str::to_owned).into(), ..Accounts::default() };
    let data = home.join(".mcm/sandbox");
    let session =
        Session::open(Options { data, port: None, latency: Duration::ZERO, accounts }).await.unwrap();
    let (endpoints, owner) = (session.endpoints.clone(), session.credentials.clone());
    let judged = tokio::task::spawn_blocking(move || {
        let mcm = |arguments: &[&str]| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_mcm"));
            command.current_dir(&home).args(arguments).arg("--sandbox");
            for name in ["MCM_SANDBOX", "AWS_ENDPOINT_URL"] {
                command.env_remove(name);
            }
            let done = command.output().unwrap();
            assert!(done.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
            done.stdout
        };
        mcm(&["apply", "--auto-approve"]);
        let file = home.join("google.json");
        std::fs::write(&file, mcm(&["output", "google-credential-configuration", "--json"])).unwrap();
        let ((key, secret), (other_key, other_secret)) =
            (owner.aws_keys(ACCOUNTS[0]), owner.aws_keys(ACCOUNTS[1]));
        let role = format!("arn:aws:iam::{}:role/image-recognition-demo", ACCOUNTS[0]);
        let database = "projects/image-recognition-demo/databases/image-recognition-demo";
        let mut judge = Command::new(python);
        judge.arg(root().join("tests/gcp/exchange.py")).args([&endpoints.aws, &endpoints.gcp]).arg(&file);
        judge.args([&role, &key, &secret, &other_key, &other_secret, &owner.gcp_token(), database]);
        judge.env("AWS_EC2_METADATA_DISABLED", "true").output().unwrap()
    });
    let judged = judged.await.unwrap();
    let (out, err) = (String::from_utf8_lossy(&judged.stdout), String::from_utf8_lossy(&judged.stderr));
    assert!(judged.status.success() && out.trim() == "ok", "{out}\n{err}");
}
