//! From what the SDK reports to what it means for us: the one table of AWS's error codes.

use std::error::Error;
use std::time::Duration;

use aws_credential_types::provider::error::CredentialsError;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

use super::super::retry::Attempt;
use super::connect::PlainHttp;
use crate::model::{Cloud, CloudError, ErrorKind};

/// The documented time within which a new role can be named in another policy everywhere.
const PRINCIPAL_SETTLES: Duration = Duration::from_mins(2);

/// What a failed send means.
pub(super) fn attempt<E>(name: &str, failure: &SdkError<E, HttpResponse>) -> Attempt
where
    E: ProvideErrorMetadata + Error + Send + Sync + 'static,
{
    let response = failure.raw_response();
    let status = response.map_or(0, |response| response.status().as_u16());
    let service = failure.as_service_error();
    let code = service.and_then(ProvideErrorMetadata::code).map_or_else(|| code_of(status), str::to_owned);
    // It was done, but what came back cannot be read: cut short, or in another shape.
    let garbled = (200..300).contains(&status) && service.is_none_or(|service| service.code().is_none());
    let message = service.and_then(ProvideErrorMetadata::message).map_or_else(
        || if service.is_some() && !garbled { words_of(status).to_owned() } else { causes(failure) },
        str::to_owned,
    );
    let unsigned = unsigned(failure);
    let message = unsigned.clone().unwrap_or(message);
    let kind = match failure {
        _ if unsigned.is_some() => ErrorKind::Credentials,
        SdkError::ServiceError(_) if garbled => ErrorKind::Unknown,
        SdkError::ServiceError(_) => kind(&code, &message, status),
        SdkError::ConstructionFailure(_) | SdkError::DispatchFailure(_) => unsent(failure),
        // Later versions of the SDK may know more; an answer that cannot be read may still follow a deed.
        SdkError::TimeoutError(_) | SdkError::ResponseError(_) | _ => ErrorKind::Unknown,
    };
    let header = |name: &str| response.and_then(|response| response.headers().get(name)).map(str::to_owned);
    let error = CloudError {
        cloud: Cloud::Aws,
        call: name.to_owned(),
        kind,
        hint: hint(kind, &code).map(str::to_owned),
        code,
        message,
        request_id: header("x-amzn-requestid").or_else(|| header("x-amz-request-id")),
    };
    let seconds = header("retry-after").and_then(|text| text.trim().parse().ok());
    Attempt { error, retry_after: seconds.map(Duration::from_secs) }
}

/// What a code means. An unknown one falls back to its HTTP status.
fn kind(code: &str, message: &str, status: u16) -> ErrorKind {
    match code {
        // "Invalid principal in policy": the role or user was made moments ago, or does not exist.
        "MalformedPolicyDocument" | "MalformedPolicy" if message.contains("Invalid principal") => {
            ErrorKind::Settling { window: PRINCIPAL_SETTLES }
        }
        "NotFound"
        | "ResourceNotFoundException"
        | "ServerSideEncryptionConfigurationNotFoundError"
        | "OwnershipControlsNotFoundError" => ErrorKind::NotFound,
        "EntityAlreadyExists" | "BucketAlreadyExists" | "BucketAlreadyOwnedByYou" => ErrorKind::AlreadyExists,
        "ConcurrentModification"
        | "ConcurrentModificationException"
        | "OperationAborted"
        | "ConditionalRequestConflict"
        | "PreconditionFailed" => ErrorKind::Conflict,
        "AccessDenied"
        | "AccessDeniedException"
        | "UnauthorizedAccess"
        | "Forbidden"
        | "AllAccessDisabled"
        | "AccountProblem"
        | "MethodNotAllowed" => ErrorKind::Denied,
        "InvalidClientTokenId"
        | "InvalidAccessKeyId"
        | "UnrecognizedClientException"
        | "SignatureDoesNotMatch"
        | "AuthFailure"
        | "MissingAuthenticationToken"
        | "InvalidToken"
        | "ExpiredToken"
        | "ExpiredTokenException"
        | "TokenRefreshRequired"
        | "NotSignedUp"
        | "OptInRequired"
        | "RequestExpired"
        | "RequestTimeTooSkewed" => ErrorKind::Credentials,
        "Throttling"
        | "ThrottlingException"
        | "ThrottledException"
        | "RequestThrottled"
        | "RequestThrottledException"
        | "RequestLimitExceeded"
        | "TooManyRequestsException"
        | "BandwidthLimitExceeded"
        | "PriorRequestNotComplete"
        | "SlowDown" => ErrorKind::Throttled,
        "BucketNotEmpty" | "DeleteConflict" => ErrorKind::NotEmpty,
        // S3 waited for our body in vain; how much it took is not known.
        "RequestTimeout" | "InternalError" | "ServiceFailure" => ErrorKind::Unknown,
        // NoSuchEntity, NoSuchBucket, NoSuchKey, NoSuchTagSet, NoSuchCORSConfiguration, …
        absent if absent.starts_with("NoSuch") => ErrorKind::NotFound,
        _ if status == 429 => ErrorKind::Throttled,
        _ if status >= 500 => ErrorKind::Unknown,
        _ => ErrorKind::Invalid,
    }
}

