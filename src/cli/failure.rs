//! What ends a command early: what is wrong, for people, and the exit code, for programs.

use crate::engine::{ObserveError, Refusal};
use crate::model::{CloudError, Diagnostic, Diagnostics, ErrorKind, LedgerError};
use crate::store::{LockError, StoreError};
use crate::ui;

use super::exit::Exit;

/// A command that ends early.
#[derive(Debug)]
pub(super) struct Failure {
    /// With which code.
    pub(super) exit: Exit,
    /// Why.
    pub(super) diagnostics: Vec<Diagnostic>,
}

/// How a command ends.
pub(super) type Ending = Result<Exit, Failure>;

impl Failure {
    /// Ends with this code for this one reason.
    pub(super) fn new(exit: Exit, diagnostic: Diagnostic) -> Self {
        Self { exit, diagnostics: vec![diagnostic] }
    }

    /// Invalid input.
    pub(super) fn invalid(summary: impl Into<String>) -> Self {
        Self::new(Exit::Invalid, Diagnostic::error(summary))
    }

    /// Something that is refused.
    pub(super) fn refused(diagnostic: Diagnostic) -> Self {
        Self::new(Exit::Refused, diagnostic)
    }

    /// A stop signal came before anything was changed.
    pub(super) fn interrupted() -> Self {
        let diagnostic = Diagnostic::error("interrupted").detail("nothing was changed");
        Self::new(Exit::Interrupted, diagnostic)
    }

    /// A file, a socket or a terminal failed.
    pub(super) fn io(what: impl Into<String>, error: &dyn std::error::Error) -> Self {
        Self::new(Exit::Failed, Diagnostic::error(what).detail(chain(error)))
    }

    /// A store of state that failed; one that does not let us in is a matter of credentials.
    pub(super) fn store(what: impl Into<String>, error: &std::io::Error) -> Self {
        let mut failure = Self::io(what, error);
        if error.kind() == std::io::ErrorKind::PermissionDenied {
            failure.exit = Exit::Credentials;
        }
        failure
    }

    /// Clouds that did not let themselves be asked.
    pub(super) fn clouds<'e>(errors: impl IntoIterator<Item = (String, &'e CloudError)>) -> Self {
        let mut exit = Exit::Failed;
        // One cloud that refuses everything is told once, with how often.
        let mut alike: Vec<(String, &CloudError, usize)> = Vec::new();
        for (what, error) in errors {
            exit = worse(exit, exit_of(error.kind));
            let same = |other: &CloudError| {
                (other.cloud, other.kind, &other.code, &other.message)
                    == (error.cloud, error.kind, &error.code, &error.message)
            };
            match alike.iter_mut().find(|(_, other, _)| same(other)) {
                Some((_, _, more)) => *more += 1,
                None => alike.push((what, error, 0)),
            }
        }
        let tell = |(what, error, more): (String, &CloudError, usize)| match more {
            0 => ui::error::diagnose(&what, error),
            more => ui::error::diagnose(&format!("{what}, nor {more} more"), error),
        };
        Self { exit, diagnostics: alike.into_iter().map(tell).collect() }
    }
}

/// What a cloud's error means before anything was changed.
fn exit_of(kind: ErrorKind) -> Exit {
    match kind {
        ErrorKind::WrongAccount => Exit::Refused,
        ErrorKind::Denied | ErrorKind::Credentials => Exit::Credentials,
        ErrorKind::NotFound
        | ErrorKind::AlreadyExists
        | ErrorKind::Conflict
        | ErrorKind::Throttled
        | ErrorKind::Invalid
        | ErrorKind::NotEmpty
        | ErrorKind::Settling { .. }
        | ErrorKind::Unreachable
        | ErrorKind::Unknown => Exit::Failed,
    }
}

/// Another account is told before missing credentials, those before anything else.
fn worse(one: Exit, other: Exit) -> Exit {
    if one == Exit::Refused || other == Exit::Refused {
        Exit::Refused
    } else if one == Exit::Failed {
        other
    } else {
        one
    }
}

/// An error and what caused it, one a line.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str("\ncaused by: ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

