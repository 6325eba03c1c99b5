//! How the clouds of a stack are reached: the real ones, the embedded ones, or where an endpoint points.

use crate::model::{Clouds, Diagnostic, Secret, Stack, Value};
use crate::provider::{Access, Router};
#[cfg(feature = "sandbox")]
use crate::sandbox;

use super::exit::Exit;
use super::failure::Failure;
use super::signals::Signals;
use super::workspace::Workspace;

/// The clouds, ready to be asked. Whoever holds it keeps the sandbox alive.
pub(super) struct Reach {
    /// The port over the three.
    pub(super) router: Router,
    kept: Kept,
    /// Whether the sandbox's AWS is the stack's.
    #[cfg(feature = "sandbox")]
    plays_aws: bool,
}

/// Opens the way to the clouds of a stack; starts the sandbox if it is wanted. Sends nothing.
pub(super) async fn open(workspace: &Workspace, stack: &Stack) -> Result<Reach, Failure> {
    // Two TLS back ends in one program: one of them has to be named. Only the first call counts.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut access = Access::default();
    #[cfg(feature = "sandbox")]
    let session = if workspace.sandbox { Some(join(workspace, stack, None).await?) } else { None };
    #[cfg(feature = "sandbox")]
    if let Some(session) = &session {
        enter_sandbox(&mut access, session, &stack.clouds);
    }
    #[cfg(not(feature = "sandbox"))]
    refuse_sandbox(workspace).await?;
    explicit_endpoints(&mut access, &stack.clouds, std::env::var("AWS_ENDPOINT_URL").ok())?;
    #[cfg(feature = "sandbox")]
    let plays_aws =
        session.as_ref().is_some_and(|session| access.aws.endpoint.as_ref() == Some(&session.endpoints.aws));
    let router = Router::new(&stack.clouds, &access);
    // Until a run has its own way of telling: a read that waits for somebody else's operation says so.
    router.watch(Box::new(|line| crate::ui::print::notice(&crate::ui::text::line(line))));
    Ok(Reach {
        router,
        kept: Kept {
            #[cfg(feature = "sandbox")]
            session,
        },
        #[cfg(feature = "sandbox")]
        plays_aws,
    })
}

impl Reach {
    /// A copy of the sandbox's clouds, where this process serves them.
    #[cfg(feature = "sandbox")]
    pub(super) fn world(&self) -> Option<sandbox::World> {
        self.kept.session.as_ref()?.copy()
    }

    /// Where the public addresses among the outputs answer.
    pub(super) fn here(&self, outputs: &[(String, Value, bool)]) -> Here {
        #[cfg(feature = "sandbox")]
        if let Some(session) = self.kept.session.as_ref().filter(|_| self.plays_aws) {
            let local = |(name, value, sensitive): &(String, Value, bool)| {
                let address = value.as_text().filter(|_| !sensitive)?;
                Some((name.clone(), session.endpoints.local(address)?))
            };
            return Here { addresses: outputs.iter().filter_map(local).collect(), live: !session.is_own() };
        }
        #[cfg(not(feature = "sandbox"))]
        let _ = (self, outputs);
        Here::default()
    }

    /// See [`Kept::close`].
    pub(super) async fn close(mut self) {
        #[cfg(feature = "sandbox")]
        if self.kept.session.as_ref().is_some_and(|session| !session.is_own()) {
            return;
        }
        std::mem::take(&mut self.kept).close().await;
    }
}

/// A sandbox that another command serves may end before this one does; what failed then is not the stack's fault.
#[cfg(feature = "sandbox")]
impl Drop for Reach {
    fn drop(&mut self) {
        if self.kept.session.as_ref().is_some_and(sandbox::Session::has_ended) {
            crate::ui::print::notice(
                "The sandbox that was used here was another mcm command's, and ended with it: what fails now is to be run again.",
            );
        }
    }
}

/// The sandbox that is used, if one is: up for as long as this is held, where it is our own.
#[derive(Default)]
pub(super) struct Kept {
    #[cfg(feature = "sandbox")]
    session: Option<sandbox::Session>,
}

