//! The journal as a file: one line for everything that became durable together.
//!
//! Each line is a JSON object that begins with a check sum of the rest. A process that was killed while it wrote
//! leaves a torn last line: it is passed over, because nothing was sent on the strength of it. A line that does not
//! hold with others behind it is damage, and no journal is made of it.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::model::{Entry, Journal, Misplaced, State};

/// What stands in a journal's first line.
const FORMAT: &str = "mcm-journal";
/// The one version there is.
pub(super) const VERSION: u32 = 1;
/// What a line begins with, before the sixteen digits of its check sum.
const START: &str = r#"{"check":""#;

/// A line without its check sum.
#[derive(Debug, Serialize, Deserialize)]
struct Line<'a> {
    /// What file this is: in every line, so that none stands alone.
    format: String,
    version: u32,
    stack: String,
    /// The state's serial after this line.
    serial: u64,
    entries: std::borrow::Cow<'a, [Entry]>,
}

/// Why a file is no journal.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unreadable {
    /// A line in the midst of others does not hold.
    #[error("line {line} is damaged")]
    Damaged {
        /// Which, from 1.
        line: usize,
    },
    /// A newer mcm wrote it.
    #[error("it has format {found}; this mcm reads up to {VERSION}")]
    Newer {
        /// Its version.
        found: u32,
    },
    /// It is another stack's.
    #[error("it is the journal of the stack `{0}`")]
    OtherStack(String),
    /// An entry cannot come where it stands.
    #[error("line {line} does not fit: {source}")]
    Misplaced {
        /// Which, from 1.
        line: usize,
        /// Why.
        source: Misplaced,
    },
}

/// A journal that was read.
#[derive(Debug, Default)]
pub(super) struct Reading {
    /// The runs that are not over.
    pub(super) journal: Journal,
    /// Whose it is; `None` for an empty file.
    pub(super) stack: Option<String>,
    /// So many bytes hold whole lines; what follows is torn.
    pub(super) whole: usize,
    /// The serial up to which everything is over.
    pub(super) over: u64,
}

/// Writes a line.
pub(super) fn line(stack: &str, serial: u64, entries: &[Entry]) -> serde_json::Result<Vec<u8>> {
    let (format, version) = (FORMAT.to_owned(), VERSION);
    let rest = serde_json::to_vec(&Line {
        format,
        version,
        stack: stack.to_owned(),
        serial,
        entries: entries.into(),
    })?;
    let rest = &rest[1..];
    let mut text = format!("{START}{}\",", check(rest)).into_bytes();
    text.extend_from_slice(rest);
    text.push(b'\n');
    Ok(text)
}

/// Reads a journal; what it says of ownership and `state` does not know yet is taken over.
///
/// Lines up to the serial `over` belong to runs that are over, whatever is left of them: a journal is taken away
/// first to last, and a run that had lost its lock may have added one more.
pub(super) fn read(text: &[u8], state: &mut State, over: u64) -> Result<Reading, Unreadable> {
    let mut reading = Reading { over, ..Reading::default() };
    let mut lines = text.split_inclusive(|byte| *byte == b'\n').enumerate().peekable();
    while let Some((index, bytes)) = lines.next() {
        let number = index + 1;
        let Some(line) = parse(bytes) else {
            if lines.peek().is_some() || hides_a_line(bytes) {
                return Err(Unreadable::Damaged { line: number });
            }
            break;
        };
        if line.version > VERSION {
            return Err(Unreadable::Newer { found: line.version });
        }
        if let Some(stack) = reading.stack.as_ref().filter(|stack| **stack != line.stack) {
            return Err(Unreadable::OtherStack(stack.clone()));
        }
        let past = line.serial <= over;
        for entry in line.entries.iter().filter(|_| !past) {
            let journal = &mut reading.journal;
            journal.take(entry).map_err(|source| Unreadable::Misplaced { line: number, source })?;
            if line.serial > state.serial {
                state.follow(entry, journal);
            }
        }
        if line.entries.last() == Some(&Entry::Ended) {
            reading.over = reading.over.max(line.serial);
        }
        state.serial = state.serial.max(line.serial);
        reading.stack = Some(line.stack);
        reading.whole += bytes.len();
    }
    Ok(reading)
}

