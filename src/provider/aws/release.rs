//! `MCM::Lambda::Release`: that an alias of a function leads to a version that has passed its smoke test.
//!
//! The function's stack makes the alias and changes the code behind `$LATEST`, which nobody calls. A release publishes
//! that as a version, calls the version with the smoke test's event, and only then lets the alias lead to it: a version
//! that fails is deleted, and visitors never met it. Undoing a release leads the alias back to the version before.
//!
//! What is released is told by the alias's description: our mark, and a digest over the version and everything that the
//! function is made of; a salted and stretched one (`stack::secrets`) where secrets are among it. An alias without a mark was released by
//! no one yet, and counts as absent. Earlier versions stay until the function goes.

mod smoke;

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_lambda::operation::get_alias::GetAliasOutput;
use aws_sdk_lambda::types::State;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use sha2::{Digest as _, Sha256};
use tokio::time::{Instant, sleep};

use super::super::Kind;
use super::Aws;
use super::document::decode;
use super::error::{optional, refusal};
use super::stack::secrets;
use crate::model::{
    Attribute, CloudError, CloudId, Condition, Create, Delete, Deletion, ErrorKind, Live, Map, Owner,
    Property, Read, Schema, Shape, TextRule, Update, Value,
};

pub(super) use smoke::call;

/// The kind.
pub(super) struct Release;

const TEXT: Shape = Shape::Text(TextRule::ANY);

static SCHEMA: Schema = Schema {
    ty: "MCM::Lambda::Release",
    doc: "That an alias of a Lambda function leads to a version that has passed its smoke test.",
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

/// Tells that something else is released than what is desired.
const OUTDATED: &str = "Outdated";

/// The part of a configuration that nobody may guess from its digest.
const SECRETS: &str = "Secrets";

const READ: &str = "lambda:GetAlias";
const PUBLISH: &str = "lambda:PublishVersion";
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
        let (Some(owner), digest) = split(found.description()) else { return Ok(None) };
        Ok(Some(seen(
            request.id,
            owner,
            digest,
            found.function_version().unwrap_or_default(),
            request.desired,
        )))
    }

    async fn create(&self, aws: &Aws, request: Create<'_>) -> Result<Live, CloudError> {
        let desired: Properties = decode(PUBLISH, request.properties)?;
        let (version, digest) = release(aws, &desired, request.owner).await?;
        Ok(seen(request.id, request.owner.clone(), &digest, &version, Some(request.properties)))
    }

    async fn update(&self, aws: &Aws, request: Update<'_>) -> Result<Live, CloudError> {
        let desired: Properties = decode(PUBLISH, request.properties)?;
        let (version, digest) = release(aws, &desired, request.owner).await?;
        Ok(seen(request.id, request.owner.clone(), &digest, &version, Some(request.properties)))
    }

    /// The alias is its stack's; only our word on it goes.
    async fn delete(&self, aws: &Aws, request: Delete<'_>) -> Result<(), CloudError> {
        let (function, alias) = place(request.id)?;
        let lambda = aws.lambda().await?;
        let send = || lambda.update_alias().function_name(function).name(alias).description("").send();
        optional(aws.put("lambda:UpdateAlias", send).await).map(drop)
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

/// Mark and digest of a description.
fn split(description: Option<&str>) -> (Option<Owner>, &str) {
    let (mark, digest) = description.unwrap_or_default().split_once(' ').unwrap_or_default();
    (Owner::parse(mark), digest)
}

/// What is live. Nothing tells a configuration from its digest: where it is not the desired one, that alone is told, with
/// what leads back to it.
fn seen(id: &CloudId, owner: Owner, digest: &str, version: &str, desired: Option<&Map>) -> Live {
    let wish = desired.and_then(|desired| desired.get("Configuration")).filter(|wish| wish.is_known());
    let mut properties = Map::new();
    if let Some((function, alias)) = id.0.split_once(':') {
        properties.extend([("Function".to_owned(), function.into()), ("Alias".to_owned(), alias.into())]);
    }
    if !wish.is_some_and(|wish| is_of(digest, version, wish)) {
        properties.insert(OUTDATED.to_owned(), format!("{version} {digest}").into());
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
        owner: Some(owner),
        condition: Condition::Ready,
    }
}

/// Whether a digest is that of a version with this configuration.
fn is_of(digest: &str, version: &str, configuration: &Value) -> bool {
    let text = exposed(configuration).to_string();
    let has_secrets = configuration.at(&[SECRETS]).is_some();
    if has_secrets { secrets::fits(digest, &words(version, &text)) } else { digest == plain(version, &text) }
}

/// A new digest of a version with a configuration.
fn seal(version: &str, configuration: &BTreeMap<String, Json>) -> Result<String, CloudError> {
    let text = serde_json::to_string(configuration).unwrap_or_default();
    if configuration.contains_key(SECRETS) {
        return secrets::seal(&words(version, &text));
    }
    Ok(plain(version, &text))
}

fn words<'a>(version: &'a str, configuration: &'a str) -> BTreeMap<&'a str, &'a str> {
    BTreeMap::from([("Version", version), ("Configuration", configuration)])
}

