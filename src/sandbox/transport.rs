//! Loopback sockets in front of the adapters: one listener for each cloud, and control requests on all of them.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, TryLockError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Method, StatusCode};
use http_body_util::{BodyExt as _, Either, Full, Limited, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::{Notify, Semaphore, SemaphorePermit, watch};
use tokio::task::JoinSet;

use super::aws::Invocation;
use super::faults::{Fault, Traffic, Trouble, Wire, target};
use super::functions::Runner;
use super::log::Log;
use super::{Accounts, Change, Request, Response, World, aws, azure, browsers, gcp};
use crate::model::Cloud;

/// No request is larger.
const MAX_BODY: usize = 256 * 1024 * 1024;
/// No more connections are served at once; others wait to be accepted.
const MAX_CONNECTIONS: usize = 1024;
/// What is being answered when the server closes has this long to be finished.
const CLOSING: Duration = Duration::from_secs(2);

/// What all connections share.
#[derive(Debug)]
pub(super) struct Shared {
    /// Gone once the server is closed: whoever still has a connection then gets no answer.
    pub(super) open: Mutex<Option<Open>>,
    /// Whoever wants to answer waits for its turn here, where waiting keeps no thread: however long an answer takes, the
    /// runtime still sees to clocks and signals.
    turns: Semaphore,
    /// Pictures are measured one after the other: each may take half a gigabyte of memory.
    looks: Semaphore,
    pub(super) wire: Wire,
    /// Runs functions, where the sandbox is served; a simulation has none.
    pub(super) runner: OnceLock<Arc<Runner>>,
    /// Told when something is queued.
    pub(super) wake: Notify,
    latency: Duration,
    /// Tells this server from another that may get its port one day.
    id: String,
}

/// The world with its log; dropping it gives the folder free.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) world: World,
    /// Where it outlasts the process, and the lock that makes it ours; a simulation has neither.
    pub(super) log: Option<(Log, std::fs::File)>,
}

impl Shared {
    pub(super) fn new(open: Open, latency: Duration, id: String) -> Self {
        Self {
            open: Mutex::new(Some(open)),
            turns: Semaphore::new(1),
            looks: Semaphore::new(1),
            wire: Wire::default(),
            runner: OnceLock::new(),
            wake: Notify::new(),
            latency,
            id,
        }
    }

    /// Ends it: from now on nothing reads or changes the world, and the folder is free. What is being answered is waited
    /// for, but not for ever: where that does not end, the folder is free once the process is gone.
    pub(super) fn close(&self) {
        let deadline = Instant::now() + CLOSING;
        loop {
            let mut open = match self.open.try_lock() {
                Ok(open) => open,
                Err(TryLockError::Poisoned(open)) => open.into_inner(),
                Err(TryLockError::WouldBlock) if Instant::now() < deadline => {
                    std::thread::sleep(Duration::from_millis(2));
                    continue;
                }
                Err(TryLockError::WouldBlock) => return,
            };
            drop(open.take());
            return;
        }
    }

