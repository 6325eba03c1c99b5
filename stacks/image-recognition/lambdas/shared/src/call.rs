//! One HTTP call, with its bounds: so many attempts, so long each, so many bytes, and never beyond the deadline.
//!
//! An attempt that failed in a way that may pass (no connection, no answer in time, an answer that broke off or
//! is not what the service speaks, 408, 429, 5xx) is repeated after a pause with full jitter, and not before
//! `Retry-After`. Every call that goes through here may therefore be *sent twice*: its caller makes it one that
//! does no harm when it is.

use std::time::{Duration, SystemTime};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, StatusCode};
use reqwest::RequestBuilder;
use serde::de::DeserializeOwned;
use thiserror::Error;
use tokio::time::Instant;

/// How long, and how often.
#[derive(Debug, Clone)]
pub struct Patience {
    /// Attempts in all.
    pub attempts: u32,
    /// The longest one attempt may take, its answer's body included.
    pub attempt: Duration,
    /// The pause before attempt n+1 is random, at most `pause` times two to the power of n.
    pub pause: Duration,
    /// ... and never longer than this, unless the service asks for more.
    pub longest_pause: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            attempts: 4,
            attempt: Duration::from_secs(10),
            pause: Duration::from_millis(200),
            longest_pause: Duration::from_secs(5),
        }
    }
}

/// Why a call came to nothing.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CallError {
    /// No connection.
    #[error("{service} could not be reached: {why}")]
    Unreachable {
        /// Who was called.
        service: &'static str,
        /// What the network said.
        why: String,
    },
    /// No whole answer in time.
    #[error("{service} did not answer in time")]
    TimedOut {
        /// Who was called.
        service: &'static str,
    },
    /// An answer that is none.
    #[error("{service} gave an answer that makes no sense: {why}")]
    Unintelligible {
        /// Who was called.
        service: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// It said that it cannot, for now.
    #[error("{service} cannot answer now: {status}")]
    Busy {
        /// Who was called.
        service: &'static str,
        /// What it answered.
        status: u16,
        /// When it wants to be asked again.
        retry_after: Option<Duration>,
    },
    /// It refused.
    #[error("{service} refused: {status} {message}")]
    Refused {
        /// Who was called.
        service: &'static str,
        /// What it answered.
        status: u16,
        /// Its reason, cut short.
        message: String,
    },
    /// The request itself could not be made.
    #[error("the request to {service} could not be made: {why}")]
    Unmade {
        /// Who was to be called.
        service: &'static str,
        /// Why not.
        why: String,
    },
}

/// An answer, whole.
#[derive(Debug, Clone)]
pub struct Reply {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
}

impl Reply {
    /// The refusal that this answer is.
    pub fn refused(&self, service: &'static str) -> CallError {
        CallError::Refused { service, status: self.status.as_u16(), message: self.message() }
    }

    /// What an error's body says, in the forms that Google, Azure and AWS use; cut short, without line breaks.
    fn message(&self) -> String {
        let json: serde_json::Value = serde_json::from_slice(&self.body).unwrap_or_default();
        let places = ["/error/message", "/error_description", "/message", "/error", "/__type"];
        let found = places.iter().find_map(|place| json.pointer(place)?.as_str().map(str::to_owned));
        let text = found.unwrap_or_else(|| String::from_utf8_lossy(&self.body).into_owned());
        text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(300).collect()
    }
}

/// Calls services. Cheap to clone; connections are kept and shared.
#[derive(Debug, Clone)]
pub struct Caller {
    client: reqwest::Client,
    patience: Patience,
}

