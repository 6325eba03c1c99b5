//! Stacks are made, changed, rolled back and deleted.

use std::collections::BTreeMap;

use super::super::super::error::Error;
use super::super::super::query::{Answer, Call};
use super::super::compare::{self, Difference};
use super::super::stack::{Design, OnFailure, Site, Stack};
use super::super::{begin, change_set, find, invalid, outputs, stack_id};
use super::request::{NAME, NAME_OR_ID, design, on_failure};

/// The refusal of an operation on a stack that is not there.
pub(super) fn no_stack(name: &str) -> Error {
    invalid(format!("Stack [{name}] does not exist"))
}

/// A stack that nothing has been done for yet.
pub(super) fn fresh(call: &mut Call<'_>, name: &str, design: Design, on_failure: OnFailure) -> Stack {
    let (account, region) = (call.caller.account.clone(), call.region.clone());
    let uuid = call.world.uuid();
    let stack_id = format!("arn:aws:cloudformation:{region}:{account}:stack/{name}/{uuid}");
    Stack {
        site: Site { account, region, stack_id, stack_name: name.to_owned(), tags: design.tags.clone() },
        created: call.world.now(),
        updated: None,
        deleted: None,
        status: String::new(),
        reason: None,
        design,
        held: BTreeMap::new(),
        outputs: Vec::new(),
        imports: Vec::new(),
        protected: false,
        on_failure,
        change_set: None,
        token: None,
        before: None,
        run: None,
        events: 0,
    }
}

/// Takes the client's token.
pub(super) fn token(call: &mut Call<'_>) -> Option<String> {
    call.form.text("ClientRequestToken", 1..=128, "[a-zA-Z0-9][-a-zA-Z0-9]*")
}

/// Whether the same operation was begun by the same token before; a token of another operation is refused.
pub(super) fn repeated(stack: &Stack, token: Option<&String>, operation: &str) -> Result<bool, Error> {
    match (&stack.token, token) {
        (Some((known, which)), Some(token)) if known == token => {
            if which == operation {
                return Ok(true);
            }
            let message = format!(
                "Token already exists: {token} was used for another operation on stack {}",
                stack.name()
            );
            Err(Error::new(400, "TokenAlreadyExistsException", message))
        }
        _ => Ok(false),
    }
}

pub(in super::super) fn create(call: &mut Call<'_>) -> Answer {
    let name = call.form.need_text("StackName", 1..=128, NAME);
    let token = token(call);
    let protected = call.form.take("EnableTerminationProtection").as_deref() == Some("true");
    let on_failure = on_failure(call, "OnFailure")?;
    call.form.number("TimeoutInMinutes", 1..=43_200);
    let (design, template) = design(call, None)?;
    call.form.finish()?;
    if let Some(present) = find(call, &name) {
        if repeated(&present, token.as_ref(), "CreateStack")? {
            return Ok(stack_id(&present));
        }
        return Err(Error::new(400, "AlreadyExistsException", format!("Stack [{name}] already exists")));
    }
    let mut stack = fresh(call, &name, design, on_failure);
    stack.protected = protected;
    stack.token = token.map(|token| (token, "CreateStack".to_owned()));
    begin::create(call.world, &mut stack, &template).map_err(invalid)?;
    stack.save(call.world);
    Ok(stack_id(&stack))
}

pub(in super::super) fn update(call: &mut Call<'_>) -> Answer {
    let name = call.form.need_text("StackName", 1..=2048, NAME_OR_ID);
    let token = token(call);
    let disabled = call.form.take("DisableRollback").as_deref() == Some("true");
    let mut stack = find(call, &name).ok_or_else(|| no_stack(&name))?;
    if repeated(&stack, token.as_ref(), "UpdateStack")? {
        return Ok(stack_id(&stack));
    }
    let (design, template) = design(call, Some(&stack.design))?;
    call.form.finish()?;
    must_be_updatable(&stack)?;
    match compare::compare(call.world, &stack, &design, &template).map_err(invalid)? {
        Difference::None => return Err(invalid("No updates are to be performed.")),
        Difference::Some(_) => {}
    }
    stack.on_failure = if disabled { OnFailure::Nothing } else { OnFailure::Rollback };
    stack.token = token.map(|token| (token, "UpdateStack".to_owned()));
    begin::update(call.world, &mut stack, design, &template).map_err(invalid)?;
    stack.save(call.world);
    change_set::make_obsolete(call.world, stack.id());
    Ok(stack_id(&stack))
}

/// Refuses an update of a stack that is in no state for one.
pub(super) fn must_be_updatable(stack: &Stack) -> Result<(), Error> {
    let status = stack.status.as_str();
    let never = ["ROLLBACK_COMPLETE", "DELETE_COMPLETE", "REVIEW_IN_PROGRESS"];
    let failed = ["CREATE_FAILED", "UPDATE_FAILED"];
    if failed.contains(&status) || (status.ends_with("_COMPLETE") && !never.contains(&status)) {
        return Ok(());
    }
    Err(invalid(format!("Stack:{} is in {status} state and can not be updated.", stack.id())))
}

