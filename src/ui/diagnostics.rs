//! Diagnostics as a person reads them: the summary, the place, the line itself, why, and what to do.
//!
//! Everything shown may come from a file or a cloud, so nothing of it reaches the terminal raw: control,
//! escape and bidirectional characters are made visible, and no line can pass for a command to a pipeline.

use std::fmt::Write as _;

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

use crate::model::{Diagnostic, Location, Severity};

/// All diagnostics, one below the other, each followed by an empty line.
pub fn render(diagnostics: &[Diagnostic], colour: bool) -> String {
    let renderer = if colour {
        Renderer::styled().decor_style(DecorStyle::Ascii)
    } else {
        Renderer::plain().decor_style(DecorStyle::Ascii)
    };
    let mut text = String::new();
    for diagnostic in diagnostics {
        // Writing into a `String` does not fail.
        let _ = writeln!(text, "{}\n", one(diagnostic, &renderer));
    }
    text
}

/// The closing line under several diagnostics: `3 errors, 1 warning`; empty if there is nothing to count.
pub fn count(diagnostics: &[Diagnostic]) -> String {
    let errors = diagnostics.iter().filter(|diagnostic| diagnostic.severity == Severity::Error).count();
    let warnings = diagnostics.len() - errors;
    let some = |number: usize, noun: &str| match number {
        0 => None,
        1 => Some(format!("1 {noun}")),
        more => Some(format!("{more} {noun}s")),
    };
    [some(errors, "error"), some(warnings, "warning")].into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// Text of a user or a cloud, safe for a terminal and for a pipeline's log: characters that steer either are
/// written out (`\u{1b}`), and a leading `::` or `##[`, which some pipelines obey, is broken.
pub fn printable(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for (index, line) in text.split('\n').enumerate() {
        if index > 0 {
            safe.push('\n');
        }
        let start = line.trim_start();
        if start.starts_with("::") || start.starts_with("##[") {
            safe.push('\\');
        }
        for c in line.chars() {
            if steers(c) && c != '\t' {
                safe.extend(c.escape_unicode());
            } else {
                safe.push(c);
            }
        }
    }
    safe
}

/// Whether a character does something to a terminal instead of being shown: control characters, and those that
/// change the direction of text or hide in it.
fn steers(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// One diagnostic.
fn one(diagnostic: &Diagnostic, renderer: &Renderer) -> String {
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let group = match &diagnostic.location {
        Some(location) => located(diagnostic, location, level),
        None => with_notes(Group::with_title(level.primary_title(title(&diagnostic.summary))), diagnostic),
    };
    renderer.render(&[group])
}

/// A summary is one line, whatever it holds.
fn title(summary: &str) -> String {
    printable(&summary.replace('\n', " "))
}

/// A diagnostic with its line.
fn located<'a>(diagnostic: &'a Diagnostic, location: &'a Location, level: Level<'a>) -> Group<'a> {
    let (line, span) = annotated(location);
    let snippet = Snippet::source(line)
        .line_start(location.line.max(1))
        .path(printable(&location.file.display().to_string()))
        .annotation(AnnotationKind::Primary.span(span));
    with_notes(level.primary_title(title(&diagnostic.summary)).element(snippet), diagnostic)
}

/// With the reason and the way out below.
fn with_notes<'a>(mut group: Group<'a>, diagnostic: &'a Diagnostic) -> Group<'a> {
    if let Some(detail) = &diagnostic.detail {
        group = group.element(Level::NOTE.message(printable(detail)));
    }
    if let Some(hint) = &diagnostic.hint {
        group = group.element(Level::HELP.message(printable(hint)));
    }
    group
}

/// The line as it may be shown, and the bytes of it that are meant. A character that steers becomes exactly one
/// that is shown, so that columns keep their meaning.
fn annotated(location: &Location) -> (String, std::ops::Range<usize>) {
    let mut line: String = location.text.chars().map(|c| if steers(c) { visible(c) } else { c }).collect();
    let characters = line.chars().count();
    let first = location.column.saturating_sub(1).min(characters);
    let last = first.saturating_add(location.length.max(1));
    if last > characters {
        // A mark just past the end of the line has something to stand under.
        line.push(' ');
    }
    let byte = |position: usize| line.char_indices().nth(position).map_or(line.len(), |(byte, _)| byte);
    let span = byte(first)..byte(last);
    (line, span)
}

/// What stands for a character that must not be shown as it is.
fn visible(c: char) -> char {
    match c {
        '\t' => ' ',
        '\u{0}'..='\u{1f}' => char::from_u32(0x2400 + u32::from(c)).unwrap_or('\u{fffd}'),
        '\u{7f}' => '\u{2421}',
        _ => '\u{fffd}',
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::sync::Arc;

    use super::*;

    fn located(text: &str, column: usize, length: usize) -> Diagnostic {
        Diagnostic::error("`BucketNme` is no property of `AWS::S3::Bucket`")
            .at(Location {
                file: Arc::new(PathBuf::from("stacks/demo/stack.yaml")),
                line: 12,
                column,
                length,
                text: text.to_owned(),
            })
            .detail("a bucket has other properties")
            .hint("did you mean `BucketName`?")
    }

    #[test]
    fn a_place_is_shown_with_its_line() {
        let text = render(&[located("      BucketNme: demo", 7, 9)], false);
        insta::assert_snapshot!(text);
    }

    #[test]
    fn without_a_place_there_is_no_line() {
        let lost = Diagnostic::warning("nothing to see").hint("look elsewhere");
        insta::assert_snapshot!(render(&[lost], false));
    }

    #[test]
    fn colour_adds_escapes_and_nothing_else() {
        let diagnostics = [located("      BucketNme: demo", 7, 9)];
        let coloured = render(&diagnostics, true);
        assert!(coloured.contains('\u{1b}'));
        assert_eq!(console::strip_ansi_codes(&coloured), render(&diagnostics, false));
    }

    #[test]
    fn what_steers_a_terminal_or_a_pipeline_is_made_visible() {
        let mut nasty = located("a: \u{1b}[31m\u{202e}\u{7}\tx", 4, 30);
        nasty.summary = "bad \u{1b}[2J\u{202e} value\n::set-output name=x::y".to_owned();
        nasty.detail = Some("first\n::error::boo\n  ##[error]boo".to_owned());
        let text = render(&[nasty], false);
        assert!(text.chars().all(|c| c == '\n' || !steers(c)), "{text:?}");
        assert!(!text.lines().any(|line| line.trim_start().starts_with("::")), "{text}");
        assert!(!text.lines().any(|line| line.trim_start().starts_with("##[")), "{text}");
        insta::assert_snapshot!(text);
    }

    #[test]
    fn any_place_is_survived() {
        for (text, column, length) in [("", 0, 0), ("", 9, 9), ("é", 1, 1), ("é", 2, 0), ("a", 1, usize::MAX)]
        {
            assert!(!render(&[located(text, column, length)], false).is_empty());
        }
    }

    #[test]
    fn counts() {
        let (error, warning) = (Diagnostic::error("e"), Diagnostic::warning("w"));
        assert_eq!(count(&[error.clone(), error.clone(), warning]), "2 errors, 1 warning");
        assert_eq!(count(&[error]), "1 error");
        assert_eq!(count(&[]), "");
    }
}
