//! The state of the three clouds: typed tables, a clock, randomness. Adapters change it, nothing else does.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use bytes::Bytes;
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::blobs::Blobs;
use super::credentials::Credentials;

/// A kind of thing that a cloud holds. Each service's file declares its own records: the world needs no list.
pub trait Record: Serialize + DeserializeOwned {
    /// The table's name, unique in the world: `aws.iam.role`.
    const TABLE: &'static str;
}

/// Where time comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clock {
    /// The machine's clock.
    System,
    /// Stands still unless moved, for simulation.
    Fixed(Timestamp),
    /// The runtime's clock, which may be simulated: this was the time at that instant.
    Runtime(Timestamp, tokio::time::Instant),
}

/// The accounts that the sandbox plays: the stack's, and no others are known to exist.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accounts {
    /// AWS account ids.
    pub aws: BTreeSet<String>,
    /// Google project ids; the number follows from the id.
    pub gcp: BTreeSet<String>,
    /// Azure subscription ids, lower case.
    pub azure: BTreeSet<String>,
}

/// One record's change: table, key, and the new value, or `None` where it was taken out.
pub type Change = (String, String, Option<Json>);

/// The three clouds' state.
#[derive(Debug)]
pub struct World {
    tables: BTreeMap<String, BTreeMap<String, Json>>,
    /// What the request being answered has changed, for the log.
    changes: Vec<Change>,
    /// What stood there before each of the changes, to take them back.
    before: Vec<Option<Json>>,
    /// The last change that was committed, with what stood there before.
    last: Vec<(Change, Option<Json>)>,
    blobs: Blobs,
    /// How much large content was put since this was last forgotten, in bytes.
    put_bytes: u64,
    /// The first large content of this request that could not be kept.
    failure: Option<io::Error>,
    clock: Clock,
    random: u64,
    credentials: Credentials,
    accounts: Accounts,
    /// Whether something waits to be done that no request asks for.
    awake: bool,
}

impl World {
    /// An empty world. The same seed gives the same ids.
    pub fn new(clock: Clock, seed: u64, accounts: Accounts) -> Self {
        Self {
            tables: BTreeMap::new(),
            changes: Vec::new(),
            before: Vec::new(),
            last: Vec::new(),
            blobs: Blobs::default(),
            put_bytes: 0,
            failure: None,
            clock,
            random: seed,
            credentials: Credentials::known(),
            accounts,
            awake: false,
        }
    }

    /// The record under this key.
    pub fn get<R: Record>(&self, key: &str) -> Option<R> {
        let json = self.tables.get(R::TABLE)?.get(key)?;
        serde_json::from_value(json.clone()).ok()
    }

    /// Whether there is one.
    pub fn has<R: Record>(&self, key: &str) -> bool {
        self.tables.get(R::TABLE).is_some_and(|table| table.contains_key(key))
    }

    /// Puts or replaces the record under this key.
    pub fn put<R: Record>(&mut self, key: &str, record: &R) {
        let json = serde_json::to_value(record).unwrap_or_default();
        self.changes.push((R::TABLE.to_owned(), key.to_owned(), Some(json.clone())));
        let old = self.tables.entry(R::TABLE.to_owned()).or_default().insert(key.to_owned(), json);
        self.before.push(old);
    }

    /// Takes the record under this key out; `true` if there was one.
    pub fn remove<R: Record>(&mut self, key: &str) -> bool {
        let removed = self.tables.get_mut(R::TABLE).and_then(|table| table.remove(key));
        let was_there = removed.is_some();
        if was_there {
            self.changes.push((R::TABLE.to_owned(), key.to_owned(), None));
            self.before.push(removed);
        }
        was_there
    }

    /// Every record whose key begins with `prefix`, sorted by key.
    pub fn list<R: Record>(&self, prefix: &str) -> Vec<(String, R)> {
        let Some(table) = self.tables.get(R::TABLE) else { return Vec::new() };
        table
            .range(prefix.to_owned()..)
            .take_while(|(key, _)| key.starts_with(prefix))
            .filter_map(|(key, json)| Some((key.clone(), serde_json::from_value(json.clone()).ok()?)))
            .collect()
    }

    /// The time now.
    pub fn now(&self) -> Timestamp {
        match self.clock {
            Clock::System => Timestamp::now(),
            Clock::Fixed(instant) => instant,
            Clock::Runtime(then, since) => then + since.elapsed(),
        }
    }

    /// Moves the clock; only a fixed one can be moved.
    pub fn set_clock(&mut self, clock: Clock) {
        self.clock = clock;
    }

    /// So many random hex digits (splitmix64: ids, never keys that guard anything).
    pub fn hex(&mut self, digits: usize) -> String {
        let mut text = String::with_capacity(digits + 16);
        while text.len() < digits {
            text.push_str(&hex::encode(self.next().to_be_bytes()));
        }
        text.truncate(digits);
        text
    }

    /// So many characters out of `alphabet` that nobody can guess who does not have the secret: keys and tokens.
    pub fn secret(&mut self, length: usize, alphabet: &[u8]) -> String {
        let seed = self.hex(32);
        let mut bytes = Vec::with_capacity(length + 32);
        for part in 0.. {
            if bytes.len() >= length {
                break;
            }
            bytes.extend(self.credentials.derived("secret", &format!("{seed} {part}")));
        }
        let letter = |byte: &u8| char::from(alphabet[usize::from(*byte) % alphabet.len()]);
        bytes[..length].iter().map(letter).collect()
    }

    /// What the owners of all accounts call with.
    pub fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    /// Says what they call with; what is known to all unless told.
    pub fn set_credentials(&mut self, credentials: Credentials) {
        self.credentials = credentials;
    }

