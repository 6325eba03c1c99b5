//! Colour, where it is wanted.

use console::Style as Paint;

use crate::model::Action;

/// Whether colour is used. Without it every text says the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    /// Whether escape sequences may be written.
    pub color: bool,
}

impl Style {
    /// Text alone.
    pub const PLAIN: Self = Self { color: false };

    pub(super) fn green(self, text: &str) -> String {
        self.paint(Paint::new().green(), text)
    }

    pub(super) fn red(self, text: &str) -> String {
        self.paint(Paint::new().red(), text)
    }

    pub(super) fn yellow(self, text: &str) -> String {
        self.paint(Paint::new().yellow(), text)
    }

    pub(super) fn cyan(self, text: &str) -> String {
        self.paint(Paint::new().cyan(), text)
    }

    pub(super) fn dim(self, text: &str) -> String {
        self.paint(Paint::new().dim(), text)
    }

    pub(super) fn bold(self, text: &str) -> String {
        self.paint(Paint::new().bold(), text)
    }

    /// A text in the colour of what is done.
    pub(super) fn action(self, action: Action, text: &str) -> String {
        match action {
            Action::NoOp | Action::Forget => text.to_owned(),
            Action::Create => self.green(text),
            Action::Update => self.yellow(text),
            Action::Replace => self.paint(Paint::new().magenta(), text),
            Action::Delete => self.red(text),
            Action::Restore | Action::Adopt => self.cyan(text),
        }
    }

    fn paint(self, paint: Paint, text: &str) -> String {
        if self.color && !text.is_empty() {
            paint.force_styling(true).apply_to(text).to_string()
        } else {
            text.to_owned()
        }
    }
}
