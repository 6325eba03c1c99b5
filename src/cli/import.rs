//! `mcm import`: the stack owns, from now on, an object that is there already.

use std::path::PathBuf;

use clap::Args;
use jiff::Timestamp;

use super::exit::Exit;
use super::failure::{Ending, Failure};
use super::options::{LockOptions, Variables, address};
use super::signals::{self, Signals};
use super::survey::{decide, require_settled, survey};
use super::workspace::{Loaded, Workspace};
use super::{Context, reach};
use crate::engine::{self, Request};
use crate::model::{
    Action, Address, CloudId, Condition, Diagnostic, ErrorKind, Ledger as _, Live, Mode, OnDelete, Owned,
    Provider as _, Read, Resource, Standing, State,
};
use crate::store::{self, Lock, Place, Store};
use crate::ui;

/// Take an object that exists already into what the stack owns
#[derive(Args, Debug)]
pub(super) struct Import {
    /// The address in the stack file that it shall belong to
    #[arg(value_name = "ADDR", value_parser = address)]
    address: Address,
    /// The cloud's id of the object: a name, a full resource name, an ARM id
    id: String,
    /// The stack's folder or file [default: stack.yaml here]
    stack: Option<PathBuf>,
    #[command(flatten)]
    variables: Variables,
    #[command(flatten)]
    lock: LockOptions,
}

impl Import {
    pub(super) fn run(self, context: &Context) -> Ending {
        let workspace = Workspace::find(self.stack.as_deref(), context.sandbox)?;
        let loaded = workspace.load(self.variables.given(), context)?;
        loaded.require(std::iter::once(&self.address), &State::default())?;
        workspace.prepare()?;
        let place = loaded.place(&workspace)?;
        signals::run(async |mut signals| {
            let lock = place.lock("import", self.lock.lock_timeout);
            let lock = signals.or(async { Ok(lock.await?) }).await?;
            let ending = Box::pin(self.import(&workspace, &loaded, (&place, &lock), signals, context)).await;
            lock.release().await;
            ending
        })
    }

    async fn import(
        &self,
        workspace: &Workspace,
        loaded: &Loaded,
        (place, lock): (&Place, &Lock),
        mut signals: Signals,
        context: &Context,
    ) -> Ending {
        let medium = place.medium();
        let known = signals.or(async { Ok(store::load(&*medium, Some(&loaded.stack.name)).await?) }).await?;
        let mut store = Store::new(medium, &loaded.stack.name, &known, lock);
        let (mut state, journal) = (known.state, known.journal);
        let id = ui::text::line(&self.id);
        require_settled(&journal, &format!("import {} '{id}'", self.address))?;
        self.require_free(loaded, &state)?;
        let reach = signals.or(reach::open(workspace, &loaded.stack)).await?;
        // The guard first: an object of that name in another account is another object.
        signals.or(Box::pin(survey(loaded, &state, &journal, Mode::RefreshOnly, &reach.router))).await?;
        let owned = signals.or(Box::pin(self.read(loaded, &reach))).await?;
        state.let_go.remove(&owned.nonce);
        state.resources.insert(self.address.clone(), owned);
        state.serial += 1;
        // What is being written is not left half-way for a signal; and from here on something is changed.
        store.record(&[], &state).await?;
        ui::print::result(&format!("The stack owns {id} as {} now.", self.address));
        let looked =
            signals.or(Box::pin(survey(loaded, &state, &journal, Mode::RefreshOnly, &reach.router))).await;
        reach.close().await;
        let request = Request {
            mode: Mode::Apply,
            targets: vec![self.address.clone()],
            excludes: Vec::new(),
            allow_recreate: false,
            now: Timestamp::now(),
        };
        // The object is imported; what a plan says against it is for the next plan to refuse.
        match looked.and_then(|inventory| decide(loaded, (&state, &journal), &inventory, &request)) {
            Ok(plan) => foretell(plan.change(&self.address).map(|change| change.action)),
            Err(failure) if failure.exit == Exit::Interrupted => {
                let warning = Diagnostic::warning("interrupted: what the next apply will do was not read");
                context.warn(&[warning.detail("the import is recorded").hint("`mcm plan` shows it")]);
            }
            Err(failure) => context.warn(&failure.into_warnings()),
        }
        Ok(Exit::Done)
    }

