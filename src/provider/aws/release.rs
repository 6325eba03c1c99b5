//! `MCM::Lambda::Release`: that an alias of a function leads to a version that has passed its smoke test.
//!
//! The function's stack makes the alias and changes the code behind `$LATEST`, which nobody calls. A release publishes
//! that as a version, calls the version with the smoke test's event, and only then lets the alias lead to it: a version
//! that fails is deleted, and visitors never met it. What somebody has changed behind `$LATEST` by hand, code or settings, is
//! not published: the settings are compared with the template's, and Lambda is told their revision and the digest of the
//! archive that was deployed. Undoing a release leads the alias back to the version before.
//!
//! What is released is told by the alias's description (`told`): our mark, and a digest over everything that the function
//! is made of, for each of the latest versions. Such a digest never leaves the cloud: a plan and a journal name the version
//! alone. An alias without a mark was released by no one yet, and counts as absent. Earlier versions stay, so that
//! everything can be undone; once a run is over, those long past are deleted (`prune`).

mod latest;
mod prune;
mod smoke;
mod told;

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_lambda::operation::get_alias::GetAliasOutput;
use aws_sdk_lambda::types::State;
use aws_sdk_s3::types::ChecksumMode;
use futures::try_join;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use tokio::time::{Instant, sleep};

use super::super::Kind;
use super::Aws;
use super::document::decode;
use super::error::{Explain as _, optional, refusal};
use crate::model::{
    Attribute, CloudError, CloudId, Condition, Create, Delete, Deletion, ErrorKind, Live, Map, Owner,
    Property, Read, Schema, Shape, TextRule, Update,
};

pub(super) use prune::prune;
pub(super) use smoke::call;
use told::Told;

/// The kind.
pub(super) struct Release;

const TEXT: Shape = Shape::Text(TextRule::ANY);
const SECONDS: Shape = Shape::Integer { min: 1, max: 1800 };

static SCHEMA: Schema = Schema {
    ty: "MCM::Lambda::Release",
    doc: "That an alias of a Lambda function leads to a version that has passed its smoke test. The three versions before it \
          stay; older ones that mcm has published are deleted once a run is over.",
    properties: &[
        Property::new("Function", TEXT, "The function's name.").required().immutable(),
        Property::new("Alias", TEXT, "The alias's name.").required().immutable(),
        Property::new(
            "Configuration",
            Shape::Map(&Shape::Document),
            "Filled in by mcm: what the function is made of. A change is a new version.",
        )
        .required(),
        Property::new(
            "Smoke",
            Shape::Object(SMOKE),
            "What a version must answer before anyone else calls it.",
        )
        .unmanaged(),
    ],
    attributes: &[Attribute::new("Version", "The version that the alias leads to.")],
    name: None,
    identify: |properties, _| {
        let text = |name: &str| properties.get(name)?.as_text();
        Some(CloudId(format!("{}:{}", text("Function")?, text("Alias")?)))
    },
    predict: |_, _| Map::new(),
    check: |_, _| Vec::new(),
    marked: true,
    shared: false,
    compares: true,
    deletion: Deletion::Recreatable { loses: "" },
};

static SMOKE: &[Property] = &[
    Property::new("Event", Shape::Document, "What the version is called with.").required(),
    Property::new("Expect", Shape::Document, "What its answer must contain."),
    Property::new("Within", SECONDS, "For so many seconds one that fails is called again."),
];

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Properties {
    function: String,
    alias: String,
    configuration: BTreeMap<String, Json>,
    outdated: Option<String>,
    smoke: Option<smoke::Smoke>,
}

/// Tells that something else is released than what is desired: the version.
const OUTDATED: &str = "Outdated";

const READ: &str = "lambda:GetAlias";
const CONFIGURATION: &str = "lambda:GetFunctionConfiguration";
const PUBLISH: &str = "lambda:PublishVersion";
const LEAD: &str = "lambda:UpdateAlias";
/// A version is ready within seconds.
const PATIENCE: Duration = Duration::from_mins(5);
const PAUSE: Duration = Duration::from_millis(500);

