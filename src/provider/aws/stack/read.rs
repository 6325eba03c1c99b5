//! What is live: the template, the parameters, the tags and the outputs of a stack.

use std::collections::BTreeMap;

use aws_sdk_cloudformation::types::{ResourceStatus, Stack, StackStatus, Tag as CloudTag, TemplateStage};
use futures::try_join;

use super::super::Aws;
use super::super::tags::{self, Tag};
use super::schema::secret_parameters;
use super::{secrets, wait};
use crate::model::{CloudError, CloudId, Condition, Live, Map, Owner, Secret, Value};

/// The stack, once it is in no state in between; a shell that holds nothing is none.
pub(super) async fn read(aws: &Aws, id: &CloudId, desired: Option<&Map>) -> Result<Option<Live>, CloudError> {
    let name = id.0.as_str();
    let Some(stack) = wait::settled(aws, name).await? else { return Ok(None) };
    let status = stack.stack_status().cloned().unwrap_or(StackStatus::CreateComplete);
    if matches!(status, StackStatus::ReviewInProgress | StackStatus::RollbackComplete) {
        return Ok(None);
    }
    let broken = status == StackStatus::UpdateRollbackFailed;
    let (mut template, failed) = try_join!(template(aws, name), failed(aws, name, broken))?;
    if let Value::Map(sections) = &mut template
        && let Some(Value::Map(resources)) = sections.get_mut("Resources")
    {
        resources.retain(|logical, _| !failed.contains(logical));
    }
    let sorted = tags::sort(stack.tags().iter().map(|tag| Tag {
        key: tag.key().unwrap_or_default().to_owned(),
        value: tag.value().unwrap_or_default().to_owned(),
    }));
    let sealed = sorted.own.iter().find(|tag| tag.key == secrets::TAG).map(|tag| tag.value.clone());
    let own = sorted.own.iter().filter(|tag| tag.key != secrets::TAG);
    let tags: Vec<Value> = own
        .map(|tag| {
            Value::Map(Map::from([
                ("Key".to_owned(), tag.key.as_str().into()),
                ("Value".to_owned(), tag.value.as_str().into()),
            ]))
        })
        .collect();
    let parameters = parameters(&stack, &template, sealed.as_deref(), desired);
    let mut properties =
        Map::from([("StackName".to_owned(), name.into()), ("TemplateBody".to_owned(), template)]);
    if !parameters.is_empty() {
        properties.insert("Parameters".to_owned(), Value::Map(parameters));
    }
    if !tags.is_empty() {
        properties.insert("Tags".to_owned(), Value::List(tags));
    }
    if !stack.capabilities().is_empty() {
        let words = stack.capabilities().iter().map(|word| Value::from(word.as_str()));
        properties.insert("Capabilities".to_owned(), Value::List(words.collect()));
    }
    Ok(Some(Live {
        id: id.clone(),
        properties,
        attributes: attributes(&stack),
        etag: None,
        owner: sorted.mark,
        condition: condition(&status),
    }))
}

/// The template as it was written; one that is no JSON is shown as its text.
async fn template(aws: &Aws, name: &str) -> Result<Value, CloudError> {
    let cloudformation = aws.cloudformation().await?;
    let send =
        || cloudformation.get_template().stack_name(name).template_stage(TemplateStage::Original).send();
    let answer = aws.read("cloudformation:GetTemplate", send).await?;
    let text = answer.template_body.unwrap_or_default();
    Ok(serde_json::from_str(&text).map_or(Value::Text(text), Value::from_json))
}

