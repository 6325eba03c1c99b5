//! Roles: made, shown, changed and deleted. Their names are unique without regard to case.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::super::ID_ALPHABET;
use super::super::error::Error;
use super::super::query::{Call, Page, date};
use super::super::sigv4::encode;
use super::super::xml::Element;
use super::{PATH, TEXT, boundary, merge_tags, no_such_entity, role_name, tags_element, take_tags, trust};
use crate::sandbox::{Record, World};

/// A role, under the key `ACCOUNT/lower case name`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(in crate::sandbox::aws) struct Role {
    pub(in crate::sandbox::aws) id: String,
    pub(in crate::sandbox::aws) account: String,
    pub(in crate::sandbox::aws) path: String,
    pub(in crate::sandbox::aws) name: String,
    pub(super) created: Timestamp,
    pub(super) description: Option<String>,
    pub(in crate::sandbox::aws) max_session: u32,
    /// The trust policy, with its principals as they are kept.
    pub(in crate::sandbox::aws) trust: String,
    pub(super) boundary: Option<String>,
    pub(super) tags: Vec<(String, String)>,
    /// Inline policies by name, as they were put.
    pub(super) inline: BTreeMap<String, String>,
    /// The ARNs of the managed policies attached.
    pub(super) attached: Vec<String>,
}

impl Record for Role {
    const TABLE: &'static str = "aws.iam.role";
}

/// Which role bears a unique id: the role's key, under the id.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Bearer(pub(super) String);

impl Record for Bearer {
    const TABLE: &'static str = "aws.iam.role-id";
}

/// The session of an assumed role lasts so many seconds, unless the role says otherwise.
pub(super) const MAX_SESSION: u32 = 3600;

impl Role {
    /// Its ARN.
    pub(in crate::sandbox::aws) fn arn(&self) -> String {
        format!("arn:aws:iam::{}:role{}{}", self.account, self.path, self.name)
    }

    fn key(&self) -> String {
        key(&self.account, &self.name)
    }

    /// Keeps it.
    pub(super) fn save(&self, world: &mut World) {
        world.put(&self.key(), self);
    }
}

pub(super) fn key(account: &str, name: &str) -> String {
    format!("{account}/{}", name.to_lowercase())
}

/// The role of that name.
pub(in crate::sandbox::aws) fn role_by_name(world: &World, account: &str, name: &str) -> Option<Role> {
    world.get(&key(account, name))
}

/// The role of that ARN; path and spelling count.
pub(in crate::sandbox::aws) fn role_by_arn(world: &World, arn: &str) -> Option<Role> {
    let (account, rest) = arn.strip_prefix("arn:aws:iam::")?.split_once(":role/")?;
    let name = rest.rsplit_once('/').map_or(rest, |(_, name)| name);
    role_by_name(world, account, name).filter(|role| role.arn() == arn)
}

/// The role that bears a unique id.
pub(in crate::sandbox::aws) fn role_by_id(world: &World, id: &str) -> Option<Role> {
    let bearer: Bearer = world.get(id)?;
    world.get(&bearer.0)
}

/// The caller's role of that name, or the refusal.
pub(super) fn find(call: &Call<'_>, name: &str) -> Result<Role, Error> {
    role_by_name(call.world, &call.caller.account, name)
        .ok_or_else(|| no_such_entity(format!("The role with name {name} cannot be found.")))
}

pub(super) fn create(call: &mut Call<'_>) -> Result<Vec<Element>, Error> {
    let form = &mut call.form;
    let name = role_name(form);
    let document = form.need_text("AssumeRolePolicyDocument", 1..=131_072, TEXT);
    let path = form.text("Path", 1..=512, PATH).unwrap_or_else(|| "/".to_owned());
    let description = form.text("Description", 0..=1000, r"[\u0009\u000A\u000D\u0020-\u007E\u00A1-\u00FF]*");
    let max_session = form.number("MaxSessionDuration", 3600..=43_200).unwrap_or(MAX_SESSION);
    let boundary = boundary::take(form);
    let given = take_tags(form);
    form.finish()?;

    let account = call.caller.account.clone();
    if role_by_name(call.world, &account, &name).is_some() {
        let message = format!("Role with name {name} already exists.");
        return Err(Error::new(409, "EntityAlreadyExists", message));
    }
    let mut tags = Vec::new();
    merge_tags(&mut tags, given)?;
    let trust = trust::accept(call.world, &document)?;
    boundary::must_exist(call, boundary.as_deref())?;
    let id = format!("AROA{}", call.world.word(17, ID_ALPHABET));
    let role = Role {
        id: id.clone(),
        account,
        path,
        name,
        created: call.world.now(),
        description: description.filter(|text| !text.is_empty()),
        max_session,
        trust,
        boundary,
        tags,
        inline: BTreeMap::new(),
        attached: Vec::new(),
    };
    role.save(call.world);
    call.world.put(&id, &Bearer(role.key()));
    Ok(vec![Element { name: "Role".to_owned(), ..element(call.world, &role, Extent::Created) }])
}

