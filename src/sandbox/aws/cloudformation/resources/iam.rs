//! `AWS::IAM::Role`.

use serde_json::{Value as Json, json};

use super::super::super::error::Error;
use super::super::super::iam::{self, Wanted};
use super::super::kind::{Failure, Kind, Made, Place, Property, Shape, TAGS};
use super::{number, text};

const POLICY: &[Property] = &[
    Property::new("PolicyDocument", Shape::Document).required(),
    Property::new("PolicyName", Shape::Text).required(),
];

pub(super) const ROLE: Kind = Kind {
    name: "AWS::IAM::Role",
    properties: &[
        Property::new("AssumeRolePolicyDocument", Shape::Document).required(),
        Property::new("Description", Shape::Text),
        Property::new("ManagedPolicyArns", Shape::List(&Shape::Text)),
        Property::new("MaxSessionDuration", Shape::Number),
        Property::new("Path", Shape::Text).fixed(),
        Property::new("Policies", Shape::List(&Shape::Map(POLICY))),
        Property::new("RoleName", Shape::Text).fixed(),
        TAGS,
    ],
    attributes: &["Arn", "RoleId"],
    create: |place, properties| {
        let name = text(properties, "RoleName").unwrap_or_else(|| place.generated(64));
        put(place, name, properties, true)
    },
    update: |place, physical, _, after| put(place, physical.to_owned(), after, false),
    delete: |place, physical, properties| {
        let inline = policies(properties).map(|(name, _)| name).collect::<Vec<_>>();
        iam::delete_role(place.world, &place.site.account, physical, &inline, &attached(properties))
            .map_err(failed)
    },
};

fn failed(error: Error) -> Failure {
    Failure::of("Iam", error)
}

fn policies(properties: &Json) -> impl Iterator<Item = (String, Json)> + '_ {
    let all = properties["Policies"].as_array().into_iter().flatten();
    all.map(|policy| (text(policy, "PolicyName").unwrap_or_default(), policy["PolicyDocument"].clone()))
}

fn attached(properties: &Json) -> Vec<String> {
    let all = properties["ManagedPolicyArns"].as_array().into_iter().flatten();
    all.filter_map(Json::as_str).map(str::to_owned).collect()
}

fn put(place: &mut Place<'_>, name: String, properties: &Json, new: bool) -> Result<Made, Failure> {
    let max_session = number(properties, "MaxSessionDuration");
    if max_session.is_some_and(|seconds| !(3600..=43_200).contains(&seconds)) {
        let message = "MaxSessionDuration must be between 3600 and 43200 seconds".to_owned();
        return Err(Failure { code: "InvalidRequest", message });
    }
    let mut tags = place.tags(&properties["Tags"]);
    // Roles made by stacks bear none of CloudFormation's own tags.
    tags.retain(|name, _| !name.starts_with("aws:"));
    let wanted = Wanted {
        account: place.site.account.clone(),
        path: text(properties, "Path").unwrap_or_else(|| "/".to_owned()),
        name,
        trust: properties.get("AssumeRolePolicyDocument").cloned().unwrap_or_else(|| json!({})),
        description: text(properties, "Description"),
        max_session,
        inline: policies(properties).collect(),
        attached: attached(properties),
        tags,
    };
    let role = iam::put_role(place.world, wanted, new).map_err(failed)?;
    Ok(Made::new(&role.name, &[("Arn", &role.arn()), ("RoleId", &role.id)]))
}
