//! Makes texts that others wrote harmless: to terminals, and to pipelines that take orders from their logs.

use std::borrow::Cow;
use std::fmt::Write as _;

/// One line of text: line breaks, control and direction characters and a pipeline's orders are written as escapes.
pub fn line(text: &str) -> Cow<'_, str> {
    escape(text, false)
}

/// Text of several lines: line breaks and tabs stay.
pub fn block(text: &str) -> Cow<'_, str> {
    escape(text, true)
}

/// Text in quotes on one line, escaped as JSON is.
pub fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for character in text.chars() {
        match character {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    line(&quoted).into_owned()
}

fn escape(text: &str, lines: bool) -> Cow<'_, str> {
    let harmless = |character: char| !is_harmful(character) || (lines && matches!(character, '\n' | '\t'));
    if text.chars().all(harmless) && !text.contains("::") && !text.contains("##[") {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 8);
    // Whether only white space stands before, on this line: where an order would be obeyed.
    let mut blank = true;
    let mut rest = text.chars();
    while let Some(character) = rest.next() {
        let order = (blank && character == ':' && rest.as_str().starts_with(':'))
            || (character == '#' && rest.as_str().starts_with("#["));
        if order || !harmless(character) {
            // Writing to a String cannot fail.
            let _ = write!(escaped, "\\u{{{:x}}}", u32::from(character));
        } else {
            escaped.push(character);
        }
        blank = character == '\n' || (blank && character.is_whitespace());
    }
    Cow::Owned(escaped)
}

/// Characters that act on a terminal or hide what a text says: controls, directions, and what has no width.
fn is_harmful(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}'
        )
}

#[cfg(test)]
mod tests {
    use super::{block, line, quoted};

    #[test]
    fn what_acts_on_a_terminal_is_written_out() {
        assert_eq!(line("a\u{1b}[31mb\u{7}\u{9b}"), "a\\u{1b}[31mb\\u{7}\\u{9b}");
        assert_eq!(line("abc\u{202e}def\u{2066}"), "abc\\u{202e}def\\u{2066}");
        assert_eq!(line("two\nlines"), "two\\u{a}lines");
        assert_eq!(block("two\n\tlines\r"), "two\n\tlines\\u{d}");
    }

    #[test]
    fn a_pipelines_orders_are_not_obeyed() {
        assert_eq!(block("x\n  ::set-env name=A::b"), "x\n  \\u{3a}:set-env name=A::b");
        assert_eq!(line("##[error]no"), "\\u{23}#[error]no");
        assert_eq!(line("AWS::IAM::Role"), "AWS::IAM::Role");
        assert_eq!(line("arn:aws:iam::1:role/x"), "arn:aws:iam::1:role/x");
    }

    #[test]
    fn quotes_are_json() {
        assert_eq!(quoted("a \"b\" \\ \n"), r#""a \"b\" \\ \n""#);
    }
}
