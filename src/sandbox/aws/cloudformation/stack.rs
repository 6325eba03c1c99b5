//! What CloudFormation keeps: stacks with what they hold, their events and their change sets.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::evaluate::{Scope, Work};
use super::template::Template;
use crate::sandbox::{Record, World};

/// Where a stack's resources are made, and for whom.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Site {
    pub(super) account: String,
    pub(super) region: String,
    pub(super) stack_id: String,
    pub(super) stack_name: String,
    pub(super) tags: Vec<(String, String)>,
}

/// A stack, under its id, which is its ARN.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Stack {
    pub(super) site: Site,
    pub(super) created: Timestamp,
    pub(super) updated: Option<Timestamp>,
    pub(super) deleted: Option<Timestamp>,
    /// `CREATE_COMPLETE` and the like.
    pub(super) status: String,
    pub(super) reason: Option<String>,
    pub(super) design: Design,
    /// By logical name.
    pub(super) held: BTreeMap<String, Held>,
    pub(super) outputs: Vec<Output>,
    /// What of the account's exports this stack uses.
    pub(super) imports: Vec<String>,
    pub(super) protected: bool,
    /// What becomes of a creation that fails.
    pub(super) on_failure: OnFailure,
    /// The change set that was executed last.
    pub(super) change_set: Option<String>,
    /// The client's token of the last operation, and which operation that was.
    pub(super) token: Option<(String, String)>,
    /// What an update began with, until it is settled.
    pub(super) before: Option<Box<Before>>,
    /// The operation under way.
    pub(super) run: Option<Run>,
    /// How many events there are.
    pub(super) events: u32,
}

impl Record for Stack {
    const TABLE: &'static str = "aws.cloudformation.stack";
}

/// What a stack is to be.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Design {
    /// The template's text.
    pub(super) template: String,
    /// Every parameter of the template, with its value.
    pub(super) parameters: BTreeMap<String, String>,
    pub(super) capabilities: Vec<String>,
    pub(super) role: Option<String>,
    pub(super) tags: Vec<(String, String)>,
    pub(super) notifications: Vec<String>,
}

/// What becomes of a creation or an update that fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum OnFailure {
    #[default]
    Rollback,
    Delete,
    Nothing,
}

/// A resource that a stack holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Held {
    pub(super) kind: String,
    /// Empty while there is nothing yet.
    pub(super) physical: String,
    pub(super) attributes: BTreeMap<String, Json>,
    /// As they were asked for, evaluated.
    pub(super) properties: Json,
    pub(super) status: String,
    pub(super) reason: Option<String>,
    pub(super) updated: Timestamp,
    /// The resources that it needs.
    pub(super) needs: Vec<String>,
    pub(super) deletion: String,
    pub(super) replacing: String,
    /// Whether an update that did not end well may have changed it.
    pub(super) touched: bool,
}

/// A value that a stack tells.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Output {
    pub(super) name: String,
    pub(super) value: String,
    pub(super) description: Option<String>,
    pub(super) export: Option<String>,
}

/// What an update began with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Before {
    pub(super) design: Design,
    pub(super) held: BTreeMap<String, Held>,
    pub(super) outputs: Vec<Output>,
    /// What its rollback has yet to delete.
    pub(super) leftovers: Vec<Leftover>,
}

/// An operation under way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Run {
    pub(super) phase: Phase,
    pub(super) tasks: Vec<Task>,
    /// What is left behind by replacements and removals, to be deleted in the end.
    pub(super) leftovers: Vec<Leftover>,
    /// Resources that are not to be deleted, or not to be rolled back.
    pub(super) skipped: Vec<String>,
    /// When it went on last.
    pub(super) since: Timestamp,
}

/// What an operation is about just now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Phase {
    Create,
    /// Taking back a creation.
    Rollback,
    Update,
    /// After an update: what is not needed any more goes.
    Cleanup,
    UpdateRollback,
    /// After the rollback of an update: what it made goes.
    RollbackCleanup,
    Delete,
}

/// One resource's part in a phase.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Task {
    pub(super) name: String,
    /// Which tasks must be done before.
    pub(super) after: Vec<String>,
    pub(super) state: TaskState,
    /// In a cleanup: which of the leftovers.
    pub(super) leftover: Option<usize>,
}

/// How far a task is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum TaskState {
    Waiting,
    /// Said to be in progress; nothing has been done.
    Begun,
    /// Done, and not yet said so. Whether it has been made anew.
    Initiated {
        anew: bool,
    },
    Done,
    Failed,
}

/// A thing that its stack has no use for any more.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Leftover {
    pub(super) name: String,
    pub(super) held: Held,
    /// Whether a replacement left it behind.
    pub(super) replaced: bool,
}

/// One event, under `STACK-ID#number`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Event {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) physical: String,
    pub(super) kind: String,
    pub(super) time: Timestamp,
    pub(super) status: String,
    pub(super) reason: Option<String>,
    pub(super) properties: Option<String>,
    pub(super) token: Option<String>,
}

impl Record for Event {
    const TABLE: &'static str = "aws.cloudformation.event";
}

/// Which stack bears a name: its id, under `ACCOUNT/REGION/NAME`.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Named(pub(super) String);

