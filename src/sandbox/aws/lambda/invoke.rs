//! Invocations: what is asked of a function, and what becomes of its outcome.
//!
//! Nothing is run here. A call that is to be answered by a function becomes an [`Invocation`], which the server runs
//! outside of the world and brings back with its [`Outcome`]. Absences: response streams, destinations, dead-letter
//! queues, reserved concurrency.

use std::collections::BTreeMap;

use base64::Engine as _;
use bytes::Bytes;
use jiff::Timestamp;
use serde_json::{Value as Json, json};

use super::super::apigateway;
use super::super::error::Error;
use super::super::rest::{Call, answer, empty, finish};
use super::change::{is_assumable, not_found};
use super::function::{Alias, Configuration, Function, LATEST};
use super::{journal, queue};
use crate::sandbox::{Response, World};

/// What is sent and answered at once is no larger, in bytes.
pub(in crate::sandbox) const MOST_PAYLOAD: usize = 6 * 1024 * 1024;
/// What is sent and not waited for is no larger.
const MOST_EVENT: usize = 1024 * 1024;
/// So much of a log is told with an answer.
const TAIL: usize = 4096;

/// A function to be run once.
#[derive(Clone, Debug)]
pub struct Invocation {
    /// Tells it from all others.
    pub request_id: String,
    /// The function as it was called, with its qualifier.
    pub arn: String,
    /// Whose it is.
    pub account: String,
    /// Where it is.
    pub region: String,
    /// Its name.
    pub name: String,
    /// `$LATEST`, or a number.
    pub version: String,
    /// New with every change of code or settings: what runs an older one is of no use.
    pub revision: String,
    /// The name of the archive's blob.
    pub code: String,
    /// What `_HANDLER` says.
    pub handler: String,
    /// `provided.al2023`.
    pub runtime: String,
    /// `x86_64` or `arm64`.
    pub architecture: String,
    /// What it may use.
    pub memory_mb: u32,
    /// What it may take.
    pub timeout_s: u32,
    /// The variables that its maker has set.
    pub environment: BTreeMap<String, String>,
    /// The ARN of the role that it runs as.
    pub role: String,
    /// Where its log goes.
    pub log_group: String,
    /// Whether the platform's own lines of the log are JSON.
    pub log_json: bool,
    /// The event.
    pub payload: Bytes,
    /// Whoever waits gives up after so long; the function runs on.
    pub answer_within_ms: Option<u32>,
    /// What becomes of the outcome.
    pub then: Then,
}

/// Who waits for an outcome.
#[derive(Clone, Debug)]
pub enum Then {
    /// Whoever called Invoke, and whether the log's end is told.
    Answer {
        /// `LogType: Tail`.
        tail: bool,
    },
    /// A client of an HTTP API.
    Web(Box<apigateway::Waiting>),
    /// Nobody: it was queued under this key.
    Queue(String),
}

/// What a function did.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// What it answered, or the document of its error.
    pub body: Bytes,
    /// `Handled` or `Unhandled`, where it failed.
    pub error: Option<&'static str>,
    /// The log's stream: that of the process.
    pub stream: String,
    /// What it printed.
    pub printed: Vec<String>,
    /// What the platform says after what was printed: that time was up, that the process ended.
    pub remark: Option<String>,
    /// When it began.
    pub began: Timestamp,
    /// How long it took, in milliseconds.
    pub duration_ms: f64,
    /// How long it took to start, where it was started for this.
    pub init_ms: Option<f64>,
    /// The most memory it has used.
    pub used_mb: u64,
    /// Whether it did not run at all because too many ran.
    pub throttled: bool,
}

/// `POST …/functions/NAME/invocations`
pub(super) fn invoke(call: &mut Call<'_>, function: &Function, qualifier: &str) -> Result<Response, Error> {
    let payload = call.request.body().clone();
    let kind = call.header("x-amz-invocation-type").unwrap_or("RequestResponse").to_owned();
    let most = if kind == "Event" { MOST_EVENT } else { MOST_PAYLOAD };
    if payload.len() > most {
        let message = format!("Request must be smaller than {most} bytes for the InvokeFunction operation");
        return Err(Error::new(413, "RequestTooLargeException", message));
    }
    if !payload.is_empty()
        && let Err(error) = serde_json::from_slice::<serde::de::IgnoredAny>(&payload)
    {
        let message = format!("Could not parse request body into json: {error}");
        return Err(Error::new(400, "InvalidRequestContentException", message));
    }
    let tail = call.header("x-amz-log-type").is_some_and(|kind| kind == "Tail");
    let invocation = prepare(call.world, function, qualifier, payload.clone(), Then::Answer { tail })?;
    match kind.as_str() {
        "DryRun" => Ok(empty(204)),
        "Event" => {
            let arn = invocation.arn;
            queue::add(call.world, &arn, &payload);
            Ok(empty(202))
        }
        "RequestResponse" => Ok(deferred(invocation)),
        other => Err(super::change::invalid(format!(
            "Value '{other}' at 'invocationType' failed to satisfy constraint: Member must satisfy enum value set: \
             [Event, RequestResponse, DryRun]"
        ))),
    }
}

