//! One process of a function, and how an event goes through it.

use std::path::Path;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use jiff::Timestamp;

use super::output::Output;
use super::process::{Lifelines, Process};
use super::runtime_api::{RuntimeApi, Told, Work};
use super::{Variables, environment, nothing};
use crate::sandbox::World;
use crate::sandbox::aws::{self, Invocation, MOST_PAYLOAD, Outcome};

/// A process has so long to start, before the time of its first event begins to run.
const STARTING: Duration = Duration::from_secs(10);
/// How often its memory is looked at.
const LOOK: Duration = Duration::from_millis(50);

/// Why an event fails that is no fault of the function's own words: Lambda's kind of error, and its message.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) kind: &'static str,
    pub(super) message: String,
}

impl Failure {
    pub(super) fn new(kind: &'static str, message: &str) -> Self {
        Self { kind, message: message.to_owned() }
    }
}

/// A process that serves one revision of a function.
#[derive(Debug)]
pub(super) struct Instance {
    /// The function as `ACCOUNT/REGION/NAME`, the version and the revision.
    serves: [String; 3],
    process: Process,
    api: RuntimeApi,
    stream: String,
    output: Output,
    /// What it may use, in kilobytes, and the most that it was seen to use.
    memory_kb: (u64, u64),
    born: Instant,
    /// When the time of its last event is over: whoever does not wait for another by then is stuck.
    over: Instant,
    /// Whether it has said that it waits.
    ready: bool,
    /// Whether it may get another event.
    usable: bool,
}

/// How waiting for an event's outcome ended.
enum End {
    Told(Told),
    Exited(ExitStatus),
    TimedOut,
    OutOfMemory,
}

impl Instance {
    /// Starts a process.
    pub(super) async fn start(
        invocation: &Invocation,
        root: &Path,
        mut variables: Variables,
        lifelines: &Arc<Lifelines>,
    ) -> Result<Self, Failure> {
        let failed = |error: std::io::Error| {
            Failure::new("Runtime.Unknown", &format!("it cannot be started here: {error}"))
        };
        let api = RuntimeApi::open().await.map_err(failed)?;
        variables.insert("AWS_LAMBDA_RUNTIME_API".to_owned(), api.address.to_string());
        let (output, printed) = Output::open().map_err(failed)?;
        let process = Process::start(root, variables, printed, lifelines).map_err(failed)?;
        api.serves(&process.group);
        Ok(Self {
            serves: serves(invocation),
            process,
            api,
            stream: environment::stream(&invocation.version, &invocation.request_id),
            output,
            memory_kb: (u64::from(invocation.memory_mb) * 1024, 0),
            born: Instant::now(),
            over: Instant::now() + STARTING,
            ready: false,
            usable: true,
        })
    }

    /// Whether it is a process of just this revision.
    pub(super) fn serves(&self, invocation: &Invocation) -> bool {
        self.serves == serves(invocation)
    }

    /// Whether it is one of what the function still is.
    pub(super) fn is_current(&self, world: &World) -> bool {
        let [function, version, revision] = &self.serves;
        aws::is_current(world, function, version, revision)
    }

    pub(super) fn age(&self) -> Duration {
        self.born.elapsed()
    }

    pub(super) fn is_usable(&self) -> bool {
        self.usable && self.process.is_alive()
    }

    /// Whether it has answered, and goes on with something else for longer than its event could have taken: Lambda would
    /// have ended it.
    pub(super) fn is_stuck(&self) -> bool {
        !self.api.is_resting() && Instant::now() > self.over
    }

    /// Runs one event; `started` says when the process was started, if it was for this event.
    pub(super) async fn run(
        &mut self,
        invocation: &Invocation,
        began: Timestamp,
        started: Option<Instant>,
    ) -> Outcome {
        let limit = Duration::from_secs(invocation.timeout_s.into());
        let mut end = self.wait_until_ready().await;
        let init_ms = started.map(|since| since.elapsed().as_secs_f64() * 1000.0);
        let from = Instant::now();
        self.over = from + limit;
        if matches!(end, End::Told(Told::Ready) | End::TimedOut) {
            let ready = matches!(end, End::Told(Told::Ready));
            end = self.give(invocation, from + limit, ready).await;
        }
        let took = from.elapsed();
        let mut outcome = Outcome { init_ms, ..nothing(began, &self.stream) };
        outcome.duration_ms = took.as_secs_f64() * 1000.0;
        self.is_beyond_memory();
        outcome.used_mb = self.memory_kb.1.div_ceil(1024);
        self.conclude(invocation, end, &mut outcome);
        outcome.printed = self.output.take();
        outcome
    }

