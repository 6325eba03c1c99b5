//! The SDK's requests over connections within the process.

use std::time::{Duration, SystemTime};

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use http_body_util::{BodyExt as _, Full};

use super::super::dial::{Dial, Dialled};

/// The SDK's client over [`Dial`].
#[derive(Debug)]
pub(super) struct Carried {
    client: Dialled,
}

/// What the SDK signs with: the time there.
#[derive(Debug)]
pub(super) struct Time(pub(super) Dial);

/// The client with the patience that the SDK asked for.
#[derive(Debug)]
struct Patient {
    client: Dialled,
    patience: Duration,
}

impl Carried {
    /// Over connections that `dial` opens.
    pub(super) fn new(dial: &Dial) -> Self {
        Self { client: dial.client() }
    }
}

impl HttpClient for Carried {
    fn http_connector(&self, settings: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        let patience = settings.read_timeout().unwrap_or(super::connect::ANSWER);
        SharedHttpConnector::new(Patient { client: self.client.clone(), patience })
    }
}

impl HttpConnector for Patient {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let (client, patience) = (self.client.clone(), self.patience);
        HttpConnectorFuture::new(async move {
            let wrong = |error: &str| ConnectorError::user(error.to_owned().into());
            let (parts, body) =
                request.try_into_http1x().map_err(|error| wrong(&error.to_string()))?.into_parts();
            let body = body.collect().await.map_err(|error| wrong(&error.to_string()))?.to_bytes();
            let sent = client.request(http::Request::from_parts(parts, Full::new(body)));
            let answer = tokio::time::timeout(patience, sent).await;
            let answer = answer.map_err(|late| ConnectorError::timeout(late.into()))?;
            let answer = answer.map_err(|error| ConnectorError::io(error.into()))?;
            let answer = answer.map(SdkBody::from_body_1_x);
            HttpResponse::try_from(answer).map_err(|error| ConnectorError::other(error.into(), None))
        })
    }
}

impl aws_smithy_async::time::TimeSource for Time {
    fn now(&self) -> SystemTime {
        self.0.now()
    }
}
