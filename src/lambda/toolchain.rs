//! What builds for which processor: cargo itself where that suffices, cargo-zigbuild where it is installed.
//!
//! Lambda's `provided.al2023` has glibc 2.34. cargo-zigbuild links against exactly that version, for either processor.
//! Plain cargo links against this machine's own, so its result is looked at: one that needs a newer glibc would end
//! at its first start, with an error that no one sees before the first invocation.

use std::ffi::OsStr;
use std::fmt;
use std::path::{Path, PathBuf};

use super::{BuildError, Settings};
use crate::model::{Architecture, Function};

/// The glibc of `provided.al2023`: 2.34.
const GLIBC: u32 = 34;

/// What artifacts are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// AWS itself.
    Lambda,
    /// The embedded cloud or another emulator, which runs functions on this machine.
    ThisMachine,
}

/// What builds a function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Toolchain {
    /// `cargo build`: for this machine. Whether the result must run in Lambda, too.
    Plain { strict: bool },
    /// `cargo zigbuild`.
    Zig(Architecture),
}

impl Toolchain {
    /// The one that builds for an architecture and a purpose, on this machine.
    pub(super) fn choose(architecture: Architecture, settings: &Settings) -> Result<Self, BuildError> {
        let search = settings.search_path.as_deref();
        let missing = |program: &str, remedy: &str| BuildError::Missing {
            program: program.to_owned(),
            architecture,
            remedy: remedy.to_owned(),
        };
        if find("cargo", search).is_none() {
            return Err(missing("cargo", "install Rust from https://rustup.rs"));
        }
        let native = cfg!(target_os = "linux") && own() == Some(architecture);
        match settings.purpose {
            Purpose::ThisMachine => Ok(Self::Plain { strict: false }),
            Purpose::Lambda if find("cargo-zigbuild", search).is_some() => Ok(Self::Zig(architecture)),
            Purpose::Lambda if native => Ok(Self::Plain { strict: true }),
            Purpose::Lambda => Err(missing(
                "cargo-zigbuild",
                &format!(
                    "install it with `pip install cargo-zigbuild ziglang`, and the target with `rustup target add {}`",
                    triple(architecture)
                ),
            )),
        }
    }

    /// The program's arguments, up to those that say what to build.
    pub(super) fn arguments(&self) -> Vec<String> {
        match self {
            Self::Plain { .. } => vec!["build".to_owned()],
            Self::Zig(architecture) => {
                let target = format!("{}.2.{GLIBC}", triple(*architecture));
                vec!["zigbuild".to_owned(), "--target".to_owned(), target]
            }
        }
    }

    /// How it builds: as the workspace says for a release; for this machine, where the compiler is waited for and a
    /// function's start is not, quickly and without what debuggers read.
    pub(super) fn profile(&self) -> &'static [&'static str] {
        match self {
            Self::Plain { strict: false } => {
                &["--config", "profile.dev.debug=false", "--config", "profile.dev.strip=true"]
            }
            Self::Plain { strict: true } | Self::Zig(_) => &["--release"],
        }
    }

    /// A name for files.
    pub(super) fn key(&self) -> String {
        match self {
            Self::Plain { strict: true } => "native".to_owned(),
            Self::Plain { strict: false } => "here".to_owned(),
            Self::Zig(architecture) => architecture.to_string(),
        }
    }

    /// What to do where cargo misses the standard library of the target.
    pub(super) fn remedy(&self, said: &str) -> Option<String> {
        match self {
            Self::Zig(architecture) if said.contains("can't find crate for `std`") => {
                Some(format!("install the target with `rustup target add {}`", triple(*architecture)))
            }
            Self::Zig(_) | Self::Plain { .. } => None,
        }
    }
}

impl fmt::Display for Toolchain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain { .. } => f.write_str("this machine"),
            Self::Zig(architecture) => f.write_str(triple(*architecture)),
        }
    }
}

fn triple(architecture: Architecture) -> &'static str {
    match architecture {
        Architecture::X86_64 => "x86_64-unknown-linux-gnu",
        Architecture::Arm64 => "aarch64-unknown-linux-gnu",
    }
}

/// This machine's processor, if Lambda has it.
fn own() -> Option<Architecture> {
    match std::env::consts::ARCH {
        "x86_64" => Some(Architecture::X86_64),
        "aarch64" => Some(Architecture::Arm64),
        _ => None,
    }
}

/// A program on the search path.
fn find(program: &str, search: Option<&OsStr>) -> Option<PathBuf> {
    let name = format!("{program}{}", std::env::consts::EXE_SUFFIX);
    std::env::split_paths(search?).map(|folder| folder.join(&name)).find(|path| is_program(path))
}