    /// Waits until nobody else answers.
    async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        match self.turns.try_acquire() {
            Ok(turn) => Some(turn),
            Err(_) => self.turns.acquire().await.ok(),
        }
    }

    /// Plays further accounts.
    pub(super) async fn admit(&self, accounts: &Accounts) -> io::Result<()> {
        let _turn = self.turn().await;
        let mut guard = self.lock();
        let Some(open) = guard.as_mut() else { return Err(io::ErrorKind::ConnectionAborted.into()) };
        let before = open.world.accounts().clone();
        open.world.admit(accounts);
        if *open.world.accounts() == before {
            return Ok(());
        }
        match &mut open.log {
            Some((log, _)) => log.admit(open.world.random_state(), open.world.accounts()),
            None => Ok(()),
        }
    }

    /// Whether a request is a web page's that has no business here.
    async fn refuses(&self, cloud: Cloud, request: &Request) -> bool {
        if !browsers::is_strange(request) {
            return false;
        }
        let here = browsers::names_this_machine(request);
        let _turn = self.turn().await;
        let guard = self.lock();
        match (cloud, guard.as_ref()) {
            (Cloud::Aws, Some(open)) => !aws::is_for_pages(&open.world, request, here),
            (Cloud::Gcp | Cloud::Azure, Some(_)) | (_, None) => true,
        }
    }

    /// Lets the cloud answer; what it changed is on disk before the answer is known. `None` once closed.
    async fn handle(&self, cloud: Cloud, request: &Request) -> Option<Response> {
        self.answered(|world| dispatch(cloud, world, request)).await
    }

    /// An answer that changes the world.
    async fn answered(&self, answer: impl FnOnce(&mut World) -> Response) -> Option<Response> {
        let answer = |world: &mut World| {
            let date = world.now().strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
            dated(answer(world), &date)
        };
        let done = self.act(answer).await?;
        Some(done.unwrap_or_else(|error| {
            plain(StatusCode::INTERNAL_SERVER_ERROR, &format!("the sandbox cannot write: {error}\n"))
        }))
    }

    /// Looks at the world, and changes it. `None` once closed; an error where nothing can be written: nothing is changed.
    pub(super) async fn act<T>(&self, act: impl FnOnce(&mut World) -> T) -> Option<io::Result<T>> {
        let _turn = self.turn().await;
        let mut guard = self.lock();
        let open = guard.as_mut()?;
        open.world.discard();
        let done = act(&mut open.world);
        let log = &mut open.log;
        let write = |random: u64, changes: &[Change]| match log {
            Some((log, _)) => log.append(random, changes),
            None => Ok(()),
        };
        let committed = open.world.commit(write);
        if let Some((log, _)) = &mut open.log {
            log.tidy(&mut open.world);
        }
        if open.world.take_wake() {
            self.wake.notify_one();
        }
        Some(committed.map(|()| done))
    }

    /// Does what an answer takes besides the world: has a picture measured, or a function run.
    async fn finish(self: &Arc<Self>, mut response: Response) -> io::Result<Response> {
        if let Some(look) = response.extensions_mut().remove::<azure::Look>() {
            let _alone = self.looks.acquire().await;
            let mut seen =
                tokio::task::spawn_blocking(move || look.answer()).await.map_err(io::Error::other)?;
            seen.headers_mut().extend(response.into_parts().0.headers);
            return Ok(seen);
        }
        let Some(invocation) = response.extensions_mut().remove::<Invocation>() else { return Ok(response) };
        let Some(runner) = self.runner.get() else { return Ok(response) };
        let within = Duration::from_millis(invocation.answer_within_ms.map_or(u64::MAX, u64::from));
        let (shared, runner, asked) = (Arc::clone(self), Arc::clone(runner), invocation.clone());
        // A task of its own: a function runs to its end though its caller has gone.
        let running = tokio::spawn(async move {
            let outcome = runner.run(&shared, &invocation).await;
            shared.answered(|world| aws::complete(world, &invocation, &outcome)).await
        });
        let response = match tokio::time::timeout(within, running).await {
            Ok(done) => done.ok().flatten(),
            Err(_) => self.answered(|world| aws::give_up(world, &asked)).await,
        };
        response.ok_or_else(|| io::ErrorKind::ConnectionAborted.into())
    }

    /// Lets the cloud answer as it would have before its last change. The look counts all the same: what goes on
    /// while it is looked at goes on.
    async fn handle_late(&self, cloud: Cloud, request: &Request) -> Option<Response> {
        let turn = self.turn().await;
        let (response, date) = {
            let mut guard = self.lock();
            let open = guard.as_mut()?;
            open.world.discard();
            let date = open.world.now().strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
            (open.world.before_last_change(|world| dispatch(cloud, world, request)), date)
        };
        drop(turn);
        self.handle(cloud, request).await?;
        Some(dated(response, &date))
    }

    /// A copy of the world; `None` once closed.
    pub(super) fn copy(&self) -> Option<World> {
        self.lock().as_ref().map(|open| open.world.copy())
    }

    fn lock(&self) -> MutexGuard<'_, Option<Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Every answer bears the time of the clouds: clients take the difference to their own for a clock that goes wrong.
fn dated(mut response: Response, date: &str) -> Response {
    if let Ok(date) = http::HeaderValue::from_str(date) {
        response.headers_mut().entry(http::header::DATE).or_insert(date);
    }
    response
}

fn dispatch(cloud: Cloud, world: &mut World, request: &Request) -> Response {
    match cloud {
        Cloud::Aws => aws::handle(world, request),
        Cloud::Gcp => gcp::handle(world, request),
        Cloud::Azure => azure::handle(world, request),
    }
}

/// Accepts connections until told to stop, then lets what is being answered finish, within bounds.
pub(super) async fn serve(
    listener: TcpListener,
    cloud: Cloud,
    shared: Arc<Shared>,
    mut stop: watch::Receiver<bool>,
) {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut connections = JoinSet::new();
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { break };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.changed() => break,
        };
        while connections.try_join_next().is_some() {}
        let Ok((stream, _)) = accepted else {
            // Out of file descriptors, most likely: not a reason to end, but one to wait a little.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let (shared, stop) = (Arc::clone(&shared), stop.clone());
        connections.spawn(async move {
            let _ = stream.set_nodelay(true);
            connection(stream, cloud, shared, stop).await;
            drop(place);
        });
    }
    let _ = tokio::time::timeout(CLOSING, async { while connections.join_next().await.is_some() {} }).await;
}

