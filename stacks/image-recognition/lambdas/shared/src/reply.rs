//! Answers of the HTTP API: JSON, and CORS headers for the pages that may read them.

use aws_lambda_events::apigw::{ApiGatewayV2httpRequest, ApiGatewayV2httpResponse};
use aws_lambda_events::encodings::Body;
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use serde::Serialize;
use serde_json::json;

use crate::settings::Settings;

/// Which pages of other origins may read the answers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cors {
    origins: Vec<String>,
}

/// An answer in the making.
#[derive(Debug, Clone)]
pub struct Answer {
    status: u16,
    headers: Vec<(HeaderName, String)>,
    body: Option<String>,
}

impl Cors {
    /// Reads `CORS_ALLOWED_ORIGINS`: origins between commas, or `*`. Without it only pages of the same origin
    /// read the answers.
    pub fn from_settings(settings: &mut Settings<'_>) -> Self {
        let list = settings.optional("CORS_ALLOWED_ORIGINS").unwrap_or_default();
        let origins: Vec<String> =
            list.split(',').map(|origin| origin.trim().trim_end_matches('/').to_owned()).collect();
        let origins: Vec<String> = origins.into_iter().filter(|origin| !origin.is_empty()).collect();
        for origin in &origins {
            if origin != "*" && !origin.starts_with("https://") && !origin.starts_with("http://") {
                settings.wrong(format!("CORS_ALLOWED_ORIGINS: `{origin}` is no origin"));
            }
        }
        Self { origins }
    }

    fn allowed(&self, origin: Option<&str>) -> Option<String> {
        let origin = origin?;
        let any = self.origins.iter().any(|allowed| allowed == "*");
        if any {
            Some("*".to_owned())
        } else {
            self.origins.iter().any(|allowed| allowed == origin).then(|| origin.to_owned())
        }
    }
}

impl Answer {
    /// A JSON document. No cache keeps it, unless told otherwise.
    pub fn json(status: u16, document: &impl Serialize) -> Self {
        let body = serde_json::to_string(document).unwrap_or_else(|_| "{}".to_owned());
        let headers = vec![
            (header::CONTENT_TYPE, "application/json; charset=utf-8".to_owned()),
            (header::CACHE_CONTROL, "no-store".to_owned()),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned()),
        ];
        Self { status, headers, body: Some(body) }
    }

    /// A refusal: `code` for programs, `message` for the visitor.
    pub fn error(status: u16, code: &str, message: &str) -> Self {
        Self::json(status, &json!({ "error": { "code": code, "message": message } }))
    }

    /// Nothing but headers: the answer to a browser that asks beforehand.
    fn preflight(methods: &str) -> Self {
        let headers = vec![
            (header::ACCESS_CONTROL_ALLOW_METHODS, methods.to_owned()),
            (header::ACCESS_CONTROL_ALLOW_HEADERS, "content-type".to_owned()),
            (header::ACCESS_CONTROL_MAX_AGE, "3600".to_owned()),
        ];
        Self { status: 204, headers, body: None }
    }

    /// Sets a header.
    #[must_use]
    pub fn with(mut self, name: HeaderName, value: impl Into<String>) -> Self {
        self.headers.retain(|(existing, _)| *existing != name);
        self.headers.push((name, value.into()));
        self
    }

    /// The answer as Lambda hands it on, for the page that asked.
    pub fn finish(self, cors: &Cors, request: &ApiGatewayV2httpRequest) -> ApiGatewayV2httpResponse {
        let origin = request.headers.get(header::ORIGIN).and_then(|origin| origin.to_str().ok());
        let mut headers = HeaderMap::new();
        let mut put = |name: HeaderName, value: &str| {
            if let Ok(value) = HeaderValue::from_str(value) {
                headers.insert(name, value);
            }
        };
        for (name, value) in &self.headers {
            put(name.clone(), value);
        }
        if let Some(allowed) = cors.allowed(origin) {
            put(header::ACCESS_CONTROL_ALLOW_ORIGIN, &allowed);
            put(header::ACCESS_CONTROL_EXPOSE_HEADERS, "retry-after");
        }
        put(header::VARY, "origin");
        let mut response = ApiGatewayV2httpResponse::default();
        response.status_code = i64::from(self.status);
        response.headers = headers;
        response.body = self.body.map(Body::Text);
        response
    }
}

/// The answer to a browser that asks beforehand, or to a method that the route does not have.
pub fn method_answer(request: &ApiGatewayV2httpRequest, allowed: &[Method]) -> Option<Answer> {
    let method = &request.request_context.http.method;
    let mut names: Vec<&str> = allowed.iter().map(Method::as_str).collect();
    names.push("OPTIONS");
    let names = names.join(", ");
    if *method == Method::OPTIONS {
        Some(Answer::preflight(&names))
    } else if allowed.contains(method) {
        None
    } else {
        let refusal = Answer::error(405, "method-not-allowed", "This address does not take that method.");
        Some(refusal.with(header::ALLOW, names))
    }
}
