//! The log of an invocation: the platform's lines around what the function printed.

use serde_json::json;

use super::invoke::{Invocation, Outcome};
use crate::sandbox::World;
use crate::sandbox::aws::identity::{self, Wish};
use crate::sandbox::aws::policy::Facts;
use crate::sandbox::aws::{iam, logs};

/// Writes the log of an invocation; returns its lines, each with its end.
pub(super) fn write(world: &mut World, invocation: &Invocation, outcome: &Outcome) -> Vec<String> {
    let lines =
        if invocation.log_json { json_lines(invocation, outcome) } else { text_lines(invocation, outcome) };
    let Invocation { account, region, log_group, .. } = invocation;
    if !may_log(world, invocation, &outcome.stream) {
        return lines;
    }
    logs::append(world, account, region, log_group, &outcome.stream, &lines);
    lines
}

/// Whether the function's role may write its log: Lambda runs it all the same.
fn may_log(world: &World, invocation: &Invocation, stream: &str) -> bool {
    let Invocation { account, region, log_group, .. } = invocation;
    let Some(role) = iam::role_by_arn(world, &invocation.role) else { return false };
    let facts = Facts::new(world, region, account);
    let may = |action: &str, stream: &str| {
        let resource = logs::place(account, region, log_group, stream);
        let wish = Wish { action, resource: &resource, owner: account, policy: None, facts: &facts };
        identity::lets_role(world, &role, wish)
    };
    let there = logs::find(world, account, region, log_group).is_some();
    (there || may("logs:CreateLogGroup", ""))
        && may("logs:CreateLogStream", stream)
        && may("logs:PutLogEvents", stream)
}

fn text_lines(invocation: &Invocation, outcome: &Outcome) -> Vec<String> {
    let Invocation { request_id, version, memory_mb, .. } = invocation;
    let mut lines = vec![format!("START RequestId: {request_id} Version: {version}\n")];
    lines.extend(outcome.printed.iter().map(|line| format!("{line}\n")));
    if let Some(remark) = &outcome.remark {
        let time = outcome.began.strftime("%Y-%m-%dT%H:%M:%S.%3fZ");
        lines.push(format!("{time} {request_id} {remark}\n"));
    }
    lines.push(format!("END RequestId: {request_id}\n"));
    let (duration, billed) = (outcome.duration_ms, billed(outcome));
    let init = outcome.init_ms.map(|init| format!("\tInit Duration: {init:.2} ms")).unwrap_or_default();
    lines.push(format!(
        "REPORT RequestId: {request_id}\tDuration: {duration:.2} ms\tBilled Duration: {billed:.0} ms\tMemory Size: \
         {memory_mb} MB\tMax Memory Used: {} MB{init}\t\n",
        outcome.used_mb
    ));
    lines
}

/// Starting is paid for too.
fn billed(outcome: &Outcome) -> f64 {
    (outcome.duration_ms + outcome.init_ms.unwrap_or_default()).ceil()
}

fn json_lines(invocation: &Invocation, outcome: &Outcome) -> Vec<String> {
    let Invocation { request_id, version, memory_mb, .. } = invocation;
    let time = outcome.began.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string();
    let start = json!({ "time": time, "type": "platform.start", "record": { "requestId": request_id, "version": version } });
    let mut metrics = json!({
        "durationMs": outcome.duration_ms, "billedDurationMs": billed(outcome), "memorySizeMB": memory_mb,
        "maxMemoryUsedMB": outcome.used_mb,
    });
    if let Some(init) = outcome.init_ms {
        metrics["initDurationMs"] = json!(init);
    }
    let status = match (&outcome.remark, outcome.error) {
        (Some(remark), _) if remark.starts_with("Task timed out") => "timeout",
        (_, Some(_)) => "failure",
        (_, None) => "success",
    };
    let report = json!({
        "time": time, "type": "platform.report",
        "record": { "requestId": request_id, "metrics": metrics, "status": status },
    });
    let mut lines = vec![format!("{start}\n")];
    lines.extend(outcome.printed.iter().map(|line| format!("{line}\n")));
    lines.push(format!("{report}\n"));
    lines
}
