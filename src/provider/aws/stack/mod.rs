//! `AWS::CloudFormation::Stack`: a template, its parameters, and what CloudFormation has made of them.
//!
//! A plan reads the live template and parameters and tells the differences itself, resource by resource: nothing is
//! made before an apply. An apply goes through a change set that is named by the digest of what was approved, waits until
//! CloudFormation is done, and tells CloudFormation's own reasons where it failed.
//!
//! # States that someone may have left
//! - `REVIEW_IN_PROGRESS`: an empty shell around change sets that were never executed. It counts as absent; a creation
//!   goes on in it, unless there are change sets of someone else's. A creation that cannot be begun takes its own away.
//! - `ROLLBACK_COMPLETE`: a shell that holds nothing and can only be deleted. It counts as absent; a creation deletes it
//!   first if it bears our mark, and refuses otherwise.
//! - `UPDATE_ROLLBACK_FAILED`: the resources that failed count as absent from the template, so that a plan shows them;
//!   an update first lets the rollback continue.
//! - Anything in progress is awaited, by reads, too: only then is it known what is true. It is told at once.
//! - `CREATE_FAILED`, `ROLLBACK_FAILED`, `DELETE_FAILED`: a failed state, from which only a deletion leads.
//!
//! # Secrets
//! CloudFormation never shows the value of a `NoEcho` parameter again. Whether it is still the desired one tells a tag,
//! a salted and stretched digest of all such values (`secrets`). The former value of one that changes is known to no one, so
//! that such an update cannot be undone: a plan says so.

mod change;
mod read;
mod routes;
mod schema;
pub(super) mod secrets;
mod wait;

use std::collections::BTreeMap;

use async_trait::async_trait;
use aws_sdk_cloudformation::types::{ChangeSetType, StackStatus};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::super::Kind;
use super::Aws;
use super::document::decode;
use super::error::{Explain as _, refusal};
use super::tags::Tag;
use crate::model::{CloudError, Create, Delete, ErrorKind, Live, Owner, Read, Schema, Update, Value};

/// The kind.
pub(super) struct Stack;

/// The properties of a stack.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Properties {
    stack_name: String,
    template_body: Json,
    parameters: BTreeMap<String, String>,
    capabilities: Vec<String>,
    tags: Vec<Tag>,
}

#[async_trait]
impl Kind<Aws> for Stack {
    fn schema(&self) -> &'static Schema {
        &schema::SCHEMA
    }

    async fn read(&self, aws: &Aws, request: Read<'_>) -> Result<Option<Live>, CloudError> {
        read::read(aws, request.id, request.desired).await
    }

    async fn create(&self, aws: &Aws, request: Create<'_>) -> Result<Live, CloudError> {
        let desired: Properties = decode("cloudformation:CreateChangeSet", request.properties)?;
        make_room(aws, &desired.stack_name, request.owner).await?;
        change::apply(aws, &desired, request.owner, ChangeSetType::Create, None).await?;
        self.again(
            aws,
            Read { ty: request.ty, id: request.id, desired: Some(request.properties), secrets: false },
        )
        .await
    }

    async fn update(&self, aws: &Aws, request: Update<'_>) -> Result<Live, CloudError> {
        let desired: Properties = decode("cloudformation:CreateChangeSet", request.properties)?;
        let name = &desired.stack_name;
        if let Some(stack) = wait::settled(aws, name).await?
            && stack.stack_status() == Some(&StackStatus::UpdateRollbackFailed)
        {
            let cloudformation = aws.cloudformation().await?;
            let send = || cloudformation.continue_update_rollback().stack_name(name).send();
            aws.change("cloudformation:ContinueUpdateRollback", send).await?;
            wait::rolled_back(aws, name).await?;
        }
        let kept = read::secrets_tag(aws, name).await?;
        change::apply(aws, &desired, request.owner, ChangeSetType::Update, kept).await?;
        self.again(
            aws,
            Read { ty: request.ty, id: request.id, desired: Some(request.properties), secrets: false },
        )
        .await
    }

    async fn delete(&self, aws: &Aws, request: Delete<'_>) -> Result<(), CloudError> {
        // The very stack that was seen: another one may bear its name by now.
        let seen = request.before.attributes.get("StackId").and_then(Value::as_text);
        delete(aws, seen.unwrap_or(&request.id.0)).await
    }
}

impl Stack {
    async fn again(&self, aws: &Aws, request: Read<'_>) -> Result<Live, CloudError> {
        let id = request.id;
        self.read(aws, request).await?.ok_or_else(|| {
            let message = format!("the stack {id} was made and is not there any more");
            refusal("cloudformation:DescribeStacks", ErrorKind::Unknown, message)
        })
    }
}

/// Makes room for a stack of this name: what only looks like one is cleared away, where it is ours to do so.
async fn make_room(aws: &Aws, name: &str, owner: &Owner) -> Result<(), CloudError> {
    let Some(stack) = wait::settled(aws, name).await? else { return Ok(()) };
    match stack.stack_status() {
        Some(StackStatus::ReviewInProgress) => match change::foreign(aws, name, owner).await? {
            None => Ok(()),
            Some(other) => Err(taken(format!(
                "someone prepares a stack {name}: its change set `{other}` waits to be executed"
            ))
            .hinting(format!(
                "have it executed and take the stack over with `adopt: true`; or, if no one needs it, \
                 `aws cloudformation delete-stack --stack-name {name}`"
            ))),
        },
        Some(StackStatus::RollbackComplete) => {
            let mark = read::mark_among(stack.tags());
            let ours = mark.is_some_and(|mark| mark.stack == owner.stack && mark.address == owner.address);
            if ours {
                return delete(aws, stack.stack_id().unwrap_or(name)).await;
            }
            let message = format!(
                "a stack {name} failed to be created by someone else; what is left of it holds nothing"
            );
            Err(taken(message).hinting(format!(
                "look why with `aws cloudformation describe-stack-events --stack-name {name}`, then delete it with \
                 `aws cloudformation delete-stack --stack-name {name}`"
            )))
        }
        _ => Err(taken(format!("the stack {name} exists already"))
            .hinting("choose another `StackName`, or take the stack over with `adopt: true`")),
    }
}

/// Somebody's stack stands, or is to stand, where ours should.
fn taken(message: String) -> CloudError {
    CloudError {
        code: "AlreadyExistsException".to_owned(),
        ..refusal("cloudformation:DescribeStacks", ErrorKind::AlreadyExists, message)
    }
}

/// Deletes the stack of this id with everything in it, and waits until it is gone.
async fn delete(aws: &Aws, id: &str) -> Result<(), CloudError> {
    let Some(stack) = wait::settled(aws, id).await? else { return Ok(()) };
    let cloudformation = aws.cloudformation().await?;
    aws.put("cloudformation:DeleteStack", || cloudformation.delete_stack().stack_name(id).send()).await?;
    // Once it is gone, only its id still finds it.
    wait::deleted(aws, stack.stack_id().unwrap_or(id), stack.stack_name().unwrap_or(id)).await
}
