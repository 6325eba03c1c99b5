//! The table of wrong inputs: each file of `cases` is a stack with one kind of mistake, and the snapshot beside
//! this file is what a person is told.
//!
//! A case is `cases/<name>.yaml`, or `cases/<name>/stack.yaml` where it needs files beside it. Comments on its
//! first lines are its command line: `# --var name=value`, `# --var-file FILE` (beside the case), `# NAME=value`
//! for the environment, and `# accepted` where it is to be accepted with warnings.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use mcm::model::{Diagnostic, Severity};
use mcm::stack::{Dialect, Given, Source, parse};

use crate::cli::binary::{Ran, mcm};
use crate::support;

/// A case's stack file, relative to the project's folder as a user there would name it.
fn cases() -> Vec<(String, PathBuf)> {
    let folder = Path::new("tests/inputs/cases");
    let mut cases: Vec<(String, PathBuf)> = fs::read_dir(support::root().join(folder))
        .unwrap()
        .map(|entry| {
            let path = folder.join(entry.unwrap().file_name());
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            (name, if path.is_dir() { path.join("stack.yaml") } else { path })
        })
        .collect();
    cases.sort();
    cases
}

/// The case's own command line.
struct Line {
    source: Source,
    accepted: bool,
}

fn line(file: &Path) -> Line {
    let source = Source { file: file.to_owned(), variables: Vec::new(), environment: Vec::new() };
    let mut line = Line { source, accepted: false };
    let bytes = fs::read(file).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    for comment in text.lines().map_while(|line| line.strip_prefix("# ")) {
        if let Some(flag) = comment.strip_prefix("--var ") {
            line.source.variables.push(Given::Flag(flag.to_owned()));
        } else if let Some(name) = comment.strip_prefix("--var-file ") {
            line.source.variables.push(Given::File(file.with_file_name(name)));
        } else if comment == "accepted" {
            line.accepted = true;
        } else if let Some((name, value)) = comment.split_once('=').filter(|(name, _)| !name.contains(' ')) {
            line.source.environment.push((name.to_owned(), value.to_owned()));
        }
    }
    line
}

/// What a person is told.
fn told(file: &Path) -> Vec<Diagnostic> {
    let line = line(file);
    let catalogue = mcm::provider::catalogue();
    let dialect = Dialect {
        catalogue: &catalogue,
        trust: mcm::trust::expand,
        functions: mcm::lambda::expand,
        artifacts: &BTreeMap::new(),
    };
    match parse(&line.source, dialect) {
        Ok((_, warnings)) => {
            assert!(line.accepted, "{} is accepted", file.display());
            assert!(warnings.iter().all(|one| one.severity == Severity::Warning));
            warnings
        }
        Err(diagnostics) => {
            assert!(!line.accepted, "{}: {diagnostics}", file.display());
            assert!(diagnostics.has_errors());
            diagnostics.0
        }
    }
}

#[test]
fn every_wrong_input_is_told_clearly() {
    let cases = cases();
    assert!(cases.len() >= 60, "{}", cases.len());
    let mut settings = insta::Settings::clone_current();
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| {
        for (name, file) in &cases {
            let told = told(file);
            assert!(!told.is_empty(), "{name}");
            insta::assert_snapshot!(name.as_str(), mcm::ui::diagnostics::render(&told, false));
        }
    });
}

#[test]
fn the_program_says_the_same_with_exit_3_and_changes_nothing() {
    for (name, file) in cases() {
        let Line { source, accepted } = line(&file);
        if accepted {
            continue;
        }
        let mut command = mcm(support::root());
        command.args(["apply", "--sandbox", "--auto-approve"]).arg(&file).envs(source.environment);
        for given in source.variables {
            match given {
                Given::Flag(flag) => command.args(["--var", &flag]),
                Given::File(path) => command.arg("--var-file").arg(path),
            };
        }
        let ran = Ran::from(command.output().unwrap()).exits(3);
        let told = mcm::ui::diagnostics::render(&told(&file), false);
        assert!(ran.err.starts_with(told.trim_end()), "{name}: {}", ran.all());
        assert!(ran.out.is_empty(), "{name}: {}", ran.out);
        assert!(!file.with_file_name(".mcm").exists(), "{name}");
    }
}

#[test]
fn every_diagnostic_says_what_to_do_and_where() {
    for (name, file) in cases() {
        for diagnostic in told(&file) {
            assert!(diagnostic.hint.as_deref().is_some_and(|hint| !hint.is_empty()), "{name}: {diagnostic}");
            assert!(!diagnostic.summary.ends_with('.'), "{name}: {diagnostic}");
            if let Some(location) = &diagnostic.location {
                let text = fs::read_to_string(location.file.as_path()).unwrap_or_default();
                let line = text.lines().nth(location.line - 1).unwrap_or_default();
                assert_eq!(line.trim_end(), location.text.trim_end(), "{name}: {diagnostic}");
                assert!(
                    location.column >= 1 && location.column <= line.chars().count() + 1,
                    "{name}: {diagnostic}"
                );
            }
        }
    }
}

#[test]
fn no_snapshot_is_left_over() {
    let names: Vec<String> = cases().into_iter().map(|(name, _)| format!("{name}.snap")).collect();
    for entry in fs::read_dir(support::root().join("tests/inputs/snapshots")).unwrap() {
        let file = entry.unwrap().file_name().into_string().unwrap();
        assert!(file.ends_with(".snap.new") || names.contains(&file), "{file} belongs to no case");
    }
}
