//! Lambda's Runtime API, as one process is served: `GET …/invocation/next`, and how it answers.
//!
//! A process that waits for its next event does not run meanwhile: it is stopped until the event is there, as Lambda
//! freezes it. What it had begun beside its answer goes on then, or never.
//!
//! Absences: streamed responses (they are collected), extensions, telemetry.

use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex as Plain, OnceLock, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::sync::{Mutex, mpsc};
use tokio::task::{JoinHandle, JoinSet};

use super::group::Group;
use crate::sandbox::aws::MOST_PAYLOAD;
use crate::sandbox::{Response, browsers};

/// What is a little larger is still read, to be refused.
const MOST_BODY: usize = MOST_PAYLOAD + 64 * 1024;

/// An event for the process.
#[derive(Debug)]
pub(super) struct Work {
    pub(super) request_id: String,
    pub(super) arn: String,
    /// Milliseconds since 1970.
    pub(super) deadline_ms: i64,
    pub(super) payload: Bytes,
}

/// What the process tells.
#[derive(Debug)]
pub(super) enum Told {
    /// It waits for an event.
    Ready,
    /// It cannot start: the error's document.
    NotStarted(Bytes),
    /// The event's outcome.
    Response(Bytes),
    /// Larger than a response may be.
    TooLarge,
    /// The event failed: the error's document, and whether the function's maker has handled it.
    Error(Bytes, bool),
}

/// The API of one process. Dropping it closes it.
#[derive(Debug)]
pub(super) struct RuntimeApi {
    pub(super) address: SocketAddr,
    pub(super) work: mpsc::Sender<Work>,
    pub(super) told: mpsc::Receiver<Told>,
    side: Arc<Side>,
    server: JoinHandle<()>,
}

#[derive(Debug)]
struct Side {
    work: Mutex<mpsc::Receiver<Work>>,
    told: mpsc::Sender<Told>,
    /// Whom it serves.
    group: OnceLock<Arc<Group>>,
    /// Whether an event was handed over already.
    begun: AtomicBool,
    /// Whether the process waits for an event.
    resting: AtomicBool,
    /// The event that the process has.
    current: Plain<Option<String>>,
}

impl RuntimeApi {
    /// Opens it on any free port of the loopback address.
    pub(super) async fn open() -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let (work, given) = mpsc::channel(1);
        let (tell, told) = mpsc::channel(4);
        let side = Arc::new(Side {
            work: Mutex::new(given),
            told: tell,
            group: OnceLock::new(),
            begun: AtomicBool::new(false),
            resting: AtomicBool::new(false),
            current: Plain::new(None),
        });
        let server = tokio::spawn(serve(listener, Arc::clone(&side)));
        Ok(Self { address, work, told, side, server })
    }

    /// Says whom it serves.
    pub(super) fn serves(&self, group: &Arc<Group>) {
        let _ = self.side.group.set(Arc::clone(group));
    }

    /// Whether the process waits for an event.
    pub(super) fn is_resting(&self) -> bool {
        self.side.resting.load(Ordering::Relaxed)
    }
}

impl Drop for RuntimeApi {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn serve(listener: TcpListener, side: Arc<Side>) {
    let mut connections = JoinSet::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // Out of file descriptors, most likely: not a reason to end, but one to wait a little.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        while connections.try_join_next().is_some() {}
        let side = Arc::clone(&side);
        connections.spawn(async move {
            let service = service_fn(|request: http::Request<Incoming>| {
                let side = Arc::clone(&side);
                async move { Ok::<_, Infallible>(answer(&side, request).await.map(Full::new)) }
            });
            let io = TokioIo::new(stream);
            // An error is the process's to notice: it has gone.
            let _ = hyper::server::conn::http1::Builder::new().serve_connection(io, service).await;
        });
    }
}

