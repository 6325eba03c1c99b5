//! `MCM::S3::Content`: the files of a folder beside the stack file, found and digested when the stack is read, so
//! that a plan says which objects change.
//!
//! Only regular files below the stack's folder are taken; a symbolic link is refused rather than followed. Names
//! that begin with a dot are left out (`.git`, `.env`, `.DS_Store`), but for `.well-known`.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path as FilePath, PathBuf};

use sha2::{Digest as _, Sha256};
use walkdir::{DirEntry, WalkDir};

use crate::model::{Map, Value};

use super::node::{Entry, Kind, Node};
use super::report::Report;
use super::text::Place;

/// The type.
pub(super) const TYPE: &str = "MCM::S3::Content";
/// The properties that say where something lies on this machine.
pub(super) const LOCAL: [(&str, &str); 2] = [(TYPE, "Folder"), ("MCM::Lambda::Code", "File")];
/// How many files a folder may hold.
const FILES: usize = 10_000;
/// How deep folders may nest.
const DEPTH: usize = 32;
/// The size of all files together, in bytes.
const BYTES: u64 = 1 << 30;

/// The properties, with `Files` and `Folder` filled in from `Source`.
pub(super) fn fill(properties: &Node, folder: &FilePath, report: &mut Report) -> Node {
    let mut entries: Vec<Entry> = properties.entries().to_vec();
    for name in ["Files", "Folder"] {
        if let Some(entry) = entries.iter().find(|entry| entry.key == name) {
            let summary = format!("`{name}` is filled in from `Source`");
            report.error(&entry.key_place, summary, "remove it");
        }
    }
    let filled = |entries: Vec<Entry>| Node::new(Kind::Map(entries), properties.place.clone());
    let (Some(source), prefix) = (properties.get("Source"), properties.get("Prefix")) else {
        return filled(entries);
    };
    let known = |node: &Node, name: &str, report: &mut Report| {
        if let Kind::Unknown(template) = &node.kind
            && !template.parts().is_empty()
        {
            let summary = format!("`{name}` is known only after an apply, but is needed to plan");
            report.error(&node.place, summary, "use literal text and variables alone");
        }
    };
    known(source, "Source", report);
    prefix.inspect(|prefix| known(prefix, "Prefix", report));
    let prefix = prefix.map_or(Some(""), Node::text);
    let (Some(path), Some(prefix)) = (source.text(), prefix) else { return filled(entries) };
    let Some((root, files)) = walk(path, folder, prefix, &source.place, report) else {
        return filled(entries);
    };
    let root = Value::Text(root.display().to_string());
    for (key, value) in [("Files", Value::Map(files)), ("Folder", root)] {
        let value = Node::from_value(&value, &source.place);
        entries.push(Entry { key: key.to_owned(), key_place: source.place.clone(), value });
    }
    filled(entries)
}

/// The folder's real path and its files by object key.
fn walk(
    path: &str,
    folder: &FilePath,
    prefix: &str,
    place: &Place,
    report: &mut Report,
) -> Option<(PathBuf, Map)> {
    let folder = if folder.as_os_str().is_empty() { FilePath::new(".") } else { folder };
    let hint = "`Source` is a folder beside the stack file, such as `site`";
    let (Ok(own), Ok(root)) = (folder.canonicalize(), folder.join(path).canonicalize()) else {
        report.error(place, format!("there is no folder `{path}` beside the stack file"), hint);
        return None;
    };
    if !root.starts_with(&own) {
        report.error(place, format!("`{path}` lies outside of the stack's folder"), hint);
        return None;
    }
    if !root.is_dir() {
        report.error(place, format!("`{path}` is no folder"), hint);
        return None;
    }
    let mut files = Map::new();
    let mut bytes = 0;
    for entry in WalkDir::new(&root).max_depth(DEPTH).sort_by_file_name().into_iter().filter_entry(wanted) {
        let file = match entry {
            Ok(entry) if entry.file_type().is_dir() && entry.depth() < DEPTH => continue,
            Ok(entry) => read(&entry, &root, BYTES - bytes),
            Err(why) => Err(why.to_string()),
        };
        match file {
            Ok((key, size, value)) => {
                bytes += size;
                files.insert(format!("{prefix}{key}"), value);
            }
            Err(why) => report.error(place, why, "mend or remove the file, or move it out of the folder"),
        }
        if files.len() > FILES {
            report.error(
                place,
                format!("`{path}` holds more than {FILES} files"),
                "split it into several folders",
            );
            return None;
        }
    }
    if files.is_empty() {
        report.error(place, format!("the folder `{path}` holds no file"), hint);
        return None;
    }
    Some((root, files))
}

fn wanted(entry: &DirEntry) -> bool {
    let name = entry.file_name().to_string_lossy();
    entry.depth() == 0 || !name.starts_with('.') || name == ".well-known"
}

/// A file's key, size and description.
fn read(entry: &DirEntry, root: &FilePath, left: u64) -> Result<(String, u64, Value), String> {
    let path = entry.path();
    let shown = path.strip_prefix(root).unwrap_or(path);
    let kind = entry.file_type();
    if kind.is_dir() {
        return Err(format!("`{}` nests deeper than {DEPTH} folders", shown.display()));
    }
    if !kind.is_file() {
        let what = if kind.is_symlink() { "a symbolic link" } else { "no regular file" };
        return Err(format!("`{}` is {what}; only regular files are uploaded", shown.display()));
    }
    let names: Option<Vec<&str>> = shown.iter().map(std::ffi::OsStr::to_str).collect();
    let Some(names) = names else {
        return Err(format!("the name of `{}` is not UTF-8 and cannot name an object", shown.display()));
    };
    let cannot = |why: std::io::Error| format!("`{}` cannot be read: {why}", shown.display());
    let mut file = File::open(path).map_err(cannot)?;
    let mut digest = Sha256::new();
    let mut buffer = vec![0; 64 << 10];
    let mut size = 0;
    loop {
        let count = file.read(&mut buffer).map_err(cannot)?;
        if count == 0 {
            break;
        }
        size += count as u64;
        if size > left {
            return Err(format!("the files are larger than {} MiB in all", BYTES >> 20));
        }
        digest.update(&buffer[..count]);
    }
    let mut content_type = mime_guess::from_path(path).first_or_octet_stream().to_string();
    if content_type.starts_with("text/") {
        content_type.push_str("; charset=utf-8");
    }
    let value = Map::from([
        ("ContentType".to_owned(), Value::Text(content_type)),
        ("Digest".to_owned(), Value::Text(hex::encode(digest.finalize()))),
        ("Size".to_owned(), Value::Number(size.into())),
    ]);
    Ok((names.join("/"), size, Value::Map(value)))
}