impl Caller {
    /// A caller with this patience. Redirects are not followed, for a signed request is meant for one address,
    /// and no proxy of the environment is asked.
    pub fn new(patience: Patience) -> Result<Self, CallError> {
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .connect_timeout(Duration::from_secs(3).min(patience.attempt))
            .user_agent(concat!("image-recognition/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|why| CallError::Unmade { service: "the HTTP client", why: causes(&why) })?;
        Ok(Self { client, patience })
    }

    /// Calls `service` until `read` understands its answer. `read` is also shown refusals that will not pass (a
    /// 404, say), and ends the call with [`CallError::Refused`]; [`CallError::Unintelligible`] has it repeated.
    /// `make` is asked anew for each attempt, so that signatures are fresh.
    pub async fn call<T>(
        &self,
        service: &'static str,
        deadline: Instant,
        most_bytes: usize,
        make: impl Fn(&reqwest::Client) -> Result<RequestBuilder, CallError>,
        read: impl Fn(&Reply) -> Result<T, CallError>,
    ) -> Result<T, CallError> {
        let mut attempt = 0;
        loop {
            let error = match self.attempt(service, deadline, most_bytes, make(&self.client)?).await {
                Ok(reply) => match read(&reply) {
                    Ok(value) => return Ok(value),
                    Err(error) => error,
                },
                Err(error) => error,
            };
            attempt += 1;
            let pause = self.pause(attempt, &error);
            let passes = !matches!(error, CallError::Unmade { .. } | CallError::Refused { .. });
            if !passes || attempt >= self.patience.attempts || Instant::now() + pause >= deadline {
                return Err(error);
            }
            let pause_ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
            tracing::warn!(service, attempt, pause_ms, error = %error, "the call is repeated");
            tokio::time::sleep(pause).await;
        }
    }

    async fn attempt(
        &self,
        service: &'static str,
        deadline: Instant,
        most_bytes: usize,
        request: RequestBuilder,
    ) -> Result<Reply, CallError> {
        let until = deadline.min(Instant::now() + self.patience.attempt);
        let exchange = async {
            let answer = request.send().await.map_err(|why| failure(service, why))?;
            let (status, headers) = (answer.status(), answer.headers().clone());
            let body = collect(service, answer, most_bytes).await?;
            Ok(Reply { status, headers, body })
        };
        let timed_out = |_| CallError::TimedOut { service };
        let reply = tokio::time::timeout_at(until, exchange).await.map_err(timed_out)??;
        let status = reply.status.as_u16();
        if reply.status.is_server_error() || matches!(status, 408 | 429) {
            let retry_after = retry_after(&reply.headers, SystemTime::now());
            return Err(CallError::Busy { service, status, retry_after });
        }
        Ok(reply)
    }

    /// Full jitter, and not before the service wants to be asked again.
    fn pause(&self, attempt: u32, error: &CallError) -> Duration {
        let most = self.patience.pause.saturating_mul(1 << attempt.min(16)).min(self.patience.longest_pause);
        let jitter = most.mul_f64(fastrand::f64());
        match error {
            CallError::Busy { retry_after: Some(asked), .. } => *asked + jitter,
            _ => jitter,
        }
    }
}

/// Reads a JSON answer of success; an answer in another format comes from something between us and the service.
pub fn json<T: DeserializeOwned>(service: &'static str, reply: &Reply) -> Result<T, CallError> {
    if !reply.status.is_success() {
        return Err(reply.refused(service));
    }
    let kind = reply.headers.get(http::header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let kind = kind.unwrap_or("no content type");
    if !kind.contains("json") {
        let why = format!("JSON was expected, {kind} came");
        return Err(CallError::Unintelligible { service, why });
    }
    // Not serde's own message: it quotes what it met, which may be a token.
    serde_json::from_slice(&reply.body).map_err(|why| {
        let why = format!("not the JSON expected, at line {} column {}", why.line(), why.column());
        CallError::Unintelligible { service, why }
    })
}

async fn collect(
    service: &'static str,
    mut answer: reqwest::Response,
    most_bytes: usize,
) -> Result<Bytes, CallError> {
    let mut body = BytesMut::new();
    while let Some(part) = answer.chunk().await.map_err(|why| failure(service, why))? {
        if body.len() + part.len() > most_bytes {
            let why = format!("it is longer than {most_bytes} bytes");
            return Err(CallError::Unintelligible { service, why });
        }
        body.extend_from_slice(&part);
    }
    Ok(body.freeze())
}

fn failure(service: &'static str, error: reqwest::Error) -> CallError {
    let error = error.without_url();
    if error.is_timeout() {
        CallError::TimedOut { service }
    } else if error.is_builder() {
        CallError::Unmade { service, why: causes(&error) }
    } else if error.is_connect() {
        CallError::Unreachable { service, why: causes(&error) }
    } else {
        CallError::Unintelligible { service, why: format!("it broke off: {}", causes(&error)) }
    }
}

/// An error and what is behind it, in one line.
pub fn causes(error: &dyn std::error::Error) -> String {
    let chain = std::iter::successors(Some(error), |error| error.source());
    chain.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// Seconds, or a date.
fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = headers.get(http::header::RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(Duration::from_secs(seconds.min(24 * 3600)));
    }
    let date = jiff::fmt::rfc2822::parse(text).ok()?;
    SystemTime::from(date.timestamp()).duration_since(now).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(text: &'static str) -> Option<Duration> {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_445_412_470);
        let headers = HeaderMap::from_iter([(http::header::RETRY_AFTER, text.parse().unwrap())]);
        retry_after(&headers, now)
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        assert_eq!(after("7"), Some(Duration::from_secs(7)));
        assert_eq!(after("Wed, 21 Oct 2015 07:28:00 GMT"), Some(Duration::from_secs(10)));
        assert_eq!(after("Wed, 21 Oct 2015 07:20:00 GMT"), None, "that is over");
        assert_eq!(after("soon"), None);
        assert_eq!(after("99999999999"), Some(Duration::from_hours(24)));
    }

    #[test]
    fn jitter_is_full_and_bounded() {
        let caller = Caller::new(Patience::default()).unwrap();
        let quiet = CallError::TimedOut { service: "x" };
        let pauses: Vec<Duration> = (0..500).map(|_| caller.pause(3, &quiet)).collect();
        let most = Duration::from_millis(1600);
        assert!(pauses.iter().all(|pause| *pause <= most));
        assert!(
            pauses.iter().any(|pause| *pause < most / 4) && pauses.iter().any(|pause| *pause > most / 4 * 3)
        );
        assert!((0..500).all(|_| caller.pause(40, &quiet) <= Duration::from_secs(5)));
        let asked = CallError::Busy { service: "x", status: 429, retry_after: Some(Duration::from_secs(9)) };
        assert!((0..500).all(|_| caller.pause(1, &asked) >= Duration::from_secs(9)));
    }
}
