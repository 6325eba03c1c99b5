//! Wrong usage: one clear message, the documented code, nothing changed.

use super::binary::{SMALL, folder, mcm, run};

/// Each wrong command line, with its exit code.
const WRONG: &[(&str, &[&str], i32)] = &[
    ("no_command", &[], 3),
    ("unknown_command", &["aply"], 3),
    ("unknown_flag", &["plan", "--detailed-exit-code"], 3),
    ("missing_value", &["plan", "--out"], 3),
    ("too_many_arguments", &["validate", "a", "b"], 3),
    ("parallelism_zero", &["apply", "--parallelism", "0"], 3),
    ("parallelism_word", &["apply", "--parallelism", "many"], 3),
    ("lock_timeout_unit", &["apply", "--lock-timeout", "5 minutes"], 3),
    ("input_word", &["apply", "--input=perhaps"], 3),
    ("bad_address", &["plan", "--target", "Resources/Files"], 3),
    ("target_of_nothing", &["plan", "--sandbox", "--target", "fils"], 3),
    ("exclude_of_nothing", &["apply", "--sandbox", "--auto-approve", "--exclude", "quite-another"], 3),
    ("destroy_and_refresh", &["plan", "--destroy", "--refresh-only"], 3),
    ("out_and_refresh", &["plan", "--refresh-only", "--out", "plan.json"], 3),
    ("no_such_folder", &["plan", "stacks/nowhere"], 3),
    ("no_such_directory", &["-C", "nowhere", "plan"], 3),
    ("folder_without_stack", &["plan", "empty"], 3),
    ("unknown_variable", &["validate", "--var", "tug=x"], 3),
    ("variable_without_value", &["validate", "--var", "tag"], 3),
    ("variable_against_pattern", &["validate", "--var", "tag=UPPER"], 3),
    ("variable_file_missing", &["validate", "--var-file", "none.yaml"], 3),
    ("graph_format", &["graph", "--format", "png"], 3),
    ("shell", &["completions", "cmd"], 3),
    ("no_such_output", &["output", "--sandbox", "buckt"], 3),
    ("state_without_verb", &["state"], 3),
    ("state_of_nothing", &["state", "show", "files"], 3),
    ("state_rm_of_nothing", &["state", "rm", "files"], 3),
    ("import_without_id", &["import", "files"], 3),
    ("import_to_nothing", &["import", "fils", "some-bucket", "--sandbox"], 3),
    ("show_of_a_stack", &["show", "stack.yaml"], 3),
    ("show_of_nothing", &["show", "plan.json"], 3),
    ("directory_that_is_a_file", &["-C", "stack.yaml", "plan"], 3),
    ("variable_file_that_is_a_folder", &["validate", "--var-file", "empty"], 3),
    ("no_address", &["plan", "--target", ""], 3),
    ("import_of_no_id", &["import", "files", "Not A Bucket", "--sandbox"], 1),
    ("unlock_on_this_machine", &["unlock", "0123"], 4),
    ("rollback_of_nothing", &["rollback", "nowhere"], 3),
    ("apply_of_no_file", &["apply", "plan.json"], 3),
    ("show_without_file", &["show"], 3),
    ("functions_without_verb", &["functions"], 3),
    ("functions_of_a_stack_without", &["functions", "build"], 3),
    ("port", &["sandbox", "serve", "--port", "70000"], 3),
    ("env_without_server", &["sandbox", "env"], 1),
    ("apply_without_approval", &["apply", "--sandbox"], 4),
    ("apply_without_input", &["apply", "--sandbox", "--input=false"], 4),
    ("apply_json_without_approval", &["apply", "--sandbox", "--json"], 4),
    ("destroy_without_approval", &["destroy", "--sandbox"], 4),
];

#[test]
fn wrong_usage_is_told_and_changes_nothing() {
    for (name, arguments, code) in WRONG {
        let home = folder(SMALL);
        std::fs::create_dir(home.path().join("empty")).unwrap();
        let ran = run(home.path(), arguments);
        assert_ne!(ran.code, Some(2), "a usage error is never 2: {}", ran.all());
        let text = format!("$ mcm {}\n{}", arguments.join(" "), ran.all());
        let text = text.replace(&*home.path().to_string_lossy(), "HOME");
        insta::with_settings!({ filters => [(r#""@timestamp":"[^"]+""#, "\"@timestamp\":\"[time]\"")] }, {
            insta::assert_snapshot!(*name, text);
        });
        ran.exits(*code);
        assert!(!home.path().join(".mcm/state.json").exists(), "{name}");
        assert!(!home.path().join(".mcm/sandbox/state/state.json").exists(), "{name}");
    }
}

#[test]
fn refusing_for_want_of_approval_touches_nothing() {
    let home = folder(SMALL);
    run(home.path(), &["apply", "--sandbox"]).exits(4);
    assert!(!home.path().join(".mcm").exists());
}

#[test]
fn help_and_version_are_results() {
    let home = folder(SMALL);
    let version = run(home.path(), &["--version"]).exits(0);
    assert_eq!(version.out, format!("mcm {}\n", env!("CARGO_PKG_VERSION")));
    let help = run(home.path(), &["--help"]).exits(0);
    assert!(help.err.is_empty());
    for code in ["0 ", "1 ", "2 ", "3 ", "4 ", "5 ", "6 ", "7 ", "8 ", "130 "] {
        assert!(help.out.lines().any(|line| line.trim_start().starts_with(code)), "{code}: {}", help.out);
    }
}

#[test]
fn every_shell_gets_completions() {
    let home = folder(SMALL);
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let ran = run(home.path(), &["completions", shell]).exits(0);
        assert!(ran.out.contains("detailed-exitcode"), "{shell}");
    }
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let home = folder(SMALL);
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_mcm"))
        .args(["completions", "zsh"])
        .current_dir(home.path())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let done = child.wait_with_output().unwrap();
    assert_eq!(done.status.code(), Some(0), "{}", String::from_utf8_lossy(&done.stderr));
    assert!(done.stderr.is_empty());
}

#[test]
fn no_pipe_ever_gets_colour() {
    let home = folder("stack: [");
    for (name, value) in [("NO_COLOR", "1"), ("TERM", "xterm-256color"), ("CLICOLOR", "1")] {
        let ran = mcm(home.path()).env(name, value).arg("validate").output().unwrap();
        assert!(!ran.stderr.contains(&0x1b), "{name}");
    }
}

#[test]
fn plain_http_goes_to_this_machine_alone() {
    for (endpoint, why) in
        [("http://example.com", "plain HTTP to another machine"), ("nonsense", "is not an address")]
    {
        let home = folder(SMALL);
        let ran = mcm(home.path()).env("AWS_ENDPOINT_URL", endpoint).arg("plan").output().unwrap();
        let ran = super::binary::Ran::from(ran).exits(3);
        assert!(ran.err.contains(why), "{}", ran.err);
    }
}

#[test]
fn the_schema_is_json_schema() {
    let home = folder(SMALL);
    let schema = run(home.path(), &["schema"]).exits(0);
    let schema: serde_json::Value = serde_json::from_str(&schema.out).unwrap();
    assert!(schema["$schema"].as_str().unwrap().contains("json-schema.org"));
    assert!(schema.to_string().contains("AWS::S3::Bucket"));
}