pub(in super::super) fn delete(call: &mut Call<'_>) -> Answer {
    let name = call.form.need_text("StackName", 1..=2048, NAME_OR_ID);
    let token = token(call);
    let retain = call.form.list("RetainResources");
    let mode = call.form.take("DeletionMode");
    call.form.text("RoleARN", 20..=2048, ".*");
    call.form.finish()?;
    // Deleting what is not there is done.
    let Some(mut stack) = find(call, &name).filter(|stack| stack.deleted.is_none()) else {
        return Ok(Vec::new());
    };
    if repeated(&stack, token.as_ref(), "DeleteStack")? || stack.status == "DELETE_IN_PROGRESS" {
        return Ok(Vec::new());
    }
    if stack.is_busy() && stack.status.starts_with("UPDATE_") {
        let (id, status) = (stack.id(), &stack.status);
        return Err(invalid(format!("Stack [{id}] cannot be deleted while in status {status}")));
    }
    if stack.protected {
        let name = stack.name();
        return Err(invalid(format!(
            "Stack [{name}] cannot be deleted while TerminationProtection is enabled"
        )));
    }
    let failed = stack.status == "DELETE_FAILED";
    if !retain.is_empty() && !failed {
        return Err(invalid(format!(
            "Invalid operation on stack [{}]. Only stacks in the DELETE_FAILED state can be deleted with RetainResources.",
            stack.id()
        )));
    }
    if let Some(unknown) = retain.iter().find(|name| !stack.held.contains_key(*name)) {
        return Err(invalid(format!(
            "The specified resources to retain must be in a valid state. [{unknown}]"
        )));
    }
    if let Some((export, user)) = outputs::in_use(call.world, &stack) {
        return Err(invalid(format!("Export {export} cannot be deleted as it is in use by {user}")));
    }
    let force = mode.as_deref() == Some("FORCE_DELETE_STACK") && failed;
    let still = stack.held.iter().filter(|(_, held)| held.status == "DELETE_FAILED");
    let retain = if force { still.map(|(name, _)| name.clone()).collect() } else { retain };
    stack.token = token.map(|token| (token, "DeleteStack".to_owned()));
    begin::delete(call.world, &mut stack, retain, None);
    stack.save(call.world);
    Ok(Vec::new())
}

pub(in super::super) fn continue_update_rollback(call: &mut Call<'_>) -> Answer {
    let name = call.form.need_text("StackName", 1..=2048, NAME_OR_ID);
    let token = token(call);
    let skipped = call.form.list("ResourcesToSkip");
    call.form.text("RoleARN", 20..=2048, ".*");
    call.form.finish()?;
    let mut stack = find(call, &name).ok_or_else(|| no_stack(&name))?;
    if repeated(&stack, token.as_ref(), "ContinueUpdateRollback")? {
        return Ok(Vec::new());
    }
    if stack.status != "UPDATE_ROLLBACK_FAILED" {
        return Err(invalid(format!(
            "Stack:{} is in {} state and can not continue rollback.",
            stack.id(),
            stack.status
        )));
    }
    let failed = |name: &&String| stack.held.get(*name).is_none_or(|held| held.status != "UPDATE_FAILED");
    if let Some(wrong) = skipped.iter().find(failed) {
        return Err(invalid(format!(
            "ResourcesToSkip can only contain resources that are in the UPDATE_FAILED state: [{wrong}]"
        )));
    }
    stack.token = token.map(|token| (token, "ContinueUpdateRollback".to_owned()));
    begin::update_rollback(call.world, &mut stack, &skipped, "User Initiated");
    stack.save(call.world);
    Ok(Vec::new())
}

pub(in super::super) fn rollback(call: &mut Call<'_>) -> Answer {
    let name = call.form.need_text("StackName", 1..=2048, NAME_OR_ID);
    let token = token(call);
    call.form.text("RoleARN", 20..=2048, ".*");
    call.form.take("RetainExceptOnCreate");
    call.form.finish()?;
    let mut stack = find(call, &name).ok_or_else(|| no_stack(&name))?;
    if repeated(&stack, token.as_ref(), "RollbackStack")? {
        return Ok(stack_id(&stack));
    }
    stack.token = token.map(|token| (token, "RollbackStack".to_owned()));
    match stack.status.as_str() {
        "CREATE_FAILED" => begin::rollback(call.world, &mut stack, "User Initiated"),
        "UPDATE_FAILED" => begin::update_rollback(call.world, &mut stack, &[], "User Initiated"),
        status => {
            return Err(invalid(format!(
                "Stack:{} is in {status} state and can not be rolled back.",
                stack.id()
            )));
        }
    }
    stack.save(call.world);
    Ok(stack_id(&stack))
}

pub(in super::super) fn protect(call: &mut Call<'_>) -> Answer {
    let name = call.form.need_text("StackName", 1..=2048, NAME_OR_ID);
    let protected = call.form.need("EnableTerminationProtection") == "true";
    call.form.finish()?;
    let stack = find(call, &name).filter(|stack| stack.deleted.is_none());
    let mut stack = stack.ok_or_else(|| no_stack(&name))?;
    stack.protected = protected;
    stack.save(call.world);
    Ok(stack_id(&stack))
}
