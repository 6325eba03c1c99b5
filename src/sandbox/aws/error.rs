//! A refusal in AWS's terms; each protocol writes it in its own shape.

use std::borrow::Cow;

/// What AWS answers instead of what was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Error {
    /// The HTTP status.
    pub(super) status: u16,
    /// AWS's code, such as `NoSuchEntity`.
    pub(super) code: Cow<'static, str>,
    /// AWS's message.
    pub(super) message: String,
    /// Further elements of S3's error document.
    pub(super) details: Vec<(&'static str, String)>,
    /// Header fields of the answer.
    pub(super) headers: Vec<(&'static str, String)>,
}

impl Error {
    /// A refusal with this status, code and message.
    pub(super) fn new(status: u16, code: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self { status, code: code.into(), message: message.into(), details: Vec::new(), headers: Vec::new() }
    }

    /// Adds an element to S3's error document.
    pub(super) fn detail(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.details.push((name, value.into()));
        self
    }

    /// Adds a header field to the answer.
    pub(super) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}
