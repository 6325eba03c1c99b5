//! The entries of `resources`, and the files they include: which names there are, before any value is looked at.
//!
//! An included part lies below the project's folder after symbolic links are resolved, includes do not form a
//! cycle, and there are bounds on how deep and how many they are.

use std::collections::BTreeMap;
use std::path::{Component, Path as FilePath, PathBuf};
use std::sync::Arc;

use crate::model::{Address, Catalogue, Path, ResourceType, Schema};

use super::grammar;
use super::node::{Entry, Kind, Node};
use super::report::{Report, quoted};
use super::shape::{Checker, Patterns};
use super::text::{Place, Text};
use super::variables::{Declaration, declarations};

/// How deep parts may include parts.
const DEPTH: usize = 8;
/// How many resources a stack may have, parts and all.
const RESOURCES: usize = 20_000;
/// How many times a stack may include a part.
const INCLUDES: usize = 1000;
/// How many values all included parts may have together, each counted as often as it is included.
const VALUES: usize = 1_000_000;
const LOOKED_FOR: &str =
    "a part is a file below the project's folder: the nearest one with a folder `templates`";
/// How far up the project's folder is looked for.
const ANCESTORS: usize = 32;

/// A file's entries: those of the stack itself, or of an included part.
pub(super) struct Module {
    pub(super) items: Vec<Item>,
    pub(super) parameters: Vec<Declaration>,
    pub(super) outputs: Vec<Entry>,
}

/// An entry of `resources`.
pub(super) struct Item {
    pub(super) name: String,
    /// Where its name stands.
    pub(super) place: Place,
    pub(super) address: Address,
    /// The entry as written.
    pub(super) node: Node,
    pub(super) body: Body,
}

/// What an entry is.
pub(super) enum Body {
    /// A resource; `None` where its type is not known.
    Resource(Option<(ResourceType, &'static Schema)>),
    /// An included part; `None` where it cannot be read.
    Use(Option<Module>),
}

/// Reads entries and what they include.
pub(super) struct Loader<'a> {
    pub(super) catalogue: &'a Catalogue,
    pub(super) patterns: &'a Patterns,
    /// The stack's folder, as the user named it.
    pub(super) folder: &'a FilePath,
    /// The files that are open, outermost first.
    chain: Vec<PathBuf>,
    files: BTreeMap<PathBuf, Option<(Arc<Text>, Node)>>,
    resources: usize,
    includes: usize,
    values: usize,
}

impl<'a> Loader<'a> {
    pub(super) fn new(catalogue: &'a Catalogue, patterns: &'a Patterns, folder: &'a FilePath) -> Self {
        Self {
            catalogue,
            patterns,
            folder,
            chain: Vec::new(),
            files: BTreeMap::new(),
            resources: 0,
            includes: 0,
            values: 0,
        }
    }

    /// The entries of a `resources` section, below `parent` where it is a part's.
    pub(super) fn items(
        &mut self,
        section: Option<&Node>,
        parent: Option<&Address>,
        report: &mut Report,
    ) -> Vec<Item> {
        let Some(section) = section.filter(|node| !node.is_null()) else { return Vec::new() };
        if !matches!(section.kind, Kind::Map(_)) {
            let summary = format!("`resources` is to be a map, but this is {}", section.describe());
            report.error(&section.place, summary, "write `name: { type: …, properties: … }` below it");
            return Vec::new();
        }
        section.entries().iter().filter_map(|entry| self.item(entry, parent, report)).collect()
    }

    fn item(&mut self, entry: &Entry, parent: Option<&Address>, report: &mut Report) -> Option<Item> {
        self.resources += 1;
        if self.resources > RESOURCES {
            if self.resources == RESOURCES + 1 {
                let summary = format!("the stack has more than {RESOURCES} resources");
                report.error(&entry.key_place, summary, "split it into several stacks");
            }
            return None;
        }
        name_fits(entry, "a resource", self.patterns, report)?;
        let path = match parent {
            Some(parent) => format!("{parent}.{}", entry.key),
            None => format!("resources.{}", entry.key),
        };
        let Ok(address) = Address::parse(&path) else {
            let summary = format!("the address `{path}` is too long");
            report.error(&entry.key_place, summary, "shorten the names on it");
            return None;
        };
        let node = &entry.value;
        if !matches!(node.kind, Kind::Map(_)) {
            let summary =
                format!("the resource `{}` is to be a map, but this is {}", entry.key, node.describe());
            report.error(&entry.key_place, summary, "write `type:` and `properties:` below it");
            return None;
        }
        let body = if node.get("use").is_some() {
            Body::Use(self.include(entry, &address, report))
        } else {
            Body::Resource(self.ty(entry, report))
        };
        let (name, place) = (entry.key.clone(), entry.key_place.clone());
        Some(Item { name, place, address, node: node.clone(), body })
    }

