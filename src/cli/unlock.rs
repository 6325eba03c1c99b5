//! `mcm unlock`: take away a lock that a dead run has left in an object store.

use std::path::PathBuf;

use clap::Args;

use super::exit::Exit;
use super::failure::{Ending, Failure};
use super::options::Variables;
use super::workspace::Workspace;
use super::{Context, signals};
use crate::model::Diagnostic;
use crate::ui;

/// Take away a lock that a dead run has left
///
/// A remote lock runs out by itself a minute after its run died. A lock on this machine ends with its process.
#[derive(Args, Debug)]
pub(super) struct Unlock {
    /// The lock's id, as the message about it names it
    id: String,
    /// The stack's folder or file [default: stack.yaml here]
    stack: Option<PathBuf>,
    #[command(flatten)]
    variables: Variables,
}

impl Unlock {
    pub(super) fn run(self, context: &Context) -> Ending {
        let workspace = Workspace::find(self.stack.as_deref(), context.sandbox)?;
        let place = workspace.place(self.variables.given(), context)?;
        let unlocked = signals::run_readonly_for(async {
            let unlocked = place.unlock(&self.id).await;
            unlocked.map_err(|error| {
                let lock = place.medium().place("lock.json");
                Failure::store(format!("the lock {lock} could not be taken away"), &error)
            })
        })?;
        match unlocked {
            Some(true) => {
                ui::print::result(&format!("The lock {} is gone.", ui::text::line(&self.id)));
                Ok(Exit::Done)
            }
            Some(false) => {
                let what = format!("no lock `{}` is held on this stack", ui::text::line(&self.id));
                let hint = "the message of exit code 7 names the id; a lock that ran out needs no unlocking";
                Err(Failure::new(Exit::Invalid, Diagnostic::error(what).hint(hint)))
            }
            None => {
                let what = "this stack's lock is on this machine: there is nothing to take away";
                let hint = "it ends with the process that holds it; end that one";
                Err(Failure::refused(Diagnostic::error(what).hint(hint)))
            }
        }
    }
}
