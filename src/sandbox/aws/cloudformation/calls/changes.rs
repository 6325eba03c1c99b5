//! Change sets are made, told, executed and thrown away.

use super::super::super::error::Error;
use super::super::super::query::{Answer, Call};
use super::super::super::xml::Element;
use super::super::change_set::{self, ChangeSet};
use super::super::compare::{self, Change, Detail, Difference, context};
use super::super::parameter::HIDDEN;
use super::super::stack::{OnFailure, Stack};
use super::super::template::Template;
use super::super::{begin, find, invalid, stack};
use super::describe::{members, page, time};
use super::life::{fresh, must_be_updatable, no_stack, token};
use super::request::{NAME, NAME_OR_ID, design, on_failure};

const NO_CHANGES: &str = "The submitted information didn't contain changes. Submit different information to create a \
                          change set.";
const NO_UPDATES: &str = "No updates are to be performed.";

pub(in super::super) fn create(call: &mut Call<'_>) -> Answer {
    let stack_name = call.form.need_text("StackName", 1..=2048, NAME_OR_ID);
    let name = call.form.need_text("ChangeSetName", 1..=128, NAME);
    let kind = call.form.take("ChangeSetType");
    let description = call.form.text("Description", 1..=1024, "(?s).*");
    let token = call.form.text("ClientToken", 1..=128, "[a-zA-Z0-9][-a-zA-Z0-9]*");
    for ignored in ["IncludeNestedStacks", "ImportExistingResources"] {
        if call.form.take(ignored).as_deref() == Some("true") {
            return Err(invalid(format!("{ignored} is not played by the sandbox")));
        }
    }
    let creates = match kind.as_deref() {
        None | Some("UPDATE") => false,
        Some("CREATE") => true,
        Some(other) => return Err(invalid(format!("The sandbox does not play change sets of type {other}"))),
    };
    let on_failure = on_failure(call, "OnStackFailure")?;
    let present = find(call, &stack_name).filter(|stack| stack.deleted.is_none());
    if let Some(stack) = &present
        && let Some(known) = call.world.get::<ChangeSet>(&format!("{}#{name}", stack.id()))
    {
        if token.is_some() && known.token == token {
            return Ok(named(&known));
        }
        return Err(Error::new(400, "AlreadyExistsException", format!("ChangeSet {name} already exists.")));
    }
    let before = present.as_ref().map(|stack| stack.design.clone());
    let (design, template) = design(call, before.as_ref().filter(|_| !creates))?;
    call.form.finish()?;
    let stack = subject(call, present, creates, (&stack_name, &name), (&design, on_failure))?;
    let (failure, changes) = difference(call, &stack, creates, &design, &template)?;
    let uuid = call.world.uuid();
    let found = ChangeSet {
        id: format!("arn:aws:cloudformation:{}:{}:changeSet/{name}/{uuid}", call.region, call.caller.account),
        name,
        stack_id: stack.id().to_owned(),
        stack_name: stack.name().to_owned(),
        description,
        creates,
        created: call.world.now(),
        looks: 0,
        design,
        on_failure,
        failure,
        changes,
        token,
        executed: false,
        obsolete: false,
    };
    found.save(call.world);
    Ok(named(&found))
}

/// `Id` and `StackId`.
fn named(found: &ChangeSet) -> Vec<Element> {
    vec![Element::leaf("Id", &found.id), Element::leaf("StackId", &found.stack_id)]
}

/// The stack that a change set is for; one that is to be made is there to be reviewed.
fn subject(
    call: &mut Call<'_>,
    present: Option<Stack>,
    creates: bool,
    (stack_name, name): (&str, &str),
    (design, on_failure): (&stack::Design, OnFailure),
) -> Result<Stack, Error> {
    match (present, creates) {
        (Some(stack), true) if stack.status == "REVIEW_IN_PROGRESS" => Ok(stack),
        (Some(stack), true) => {
            let message = format!(
                "Stack [{}] already exists and cannot be created again with the changeSet [{name}].",
                stack.name()
            );
            Err(invalid(message))
        }
        (None, true) => {
            let mut stack = fresh(call, stack_name, design.clone(), on_failure);
            stack.turn(call.world, "REVIEW_IN_PROGRESS", Some("User Initiated"));
            stack.save(call.world);
            Ok(stack)
        }
        (Some(stack), false) => {
            must_be_updatable(&stack)?;
            Ok(stack)
        }
        (None, false) => Err(no_stack(stack_name)),
    }
}