/// Serves one connection, of a socket or within the process.
pub(super) async fn connection(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    cloud: Cloud,
    shared: Arc<Shared>,
    mut stop: watch::Receiver<bool>,
) {
    let service = service_fn(move |request: http::Request<Incoming>| {
        let shared = Arc::clone(&shared);
        async move { answer(cloud, &shared, request).await }
    });
    let served = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .auto_date_header(false)
        .serve_connection(TokioIo::new(stream), service);
    let mut served = std::pin::pin!(served);
    // An error is the client's to notice: it has gone, or a fault broke the connection on purpose.
    tokio::select! {
        _ = served.as_mut() => return,
        _ = stop.changed() => served.as_mut().graceful_shutdown(),
    }
    let _ = served.await;
}

/// Answers one request; an error breaks the connection.
async fn answer(
    cloud: Cloud,
    shared: &Arc<Shared>,
    request: http::Request<Incoming>,
) -> io::Result<http::Response<Sent>> {
    let whole = |response: Response| response.map(|body| Either::Left(Full::new(body)));
    if request.method() == Method::CONNECT {
        // Its target is no path. No cloud is a proxy.
        return Ok(whole(plain(StatusCode::METHOD_NOT_ALLOWED, "the sandbox is no proxy\n")));
    }
    let (parts, body) = request.into_parts();
    let Ok(body) = Limited::new(body, MAX_BODY).collect().await else {
        let refused =
            plain(StatusCode::PAYLOAD_TOO_LARGE, "the sandbox takes no more than 256 MiB at once\n");
        return Ok(whole(refused));
    };
    let request = Request::from_parts(parts, body.to_bytes());
    if request.uri().path().starts_with("/_mcm/") {
        return Ok(whole(control(shared, &request).await));
    }
    if shared.refuses(cloud, &request).await {
        let words = "The sandbox answers programs here, and no web pages of other addresses.\n";
        return Ok(whole(plain(StatusCode::FORBIDDEN, words)));
    }
    let target = target(&request);
    let start_ms = shared.wire.clock_ms();
    tokio::time::sleep(shared.latency).await;
    let trouble = shared.wire.meet(cloud, &target);
    let cut = trouble == Some(Trouble::Cut);
    let response = match troubled(cloud, shared, &request, trouble).await {
        Ok(response) => shared.finish(response).await,
        Err(error) => Err(error),
    };
    let status = response.as_ref().map_or(0, |response| response.status().as_u16());
    shared.wire.note(Traffic { cloud, target, status, start_ms, end_ms: shared.wire.clock_ms() });
    response.map(if cut { half } else { whole })
}

async fn troubled(
    cloud: Cloud,
    shared: &Shared,
    request: &Request,
    trouble: Option<Trouble>,
) -> io::Result<Response> {
    let handle = async || {
        let response = shared.handle(cloud, request).await;
        response.ok_or_else(|| io::Error::from(io::ErrorKind::ConnectionAborted))
    };
    match trouble {
        None | Some(Trouble::Cut) => handle().await,
        Some(Trouble::Delay { ms }) => {
            tokio::time::sleep(Duration::from_millis(ms)).await;
            handle().await
        }
        Some(Trouble::Hang { applied }) => {
            if applied {
                handle().await?;
            }
            // Whoever asked gives up one day, and closes the connection.
            std::future::pending().await
        }
        Some(Trouble::Late) => {
            let late = shared.handle_late(cloud, request).await;
            late.ok_or_else(|| io::ErrorKind::ConnectionAborted.into())
        }
        Some(Trouble::DropBefore) => Err(io::ErrorKind::ConnectionReset.into()),
        Some(Trouble::DropAfter) => {
            handle().await?;
            Err(io::ErrorKind::ConnectionReset.into())
        }
        Some(Trouble::Status { code, body, headers, applied }) => {
            if applied {
                handle().await?;
            }
            let mut response = http::Response::builder().status(code);
            for (name, value) in headers {
                response = response.header(name, value);
            }
            Ok(response.body(Bytes::from(body)).unwrap_or_else(|error| {
                plain(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    &format!("the fault's answer is no answer: {error}\n"),
                )
            }))
        }
    }
}

/// What goes out: a whole answer, or one that breaks off.
type Sent =
    Either<Full<Bytes>, StreamBody<futures::stream::Iter<std::vec::IntoIter<io::Result<Frame<Bytes>>>>>>;

