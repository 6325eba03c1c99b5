//! Changes, through change sets: made, looked at, executed, awaited.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_sdk_cloudformation::operation::create_change_set::CreateChangeSetOutput;
use aws_sdk_cloudformation::types::{
    Capability, ChangeSetStatus, ChangeSetType, Parameter, StackStatus, Tag as CloudTag,
};
use sha2::{Digest as _, Sha256};

use super::super::Aws;
use super::super::error::{Explain as _, refusal};
use super::super::tags::{self, Tag};
use super::schema::secret_parameters;
use super::wait::{self, Pauses};
use super::{Properties, delete, read, secrets, taken};
use crate::model::{CloudError, ErrorKind, Owner, Value};

/// The names of our change sets begin so, for people.
const OURS: &str = "mcm-";
/// CloudFormation works out a change set within seconds.
const PATIENCE: Duration = Duration::from_mins(10);
/// A role made moments ago may not be usable by Lambda everywhere.
const ROLE_SETTLES: Duration = Duration::from_mins(2);

const CREATE: &str = "cloudformation:CreateChangeSet";

/// A change set of someone else's, in a stack that holds nothing yet: one that would leave another mark than ours. Its
/// name says nothing.
pub(super) async fn foreign(aws: &Aws, name: &str, owner: &Owner) -> Result<Option<String>, CloudError> {
    let cloudformation = aws.cloudformation().await?;
    for set in change_sets(aws, name).await? {
        let send = || cloudformation.describe_change_set().stack_name(name).change_set_name(&set).send();
        let answer = match aws.read("cloudformation:DescribeChangeSet", send).await {
            Ok(answer) => answer,
            // It went meanwhile.
            Err(error) if is_lost(&error) => continue,
            Err(error) => return Err(error),
        };
        let mark = read::mark_among(answer.tags());
        if !mark.is_some_and(|mark| mark.stack == owner.stack && mark.address == owner.address) {
            return Ok(Some(set));
        }
    }
    Ok(None)
}

/// The names of the change sets of a stack.
async fn change_sets(aws: &Aws, stack: &str) -> Result<Vec<String>, CloudError> {
    let cloudformation = aws.cloudformation().await?;
    let (mut names, mut token): (Vec<String>, Option<String>) = (Vec::new(), None);
    loop {
        let send =
            || cloudformation.list_change_sets().stack_name(stack).set_next_token(token.clone()).send();
        let page = aws.read("cloudformation:ListChangeSets", send).await?;
        names.extend(page.summaries().iter().filter_map(|one| one.change_set_name().map(str::to_owned)));
        token = page.next_token.filter(|token| !token.is_empty());
        if token.is_none() {
            return Ok(names);
        }
    }
}

/// Brings a stack to what is desired. `kept` is the digest of the secrets that it has.
pub(super) async fn apply(
    aws: &Aws,
    desired: &Properties,
    owner: &Owner,
    kind: ChangeSetType,
    kept: Option<String>,
) -> Result<(), CloudError> {
    let name = desired.stack_name.as_str();
    let set = Set::new(desired, owner, kind.clone(), kept)?;
    let creating = kind == ChangeSetType::Create;
    // Where it is refused, nothing was made, and nothing is left.
    let stack = make_anew(aws, desired, &set).await?;
    let executable = match ready(aws, name, &set).await {
        Ok(executable) => executable,
        Err(error) if creating && error.kind != ErrorKind::Unknown => {
            // The error counts; a shell that stays is gone on in by the next creation.
            let _ = abandon(aws, &stack, name, &set).await;
            return Err(overtaken(name, creating, error));
        }
        Err(error) => return Err(overtaken(name, creating, error)),
    };
    if !executable {
        return Ok(());
    }
    let cloudformation = aws.cloudformation().await?;
    let send = || {
        cloudformation
            .execute_change_set()
            .stack_name(name)
            .change_set_name(&set.name)
            .client_request_token(&set.token)
            .send()
    };
    let executed = aws.change("cloudformation:ExecuteChangeSet", send).await;
    executed.map_err(|error| overtaken(name, creating, error))?;
    match wait::done(aws, name, &set.token).await {
        Err(error) if creating && error.code == "ROLLBACK_COMPLETE" => {
            // Everything in it was taken back; its shell would stand in the way of the next try.
            delete(aws, &stack).await?;
            Err(settling(error))
        }
        Err(error) if error.code == "UPDATE_ROLLBACK_COMPLETE" => Err(settling(error)),
        other => other,
    }
}

