//! What several suites share.

pub mod lab;
pub mod sign;

use std::io::{Cursor, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A function's archive with this program in it.
pub fn zip(bootstrap: &[u8]) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default().unix_permissions(0o755);
    writer.start_file("bootstrap", options).unwrap();
    writer.write_all(bootstrap).unwrap();
    writer.finish().unwrap().into_inner()
}

/// The project's folder.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The Python of the judges' virtual environment (`MCM_JUDGES`, or `.judges` in the project's folder), if it can
/// import `modules`. Otherwise the suite is skipped with a printed reason; where `MCM_REQUIRE_JUDGES` is set, as in
/// CI, it fails instead.
pub fn judges(suite: &str, modules: &[&str]) -> Option<PathBuf> {
    let python = judges_folder().join("bin/python");
    let imports = format!("import {}", modules.join(", "));
    let able = Command::new(&python).args(["-c", &imports]).output().is_ok_and(|done| done.status.success());
    if able {
        return Some(python);
    }
    skip(suite, &format!("{} with {} is not installed (see .ci/run)", python.display(), modules.join(", ")));
    None
}

/// A script below the judges' `node/node_modules`, where it and Node are installed; skipped as [`judges`] is.
pub fn node_judge(suite: &str, script: &str) -> Option<PathBuf> {
    let script = judges_folder().join("node/node_modules").join(script);
    let node = Command::new("node").arg("--version").output().is_ok_and(|done| done.status.success());
    if node && script.is_file() {
        return Some(script);
    }
    skip(suite, &format!("{} with Node is not installed (see .ci/run)", script.display()));
    None
}

fn judges_folder() -> PathBuf {
    std::env::var_os("MCM_JUDGES").map_or_else(|| root().join(".judges"), PathBuf::from)
}

/// Tells that a suite is skipped, and why; where the judges are required it fails.
pub fn skip(suite: &str, reason: &str) {
    assert!(std::env::var_os("MCM_REQUIRE_JUDGES").is_none(), "{suite}: {reason}");
    // Past the test harness's capture: a skip is always told.
    let _ = writeln!(std::io::stderr(), "skipped {suite}: {reason}");
}

/// Puts the reference stack without its functions into a folder.
pub fn three_clouds(to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    std::fs::copy(root().join("tests/support/three-clouds.yaml"), to.join("stack.yaml")).unwrap();
    copy(&root().join("stacks/image-recognition/site"), &to.join("site"));
}

/// Puts the reference stack, whole, into a folder of its own, and returns that. The same `name` gives the same folder
/// again, emptied: what cargo has built of the functions is then known to be of them.
pub fn reference(name: &str) -> PathBuf {
    let home = Path::new(env!("CARGO_TARGET_TMPDIR")).join("reference").join(name);
    let _ = std::fs::remove_dir_all(&home);
    for shared in ["templates", "stacks/image-recognition"] {
        copy(&root().join(shared), &home.join(shared));
    }
    home.join("stacks/image-recognition")
}

/// Where cargo builds the reference stack's functions, for all tests that do (`MCM_LAMBDAS_TARGET`, or among the tests'
/// own files): what they need besides themselves is built once.
pub fn functions_target() -> PathBuf {
    let chosen = std::env::var_os("MCM_LAMBDAS_TARGET").map(PathBuf::from);
    chosen.unwrap_or_else(|| PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("lambdas"))
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

/// splitmix64: enough to choose moments with.
pub struct Random(u64);

impl Random {
    /// The same choices for the same seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number below another.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % bound
    }

    /// A place in something so long.
    pub fn index(&mut self, length: usize) -> usize {
        usize::try_from(self.below(length as u64)).unwrap()
    }
}

/// A number from the environment.
pub fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}
