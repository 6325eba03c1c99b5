//! A stack without a file, on the main road: observe, plan, approve, apply.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use mcm::engine::{self, Answer, Request, Settings, Stop};
use mcm::model::*;
use mcm::provider::{self, Access, AwsAccess, Router};
use serde_yaml::{Mapping, Value as Yaml};

/// The account that emulators play unless told otherwise.
pub const ACCOUNT: &str = "123456789012";

/// An AWS endpoint, and what a stack owns there.
pub struct Road {
    pub clouds: Clouds,
    pub router: Router,
    pub catalogue: Catalogue,
    pub state: State,
    pub folder: tempfile::TempDir,
}

struct Forgetful;

impl Ledger for Forgetful {
    fn record(&mut self, _state: &State) -> Result<(), LedgerError> {
        Ok(())
    }
}

impl Road {
    pub fn new(endpoint: &str, region: &str, keys: Option<(String, Secret)>) -> Self {
        let aws =
            AwsPlace { account: ACCOUNT.into(), region: region.into(), endpoint: Some(endpoint.into()) };
        let clouds = Clouds { aws: Some(aws), ..Clouds::default() };
        let access = Access { aws: AwsAccess { keys, ..AwsAccess::default() }, ..Access::default() };
        let router = Router::new(&clouds, &access);
        let (catalogue, folder) = (provider::catalogue(), tempfile::tempdir().unwrap());
        Self { clouds, router, catalogue, state: State::default(), folder }
    }

    /// The stack of these resources.
    pub fn stack(&self, resources: &Mapping) -> Stack {
        let resources =
            resources.iter().map(|(name, resource)| self.resource(name.as_str().unwrap(), resource));
        Stack {
            name: "lab".to_owned(),
            description: None,
            folder: self.folder.path().to_owned(),
            clouds: self.clouds.clone(),
            resources: resources.collect(),
            outputs: Vec::new(),
            variables: Map::new(),
            digest: Digest::default(),
        }
    }

    fn resource(&self, name: &str, resource: &Yaml) -> Resource {
        let ty = ResourceType::new(resource["type"].as_str().unwrap());
        let schema = self.catalogue.get(&ty).unwrap_or_else(|| panic!("{ty} is not known"));
        let json = serde_json::to_value(&resource["properties"]).unwrap();
        let mut properties = references(Value::from_json(json)).as_map().unwrap().clone();
        if let Some(rule) = schema.name {
            let default = || Value::Text((rule.default)("lab", name, &self.clouds));
            properties.entry(rule.property.to_owned()).or_insert_with(default);
        }
        let wrong = (schema.check)(&properties, &self.clouds);
        assert!(wrong.is_empty(), "{name}: {wrong:#?}");
        Resource {
            address: Address::resource(name),
            ty,
            schema,
            properties,
            depends_on: BTreeSet::new(),
            lifecycle: Lifecycle::default(),
            location: None,
            property_locations: BTreeMap::new(),
        }
    }

    pub async fn plan(&self, stack: &Stack, mode: Mode) -> (Plan, Inventory) {
        let inventory = match engine::observe(stack, &self.state, &self.catalogue, &self.router).await {
            Ok(inventory) => inventory,
            Err(error) => panic!("{:#?}", error.0),
        };
        let (targets, excludes, now) = (Vec::new(), Vec::new(), Timestamp::UNIX_EPOCH);
        let request = Request { mode, targets, excludes, allow_recreate: true, now };
        let plan = engine::plan(stack, &self.state, &self.catalogue, &inventory, &request).unwrap();
        (plan, inventory)
    }

    pub async fn run(&mut self, stack: &Stack, mode: Mode) -> Outcome {
        let (plan, inventory) = self.plan(stack, mode).await;
        let plan = engine::approve(plan, &inventory, &self.catalogue, Answer::Automatic).unwrap();
        engine::apply(
            plan,
            stack,
            &inventory,
            &self.catalogue,
            &mut self.state,
            &self.router,
            &mut Forgetful,
            Settings { parallelism: 16, rollback: true },
            &Stop::default(),
            &|_| (),
        )
        .await
        .unwrap()
    }

    /// Runs, and expects that every step is done and nothing is left to do.
    pub async fn must(&mut self, stack: &Stack, mode: Mode, told: &str) {
        let outcome = self.run(stack, mode).await;
        assert!(matches!(outcome, Outcome::Applied { .. }), "{told}: {outcome:#?}");
        let (plan, _) = self.plan(stack, mode).await;
        let left: Vec<&Change> = plan.changes.iter().filter(|change| change.action != Action::NoOp).collect();
        assert!(left.is_empty(), "{told}: something is left to do: {left:#?}");
    }
}

/// `${name.Attribute}` as a reference.
fn references(value: Value) -> Value {
    match value {
        Value::Text(text) => match text.strip_prefix("${").and_then(|text| text.strip_suffix('}')) {
            Some(inner) => {
                let (name, attribute) = inner.split_once('.').unwrap();
                Value::Unknown(Template::reference(Address::resource(name), &[attribute]))
            }
            None => Value::Text(text),
        },
        Value::List(items) => Value::List(items.into_iter().map(references).collect()),
        Value::Map(map) => Value::Map(map.into_iter().map(|(key, value)| (key, references(value))).collect()),
        other => other,
    }
}
