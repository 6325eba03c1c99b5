//! iam.googleapis.com, v1: service accounts. A deleted one can be undeleted by its unique id for thirty days; its e-mail
//! address is free at once.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json, json};

use super::call::Call;
use super::message::{Field, Kind};
use super::policy::{self, Owner};
use super::pool::HELD;
use super::project::{self, Project};
use super::refusal::{Refusal, Status};
use super::service;
use crate::sandbox::{Record, World};

/// How many a project may have.
const QUOTA: usize = 100;

/// A service account; its key is its unique id.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Account {
    pub(super) project: String,
    pub(super) unique_id: String,
    /// What stands before the `@`.
    local: String,
    display_name: String,
    description: String,
    pub(super) disabled: bool,
    deleted: Option<Timestamp>,
}

impl Record for Account {
    const TABLE: &'static str = "gcp.service_account";
}

impl Account {
    /// Its e-mail address.
    pub(super) fn email(&self) -> String {
        format!("{}@{}.iam.gserviceaccount.com", self.local, self.project)
    }

    fn show(&self) -> Json {
        let mut json = Map::new();
        let email = self.email();
        json.insert("name".to_owned(), json!(format!("projects/{}/serviceAccounts/{email}", self.project)));
        json.insert("projectId".to_owned(), json!(self.project));
        json.insert("uniqueId".to_owned(), json!(self.unique_id));
        json.insert("email".to_owned(), json!(email));
        for (field, text) in [("displayName", &self.display_name), ("description", &self.description)] {
            if !text.is_empty() {
                json.insert(field.to_owned(), json!(text));
            }
        }
        // Deprecated, and the same for every account.
        json.insert("etag".to_owned(), json!("MDEwMjE5MjA="));
        json.insert("oauth2ClientId".to_owned(), json!(self.unique_id));
        if self.disabled {
            json.insert("disabled".to_owned(), json!(true));
        }
        Json::Object(json)
    }
}

static ACCOUNT: [Field; 9] = [
    Field("name", Kind::OutputOnly),
    Field("projectId", Kind::OutputOnly),
    Field("uniqueId", Kind::OutputOnly),
    Field("email", Kind::OutputOnly),
    Field("oauth2ClientId", Kind::OutputOnly),
    Field("disabled", Kind::OutputOnly),
    Field("etag", Kind::OutputOnly),
    Field("displayName", Kind::Text),
    Field("description", Kind::Text),
];

/// What a client may set.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Texts {
    display_name: String,
    description: String,
}

/// Answers for `v1/projects/P/serviceAccounts…`.
pub(super) fn answer(
    world: &mut World,
    project: &str,
    path: &[&str],
    verb: Option<&str>,
    call: &Call<'_>,
) -> Option<Result<Json, Refusal>> {
    Some(match (call.method.as_str(), path, verb) {
        ("GET", [], None) => list(world, project, call),
        ("POST", [], None) => create(world, project, call),
        ("GET", [who], None) => {
            call.accepts(&[]).and_then(|()| Ok(find(world, project, who, "iam.serviceAccounts.get")?.show()))
        }
        ("PATCH", [who], None) => patch(world, project, who, call),
        ("DELETE", [who], None) => delete(world, project, who, call),
        ("POST", [who], Some("undelete")) => undelete(world, project, who, call),
        ("POST", [who], Some("enable")) => able(world, project, who, call, true),
        ("POST", [who], Some("disable")) => able(world, project, who, call, false),
        ("POST", [who], Some("getIamPolicy")) => get_policy(world, project, who, call),
        ("POST", [who], Some("setIamPolicy")) => set_policy(world, project, who, call),
        ("POST", [who], Some("testIamPermissions")) => {
            find(world, project, who, "iam.serviceAccounts.get").and_then(|_| policy::test(call))
        }
        _ => return None,
    })
}

/// The account of this e-mail address that is not deleted.
pub(super) fn live(world: &World, email: &str) -> Option<Account> {
    let accounts = world.list::<Account>("").into_iter().map(|(_, account)| account);
    accounts.into_iter().find(|account| account.deleted.is_none() && account.email() == email)
}

/// The account of this unique id that is not deleted.
pub(super) fn by_id(world: &World, unique_id: &str) -> Option<Account> {
    world.get::<Account>(unique_id).filter(|account| account.deleted.is_none())
}

