//! What a user reads when the store of the state cannot be used.

use std::fmt::Write as _;
use std::path::Path;

use super::servers::{BUCKET, Served, key, make_bucket};
use crate::cli::binary::{Ran, SMALL, folder, mcm};

/// A stack whose state lies there.
fn stack(backend: &str, endpoint: &str) -> tempfile::TempDir {
    folder(&SMALL.replace(
        "region: us-east-1 }",
        &format!("region: us-east-1, endpoint: \"{endpoint}\" }}\nbackend: {backend}"),
    ))
}

fn run(folder: &Path, (id, secret): (&str, &str), arguments: &[&str]) -> Ran {
    let mut command = mcm(folder);
    command.env("AWS_ACCESS_KEY_ID", id).env("AWS_SECRET_ACCESS_KEY", secret);
    command.args(arguments).output().unwrap().into()
}

/// Every command meets it, ends with this code, and says this.
#[track_caller]
fn all(folder: &Path, keys: (&str, &str), code: i32, told: &[&str]) -> String {
    let commands: [&[&str]; 7] = [
        &["apply", "--auto-approve"],
        &["destroy", "--auto-approve"],
        &["plan"],
        &["state", "list"],
        &["rollback"],
        &["unlock", "0123456789abcdef"],
        &["output"],
    ];
    let mut first = String::new();
    for command in commands {
        let ran = run(folder, keys, command).exits(code);
        assert!(ran.out.is_empty(), "{command:?}: nothing half-known is shown: {}", ran.out);
        assert_eq!(ran.err.matches("error:").count(), 1, "{command:?}: one message: {}", ran.err);
        for told in told {
            assert!(ran.err.contains(told), "{command:?}: {told}: {}", ran.err);
        }
        if first.is_empty() {
            first = ran.err;
        }
    }
    first
}

#[test]
fn each_trouble_is_one_clear_message_with_its_code() {
    let home = folder(SMALL);
    let served = Served::start(home.path(), 0);
    let aws = served.aws.as_str();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(make_bucket(aws, key()));
    let (id, secret) = key();
    let keys = (id.as_str(), secret.as_str());
    let mut told = String::new();
    let mut tell = |what: &str, err: &str| {
        write!(told, "--- {what}\n{err}").unwrap();
    };

    let missing = stack(&format!("{{ url: \"s3://mcm-no-such-bucket/x\", endpoint: \"{aws}\" }}"), aws);
    let words = ["s3://mcm-no-such-bucket/x", "does not exist", "NoSuchBucket", "Make the bucket first"];
    // Taking away a lock asks for an object alone, and S3 says that there is none.
    tell("no bucket", &all(missing.path(), keys, 1, &words));

    let there = stack(&format!("{{ url: \"s3://{BUCKET}/x\", endpoint: \"{aws}\" }}"), aws);
    let words = ["does not let these credentials in", "SignatureDoesNotMatch", "or use others"];
    tell("denied", &all(there.path(), (keys.0, "wrong"), 8, &words));

    let nowhere = stack(&format!("{{ url: \"s3://{BUCKET}/x\", endpoint: \"http://127.0.0.1:1\" }}"), aws);
    let words = ["cannot be reached", "Look at the network"];
    tell("unreachable", &all(nowhere.path(), keys, 1, &words));

    insta::with_settings!({ filters => vec![
        (r"127\.0\.0\.1:[0-9]{2,}", "127.0.0.1:PORT"),
        (r"AKIA[A-Z0-9]+|sandbox-[0-9a-z]+", "KEY"),
    ] }, { insta::assert_snapshot!("backend_troubles", told) });
    // Nothing of all this was written anywhere.
    assert!(!missing.path().join(".mcm/state.json").exists());
}

#[test]
fn no_credentials_is_exit_8() {
    let home = folder(&SMALL.replace("resources:", &format!("backend: s3://{BUCKET}/x\nresources:")));
    for command in [&["plan"][..], &["apply", "--auto-approve"], &["state", "list"]] {
        let mut program = mcm(home.path());
        for name in ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"] {
            program.env_remove(name);
        }
        program.env("HOME", home.path()).env("AWS_EC2_METADATA_DISABLED", "true");
        program.env("AWS_CONFIG_FILE", home.path().join("none"));
        program.env("AWS_SHARED_CREDENTIALS_FILE", home.path().join("none"));
        let ran = Ran::from(program.args(command).output().unwrap()).exits(8);
        assert!(ran.err.contains("there are no credentials for it"), "{}", ran.err);
        assert!(ran.err.contains("Sign in to the cloud that `backend` names"), "{}", ran.err);
        assert!(ran.out.is_empty(), "{}", ran.out);
    }
}
