//! What several suites share.

pub mod lab;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The project's folder.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The Python of the judges' virtual environment (`MCM_JUDGES`, or `.judges` in the project's folder), if it can
/// import `modules`. Otherwise the suite is skipped with a printed reason; where `MCM_REQUIRE_JUDGES` is set, as in
/// CI, it fails instead.
pub fn judges(suite: &str, modules: &[&str]) -> Option<PathBuf> {
    let folder = std::env::var_os("MCM_JUDGES").map_or_else(|| root().join(".judges"), PathBuf::from);
    let python = folder.join("bin/python");
    let imports = format!("import {}", modules.join(", "));
    let able = Command::new(&python).args(["-c", &imports]).output().is_ok_and(|done| done.status.success());
    if able {
        return Some(python);
    }
    let reason = format!("{} with {} is not installed (see .ci/run)", python.display(), modules.join(", "));
    assert!(std::env::var_os("MCM_REQUIRE_JUDGES").is_none(), "{suite}: {reason}");
    // Past the test harness's capture: a skip is always told.
    let _ = writeln!(std::io::stderr(), "skipped {suite}: {reason}");
    None
}

/// Copies a folder, without what mcm keeps in it, and without what cargo has built of its functions.
pub fn copy(from: &Path, to: &Path) {
    let entries = walkdir::WalkDir::new(from).into_iter();
    for entry in entries.filter_entry(|entry| entry.file_name() != ".mcm" && entry.file_name() != "target") {
        let entry = entry.unwrap();
        let target = to.join(entry.path().strip_prefix(from).unwrap());
        if entry.file_type().is_dir() {
            std::fs::create_dir_all(target).unwrap();
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}
