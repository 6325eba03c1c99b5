//! `mcm schema`: the JSON Schema of the stack file.

use clap::Args;

use super::exit::Exit;
use crate::{provider, ui};

/// Print the JSON Schema of the stack file, for editors
#[derive(Args, Debug)]
pub(super) struct Schema {}

impl Schema {
    pub(super) fn run() -> Exit {
        let types: Vec<&str> = provider::catalogue().iter().map(|schema| schema.ty).collect();
        ui::print::result(&format!("{:#}", serde_json::json!({ "enum": types })));
        Exit::Done
    }
}
