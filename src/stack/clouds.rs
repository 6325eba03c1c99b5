//! The `clouds` section: where resources go.

use crate::model::{Clouds, Diagnostic, Path, Value};

use super::grammar;
use super::node::Node;
use super::report::{Report, nearest};
use super::scope::Scope;
use super::shape::{Checker, Patterns};
use super::text::Place;

/// Reads the section. The second value says whether it may be relied on; otherwise what is wrong was told.
pub(super) fn read(
    section: Option<&Node>,
    top: &Place,
    scope: &Scope<'_>,
    patterns: &Patterns,
    report: &mut Report,
) -> (Clouds, bool) {
    let Some(section) = section.filter(|node| !node.is_null()) else { return (Clouds::default(), true) };
    let before = report.errors();
    let node = scope.evaluate(section, report);
    let mut checker = Checker::of_keys(report, patterns);
    for cloud in node.entries().iter().filter(|entry| entry.value.is_null()) {
        let Some(known) = grammar::CLOUDS.iter().find(|property| property.name == cloud.key) else {
            continue;
        };
        let summary = format!("`clouds.{}` is empty", cloud.key);
        checker.report.error(&cloud.key_place, summary, known.doc);
    }
    let map = checker.object(&node, &grammar::CLOUDS, &Path::default().key("clouds"), "`clouds`", top);
    if report.errors() > before {
        return (Clouds::default(), false);
    }
    if let Some(region) = node.get("aws").and_then(|aws| aws.get("region")) {
        doubt(region, report);
    }
    match serde_json::from_value(Value::Map(map).to_json()) {
        Ok(clouds) => (clouds, true),
        Err(why) => {
            report.error(&section.place, format!("`clouds` cannot be read: {why}"), "see `mcm schema`");
            (Clouds::default(), false)
        }
    }
}

/// Warns of a region that AWS is not known to have: its hosts would not be found. AWS opens new ones every year, so that
/// it is no error.
fn doubt(region: &Node, report: &mut Report) {
    let Some(name) = region.text().filter(|name| !REGIONS.contains(name)) else { return };
    let warning = Diagnostic::warning(format!("`{name}` is no region of AWS that mcm knows"))
        .at(region.place.location())
        .hint(match nearest(name, &REGIONS) {
            Some(near) => format!("did you mean `{near}`? A region that is new is used as it is written"),
            None => "a region that is new is used as it is written".to_owned(),
        });
    report.push(warning);
}

/// The regions of AWS's commercial, Chinese, European sovereign and US government partitions
/// (`partitions.json` of the AWS SDKs).
static REGIONS: [&str; 39] = [
    "af-south-1",
    "ap-east-1",
    "ap-east-2",
    "ap-northeast-1",
    "ap-northeast-2",
    "ap-northeast-3",
    "ap-south-1",
    "ap-south-2",
    "ap-southeast-1",
    "ap-southeast-2",
    "ap-southeast-3",
    "ap-southeast-4",
    "ap-southeast-5",
    "ap-southeast-6",
    "ap-southeast-7",
    "ca-central-1",
    "ca-west-1",
    "cn-north-1",
    "cn-northwest-1",
    "eu-central-1",
    "eu-central-2",
    "eu-north-1",
    "eu-south-1",
    "eu-south-2",
    "eu-west-1",
    "eu-west-2",
    "eu-west-3",
    "eusc-de-east-1",
    "il-central-1",
    "me-central-1",
    "me-south-1",
    "mx-central-1",
    "sa-east-1",
    "us-east-1",
    "us-east-2",
    "us-gov-east-1",
    "us-gov-west-1",
    "us-west-1",
    "us-west-2",
];
