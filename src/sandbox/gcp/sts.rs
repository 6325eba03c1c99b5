//! sts.googleapis.com, v1: an identity of another cloud, exchanged for an access token.
//!
//! The exchange believes nothing: the subject token is a signed request, AWS is asked by that request, and what AWS
//! answers goes through the provider's mapping and condition. Errors are those of OAuth 2.0's token exchange, in the
//! words that Google's documentation and users' reports show; where no record of them exists, the code says so.
//!
//! Absences: providers of other kinds than AWS; introspection.

use std::collections::BTreeMap;

use http::StatusCode;
use jiff::SignedDuration;
use serde_json::{Map, Value as Json, json};

use super::aws_identity::{self, Identity};
use super::caller::{self, Caller, Federated, SCOPES};
use super::message;
use super::pool_provider::{self, Rules};
use super::project::{self, Project};
use super::refusal::{Refusal, reply};
use super::{expression, pool, service};
use crate::sandbox::{Request, Response, World};

const GRANT: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
const AWS_REQUEST: &str = "urn:ietf:params:aws:token-type:aws4_request";
/// A federated token lasts so many seconds.
const LASTS: i64 = 3600;

/// What a provider without a mapping of its own does.
const DEFAULT_MAPPING: [(&str, &str); 2] = [
    ("google.subject", "assertion.arn"),
    (
        "attribute.aws_role",
        "assertion.arn.contains('assumed-role') ? assertion.arn.extract('{account_arn}assumed-role/') + \
         'assumed-role/' + assertion.arn.extract('assumed-role/{role_name}/') : assertion.arn",
    ),
];

/// Why there is no token.
pub(super) enum Denial {
    /// An OAuth error, with its description.
    OAuth(&'static str, String),
    /// One of the front end's own.
    Google(Refusal),
}

impl Denial {
    /// What was sent is not what the exchange takes.
    pub(super) fn request(description: impl Into<String>) -> Self {
        Self::OAuth("invalid_request", description.into())
    }

