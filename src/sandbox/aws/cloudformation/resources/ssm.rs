//! `AWS::SSM::Parameter`.

use serde_json::Value as Json;

use super::super::super::error::Error;
use super::super::super::ssm::{self, Parameter, Wanted};
use super::super::kind::{Failure, Kind, Made, Place, Property, Shape};
use super::text;

pub(super) const PARAMETER: Kind = Kind {
    name: "AWS::SSM::Parameter",
    properties: &[
        Property::new("AllowedPattern", Shape::Text),
        Property::new("DataType", Shape::Text),
        Property::new("Description", Shape::Text),
        Property::new("Name", Shape::Text).fixed(),
        Property::new("Tags", Shape::Texts),
        Property::new("Tier", Shape::Text),
        Property::new("Type", Shape::Text).required().fixed(),
        Property::new("Value", Shape::Text).required(),
    ],
    attributes: &["Type", "Value"],
    create: |place, properties| {
        let name = text(properties, "Name").unwrap_or_else(|| place.generated(512));
        put(place, name, properties, false)
    },
    update: |place, physical, _, after| put(place, physical.to_owned(), after, true),
    delete: |place, physical, _| {
        let (account, region) = (&place.site.account, &place.site.region);
        ssm::delete(place.world, account, region, physical).map_err(failed)
    },
};

fn failed(error: Error) -> Failure {
    Failure::of("Ssm", error)
}

fn put(place: &mut Place<'_>, name: String, properties: &Json, overwrite: bool) -> Result<Made, Failure> {
    let kind = text(properties, "Type");
    if kind.as_deref() == Some("SecureString") {
        let message = "SecureString is not a supported parameter type for AWS::SSM::Parameter".to_owned();
        return Err(Failure { code: "InvalidRequest", message });
    }
    let tags = if overwrite { std::collections::BTreeMap::new() } else { place.tags(&properties["Tags"]) };
    let wanted = Wanted {
        name,
        kind,
        value: text(properties, "Value").unwrap_or_default(),
        description: text(properties, "Description"),
        pattern: text(properties, "AllowedPattern"),
        key: None,
        overwrite,
        tags,
    };
    let (account, region) = (&place.site.account, &place.site.region);
    let Parameter { name, kind, value, .. } =
        ssm::put(place.world, account, region, wanted).map_err(failed)?;
    Ok(Made::new(&name, &[("Type", &kind), ("Value", &value)]))
}
