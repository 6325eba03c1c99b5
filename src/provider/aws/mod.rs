//! AWS: the client, the table of resource types, the account guard.
//!
//! Nothing is sent, and no credential is looked for, before the first request. The SDK's own retries are off:
//! [`retry`] is the one place where a call is sent more than once. Everything AWS answers becomes a
//! [`CloudError`] in `error.rs`, and nowhere else.

mod bucket;
mod bucket_policy;
mod code;
mod connect;
mod content;
mod dialled;
mod document;
mod error;
mod identity;
mod logs;
mod notification;
mod place;
mod policy;
mod release;
mod role;
mod stack;
mod tags;
mod together;

use std::error::Error;
use std::future::Future;
use std::sync::RwLock;

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use tokio::sync::{Mutex, OnceCell, Semaphore};

use super::retry::{Call, retry};
use super::{Answered, AwsAccess, Kind, Listener, LogPage};
use crate::model::{AwsPlace, Cloud, CloudError, ErrorKind, ResourceType, Schema};
use connect::Clients;
pub(crate) use connect::{Ambient, is_loopback};
pub(crate) use identity::Caller;

/// Every resource type of this cloud.
static KINDS: &[&dyn Kind<Aws>] = &[
    &role::Role,
    &bucket::Bucket,
    &bucket_policy::BucketPolicy,
    &content::Content,
    &code::Code,
    &notification::Notification,
    &stack::Stack,
    &release::Release,
];

/// At most this many requests to AWS at once: below what S3 and IAM throttle, above what a stack's reads need.
const AT_ONCE: usize = 64;

/// The cloud's client; made at the first request.
pub(crate) struct Aws {
    place: AwsPlace,
    access: AwsAccess,
    clients: OnceCell<Clients>,
    slots: Semaphore,
    /// Content that was replaced in this run.
    stash: content::Stash,
    /// Held by whoever reads and writes a bucket's notifications: all of them are one document without a version.
    notifications: Mutex<()>,
    /// Who hears what CloudFormation is doing.
    listener: RwLock<Option<Listener>>,
}

impl Aws {
    /// Touches no network.
    pub(crate) fn new(place: AwsPlace, access: AwsAccess) -> Self {
        let (clients, slots, stash) = (OnceCell::new(), Semaphore::new(AT_ONCE), content::Stash::default());
        let (notifications, listener) = (Mutex::new(()), RwLock::new(None));
        Self { place, access, clients, slots, stash, notifications, listener }
    }

    /// Checks live that the credentials belong to the account that the stack names.
    pub(crate) async fn guard(&self) -> Result<(), CloudError> {
        let sts = &self.clients().await?.sts;
        let me = self.read("sts:GetCallerIdentity", || sts.get_caller_identity().send()).await?;
        let actual = me.account().unwrap_or_default();
        if actual == self.place.account {
            return Ok(());
        }
        Err(CloudError {
            cloud: Cloud::Aws,
            call: "sts:GetCallerIdentity".to_owned(),
            kind: ErrorKind::WrongAccount,
            code: String::new(),
            message: format!(
                "the credentials belong to account {actual} ({}), but the stack names account {}",
                me.arn().unwrap_or("unknown identity"),
                self.place.account
            ),
            request_id: None,
            hint: Some(format!(
                "use credentials of account {}, or correct `clouds.aws.account` if {actual} is meant",
                self.place.account
            )),
        })
    }

    /// See [`super::Router::invoke`].
    pub(crate) async fn invoke(
        &self,
        function: &str,
        alias: &str,
        event: Vec<u8>,
    ) -> Result<Answered, CloudError> {
        release::call(self, function, alias, event).await
    }

    /// See [`super::Router::prune`].
    pub(crate) async fn prune(&self, function: &str, alias: &str) -> Result<Vec<u64>, CloudError> {
        release::prune(self, function, alias).await
    }

    /// See [`super::Router::logs`].
    pub(crate) async fn logs(
        &self,
        function: &str,
        since_ms: i64,
        token: Option<&str>,
    ) -> Result<LogPage, CloudError> {
        logs::page(self, function, since_ms, token).await
    }