/// The answer's beginning, behind which the connection breaks.
fn half(response: Response) -> http::Response<Sent> {
    let (mut parts, body) = response.into_parts();
    // One byte is missing even of an empty answer.
    let promised = http::HeaderValue::from(body.len().max(1));
    parts.headers.insert(http::header::CONTENT_LENGTH, promised);
    let beginning = Frame::data(body.slice(..body.len() / 2));
    let broken = vec![Ok(beginning), Err(io::Error::from(io::ErrorKind::ConnectionReset))];
    http::Response::from_parts(parts, Either::Right(StreamBody::new(futures::stream::iter(broken))))
}

/// Requests about the sandbox itself: `/_mcm/…`, which no cloud has.
async fn control(shared: &Shared, request: &Request) -> Response {
    if !browsers::names_the_loopback(request) || browsers::is_of_a_page(request) {
        return plain(StatusCode::FORBIDDEN, "control requests are for programs on this machine alone\n");
    }
    // Of a page's own requests this kind is asked about beforehand, and the answer is no.
    let kind = request.headers().get(http::header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    if request.method() == Method::POST && kind != Some("application/json") {
        return plain(StatusCode::UNSUPPORTED_MEDIA_TYPE, "control requests are of application/json\n");
    }
    match (request.method(), request.uri().path()) {
        (&Method::GET, "/_mcm/health") => {
            json(&serde_json::json!({ "id": shared.id, "process": std::process::id() }))
        }
        (&Method::POST, "/_mcm/admit") => match serde_json::from_slice::<Accounts>(request.body()) {
            Ok(accounts) => match shared.admit(&accounts).await {
                Ok(()) => json(&serde_json::json!({})),
                Err(error) => plain(StatusCode::INTERNAL_SERVER_ERROR, &format!("{error}\n")),
            },
            Err(error) => plain(StatusCode::BAD_REQUEST, &format!("{error}\n")),
        },
        (&Method::GET, "/_mcm/faults") => json(&shared.wire.faults()),
        (&Method::POST, "/_mcm/faults") => match serde_json::from_slice::<Vec<Fault>>(request.body()) {
            Ok(faults) => {
                shared.wire.set_faults(faults);
                json(&serde_json::json!({}))
            }
            Err(error) => plain(StatusCode::BAD_REQUEST, &format!("{error}\n")),
        },
        (&Method::DELETE, "/_mcm/faults") => {
            shared.wire.set_faults(Vec::new());
            json(&serde_json::json!({}))
        }
        (&Method::GET, "/_mcm/requests") => json(&shared.wire.traffic()),
        (&Method::DELETE, "/_mcm/requests") => {
            shared.wire.forget_traffic();
            json(&serde_json::json!({}))
        }
        _ => plain(StatusCode::NOT_FOUND, "no such control request\n"),
    }
}

fn json(value: &impl serde::Serialize) -> Response {
    let body = serde_json::to_vec(value).unwrap_or_default();
    let mut response = Response::new(body.into());
    response
        .headers_mut()
        .insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
    response
}

fn plain(status: StatusCode, text: &str) -> Response {
    let mut response = Response::new(Bytes::from(text.to_owned()));
    *response.status_mut() = status;
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::Clock;

    fn shared() -> Arc<Shared> {
        let world = World::new(Clock::System, 1, Accounts::default());
        Arc::new(Shared::new(Open { world, log: None }, Duration::ZERO, "test".to_owned()))
    }

    /// However many wait for an answer that does not come, clocks go on, and with them signals; and a server closes.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn an_answer_that_does_not_end_keeps_nobody_from_leaving() {
        let shared = shared();
        let (end, wait) = std::sync::mpsc::channel::<()>();
        let (begun, began) = tokio::sync::oneshot::channel();
        let first = Arc::clone(&shared);
        let endless = tokio::spawn(async move {
            let work = move |_: &mut World| {
                let _ = begun.send(());
                wait.recv()
            };
            first.act(work).await
        });
        began.await.unwrap();
        let others = (0..8).map(|_| {
            let shared = Arc::clone(&shared);
            tokio::spawn(async move { shared.act(|_| ()).await })
        });
        let others = others.collect::<Vec<_>>();
        let (waiting, page) = (Arc::clone(&shared), http::Request::builder().header("origin", "null"));
        let page = page.body(Bytes::new()).unwrap();
        let refusing = tokio::spawn(async move { waiting.refuses(Cloud::Gcp, &page).await });
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert!(!refusing.is_finished());
        assert!(others.iter().all(|other| !other.is_finished()));
        let closing = Arc::clone(&shared);
        tokio::task::spawn_blocking(move || closing.close()).await.unwrap();
        end.send(()).unwrap();
        endless.await.unwrap().unwrap().unwrap().unwrap();
        for other in others {
            other.await.unwrap().unwrap().unwrap();
        }
        assert!(refusing.await.unwrap());
        shared.close();
        assert!(shared.act(|_| ()).await.is_none());
    }
}
