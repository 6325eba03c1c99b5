//! The world on disk: `world.jsonl`, one line for each request that changed anything.
//!
//! A line is written before its request is answered, in one piece. A process killed while writing leaves a torn
//! last line, which is cut off at the next opening: its request was never answered. The log is rewritten at
//! opening, once it is mostly history.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::blobs::Blobs;
use super::world::Change;
use super::{Accounts, World, files};

/// Below this many bytes a log is not worth rewriting.
const SMALL: u64 = 256 * 1024;
/// A log is rewritten when it has this many changes for each record that is left.
const HISTORY: usize = 3;

/// The open log of a world.
#[derive(Debug)]
pub struct Log {
    file: File,
    /// Bytes that hold whole lines.
    length: u64,
}

/// One request's mark on the world.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Line<'a> {
    /// Where the randomness stood afterwards.
    random: u64,
    /// Every account played, when that has changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    accounts: Option<Accounts>,
    #[serde(default, skip_serializing_if = "<[Change]>::is_empty")]
    changes: Cow<'a, [Change]>,
}

impl Log {
    /// Reads the folder's log into `world`, and goes on writing to it. The world's large content is kept in the
    /// folder from then on. The caller holds the folder's lock.
    pub fn open(folder: &Path, world: &mut World) -> io::Result<Self> {
        let path = folder.join("world.jsonl");
        let mut file = files::append(&path)?;
        let mut text = Vec::new();
        file.read_to_end(&mut text)?;
        let (length, changes) = replay(&text, world)?;
        if length < text.len() as u64 {
            file.set_len(length)?;
        }
        let blobs = folder.join("blobs");
        files::folder(&blobs)?;
        Blobs::sweep(&blobs, &digests(world))?;
        world.keep_blobs(Blobs::Folder(blobs));
        if length > SMALL && changes > HISTORY * world.records().count() {
            Self::rewrite(&path, world)
        } else {
            Ok(Self { file, length })
        }
    }

    /// Writes one request's changes. When this returns, a killed process does not lose them; when it fails,
    /// nothing of them is left.
    pub fn append(&mut self, random: u64, changes: &[Change]) -> io::Result<()> {
        self.write(&Line { random, accounts: None, changes: Cow::Borrowed(changes) })
    }

    /// Writes which accounts are played from now on.
    pub fn admit(&mut self, random: u64, accounts: &Accounts) -> io::Result<()> {
        self.write(&Line { random, accounts: Some(accounts.clone()), changes: Cow::default() })
    }

    fn write(&mut self, line: &Line<'_>) -> io::Result<()> {
        let mut text = serde_json::to_vec(line)?;
        text.push(b'\n');
        if let Err(error) = self.file.write_all(&text) {
            self.file.set_len(self.length)?;
            return Err(error);
        }
        self.length += text.len() as u64;
        Ok(())
    }

    fn rewrite(path: &Path, world: &World) -> io::Result<Self> {
        let random = world.random_state();
        let mut text = serde_json::to_vec(&Line {
            random,
            accounts: Some(world.accounts().clone()),
            changes: Cow::default(),
        })?;
        text.push(b'\n');
        for (table, key, value) in world.records() {
            let changes = vec![(table.to_owned(), key.to_owned(), Some(value.clone()))];
            serde_json::to_writer(&mut text, &Line { random, accounts: None, changes: changes.into() })?;
            text.push(b'\n');
        }
        files::replace(path, &text)?;
        Ok(Self { file: files::append(path)?, length: text.len() as u64 })
    }
}

/// Replays whole lines; returns how many bytes they take, and how many changes they hold.
fn replay(text: &[u8], world: &mut World) -> io::Result<(u64, usize)> {
    let (mut length, mut count) = (0, 0);
    for (number, text) in text.split_inclusive(|byte| *byte == b'\n').enumerate() {
        if text.last() != Some(&b'\n') {
            break;
        }
        let line: Line<'_> = serde_json::from_slice(text).map_err(|error| {
            io::Error::new(io::ErrorKind::InvalidData, format!("world.jsonl, line {}: {error}", number + 1))
        })?;
        world.set_random_state(line.random);
        if let Some(accounts) = &line.accounts {
            world.admit(accounts);
        }
        count += line.changes.len();
        for (table, key, value) in line.changes.into_owned() {
            world.replay(&table, &key, value);
        }
        length += text.len() as u64;
    }
    Ok((length, count))
}

/// Every text in the world that could be a blob's name.
fn digests(world: &World) -> BTreeSet<String> {
    fn walk(json: &Json, found: &mut BTreeSet<String>) {
        match json {
            Json::String(text) if text.len() == 64 => {
                found.insert(text.clone());
            }
            Json::Array(items) => items.iter().for_each(|item| walk(item, found)),
            Json::Object(fields) => fields.values().for_each(|value| walk(value, found)),
            Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => {}
        }
    }
    let mut found = BTreeSet::new();
    world.records().for_each(|(_, _, json)| walk(json, &mut found));
    found
}
