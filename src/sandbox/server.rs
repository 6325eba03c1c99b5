//! The sandbox on loopback sockets: one listener for each cloud.

use std::fs::{File, TryLockError};
use std::io;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Method;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::faults::Wire;
use super::functions::{self, Runner};
use super::log::Log;
use super::transport::{self, Open, Shared};
use super::{Accounts, Clock, Credentials, World, files};
use crate::model::Cloud;

/// Says where the server over a folder listens.
const DESCRIPTION: &str = "server.json";
/// Another process that holds the lock has this long to begin answering, or to end.
const STARTING: Duration = Duration::from_secs(10);
/// The listeners have this long to end.
const CLOSING: Duration = Duration::from_secs(5);
/// A control request is answered within this time.
const ANSWERING: Duration = Duration::from_secs(5);
/// A server that is up takes a connection within this time.
const TAKING: Duration = Duration::from_secs(1);

/// How a sandbox is served.
#[derive(Clone, Debug)]
pub struct Options {
    /// The folder of its data; made if it is not there.
    pub data: PathBuf,
    /// The first of three ports in a row (AWS, GCP, Azure), or any free ones.
    pub port: Option<u16>,
    /// Added to every request, to feel what distance costs.
    pub latency: Duration,
    /// The accounts it plays, besides those it has played before.
    pub accounts: Accounts,
}

/// Where the three clouds listen: `http://127.0.0.1:PORT`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoints {
    /// AWS: every service.
    pub aws: String,
    /// Google Cloud: every service.
    pub gcp: String,
    /// Azure Resource Manager and Entra.
    pub azure: String,
}

impl Endpoints {
    /// Where an address that AWS serves the public at answers here, if it is of a kind that does.
    ///
    /// `https://NAME.cloudfront.net/…` becomes `http://NAME.cloudfront.localhost:PORT/…`; likewise HTTP APIs and buckets
    /// that are web sites.
    pub fn local(&self, address: &str) -> Option<String> {
        let uri: http::Uri = address.parse().ok()?;
        let (_, port) = self.aws.rsplit_once(':')?;
        let host = uri.host()?;
        let name = match host.strip_suffix(".cloudfront.net") {
            Some(name) => format!("{name}.cloudfront"),
            None => host.strip_suffix(".amazonaws.com")?.to_owned(),
        };
        let public = [".cloudfront", ".execute-api.", ".s3-website"];
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        public.iter().any(|kind| name.contains(kind)).then(|| format!("http://{name}.localhost:{port}{path}"))
    }
}

/// A sandbox in use: one of our own, or one that some other process serves over the same folder.
///
/// Dropping it ends a sandbox of our own at once; [`Session::close`] lets what is being answered finish first.
#[derive(Debug)]
pub struct Session {
    /// Where to send requests.
    pub endpoints: Endpoints,
    /// What to call with.
    pub credentials: Credentials,
    own: Option<Own>,
}

/// A server that runs in this process.
#[derive(Debug)]
struct Own {
    shared: Arc<Shared>,
    stop: watch::Sender<bool>,
    listeners: Vec<JoinHandle<()>>,
    description: PathBuf,
}

/// What `server.json` says about the server that holds the folder's lock.
#[derive(Debug, Serialize, Deserialize)]
struct Description {
    id: String,
    process: u32,
    endpoints: Endpoints,
}

/// The sandbox could not be started.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// A file or a socket failed.
    #[error("{what}")]
    Io {
        /// What was attempted, with the path or address.
        what: String,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// `serve` was asked for a folder that is served already.
    #[error("a sandbox is already serving {folder} (process {process})")]
    Busy {
        /// Which folder.
        folder: PathBuf,
        /// Whose process id.
        process: u32,
    },
}

