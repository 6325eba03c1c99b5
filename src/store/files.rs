//! Private files: only their owner reads them, they are replaced whole or not at all, and no symbolic link is
//! followed to them.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::Path;

/// No file of ours is larger; what is, was not written by us.
const LARGEST: u64 = 256 * 1024 * 1024;

/// Makes a folder that only its owner may enter, and the missing ones above it. One that is there already is
/// left as it is, unless it is a symbolic link, which is refused.
pub fn make_private_folder(folder: &Path) -> io::Result<()> {
    match fs::symlink_metadata(folder) {
        Ok(found) if found.is_dir() => return Ok(()),
        Ok(found) if found.is_symlink() => return Err(refused("it is a symbolic link")),
        Ok(_) => return Err(refused("it is not a folder")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    if let Some(parent) = folder.parent().filter(|parent| !parent.as_os_str().is_empty() && !parent.exists())
    {
        make_private_folder(parent)?;
    }
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    match builder.create(folder) {
        // Another process was quicker.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && folder.is_dir() => Ok(()),
        made => made,
    }
}

/// Opens a private file for reading and writing, made empty if it is not there. A symbolic link is refused.
pub(super) fn open_private(file: &Path) -> io::Result<File> {
    require_plain(file)?;
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(file)
}

/// Reads a file whole; `None` if it is not there. A symbolic link or anything but a plain file is refused.
pub fn read_private(file: &Path) -> io::Result<Option<Vec<u8>>> {
    if !require_plain(file)? {
        return Ok(None);
    }
    let mut content = Vec::new();
    File::open(file)?.take(LARGEST + 1).read_to_end(&mut content)?;
    if content.len() as u64 > LARGEST {
        return Err(refused("it is too large"));
    }
    Ok(Some(content))
}

/// Replaces a file whole, readable by its owner alone: when this returns, the content has survived a crash;
/// when it fails, the former content is untouched.
pub fn write_private(file: &Path, content: &[u8]) -> io::Result<()> {
    require_plain(file)?;
    // A temporary file is made with mode 0600.
    let mut fresh = tempfile::Builder::new().prefix(".mcm-").tempfile_in(folder_of(file))?;
    fresh.write_all(content)?;
    fresh.as_file().sync_all()?;
    fresh.persist(file).map_err(|error| error.error)?;
    // The rename itself is durable only once the folder is.
    sync_folder(file)
}

/// Adds to a file's end, readable by its owner alone: when this returns, the content has survived a crash; when it
/// fails, a beginning of it may be there.
pub(super) fn append_private(file: &Path, content: &[u8]) -> io::Result<()> {
    let fresh = !require_plain(file)?;
    let mut options = OpenOptions::new();
    options.append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut open = options.open(file)?;
    open.write_all(content)?;
    open.sync_data()?;
    // The name of a new file is durable only once the folder is.
    if fresh { sync_folder(file) } else { Ok(()) }
}

/// Takes a file away; one that is not there is gone already.
pub(super) fn remove_private(file: &Path) -> io::Result<()> {
    match fs::remove_file(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
        Ok(()) => sync_folder(file),
    }
}

/// Makes what happened to the names in a file's folder durable.
fn sync_folder(file: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(folder_of(file))?.sync_all() } else { Ok(()) }
}

fn folder_of(file: &Path) -> &Path {
    match file.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Whether a plain file is there; anything else in its place is refused.
fn require_plain(file: &Path) -> io::Result<bool> {
    match fs::symlink_metadata(file) {
        Ok(found) if found.is_file() => Ok(true),
        Ok(found) if found.is_symlink() => Err(refused("it is a symbolic link")),
        Ok(_) => Err(refused("it is not a plain file")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

fn refused(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, why.to_owned())
}
