//! Gathers what is wrong, up to a bound, and knows how to suggest a better spelling.

use crate::model::{Diagnostic, Diagnostics, Severity};

use super::text::Place;

/// So many errors are told; a file with more has one mistake at its root.
const TOLD: usize = 100;
/// A list of known words is given up to this length.
const LISTED: usize = 16;

/// What was found so far.
#[derive(Debug, Default)]
pub(super) struct Report {
    found: Vec<Diagnostic>,
    untold: usize,
    errors: usize,
}

/// An error at a place.
pub(super) fn wrong(place: &Place, summary: impl Into<String>) -> Diagnostic {
    Diagnostic::error(summary).at(place.location())
}

impl Report {
    /// Adds one. The same thing at the same place is told once.
    pub(super) fn push(&mut self, diagnostic: Diagnostic) {
        if self.found.contains(&diagnostic) {
            return;
        }
        if diagnostic.severity == Severity::Error {
            self.errors += 1;
        }
        if self.is_full() {
            self.untold += 1;
        } else {
            self.found.push(diagnostic);
        }
    }

    /// Adds an error that needs no more than a summary and a hint.
    pub(super) fn error(&mut self, place: &Place, summary: impl Into<String>, hint: impl Into<String>) {
        self.push(wrong(place, summary).hint(hint));
    }

    /// The way out for a word that is not known: a near one, or all of them if they are few. Once nothing more
    /// will be told, no time is spent on it.
    pub(super) fn suggest<'a>(&self, word: &str, known: impl IntoIterator<Item = &'a str>) -> String {
        if self.is_full() { String::new() } else { suggest(word, known) }
    }

    /// Whether nothing more will be told.
    pub(super) fn is_full(&self) -> bool {
        self.found.len() >= TOLD
    }

    /// How many errors there are by now; a step compares before and after to know whether it went well.
    pub(super) fn errors(&self) -> usize {
        self.errors
    }

    /// Everything in the order of the files' lines: the warnings if there is no error, else all of it.
    pub(super) fn finish(mut self) -> Result<Vec<Diagnostic>, Diagnostics> {
        self.found.sort_by(|left, right| key(left).cmp(&key(right)));
        if self.errors == 0 {
            return Ok(self.found);
        }
        if self.untold > 0 {
            let rest = format!("and {} more, not shown", self.untold);
            self.found.push(Diagnostic::error(rest).hint("mend the first ones and look again"));
        }
        Err(Diagnostics(self.found))
    }
}

/// Sorts by file, line and column; what has no place comes first.
fn key(diagnostic: &Diagnostic) -> Option<(&std::path::Path, usize, usize)> {
    diagnostic.location.as_ref().map(|location| (location.file.as_path(), location.line, location.column))
}

/// The way out for a word that is not known: a near one, or all of them if they are few.
fn suggest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let mut known: Vec<&str> = known.into_iter().collect();
    if let Some(near) = nearest(word, &known) {
        return format!("did you mean `{near}`?");
    }
    known.sort_unstable();
    known.dedup();
    match known.len() {
        0 => "there is none".to_owned(),
        1..=LISTED => format!("known: {}", quoted(&known)),
        _ => format!("known, among others: {}", quoted(&known[..LISTED])),
    }
}

/// Words in a row: `a`, `b`.
pub(super) fn quoted(words: &[&str]) -> String {
    words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}

/// The known word that was probably meant.
pub(super) fn nearest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    let plain = |text: &str| -> String {
        text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
    };
    let wanted = plain(word);
    if wanted.is_empty() || wanted.len() > 200 {
        return None;
    }
    let bound = (wanted.chars().count() / 3).max(1);
    known
        .iter()
        .filter_map(|&candidate| {
            let other = plain(candidate);
            let distance = if other == wanted {
                0
            } else if wanted.len() > 3
                && (other.ends_with(&wanted) || wanted.ends_with(&other) && other.len() > 3)
            {
                1
            } else {
                strsim::damerau_levenshtein(&wanted, &other)
            };
            (distance <= bound).then_some((distance, candidate))
        })
        .min()
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_words_are_suggested() {
        let types = ["AWS::S3::Bucket", "AWS::IAM::Role", "Microsoft.CognitiveServices/accounts"];
        assert_eq!(nearest("AWS::S3::Buckt", &types), Some("AWS::S3::Bucket"));
        assert_eq!(nearest("S3::Bucket", &types), Some("AWS::S3::Bucket"));
        assert_eq!(nearest("aws_s3_bucket", &types), Some("AWS::S3::Bucket"));
        assert_eq!(nearest("google_project", &types), None);
        assert_eq!(nearest("bucket_name", &["BucketName", "Bucket"]), Some("BucketName"));
        assert_eq!(nearest("", &types), None);
        assert!(suggest("zzz", types).starts_with("known: `AWS::IAM::Role`"));
    }
}
