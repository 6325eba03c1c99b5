//! What a function is made of on this machine, as one digest: the cheap question whether anything has changed.
//!
//! It is the content of every file in the folders of its package and of the packages on this machine that it is built
//! from, of the workspace's own files, and of what cargo says was read besides (`include_str!` of a file elsewhere). What
//! comes from a registry is fixed by `Cargo.lock`. The compiler does not count: an archive stays what it is until the
//! source changes.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};
use walkdir::{DirEntry, WalkDir};

use super::BuildError;
use super::workspace::Package;

/// How many files a package's folder may hold.
const FILES: usize = 20_000;
/// Their size in all.
const BYTES: u64 = 512 << 20;
/// How deep folders may nest.
const DEPTH: usize = 64;
/// At most this many files outside of those folders are watched.
const OUTSIDE: usize = 1000;

/// The files of a workspace that decide what its packages become.
const WORKSPACE: [&str; 6] = [
    "Cargo.toml",
    "Cargo.lock",
    "rust-toolchain",
    "rust-toolchain.toml",
    ".cargo/config.toml",
    ".cargo/config",
];

/// The digest over what a package is made of.
pub(super) fn digest(package: &Package) -> Result<String, BuildError> {
    over(&package.root, &package.folders)
}

/// The same, from the folders alone.
pub(super) fn over(root: &Path, folders: &[PathBuf]) -> Result<String, BuildError> {
    let mut digest = Sha256::new();
    let mut left = BYTES;
    for name in WORKSPACE {
        let path = root.join(name);
        if path.is_file() {
            file(&path, name, &mut digest, &mut left).map_err(|why| BuildError::io("read", &path, why))?;
        }
    }
    for folder in folders {
        let named = folder.strip_prefix(root).unwrap_or(folder);
        digest.update(format!("folder {}\n", named.display()));
        let mut count = 0;
        for entry in
            WalkDir::new(folder).max_depth(DEPTH).sort_by_file_name().into_iter().filter_entry(wanted)
        {
            let entry = entry.map_err(|why| BuildError::io("read", folder, why.into()))?;
            // A link counts by what it leads to, as it does for the compiler.
            if !entry.path().is_file() {
                continue;
            }
            count += 1;
            let name = entry.path().strip_prefix(folder).unwrap_or(entry.path()).to_string_lossy();
            file(entry.path(), &name, &mut digest, &mut left)
                .map_err(|why| BuildError::io("read", entry.path(), why))?;
            if count > FILES || left == 0 {
                let what = format!("{FILES} files or {} MiB", BYTES >> 20);
                return Err(BuildError::TooMuch { folder: folder.clone(), what });
            }
        }
    }
    Ok(hex::encode(digest.finalize()))
}

/// All but build folders, and what editors and version control keep for themselves.
fn wanted(entry: &DirEntry) -> bool {
    entry.depth() == 0 || !(is_build(entry.path(), entry.depth()) || is_hidden(entry.file_name()))
}

/// Whether a folder is one that cargo builds in: beside a package's manifest, or marked as one. A module may be called
/// `target`, too.
fn is_build(path: &Path, depth: usize) -> bool {
    let named = path.file_name().is_some_and(|name| name == "target") && path.is_dir();
    named && (depth == 1 || path.join("CACHEDIR.TAG").is_file())
}

fn is_hidden(name: &OsStr) -> bool {
    name.to_string_lossy().starts_with('.')
}

/// Whether a file lies in a folder and is taken into its digest.
fn is_counted(file: &Path, folder: &Path) -> bool {
    let Ok(below) = file.strip_prefix(folder) else { return false };
    let mut path = folder.to_owned();
    below.iter().enumerate().all(|(at, name)| {
        path.push(name);
        !is_hidden(name) && !is_build(&path, at + 1)
    })
}

/// Takes a file into the digest: its name, its size and its content.
fn file(path: &Path, name: &str, digest: &mut Sha256, left: &mut u64) -> std::io::Result<()> {
    let mut content = Sha256::new();
    let size = std::io::copy(&mut File::open(path)?.take(*left), &mut content)?;
    *left -= size;
    digest.update(format!("file {} {name} {size} {}\n", name.len(), hex::encode(content.finalize())));
    Ok(())
}

