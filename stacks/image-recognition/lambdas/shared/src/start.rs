//! From the environment to a function that runs, and how long each invocation has.

use std::time::{Duration, SystemTime};

use thiserror::Error;
use tokio::time::Instant;

use crate::call::CallError;
use crate::settings::SettingsError;

/// Kept back from an invocation's time, so that its end can still be logged and answered.
const RESERVE: Duration = Duration::from_millis(1500);

/// Why a function does not start.
#[derive(Debug, Error)]
pub enum StartError {
    /// Its environment is wrong.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// It has no HTTP client.
    #[error(transparent)]
    Client(#[from] CallError),
}

/// Until when an invocation may work, from the deadline that Lambda gives, in milliseconds since 1970.
pub fn deadline(deadline_ms: u64, now: SystemTime) -> Instant {
    let end = SystemTime::UNIX_EPOCH + Duration::from_millis(deadline_ms);
    let left = end.duration_since(now).unwrap_or_default();
    // A function with a very short time limit still uses half of it.
    Instant::now() + left.saturating_sub(RESERVE).max(left / 2)
}