/// The account of this e-mail address or unique id. Where the project is `-`, an account that does not exist cannot be
/// told from one that the caller may not see.
fn find(world: &World, project: &str, who: &str, permission: &str) -> Result<Account, Refusal> {
    let place = match project {
        "-" => None,
        named => {
            let place = project::require(world, named, permission)?;
            service::require(world, &place, "iam.googleapis.com")?;
            Some(place)
        }
    };
    let account = if who.contains('@') { live(world, who) } else { by_id(world, who) };
    match (account, place) {
        (Some(account), None) => Ok(account),
        (Some(account), Some(place)) if account.project == place.id => Ok(account),
        (_, Some(_)) => Err(Refusal::new(Status::NotFound, format!("Unknown service account: {who}"))),
        (None, None) => Err(Refusal::denied(permission, &format!("projects/-/serviceAccounts/{who}"))),
    }
}

fn usable(world: &World, project: &str, permission: &str) -> Result<Project, Refusal> {
    let project = project::require(world, project, permission)?;
    service::require(world, &project, "iam.googleapis.com")?;
    Ok(project)
}

fn list(world: &World, project: &str, call: &Call<'_>) -> Result<Json, Refusal> {
    call.accepts(&["pageSize", "pageToken"])?;
    let project = usable(world, project, "iam.serviceAccounts.list")?;
    let accounts = world.list::<Account>("").into_iter().map(|(_, account)| account);
    let live = accounts.filter(|account| account.deleted.is_none() && account.project == project.id);
    let mut keyed: Vec<(String, Account)> = live.map(|account| (account.email(), account)).collect();
    keyed.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(call.page(keyed, 20, 100)?.reply("accounts", |account| account.show()))
}

fn create(world: &mut World, project: &str, call: &Call<'_>) -> Result<Json, Refusal> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase", default)]
    #[derive(Default)]
    struct Create {
        account_id: String,
        service_account: Texts,
    }
    static REQUEST: [Field; 2] =
        [Field("accountId", Kind::Text), Field("serviceAccount", Kind::Message(&ACCOUNT))];
    call.accepts(&[])?;
    let given: Create = call.body(&REQUEST)?;
    let project = usable(world, project, "iam.serviceAccounts.create")?;
    account_id(&given.account_id)?;
    texts(&given.service_account)?;
    let mut account = Account {
        project: project.id.clone(),
        unique_id: String::new(),
        local: given.account_id,
        display_name: given.service_account.display_name,
        description: given.service_account.description,
        disabled: false,
        deleted: None,
    };
    if live(world, &account.email()).is_some() {
        let message = format!(
            "Service account {} already exists within project projects/{}.",
            account.local, project.id
        );
        return Err(Refusal::new(Status::AlreadyExists, message));
    }
    let there = world.list::<Account>("").into_iter();
    if there.filter(|(_, other)| other.deleted.is_none() && other.project == project.id).count() >= QUOTA {
        let message =
            format!("The maximum number of service accounts has been reached on project {}.", project.id);
        return Err(Refusal::new(Status::ResourceExhausted, message));
    }
    account.unique_id = format!("1{}", world.word(20, b"0123456789"));
    world.put(&account.unique_id, &account);
    Ok(account.show())
}

/// `[a-z]([-a-z0-9]*[a-z0-9])`, 6 to 30 characters.
fn account_id(id: &str) -> Result<(), Refusal> {
    let legal = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let shaped =
        id.starts_with(|c: char| c.is_ascii_lowercase()) && !id.ends_with('-') && id.bytes().all(legal);
    if shaped && (6..=30).contains(&id.len()) {
        return Ok(());
    }
    Err(Refusal::field(
        "account_id",
        format!("Account ID must be 6 to 30 characters that match [a-z]([-a-z0-9]*[a-z0-9]): \"{id}\""),
    ))
}

/// The limits count UTF-8 bytes here.
fn texts(given: &Texts) -> Result<(), Refusal> {
    if given.display_name.len() > 100 {
        return Err(Refusal::field(
            "service_account.display_name",
            "The display name must not exceed 100 bytes.",
        ));
    }
    if given.description.len() > 256 {
        return Err(Refusal::field(
            "service_account.description",
            "The description must not exceed 256 bytes.",
        ));
    }
    Ok(())
}