/// Where there is nothing to hide: `0.DIGEST`.
fn plain(version: &str, configuration: &str) -> String {
    format!("0.{}", hex::encode(Sha256::digest(format!("{version}\n{configuration}"))))
}

/// A value with its secrets in clear: for a digest, and nothing else.
fn exposed(value: &Value) -> Json {
    match value {
        Value::Secret(secret) => Json::from(secret.expose()),
        Value::Map(map) => map.iter().map(|(key, value)| (key.clone(), exposed(value))).collect(),
        Value::List(items) => items.iter().map(exposed).collect(),
        other => other.to_json(),
    }
}

/// Publishes, tests, and lets the alias lead to the version; where the configuration is a former one, leads back to it.
async fn release(aws: &Aws, desired: &Properties, owner: &Owner) -> Result<(String, String), CloudError> {
    let former = desired.outdated.as_deref().and_then(|former| former.split_once(' '));
    if let Some((version, digest)) = former {
        lead(aws, desired, version, owner, digest).await?;
        return Ok((version.to_owned(), digest.to_owned()));
    }
    let alias = get(aws, &desired.function, &desired.alias).await?;
    let current = alias.as_ref().and_then(|alias| alias.function_version()).unwrap_or_default();
    let version = publish(aws, desired, owner).await?;
    if let Some(smoke) = &desired.smoke
        && let Err(error) = smoke::test(aws, &desired.function, &version, smoke).await
    {
        if version != current {
            let lambda = aws.lambda().await?;
            let send =
                || lambda.delete_function().function_name(&desired.function).qualifier(&version).send();
            // A version that nobody calls does no harm; the test's own word counts.
            let _ = aws.put("lambda:DeleteFunction", send).await;
        }
        return Err(error);
    }
    let digest = seal(&version, &desired.configuration)?;
    lead(aws, desired, &version, owner, &digest).await?;
    Ok((version, digest))
}

/// A version of what is behind `$LATEST`, once it can be called. Where nothing has changed, it is the one before.
async fn publish(aws: &Aws, desired: &Properties, owner: &Owner) -> Result<String, CloudError> {
    let lambda = aws.lambda().await?;
    let name = &desired.function;
    let send = || {
        lambda.publish_version().function_name(name).description(format!("{}, by mcm", owner.stack)).send()
    };
    let made = aws.put(PUBLISH, send).await?;
    let version = made.version().unwrap_or_default().to_owned();
    let began = Instant::now();
    loop {
        let send = || lambda.get_function_configuration().function_name(name).qualifier(&version).send();
        let found = aws.read("lambda:GetFunctionConfiguration", send).await?;
        match found.state() {
            Some(State::Pending) => {}
            Some(State::Failed) => {
                let why = found.state_reason().unwrap_or_default();
                let message = format!("version {version} of the function {name} cannot be called: {why}");
                return Err(refusal(PUBLISH, ErrorKind::Invalid, message));
            }
            _ => return Ok(version),
        }
        if began.elapsed() > PATIENCE {
            let message = format!("version {version} of the function {name} does not get ready");
            return Err(refusal(PUBLISH, ErrorKind::Unknown, message));
        }
        sleep(PAUSE).await;
    }
}

async fn lead(
    aws: &Aws,
    desired: &Properties,
    version: &str,
    owner: &Owner,
    digest: &str,
) -> Result<(), CloudError> {
    let lambda = aws.lambda().await?;
    let send = || {
        lambda
            .update_alias()
            .function_name(&desired.function)
            .name(&desired.alias)
            .function_version(version)
            .description(format!("{} {digest}", owner.to_text()))
            .send()
    };
    aws.put("lambda:UpdateAlias", send).await.map(drop)
}