/// What would change, or why there is nothing to do.
fn difference(
    call: &Call<'_>,
    stack: &Stack,
    creates: bool,
    design: &stack::Design,
    template: &Template,
) -> Result<(Option<String>, Vec<Change>), Error> {
    if creates {
        // All that the template declares, for a stack that holds nothing.
        let planned = Stack { design: design.clone(), ..stack.clone() };
        return match compare::compare(call.world, &planned, design, template).map_err(invalid)? {
            Difference::Some(changes) => Ok((None, changes)),
            Difference::None => Ok((None, Vec::new())),
        };
    }
    match compare::compare(call.world, stack, design, template).map_err(invalid)? {
        Difference::Some(changes) => Ok((None, changes)),
        Difference::None if stack.design.template == design.template => {
            Ok((Some(NO_CHANGES.to_owned()), Vec::new()))
        }
        Difference::None => Ok((Some(NO_UPDATES.to_owned()), Vec::new())),
    }
}

/// Takes stack and name of a change set, and finds it.
fn wanted(call: &mut Call<'_>) -> (Option<String>, String) {
    let name = call.form.need_text("ChangeSetName", 1..=1600, NAME_OR_ID);
    (call.form.text("StackName", 1..=2048, NAME_OR_ID), name)
}

pub(in super::super) fn describe(call: &mut Call<'_>) -> Answer {
    let (stack_name, name) = wanted(call);
    let next = call.form.text("NextToken", 1..=1024, "(?s).*");
    let values = call.form.take("IncludePropertyValues").as_deref() == Some("true");
    call.form.finish()?;
    let mut found = change_set::find(call, stack_name.as_ref(), &name)?;
    if next.is_none() {
        found.looks += 1;
        found.save(call.world);
    }
    let now = call.world.now();
    // The first look shows that it is being made.
    let seen = ChangeSet { looks: found.looks.saturating_sub(1), ..found.clone() };
    let stack = super::super::look(call, &found.stack_id).ok_or_else(|| no_stack(&found.stack_name))?;
    let status = seen.status(now);
    let made = status == "CREATE_COMPLETE";
    let changes = if made { found.changes.as_slice() } else { &[] };
    let changes = changes.iter().map(|change| change_element(change, values)).collect();
    let mut result = head(&seen, &stack, now);
    let template = Template::read(&found.design.template).ok();
    let parameters = found.design.parameters.iter().map(|(name, value)| {
        let declared = template.as_ref().and_then(|template| template.parameter(name));
        let value = if declared.is_some_and(|declared| declared.no_echo) { HIDDEN } else { value };
        Element::new("member").text("ParameterKey", name).text("ParameterValue", value)
    });
    result.push(Element::new("Parameters").with_all(parameters));
    result.push(Element::new("NotificationARNs").with_all(members(&found.design.notifications)));
    result.push(Element::new("RollbackConfiguration"));
    result.push(Element::new("Capabilities").with_all(members(&found.design.capabilities)));
    let tags = found.design.tags.iter();
    let tags = tags.map(|(key, value)| Element::new("member").text("Key", key).text("Value", value));
    result.push(Element::new("Tags").with_all(tags));
    let failure = match found.on_failure {
        OnFailure::Rollback => "ROLLBACK",
        OnFailure::Delete => "DELETE",
        OnFailure::Nothing => "DO_NOTHING",
    };
    result.push(Element::leaf("OnStackFailure", failure));
    result.extend(page("Changes", next.as_ref(), changes)?);
    Ok(result)
}

/// What lists and descriptions tell alike.
fn head(found: &ChangeSet, stack: &Stack, now: jiff::Timestamp) -> Vec<Element> {
    let status = found.status(now);
    let mut elements = vec![
        Element::leaf("ChangeSetName", &found.name),
        Element::leaf("ChangeSetId", &found.id),
        Element::leaf("StackId", &found.stack_id),
        Element::leaf("StackName", &found.stack_name),
    ];
    elements.extend(found.description.as_ref().map(|text| Element::leaf("Description", text)));
    elements.push(time("CreationTime", found.created));
    elements.push(Element::leaf("ExecutionStatus", found.execution(stack, now)));
    elements.push(Element::leaf("Status", status));
    let reason = found.failure.as_ref().filter(|_| status == "FAILED");
    elements.extend(reason.map(|reason| Element::leaf("StatusReason", reason)));
    elements.push(Element::leaf("IncludeNestedStacks", "false"));
    elements
}

fn change_element(change: &Change, values: bool) -> Element {
    let mut element = Element::new("ResourceChange").text("Action", &change.action);
    element = element
        .maybe("PolicyAction", change.policy.as_ref())
        .text("LogicalResourceId", &change.name)
        .maybe("PhysicalResourceId", Some(&change.physical).filter(|id| !id.is_empty()))
        .text("ResourceType", &change.kind)
        .maybe("Replacement", change.replacement.as_ref())
        .with(Element::new("Scope").with_all(members(&change.scope)))
        .with(
            Element::new("Details")
                .with_all(change.details.iter().map(|detail| detail_element(detail, values))),
        );
    if values {
        element = element
            .maybe("BeforeContext", change.before.as_ref().map(context))
            .maybe("AfterContext", change.after.as_ref().map(context));
    }
    Element::new("member").text("Type", "Resource").with(element)
}

