//! What Google answered instead of doing it, as a [`CloudError`]: the one conversion.

use std::error::Error as _;
use std::time::Duration;

use google_iam1::common;
use serde_json::Value as Json;

use crate::model::{Cloud, CloudError, ErrorKind};

/// How long an enabled API may go on refusing calls.
const ENABLING: Duration = Duration::from_mins(5);
/// How long a new service account may go on being unknown.
const APPEARING: Duration = Duration::from_mins(1);
/// How long a policy may go on not knowing a new pool.
const POOL: Duration = Duration::from_mins(5);

/// An error of our own making.
pub(super) fn own(call: &str, kind: ErrorKind, message: String) -> CloudError {
    CloudError {
        cloud: Cloud::Gcp,
        call: call.to_owned(),
        kind,
        code: String::new(),
        message,
        request_id: None,
        hint: None,
    }
}

/// No answer came in time.
pub(super) fn unanswered(call: &str) -> CloudError {
    own(call, ErrorKind::Unknown, "no answer within a minute".to_owned())
}

/// An answer came and cannot be read.
pub(super) fn garbled(call: &str) -> CloudError {
    own(call, ErrorKind::Unknown, "the answer is not the JSON that was expected".to_owned())
}

/// An error of the HTTP client: nothing was sent if there was no connection, else nobody knows.
pub(super) fn from_http(call: &str, error: &hyper_util::client::legacy::Error) -> CloudError {
    let kind = if error.is_connect() { ErrorKind::Unreachable } else { ErrorKind::Unknown };
    let mut message = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        message = format!("{message}: {cause}");
        source = cause.source();
    }
    let hint = (kind == ErrorKind::Unreachable)
        .then(|| "check the network, the proxy and `clouds.gcp.endpoint`".to_owned());
    CloudError { hint, ..own(call, kind, message) }
}

/// An error of google-iam1's hub.
pub(super) fn from_hub(call: &str, error: common::Error) -> CloudError {
    match error {
        common::Error::HttpError(error) => from_http(call, &error),
        common::Error::BadRequest(json) => {
            let status = json["error"]["code"].as_u64().and_then(|code| u16::try_from(code).ok());
            classify(call, status.unwrap_or(400), &json)
        }
        common::Error::Failure(response) => classify(call, response.status().as_u16(), &Json::Null),
        common::Error::MissingToken(error) => match error.downcast::<CloudError>() {
            Ok(error) => *error,
            Err(error) => own(call, ErrorKind::Credentials, error.to_string()),
        },
        common::Error::JsonDecodeError(..) => garbled(call),
        common::Error::Io(error) => own(call, ErrorKind::Unknown, error.to_string()),
        error @ (common::Error::MissingAPIKey
        | common::Error::Cancelled
        | common::Error::FieldClash(_)
        | common::Error::UploadSizeLimitExceeded(..)) => own(call, ErrorKind::Invalid, error.to_string()),
    }
}

/// Google's error body, by status, canonical code and `ErrorInfo`.
pub(super) fn classify(call: &str, status: u16, body: &Json) -> CloudError {
    let error = &body["error"];
    let message = error["message"].as_str().unwrap_or("the answer bears no message");
    let code = error["status"].as_str().unwrap_or_default();
    let info = error["details"].as_array().and_then(|details| {
        details
            .iter()
            .find(|detail| detail["@type"].as_str().is_some_and(|ty| ty.ends_with("google.rpc.ErrorInfo")))
    });
    let reason = info.and_then(|info| info["reason"].as_str()).unwrap_or_default();
    let (kind, hint) = meaning(call, status, code, reason, message, info);
    let code = if code.is_empty() { status.to_string() } else { code.to_owned() };
    CloudError { code, hint, ..own(call, kind, message.to_owned()) }
}

