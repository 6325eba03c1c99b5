//! What a cloud answered when it did not do what was asked: what failed, why, where, what to do.

use super::text;
use crate::model::{Cloud, CloudError, Diagnostic, ErrorKind};

/// A cloud's error as a diagnostic; `what` says what failed: `resources.files could not be created`.
pub fn diagnose(what: &str, error: &CloudError) -> Diagnostic {
    let mut detail = format!("{} {}", error.cloud, text::line(&error.call));
    if !error.code.is_empty() {
        detail.push_str(" answered ");
        detail.push_str(&text::line(&error.code));
    }
    if !error.message.is_empty() {
        detail.push_str(": ");
        detail.push_str(text::block(&error.message).trim_end());
    }
    if let Some(id) = &error.request_id {
        detail.push_str("\nrequest id: ");
        detail.push_str(&text::line(id));
    }
    let diagnostic = Diagnostic::error(format!("{what}: {}", cause(error))).detail(detail);
    match error.hint.clone().or_else(|| way_out(error)) {
        Some(hint) => diagnostic.hint(text::block(&hint)),
        None => diagnostic,
    }
}

/// What an error means, in a few words.
pub fn cause(error: &CloudError) -> &'static str {
    // mcm's own judgement: the cloud refused nothing.
    if error.code.starts_with("SmokeTest") {
        return "the smoke test failed";
    }
    match error.kind {
        ErrorKind::NotFound => "the object is not there",
        ErrorKind::AlreadyExists => "the name is taken",
        ErrorKind::Conflict => "someone else changed it at the same time",
        ErrorKind::Denied => "permission denied",
        ErrorKind::Credentials => "no valid credentials",
        ErrorKind::Throttled => "too many requests",
        ErrorKind::Invalid => "the cloud refused the request",
        ErrorKind::NotEmpty => "it is not empty",
        ErrorKind::Settling { .. } => "what it needs is not usable yet",
        ErrorKind::Unreachable => "the cloud cannot be reached",
        ErrorKind::Unknown => "no clear answer came, it may have happened",
        ErrorKind::WrongAccount => "the credentials belong to another account",
    }
}

/// What to do where the provider did not say it.
fn way_out(error: &CloudError) -> Option<String> {
    Some(match error.kind {
        ErrorKind::AlreadyExists => {
            "choose another name; or, if the object is yours, take it over with `adopt: true`, or with `mcm import` once this \
             run is settled"
                .to_owned()
        }
        ErrorKind::Conflict => "run the command again: it reads what is true now".to_owned(),
        ErrorKind::Denied => format!("the caller needs the permission for {}", text::line(&error.call)),
        ErrorKind::Credentials => sign_in(error.cloud).to_owned(),
        ErrorKind::Throttled => "wait a minute and run it again, with a lower --parallelism".to_owned(),
        ErrorKind::NotEmpty => {
            "empty it yourself, then run it again: mcm deletes no data that it did not put there".to_owned()
        }
        ErrorKind::Settling { .. } => "run the command again in a minute".to_owned(),
        ErrorKind::Unreachable => {
            "check the network, and the endpoint if the stack names one; nothing was sent".to_owned()
        }
        ErrorKind::Unknown => "run `mcm plan`: it reads what is true now".to_owned(),
        ErrorKind::WrongAccount => {
            "sign in to the account that `clouds:` names, or correct `clouds:`".to_owned()
        }
        ErrorKind::NotFound | ErrorKind::Invalid => return None,
    })
}

/// How each cloud is signed in to.
fn sign_in(cloud: Cloud) -> &'static str {
    match cloud {
        Cloud::Aws => {
            "sign in with `aws sso login`, or set AWS_PROFILE or AWS_ACCESS_KEY_ID; without an account, add --sandbox"
        }
        Cloud::Gcp => {
            "sign in with `gcloud auth application-default login`, or set GOOGLE_APPLICATION_CREDENTIALS; without an account, add --sandbox"
        }
        Cloud::Azure => {
            "sign in with `az login`, or set AZURE_TENANT_ID, AZURE_CLIENT_ID and a credential; without an account, add --sandbox"
        }
    }
}
