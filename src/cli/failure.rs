//! What ends a command early: what is wrong, for people, and the exit code, for programs.

use crate::engine::{ObserveError, Refusal};
use crate::model::{CloudError, Diagnostic, Diagnostics, ErrorKind, LedgerError, Severity};
use crate::store::{Lasting, LockError, StoreError, Trouble, TroubleKind};
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

    /// A store of state that failed before anything was changed.
    pub(super) fn store(what: impl Into<String>, error: &std::io::Error) -> Self {
        let failure = Self::io(what, error);
        match Trouble::of(error) {
            Some(trouble) => failure.troubled(trouble),
            None => failure,
        }
    }

    /// Says what can be done about an object store's trouble, and ends with its code.
    fn troubled(mut self, trouble: &Trouble) -> Self {
        let (exit, hint) = remedy(trouble.kind);
        self.exit = exit;
        if let Some(diagnostic) = self.diagnostics.first_mut() {
            diagnostic.hint = Some(hint.to_owned());
        }
        self
    }

    /// The same as warnings: what it is about is over and done.
    pub(super) fn into_warnings(mut self) -> Vec<Diagnostic> {
        for diagnostic in &mut self.diagnostics {
            diagnostic.severity = Severity::Warning;
        }
        self.diagnostics
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

/// What a trouble with the object store of the state means before anything was changed.
fn remedy(kind: TroubleKind) -> (Exit, &'static str) {
    match kind {
        TroubleKind::NoBucket => (
            Exit::Failed,
            "nothing was changed. Make the bucket first, private and versioned; or mend `backend` in the stack file",
        ),
        TroubleKind::Denied => (
            Exit::Credentials,
            "nothing was changed. Let these credentials list, read, write and delete below the address in `backend`, or use others",
        ),
        TroubleKind::NoCredentials => {
            (Exit::Credentials, "nothing was changed. Sign in to the cloud that `backend` names")
        }
        TroubleKind::Unreachable => (
            Exit::Failed,
            "nothing was changed. Look at the network and at `backend` in the stack file, then run it again",
        ),
        TroubleKind::Unconditional => (
            Exit::Refused,
            "nothing was changed. Two runs at once would not see each other there: use a store with conditional writes",
        ),
        TroubleKind::Lost => (
            Exit::Locked,
            "nothing was changed. Another run was quicker: wait for it to end, then run it again",
        ),
        TroubleKind::Unclear => (Exit::Failed, "no cloud was changed; run it again"),
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
        if let StoreError::Io { source, .. } = &error
            && Trouble::of(source).is_some()
        {
            return Self::store(error.to_string(), source);
        }
        let (exit, hint) = match &error {
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
                "one place holds one stack, and each copy of a stack is one: give back the stack's name (or the variable in it), \
                 or give this one a folder or, outside of the sandbox, a `backend:` of its own",
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
                        Some(Lasting { id, until }) => format!(
                            "wait for that run to end, or give `--lock-timeout 90s`. Should it be dead, its lock ends at {} by the store's clock, \
                             and `mcm unlock {}` ends it now",
                            until.strftime("%H:%M:%S UTC"),
                            ui::text::line(id)
                        ),
                    });
                Self::new(Exit::Locked, diagnostic)
            }
            LockError::Io { source, .. } => Self::store(error.to_string(), source),
        }
    }
}

impl From<LedgerError> for Failure {
    /// A run that stopped in its midst: whatever the cause, something may be done that is not undone.
    fn from(error: LedgerError) -> Self {
        let again = "then run `mcm apply` again: it goes on from what is there";
        let hint = match Trouble::of(&error.source).map(|trouble| trouble.kind) {
            None => format!("make room or mend the folder, {again}"),
            Some(TroubleKind::Lost) => {
                format!("another run may be at work on this stack: let it end, {again}")
            }
            Some(TroubleKind::Denied | TroubleKind::NoCredentials) => {
                format!("renew the credentials, {again}")
            }
            Some(
                TroubleKind::NoBucket
                | TroubleKind::Unreachable
                | TroubleKind::Unconditional
                | TroubleKind::Unclear,
            ) => format!("see that the store of the state answers, {again}"),
        };
        let diagnostic = Diagnostic::error(format!("the run was stopped: {}", error.what))
            .detail(format!(
                "{}\nno further step was begun; what was under way may have happened",
                error.source
            ))
            .hint(hint);
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
                let detail = if lines.is_empty() {
                    "what changed is not shown: something sensitive, its mark or its condition, or it was to be deleted"
                        .to_owned()
                } else {
                    lines.join("\n")
                };
                diagnostic.detail(detail).hint("make a new plan, and have that approved")
            }
        })
    }
}