async fn answer(side: &Side, request: http::Request<Incoming>) -> Response {
    // It is the function's own: a web page that has found the port gets no event and answers none.
    if browsers::is_strange(&request) {
        return status(403, "Forbidden");
    }
    let path = request.uri().path().to_owned();
    let Some(rest) = path.strip_prefix("/2018-06-01/runtime/") else { return status(404, "NotFound") };
    let handled =
        request.headers().get("lambda-runtime-function-error-type").is_some_and(|kind| kind == "Handled");
    let parts = rest.split('/').collect::<Vec<_>>();
    match (request.method(), parts.as_slice()) {
        (&Method::GET, ["invocation", "next"]) => next(side).await,
        (&Method::POST, ["init", "error"]) => {
            let body = collect(request).await.unwrap_or_default();
            tell(side, Told::NotStarted(body)).await
        }
        (&Method::POST, ["invocation", id, what @ ("response" | "error")]) => {
            let mine = current(side).take_if(|current| current == id).is_some();
            if !mine {
                return status(400, "InvalidRequestID");
            }
            let told = match (collect(request).await, *what) {
                (Some(body), "response") if body.len() <= MOST_PAYLOAD => Told::Response(body),
                (Some(body), "error") => Told::Error(body, handled),
                _ => {
                    tell(side, Told::TooLarge).await;
                    return status(413, "RequestEntityTooLarge");
                }
            };
            tell(side, told).await
        }
        _ => status(404, "NotFound"),
    }
}

async fn next(side: &Side) -> Response {
    tell(side, Told::Ready).await;
    let mut given = side.work.lock().await;
    let work = match given.try_recv() {
        Ok(work) => Some(work),
        Err(_) => rest(side, given.recv()).await,
    };
    drop(given);
    let Some(work) = work else { return status(500, "Shutdown") };
    *current(side) = Some(work.request_id.clone());
    let response = http::Response::builder()
        .status(StatusCode::OK)
        .header("content-type", "application/json")
        .header("lambda-runtime-aws-request-id", &work.request_id)
        .header("lambda-runtime-deadline-ms", work.deadline_ms)
        .header("lambda-runtime-invoked-function-arn", &work.arn)
        .header("lambda-runtime-trace-id", trace(&work))
        .body(work.payload);
    response.unwrap_or_else(|_| status(500, "Unsendable"))
}

/// Waits while the process is stopped. Before its first event it is not: that one is on its way.
async fn rest<T>(side: &Side, work: impl Future<Output = Option<T>>) -> Option<T> {
    side.resting.store(true, Ordering::Relaxed);
    let group = side.group.get().filter(|_| side.begun.load(Ordering::Relaxed));
    if let Some(group) = group {
        group.stop();
    }
    let work = work.await;
    if let Some(group) = group {
        group.go_on();
    }
    side.begun.store(true, Ordering::Relaxed);
    side.resting.store(false, Ordering::Relaxed);
    work
}

/// A trace that nobody follows: `Root=1-TIME-ID;Parent=…;Sampled=0`.
fn trace(work: &Work) -> String {
    let id = work.request_id.replace('-', "");
    let (time, id) = (work.deadline_ms / 1000, id.get(..32).unwrap_or("00000000000000000000000000000000"));
    format!("Root=1-{time:08x}-{};Parent={};Sampled=0", &id[..24], &id[16..])
}

fn current(side: &Side) -> std::sync::MutexGuard<'_, Option<String>> {
    side.current.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn collect(request: http::Request<Incoming>) -> Option<Bytes> {
    let body = Limited::new(request.into_body(), MOST_BODY).collect().await.ok()?;
    Some(body.to_bytes())
}

async fn tell(side: &Side, told: Told) -> Response {
    // Whoever listened may have given up on the process.
    let _ = side.told.send(told).await;
    let mut response = Response::new(Bytes::from_static(b"{\"status\":\"OK\"}\n"));
    *response.status_mut() = StatusCode::ACCEPTED;
    response
}

fn status(code: u16, kind: &str) -> Response {
    let mut response =
        Response::new(Bytes::from(format!("{{\"errorType\":\"{kind}\",\"errorMessage\":\"{kind}\"}}\n")));
    *response.status_mut() = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response
}
