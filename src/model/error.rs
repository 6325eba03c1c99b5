//! What a cloud answered when it did not do what was asked.

use std::fmt;
use std::time::Duration;

use super::Cloud;

/// A refused, failed or unanswered call.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct CloudError {
    /// Which cloud.
    pub cloud: Cloud,
    /// The API call in the vendor's words: `iam:CreateRole`, `iam.projects.serviceAccounts.create`,
    /// `Microsoft.CognitiveServices/accounts/write`.
    pub call: String,
    /// What it means for us.
    pub kind: ErrorKind,
    /// The vendor's code: `EntityAlreadyExists`, `ALREADY_EXISTS`, `FlagMustBeSetForRestore`; empty if none came.
    pub code: String,
    /// The vendor's message, or the transport's.
    pub message: String,
    /// The vendor's id of the request, for their support.
    pub request_id: Option<String>,
    /// What to do, where we know it.
    pub hint: Option<String>,
}

/// What a failed call means for us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The object, or its parent, is not there.
    NotFound,
    /// An object of that name exists already.
    AlreadyExists,
    /// Someone else changed it at the same time; the whole cycle may be tried again.
    Conflict,
    /// The caller may not do this.
    Denied,
    /// There are no credentials, or they have expired or are not valid.
    Credentials,
    /// Too many requests, after all the waiting we are willing to do. Nothing was changed.
    Throttled,
    /// The request is wrong, or the object is in a state that does not allow it.
    Invalid,
    /// The object holds something and cannot be deleted before it is emptied.
    NotEmpty,
    /// Something made moments ago is not usable everywhere yet. Worth waiting for, up to `window`, but only
    /// if this run made it.
    Settling {
        /// The documented time within which it settles.
        window: Duration,
    },
    /// The cloud could not be reached; the request was never sent.
    Unreachable,
    /// A change was sent and no clear answer came: it may have happened. Read before doing anything else.
    Unknown,
    /// The account the credentials belong to is not the one that the stack names.
    WrongAccount,
}

impl fmt::Display for CloudError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.cloud, self.call)?;
        if !self.code.is_empty() {
            write!(f, ": {}", self.code)?;
        }
        if !self.message.is_empty() {
            write!(f, ": {}", self.message)?;
        }
        if let Some(id) = &self.request_id {
            write!(f, " (request {id})")?;
        }
        Ok(())
    }
}
