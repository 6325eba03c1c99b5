//! The whole road through the binary: plan, apply, change, destroy, in the sandbox.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::binary::{SMALL, folder, mcm, run};

fn write(home: &Path, stack: &str) {
    fs::write(home.join("stack.yaml"), stack).unwrap();
}

#[test]
fn from_nothing_to_nothing_and_back() {
    let home = folder(SMALL);
    let home = home.path();
    assert!(run(home, &["validate"]).exits(0).out.contains("2 resources"));
    let planned = run(home, &["plan", "--sandbox", "--detailed-exitcode"]).exits(2);
    assert!(
        planned.out.trim_end().ends_with("Plan: 2 to add, 0 to change, 0 to destroy."),
        "{}",
        planned.out
    );
    assert!(planned.err.is_empty(), "{}", planned.err);
    insta::assert_snapshot!("road_plan", planned.out);

    let applied = run(home, &["apply", "--sandbox", "--auto-approve"]).exits(0);
    assert!(applied.out.contains("2 added, 0 changed, 0 destroyed"), "{}", applied.all());
    assert!(applied.out.contains("arn:aws:s3:::small-files-123456789012"), "{}", applied.out);
    assert!(applied.err.contains("resources.files: created in"), "{}", applied.err);
    run(home, &["plan", "--sandbox", "--detailed-exitcode"]).exits(0);
    run(home, &["apply", "--sandbox", "--auto-approve"]).exits(0);

    write(home, &SMALL.replace("default: one", "default: two"));
    let changed = run(home, &["plan", "--sandbox", "--detailed-exitcode"]).exits(2);
    insta::assert_snapshot!("road_change", changed.out);
    run(home, &["apply", "--sandbox", "--auto-approve"]).exits(0);
    run(home, &["plan", "--sandbox", "--detailed-exitcode"]).exits(0);

    let listed = run(home, &["state", "list", "--sandbox"]).exits(0);
    assert_eq!(listed.out.lines().count(), 2, "{}", listed.out);
    let destroyed = run(home, &["destroy", "--sandbox", "--auto-approve"]).exits(0);
    assert!(destroyed.out.contains("2 destroyed"), "{}", destroyed.out);
    assert!(run(home, &["state", "list", "--sandbox"]).exits(0).out.is_empty());
    run(home, &["apply", "--sandbox", "--auto-approve"]).exits(0);
    run(home, &["plan", "--sandbox", "--detailed-exitcode"]).exits(0);
    assert!(!home.join(".mcm/state.json").exists(), "sandbox and real runs never mix");
}

#[test]
fn a_copy_is_a_stack_of_its_own() {
    let named = SMALL.replacen("stack: small", "stack: small-${var.copy}", 1);
    let declared = "variables:\n  copy: { type: string }\n";
    let home = folder(&match named.split_once("variables:\n") {
        Some((before, after)) => format!("{before}{declared}{after}"),
        None => format!("{named}{declared}"),
    });
    let home = home.path();
    run(home, &["apply", "--sandbox", "--auto-approve", "--var", "copy=prod"]).exits(0);
    let other = ["plan", "--sandbox", "--var", "copy=dev"];
    let refused = run(home, &other).exits(3);
    assert!(refused.err.contains("what the stack `small-prod` owns, not `small-dev`"), "{}", refused.err);
    // On another machine: no state at all, and names that both copies would have.
    fs::remove_dir_all(home.join(".mcm/sandbox/state")).unwrap();
    let refused = run(home, &other).exits(4);
    assert!(refused.err.contains("in the stack `small-prod`"), "{}", refused.err);
    let lost = run(home, &["plan", "--sandbox", "--detailed-exitcode", "--var", "copy=prod"]).exits(2);
    assert!(lost.all().contains("resources.files and 1 more bear this stack's mark"), "{}", lost.all());
    // What mcm has deleted itself is no stray, though its name is held.
    run(home, &["apply", "--sandbox", "--auto-approve", "--var", "copy=prod"]).exits(0);
    run(home, &["destroy", "--sandbox", "--auto-approve", "--var", "copy=prod"]).exits(0);
    let afresh = run(home, &["plan", "--sandbox", "--var", "copy=prod"]).exits(0);
    assert!(!afresh.all().contains("mark"), "{}", afresh.all());
}

