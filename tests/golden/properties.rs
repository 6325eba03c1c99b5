//! `properties.yaml`, driven: every property of every type, at every depth, is changed in turn, in the sandbox, through
//! the real provider; each change shows as the facts say and as nothing else, is applied, and leaves nothing to do.

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

    /// Makes the changes of a turn.
    fn turn(&mut self, index: usize) {
        let Turn { at, to, with, .. } = &self.changes[index];
        let mut sets: Vec<(String, Yaml)> = Vec::new();
        sets.extend(with.iter().map(|(name, value)| (name.as_str().unwrap().to_owned(), value.clone())));
        sets.push((at.clone(), to.clone()));
        for (at, value) in sets {
            self.set(&at, &value);
        }
    }

    /// Sets what stands at a place among the properties of `x`, written as a plan writes it: `Rules[0].Prefix`.
    fn set(&mut self, at: &str, value: &Yaml) {
        let mut here = &mut self.resources["x"]["properties"];
        let steps: Vec<&str> = at.split(['.', '[']).map(|step| step.trim_end_matches(']')).collect();
        let (last, way) = steps.split_last().unwrap();
        for step in way {
            here = match step.parse::<usize>() {
                Ok(position) => &mut here[position],
                Err(_) => &mut here[*step],
            };
        }
        let properties = here.as_mapping_mut().unwrap_or_else(|| panic!("{}: no {at}", self.ty));
        if value.is_null() {
            assert!(properties.remove(*last).is_some(), "{}: there was no {at}", self.ty);
        } else {
            properties.insert((*last).into(), value.clone());
        }
    }

    /// Everything that stands at a place of the schema, in all lists on the way there.
    fn values(&self, leaf: &[&str]) -> Vec<Yaml> {
        let mut found = Vec::new();
        values(&self.resources["x"]["properties"], leaf, &mut found);
        found
    }
}

fn values(value: &Yaml, leaf: &[&str], found: &mut Vec<Yaml>) {
    match (value, leaf) {
        (value, []) => found.push(value.clone()),
        (Yaml::Sequence(items), _) => items.iter().for_each(|item| values(item, leaf, found)),
        (Yaml::Mapping(map), [first, rest @ ..]) => {
            if let Some(value) = map.get(*first) {
                values(value, rest, found);
            }
        }
        _ => {}
    }
}

/// The properties at every depth that have no properties of their own.
fn leaves(properties: &'static [Property], above: &[&'static str], found: &mut Vec<Vec<&'static str>>) {
    for property in properties {
        let here = [above, &[property.name]].concat();
        match inner(&property.shape) {
            Some(inner) => leaves(inner, &here, found),
            None => found.push(here),
        }
    }
}

fn inner(shape: &'static Shape) -> Option<&'static [Property]> {
    match shape {
        Shape::Object(properties) | Shape::Keyed { of: properties, .. } => Some(properties),
        Shape::List(item) | Shape::Set(item) | Shape::Map(item) => inner(item),
        Shape::Text(_) | Shape::Enum(_) | Shape::Integer { .. } | Shape::Bool | Shape::Document => None,
    }
}

/// Types that need each other, a function and what runs it: `tests/lambda` drives them together.
const TOGETHER: &[&str] = &[
    "AWS::CloudFormation::Stack",
    "MCM::Lambda::Code",
    "MCM::Lambda::Release",
    "MCM::S3::BucketNotification",
];

/// Properties that mcm fills in itself.
const FILLED_IN: &[(&str, &str)] = &[("MCM::S3::Content", "Files"), ("MCM::S3::Content", "Folder")];

/// Properties that say who else is to be told, and are compared with nothing: `tests/lambda/reference.rs` has them.
const TOLD: &[(&str, &str)] = &[("MCM::S3::Content", "Distribution")];

/// Properties that no cloud can tell: a replacement shows them as well.
const UNREAD: &[(&str, &str)] = &[("MCM::S3::Content", "Source")];

#[test]
fn no_property_of_any_type_is_forgotten() {
    let mut forgotten = Vec::new();
    for schema in mcm::provider::catalogue().iter().filter(|schema| !TOGETHER.contains(&schema.ty)) {
        let mut untouched = Vec::new();
        leaves(schema.properties, &[], &mut untouched);
        untouched.retain(|leaf| ![FILLED_IN, TOLD].iter().any(|list| list.contains(&(schema.ty, leaf[0]))));
        let case = cases().into_iter().find(|case| case.ty == schema.ty);
        let mut case = case.unwrap_or_else(|| panic!("{} has no case in properties.yaml", schema.ty));
        for index in 0..case.changes.len() {
            let before: Vec<_> = untouched.iter().map(|leaf| case.values(leaf)).collect();
            case.turn(index);
            let mut before = before.into_iter();
            untouched.retain(|leaf| before.next() == Some(case.values(leaf)));
        }
        forgotten.extend(untouched.iter().map(|leaf| format!("{}: {}", schema.ty, leaf.join("."))));
    }
    assert!(forgotten.is_empty(), "never changed in properties.yaml:\n{}", forgotten.join("\n"));
}

/// Whether an edit is of what stands at a place, of a part of it, or of what it is a part of.
fn concerns(edit: &Edit, at: &str) -> bool {
    let path = edit.path.to_string();
    let within = |outer: &str, inner: &str| {
        inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    };
    within(at, &path) || within(&path, at)
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
        case.turn(index);
        let Turn { at, to, with, shows, .. } = &case.changes[index];
        let told = format!("{} {at} -> {to:?}", case.ty);
        let stack = lab.stack(&case.stack()).unwrap_or_else(|wrong| panic!("{told}: {wrong:#?}"));
        let (plan, _) =
            lab.plan(&stack, Mode::Apply).await.unwrap_or_else(|wrong| panic!("{told}: {wrong:#?}"));
        let change = plan.change(&x).unwrap();
        assert_eq!(change.action.symbol(), case.changes[index].is, "{told}: {:#?}", change.edits);
        let shown = shows.as_ref().unwrap_or(at);
        let told_of = change.edits.iter().any(|edit| concerns(edit, shown));
        assert!(told_of || change.action == Action::NoOp, "{told}: {:#?}", change.edits);
        let meant = |edit: &Edit| {
            concerns(edit, shown)
                || with.keys().any(|name| concerns(edit, name.as_str().unwrap()))
                || FILLED_IN.contains(&(case.ty.as_str(), edit.path.property()))
                || UNREAD.contains(&(case.ty.as_str(), edit.path.property()))
        };
        assert!(change.edits.iter().all(meant), "{told}: more than was changed: {:#?}", change.edits);
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
