//! The clouds, played on this machine for the tests: S3, Systems Manager, Google's STS and IAM Credentials,
//! Firestore, Computer Vision, and Lambda's Runtime API, behind one address. They check what the real ones check
//! of the requests made here, and break on demand.

mod bootstrap;
mod world;

use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::stream;
use http::{Request, Response, StatusCode};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::Notify;

pub use bootstrap::Bootstrap;
pub use world::{CANARIES, World, seen_by_vision};

/// How a request goes wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// Not at all: the one after it meets a later request.
    None,
    /// Refused with this status, nothing done; asked to come back after so many seconds.
    Status(u16, Option<u64>),
    /// Done, and still answered with this status.
    AppliedThen(u16),
    /// Never answered.
    Hang,
    /// The answer stops in its middle, and the connection with it.
    Truncated,
    /// A page of HTML with status 200, as something in between would send.
    Html,
}

/// A request that came.
#[derive(Debug, Clone)]
pub struct Seen {
    /// When.
    pub at: Instant,
    /// Its method.
    pub method: String,
    /// Its path, as sent.
    pub path: String,
    /// Its query, as sent.
    pub query: String,
    /// Its headers.
    pub headers: BTreeMap<String, String>,
    /// Its body.
    pub body: Bytes,
}

/// An answer.
pub struct Played {
    /// Its status.
    pub status: u16,
    /// Its headers.
    pub headers: Vec<(&'static str, String)>,
    /// Its body.
    pub body: Bytes,
}

struct State {
    world: World,
    faults: VecDeque<(&'static str, Fault)>,
    seen: Vec<Seen>,
    events: VecDeque<Value>,
    results: Vec<(bool, Value)>,
}

/// The server. It ends with the runtime that it was started in.
#[derive(Clone)]
pub struct Stub {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    /// Told when an event was queued or a result came.
    changed: Arc<Notify>,
}

type Body = BoxBody<Bytes, std::io::Error>;

impl Stub {
    /// Starts one, at a port of its own.
    pub async fn start() -> std::io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let state = State {
            world: World::default(),
            faults: VecDeque::new(),
            seen: Vec::new(),
            events: VecDeque::new(),
            results: Vec::new(),
        };
        let stub = Self {
            address: listener.local_addr()?,
            state: Arc::new(Mutex::new(state)),
            changed: Arc::new(Notify::new()),
        };
        let server = stub.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let server = server.clone();
                let serve = move |request| {
                    let server = server.clone();
                    async move { server.answer(request).await }
                };
                let service = hyper::service::service_fn(serve);
                tokio::spawn(
                    hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service),
                );
            }
        });
        Ok(stub)
    }

    /// `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The variables of a function whose clouds are all here.
    pub fn variables(&self) -> BTreeMap<String, String> {
        let configuration = world::credential_configuration();
        let pairs = [
            ("AWS_LAMBDA_RUNTIME_API", self.address.to_string()),
            ("AWS_LAMBDA_FUNCTION_NAME", "under-test".to_owned()),
            ("AWS_LAMBDA_FUNCTION_VERSION", "1".to_owned()),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256".to_owned()),
            ("AWS_REGION", "us-east-1".to_owned()),
            ("AWS_ACCESS_KEY_ID", world::ACCESS_KEY_ID.to_owned()),
            ("AWS_SECRET_ACCESS_KEY", world::SECRET_ACCESS_KEY.to_owned()),
            ("AWS_SESSION_TOKEN", world::SESSION_TOKEN.to_owned()),
            ("AWS_ENDPOINT_URL", self.url()),
            ("GOOGLE_ENDPOINT_URL", self.url()),
            ("GOOGLE_CREDENTIAL_CONFIGURATION", configuration),
            ("FIRESTORE_PROJECT", "demo".to_owned()),
            ("AZURE_VISION_ENDPOINT", self.url()),
            ("AZURE_VISION_KEY", world::VISION_KEY.to_owned()),
            ("UPLOAD_BUCKET", "pictures".to_owned()),
        ];
        pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }

    /// What the clouds hold.
    pub fn world<T>(&self, look: impl FnOnce(&mut World) -> T) -> T {
        look(&mut self.state().world)
    }

    /// The next request whose path contains `part` goes wrong.
    pub fn fault(&self, part: &'static str, fault: Fault) {
        self.state().faults.push_back((part, fault));
    }

    /// The requests so far whose path contains `part`.
    pub fn seen(&self, part: &str) -> Vec<Seen> {
        self.state().seen.iter().filter(|seen| seen.path.contains(part)).cloned().collect()
    }

    /// Hands the function an event, and waits for what becomes of it: its answer, or its error.
    pub async fn invoke(&self, event: Value) -> Result<Value, Value> {
        let before = self.state().results.len();
        self.state().events.push_back(event);
        self.changed.notify_waiters();
        loop {
            let changed = self.changed.notified();
            let result = self.state().results.get(before).cloned();
            match result {
                Some((true, value)) => return Ok(value),
                Some((false, value)) => return Err(value),
                None => changed.await,
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn answer(&self, request: Request<Incoming>) -> Result<Response<Body>, std::io::Error> {
        let (head, body) = request.into_parts();
        let body = body.collect().await.map_err(std::io::Error::other)?.to_bytes();
        let headers = head.headers.iter().map(|(name, value)| {
            (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
        });
        let seen = Seen {
            at: Instant::now(),
            method: head.method.to_string(),
            path: head.uri.path().to_owned(),
            query: head.uri.query().unwrap_or_default().to_owned(),
            headers: headers.collect(),
            body,
        };
        if let Some(name) = seen.path.strip_prefix("/2018-06-01/runtime/") {
            return Ok(self.runtime(name, &seen).await);
        }
        let fault = {
            let mut state = self.state();
            state.seen.push(seen.clone());
            let found = state.faults.iter().position(|(part, _)| seen.path.contains(part));
            found.and_then(|at| state.faults.remove(at)).map(|(_, fault)| fault)
        };
        Ok(match fault {
            None | Some(Fault::None) => whole(self.state().world.play(&seen)),
            Some(Fault::Status(status, retry_after)) => {
                let headers = retry_after.map(|seconds| ("retry-after", seconds.to_string()));
                whole(Played { status, headers: headers.into_iter().collect(), body: Bytes::new() })
            }
            Some(Fault::AppliedThen(status)) => {
                self.state().world.play(&seen);
                whole(Played { status, headers: Vec::new(), body: Bytes::new() })
            }
            Some(Fault::Hang) => std::future::pending().await,
            Some(Fault::Truncated) => broken(&self.state().world.play(&seen)),
            Some(Fault::Html) => {
                let headers = vec![("content-type", "text/html".to_owned())];
                whole(Played { status: 200, headers, body: Bytes::from_static(b"<h1>Welcome</h1>") })
            }
        })
    }

    /// Lambda's Runtime API.
    async fn runtime(&self, name: &str, seen: &Seen) -> Response<Body> {
        let nothing = |status| whole(Played { status, headers: Vec::new(), body: Bytes::new() });
        if name == "invocation/next" {
            return whole(self.next_event().await);
        }
        let done = name.ends_with("/response");
        if done || name.ends_with("/error") {
            let value = serde_json::from_slice(&seen.body).unwrap_or_default();
            self.state().results.push((done, value));
            self.changed.notify_waiters();
            return nothing(202);
        }
        nothing(404)
    }

    async fn next_event(&self) -> Played {
        let event = loop {
            let changed = self.changed.notified();
            let next = self.state().events.pop_front();
            match next {
                Some(event) => break event,
                None => changed.await,
            }
        };
        let deadline = std::time::SystemTime::now() + Duration::from_secs(20);
        let since = deadline.duration_since(std::time::SystemTime::UNIX_EPOCH).unwrap_or_default();
        let headers = vec![
            ("content-type", "application/json".to_owned()),
            ("lambda-runtime-aws-request-id", "8476a536-e9f4-11e8-9739-2dfe598c3fcd".to_owned()),
            ("lambda-runtime-deadline-ms", since.as_millis().to_string()),
            (
                "lambda-runtime-invoked-function-arn",
                "arn:aws:lambda:us-east-1:123456789012:function:f".to_owned(),
            ),
            ("lambda-runtime-trace-id", "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700".to_owned()),
        ];
        Played { status: 200, headers, body: Bytes::from(event.to_string()) }
    }
}

fn head(played: &Played) -> http::response::Builder {
    let status = StatusCode::from_u16(played.status).unwrap_or_default();
    let builder = Response::builder().status(status);
    played.headers.iter().fold(builder, |builder, (name, value)| builder.header(*name, value))
}

fn whole(played: Played) -> Response<Body> {
    let builder = head(&played);
    let body = Full::new(played.body).map_err(|never: Infallible| match never {}).boxed();
    builder.body(body).unwrap_or_default_response()
}

/// Half of the body, though the whole was announced.
fn broken(played: &Played) -> Response<Body> {
    let half = played.body.slice(..played.body.len() / 2);
    let parts = [Ok(Frame::data(half)), Err(std::io::Error::other("broken on demand"))];
    let body = BodyExt::boxed(StreamBody::new(stream::iter(parts)));
    head(played).header("content-length", played.body.len()).body(body).unwrap_or_default_response()
}

trait OrEmpty {
    fn unwrap_or_default_response(self) -> Response<Body>;
}

impl OrEmpty for Result<Response<Body>, http::Error> {
    /// Headers of the tests' own making are never malformed; if they were, an empty answer fails the test.
    fn unwrap_or_default_response(self) -> Response<Body> {
        self.unwrap_or_else(|_| {
            Response::new(Full::new(Bytes::new()).map_err(|never: Infallible| match never {}).boxed())
        })
    }
}
