//! `mcm show`: a saved plan, as it was shown when it was made.

use std::path::PathBuf;

use clap::Args;

use super::Context;
use super::exit::Exit;
use super::failure::Ending;
use super::planfile::PlanFile;
use crate::ui;

/// Show a saved plan
#[derive(Args, Debug)]
pub(super) struct Show {
    /// The plan file
    #[arg(value_name = "PLANFILE")]
    file: PathBuf,
    /// Print it as JSON
    #[arg(long)]
    json: bool,
}

impl Show {
    pub(super) fn run(self, context: &Context) -> Ending {
        let saved = PlanFile::read(&self.file)?;
        ui::print::result(&if self.json {
            format!("{:#}", ui::json::plan(&saved.plan))
        } else {
            ui::plan::render(&saved.plan, context.out)
        });
        Ok(Exit::Done)
    }
}
