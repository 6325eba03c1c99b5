//! A function's archive, unpacked, and whether its `bootstrap` can run here.
//!
//! On Lambda `/var/task` cannot be written to. Here its files and folders have no mode that allows it, which holds
//! everyone but root.

use std::fs::{self, File};
use std::io::{self, Cursor, Read as _};
use std::path::Path;

use super::instance::Failure;
use crate::sandbox::aws::MOST_UNPACKED;
use crate::sandbox::files;

/// Machines in an ELF file's header, and Lambda's names for them.
const MACHINES: [(u16, &str); 2] = [(62, "x86_64"), (183, "arm64")];

/// Unpacks an archive into a folder, unless it is there: the folder is named by the archive's digest.
pub(super) fn unpack(code: &[u8], root: &Path) -> Result<(), Failure> {
    if root.exists() {
        return Ok(());
    }
    let bad = |error: &dyn std::error::Error| {
        Failure::new("Runtime.InvalidArchive", &format!("the archive cannot be unpacked: {error}"))
    };
    let fresh = root.with_extension("new");
    let done = clear(&fresh).map_err(|error| bad(&error)).and_then(|()| fill(code, &fresh, &bad));
    let done = done.and_then(|()| fs::rename(&fresh, root).map_err(|error| bad(&error)));
    if done.is_err() {
        // What is left of it would only take up room.
        let _ = clear(&fresh);
    }
    done
}

fn fill(code: &[u8], fresh: &Path, bad: &dyn Fn(&dyn std::error::Error) -> Failure) -> Result<(), Failure> {
    files::folder(fresh).map_err(|error| bad(&error))?;
    let mut archive = zip::ZipArchive::new(Cursor::new(code)).map_err(|error| bad(&error))?;
    let mut left = MOST_UNPACKED;
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index).map_err(|error| bad(&error))?;
        let Some(name) = entry.enclosed_name() else {
            return Err(Failure::new("Runtime.InvalidArchive", "an entry of the archive leads out of it"));
        };
        let (path, mode) = (fresh.join(name), entry.unix_mode().unwrap_or(0o644));
        if entry.is_dir() {
            files::folder(&path).map_err(|error| bad(&error))?;
            continue;
        }
        if let Some(folder) = path.parent() {
            files::folder(folder).map_err(|error| bad(&error))?;
        }
        // No entry is larger than it says: the archive was let in by what it says.
        let most = left.min(entry.size().saturating_add(1));
        let written = write(&mut entry, &path, most, mode).map_err(|error| bad(&error))?;
        left = left.checked_sub(written).filter(|left| *left > 0 && written <= entry.size()).ok_or_else(
            || {
                Failure::new(
                    "Runtime.InvalidArchive",
                    &format!("Unzipped size must be smaller than {MOST_UNPACKED} bytes"),
                )
            },
        )?;
    }
    folders(fresh, 0o555).map_err(|error| bad(&error))
}

/// Removes a folder, if it is there, with whatever cannot be written to in it.
pub(super) fn clear(folder: &Path) -> io::Result<()> {
    if !folder.exists() {
        return Ok(());
    }
    folders(folder, 0o700)?;
    fs::remove_dir_all(folder)
}

/// Gives a folder and those below it a mode.
fn folders(folder: &Path, mode: u32) -> io::Result<()> {
    // Those on top first where they are opened, last where they are closed: what is closed is not walked through.
    let opens = mode & 0o200 != 0;
    for entry in walkdir::WalkDir::new(folder).contents_first(!opens) {
        let entry = entry?;
        if entry.file_type().is_dir() {
            allow(entry.path(), mode)?;
        }
    }
    Ok(())
}

#[cfg(unix)]
fn allow(path: &Path, mode: u32) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
}

#[cfg(not(unix))]
fn allow(_path: &Path, _mode: u32) -> io::Result<()> {
    Ok(())
}

fn write(entry: &mut impl io::Read, path: &Path, most: u64, mode: u32) -> io::Result<u64> {
    let written = io::copy(&mut entry.take(most), &mut File::create(path)?)?;
    allow(path, (mode & 0o555) | 0o444)?;
    Ok(written)
}

