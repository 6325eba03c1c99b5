//! Waiting until CloudFormation is done, and why it failed where it did.

use std::collections::BTreeSet;
use std::time::Duration;

use aws_sdk_cloudformation::types::{ExecutionStatus, Stack, StackEvent, StackStatus};
use tokio::time::{Instant, sleep};

use super::super::Aws;
use super::super::error::{Explain as _, refusal};
use super::routes;
use crate::model::{CloudError, ErrorKind};

/// The first pause between two looks; each further one is longer, up to [`LONGEST`].
const SHORTEST: Duration = Duration::from_millis(300);
const LONGEST: Duration = Duration::from_secs(5);
/// The longest that a stack of functions may take.
const PATIENCE: Duration = Duration::from_hours(1);
/// At most so many pages of events are looked through.
const PAGES: usize = 20;
/// At most so many reasons are told.
const REASONS: usize = 5;

/// Pauses that grow, up to a deadline.
pub(super) struct Pauses {
    began: Instant,
    next: Duration,
}

impl Pauses {
    pub(super) fn new() -> Self {
        Self { began: Instant::now(), next: SHORTEST }
    }

    /// Waits; an error when it has been long enough.
    pub(super) async fn pause(
        &mut self,
        call: &str,
        what: &str,
        patience: Duration,
    ) -> Result<(), CloudError> {
        if self.began.elapsed() > patience {
            let message = format!("{what} has not come to an end within {} minutes", patience.as_secs() / 60);
            return Err(refusal(call, ErrorKind::Unknown, message)
                .hinting("CloudFormation goes on by itself: run the same command again to await it"));
        }
        sleep(self.next).await;
        self.next = (self.next * 3 / 2).min(LONGEST);
        Ok(())
    }
}