    /// Neither the address nor the object may be owned already.
    fn require_free(&self, loaded: &Loaded, state: &State) -> Result<(), Failure> {
        if let Some(owned) = state.resources.get(&self.address) {
            let diagnostic = Diagnostic::error(format!("{} is owned already: {}", self.address, owned.id))
                .hint(format!("let go of that first with `mcm state rm {}`", self.address));
            return Err(Failure::refused(diagnostic));
        }
        let same = |one: &Owned| {
            loaded.stack.get(&self.address).is_some_and(|resource| resource.ty == one.ty)
                && one.id.0 == self.id
        };
        if let Some((other, _)) = state.resources.iter().find(|(_, one)| same(one)) {
            let diagnostic =
                Diagnostic::error(format!("{} is owned already, as {other}", ui::text::line(&self.id)));
            return Err(Failure::refused(diagnostic.hint(format!(
                "if {} is the new name of {other}, take {other} out of the stack file: the next plan follows by itself",
                self.address
            ))));
        }
        Ok(())
    }

    async fn read(&self, loaded: &Loaded, reach: &reach::Reach) -> Result<Owned, Failure> {
        let Some(resource) = loaded.stack.get(&self.address) else {
            return Err(Failure::invalid(format!("the stack has no `{}`", self.address)));
        };
        let id = CloudId(self.id.clone());
        let request = Read { ty: &resource.ty, id: &id, desired: Some(&resource.properties), secrets: false };
        let read = reach.router.read(request).await;
        let read = read.map_err(|error| {
            let what = format!("{} could not be read", ui::text::line(&self.id));
            let mut failure = Failure::clouds([(what, &error)]);
            // An id that cannot be one is refused by us, before anything is asked.
            if error.kind == ErrorKind::Invalid && error.code.is_empty() {
                failure.exit = Exit::Invalid;
            }
            failure
        })?;
        match read {
            Some(live) if !matches!(live.condition, Condition::SoftDeleted { .. }) => {
                self.own(&loaded.stack.name, resource, &live)
            }
            Some(_) | None => {
                let what = format!("there is no {} `{}`", resource.ty, ui::text::line(&self.id));
                Err(Failure::new(
                    Exit::Failed,
                    Diagnostic::error(what).hint("the id must be the cloud's own; nothing was recorded"),
                ))
            }
        }
    }

    /// What is recorded of it; an object that another stack marked stays that stack's.
    fn own(&self, stack: &str, resource: &Resource, live: &Live) -> Result<Owned, Failure> {
        let nonce = match &live.owner {
            None => engine::new_nonce(),
            Some(owner) if owner.stack == stack && owner.address == self.address => owner.nonce.clone(),
            Some(owner) => {
                let what =
                    format!("{} belongs to `{}` of the stack `{}`", live.id, owner.address, owner.stack);
                let hint = "let that stack go of it first (`mcm state rm`, and take its mark `mcm:owner` off), or leave it there";
                return Err(Failure::refused(Diagnostic::error(what).hint(hint)));
            }
        };
        Ok(Owned {
            ty: resource.ty.clone(),
            id: live.id.clone(),
            nonce,
            incarnation: resource.schema.incarnation(live),
            standing: Standing::Ready,
            dependencies: resource.dependencies(),
            protect: resource.lifecycle.protect.unwrap_or(false),
            retain: resource.lifecycle.on_delete == OnDelete::Retain,
            sensitive: engine::sensitive_places(&resource.properties),
        })
    }
}

/// What a plan will do with it now.
fn foretell(action: Option<Action>) {
    let what = match action {
        None | Some(Action::NoOp) => "The next apply will leave it as it is.",
        Some(Action::Update | Action::Adopt) => {
            "The next apply will change it in place: `mcm plan` shows how."
        }
        Some(Action::Replace) => "The next apply would REPLACE it: `mcm plan` shows why.",
        Some(Action::Create | Action::Restore | Action::Delete | Action::Forget) => {
            "The next apply would not keep it: `mcm plan` shows why."
        }
    };
    ui::print::result(what);
}
