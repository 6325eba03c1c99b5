//! Managed policies attached to a role.

use super::super::error::Error;
use super::super::query::{Call, Page};
use super::super::xml::Element;
use super::{limit_exceeded, managed, no_such_entity, policy_arn, role, role_name};

/// A role has at most so many.
const QUOTA: usize = 10;

/// Attaching twice is once.
pub(super) fn attach(call: &mut Call<'_>) -> Result<Vec<Element>, Error> {
    let role = role_name(&mut call.form);
    let arn = policy_arn(&mut call.form, "PolicyArn");
    call.form.finish()?;
    let mut role = role::find(call, &role)?;
    managed::must_exist(call, &arn)?;
    if role.attached.contains(&arn) {
        return Ok(Vec::new());
    }
    if role.attached.len() >= QUOTA {
        return Err(limit_exceeded(format!("Cannot exceed quota for PoliciesPerRole: {QUOTA}")));
    }
    role.attached.push(arn);
    role.save(call.world);
    Ok(Vec::new())
}

pub(super) fn detach(call: &mut Call<'_>) -> Result<Vec<Element>, Error> {
    let role = role_name(&mut call.form);
    let arn = policy_arn(&mut call.form, "PolicyArn");
    call.form.finish()?;
    let mut role = role::find(call, &role)?;
    let index = role.attached.iter().position(|attached| *attached == arn);
    let index = index.ok_or_else(|| no_such_entity(format!("Policy {arn} was not found.")))?;
    role.attached.remove(index);
    role.save(call.world);
    Ok(Vec::new())
}

pub(super) fn list(call: &mut Call<'_>) -> Result<Vec<Element>, Error> {
    let role = role_name(&mut call.form);
    let prefix = call
        .form
        .text("PathPrefix", 1..=512, r"((/[A-Za-z0-9\.,\+@=_-]+)*)/")
        .unwrap_or_else(|| "/".to_owned());
    let page = Page::take(&mut call.form);
    call.form.finish()?;
    let role = role::find(call, &role)?;
    let mut found = role
        .attached
        .into_iter()
        .filter_map(|arn| {
            let (path, name) = managed::path_and_name(&arn)?;
            let member = Element::new("member").text("PolicyName", name).text("PolicyArn", &arn);
            path.starts_with(&prefix).then(|| (arn.clone(), member))
        })
        .collect::<Vec<_>>();
    found.sort_by(|(one, _), (other, _)| one.cmp(other));
    Ok(page.cut("AttachedPolicies", found))
}
