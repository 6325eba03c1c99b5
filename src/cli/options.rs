//! The arguments that several commands share.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use clap::builder::{BoolishValueParser, FalseyValueParser};

use crate::model::Address;
use crate::stack::Given;

/// What every command takes.
#[derive(Args, Debug)]
#[command(next_help_heading = "Common options")]
pub(super) struct Global {
    /// Run as if started in this folder
    #[arg(short = 'C', long = "chdir", value_name = "DIR", global = true)]
    pub(super) directory: Option<PathBuf>,
    /// Run against the three embedded clouds instead of the real ones
    #[arg(long, global = true, env = "MCM_SANDBOX", hide_env_values = true, value_parser = FalseyValueParser::new())]
    pub(super) sandbox: bool,
    /// Write no colours (NO_COLOR does the same)
    #[arg(long, global = true)]
    pub(super) no_color: bool,
    /// Whether to ask at the terminal [default: true]
    #[arg(
        long, global = true, value_name = "BOOL", num_args = 0..=1, require_equals = true,
        default_value_t = true, default_missing_value = "true", hide_default_value = true,
        action = clap::ArgAction::Set, value_parser = BoolishValueParser::new()
    )]
    pub(super) input: bool,
    /// Tell what is sent where, on stderr; twice for more
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(super) verbose: u8,
}

/// Variables from the command line.
#[derive(Args, Clone, Debug, Default)]
pub(super) struct Variables {
    /// Set a variable; beats --var-file, which beats MCM_VAR_NAME
    #[arg(long, value_name = "NAME=VALUE")]
    var: Vec<String>,
    /// Read variables from a YAML or JSON file
    #[arg(long, value_name = "FILE")]
    var_file: Vec<PathBuf>,
}

impl Variables {
    /// As the parser takes them: in the order of the command line, of two of a kind the later one counts.
    pub(super) fn given(&self) -> Vec<Given> {
        let flags = self.var.iter().cloned().map(Given::Flag);
        flags.chain(self.var_file.iter().cloned().map(Given::File)).collect()
    }
}

/// Which part of a stack.
#[derive(Args, Clone, Debug, Default)]
pub(super) struct Targets {
    /// Only this address and what it needs; may be repeated
    #[arg(long, value_name = "ADDR", value_parser = address)]
    pub(super) target: Vec<Address>,
    /// Not this address, nor what needs it; may be repeated
    #[arg(long, value_name = "ADDR", value_parser = address)]
    pub(super) exclude: Vec<Address>,
}

impl Targets {
    /// Every address that is named.
    pub(super) fn all(&self) -> impl Iterator<Item = &Address> {
        self.target.iter().chain(&self.exclude)
    }
}

/// Which part of a stack, and how it is planned.
#[derive(Args, Clone, Debug, Default)]
pub(super) struct PlanOptions {
    #[command(flatten)]
    pub(super) targets: Targets,
    /// Allow that an object is deleted before its successor of the same name is made
    #[arg(long)]
    pub(super) allow_recreate: bool,
}

/// How a run behaves.
#[derive(Args, Clone, Debug)]
pub(super) struct RunOptions {
    /// Do not ask
    #[arg(long)]
    pub(super) auto_approve: bool,
    /// Leave what was done in place if a step fails
    #[arg(long)]
    pub(super) no_rollback: bool,
    /// At most this many steps at once
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = parallelism)]
    pub(super) parallelism: usize,
    #[command(flatten)]
    pub(super) lock: LockOptions,
    /// Print one JSON event a line
    #[arg(long)]
    pub(super) json: bool,
}

/// How long to wait for another run.
#[derive(Args, Clone, Debug)]
pub(super) struct LockOptions {
    /// How long to wait while another run holds the lock, such as 30s or 5m
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = time)]
    pub(super) lock_timeout: Duration,
}

pub(super) fn address(text: &str) -> Result<Address, String> {
    Address::parse(text).map_err(|error| error.to_string())
}

pub(super) fn parallelism(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(number @ 1..=256) => Ok(number),
        Ok(_) | Err(_) => Err("expected a number from 1 to 256".to_owned()),
    }
}

/// `30`, `30s`, `5m`, `1h`.
pub(super) fn time(text: &str) -> Result<Duration, String> {
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let factor = match unit {
        "" | "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => 0,
    };
    match number.parse::<u64>() {
        Ok(number) if factor > 0 && number <= 1_000_000 => Ok(Duration::from_secs(number * factor)),
        Ok(_) | Err(_) => Err("expected a time such as 30s, 5m or 1h".to_owned()),
    }
}
