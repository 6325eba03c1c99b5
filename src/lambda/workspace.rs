//! A function's package as cargo sees it: its workspace, its program, and the folders that it is made of.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::{BuildError, Settings, cargo};
use crate::model::Function;

/// A package that builds a function.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Package {
    /// cargo's id of it.
    pub(super) id: String,
    /// Its name.
    pub(super) name: String,
    /// The program that is the function.
    pub(super) binary: String,
    /// The workspace's folder.
    pub(super) root: PathBuf,
    /// The folders of this package and of those that it is built from on this machine, itself first.
    pub(super) folders: Vec<PathBuf>,
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Found>,
    workspace_root: PathBuf,
    resolve: Resolve,
}

#[derive(Deserialize)]
struct Found {
    id: String,
    name: String,
    /// `None` for a package on this machine.
    source: Option<String>,
    manifest_path: PathBuf,
    default_run: Option<String>,
    targets: Vec<Target>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
    kind: Vec<String>,
}

#[derive(Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Deserialize)]
struct Node {
    id: String,
    dependencies: Vec<String>,
}

/// Asks cargo about a function's package.
pub(super) async fn find(function: &Function, settings: &Settings) -> Result<Package, BuildError> {
    let folder = function.package.canonicalize();
    let manifest = folder.map(|folder| folder.join("Cargo.toml")).ok().filter(|file| file.is_file());
    let Some(manifest) = manifest else {
        return Err(BuildError::NoPackage {
            function: function.name.clone(),
            folder: function.package.clone(),
        });
    };
    let said = |said: String| BuildError::Metadata { function: function.name.clone(), said };
    let answer = cargo::metadata(&manifest, function, settings).await?;
    let metadata: Metadata = serde_json::from_slice(&answer).map_err(|why| said(why.to_string()))?;
    let found = metadata.packages.iter().find(|package| package.manifest_path == manifest);
    let found = found.ok_or_else(|| said(format!("{} is a workspace and no package", manifest.display())))?;
    Ok(Package {
        id: found.id.clone(),
        name: found.name.clone(),
        binary: program(found, function)?,
        root: metadata.workspace_root.clone(),
        folders: folders(&metadata, found),
    })
}

/// The program that is the function: the only one, or the default one, or the one named like the package.
fn program(package: &Found, function: &Function) -> Result<String, BuildError> {
    let programs = package.targets.iter().filter(|target| target.kind.iter().any(|kind| kind == "bin"));
    let programs: Vec<String> = programs.map(|target| target.name.clone()).collect();
    let chosen = match programs.as_slice() {
        [only] => Some(only.clone()),
        several => {
            let wish = package.default_run.as_ref().unwrap_or(&package.name);
            several.iter().find(|name| *name == wish).cloned()
        }
    };
    chosen.ok_or_else(|| BuildError::Programs {
        function: function.name.clone(),
        package: package.name.clone(),
        programs,
    })
}

/// The folders of every package on this machine that a package is built from, itself first.
fn folders(metadata: &Metadata, package: &Found) -> Vec<PathBuf> {
    let nodes: BTreeMap<&str, &Node> =
        metadata.resolve.nodes.iter().map(|node| (node.id.as_str(), node)).collect();
    let mut seen = BTreeSet::from([package.id.as_str()]);
    let mut open = vec![package.id.as_str()];
    while let Some(id) = open.pop() {
        for dependency in nodes.get(id).into_iter().flat_map(|node| &node.dependencies) {
            if seen.insert(dependency) {
                open.push(dependency);
            }
        }
    }
    let local = metadata
        .packages
        .iter()
        .filter(|other| other.source.is_none() && seen.contains(other.id.as_str()) && other.id != package.id);
    let folder = |package: &Found| package.manifest_path.parent().map(Path::to_owned);
    std::iter::once(package).chain(local).filter_map(folder).collect()
}