fn detail_element(detail: &Detail, values: bool) -> Element {
    let mut target = Element::new("Target")
        .text("Attribute", &detail.attribute)
        .maybe("Name", detail.name.as_ref())
        .text("RequiresRecreation", &detail.recreation);
    if values {
        let kind = match (&detail.before, &detail.after) {
            (None, _) => "Add",
            (_, None) => "Remove",
            _ => "Modify",
        };
        target = target
            .maybe("Path", detail.name.as_ref().map(|name| format!("/Properties/{name}")))
            .maybe("BeforeValue", detail.before.as_ref())
            .maybe("AfterValue", detail.after.as_ref())
            .text("AttributeChangeType", kind);
    }
    Element::new("member")
        .with(target)
        .text("Evaluation", &detail.evaluation)
        .text("ChangeSource", &detail.source)
        .maybe("CausingEntity", detail.cause.as_ref())
}

pub(in super::super) fn execute(call: &mut Call<'_>) -> Answer {
    let (stack_name, name) = wanted(call);
    let token = token(call);
    let disabled = call.form.take("DisableRollback").map(|text| text == "true");
    call.form.take("RetainExceptOnCreate");
    call.form.finish()?;
    let mut found = change_set::find(call, stack_name.as_ref(), &name)?;
    let mut stack = find(call, &found.stack_id).ok_or_else(|| no_stack(&found.stack_name))?;
    if found.executed && token.is_some() && stack.token.as_ref().map(|(token, _)| token) == token.as_ref() {
        return Ok(Vec::new());
    }
    let now = call.world.now();
    let status =
        if found.executed || found.obsolete { found.execution(&stack, now) } else { found.status(now) };
    if found.execution(&stack, now) != "AVAILABLE" {
        let message =
            format!("ChangeSet [{}] cannot be executed in its current status of [{status}]", found.id);
        return Err(Error::new(400, "InvalidChangeSetStatus", message));
    }
    if stack.is_busy() {
        return Err(invalid(format!(
            "Stack:{} is in {} state and can not be updated.",
            stack.id(),
            stack.status
        )));
    }
    let template = Template::read(&found.design.template).map_err(invalid)?;
    stack.on_failure = match disabled {
        Some(true) => OnFailure::Nothing,
        Some(false) => OnFailure::Rollback,
        None => found.on_failure,
    };
    stack.token = token.map(|token| (token, "ExecuteChangeSet".to_owned()));
    stack.change_set = Some(found.id.clone());
    if found.creates {
        stack.design = found.design.clone();
        stack.site.tags.clone_from(&found.design.tags);
        begin::create(call.world, &mut stack, &template).map_err(invalid)?;
    } else {
        must_be_updatable(&stack)?;
        begin::update(call.world, &mut stack, found.design.clone(), &template).map_err(invalid)?;
    }
    stack.save(call.world);
    for other in change_set::of(call.world, stack.id()) {
        if other.id != found.id {
            change_set::forget(call.world, &other);
        }
    }
    found.executed = true;
    found.save(call.world);
    Ok(Vec::new())
}

/// Deleting what is not there is done, if its stack is there.
pub(in super::super) fn delete(call: &mut Call<'_>) -> Answer {
    let (stack_name, name) = wanted(call);
    call.form.finish()?;
    match change_set::find(call, stack_name.as_ref(), &name) {
        Ok(found) if found.executed => {
            let message = format!("ChangeSet [{}] cannot be deleted in its current status", found.id);
            Err(Error::new(400, "InvalidChangeSetStatus", message))
        }
        Ok(found) => {
            change_set::forget(call.world, &found);
            Ok(Vec::new())
        }
        Err(error) if error.code == "ChangeSetNotFound" => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

pub(in super::super) fn list(call: &mut Call<'_>) -> Answer {
    let stack_name = call.form.need_text("StackName", 1..=2048, NAME_OR_ID);
    let next = call.form.text("NextToken", 1..=1024, "(?s).*");
    call.form.finish()?;
    let stack = find(call, &stack_name).ok_or_else(|| no_stack(&stack_name))?;
    let now = call.world.now();
    let all = change_set::of(call.world, stack.id());
    let elements =
        all.iter().map(|found| Element::new("member").with_all(head(found, &stack, now))).collect();
    page("Summaries", next.as_ref(), elements)
}
