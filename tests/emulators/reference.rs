//! The reference stack through the shipped binary, its AWS part where somebody else wrote the cloud, the rest in our
//! sandbox: applied, planned again, edited from outside, changed, destroyed.

use std::path::PathBuf;
use std::process::Command;

use serde_json::Value as Json;

use super::servers::Emulator;
use crate::cli::binary::{Ran, mcm};
use crate::support::{copy, functions_target, judges, reference, root, three_clouds};

/// A project of one stack, as it stands in the repository: with the parts that stacks share.
struct Home {
    /// The stack's folder.
    path: PathBuf,
    endpoint: Option<String>,
    _folder: Option<tempfile::TempDir>,
}

impl Home {
    fn new(stack: &str, endpoint: Option<String>) -> Self {
        if stack == "image-recognition" {
            let player = if endpoint.is_some() { "emulator" } else { "sandbox" };
            return Self { path: reference(player), endpoint, _folder: None };
        }
        let folder = tempfile::tempdir().unwrap();
        for shared in ["templates".to_owned(), format!("stacks/{stack}")] {
            copy(&root().join(&shared), &folder.path().join(&shared));
        }
        Self { path: folder.path().join("stacks").join(stack), endpoint, _folder: Some(folder) }
    }

    /// The reference stack, whole, where its functions reach neither Google's nor Azure's side: their smoke tests ask no
    /// other cloud, only that they start and answer.
    fn among_strangers(endpoint: String) -> Self {
        let home = Self::new("image-recognition", Some(endpoint));
        let stack = home.path.join("stack.yaml");
        let mut text = std::fs::read_to_string(&stack).unwrap();
        for (deep, shallow) in [
            (
                "event: { probe: true }, expect: { ok: true }",
                "event: { Service: Amazon S3, Event: \"s3:TestEvent\" }",
            ),
            ("00000000-0000-4000-8000-000000000000", "none"),
            ("expect: { statusCode: 404 }", "expect: { statusCode: 400 }"),
        ] {
            assert!(text.contains(deep), "the stack has no `{deep}` any more");
            text = text.replace(deep, shallow);
        }
        std::fs::write(stack, text).unwrap();
        home
    }

    /// The reference stack without its functions.
    fn without_functions(endpoint: String) -> Self {
        let folder = tempfile::tempdir().unwrap();
        three_clouds(folder.path());
        Self { path: folder.path().to_owned(), endpoint: Some(endpoint), _folder: Some(folder) }
    }

    #[track_caller]
    fn runs(&self, arguments: &[&str], code: i32) -> Ran {
        let mut command = mcm(&self.path);
        command.env("CARGO_TARGET_DIR", functions_target());
        if let Some(endpoint) = &self.endpoint {
            command.env("AWS_ENDPOINT_URL", endpoint);
        }
        Ran::from(command.args(arguments).arg("--sandbox").output().unwrap()).exits(code)
    }

    #[track_caller]
    fn nothing_to_do(&self) {
        self.runs(&["plan", "--detailed-exitcode"], 0);
    }
}

const APPLY: &[&str] = &["apply", "--auto-approve"];
const DESTROY: &[&str] = &["destroy", "--auto-approve"];