#[test]
fn outputs_are_read_live_and_hidden_unless_named() {
    let home = folder(SMALL);
    let home = home.path();
    let early = run(home, &["output", "--sandbox", "bucket"]).exits(1);
    assert!(early.err.contains("run `mcm apply` first"), "{}", early.err);
    run(home, &["apply", "--sandbox", "--auto-approve"]).exits(0);
    let all = run(home, &["output", "--sandbox"]).exits(0);
    assert_eq!(all.out, "bucket: \"arn:aws:s3:::small-files-123456789012\"\nrole:   (sensitive)\n");
    let one = run(home, &["output", "--sandbox", "role"]).exits(0);
    assert_eq!(one.out, "arn:aws:iam::123456789012:role/small-worker\n");
    let json = run(home, &["output", ".", "bucket", "--sandbox", "--json"]).exits(0);
    assert_eq!(json.out, "\"arn:aws:s3:::small-files-123456789012\"\n");
    let json = run(home, &["output", "--sandbox", "--json"]).exits(0);
    let json: serde_json::Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!(json["role"], serde_json::json!({ "sensitive": true, "known": true, "value": null }));
}

#[test]
fn events_are_one_json_object_a_line() {
    let home = folder(SMALL);
    let ran = run(home.path(), &["apply", "--sandbox", "--auto-approve", "--json"]).exits(0);
    let kinds: Vec<String> = ran
        .out
        .lines()
        .map(|line| {
            serde_json::from_str::<serde_json::Value>(line).unwrap()["type"].as_str().unwrap().to_owned()
        })
        .collect();
    assert_eq!(kinds.first().unwrap(), "version");
    assert_eq!(kinds.last().unwrap(), "outputs");
    assert_eq!(kinds.iter().filter(|kind| *kind == "apply_complete").count(), 2, "{kinds:?}");
    assert!(ran.err.is_empty(), "{}", ran.err);
}

#[test]
fn plan_json_has_terraforms_shape() {
    let home = folder(SMALL);
    let ran = run(home.path(), &["plan", "--sandbox", "--json"]).exits(0);
    let plan: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(plan["format_version"], "1.2");
    let change = &plan["resource_changes"][1];
    assert_eq!(change["address"], "resources.worker");
    assert_eq!(change["type"], "AWS::IAM::Role");
    assert_eq!(change["change"]["actions"], serde_json::json!(["create"]));
    assert_eq!(change["change"]["before"], serde_json::Value::Null);
    assert_eq!(plan["mcm"]["order"].as_array().unwrap().len(), 2);
}

#[test]
fn what_is_let_go_of_can_be_taken_back() {
    let home = folder(SMALL);
    let home = home.path();
    run(home, &["apply", "--sandbox", "--auto-approve"]).exits(0);
    run(home, &["state", "show", "files", "--sandbox"]).exits(0);
    run(home, &["state", "rm", "files", "--sandbox"]).exits(0);
    run(home, &["import", "files", "no-such-bucket-123456789012", "--sandbox"]).exits(1);
    let taken = run(home, &["import", "files", "small-files-123456789012", "--sandbox"]).exits(0);
    assert!(taken.out.contains("leave it as it is"), "{}", taken.out);
    run(home, &["import", "files", "small-files-123456789012", "--sandbox"]).exits(4);
    run(home, &["plan", "--sandbox", "--detailed-exitcode"]).exits(0);
}

#[test]
fn a_later_flag_beats_an_earlier_one_and_any_flag_a_file() {
    let home = folder(SMALL);
    for (name, value) in [("a.yaml", "tag: filea"), ("b.json", "{\"tag\": \"fileb\"}")] {
        fs::write(home.path().join(name), value).unwrap();
    }
    let files = ["--var-file", "a.yaml", "--var-file", "b.json"];
    let flags = ["--var", "tag=flagone", "--var", "tag=flagtwo"];
    for (arguments, expected) in [
        (Vec::new(), "outside"),
        (files[..2].to_vec(), "filea"),
        (files.to_vec(), "fileb"),
        ([&flags[..2], &files].concat(), "flagone"),
        ([&flags[..], &files].concat(), "flagtwo"),
        ([&files[..], &flags].concat(), "flagtwo"),
    ] {
        let mut command = mcm(home.path());
        command.env("MCM_VAR_tag", "outside").args(["plan", "--sandbox", "--json"]).args(&arguments);
        let ran = super::binary::Ran::from(command.output().unwrap()).exits(0);
        let plan: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
        let tags = &plan["resource_changes"][0]["change"]["after"]["Tags"];
        assert_eq!(tags[0]["Value"], expected, "{arguments:?}");
    }
}

