//! What carries bytes to Google: a socket, or a connection within the process.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use hyper_util::client::legacy::connect::HttpConnector;
use tower_service::Service;

use super::super::dial::{Dial, Line};

/// Opens connections of either kind.
#[derive(Clone)]
pub(crate) enum Wire {
    /// Over the network.
    Socket(HttpConnector),
    /// Within the process.
    Dial(Dial),
}

impl Service<http::Uri> for Wire {
    type Response = Line;
    type Error = Box<dyn std::error::Error + Send + Sync>;
    type Future = Pin<Box<dyn Future<Output = Result<Line, Self::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        match self {
            Self::Socket(http) => http.poll_ready(context).map_err(Into::into),
            Self::Dial(_) => Poll::Ready(Ok(())),
        }
    }

    fn call(&mut self, uri: http::Uri) -> Self::Future {
        match self {
            Self::Socket(http) => {
                let connecting = http.call(uri);
                Box::pin(async move { Ok(connecting.await?.into()) })
            }
            Self::Dial(dial) => {
                let line: io::Result<Line> = Ok(dial.line());
                Box::pin(async move { Ok(line?) })
            }
        }
    }
}
