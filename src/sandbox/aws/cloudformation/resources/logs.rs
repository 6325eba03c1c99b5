//! `AWS::Logs::LogGroup`.

use serde_json::Value as Json;

use super::super::super::logs;
use super::super::kind::{Failure, Kind, Made, Place, Property, Shape, TAGS};
use super::{number, text};

pub(super) const GROUP: Kind = Kind {
    name: "AWS::Logs::LogGroup",
    properties: &[
        Property::new("LogGroupName", Shape::Text).fixed(),
        Property::new("RetentionInDays", Shape::Number),
        TAGS,
    ],
    attributes: &["Arn"],
    create,
    update,
    delete,
};

fn failed(error: super::super::super::error::Error) -> Failure {
    Failure::of("CloudWatchLogs", error)
}

fn create(place: &mut Place<'_>, properties: &Json) -> Result<Made, Failure> {
    let name = text(properties, "LogGroupName").unwrap_or_else(|| place.generated(512));
    let tags = place.tags(&properties["Tags"]);
    let mut group =
        logs::create(place.world, &place.site.account, &place.site.region, &name, tags).map_err(failed)?;
    let kept = logs::retain(place.world, &mut group, number(properties, "RetentionInDays"));
    if let Err(error) = kept {
        // The handler takes back what it began.
        let _ = logs::delete(place.world, &place.site.account, &place.site.region, &name);
        return Err(failed(error));
    }
    Ok(made(&group))
}

fn update(place: &mut Place<'_>, physical: &str, _before: &Json, after: &Json) -> Result<Made, Failure> {
    let mut group = find(place, physical)?;
    group.tags = place.tags(&after["Tags"]);
    logs::retain(place.world, &mut group, number(after, "RetentionInDays")).map_err(failed)?;
    Ok(made(&group))
}

fn delete(place: &mut Place<'_>, physical: &str, _properties: &Json) -> Result<(), Failure> {
    logs::delete(place.world, &place.site.account, &place.site.region, physical).map_err(failed)
}

fn find(place: &Place<'_>, name: &str) -> Result<logs::Group, Failure> {
    logs::find(place.world, &place.site.account, &place.site.region, name).ok_or_else(|| Failure {
        code: "NotFound",
        message: format!("Resource of type 'AWS::Logs::LogGroup' with identifier '{name}' was not found."),
    })
}

fn made(group: &logs::Group) -> Made {
    Made::new(&group.name, &[("Arn", &format!("{}:*", group.arn()))])
}
