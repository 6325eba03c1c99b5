//! The sandbox's Azure: the resource manager with resource groups and Cognitive Services accounts, and the vision
//! service of these.
//!
//! Written from the public cloud's rules and from recorded answers of it. Everything is strict: versions,
//! tokens, names, unknown members, places, states. Long-running operations advance with every look at what they
//! work on, so that a client which polls passes through each intermediate state and one that does not is not
//! stuck for ever.

mod accounts;
mod arm;
mod body;
mod deleted;
mod groups;
mod keys;
mod locations;
mod operations;
mod subscriptions;
mod view;
mod vision;
mod wire;

use http::{Method, header};
use subtle::ConstantTimeEq as _;

use super::{AZURE_TENANT, Request, Response, World};
pub use vision::Look;
use wire::{Answer, Call, Refusal, Reply};

/// Answers one request.
pub fn handle(world: &mut World, request: &Request) -> Response {
    if let Some((host, words)) = vision::claims(request) {
        return vision::handle(world, request, host.as_deref(), &words);
    }
    let call = Call::new(request);
    let reply = answer(world, &call).unwrap_or_else(Reply::from);
    let id = world.uuid();
    reply.header("x-ms-request-id", id.clone()).header("x-ms-correlation-request-id", id).into()
}

/// What holds for every request comes first, in the resource manager's order: version, token, subscription.
fn answer(world: &mut World, call: &Call<'_>) -> Answer {
    let version = arm::version(call)?;
    authenticate(world, call)?;
    let lower: Vec<&str> = call.lower.iter().map(String::as_str).collect();
    match (call.method.as_str(), lower.as_slice()) {
        ("GET", ["tenants"]) => {
            arm::resources_version(version)?;
            Ok(subscriptions::tenants())
        }
        ("GET", ["subscriptions"]) => {
            arm::resources_version(version)?;
            Ok(subscriptions::list(world))
        }
        (_, ["subscriptions", _, rest @ ..]) => {
            let subscription = arm::subscription(world, &call.words[1])?;
            within(world, call, version, &subscription, rest)
        }
        _ => Err(nothing_here(call)),
    }
}

/// Requests below a subscription.
fn within(world: &mut World, call: &Call<'_>, version: &str, subscription: &str, rest: &[&str]) -> Answer {
    if let ["providers", "microsoft.cognitiveservices", below @ ..] = rest
        && !matches!(below, [] | ["register" | "unregister"])
    {
        arm::cognitive_version(version, below.first().copied().unwrap_or_default())?;
        return cognitive(world, call, subscription, below);
    }
    if let ["resourcegroups", _, "providers", namespace, ty, below @ ..] = rest {
        if *namespace != "microsoft.cognitiveservices" {
            let message = format!("The resource namespace '{}' is invalid.", call.words[5]);
            return Err(Refusal::new(404, "InvalidResourceNamespace", message));
        }
        if *ty != "accounts" {
            return Err(Refusal::new(
                404,
                "InvalidResourceType",
                format!(
                    "The resource type '{}' could not be found in the namespace 'Microsoft.CognitiveServices' \
                     for api version '{version}'.",
                    call.words[6]
                ),
            ));
        }
        arm::cognitive_version(version, "accounts")?;
        return account(world, call, subscription, below);
    }
    arm::resources_version(version)?;
    match (call.method.as_str(), rest) {
        ("GET", []) => Ok(subscriptions::get(subscription)),
        ("GET", ["locations"]) => Ok(subscriptions::locations(subscription)),
        ("GET", ["providers"]) => Ok(subscriptions::providers(world, subscription)),
        ("GET", ["providers", namespace]) => subscriptions::provider(world, subscription, namespace),
        ("POST", ["providers", namespace, "register"]) => {
            subscriptions::register(world, subscription, namespace)
        }
        ("POST", ["providers", namespace, "unregister"]) => {
            subscriptions::unregister(world, subscription, namespace)
        }
        ("GET", ["operationresults", id]) => operations::group(world, call, subscription, id),
        ("GET", ["resources"]) => Ok(groups::resources(world, subscription, None)),
        ("GET", ["resourcegroups"]) => Ok(groups::list(world, subscription)),
        (_, ["resourcegroups", _]) => groups::handle(world, call, subscription, &call.words[3]),
        ("GET", ["resourcegroups", _, "resources"]) => {
            groups::existing(world, subscription, &call.words[3])?;
            Ok(groups::resources(world, subscription, Some(&call.lower[3])))
        }
        _ => Err(nothing_here(call)),
    }
}