/// Whether a whole line stands behind a torn one: a torn line that nobody mended is damage, not an end.
fn hides_a_line(bytes: &[u8]) -> bool {
    let begins = |at: &usize| bytes[*at..].starts_with(START.as_bytes());
    (1..bytes.len()).filter(begins).any(|at| parse(&bytes[at..]).is_some())
}

/// A whole line whose check sum holds.
fn parse(bytes: &[u8]) -> Option<Line<'static>> {
    let text = bytes.strip_suffix(b"\n")?;
    let text = text.strip_prefix(START.as_bytes())?;
    let (sum, rest) = text.split_at_checked(16)?;
    let rest = rest.strip_prefix(b"\",")?;
    if check(rest).as_bytes() != sum {
        return None;
    }
    let line: Line<'static> = serde_json::from_slice(&[b"{", rest].concat()).ok()?;
    (line.format == FORMAT).then_some(line)
}

/// The first sixteen digits of the SHA-256 digest: against accidents, not against forgers.
fn check(rest: &[u8]) -> String {
    let mut digest = hex::encode(Sha256::digest(rest));
    digest.truncate(16);
    digest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Clouds, Digest, Mode, Run};

    fn began() -> Entry {
        Entry::Began(Run {
            id: "r".to_owned(),
            mode: Mode::Apply,
            began: jiff::Timestamp::UNIX_EPOCH,
            plan: Digest::default(),
            clouds: Clouds::default(),
        })
    }

    #[test]
    fn a_journal_cut_anywhere_is_one_of_its_beginnings() {
        let mut text = line("s", 1, &[began()]).unwrap();
        let first = text.len();
        text.extend(line("s", 2, &[began()]).unwrap());
        for cut in 0..=text.len() {
            let reading = read(&text[..cut], &mut State::default(), 0).unwrap();
            let whole = if cut == text.len() {
                cut
            } else if cut >= first {
                first
            } else {
                0
            };
            assert_eq!(reading.whole, whole, "cut at {cut}");
            assert_eq!(
                reading.journal.runs.len(),
                usize::from(cut >= first) + usize::from(cut == text.len())
            );
        }
    }

    #[test]
    fn any_changed_byte_before_the_last_line_is_damage() {
        let mut text = line("s", 1, &[began()]).unwrap();
        let first = text.len();
        text.extend(line("s", 2, &[began()]).unwrap());
        for at in 0..first {
            let mut damaged = text.clone();
            damaged[at] ^= 1;
            assert!(
                matches!(read(&damaged, &mut State::default(), 0), Err(Unreadable::Damaged { line: 1 })),
                "{at}"
            );
        }
    }

    #[test]
    fn what_is_left_of_a_run_that_is_over_is_passed_over() {
        let stray = line("s", 2, &[Entry::Undoing { deed: crate::model::DeedId(0) }]).unwrap();
        let fresh = line("s", 8, &[began()]).unwrap();
        let reading = read(&stray, &mut State::default(), 7).unwrap();
        assert!(!reading.journal.is_open());
        let text = [stray, fresh, line("s", 9, &[Entry::Ended]).unwrap()].concat();
        let reading = read(&text, &mut State::default(), 7).unwrap();
        assert_eq!((reading.journal.is_open(), reading.over, reading.whole), (false, 9, text.len()));
    }

    #[test]
    fn an_entry_out_of_place_is_refused() {
        let text = line("s", 1, &[Entry::Undoing { deed: crate::model::DeedId(0) }]).unwrap();
        assert!(matches!(read(&text, &mut State::default(), 0), Err(Unreadable::Misplaced { line: 1, .. })));
    }
}