/// Starts a sandbox on `port` and the two after it, or on any free ones; or joins the one that is served already.
#[cfg(feature = "sandbox")]
async fn join(workspace: &Workspace, stack: &Stack, port: Option<u16>) -> Result<sandbox::Session, Failure> {
    workspace.prepare()?;
    let options = sandbox::Options { port, ..sandbox_options(workspace, &stack.clouds) };
    sandbox::Session::open(options).await.map_err(|error| sandbox_failed(&error))
}

/// The sandbox that is to outlast a run, if one is; any free ports where `port` is 0.
#[cfg(feature = "sandbox")]
pub(super) async fn keep(workspace: &Workspace, stack: &Stack, port: Option<u16>) -> Result<Kept, Failure> {
    let Some(port) = port else { return Ok(Kept::default()) };
    let session = join(workspace, stack, (port > 0).then_some(port)).await?;
    Ok(Kept { session: Some(session) })
}

/// There is none to keep.
#[cfg(not(feature = "sandbox"))]
#[expect(clippy::unused_async, reason = "as with the sandbox")]
pub(super) async fn keep(_: &Workspace, _: &Stack, _: Option<u16>) -> Result<Kept, Failure> {
    Ok(Kept::default())
}

impl Kept {
    /// Waits for a signal, where there is a sandbox of our own to keep up.
    #[cfg_attr(
        not(feature = "sandbox"),
        expect(clippy::unused_async, reason = "the sandbox needs to be awaited")
    )]
    pub(super) async fn until(&self, signals: &mut Signals) {
        #[cfg(feature = "sandbox")]
        match &self.session {
            Some(session) if session.is_own() => {
                crate::ui::print::notice("\nThe sandbox is up; Ctrl-C ends it, and keeps its data.");
                signals.came().await;
            }
            Some(_) => crate::ui::print::notice("\nThe sandbox was served already, and goes on by itself."),
            None => {}
        }
        #[cfg(not(feature = "sandbox"))]
        let _ = signals;
    }

    /// Lets a sandbox of our own finish what it is answering, and ends it.
    #[cfg_attr(
        not(feature = "sandbox"),
        expect(clippy::unused_async, reason = "the sandbox needs to be awaited")
    )]
    pub(super) async fn close(self) {
        #[cfg(feature = "sandbox")]
        if let Some(session) = self.session {
            session.close().await;
        }
    }
}

/// Where the public addresses among a stack's outputs answer in the sandbox.
#[derive(Default)]
pub(super) struct Here {
    /// By the outputs' names.
    pub(super) addresses: Vec<(String, String)>,
    /// Whether the sandbox stays up.
    pub(super) live: bool,
}

/// The embedded clouds, as a stack needs them.
#[cfg(feature = "sandbox")]
pub(super) fn sandbox_options(workspace: &Workspace, clouds: &Clouds) -> sandbox::Options {
    let mut accounts = sandbox::Accounts::default();
    accounts.aws.extend(clouds.aws.iter().map(|place| place.account.clone()));
    accounts.gcp.extend(clouds.gcp.iter().map(|place| place.project.clone()));
    accounts.azure.extend(clouds.azure.iter().map(|place| place.subscription.to_lowercase()));
    sandbox::Options {
        data: workspace.sandbox_folder(),
        port: None,
        latency: std::time::Duration::ZERO,
        accounts,
    }
}

/// What to do when the sandbox does not start.
#[cfg(feature = "sandbox")]
pub(super) fn sandbox_failed(error: &sandbox::SandboxError) -> Failure {
    use std::error::Error as _;
    let diagnostic = Diagnostic::error(format!("the sandbox could not be started: {error}"));
    match (error, error.source()) {
        (sandbox::SandboxError::Busy { .. }, _) => Failure::refused(
            diagnostic.hint("stop that process first; `--sandbox` uses the server that runs already"),
        ),
        (sandbox::SandboxError::Io { .. }, Some(cause)) => {
            Failure::new(Exit::Failed, diagnostic.detail(super::failure::chain(cause)))
        }
        (sandbox::SandboxError::Io { .. }, None) => Failure::new(Exit::Failed, diagnostic),
    }
}

#[cfg(feature = "sandbox")]
fn enter_sandbox(access: &mut Access, session: &sandbox::Session, clouds: &Clouds) {
    let sandbox::Session { endpoints, credentials, .. } = session;
    access.aws.endpoint = Some(endpoints.aws.clone());
    access.aws.keys = clouds.aws.as_ref().map(|place| {
        let (id, secret) = credentials.aws_keys(&place.account);
        (id, Secret::new(secret))
    });
    access.gcp.endpoint = Some(endpoints.gcp.clone());
    access.gcp.token = Some(Secret::new(credentials.gcp_token()));
    access.azure.endpoint = Some(endpoints.azure.clone());
    access.azure.token = Some(Secret::new(credentials.azure_token()));
}

