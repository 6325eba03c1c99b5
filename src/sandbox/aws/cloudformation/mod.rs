//! CloudFormation: templates, stacks, change sets and their events.
//!
//! A stack's resources are those of the sandbox's own services, made by the same code that answers their calls.
//! Absences: transforms and macros, dynamic references (`{{resolve:…}}` is refused), nested stacks, rules, imports of
//! existing resources, drift, stack sets, hooks, parameters of SSM and AWS types, custom resources. Roles given for an
//! operation must be the caller's to pass on; they are kept, and not assumed: what a stack's resources need is asked
//! neither of them nor of the caller.

mod begin;
mod calls;
mod change_set;
mod compare;
mod evaluate;
mod kind;
mod outputs;
mod parameter;
mod references;
mod resources;
mod run;
mod stack;
mod task;
mod template;
mod text;

pub(super) use run::settle;

use super::error::Error;
use super::query::{Answer, Call, Service};
use super::xml::Element;
use stack::Stack;

/// The service. Every region has it.
pub(super) const SERVICE: Service = Service {
    name: "cloudformation",
    version: "2010-05-15",
    region: None,
    empty_results: &["DeleteChangeSet", "ExecuteChangeSet", "ContinueUpdateRollback"],
    resource,
    facts: |_, _, facts| facts,
    namespace: "http://cloudformation.amazonaws.com/doc/2010-05-15/",
    run,
};

/// As whom it makes what is in a stack.
const SERVICE_PRINCIPAL: &str = "cloudformation.amazonaws.com";

/// What an action is about: a stack, which a change set's ARN may stand for, or all of them.
#[expect(clippy::unnecessary_wraps, reason = "other services have actions that need no permission")]
fn resource(_: &str, call: &Call<'_>) -> Option<String> {
    // An ARN is found by itself, whatever stack is named beside it.
    let by_arn = call.form.peek("ChangeSetName").filter(|name| name.starts_with("arn:"));
    if let Some(Ok(found)) = by_arn.map(|arn| change_set::find(call, None, arn)) {
        return Some(found.stack_id);
    }
    let Some(name) = call.form.peek("StackName") else { return Some("*".to_owned()) };
    Some(match find(call, name) {
        Some(stack) => stack.id().to_owned(),
        None if name.starts_with("arn:") => name.to_owned(),
        None => format!("arn:aws:cloudformation:{}:{}:stack/{name}/*", call.region, call.caller.account),
    })
}

fn run(action: &str, call: &mut Call<'_>) -> Option<Answer> {
    use calls::{changes, describe, life, look};
    let run = match action {
        "ValidateTemplate" => look::validate,
        "GetTemplate" => look::get_template,
        "GetTemplateSummary" => look::summary,
        "ListExports" => look::exports,
        "CreateStack" => life::create,
        "UpdateStack" => life::update,
        "DeleteStack" => life::delete,
        "ContinueUpdateRollback" => life::continue_update_rollback,
        "RollbackStack" => life::rollback,
        "UpdateTerminationProtection" => life::protect,
        "DescribeStacks" => describe::stacks,
        "ListStacks" => describe::list,
        "DescribeStackEvents" => describe::events,
        "DescribeStackResource" => describe::resource,
        "DescribeStackResources" => describe::resources,
        "ListStackResources" => describe::list_resources,
        "CreateChangeSet" => changes::create,
        "DescribeChangeSet" => changes::describe,
        "ExecuteChangeSet" => changes::execute,
        "DeleteChangeSet" => changes::delete,
        "ListChangeSets" => changes::list,
        _ => return None,
    };
    // A role that the stack has already is used by all who may change the stack.
    let passed = call.form.peek("RoleARN").map_or(Ok(()), |role| call.may_pass(role, SERVICE_PRINCIPAL));
    Some(passed.and_then(|()| run(call)))
}

/// A refusal that every call may give.
fn invalid(message: impl Into<String>) -> Error {
    Error::new(400, "ValidationError", message)
}

/// The caller's stack of that name or id.
fn find(call: &Call<'_>, name: &str) -> Option<Stack> {
    stack::find(call.world, &call.caller.account, &call.region, name)
}

/// The same after a tick has passed: a look at a stack is a step of its life.
fn look(call: &mut Call<'_>, name: &str) -> Option<Stack> {
    let stack = find(call, name)?;
    if stack.is_busy() {
        run::tick(call.world, stack.id());
        return find(call, stack.id());
    }
    Some(stack)
}

/// `StackId`, all that most calls answer.
fn stack_id(stack: &Stack) -> Vec<Element> {
    vec![Element::leaf("StackId", stack.id())]
}
