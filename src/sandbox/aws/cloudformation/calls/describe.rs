//! Stacks, their resources and their events, as they are told.

use base64::Engine as _;
use jiff::Timestamp;

use super::super::super::error::Error;
use super::super::super::query::{Answer, Call};
use super::super::super::xml::Element;
use super::super::parameter::HIDDEN;
use super::super::stack::{self, Event, Held, OnFailure, Stack};
use super::super::template::Template;
use super::super::{invalid, look};
use super::request::NAME_OR_ID;

/// A page of events or resources.
const PAGE: usize = 100;

/// `2013-05-24T00:00:00.000Z`, as an element.
pub(super) fn time(name: &str, time: Timestamp) -> Element {
    Element::leaf(name, time.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string())
}

/// Cuts a page out of a list that has been told up to some place before.
pub(super) fn page(list: &str, token: Option<&String>, items: Vec<Element>) -> Result<Vec<Element>, Error> {
    let encoding = base64::engine::general_purpose::STANDARD;
    let start = match token {
        None => 0,
        Some(token) => {
            let told = encoding.decode(token).ok().and_then(|bytes| String::from_utf8(bytes).ok());
            let place =
                told.and_then(|told| told.parse::<usize>().ok()).filter(|place| *place <= items.len());
            place.ok_or_else(|| invalid("The NextToken is not valid"))?
        }
    };
    let end = items.len().min(start + PAGE);
    let more = end < items.len();
    let shown = items.into_iter().skip(start).take(PAGE);
    let mut result = vec![Element::new(list).with_all(shown)];
    if more {
        result.push(Element::leaf("NextToken", encoding.encode(end.to_string())));
    }
    Ok(result)
}

fn next_token(call: &mut Call<'_>) -> Option<String> {
    call.form.text("NextToken", 1..=1024, "(?s).*")
}

pub(in super::super) fn stacks(call: &mut Call<'_>) -> Answer {
    let name = call.form.text("StackName", 1..=2048, NAME_OR_ID);
    let token = next_token(call);
    call.form.finish()?;
    let found = if let Some(name) = name {
        vec![look(call, &name).ok_or_else(|| invalid(format!("Stack with id {name} does not exist")))?]
    } else {
        let all = stack::all(call.world, &call.caller.account, &call.region);
        let live = all.into_iter().filter(|stack| stack.deleted.is_none());
        let mut live = live.collect::<Vec<_>>();
        live.sort_by_key(|stack| std::cmp::Reverse(stack.created));
        live
    };
    let elements = found.iter().map(element).collect();
    page("Stacks", token.as_ref(), elements)
}

fn element(stack: &Stack) -> Element {
    let template = Template::read(&stack.design.template);
    let is_secret = |name: &str| {
        let declared = template.as_ref().ok().and_then(|template| template.parameter(name));
        declared.is_some_and(|declared| declared.no_echo)
    };
    let mut element = Element::new("member")
        .text("StackId", stack.id())
        .text("StackName", stack.name())
        .maybe("ChangeSetId", stack.change_set.as_ref())
        .maybe("Description", template.as_ref().ok().and_then(|template| template.description.as_ref()));
    let parameters = stack.design.parameters.iter().map(|(name, value)| {
        let value = if is_secret(name) { HIDDEN } else { value };
        Element::new("member").text("ParameterKey", name).text("ParameterValue", value)
    });
    element = listed(element, "Parameters", parameters.collect()).with(time("CreationTime", stack.created));
    if let Some(updated) = stack.updated {
        element = element.with(time("LastUpdatedTime", updated));
    }
    if let Some(deleted) = stack.deleted {
        element = element.with(time("DeletionTime", deleted));
    }
    element = element
        .with(Element::new("RollbackConfiguration"))
        .text("StackStatus", &stack.status)
        .maybe("StackStatusReason", stack.reason.as_ref())
        .text("DisableRollback", (stack.on_failure == OnFailure::Nothing).to_string())
        .with(Element::new("NotificationARNs").with_all(members(&stack.design.notifications)));
    element = listed(element, "Capabilities", members(&stack.design.capabilities).collect());
    let outputs = stack.outputs.iter().map(|output| {
        Element::new("member")
            .text("OutputKey", &output.name)
            .text("OutputValue", &output.value)
            .maybe("Description", output.description.as_ref())
            .maybe("ExportName", output.export.as_ref())
    });
    let tags = stack.design.tags.iter();
    let tags = tags.map(|(key, value)| Element::new("member").text("Key", key).text("Value", value));
    listed(element, "Outputs", outputs.collect())
        .maybe("RoleARN", stack.design.role.as_ref())
        .with(Element::new("Tags").with_all(tags))
        .text("EnableTerminationProtection", stack.protected.to_string())
        .with(Element::new("DriftInformation").text("StackDriftStatus", "NOT_CHECKED"))
}

/// Texts as members of a list.
pub(super) fn members(texts: &[String]) -> impl Iterator<Item = Element> + '_ {
    texts.iter().map(|text| Element::leaf("member", text))
}

/// Adds a list, if there is anything in it.
pub(super) fn listed(element: Element, name: &str, items: Vec<Element>) -> Element {
    if items.is_empty() { element } else { element.with(Element::new(name).with_all(items)) }
}

