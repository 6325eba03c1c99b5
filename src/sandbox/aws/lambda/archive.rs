//! What a zip must be to hold a function, as far as that can be told without unpacking it.

use std::io::Cursor;

use super::super::error::Error;
use super::change::invalid;

/// A zip unpacks to less, in bytes.
pub(in crate::sandbox) const MOST_UNPACKED: u64 = 250 * 1024 * 1024;
/// It has no more entries. Lambda states no such limit; no function comes near it.
const MOST_ENTRIES: usize = 100_000;

/// Refuses what is no archive, or a truncated one, and what unpacks to more than Lambda takes.
///
/// The quota: "250 MB (unzipped) … maximum size of the contents of a deployment package, including layers and custom
/// runtimes". What an entry holds is not looked at: one that is damaged fails when the function is started.
pub(super) fn check(bytes: &[u8]) -> Result<(), Error> {
    let broken = || {
        invalid("Could not unzip uploaded file. Please check your file, then try to upload again.".to_owned())
    };
    let mut archive = zip::ZipArchive::new(Cursor::new(bytes)).map_err(|_| broken())?;
    if archive.is_empty() {
        return Err(invalid("Uploaded file must be a non-empty zip".to_owned()));
    }
    if archive.len() > MOST_ENTRIES {
        return Err(broken());
    }
    let mut size = 0_u64;
    for index in 0..archive.len() {
        let entry = archive.by_index_raw(index).map_err(|_| broken())?;
        if entry.enclosed_name().is_none() {
            return Err(broken());
        }
        size = size.saturating_add(entry.size());
    }
    if size >= MOST_UNPACKED {
        return Err(invalid(format!("Unzipped size must be smaller than {MOST_UNPACKED} bytes")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn zip(files: &[(&str, usize)]) -> Vec<u8> {
        let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
        for (name, size) in files {
            writer.start_file(*name, zip::write::SimpleFileOptions::default()).unwrap();
            writer.write_all(&vec![0; *size]).unwrap();
        }
        writer.finish().unwrap().into_inner()
    }

    #[test]
    fn an_archive_is_whole_and_not_too_large() {
        let told = |bytes: &[u8]| check(bytes).map_err(|error| error.message);
        let whole = zip(&[("bootstrap", 1000), ("lib/a", 10)]);
        assert_eq!(told(&whole), Ok(()));
        for bytes in [&whole[..whole.len() - 30], b"PK\x03\x04 no archive", &zip(&[("../a", 1)])] {
            assert!(told(bytes).unwrap_err().starts_with("Could not unzip uploaded file."));
        }
        assert_eq!(told(&zip(&[])).unwrap_err(), "Uploaded file must be a non-empty zip");
        // Each says that it unpacks to the half.
        let mut large = zip(&[("bootstrap", 1000), ("more", 1000)]);
        let said = 1000_u32.to_le_bytes();
        for at in 0..large.len() - 4 {
            if large[at..at + 4] == said {
                large[at..at + 4].copy_from_slice(&(125 * 1024 * 1024_u32).to_le_bytes());
            }
        }
        assert_eq!(told(&large).unwrap_err(), "Unzipped size must be smaller than 262144000 bytes");
    }
}
