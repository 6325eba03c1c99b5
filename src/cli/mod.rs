//! One file per command; the only room that wires rooms together.
//!
//! `main` parses, runs one command, draws what went wrong and exits with a code of [`exit`]. Nothing is started that
//! the command does not need: `mcm --version` builds no runtime, no client, no credential chain.

use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use crate::model::Diagnostic;
use crate::ui::{self, Style};

mod apply;
mod backend;
mod completions;
mod destroy;
pub mod exit;
mod failure;
mod functions;
mod graph;
mod import;
mod logs;
mod options;
mod output;
mod plan;
mod planfile;
mod reach;
mod rollback;
mod run;
mod sandbox;
mod schema;
mod show;
mod signals;
mod state;
mod survey;
mod trust;
mod unlock;
mod validate;
mod workspace;

use exit::Exit;
use failure::{Ending, Failure};
use options::Global;

/// One application in several clouds: planned against live state, applied with rollback.
#[derive(Parser, Debug)]
#[command(name = "mcm", version, max_term_width = 100, after_help = exit::HELP, subcommand_required = true)]
#[command(arg_required_else_help = false, disable_help_subcommand = true)]
struct Arguments {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// The commands, in the order of `--help`.
#[derive(Subcommand, Debug)]
enum Command {
    Validate(validate::Validate),
    Plan(plan::Plan),
    Apply(apply::Apply),
    Destroy(destroy::Destroy),
    Rollback(rollback::Rollback),
    Output(output::Output),
    Show(show::Show),
    Graph(graph::Graph),
    Trust(trust::Trust),
    Import(import::Import),
    State(state::State),
    Unlock(unlock::Unlock),
    Functions(functions::Functions),
    Sandbox(sandbox::Sandbox),
    Schema(schema::Schema),
    Completions(completions::Completions),
}

/// What every command is given besides its own arguments.
#[derive(Debug)]
struct Context {
    /// Whether the embedded clouds are used.
    sandbox: bool,
    /// How stdout is written.
    out: Style,
    /// How stderr is written.
    err: Style,
    /// Whether there is someone to ask.
    interactive: bool,
}

impl Context {
    fn new(global: &Global) -> Self {
        // https://no-color.org: set to anything but the empty text.
        let no_color = global.no_color || std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self {
            sandbox: global.sandbox,
            out: ui::print::style_of_results(no_color),
            err: ui::print::style_of_notices(no_color),
            interactive: global.input && std::io::stdin().is_terminal() && std::io::stderr().is_terminal(),
        }
    }

    /// Says on stderr what the user should know.
    fn warn(&self, warnings: &[Diagnostic]) {
        if !warnings.is_empty() {
            ui::print::notice(ui::diagnostics::render(warnings, self.err.color).trim_end());
        }
    }
}

/// Runs the program on the process's own arguments.
pub fn main() -> ExitCode {
    report_bugs();
    let command = Arguments::command();
    let parsed = command.try_get_matches().and_then(|matches| Arguments::from_arg_matches(&matches));
    let arguments = match parsed {
        Ok(arguments) => arguments,
        Err(error) => return usage(&error).into(),
    };
    let context = Context::new(&arguments.global);
    let run = || enter(&arguments.global).and_then(|()| arguments.command.run(&context));
    // What a panic says was said by the hook; it ends like any other failure.
    let Ok(ending) = std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)) else {
        return Exit::Failed.into();
    };
    let exit = ending.unwrap_or_else(|failure| {
        let mut text = ui::diagnostics::render(&failure.diagnostics, context.err.color);
        if failure.diagnostics.len() > 1 {
            text.push_str(&ui::diagnostics::count(&failure.diagnostics));
        }
        ui::print::notice(text.trim_end());
        failure.exit
    });
    exit.into()
}

impl Command {
    fn run(self, context: &Context) -> Ending {
        match self {
            Self::Validate(arguments) => arguments.run(context),
            Self::Plan(arguments) => arguments.run(context),
            Self::Apply(arguments) => arguments.run(context),
            Self::Destroy(arguments) => arguments.run(context),
            Self::Rollback(arguments) => arguments.run(context),
            Self::Output(arguments) => arguments.run(context),
            Self::Show(arguments) => arguments.run(context),
            Self::Graph(arguments) => arguments.run(context),
            Self::Trust(arguments) => arguments.run(context),
            Self::Import(arguments) => arguments.run(context),
            Self::State(arguments) => arguments.run(context),
            Self::Unlock(arguments) => arguments.run(context),
            Self::Functions(arguments) => arguments.run(context),
            Self::Sandbox(arguments) => arguments.run(context),
            Self::Schema(schema::Schema {}) => Ok(schema::Schema::run()),
            Self::Completions(arguments) => Ok(arguments.run()),
        }
    }
}

/// Wrong usage, or a wish for help or the version; never 2, which means that changes are pending.
fn usage(error: &clap::Error) -> Exit {
    // Help and version go to stdout, everything else to stderr; a closed stream leaves no one to tell.
    let _ = error.print();
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Exit::Done,
        _ => Exit::Invalid,
    }
}

/// Goes where the command shall run, and begins to trace if that is wanted.
fn enter(global: &Global) -> Result<(), Failure> {
    if let Some(folder) = &global.directory {
        std::env::set_current_dir(folder).map_err(|error| {
            let what = format!("-C {}: cannot go there", ui::text::line(&folder.to_string_lossy()));
            Failure::new(Exit::Invalid, Diagnostic::error(what).detail(error.to_string()))
        })?;
    }
    if global.verbose > 0 {
        let filter = if global.verbose == 1 { "mcm=debug" } else { "mcm=trace,hyper_util=debug" };
        let subscriber = tracing_subscriber::fmt()
            .with_env_filter(tracing_subscriber::EnvFilter::new(filter))
            .with_writer(std::io::stderr)
            .with_ansi(ui::print::style_of_notices(global.no_color).color);
        // Nothing else in this process sets one.
        let _ = subscriber.try_init();
    }
    Ok(())
}

/// A panic is a bug. Its message could hold anything, a secret too, so only its place is shown.
fn report_bugs() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map_or_else(String::new, |place| {
            format!(" at {}:{}:{}", place.file(), place.line(), place.column())
        });
        let text = format!(
            "error: this is a bug in mcm {}{place}\n  \
             help: what was done so far is recorded; run `mcm plan` to see what is true now\n  \
             help: please report it with this line and the command at {}/issues\n",
            env!("CARGO_PKG_VERSION"),
            env!("CARGO_PKG_REPOSITORY"),
        );
        let _ = std::io::stderr().write_all(text.as_bytes());
    }));
}