/// What cargo read for a program besides what the folders of its packages count by, each with its digest. cargo writes it
/// down beside the program; a file that is gone, or that cannot be read, makes no difference that could be seen.
pub(super) fn outside(executable: &Path, package: &Package) -> Vec<(PathBuf, String)> {
    let Ok(text) = std::fs::read_to_string(executable.with_extension("d")) else { return Vec::new() };
    // The compiler writes names as the source does: `bye/src/../../words.txt`.
    let elsewhere = dependencies(&text)
        .into_iter()
        .filter_map(|path| path.canonicalize().ok())
        .filter(|path| !package.folders.iter().any(|folder| is_counted(path, folder)));
    elsewhere.take(OUTSIDE).filter_map(|path| digest_of(&path).map(|digest| (path, digest))).collect()
}

/// The digest of one file.
pub(super) fn digest_of(path: &Path) -> Option<String> {
    let mut content = Sha256::new();
    std::io::copy(&mut File::open(path).ok()?.take(BYTES), &mut content).ok()?;
    Some(hex::encode(content.finalize()))
}

/// The files behind the colon of a Makefile's rule; a space in a name is written `\ `.
fn dependencies(text: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for line in text.lines() {
        let Some((_, rest)) = line.split_once(": ") else { continue };
        let mut name = String::new();
        let mut letters = rest.chars();
        while let Some(letter) = letters.next() {
            match letter {
                '\\' => name.extend(letters.next()),
                ' ' => files.push(PathBuf::from(std::mem::take(&mut name))),
                other => name.push(other),
            }
        }
        files.push(PathBuf::from(name));
    }
    files.retain(|path| !path.as_os_str().is_empty());
    files
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn every_change_that_could_matter_changes_the_digest_and_no_other() {
        let root = tempfile::tempdir().unwrap();
        let package = root.path().join("a");
        fs::create_dir_all(package.join("src")).unwrap();
        fs::create_dir_all(package.join("target/release")).unwrap();
        fs::create_dir_all(package.join("src/target")).unwrap();
        fs::create_dir_all(package.join("nested/target")).unwrap();
        let write = |name: &str, text: &str| fs::write(root.path().join(name), text).unwrap();
        write("Cargo.lock", "1");
        write("a/src/main.rs", "fn main() {}");
        let now = || over(root.path(), std::slice::from_ref(&package)).unwrap();
        write("a/nested/target/CACHEDIR.TAG", "cargo's");
        let mut seen = vec![now()];
        write("a/target/release/a", "built");
        write("a/nested/target/b", "built");
        write("a/.editor", "open");
        assert_eq!(now(), seen[0]);
        let changes = [
            ("Cargo.lock", "2"),
            ("a/src/main.rs", "fn main() { }"),
            ("a/src/new.rs", ""),
            ("a/src/target/mod.rs", ""),
            ("a/data.txt", "x"),
        ];
        for (name, text) in changes {
            write(name, text);
            let digest = now();
            assert!(!seen.contains(&digest), "{name}");
            seen.push(digest);
        }
        fs::rename(package.join("data.txt"), package.join("other.txt")).unwrap();
        assert!(!seen.contains(&now()));
    }

    #[test]
    fn what_a_folder_does_not_count_by_is_outside_of_it() {
        let root = tempfile::tempdir().unwrap();
        let package = root.path().join("a");
        for (file, counted) in [
            ("src/main.rs", true),
            ("src/target/mod.rs", true),
            (".prompt.txt", false),
            ("src/.hidden/prompt.txt", false),
            ("target/release/build/a/out/made.rs", false),
            ("../words.txt", false),
        ] {
            let path = package.join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, "").unwrap();
            let path = path.canonicalize().unwrap();
            assert_eq!(is_counted(&path, &package.canonicalize().unwrap()), counted, "{file}");
        }
    }

    #[test]
    fn names_with_spaces_are_read() {
        let text = "/t/release/a: /p/src/main.rs /p/with\\ space.txt\n\n/p/src/main.rs:\n";
        assert_eq!(dependencies(text), [PathBuf::from("/p/src/main.rs"), PathBuf::from("/p/with space.txt")]);
    }
}