fn patch(world: &mut World, project: &str, who: &str, call: &Call<'_>) -> Result<Json, Refusal> {
    #[derive(Default, Deserialize)]
    #[serde(rename_all = "camelCase", default)]
    struct Patch {
        service_account: Texts,
        update_mask: String,
    }
    static REQUEST: [Field; 2] =
        [Field("serviceAccount", Kind::Message(&ACCOUNT)), Field("updateMask", Kind::Text)];
    call.accepts(&[])?;
    let given: Patch = call.body(&REQUEST)?;
    let mut account = find(world, project, who, "iam.serviceAccounts.update")?;
    let mask = super::call::paths(&given.update_mask);
    if mask.is_empty() {
        return Err(Refusal::field("update_mask", "The update mask is required."));
    }
    texts(&given.service_account)?;
    for path in &mask {
        match path.as_str() {
            "displayName" => account.display_name.clone_from(&given.service_account.display_name),
            "description" => account.description.clone_from(&given.service_account.description),
            other => return Err(Refusal::field("update_mask", format!("Invalid field mask path: {other}"))),
        }
    }
    world.put(&account.unique_id, &account);
    Ok(account.show())
}

fn delete(world: &mut World, project: &str, who: &str, call: &Call<'_>) -> Result<Json, Refusal> {
    call.accepts(&[])?;
    let mut account = find(world, project, who, "iam.serviceAccounts.delete")?;
    account.deleted = Some(world.now());
    world.put(&account.unique_id, &account);
    Ok(json!({}))
}

fn undelete(world: &mut World, project: &str, who: &str, call: &Call<'_>) -> Result<Json, Refusal> {
    call.accepts(&[])?;
    call.fields(&[])?;
    if project != "-" {
        usable(world, project, "iam.serviceAccounts.undelete")?;
    }
    let now = world.now();
    let gone = |account: &Account| account.deleted.is_some_and(|time| now.duration_since(time) < HELD);
    let unknown = || Refusal::new(Status::NotFound, format!("Unknown service account: {who}"));
    // By unique id alone: an e-mail address may have belonged to several.
    let mut account = world.get::<Account>(who).filter(gone).ok_or_else(unknown)?;
    if live(world, &account.email()).is_some() {
        let message = format!("A service account with the email {} exists.", account.email());
        return Err(Refusal::precondition(message));
    }
    account.deleted = None;
    world.put(&account.unique_id, &account);
    Ok(json!({ "restoredAccount": account.show() }))
}

/// Enabling the enabled and disabling the disabled is no error.
fn able(
    world: &mut World,
    project: &str,
    who: &str,
    call: &Call<'_>,
    enabled: bool,
) -> Result<Json, Refusal> {
    call.accepts(&[])?;
    call.fields(&[])?;
    let permission = if enabled { "iam.serviceAccounts.enable" } else { "iam.serviceAccounts.disable" };
    let mut account = find(world, project, who, permission)?;
    account.disabled = !enabled;
    world.put(&account.unique_id, &account);
    Ok(json!({}))
}

fn owner(account: Account) -> Owner {
    let number = crate::sandbox::project_number(&account.project);
    Owner::ServiceAccount(Project { id: account.project, number }, account.unique_id)
}

fn get_policy(world: &World, project: &str, who: &str, call: &Call<'_>) -> Result<Json, Refusal> {
    call.accepts(&["options.requestedPolicyVersion"])?;
    let version = match call.parameter("options.requestedPolicyVersion").map(str::parse::<i64>) {
        None => None,
        Some(Ok(version)) => Some(version),
        Some(Err(_)) => {
            return Err(Refusal::field("options.requested_policy_version", "Invalid value (TYPE_INT32)"));
        }
    };
    let account = find(world, project, who, "iam.serviceAccounts.getIamPolicy")?;
    policy::get(world, &owner(account), version)
}

fn set_policy(world: &mut World, project: &str, who: &str, call: &Call<'_>) -> Result<Json, Refusal> {
    call.accepts(&[])?;
    let account = find(world, project, who, "iam.serviceAccounts.setIamPolicy")?;
    policy::set(world, &owner(account), call)
}