#[cfg(unix)]
fn is_program(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    path.metadata().is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

#[cfg(not(unix))]
fn is_program(path: &Path) -> bool {
    path.is_file()
}

/// Whether a program will start where it is meant to.
pub(super) fn check(program: &[u8], function: &Function, toolchain: &Toolchain) -> Result<(), BuildError> {
    let architecture = match toolchain {
        Toolchain::Plain { strict: false } => return Ok(()),
        Toolchain::Plain { strict: true } => function.architecture,
        Toolchain::Zig(architecture) => *architecture,
    };
    if machine(program) != Some(architecture) {
        return Err(BuildError::Foreign { function: function.name.clone(), architecture });
    }
    match glibc(program) {
        Some(needs) if needs > GLIBC => {
            Err(BuildError::Glibc { function: function.name.clone(), needs, has: GLIBC })
        }
        Some(_) | None => Ok(()),
    }
}

/// The processor that a 64-bit, little-endian ELF program is for: `e_machine`, bytes 18 and 19.
fn machine(program: &[u8]) -> Option<Architecture> {
    if !program.starts_with(b"\x7fELF\x02\x01") {
        return None;
    }
    match program.get(18..20)? {
        [62, 0] => Some(Architecture::X86_64),
        [183, 0] => Some(Architecture::Arm64),
        _ => None,
    }
}

/// The greatest version of glibc that a program names: `GLIBC_2.34` in its table of needed versions.
fn glibc(program: &[u8]) -> Option<u32> {
    let mark = b"GLIBC_2.";
    let minor = |rest: &[u8]| {
        let digits: Vec<u8> = rest.iter().copied().take(3).take_while(u8::is_ascii_digit).collect();
        std::str::from_utf8(&digits).ok()?.parse().ok()
    };
    // A table of strings: each name is followed by a zero or a further part of the version.
    program
        .windows(mark.len())
        .enumerate()
        .filter(|(_, window)| window == mark)
        .filter_map(|(at, _)| minor(program.get(at + mark.len()..)?))
        .max()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn function(architecture: Architecture) -> Function {
        Function {
            name: "f".to_owned(),
            package: PathBuf::new(),
            architecture,
            options: crate::model::Map::new(),
            location: None,
        }
    }

    fn elf(machine: u8, versions: &str) -> Vec<u8> {
        let mut program = b"\x7fELF\x02\x01".to_vec();
        program.resize(18, 0);
        program.extend([machine, 0]);
        program.extend(versions.as_bytes());
        program
    }

    fn checked(program: &[u8], toolchain: &Toolchain) -> Result<(), String> {
        check(program, &function(Architecture::X86_64), toolchain).map_err(|error| error.to_string())
    }

    #[test]
    fn a_program_that_would_not_start_in_lambda_is_refused() {
        let strict = Toolchain::Plain { strict: true };
        assert_eq!(checked(&elf(62, "GLIBC_2.2.5\0GLIBC_2.34\0GLIBC_2.9\0"), &strict), Ok(()));
        assert_eq!(
            checked(&elf(62, "GLIBC_2.2.5\0GLIBC_2.39\0GLIBC_2.34\0"), &strict).unwrap_err(),
            "the function `f` needs glibc 2.39, and Lambda's provided.al2023 has 2.34"
        );
        let foreign = "the function `f` was not built as a Linux program for x86_64";
        assert_eq!(checked(&elf(183, ""), &strict).unwrap_err(), foreign);
        assert_eq!(checked(b"MZ", &strict).unwrap_err(), foreign);
        assert_eq!(checked(&elf(183, ""), &Toolchain::Zig(Architecture::Arm64)), Ok(()));
        assert_eq!(checked(b"#!/bin/sh", &Toolchain::Plain { strict: false }), Ok(()));
    }

    fn choose(architecture: Architecture, purpose: Purpose, programs: &[&str]) -> Result<Toolchain, String> {
        let folder = tempfile::tempdir().unwrap();
        for program in programs {
            let path = folder.path().join(format!("{program}{}", std::env::consts::EXE_SUFFIX));
            std::fs::write(&path, "").unwrap();
            #[cfg(unix)]
            std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        }
        let settings = Settings {
            store: PathBuf::new(),
            purpose,
            search_path: Some(folder.path().into()),
            withheld: Vec::new(),
            cargo_home: None,
            flags: super::super::Flags::Build,
            time_limit: super::super::TIME_LIMIT,
        };
        Toolchain::choose(architecture, &settings).map_err(|error| format!("{error}: {}", error.hint()))
    }

    #[test]
    fn what_is_installed_decides_what_builds() {
        let foreign =
            if own() == Some(Architecture::Arm64) { Architecture::X86_64 } else { Architecture::Arm64 };
        let here = Ok(Toolchain::Plain { strict: false });
        assert_eq!(choose(foreign, Purpose::ThisMachine, &["cargo"]), here);
        assert_eq!(
            choose(foreign, Purpose::Lambda, &["cargo", "cargo-zigbuild"]),
            Ok(Toolchain::Zig(foreign))
        );
        let refused = choose(foreign, Purpose::Lambda, &["cargo"]).unwrap_err();
        assert!(refused.contains("`cargo-zigbuild` is not installed"), "{refused}");
        assert!(refused.contains(&format!("rustup target add {}", triple(foreign))), "{refused}");
        let refused = choose(foreign, Purpose::ThisMachine, &[]).unwrap_err();
        assert!(refused.contains("`cargo` is not installed"), "{refused}");
    }

    #[test]
    #[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
    fn this_machine_builds_for_itself_without_further_tools() {
        let own = own().unwrap();
        assert_eq!(choose(own, Purpose::Lambda, &["cargo"]), Ok(Toolchain::Plain { strict: true }));
        assert_eq!(choose(own, Purpose::Lambda, &["cargo", "cargo-zigbuild"]), Ok(Toolchain::Zig(own)));
    }
}
