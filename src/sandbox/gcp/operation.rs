//! Long-running operations: a change becomes visible when its operation is done, and that takes more than one poll.
//!
//! A [`Row`] holds what is and what will be. Which of the two a reader sees follows from the operation alone, so
//! nothing has to run in the background.

use jiff::{SignedDuration, Timestamp};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use sha2::{Digest as _, Sha256};

use super::refusal::Refusal;
use crate::sandbox::{Record, World};

/// An operation is done at this poll.
const POLLS: u32 = 2;
/// Or after so long, for those who never poll.
const PATIENCE: SignedDuration = SignedDuration::from_secs(5);

/// A long-running operation; its key is its name.
#[derive(Serialize, Deserialize)]
pub(super) struct Operation {
    started: Timestamp,
    polls: u32,
    metadata: Json,
    response: Json,
}

impl Record for Operation {
    const TABLE: &'static str = "gcp.operation";
}

impl Operation {
    fn is_done(&self, now: Timestamp) -> bool {
        self.polls >= POLLS || now.duration_since(self.started) >= PATIENCE
    }

    fn json(&self, name: &str, now: Timestamp) -> Json {
        let mut json = json!({ "name": name, "metadata": self.metadata });
        if self.is_done(now) {
            json["done"] = Json::Bool(true);
            json["response"] = self.response.clone();
        }
        json
    }
}

/// Starts an operation under a fresh name below `prefix`; returns the name and the reply. `metadata` and `response`
/// bear their `@type`.
pub(super) fn start(world: &mut World, prefix: &str, metadata: Json, response: Json) -> (String, Json) {
    let name = fresh(world, prefix, &metadata);
    let operation = Operation { started: world.now(), polls: 0, metadata, response };
    let reply = operation.json(&name, world.now());
    world.put(&name, &operation);
    (name, reply)
}

/// A name that no operation has. It follows from what the operation is about, not from the order in which requests
/// that are under way at once happen to arrive: a simulation that runs again meets the same names.
fn fresh(world: &World, prefix: &str, metadata: &Json) -> String {
    let about = metadata.to_string();
    let mut nth = 0_u32;
    loop {
        let digest = Sha256::digest(format!("{prefix}\n{about}\n{nth}"));
        let letter = |byte: &u8| char::from(b"abcdefghijklmnopqrstuvwxyz234567"[usize::from(byte & 31)]);
        let name = format!("{prefix}{}", digest.iter().take(26).map(letter).collect::<String>());
        if world.get::<Operation>(&name).is_none() {
            return name;
        }
        nth += 1;
    }
}

/// Answers a poll.
pub(super) fn poll(world: &mut World, name: &str) -> Result<Json, Refusal> {
    let Some(mut operation) = world.get::<Operation>(name) else { return Err(Refusal::not_found()) };
    operation.polls = operation.polls.saturating_add(1).min(POLLS);
    world.put(name, &operation);
    Ok(operation.json(name, world.now()))
}

/// A thing that changes by long-running operations.
pub(super) trait Slow: Serialize + DeserializeOwned {
    /// Its table.
    const TABLE: &'static str;
}

/// What is, and what will be.
#[derive(Serialize, Deserialize)]
#[serde(bound = "T: Slow")]
struct Row<T> {
    now: Option<T>,
    next: Option<Next<T>>,
}

/// What will be when an operation is done; `None` means gone.
#[derive(Serialize, Deserialize)]
#[serde(bound = "T: Slow")]
struct Next<T> {
    value: Option<T>,
    operation: String,
}

impl<T: Slow> Record for Row<T> {
    const TABLE: &'static str = T::TABLE;
}

/// A thing as it is seen now.
pub(super) struct Seen<T> {
    /// What readers get.
    pub(super) now: Option<T>,
    /// Whether an operation on it is running.
    pub(super) busy: bool,
}

/// Looks at a thing.
pub(super) fn look<T: Slow>(world: &World, key: &str) -> Seen<T> {
    match world.get::<Row<T>>(key) {
        Some(row) => settle(world, row),
        None => Seen { now: None, busy: false },
    }
}

/// Every visible thing whose key begins with `prefix`, sorted by key.
pub(super) fn list<T: Slow>(world: &World, prefix: &str) -> Vec<(String, T)> {
    let rows = world.list::<Row<T>>(prefix).into_iter();
    rows.filter_map(|(key, row)| Some((key, settle(world, row).now?))).collect()
}

/// Makes a thing become `value` when `operation` is done.
pub(super) fn become_<T: Slow>(world: &mut World, key: &str, value: Option<T>, operation: String) {
    let now = look::<T>(world, key).now;
    world.put(key, &Row { now, next: Some(Next { value, operation }) });
}

fn settle<T: Slow>(world: &World, row: Row<T>) -> Seen<T> {
    match row.next {
        None => Seen { now: row.now, busy: false },
        Some(next) => {
            let done = world.get::<Operation>(&next.operation).is_none_or(|it| it.is_done(world.now()));
            if done { Seen { now: next.value, busy: false } } else { Seen { now: row.now, busy: true } }
        }
    }
}
