//! `mcm schema`: accepts every shipped stack, refuses what is wrong in a way that a schema can say.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value as Json;

use super::schema_check::violations;
use crate::support;

/// The stacks of the project.
fn shipped() -> Vec<PathBuf> {
    let mut stacks: Vec<PathBuf> = fs::read_dir(support::root().join("stacks"))
        .unwrap()
        .map(|entry| entry.unwrap().path().join("stack.yaml"))
        .filter(|file| file.exists())
        .collect();
    stacks.sort();
    assert!(stacks.len() >= 4, "{stacks:?}");
    stacks
}

fn schema() -> Json {
    mcm::stack::json_schema(&mcm::provider::catalogue())
}

fn json(yaml: &str) -> Json {
    serde_yaml::from_str(yaml).unwrap()
}

/// Wrong stacks, each with the place that a schema finds.
const WRONG: &[(&str, &str)] = &[
    ("description: x", ": required"),
    ("stack: Demo", "/stack: anyOf"),
    ("stack: demo\nresurces: {}", "/resurces: additionalProperties"),
    ("stack: demo\nvariables: { x: { typ: string } }", "/variables/x/typ: additionalProperties"),
    ("stack: demo\nvariables: { x: { type: text } }", "/variables/x/type: enum"),
    ("stack: demo\nclouds: { aws: { account: \"123\", region: us-east-1 } }", "/clouds/aws/account: anyOf"),
    ("stack: demo\nclouds: { aws: { account: \"123456789012\" } }", "/clouds/aws: required"),
    ("stack: demo\nclouds: { ibm: {} }", "/clouds/ibm: additionalProperties"),
    ("stack: demo\nresources: { Bad_Name: { use: x } }", "/resources/Bad_Name: pattern"),
    ("stack: demo\nresources: { a: {} }", "/resources/a: required"),
    ("stack: demo\nresources: { a: { type: AWS::S3::Buckt } }", "/resources/a/type: enum"),
    (
        "stack: demo\nresources: { a: { type: AWS::S3::Bucket, properties: { BucketNam: x } } }",
        "/resources/a/properties/BucketNam: additionalProperties",
    ),
    (
        "stack: demo\nresources: { a: { type: AWS::IAM::Role, properties: { AssumeRolePolicyDocument: {}, MaxSessionDuration: 1 } } }",
        "/resources/a/properties/MaxSessionDuration: anyOf",
    ),
    ("stack: demo\nresources: { a: { type: AWS::IAM::Role } }", "/resources/a: required"),
    (
        "stack: demo\nresources: { a: { type: AWS::S3::Bucket, onDelete: keep } }",
        "/resources/a/onDelete: anyOf",
    ),
    (
        "stack: demo\nresources: { a: { use: x, type: AWS::S3::Bucket } }",
        "/resources/a/type: additionalProperties",
    ),
    ("stack: demo\ntrust: { t: { from: \"${a}\" } }", "/trust/t: required"),
    ("stack: demo\noutputs: { o: { valeu: x } }", "/outputs/o: anyOf"),
];

#[test]
fn shipped_stacks_are_accepted() {
    let schema = schema();
    for stack in shipped() {
        let found = violations(&schema, &json(&fs::read_to_string(&stack).unwrap()));
        assert!(found.is_empty(), "{}: {found:#?}", stack.display());
    }
}

#[test]
fn wrong_stacks_are_refused() {
    let schema = schema();
    for (yaml, place) in WRONG {
        let found = violations(&schema, &json(yaml));
        assert!(found.iter().any(|one| one == place), "{yaml}\n{found:#?}");
    }
}

#[test]
fn a_reference_may_stand_for_any_value() {
    let schema = schema();
    let stack = "stack: demo\nresources: { a: { type: AWS::S3::Bucket, protect: \"${var.p}\", properties: { BucketName: \"${var.n}\", Tags: \"${var.t}\", PublicAccessBlockConfiguration: { BlockPublicAcls: \"${var.b}\" } } } }";
    assert_eq!(violations(&schema, &json(stack)), Vec::<String>::new());
}

/// An independent judge: Python's `jsonschema`.
#[test]
fn an_independent_validator_agrees() {
    let Some(python) = support::judges("json schema", &["jsonschema"]) else { return };
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, json: &Json| fs::write(folder.path().join(name), json.to_string()).unwrap();
    write("schema.json", &schema());
    let right: Vec<Json> = shipped().iter().map(|file| json(&fs::read_to_string(file).unwrap())).collect();
    write("right.json", &Json::Array(right));
    write("wrong.json", &Json::Array(WRONG.iter().map(|(yaml, _)| json(yaml)).collect()));
    let judge = "
import json, sys, jsonschema
load = lambda name: json.load(open(sys.argv[1] + '/' + name))
schema = load('schema.json')
jsonschema.Draft202012Validator.check_schema(schema)
validator = jsonschema.Draft202012Validator(schema)
for stack in load('right.json'):
    for error in validator.iter_errors(stack):
        sys.exit(f\"{stack['stack']}: {error.json_path}: {error.message}\")
for stack in load('wrong.json'):
    if validator.is_valid(stack):
        sys.exit(f'accepted: {stack}')
";
    let done = Command::new(python).args(["-c", judge]).arg(folder.path()).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}
