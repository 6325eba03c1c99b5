//! The text of a plan: what will change and why, in which order, and how each step could be undone.

use std::fmt::Write as _;

use similar::{ChangeTag, TextDiff};

use super::value::{document, inline, tree};
use super::{Style, diagnostics, text};
use crate::model::{Action, Change, Edit, Map, Mode, Op, OutputChange, Plan, Step, Undo, Value};

/// Longer values are cut in the text; `--json` shows all of them.
const LONGEST_VALUE: usize = 80;
/// Labels are aligned up to this width.
const WIDEST_LABEL: usize = 36;
/// Equal lines shown around a difference.
const CONTEXT: usize = 3;

/// The whole plan as text.
pub fn render(plan: &Plan, style: Style) -> String {
    let mut out = String::new();
    if plan.is_empty() {
        let _ = writeln!(out, "{}", nothing_to_do(plan.mode, style));
    } else {
        let _ = writeln!(out, "{}\n", style.bold(&heading(plan)));
        render_changes(&mut out, &plan.changes, style);
        render_steps(&mut out, &plan.steps, style);
        render_outputs(&mut out, plan, style);
    }
    if !plan.warnings.is_empty() {
        let _ = writeln!(out, "\n{}", diagnostics::render(&plan.warnings, style.color).trim_end());
    }
    if !plan.is_empty() {
        let gap = if out.ends_with("\n\n") { "" } else { "\n" };
        let _ = writeln!(out, "{gap}{}", style.bold(&closing(plan)));
    }
    out
}

fn heading(plan: &Plan) -> String {
    let stack = text::line(&plan.stack);
    match plan.mode {
        Mode::Apply => format!("mcm will make these changes to the stack {stack}:"),
        Mode::Destroy => format!("mcm will destroy what the stack {stack} owns:"),
        Mode::RefreshOnly => format!("The clouds differ from the stack {stack} in this:"),
    }
}

fn nothing_to_do(mode: Mode, style: Style) -> String {
    let (head, tail) = match mode {
        Mode::Apply => ("No changes.", "The clouds hold what the stack says."),
        Mode::Destroy => ("No changes.", "The stack owns nothing that could be destroyed."),
        Mode::RefreshOnly => ("No changes.", "Nothing differs from the stack."),
    };
    format!("{} {tail}", style.bold(head))
}

/// How many resources a plan touches, by what is done to them. A replacement is added and destroyed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Taken over.
    pub adopt: usize,
    /// Undeleted.
    pub restore: usize,
    /// Made.
    pub add: usize,
    /// Changed in place.
    pub change: usize,
    /// Deleted.
    pub destroy: usize,
    /// Let go of.
    pub forget: usize,
}

impl Counts {
    /// Counts a plan.
    pub fn of(plan: &Plan) -> Self {
        let mut counts = Self::default();
        for change in &plan.changes {
            match change.action {
                Action::NoOp => {}
                Action::Create => counts.add += 1,
                Action::Update => counts.change += 1,
                Action::Replace => {
                    counts.add += 1;
                    counts.destroy += 1;
                }
                Action::Delete => counts.destroy += 1,
                Action::Restore => counts.restore += 1,
                Action::Adopt => {
                    counts.adopt += 1;
                    // The replacement that is taken back.
                    counts.destroy += usize::from(change.former_id.is_some());
                }
                Action::Forget => counts.forget += 1,
            }
        }
        counts
    }
}

/// `Plan: 3 to add, 1 to change, 0 to destroy.`
fn closing(plan: &Plan) -> String {
    let counts = Counts::of(plan);
    if plan.mode == Mode::RefreshOnly {
        let differing = plan.changes.iter().filter(|change| change.action != Action::NoOp).count();
        let plural = if differing == 1 { "resource differs" } else { "resources differ" };
        return format!("{differing} {plural}. This is a report: nothing will be changed.");
    }
    let mut parts = Vec::new();
    for (count, what) in [(counts.adopt, "adopt"), (counts.restore, "restore")] {
        if count > 0 {
            parts.push(format!("{count} to {what}"));
        }
    }
    parts.push(format!("{} to add", counts.add));
    parts.push(format!("{} to change", counts.change));
    parts.push(format!("{} to destroy", counts.destroy));
    if counts.forget > 0 {
        parts.push(format!("{} to forget", counts.forget));
    }
    format!("Plan: {}.", parts.join(", "))
}

