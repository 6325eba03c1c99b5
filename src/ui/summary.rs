//! How a run ended.

use std::fmt::Write as _;
use std::time::Duration;

use super::plan::{Counts, describe};
use super::{error, text};
use crate::model::{Diagnostic, Failure, Journal, Kept, Op, Phase, Plan, Progress as Step, Undo};

/// `Done in 4.2 s: 3 added, 1 changed, 0 destroyed.`
pub fn applied(counts: Counts, took: Duration) -> String {
    let mut parts = Vec::new();
    for (count, what) in [(counts.adopt, "adopted"), (counts.restore, "restored")] {
        if count > 0 {
            parts.push(format!("{count} {what}"));
        }
    }
    parts.push(format!("{} added", counts.add));
    parts.push(format!("{} changed", counts.change));
    parts.push(format!("{} destroyed", counts.destroy));
    if counts.forget > 0 {
        parts.push(format!("{} forgotten", counts.forget));
    }
    format!("Done in {}: {}.", seconds(took), parts.join(", "))
}

/// The names that a run's deletions leave held, and until when; `None` if there is none.
pub fn held(plan: &Plan) -> Option<String> {
    let soft = plan.steps.iter().filter_map(|step| match (&step.undo, step.op) {
        (Undo::Soft { until }, Op::Delete | Op::DeleteFormer) => Some((until, &step.address)),
        _ => None,
    });
    let mut text = String::from("Deleted, with the name still held and restorable until the day given:\n");
    let mut any = false;
    for (until, address) in soft {
        any = true;
        // Writing into a `String` does not fail.
        let _ = writeln!(text, "  {}  {address}", until.strftime("%Y-%m-%d"));
    }
    any.then_some(text)
}

/// Each failure of a run, with its cause and the way out.
pub fn failures(failures: &[Failure]) -> Vec<Diagnostic> {
    let diagnose = |failure: &Failure| {
        let what = format!("{} could not be {}", failure.address, done(failure.op));
        error::diagnose(&what, &failure.error)
    };
    failures.iter().map(diagnose).collect()
}

/// What a run that was rolled back whole says of itself.
pub fn rolled_back(undone: usize) -> String {
    match undone {
        0 => "Nothing was changed.".to_owned(),
        1 => "The one step that was done is undone.".to_owned(),
        _ => format!("All {undone} steps that were done are undone."),
    }
}

/// What a run says that stopped half-way: what stays, as far as the journal knows it, and the ways on: `command`
/// forward, and back where the journal has not come to deletions yet.
pub fn stuck(done: usize, undone: usize, kept: &[Kept], journal: &Journal, command: &str) -> Diagnostic {
    let told = |kept: &Kept| journal.progress(&kept.address, kept.op).unwrap_or(Step::Done);
    let standing = |wanted: bool| {
        let recorded = journal.standing().filter(|deed| (deed.progress == Step::Done) == wanted).count();
        recorded.max(kept.iter().filter(|kept| (told(kept) == Step::Done) == wanted).count())
    };
    let (whole, open) = (standing(true), standing(false));
    let mut stays = Vec::new();
    if whole > 0 || open == 0 {
        stays.push(format!("{} {} done and not undone", steps(whole), if whole == 1 { "is" } else { "are" }));
    }
    if open > 0 {
        stays.push(format!("{} with an unknown or failed end", steps(open)));
    }
    let mut detail = format!(
        "{} done, {} undone",
        steps(done),
        if undone == 0 { "none".to_owned() } else { undone.to_string() }
    );
    for item in kept {
        let what = match told(item) {
            Step::Done => format!("{} and left in place", self::done(item.op)),
            Step::Intended | Step::Undoing => {
                format!("{}, with an unknown end, left as it is", doing(item.op))
            }
            Step::Failed | Step::Untouched | Step::Undone => {
                format!("{} failed, left as it is", doing(item.op))
            }
        };
        // Writing into a `String` does not fail.
        let _ = write!(detail, "\n- {}: {what}: {}", item.address, text::line(&item.why));
    }
    Diagnostic::error(format!("the run stopped half-way: {}", stays.join(", "))).detail(detail).hint(
        if journal.past_pivot().is_none() {
            format!("mend the cause, then `{command}` goes on from what is there, or `mcm rollback` undoes what was done")
        } else {
            format!("mend the cause, then resume with `{command}`: it goes on from what is there")
        },
    )
}

