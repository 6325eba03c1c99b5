//! Where a stack lies on disk, and what of mcm's lies beside it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::model::{Address, Artifact, Catalogue, Diagnostic, Stack, State};
use crate::stack::{self, Dialect, Given, Source};
use crate::store::{Folder, Place, make_private_folder, read_private, write_private};
use crate::{lambda, provider, trust, ui};

use super::exit::Exit;
use super::failure::Failure;
use super::{Context, backend, functions};

/// The file of a stack whose folder is named.
const STACK_FILE: &str = "stack.yaml";

/// A stack's folder.
#[derive(Clone, Debug)]
pub(super) struct Workspace {
    /// The stack file.
    pub(super) file: PathBuf,
    /// Its folder; never empty.
    pub(super) folder: PathBuf,
    /// Whether the embedded clouds are used: their state is kept apart.
    pub(super) sandbox: bool,
}

/// A stack that was read, with the resource types it was read by.
#[derive(Debug)]
pub(super) struct Loaded {
    pub(super) stack: Stack,
    pub(super) catalogue: Catalogue,
}

impl Workspace {
    /// Finds the stack that an argument names: its folder, its file, or nothing for the working directory.
    pub(super) fn find(argument: Option<&Path>, sandbox: bool) -> Result<Self, Failure> {
        let named = argument.unwrap_or(Path::new("."));
        let file = match fs::metadata(named) {
            Ok(found) if found.is_dir() && argument.is_none() => PathBuf::from(STACK_FILE),
            Ok(found) if found.is_dir() => named.join(STACK_FILE),
            Ok(_) => named.to_owned(),
            Err(error) => {
                let summary = format!("there is no stack at {}", ui::text::line(&named.to_string_lossy()));
                let hint = "name a stack's folder or file, such as stacks/image-recognition";
                let diagnostic = Diagnostic::error(summary).detail(error.to_string()).hint(hint);
                return Err(Failure::new(Exit::Invalid, diagnostic));
            }
        };
        if !file.is_file() {
            let folder = if argument.is_none() {
                "the working directory".to_owned()
            } else {
                named.display().to_string()
            };
            let diagnostic =
                Diagnostic::error(format!("there is no {STACK_FILE} in {}", ui::text::line(&folder))).hint(
                    "name a stack's folder or file, such as stacks/image-recognition, or go there with -C",
                );
            return Err(Failure::new(Exit::Invalid, diagnostic));
        }
        let folder = match file.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
            _ => PathBuf::from("."),
        };
        Ok(Self { file, folder, sandbox })
    }

    /// Reads the stack file; warnings go to stderr. Functions are not built: what their archives decide is unknown.
    pub(super) fn load(&self, variables: Vec<Given>, context: &Context) -> Result<Loaded, Failure> {
        let (loaded, warnings) = self.read(variables, &BTreeMap::new())?;
        context.warn(&warnings);
        Ok(loaded)
    }

    /// Reads the stack file and builds its functions, where they are not up to date: what a plan needs.
    pub(super) fn load_built(&self, variables: Vec<Given>, context: &Context) -> Result<Loaded, Failure> {
        let loaded = self.load(variables.clone(), context)?;
        if loaded.stack.functions.is_empty() {
            return Ok(loaded);
        }
        self.prepare()?;
        let artifacts = functions::build(self, &loaded.stack, &loaded.stack.functions, context)?;
        // The warnings were told.
        Ok(self.read(variables, &artifacts)?.0)
    }

    fn read(
        &self,
        variables: Vec<Given>,
        artifacts: &BTreeMap<String, Artifact>,
    ) -> Result<(Loaded, Vec<Diagnostic>), Failure> {
        let catalogue = provider::catalogue();
        // A variable that is not Unicode can be named by no stack file.
        let environment = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        let source = Source { file: self.file.clone(), variables, environment: environment.collect() };
        let dialect =
            Dialect { catalogue: &catalogue, trust: trust::expand, functions: lambda::expand, artifacts };
        let (stack, warnings) = stack::parse(&source, dialect)?;
        Ok((Loaded { stack, catalogue }, warnings))
    }

    /// `.mcm` beside the stack file.
    fn own_folder(&self) -> PathBuf {
        self.folder.join(".mcm")
    }

    /// The archives of the stack's functions.
    pub(super) fn functions_folder(&self) -> PathBuf {
        self.own_folder().join("functions")
    }

    /// The sandbox's data.
    #[cfg(feature = "sandbox")]
    pub(super) fn sandbox_folder(&self) -> PathBuf {
        self.own_folder().join("sandbox")
    }

    /// What the stack owns: in the real clouds, or in the embedded ones.
    pub(super) fn state(&self) -> Folder {
        Folder::new(if self.sandbox { self.own_folder().join("sandbox/state") } else { self.own_folder() })
    }

    /// Where the state lies, for commands that look at the state alone. A stack file that names no backend need not be
    /// a sound one.
    pub(super) fn place(&self, variables: Vec<Given>, context: &Context) -> Result<Place, Failure> {
        let text = fs::read_to_string(&self.file).unwrap_or_default();
        if !text.lines().any(|line| line.starts_with("backend")) {
            return Ok(Place::Folder(self.state()));
        }
        self.load(variables, context)?.place(self)
    }

    /// Makes `.mcm` and keeps it out of version control.
    pub(super) fn prepare(&self) -> Result<(), Failure> {
        let folder = self.own_folder();
        let made = make_private_folder(&folder).and_then(|()| {
            let ignore = folder.join(".gitignore");
            if read_private(&ignore)?.is_some() { Ok(()) } else { write_private(&ignore, b"*\n") }
        });
        made.map_err(|error| Failure::io(format!("{} cannot be used", folder.display()), &error))
    }
}

