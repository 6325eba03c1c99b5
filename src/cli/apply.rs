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
    /// Keep the sandbox up afterwards, until it is interrupted, on this port and the two after it [default: any free ones]
    #[cfg(feature = "sandbox")]
    #[arg(
        long, value_name = "PORT", num_args = 0..=1, require_equals = true, default_missing_value = "0",
        value_parser = clap::value_parser!(u16).range(..=65533)
    )]
    serve: Option<u16>,
}

impl Apply {
    pub(super) fn run(self, context: &Context) -> Ending {
        if self.serve().is_some() && !context.sandbox {
            return Err(Failure::invalid(
                "--serve keeps the sandbox up, and this run is not in it: add --sandbox",
            ));
        }
        if let Some(file) = self.stack.clone().filter(|file| PlanFile::is_one(file)) {
            return self.run_saved(&file, context);
        }
        let serve = self.serve();
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
            serve,
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
        let serve = self.serve();
        let saved = PlanFile::read(file)?;
        if context.sandbox && !saved.sandbox {
            let diagnostic =
                Diagnostic::error("this plan was made for the real clouds, and --sandbox is set")
                    .hint("leave --sandbox (or MCM_SANDBOX) out, or make the plan with it");
            return Err(Failure::refused(diagnostic));
        }
        let given = self.variables.given();
        if let Some((name, then, now)) = saved.other(&given) {
            let name = crate::ui::text::line(&name).into_owned();
            let diagnostic = Diagnostic::error(format!("this plan was made with another value of `{name}`"))
                .detail(format!(
                    "{} then, {} now",
                    crate::ui::text::quoted(&then),
                    crate::ui::text::quoted(&now)
                ))
                .hint(format!("leave `--var {name}` out, or make the plan anew with it"));
            return Err(Failure::refused(diagnostic));
        }
        let job = Job {
            workspace: saved.workspace(file)?,
            variables: saved.given(given),
            request: saved.request(),
            options: self.run,
            command: command_of(saved.plan.mode),
            saved: Some(saved),
            serve,
        };
        job.run(context)
    }

    /// The port of a sandbox that is to stay up.
    #[cfg(feature = "sandbox")]
    fn serve(&self) -> Option<u16> {
        self.serve
    }

    /// There is none that could.
    #[cfg(not(feature = "sandbox"))]
    #[expect(clippy::unused_self, reason = "as with the sandbox")]
    fn serve(&self) -> Option<u16> {
        None
    }
}
