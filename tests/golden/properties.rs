//! `properties.yaml`, driven: every property of every type is changed in turn, in the sandbox, through the real
//! provider; each change shows as the facts say, is applied, and leaves nothing to do.

use std::collections::BTreeSet;

use mcm::model::*;
use serde::Deserialize;
use serde_yaml::{Mapping, Value as Yaml};

use crate::support::lab::Lab;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    #[serde(rename = "type")]
    ty: String,
    resources: Mapping,
    changes: Vec<Turn>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Turn {
    at: String,
    to: Yaml,
    #[serde(default)]
    with: Mapping,
    is: String,
    /// The property whose edit is shown, where it is another one.
    shows: Option<String>,
}

fn cases() -> Vec<Case> {
    let cases: Yaml = serde_yaml::from_str(include_str!("properties.yaml")).unwrap();
    serde_yaml::from_value(cases).unwrap()
}

impl Case {
    fn stack(&self) -> String {
        let mut sections = Mapping::new();
        sections.insert("resources".into(), Yaml::Mapping(self.resources.clone()));
        serde_yaml::to_string(&sections).unwrap()
    }

    fn set(&mut self, property: &str, value: &Yaml) {
        let properties = self.resources["x"]["properties"].as_mapping_mut().unwrap();
        if value.is_null() {
            properties.remove(property);
        } else {
            properties.insert(property.into(), value.clone());
        }
    }
}

/// Types that need each other, a function and what runs it: `emulators/functions.rs` drives them together.
const TOGETHER: &[&str] = &["AWS::CloudFormation::Stack", "MCM::Lambda::Code", "MCM::S3::BucketNotification"];

/// Properties that mcm fills in itself.
const FILLED_IN: &[(&str, &str)] = &[("MCM::S3::Content", "Files"), ("MCM::S3::Content", "Folder")];

#[test]
fn no_property_of_any_type_is_forgotten() {
    let cases = cases();
    for schema in mcm::provider::catalogue().iter().filter(|schema| !TOGETHER.contains(&schema.ty)) {
        let case = cases.iter().find(|case| case.ty == schema.ty);
        let case = case.unwrap_or_else(|| panic!("{} has no case in properties.yaml", schema.ty));
        let changed: BTreeSet<&str> = case.changes.iter().map(|turn| turn.at.as_str()).collect();
        for property in schema.properties {
            let exempt = FILLED_IN.contains(&(schema.ty, property.name));
            assert!(
                exempt || changed.contains(property.name),
                "{}: {} is never changed",
                schema.ty,
                property.name
            );
        }
    }
}

async fn turn_by_turn(mut case: Case) {
    let mut lab = Lab::new().await;
    for (folder, text) in [("site", "one"), ("site2", "two")] {
        std::fs::create_dir(lab.folder.path().join(folder)).unwrap();
        std::fs::write(lab.folder.path().join(folder).join("index.html"), text).unwrap();
    }
    let x = Address::resource("x");
    case.resources["x"].as_mapping_mut().unwrap().insert("type".into(), case.ty.clone().into());
    let stack = lab.stack(&case.stack()).unwrap_or_else(|wrong| panic!("{}: {wrong:#?}", case.ty));
    lab.apply(&stack).await;
    for index in 0..case.changes.len() {
        let (at, to) = (case.changes[index].at.clone(), case.changes[index].to.clone());
        for (property, value) in case.changes[index].with.clone() {
            case.set(property.as_str().unwrap(), &value);
        }
        case.set(&at, &to);
        let told = format!("{} {at} -> {to:?}", case.ty);
        let stack = lab.stack(&case.stack()).unwrap_or_else(|wrong| panic!("{told}: {wrong:#?}"));
        let (plan, _) =
            lab.plan(&stack, Mode::Apply).await.unwrap_or_else(|wrong| panic!("{told}: {wrong:#?}"));
        let change = plan.change(&x).unwrap();
        assert_eq!(change.action.symbol(), case.changes[index].is, "{told}: {:#?}", change.edits);
        let shown = case.changes[index].shows.as_ref().unwrap_or(&at);
        let told_of = change.edits.iter().any(|edit| edit.path.property() == shown);
        assert!(told_of || change.action == Action::NoOp, "{told}: {:#?}", change.edits);
        let others = plan.changes.iter().filter(|change| change.address != x);
        assert!(
            others.clone().all(|change| change.action == Action::NoOp),
            "{told}: {others:#?}",
            others = others.collect::<Vec<_>>()
        );
        lab.apply(&stack).await;
        let (plan, _) = lab.plan(&stack, Mode::Apply).await.unwrap();
        assert!(plan.is_empty(), "{told}: something is left to do: {:#?}", plan.change(&x));
    }
    let stack = lab.stack(&case.stack()).unwrap();
    let outcome = lab.run(&stack, Mode::Destroy).await;
    assert!(matches!(outcome, Outcome::Applied { .. }), "{}: {outcome:#?}", case.ty);
    assert!(lab.state.resources.is_empty());
}

macro_rules! properties_of {
    ($($name:ident: $ty:literal,)*) => {$(
        #[tokio::test]
        async fn $name() {
            turn_by_turn(cases().into_iter().find(|case| case.ty == $ty).unwrap()).await;
        }
    )*

    #[test]
    fn every_case_is_run() {
        let run: BTreeSet<&str> = [$($ty),*].into();
        assert_eq!(run, cases().iter().map(|case| case.ty.as_str()).collect::<BTreeSet<_>>());
    }};
}

properties_of! {
    aws_role: "AWS::IAM::Role",
    aws_bucket: "AWS::S3::Bucket",
    aws_bucket_policy: "AWS::S3::BucketPolicy",
    aws_content: "MCM::S3::Content",
    gcp_service: "serviceusage.googleapis.com/Service",
    gcp_pool: "iam.googleapis.com/WorkloadIdentityPool",
    gcp_pool_provider: "iam.googleapis.com/WorkloadIdentityPoolProvider",
    gcp_service_account: "iam.googleapis.com/ServiceAccount",
    gcp_service_account_member: "iam.googleapis.com/ServiceAccountIamMember",
    gcp_project_member: "cloudresourcemanager.googleapis.com/ProjectIamMember",
    gcp_database: "firestore.googleapis.com/Database",
    azure_resource_group: "Microsoft.Resources/resourceGroups",
    azure_account: "Microsoft.CognitiveServices/accounts",
}
