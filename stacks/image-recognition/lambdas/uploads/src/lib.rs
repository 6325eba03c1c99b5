//! # uploads
//!
//! Lets a visitor store one picture: `POST …/uploads` with `{"contentType":"image/jpeg","bytes":12345}` (or `GET`
//! with the same in the query) answers 201 with the picture's new name and a form that the browser posts the file
//! with, straight to the bucket. S3 checks the form: one key, one content type, so many bytes, for minutes.
//! No key of AWS is in the page, and nobody can write to the bucket without such a form.

use std::time::{Duration, SystemTime};

use aws_lambda_events::apigw::{ApiGatewayV2httpRequest, ApiGatewayV2httpResponse};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use serde::{Deserialize, Serialize};
use shared::aws::Aws;
use shared::picture::{CONTENT_TYPES, MAX_BYTES, PictureId};
use shared::post::{Form, Permission, form};
use shared::reply::{Answer, Cors, method_answer};
use shared::settings::Settings;
use shared::start::StartError;

/// A request says little.
const MOST_BODY_BYTES: usize = 4096;

/// The function.
pub struct Uploads {
    aws: Aws,
    bucket: String,
    prefix: String,
    lifetime: Duration,
    max_bytes: u64,
    cors: Cors,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
struct Wish {
    content_type: Option<String>,
    bytes: Option<u64>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Ticket {
    id: String,
    max_bytes: u64,
    #[serde(flatten)]
    form: Form,
}

impl Uploads {
    /// Sets the function up from its variables.
    pub fn from_variables(variable: &dyn Fn(&str) -> Option<String>) -> Result<Self, StartError> {
        let mut settings = Settings::new(variable);
        let uploads = Self {
            aws: Aws::from_settings(&mut settings),
            bucket: settings.required("UPLOAD_BUCKET"),
            prefix: settings.optional("UPLOAD_PREFIX").unwrap_or_else(|| "uploads/".to_owned()),
            lifetime: Duration::from_secs(settings.parsed("UPLOAD_SECONDS", 300, |s| (30..=900).contains(s))),
            max_bytes: settings
                .parsed("UPLOAD_MAX_BYTES", MAX_BYTES, |bytes| (1..=MAX_BYTES).contains(bytes)),
            cors: Cors::from_settings(&mut settings),
        };
        Ok(settings.finish(uploads)?)
    }

    /// Answers one request.
    pub fn handle(&self, request: &ApiGatewayV2httpRequest, now: SystemTime) -> ApiGatewayV2httpResponse {
        let refused = method_answer(request, &[Method::POST, Method::GET]);
        let answer = refused.unwrap_or_else(|| self.ticket(request, now));
        answer.finish(&self.cors, request)
    }

    fn ticket(&self, request: &ApiGatewayV2httpRequest, now: SystemTime) -> Answer {
        let Some(wish) = wish(request) else {
            let message = "The request must say the picture's content type and its size in bytes.";
            return Answer::error(400, "malformed", message);
        };
        let asked = wish.content_type.unwrap_or_default().trim().to_ascii_lowercase();
        let Some(content_type) = CONTENT_TYPES.iter().find(|known| **known == asked) else {
            let message =
                "Only JPEG, PNG, GIF and BMP pictures can be analysed. Save the picture as one of these.";
            return Answer::error(415, "unsupported-format", message);
        };
        match wish.bytes {
            Some(0) => return Answer::error(400, "empty", "The file is empty. Choose another picture."),
            Some(bytes) if bytes > self.max_bytes => {
                let message =
                    format!("The picture is larger than {} bytes. Make it smaller.", self.max_bytes);
                return Answer::error(413, "too-large", &message);
            }
            _ => {}
        }
        let id = PictureId::fresh();
        let key = format!("{}{id}", self.prefix);
        let permission = Permission {
            bucket: &self.bucket,
            key: &key,
            content_type,
            max_bytes: self.max_bytes,
            lifetime: self.lifetime,
        };
        tracing::info!(%id, content_type, bytes = wish.bytes, "a picture may be uploaded");
        let form = form(&self.aws, &permission, now);
        Answer::json(201, &Ticket { id: id.to_string(), max_bytes: self.max_bytes, form })
    }
}

/// What a request asks for: in its body, or in its query.
fn wish(request: &ApiGatewayV2httpRequest) -> Option<Wish> {
    if request.request_context.http.method == Method::GET {
        let first = |name: &str| request.query_string_parameters.first(name).map(str::to_owned);
        let bytes = first("bytes").map(|text| text.parse::<u64>()).transpose().ok()?;
        return Some(Wish { content_type: first("contentType"), bytes });
    }
    let body = request.body.as_deref().unwrap_or_default();
    if body.len() > MOST_BODY_BYTES {
        return None;
    }
    let body = if request.is_base64_encoded { STANDARD.decode(body).ok()? } else { body.as_bytes().to_vec() };
    serde_json::from_slice(&body).ok()
}
