//! Connections to a cloud in this very process, in place of sockets: for simulation.
//!
//! All three clouds' clients run over them as they run over sockets: what breaks a connection there breaks it here.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::SystemTime;

use bytes::Bytes;
use http_body_util::Full;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::DuplexStream;
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_util::either::Either;

/// Opens connections within the process, and tells the time there, which is the runtime's and may be simulated.
#[derive(Clone)]
pub struct Dial {
    open: Arc<dyn Fn() -> DuplexStream + Send + Sync>,
    began: (SystemTime, Instant),
}

/// A connection of either kind: a socket, or within the process.
pub struct Line(TokioIo<Either<TcpStream, DuplexStream>>);

/// A client whose every connection is opened by [`Dial`].
pub(super) type Dialled = Client<Dial, Full<Bytes>>;

impl Dial {
    /// `open` gives the near end of a fresh connection; `now` is the time there.
    pub fn new(open: impl Fn() -> DuplexStream + Send + Sync + 'static, now: SystemTime) -> Self {
        Self { open: Arc::new(open), began: (now, Instant::now()) }
    }

    /// A fresh connection.
    pub(super) fn line(&self) -> Line {
        Line(TokioIo::new(Either::Right((self.open)())))
    }

    /// A client with a pool of its own.
    pub(super) fn client(&self) -> Dialled {
        Client::builder(TokioExecutor::new()).build(self.clone())
    }

    /// The time there.
    pub(super) fn now(&self) -> SystemTime {
        self.began.0 + self.began.1.elapsed()
    }
}

impl fmt::Debug for Dial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Dial")
    }
}

impl tower_service::Service<http::Uri> for Dial {
    type Response = Line;
    type Error = io::Error;
    type Future = std::future::Ready<io::Result<Line>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: http::Uri) -> Self::Future {
        std::future::ready(Ok(self.line()))
    }
}

impl From<TokioIo<TcpStream>> for Line {
    fn from(socket: TokioIo<TcpStream>) -> Self {
        Self(TokioIo::new(Either::Left(socket.into_inner())))
    }
}

impl Connection for Line {
    fn connected(&self) -> Connected {
        match self.0.inner() {
            Either::Left(socket) => socket.connected(),
            Either::Right(_) => Connected::new(),
        }
    }
}

impl Read for Line {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl Write for Line {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, buffer)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write_vectored(context, buffers)
    }
}
