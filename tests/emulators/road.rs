//! The main road, from a stack file to an AWS endpoint: parse, observe, plan, approve, apply.

use jiff::Timestamp;
use mcm::engine::{self, Answer, Books, Request, Settings, Stop};
use mcm::model::*;
use mcm::provider::{self, Access, AwsAccess, Router};
use mcm::stack::{Dialect, Source};
use serde_yaml::{Mapping, Value as Yaml};
use std::collections::BTreeMap;

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
    async fn record(&mut self, _entries: &[Entry], _state: &State) -> Result<(), LedgerError> {
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
        for (site, text) in [("site", "one"), ("site2", "two")] {
            std::fs::create_dir(folder.path().join(site)).unwrap();
            std::fs::write(folder.path().join(site).join("index.html"), text).unwrap();
        }
        Self { clouds, router, catalogue, state: State::default(), folder }
    }

    /// The stack of these resources, read from a file as a user's is.
    pub fn stack(&self, resources: &Mapping) -> Stack {
        let mut stack = Mapping::new();
        stack.insert("stack".into(), "lab".into());
        stack.insert("clouds".into(), serde_yaml::to_value(&self.clouds).unwrap());
        stack.insert("resources".into(), Yaml::Mapping(resources.clone()));
        let file = self.folder.path().join("stack.yaml");
        std::fs::write(&file, serde_yaml::to_string(&stack).unwrap()).unwrap();
        let source = Source { file, variables: Vec::new(), environment: Vec::new() };
        let dialect = Dialect {
            catalogue: &self.catalogue,
            trust: mcm::trust::expand,
            functions: mcm::lambda::expand,
            artifacts: &BTreeMap::new(),
        };
        mcm::stack::parse(&source, dialect).map_or_else(|wrong| panic!("{wrong:#?}"), |(stack, _)| stack)
    }

    pub async fn plan(&self, stack: &Stack, mode: Mode) -> (Plan, Inventory) {
        let inventory = match engine::observe(
            stack,
            &self.state,
            &Journal::default(),
            &self.catalogue,
            mode,
            &self.router,
        )
        .await
        {
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
        self.finish(stack, plan, &inventory).await
    }

    /// Approves a plan and applies it.
    pub async fn finish(&mut self, stack: &Stack, plan: Plan, inventory: &Inventory) -> Outcome {
        let plan = engine::approve(plan, inventory, &self.catalogue, Answer::Automatic).unwrap();
        let settings = Settings { parallelism: 16, rollback: true, now: Timestamp::UNIX_EPOCH };
        let (mut journal, mut ledger) = (Journal::default(), Forgetful);
        engine::apply(
            plan,
            stack,
            inventory,
            &self.catalogue,
            &mut Books::new(&mut self.state, &mut journal, &mut ledger),
            &self.router,
            settings,
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
        let left = plan.changes.iter().filter(|change| change.action != Action::NoOp);
        let left: Vec<String> = left.flat_map(told_edits).collect();
        assert!(left.is_empty(), "{told}: something is left to do: {left:#?}");
    }
}

/// A change's edits, one a line.
pub fn told_edits(change: &Change) -> Vec<String> {
    let show = |value: &Option<Value>| {
        value.as_ref().map_or("nothing".to_owned(), |value| value.to_json().to_string())
    };
    let edits = change.edits.iter();
    let edits = edits.map(|edit| format!("{}: {} -> {}", edit.path, show(&edit.before), show(&edit.after)));
    std::iter::once(format!("{} {}", change.action.symbol(), change.address)).chain(edits).collect()
}
