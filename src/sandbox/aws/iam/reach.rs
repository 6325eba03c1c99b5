//! What other services of AWS do with roles on behalf of an account.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use super::super::ID_ALPHABET;
use super::super::error::Error;
use super::super::policy::{Kind, check, size};
use super::role::{Bearer, MAX_SESSION, Role, key, role_by_name};
use super::{limit_exceeded, malformed, managed, no_such_entity, trust};
use crate::sandbox::World;

/// All of a role's inline policies together may have so many characters, white space aside.
const INLINE_QUOTA: usize = 10_240;

/// A role that is to be.
#[derive(Clone, Debug, Default)]
pub(in crate::sandbox::aws) struct Wanted {
    pub(in crate::sandbox::aws) account: String,
    pub(in crate::sandbox::aws) path: String,
    pub(in crate::sandbox::aws) name: String,
    pub(in crate::sandbox::aws) trust: Json,
    pub(in crate::sandbox::aws) description: Option<String>,
    pub(in crate::sandbox::aws) max_session: Option<u32>,
    pub(in crate::sandbox::aws) inline: BTreeMap<String, Json>,
    pub(in crate::sandbox::aws) attached: Vec<String>,
    pub(in crate::sandbox::aws) tags: BTreeMap<String, String>,
}

/// Makes a role, or changes the one of that name.
pub(in crate::sandbox::aws) fn put_role(world: &mut World, wanted: Wanted, new: bool) -> Result<Role, Error> {
    let Wanted { account, path, name, trust, description, max_session, inline, attached, tags } = wanted;
    let present = role_by_name(world, &account, &name);
    if new && present.is_some() {
        return Err(Error::new(409, "EntityAlreadyExists", format!("Role with name {name} already exists.")));
    }
    if !new && present.is_none() {
        return Err(no_such_entity(format!("The role with name {name} cannot be found.")));
    }
    let is_name = |text: &str, most: usize| {
        (1..=most).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_+=,.@-".contains(&byte))
    };
    if let Some(wrong) = std::iter::once((&name, 64))
        .chain(inline.keys().map(|name| (name, 128)))
        .find(|(name, most)| !is_name(name, *most))
    {
        return Err(Error::new(400, "ValidationError", format!("The name {} is not valid", wrong.0)));
    }
    let trust = trust::accept(world, &trust.to_string())?;
    let mut texts = BTreeMap::new();
    for (name, document) in inline {
        let text = document.to_string();
        check(&text, Kind::Identity).map_err(malformed)?;
        texts.insert(name, text);
    }
    if texts.values().map(|text| size(text)).sum::<usize>() > INLINE_QUOTA {
        return Err(limit_exceeded(format!(
            "Maximum policy size of {INLINE_QUOTA} bytes exceeded for role {name}"
        )));
    }
    if let Some(arn) = attached.iter().find(|arn| !managed::is_known(world, &account, arn)) {
        return Err(no_such_entity(format!("Policy {arn} does not exist or is not attachable.")));
    }
    let id = present.as_ref().map(|role| role.id.clone());
    let id = id.unwrap_or_else(|| format!("AROA{}", world.word(17, ID_ALPHABET)));
    let role = Role {
        id: id.clone(),
        created: present.as_ref().map_or_else(|| world.now(), |role| role.created),
        boundary: present.and_then(|role| role.boundary),
        path,
        name,
        description,
        max_session: max_session.unwrap_or(MAX_SESSION),
        trust,
        tags: tags.into_iter().collect(),
        inline: texts,
        attached,
        account,
    };
    role.save(world);
    world.put(&id, &Bearer(key(&role.account, &role.name)));
    Ok(role)
}

/// Deletes a role with these of its policies; others are in the way.
pub(in crate::sandbox::aws) fn delete_role(
    world: &mut World,
    account: &str,
    name: &str,
    inline: &[String],
    attached: &[String],
) -> Result<(), Error> {
    let role = role_by_name(world, account, name)
        .ok_or_else(|| no_such_entity(format!("The role with name {name} cannot be found.")))?;
    if role.attached.iter().any(|arn| !attached.contains(arn)) {
        let message = "Cannot delete entity, must detach all policies first.";
        return Err(Error::new(409, "DeleteConflict", message));
    }
    if role.inline.keys().any(|name| !inline.contains(name)) {
        return Err(Error::new(409, "DeleteConflict", "Cannot delete entity, must delete policies first."));
    }
    world.remove::<Role>(&key(account, name));
    world.remove::<Bearer>(&role.id);
    Ok(())
}
