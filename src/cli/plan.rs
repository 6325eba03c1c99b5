//! `mcm plan`: what apply would do. Changes nothing, neither in a cloud nor in the state.

use std::path::PathBuf;

use clap::Args;
use jiff::Timestamp;

use super::Context;
use super::exit::Exit;
use super::failure::Ending;
use super::options::{LockOptions, PlanOptions, Variables, parallelism};
use super::planfile::PlanFile;
use super::survey::{decide, follow, obstacles, survey};
use super::workspace::Workspace;
use super::{reach, signals};
use crate::engine::Request;
use crate::model::{Mode, Plan as Decided, Severity};
use crate::store;
use crate::ui::{self, summary};

/// Show what apply would do; nothing is changed
#[derive(Args, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub(super) struct Plan {
    /// The stack's folder or file [default: stack.yaml here]
    stack: Option<PathBuf>,
    /// Save the plan, for `mcm apply FILE`
    #[arg(long, value_name = "FILE", conflicts_with = "refresh_only")]
    out: Option<PathBuf>,
    /// Print the plan as JSON
    #[arg(long)]
    json: bool,
    /// Exit with 2 if there is something to do
    #[arg(long)]
    detailed_exitcode: bool,
    /// Only tell how the clouds differ from the stack
    #[arg(long, conflicts_with = "destroy")]
    refresh_only: bool,
    /// Plan the deletion of what the stack owns
    #[arg(long)]
    destroy: bool,
    #[command(flatten)]
    options: PlanOptions,
    #[command(flatten)]
    variables: Variables,
    /// As apply takes it; reads have limits of their own
    #[arg(long, value_name = "N", hide = true, default_value_t = 10, value_parser = parallelism)]
    parallelism: usize,
    /// As apply takes it; a plan takes no lock
    #[command(flatten)]
    lock: LockOptions,
}

impl Plan {
    pub(super) fn run(self, context: &Context) -> Ending {
        let workspace = Workspace::find(self.stack.as_deref(), context.sandbox)?;
        let loaded = if self.destroy {
            workspace.load(self.variables.given(), context)?
        } else {
            workspace.load_built(self.variables.given(), context)?
        };
        signals::run_readonly(async {
            let mut known =
                store::load(&*loaded.place(&workspace)?.medium(), Some(&loaded.stack.name)).await?;
            follow(&loaded, &mut known.state, &known.journal, self.json);
            if let Some(notice) = summary::unfinished(&known.journal, false) {
                ui::print::notice(&notice);
            }
            let state = known.state;
            loaded.require(self.options.targets.all(), &state)?;
            let request = self.request();
            let reach = reach::open(&workspace, &loaded.stack).await?;
            let inventory = survey(&loaded, &state, &known.journal, request.mode, &reach.router).await?;
            let plan = decide(&loaded, (&state, &known.journal), &inventory, &request)?;
            let mut obstacles = obstacles(&plan, &reach.router).await?;
            reach.close().await;
            if self.json {
                ui::print::result(&format!("{:#}", ui::json::plan(&plan)));
            } else {
                ui::print::result(&ui::plan::render(&plan, context.out));
            }
            for told in &mut obstacles {
                told.severity = Severity::Warning;
            }
            context.warn(&obstacles);
            let pending = !plan.is_empty();
            if let Some(file) = &self.out {
                save(file, &workspace, &loaded.stack.variables, &request, plan)?;
            }
            Ok(if pending && self.detailed_exitcode { Exit::Pending } else { Exit::Done })
        })
    }

    fn request(&self) -> Request {
        Request {
            mode: match (self.destroy, self.refresh_only) {
                (true, _) => Mode::Destroy,
                (false, true) => Mode::RefreshOnly,
                (false, false) => Mode::Apply,
            },
            targets: self.options.targets.target.clone(),
            excludes: self.options.targets.exclude.clone(),
            allow_recreate: self.options.allow_recreate,
            now: Timestamp::now(),
        }
    }
}

fn save(
    file: &std::path::Path,
    workspace: &Workspace,
    variables: &crate::model::Map,
    request: &Request,
    plan: Decided,
) -> Result<(), super::failure::Failure> {
    PlanFile::new(workspace, variables, request, plan).write(file)?;
    let name = file.display();
    ui::print::notice(&format!(
        "The plan is saved in {name}: `mcm apply {name}` does exactly this, or refuses."
    ));
    Ok(())
}