    /// The credential is no good.
    pub(super) fn grant(description: impl Into<String>) -> Self {
        Self::OAuth("invalid_grant", description.into())
    }
}

impl From<Refusal> for Denial {
    fn from(refusal: Refusal) -> Self {
        Self::Google(refusal)
    }
}

/// Answers `POST /v1/token`. No authorisation goes with it: the subject token is the credential.
pub(super) fn token(world: &mut World, request: &Request) -> Response {
    match exchange(world, request) {
        Ok(json) => reply(StatusCode::OK, &json),
        Err(Denial::OAuth(error, description)) => {
            reply(StatusCode::BAD_REQUEST, &json!({ "error": error, "error_description": description }))
        }
        Err(Denial::Google(refusal)) => refusal.into_response(),
    }
}

/// The place that an audience names.
struct Audience {
    project: String,
    pool: String,
    provider: String,
}

fn exchange(world: &mut World, request: &Request) -> Result<Json, Denial> {
    let given = parameters(request)?;
    let text = |name: &str| given.get(name).map(String::as_str).unwrap_or_default();
    match text("grant_type") {
        GRANT => {}
        "" => return Err(Denial::request("Missing required parameter: grant_type")),
        _ => {
            return Err(Denial::OAuth(
                "unsupported_grant_type",
                "Invalid value of grant_type in request.".to_owned(),
            ));
        }
    }
    if !matches!(text("requested_token_type"), ACCESS_TOKEN) {
        return Err(Denial::request("Invalid value of requested_token_type in request."));
    }
    let audience = audience(text("audience"))?;
    let scopes: Vec<String> = text("scope").split_whitespace().map(str::to_owned).collect();
    if scopes.is_empty() || scopes.iter().any(|scope| !scope.starts_with(SCOPES)) {
        return Err(Denial::OAuth("invalid_scope", "Invalid value of scope in request.".to_owned()));
    }
    let (project, rules) = target(world, &audience)?;
    let account = match (rules.aws_account.clone(), text("subject_token_type")) {
        (Some(account), AWS_REQUEST) => account,
        (_, "") => return Err(Denial::request("Missing required parameter: subject_token_type")),
        _ => {
            let message = "The value of subject_token_type does not fit the type of the identity provider.";
            return Err(Denial::request(message));
        }
    };
    let identity = aws_identity::verify(world, text("subject_token"), text("audience"))?;
    if identity.account != account {
        return Err(Denial::grant(format!(
            "The AWS account {} is not the account that the identity provider accepts.",
            identity.account
        )));
    }
    let identity = map(&rules, &identity, &project.id, audience.pool)?;
    let (token, _) =
        caller::issue(world, Caller::Federated(identity), scopes, SignedDuration::from_secs(LASTS));
    Ok(json!({
        "access_token": token, "issued_token_type": ACCESS_TOKEN, "token_type": "Bearer", "expires_in": LASTS,
    }))
}

/// The parameters of a form, or of a JSON object in camelCase.
fn parameters(request: &Request) -> Result<BTreeMap<String, String>, Denial> {
    let kind = request.headers().get(http::header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let mut parameters = BTreeMap::new();
    if kind.is_some_and(|kind| kind.starts_with("application/json")) {
        let given: Map<String, Json> = serde_json::from_slice(request.body())
            .map_err(|error| Refusal::invalid(format!("Invalid JSON payload received. {error}")))?;
        for (name, value) in given {
            let Json::String(text) = value else {
                let message = format!("Invalid value at '{}' (TYPE_STRING), {value}", message::snake(&name));
                return Err(Refusal::field(&name, message).into());
            };
            parameters.insert(message::snake(&name), text);
        }
        return Ok(parameters);
    }
    for (name, value) in form_urlencoded::parse(request.body()) {
        if parameters.insert(name.clone().into_owned(), value.into_owned()).is_some() {
            return Err(Denial::request(format!("Repeated parameter: {name}")));
        }
    }
    Ok(parameters)
}

/// `//iam.googleapis.com/projects/NUMBER/locations/global/workloadIdentityPools/POOL/providers/PROVIDER`
fn audience(text: &str) -> Result<Audience, Denial> {
    let malformed = || {
        Denial::request(
            "Invalid value for \"audience\". This value should be the full resource name of the Identity Provider. See \
             https://cloud.google.com/iam/docs/reference/sts/rest/v1/TopLevel/token for the list of possible formats.",
        )
    };
    let rest = text.strip_prefix("//iam.googleapis.com/").ok_or_else(malformed)?;
    match rest.split('/').collect::<Vec<_>>().as_slice() {
        [
            "projects",
            project,
            "locations",
            "global",
            "workloadIdentityPools",
            pool,
            "providers",
            provider,
        ] if ![project, pool, provider].iter().any(|part| part.is_empty()) => {
            let [project, pool, provider] = [project, pool, provider].map(|part| (*part).to_owned());
            Ok(Audience { project, pool, provider })
        }
        _ => Err(malformed()),
    }
}

/// The provider, if it is in force. The project goes by its number here.
fn target(world: &World, audience: &Audience) -> Result<(Project, Rules), Denial> {
    let absent = || {
        Denial::OAuth(
            "invalid_target",
            "The target service indicated by the \"audience\" parameters is invalid. This might either be because the \
             pool or provider is disabled or deleted or because it doesn't exist."
                .to_owned(),
        )
    };
    let project =
        project::find(world, &audience.project).filter(|project| project.number == audience.project);
    let project = project.ok_or_else(absent)?;
    service::require(world, &project, "sts.googleapis.com")?;
    let pool = pool::look(world, &project, &audience.pool).now.ok_or_else(absent)?;
    if !pool.is_active() || pool.disabled || !pool.federates() {
        return Err(absent());
    }
    let rules = pool_provider::in_force(world, &project, &audience.pool, &audience.provider);
    Ok((project, rules.ok_or_else(absent)?))
}

/// The identity as the provider's mapping names it, if the provider's condition lets it in.
fn map(rules: &Rules, identity: &Identity, project: &str, pool: String) -> Result<Federated, Denial> {
    let assertion = json!({ "arn": identity.arn, "account": identity.account, "userid": identity.user_id });
    let default = DEFAULT_MAPPING.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let mapping = if rules.mapping.is_empty() { BTreeMap::from(default) } else { rules.mapping.clone() };
    let mut mapped = Federated {
        project: project.to_owned(),
        pool,
        subject: String::new(),
        groups: Vec::new(),
        attributes: BTreeMap::new(),
    };
    for (name, expression) in &mapping {
        // Google's words for what goes wrong here are not documented, but for the limits.
        let value =
            expression::evaluate(expression, &[("assertion", assertion.clone())]).map_err(|problem| {
                Denial::request(format!("The mapping of {name} cannot be evaluated: {problem}"))
            })?;
        take(&mut mapped, name, value)?;
    }
    if mapped.subject.is_empty() {
        return Err(Denial::request("The mapped attribute google.subject is empty."));
    }
    too_large("google.subject", mapped.subject.len(), 127)?;
    let size = mapped.attributes.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>();
    too_large("attribute", size, 8192)?;
    if !rules.condition.is_empty() {
        let google = json!({ "subject": mapped.subject, "groups": mapped.groups });
        let attribute = json!(mapped.attributes);
        let variables = [("assertion", assertion), ("google", google), ("attribute", attribute)];
        if expression::evaluate(&rules.condition, &variables) != Ok(Json::Bool(true)) {
            let message = "The given credential is rejected by the attribute condition.";
            return Err(Denial::OAuth("unauthorized_client", message.to_owned()));
        }
    }
    Ok(mapped)
}

fn take(mapped: &mut Federated, name: &str, value: Json) -> Result<(), Denial> {
    let wrong = |what: &str| Denial::request(format!("The mapped attribute {name} must be {what}."));
    match (name, value) {
        ("google.groups", Json::Array(items)) => {
            let texts = items.iter().map(|item| item.as_str().map(str::to_owned));
            mapped.groups = texts.collect::<Option<_>>().ok_or_else(|| wrong("a list of strings"))?;
        }
        ("google.groups", Json::String(one)) => mapped.groups = vec![one],
        ("google.groups", _) => return Err(wrong("a list of strings")),
        ("google.subject", Json::String(text)) => mapped.subject = text,
        (name, Json::String(text)) => {
            let name = name.strip_prefix("attribute.").unwrap_or(name);
            mapped.attributes.insert(name.to_owned(), text);
        }
        _ => return Err(wrong("a string")),
    }
    Ok(())
}

fn too_large(name: &str, size: usize, most: usize) -> Result<(), Denial> {
    if size <= most {
        return Ok(());
    }
    Err(Denial::request(format!(
        "The size of mapped attribute {name} exceeds the {most} bytes limit. Either modify your attribute mapping or the \
         incoming assertion to produce a mapped attribute that is less than {most} bytes."
    )))
}
