//! What was built before, on disk: archives by their digest, and for each function a record of what it was built from.
//!
//! A record or an archive that is missing, cut short or edited is no error: the function is built again.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::toolchain::Toolchain;
use super::workspace::Package;
use super::{BuildError, Wanted, archive, sources};
use crate::model::{Artifact, Digest, Function};

/// The shape of a record; another one is not read.
const VERSION: u32 = 1;

/// What a function was built from, and what it became.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Record {
    version: u32,
    /// The package's folder.
    package: PathBuf,
    root: PathBuf,
    folders: Vec<PathBuf>,
    /// Over the folders.
    sources: String,
    /// What was read besides.
    outside: Vec<(PathBuf, String)>,
    archive: Digest,
}

impl Record {
    pub(super) fn new(
        function: &Function,
        package: &Package,
        sources: String,
        outside: Vec<(PathBuf, String)>,
        artifact: &Artifact,
    ) -> Self {
        Self {
            version: VERSION,
            package: function.package.canonicalize().unwrap_or_else(|_| function.package.clone()),
            root: package.root.clone(),
            folders: package.folders.clone(),
            sources,
            outside,
            archive: artifact.digest.clone(),
        }
    }

    /// Whether everything is as it was.
    fn holds(&self, function: &Function) -> bool {
        self.version == VERSION
            && function.package.canonicalize().is_ok_and(|folder| folder == self.package)
            && sources::over(&self.root, &self.folders).is_ok_and(|digest| digest == self.sources)
            && self.outside.iter().all(|(path, digest)| sources::digest_of(path).as_ref() == Some(digest))
    }
}

/// The folder of archives and records.
pub(super) struct Store(PathBuf);

impl Store {
    pub(super) fn new(folder: &Path) -> Self {
        Self(folder.to_owned())
    }

    /// The function's artifact, if nothing that it is made of has changed.
    pub(super) fn current(&self, function: &Function, toolchain: &Toolchain) -> Option<Artifact> {
        let text = std::fs::read(self.record(&function.name, toolchain)).ok()?;
        let record: Record = serde_json::from_slice(&text).ok()?;
        if !record.holds(function) {
            return None;
        }
        let file = self.archive(&record.archive)?;
        let content = std::fs::read(&file).ok().filter(|content| content.len() as u64 <= archive::LARGEST)?;
        let whole = hex::encode(Sha256::digest(&content)) == record.archive.0;
        whole.then_some(Artifact { digest: record.archive, size: content.len() as u64, file })
    }

    /// Keeps an archive under its digest.
    pub(super) fn keep(&self, content: &[u8]) -> Result<Artifact, BuildError> {
        let digest = Digest(hex::encode(Sha256::digest(content)));
        let file = self.0.join(format!("{digest}.zip"));
        self.write(&file, content)?;
        Ok(Artifact { digest, size: content.len() as u64, file })
    }

    /// Writes down what a function was built from.
    pub(super) fn remember(&self, record: &Record, wanted: &Wanted<'_>) -> Result<(), BuildError> {
        let file = self.record(&wanted.function.name, &wanted.toolchain);
        let text = serde_json::to_vec_pretty(record)
            .map_err(|why| BuildError::io("written", &file, std::io::Error::other(why)))?;
        self.write(&file, &text)
    }

    fn record(&self, function: &str, toolchain: &Toolchain) -> PathBuf {
        self.0.join(format!("{function}.{}.json", toolchain.key()))
    }

    /// Where an archive lies. What a record names is not trusted to be a plain name.
    fn archive(&self, digest: &Digest) -> Option<PathBuf> {
        let plain = digest.0.len() == 64 && digest.0.bytes().all(|byte| byte.is_ascii_hexdigit());
        plain.then(|| self.0.join(format!("{digest}.zip")))
    }

    /// Writes a file as a whole or not at all.
    fn write(&self, file: &Path, content: &[u8]) -> Result<(), BuildError> {
        let write = || {
            std::fs::create_dir_all(&self.0)?;
            let mut temporary = tempfile::NamedTempFile::new_in(&self.0)?;
            temporary.write_all(content)?;
            temporary.persist(file).map_err(|failed| failed.error)?;
            Ok(())
        };
        write().map_err(|why| BuildError::io("written", file, why))
    }
}
