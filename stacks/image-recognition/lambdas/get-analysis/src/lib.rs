//! # get-analysis
//!
//! Answers `GET …/analysis/{id}` with what is known of a picture:
//!
//! | status | body | meaning |
//! |---|---|---|
//! | 200 | `{"id","status":"done","analyzedAt","analysis":{…}}` | what is in it |
//! | 404 | `{"id","status":"pending"}` | nothing yet, or somebody is at it, or it is tried again: ask again |
//! | 410 | `{"error":{…}}` | it was kept as long as pictures are |
//! | 422 | `{"id","status":"failed","reason":{"code","message"}}` | it cannot be analysed; what to do |
//! | 400, 405, 503 | `{"error":{"code","message"}}` | the request, or a cloud, is at fault |
//!
//! Who knows a picture's name may read this. Names are random, and listed nowhere.

use std::sync::Arc;
use std::time::SystemTime;

use aws_lambda_events::apigw::{ApiGatewayV2httpRequest, ApiGatewayV2httpResponse};
use http::{Method, header};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use shared::analysis::{Outcome, Reason, Record};
use shared::aws::Aws;
use shared::call::{Caller, Patience, causes};
use shared::firestore::Collection;
use shared::google::Tokens;
use shared::picture::PictureId;
use shared::reply::{Answer, Cors, method_answer};
use shared::settings::Settings;
use shared::start::StartError;
use tokio::time::Instant;

/// From the last failure on, Lambda may be at it again for so long: it waits up to two minutes, and then a picture takes one.
const RETRIES: SignedDuration = SignedDuration::from_mins(4);

/// The function.
pub struct Reader {
    documents: Collection,
    cors: Cors,
}

impl Reader {
    /// Sets the function up from its variables.
    pub fn from_variables(
        variable: &dyn Fn(&str) -> Option<String>,
        patience: Patience,
    ) -> Result<Self, StartError> {
        let caller = Caller::new(patience)?;
        let mut settings = Settings::new(variable);
        let aws = Aws::from_settings(&mut settings);
        let tokens = Tokens::from_settings(&mut settings, aws, caller.clone());
        let reader = Self {
            documents: Collection::from_settings(&mut settings, Arc::new(tokens), caller),
            cors: Cors::from_settings(&mut settings),
        };
        Ok(settings.finish(reader)?)
    }

    /// Answers one request; never with an error of the function, whose answer no page could read.
    pub async fn handle(
        &self,
        request: &ApiGatewayV2httpRequest,
        deadline: Instant,
        now: SystemTime,
    ) -> ApiGatewayV2httpResponse {
        let answer = match method_answer(request, &[Method::GET]) {
            Some(answer) => answer,
            None => self.read(request, deadline, now).await,
        };
        answer.finish(&self.cors, request)
    }

    async fn read(&self, request: &ApiGatewayV2httpRequest, deadline: Instant, now: SystemTime) -> Answer {
        let Some(id) = request.path_parameters.get("id").and_then(|id| PictureId::parse(id)) else {
            return Answer::error(400, "no-picture-name", "The address does not name a picture.");
        };
        let stored = match self.documents.read(&id.to_string(), deadline).await {
            Ok(stored) => stored,
            Err(error) => {
                tracing::error!(%id, error = %causes(&error), "the document could not be read");
                let message = "The analysis cannot be read just now. Try again in a moment.";
                return Answer::error(503, "unavailable", message).with(header::RETRY_AFTER, "3");
            }
        };
        let Some(stored) = stored else { return pending(id) };
        match serde_json::from_value::<Record>(stored.fields) {
            Ok(record) if is_over(&record, now) => {
                let message = "This analysis was kept as long as pictures are. Upload the picture again.";
                Answer::error(410, "expired", message)
            }
            Ok(record) if is_under_way(&record, now) => pending(id),
            Ok(record) => found(id, record),
            Err(error) => {
                tracing::error!(%id, line = error.line(), "the document is none of analyze-image's");
                Answer::error(503, "unavailable", "The analysis cannot be read. Upload the picture again.")
            }
        }
    }
}

/// From its end on a document is not answered with. A TTL policy, where there is one, deletes it some time after.
fn is_over(record: &Record, now: SystemTime) -> bool {
    let now = Timestamp::try_from(now).unwrap_or(Timestamp::UNIX_EPOCH);
    record.expire_at.parse::<Timestamp>().is_ok_and(|end| end <= now)
}

/// A picture that is looked at now; or that the vision service gave nothing for, or whoever looked at it died over, and
/// that Lambda tries again, after a minute and after two more.
fn is_under_way(record: &Record, now: SystemTime) -> bool {
    let now = Timestamp::try_from(now).unwrap_or(Timestamp::UNIX_EPOCH);
    let over = match &record.outcome {
        Outcome::Looking { lapses_at, .. } => lapses_at,
        Outcome::Failed { .. } if record.outcome.may_pass() => &record.analyzed_at,
        Outcome::Failed { .. } | Outcome::Done { .. } => return false,
    };
    over.parse::<Timestamp>().is_ok_and(|over| now.duration_since(over) < RETRIES)
}

fn pending(id: PictureId) -> Answer {
    let pending = json!({ "id": id.to_string(), "status": "pending" });
    Answer::json(404, &pending).with(header::RETRY_AFTER, "1")
}

fn found(id: PictureId, record: Record) -> Answer {
    let id = id.to_string();
    let (status, document) = match record.outcome {
        Outcome::Done { analysis } => {
            let at = record.analyzed_at;
            (200, json!({ "id": id, "status": "done", "analyzedAt": at, "analysis": analysis }))
        }
        Outcome::Failed { reason } => (422, failed(&id, &reason)),
        // Every try died over it.
        Outcome::Looking { .. } => (422, failed(&id, &Reason::unavailable())),
    };
    Answer::json(status, &document).with(header::CACHE_CONTROL, "private, max-age=60")
}

fn failed(id: &str, reason: &Reason) -> Value {
    json!({ "id": id, "status": "failed", "reason": reason })
}
