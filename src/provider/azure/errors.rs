//! What Azure's refusals mean for us.

use azure_core::{CollectedResponse, StatusCode};
use serde_json::Value as Json;

use crate::model::{Cloud, CloudError, ErrorKind};

/// A refusal in the resource manager's shape, `{"error":{"code","message"}}`, or whatever else came. The call is
/// filled in by whoever knows it.
pub(super) fn refused(response: &CollectedResponse) -> CloudError {
    let body: Json = serde_json::from_slice(response.body()).unwrap_or_default();
    let text = |name: &str| body.pointer(name).and_then(Json::as_str).unwrap_or_default().to_owned();
    let mut message = text("/error/message");
    if message.is_empty() {
        // The directory's shape: `{"error":"invalid_client","error_description":"AADSTS7000215: …"}`.
        text("/error_description").lines().next().unwrap_or_default().clone_into(&mut message);
    }
    if message.is_empty() {
        message = String::from_utf8_lossy(response.body()).chars().take(300).collect();
    }
    let header = azure_core::headers::HeaderName::from_static("x-ms-request-id");
    let status = *response.status();
    let code = text("/error/code");
    CloudError {
        cloud: Cloud::Azure,
        call: String::new(),
        kind: kind(status, &code),
        hint: hint(status, &code).map(str::to_owned),
        message: if message.is_empty() { format!("HTTP status {}", u16::from(status)) } else { message },
        request_id: response.headers().get_optional_str(&header).map(str::to_owned),
        code,
    }
}

/// No answer came.
pub(super) fn transport(kind: ErrorKind, error: &(dyn std::error::Error + 'static)) -> CloudError {
    CloudError {
        cloud: Cloud::Azure,
        call: String::new(),
        kind,
        code: String::new(),
        message: chain(error),
        request_id: None,
        hint: (kind == ErrorKind::Unreachable).then(|| {
            "check the network, proxy settings, and `clouds.azure.endpoint` if it is set".to_owned()
        }),
    }
}

/// An error of our own making.
pub(super) fn ours(kind: ErrorKind, call: &str, message: impl Into<String>) -> CloudError {
    CloudError {
        cloud: Cloud::Azure,
        call: call.to_owned(),
        kind,
        code: String::new(),
        message: message.into(),
        request_id: None,
        hint: None,
    }
}

/// An error with its causes, each said once.
pub(super) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let words = cause.to_string();
        if !text.contains(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
        next = cause.source();
    }
    text
}

/// What a refusal means. The code decides where the status is ambiguous.
fn kind(status: StatusCode, code: &str) -> ErrorKind {
    match code {
        "SubscriptionNotFound" | "InvalidAuthenticationTokenTenant" => return ErrorKind::WrongAccount,
        "FlagMustBeSetForRestore" | "InvalidResourceLocation" | "InvalidResourceGroupLocation" => {
            return ErrorKind::AlreadyExists;
        }
        // The operation in the way is someone else's, and ends.
        "AccountProvisioningStateInvalid"
        | "ResourceGroupBeingDeleted"
        | "AnotherOperationInProgress"
        | "RequestConflict"
        | "OperationPreempted" => return ErrorKind::Conflict,
        "CustomDomainInUse" | "MissingSubscriptionRegistration" => return ErrorKind::Invalid,
        _ => {}
    }
    match u16::from(status) {
        401 => ErrorKind::Credentials,
        403 => ErrorKind::Denied,
        404 | 410 => ErrorKind::NotFound,
        409 | 412 => ErrorKind::Conflict,
        429 => ErrorKind::Throttled,
        408 | 500..=599 => ErrorKind::Unknown,
        _ => ErrorKind::Invalid,
    }
}

/// The way out, where we know it.
fn hint(status: StatusCode, code: &str) -> Option<&'static str> {
    Some(match code {
        "FlagMustBeSetForRestore" => {
            "an account of this name was deleted less than 48 hours ago and is not visible to these credentials or \
             lies in another location: restore or purge it (`az cognitiveservices account list-deleted`), or \
             choose another name"
        }
        "CustomDomainInUse" => {
            "the subdomain is taken in all of Azure, by a live account or by one deleted less than 48 hours ago: \
             choose another `customSubDomainName`, or purge the deleted account"
        }
        "CanNotCreateMultipleFreeAccounts" => {
            "one F0 account of each kind is allowed in a subscription, and deleted ones count for 48 hours: use a \
             paid sku, or delete and purge the other account"
        }
        "ResourceKindRequireAcceptTerms" => {
            "the first account of this kind in a subscription must be made in the Azure portal, where a person \
             accepts the Responsible AI terms"
        }
        "ResourceGroupNotFound" => {
            "declare the resource group in the stack (type Microsoft.Resources/resourceGroups) and refer to it, or \
             name one that exists under `clouds.azure.resourceGroup`"
        }
        "SubscriptionNotFound" => {
            "the credentials do not see this subscription: check `clouds.azure.subscription`, and the tenant you \
             are signed in to (`az account show`)"
        }
        "InvalidAuthenticationTokenTenant" => {
            "the credentials belong to another tenant than the subscription: `az login --tenant …`"
        }
        _ if u16::from(status) == 401 => {
            "sign in again (`az login`), or renew the credentials in the environment"
        }
        _ if u16::from(status) == 403 => {
            "the message names the action: have a role that allows it assigned, such as Cognitive Services \
             Contributor; a new assignment takes some minutes"
        }
        _ => return None,
    })
}
