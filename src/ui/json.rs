//! Plans, events and errors for programs. Plans and events have Terraform's shape, so that existing tools read them;
//! what Terraform has no word for stands under `mcm`.

use serde_json::{Map as Object, Value as Json, json};

use super::plan::Counts;
use super::summary::{doing, done, undoing};
use crate::model::{
    Action, Change, CloudError, Diagnostic, Edit, Event, Map, Op, OutputChange, Phase, Plan, Segment,
    Severity, Value,
};

/// The version of Terraform's plan format whose shape this follows.
const FORMAT_VERSION: &str = "1.2";

/// A plan.
pub fn plan(plan: &Plan) -> Json {
    json!({
        "format_version": FORMAT_VERSION,
        "mcm_version": env!("CARGO_PKG_VERSION"),
        "applyable": !plan.steps.is_empty(),
        "complete": true,
        "errored": false,
        "resource_changes": plan.changes.iter().map(change).collect::<Vec<_>>(),
        "output_changes": outputs(&plan.outputs),
        "mcm": {
            "stack": plan.stack,
            "mode": plan.mode,
            "summary": counts(Counts::of(plan)),
            "order": plan.steps,
            "warnings": plan.warnings.iter().map(diagnostic).collect::<Vec<_>>(),
            "digest": plan.digest(),
            "stack_digest": plan.stack_digest,
            "live_digests": plan.live_digests,
        },
    })
}

fn change(change: &Change) -> Json {
    let (before, before_sensitive, _) =
        split_map(change.before.as_ref().filter(|_| exists_before(change.action)));
    let (after, after_sensitive, after_unknown) =
        split_map(change.after.as_ref().filter(|_| exists_after(change.action)));
    let forcing: Vec<Json> = change.edits.iter().filter(|edit| edit.forces_replacement).map(path).collect();
    json!({
        "address": change.address,
        "mode": "managed",
        "type": change.ty,
        "name": change.address.name(),
        "provider_name": change.ty.cloud(),
        "change": {
            "actions": actions(change),
            "before": before,
            "after": after,
            "after_unknown": after_unknown,
            "before_sensitive": before_sensitive,
            "after_sensitive": after_sensitive,
            "replace_paths": forcing,
        },
        "mcm": {
            "action": change.action,
            "reason": change.reason,
            "reversibility": change.undo,
            "id": change.id,
            "former_id": change.former_id,
            "changed": change.edits.iter().map(|edit| edit.path.to_string()).collect::<Vec<_>>(),
        },
    })
}

/// In Terraform's words. A restored object is made out of nothing that a policy could have seen; an adopted one
/// was there, and is changed by the mark it gets.
fn actions(change: &Change) -> &'static [&'static str] {
    match change.action {
        Action::NoOp => &["no-op"],
        Action::Create | Action::Restore => &["create"],
        // Another one goes for it: what forbids deletions shall see it.
        Action::Adopt if change.former_id.is_some() => &["delete", "create"],
        Action::Update | Action::Adopt => &["update"],
        Action::Replace => &["delete", "create"],
        Action::Delete => &["delete"],
        Action::Forget => &["forget"],
    }
}

fn exists_before(action: Action) -> bool {
    match action {
        Action::Create | Action::Restore => false,
        Action::NoOp | Action::Update | Action::Replace | Action::Delete | Action::Adopt | Action::Forget => {
            true
        }
    }
}

fn exists_after(action: Action) -> bool {
    match action {
        Action::Delete | Action::Forget => false,
        Action::NoOp
        | Action::Update
        | Action::Replace
        | Action::Create
        | Action::Restore
        | Action::Adopt => true,
    }
}

fn path(edit: &Edit) -> Json {
    let segment = |segment: &Segment| match segment {
        Segment::Index(position) => json!(position),
        Segment::Key(key) => json!(key),
    };
    edit.path.0.iter().map(segment).collect()
}

/// Properties as Terraform tells them: what is known, where secrets are, what is unknown.
fn split_map(map: Option<&Map>) -> (Json, Json, Json) {
    match map {
        None => (Json::Null, json!(false), json!({})),
        Some(map) => {
            let (known, sensitive, unknown) = split_members(map);
            (Json::Object(known), Json::Object(sensitive), Json::Object(unknown))
        }
    }
}

type Members = Object<String, Json>;

