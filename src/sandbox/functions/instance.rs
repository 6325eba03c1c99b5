//! One process of a function, and how an event goes through it.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use jiff::Timestamp;

use super::process::{Lifelines, Process};
use super::runtime_api::{RuntimeApi, Told, Work};
use super::{Variables, environment, nothing};
use crate::sandbox::aws::{self, Invocation, MOST_PAYLOAD, Outcome};
use crate::sandbox::{World, files};

/// A process has so long to start, before the time of its first event begins to run.
const STARTING: Duration = Duration::from_secs(10);
/// How often its memory is looked at.
const LOOK: Duration = Duration::from_millis(50);
/// So much of what is printed during one event is kept, in bytes.
const MOST_PRINTED: u64 = 1024 * 1024;

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
    born: Instant,
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
        root: PathBuf,
        folder: &Path,
        mut variables: Variables,
        lifelines: &Arc<Lifelines>,
    ) -> Result<Self, Failure> {
        let failed = |error: std::io::Error| {
            Failure::new("Runtime.Unknown", &format!("it cannot be started here: {error}"))
        };
        let api = RuntimeApi::open().await.map_err(failed)?;
        variables.insert("AWS_LAMBDA_RUNTIME_API".to_owned(), api.address.to_string());
        let output = Output::open(&folder.join(format!("{}.log", invocation.request_id))).map_err(failed)?;
        let printed = output.file.try_clone().map_err(failed)?;
        let process = Process::start(&root, variables, printed, lifelines).map_err(failed)?;
        Ok(Self {
            serves: serves(invocation),
            process,
            api,
            stream: environment::stream(&invocation.version, &invocation.request_id),
            output,
            born: Instant::now(),
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
        if matches!(end, End::Told(Told::Ready) | End::TimedOut) {
            let ready = matches!(end, End::Told(Told::Ready));
            end = self.give(invocation, from + limit, ready).await;
        }
        let took = from.elapsed();
        let mut outcome = Outcome { init_ms, ..nothing(began, &self.stream) };
        outcome.duration_ms = took.as_secs_f64() * 1000.0;
        outcome.used_mb = self.process.memory_kb().map_or(0, |(_, most)| most.div_ceil(1024));
        self.conclude(invocation, end, &mut outcome);
        outcome.printed = self.output.read().unwrap_or_default();
        outcome
    }

    /// Waits until the process asks for an event.
    async fn wait_until_ready(&mut self) -> End {
        if self.ready {
            return End::Told(Told::Ready);
        }
        let end = tokio::select! {
            biased;
            told = self.api.told.recv() => told.map(End::Told),
            status = self.process.end() => Some(End::Exited(status)),
            () = tokio::time::sleep(STARTING) => Some(End::TimedOut),
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
        let most_kb = u64::from(invocation.memory_mb) * 1024;
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
                    if self.process.memory_kb().is_some_and(|(now, _)| now > most_kb) {
                        return End::OutOfMemory;
                    }
                }
            }
        }
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

/// What a process prints goes to a file: what it printed before it answered is there when the answer is.
#[derive(Debug)]
struct Output {
    file: File,
    path: PathBuf,
    read: u64,
}

impl Output {
    fn open(path: &Path) -> std::io::Result<Self> {
        Ok(Self { file: files::append(path)?, path: path.to_owned(), read: 0 })
    }

    /// The lines that came since the last look.
    fn read(&mut self) -> std::io::Result<Vec<String>> {
        let mut file = File::open(&self.path)?;
        file.seek(SeekFrom::Start(self.read))?;
        let mut bytes = Vec::new();
        (&mut file).take(MOST_PRINTED).read_to_end(&mut bytes)?;
        // What is beyond is left out.
        self.read = file.metadata()?.len();
        Ok(String::from_utf8_lossy(&bytes).lines().map(str::to_owned).collect())
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}