/// What CloudFormation says of a stack; `None` if there is none.
pub(super) async fn describe(aws: &Aws, name: &str) -> Result<Option<Stack>, CloudError> {
    let cloudformation = aws.cloudformation().await?;
    let send = || cloudformation.describe_stacks().stack_name(name).send();
    match aws.read("cloudformation:DescribeStacks", send).await {
        Ok(answer) => Ok(answer.stacks.unwrap_or_default().into_iter().next()),
        // `ValidationError: Stack with id NAME does not exist`: there is no code of its own for it.
        Err(error) if is_absent(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

pub(super) fn is_absent(error: &CloudError) -> bool {
    error.kind == ErrorKind::NotFound
        || error.code == "ValidationError" && error.message.contains("does not exist")
}

/// The stack, once nothing is in progress, which is told; `None` if there is none.
pub(super) async fn settled(aws: &Aws, name: &str) -> Result<Option<Stack>, CloudError> {
    let mut pauses = Pauses::new();
    let mut told = None;
    loop {
        let Some(stack) = describe(aws, name).await? else { return Ok(None) };
        match stack.stack_status() {
            Some(StackStatus::DeleteComplete) => return Ok(None),
            Some(status) if in_progress(status) => {
                // A read may have to wait for as long as somebody else's operation takes: not in silence.
                if told.as_ref() != Some(status) {
                    aws.tell(&format!(
                        "waits for the stack {}: {}",
                        stack.stack_name().unwrap_or(name),
                        status.as_str()
                    ));
                    told = Some(status.clone());
                }
            }
            Some(_) | None => return Ok(Some(stack)),
        }
        pauses.pause("cloudformation:DescribeStacks", &format!("the stack {name}"), PATIENCE).await?;
    }
}

/// `…_IN_PROGRESS`, but for the one that waits for people.
fn in_progress(status: &StackStatus) -> bool {
    *status != StackStatus::ReviewInProgress && status.as_str().ends_with("_IN_PROGRESS")
}

/// Waits for the end of what a change set started, whose name is the token of its events; tells why it failed.
pub(super) async fn done(aws: &Aws, name: &str, token: &str) -> Result<(), CloudError> {
    let call = "cloudformation:ExecuteChangeSet";
    let mut pauses = Pauses::new();
    let mut told = BTreeSet::new();
    let mut begun = false;
    loop {
        // A status that was read before the operation began is that of an earlier one.
        begun = begun || executed(aws, name, token).await?;
        for event in events(aws, name, token).await? {
            begun |= event.client_request_token() == Some(token);
            if told.insert(event.event_id().unwrap_or_default().to_owned()) {
                tell(aws, name, &event);
            }
        }
        let Some(stack) = describe(aws, name).await? else {
            return Err(refusal(call, ErrorKind::Unknown, format!("the stack {name} is gone")));
        };
        match stack.stack_status() {
            _ if !begun => {}
            Some(StackStatus::CreateComplete | StackStatus::UpdateComplete) => return Ok(()),
            // The new state is in force; what is left over is being deleted.
            Some(status) if in_progress(status) => {}
            // It was not executed yet.
            Some(StackStatus::ReviewInProgress) => {}
            status => return Err(failure(aws, &stack, status, token).await),
        }
        pauses.pause(call, &format!("the stack {name}"), PATIENCE).await?;
    }
}

/// Whether CloudFormation has done with a change set, or does not know it any more.
async fn executed(aws: &Aws, name: &str, change_set: &str) -> Result<bool, CloudError> {
    let cloudformation = aws.cloudformation().await?;
    let send = || cloudformation.describe_change_set().stack_name(name).change_set_name(change_set).send();
    match aws.read("cloudformation:DescribeChangeSet", send).await {
        Ok(answer) => Ok(matches!(
            answer.execution_status(),
            Some(
                ExecutionStatus::ExecuteComplete | ExecutionStatus::ExecuteFailed | ExecutionStatus::Obsolete
            )
        )),
        Err(error) if error.code.starts_with("ChangeSetNotFound") => Ok(true),
        Err(error) => Err(error),
    }
}

/// Waits for the end of a rollback that was continued.
pub(super) async fn rolled_back(aws: &Aws, name: &str) -> Result<(), CloudError> {
    let stack = settled(aws, name).await?;
    let status = stack.as_ref().and_then(Stack::stack_status);
    if status != Some(&StackStatus::UpdateRollbackFailed) {
        return Ok(());
    }
    let reason = stack.as_ref().and_then(Stack::stack_status_reason).unwrap_or_default();
    let message = format!("the rollback of the stack {name} failed again: {reason}");
    Err(refusal("cloudformation:ContinueUpdateRollback", ErrorKind::Invalid, message).hinting(format!(
        "mend what it names, or leave those resources out: `aws cloudformation continue-update-rollback --stack-name \
         {name} --resources-to-skip NAME`"
    )))
}

/// Waits until a stack is gone.
pub(super) async fn deleted(aws: &Aws, id: &str, name: &str) -> Result<(), CloudError> {
    let call = "cloudformation:DeleteStack";
    let mut pauses = Pauses::new();
    loop {
        let Some(stack) = describe(aws, id).await? else { return Ok(()) };
        match stack.stack_status() {
            Some(StackStatus::DeleteComplete) => return Ok(()),
            Some(StackStatus::DeleteFailed) => {
                let reason = stack.stack_status_reason().unwrap_or_default();
                let message = format!("the stack {name} could not be deleted: {reason}");
                return Err(CloudError {
                    code: StackStatus::DeleteFailed.as_str().to_owned(),
                    ..refusal(call, ErrorKind::NotEmpty, message)
                }
                .hinting("mend what it names, then run the same command again"));
            }
            _ => {}
        }
        pauses.pause(call, &format!("the deletion of the stack {name}"), PATIENCE).await?;
    }
}

/// The events of one operation, oldest first.
async fn events(aws: &Aws, name: &str, token: &str) -> Result<Vec<StackEvent>, CloudError> {
    let cloudformation = aws.cloudformation().await?;
    let (mut found, mut next): (Vec<StackEvent>, Option<String>) = (Vec::new(), None);
    for _ in 0..PAGES {
        let send =
            || cloudformation.describe_stack_events().stack_name(name).set_next_token(next.clone()).send();
        let page = aws.read("cloudformation:DescribeStackEvents", send).await?;
        // Newest first: where another operation's begin, this one's end.
        let events = page.stack_events.unwrap_or_default();
        let all = events.len();
        let own = events.into_iter().take_while(|event| {
            // Not every emulator hands the token on.
            event.client_request_token().is_none_or(|other| other == token)
        });
        let before = found.len();
        found.extend(own);
        next = page.next_token;
        if next.is_none() || found.len() - before < all {
            break;
        }
    }
    found.reverse();
    Ok(found)
}

fn tell(aws: &Aws, name: &str, event: &StackEvent) {
    // A second word on what has begun already.
    if event.resource_status_reason() == Some("Resource creation Initiated") {
        return;
    }
    let status = event.resource_status().map_or("", |status| status.as_str());
    let reason = event.resource_status_reason().map(|reason| format!(": {reason}")).unwrap_or_default();
    aws.tell(&format!("{name}: {} {status}{reason}", event.logical_resource_id().unwrap_or_default()));
}

/// What a failed stack means, with CloudFormation's own reasons.
async fn failure(aws: &Aws, stack: &Stack, status: Option<&StackStatus>, token: &str) -> CloudError {
    let name = stack.stack_name().unwrap_or_default();
    let events = events(aws, name, token).await.unwrap_or_default();
    let mut reasons: Vec<String> = events.iter().filter_map(reason).collect();
    reasons.dedup();
    reasons.truncate(REASONS);
    if reasons.is_empty() {
        reasons.extend(stack.stack_status_reason().map(str::to_owned));
    }
    let status = status.map_or("", |status| status.as_str());
    // Back where it was, or nowhere: nothing was changed. Anything else is something in between.
    let kind = match status {
        "ROLLBACK_COMPLETE" | "UPDATE_ROLLBACK_COMPLETE" => ErrorKind::Invalid,
        _ => ErrorKind::Unknown,
    };
    let message = format!("the stack {name}: {}", reasons.join("; "));
    let error =
        CloudError { code: status.to_owned(), ..refusal("cloudformation:ExecuteChangeSet", kind, message) };
    let outputs = stack.outputs().iter().filter_map(|output| output.output_value());
    match routes::refused(&error.message, outputs) {
        Some(hint) => error.hinting(hint),
        None => error,
    }
}

/// Why a resource failed; those that were only given up with it are no reason.
fn reason(event: &StackEvent) -> Option<String> {
    let failed = event.resource_status()?.as_str().ends_with("_FAILED");
    let why = event.resource_status_reason().filter(|why| !why.contains("cancelled"))?;
    failed.then(|| format!("{}: {why}", event.logical_resource_id().unwrap_or_default()))
}