fn steps(count: usize) -> String {
    match count {
        1 => "one step".to_owned(),
        _ => format!("{count} steps"),
    }
}

/// What a run says that was stopped: what is done, and the ways on: `command` forward, and back where `back` says
/// that this is possible.
pub fn interrupted(phase: Phase, done: usize, left: usize, command: &str, back: bool) -> Diagnostic {
    let diagnostic = Diagnostic::error("interrupted");
    let what = if phase == Phase::Apply { "done" } else { "undone" };
    let diagnostic = diagnostic.detail(format!("{what} and recorded: {}; left: {left}", counted(done)));
    match (phase, back) {
        (Phase::Apply, true) => {
            diagnostic.hint(format!("`{command}` goes on from here; `mcm rollback` undoes what was done"))
        }
        (Phase::Apply, false) => diagnostic
            .hint(format!("`{command}` goes on from here; deletions have begun, so there is no way back")),
        (Phase::Undo, _) => {
            diagnostic.hint(format!("`mcm rollback` goes on undoing; `{command}` goes forward from here"))
        }
    }
}

/// Says that an earlier run is not over, and what that means for this one; `None` if none is.
pub fn unfinished(journal: &Journal, continues: bool) -> Option<String> {
    let last = journal.runs.last()?;
    let began = last.began.strftime("%Y-%m-%d %H:%M UTC");
    let done = journal.undoable().filter(|deed| deed.progress == Step::Done).count();
    let open = journal.undoable().count() - done;
    let mut text = format!("A run of {began} is not over: {} done", counted(done));
    if open > 0 {
        // Writing into a `String` does not fail.
        let _ = write!(text, ", {open} with an unknown or failed end");
    }
    text.push_str(match (continues, journal.past_pivot().is_none()) {
        (true, true) => ". This run continues it: should it fail, those are undone too.",
        (true, false) => ". Its deletions have begun: this run goes forward from there.",
        (false, true) => ". `mcm apply` continues it, `mcm rollback` undoes it.",
        (false, false) => ". Its deletions have begun: `mcm apply` or `mcm destroy` goes forward from there.",
    });
    Some(text)
}

fn counted(steps: usize) -> String {
    match steps {
        0 => "no step".to_owned(),
        1 => "one step".to_owned(),
        _ => format!("{steps} steps"),
    }
}

/// What was done, as a participle.
pub(super) fn done(op: Op) -> &'static str {
    match op {
        Op::Create => "created",
        Op::Update => "updated",
        Op::Restore => "restored",
        Op::Adopt => "adopted",
        Op::Delete => "deleted",
        Op::DeleteFormer => "deleted (the former one)",
        Op::DeleteFirst => "deleted (to be made anew)",
        Op::Forget => "forgotten",
    }
}

/// What is being done.
pub(super) fn doing(op: Op) -> &'static str {
    match op {
        Op::Create => "creating",
        Op::Update => "updating",
        Op::Restore => "restoring",
        Op::Adopt => "adopting",
        Op::Delete => "deleting",
        Op::DeleteFormer => "deleting the former",
        Op::DeleteFirst => "deleting first",
        Op::Forget => "forgetting",
    }
}

/// What undoes a step, named by the step itself.
pub(super) fn undoing(op: Op) -> String {
    format!("undoing {}", describe(op))
}

/// `4.2 s`, or `3 min 12 s`.
pub(super) fn seconds(took: Duration) -> String {
    if took.as_secs() < 100 {
        format!("{:.1} s", took.as_secs_f64())
    } else {
        format!("{} min {} s", took.as_secs() / 60, took.as_secs() % 60)
    }
}
