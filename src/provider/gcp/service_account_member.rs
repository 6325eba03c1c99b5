//! `iam.googleapis.com/ServiceAccountIamMember`: one grant on a service account, such as who may become it.

use async_trait::async_trait;

use super::Gcp;
use super::failure::{self, found};
use super::grant::{CONDITION, Grant, MEMBER, ROLE};
use super::policy;
use super::properties::in_project;
use crate::model::{
    CloudError, CloudId, Clouds, Condition, Create, Delete, Deletion, ErrorKind, Live, Map, Property, Read,
    Schema, Shape, TextRule, Update, Value,
};
use crate::provider::Kind;

static SCHEMA: Schema = Schema {
    ty: "iam.googleapis.com/ServiceAccountIamMember",
    doc: "A role granted to one member on a service account. One that is granted already is accepted, and stays when the stack goes.",
    properties: &[
        Property::new(
            "serviceAccount",
            Shape::Text(TextRule::matching(
                "[a-z][-a-z0-9]*@[-a-z0-9.]+\\.gserviceaccount\\.com",
                "a service account's e-mail address",
            )),
            "The service account's e-mail address.",
        )
        .required()
        .immutable(),
        ROLE,
        MEMBER,
        CONDITION,
    ],
    attributes: &[],
    name: None,
    identify,
    predict: |_, _| Map::new(),
    check,
    marked: false,
    shared: true,
    compares: false,
    deletion: Deletion::Recreatable { loses: "" },
};

fn identify(properties: &Map, clouds: &Clouds) -> Option<CloudId> {
    let email = properties.get("serviceAccount")?.as_text()?;
    in_project(clouds, &format!("serviceAccounts/{email} {}", Grant::id(properties)?))
}

/// Only this project's accounts: the guard knows no other.
fn check(properties: &Map, clouds: &Clouds) -> Vec<String> {
    let email = properties.get("serviceAccount").and_then(Value::as_text);
    let project = clouds.gcp.as_ref().map_or("", |place| place.project.as_str());
    match email.and_then(|email| email.split_once('@')) {
        Some((_, domain))
            if domain.ends_with(".iam.gserviceaccount.com")
                && domain != format!("{project}.iam.gserviceaccount.com") =>
        {
            vec![format!("`serviceAccount` belongs to another project than `clouds.gcp.project: {project}`")]
        }
        _ => Vec::new(),
    }
}

/// The type over google-iam1.
pub(super) struct ServiceAccountMemberKind;

#[async_trait]
impl Kind<Gcp> for ServiceAccountMemberKind {
    fn schema(&self) -> &'static Schema {
        &SCHEMA
    }

    async fn read(&self, gcp: &Gcp, request: Read<'_>) -> Result<Option<Live>, CloudError> {
        read(gcp, request).await
    }

    async fn create(&self, gcp: &Gcp, request: Create<'_>) -> Result<Live, CloudError> {
        write(gcp, request.id, request.properties).await
    }

    async fn update(&self, gcp: &Gcp, request: Update<'_>) -> Result<Live, CloudError> {
        write(gcp, request.id, request.properties).await
    }

    async fn delete(&self, gcp: &Gcp, request: Delete<'_>) -> Result<(), CloudError> {
        remove(gcp, request.id).await
    }
}

/// Reads a grant of either kind. A grant on what is not there is not there.
pub(super) async fn read(gcp: &Gcp, request: Read<'_>) -> Result<Option<Live>, CloudError> {
    let (holder, named) = parse(gcp, request.id)?;
    let wanted = request.desired.map_or(named, Grant::of);
    let policy = found(policy::read(gcp, holder).await)?;
    Ok(policy.and_then(|policy| wanted.find(&policy)).map(|grant| live(request.id, holder, &grant)))
}

/// Makes a grant, of either kind, be as the properties say. One that someone else made meanwhile is as good.
pub(super) async fn write(gcp: &Gcp, id: &CloudId, properties: &Map) -> Result<Live, CloudError> {
    let (holder, _) = parse(gcp, id)?;
    let grant = Grant::of(properties);
    policy::edit(gcp, holder, |policy| {
        let there = grant.find(policy).is_some_and(|found| found == grant);
        // A condition of the same title and another text goes in the same write.
        !there && (grant.remove(policy) | grant.add(policy))
    })
    .await?;
    Ok(live(id, holder, &grant))
}

/// Takes a grant, of either kind, away.
pub(super) async fn remove(gcp: &Gcp, id: &CloudId) -> Result<(), CloudError> {
    let (holder, grant) = parse(gcp, id)?;
    let answer = policy::edit(gcp, holder, |policy| grant.remove(policy)).await;
    match answer {
        // The service account is gone, and its policy with it.
        Err(error) if error.code == "NOT_FOUND" => Ok(()),
        answer => answer.map(|_| ()),
    }
}

fn parse<'i>(gcp: &Gcp, id: &'i CloudId) -> Result<(&'i str, Grant), CloudError> {
    let (holder, grant) = Grant::parse(id).ok_or_else(|| CloudError {
        hint: Some("an id here is `RESOURCE ROLE MEMBER`, and ` when TITLE` for a condition".to_owned()),
        ..failure::own("setIamPolicy", ErrorKind::Invalid, format!("`{id}` is not the id of a grant"))
    })?;
    gcp.own(&CloudId(format!("{holder}/")), "setIamPolicy")?;
    Ok((holder, grant))
}

fn live(id: &CloudId, holder: &str, grant: &Grant) -> Live {
    let mut properties = grant.properties();
    if let Some((_, email)) = holder.split_once("/serviceAccounts/") {
        properties.insert("serviceAccount".to_owned(), Value::text(email));
    }
    Live {
        id: id.clone(),
        properties,
        attributes: Map::new(),
        etag: None,
        owner: None,
        condition: Condition::Ready,
    }
}
