//! API Gateway: HTTP APIs.

pub(super) mod api;
