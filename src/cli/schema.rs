//! `mcm schema`: the JSON Schema of the stack file.

use clap::Args;

use super::exit::Exit;
use crate::{provider, stack, ui};

/// Print the JSON Schema of the stack file, for editors
#[derive(Args, Debug)]
pub(super) struct Schema {}

impl Schema {
    pub(super) fn run() -> Exit {
        ui::print::result(&format!("{:#}", stack::json_schema(&provider::catalogue())));
        Exit::Done
    }
}