    /// Waits until the process asks for an event.
    async fn wait_until_ready(&mut self) -> End {
        if self.ready {
            return End::Told(Told::Ready);
        }
        let until = tokio::time::Instant::now() + STARTING;
        let mut looks = tokio::time::interval(LOOK);
        let end = loop {
            tokio::select! {
                biased;
                told = self.api.told.recv() => break told.map(End::Told),
                status = self.process.end() => break Some(End::Exited(status)),
                () = tokio::time::sleep_until(until) => break Some(End::TimedOut),
                _ = looks.tick() => {
                    if self.is_beyond_memory() {
                        break Some(End::OutOfMemory);
                    }
                }
                never = self.output.keep() => match never {},
            }
        };
        self.ready = matches!(end, Some(End::Told(Told::Ready)));
        end.unwrap_or(End::TimedOut)
    }

    /// Hands an event over, and waits for its outcome until its time is over.
    async fn give(&mut self, invocation: &Invocation, until: Instant, ready: bool) -> End {
        let limit = i64::from(invocation.timeout_s) * 1000;
        let work = Work {
            request_id: invocation.request_id.clone(),
            arn: invocation.arn.clone(),
            deadline_ms: Timestamp::now().as_millisecond() + limit,
            payload: invocation.payload.clone(),
        };
        if self.api.work.send(work).await.is_err() {
            return End::Exited(ExitStatus::default());
        }
        self.ready = false;
        let mut looks = tokio::time::interval(LOOK);
        let mut waiting = ready;
        loop {
            tokio::select! {
                biased;
                told = self.api.told.recv() => match told {
                    // One that was slow to start comes to its event only now.
                    Some(Told::Ready) if !waiting => waiting = true,
                    Some(told) => return End::Told(told),
                    None => return End::Exited(ExitStatus::default()),
                },
                status = self.process.end() => return End::Exited(status),
                () = tokio::time::sleep_until(until.into()) => return End::TimedOut,
                _ = looks.tick() => {
                    if self.is_beyond_memory() {
                        return End::OutOfMemory;
                    }
                }
                never = self.output.keep() => match never {},
            }
        }
    }

    /// Looks at its memory.
    fn is_beyond_memory(&mut self) -> bool {
        let (may, most) = &mut self.memory_kb;
        let (now, peak) = self.process.group.memory_kb(*may);
        *most = (*most).max(now).max(peak);
        now > *may
    }

    /// Says what the end means. A process that did not end an event in order is ended itself.
    fn conclude(&mut self, invocation: &Invocation, end: End, outcome: &mut Outcome) {
        let document = |kind: &str, message: &str| aws::error_document(&invocation.request_id, kind, message);
        let exited = |message: &str| (document("Runtime.ExitError", message), Some("Unhandled"));
        let mut orderly = false;
        (outcome.body, outcome.error) = match end {
            End::Told(Told::Response(body)) => {
                orderly = true;
                (body, None)
            }
            End::Told(Told::Error(body, handled)) => {
                orderly = true;
                (body, Some(if handled { "Handled" } else { "Unhandled" }))
            }
            End::Told(Told::TooLarge) => {
                let message = format!(
                    "Response payload size exceeded maximum allowed payload size ({MOST_PAYLOAD} bytes)."
                );
                (document("Function.ResponseSizeTooLarge", &message), Some("Unhandled"))
            }
            End::Told(Told::NotStarted(body)) => (body, Some("Unhandled")),
            // It asks for another event without having answered this one.
            End::Told(Told::Ready) => exited("Runtime exited without providing a reason"),
            End::Exited(status) => {
                let message = told(status);
                outcome.remark = Some(message.clone());
                exited(&message)
            }
            End::OutOfMemory => {
                let message = "Runtime exited with error: signal: killed";
                outcome.used_mb = invocation.memory_mb.into();
                outcome.remark = Some(message.to_owned());
                (document("Runtime.OutOfMemory", message), Some("Unhandled"))
            }
            End::TimedOut => {
                let message = format!("Task timed out after {:.2} seconds", f64::from(invocation.timeout_s));
                outcome.remark = Some(message.clone());
                (document("Sandbox.Timedout", &message), Some("Unhandled"))
            }
        };
        if !orderly {
            self.usable = false;
            self.process.kill();
        }
        if outcome.body.is_empty() {
            // Lambda answers `null` where the function says nothing.
            outcome.body = Bytes::from_static(b"null");
        }
    }
}

fn serves(invocation: &Invocation) -> [String; 3] {
    let Invocation { account, region, name, version, revision, .. } = invocation;
    [format!("{account}/{region}/{name}"), version.clone(), revision.clone()]
}

/// How a process ended, in Lambda's words.
fn told(status: ExitStatus) -> String {
    #[cfg(unix)]
    if let Some(signal) = std::os::unix::process::ExitStatusExt::signal(&status) {
        let name = match signal {
            6 => "aborted",
            9 => "killed",
            11 => "segmentation fault",
            15 => "terminated",
            _ => return format!("Runtime exited with error: signal: {signal}"),
        };
        return format!("Runtime exited with error: signal: {name}");
    }
    match status.code() {
        Some(0) | None => "Runtime exited without providing a reason".to_owned(),
        Some(code) => format!("Runtime exited with error: exit status {code}"),
    }
}
