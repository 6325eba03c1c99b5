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
    (state, journal): (&State, &Journal),
    inventory: &Inventory,
    request: &Request,
) -> Result<Plan, Failure> {
    engine::plan(&loaded.stack, state, &loaded.catalogue, inventory, request).map_err(|problems| {
        let mut diagnostics = problems.0;
        let leads = |hint: &String| hint.contains("`mcm state rm") || hint.contains("`mcm import");
        if can_be_undone(journal)
            && diagnostics.iter().any(|problem| problem.hint.as_ref().is_some_and(leads))
        {
            let first = Diagnostic::warning(
                "`mcm state rm` and `mcm import` wait until the unfinished run is settled",
            );
            diagnostics.push(first.hint(SETTLE));
        }
        Failure { exit: Exit::Refused, diagnostics }
    })
}

/// How a run is settled that is not over.
const SETTLE: &str = "`mcm rollback` undoes it; or `mcm apply` goes on with it, once its plan is not refused: by \
                      `adopt: true`, or without the entry, as what is not this stack's is left in place";

/// Whether a run is not over that could still be undone. Once its deletions have begun nothing is undone any more.
fn can_be_undone(journal: &Journal) -> bool {
    journal.is_open() && journal.past_pivot().is_none()
}

/// Refuses to write down what is owned beside a run that could still be undone: undoing it would delete what was let go
/// of, and forget what was taken over.
pub(super) fn require_settled(journal: &Journal, command: &str) -> Result<(), Failure> {
    if !can_be_undone(journal) {
        return Ok(());
    }
    let began = journal.runs.first().map(|run| run.began.strftime("%Y-%m-%d %H:%M UTC").to_string());
    let diagnostic = Diagnostic::error(format!("`mcm {command}` waits: a run of this stack is not over"))
        .detail(format!(
            "it began {}, and undoing it would go by what the stack owned then; nothing was changed",
            began.unwrap_or_default()
        ))
        .hint(format!(
            "`mcm apply` goes on with it, `mcm rollback` undoes it; then run `mcm {command}` again"
        ));
    Err(Failure::refused(diagnostic))
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