/// Takes back a creation that was not begun: our change set, and the stack of this id, if that is still an empty shell
/// with nobody else's change set in it. (One that is made after this look takes CloudFormation seconds to work out, so
/// that nothing of it is there when the shell goes.)
async fn abandon(aws: &Aws, stack: &str, name: &str, set: &Set) -> Result<(), CloudError> {
    discard(aws, stack, &set.name).await?;
    let found = wait::describe(aws, stack).await?;
    let is_shell = found.is_some_and(|found| found.stack_status() == Some(&StackStatus::ReviewInProgress));
    if !is_shell || !change_sets(aws, stack).await?.is_empty() {
        return Ok(());
    }
    let cloudformation = aws.cloudformation().await?;
    aws.put("cloudformation:DeleteStack", || cloudformation.delete_stack().stack_name(stack).send()).await?;
    wait::deleted(aws, stack, name).await
}

/// CloudFormation drops all other change sets of a stack when one of them is executed: somebody was faster.
fn overtaken(name: &str, creating: bool, error: CloudError) -> CloudError {
    if !is_lost(&error) {
        return error;
    }
    if creating {
        return taken(format!("somebody else made the stack {name} at the same time"));
    }
    let message = format!("somebody else changed the stack {name} at the same time");
    CloudError { kind: ErrorKind::Conflict, message, ..error }
}

/// Whether there is no such change set.
fn is_lost(error: &CloudError) -> bool {
    error.code.starts_with("ChangeSetNotFound")
}

/// Lambda refuses a role that it cannot assume yet.
fn settling(error: CloudError) -> CloudError {
    if error.message.contains("cannot be assumed by Lambda") {
        return CloudError { kind: ErrorKind::Settling { window: ROLE_SETTLES }, ..error };
    }
    error
}

/// A change set, as it is asked for.
struct Set {
    /// The digest of what was approved, and a number of its own.
    name: String,
    /// Marks the events of this one operation.
    token: String,
    kind: ChangeSetType,
    template: String,
    parameters: Vec<Parameter>,
    tags: Vec<CloudTag>,
}

impl Set {
    fn new(
        desired: &Properties,
        owner: &Owner,
        kind: ChangeSetType,
        kept: Option<String>,
    ) -> Result<Self, CloudError> {
        let template = desired.template_body.to_string();
        let document = Value::from_json(desired.template_body.clone());
        let hidden = secret_parameters(&document);
        let values: BTreeMap<&str, &str> =
            desired.parameters.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let (secret, plain): (BTreeMap<&str, &str>, BTreeMap<&str, &str>) =
            values.into_iter().partition(|(name, _)| hidden.contains(name));
        let sealed = match kept {
            Some(kept) if secrets::fits(&kept, &secret) => Some(kept),
            _ if secret.is_empty() => None,
            _ => Some(secrets::seal(&secret)?),
        };
        let content = serde_json::to_vec(&(&template, &plain, &desired.tags, owner.to_text(), kind.as_str()));
        let digest = hex::encode(Sha256::digest(content.unwrap_or_default()));
        let parameter = |(name, value): (&str, &str)| {
            Parameter::builder().parameter_key(name).parameter_value(value).build()
        };
        let parameters = plain.into_iter().chain(secret).map(parameter).collect();
        let sealed = sealed.map(|value| Tag { key: secrets::TAG.to_owned(), value });
        let all = desired.tags.iter().cloned().chain([tags::mark(owner)]).chain(sealed);
        let tags = all.map(|tag| CloudTag::builder().key(tag.key).value(tag.value).build()).collect();
        // What was approved, and which try: the events of an earlier one, or of other secrets, are not this one's.
        let mut try_ = [0; 4];
        getrandom::fill(&mut try_)
            .map_err(|why| refusal(CREATE, ErrorKind::Invalid, format!("no random numbers: {why}")))?;
        let name = format!("{OURS}{}-{}", digest.get(..32).unwrap_or(&digest), hex::encode(try_));
        Ok(Self { token: name.clone(), name, kind, template, parameters, tags })
    }
}

