//! Changes, through change sets: made, looked at, executed, awaited.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_sdk_cloudformation::types::{Capability, ChangeSetStatus, ChangeSetType, Parameter, Tag as CloudTag};
use sha2::{Digest as _, Sha256};

use super::super::Aws;
use super::super::error::{Explain as _, refusal};
use super::super::tags::{self, Tag};
use super::schema::secret_parameters;
use super::wait::{self, Pauses};
use super::{Properties, delete, read, secrets};
use crate::model::{CloudError, ErrorKind, Owner, Value};

/// The names of our change sets begin so.
const OURS: &str = "mcm-";
/// CloudFormation works out a change set within seconds.
const PATIENCE: Duration = Duration::from_mins(10);
/// A role made moments ago may not be usable by Lambda everywhere.
const ROLE_SETTLES: Duration = Duration::from_mins(2);

const CREATE: &str = "cloudformation:CreateChangeSet";

/// A change set of someone else's, in a stack that holds nothing yet.
pub(super) async fn foreign(aws: &Aws, name: &str) -> Result<Option<String>, CloudError> {
    let cloudformation = aws.cloudformation().await?;
    let send = || cloudformation.list_change_sets().stack_name(name).send();
    let page = aws.read("cloudformation:ListChangeSets", send).await?;
    let names = page.summaries().iter().filter_map(|one| one.change_set_name());
    Ok(names.filter(|name| !name.starts_with(OURS)).map(str::to_owned).next())
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
    let executable = match prepare(aws, desired, &set).await {
        Ok(executable) => executable,
        // What stays of a creation that was not even begun is an empty shell.
        Err(error) if creating && error.kind != ErrorKind::Unknown => {
            let _ = delete(aws, name).await;
            return Err(error);
        }
        Err(error) => return Err(error),
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
    aws.change("cloudformation:ExecuteChangeSet", send).await?;
    match wait::done(aws, name, &set.token).await {
        Err(error) if creating && error.code == "ROLLBACK_COMPLETE" => {
            // Everything in it was taken back; its shell would stand in the way of the next try.
            delete(aws, name).await?;
            Err(settling(error))
        }
        Err(error) if error.code == "UPDATE_ROLLBACK_COMPLETE" => Err(settling(error)),
        other => other,
    }
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
        let former = |value: &str| kind == ChangeSetType::Update && value == read::HIDDEN;
        let unchanged = !secret.is_empty() && secret.values().all(|value| former(value));
        let sealed = match kept {
            // What no one knows any more stays as it is.
            Some(kept) if unchanged || secrets::fits(&kept, &secret) => Some(kept),
            _ if secret.is_empty() || secret.values().any(|value| former(value)) => None,
            _ => Some(secrets::seal(&secret)?),
        };
        let content = serde_json::to_vec(&(&template, &plain, &desired.tags, owner.to_text(), kind.as_str()));
        let digest = hex::encode(Sha256::digest(content.unwrap_or_default()));
        let parameter = |(name, value): (&str, &str)| {
            let parameter = Parameter::builder().parameter_key(name);
            if hidden.contains(&name) && former(value) {
                return parameter.use_previous_value(true).build();
            }
            parameter.parameter_value(value).build()
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

/// Makes the change set, anew if one of its name is left over. Whether there is anything to execute.
async fn prepare(aws: &Aws, desired: &Properties, set: &Set) -> Result<bool, CloudError> {
    let stack = desired.stack_name.as_str();
    match make(aws, desired, set).await {
        Err(error) if error.code == "AlreadyExistsException" => {
            discard(aws, stack, &set.name).await?;
            make(aws, desired, set).await?;
        }
        other => other?,
    }
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

async fn make(aws: &Aws, desired: &Properties, set: &Set) -> Result<(), CloudError> {
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
    answer.map(drop).map_err(|error| match error.code.as_str() {
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