    /// The entry's type, if it is one.
    fn ty(&self, entry: &Entry, report: &mut Report) -> Option<(ResourceType, &'static Schema)> {
        let Some(node) = entry.value.get("type") else {
            let summary = format!("the resource `{}` has no type", entry.key);
            report.error(
                &entry.key_place,
                summary,
                "write `type:` with the vendor's name, such as `AWS::S3::Bucket`",
            );
            return None;
        };
        let Some(name) = node.text() else {
            let summary = format!("`type` is to be a text, but this is {}", node.describe());
            report.error(&node.place, summary, "write the vendor's name, such as `AWS::S3::Bucket`");
            return None;
        };
        let ty = ResourceType::new(name);
        let schema = self.catalogue.get(&ty);
        if schema.is_none() {
            let hint = report.suggest(name, self.catalogue.iter().map(|schema| schema.ty));
            report.error(&node.place, format!("there is no resource type `{name}`"), hint);
        }
        schema.map(|schema| (ty, schema))
    }

    /// Reads the part that an entry includes.
    fn include(&mut self, entry: &Entry, address: &Address, report: &mut Report) -> Option<Module> {
        let node = entry.value.get("use")?;
        let Some(wanted) = node.text().filter(|text| !text.is_empty()) else {
            let summary = format!("`use` is to be a file's name, but this is {}", node.describe());
            report.error(&node.place, summary, "write it from the project's folder: `templates/….yaml`");
            return None;
        };
        let (path, shown) = self.resolve(wanted, &node.place, report)?;
        if self.chain.contains(&path) {
            let names: Vec<String> = self.chain.iter().chain([&path]).map(|path| short(path)).collect();
            let summary = format!("`{wanted}` includes itself");
            report.error(&node.place, summary, format!("the cycle is {}: break it", names.join(" -> ")));
            return None;
        }
        if self.chain.len() >= DEPTH {
            let summary = format!("parts include parts deeper than {DEPTH} levels");
            report.error(&node.place, summary, "flatten them");
            return None;
        }
        let (text, root) = self.open(&path, &shown, report)?;
        self.includes += 1;
        self.values += root.size();
        if self.includes > INCLUDES || self.values > VALUES {
            let summary = "parts are included too often, or are too large, in all";
            report.error(&node.place, summary, "include less, or split the stack");
            return None;
        }
        self.chain.push(path);
        let module = self.module(&text, &root, address, report);
        self.chain.pop();
        module
    }

    /// The entries of a part's file.
    fn module(&mut self, text: &Arc<Text>, root: &Node, at: &Address, report: &mut Report) -> Option<Module> {
        let what = format!("the part {}", text.path().display());
        if !matches!(root.kind, Kind::Map(_)) {
            let summary = format!("{what} is to be a map, but this is {}", root.describe());
            report.error(&root.place, summary, "write `parameters:` and `resources:`");
            return None;
        }
        let mut checker = Checker::of_keys(report, self.patterns);
        checker.object(root, &grammar::PART, &Path::default(), &what, &text.top());
        let parameters = declarations(root.get("parameters"), "parameter", self.patterns, report);
        let items = self.items(root.get("resources"), Some(at), report);
        let outputs = self.offers(root.get("outputs"), &items, &what, report);
        Some(Module { items, parameters, outputs })
    }

    /// What a part offers.
    fn offers(&self, section: Option<&Node>, items: &[Item], what: &str, report: &mut Report) -> Vec<Entry> {
        let Some(section) = section.filter(|node| !node.is_null()) else { return Vec::new() };
        if !matches!(section.kind, Kind::Map(_)) {
            let summary = format!("`outputs` is to be a map, but this is {}", section.describe());
            report.error(&section.place, summary, "write `name: ${resource.Attribute}` below it");
        }
        for output in section.entries() {
            if let Some(why) =
                Checker::of_keys(report, self.patterns).breaks(&output.key, &grammar::OFFER_NAME)
            {
                report.error(&output.key_place, format!("`{}` cannot name an output", output.key), why);
            }
            if items.iter().any(|item| item.name == output.key) {
                let summary = format!("`{}` names both an output and a resource of {what}", output.key);
                report.error(&output.key_place, summary, "give one of them another name");
            }
        }
        section.entries().to_vec()
    }

