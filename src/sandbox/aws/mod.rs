//! The sandbox's AWS behind one endpoint: IAM, STS, S3, CloudFormation, Lambda, API Gateway's HTTP APIs, CloudFront,
//! CloudWatch Logs and SSM's parameters.
//!
//! The service is told by the signature's scope, as every AWS client states it; unsigned requests are told by
//! their shape. Who calls is the administrator of an account, who may do all in it, or the session of a role, which may
//! do what policies say (see `identity`). Absences: no other service, no users.

mod apigateway;
mod chunked;
mod cloudformation;
mod cloudfront;
mod error;
mod iam;
mod identity;
mod lambda;
mod logs;
mod policy;
mod query;
mod rest;
mod s3;
mod session;
pub mod sigv4;
mod ssm;
mod sts;
mod tags;
mod xml;

pub(in crate::sandbox) use lambda::archive::MOST_UNPACKED;
pub use lambda::invoke::{Invocation, Outcome, Then, complete, give_up, is_current};
pub(in crate::sandbox) use lambda::invoke::{MOST_PAYLOAD, error_document};
pub use lambda::queue::due;
pub use session::{Keys, assume, assume_named};

use jiff::{SignedDuration, Timestamp};

use super::{Request, Response, World};

/// Who signed a request.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Caller {
    /// Its account.
    account: String,
    /// Its access key's id.
    access_key: String,
    /// The role that it has assumed; `None` for the account's administrator.
    assumed: Option<session::Assumed>,
}

impl Caller {
    /// The administrator that every account of the sandbox has.
    const USER: &'static str = "mcm-sandbox";

    /// The caller's ARN.
    fn arn(&self) -> String {
        match &self.assumed {
            // The role's path is left out.
            Some(session::Assumed { role, name, .. }) => {
                format!("arn:aws:sts::{}:assumed-role/{role}/{name}", self.account)
            }
            None => format!("arn:aws:iam::{}:user/{}", self.account, Self::USER),
        }
    }

    /// The caller's unique id.
    fn user_id(&self) -> String {
        match &self.assumed {
            Some(session::Assumed { id, name, .. }) => format!("{id}:{name}"),
            None => administrator_id(&self.account),
        }
    }
}

/// Answers one request.
pub fn handle(world: &mut World, request: &Request) -> Response {
    if let Some(bucket) = s3::website::host(request) {
        return s3::website::handle(world, request, bucket);
    }
    cloudformation::settle(world);
    if let Some(api) = apigateway::serve::host(request) {
        return apigateway::serve::handle(world, request, &api, None);
    }
    if let Some(distribution) = cloudfront::edge::host(world, request) {
        return cloudfront::edge::handle(world, request, &distribution);
    }
    match service(request).as_deref() {
        Some("s3") => s3::handle(world, request),
        Some("iam") => query::handle(world, request, &iam::SERVICE),
        Some("sts") => query::handle(world, request, &sts::SERVICE),
        Some("cloudformation") => query::handle(world, request, &cloudformation::SERVICE),
        Some("lambda") => lambda::handle(world, request),
        Some("logs") => logs::handle(world, request),
        Some("apigateway") => apigateway::handle(world, request),
        Some("cloudfront") => cloudfront::handle(world, request),
        Some("ssm") => ssm::handle(world, request),
        Some(other) => query::no_such_service(world, other),
        // Nobody's form: STS answers for the calls that need no signature, IAM for what is left.
        None if is_form(request) && sts::knows(request) => query::handle(world, request, &sts::SERVICE),
        None if is_form(request) => query::handle(world, request, &iam::SERVICE),
        None => s3::handle(world, request),
    }
}

/// Whether the real cloud answers such a request of a page, whatever address the page is from: web sites, HTTP APIs,
/// distributions, and S3 by an address of this machine.
pub(in crate::sandbox) fn is_for_pages(world: &World, request: &Request, here: bool) -> bool {
    let s3 = || match service(request).as_deref() {
        Some(service) => service == "s3",
        None => !is_form(request),
    };
    s3::website::host(request).is_some()
        || apigateway::serve::host(request).is_some()
        || cloudfront::edge::host(world, request).is_some()
        || here && s3()
}

fn service(request: &Request) -> Option<String> {
    sigv4::service(request)
}

fn is_form(request: &Request) -> bool {
    request.uri().path() == "/" && query::parameters(request).iter().any(|(name, _)| name == "Action")
}

/// The secret of an access key: every account of twelve digits has an administrator.
fn secret(world: &World, access_key: &str) -> Option<String> {
    let account = account_of(access_key)?;
    let (id, secret) = world.credentials().aws_keys(account);
    (id == access_key).then_some(secret)
}

fn account_of(access_key: &str) -> Option<&str> {
    access_key.strip_prefix("AKIASBOX").filter(|account| is_account(account))
}

fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Verifies who sent a request; `None` if nobody signed it.
fn authenticate(
    world: &World,
    request: &Request,
    skew: SignedDuration,
) -> Result<Option<(Caller, sigv4::Signed)>, sigv4::Refused> {
    let secret = |access_key: &str| key_secret(world, access_key);
    let Some(signed) = sigv4::verify(request, world.now(), skew, secret)? else { return Ok(None) };
    let token = sigv4::security_token(request);
    let caller = bearer(world, &signed.access_key, token.as_deref())?;
    Ok(Some((caller, signed)))
}

/// The secret of an access key: an administrator's, or a session's.
fn key_secret(world: &World, access_key: &str) -> Option<String> {
    secret(world, access_key).or_else(|| session::secret(world, access_key))
}

/// Who bears an access key, with the token that goes along.
fn bearer(world: &World, access_key: &str, token: Option<&str>) -> Result<Caller, sigv4::Refused> {
    match account_of(access_key) {
        // An administrator's key is no session's: no token belongs to it.
        Some(_) if token.is_some() => Err(sigv4::Refused::InvalidToken),
        Some(account) => {
            let (account, access_key) = (account.to_owned(), access_key.to_owned());
            Ok(Caller { account, access_key, assumed: None })
        }
        None => session::bearer(world, access_key, token),
    }
}

/// The unique id of an account's administrator: follows from the account.
fn administrator_id(account: &str) -> String {
    use sha2::{Digest, Sha256};
    let digest = Sha256::digest(format!("mcm sandbox user {account}"));
    format!("AIDA{}", unique(&digest))
}

/// Seventeen characters as IAM's unique ids have them.
fn unique(bytes: &[u8]) -> String {
    bytes.iter().take(17).map(|byte| char::from(ID_ALPHABET[usize::from(byte % 32)])).collect()
}

/// The characters of IAM's unique ids.
const ID_ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// `2013-05-24T00:00:00Z`.
fn iso_seconds(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
