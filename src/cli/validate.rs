//! `mcm validate`: parse and check; no cloud is touched.

use std::path::PathBuf;

use clap::Args;

use super::Context;
use super::exit::Exit;
use super::failure::Ending;
use super::options::Variables;
use super::workspace::Workspace;
use crate::ui;

/// Check a stack file; no cloud is touched
#[derive(Args, Debug)]
pub(super) struct Validate {
    /// The stack's folder or file [default: stack.yaml here]
    stack: Option<PathBuf>,
    #[command(flatten)]
    variables: Variables,
}

impl Validate {
    pub(super) fn run(self, context: &Context) -> Ending {
        let workspace = Workspace::find(self.stack.as_deref(), context.sandbox)?;
        let loaded = workspace.load(self.variables.given(), context)?;
        let count = loaded.stack.resources.len();
        let plural = if count == 1 { "" } else { "s" };
        let name = ui::text::line(&loaded.stack.name);
        ui::print::result(&format!("The stack {name} is valid: {count} resource{plural}."));
        Ok(Exit::Done)
    }
}