#[test]
fn the_graph_is_drawn() {
    let home = folder(SMALL);
    let dot = run(home.path(), &["graph"]).exits(0);
    assert!(dot.out.contains("\"resources.worker\" -> \"resources.files\";"), "{}", dot.out);
    let mermaid = run(home.path(), &["graph", "--format", "mermaid"]).exits(0);
    assert!(mermaid.out.contains("resources_worker --> resources_files"), "{}", mermaid.out);
}

/// A sandbox of another process, ended by its own id.
pub struct Served(Child);

impl Served {
    pub fn start(home: &Path, more: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_mcm"))
            .args(["sandbox", "serve"])
            .args(more)
            .current_dir(home)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        assert!(line.starts_with("AWS"), "{line}");
        Self(child)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn signal(child: &Child, name: &str) {
    let done = Command::new("kill").args([name, &child.id().to_string()]).status().unwrap();
    assert!(done.success());
}

#[test]
fn a_served_sandbox_is_used_and_described() {
    let home = folder(SMALL);
    let served = Served::start(home.path(), &[]);
    let env = run(home.path(), &["sandbox", "env", "--json"]).exits(0);
    let env: serde_json::Value = serde_json::from_str(&env.out).unwrap();
    for (cloud, members) in [
        ("aws", ["endpoint", "account", "region", "access_key_id", "secret_access_key"].as_slice()),
        ("gcp", &["endpoint", "project", "project_number", "token"]),
        ("azure", &["endpoint", "subscription", "tenant", "location", "token"]),
    ] {
        let found: Vec<&String> = env[cloud].as_object().unwrap().keys().collect();
        assert_eq!(found, members);
    }
    let exports = run(home.path(), &["sandbox", "env"]).exits(0);
    assert!(exports.out.lines().all(|line| line.starts_with("export ")), "{}", exports.out);
    run(home.path(), &["apply", "--sandbox", "--auto-approve"]).exits(0);
    // The exports alone lead the real code there, and its state is the real one.
    let mut command = mcm(home.path());
    for name in ["endpoint", "access_key_id", "secret_access_key"] {
        let variable = if name == "endpoint" {
            "AWS_ENDPOINT_URL".to_owned()
        } else {
            format!("AWS_{}", name.to_uppercase())
        };
        command.env(variable, env["aws"][name].as_str().unwrap());
    }
    let ran = super::binary::Ran::from(command.args(["plan", "--detailed-exitcode"]).output().unwrap());
    assert!(matches!(ran.code, Some(0 | 2)), "{}", ran.all());
    run(home.path(), &["sandbox", "serve"]).exits(4);
    run(home.path(), &["sandbox", "reset"]).exits(4);
    drop(served);
    run(home.path(), &["sandbox", "reset"]).exits(0);
    run(home.path(), &["plan", "--sandbox", "--detailed-exitcode"]).exits(2);
}

#[test]
fn a_stopped_server_ends_well() {
    let home = folder(SMALL);
    let mut served = Served::start(home.path(), &[]);
    signal(&served.0, "-TERM");
    assert_eq!(served.0.wait().unwrap().code(), Some(0));
}

/// An apply that is creating something, and what it says from there on.
fn begun(home: &Path) -> (Child, impl Iterator<Item = std::io::Result<String>>) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_mcm"))
        .args(["apply", "--sandbox", "--auto-approve", "--parallelism", "1"])
        .current_dir(home)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    assert!(lines.by_ref().map(Result::unwrap).any(|line| line.contains("creating")));
    (child, lines)
}

#[test]
fn a_sandbox_that_ends_beneath_a_run_is_named() {
    let home = folder(SMALL);
    let mut served = Served::start(home.path(), &["--latency-ms", "400"]);
    let (mut child, lines) = begun(home.path());
    served.0.kill().unwrap();
    let rest: Vec<String> = lines.map(Result::unwrap).collect();
    assert!(matches!(child.wait().unwrap().code(), Some(1 | 5 | 6)), "{rest:#?}");
    assert!(rest.iter().any(|line| line.contains("was another mcm command's, and ended")), "{rest:#?}");
    let again = run(home.path(), &["apply", "--sandbox", "--auto-approve"]).exits(0);
    assert!(!again.all().contains("another mcm command's"), "{}", again.all());
}

#[test]
fn an_interrupted_run_says_so_and_goes_on() {
    let home = folder(SMALL);
    let _served = Served::start(home.path(), &["--latency-ms", "400"]);
    let (mut child, lines) = begun(home.path());
    signal(&child, "-INT");
    let start = Instant::now();
    let rest: Vec<String> = lines.map(Result::unwrap).collect();
    assert_eq!(child.wait().unwrap().code(), Some(130), "{rest:#?}");
    assert!(start.elapsed() < Duration::from_secs(6), "{:?}", start.elapsed());
    assert!(rest.iter().any(|line| line.contains("Stopping")), "{rest:#?}");
    assert!(rest.iter().any(|line| line.contains("interrupted")), "{rest:#?}");
    run(home.path(), &["apply", "--sandbox", "--auto-approve"]).exits(0);
    run(home.path(), &["plan", "--sandbox", "--detailed-exitcode"]).exits(0);
}

#[test]
fn a_second_signal_leaves_at_once() {
    let home = folder(SMALL);
    let _served = Served::start(home.path(), &["--latency-ms", "1500"]);
    let mut child = Command::new(env!("CARGO_BIN_EXE_mcm"))
        .args(["apply", "--sandbox", "--auto-approve"])
        .current_dir(home.path())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    lines.by_ref().map(Result::unwrap).find(|line| line.contains("creating")).unwrap();
    signal(&child, "-TERM");
    lines.by_ref().map(Result::unwrap).find(|line| line.contains("Stopping")).unwrap();
    let start = Instant::now();
    signal(&child, "-TERM");
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(start.elapsed() < Duration::from_secs(1));
    run(home.path(), &["apply", "--sandbox", "--auto-approve"]).exits(0);
    run(home.path(), &["plan", "--sandbox", "--detailed-exitcode"]).exits(0);
}

#[test]
fn another_account_is_never_touched() {
    let home = folder(SMALL);
    let _served = Served::start(home.path(), &[]);
    let data = home.path().join(".mcm/sandbox");
    let (id, secret) = mcm::sandbox::Credentials::of(&data).unwrap().aws_keys("999999999999");
    let env = run(home.path(), &["sandbox", "env", "--json"]).exits(0);
    let env: serde_json::Value = serde_json::from_str(&env.out).unwrap();
    let mut command = mcm(home.path());
    command.env("AWS_ENDPOINT_URL", env["aws"]["endpoint"].as_str().unwrap());
    command.env("AWS_ACCESS_KEY_ID", id).env("AWS_SECRET_ACCESS_KEY", secret);
    let ran = super::binary::Ran::from(command.args(["apply", "--auto-approve"]).output().unwrap()).exits(4);
    insta::assert_snapshot!("another_account", ran.err);
}

#[test]
fn no_credentials_is_exit_8() {
    let home = folder(SMALL);
    let _served = Served::start(home.path(), &[]);
    let env = run(home.path(), &["sandbox", "env", "--json"]).exits(0);
    let env: serde_json::Value = serde_json::from_str(&env.out).unwrap();
    let mut command = mcm(home.path());
    command.env("AWS_ENDPOINT_URL", env["aws"]["endpoint"].as_str().unwrap());
    command.env("AWS_ACCESS_KEY_ID", "AKIAXXXXXXXXXXXXXXXX").env("AWS_SECRET_ACCESS_KEY", "wrong");
    let ran = super::binary::Ran::from(command.args(["plan"]).output().unwrap()).exits(8);
    assert!(ran.err.contains("no valid credentials"), "{}", ran.err);
    assert!(ran.err.contains("help: "), "{}", ran.err);
}

#[test]
fn an_interrupted_plan_changes_nothing() {
    let home = folder(SMALL);
    let _served = Served::start(home.path(), &["--latency-ms", "2000"]);
    let mut child = Command::new(env!("CARGO_BIN_EXE_mcm"))
        .args(["plan", "--sandbox", "--verbose"])
        .current_dir(home.path())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Its trace says that a request is under way.
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    assert!(lines.by_ref().any(|line| line.contains("AWS")));
    signal(&child, "-INT");
    let rest: Vec<String> = lines.collect();
    assert_eq!(child.wait().unwrap().code(), Some(130), "{rest:#?}");
    assert!(rest.iter().any(|line| line.contains("nothing was changed")), "{rest:#?}");
}
