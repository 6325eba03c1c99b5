//! How distributions, origin access controls and invalidations are made, changed and deleted, by whomever it is asked.

use std::collections::BTreeMap;

use super::super::error::Error;
use super::super::xml::Element;
use super::config;
use super::distribution::{AccessControl, Distribution, Invalidation, by_host};
use crate::sandbox::World;

const ID: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
const HOST: &[u8] = b"abcdefghijklmnopqrstuvwxyz0123456789";

/// Makes a distribution out of its document.
pub(in crate::sandbox::aws) fn create(
    world: &mut World,
    account: &str,
    mut document: Element,
    tags: BTreeMap<String, String>,
) -> Result<Distribution, Error> {
    let config = config::accept(world, account, &mut document)?;
    let own = world.list::<Distribution>("").into_iter().map(|(_, found)| found);
    let mut own = own.filter(|found| found.account == account);
    if let Some(same) = own.find(|found| found.config.caller_reference == config.caller_reference) {
        let message = format!(
            "The caller reference that you are using to create a distribution is associated with another distribution. Already exists: {}",
            same.id
        );
        return Err(Error::new(409, "DistributionAlreadyExists", message));
    }
    check_aliases(world, "", &config.aliases)?;
    let id = format!("E{}", world.word(13, ID));
    let distribution = Distribution {
        account: account.to_owned(),
        domain: format!("d{}.cloudfront.net", world.word(13, HOST)),
        etag: format!("E{}", world.word(13, ID)),
        modified: world.now(),
        looks: 0,
        config,
        document,
        tags,
        id,
    };
    distribution.save(world);
    Ok(distribution)
}

/// Changes a distribution: the whole document anew.
pub(in crate::sandbox::aws) fn update(
    world: &mut World,
    distribution: &mut Distribution,
    mut document: Element,
) -> Result<(), Error> {
    let config = config::accept(world, &distribution.account, &mut document)?;
    if config.caller_reference != distribution.config.caller_reference {
        return Err(Error::new(
            400,
            "IllegalUpdate",
            "The update contains modifications that are not allowed: the caller reference cannot be changed.",
        ));
    }
    check_aliases(world, &distribution.id, &config.aliases)?;
    distribution.config = config;
    distribution.document = document;
    distribution.modified = world.now();
    distribution.looks = 0;
    distribution.etag = format!("E{}", world.word(13, ID));
    distribution.save(world);
    Ok(())
}

fn check_aliases(world: &World, id: &str, aliases: &[String]) -> Result<(), Error> {
    if aliases.iter().any(|alias| by_host(world, alias).is_some_and(|other| other.id != id)) {
        let message =
            "One or more of the CNAMEs you provided are already associated with a different resource.";
        return Err(Error::new(409, "CNAMEAlreadyExists", message));
    }
    Ok(())
}

/// Deletes a distribution that is disabled everywhere.
pub(in crate::sandbox::aws) fn delete(world: &mut World, distribution: &Distribution) -> Result<(), Error> {
    if distribution.config.enabled || !distribution.is_deployed(world.now()) {
        let message = "The distribution you are trying to delete has not been disabled.";
        return Err(Error::new(409, "DistributionNotDisabled", message));
    }
    world.remove::<Distribution>(&distribution.id);
    for (key, _) in world.list::<Invalidation>(&format!("{}/", distribution.id)) {
        world.remove::<Invalidation>(&key);
    }
    Ok(())
}

/// Makes an origin access control, or changes the one of this id.
pub(in crate::sandbox::aws) fn put_access_control(
    world: &mut World,
    mut control: AccessControl,
) -> Result<AccessControl, Error> {
    if !(1..=64).contains(&control.name.chars().count()) {
        return Err(Error::new(
            400,
            "InvalidArgument",
            "The parameter Name must have between 1 and 64 characters.",
        ));
    }
    if !matches!(control.signing.as_str(), "always" | "never" | "no-override") {
        return Err(Error::new(400, "InvalidArgument", "The parameter SigningBehavior is not valid."));
    }
    if !matches!(control.origin_type.as_str(), "s3" | "lambda" | "mediastore" | "mediapackagev2") {
        return Err(Error::new(
            400,
            "InvalidArgument",
            "The parameter OriginAccessControlOriginType is not valid.",
        ));
    }
    let others = world.list::<AccessControl>("").into_iter().map(|(_, other)| other);
    let mut others = others.filter(|other| other.account == control.account && other.id != control.id);
    if others.any(|other| other.name == control.name) {
        let message = "An origin access control with this name already exists.";
        return Err(Error::new(409, "OriginAccessControlAlreadyExists", message));
    }
    if control.id.is_empty() {
        control.id = format!("E{}", world.word(13, ID));
    }
    control.etag = format!("E{}", world.word(13, ID));
    world.put(&control.id, &control);
    Ok(control)
}

/// Deletes an origin access control that no distribution uses.
pub(in crate::sandbox::aws) fn delete_access_control(
    world: &mut World,
    control: &AccessControl,
) -> Result<(), Error> {
    let uses = |found: &Distribution| {
        found.config.origins.iter().any(|origin| origin.access_control.as_ref() == Some(&control.id))
    };
    if world.list::<Distribution>("").iter().any(|(_, found)| uses(found)) {
        let message = "The origin access control is in use by one or more distributions.";
        return Err(Error::new(409, "OriginAccessControlInUse", message));
    }
    world.remove::<AccessControl>(&control.id);
    Ok(())
}

/// Has a distribution forget what it has kept of these paths. The same reference does it once.
pub(in crate::sandbox::aws) fn invalidate(
    world: &mut World,
    distribution: &Distribution,
    paths: Vec<String>,
    caller_reference: String,
) -> Result<Invalidation, Error> {
    let prefix = format!("{}/", distribution.id);
    let mut known = world.list::<Invalidation>(&prefix).into_iter().map(|(_, found)| found);
    if let Some(known) = known.find(|known| known.caller_reference == caller_reference) {
        if known.paths == paths {
            return Ok(known);
        }
        let message = "The caller reference is that of another invalidation with other paths.";
        return Err(Error::new(400, "InvalidArgument", message));
    }
    if paths.is_empty() || caller_reference.is_empty() {
        return Err(Error::new(400, "MissingBody", "Paths and CallerReference are required."));
    }
    if paths.iter().any(|path| !path.starts_with('/')) {
        return Err(Error::new(
            400,
            "InvalidArgument",
            "Your request contains one or more invalid invalidation paths.",
        ));
    }
    super::cache::forget(world, &distribution.id, &paths);
    let invalidation = Invalidation {
        id: format!("I{}", world.word(13, ID)),
        distribution: distribution.id.clone(),
        created: world.now(),
        looks: 0,
        caller_reference,
        paths,
    };
    world.put(&format!("{prefix}{}", invalidation.id), &invalidation);
    Ok(invalidation)
}