#[async_trait]
impl Kind<Aws> for Release {
    fn schema(&self) -> &'static Schema {
        &SCHEMA
    }

    async fn read(&self, aws: &Aws, request: Read<'_>) -> Result<Option<Live>, CloudError> {
        let (function, alias) = place(request.id)?;
        let Some(found) = get(aws, function, alias).await? else { return Ok(None) };
        let told = Told::parse(found.description());
        if told.owner.is_none() {
            return Ok(None);
        }
        Ok(Some(seen(request.id, &told, found.function_version().unwrap_or_default(), request.desired)))
    }

    async fn create(&self, aws: &Aws, request: Create<'_>) -> Result<Live, CloudError> {
        let desired: Properties = decode(PUBLISH, request.properties)?;
        let (version, told) = release(aws, &desired, request.owner).await?;
        Ok(seen(request.id, &told, &version, Some(request.properties)))
    }

    async fn update(&self, aws: &Aws, request: Update<'_>) -> Result<Live, CloudError> {
        let desired: Properties = decode(PUBLISH, request.properties)?;
        let (version, told) = release(aws, &desired, request.owner).await?;
        Ok(seen(request.id, &told, &version, Some(request.properties)))
    }

    /// The alias is its stack's; only our mark on it goes.
    async fn delete(&self, aws: &Aws, request: Delete<'_>) -> Result<(), CloudError> {
        let (function, alias) = place(request.id)?;
        let Some(found) = get(aws, function, alias).await? else { return Ok(()) };
        let told = Told::parse(found.description()).by(None).to_text();
        let lambda = aws.lambda().await?;
        let send = || lambda.update_alias().function_name(function).name(alias).description(&told).send();
        optional(aws.put(LEAD, send).await).map(drop)
    }
}

/// Function and alias of an identity.
fn place(id: &CloudId) -> Result<(&str, &str), CloudError> {
    id.0.split_once(':').ok_or_else(|| {
        let message = format!("`{id}` is no release: expected `FUNCTION:ALIAS`");
        refusal(READ, ErrorKind::Invalid, message)
    })
}

async fn get(aws: &Aws, function: &str, alias: &str) -> Result<Option<GetAliasOutput>, CloudError> {
    let lambda = aws.lambda().await?;
    optional(aws.read(READ, || lambda.get_alias().function_name(function).name(alias).send()).await)
}

/// What is live. Nothing tells a configuration from its seal: where it is not the desired one, that alone is told, with
/// the version that leads back to it.
fn seen(id: &CloudId, told: &Told, version: &str, desired: Option<&Map>) -> Live {
    let wish = desired.and_then(|desired| desired.get("Configuration")).filter(|wish| wish.is_known());
    let seal = told.seal(version);
    let mut properties = Map::new();
    if let Some((function, alias)) = id.0.split_once(':') {
        properties.extend([("Function".to_owned(), function.into()), ("Alias".to_owned(), alias.into())]);
    }
    if !wish.zip(seal).is_some_and(|(wish, seal)| told::fits(seal, wish)) {
        properties.insert(OUTDATED.to_owned(), version.into());
    }
    for name in ["Configuration", "Smoke"] {
        let wish = desired.and_then(|desired| desired.get(name)).filter(|wish| wish.is_known());
        properties.extend(wish.map(|wish| (name.to_owned(), wish.clone())));
    }
    Live {
        id: id.clone(),
        properties,
        attributes: Map::from([("Version".to_owned(), version.into())]),
        etag: None,
        owner: told.owner.clone(),
        condition: Condition::Ready,
    }
}

/// Publishes, tests, and lets the alias lead to the version; where a former version is desired, leads back to it.
async fn release(aws: &Aws, desired: &Properties, owner: &Owner) -> Result<(String, Told), CloudError> {
    let alias = get(aws, &desired.function, &desired.alias).await?;
    let told = Told::parse(alias.as_ref().and_then(|alias| alias.description())).by(Some(owner.clone()));
    if let Some(version) = &desired.outdated {
        let told = told.led(version, None);
        lead(aws, desired, version, &told).await?;
        return Ok((version.clone(), told));
    }
    let current = alias.as_ref().and_then(|alias| alias.function_version()).unwrap_or_default();
    let (version, is_ours) = publish(aws, desired, owner).await?;
    if let Some(smoke) = &desired.smoke
        && let Err(error) = smoke::test(aws, &desired.function, &version, smoke).await
    {
        if is_ours && version != current {
            let lambda = aws.lambda().await?;
            let send =
                || lambda.delete_function().function_name(&desired.function).qualifier(&version).send();
            // A version that nobody calls does no harm; the test's own word counts.
            let _ = aws.put("lambda:DeleteFunction", send).await;
        }
        return Err(error);
    }
    let told = told.led(&version, Some(told::seal(&desired.configuration)?));
    lead(aws, desired, &version, &told).await?;
    Ok((version, told))
}

