//! The archive that Lambda runs: one regular file with a plain name, and nothing in it that depends on when, where
//! or by whom it was made.

use std::io::{Cursor, Write as _};

use zip::result::ZipResult;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, System, ZipWriter};

/// The name that Lambda looks for at the root of the archive.
pub(super) const BOOTSTRAP: &str = "bootstrap";
/// Lambda takes 250 MB once it is unpacked; a function beyond this is a mistake that would be paid at each cold start.
pub(super) const LARGEST: u64 = 64 << 20;
/// The best that deflate does: it is done once, and downloaded at each cold start.
const LEVEL: i64 = 9;

/// Packs an executable.
pub(super) fn pack(executable: &[u8]) -> ZipResult<Vec<u8>> {
    let mut archive = ZipWriter::new(Cursor::new(Vec::with_capacity(executable.len() / 2)));
    archive.start_file(BOOTSTRAP, options())?;
    archive.write_all(executable)?;
    Ok(archive.finish()?.into_inner())
}

/// Everything that a zip says about a file besides its content, fixed: the earliest time that the format knows, and
/// that everyone may read and run it.
fn options() -> SimpleFileOptions {
    SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .compression_level(Some(LEVEL))
        .last_modified_time(DateTime::default())
        .unix_permissions(0o755)
        .system(System::Unix)
        .large_file(false)
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn an_archive_holds_one_executable_and_no_trace_of_its_making() {
        let executable = b"\x7fELF and so on".repeat(1000);
        let archive = pack(&executable).unwrap();
        assert_eq!(archive, pack(&executable).unwrap());
        assert!(archive.len() < executable.len());
        let mut read = zip::ZipArchive::new(Cursor::new(archive)).unwrap();
        assert_eq!(read.len(), 1);
        let mut file = read.by_index(0).unwrap();
        assert_eq!(file.name().unwrap(), BOOTSTRAP);
        assert_eq!(file.unix_mode().unwrap() & 0o170_777, 0o100_755);
        assert_eq!(file.last_modified().unwrap(), DateTime::default());
        let mut content = Vec::new();
        file.read_to_end(&mut content).unwrap();
        assert_eq!(content, executable);
    }
}