/// An answer that the invocation will give.
pub(in crate::sandbox::aws) fn deferred(invocation: Invocation) -> Response {
    let mut response = Response::default();
    // What is said where nothing runs functions.
    *response.status_mut() = http::StatusCode::NOT_IMPLEMENTED;
    *response.body_mut() =
        Bytes::from_static(b"{\"message\":\"Functions run only where the sandbox is served.\"}");
    response.extensions_mut().insert(invocation);
    response
}

/// The invocation of a function, if it can be called at all.
pub(in crate::sandbox::aws) fn prepare(
    world: &mut World,
    function: &Function,
    qualifier: &str,
    payload: Bytes,
    then: Then,
) -> Result<Invocation, Error> {
    let drawn = function.aliases.get(qualifier).map(|alias| draw(world, alias));
    let found = function.resolve(drawn.as_deref().unwrap_or(qualifier));
    let found: &Configuration = found.ok_or_else(|| not_found(&function.qualified_arn(qualifier)))?;
    if found.version == LATEST
        && function.settling.as_ref().is_some_and(|settling| settling.new)
        && !function.is_ready(world.now())
    {
        let message = format!(
            "The operation cannot be performed at this time. The function is currently in the following state: Pending: \
             {}",
            function.arn()
        );
        return Err(Error::new(409, "ResourceConflictException", message));
    }
    if !is_assumable(world, function, &found.role) {
        let message = "The role defined for the function cannot be assumed by Lambda.";
        return Err(Error::new(403, "AccessDeniedException", message));
    }
    if !found.runtime.starts_with("provided") {
        let message = format!(
            "The sandbox runs functions that bring their own bootstrap (provided.al2023), not {}.",
            found.runtime
        );
        return Err(Error::new(502, "InvalidRuntimeException", message));
    }
    Ok(Invocation {
        request_id: world.uuid(),
        arn: function.qualified_arn(qualifier),
        account: function.account.clone(),
        region: function.region.clone(),
        name: function.name.clone(),
        version: found.version.clone(),
        revision: found.revision.clone(),
        code: found.code.blob.clone(),
        handler: found.handler.clone(),
        runtime: found.runtime.clone(),
        architecture: found.architecture.clone(),
        memory_mb: found.memory_mb,
        timeout_s: found.timeout_s,
        environment: found.environment.clone(),
        role: found.role.clone(),
        log_group: found.log_group.clone(),
        log_json: found.log_format == "JSON",
        answer_within_ms: None,
        payload: if payload.is_empty() { Bytes::from_static(b"{}") } else { payload },
        then,
    })
}

/// The version that a call of an alias meets.
fn draw(world: &mut World, alias: &Alias) -> String {
    let mut dice = u32::from_str_radix(&world.hex(4), 16).unwrap_or_default() % 100;
    for (version, percent) in &alias.weights {
        if dice < *percent {
            return version.clone();
        }
        dice -= percent;
    }
    alias.version.clone()
}

/// What becomes of an outcome: the log is written, and whoever waits is answered.
pub fn complete(world: &mut World, invocation: &Invocation, outcome: &Outcome) -> Response {
    let log = if outcome.throttled { Vec::new() } else { journal::write(world, invocation, outcome) };
    match &invocation.then {
        Then::Answer { .. } if outcome.throttled => {
            let error = Error::new(429, "TooManyRequestsException", "Rate Exceeded.");
            finish(world, Err(error))
        }
        Then::Answer { tail } => {
            let mut response = answer(200, &Json::Null);
            *response.body_mut() = outcome.body.clone();
            let tail = tail.then(|| {
                let text = log.concat();
                let from = (0..=text.len())
                    .find(|from| text.len() - from <= TAIL && text.is_char_boundary(*from))
                    .unwrap_or_default();
                base64::engine::general_purpose::STANDARD.encode(&text[from..])
            });
            let fields = [
                ("x-amz-executed-version", Some(invocation.version.clone())),
                ("x-amz-function-error", outcome.error.map(str::to_owned)),
                ("x-amz-log-result", tail),
                ("x-amzn-requestid", Some(invocation.request_id.clone())),
            ];
            for (name, value) in fields {
                if let Some(Ok(value)) = value.map(|value| value.parse()) {
                    response.headers_mut().insert(name, value);
                }
            }
            response
        }
        Then::Web(waiting) => apigateway::complete(world, waiting, outcome),
        Then::Queue(key) => {
            queue::done(world, key, outcome.error.is_none());
            empty(200)
        }
    }
}

/// Whether a function's version still has this revision; the function goes by `ACCOUNT/REGION/NAME`.
pub fn is_current(world: &World, function: &str, version: &str, revision: &str) -> bool {
    let Some(found) = world.get::<Function>(function) else { return false };
    found.resolve(version).is_some_and(|found| found.revision == revision)
}

/// What whoever waits is answered when that takes too long.
pub fn give_up(world: &mut World, invocation: &Invocation) -> Response {
    match &invocation.then {
        Then::Web(waiting) => apigateway::give_up(world, waiting),
        Then::Answer { .. } | Then::Queue(_) => empty(504),
    }
}

/// The document of an error that is the platform's.
pub(in crate::sandbox) fn error_document(request_id: &str, kind: &str, message: &str) -> Bytes {
    Bytes::from(
        json!({ "errorType": kind, "errorMessage": format!("RequestId: {request_id} Error: {message}") })
            .to_string(),
    )
}
