//! `mcm apply`: make the clouds equal to the stack, as one transaction.

use std::path::PathBuf;

use clap::Args;
use jiff::Timestamp;

use super::Context;
use super::failure::{Ending, Failure};
use super::options::{PlanOptions, RunOptions, Variables};
use super::planfile::{PlanFile, command_of};
use super::run::Job;
use super::workspace::Workspace;
use crate::engine::Request;
use crate::model::{Diagnostic, Mode};

/// Make the clouds equal to the stack
#[derive(Args, Debug)]
pub(super) struct Apply {
    /// The stack's folder or file, or a saved plan [default: stack.yaml here]
    #[arg(value_name = "STACK|PLANFILE")]
    stack: Option<PathBuf>,
    #[command(flatten)]
    options: PlanOptions,
    #[command(flatten)]
    run: RunOptions,
    #[command(flatten)]
    variables: Variables,
}

impl Apply {
    pub(super) fn run(self, context: &Context) -> Ending {
        if let Some(file) = self.stack.clone().filter(|file| PlanFile::is_one(file)) {
            return self.run_saved(&file, context);
        }
        let job = Job {
            workspace: Workspace::find(self.stack.as_deref(), context.sandbox)?,
            variables: self.variables.given(),
            request: Request {
                mode: Mode::Apply,
                targets: self.options.targets.target,
                excludes: self.options.targets.exclude,
                allow_recreate: self.options.allow_recreate,
                now: Timestamp::now(),
            },
            options: self.run,
            command: "apply",
            saved: None,
        };
        job.run(context)
    }

    /// A saved plan was approved where it was made: no one is asked again.
    fn run_saved(self, file: &std::path::Path, context: &Context) -> Ending {
        let targets = &self.options.targets;
        if !targets.target.is_empty() || !targets.exclude.is_empty() || self.options.allow_recreate {
            return Err(Failure::invalid(
                "--target, --exclude and --allow-recreate belong to `mcm plan`: a saved plan is applied as it is",
            ));
        }
        let saved = PlanFile::read(file)?;
        if context.sandbox && !saved.sandbox {
            let diagnostic =
                Diagnostic::error("this plan was made for the real clouds, and --sandbox is set")
                    .hint("leave --sandbox (or MCM_SANDBOX) out, or make the plan with it");
            return Err(Failure::refused(diagnostic));
        }
        let job = Job {
            workspace: saved.workspace(file)?,
            variables: saved.given(self.variables.given()),
            request: saved.request(),
            options: self.run,
            command: command_of(saved.plan.mode),
            saved: Some(saved),
        };
        job.run(context)
    }
}
