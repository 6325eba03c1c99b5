//! Bounded retrying with jittered back-off: the one place where a call is sent more than once.

use std::time::Duration;

use tokio::time::Instant;

use crate::model::{CloudError, ErrorKind};

/// Whether sending a call twice can do harm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    /// It changes nothing: sent again after any transient failure.
    Read,
    /// It changes something: sent again only after an answer that says that nothing was changed.
    Change,
    /// It writes a whole document, so that twice is as good as once: sent again after a conflict, too.
    Put,
}

/// A failed attempt, before it is known whether there will be another.
#[derive(Debug)]
pub(crate) struct Attempt {
    /// What went wrong.
    pub(crate) error: CloudError,
    /// The cloud's wish, from `Retry-After`.
    pub(crate) retry_after: Option<Duration>,
}

impl From<CloudError> for Attempt {
    fn from(error: CloudError) -> Self {
        Self { error, retry_after: None }
    }
}

/// At most this many sends of one read.
const READS: u32 = 6;
/// At most this many sends of one change.
const CHANGES: u32 = 3;
/// A refused change waits longer before it is sent again, because it is sent so seldom.
const PATIENCE: u32 = 4;
/// No waiting past this, from the first send.
const DEADLINE: Duration = Duration::from_mins(1);
/// The first pause; each further one is twice as long, up to [`LONGEST`], with jitter.
const SHORTEST: Duration = Duration::from_millis(200);
const LONGEST: Duration = Duration::from_secs(10);

/// Sends a call until it is answered, within bounds.
pub(crate) async fn retry<T, F>(call: Call, mut send: impl FnMut() -> F) -> Result<T, CloudError>
where
    F: Future<Output = Result<T, Attempt>>,
{
    let start = Instant::now();
    let (sends, patience) = match call {
        Call::Read => (READS, 1),
        Call::Change | Call::Put => (CHANGES, PATIENCE),
    };
    let mut sent = 0;
    loop {
        let attempt = match send().await {
            Ok(answer) => return Ok(answer),
            Err(attempt) => attempt,
        };
        sent += 1;
        let pause = attempt.retry_after.unwrap_or_else(|| back_off(sent) * patience);
        if sent == sends || !transient(call, attempt.error.kind) || start.elapsed() + pause > DEADLINE {
            return Err(attempt.error);
        }
        tracing::debug!(error = %attempt.error, ?pause, "sending again");
        tokio::time::sleep(pause).await;
    }
}

/// Whether another send of this call may help and cannot harm.
fn transient(call: Call, kind: ErrorKind) -> bool {
    match kind {
        ErrorKind::Throttled | ErrorKind::Unreachable => true,
        ErrorKind::Unknown => call == Call::Read,
        ErrorKind::Conflict => call == Call::Put,
        ErrorKind::NotFound
        | ErrorKind::AlreadyExists
        | ErrorKind::Denied
        | ErrorKind::Credentials
        | ErrorKind::Invalid
        | ErrorKind::NotEmpty
        | ErrorKind::Settling { .. }
        | ErrorKind::WrongAccount => false,
    }
}

/// The pause after so many sends: doubled each time, and between half and all of it at random, so that clients
/// that were refused together do not come back together.
pub(crate) fn back_off(sent: u32) -> Duration {
    let full = SHORTEST.saturating_mul(1 << sent.saturating_sub(1).min(16)).min(LONGEST);
    let mut random = [0_u8; 2];
    // Without randomness the pause is merely not jittered.
    let _ = getrandom::fill(&mut random);
    full.mul_f64(0.5 + f64::from(u16::from_le_bytes(random)) / f64::from(u16::MAX) / 2.0)
}
