//! The two streams. A reader that has gone away (`mcm graph | head`) is no failure.

use std::io::{self, IsTerminal as _, Write as _};

use super::Style;

/// Writes a result to stdout, with a line break behind it if it has none.
pub fn result(text: &str) {
    write(&mut io::stdout().lock(), text);
}

/// Writes a part of a result that goes on, with a line break behind it; whether anyone reads it still.
pub fn more(text: &str) -> bool {
    let mut stream = io::stdout().lock();
    writeln!(stream, "{text}").and_then(|()| stream.flush()).is_ok()
}

/// Writes anything else to stderr.
pub fn notice(text: &str) {
    write(&mut io::stderr().lock(), text);
}

/// Asks on stderr, without a line break.
pub fn ask(question: &str) {
    let mut stream = io::stderr().lock();
    let _ = stream.write_all(question.as_bytes());
    let _ = stream.flush();
}

/// The style of stdout.
pub fn style_of_results(no_color: bool) -> Style {
    Style { color: !no_color && io::stdout().is_terminal() }
}

/// The style of stderr.
pub fn style_of_notices(no_color: bool) -> Style {
    Style { color: !no_color && io::stderr().is_terminal() }
}

fn write(stream: &mut impl io::Write, text: &str) {
    let end = if text.ends_with('\n') { "" } else { "\n" };
    // There is no one left to tell that a stream is closed.
    let _ = stream.write_all(text.as_bytes());
    let _ = stream.write_all(end.as_bytes());
    let _ = stream.flush();
}