    /// So many random characters out of `alphabet`.
    pub fn word(&mut self, length: usize, alphabet: &[u8]) -> String {
        (0..length)
            .map(|_| {
                let index = usize::try_from(self.next() % alphabet.len() as u64).unwrap_or_default();
                char::from(alphabet[index])
            })
            .collect()
    }

    /// A random UUID, version 4.
    pub fn uuid(&mut self) -> String {
        let hex = self.hex(32);
        format!("{}-{}-4{}-a{}-{}", &hex[..8], &hex[8..12], &hex[13..16], &hex[17..20], &hex[20..32])
    }

    /// The accounts that exist.
    pub fn accounts(&self) -> &Accounts {
        &self.accounts
    }

    /// Adds accounts: the sandbox plays whatever the stacks that use it name.
    pub fn admit(&mut self, accounts: &Accounts) {
        self.accounts.aws.extend(accounts.aws.iter().cloned());
        self.accounts.gcp.extend(accounts.gcp.iter().cloned());
        self.accounts.azure.extend(accounts.azure.iter().map(|id| id.to_lowercase()));
    }

    /// Says that there is something to be done that no request asks for: an event that is to be delivered.
    pub fn wake(&mut self) {
        self.awake = true;
    }

    /// Whether anybody has said so since this was last asked.
    pub fn take_wake(&mut self) -> bool {
        std::mem::take(&mut self.awake)
    }

    /// Keeps large content and returns its name, the hexadecimal SHA-256 digest. Content that no record names
    /// any more is thrown away one day, at the latest when the world is next opened.
    pub fn put_blob(&mut self, content: &Bytes) -> String {
        let digest = Blobs::name(content);
        self.put_bytes = self.put_bytes.saturating_add(content.len() as u64);
        if let Err(error) = self.blobs.put(&digest, content) {
            self.failure.get_or_insert(error);
        }
        digest
    }

    /// The content of that name.
    pub fn blob(&self, digest: &str) -> Option<Bytes> {
        self.blobs.get(digest)
    }

    /// Ends a request: `write` makes what it has changed outlast the process. When that fails, or large content
    /// could not be kept, every change is taken back: the request did not happen.
    pub fn commit(&mut self, write: impl FnOnce(u64, &[Change]) -> io::Result<()>) -> io::Result<()> {
        let changes = std::mem::take(&mut self.changes);
        let before = std::mem::take(&mut self.before);
        let written = match self.failure.take() {
            Some(error) => Err(error),
            None if changes.is_empty() => Ok(()),
            None => write(self.random, &changes),
        };
        if written.is_err() {
            self.restore(changes, before);
        } else if !changes.is_empty() {
            self.last = changes.into_iter().zip(before).collect();
        }
        written
    }

    /// Takes back what was changed since the last commit, if anything: a request that died in its midst.
    pub fn discard(&mut self) {
        self.failure = None;
        let changes = std::mem::take(&mut self.changes);
        let before = std::mem::take(&mut self.before);
        self.restore(changes, before);
    }

    fn restore(&mut self, changes: Vec<Change>, before: Vec<Option<Json>>) {
        for ((table, key, _), old) in changes.into_iter().zip(before).rev() {
            self.replay(&table, &key, old);
        }
    }

    /// Looks at the world as it was before its last change, changing nothing: what a cloud shows that is behind.
    pub fn before_last_change<T>(&mut self, look: impl FnOnce(&mut Self) -> T) -> T {
        let last = std::mem::take(&mut self.last);
        for ((table, key, _), old) in last.iter().rev() {
            self.replay(table, key, old.clone());
        }
        let seen = look(self);
        self.discard();
        for ((table, key, new), _) in &last {
            self.replay(table, key, new.clone());
        }
        self.last = last;
        seen
    }

    /// A copy that goes its own way. Large content must be in memory.
    #[must_use]
    pub fn copy(&self) -> Self {
        Self {
            tables: self.tables.clone(),
            changes: Vec::new(),
            before: Vec::new(),
            last: self.last.clone(),
            blobs: self.blobs.clone(),
            put_bytes: self.put_bytes,
            failure: None,
            clock: self.clock,
            random: self.random,
            credentials: self.credentials.clone(),
            accounts: self.accounts.clone(),
            awake: self.awake,
        }
    }

    /// Replays a change from a log.
    pub fn replay(&mut self, table: &str, key: &str, value: Option<Json>) {
        let table = self.tables.entry(table.to_owned()).or_default();
        match value {
            Some(json) => table.insert(key.to_owned(), json),
            None => table.remove(key),
        };
    }

    /// Every record: table, key and value.
    pub fn records(&self) -> impl Iterator<Item = (&str, &str, &Json)> {
        self.tables.iter().flat_map(|(name, table)| {
            table.iter().map(move |(key, json)| (name.as_str(), key.as_str(), json))
        })
    }

    /// The values that stood where the last change was made.
    pub(super) fn last_before(&self) -> impl Iterator<Item = &Json> {
        self.last.iter().filter_map(|(_, before)| before.as_ref())
    }

    /// How much large content was put since this was last forgotten, in bytes.
    pub(super) fn put_bytes(&self) -> u64 {
        self.put_bytes
    }

    pub(super) fn forget_put_bytes(&mut self) {
        self.put_bytes = 0;
    }

    /// Where the randomness stands, so that it goes on after a restart instead of repeating itself.
    pub fn random_state(&self) -> u64 {
        self.random
    }

    /// Sets where the randomness goes on.
    pub fn set_random_state(&mut self, state: u64) {
        self.random = state;
    }

    /// Says where large content is kept; in memory unless told.
    pub fn keep_blobs(&mut self, blobs: Blobs) {
        self.blobs = blobs;
    }

    fn next(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }
}
