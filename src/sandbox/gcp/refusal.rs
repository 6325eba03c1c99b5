//! Google's error shape: a canonical status, a sentence, typed details.

use http::StatusCode;
use serde_json::{Value as Json, json};

use crate::sandbox::Response;

/// The canonical statuses that this sandbox answers with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    InvalidArgument,
    FailedPrecondition,
    Unauthenticated,
    PermissionDenied,
    NotFound,
    AlreadyExists,
    Aborted,
    ResourceExhausted,
}

impl Status {
    /// The status's number over HTTP (`google/rpc/code.proto` gives the mapping) and its name.
    fn wire(self) -> (StatusCode, &'static str) {
        match self {
            Self::InvalidArgument => (StatusCode::BAD_REQUEST, "INVALID_ARGUMENT"),
            Self::FailedPrecondition => (StatusCode::BAD_REQUEST, "FAILED_PRECONDITION"),
            Self::Unauthenticated => (StatusCode::UNAUTHORIZED, "UNAUTHENTICATED"),
            Self::PermissionDenied => (StatusCode::FORBIDDEN, "PERMISSION_DENIED"),
            Self::NotFound => (StatusCode::NOT_FOUND, "NOT_FOUND"),
            Self::AlreadyExists => (StatusCode::CONFLICT, "ALREADY_EXISTS"),
            Self::Aborted => (StatusCode::CONFLICT, "ABORTED"),
            Self::ResourceExhausted => (StatusCode::TOO_MANY_REQUESTS, "RESOURCE_EXHAUSTED"),
        }
    }
}

/// A request that is not done.
#[derive(Debug)]
pub(super) struct Refusal {
    status: Status,
    message: String,
    details: Vec<Json>,
}

impl Refusal {
    /// A refusal without details.
    pub(super) fn new(status: Status, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), details: Vec::new() }
    }

    /// `INVALID_ARGUMENT`.
    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self::new(Status::InvalidArgument, message)
    }

    /// `INVALID_ARGUMENT` that names the field.
    pub(super) fn field(field: &str, message: impl Into<String>) -> Self {
        let message = message.into();
        let violation = json!({ "field": field, "description": message });
        let detail =
            json!({ "@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": [violation] });
        Self { status: Status::InvalidArgument, message, details: vec![detail] }
    }

    /// `FAILED_PRECONDITION`.
    pub(super) fn precondition(message: impl Into<String>) -> Self {
        Self::new(Status::FailedPrecondition, message)
    }

    /// `NOT_FOUND`, in the words that Google uses where it has no others.
    pub(super) fn not_found() -> Self {
        Self::new(Status::NotFound, "Requested entity was not found.")
    }

    /// `PERMISSION_DENIED` for want of a permission; Google does not say whether the resource exists.
    pub(super) fn denied(permission: &str, resource: &str) -> Self {
        let domain = "iam.googleapis.com";
        let message =
            format!("Permission '{permission}' denied on resource '{resource}' (or it may not exist).");
        Self::new(Status::PermissionDenied, message).because(
            "IAM_PERMISSION_DENIED",
            domain,
            &json!({ "permission": permission, "resource": resource }),
        )
    }

    /// With an `ErrorInfo`: what programs tell errors apart by.
    pub(super) fn because(mut self, reason: &str, domain: &str, metadata: &Json) -> Self {
        self.details.push(json!({
            "@type": "type.googleapis.com/google.rpc.ErrorInfo",
            "reason": reason,
            "domain": domain,
            "metadata": metadata,
        }));
        self
    }

    /// With one more detail.
    pub(super) fn with(mut self, detail: Json) -> Self {
        self.details.push(detail);
        self
    }

    /// As it goes over the wire.
    pub(super) fn into_response(self) -> Response {
        let (code, status) = self.status.wire();
        let mut error = json!({ "code": code.as_u16(), "message": self.message, "status": status });
        if !self.details.is_empty() {
            error["details"] = Json::Array(self.details);
        }
        reply(code, &json!({ "error": error }))
    }
}

/// A JSON answer.
pub(super) fn reply(status: StatusCode, body: &Json) -> Response {
    let mut response = Response::new(serde_json::to_vec_pretty(body).unwrap_or_default().into());
    *response.status_mut() = status;
    let json = http::HeaderValue::from_static("application/json; charset=UTF-8");
    response.headers_mut().insert(http::header::CONTENT_TYPE, json);
    response
}
