//! `mcm destroy`: delete what the stack owns.

use std::path::PathBuf;

use clap::Args;
use jiff::Timestamp;

use super::Context;
use super::failure::Ending;
use super::options::{RunOptions, Targets, Variables};
use super::run::Job;
use super::workspace::Workspace;
use crate::engine::Request;
use crate::model::Mode;

/// Delete what the stack owns
#[derive(Args, Debug)]
pub(super) struct Destroy {
    /// The stack's folder or file [default: stack.yaml here]
    stack: Option<PathBuf>,
    #[command(flatten)]
    targets: Targets,
    #[command(flatten)]
    run: RunOptions,
    #[command(flatten)]
    variables: Variables,
}

impl Destroy {
    pub(super) fn run(self, context: &Context) -> Ending {
        let job = Job {
            workspace: Workspace::find(self.stack.as_deref(), context.sandbox)?,
            variables: self.variables.given(),
            request: Request {
                mode: Mode::Destroy,
                targets: self.targets.target,
                excludes: self.targets.exclude,
                allow_recreate: false,
                now: Timestamp::now(),
            },
            options: self.run,
            command: "destroy",
            saved: None,
            serve: None,
        };
        job.run(context)
    }
}
