//! The trust policy of a role.

use serde_json::Value as Json;

use super::super::error::Error;
use super::super::policy::{
    Ask, Facts, Kind, Service, check, evaluate, show_principals, size, store_principals,
};
use super::super::query::Call;
use super::super::xml::Element;
use super::{TEXT, limit_exceeded, malformed, role, role_name};
use crate::sandbox::World;

/// A trust policy may have so many characters, white space aside.
const QUOTA: usize = 2048;

/// Checks a document, and turns it into what is kept.
pub(super) fn accept(world: &World, text: &str) -> Result<String, Error> {
    let mut document = check(text, Kind::Trust).map_err(malformed)?;
    if size(text) > QUOTA {
        return Err(limit_exceeded(format!("Cannot exceed quota for ACLSizePerRole: {QUOTA}")));
    }
    store_principals(world, &mut document, false).map_err(malformed)?;
    Ok(document.to_string())
}

/// The document as it is shown.
pub(super) fn shown(world: &World, kept: &str) -> String {
    let mut document: Json = serde_json::from_str(kept).unwrap_or_default();
    show_principals(world, &mut document);
    document.to_string()
}

/// Whether a role's trust policy lets a service assume it, on behalf of something in a region.
pub(in crate::sandbox::aws) fn lets_service(
    world: &World,
    role: &role::Role,
    region: &str,
    service: Service<'_>,
) -> bool {
    let document: Json = serde_json::from_str(&role.trust).unwrap_or_default();
    let facts = Facts::new(world, region, &role.account);
    let ask = Ask {
        caller: None,
        action: "sts:AssumeRole",
        resource: &role.arn(),
        service: Some(service),
        facts: &facts,
    };
    evaluate(&document, ask).allows()
}

pub(super) fn update(call: &mut Call<'_>) -> Result<Vec<Element>, Error> {
    let name = role_name(&mut call.form);
    let document = call.form.need_text("PolicyDocument", 1..=131_072, TEXT);
    call.form.finish()?;
    let mut role = role::find(call, &name)?;
    role.trust = accept(call.world, &document)?;
    role.save(call.world);
    Ok(Vec::new())
}
