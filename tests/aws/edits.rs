//! An independent client beside mcm: what mcm made reads as the stack says, and what the client edits shows in the
//! plan as exactly that, and is put back.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use mcm::sandbox::{Accounts, Options, Session};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::cli::binary::run;
use crate::support;

const ACCOUNT: &str = "123456789012";

/// An edit, and where the plan must show it.
const EDITS: [(&str, &str, &str); 15] = [
    ("trust", "resources.lambda-role", "AssumeRolePolicyDocument"),
    ("description", "resources.lambda-role", "Description"),
    ("duration", "resources.lambda-role", "MaxSessionDuration"),
    ("role-tag", "resources.lambda-role", "Tags"),
    ("inline", "resources.lambda-role", "Policies"),
    ("attached", "resources.lambda-role", "ManagedPolicyArns"),
    ("files-tag", "resources.files", "Tags"),
    ("cors", "resources.files", "CorsConfiguration"),
    ("lifecycle", "resources.files", "LifecycleConfiguration"),
    ("encryption", "resources.files", "BucketEncryption"),
    ("website", "resources.site", "WebsiteConfiguration"),
    ("public", "resources.site", "PublicAccessBlockConfiguration"),
    ("policy", "resources.site-policy", "PolicyDocument"),
    ("object", "resources.site-content", "Files"),
    ("lost-object", "resources.site-content", "Files"),
];

/// boto3, asked to read or to edit.
struct Client {
    python: PathBuf,
    endpoint: String,
    keys: (String, String),
}

impl Client {
    fn ask(&self, what: &str) -> String {
        let (id, secret) = &self.keys;
        let script = support::root().join("tests/aws/edits.py");
        let done =
            Command::new(&self.python).arg(script).args([&self.endpoint, id, secret, what]).output().unwrap();
        assert!(done.status.success(), "{what}: {}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8(done.stdout).unwrap()
    }
}

/// Which properties of which resources the plan would change.
fn planned(home: &Path) -> BTreeSet<(String, String)> {
    let ran = run(home, &["plan", "--sandbox", "--json"]).exits(0);
    let plan: Value = serde_json::from_str(&ran.out).unwrap();
    let mut found = BTreeSet::new();
    for change in plan["resource_changes"].as_array().unwrap() {
        if change["change"]["actions"] == json!(["no-op"]) {
            continue;
        }
        assert_eq!(change["change"]["actions"], json!(["update"]), "{change:#}");
        let address = change["address"].as_str().unwrap();
        for path in change["mcm"]["changed"].as_array().unwrap() {
            // The property's own name, the first of its path.
            let name = path.as_str().unwrap().split(['.', '[']).next().unwrap();
            found.insert((address.to_owned(), name.to_owned()));
        }
    }
    found
}

#[test]
fn an_edit_by_another_client_shows_as_exactly_that_and_is_put_back() {
    let Some(python) = support::judges("aws edits", &["boto3"]) else { return };
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    support::three_clouds(home);
    let runtime = Runtime::new().unwrap();
    let options = Options {
        data: home.join(".mcm/sandbox"),
        port: None,
        latency: Duration::ZERO,
        accounts: Accounts::default(),
    };
    let session = runtime.block_on(Session::open(options)).unwrap();
    let client = Client {
        python,
        endpoint: session.endpoints.aws.clone(),
        keys: session.credentials.aws_keys(ACCOUNT),
    };
    run(home, &["apply", "--sandbox", "--auto-approve"]).exits(0);
    let made = client.ask("read");
    reads_as_the_stack_says(&serde_json::from_str(&made).unwrap(), home);

    let mut expected = BTreeSet::new();
    for (edit, address, property) in EDITS {
        client.ask(edit);
        expected.insert((address.to_owned(), property.to_owned()));
        assert_eq!(planned(home), expected, "after {edit}");
    }
    // What someone else put beside the files is theirs: neither shown nor touched.
    client.ask("stray-object");
    assert_eq!(planned(home), expected);
    run(home, &["apply", "--sandbox", "--auto-approve"]).exits(0);
    run(home, &["plan", "--sandbox", "--detailed-exitcode"]).exits(0);
    client.ask("no-stray-object");
    assert_eq!(client.ask("read"), made);
    run(home, &["destroy", "--sandbox", "--auto-approve"]).exits(0);
    runtime.block_on(session.close());
}

/// What another client reads of the reference stack, beside its file.
fn reads_as_the_stack_says(found: &Value, home: &Path) {
    let site = "image-recognition-site-demo-123456789012";
    let files = "arn:aws:s3:::image-recognition-files-demo-123456789012";
    let application = json!([{ "Key": "application", "Value": "image-recognition" }]);
    let expected = json!({
        "trust": { "Version": "2012-10-17", "Statement": [{
            "Effect": "Allow", "Principal": { "Service": "lambda.amazonaws.com" }, "Action": "sts:AssumeRole" }] },
        "description": "The functions of image-recognition.",
        "role tags": application,
        "inline": { "Version": "2012-10-17", "Statement": [
            { "Effect": "Allow", "Action": ["s3:GetObject", "s3:PutObject"], "Resource": format!("{files}/*") },
            { "Effect": "Allow", "Action": "s3:ListBucket", "Resource": files }] },
        "attached": ["arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"],
        "files tags": application,
        "cors": [{
            "AllowedMethods": ["POST"], "AllowedHeaders": ["content-type"], "MaxAgeSeconds": 3600,
            "AllowedOrigins": [format!("http://{site}.s3-website-us-east-1.amazonaws.com")] }],
        "lifecycle": [{
            "ID": "expire-images", "Status": "Enabled", "Filter": { "Prefix": "" }, "Expiration": { "Days": 30 },
            "AbortIncompleteMultipartUpload": { "DaysAfterInitiation": 1 } }],
        "encryption": { "SSEAlgorithm": "AES256" },
        "website": { "Suffix": "index.html" },
        "public": {
            "BlockPublicAcls": true, "IgnorePublicAcls": true, "BlockPublicPolicy": false,
            "RestrictPublicBuckets": false },
        "policy": { "Version": "2012-10-17", "Statement": [{
            "Sid": "EveryoneReads", "Effect": "Allow", "Principal": { "AWS": "*" }, "Action": "s3:GetObject",
            "Resource": format!("arn:aws:s3:::{site}/*") }] },
        "objects": [
            "api.js", "app.js", "error.html", "icon.svg", "index.html", "picture.js", "recent.js", "style.css",
            "trouble.js", "view.js"],
        "index": ["text/html; charset=utf-8", "public, max-age=300", std::fs::read_to_string(home.join("site/index.html")).unwrap()],
    });
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(&found[name], value, "{name}");
    }
}