#[cfg(not(feature = "sandbox"))]
async fn refuse_sandbox(workspace: &Workspace) -> Result<(), Failure> {
    if workspace.sandbox {
        let diagnostic = Diagnostic::error("this mcm was built without the sandbox")
            .hint("build it with `cargo build` (the feature `sandbox` is on by default)");
        return Err(Failure::new(Exit::Invalid, diagnostic));
    }
    std::future::ready(Ok(())).await
}

/// An endpoint that is named wins for its cloud, over the sandbox too. Over plain HTTP only dummy credentials are
/// ever sent, and only to this machine.
fn explicit_endpoints(
    access: &mut Access,
    clouds: &Clouds,
    aws_variable: Option<String>,
) -> Result<(), Failure> {
    let variable = aws_variable.filter(|endpoint| !endpoint.is_empty());
    if let Some(place) = &clouds.aws
        && let Some(endpoint) = place.endpoint.clone().or(variable)
    {
        let plain = checked("clouds.aws.endpoint (or AWS_ENDPOINT_URL)", &endpoint)?;
        let ambient = std::env::var_os("AWS_ACCESS_KEY_ID").is_some_and(|id| !id.is_empty());
        // Emulators tell accounts by the access key id.
        access.aws.keys = (plain && !ambient).then(|| (place.account.clone(), Secret::new("mcm-emulator")));
        access.aws.endpoint = Some(endpoint);
    }
    if let Some(endpoint) = clouds.gcp.as_ref().and_then(|place| place.endpoint.clone()) {
        let plain = checked("clouds.gcp.endpoint", &endpoint)?;
        access.gcp.token = plain.then(|| dummy("CLOUDSDK_AUTH_ACCESS_TOKEN", GCP_PREFIX));
        access.gcp.endpoint = Some(endpoint);
    }
    if let Some(endpoint) = clouds.azure.as_ref().and_then(|place| place.endpoint.clone()) {
        let plain = checked("clouds.azure.endpoint", &endpoint)?;
        access.azure.token = plain.then(|| dummy("ARM_ACCESS_TOKEN", AZURE_PREFIX));
        access.azure.endpoint = Some(endpoint);
    }
    Ok(())
}

/// What emulators take for a token: any; a sandbox that is served takes its own, which `mcm sandbox env` has put into the
/// environment. Its beginning tells it from a real one, which is never sent in plain text.
fn dummy(variable: &str, prefix: &str) -> Secret {
    let given = std::env::var(variable).ok().filter(|token| token.starts_with(prefix));
    Secret::new(given.unwrap_or_else(|| "mcm-emulator".to_owned()))
}

#[cfg(feature = "sandbox")]
use sandbox::{AZURE_PREFIX, GCP_PREFIX};
#[cfg(not(feature = "sandbox"))]
const GCP_PREFIX: &str = "ya29.mcm-sandbox-";
#[cfg(not(feature = "sandbox"))]
const AZURE_PREFIX: &str = "mcm-sandbox-";

/// Whether an endpoint is plain HTTP, which is accepted on this machine alone.
fn checked(what: &str, endpoint: &str) -> Result<bool, Failure> {
    let refused = |why: &str| {
        let diagnostic = Diagnostic::error(format!("{what} {why}: {}", crate::ui::text::line(endpoint)))
            .hint("use an https:// address, or http:// on 127.0.0.1, [::1] or localhost");
        Failure::new(Exit::Invalid, diagnostic)
    };
    let Ok(uri) = endpoint.parse::<http::Uri>() else { return Err(refused("is not an address")) };
    let host = uri.host().unwrap_or_default();
    let loopback = host == "localhost"
        || host
            .trim_matches(['[', ']'])
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback());
    match uri.scheme_str() {
        Some("https") if !host.is_empty() => Ok(false),
        Some("http") if loopback => Ok(true),
        Some("http") => Err(refused("is plain HTTP to another machine")),
        Some(_) | None => Err(refused("is not an address")),
    }
}