/// A version of what is behind `$LATEST`, once it can be called, and whether it bears our mark: where nothing has changed,
/// it is the one before, whoever has published that.
async fn publish(aws: &Aws, desired: &Properties, owner: &Owner) -> Result<(String, bool), CloudError> {
    let lambda = aws.lambda().await?;
    let name = &desired.function;
    let mark = owner.to_text();
    let send = || lambda.get_function_configuration().function_name(name).send();
    let (latest, archive) = try_join!(aws.read(CONFIGURATION, send), archive(aws, &desired.configuration))?;
    if let Some(setting) = latest::differs(&desired.configuration, &latest) {
        return Err(edited(name, &setting));
    }
    let send = || {
        let call = lambda.publish_version().function_name(name).description(&mark);
        call.set_code_sha256(archive.clone()).set_revision_id(latest.revision_id.clone()).send()
    };
    let made = aws.put(PUBLISH, send).await.map_err(|error| changed(name, error))?;
    let is_ours = made.description() == Some(mark.as_str());
    let version = made.version().unwrap_or_default().to_owned();
    let began = Instant::now();
    loop {
        let send = || lambda.get_function_configuration().function_name(name).qualifier(&version).send();
        let found = aws.read(CONFIGURATION, send).await?;
        match found.state() {
            Some(State::Pending) => {}
            Some(State::Failed) => {
                let why = found.state_reason().unwrap_or_default();
                let message = format!("version {version} of the function {name} cannot be called: {why}");
                return Err(refusal(PUBLISH, ErrorKind::Invalid, message));
            }
            _ => return Ok((version, is_ours)),
        }
        if began.elapsed() > PATIENCE {
            let message = format!("version {version} of the function {name} does not get ready");
            return Err(refusal(PUBLISH, ErrorKind::Unknown, message));
        }
        sleep(PAUSE).await;
    }
}

/// The digest of the archive that the function is made of, as S3 knows it: nothing else is published.
async fn archive(aws: &Aws, configuration: &BTreeMap<String, Json>) -> Result<Option<String>, CloudError> {
    let at = |name: &str| configuration.get("Function")?.get("Code")?.get(name)?.as_str();
    let Some((bucket, key)) = at("S3Bucket").zip(at("S3Key")) else { return Ok(None) };
    let s3 = aws.s3().await?;
    let send = || s3.head_object().bucket(bucket).key(key).checksum_mode(ChecksumMode::Enabled).send();
    let found = optional(aws.read("s3:HeadObject", send).await)?;
    Ok(found.and_then(|found| found.checksum_sha256))
}

/// What is behind `$LATEST` is another program than the one that was deployed.
fn changed(function: &str, error: CloudError) -> CloudError {
    if !error.message.contains("CodeSHA256") {
        return error;
    }
    let hint = format!(
        "somebody has changed the code of {function} since it was deployed: look at it with `aws lambda get-function \
         --function-name {function}`, and put the deployed code back (`aws lambda update-function-code`)"
    );
    error.hinting(hint)
}

/// What is behind `$LATEST` is set in another way than the template says.
fn edited(function: &str, setting: &str) -> CloudError {
    let message = format!("`{setting}` of the function {function} is not what was deployed");
    let hint = format!(
        "somebody has changed it since: look at it with `aws lambda get-function-configuration --function-name {function}`, \
         and put back what the stack says (`aws lambda update-function-configuration`)"
    );
    refusal(PUBLISH, ErrorKind::Invalid, message).hinting(hint)
}

async fn lead(aws: &Aws, desired: &Properties, version: &str, told: &Told) -> Result<(), CloudError> {
    let (lambda, told) = (aws.lambda().await?, told.to_text());
    let send = || {
        lambda
            .update_alias()
            .function_name(&desired.function)
            .name(&desired.alias)
            .function_version(version)
            .description(&told)
            .send()
    };
    aws.put(LEAD, send).await.map(drop)
}