impl From<Diagnostics> for Failure {
    /// What is wrong with a stack file.
    fn from(diagnostics: Diagnostics) -> Self {
        Self { exit: Exit::Invalid, diagnostics: diagnostics.0 }
    }
}

impl From<ObserveError> for Failure {
    fn from(error: ObserveError) -> Self {
        Self::clouds(error.0.iter().map(|(address, error)| (format!("{address} could not be read"), error)))
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        let (exit, hint) = match &error {
            StoreError::Io { source, .. } if source.kind() == std::io::ErrorKind::PermissionDenied => {
                (Exit::Credentials, "nothing was changed; the state can be read by others alone")
            }
            StoreError::Io { .. } => {
                (Exit::Failed, "nothing was changed; mend the file or folder and run it again")
            }
            StoreError::Corrupt { .. } => (
                Exit::Invalid,
                "it is left as it is. Restore it from a copy; or move it away and take the objects back with `mcm import`",
            ),
            StoreError::Journal { .. } => (
                Exit::Invalid,
                "it is left as it is. It holds how to undo a run that is not over; to go forward it is not needed: \
                 move it away, and `mcm apply` goes on from the state and what is live",
            ),
            StoreError::Newer { .. } => (Exit::Invalid, "use the newer mcm; the file is left as it is"),
            StoreError::OtherStack { .. } => (
                Exit::Invalid,
                "one folder holds one stack: give back the stack's name, or move the file into a folder of its own",
            ),
        };
        let mut diagnostic = Diagnostic::error(error.to_string()).hint(hint);
        if let Some(source) = std::error::Error::source(&error) {
            diagnostic = diagnostic.detail(chain(source));
        }
        Self::new(exit, diagnostic)
    }
}

impl From<LockError> for Failure {
    fn from(error: LockError) -> Self {
        match &error {
            LockError::Held { by, lease, waited } => {
                let holder = by.as_ref().map_or_else(
                    || "by a run that is just starting or ending".to_owned(),
                    |by| {
                        let since = by.since.strftime("%Y-%m-%d %H:%M:%S UTC");
                        format!(
                            "by {}, process {} on {}, since {since}, for `mcm {}`",
                            by.holder, by.pid, by.host, by.command
                        )
                    },
                );
                let waited = if waited.is_zero() {
                    String::new()
                } else {
                    format!("; waited {} s", waited.as_secs_f64())
                };
                let diagnostic = Diagnostic::error(error.to_string())
                    .detail(format!("it is held {holder}{waited}"))
                    .hint(match lease {
                        None => "wait for that run to end, or give `--lock-timeout 60s`; the lock ends with its process".to_owned(),
                        Some(id) => format!(
                            "wait for that run to end, or give `--lock-timeout 90s`: the lock of a dead run ends within a minute. `mcm unlock {id}` ends it now"
                        ),
                    });
                Self::new(Exit::Locked, diagnostic)
            }
            LockError::Io { source, .. } => Self::store(error.to_string(), source),
        }
    }
}

impl From<LedgerError> for Failure {
    fn from(error: LedgerError) -> Self {
        let diagnostic = Diagnostic::error(format!("the run was stopped: {}", error.what))
            .detail(format!("{}\nno further request was sent", error.source))
            .hint("make room or mend the folder, then run `mcm apply` again: it goes on from what is there");
        Self::new(Exit::Stuck, diagnostic)
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        let diagnostic = Diagnostic::error(refusal.to_string());
        Self::refused(match refusal {
            Refusal::Declined => diagnostic.detail("nothing was changed"),
            Refusal::Stale { moved, .. } => {
                let show = |value: &Option<crate::model::Value>| {
                    value.as_ref().map_or_else(|| "nothing".to_owned(), |value| value.to_json().to_string())
                };
                let lines = moved.iter().map(|(attribute, then, now)| {
                    format!("{attribute}: was {}, is {}", show(then), show(now))
                });
                let lines: Vec<_> = lines.collect();
                let diagnostic =
                    if lines.is_empty() { diagnostic } else { diagnostic.detail(lines.join("\n")) };
                diagnostic.hint("make a new plan, and have that approved")
            }
        })
    }
}