pub(in super::super) fn list(call: &mut Call<'_>) -> Answer {
    let token = next_token(call);
    let wanted = call.form.list("StackStatusFilter");
    call.form.finish()?;
    let mut all = stack::all(call.world, &call.caller.account, &call.region);
    all.retain(|stack| wanted.is_empty() || wanted.contains(&stack.status));
    all.sort_by_key(|stack| std::cmp::Reverse(stack.created));
    let elements = all.iter().map(|stack| {
        let template = Template::read(&stack.design.template).ok();
        let mut element = Element::new("member")
            .text("StackId", stack.id())
            .text("StackName", stack.name())
            .maybe("TemplateDescription", template.and_then(|template| template.description))
            .with(time("CreationTime", stack.created));
        if let Some(updated) = stack.updated {
            element = element.with(time("LastUpdatedTime", updated));
        }
        if let Some(deleted) = stack.deleted {
            element = element.with(time("DeletionTime", deleted));
        }
        element
            .text("StackStatus", &stack.status)
            .maybe("StackStatusReason", stack.reason.as_ref())
            .with(Element::new("DriftInformation").text("StackDriftStatus", "NOT_CHECKED"))
    });
    let elements = elements.collect();
    page("StackSummaries", token.as_ref(), elements)
}

pub(in super::super) fn events(call: &mut Call<'_>) -> Answer {
    let name = call.form.need_text("StackName", 1..=2048, NAME_OR_ID);
    let token = next_token(call);
    call.form.finish()?;
    // Further pages are of the same moment.
    let found = if token.is_some() { super::super::find(call, &name) } else { look(call, &name) };
    let stack = found.ok_or_else(|| invalid(format!("Stack [{name}] does not exist")))?;
    let events = call.world.list::<Event>(&format!("{}#", stack.id()));
    let elements = events.into_iter().map(|(_, event)| {
        Element::new("member")
            .text("StackId", stack.id())
            .text("EventId", &event.id)
            .text("StackName", stack.name())
            .text("LogicalResourceId", &event.name)
            .text("PhysicalResourceId", &event.physical)
            .text("ResourceType", &event.kind)
            .with(time("Timestamp", event.time))
            .text("ResourceStatus", &event.status)
            .maybe("ResourceStatusReason", event.reason.as_ref())
            .maybe("ResourceProperties", event.properties.as_ref())
            .maybe("ClientRequestToken", event.token.as_ref())
    });
    let elements = elements.collect();
    page("StackEvents", token.as_ref(), elements)
}

fn held_element(stack: &Stack, name: &str, held: &Held, listed: bool, detail: bool) -> Element {
    let mut element = Element::new("member");
    if !listed {
        element = element.text("StackName", stack.name()).text("StackId", stack.id());
    }
    element = element.text("LogicalResourceId", name);
    if !held.physical.is_empty() {
        element = element.text("PhysicalResourceId", &held.physical);
    }
    let when = if listed || detail { "LastUpdatedTimestamp" } else { "Timestamp" };
    element
        .text("ResourceType", &held.kind)
        .with(time(when, held.updated))
        .text("ResourceStatus", &held.status)
        .maybe("ResourceStatusReason", held.reason.as_ref())
        .with(Element::new("DriftInformation").text("StackResourceDriftStatus", "NOT_CHECKED"))
}

/// What a stack holds or held, as far as it has begun to be made.
fn shown(stack: &Stack) -> impl Iterator<Item = (&String, &Held)> {
    stack.held.iter().filter(|(_, held)| !held.status.is_empty())
}

pub(in super::super) fn resource(call: &mut Call<'_>) -> Answer {
    let name = call.form.need_text("StackName", 1..=2048, NAME_OR_ID);
    let logical = call.form.need("LogicalResourceId");
    call.form.finish()?;
    let stack = look(call, &name).ok_or_else(|| invalid(format!("Stack '{name}' does not exist")))?;
    let held = shown(&stack)
        .find(|(name, _)| **name == logical)
        .ok_or_else(|| invalid(format!("Resource {logical} does not exist for stack {}", stack.name())))?;
    let element = held_element(&stack, held.0, held.1, false, true);
    Ok(vec![Element { name: "StackResourceDetail".to_owned(), ..element }])
}

pub(in super::super) fn resources(call: &mut Call<'_>) -> Answer {
    let name = call.form.text("StackName", 1..=2048, NAME_OR_ID);
    let logical = call.form.take("LogicalResourceId");
    let physical = call.form.take("PhysicalResourceId");
    call.form.finish()?;
    let stack = match (name, &physical) {
        (Some(name), None) => {
            look(call, &name).ok_or_else(|| invalid(format!("Stack with id {name} does not exist")))?
        }
        (None, Some(physical)) => {
            let all = stack::all(call.world, &call.caller.account, &call.region);
            let holds =
                |stack: &Stack| shown(stack).any(|(_, held)| held.physical == *physical && !held.is_gone());
            let found = all.into_iter().find(holds);
            found.ok_or_else(|| invalid(format!("Stack for {physical} does not exist")))?
        }
        _ => return Err(invalid("You must specify either a stack name or a physical resource id")),
    };
    let wanted = shown(&stack).filter(|(name, _)| logical.as_ref().is_none_or(|logical| logical == *name));
    let elements = wanted.map(|(name, held)| held_element(&stack, name, held, false, false));
    Ok(vec![Element::new("StackResources").with_all(elements)])
}

pub(in super::super) fn list_resources(call: &mut Call<'_>) -> Answer {
    let name = call.form.need_text("StackName", 1..=2048, NAME_OR_ID);
    let token = next_token(call);
    call.form.finish()?;
    let stack = look(call, &name).ok_or_else(|| invalid(format!("Stack with id {name} does not exist")))?;
    let elements = shown(&stack).map(|(name, held)| held_element(&stack, name, held, true, false)).collect();
    page("StackResourceSummaries", token.as_ref(), elements)
}