fn split_members(map: &Map) -> (Members, Members, Members) {
    let (mut known, mut sensitive, mut unknown) = (Members::new(), Members::new(), Members::new());
    for (key, value) in map {
        let (value, hidden, open) = split(value);
        // Terraform leaves what is not known out of `after`.
        if open != Json::Bool(true) {
            known.insert(key.clone(), value);
        }
        for (part, into) in [(hidden, &mut sensitive), (open, &mut unknown)] {
            if part != Json::Bool(false) {
                into.insert(key.clone(), part);
            }
        }
    }
    (known, sensitive, unknown)
}

/// One value: as known, where it is secret, where it is unknown; `false` where nothing in it is.
fn split(value: &Value) -> (Json, Json, Json) {
    match value {
        Value::Secret(_) => (value.to_json(), json!(true), json!(false)),
        Value::Unknown(_) => (Json::Null, json!(false), json!(true)),
        Value::List(items) => {
            let parts: Vec<_> = items.iter().map(split).collect();
            let column =
                |pick: fn(&(Json, Json, Json)) -> Json| -> Vec<Json> { parts.iter().map(pick).collect() };
            let or_false = |marks: Vec<Json>| {
                if marks.iter().all(|mark| *mark == Json::Bool(false)) {
                    json!(false)
                } else {
                    Json::Array(marks)
                }
            };
            (
                Json::Array(column(|part| part.0.clone())),
                or_false(column(|part| part.1.clone())),
                or_false(column(|part| part.2.clone())),
            )
        }
        Value::Map(map) => {
            let (known, sensitive, unknown) = split_members(map);
            let or_false = |marks: Members| if marks.is_empty() { json!(false) } else { Json::Object(marks) };
            (Json::Object(known), or_false(sensitive), or_false(unknown))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Text(_) => {
            (value.to_json(), json!(false), json!(false))
        }
    }
}

fn outputs(outputs: &[OutputChange]) -> Json {
    let member = |output: &OutputChange| {
        let (after, hidden, unknown) = split(&output.after);
        let shown = |value| if output.sensitive { json!("(sensitive)") } else { value };
        let action = match &output.before {
            None => "create",
            Some(before) if *before == output.after => "no-op",
            Some(_) => "update",
        };
        let before = output.before.as_ref().map_or(Json::Null, |before| shown(split(before).0));
        let after = shown(after);
        let change = json!({
            "actions": [action],
            "before": before,
            "after": after,
            "after_unknown": unknown,
            "before_sensitive": output.sensitive,
            "after_sensitive": if output.sensitive { json!(true) } else { hidden },
        });
        (output.name.clone(), change)
    };
    Json::Object(outputs.iter().map(member).collect())
}

fn counts(counts: Counts) -> Json {
    json!({
        "add": counts.add,
        "change": counts.change,
        "remove": counts.destroy,
        "restore": counts.restore,
        "adopt": counts.adopt,
        "forget": counts.forget,
    })
}

/// What stands in every event.
fn envelope(kind: &str, level: &str, message: &str) -> Members {
    let Json::Object(members) = json!({
        "@level": level,
        "@message": message,
        "@module": "mcm",
        "@timestamp": jiff::Timestamp::now().to_string(),
        "type": kind,
    }) else {
        return Members::new();
    };
    members
}

/// The first line of a stream of events.
pub fn version() -> Json {
    let mut line = envelope("version", "info", concat!("mcm ", env!("CARGO_PKG_VERSION")));
    line.insert("mcm".to_owned(), json!(env!("CARGO_PKG_VERSION")));
    line.insert("ui".to_owned(), json!(FORMAT_VERSION));
    Json::Object(line)
}

/// The changes of a plan and their sum, as events.
pub fn planned(plan: &Plan) -> Vec<Json> {
    let mut lines = Vec::new();
    for change in plan.changes.iter().filter(|change| change.action != Action::NoOp) {
        let action = serde_json::to_value(change.action).unwrap_or_default();
        let message = format!("{}: plan to {}", change.address, action.as_str().unwrap_or_default());
        let mut line = envelope("planned_change", "info", &message);
        let resource = json!({ "addr": change.address, "resource_type": change.ty, "resource_name": change.address.name() });
        line.insert(
            "change".to_owned(),
            json!({ "resource": resource, "action": action, "reason": change.reason }),
        );
        lines.push(Json::Object(line));
    }
    let sum = Counts::of(plan);
    lines.push(summary(
        "plan",
        sum,
        &format!("Plan: {} to add, {} to change, {} to destroy.", sum.add, sum.change, sum.destroy),
    ));
    lines
}

/// What was done in all.
pub fn summary(operation: &str, sum: Counts, message: &str) -> Json {
    let mut line = envelope("change_summary", "info", message);
    let mut changes = counts(sum);
    changes["operation"] = json!(operation);
    line.insert("changes".to_owned(), changes);
    Json::Object(line)
}

/// The outputs, as the last event of a run that succeeded.
pub fn outputs_event(outputs: Json) -> Json {
    let mut line = envelope("outputs", "info", "Outputs");
    line.insert("outputs".to_owned(), outputs);
    Json::Object(line)
}

/// Where the public addresses among the outputs answer while the sandbox is up.
pub fn here_event(addresses: &[(String, String)]) -> Json {
    let mut line = envelope("served", "info", "The sandbox is up");
    let addresses = addresses.iter().map(|(name, address)| (name.clone(), Json::String(address.clone())));
    line.insert("addresses".to_owned(), Json::Object(addresses.collect()));
    Json::Object(line)
}

/// Something to know, as an event.
pub fn message(text: &str) -> Json {
    Json::Object(envelope("log", "info", text))
}

/// What is wrong, as an event.
pub fn diagnostic_event(what: &Diagnostic) -> Json {
    let level = match what.severity {
        Severity::Error => "error",
        Severity::Warning => "warn",
    };
    let mut line = envelope("diagnostic", level, &what.summary);
    line.insert("diagnostic".to_owned(), diagnostic(what));
    Json::Object(line)
}

/// What is wrong, in Terraform's shape.
pub fn diagnostic(what: &Diagnostic) -> Json {
    let range = what.location.as_ref().map(|place| {
        json!({
            "filename": place.file,
            "start": { "line": place.line, "column": place.column },
            "end": { "line": place.line, "column": place.column + place.length },
        })
    });
    json!({ "severity": what.severity, "summary": what.summary, "detail": what.detail, "range": range, "hint": what.hint })
}

/// An event of a run.
pub fn event(event: &Event) -> Json {
    let (kind, level, message, rest) = match event {
        Event::Began { steps, phase } => {
            let message = format!("{steps} steps");
            (
                if undoes(*phase) { "undo_began" } else { "apply_began" },
                "info",
                message,
                json!({ "steps": steps }),
            )
        }
        Event::Started { step, address, op, phase } => {
            let message =
                format!("{address}: {}", if undoes(*phase) { undoing(*op) } else { doing(*op).to_owned() });
            (
                if undoes(*phase) { "undo_start" } else { "apply_start" },
                "info",
                message,
                hook(step.0, address.as_str(), *op),
            )
        }
        Event::Waiting { step, address, error } => {
            let mut hook = json!({ "resource": { "addr": address }, "step": step });
            hook["error"] = cloud_error(error);
            ("apply_waiting", "info", format!("{address}: waiting"), hook)
        }
        Event::Finished { step, address, op, phase, took } => {
            let message = format!("{address}: {}{}", done(*op), if undoes(*phase) { ", undone" } else { "" });
            let mut hook = hook(step.0, address.as_str(), *op);
            hook["elapsed_seconds"] = json!(took.as_secs_f64());
            (if undoes(*phase) { "undo_complete" } else { "apply_complete" }, "info", message, hook)
        }
        Event::Failed { step, address, op, phase, error } => {
            let mut hook = hook(step.0, address.as_str(), *op);
            hook["error"] = cloud_error(error);
            (
                if undoes(*phase) { "undo_errored" } else { "apply_errored" },
                "error",
                format!("{address}: failed: {error}"),
                hook,
            )
        }
        Event::Kept { step, address, why } => {
            let hook = json!({ "resource": { "addr": address }, "step": step, "why": why });
            ("undo_kept", "warn", format!("{address}: left in place: {why}"), hook)
        }
    };
    let mut line = envelope(kind, level, &message);
    line.insert("hook".to_owned(), rest);
    Json::Object(line)
}

fn undoes(phase: Phase) -> bool {
    match phase {
        Phase::Apply => false,
        Phase::Undo => true,
    }
}

fn hook(step: usize, address: &str, op: Op) -> Json {
    json!({ "resource": { "addr": address }, "action": op, "step": step })
}

fn cloud_error(error: &CloudError) -> Json {
    json!({
        "cloud": error.cloud,
        "call": error.call,
        "code": error.code,
        "message": error.message,
        "request_id": error.request_id,
        "hint": error.hint,
    })
}
