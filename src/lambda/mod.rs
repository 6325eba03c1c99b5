//! A Rust package -> an [`Artifact`]: the zip that Lambda runs, with a `bootstrap` at its root. And the functions of a
//! stack -> the resources that deploy them ([`expand()`]).
//!
//! [`build`] reads aloud: what is up to date is taken as it is (`record`, `sources`); the rest is found (`workspace`),
//! sorted into as few calls of cargo as possible, built (`cargo`), checked (`toolchain`) and packed (`archive`).
//!
//! Invariants: with the same toolchain and flags the same source gives the same digest, whatever the folder, the time and
//! the user; an archive on disk
//! is used only if its content still has its digest; a build that is given up (its future dropped) leaves no process
//! behind; every wait, line and file has a bound. Absences: nothing here touches a cloud, reads a stack
//! file or prints.

mod archive;
mod cargo;
mod check;
mod error;
mod expand;
mod record;
mod sources;
mod template;
mod toolchain;
mod workspace;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::model::{Artifact, BuildEvent, Function};

pub use error::BuildError;
pub use expand::expand;
pub use toolchain::Purpose;

use record::{Record, Store};
use toolchain::Toolchain;
use workspace::Package;

/// Longer than any build of a function ought to take, on a small machine and from nothing.
pub const TIME_LIMIT: Duration = Duration::from_mins(30);

/// How functions are built.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The folder that keeps archives and records: `.mcm/functions`.
    pub store: PathBuf,
    /// What the artifacts are for.
    pub purpose: Purpose,
    /// The search path for programs, as the environment gives it.
    pub search_path: Option<std::ffi::OsString>,
    /// Variables of the environment that a build is not given.
    pub withheld: Vec<std::ffi::OsString>,
    /// Where cargo keeps what it has downloaded.
    pub cargo_home: Option<PathBuf>,
    /// Flags for the compiler that the environment gives in place of those of cargo's configuration.
    pub flags: Flags,
    /// How long one call of cargo may take.
    pub time_limit: Duration,
}

/// Where the compiler's flags come from. Of these sources cargo takes one, in this order.
/// <https://doc.rust-lang.org/cargo/reference/config.html#buildrustflags>
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Flags {
    /// `CARGO_ENCODED_RUSTFLAGS` or `RUSTFLAGS`.
    Environment(Vec<String>),
    /// `CARGO_TARGET_…_RUSTFLAGS`.
    Target,
    /// `build.rustflags`, if any.
    #[default]
    Build,
}

impl Flags {
    /// As the environment has them.
    pub fn of(environment: impl Iterator<Item = (String, String)>) -> Self {
        let environment: BTreeMap<String, String> = environment.collect();
        let split = |text: &String, by: &[char]| {
            text.split(by).filter(|flag| !flag.is_empty()).map(str::to_owned).collect()
        };
        let of_target = |name: &String| name.starts_with("CARGO_TARGET_") && name.ends_with("_RUSTFLAGS");
        match (environment.get("CARGO_ENCODED_RUSTFLAGS"), environment.get("RUSTFLAGS")) {
            (Some(encoded), _) => Self::Environment(split(encoded, &['\x1f'])),
            (None, Some(flags)) => Self::Environment(split(flags, &[' '])),
            (None, None) if environment.keys().any(of_target) => Self::Target,
            (None, None) => Self::Build,
        }
    }
}

/// Where a build tells what it is doing.
pub type Events<'a> = &'a (dyn Fn(BuildEvent) + Sync);

/// The artifacts that are up to date already, by function; sends nothing to cargo.
pub fn up_to_date(functions: &[Function], settings: &Settings) -> BTreeMap<String, Artifact> {
    let store = Store::new(&settings.store);
    let found = functions.iter().filter_map(|function| {
        let toolchain = Toolchain::choose(function.architecture, settings).ok()?;
        Some((function.name.clone(), store.current(function, &toolchain)?))
    });
    found.collect()
}

