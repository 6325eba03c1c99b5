//! The shipped program with its state in a bucket of the sandbox that is served: every folder that has the stack file
//! is as good as any other.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::servers::{BUCKET, Served, key, make_bucket, place, sandbox_keys};
use crate::cli::binary::{Ran, SMALL, folder, mcm};

/// One role more, after the one before it: a run that takes longer than a look at its lock.
fn role(number: u32) -> String {
    let needs = if number == 1 { "worker".to_owned() } else { format!("role{}", number - 1) };
    format!(
        "  role{number}:
    type: AWS::IAM::Role
    dependsOn: [{needs}]
    properties:
      RoleName: small-role{number}
      AssumeRolePolicyDocument:
        Version: \"2012-10-17\"
        Statement:
          - {{ Effect: Allow, Principal: {{ Service: lambda.amazonaws.com }}, Action: \"sts:AssumeRole\" }}
"
    )
}

/// How many resources the stack has.
const COUNT: usize = 7;

/// A world: the sandbox, and the stack file that names it.
struct World {
    served: Served,
    stack: String,
    _home: tempfile::TempDir,
}

impl World {
    fn new(latency_ms: u32) -> Self {
        let home = folder(SMALL);
        let roles: String = (1..=5).map(role).collect();
        let served = Served::start(home.path(), latency_ms);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(make_bucket(&served.aws, key()));
        let aws = &served.aws;
        let stack = SMALL.replace("outputs:", &format!("{roles}outputs:")).replace(
            "region: us-east-1 }",
            &format!("region: us-east-1, endpoint: \"{aws}\" }}\nbackend: {{ url: \"s3://{BUCKET}/team/small\", region: us-east-1, endpoint: \"{aws}\" }}"),
        );
        Self { served, stack, _home: home }
    }

    /// A folder on another machine: the stack file alone.
    fn folder(&self) -> tempfile::TempDir {
        folder(&self.stack)
    }

    /// The journal as it is in the bucket.
    fn journal(&self) -> String {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let place = place(&format!("s3://{BUCKET}/team/small"), &self.served.aws, sandbox_keys());
        let read = runtime.block_on(place.medium().read("journal.jsonl")).unwrap().unwrap_or_default();
        String::from_utf8(read).unwrap()
    }

    /// Starts an apply, and waits until something is done.
    fn start(&self, folder: &Path) -> Child {
        let (id, secret) = key();
        let mut command = Command::new(env!("CARGO_BIN_EXE_mcm"));
        command.args(["apply", "--auto-approve"]).current_dir(folder).env_remove("MCM_SANDBOX");
        command.env("AWS_ACCESS_KEY_ID", id).env("AWS_SECRET_ACCESS_KEY", secret);
        let mut child =
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let began = Instant::now();
        while !self.journal().contains(r#""entry":"done""#) {
            assert_eq!(child.try_wait().unwrap(), None, "it ended too early");
            assert!(began.elapsed() < Duration::from_mins(1), "nothing gets done");
            std::thread::sleep(Duration::from_millis(20));
        }
        child
    }
}

fn run(folder: &Path, arguments: &[&str]) -> Ran {
    let (id, secret) = key();
    let mut command = mcm(folder);
    command.env("AWS_ACCESS_KEY_ID", id).env("AWS_SECRET_ACCESS_KEY", secret);
    command.args(arguments).output().unwrap().into()
}

const APPLY: &[&str] = &["apply", "--auto-approve"];

/// The id in the hint of exit code 7.
#[track_caller]
fn lock_id(told: &str) -> String {
    let (_, rest) = told.split_once("`mcm unlock ").unwrap_or_else(|| panic!("{told}"));
    rest.split_once('`').unwrap().0.to_owned()
}

#[test]
fn every_folder_sees_the_same_state() {
    let world = World::new(0);
    let (here, there) = (world.folder(), world.folder());
    let (here, there) = (here.path(), there.path());
    assert!(run(there, &["state", "list"]).exits(0).out.is_empty());
    run(here, APPLY).exits(0);
    run(there, &["plan", "--detailed-exitcode"]).exits(0);
    let listed = run(there, &["state", "list"]).exits(0).out;
    assert_eq!(listed.lines().count(), COUNT, "{listed}");
    assert!(!here.join(".mcm/state.json").exists() && !here.join(".mcm/journal.jsonl").exists());
    run(there, &["state", "rm", "files"]).exits(0);
    assert_eq!(run(here, &["state", "list"]).exits(0).out.lines().count(), COUNT - 1);
    run(here, &["import", "files", "small-files-123456789012"]).exits(0);
    run(there, &["plan", "--detailed-exitcode"]).exits(0);
    let unheld = run(there, &["unlock", "0123456789abcdef"]).exits(3);
    assert!(unheld.err.contains("no lock `0123456789abcdef` is held"), "{}", unheld.err);
    assert!(run(there, &["rollback"]).exits(0).out.contains("nothing to undo"));
    run(there, &["destroy", "--auto-approve"]).exits(0);
    assert!(run(here, &["state", "list"]).exits(0).out.is_empty());
    assert!(world.journal().is_empty());
}

#[test]
fn a_second_apply_is_told_who_holds_the_lock() {
    let world = World::new(300);
    let (here, there) = (world.folder(), world.folder());
    let mut first = world.start(here.path());
    let second = run(there.path(), APPLY).exits(7);
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    for told in [
        "another run holds the lock of this stack",
        &format!("process {} on {}", first.id(), host.trim()),
        "for `mcm apply`",
        "its lock ends at ",
        " UTC by the store's clock",
        "--lock-timeout",
    ] {
        assert!(second.err.contains(told), "{told}: {}", second.err);
    }
    assert_eq!(lock_id(&second.err).len(), 16);
    assert!(first.wait().unwrap().success(), "the loser did no harm");
    run(there.path(), &["plan", "--detailed-exitcode"]).exits(0);
}

#[test]
fn a_killed_run_is_continued_from_another_folder_when_its_lock_has_run_out() {
    let world = World::new(300);
    let (here, there) = (world.folder(), world.folder());
    let mut first = world.start(here.path());
    first.kill().unwrap();
    first.wait().unwrap();
    let killed = Instant::now();
    run(there.path(), APPLY).exits(7);
    let done = run(there.path(), &["apply", "--auto-approve", "--lock-timeout", "90s"]).exits(0);
    assert!(killed.elapsed() < Duration::from_mins(3), "{:?}: {}", killed.elapsed(), done.all());
    assert_eq!(run(there.path(), &["state", "list"]).exits(0).out.lines().count(), COUNT);
    run(there.path(), &["plan", "--detailed-exitcode"]).exits(0);
    assert!(world.journal().is_empty());
}

#[test]
fn a_killed_run_is_undone_from_another_folder() {
    let world = World::new(300);
    let (here, there) = (world.folder(), world.folder());
    let mut first = world.start(here.path());
    first.kill().unwrap();
    first.wait().unwrap();
    let told = run(there.path(), &["rollback"]).exits(7);
    let gone = run(there.path(), &["unlock", &lock_id(&told.err)]).exits(0);
    assert!(gone.out.contains("is gone"), "{}", gone.out);
    let planned = run(there.path(), &["plan"]).exits(0);
    assert!(planned.err.contains("mcm rollback"), "a plan tells of the unfinished run: {}", planned.all());
    run(there.path(), &["rollback"]).exits(0);
    assert!(run(there.path(), &["state", "list"]).exits(0).out.is_empty());
    let planned = run(there.path(), &["plan", "--detailed-exitcode"]).exits(2);
    assert!(planned.out.contains("7 to add, 0 to change"), "{}", planned.out);
    assert!(world.journal().is_empty());
}

#[test]
fn a_run_whose_lock_is_taken_away_stops_and_says_so() {
    let world = World::new(300);
    let (here, there) = (world.folder(), world.folder());
    let (id, secret) = key();
    let mut command = Command::new(env!("CARGO_BIN_EXE_mcm"));
    command.args(APPLY).current_dir(here.path()).env_remove("MCM_SANDBOX");
    command.env("AWS_ACCESS_KEY_ID", id).env("AWS_SECRET_ACCESS_KEY", secret);
    let first = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let began = Instant::now();
    while !world.journal().contains(r#""entry":"intent""#) {
        assert!(began.elapsed() < Duration::from_mins(1), "nothing begins");
    }
    let told = run(there.path(), APPLY).exits(7);
    run(there.path(), &["unlock", &lock_id(&told.err)]).exits(0);
    let second = run(there.path(), APPLY);
    let first: Ran = first.wait_with_output().unwrap().into();
    // The first may have been done before it was robbed; else it stopped with what it had.
    if first.code != Some(0) {
        let first = first.exits(6);
        for told in ["the run was stopped", "no further step was begun", "another run may be at work"] {
            assert!(first.err.contains(told), "{told}: {}", first.err);
        }
    }
    assert!(matches!(second.code, Some(0 | 5 | 6)), "{}", second.all());
    run(there.path(), &["apply", "--auto-approve", "--lock-timeout", "90s"]).exits(0);
    run(here.path(), &["plan", "--detailed-exitcode"]).exits(0);
}