impl Session {
    /// Uses the server that runs over the folder, or starts one for as long as the session lives.
    pub async fn open(options: Options) -> Result<Self, SandboxError> {
        let deadline = Instant::now() + STARTING;
        loop {
            if let Some(lock) = lock(&options.data)? {
                return Self::start(options, lock).await;
            }
            // Somebody holds the lock: serving, or about to, or about to end.
            if let Some(found) = describe(&options.data)
                && control(&found.endpoints.aws, Method::GET, "/_mcm/health", Vec::new())
                    .await
                    .is_ok_and(|answer| answer.get("id").and_then(Json::as_str) == Some(&found.id))
            {
                let accounts = serde_json::to_vec(&options.accounts).unwrap_or_default();
                control(&found.endpoints.aws, Method::POST, "/_mcm/admit", accounts).await.map_err(
                    |source| failed(format!("asking the sandbox at {}", found.endpoints.aws), source),
                )?;
                let credentials = credentials(&options.data)?;
                return Ok(Self { endpoints: found.endpoints, credentials, own: None });
            }
            if Instant::now() > deadline {
                let process = describe(&options.data).map_or(0, |found| found.process);
                return Err(SandboxError::Busy { folder: options.data, process });
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Starts a server, and fails if one runs over the folder already.
    pub async fn serve(options: Options) -> Result<Self, SandboxError> {
        if let Some(lock) = lock(&options.data)? {
            return Self::start(options, lock).await;
        }
        let process = describe(&options.data).map_or(0, |found| found.process);
        Err(SandboxError::Busy { folder: options.data, process })
    }

    /// Whether the server is this session's own, and ends with it.
    pub fn is_own(&self) -> bool {
        self.own.is_some()
    }

    /// Whether the server was somebody else's, and does not answer any more.
    pub fn has_ended(&self) -> bool {
        let address = self.endpoints.aws.rsplit('/').next().and_then(|address| address.parse().ok());
        self.own.is_none()
            && address.is_some_and(|address| std::net::TcpStream::connect_timeout(&address, TAKING).is_err())
    }

    /// Faults and the record of requests, where the server is this session's own.
    pub fn wire(&self) -> Option<&Wire> {
        self.own.as_ref().map(|own| &own.shared.wire)
    }

    /// A copy of the clouds as they are, which goes its own way; where the server is this session's own.
    pub fn copy(&self) -> Option<World> {
        self.own.as_ref().and_then(|own| own.shared.copy())
    }

    /// Ends a server of our own, once it has answered what it was asked.
    pub async fn close(mut self) {
        if let Some(own) = &mut self.own {
            let _ = own.stop.send(true);
            // They have bounds of their own; this one is for what keeps them from looking at the clock.
            let ended = futures::future::join_all(own.listeners.iter_mut());
            let _ = tokio::time::timeout(CLOSING, ended).await;
        }
    }

    async fn start(options: Options, lock: File) -> Result<Self, SandboxError> {
        let (seed, id) = (getrandom::u64(), getrandom::u64());
        let (Ok(seed), Ok(id)) = (seed, id) else {
            return Err(failed("reading the machine's randomness".to_owned(), io::ErrorKind::Other.into()));
        };
        let id = format!("{id:016x}");
        let credentials = credentials(&options.data)?;
        let mut world = World::new(Clock::System, seed, Accounts::default());
        world.set_credentials(credentials.clone());
        let log = Log::open(&options.data, &mut world).map_err(|source| {
            failed(format!("opening the sandbox's data in {}", options.data.display()), source)
        })?;
        let shared =
            Arc::new(Shared::new(Open { world, log: Some((log, lock)) }, options.latency, id.clone()));
        shared
            .admit(&options.accounts)
            .await
            .map_err(|source| failed("recording the accounts".to_owned(), source))?;

        let (stop, stopped) = watch::channel(false);
        let mut addresses = Vec::new();
        let mut bound = Vec::new();
        for (offset, cloud) in [(0, Cloud::Aws), (1, Cloud::Gcp), (2, Cloud::Azure)] {
            let port = options.port.map_or(0, |port| port.saturating_add(offset));
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await;
            let listener = listener
                .map_err(|source| failed(format!("listening on 127.0.0.1:{port} for {cloud}"), source))?;
            let address = listener.local_addr().map_err(|source| failed("listening".to_owned(), source))?;
            addresses.push(format!("http://{address}"));
            bound.push((listener, cloud));
        }
        let [aws, gcp, azure] = <[String; 3]>::try_from(addresses).unwrap_or_default();
        let endpoints = Endpoints { aws, gcp, azure };
        let folder = options.data.join("functions");
        let runner = Runner::new(endpoints.clone(), folder.clone())
            .map_err(|source| failed(format!("emptying {}", folder.display()), source))?;
        let runner = Arc::new(runner);
        let _ = shared.runner.set(Arc::clone(&runner));
        let mut listeners: Vec<_> = bound
            .into_iter()
            .map(|(listener, cloud)| {
                tokio::spawn(transport::serve(listener, cloud, Arc::clone(&shared), stopped.clone()))
            })
            .collect();
        listeners.push(tokio::spawn(functions::deliver(Arc::clone(&shared), runner, stopped)));
        let description = options.data.join(DESCRIPTION);
        // From here on dropping the session closes the server.
        let session = Self {
            endpoints: endpoints.clone(),
            credentials,
            own: Some(Own { shared, stop, listeners, description }),
        };
        let text = Description { id, process: std::process::id(), endpoints };
        let text = serde_json::to_vec_pretty(&text).unwrap_or_default();
        let path = options.data.join(DESCRIPTION);
        files::replace(&path, &text)
            .map(drop)
            .map_err(|source| failed(format!("writing {}", path.display()), source))?;
        Ok(session)
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        let _ = self.stop.send(true);
        self.listeners.iter().for_each(JoinHandle::abort);
        if let Some(runner) = self.shared.runner.get() {
            runner.stop();
        }
        // Before the lock is given free: afterwards the file may be another server's.
        let _ = std::fs::remove_file(&self.description);
        self.shared.close();
    }
}

/// Takes the folder's lock, making the folder if need be; `None` if another process or session has it.
fn lock(folder: &Path) -> Result<Option<File>, SandboxError> {
    let path = folder.join("server.lock");
    let open = || {
        files::folder(folder)?;
        let file = files::append(&path)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(file)),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    };
    open().map_err(|source| failed(format!("locking {}", path.display()), source))
}

fn credentials(folder: &Path) -> Result<Credentials, SandboxError> {
    let what = || format!("reading the secret in {}", folder.display());
    Credentials::of(folder).map_err(|source| failed(what(), source))
}

fn describe(folder: &Path) -> Option<Description> {
    serde_json::from_slice(&std::fs::read(folder.join(DESCRIPTION)).ok()?).ok()
}

/// Sends a control request to a server on this machine.
async fn control(endpoint: &str, method: Method, path: &str, body: Vec<u8>) -> io::Result<Json> {
    let client = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
    let request = http::Request::builder()
        .method(method)
        .uri(format!("{endpoint}{path}"))
        .header(http::header::CONTENT_TYPE, "application/json")
        .body(Full::new(Bytes::from(body)))
        .map_err(io::Error::other)?;
    let exchange = async {
        let response = client.request(request).await.map_err(io::Error::other)?;
        if !response.status().is_success() {
            return Err(io::Error::other(format!("it answered {}", response.status())));
        }
        let body = Limited::new(response.into_body(), 1 << 20).collect().await.map_err(io::Error::other)?;
        Ok(serde_json::from_slice(&body.to_bytes())?)
    };
    tokio::time::timeout(ANSWERING, exchange).await?
}

fn failed(what: String, source: io::Error) -> SandboxError {
    SandboxError::Io { what, source }
}

/// The number of a Google project in the sandbox: twelve digits that follow from its id.
pub fn project_number(project: &str) -> String {
    use sha2::{Digest, Sha256};
    let digest = Sha256::digest(format!("mcm sandbox project {project}"));
    let number = digest.iter().take(8).fold(0_u64, |sum, byte| (sum << 8) | u64::from(*byte));
    (100_000_000_000 + number % 900_000_000_000).to_string()
}

/// The Entra tenant of the sandbox.
pub const AZURE_TENANT: &str = "5a4d0b0c-0000-4000-8000-6d636d73626f";