/// The code that a bare status stands for: an answer to HEAD has no body to say more.
fn code_of(status: u16) -> String {
    match status {
        301 | 307 | 308 => "PermanentRedirect".to_owned(),
        401 => "AuthFailure".to_owned(),
        403 => "Forbidden".to_owned(),
        404 => "NotFound".to_owned(),
        412 => "PreconditionFailed".to_owned(),
        503 => "ServiceUnavailable".to_owned(),
        0 => String::new(),
        other => other.to_string(),
    }
}

fn words_of(status: u16) -> &'static str {
    match status {
        301 | 307 | 308 => "it is in another region",
        403 => "access is denied",
        404 => "it does not exist",
        412 => "it has changed since it was read",
        _ => "",
    }
}

/// What it means that no answer came: whether the request can have been sent.
fn unsent<E, R>(failure: &SdkError<E, R>) -> ErrorKind
where
    E: Error + 'static,
    R: std::fmt::Debug + 'static,
{
    let mut cause: Option<&(dyn Error + 'static)> = Some(failure);
    let mut construction = matches!(failure, SdkError::ConstructionFailure(_));
    while let Some(error) = cause {
        if error.is::<PlainHttp>() {
            return ErrorKind::Invalid;
        }
        let refused = error.downcast_ref::<std::io::Error>().is_some_and(|io| {
            matches!(io.kind(), std::io::ErrorKind::ConnectionRefused | std::io::ErrorKind::HostUnreachable)
        });
        let connecting = error
            .downcast_ref::<hyper_util::client::legacy::Error>()
            .is_some_and(hyper_util::client::legacy::Error::is_connect);
        // The type of the SDK's own time-out is private; its text says which of the two it was.
        let text = error.to_string();
        if refused
            || connecting
            || text.contains("connect timeout")
            || text.contains("failed to lookup address")
        {
            return ErrorKind::Unreachable;
        }
        construction |= text.contains("failed to construct request");
        cause = error.source();
    }
    if construction { ErrorKind::Invalid } else { ErrorKind::Unknown }
}

/// Why there are no credentials, if that is what a request failed for.
fn unsigned(failure: &(dyn Error + 'static)) -> Option<String> {
    let mut cause = Some(failure);
    while let Some(error) = cause {
        if error.is::<CredentialsError>() {
            return Some(no_credentials(error, std::env::var("AWS_PROFILE").ok().as_deref()));
        }
        cause = error.source();
    }
    None
}

/// Why there are no credentials. The last link of the chain is the machine's metadata; when it fails, so did all before it.
pub(super) fn no_credentials(error: &(dyn Error + 'static), profile: Option<&str>) -> String {
    let said = causes(error);
    let profile = profile.filter(|name| !name.is_empty());
    match (said.contains("IMDS"), profile) {
        (true, None) => {
            format!("none in the environment, in ~/.aws or in a container; metadata of the machine: {said}")
        }
        (true, Some(name)) => format!(
            "AWS_PROFILE names `{name}`, and ~/.aws has no credentials under that name; metadata of the machine: {said}"
        ),
        (false, Some(name)) => format!("profile `{name}` (AWS_PROFILE): {said}"),
        (false, None) => said,
    }
}

/// The way out where there are none.
pub(super) const SIGN_IN: &str = "sign in with `aws sso login` or `aws configure`, choose a profile with AWS_PROFILE, or set \
                                  AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY";

/// The chain of causes, each once.
fn causes(failure: &(dyn Error + 'static)) -> String {
    let mut texts: Vec<String> = Vec::new();
    let mut cause = Some(failure);
    while let Some(error) = cause {
        let text = error.to_string();
        if !texts.iter().any(|earlier| earlier.contains(&text)) {
            texts.push(text);
        }
        cause = error.source();
    }
    texts.join(": ")
}

/// The way out, where the code alone tells it.
fn hint(kind: ErrorKind, code: &str) -> Option<&'static str> {
    match kind {
        ErrorKind::Credentials => Some(match code {
            "ExpiredToken" | "ExpiredTokenException" | "TokenRefreshRequired" | "RequestExpired" => {
                "the credentials have expired: sign in again (`aws sso login`), then repeat the command"
            }
            "RequestTimeTooSkewed" => "the clock of this machine is wrong: set it, then repeat the command",
            "" => SIGN_IN,
            _ => "AWS does not accept these credentials: check AWS_PROFILE and AWS_ACCESS_KEY_ID",
        }),
        ErrorKind::Unreachable => {
            Some("check the network, and `clouds.aws.endpoint` or AWS_ENDPOINT_URL if one is set")
        }
        ErrorKind::Throttled => {
            Some("AWS limits how often this may be called: wait a minute, or lower --parallelism")
        }
        // Calls bear the names of their permissions, which the general way out tells.
        ErrorKind::Denied
        | ErrorKind::NotFound
        | ErrorKind::AlreadyExists
        | ErrorKind::Conflict
        | ErrorKind::Invalid
        | ErrorKind::NotEmpty
        | ErrorKind::Settling { .. }
        | ErrorKind::Unknown
        | ErrorKind::WrongAccount => None,
    }
}

/// An error that we raise ourselves.
pub(super) fn refusal(call: &str, kind: ErrorKind, message: impl Into<String>) -> CloudError {
    CloudError {
        cloud: Cloud::Aws,
        call: call.to_owned(),
        kind,
        code: String::new(),
        message: message.into(),
        request_id: None,
        hint: None,
    }
}

/// What comes with a hint of its own, or is something else than its code says.
pub(super) trait Explain {
    /// With this hint.
    #[must_use]
    fn hinting(self, hint: impl Into<String>) -> Self;
}

impl Explain for CloudError {
    fn hinting(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// Takes "there is none" for an answer.
pub(super) fn optional<T>(answer: Result<T, CloudError>) -> Result<Option<T>, CloudError> {
    match answer {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_that_gives_no_credentials_is_named() {
        let absent = CredentialsError::not_loaded("failed to load IMDS session token");
        let told = no_credentials(&absent, Some("prod"));
        assert!(told.starts_with("AWS_PROFILE names `prod`, and ~/.aws has no credentials under"), "{told}");
        let told = no_credentials(&absent, None);
        assert!(told.starts_with("none in the environment, in ~/.aws or in a container;"), "{told}");
        let expired = CredentialsError::provider_error("the SSO token has expired");
        let told = no_credentials(&expired, Some("prod"));
        assert!(told.starts_with("profile `prod` (AWS_PROFILE): "), "{told}");
        assert!(told.ends_with("the SSO token has expired"), "{told}");
    }

    #[test]
    fn codes_are_told_apart() {
        let settling = ErrorKind::Settling { window: PRINCIPAL_SETTLES };
        for (code, message, status, expected) in [
            ("NoSuchEntity", "", 404, ErrorKind::NotFound),
            ("NoSuchBucketPolicy", "", 404, ErrorKind::NotFound),
            ("EntityAlreadyExists", "", 409, ErrorKind::AlreadyExists),
            ("DeleteConflict", "", 409, ErrorKind::NotEmpty),
            ("ConcurrentModification", "", 409, ErrorKind::Conflict),
            ("Throttling", "", 400, ErrorKind::Throttled),
            ("SlowDown", "", 503, ErrorKind::Throttled),
            ("ServiceUnavailable", "", 503, ErrorKind::Unknown),
            ("ServiceFailure", "", 500, ErrorKind::Unknown),
            ("WhoKnows", "", 502, ErrorKind::Unknown),
            ("WhoKnows", "", 429, ErrorKind::Throttled),
            ("ValidationError", "", 400, ErrorKind::Invalid),
            ("MalformedPolicyDocument", "Syntax errors in policy.", 400, ErrorKind::Invalid),
            ("MalformedPolicyDocument", "Invalid principal in policy: \"AWS\":\"x\"", 400, settling),
            ("MalformedPolicy", "Invalid principal in policy", 400, settling),
            ("ExpiredToken", "", 403, ErrorKind::Credentials),
            ("AccessDenied", "", 403, ErrorKind::Denied),
            ("BucketNotEmpty", "", 409, ErrorKind::NotEmpty),
        ] {
            assert_eq!(kind(code, message, status), expected, "{code} {message}");
        }
    }
}