/// Says what Lambda says of a `bootstrap` that cannot run.
pub(super) fn check(root: &Path, architecture: &str) -> Result<(), Failure> {
    let entry = |message: &str| Failure::new("Runtime.InvalidEntrypoint", message);
    let path = root.join("bootstrap");
    let Ok(metadata) = fs::metadata(&path) else {
        return Err(entry("Couldn't find valid bootstrap(s): [/var/task/bootstrap /opt/bootstrap]"));
    };
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        if metadata.is_dir() || metadata.permissions().mode() & 0o111 == 0 {
            return Err(entry("fork/exec /var/task/bootstrap: permission denied"));
        }
    }
    #[cfg(not(unix))]
    let _ = metadata;
    let mut header = [0_u8; 20];
    let read = File::open(&path).and_then(|mut file| file.read(&mut header)).unwrap_or_default();
    let format = || entry("fork/exec /var/task/bootstrap: exec format error");
    match &header[..read] {
        [b'#', b'!', ..] => Ok(()),
        // What was built for this machine, where that is none of Lambda's kind.
        [0xcf, 0xfa, 0xed, 0xfe, ..] if cfg!(target_os = "macos") => Ok(()),
        [0x7f, b'E', b'L', b'F', ..] if read == header.len() => {
            let machine = u16::from_le_bytes([header[18], header[19]]);
            let built_for = MACHINES.iter().find(|(number, _)| *number == machine).map(|(_, name)| *name);
            let here = if cfg!(target_arch = "aarch64") { "arm64" } else { "x86_64" };
            match built_for {
                Some(name) if name != architecture => Err(format()),
                Some(name) if name != here => Err(entry(&format!(
                    "fork/exec /var/task/bootstrap: exec format error (it is built for {name}, and the sandbox runs on {here})"
                ))),
                Some(_) => Ok(()),
                None => Err(format()),
            }
        }
        _ => Err(format()),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn archive(name: &str, mode: u32, content: &[u8]) -> Vec<u8> {
        let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
        let options = zip::write::SimpleFileOptions::default().unix_permissions(mode);
        writer.start_file(name, options).unwrap();
        writer.write_all(content).unwrap();
        writer.finish().unwrap().into_inner()
    }

    fn told(name: &str, mode: u32, content: &[u8], architecture: &str) -> String {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("root");
        let done = unpack(&archive(name, mode, content), &root).and_then(|()| check(&root, architecture));
        assert!(!root.with_extension("new").exists(), "what is no use is left behind");
        clear(&root).unwrap();
        assert!(!root.exists());
        done.map_or_else(|failure| failure.message, |()| "runs".to_owned())
    }

    fn elf(machine: u8) -> Vec<u8> {
        let mut header = b"\x7fELF\x02\x01\x01".to_vec();
        header.resize(64, 0);
        header[18] = machine;
        header
    }

    #[test]
    fn a_bootstrap_that_cannot_run_is_told_as_lambda_tells_it() {
        assert_eq!(told("bootstrap", 0o755, b"#!/bin/sh\n", "x86_64"), "runs");
        assert!(told("boot", 0o755, b"#!/bin/sh\n", "x86_64").starts_with("Couldn't find valid bootstrap"));
        assert!(told("bootstrap", 0o644, b"#!/bin/sh\n", "x86_64").ends_with("permission denied"));
        assert!(told("bootstrap", 0o755, b"hello", "x86_64").ends_with("exec format error"));
        let (here, there) = if cfg!(target_arch = "aarch64") { (183, 62) } else { (62, 183) };
        let names = if here == 183 { ("arm64", "x86_64") } else { ("x86_64", "arm64") };
        assert_eq!(told("bootstrap", 0o755, &elf(here), names.0), "runs");
        assert!(told("bootstrap", 0o755, &elf(there), names.0).ends_with("exec format error"));
        assert!(told("bootstrap", 0o755, &elf(there), names.1).contains("and the sandbox runs on"));
    }

    #[test]
    fn nothing_leads_out_of_an_archive() {
        assert!(told("../bootstrap", 0o755, b"#!/bin/sh\n", "x86_64").contains("leads out"));
        let folder = tempfile::tempdir().unwrap();
        assert!(unpack(b"PK\x03\x04 no archive", &folder.path().join("root")).is_err());
    }
}
