//! YAML -> [`Stack`]: parsing with source locations, variables, references, includes, expansion.
//!
//! `parse` reads top to bottom: the file becomes a tree with places (`yaml`), what is declared and included is
//! found (`variables`, `modules`), every `${…}` is given its meaning (`scope`, `drafts`), trusts become
//! resources (`trust`), and functions too (`functions`), and each resource is checked by its type's schema (`check`,
//! `shape`). No step stops at the first mistake: the `report` gathers them, and a value that is wrong fits everywhere
//! from then on.
//!
//! Nothing here touches a cloud. The files that are read: the stack file, files of variables, included parts, and
//! the folders whose content a stack uploads.

mod assembly;
mod backend;
mod check;
mod clouds;
mod content;
mod digest;
mod drafts;
mod functions;
mod grammar;
mod interpolate;
mod json_schema;
mod modules;
mod node;
mod order;
mod outputs;
mod report;
mod scalar;
mod scope;
mod shape;
mod text;
mod trust;
mod variables;
mod yaml;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;

use crate::model::{
    Artifact, Catalogue, Diagnostic, Diagnostics, Digest, Expander, FunctionExpander, Map, Path, Stack, Value,
};

pub use json_schema::json_schema;

use assembly::Sections;
use check::Check;
use modules::{Loader, Module};
use node::{Kind, Node};
use report::Report;
use scope::{Growth, Scope, Target, Values};
use shape::{Checker, Patterns};
use text::Text;

/// What a stack is read from.
#[derive(Clone, Debug)]
pub struct Source {
    /// The stack file.
    pub file: PathBuf,
    /// Variables from the command line, in its order: `--var` beats `--var-file` beats `MCM_VAR_*`, and of two of
    /// a kind the later one counts.
    pub variables: Vec<Given>,
    /// The process's environment, for `${env.NAME}` and `MCM_VAR_NAME`.
    pub environment: Vec<(String, String)>,
}

/// Variables given outside the stack file.
#[derive(Clone, Debug)]
pub enum Given {
    /// `--var name=value`
    Flag(String),
    /// `--var-file FILE`
    File(PathBuf),
}

/// What the language of the stack file is made of besides its grammar.
#[derive(Clone, Copy, Debug)]
pub struct Dialect<'a> {
    /// The resource types.
    pub catalogue: &'a Catalogue,
    /// What the `trust` section means.
    pub trust: Expander,
    /// What the `functions` section means.
    pub functions: FunctionExpander,
    /// The functions that are built, by name.
    pub artifacts: &'a BTreeMap<String, Artifact>,
}

/// Reads, checks and expands a stack; all mistakes at once. The second value holds warnings.
pub fn parse(source: &Source, dialect: Dialect<'_>) -> Result<(Stack, Vec<Diagnostic>), Diagnostics> {
    let text = Text::new(&source.file, read_text(&source.file)?);
    let folder = source.file.parent().map(FilePath::to_owned).unwrap_or_default();
    let mut report = Report::default();
    let stack = yaml::read(&text, &mut report).and_then(|root| {
        let patterns = Patterns::default();
        let growth = Growth::default();
        let file = Parse {
            source,
            dialect,
            text: &text,
            root: &root,
            folder: &folder,
            patterns: &patterns,
            growth: &growth,
        };
        file.stack(&mut report)
    });
    let warnings = report.finish()?;
    match stack {
        Some(stack) => Ok((stack, warnings)),
        None => Err(Diagnostic::error(format!("{} holds no stack", source.file.display()))
            .hint("write `stack: name` and `resources:` into it")
            .into()),
    }
}

/// One stack file being read.
struct Parse<'a> {
    source: &'a Source,
    dialect: Dialect<'a>,
    text: &'a Arc<Text>,
    root: &'a Node,
    folder: &'a FilePath,
    patterns: &'a Patterns,
    growth: &'a Growth,
}

