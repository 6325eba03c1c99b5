//! A function, from its package to the archive that is deployed.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Digest, Location, Map};

/// One event of a function's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogEvent {
    /// The cloud's name for this one event.
    pub id: String,
    /// Milliseconds since 1970, by the function's clock.
    pub at_ms: i64,
    /// Milliseconds since 1970: when it came to the log.
    pub came_ms: i64,
    /// Which of the function's processes wrote it.
    pub stream: String,
    /// What was written: a line, often JSON.
    pub message: String,
}

/// The processor that a function runs on, in Lambda's words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Architecture {
    /// 64-bit Intel and AMD: Lambda's default.
    #[default]
    #[serde(rename = "x86_64")]
    X86_64,
    /// Graviton.
    #[serde(rename = "arm64")]
    Arm64,
}

impl Architecture {
    /// Both, in Lambda's words.
    pub const WORDS: [&'static str; 2] = ["x86_64", "arm64"];

    /// Reads Lambda's word.
    pub fn parse(word: &str) -> Option<Self> {
        match word {
            "x86_64" => Some(Self::X86_64),
            "arm64" => Some(Self::Arm64),
            _ => None,
        }
    }

    /// Lambda's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::X86_64 => Self::WORDS[0],
            Self::Arm64 => Self::WORDS[1],
        }
    }
}

impl fmt::Display for Architecture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A function of a stack, as the stack file says it.
#[derive(Clone, Debug, PartialEq)]
pub struct Function {
    /// The entry's name.
    pub name: String,
    /// The folder of its Rust package, below the stack's folder.
    pub package: PathBuf,
    /// What it runs on.
    pub architecture: Architecture,
    /// The whole entry, its keys and types checked: `role` and each event's `bucket` are references to a resource
    /// itself, everything else is as written.
    pub options: Map,
    /// Where its entry stands.
    pub location: Option<Location>,
}

/// A built function: a deterministic zip.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Artifact {
    /// SHA-256 of the archive, in hex.
    pub digest: Digest,
    /// The archive's size in bytes.
    pub size: u64,
    /// Where it lies on this machine.
    pub file: PathBuf,
}

/// What a build is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BuildEvent {
    /// Nothing that the function is made of has changed.
    UpToDate {
        /// Which.
        function: String,
        /// Its archive.
        artifact: Artifact,
    },
    /// One call of cargo begins.
    Began {
        /// Which functions it builds.
        functions: Vec<String>,
        /// What for: a target triple, or this machine.
        target: String,
    },
    /// What cargo says that it is doing: `Compiling serde v1.0.0`.
    Cargo {
        /// Its words.
        line: String,
    },
    /// A function is built and packed.
    Built {
        /// Which.
        function: String,
        /// Its archive.
        artifact: Artifact,
        /// Since the call of cargo began.
        took: Duration,
    },
}