pub(super) fn get(call: &mut Call<'_>) -> Result<Vec<Element>, Error> {
    let name = role_name(&mut call.form);
    call.form.finish()?;
    let role = find(call, &name)?;
    Ok(vec![Element { name: "Role".to_owned(), ..element(call.world, &role, Extent::Whole) }])
}

pub(super) fn list(call: &mut Call<'_>) -> Result<Vec<Element>, Error> {
    let prefix =
        call.form.text("PathPrefix", 1..=512, r"\u002F[\u0021-\u007F]*").unwrap_or_else(|| "/".to_owned());
    let page = Page::take(&mut call.form);
    call.form.finish()?;
    let roles = call.world.list::<Role>(&format!("{}/", call.caller.account));
    let roles = roles.into_iter().filter(|(_, role)| role.path.starts_with(&prefix));
    let world = &*call.world;
    Ok(page.cut("Roles", roles.map(|(key, role)| (key, element(world, &role, Extent::Listed)))))
}

/// What is not said of the duration goes back to the default; a description not given stays.
pub(super) fn update(call: &mut Call<'_>) -> Result<Vec<Element>, Error> {
    let name = role_name(&mut call.form);
    let description =
        call.form.text("Description", 0..=1000, r"[\u0009\u000A\u000D\u0020-\u007E\u00A1-\u00FF]*");
    let max_session = call.form.number("MaxSessionDuration", 3600..=43_200).unwrap_or(MAX_SESSION);
    call.form.finish()?;
    let mut role = find(call, &name)?;
    role.max_session = max_session;
    if let Some(description) = description {
        role.description = Some(description).filter(|text| !text.is_empty());
    }
    role.save(call.world);
    Ok(Vec::new())
}

pub(super) fn update_description(call: &mut Call<'_>) -> Result<Vec<Element>, Error> {
    let name = role_name(&mut call.form);
    let description =
        call.form.need_text("Description", 0..=1000, r"[\u0009\u000A\u000D\u0020-\u007E\u00A1-\u00FF]*");
    call.form.finish()?;
    let mut role = find(call, &name)?;
    role.description = Some(description).filter(|text| !text.is_empty());
    role.save(call.world);
    Ok(vec![Element { name: "Role".to_owned(), ..element(call.world, &role, Extent::Created) }])
}

pub(super) fn delete(call: &mut Call<'_>) -> Result<Vec<Element>, Error> {
    let name = role_name(&mut call.form);
    call.form.finish()?;
    let role = find(call, &name)?;
    let conflict = |message: &str| Err(Error::new(409, "DeleteConflict", message));
    if !role.attached.is_empty() {
        return conflict("Cannot delete entity, must detach all policies first.");
    }
    if !role.inline.is_empty() {
        return conflict("Cannot delete entity, must delete policies first.");
    }
    call.world.remove::<Role>(&role.key());
    call.world.remove::<Bearer>(&role.id);
    Ok(Vec::new())
}

/// Nobody can make an instance profile here, so there are none.
pub(super) fn list_instance_profiles(call: &mut Call<'_>) -> Result<Vec<Element>, Error> {
    let name = role_name(&mut call.form);
    let page = Page::take(&mut call.form);
    call.form.finish()?;
    find(call, &name)?;
    Ok(page.cut("InstanceProfiles", []))
}

/// How much of a role an answer tells.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Extent {
    /// All of it.
    Whole,
    /// All but when it was last used.
    Created,
    /// Without tags and boundary.
    Listed,
}

fn element(world: &World, role: &Role, extent: Extent) -> Element {
    let document = trust::shown(world, &role.trust);
    let mut element = Element::new("member")
        .text("Path", &role.path)
        .text("RoleName", &role.name)
        .text("RoleId", &role.id)
        .text("Arn", role.arn())
        .with(date("CreateDate", role.created))
        .text("AssumeRolePolicyDocument", encode(document.as_bytes(), false))
        .maybe("Description", role.description.as_ref())
        .text("MaxSessionDuration", role.max_session.to_string());
    if extent == Extent::Listed {
        return element;
    }
    if let Some(boundary) = &role.boundary {
        let boundary = Element::new("PermissionsBoundary")
            .text("PermissionsBoundaryType", "PermissionsBoundaryPolicy")
            .text("PermissionsBoundaryArn", boundary);
        element = element.with(boundary);
    }
    if !role.tags.is_empty() {
        element = element.with(tags_element(&role.tags));
    }
    if extent == Extent::Whole { element.with(Element::new("RoleLastUsed")) } else { element }
}
