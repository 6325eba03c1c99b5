//! `mcm rollback`: undo the last run that was interrupted or failed, from its journal.

use std::path::PathBuf;

use clap::Args;

use super::Context;
use super::exit::Exit;
use super::failure::{Ending, Failure};
use super::options::{LockOptions, Variables};
use super::reach;
use super::run::{progress, settle};
use super::signals::{self, Signals};
use super::survey::guard;
use super::workspace::{Loaded, Workspace};
use crate::engine::{self, Books, Discreet, Stop, Undoing};
use crate::model::{Clouds, Deed, Diagnostic, Journal, Outcome, Progress};
use crate::store::{self, Lock, Place, Store};
use crate::ui::{self, summary};

/// Undo the last interrupted or failed run
///
/// Goes back to where that run began, and through every run that continued it. What somebody else has changed since
/// is kept, and said so. Nothing is asked: no more is undone than what was approved and done.
#[derive(Args, Debug)]
pub(super) struct Rollback {
    /// The stack's folder or file [default: stack.yaml here]
    stack: Option<PathBuf>,
    /// As `mcm apply` has it; here nothing is asked anyway
    #[arg(long, hide = true)]
    auto_approve: bool,
    /// Print one JSON object a line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    variables: Variables,
    #[command(flatten)]
    lock: LockOptions,
}

impl Rollback {
    pub(super) fn run(self, context: &Context) -> Ending {
        let workspace = Workspace::find(self.stack.as_deref(), context.sandbox)?;
        let loaded = workspace.load(self.variables.given(), context)?;
        workspace.prepare()?;
        let place = loaded.place(&workspace)?;
        signals::run(async |mut signals| {
            let lock = place.lock("rollback", self.lock.lock_timeout);
            let lock = signals.or(async { Ok(lock.await?) }).await?;
            let done = self.perform(&workspace, loaded, (&place, &lock), signals, context);
            let ending = Box::pin(done).await;
            lock.release().await;
            ending
        })
    }

    async fn perform(
        &self,
        workspace: &Workspace,
        mut loaded: Loaded,
        (place, lock): (&Place, &Lock),
        mut signals: Signals,
        context: &Context,
    ) -> Ending {
        let medium = place.medium();
        let mut known = store::load(&*medium, Some(&loaded.stack.name)).await?;
        let Some(clouds) = undoable(&known.journal)? else {
            self.say("There is nothing to undo: no run is unfinished.");
            return Ok(Exit::Done);
        };
        // Undoing goes where the run went, whatever the stack says by now.
        loaded.stack.clouds = clouds;
        let reach = signals.or(reach::open(workspace, &loaded.stack)).await?;
        signals.or(guard(&reach.router)).await?;
        let mut store = Store::new(medium, &loaded.stack.name, &known, lock);
        let (progress, stop) = (progress(self.json, context), Stop::default());
        let show = |event| progress.show(&event);
        let mut books = Books::new(&mut known.state, &mut known.journal, &mut store);
        let undoing = Undoing { stack: &loaded.stack.name, catalogue: &loaded.catalogue, stop: &stop };
        let clouds = Discreet::new(&reach.router, &loaded.stack);
        let running = engine::rollback(undoing, &mut books, &clouds, &show);
        let ran = settle(Box::pin(running), &stop, &mut signals, &progress, "apply").await;
        progress.close();
        reach.close().await;
        self.conclude(ran?, &known.journal)
    }

    fn conclude(&self, outcome: Outcome, journal: &Journal) -> Ending {
        match outcome {
            Outcome::RolledBack { undone, .. } | Outcome::Applied { steps: undone } => {
                self.say(&summary::rolled_back(undone));
                Ok(Exit::Done)
            }
            Outcome::Stuck { undone, kept, .. } => {
                let still = journal.undoable().filter(|deed| deed.progress == Progress::Done).count();
                let diagnostic = summary::stuck(undone + still, undone, &kept, journal, "mcm apply");
                Err(Failure::new(Exit::Stuck, diagnostic))
            }
            Outcome::Interrupted { phase, done, left, .. } => Err(Failure::new(
                Exit::Interrupted,
                summary::interrupted(phase, done, left, "mcm apply", true),
            )),
        }
    }

    fn say(&self, text: &str) {
        if self.json {
            ui::print::result(&ui::json::message(text).to_string());
        } else {
            ui::print::result(text);
        }
    }
}

/// Where the unfinished runs acted; nothing if there is none. Refused past the pivot.
fn undoable(journal: &Journal) -> Result<Option<Clouds>, Failure> {
    if let Some(deed) = journal.past_pivot() {
        let Deed { intent, .. } = deed;
        let diagnostic =
            Diagnostic::error("this run cannot be undone any more: its deletions have begun, and from there it only goes forward")
                .detail(format!("{} `{}` is deleted, or may be", intent.address, intent.id))
                .hint("`mcm apply` (or `mcm destroy`) goes on");
        return Err(Failure::refused(diagnostic));
    }
    Ok(journal.runs.first().map(|run| run.clouds.clone()))
}