impl Parse<'_> {
    /// The stack; what is wrong is in the report.
    fn stack(&self, report: &mut Report) -> Option<Stack> {
        if !matches!(self.root.kind, Kind::Map(_)) {
            let summary = format!("a stack file is a map, but this is {}", self.root.describe());
            report.error(&self.root.place, summary, "write `stack: name` and `resources:` into it");
            return None;
        }
        let declared = variables::declarations(self.root.get("variables"), "variable", self.patterns, report);
        let values = variables::values(&declared, self.source, report);
        let outside = Some((&values, self.source.environment.as_slice()));
        let anonymous = Scope { stack: None, outside, parameters: None, names: None, growth: self.growth };
        let name = self.header(&anonymous, report);
        let mut loader = Loader::new(self.dialect.catalogue, self.patterns, self.folder);
        let items = loader.items(self.root.get("resources"), None, report);
        let module = Module { items, parameters: Vec::new(), outputs: Vec::new() };
        let line =
            |name: &str| module.items.iter().find(|item| item.name == name).map(|item| item.place.line());
        let edges = trust::edges(self.root.get("trust"), &line, self.patterns, report);
        let taken = |name: &str| {
            let edge = edges.iter().find(|edge| edge.name == name).map(|edge| edge.place.line());
            line(name).or(edge)
        };
        let functions = functions::entries(self.root.get("functions"), &taken, self.patterns, report);

        let mut names = drafts::names(&module);
        names.extend(
            edges.iter().map(|edge| (edge.name.as_str(), Target::Trust { address: edge.address.clone() })),
        );
        names.extend(
            functions
                .iter()
                .map(|entry| (entry.name.as_str(), Target::Trust { address: entry.address.clone() })),
        );
        let scope = |names| Scope { stack: Some(&name), names, ..anonymous };
        let (nameless, scope) = (scope(None), scope(Some(&names)));
        let (clouds, placed) =
            clouds::read(self.root.get("clouds"), &self.text.top(), &nameless, self.patterns, report);
        let backend =
            backend::read(self.root.get("backend"), &self.text.top(), &nameless, self.patterns, report);
        let drafts = drafts::evaluate(&module, &scope, self.patterns, report);
        let evaluate = |node: &Node, report: &mut Report| scope.evaluate(node, report);
        let outputs = outputs::read(self.root.get("outputs"), &evaluate, self.patterns, report);

        let stack = Stack {
            name: name.clone(),
            description: self.root.get("description").and_then(Node::text).map(str::to_owned),
            folder: self.folder.to_owned(),
            clouds,
            backend,
            resources: Vec::new(),
            functions: Vec::new(),
            outputs: Vec::new(),
            variables: shown(&values),
            digest: Digest::default(),
        };
        let check = Check { placed, folder: self.folder, patterns: self.patterns };
        let sections =
            Sections { edges: &edges, functions: &functions, scope: &scope, dialect: self.dialect };
        Some(assembly::assemble(stack, drafts, outputs, &check, &sections, report))
    }

    /// The file's own keys; the stack's name. It may say which copy of the stack this is, by a variable: the name is in
    /// every mark, so that one copy never takes over what is another's.
    fn header(&self, scope: &Scope<'_>, report: &mut Report) -> String {
        let mut root = Cow::Borrowed(self.root);
        let written = self.root.get("stack");
        if let Some(node) =
            written.filter(|node| node.text().is_some_and(|text| !interpolate::is_plain(text)))
        {
            let mut name = scope.evaluate(node, report);
            if matches!(name.kind, Kind::Secret(_)) {
                let summary = "the stack's name would tell a secret: it stands in plans and on every object";
                report.error(&node.place, summary, "use a variable that is none");
                name = scope::poison(&node.place);
            }
            root.to_mut().set("stack", name);
        }
        let mut checker = Checker::of_keys(report, self.patterns);
        let header =
            checker.object(&root, &grammar::FILE, &Path::default(), "the stack file", &self.text.top());
        // Without a sound name the rest is checked all the same.
        header.get("stack").and_then(Value::as_text).unwrap_or("stack").to_owned()
    }
}

/// The variables' values.
fn shown(values: &Values) -> Map {
    let known = values.iter().filter_map(|(name, node)| Some((name.clone(), node.as_ref()?.value())));
    known.collect()
}

/// Reads a file of bounded size.
fn read_text(path: &FilePath) -> Result<String, Diagnostic> {
    let shown = path.display();
    let cannot = |why: std::io::Error| {
        let hint = match why.kind() {
            std::io::ErrorKind::NotFound => {
                "check the path; a stack is a folder with a `stack.yaml`, or the file"
            }
            _ => "check the file and its permissions",
        };
        Diagnostic::error(format!("{shown} cannot be read")).detail(why.to_string()).hint(hint)
    };
    let file = File::open(path).map_err(cannot)?;
    let mut bytes = Vec::new();
    file.take(yaml::BYTES as u64 + 1).read_to_end(&mut bytes).map_err(cannot)?;
    if bytes.len() > yaml::BYTES {
        return Err(Diagnostic::error(format!("{shown} is larger than {} KiB", yaml::BYTES >> 10))
            .hint("a file is for people to read: split it"));
    }
    String::from_utf8(bytes).map_err(|why| {
        let valid = &why.as_bytes()[..why.utf8_error().valid_up_to()];
        let line = valid.split(|&byte| byte == b'\n').count();
        Diagnostic::error(format!("{shown} is not UTF-8 text"))
            .detail(format!("the first byte that is not stands on line {line}"))
            .hint("save the file as UTF-8")
    })
}
