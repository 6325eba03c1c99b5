//! `mcm state`: what a stack owns.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args, Subcommand};
use serde_json::json;

use super::Context;
use super::exit::Exit;
use super::failure::{Ending, Failure};
use super::options::{LockOptions, Variables, address};
use super::signals::{self, Signals};
use super::survey::require_settled;
use super::workspace::{Workspace, closest_address};
use crate::model::{Address, Diagnostic, Ledger as _, Owned, State as Owns};
use crate::stack::Given;
use crate::store::{self, Lock, Medium, Store};
use crate::ui;

/// Look at what a stack owns, or let go of it
#[derive(Args, Debug)]
pub(super) struct State {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// List what the stack owns
    List {
        /// The stack's folder or file [default: stack.yaml here]
        stack: Option<PathBuf>,
        /// Print JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        variables: Variables,
    },
    /// Show what is recorded of one address
    Show {
        /// The address
        #[arg(value_name = "ADDR", value_parser = address)]
        address: Address,
        /// The stack's folder or file [default: stack.yaml here]
        stack: Option<PathBuf>,
        /// Print JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        variables: Variables,
    },
    /// Forget that the stack owns an object; the object stays
    Rm {
        /// The address
        #[arg(value_name = "ADDR", value_parser = address)]
        address: Address,
        /// The stack's folder or file [default: stack.yaml here]
        stack: Option<PathBuf>,
        #[command(flatten)]
        variables: Variables,
        #[command(flatten)]
        lock: LockOptions,
    },
}

impl State {
    pub(super) fn run(self, context: &Context) -> Ending {
        match self.command {
            Command::List { stack, json, variables } => {
                list(&load(stack.as_deref(), variables.given(), context)?, json)
            }
            Command::Show { address, stack, json, variables } => {
                show(&address, &load(stack.as_deref(), variables.given(), context)?, json)
            }
            Command::Rm { address, stack, variables, lock } => {
                remove(&address, stack.as_deref(), variables.given(), &lock, context)
            }
        }
    }
}

fn list(state: &Owns, json: bool) -> Ending {
    if json {
        let text = serde_json::to_string_pretty(&state)
            .map_err(|error| Failure::io("the state could not be written as JSON", &error))?;
        ui::print::result(&text);
        return Ok(Exit::Done);
    }
    if state.resources.is_empty() && state.replaced.is_empty() {
        ui::print::notice("The stack owns nothing.");
        return Ok(Exit::Done);
    }
    let all = || state.resources.iter().chain(&state.replaced);
    let address = all().map(|(address, _)| address.as_str().len()).max().unwrap_or(0);
    let ty = all().map(|(_, owned)| owned.ty.as_str().len()).max().unwrap_or(0);
    let mut text = String::new();
    for (index, (at, owned)) in all().enumerate() {
        let former = if index >= state.resources.len() { "  (replaced, not deleted yet)" } else { "" };
        let id = ui::text::line(&owned.id.0);
        let _ = writeln!(text, "{:address$}  {:ty$}  {id}{former}", at.as_str(), owned.ty.as_str());
    }
    ui::print::result(&text);
    Ok(Exit::Done)
}

fn show(address: &Address, state: &Owns, json: bool) -> Ending {
    let owned = find(state, address)?;
    if json {
        let former = state.replaced.get(address);
        ui::print::result(&format!(
            "{:#}",
            json!({ "address": address, "owned": owned, "replaced": former })
        ));
        return Ok(Exit::Done);
    }
    let mut text = format!("{address}\n");
    let mut line = |name: &str, value: &str| {
        let line = format!("  {:13} {}", format!("{name}:"), ui::text::line(value));
        let _ = writeln!(text, "{}", line.trim_end());
    };
    line("type", owned.ty.as_str());
    line("id", &owned.id.0);
    line("nonce", &owned.nonce.0);
    if let Some(incarnation) = &owned.incarnation {
        line("unique id", incarnation);
    }
    line("standing", &format!("{:?}", owned.standing).to_lowercase());
    let needs: Vec<&str> = owned.dependencies.iter().map(Address::as_str).collect();
    line("needs", if needs.is_empty() { "nothing" } else { "" });
    for need in needs {
        let _ = writeln!(text, "    {need}");
    }
    let mut flag = |name: &str, set: bool| {
        let _ = writeln!(text, "  {:13} {}", format!("{name}:"), if set { "yes" } else { "no" });
    };
    flag("protected", owned.protect);
    flag("retained", owned.retain);
    ui::print::result(&text);
    Ok(Exit::Done)
}

fn remove(
    address: &Address,
    stack: Option<&Path>,
    variables: Vec<Given>,
    lock: &LockOptions,
    context: &Context,
) -> Ending {
    let workspace = Workspace::find(stack, context.sandbox)?;
    let place = workspace.place(variables, context)?;
    let owned = signals::run(async |mut signals| {
        let medium = place.medium();
        let looked = signals.or(async { Ok(store::load(&*medium, None).await?) }).await?;
        find(&looked.state, address)?;
        let lock = place.lock("state rm", lock.lock_timeout);
        let lock = signals.or(async { Ok(lock.await?) }).await?;
        let forgotten = forget(address, medium, &lock, signals).await;
        lock.release().await;
        forgotten
    })?;
    ui::print::result(&format!(
        "The stack does not own {address} any more. {} {} stays as it is.",
        owned.ty,
        ui::text::line(&owned.id.0)
    ));
    Ok(Exit::Done)
}

/// Takes an address out of the state; gives what it owned.
async fn forget(
    address: &Address,
    medium: Arc<dyn Medium>,
    lock: &Lock,
    mut signals: Signals,
) -> Result<Owned, Failure> {
    // Read again: now no one else writes it.
    let known = signals.or(async { Ok(store::load(&*medium, None).await?) }).await?;
    require_settled(&known.journal, &format!("state rm {address}"))?;
    let Some(name) = &known.stack else { return Err(unknown(address, &Owns::default())) };
    let mut store = Store::new(medium, name, &known, lock);
    let mut state = known.state;
    let owned = find(&state, address)?.clone();
    let gone = [state.resources.remove(address), state.replaced.remove(address)];
    state.let_go.extend(gone.into_iter().flatten().map(|owned| owned.nonce));
    state.serial += 1;
    // What is being written is not left half-way for a signal.
    store.record(&[], &state).await?;
    Ok(owned)
}

fn load(stack: Option<&Path>, variables: Vec<Given>, context: &Context) -> Result<Owns, Failure> {
    let workspace = Workspace::find(stack, context.sandbox)?;
    let place = workspace.place(variables, context)?;
    signals::run_readonly_for(async { Ok(store::load(&*place.medium(), None).await?.state) })
}

fn find<'s>(state: &'s Owns, address: &Address) -> Result<&'s Owned, Failure> {
    let owned = state.resources.get(address).or_else(|| state.replaced.get(address));
    owned.ok_or_else(|| unknown(address, state))
}

fn unknown(address: &Address, state: &Owns) -> Failure {
    let diagnostic = Diagnostic::error(format!("the stack does not own `{address}`"));
    let diagnostic = match closest_address(address, state.resources.keys()) {
        Some(near) => diagnostic.hint(format!("did you mean `{near}`?")),
        None => diagnostic.hint("`mcm state list` shows what it owns"),
    };
    Failure::new(Exit::Invalid, diagnostic)
}
