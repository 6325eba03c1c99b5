//! The laws of the house that a machine can check. Function length, prints and panics are clippy's (see `Cargo.toml`).

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::support::root;

/// Rooms, and what each may import besides `model` and itself. Only `cli` imports other rooms.
const ROOMS: &[&str] =
    &["cli", "engine", "lambda", "model", "provider", "sandbox", "stack", "store", "trust", "ui"];
/// Clouds never see each other, in any room that has a folder for each.
const CLOUDS: &[&str] = &["aws", "azure", "gcp"];

/// The project's own files: not what cargo has built of the functions beside a stack.
fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let entries = walkdir::WalkDir::new(folder).sort_by_file_name().into_iter();
    let own = entries.filter_entry(|entry| entry.file_name() != "target");
    let files = own.map(|entry| entry.unwrap().into_path());
    files.filter(|path| path.extension().is_some_and(|found| found == extension)).collect()
}

fn source() -> Vec<(PathBuf, String)> {
    let folder = root().join("src");
    let read = |path: PathBuf| {
        let text = std::fs::read_to_string(&path).unwrap();
        (path.strip_prefix(&folder).unwrap().to_owned(), text)
    };
    files(&folder, "rs").into_iter().map(read).collect()
}

/// The parts of a path: `provider/aws/role.rs` -> provider, aws, role.rs.
fn parts(path: &Path) -> Vec<&str> {
    path.iter().filter_map(|part| part.to_str()).collect()
}

/// Every room that a text names by `crate::room`.
fn named_rooms(text: &str) -> BTreeSet<&str> {
    let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    let after = code.flat_map(|line| line.split("crate::").skip(1));
    after
        .filter_map(|rest| rest.split(|c: char| !c.is_ascii_lowercase() && c != '_').next())
        .filter(|word| !word.is_empty())
        .collect()
}

#[test]
fn only_cli_imports_other_rooms() {
    let mut broken = Vec::new();
    for (path, text) in source() {
        let parts = parts(&path);
        let room = parts[0];
        if room == "cli" || room == "lib.rs" || room == "main.rs" {
            continue;
        }
        for other in named_rooms(&text) {
            if ROOMS.contains(&other) && other != room && other != "model" {
                broken.push(format!("{} imports {other}", path.display()));
            }
        }
    }
    assert!(
        broken.is_empty(),
        "law 1: every room may import model, only cli other rooms:\n{}",
        broken.join("\n")
    );
}

#[test]
fn clouds_never_see_each_other() {
    let mut broken = Vec::new();
    for (path, text) in source() {
        let parts = parts(&path);
        let [_, cloud, ..] = parts.as_slice() else { continue };
        if !CLOUDS.contains(cloud) {
            continue;
        }
        let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
        for other in CLOUDS.iter().filter(|other| *other != cloud) {
            let names = [format!("super::{other}::"), format!("super::{other};"), format!("::{other}::")];
            if code.clone().any(|line| names.iter().any(|name| line.contains(name))) {
                broken.push(format!("{} names {other}", path.display()));
            }
        }
    }
    assert!(broken.is_empty(), "law 1: clouds never see each other:\n{}", broken.join("\n"));
}

#[test]
fn the_engine_names_no_cloud_and_no_type() {
    let words = ["AWS::", "googleapis", "Microsoft.", "Cloud::Aws", "Cloud::Gcp", "Cloud::Azure"];
    for (path, text) in source() {
        if parts(&path)[0] == "engine" {
            for word in words {
                assert!(!text.contains(word), "law 2: {} names {word}", path.display());
            }
        }
    }
}

#[test]
fn a_file_is_a_sitting() {
    let others = ["tests", "stacks"].map(|folder| files(&root().join(folder), "rs")).into_iter().flatten();
    let others = others.map(|path| {
        let text = std::fs::read_to_string(&path).unwrap();
        (path, text)
    });
    let long: Vec<String> = source()
        .into_iter()
        .chain(others)
        .map(|(path, text)| (path, text.lines().count()))
        .filter(|(_, lines)| *lines > 500)
        .map(|(path, lines)| format!("{} has {lines} lines", path.display()))
        .collect();
    assert!(long.is_empty(), "at most 500 lines a file:\n{}", long.join("\n"));
}

#[test]
fn every_module_says_what_it_is_for() {
    let functions = files(&root().join("stacks"), "rs").into_iter().map(|path| {
        let text = std::fs::read_to_string(&path).unwrap();
        (path, text)
    });
    for (path, text) in source().into_iter().chain(functions) {
        assert!(text.starts_with("//!"), "{} begins without saying what it is for", path.display());
    }
}

#[test]
fn only_ui_prints() {
    for (path, text) in source() {
        let exempt = text.contains("print_stdout") || text.contains("print_stderr");
        assert!(parts(&path)[0] == "ui" || !exempt, "{} lifts the lint against printing", path.display());
    }
}

#[test]
fn every_snapshot_belongs_to_a_test() {
    for snapshot in files(&root().join("tests"), "snap") {
        let text = std::fs::read_to_string(&snapshot).unwrap();
        let named = text.lines().find_map(|line| line.strip_prefix("source: ")).unwrap_or_default();
        assert!(root().join(named).is_file(), "{} comes from {named}, which is gone", snapshot.display());
    }
}

#[test]
fn the_project_speaks_of_itself_alone() {
    let mut texts: Vec<PathBuf> = ["rs", "md", "yaml", "toml", "py", "sh", "html", "css", "js"]
        .iter()
        .flat_map(|extension| {
            ["src", "tests", "stacks", "templates", "docs", ".github", ".ci"]
                .iter()
                .map(|folder| root().join(folder))
                .filter(|folder| folder.is_dir())
                .flat_map(|folder| files(&folder, extension))
                .collect::<Vec<_>>()
        })
        .collect();
    texts.extend(
        ["README.md", "Cargo.toml"].map(|name| root().join(name)).into_iter().filter(|path| path.is_file()),
    );
    let here = Path::new("tests").join("tidy");
    for path in texts.into_iter().filter(|path| !path.parent().unwrap().ends_with(&here)) {
        // Some inputs of tests are not even text.
        let text = String::from_utf8_lossy(&std::fs::read(&path).unwrap()).into_owned();
        for word in ["/work/", "/root/"] {
            assert!(!text.contains(word), "{} names {word}", path.display());
        }
    }
}