/// Requests to the Cognitive Services provider outside any resource group.
fn cognitive(world: &mut World, call: &Call<'_>, subscription: &str, below: &[&str]) -> Answer {
    deleted::expire(world);
    match (call.method.as_str(), below) {
        ("GET", ["accounts"]) => Ok(accounts::list(world, subscription, None)),
        ("GET", ["deletedaccounts"]) => Ok(deleted::list(world, subscription)),
        ("GET", ["skus"]) => Ok(keys::skus()),
        ("POST", ["checkdomainavailability"]) => keys::check_domain(world, call),
        ("GET", ["locations", _, "operationresults", id]) => {
            operations::account(world, call, subscription, id)
        }
        ("GET", ["locations", _, "resourcegroups", _, "deletedaccounts", _]) => {
            deleted::get(world, call, subscription)
        }
        ("DELETE", ["locations", _, "resourcegroups", _, "deletedaccounts", _]) => {
            Ok(deleted::purge(world, call, subscription))
        }
        _ => Err(nothing_here(call)),
    }
}

/// Requests to the accounts of a resource group.
fn account(world: &mut World, call: &Call<'_>, subscription: &str, below: &[&str]) -> Answer {
    deleted::expire(world);
    let group = groups::existing(world, subscription, &call.words[3])?;
    match (call.method.as_str(), below) {
        ("GET", []) => Ok(accounts::list(world, subscription, Some(&group.name))),
        (_, [_]) => accounts::handle(world, call, subscription, &group, &call.words[7]),
        ("POST", [_, "listkeys"]) => keys::list(world, subscription, &group, &call.words[7]),
        ("POST", [_, "regeneratekey"]) => keys::regenerate(world, call, subscription, &group, &call.words[7]),
        ("GET", [_, "skus"]) => keys::account_skus(world, subscription, &group, &call.words[7]),
        _ => Err(nothing_here(call)),
    }
}

/// Every subscription's owner holds one token.
fn authenticate(world: &World, call: &Call<'_>) -> Result<(), Refusal> {
    let challenge = |why: &str| {
        format!(
            "Bearer authorization_uri=\"https://login.microsoftonline.com/{AZURE_TENANT}\", \
             error=\"invalid_token\", error_description=\"{why}\""
        )
    };
    let Some(given) = call.header(header::AUTHORIZATION) else {
        let message = "Authentication failed. The 'Authorization' header is missing.";
        return Err(Refusal::new(401, "AuthenticationFailed", message).header(
            "www-authenticate",
            challenge("The authentication failed because of missing 'Authorization' header."),
        ));
    };
    let token = given.split_once(' ').filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    let Some((_, token)) = token else {
        let message = "Authentication failed. The 'Authorization' header is provided in an invalid format.";
        return Err(Refusal::new(401, "AuthenticationFailedInvalidHeader", message)
            .header("www-authenticate", challenge("The authentication scheme is not supported.")));
    };
    if bool::from(token.trim().as_bytes().ct_eq(world.credentials().azure_token().as_bytes())) {
        return Ok(());
    }
    let message = "The access token is invalid.";
    Err(Refusal::new(401, "InvalidAuthenticationToken", message)
        .header("www-authenticate", challenge("The access token is invalid.")))
}

/// No such path, or not with this verb.
fn nothing_here(call: &Call<'_>) -> Refusal {
    if [Method::GET, Method::HEAD].contains(call.method) {
        return Refusal::new(404, "NotFound", format!("No resource matches '/{}'.", call.words.join("/")));
    }
    Refusal::new(
        405,
        "HttpMethodNotAllowed",
        format!("The HTTP method '{}' is not supported at this place.", call.method),
    )
}
