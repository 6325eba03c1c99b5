//! `mcm graph`: the dependencies of a stack, for a picture.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::Context;
use super::exit::Exit;
use super::failure::Ending;
use super::options::Variables;
use super::workspace::Workspace;
use crate::ui;

/// Write the dependencies of a stack as a graph
#[derive(Args, Debug)]
pub(super) struct Graph {
    /// The stack's folder or file [default: stack.yaml here]
    stack: Option<PathBuf>,
    /// In which language
    #[arg(long, value_enum, default_value_t = Format::Dot)]
    format: Format,
    #[command(flatten)]
    variables: Variables,
}

/// The languages of graphs.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    /// Graphviz
    Dot,
    /// Mermaid, as Markdown pages show it
    Mermaid,
}

impl Graph {
    pub(super) fn run(self, context: &Context) -> Ending {
        let workspace = Workspace::find(self.stack.as_deref(), context.sandbox)?;
        let loaded = workspace.load(self.variables.given(), context)?;
        ui::print::result(&match self.format {
            Format::Dot => ui::graph::dot(&loaded.stack),
            Format::Mermaid => ui::graph::mermaid(&loaded.stack),
        });
        Ok(Exit::Done)
    }
}