fn meaning(
    call: &str,
    status: u16,
    code: &str,
    reason: &str,
    message: &str,
    info: Option<&Json>,
) -> (ErrorKind, Option<String>) {
    let metadata = |key: &str| info.and_then(|info| info["metadata"][key].as_str());
    match (status, code) {
        (401, _) => (ErrorKind::Credentials, Some(LOGIN.to_owned())),
        (403, _) if reason == "SERVICE_DISABLED" => {
            let service = metadata("service").unwrap_or("the service");
            let hint = format!(
                "declare {service} as a serviceusage.googleapis.com/Service; where what the stack owns needs it to be read, \
                 switch it on first: `gcloud services enable {service}`"
            );
            (ErrorKind::Settling { window: ENABLING }, Some(hint))
        }
        (403, _) if reason == "SERVICE_CONFIG_NOT_FOUND_OR_PERMISSION_DENIED" => {
            (ErrorKind::Denied, Some("check the spelling of the service's name".to_owned()))
        }
        (403, _) => {
            let hint = metadata("permission").map(|permission| {
                format!("have a role with the permission {permission} granted to these credentials")
            });
            (ErrorKind::Denied, hint)
        }
        (404 | 410, _) => (ErrorKind::NotFound, None),
        (409, "ABORTED") | (412, _) => (ErrorKind::Conflict, None),
        (409, _) => (ErrorKind::AlreadyExists, None),
        // Both a rate and a plain limit are answered like this; no waiting helps against the latter.
        (429, _) if message.to_lowercase().contains("maximum number") => (ErrorKind::Invalid, None),
        (429, _) => (ErrorKind::Throttled, None),
        (400, _) if call.ends_with("setIamPolicy") && message.contains("Identity Pool does not exist") => {
            (ErrorKind::Settling { window: POOL }, Some(NAMED.to_owned()))
        }
        (400, _) if call.ends_with("setIamPolicy") && message.contains("does not exist") => {
            (ErrorKind::Settling { window: APPEARING }, Some(NAMED.to_owned()))
        }
        (400, "FAILED_PRECONDITION") if message.to_lowercase().contains("etag") => {
            (ErrorKind::Conflict, None)
        }
        (408 | 500.., _) => (ErrorKind::Unknown, None),
        _ => (ErrorKind::Invalid, None),
    }
}

pub(super) const LOGIN: &str = "run `gcloud auth application-default login`, or set GOOGLE_APPLICATION_CREDENTIALS to a credentials file";
const NAMED: &str =
    "make what the member names first, in this stack or another; pools are named by the project's number";

/// The error of a long-running operation (`google/rpc/code.proto`). It ran and failed: the change was not made, or
/// not whole where the fault was Google's own.
pub(super) fn of_operation(call: &str, code: i64, message: &str) -> CloudError {
    let (kind, name) = match code {
        3 => (ErrorKind::Invalid, "INVALID_ARGUMENT"),
        5 => (ErrorKind::NotFound, "NOT_FOUND"),
        6 => (ErrorKind::AlreadyExists, "ALREADY_EXISTS"),
        7 => (ErrorKind::Denied, "PERMISSION_DENIED"),
        8 => (ErrorKind::Invalid, "RESOURCE_EXHAUSTED"),
        9 => (ErrorKind::Invalid, "FAILED_PRECONDITION"),
        10 => (ErrorKind::Conflict, "ABORTED"),
        16 => (ErrorKind::Credentials, "UNAUTHENTICATED"),
        _ => (ErrorKind::Unknown, "INTERNAL"),
    };
    CloudError { code: name.to_owned(), ..own(call, kind, message.to_owned()) }
}

/// A part of a change was made and a later part of it failed: what is there now has to be read.
pub(super) fn halfway(error: CloudError) -> CloudError {
    match error.kind {
        ErrorKind::Credentials | ErrorKind::Unknown => error,
        ErrorKind::NotFound
        | ErrorKind::AlreadyExists
        | ErrorKind::Conflict
        | ErrorKind::Denied
        | ErrorKind::Throttled
        | ErrorKind::Invalid
        | ErrorKind::NotEmpty
        | ErrorKind::Settling { .. }
        | ErrorKind::Unreachable
        | ErrorKind::WrongAccount => CloudError { kind: ErrorKind::Unknown, ..error },
    }
}

/// `Retry-After` in seconds.
pub(super) fn retry_after(headers: &http::HeaderMap) -> Option<Duration> {
    let text = headers.get(http::header::RETRY_AFTER)?.to_str().ok()?;
    text.trim().parse().ok().map(Duration::from_secs)
}

/// An error's own answer where there was one to read; `None` where there is nothing of that name.
pub(super) fn found<T>(answer: Result<T, CloudError>) -> Result<Option<T>, CloudError> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(error) if error.kind == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
