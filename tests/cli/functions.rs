//! `mcm functions build`: what a person and a pipeline see of it.

use std::path::Path;

use serde_json::Value as Json;

use super::binary::{Ran, SMALL, folder, mcm, run};
use crate::support;

/// A stack with two functions of one workspace.
fn home() -> tempfile::TempDir {
    let functions = "functions:\n  hello: { package: code/hello, role: \"${worker}\" }\n  \
                     bye: { package: code/bye, role: \"${worker}\", architecture: arm64 }\n";
    let home = folder(&SMALL.replace("outputs:\n", &format!("{functions}outputs:\n")));
    support::copy(&support::root().join("tests/lambda/fixture"), &home.path().join("code"));
    home
}

fn built(home: &Path) -> Json {
    let ran = run(home, &["functions", "build", "--sandbox", "--json"]).exits(0);
    serde_json::from_str(&ran.out).unwrap()
}

#[test]
fn archives_are_built_once_and_named() {
    let home = home();
    let ran = run(home.path(), &["functions", "build", "--sandbox"]).exits(0);
    assert!(ran.err.contains("building hello, bye for this machine ...\n"), "{}", ran.all());
    assert!(ran.err.contains("hello: built in "), "{}", ran.all());
    let lines: Vec<&str> = ran.out.lines().collect();
    assert!(lines.len() == 2 && lines[0].starts_with("hello  x86_64  "), "{}", ran.all());
    assert!(lines[1].starts_with("bye    arm64   "), "{}", ran.all());

    let again = run(home.path(), &["functions", "build", "--sandbox"]).exits(0);
    assert_eq!((again.out.as_str(), again.err.as_str()), (ran.out.as_str(), ""));
    let json = built(home.path());
    assert_eq!(json[0]["function"], "hello");
    let file = home.path().join(json[0]["file"].as_str().unwrap());
    assert_eq!(std::fs::metadata(file).unwrap().len(), json[0]["size"].as_u64().unwrap());
    assert!(lines[0].contains(json[0]["digest"].as_str().unwrap()));
    let ignored = std::fs::read_to_string(home.path().join(".mcm/.gitignore")).unwrap();
    assert_eq!(ignored, "*\n");
}

/// A build script that fails where it finds what is no build's business.
const CURIOUS: &str = r#"fn main() {
    for name in ["AWS_SECRET_ACCESS_KEY", "GOOGLE_APPLICATION_CREDENTIALS", "ARM_CLIENT_SECRET", "MCM_VAR_tag"] {
        assert!(std::env::var_os(name).is_none(), "{name} is known here");
    }
    for name in ["OF_THE_BUILD", "AWS_LC_SYS_OF_THE_BUILD"] {
        assert_eq!(std::env::var(name).as_deref(), Ok("1"), "{name}");
    }
}"#;

#[test]
fn a_build_is_given_no_credentials() {
    let home = home();
    std::fs::write(home.path().join("code/hello/build.rs"), CURIOUS).unwrap();
    let mut build = mcm(home.path());
    build.args(["functions", "build", "--sandbox", "--function", "hello"]);
    build.env("OF_THE_BUILD", "1").env("AWS_LC_SYS_OF_THE_BUILD", "1");
    build.env("AWS_SECRET_ACCESS_KEY", "hush").env("GOOGLE_APPLICATION_CREDENTIALS", "/hush.json");
    build.env("ARM_CLIENT_SECRET", "hush").env("MCM_VAR_tag", "one");
    Ran::from(build.output().unwrap()).exits(0);
}

#[test]
fn what_is_wrong_is_told() {
    let home = home();
    let ran = run(home.path(), &["functions", "build", "--function", "helo"]).exits(3);
    assert!(ran.err.contains("error: the stack has no function `helo`"), "{}", ran.all());
    assert!(ran.err.contains("did you mean `hello`?"), "{}", ran.all());
    std::fs::write(home.path().join("code/bye/src/main.rs"), "fn main() { unknown() }").unwrap();
    run(home.path(), &["functions", "build", "--sandbox", "--function", "hello"]).exits(0);
    for arguments in [&["functions", "build", "--sandbox"][..], &["plan", "--sandbox"][..]] {
        let ran = run(home.path(), arguments).exits(1);
        assert!(ran.err.contains("error: cargo could not build bye"), "{}", ran.all());
        assert!(ran.err.contains("cannot find function `unknown`"), "{}", ran.all());
    }
    // A stack can be checked without a build.
    run(home.path(), &["validate"]).exits(0);
    let mut without = mcm(home.path());
    without.args(["functions", "build", "--sandbox"]).env("PATH", "");
    let ran = Ran::from(without.output().unwrap()).exits(1);
    assert!(ran.err.contains("`cargo` is not installed"), "{}", ran.all());
    assert!(ran.err.contains("https://rustup.rs"), "{}", ran.all());
}