/// Changes of several lines stand apart; those of one line stand together.
fn render_changes(out: &mut String, changes: &[Change], style: Style) {
    let mut apart = true;
    for change in changes.iter().filter(|change| change.action != Action::NoOp) {
        let start = out.len();
        render_change(out, change, style);
        let block = out[start..].lines().count() > 1;
        if block && !apart {
            out.insert(start, '\n');
        }
        if block {
            out.push('\n');
        }
        apart = block;
    }
    if !apart {
        out.push('\n');
    }
}

fn render_change(out: &mut String, change: &Change, style: Style) {
    let symbol = style.action(change.action, &format!("{:>3}", change.action.symbol()));
    let _ =
        write!(out, "{symbol} {}  {}", style.bold(change.address.as_str()), text::line(change.ty.as_str()));
    // What is created shows its name among its properties.
    let id = change.id.as_ref().filter(|_| change.action != Action::Create);
    match (&change.former_id, id) {
        (Some(former), Some(id)) => {
            let _ = write!(out, "  {} -> {}", text::line(&former.0), text::line(&id.0));
        }
        (Some(id), None) | (None, Some(id)) => {
            let _ = write!(out, "  {}", text::line(&id.0));
        }
        (None, None) => {}
    }
    out.push('\n');
    for line in change.reason.iter().flat_map(|reason| reason.lines()) {
        let _ = writeln!(out, "      {}", style.dim(&format!("# {}", text::line(line))));
    }
    match change.action {
        Action::Create => render_created(out, change.after.as_ref(), style),
        Action::Update | Action::Replace | Action::Restore | Action::Adopt => {
            render_edits(out, &change.edits, style);
        }
        Action::NoOp | Action::Delete | Action::Forget => {}
    }
}

fn render_created(out: &mut String, after: Option<&Map>, style: Style) {
    let properties: Vec<_> =
        after.into_iter().flatten().filter(|(_, value)| **value != Value::Null).collect();
    let width = label_width(properties.iter().map(|(name, _)| name.as_str()));
    for (name, value) in properties {
        render_one(out, "+", Action::Create, &text::line(name), value, width, "", style);
    }
}

fn render_edits(out: &mut String, edits: &[Edit], style: Style) {
    let labels: Vec<String> =
        edits.iter().map(|edit| text::line(&edit.path.to_string()).into_owned()).collect();
    let width = label_width(labels.iter().map(String::as_str));
    for (edit, label) in edits.iter().zip(&labels) {
        let note = if edit.forces_replacement { "  # forces replacement" } else { "" };
        match (&edit.before, &edit.after) {
            (None, Some(after)) => render_one(out, "+", Action::Create, label, after, width, note, style),
            (Some(before), None) => render_one(out, "-", Action::Delete, label, before, width, note, style),
            (Some(before), Some(after)) => render_both(out, label, before, after, width, note, style),
            (None, None) => {}
        }
    }
}

/// A property that is set or removed.
#[expect(clippy::too_many_arguments, reason = "each is one column of the line")]
fn render_one(
    out: &mut String,
    sign: &str,
    action: Action,
    label: &str,
    value: &Value,
    width: usize,
    note: &str,
    style: Style,
) {
    let sign = style.action(action, sign);
    let note = style.red(note);
    if let Some(line) = inline(value) {
        let _ = writeln!(out, "      {sign} {:width$} {line}{note}", format!("{label}:"));
        return;
    }
    let _ = writeln!(out, "      {sign} {label}:{note}");
    let lines = tree(value);
    for line in lines.iter().take(LONGEST_VALUE) {
        let _ = writeln!(out, "          {line}");
    }
    if lines.len() > LONGEST_VALUE {
        let more = lines.len() - LONGEST_VALUE;
        let _ = writeln!(out, "          {}", style.dim(&format!("... {more} more lines: --json shows all")));
    }
}

/// A property that changes: on one line, or as a difference of lines.
fn render_both(
    out: &mut String,
    label: &str,
    before: &Value,
    after: &Value,
    width: usize,
    note: &str,
    style: Style,
) {
    let sign = style.action(Action::Update, "~");
    let note = style.red(note);
    let json = |value: &Value| value.as_text().is_some_and(|text| text.trim_start().starts_with(['{', '[']));
    let (old, new) = (inline(before), inline(after));
    if let (Some(old), Some(new)) = (old, new)
        && !(json(before) && json(after))
    {
        let _ = writeln!(out, "      {sign} {:width$} {old} -> {new}{note}", format!("{label}:"));
        return;
    }
    let _ = writeln!(out, "      {sign} {label}:{note}");
    render_difference(out, &document(before), &document(after), style);
}

