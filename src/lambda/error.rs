//! Why a function could not be built, and what to do about it.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::model::Architecture;

/// Why a function could not be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// There is no package where the stack says.
    #[error("the function `{function}` has no Rust package in {folder}")]
    NoPackage {
        /// Which.
        function: String,
        /// Where it was looked for.
        folder: PathBuf,
    },
    /// cargo does not make sense of the package.
    #[error("cargo cannot read the package of the function `{function}`")]
    Metadata {
        /// Which.
        function: String,
        /// cargo's words.
        said: String,
    },
    /// The package builds no program, or several of which none bears the package's name.
    #[error("the package `{package}` of the function `{function}` has {} programs", .programs.len())]
    Programs {
        /// Which.
        function: String,
        /// Its package.
        package: String,
        /// What there is.
        programs: Vec<String>,
    },
    /// cargo, or what it needs, is not installed.
    #[error("`{program}` is not installed, and functions for {architecture} need it here")]
    Missing {
        /// What is missing.
        program: String,
        /// What for.
        architecture: Architecture,
        /// How to get it.
        remedy: String,
    },
    /// cargo failed.
    #[error("cargo could not build {}", .functions.join(", "))]
    Failed {
        /// Which functions.
        functions: Vec<String>,
        /// The end of what it said.
        said: String,
        /// A standard library for the target is missing.
        remedy: Option<String>,
    },
    /// It took too long.
    #[error("building {} took longer than {} s and was ended", .functions.join(", "), .limit.as_secs())]
    TimedOut {
        /// Which functions.
        functions: Vec<String>,
        /// How long it was given.
        limit: Duration,
    },
    /// cargo succeeded, but built nothing that could be run.
    #[error("cargo built no program `{binary}` for the function `{function}`")]
    NoExecutable {
        /// Which.
        function: String,
        /// The program.
        binary: String,
    },
    /// The program would not start in Lambda.
    #[error("the function `{function}` needs glibc 2.{needs}, and Lambda's provided.al2023 has 2.{has}")]
    Glibc {
        /// Which.
        function: String,
        /// What it was linked with.
        needs: u32,
        /// What there is.
        has: u32,
    },
    /// The program is for another processor or system.
    #[error("the function `{function}` was not built as a Linux program for {architecture}")]
    Foreign {
        /// Which.
        function: String,
        /// What it was to be.
        architecture: Architecture,
    },
    /// The archive is too large.
    #[error("the archive of the function `{function}` has {} MiB", .bytes >> 20)]
    TooLarge {
        /// Which.
        function: String,
        /// Its size.
        bytes: u64,
    },
    /// The archive could not be written.
    #[error("the function `{function}` could not be packed: {why}")]
    Archive {
        /// Which.
        function: String,
        /// Why.
        why: String,
    },
    /// What a package is made of is beyond what is read.
    #[error("{folder} holds more than {what}")]
    TooMuch {
        /// The package's folder.
        folder: PathBuf,
        /// The bound.
        what: String,
    },
    /// A file, a folder or a program failed.
    #[error("{path} cannot be {what}")]
    Io {
        /// What was to be done with it.
        what: &'static str,
        /// What it is.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl BuildError {
    pub(super) fn io(what: &'static str, path: &Path, source: io::Error) -> Self {
        Self::Io { what, path: path.to_owned(), source }
    }

    /// What cargo said, where it said something.
    pub fn said(&self) -> Option<&str> {
        match self {
            Self::Metadata { said, .. } | Self::Failed { said, .. } => Some(said),
            _ => None,
        }
    }

    /// What to do.
    pub fn hint(&self) -> String {
        match self {
            Self::NoPackage { .. } => {
                "`package` is the folder of a Rust package beside the stack file, with a `Cargo.toml` in it".to_owned()
            }
            Self::Metadata { .. } => "mend what cargo names; `cargo metadata` in that folder says the same".to_owned(),
            Self::Programs { programs, .. } if programs.is_empty() => {
                "a function is a program: give the package a `src/main.rs`".to_owned()
            }
            Self::Programs { programs, .. } => format!(
                "name one of {} by `default-run` in its `Cargo.toml`, or split the package",
                programs.join(", ")
            ),
            Self::Missing { remedy, .. } | Self::Failed { remedy: Some(remedy), .. } => remedy.clone(),
            Self::Failed { remedy: None, .. } => {
                "mend what cargo names; nothing else was touched, and what was built stays built".to_owned()
            }
            Self::TimedOut { .. } => {
                "what was built stays built: run it again, or run `cargo build --release` there to see what takes so long".to_owned()
            }
            Self::NoExecutable { .. } => {
                "the program may need features that are off: name them as `default` in the package".to_owned()
            }
            Self::Glibc { .. } => {
                "this machine's glibc is newer than Lambda's: install cargo-zigbuild (`pip install cargo-zigbuild ziglang`), \
                 which mcm then uses, or build on Amazon Linux 2023"
                    .to_owned()
            }
            Self::Foreign { .. } => {
                "install cargo-zigbuild (`pip install cargo-zigbuild ziglang`), and take `build.target` out of cargo's configuration".to_owned()
            }
            Self::TooLarge { .. } => {
                "set `strip = true` and `lto = true` in `[profile.release]`, and take large data out of the program".to_owned()
            }
            Self::Archive { .. } => "this is a bug in mcm: please report it".to_owned(),
            Self::TooMuch { .. } => {
                "keep data and build folders out of the package's folder; names that begin with a dot and `target` are left out".to_owned()
            }
            Self::Io { .. } => "check the file, its permissions and the room on the disk".to_owned(),
        }
    }
}
