//! From the event to the document.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_lambda_events::s3::{S3Event, S3EventRecord};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use shared::analysis::{Outcome, Reason, Record, is_older};
use shared::aws::{Aws, Object};
use shared::call::{CallError, Caller, Patience, causes};
use shared::firestore::{Collection, DocumentError, Expected, Written};
use shared::google::Tokens;
use shared::picture::{MAX_BYTES, PictureId};
use shared::settings::Settings;
use shared::start::StartError;
use thiserror::Error;
use tokio::time::Instant;

use crate::inspect::{inspect, too_large};
use crate::vision::Vision;

/// So many pictures of one name are looked at. A form can be used more than once while it holds, and the vision service
/// counts every picture.
const MOST_LOOKS: u32 = 3;
/// Kept back from the time that the vision service may take, so that it can be written down that it gave nothing.
const TO_WRITE: Duration = Duration::from_secs(5);
/// So often a document is read anew when another invocation changed it first.
const MOST_ROUNDS: u32 = 4;

/// Why a picture could not be analysed now. Lambda tries again.
#[derive(Debug, Error)]
pub enum AnalyzeError {
    /// The event is none of S3's.
    #[error("the event is not one of S3's: {0}")]
    Event(String),
    /// The picture could not be read.
    #[error("the picture {id} could not be read: {source}")]
    Picture {
        /// Which one.
        id: PictureId,
        /// Why not.
        source: CallError,
    },
    /// The vision service gave nothing.
    #[error("the picture {id} could not be analysed: {source}")]
    Vision {
        /// Which one.
        id: PictureId,
        /// Why not.
        source: CallError,
    },
    /// The document could not be read or written.
    #[error("the analysis of {id} could not be kept: {}", causes(.source))]
    Document {
        /// Which one.
        id: PictureId,
        /// Why not.
        source: DocumentError,
    },
    /// Others changed the document each time before we could.
    #[error("the analysis of {0} was changed by others, again and again")]
    Contended(PictureId),
}

impl From<AnalyzeError> for lambda_runtime::Diagnostic {
    fn from(error: AnalyzeError) -> Self {
        let kind = match &error {
            AnalyzeError::Event(_) => "Event",
            AnalyzeError::Picture { .. } => "Picture",
            AnalyzeError::Vision { .. } => "Vision",
            AnalyzeError::Document { .. } => "Document",
            AnalyzeError::Contended(_) => "Contended",
        };
        Self { error_type: kind.to_owned(), error_message: error.to_string() }
    }
}

/// The function.
pub struct Analyzer {
    aws: Aws,
    caller: Caller,
    vision: Vision,
    documents: Collection,
    /// Keys of pictures begin with this.
    prefix: String,
    /// The only bucket that is read, if one is named.
    bucket: Option<String>,
    /// How long an analysis is kept.
    days: u32,
}

/// One picture that S3 tells of.
struct Arrival {
    id: PictureId,
    bucket: String,
    key: String,
    etag: String,
    sequencer: String,
}

/// What the document says about an arrival.
enum Standing {
    /// This very object was analysed already, or a newer one; or too many were.
    Settled,
    /// It is to be written, if the document is still as it was read; so many were looked at before.
    Open(Expected, u32),
}

impl Analyzer {
    /// Sets the function up from its variables.
    pub fn from_variables(
        variable: &dyn Fn(&str) -> Option<String>,
        patience: Patience,
    ) -> Result<Self, StartError> {
        let caller = Caller::new(patience)?;
        let mut settings = Settings::new(variable);
        let aws = Aws::from_settings(&mut settings);
        let tokens = Tokens::from_settings(&mut settings, aws.clone(), caller.clone());
        let analyzer = Self {
            vision: Vision::from_settings(&mut settings, aws.clone(), caller.clone()),
            documents: Collection::from_settings(&mut settings, Arc::new(tokens), caller.clone()),
            prefix: settings.optional("UPLOAD_PREFIX").unwrap_or_else(|| "uploads/".to_owned()),
            bucket: settings.optional("UPLOAD_BUCKET"),
            days: settings.parsed("ANALYSIS_DAYS", 30, |days| (1..=3650).contains(days)),
            aws,
            caller,
        };
        Ok(settings.finish(analyzer)?)
    }

    /// Handles one event, with all pictures that it tells of.
    pub async fn handle(&self, event: Value, deadline: Instant) -> Result<(), AnalyzeError> {
        // S3 tries a new notification out with an event that tells of nothing.
        if event.get("Event").and_then(Value::as_str) == Some("s3:TestEvent") {
            return Ok(());
        }
        let event: S3Event =
            serde_json::from_value(event).map_err(|why| AnalyzeError::Event(why.to_string()))?;
        for record in &event.records {
            if let Some(arrival) = self.arrival(record) {
                self.analyze(&arrival, deadline).await?;
            }
        }
        Ok(())
    }

    /// The picture behind a record; nothing for an object that no visitor can have uploaded.
    fn arrival(&self, record: &S3EventRecord) -> Option<Arrival> {
        let created = record.event_name.as_deref().is_some_and(|name| name.starts_with("ObjectCreated:"));
        let (bucket, object) = (record.s3.bucket.name.clone()?, &record.s3.object);
        // Keys are encoded as in a form: a space is a plus.
        let key =
            form_urlencoded::parse(format!("key={}", object.key.as_deref()?.replace('&', "%26")).as_bytes())
                .next()
                .map(|(_, key)| key.into_owned())?;
        let ours = self.bucket.as_ref().is_none_or(|ours| *ours == bucket);
        let id = PictureId::of_key(&key, &self.prefix).filter(|_| created && ours);
        let Some(id) = id else {
            tracing::warn!(
                bucket,
                key,
                event_name = record.event_name,
                "this is no visitor's picture: ignored"
            );
            return None;
        };
        let etag = object.e_tag.as_deref().unwrap_or_default().trim_matches('"').to_owned();
        let sequencer = object.sequencer.clone().unwrap_or_default();
        Some(Arrival { id, bucket, key, etag, sequencer })
    }

