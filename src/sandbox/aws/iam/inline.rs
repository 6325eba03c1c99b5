//! Policies embedded in a role.

use super::super::error::Error;
use super::super::policy::{Kind, check, size};
use super::super::query::{Call, Form, Page};
use super::super::sigv4::encode;
use super::super::xml::Element;
use super::{NAME, TEXT, limit_exceeded, malformed, no_such_entity, role, role_name};

/// All of a role's inline policies together may have so many characters, white space aside.
const QUOTA: usize = 10_240;

fn policy_name(form: &mut Form) -> String {
    form.need_text("PolicyName", 1..=128, NAME)
}

fn absent(name: &str) -> Error {
    no_such_entity(format!("The role policy with name {name} cannot be found."))
}

pub(super) fn put(call: &mut Call<'_>) -> Result<Vec<Element>, Error> {
    let role = role_name(&mut call.form);
    let name = policy_name(&mut call.form);
    let document = call.form.need_text("PolicyDocument", 1..=131_072, TEXT);
    call.form.finish()?;
    let mut role = role::find(call, &role)?;
    check(&document, Kind::Identity).map_err(malformed)?;
    role.inline.insert(name, document);
    if role.inline.values().map(|text| size(text)).sum::<usize>() > QUOTA {
        return Err(limit_exceeded(format!(
            "Maximum policy size of {QUOTA} bytes exceeded for role {}",
            role.name
        )));
    }
    role.save(call.world);
    Ok(Vec::new())
}

pub(super) fn get(call: &mut Call<'_>) -> Result<Vec<Element>, Error> {
    let role = role_name(&mut call.form);
    let name = policy_name(&mut call.form);
    call.form.finish()?;
    let role = role::find(call, &role)?;
    let document = role.inline.get(&name).ok_or_else(|| absent(&name))?;
    Ok(vec![
        Element::leaf("RoleName", &role.name),
        Element::leaf("PolicyName", &name),
        Element::leaf("PolicyDocument", encode(document.as_bytes(), false)),
    ])
}

pub(super) fn delete(call: &mut Call<'_>) -> Result<Vec<Element>, Error> {
    let role = role_name(&mut call.form);
    let name = policy_name(&mut call.form);
    call.form.finish()?;
    let mut role = role::find(call, &role)?;
    role.inline.remove(&name).ok_or_else(|| absent(&name))?;
    role.save(call.world);
    Ok(Vec::new())
}

pub(super) fn list(call: &mut Call<'_>) -> Result<Vec<Element>, Error> {
    let role = role_name(&mut call.form);
    let page = Page::take(&mut call.form);
    call.form.finish()?;
    let role = role::find(call, &role)?;
    Ok(page.cut(
        "PolicyNames",
        role.inline.into_keys().map(|name| (name.clone(), Element::leaf("member", name))),
    ))
}
