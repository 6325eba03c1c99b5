//! Distributions and their like, as CloudFront shows them.

use jiff::Timestamp;

use super::super::xml::Element;
use super::distribution::{AccessControl, Distribution, Invalidation};
use crate::sandbox::World;

fn time(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string()
}

fn state(world: &World, found: &Distribution) -> &'static str {
    if found.is_deployed(world.now()) { "Deployed" } else { "InProgress" }
}

/// `Distribution`.
pub(super) fn distribution(world: &World, found: &Distribution) -> Element {
    let running = world.list::<Invalidation>(&format!("{}/", found.id)).into_iter();
    let running = running.filter(|(_, made)| !made.is_complete(world.now())).count();
    Element::new("Distribution")
        .text("Id", &found.id)
        .text("ARN", found.arn())
        .text("Status", state(world, found))
        .text("LastModifiedTime", time(found.modified))
        .text("InProgressInvalidationBatches", running.to_string())
        .text("DomainName", &found.domain)
        .with(Element::new("ActiveTrustedSigners").text("Enabled", "false").text("Quantity", "0"))
        .with(Element::new("ActiveTrustedKeyGroups").text("Enabled", "false").text("Quantity", "0"))
        .with(Element { name: "DistributionConfig".to_owned(), ..found.document.clone() })
}

/// `DistributionList`.
pub(super) fn list(world: &World, all: &[Distribution]) -> Element {
    let items = all.iter().map(|found| {
        // A summary tells most of the configuration.
        let told = found.document.children.iter().filter(|child| {
            !matches!(
                child.name.as_str(),
                "CallerReference" | "Logging" | "DefaultRootObject" | "ContinuousDeploymentPolicyId"
            )
        });
        Element::new("DistributionSummary")
            .text("Id", &found.id)
            .text("ARN", found.arn())
            .text("Status", state(world, found))
            .text("LastModifiedTime", time(found.modified))
            .text("DomainName", &found.domain)
            .with_all(told.cloned())
    });
    paged("DistributionList", items.collect())
}

/// A list with its pages, of which there is one.
fn paged(name: &str, items: Vec<Element>) -> Element {
    let list = Element::new(name)
        .text("Marker", "")
        .text("MaxItems", "100")
        .text("IsTruncated", "false")
        .text("Quantity", items.len().to_string());
    if items.is_empty() { list } else { list.with(Element::new("Items").with_all(items)) }
}

/// `Invalidation`.
pub(super) fn invalidation(world: &World, made: &Invalidation) -> Element {
    let items = made.paths.iter().map(|path| Element::leaf("Path", path));
    let paths = Element::new("Paths")
        .text("Quantity", made.paths.len().to_string())
        .with(Element::new("Items").with_all(items));
    let batch = Element::new("InvalidationBatch").with(paths).text("CallerReference", &made.caller_reference);
    summary(world, made, "Invalidation").with(batch)
}

fn summary(world: &World, made: &Invalidation, name: &str) -> Element {
    let status = if made.is_complete(world.now()) { "Completed" } else { "InProgress" };
    Element::new(name).text("Id", &made.id).text("Status", status).text("CreateTime", time(made.created))
}

/// `InvalidationList`.
pub(super) fn invalidations(world: &World, all: &[Invalidation]) -> Element {
    paged("InvalidationList", all.iter().map(|made| summary(world, made, "InvalidationSummary")).collect())
}

/// `OriginAccessControl`.
pub(super) fn access_control(found: &AccessControl) -> Element {
    Element::new("OriginAccessControl").text("Id", &found.id).with(access_control_config(found))
}

/// `OriginAccessControlConfig`.
pub(super) fn access_control_config(found: &AccessControl) -> Element {
    Element::new("OriginAccessControlConfig").with_all(said(found))
}

fn said(found: &AccessControl) -> Vec<Element> {
    vec![
        Element::leaf("Name", &found.name),
        Element::leaf("Description", &found.description),
        Element::leaf("SigningProtocol", "sigv4"),
        Element::leaf("SigningBehavior", &found.signing),
        Element::leaf("OriginAccessControlOriginType", &found.origin_type),
    ]
}

/// `OriginAccessControlList`.
pub(super) fn access_controls(all: &[AccessControl]) -> Element {
    let items = all
        .iter()
        .map(|found| Element::new("OriginAccessControlSummary").text("Id", &found.id).with_all(said(found)));
    paged("OriginAccessControlList", items.collect())
}
