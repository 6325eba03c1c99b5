//! The permissions boundary of a role.

use super::super::error::Error;
use super::super::query::{Call, Form};
use super::super::xml::Element;
use super::{ANY, managed, no_such_entity, policy_arn, role, role_name};

/// Takes the boundary's ARN, if one is given.
pub(super) fn take(form: &mut Form) -> Option<String> {
    form.text("PermissionsBoundary", 20..=2048, ANY)
}

/// A boundary must be a managed policy that exists.
pub(super) fn must_exist(call: &Call<'_>, arn: Option<&str>) -> Result<(), Error> {
    match arn {
        Some(arn) if !managed::exists(call, arn) => {
            Err(no_such_entity(format!("Scope ARN: {arn} does not exist or is not attachable.")))
        }
        Some(_) | None => Ok(()),
    }
}

pub(super) fn put(call: &mut Call<'_>) -> Result<Vec<Element>, Error> {
    let name = role_name(&mut call.form);
    let arn = policy_arn(&mut call.form, "PermissionsBoundary");
    call.form.finish()?;
    let mut role = role::find(call, &name)?;
    must_exist(call, Some(&arn))?;
    role.boundary = Some(arn);
    role.save(call.world);
    Ok(Vec::new())
}

pub(super) fn delete(call: &mut Call<'_>) -> Result<Vec<Element>, Error> {
    let name = role_name(&mut call.form);
    call.form.finish()?;
    let mut role = role::find(call, &name)?;
    if role.boundary.take().is_none() {
        return Err(no_such_entity(format!(
            "The role with name {name} does not have a permissions boundary."
        )));
    }
    role.save(call.world);
    Ok(Vec::new())
}
