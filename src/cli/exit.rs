//! How the program ends: the exit codes are API.

use std::process::ExitCode;

/// Every exit code. A usage error is never 2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done, or nothing to do.
    Done = 0,
    /// Failed, and nothing else fits.
    Failed = 1,
    /// `--detailed-exitcode`: changes are pending.
    Pending = 2,
    /// Invalid input: usage, stack file, plan file, state file.
    Invalid = 3,
    /// Refused: a stale plan, another account, no approval.
    Refused = 4,
    /// An apply failed, and everything it did was undone.
    Undone = 5,
    /// An apply failed, and something could not be undone; also a run that lost its lock, or whose record could not be
    /// written: it stopped where it was.
    Stuck = 6,
    /// Another run holds the lock.
    Locked = 7,
    /// No or insufficient credentials.
    Credentials = 8,
    /// Interrupted; the run can be resumed or rolled back.
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// The codes as `mcm --help` ends with them.
pub(super) const HELP: &str = "Exit codes:
  0    done, or nothing to do
  1    failed, nothing else fits
  2    plan --detailed-exitcode: changes pending
  3    invalid input: usage, stack file, plan file
  4    refused: stale plan, another account, no approval
  5    apply failed and everything it did was undone
  6    apply failed or lost its lock, and something could not be undone
  7    another run holds the lock
  8    no or insufficient credentials
  130  interrupted; run it again to resume, or mcm rollback";