    /// See [`super::Router::watch`].
    pub(crate) fn watch(&self, listener: Listener) {
        if let Ok(mut place) = self.listener.write() {
            *place = Some(listener);
        }
    }

    /// Tells whoever listens.
    fn tell(&self, line: &str) {
        tracing::debug!(line, "AWS says");
        if let Ok(place) = self.listener.read()
            && let Some(listener) = &*place
        {
            listener(line);
        }
    }

    /// Where the stack's AWS resources are.
    pub(crate) fn place(&self) -> &AwsPlace {
        &self.place
    }

    /// Whether requests go somewhere else than to AWS itself.
    async fn is_elsewhere(&self) -> Result<bool, CloudError> {
        Ok(self.clients().await?.elsewhere)
    }

    async fn clients(&self) -> Result<&Clients, CloudError> {
        // On the heap: it is needed once, and would otherwise make room for itself in every request's future.
        self.clients.get_or_try_init(|| Box::pin(connect::connect(&self.place, &self.access))).await
    }

    async fn iam(&self) -> Result<&aws_sdk_iam::Client, CloudError> {
        Ok(&self.clients().await?.iam)
    }

    async fn cloudformation(&self) -> Result<&aws_sdk_cloudformation::Client, CloudError> {
        Ok(&self.clients().await?.cloudformation)
    }

    async fn cloudfront(&self) -> Result<&aws_sdk_cloudfront::Client, CloudError> {
        Ok(&self.clients().await?.cloudfront)
    }

    async fn lambda(&self) -> Result<&aws_sdk_lambda::Client, CloudError> {
        Ok(&self.clients().await?.lambda)
    }

    async fn cloudwatch_logs(&self) -> Result<&aws_sdk_cloudwatchlogs::Client, CloudError> {
        Ok(&self.clients().await?.logs)
    }

    async fn s3(&self) -> Result<&aws_sdk_s3::Client, CloudError> {
        Ok(&self.clients().await?.s3)
    }

    /// Sends a call that changes nothing.
    async fn read<O, E, F>(&self, name: &str, send: impl FnMut() -> F) -> Result<O, CloudError>
    where
        F: Future<Output = Result<O, SdkError<E, HttpResponse>>>,
        E: ProvideErrorMetadata + Error + Send + Sync + 'static,
    {
        self.send(Call::Read, name, send).await
    }

    /// Sends a call that changes something.
    async fn change<O, E, F>(&self, name: &str, send: impl FnMut() -> F) -> Result<O, CloudError>
    where
        F: Future<Output = Result<O, SdkError<E, HttpResponse>>>,
        E: ProvideErrorMetadata + Error + Send + Sync + 'static,
    {
        self.send(Call::Change, name, send).await
    }

    /// Sends a call that writes a whole document: twice is as good as once.
    async fn put<O, E, F>(&self, name: &str, send: impl FnMut() -> F) -> Result<O, CloudError>
    where
        F: Future<Output = Result<O, SdkError<E, HttpResponse>>>,
        E: ProvideErrorMetadata + Error + Send + Sync + 'static,
    {
        self.send(Call::Put, name, send).await
    }

    async fn send<O, E, F>(
        &self,
        call: Call,
        name: &str,
        mut send: impl FnMut() -> F,
    ) -> Result<O, CloudError>
    where
        F: Future<Output = Result<O, SdkError<E, HttpResponse>>>,
        E: ProvideErrorMetadata + Error + Send + Sync + 'static,
    {
        retry(call, || {
            // On the heap: the SDK's futures are large, and many of them are awaited side by side.
            let request = Box::pin(send());
            async {
                // The semaphore is never closed.
                let _slot = self.slots.acquire().await;
                tracing::debug!(call = name, "AWS");
                request.await.map_err(|failure| error::attempt(name, &failure))
            }
        })
        .await
    }
}

/// The kind of a type.
pub(crate) fn kind(ty: &ResourceType) -> Option<&'static dyn Kind<Aws>> {
    KINDS.iter().copied().find(|kind| kind.schema().ty == ty.as_str())
}

/// The schemas of the table.
pub(crate) fn schemas() -> impl Iterator<Item = &'static Schema> {
    super::schemas_of(KINDS)
}