impl Record for Named {
    const TABLE: &'static str = "aws.cloudformation.name";
}

/// Which stacks have an operation under way, by their id.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Running {}

impl Record for Running {
    const TABLE: &'static str = "aws.cloudformation.running";
}

impl Held {
    /// Whether it was deleted or let go.
    pub(super) fn is_gone(&self) -> bool {
        matches!(self.status.as_str(), "DELETE_COMPLETE" | "DELETE_SKIPPED")
    }
}

impl Task {
    pub(super) fn new(name: &str, after: Vec<String>) -> Self {
        Self { name: name.to_owned(), after, state: TaskState::Waiting, leftover: None }
    }
}

impl Phase {
    /// Whether one failure ends it; otherwise what does not depend on the failed goes on.
    pub(super) fn stops_at_failure(self) -> bool {
        matches!(self, Self::Create | Self::Update)
    }
}

impl Stack {
    pub(super) fn id(&self) -> &str {
        &self.site.stack_id
    }

    pub(super) fn name(&self) -> &str {
        &self.site.stack_name
    }

    /// Whether an operation is under way.
    pub(super) fn is_busy(&self) -> bool {
        self.run.is_some()
    }

    /// Keeps it, and the tables that say where it stands.
    pub(super) fn save(&self, world: &mut World) {
        let id = self.id();
        world.put(id, self);
        let name = format!("{}/{}/{}", self.site.account, self.site.region, self.site.stack_name);
        if self.status == "DELETE_COMPLETE" {
            if world.get::<Named>(&name).is_some_and(|named| named.0 == id) {
                world.remove::<Named>(&name);
            }
        } else if !world.has::<Named>(&name) {
            world.put(&name, &Named(id.to_owned()));
        }
        match self.run {
            Some(_) if !world.has::<Running>(id) => world.put(id, &Running {}),
            Some(_) => {}
            None => {
                world.remove::<Running>(id);
            }
        }
    }

    /// Notes an event of the stack itself, and its new status.
    pub(super) fn turn(&mut self, world: &mut World, status: &str, reason: Option<&str>) {
        status.clone_into(&mut self.status);
        self.reason = reason.map(str::to_owned);
        let (name, id) = (self.name().to_owned(), self.id().to_owned());
        let subject = Subject { name: &name, physical: &id, kind: "AWS::CloudFormation::Stack" };
        self.note(world, &subject, status, reason, None);
    }

    /// Notes an event.
    pub(super) fn note(
        &mut self,
        world: &mut World,
        subject: &Subject<'_>,
        status: &str,
        reason: Option<&str>,
        properties: Option<String>,
    ) {
        let id = if subject.physical == self.id() {
            world.uuid()
        } else {
            // Several events may be of one instant: the last digits tell them apart.
            let time = world.now().strftime("%Y-%m-%dT%H:%M:%S.%3f");
            format!("{}-{status}-{time}{:03}Z", subject.name, self.events % 1000)
        };
        let event = Event {
            id,
            name: subject.name.to_owned(),
            physical: subject.physical.to_owned(),
            kind: subject.kind.to_owned(),
            time: world.now(),
            status: status.to_owned(),
            reason: reason.map(str::to_owned),
            properties,
            token: self.token.as_ref().map(|(token, _)| token.clone()),
        };
        // Counted down, so that the newest stands first.
        let number = u32::MAX - self.events;
        self.events += 1;
        world.put(&format!("{}#{number:010}", self.id()), &event);
    }

    /// What its expressions are evaluated with.
    pub(super) fn scope<'a>(
        &'a self,
        template: &'a Template,
        exports: &'a BTreeMap<String, String>,
    ) -> Scope<'a> {
        Scope {
            template,
            parameters: &self.design.parameters,
            site: &self.site,
            held: &self.held,
            exports,
            ahead: false,
            renewed: &[],
            work: Work::default(),
        }
    }
}

/// What an event is about.
pub(super) struct Subject<'a> {
    pub(super) name: &'a str,
    pub(super) physical: &'a str,
    pub(super) kind: &'a str,
}

/// The stack of that name, or of that id even if it is gone.
pub(super) fn find(world: &World, account: &str, region: &str, name_or_id: &str) -> Option<Stack> {
    let id = if name_or_id.starts_with("arn:") {
        name_or_id.to_owned()
    } else {
        world.get::<Named>(&format!("{account}/{region}/{name_or_id}"))?.0
    };
    let stack = world.get::<Stack>(&id)?;
    (stack.site.account == account && stack.site.region == region).then_some(stack)
}

/// Every stack of an account and region, those that are gone included.
pub(super) fn all(world: &World, account: &str, region: &str) -> Vec<Stack> {
    let prefix = format!("arn:aws:cloudformation:{region}:{account}:stack/");
    world.list::<Stack>(&prefix).into_iter().map(|(_, stack)| stack).collect()
}

/// What the stacks of an account and region export: name -> value.
pub(super) fn exports(world: &World, account: &str, region: &str) -> BTreeMap<String, String> {
    let live = all(world, account, region).into_iter().filter(|stack| stack.deleted.is_none());
    let outputs = live.flat_map(|stack| stack.outputs);
    outputs.filter_map(|output| Some((output.export?, output.value))).collect()
}
