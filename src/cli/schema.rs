//! `mcm schema`: the JSON Schema of the stack file.

use clap::Args;

use super::exit::Exit;
use super::failure::Ending;
use crate::{provider, ui};

/// Print the JSON Schema of the stack file, for editors
#[derive(Args, Debug)]
pub(super) struct Schema {}

impl Schema {
    #[expect(clippy::unused_self, reason = "every command is run the same way")]
    pub(super) fn run(self) -> Ending {
        let types: Vec<&str> = provider::catalogue().iter().map(|schema| schema.ty).collect();
        ui::print::result(&format!("{:#}", serde_json::json!({ "enum": types })));
        Ok(Exit::Done)
    }
}
