//! What every plan begins with: the guard and the reads, side by side; then the decision.

use futures::future::{Either, join_all, select};

use super::exit::Exit;
use super::failure::Failure;
use super::workspace::Loaded;
use crate::engine::{self, Request};
use crate::model::{
    Address, CloudError, CloudId, Diagnostic, ErrorKind, Inventory, Journal, Leaving, Mode, Op, Plan,
    ResourceType, State,
};
use crate::provider::Router;
use crate::ui;

/// Reads what the stack wants and the state owns, while the accounts are checked. Nothing that was read is used
/// before the guard has let it pass; a guard that refuses ends the reading.
pub(super) async fn survey(
    loaded: &Loaded,
    state: &State,
    journal: &Journal,
    mode: Mode,
    clouds: &Router,
) -> Result<Inventory, Failure> {
    let guarding = Box::pin(clouds.guard());
    let observing = Box::pin(engine::observe(&loaded.stack, state, journal, &loaded.catalogue, mode, clouds));
    let (guarded, observed) = match select(guarding, observing).await {
        Either::Left((guarded, observing)) if guarded.is_empty() => (guarded, observing.await),
        Either::Left((guarded, _)) => return Err(refused(&guarded)),
        Either::Right((observed, guarding)) => (guarding.await, observed),
    };
    if guarded.is_empty() { observed.map_err(Failure::from) } else { Err(refused(&guarded)) }
}

/// Follows entries that were renamed, and says so; not while a run is unfinished, which knows them by their former names.
pub(super) fn follow(loaded: &Loaded, state: &mut State, journal: &Journal, quiet: bool) {
    if !journal.runs.is_empty() {
        return;
    }
    for (former, now) in engine::follow(&loaded.stack, state) {
        if !quiet {
            ui::print::notice(&format!("{former} is called {now} now; the object stays."));
        }
    }
}

/// What stands in the way of a plan's deletions: told before the first of them, of which there is no way back.
pub(super) async fn obstacles(plan: &Plan, clouds: &Router) -> Result<Vec<Diagnostic>, Failure> {
    let going: Vec<(&Address, &ResourceType, &CloudId)> = plan
        .steps
        .iter()
        .filter(|step| matches!(step.op, Op::Delete | Op::DeleteFormer | Op::DeleteFirst))
        .filter_map(|step| {
            let change = plan.changes.get(step.change)?;
            Some((&step.address, &change.ty, change.former_id.as_ref().or(change.id.as_ref())?))
        })
        .collect();
    let others: Vec<&CloudId> = going.iter().map(|(.., id)| *id).collect();
    let looks = going.iter().map(async |&(address, ty, id)| {
        let found = clouds.obstacle(Leaving { ty, id, others: &others }).await;
        (address, id, found)
    });
    let mut told = Vec::new();
    for (address, id, found) in join_all(looks).await {
        let what = || format!("{address} could not be looked at");
        if let Some(why) = found.map_err(|error| Failure::clouds([(what(), &error)]))? {
            let id = ui::text::line(&id.0);
            let diagnostic =
                Diagnostic::error(format!("{address} cannot be deleted: {}", ui::text::line(&why)));
            told.push(diagnostic.detail("mcm deletes no data that it did not put there; this run touched nothing").hint(
                format!("if nothing in it is needed, empty it (`aws s3 rm s3://{id} --recursive`); to keep it, say `onDelete: retain`"),
            ));
        }
    }
    Ok(told)
}

/// Checks live that the credentials belong to the accounts that the stack names.
pub(super) async fn guard(clouds: &Router) -> Result<(), Failure> {
    let guarded = clouds.guard().await;
    if guarded.is_empty() { Ok(()) } else { Err(refused(&guarded)) }
}

/// Decides everything. What the planner will not do is refused; the stack file itself was found valid before.
pub(super) fn decide(
    loaded: &Loaded,
    state: &State,
    inventory: &Inventory,
    request: &Request,
) -> Result<Plan, Failure> {
    engine::plan(&loaded.stack, state, &loaded.catalogue, inventory, request)
        .map_err(|problems| Failure { exit: Exit::Refused, diagnostics: problems.0 })
}

/// What ends a command whose accounts could not be checked, or are others.
pub(super) fn refused(errors: &[CloudError]) -> Failure {
    Failure::clouds(errors.iter().map(|error| {
        let what = if error.kind == ErrorKind::WrongAccount {
            format!("mcm will not touch this {} account", error.cloud)
        } else {
            format!("the {} account could not be checked", error.cloud)
        };
        (what, error)
    }))
}