/// Makes the change set, anew if one of its name is left over. The id of its stack.
async fn make_anew(aws: &Aws, desired: &Properties, set: &Set) -> Result<String, CloudError> {
    match make(aws, desired, set).await {
        Err(error) if error.code == "AlreadyExistsException" => {
            discard(aws, &desired.stack_name, &set.name).await?;
            make(aws, desired, set).await
        }
        other => other,
    }
}

/// Waits until a change set is worked out. Whether there is anything to execute.
async fn ready(aws: &Aws, stack: &str, set: &Set) -> Result<bool, CloudError> {
    let cloudformation = aws.cloudformation().await?;
    let mut pauses = Pauses::new();
    loop {
        let send =
            || cloudformation.describe_change_set().stack_name(stack).change_set_name(&set.name).send();
        let answer = aws.read("cloudformation:DescribeChangeSet", send).await?;
        let reason = answer.status_reason().unwrap_or_default();
        match answer.status() {
            Some(ChangeSetStatus::CreateComplete) => return Ok(true),
            Some(ChangeSetStatus::Failed) => {
                discard(aws, stack, &set.name).await?;
                let empty = ["didn't contain changes", "No updates are to be performed"];
                if empty.iter().any(|words| reason.contains(words)) {
                    return Ok(false);
                }
                let message = format!("the stack {stack} cannot be changed so: {reason}");
                return Err(refusal(CREATE, ErrorKind::Invalid, message));
            }
            _ => {}
        }
        pauses.pause(CREATE, &format!("a change set of the stack {stack}"), PATIENCE).await?;
    }
}

/// Makes the change set. The id of its stack.
async fn make(aws: &Aws, desired: &Properties, set: &Set) -> Result<String, CloudError> {
    let cloudformation = aws.cloudformation().await?;
    let capabilities: Vec<Capability> =
        desired.capabilities.iter().map(|word| Capability::from(word.as_str())).collect();
    let send = || {
        cloudformation
            .create_change_set()
            .stack_name(&desired.stack_name)
            .change_set_name(&set.name)
            .change_set_type(set.kind.clone())
            .description("by mcm")
            .template_body(&set.template)
            .set_parameters(Some(set.parameters.clone()))
            .set_capabilities((!capabilities.is_empty()).then(|| capabilities.clone()))
            .set_tags(Some(set.tags.clone()))
            .client_token(&set.token)
            .send()
    };
    let answer = aws.change(CREATE, send).await;
    let id = |answer: CreateChangeSetOutput| answer.stack_id.unwrap_or_else(|| desired.stack_name.clone());
    answer.map(id).map_err(|error| match error.code.as_str() {
        "InsufficientCapabilitiesException" => {
            error.hinting("say under `Capabilities` that the template may do so: `[CAPABILITY_NAMED_IAM]`")
        }
        _ => error,
    })
}

async fn discard(aws: &Aws, stack: &str, name: &str) -> Result<(), CloudError> {
    let cloudformation = aws.cloudformation().await?;
    let send = || cloudformation.delete_change_set().stack_name(stack).change_set_name(name).send();
    aws.put("cloudformation:DeleteChangeSet", send).await.map(drop)
}