/// The artifact of every function; what is not up to date is built. Dropping the future ends the build.
pub async fn build(
    functions: &[Function],
    settings: &Settings,
    events: Events<'_>,
) -> Result<BTreeMap<String, Artifact>, BuildError> {
    let store = Store::new(&settings.store);
    let mut artifacts = BTreeMap::new();
    let mut stale = Vec::new();
    for function in functions {
        let toolchain = Toolchain::choose(function.architecture, settings)?;
        match store.current(function, &toolchain) {
            Some(artifact) => {
                events(BuildEvent::UpToDate { function: function.name.clone(), artifact: artifact.clone() });
                artifacts.insert(function.name.clone(), artifact);
            }
            None => stale.push((function, toolchain)),
        }
    }
    let mut wanted = Vec::with_capacity(stale.len());
    for (function, toolchain) in stale {
        let package = workspace::find(function, settings).await?;
        wanted.push(Wanted { function, toolchain, package });
    }
    for call in calls(wanted) {
        let built = run(&call, &store, settings, events).await?;
        artifacts.extend(built);
    }
    Ok(artifacts)
}

/// A function that is to be built, with what is known of its package.
struct Wanted<'a> {
    function: &'a Function,
    toolchain: Toolchain,
    package: Package,
}

/// Sorts what is to be built into calls of cargo: one for each workspace and target. Binaries of one name in one
/// workspace would overwrite each other, so they go into calls of their own; one package serves several functions.
fn calls(wanted: Vec<Wanted<'_>>) -> Vec<Vec<Wanted<'_>>> {
    let mut calls: Vec<Vec<Wanted<'_>>> = Vec::new();
    for one in wanted {
        let fits = |call: &&mut Vec<Wanted<'_>>| {
            call.iter().all(|other| {
                let alike = other.package.root == one.package.root && other.toolchain == one.toolchain;
                alike && (other.package.binary != one.package.binary || other.package.id == one.package.id)
            })
        };
        match calls.iter_mut().find(fits) {
            Some(call) => call.push(one),
            None => calls.push(vec![one]),
        }
    }
    calls
}

/// One call of cargo, and what becomes of what it built.
async fn run(
    call: &[Wanted<'_>],
    store: &Store,
    settings: &Settings,
    events: Events<'_>,
) -> Result<BTreeMap<String, Artifact>, BuildError> {
    let Some(first) = call.first() else { return Ok(BTreeMap::new()) };
    let began = Instant::now();
    let functions = call.iter().map(|wanted| wanted.function.name.clone()).collect();
    events(BuildEvent::Began { functions, target: first.toolchain.to_string() });
    // Before cargo reads them: what is changed while it builds makes the record stale, and is built the next time.
    let before = call.iter().map(|wanted| sources::digest(&wanted.package)).collect::<Result<Vec<_>, _>>()?;
    let packages: BTreeSet<&Package> = call.iter().map(|wanted| &wanted.package).collect();
    let executables = cargo::build(&packages, &first.toolchain, settings, events).await?;
    let mut artifacts = BTreeMap::new();
    for (wanted, sources) in call.iter().zip(before) {
        let executable = executables.get(&wanted.package.id).ok_or_else(|| BuildError::NoExecutable {
            function: wanted.function.name.clone(),
            binary: wanted.package.binary.clone(),
        })?;
        let artifact = pack(executable, wanted, store)?;
        let outside = sources::outside(executable, &wanted.package);
        store
            .remember(&Record::new(wanted.function, &wanted.package, sources, outside, &artifact), wanted)?;
        events(BuildEvent::Built {
            function: wanted.function.name.clone(),
            artifact: artifact.clone(),
            took: began.elapsed(),
        });
        artifacts.insert(wanted.function.name.clone(), artifact);
    }
    Ok(artifacts)
}

/// Checks what cargo built, and puts it into an archive.
fn pack(executable: &Path, wanted: &Wanted<'_>, store: &Store) -> Result<Artifact, BuildError> {
    let content = std::fs::read(executable).map_err(|why| BuildError::io("read", executable, why))?;
    toolchain::check(&content, wanted.function, &wanted.toolchain)?;
    let archive = archive::pack(&content).map_err(|why| BuildError::Archive {
        function: wanted.function.name.clone(),
        why: why.to_string(),
    })?;
    if archive.len() as u64 > archive::LARGEST {
        return Err(BuildError::TooLarge {
            function: wanted.function.name.clone(),
            bytes: archive.len() as u64,
        });
    }
    store.keep(&archive)
}
