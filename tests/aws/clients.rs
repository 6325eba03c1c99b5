//! AWS's own clients, written by others, judge the sandbox: `judge.py` and the command-line tool.

use std::process::Command;
use std::time::Duration;

use mcm::sandbox::{Accounts, Options, Session};

use crate::support;

/// The stack's account, and someone else's.
const ACCOUNTS: [&str; 2] = ["123456789012", "210987654321"];

#[tokio::test(flavor = "multi_thread")]
async fn boto3_and_the_command_line_find_aws_here() {
    let Some(python) = support::judges("aws clients", &["boto3"]) else { return };
    let folder = tempfile::tempdir().unwrap();
    let accounts = Accounts { aws: [ACCOUNTS[0].to_owned()].into(), ..Accounts::default() };
    let options = Options { data: folder.path().to_owned(), port: None, latency: Duration::ZERO, accounts };
    let session = Session::open(options).await.unwrap();
    let mut judge = Command::new(python);
    judge.arg(support::root().join("tests/aws/judge.py")).arg(&session.endpoints.aws);
    for account in ACCOUNTS {
        let (id, secret) = session.credentials.aws_keys(account);
        judge.args([account, &id, &secret]);
    }
    let done = tokio::task::spawn_blocking(move || judge.output()).await.unwrap().unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert!(done.status.success(), "{said}");
    session.close().await;
}
