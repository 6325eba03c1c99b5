//! Templates, looked at and told.

use super::super::super::error::Error;
use super::super::super::query::{Answer, Call};
use super::super::super::xml::Element;
use super::super::stack::{self, Stack};
use super::super::template::Template;
use super::super::{change_set, find, invalid};
use super::describe::{listed, page};
use super::request::{NAME_OR_ID, template_text};

pub(in super::super) fn validate(call: &mut Call<'_>) -> Answer {
    let text = template_text(call)?;
    call.form.finish()?;
    let text = text.ok_or_else(|| invalid("Either Template URL or Template Body must be specified."))?;
    let template = Template::read(&text).map_err(invalid)?;
    let parameters = template.parameters.iter().map(|parameter| {
        Element::new("member")
            .text("ParameterKey", &parameter.name)
            .maybe("DefaultValue", parameter.default.as_ref())
            .text("NoEcho", parameter.no_echo.to_string())
            .maybe("Description", parameter.description.as_ref())
    });
    let mut result = vec![Element::new("Parameters").with_all(parameters)];
    result.extend(template.description.as_ref().map(|text| Element::leaf("Description", text)));
    result.extend(needed(&template));
    Ok(result)
}

/// `Capabilities` and the reason, where there are any.
fn needed(template: &Template) -> Vec<Element> {
    let Some((capability, reason)) = template.capabilities() else { return Vec::new() };
    vec![Element::new("Capabilities").text("member", capability), Element::leaf("CapabilitiesReason", reason)]
}

pub(in super::super) fn summary(call: &mut Call<'_>) -> Answer {
    let text = template_text(call)?;
    let name = call.form.text("StackName", 1..=2048, NAME_OR_ID);
    call.form.finish()?;
    let text = match (text, name) {
        (Some(text), None) => text,
        (None, Some(name)) => known(call, &name)?.design.template,
        _ => {
            return Err(invalid("Exactly one of StackName, TemplateBody and TemplateURL must be specified."));
        }
    };
    let template = Template::read(&text).map_err(invalid)?;
    let parameters = template.parameters.iter().map(|parameter| {
        let allowed = parameter.allowed_values.iter().map(|value| Element::leaf("member", value));
        let constraints = listed(Element::new("ParameterConstraints"), "AllowedValues", allowed.collect());
        Element::new("member")
            .text("ParameterKey", &parameter.name)
            .maybe("DefaultValue", parameter.default.as_ref())
            .text("ParameterType", parameter.kind.name())
            .text("NoEcho", parameter.no_echo.to_string())
            .maybe("Description", parameter.description.as_ref())
            .with(constraints)
    });
    let mut result = vec![Element::new("Parameters").with_all(parameters)];
    result.extend(template.description.as_ref().map(|text| Element::leaf("Description", text)));
    result.extend(needed(&template));
    let mut kinds = template.resources.iter().map(|resource| resource.kind.clone()).collect::<Vec<_>>();
    kinds.sort();
    kinds.dedup();
    result.push(
        Element::new("ResourceTypes").with_all(kinds.into_iter().map(|kind| Element::leaf("member", kind))),
    );
    result.push(Element::leaf("Version", "2010-09-09"));
    result.extend(template.metadata.as_ref().map(|json| Element::leaf("Metadata", json.to_string())));
    Ok(result)
}

fn known(call: &Call<'_>, name: &str) -> Result<Stack, Error> {
    find(call, name).ok_or_else(|| invalid(format!("Stack with id {name} does not exist")))
}

pub(in super::super) fn get_template(call: &mut Call<'_>) -> Answer {
    let name = call.form.text("StackName", 1..=2048, NAME_OR_ID);
    let change_set = call.form.text("ChangeSetName", 1..=1600, NAME_OR_ID);
    call.form.take("TemplateStage");
    call.form.finish()?;
    let text = match change_set {
        Some(wanted) => change_set::find(call, name.as_ref(), &wanted)?.design.template,
        None => known(call, &name.unwrap_or_default())?.design.template,
    };
    let stages = ["Original", "Processed"].map(|stage| Element::leaf("member", stage));
    Ok(vec![Element::leaf("TemplateBody", text), Element::new("StagesAvailable").with_all(stages)])
}

pub(in super::super) fn exports(call: &mut Call<'_>) -> Answer {
    let token = call.form.text("NextToken", 1..=1024, "(?s).*");
    call.form.finish()?;
    let all = stack::all(call.world, &call.caller.account, &call.region);
    let mut elements = Vec::new();
    for stack in all.iter().filter(|stack| stack.deleted.is_none()) {
        for output in &stack.outputs {
            if let Some(name) = &output.export {
                let export = Element::new("member")
                    .text("ExportingStackId", stack.id())
                    .text("Name", name)
                    .text("Value", &output.value);
                elements.push(export);
            }
        }
    }
    page("Exports", token.as_ref(), elements)
}