/// The resources that a failed rollback has left broken.
async fn failed(aws: &Aws, name: &str, broken: bool) -> Result<Vec<String>, CloudError> {
    if !broken {
        return Ok(Vec::new());
    }
    let cloudformation = aws.cloudformation().await?;
    let (mut failed, mut token): (Vec<String>, Option<String>) = (Vec::new(), None);
    loop {
        let send =
            || cloudformation.list_stack_resources().stack_name(name).set_next_token(token.clone()).send();
        let page = aws.read("cloudformation:ListStackResources", send).await?;
        failed.extend(
            page.stack_resource_summaries()
                .iter()
                .filter(|one| {
                    matches!(
                        one.resource_status(),
                        Some(
                            ResourceStatus::UpdateFailed
                                | ResourceStatus::UpdateRollbackFailed
                                | ResourceStatus::RollbackFailed
                                | ResourceStatus::CreateFailed
                                | ResourceStatus::DeleteFailed
                        )
                    )
                })
                .filter_map(|one| one.logical_resource_id().map(str::to_owned)),
        );
        token = page.next_token;
        if token.is_none() {
            return Ok(failed);
        }
    }
}

/// The parameters. A hidden one is what is desired, as far as the digest tells; else it is known to no one, which an empty
/// secret says.
fn parameters(stack: &Stack, template: &Value, sealed: Option<&str>, desired: Option<&Map>) -> Map {
    let declared = template.at(&["Parameters"]).and_then(Value::as_map);
    let hidden = secret_parameters(template);
    let wish = desired.and_then(|desired| desired.get("Parameters")).and_then(Value::as_map);
    let wished: BTreeMap<&str, &str> =
        hidden.iter().filter_map(|name| Some((*name, plain(wish?.get(*name)?)?))).collect();
    let same = wished.len() == hidden.len() && sealed.is_some_and(|sealed| secrets::fits(sealed, &wished));
    let mut parameters = Map::new();
    for parameter in stack.parameters() {
        let name = parameter.parameter_key().unwrap_or_default();
        let value = parameter.parameter_value().unwrap_or_default();
        let desired = wish.is_some_and(|wish| wish.contains_key(name));
        let default = declared.and_then(|declared| declared.get(name)?.at(&["Default"]).map(Value::to_text));
        let value = if hidden.contains(&name) {
            let known = wished.get(name).filter(|_| same);
            Value::Secret(Secret::new(known.copied().unwrap_or_default()))
        } else if !desired && default.as_deref() == Some(value) {
            // CloudFormation shows defaults among the values.
            continue;
        } else {
            value.into()
        };
        parameters.insert(name.to_owned(), value);
    }
    parameters
}

fn plain(value: &Value) -> Option<&str> {
    match value {
        Value::Secret(secret) => Some(secret.expose()),
        other => other.as_text(),
    }
}

fn attributes(stack: &Stack) -> Map {
    let outputs: Map = stack
        .outputs()
        .iter()
        .filter_map(|output| Some((output.output_key()?.to_owned(), output.output_value()?.into())))
        .collect();
    let mut attributes = Map::from([("Outputs".to_owned(), Value::Map(outputs))]);
    if let Some(id) = stack.stack_id() {
        attributes.insert("StackId".to_owned(), id.into());
    }
    attributes
}

/// Whether an update can go on from there.
fn condition(status: &StackStatus) -> Condition {
    match status {
        StackStatus::CreateFailed | StackStatus::RollbackFailed | StackStatus::DeleteFailed => {
            Condition::Failed(status.as_str().to_owned())
        }
        _ => Condition::Ready,
    }
}

/// Whose mark stands among some tags.
pub(super) fn mark_among(tags: &[CloudTag]) -> Option<Owner> {
    let tag = tags.iter().find(|tag| tag.key() == Some(Owner::TAG))?;
    Owner::parse(tag.value()?)
}

/// The digest of the secrets that a stack has.
pub(super) async fn secrets_tag(aws: &Aws, name: &str) -> Result<Option<String>, CloudError> {
    let stack = wait::describe(aws, name).await?;
    Ok(stack.and_then(|stack| {
        let tag = stack.tags().iter().find(|tag| tag.key() == Some(secrets::TAG))?;
        tag.value().map(str::to_owned)
    }))
}