/// Somebody else's client changes the role's description in the emulator.
fn meddle(emulator: &Emulator) {
    let python = judges(emulator.name, &["boto3"]).unwrap();
    let program = format!(
        "import boto3\n\
         iam = boto3.client('iam', endpoint_url='{}', region_name='us-east-1', aws_access_key_id='123456789012', aws_secret_access_key='test')\n\
         iam.update_role(RoleName='image-recognition-demo', Description='changed by hand')\n",
        emulator.endpoint
    );
    let done = Command::new(python).args(["-c", &program]).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

/// CloudFormation's own linter finds nothing in the templates that the stack is deployed with.
fn lints(home: &Home) {
    let Some(python) = judges("cfn-lint", &["cfnlint"]) else { return };
    let plan: Json = serde_json::from_str(&home.runs(&["plan", "--json"], 0).out).unwrap();
    let changes = plan["resource_changes"].as_array().unwrap().iter();
    let stacks = changes.filter(|change| change["type"] == "AWS::CloudFormation::Stack");
    let folder = tempfile::tempdir().unwrap();
    let mut linted = Vec::new();
    for stack in stacks {
        let file = folder.path().join(stack["address"].as_str().unwrap());
        std::fs::write(&file, stack["change"]["after"]["TemplateBody"].to_string()).unwrap();
        let said =
            Command::new(python.with_file_name("cfn-lint")).arg("--template").arg(&file).output().unwrap();
        assert!(said.status.success(), "{stack}: {}", String::from_utf8_lossy(&said.stdout));
        linted.push(stack["address"].as_str().unwrap().to_owned());
    }
    assert_eq!(linted, ["resources.site.distribution", "functions.deployment"]);
}

fn lives(emulator: &Emulator, home: &Home) {
    home.runs(APPLY, 0);
    home.nothing_to_do();

    meddle(emulator);
    let plan = home.runs(&["plan", "--detailed-exitcode"], 2).out;
    assert!(plan.contains("\"changed by hand\" -> \"The functions of image-recognition.\""), "{plan}");
    assert!(plan.ends_with("Plan: 0 to add, 1 to change, 0 to destroy.\n"), "{plan}");
    home.runs(APPLY, 0);
    home.nothing_to_do();

    std::fs::write(home.path.join("site/index.html"), "<!doctype html><title>changed</title>").unwrap();
    let stack = home.path.join("stack.yaml");
    let text = std::fs::read_to_string(&stack).unwrap();
    std::fs::write(&stack, text.replace("ExpirationInDays: 30", "ExpirationInDays: 7")).unwrap();
    let plan = home.runs(&["plan", "--detailed-exitcode"], 2).out;
    assert!(plan.ends_with("Plan: 0 to add, 2 to change, 0 to destroy.\n"), "{plan}");
    home.runs(APPLY, 0);
    home.nothing_to_do();

    home.runs(DESTROY, 0);
    let listed = home.runs(&["state", "list"], 0).out;
    assert!(listed.is_empty(), "{listed}");
    home.runs(APPLY, 0);
    home.nothing_to_do();
}

/// Without its functions: moto runs those in containers only.
#[test]
fn the_reference_stack_lives_on_moto() {
    let Some(emulator) = Emulator::moto() else { return };
    lives(&emulator, &Home::without_functions(emulator.endpoint.clone()));
}

/// With its functions, which run there: their smoke tests are calls to them, if shallow ones.
#[test]
fn the_reference_stack_lives_on_ministack() {
    let Some(emulator) = Emulator::ministack() else { return };
    let home = Home::among_strangers(emulator.endpoint.clone());
    lints(&home);
    lives(&emulator, &home);
}

/// The addresses whose names a destroy says are still held.
fn held(told: &str) -> Vec<&str> {
    let lines = told.lines().skip_while(|line| !line.starts_with("Deleted, with the name still held"));
    lines.skip(1).filter_map(|line| line.split_whitespace().nth(1)).collect()
}

#[test]
fn every_shipped_stack_lives_in_the_sandbox() {
    let mut restored = 0;
    for entry in std::fs::read_dir(root().join("stacks")).unwrap() {
        let name = entry.unwrap().file_name();
        let home = Home::new(name.to_str().unwrap(), None);
        home.runs(APPLY, 0);
        home.nothing_to_do();
        // What is deleted and holds its name is planned as a restore.
        let destroyed = home.runs(DESTROY, 0).out;
        let plan = home.runs(&["plan"], 0).out;
        for address in held(&destroyed) {
            assert!(plan.contains(&format!("\n <- {address}  ")), "{address}: {plan}");
            restored += 1;
        }
        home.runs(APPLY, 0);
        home.nothing_to_do();
    }
    assert!(restored >= 3, "an account, a pool and a provider of the reference stack");
}

#[test]
fn the_readmes_stack_lives_in_the_sandbox() {
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    let (_, rest) = readme.split_once("```yaml\n").unwrap();
    let (stack, _) = rest.split_once("```").unwrap();
    let home = crate::cli::binary::folder(stack);
    let run = |arguments: &[&str], code| crate::cli::binary::run(home.path(), arguments).exits(code);
    run(&["apply", "--sandbox", "--auto-approve"], 0);
    run(&["plan", "--sandbox", "--detailed-exitcode"], 0);
    // It says that one of its resources is never deleted.
    run(&["destroy", "--sandbox", "--auto-approve"], 4);
}
