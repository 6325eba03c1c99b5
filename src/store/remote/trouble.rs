//! What an object store's failure means to whoever meets it, in one line: the libraries below tell it in five.

use std::error::Error as _;
use std::io;

use object_store::Error;
use object_store::client::{HttpError, HttpErrorKind};

/// A failure of an object store; every `io::Error` of a remote medium or lock holds one.
#[derive(Debug, thiserror::Error)]
#[error("{what}")]
pub struct Trouble {
    /// What can be done about it.
    pub kind: TroubleKind,
    what: String,
}

/// Kinds of failure, by what can be done about them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TroubleKind {
    /// There is no such bucket or container.
    NoBucket,
    /// It does not let these credentials do this.
    Denied,
    /// There are no credentials to show.
    NoCredentials,
    /// Nothing was sent: nobody answers there.
    Unreachable,
    /// It does not keep the conditions of writes, so it can hold no lock.
    Unconditional,
    /// The lock is not held any more, or somebody writes without it.
    Lost,
    /// Anything else; whether a write happened is not known.
    Unclear,
}

impl Trouble {
    /// What a failed read or write holds, if an object store failed.
    pub fn of(error: &io::Error) -> Option<&Self> {
        error.get_ref()?.downcast_ref()
    }

    pub(super) fn error(kind: TroubleKind, what: impl Into<String>) -> io::Error {
        let means = match kind {
            TroubleKind::NoBucket => io::ErrorKind::NotFound,
            TroubleKind::Denied | TroubleKind::NoCredentials => io::ErrorKind::PermissionDenied,
            TroubleKind::Unreachable => io::ErrorKind::NotConnected,
            TroubleKind::Unconditional => io::ErrorKind::Unsupported,
            TroubleKind::Lost => io::ErrorKind::AlreadyExists,
            TroubleKind::Unclear => io::ErrorKind::Other,
        };
        io::Error::new(means, Self { kind, what: what.into() })
    }

    /// Whether this error is of this kind.
    pub(super) fn is(error: &io::Error, kind: TroubleKind) -> bool {
        Self::of(error).is_some_and(|trouble| trouble.kind == kind)
    }
}

/// A failure in our words.
pub(super) fn failed(error: &Error) -> io::Error {
    let answer = answer(error);
    let said = answer.as_ref().map_or_else(|| last(error), Answer::to_string);
    match error {
        // A listing's failure has no kind of its own, whatever the answer.
        error if matches!(error, Error::NotFound { .. }) || is_no_bucket(error) => {
            Trouble::error(TroubleKind::NoBucket, format!("the bucket or container does not exist ({said})"))
        }
        Error::Unauthenticated { .. } if answer.is_none() => {
            Trouble::error(TroubleKind::NoCredentials, format!("there are no credentials for it: {said}"))
        }
        Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => denied(&said),
        _ if answer.as_ref().is_some_and(Answer::denies) => denied(&said),
        _ if transport(error) == Some(HttpErrorKind::Connect) => {
            Trouble::error(TroubleKind::Unreachable, format!("it cannot be reached: {said}"))
        }
        _ => Trouble::error(TroubleKind::Unclear, said),
    }
}

/// Whether a thing is not there because what should hold it is not.
pub(super) fn is_no_bucket(error: &Error) -> bool {
    let codes = ["NoSuchBucket", "ContainerNotFound"];
    answer(error).is_some_and(|answer| codes.contains(&answer.code.as_str()))
}

fn denied(said: &str) -> io::Error {
    Trouble::error(TroubleKind::Denied, format!("it does not let these credentials in: {said}"))
}

/// An error and what caused it, outermost first.
fn chain(error: &Error) -> impl Iterator<Item = &(dyn std::error::Error + 'static)> {
    std::iter::successors(error.source(), |error| (*error).source())
}

/// The innermost cause says it best.
fn last(error: &Error) -> String {
    chain(error).last().map_or_else(|| error.to_string(), ToString::to_string)
}

fn transport(error: &Error) -> Option<HttpErrorKind> {
    chain(error).find_map(|error| error.downcast_ref::<HttpError>()).map(HttpError::kind)
}

/// What a store answered.
struct Answer {
    status: String,
    code: String,
    message: String,
}

impl Answer {
    /// Whether it is about who asks: expired tokens are told with 400.
    fn denies(&self) -> bool {
        let expired = ["ExpiredToken", "InvalidToken", "TokenRefreshRequired"];
        ["401", "403"].iter().any(|status| self.status.starts_with(status))
            || expired.contains(&self.code.as_str())
    }
}

impl std::fmt::Display for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.code.as_str(), self.message.as_str()) {
            ("", _) => f.write_str(&self.status),
            (code, "") => f.write_str(code),
            (code, message) => write!(f, "{code}: {message}"),
        }
    }
}

/// The library keeps status and body in a text alone. All three stores answer in XML with a code and a message.
fn answer(error: &Error) -> Option<Answer> {
    let text = chain(error).find_map(|error| {
        let text = error.to_string();
        let (_, rest) = text.split_once("status code: ")?;
        Some(rest.to_owned())
    })?;
    let status = text.split(": ").next().unwrap_or_default().trim_end_matches(": ").to_owned();
    let element = |name: &str| {
        let (_, rest) = text.split_once(&format!("<{name}>"))?;
        let (inner, _) = rest.split_once(&format!("</{name}>"))?;
        // The first line: Azure adds a request id and the time.
        Some(inner.lines().next().unwrap_or_default().trim().to_owned())
    };
    let (code, message) = (element("Code").unwrap_or_default(), element("Message").unwrap_or_default());
    Some(Answer { status, code, message })
}
