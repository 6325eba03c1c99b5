//! A saved plan: what was approved is what runs.
//!
//! The file holds where the stack is, the variables, the plan with the digests of all that was read, and a seal over
//! all of it. It is read back byte for byte: a file that this mcm would not have written so is refused. No secret is
//! in it; sensitive variables must be given again.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::exit::Exit;
use super::failure::{Failure, chain};
use super::workspace::Workspace;
use crate::engine::Request;
use crate::model::{Address, Diagnostic, Digest, Map, Mode, Plan, Value};
use crate::stack::Given;
use crate::{store, ui};

/// What stands first in every plan file.
const FORMAT: &str = "mcm-plan";
/// The one version there is.
const VERSION: u32 = 1;

/// A plan file.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PlanFile {
    format: String,
    version: u32,
    /// Which mcm made it.
    mcm: String,
    /// When; the dates of undo windows count from here.
    made: Timestamp,
    /// Whether it was made for the embedded clouds.
    pub(super) sandbox: bool,
    /// The stack file, as it was named.
    stack_file: PathBuf,
    /// All variables but the sensitive ones.
    variables: BTreeMap<String, Value>,
    /// The names of the sensitive ones.
    sensitive: Vec<String>,
    targets: Vec<Address>,
    excludes: Vec<Address>,
    allow_recreate: bool,
    /// The plan itself.
    pub(super) plan: Plan,
    /// Over everything above.
    seal: Digest,
}

impl PlanFile {
    /// Seals a plan.
    pub(super) fn new(workspace: &Workspace, variables: &Map, request: &Request, plan: Plan) -> Self {
        let secret = |value: &Value| matches!(value, Value::Secret(_));
        let named = |(name, value): (&String, &Value)| (name.clone(), value.clone());
        let mut file = Self {
            format: FORMAT.to_owned(),
            version: VERSION,
            mcm: env!("CARGO_PKG_VERSION").to_owned(),
            made: request.now,
            sandbox: workspace.sandbox,
            stack_file: workspace.file.clone(),
            variables: variables.iter().filter(|(_, value)| !secret(value)).map(named).collect(),
            sensitive: variables
                .iter()
                .filter(|(_, value)| secret(value))
                .map(|(name, _)| name.clone())
                .collect(),
            targets: request.targets.clone(),
            excludes: request.excludes.clone(),
            allow_recreate: request.allow_recreate,
            plan,
            seal: Digest::default(),
        };
        file.seal = file.seal();
        file
    }

    /// Whether a file is meant to be a plan file: a stack file never begins so.
    pub(super) fn is_one(file: &Path) -> bool {
        use std::io::Read as _;
        let mut start = Vec::new();
        let read = std::fs::File::open(file).and_then(|open| open.take(200).read_to_end(&mut start));
        read.is_ok() && String::from_utf8_lossy(&start).contains(FORMAT)
    }

    /// Reads a plan file and verifies its seal.
    pub(super) fn read(file: &Path) -> Result<Self, Failure> {
        let name = ui::text::line(&file.to_string_lossy()).into_owned();
        let invalid = |what: &str, detail: String| {
            let diagnostic = Diagnostic::error(format!("{name} {what}")).detail(detail);
            Failure::new(Exit::Invalid, diagnostic.hint("make a new plan with `mcm plan --out FILE`"))
        };
        let content = match store::read_private(file) {
            Ok(Some(content)) => content,
            Ok(None) => return Err(Failure::invalid(format!("there is no plan file {name}"))),
            Err(error) => return Err(invalid("cannot be read", chain(&error))),
        };
        let plan: Self = serde_json::from_slice(&content)
            .map_err(|error| invalid("is not a plan file, or it is damaged", error.to_string()))?;
        if plan.format != FORMAT || plan.version != VERSION {
            return Err(invalid(
                "is not a plan file that this mcm reads",
                format!("format {} {}", plan.format, plan.version),
            ));
        }
        if plan.seal != plan.seal() || plan.to_text()? != content {
            return Err(invalid(
                "was changed after it was made",
                "its seal does not fit its content".to_owned(),
            ));
        }
        Ok(plan)
    }

    /// Writes the file, readable by its owner alone.
    pub(super) fn write(&self, file: &Path) -> Result<(), Failure> {
        let text = self.to_text()?;
        store::write_private(file, &text).map_err(|error| {
            let what = format!("the plan could not be saved in {}", ui::text::line(&file.to_string_lossy()));
            let diagnostic = Diagnostic::error(what).detail(error.to_string());
            Failure::new(
                Exit::Failed,
                diagnostic.hint("give `--out` a plain file in a folder that can be written"),
            )
        })
    }

