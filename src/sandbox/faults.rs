//! Trouble on demand, and a record of what was asked: both at the transport, no adapter knows of them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;
use tokio::time::Instant;

use serde::{Deserialize, Serialize};

use super::Request;
use crate::model::Cloud;

/// The record of requests stops at this many.
const REMEMBERED: usize = 100_000;

/// A rule: requests that fit it get into trouble, so many times.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Fault {
    /// Only this cloud's requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cloud: Option<Cloud>,
    /// Only requests whose target contains this text: `METHOD /path?query Action`.
    #[serde(default)]
    pub contains: String,
    /// Only requests with exactly this target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// So many fitting requests pass unharmed first.
    #[serde(default)]
    pub skip: u32,
    /// So many are then met; all of them if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<u32>,
    /// What happens.
    pub what: Trouble,
}

/// What happens to a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum Trouble {
    /// This answer is given instead.
    Status {
        /// The HTTP status.
        code: u16,
        /// The body.
        #[serde(default)]
        body: String,
        /// Header fields.
        #[serde(default)]
        headers: BTreeMap<String, String>,
        /// Whether the request takes effect nevertheless.
        #[serde(default)]
        applied: bool,
    },
    /// It takes longer.
    Delay {
        /// By so many milliseconds.
        ms: u64,
    },
    /// The connection breaks before the request takes effect.
    DropBefore,
    /// The request takes effect, and the connection breaks before the answer.
    DropAfter,
    /// The request takes effect, and the connection breaks in the midst of the answer.
    Cut,
    /// No answer ever comes.
    Hang {
        /// Whether the request takes effect nevertheless.
        #[serde(default)]
        applied: bool,
    },
    /// The answer is the one before the last change to the clouds, and the request changes nothing.
    Late,
}

/// One request that came in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Traffic {
    /// Whose endpoint.
    pub cloud: Cloud,
    /// `METHOD /path?query Action`, as faults see it.
    pub target: String,
    /// The answer's status; 0 where the connection was broken instead.
    pub status: u16,
    /// When it was there as a whole, in milliseconds since the server started.
    pub start_ms: f64,
    /// When its answer was ready.
    pub end_ms: f64,
}

/// The handle on both: clones share one state.
#[derive(Clone, Debug)]
pub struct Wire {
    state: Arc<Mutex<State>>,
    epoch: Instant,
    /// So many requests got into trouble.
    met: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct State {
    faults: Vec<Fault>,
    traffic: Vec<Traffic>,
}

impl Default for Wire {
    fn default() -> Self {
        Self { state: Arc::default(), epoch: Instant::now(), met: watch::Sender::new(0) }
    }
}

impl Wire {
    /// Replaces the rules; each request meets the first that fits it.
    pub fn set_faults(&self, faults: Vec<Fault>) {
        self.lock().faults = faults;
    }

    /// The rules, with what is left of them.
    pub fn faults(&self) -> Vec<Fault> {
        self.lock().faults.clone()
    }

    /// Every request since the start, or since the record was last emptied, in the order of the answers.
    pub fn traffic(&self) -> Vec<Traffic> {
        self.lock().traffic.clone()
    }

    /// Empties the record.
    pub fn forget_traffic(&self) {
        self.lock().traffic.clear();
    }

    /// So many requests got into trouble so far; tells of every further one, before it takes effect.
    pub fn met(&self) -> watch::Receiver<u64> {
        self.met.subscribe()
    }

    /// Milliseconds since the server started.
    pub(super) fn clock_ms(&self) -> f64 {
        self.epoch.elapsed().as_secs_f64() * 1000.0
    }

    pub(super) fn note(&self, traffic: Traffic) {
        let mut state = self.lock();
        if state.traffic.len() < REMEMBERED {
            state.traffic.push(traffic);
        }
    }

    /// The trouble this request is in, if any; uses the rule up by one.
    pub(super) fn meet(&self, cloud: Cloud, target: &str) -> Option<Trouble> {
        let mut state = self.lock();
        for fault in &mut state.faults {
            let fits = fault.cloud.is_none_or(|only| only == cloud)
                && target.contains(&fault.contains)
                && fault.target.as_ref().is_none_or(|only| only == target);
            if !fits || fault.times == Some(0) {
                continue;
            }
            if fault.skip > 0 {
                fault.skip -= 1;
                continue;
            }
            fault.times = fault.times.map(|times| times - 1);
            let what = fault.what.clone();
            self.met.send_modify(|met| *met += 1);
            return Some(what);
        }
        None
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere leaves plain data behind: nothing here is ever half done.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `METHOD /path?query Action`: the action is what AWS puts in a form or a header instead of the path.
pub(super) fn target(request: &Request) -> String {
    let mut text = format!("{} {}", request.method(), request.uri());
    let header = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok());
    if header("content-type").is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded")) {
        let action = form_urlencoded::parse(request.body()).find(|(key, _)| key == "Action");
        if let Some((_, action)) = action {
            text.push(' ');
            text.push_str(&action);
        }
    }
    if let Some(action) = header("x-amz-target") {
        text.push(' ');
        text.push_str(action);
    }
    text
}
