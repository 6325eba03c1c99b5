//! `mcm completions`: what a shell needs to complete our commands.

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use super::Arguments;
use super::exit::Exit;
use crate::ui;

/// Write a shell's completion script
#[derive(Args, Debug)]
pub(super) struct Completions {
    /// Which shell
    shell: Shell,
}

impl Completions {
    pub(super) fn run(self) -> Exit {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Arguments::command(), "mcm", &mut script);
        ui::print::result(&String::from_utf8_lossy(&script));
        Exit::Done
    }
}
