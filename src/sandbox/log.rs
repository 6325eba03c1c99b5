//! The world on disk: `world.jsonl`, one line for each request that changed anything.
//!
//! A line is written before its request is answered, in one piece. A process killed while writing leaves a torn
//! last line, which is cut off at the next opening: its request was never answered. The log is rewritten once it is
//! mostly history, at opening and, when it is long, while it is written to; and so is large content thrown away that
//! nothing names any more.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::blobs::Blobs;
use super::world::Change;
use super::{Accounts, World, files};

/// Below this many bytes a log is not worth rewriting.
const SMALL: u64 = 256 * 1024;
/// A log is rewritten when it has this many changes for each record that is left.
const HISTORY: usize = 3;

/// A log is rewritten while it is written to when it is longer than this, in bytes,
const LONG: u64 = 64 * 1024 * 1024;
/// and so many times longer than when it was last rewritten.
const TIMES: u64 = 4;
/// After so many bytes of large content it is looked for what nothing names any more.
const LARGE: u64 = 256 * 1024 * 1024;

/// The open log of a world.
#[derive(Debug)]
pub struct Log {
    file: File,
    /// Bytes that hold whole lines.
    length: u64,
    folder: PathBuf,
    /// How long it was at the beginning, or when it was last rewritten.
    before: u64,
    /// The bounds.
    long: u64,
    large: u64,
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
        let mut file = files::append(&path(folder))?;
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
        let mut log =
            Self { file, length, folder: folder.to_owned(), before: length, long: LONG, large: LARGE };
        if length > SMALL && changes > HISTORY * world.records().count() {
            log.rewrite(world)?;
        }
        Ok(log)
    }

    /// Rewrites the log, and throws large content away that nothing names any more, where there is much of either.
    /// Where that cannot be done it is not done: the log is good as it is.
    pub fn tidy(&mut self, world: &mut World) {
        if self.length > self.long && self.length > TIMES.saturating_mul(self.before) {
            // Where it fails, it is tried again when the log is longer still.
            self.before = self.length;
            let _ = self.rewrite(world);
        }
        if world.put_bytes() > self.large {
            world.forget_put_bytes();
            let _ = Blobs::sweep(&self.folder.join("blobs"), &digests(world));
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

    fn rewrite(&mut self, world: &World) -> io::Result<()> {
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
        self.file = files::replace(&path(&self.folder), &text)?;
        self.length = text.len() as u64;
        self.before = self.length;
        Ok(())
    }
}

fn path(folder: &Path) -> PathBuf {
    folder.join("world.jsonl")
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
    world.last_before().for_each(|json| walk(json, &mut found));
    found
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::sandbox::{Clock, Record};

    #[derive(Serialize, Deserialize, PartialEq, Debug)]
    struct Note(String);

    impl Record for Note {
        const TABLE: &'static str = "note";
    }

    #[test]
    fn a_log_does_not_grow_for_ever() {
        let folder = tempfile::tempdir().unwrap();
        let new = || World::new(Clock::System, 1, Accounts::default());
        let mut world = new();
        let mut log = Log::open(folder.path(), &mut world).unwrap();
        (log.long, log.large) = (10_000, 50_000);
        let mut longest = 0;
        for n in 0..2000 {
            let digest = world.put_blob(&Bytes::from(format!("{n:0>1000}")));
            world.put("same", &Note(digest));
            world.commit(|random, changes| log.append(random, changes)).unwrap();
            log.tidy(&mut world);
            longest = longest.max(std::fs::metadata(path(folder.path())).unwrap().len());
        }
        assert!(longest < 11_000, "{longest}");
        let blobs = std::fs::read_dir(folder.path().join("blobs")).unwrap().count();
        assert!(blobs < 60, "{blobs}");
        drop(log);
        let mut again = new();
        Log::open(folder.path(), &mut again).unwrap();
        let note = again.get::<Note>("same").unwrap();
        assert_eq!(again.blob(&note.0).unwrap(), format!("{:0>1000}", 1999));
        assert_eq!(again.random_state(), world.random_state());
    }
}
