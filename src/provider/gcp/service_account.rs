//! `iam.googleapis.com/ServiceAccount`.

use std::time::Duration;

use async_trait::async_trait;
use google_iam1::{FieldMask, api};
use tokio::time::{Instant, sleep};

use super::Gcp;
use super::client::listen;
use super::failure::{self, found};
use super::pool::mask;
use super::properties::{DESCRIPTION, described, flag, in_project, known, some_text, text, undescribed};
use crate::model::{
    Attribute, CloudError, CloudId, Clouds, Condition, Create, Delete, Deletion, ErrorKind, Live, Map,
    NameRule, Property, Read, Schema, Shape, TextRule, Update, Value,
};
use crate::provider::Kind;
use crate::provider::retry::{Call, back_off};

/// How long a new account may be unknown to the calls that follow its creation.
const APPEARING: Duration = Duration::from_mins(1);

static SCHEMA: Schema = Schema {
    ty: "iam.googleapis.com/ServiceAccount",
    doc: "An identity of a workload in the project.",
    properties: &[
        Property::new(
            "accountId",
            Shape::Text(
                TextRule::matching(
                    "[a-z](?:[-a-z0-9]*[a-z0-9])",
                    "6 to 30 lower-case letters, digits and `-`, beginning with a letter and not ending with `-`",
                )
                .sized(6, 30),
            ),
            "What stands before the `@` of its e-mail address.",
        )
        .immutable(),
        Property::new("displayName", Shape::Text(TextRule::up_to(100)), "A name for people."),
        Property::new("description", Shape::Text(DESCRIPTION), "What the account is for."),
        Property::new("disabled", Shape::Bool, "Whether it is shut out.").default(|| Value::Bool(false)),
    ],
    attributes: &[
        Attribute::new("email", "The e-mail address that names it."),
        Attribute::new("uniqueId", "The number of this one creation.").unique(),
        Attribute::new("name", "The full resource name."),
        Attribute::new("member", "How a policy names it: serviceAccount:EMAIL."),
    ],
    name: Some(NameRule { property: "accountId", default: |stack, logical, _| format!("{stack}-{logical}") }),
    identify,
    predict,
    check,
    marked: true,
    shared: false,
    compares: false,
    // A deleted account can be undeleted by its unique id alone, and reads by e-mail address do not find it: a state
    // holds names, so an equal account is made anew.
    deletion: Deletion::Recreatable {
        loses: "its unique id: grants to the old account, made outside of this stack, do not apply to the new one",
    },
};

fn identify(properties: &Map, clouds: &Clouds) -> Option<CloudId> {
    in_project(clouds, &format!("serviceAccounts/{}", email(properties, clouds)?))
}

fn email(properties: &Map, clouds: &Clouds) -> Option<String> {
    let id = properties.get("accountId")?.as_text()?;
    Some(format!("{id}@{}.iam.gserviceaccount.com", clouds.gcp.as_ref()?.project))
}

fn predict(properties: &Map, clouds: &Clouds) -> Map {
    let (Some(email), Some(id)) = (email(properties, clouds), identify(properties, clouds)) else {
        return Map::new();
    };
    known([
        ("name", Some(Value::text(id.0))),
        ("member", Some(Value::text(format!("serviceAccount:{email}")))),
        ("email", Some(Value::text(email))),
    ])
}

/// Google counts bytes here, the schema characters.
fn check(properties: &Map, _clouds: &Clouds) -> Vec<String> {
    let long = |name: &str, most: usize| {
        (text(properties, name).len() > most).then(|| format!("`{name}` is longer than {most} bytes"))
    };
    long("displayName", 100).into_iter().chain(long("description", 128)).collect()
}

/// The type over google-iam1.
pub(super) struct ServiceAccountKind;

