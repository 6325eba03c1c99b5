//! A stack, a sandbox and what the stack owns in it: the main road without the command line.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use mcm::engine::{self, Answer, Books, Request, Settings, Stop};
use mcm::model::*;
use mcm::provider::{self, Access, AwsAccess, AzureAccess, GcpAccess, Router};
use mcm::sandbox::{Accounts, Options, Session};
use mcm::stack::{Dialect, Source};
use tempfile::TempDir;

/// The accounts that the stacks of these tests live in.
pub const CLOUDS: &str = "\
clouds:
  aws: { account: \"123456789012\", region: us-east-1 }
  gcp: { project: lab-project }
  azure: { subscription: 00000000-0000-4000-8000-000000000000, resourceGroup: lab, location: eastus }
";

/// A folder with a stack file and a sandbox.
pub struct Lab {
    pub folder: TempDir,
    pub session: Session,
    pub state: State,
    pub catalogue: Catalogue,
    ledger: Forgetful,
}

/// State lives in the test's memory.
struct Forgetful;

impl Ledger for Forgetful {
    async fn record(&mut self, _entries: &[Entry], _state: &State) -> Result<(), LedgerError> {
        Ok(())
    }
}

impl Lab {
    pub async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let accounts = Accounts {
            aws: ["123456789012".to_owned()].into(),
            gcp: ["lab-project".to_owned()].into(),
            azure: ["00000000-0000-4000-8000-000000000000".to_owned()].into(),
        };
        let options =
            Options { data: folder.path().join("sandbox"), port: None, latency: Duration::ZERO, accounts };
        let session = Session::open(options).await.unwrap();
        let catalogue = provider::catalogue();
        Self { folder, session, state: State::default(), catalogue, ledger: Forgetful }
    }

    /// Reads a stack whose `resources` (and later sections) are given.
    pub fn stack(&self, sections: &str) -> Result<Stack, Diagnostics> {
        let file = self.folder.path().join("stack.yaml");
        std::fs::write(&file, format!("stack: lab\n{CLOUDS}{sections}")).unwrap();
        self.stack_at(&file)
    }

    /// Reads a stack file.
    pub fn stack_at(&self, file: &Path) -> Result<Stack, Diagnostics> {
        let source = Source { file: file.to_owned(), variables: Vec::new(), environment: Vec::new() };
        let dialect = Dialect {
            catalogue: &self.catalogue,
            trust: mcm::trust::expand,
            functions: mcm::lambda::expand,
            artifacts: &BTreeMap::new(),
        };
        mcm::stack::parse(&source, dialect).map(|(stack, _)| stack)
    }

    pub fn router(&self, stack: &Stack) -> Router {
        let Session { endpoints, credentials, .. } = &self.session;
        let keys = stack.clouds.aws.as_ref().map(|place| {
            let (id, secret) = credentials.aws_keys(&place.account);
            (id, Secret::new(secret))
        });
        let token = |token: &str| Some(Secret::new(token));
        let access = Access {
            aws: AwsAccess { endpoint: Some(endpoints.aws.clone()), keys, dial: None },
            gcp: GcpAccess {
                endpoint: Some(endpoints.gcp.clone()),
                token: token(&credentials.gcp_token()),
                dial: None,
            },
            azure: AzureAccess {
                endpoint: Some(endpoints.azure.clone()),
                token: token(&credentials.azure_token()),
                dial: None,
            },
        };
        Router::new(&stack.clouds, &access)
    }

    pub async fn observe(&self, stack: &Stack, mode: Mode) -> Inventory {
        let router = self.router(stack);
        match engine::observe(stack, &self.state, &Journal::default(), &self.catalogue, mode, &router).await {
            Ok(inventory) => inventory,
            Err(error) => panic!("{:#?}", error.0),
        }
    }

    pub async fn plan(&self, stack: &Stack, mode: Mode) -> Result<(Plan, Inventory), Diagnostics> {
        let inventory = self.observe(stack, mode).await;
        let (targets, excludes, now) = (Vec::new(), Vec::new(), Timestamp::UNIX_EPOCH);
        let request = Request { mode, targets, excludes, allow_recreate: true, now };
        let plan = engine::plan(stack, &self.state, &self.catalogue, &inventory, &request)?;
        Ok((plan, inventory))
    }

    pub async fn run(&mut self, stack: &Stack, mode: Mode) -> Outcome {
        let (plan, inventory) = self.plan(stack, mode).await.unwrap();
        let plan = engine::approve(plan, &inventory, &self.catalogue, Answer::Automatic).unwrap();
        let settings = Settings { parallelism: 16, rollback: true, now: Timestamp::UNIX_EPOCH };
        let router = self.router(stack);
        let (stop, mut journal) = (Stop::default(), Journal::default());
        engine::apply(
            plan,
            stack,
            &inventory,
            &self.catalogue,
            &mut Books::new(&mut self.state, &mut journal, &mut self.ledger),
            &router,
            settings,
            &stop,
            &|_| (),
        )
        .await
        .unwrap()
    }

    /// Applies, and expects that every step is done.
    pub async fn apply(&mut self, stack: &Stack) {
        let outcome = self.run(stack, Mode::Apply).await;
        assert!(matches!(outcome, Outcome::Applied { .. }), "{outcome:#?}");
    }
}