    async fn analyze(&self, arrival: &Arrival, deadline: Instant) -> Result<(), AnalyzeError> {
        // Asked before the vision service is, which counts every picture.
        let Standing::Open(expected, looks) = self.standing(arrival, deadline).await? else { return Ok(()) };
        match self.outcome(arrival, deadline).await {
            Ok(Some(outcome)) => self.keep(arrival, outcome, (expected, looks), deadline).await,
            Ok(None) => Ok(()),
            Err(error @ AnalyzeError::Vision { .. }) => {
                // Lambda tries twice more. If that is in vain too, this is what the visitor is told.
                let outcome = Outcome::Failed { reason: Reason::unavailable() };
                if let Err(why) = self.keep(arrival, outcome, (expected, looks), deadline).await {
                    tracing::error!(id = %arrival.id, error = %why, "that it failed could not be written down");
                }
                Err(error)
            }
            Err(error) => Err(error),
        }
    }

    /// Writes the document.
    async fn keep(
        &self,
        arrival: &Arrival,
        outcome: Outcome,
        (mut expected, mut looks): (Expected, u32),
        deadline: Instant,
    ) -> Result<(), AnalyzeError> {
        let id = arrival.id;
        for _ in 0..MOST_ROUNDS {
            let record = self.record(arrival, outcome.clone(), looks + 1, SystemTime::now());
            let fields = serde_json::to_value(record).map_err(|why| AnalyzeError::Event(why.to_string()))?;
            let written = self.documents.write(&id.to_string(), &fields, &expected, deadline).await;
            match written.map_err(|source| AnalyzeError::Document { id, source })? {
                Written::Yes => {
                    tracing::info!(%id, status = %fields["status"], "the analysis is written");
                    return Ok(());
                }
                // Either another invocation was faster, or our own write was applied and its answer lost.
                Written::Conflict => match self.standing(arrival, deadline).await? {
                    Standing::Settled => return Ok(()),
                    Standing::Open(now, before) => (expected, looks) = (now, before),
                },
            }
        }
        Err(AnalyzeError::Contended(id))
    }

    async fn standing(&self, arrival: &Arrival, deadline: Instant) -> Result<Standing, AnalyzeError> {
        let id = arrival.id;
        let stored = self.documents.read(&id.to_string(), deadline).await;
        let stored = stored.map_err(|source| AnalyzeError::Document { id, source })?;
        let Some(stored) = stored else { return Ok(Standing::Open(Expected::Nothing, 0)) };
        let expected = Expected::Since(stored.updated_at);
        // A document in no form of ours is overwritten: its id is the picture's.
        let Ok(record) = serde_json::from_value::<Record>(stored.fields) else {
            return Ok(Standing::Open(expected, 0));
        };
        if record.etag == arrival.etag && record.outcome.may_pass() {
            return Ok(Standing::Open(expected, record.looks.saturating_sub(1)));
        }
        if record.etag == arrival.etag {
            tracing::info!(%id, "the picture was analysed already");
            return Ok(Standing::Settled);
        }
        if is_older(&arrival.sequencer, &record.sequencer) {
            tracing::info!(%id, "a newer picture of this name was analysed already");
            return Ok(Standing::Settled);
        }
        if record.looks >= MOST_LOOKS {
            tracing::warn!(%id, looks = record.looks, "too many pictures of this name were analysed already");
            return Ok(Standing::Settled);
        }
        Ok(Standing::Open(expected, record.looks))
    }

    /// What is in the picture, or why that cannot be told; nothing if the picture is gone.
    async fn outcome(&self, arrival: &Arrival, deadline: Instant) -> Result<Option<Outcome>, AnalyzeError> {
        let id = arrival.id;
        let place = (arrival.bucket.as_str(), arrival.key.as_str());
        let etag = Some(arrival.etag.as_str()).filter(|etag| !etag.is_empty());
        let object = self.aws.object(&self.caller, deadline, place, etag, MAX_BYTES).await;
        let failed = |reason: Reason| {
            tracing::info!(%id, code = reason.code, "the picture cannot be analysed");
            Ok(Some(Outcome::Failed { reason }))
        };
        let bytes = match object.map_err(|source| AnalyzeError::Picture { id, source })? {
            Object::Found(bytes) => bytes,
            Object::TooLarge => return failed(too_large()),
            Object::Gone => {
                tracing::info!(%id, "the picture is gone, or was replaced");
                return Ok(None);
            }
        };
        if let Err(reason) = inspect(&bytes) {
            return failed(reason);
        }
        let until = deadline.checked_sub(TO_WRITE).unwrap_or(deadline);
        let seen = self.vision.look(&bytes, until).await;
        match seen.map_err(|source| AnalyzeError::Vision { id, source })? {
            Ok(analysis) => Ok(Some(Outcome::Done { analysis })),
            Err(reason) => failed(reason),
        }
    }

    fn record(&self, arrival: &Arrival, outcome: Outcome, looks: u32, now: SystemTime) -> Record {
        let now = Timestamp::try_from(now).unwrap_or(Timestamp::UNIX_EPOCH);
        let kept = SignedDuration::from_hours(24 * i64::from(self.days));
        Record {
            etag: arrival.etag.clone(),
            sequencer: arrival.sequencer.clone(),
            looks,
            analyzed_at: now.to_string(),
            expire_at: now.checked_add(kept).unwrap_or(now).to_string(),
            outcome,
        }
    }
}