fn render_difference(out: &mut String, before: &str, after: &str, style: Style) {
    let difference = TextDiff::from_lines(before, after);
    for (index, group) in difference.grouped_ops(CONTEXT).iter().enumerate() {
        if index > 0 {
            let _ = writeln!(out, "          {}", style.dim("..."));
        }
        for change in group.iter().flat_map(|operation| difference.iter_changes(operation)) {
            let line = change.value().trim_end_matches(['\n', '\r']);
            let line = match change.tag() {
                ChangeTag::Equal => format!("  {line}"),
                ChangeTag::Delete => style.red(&format!("- {line}")),
                ChangeTag::Insert => style.green(&format!("+ {line}")),
            };
            let _ = writeln!(out, "          {}", line.trim_end());
        }
    }
}

fn label_width<'l>(labels: impl Iterator<Item = &'l str>) -> usize {
    labels.map(|label| label.chars().count() + 1).max().unwrap_or(0).min(WIDEST_LABEL)
}

fn render_steps(out: &mut String, steps: &[Step], style: Style) {
    if steps.is_empty() {
        return;
    }
    let _ = writeln!(out, "{}", style.bold("Steps, each as soon as those it needs are done:"));
    let number = steps.len().to_string().len();
    let address = steps.iter().map(|step| step.address.as_str().len()).max().unwrap_or(0);
    let verb = steps.iter().map(|step| describe(step.op).len()).max().unwrap_or(0);
    let needs: Vec<String> = steps.iter().map(needed).collect();
    let after = needs.iter().map(String::len).max().unwrap_or(0);
    let gap = if after == 0 { "" } else { "  " };
    for (step, needs) in steps.iter().zip(&needs) {
        let line = format!(
            "  {:>number$}. {:verb$} {:address$}  {needs:after$}{gap}undo: {}",
            step.id.0 + 1,
            describe(step.op),
            step.address.as_str(),
            undo(&step.undo, style),
        );
        let _ = writeln!(out, "{}", line.trim_end());
    }
}

fn needed(step: &Step) -> String {
    /// More are counted, not named.
    const NAMED: usize = 4;
    if step.needs.is_empty() {
        return String::new();
    }
    let mut named: Vec<String> = step.needs.iter().take(NAMED).map(|id| (id.0 + 1).to_string()).collect();
    if step.needs.len() > NAMED {
        named.push(format!("and {} more", step.needs.len() - NAMED));
    }
    format!("after {}", named.join(", "))
}

/// What a step does, as a verb.
pub(super) fn describe(op: Op) -> &'static str {
    match op {
        Op::Create => "create",
        Op::Update => "update",
        Op::Restore => "restore",
        Op::Adopt => "adopt",
        Op::Delete => "delete",
        Op::DeleteFormer => "delete former",
        Op::DeleteFirst => "delete first",
        Op::Forget => "forget",
    }
}

fn undo(undo: &Undo, style: Style) -> String {
    match undo {
        Undo::Exact => "exact".to_owned(),
        Undo::Equivalent { differs } => format!("equivalent, but: {}", text::line(differs)),
        Undo::Soft { until } => format!("restorable until {}", until.strftime("%Y-%m-%d")),
        Undo::Impossible { why } => style.yellow(&format!("impossible: {}", text::line(why))),
    }
}

fn render_outputs(out: &mut String, plan: &Plan, style: Style) {
    let changed: Vec<&OutputChange> =
        plan.outputs.iter().filter(|output| output.before.as_ref() != Some(&output.after)).collect();
    if changed.is_empty() || plan.mode != Mode::Apply {
        return;
    }
    let _ = writeln!(out, "\n{}", style.bold("Changes to outputs:"));
    let width = label_width(changed.iter().map(|output| output.name.as_str()));
    for OutputChange { name, after, sensitive, .. } in changed {
        let hidden = Value::Secret(crate::model::Secret::new(""));
        let value = if *sensitive { &hidden } else { after };
        let label = format!("{}:", text::line(name));
        if let Some(line) = inline(value) {
            let _ = writeln!(out, "  {label:width$} {line}");
        } else {
            let _ = writeln!(out, "  {label}");
            for line in tree(value) {
                let _ = writeln!(out, "    {line}");
            }
        }
    }
}