    /// The file itself, read once however often it is included.
    fn open(&mut self, path: &FilePath, shown: &FilePath, report: &mut Report) -> Option<(Arc<Text>, Node)> {
        if let Some(read) = self.files.get(path) {
            return read.clone();
        }
        let read = match super::read_text(path) {
            Ok(text) => {
                let text = Text::new(shown, text);
                super::yaml::read(&text, report).map(|root| (text, root))
            }
            Err(why) => {
                report.push(why);
                None
            }
        };
        self.files.insert(path.to_owned(), read.clone());
        read
    }

    /// The real path of an included file, which lies below the project's folder, and a path to it as the user
    /// would write it.
    fn resolve(&self, wanted: &str, place: &Place, report: &mut Report) -> Option<(PathBuf, PathBuf)> {
        let Some((root, above)) = project(self.folder) else {
            report.error(place, "the stack's folder cannot be found", "run mcm where the stack file is");
            return None;
        };
        let Ok(path) = root.join(wanted).canonicalize() else {
            let known = parts(&root);
            let known: Vec<&str> = known.iter().map(String::as_str).collect();
            let hint = match super::report::nearest(wanted, &known) {
                Some(near) => format!("did you mean `{near}`?"),
                None if known.is_empty() => LOOKED_FOR.to_owned(),
                None => format!("{LOOKED_FOR}, which has {}", quoted(&known)),
            };
            report.error(place, format!("there is no file `{wanted}`"), hint);
            return None;
        };
        if !path.starts_with(&root) {
            let summary = format!("`{wanted}` lies outside of the project's folder");
            report.error(place, summary, LOOKED_FOR);
            return None;
        }
        Some((path, ascend(self.folder, above).join(wanted)))
    }
}

/// So many folders above a path, as short as the path allows.
fn ascend(folder: &FilePath, above: usize) -> PathBuf {
    let mut path = folder.to_owned();
    for _ in 0..above {
        let named = matches!(path.components().next_back(), Some(Component::Normal(_)));
        if !(named && path.pop()) {
            path.push("..");
        }
    }
    path
}

/// The project's folder, its links resolved: the nearest one, from the stack's upwards, that has a folder
/// `templates`; the search ends where a repository does. Else the stack's own. With it, how far above that is.
fn project(folder: &FilePath) -> Option<(PathBuf, usize)> {
    let folder = if folder.as_os_str().is_empty() { FilePath::new(".") } else { folder };
    let own = folder.canonicalize().ok()?;
    for (above, ancestor) in own.ancestors().take(ANCESTORS).enumerate() {
        if ancestor.join("templates").is_dir() {
            return Some((ancestor.to_owned(), above));
        }
        if ancestor.join(".git").exists() {
            break;
        }
    }
    Some((own, 0))
}

/// The files of a project's `templates` folder, for suggestions.
fn parts(root: &FilePath) -> Vec<String> {
    let Ok(folder) = root.join("templates").read_dir() else { return Vec::new() };
    let mut names: Vec<String> = folder
        .take(100)
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| FilePath::new(name).extension().is_some_and(|ending| ending == "yaml"))
        .map(|name| format!("templates/{name}"))
        .collect();
    names.sort();
    names
}

fn short(path: &FilePath) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

/// `MyFiles` and `my_files` as `my-files`.
fn kebab(name: &str) -> String {
    let mut plain = String::with_capacity(name.len() + 4);
    let mut small = false;
    for c in name.chars().take(100) {
        if c.is_ascii_uppercase() && small {
            plain.push('-');
        }
        small = c.is_ascii_lowercase() || c.is_ascii_digit();
        plain.push(if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' });
    }
    plain
}

/// Whether an entry's name can be a logical name.
pub(super) fn name_fits(entry: &Entry, noun: &str, patterns: &Patterns, report: &mut Report) -> Option<()> {
    let name = entry.key.as_str();
    if let Some(why) = Checker::of_keys(report, patterns).breaks(name, &grammar::NAME) {
        let plain = kebab(name);
        let plain = plain.trim_matches(|c: char| c == '-' || c.is_ascii_digit());
        let hint =
            if plain.is_empty() || plain.len() > 63 { why } else { format!("{why}, such as `{plain}`") };
        report.error(&entry.key_place, format!("`{name}` cannot name {noun}"), hint);
        return None;
    }
    if grammar::RESERVED.contains(&name) {
        let summary = format!("`{name}` cannot name {noun}: `${{{name}}}` means something else");
        report.error(&entry.key_place, summary, "give it another name");
        return None;
    }
    Some(())
}