#[async_trait]
impl Kind<Gcp> for ServiceAccountKind {
    fn schema(&self) -> &'static Schema {
        &SCHEMA
    }

    async fn read(&self, gcp: &Gcp, request: Read<'_>) -> Result<Option<Live>, CloudError> {
        Ok(found(get(gcp, request.id).await)?.map(|account| live(request.id, account)))
    }

    async fn create(&self, gcp: &Gcp, request: Create<'_>) -> Result<Live, CloudError> {
        let call = "iam.projects.serviceAccounts.create";
        gcp.own(request.id, call)?;
        let body = &api::CreateServiceAccountRequest {
            account_id: Some(text(request.properties, "accountId")),
            service_account: Some(api::ServiceAccount {
                display_name: Some(text(request.properties, "displayName")),
                description: Some(described(request.properties, request.owner, call)?),
                ..api::ServiceAccount::default()
            }),
        };
        let project = &format!("projects/{}", gcp.place.project);
        let account = gcp
            .hub(Call::Change, call, |hub| {
                listen!(hub.projects().service_accounts_create(body.clone(), project))
            })
            .await?;
        let disabled = flag(request.properties, "disabled");
        if disabled {
            able(gcp, request.id, false).await.map_err(failure::halfway)?;
        }
        Ok(live(request.id, api::ServiceAccount { disabled: Some(disabled), ..account }))
    }

    async fn update(&self, gcp: &Gcp, request: Update<'_>) -> Result<Live, CloudError> {
        let call = "iam.projects.serviceAccounts.patch";
        gcp.own(request.id, call)?;
        let mut mask = mask(request.changed, request.before.owner.as_ref(), request.owner);
        let switched = mask.iter().any(|field| field == "disabled");
        mask.retain(|field| field != "disabled");
        if !mask.is_empty() {
            let body = &api::PatchServiceAccountRequest {
                service_account: Some(api::ServiceAccount {
                    display_name: Some(text(request.properties, "displayName")),
                    description: Some(described(request.properties, request.owner, call)?),
                    ..api::ServiceAccount::default()
                }),
                update_mask: Some(FieldMask::new(&mask)),
            };
            gcp.hub(Call::Change, call, |hub| {
                listen!(hub.projects().service_accounts_patch(body.clone(), &request.id.0))
            })
            .await?;
        }
        if switched {
            let answer = able(gcp, request.id, !flag(request.properties, "disabled")).await;
            answer.map_err(|error| if mask.is_empty() { error } else { failure::halfway(error) })?;
        }
        get(gcp, request.id).await.map(|account| live(request.id, account)).map_err(failure::halfway)
    }

    async fn delete(&self, gcp: &Gcp, request: Delete<'_>) -> Result<(), CloudError> {
        let call = "iam.projects.serviceAccounts.delete";
        gcp.own(request.id, call)?;
        let answer = gcp
            .hub(Call::Change, call, |hub| listen!(hub.projects().service_accounts_delete(&request.id.0)))
            .await;
        found(answer).map(|_| ())
    }
}

async fn get(gcp: &Gcp, id: &CloudId) -> Result<api::ServiceAccount, CloudError> {
    let call = "iam.projects.serviceAccounts.get";
    gcp.own(id, call)?;
    gcp.hub(Call::Read, call, |hub| listen!(hub.projects().service_accounts_get(&id.0))).await
}

/// Enables or disables; both may be repeated. An account made moments ago may still be unknown here.
async fn able(gcp: &Gcp, id: &CloudId, enabled: bool) -> Result<(), CloudError> {
    let start = Instant::now();
    let mut sent = 0;
    loop {
        let answer = if enabled {
            gcp.hub(Call::Change, "iam.projects.serviceAccounts.enable", |hub| {
                listen!(
                    hub.projects()
                        .service_accounts_enable(api::EnableServiceAccountRequest::default(), &id.0)
                )
            })
            .await
        } else {
            gcp.hub(Call::Change, "iam.projects.serviceAccounts.disable", |hub| {
                listen!(
                    hub.projects()
                        .service_accounts_disable(api::DisableServiceAccountRequest::default(), &id.0)
                )
            })
            .await
        };
        match answer {
            Err(error) if error.kind == ErrorKind::NotFound && start.elapsed() < APPEARING => {
                sent += 1;
                sleep(back_off(sent)).await;
            }
            answer => return answer.map(|_| ()),
        }
    }
}

fn live(id: &CloudId, account: api::ServiceAccount) -> Live {
    let (description, owner) = undescribed(account.description.as_ref());
    let email = account.email.unwrap_or_default();
    let account_id = email.split('@').next().unwrap_or_default();
    Live {
        id: id.clone(),
        properties: known([
            ("accountId", Some(Value::text(account_id))),
            ("displayName", some_text(account.display_name.as_ref())),
            ("description", description),
            ("disabled", Some(Value::Bool(account.disabled.unwrap_or_default()))),
        ]),
        attributes: known([
            ("uniqueId", some_text(account.unique_id.as_ref())),
            ("name", some_text(account.name.as_ref())),
            ("member", Some(Value::text(format!("serviceAccount:{email}")))),
            ("email", Some(Value::text(email.as_str()))),
        ]),
        etag: None,
        owner,
        condition: Condition::Ready,
    }
}
