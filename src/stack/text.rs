//! The text of a file, and places in it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::model::Location;

/// A line is quoted up to this many characters: a diagnostic is for a person, and memory has a bound.
const QUOTED: usize = 1000;

/// A file's text, with its lines found.
pub(super) struct Text {
    path: Arc<PathBuf>,
    whole: String,
    /// Where each line begins, in bytes.
    lines: Vec<usize>,
}

/// Some characters of a file, from `start` up to but without `end`.
#[derive(Clone)]
pub(super) struct Place {
    file: Arc<Text>,
    start: Mark,
    end: Mark,
}

/// A position in a file: line and column count from 1, the column in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Mark {
    pub(super) line: usize,
    pub(super) column: usize,
}

impl Text {
    /// Takes a file's text. Lines end as YAML's do: with LF, CR LF or CR.
    pub(super) fn new(path: &Path, text: String) -> Arc<Self> {
        let mut lines = vec![0];
        let bytes = text.as_bytes();
        for (index, byte) in bytes.iter().enumerate() {
            let ends = match byte {
                b'\n' => true,
                b'\r' => bytes.get(index + 1) != Some(&b'\n'),
                _ => false,
            };
            if ends {
                lines.push(index + 1);
            }
        }
        Arc::new(Self { path: Arc::new(path.to_owned()), whole: text, lines })
    }

    /// The file.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The whole text.
    pub(super) fn as_str(&self) -> &str {
        &self.whole
    }

    /// A line, counted from 1, without its break; empty past the end.
    fn line(&self, number: usize) -> &str {
        let Some(&start) = self.lines.get(number.wrapping_sub(1)) else { return "" };
        let end = self.lines.get(number).copied().unwrap_or(self.whole.len());
        self.whole[start..end].trim_end_matches(['\n', '\r'])
    }

    /// The byte at a mark, at most the end of its line.
    fn byte(&self, mark: Mark) -> usize {
        let Some(&start) = self.lines.get(mark.line.wrapping_sub(1)) else { return self.whole.len() };
        let line = self.line(mark.line);
        start + line.char_indices().nth(mark.column.saturating_sub(1)).map_or(line.len(), |(byte, _)| byte)
    }

    /// The mark of a byte at a character's boundary.
    fn mark(&self, byte: usize) -> Mark {
        let line = self.lines.partition_point(|&start| start <= byte);
        let start = self.lines.get(line - 1).copied().unwrap_or(0);
        Mark { line, column: self.whole[start..byte].chars().count() + 1 }
    }

    /// From one mark to another. A mark past the last line is brought back to the end of what is written.
    pub(super) fn place(self: &Arc<Self>, start: Mark, end: Mark) -> Place {
        Place { file: Arc::clone(self), start: self.clamp(start), end: self.clamp(end) }
    }

    fn clamp(&self, mark: Mark) -> Mark {
        if mark.line < self.lines.len() || (mark.line == self.lines.len() && !self.line(mark.line).is_empty())
        {
            return mark;
        }
        self.mark(self.whole.trim_end().len())
    }

    /// The character at a byte.
    pub(super) fn character(self: &Arc<Self>, byte: usize) -> Place {
        let width = self.whole[byte..].chars().next().map_or(0, char::len_utf8);
        Place { file: Arc::clone(self), start: self.mark(byte), end: self.mark(byte + width) }
    }

    /// The beginning of the file.
    pub(super) fn top(self: &Arc<Self>) -> Place {
        let mark = Mark { line: 1, column: 1 };
        self.place(mark, mark)
    }
}

impl Place {
    /// For a diagnostic: the line it begins on, and as much of the place as stands there.
    pub(super) fn location(&self) -> Location {
        let line = self.file.line(self.start.line);
        let end = if self.end.line == self.start.line {
            self.end.column
        } else {
            line.trim_end().chars().count() + 1
        };
        Location {
            file: Arc::clone(&self.file.path),
            line: self.start.line,
            column: self.start.column,
            length: end.saturating_sub(self.start.column),
            text: line.chars().take(QUOTED).collect(),
        }
    }

    /// The characters themselves, as written.
    pub(super) fn raw(&self) -> &str {
        let (start, end) = (self.file.byte(self.start), self.file.byte(self.end));
        &self.file.whole[start..end.max(start)]
    }

    /// The place of `needle` within this one, at its `nth` occurrence from 0; this place if it is not there as
    /// such (because it is written with escapes).
    pub(super) fn within(&self, needle: &str, nth: usize) -> Self {
        let start = self.file.byte(self.start);
        let Some((offset, _)) = self.raw().match_indices(needle).nth(nth) else { return self.clone() };
        let (from, to) = (start + offset, start + offset + needle.len());
        Self { file: Arc::clone(&self.file), start: self.file.mark(from), end: self.file.mark(to) }
    }

    /// From here to the beginning of another place.
    pub(super) fn to(&self, end: &Self) -> Self {
        Self { file: Arc::clone(&self.file), start: self.start, end: end.start.max(self.end) }
    }

    /// The line it begins on, from 1.
    pub(super) fn line(&self) -> usize {
        self.start.line
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file.path.display(), self.start.line, self.start.column)
    }
}