impl Loaded {
    /// Where the stack's state lies.
    pub(super) fn place(&self, workspace: &Workspace) -> Result<Place, Failure> {
        backend::place(workspace, self.stack.backend.as_ref(), &self.stack.clouds)
    }

    /// Refuses addresses that neither the stack nor its state knows.
    pub(super) fn require<'a>(
        &self,
        addresses: impl Iterator<Item = &'a Address>,
        state: &State,
    ) -> Result<(), Failure> {
        let known = |address: &Address| {
            self.stack.get(address).is_some()
                || state.resources.contains_key(address)
                || state.replaced.contains_key(address)
        };
        let unknown: Vec<Diagnostic> = addresses
            .filter(|address| !known(address))
            .map(|address| {
                let known = self.stack.resources.iter().map(|resource| &resource.address);
                let diagnostic = Diagnostic::error(format!("the stack has no `{address}`"));
                match closest_address(address, known) {
                    Some(near) => diagnostic.hint(format!("did you mean `{near}`?")),
                    None => diagnostic.hint("`mcm graph` shows all addresses"),
                }
            })
            .collect();
        if unknown.is_empty() { Ok(()) } else { Err(Failure { exit: Exit::Invalid, diagnostics: unknown }) }
    }
}

/// The known address that is most like the one that was written. What nearly all have in common says nothing.
pub(super) fn closest_address<'w>(
    written: &Address,
    known: impl Iterator<Item = &'w Address>,
) -> Option<&'w Address> {
    const COMMON: &str = "resources.";
    let bare = |address: &'w Address| address.as_str().trim_start_matches(COMMON);
    let known: Vec<&Address> = known.collect();
    let near =
        closest(written.as_str().trim_start_matches(COMMON), known.iter().map(|&address| bare(address)))?;
    known.into_iter().find(|address| bare(address) == near)
}

/// The known word that is most like the one that was written.
pub(super) fn closest<'w>(written: &str, known: impl Iterator<Item = &'w str>) -> Option<&'w str> {
    /// Less alike than this is no suggestion.
    const ALIKE: f64 = 0.7;
    let rated = known.map(|word| (strsim::jaro_winkler(written, word), word));
    let best = rated.max_by(|one, other| one.0.total_cmp(&other.0))?;
    (best.0 >= ALIKE).then_some(best.1)
}