    /// Where the stack is: as it was named, seen from here, else seen from the plan file.
    pub(super) fn workspace(&self, file: &Path) -> Result<Workspace, Failure> {
        let beside = file.parent().map(|folder| folder.join(&self.stack_file));
        let found = match beside {
            Some(beside) if !self.stack_file.exists() && beside.exists() => beside,
            Some(_) | None => self.stack_file.clone(),
        };
        Workspace::find(Some(&found), self.sandbox)
    }

    /// The variables it was made with, after those that are given now.
    pub(super) fn given(&self, now: Vec<Given>) -> Vec<Given> {
        let saved =
            self.variables.iter().map(|(name, value)| Given::Flag(format!("{name}={}", value.to_text())));
        now.into_iter().chain(saved).collect()
    }

    /// A variable that a flag sets to something else now: its name, what it was, what it is to be.
    pub(super) fn other(&self, now: &[Given]) -> Option<(String, String, String)> {
        now.iter().find_map(|given| {
            let Given::Flag(text) = given else { return None };
            let (name, now) = text.split_once('=')?;
            let then = self.variables.get(name)?.to_text();
            (then != now).then(|| (name.to_owned(), then, now.to_owned()))
        })
    }

    /// The request it was made by.
    pub(super) fn request(&self) -> Request {
        Request {
            mode: self.plan.mode,
            targets: self.targets.clone(),
            excludes: self.excludes.clone(),
            allow_recreate: self.allow_recreate,
            now: self.made,
        }
    }

    /// Refuses if what would be planned now is not what was planned then, and names what moved.
    pub(super) fn compare(&self, now: &Plan) -> Result<(), Failure> {
        let then = &self.plan;
        if then.digest() == now.digest() {
            return Ok(());
        }
        let what =
            if then.stack_digest == now.stack_digest { "what the stack owns" } else { "the stack file" };
        let mut moved = Vec::new();
        let by_address = |plan: &Plan| -> BTreeMap<Address, usize> {
            plan.changes.iter().enumerate().map(|(at, change)| (change.address.clone(), at)).collect()
        };
        let (was, is) = (by_address(then), by_address(now));
        for change in &now.changes {
            let before = was.get(&change.address).map(|&at| &then.changes[at]);
            let old = before.and_then(|change| change.after.clone()).map_or(Value::Null, Value::Map);
            let new = change.after.clone().map_or(Value::Null, Value::Map);
            differences(change.address.as_str(), &old, &new, &mut moved);
        }
        for change in then.changes.iter().filter(|change| !is.contains_key(&change.address)) {
            moved.push(format!("{}: is not in the plan any more", change.address));
        }
        let mut diagnostic =
            Diagnostic::error(format!("the plan is stale: {what} has changed since it was made"));
        if !moved.is_empty() {
            diagnostic = diagnostic.detail(moved.join("\n"));
        }
        let hint = match self.sensitive.as_slice() {
            [] => "make a new plan, and have that approved".to_owned(),
            names => format!(
                "make a new plan, and have that approved; sensitive variables are not saved and must be given again: {}",
                names.join(", ")
            ),
        };
        Err(Failure::refused(diagnostic.hint(hint)))
    }

    fn seal(&self) -> Digest {
        Digest::of(&Self { seal: Digest::default(), ..self.clone() })
    }

    fn to_text(&self) -> Result<Vec<u8>, Failure> {
        let mut text = serde_json::to_vec_pretty(self)
            .map_err(|error| Failure::io("the plan could not be written", &error))?;
        text.push(b'\n');
        Ok(text)
    }
}

/// Whether a plan deletes rather than makes, for the words of a run.
pub(super) fn command_of(mode: Mode) -> &'static str {
    match mode {
        Mode::Apply | Mode::RefreshOnly => "apply",
        Mode::Destroy => "destroy",
    }
}

/// Where two values differ, with both.
fn differences(path: &str, then: &Value, now: &Value, found: &mut Vec<String>) {
    /// The first ones suffice to see what happened.
    const TOLD: usize = 10;
    if then == now || found.len() >= TOLD {
        return;
    }
    match (then, now) {
        (Value::Map(then), Value::Map(now)) => {
            let keys: std::collections::BTreeSet<_> = then.keys().chain(now.keys()).collect();
            for key in keys {
                let value = |map: &Map| map.get(key).cloned().unwrap_or_default();
                differences(&format!("{path} {}", ui::text::line(key)), &value(then), &value(now), found);
            }
        }
        _ => found.push(format!("{path}: was {}, is {}", then.to_json(), now.to_json())),
    }
}
