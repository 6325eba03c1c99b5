//! From the event to the document.

mod probe;
mod standing;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_lambda_events::s3::{S3Event, S3EventRecord};
use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use shared::analysis::{Outcome, Reason, Record};
use shared::aws::{Aws, Object};
use shared::call::{CallError, Caller, Patience, causes};
use shared::firestore::{Collection, DocumentError, Expected, Stored, Written};
use shared::google::Tokens;
use shared::picture::{MAX_BYTES, PictureId};
use shared::settings::Settings;
use shared::start::StartError;
use thiserror::Error;
use tokio::time::Instant;

use crate::inspect::{inspect, too_large};
use crate::vision::{Vision, is_shut};
use standing::{Open, Standing, is_claim_of, judge};

/// Kept back from the time that the vision service may take, so that it can be written down that it gave nothing.
const TO_WRITE: Duration = Duration::from_secs(5);
/// An invocation has certainly ended so long after the deadline that it keeps: a part of its time is kept back, and clocks
/// differ.
const TO_END: Duration = Duration::from_secs(10);
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
    /// What the function needs cannot be used.
    #[error("not ready: {}", .0.join("; "))]
    Probe(Vec<String>),
}

impl From<AnalyzeError> for lambda_runtime::Diagnostic {
    fn from(error: AnalyzeError) -> Self {
        let kind = match &error {
            AnalyzeError::Event(_) => "Event",
            AnalyzeError::Picture { .. } => "Picture",
            AnalyzeError::Vision { .. } => "Vision",
            AnalyzeError::Document { .. } => "Document",
            AnalyzeError::Contended(_) => "Contended",
            AnalyzeError::Probe(_) => "Probe",
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

/// One invocation.
#[derive(Debug, Clone, Copy)]
pub struct Turn<'a> {
    /// Its request id. Lambda's repeats of an event that failed have the same.
    pub request_id: &'a str,
    /// Until when it may work.
    pub deadline: Instant,
}

/// A picture, as far as it can be judged without the vision service.
enum Picture {
    /// It can be looked at.
    Sound(Bytes),
    /// It cannot, and why.
    Faulty(Reason),
    /// It is gone, or was replaced.
    Gone,
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

    /// Handles one event, with all pictures that it tells of. An event `{"probe": true}` asks instead whether all that
    /// this takes can be used; the answer is `{"ok": true}`, or an error.
    pub async fn handle(&self, event: Value, turn: Turn<'_>) -> Result<Value, AnalyzeError> {
        // S3 tries a new notification out with an event that tells of nothing.
        if event.get("Event").and_then(Value::as_str) == Some("s3:TestEvent") {
            return Ok(Value::Null);
        }
        if event.get("probe") == Some(&Value::Bool(true)) {
            return self.probe(turn.deadline).await;
        }
        let event: S3Event =
            serde_json::from_value(event).map_err(|why| AnalyzeError::Event(why.to_string()))?;
        for record in &event.records {
            if let Some(arrival) = self.arrival(record) {
                self.analyze(&arrival, turn).await?;
            }
        }
        Ok(Value::Null)
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

    async fn analyze(&self, arrival: &Arrival, turn: Turn<'_>) -> Result<(), AnalyzeError> {
        // Asked before the picture is read: most events that come twice end here.
        let stored = self.stored(arrival.id, turn).await?;
        let Standing::Open(open) = judge(stored, arrival, turn, SystemTime::now()) else { return Ok(()) };
        match self.picture(arrival, turn).await? {
            Picture::Sound(bytes) => self.look(arrival, &bytes, open, turn).await,
            Picture::Faulty(reason) => {
                tracing::info!(id = %arrival.id, code = reason.code, "the picture cannot be analysed");
                self.keep(arrival, Outcome::Failed { reason }, open, turn).await
            }
            Picture::Gone => {
                tracing::info!(id = %arrival.id, "the picture is gone, or was replaced");
                Ok(())
            }
        }
    }

    async fn picture(&self, arrival: &Arrival, turn: Turn<'_>) -> Result<Picture, AnalyzeError> {
        let id = arrival.id;
        let place = (arrival.bucket.as_str(), arrival.key.as_str());
        let etag = Some(arrival.etag.as_str()).filter(|etag| !etag.is_empty());
        let object = self.aws.object(&self.caller, turn.deadline, place, etag, MAX_BYTES).await;
        Ok(match object.map_err(|source| AnalyzeError::Picture { id, source })? {
            Object::Found(bytes) => inspect(&bytes).err().map_or(Picture::Sound(bytes), Picture::Faulty),
            Object::TooLarge => Picture::Faulty(too_large()),
            Object::Gone => Picture::Gone,
        })
    }

    /// Has the vision service look at a picture, and writes what it says. Nobody else asks it meanwhile: it counts every
    /// picture, and a form can be used any number of times at once.
    async fn look(
        &self,
        arrival: &Arrival,
        bytes: &Bytes,
        open: Open,
        turn: Turn<'_>,
    ) -> Result<(), AnalyzeError> {
        let id = arrival.id;
        let Some(claimed) = self.claim(arrival, open, turn).await? else { return Ok(()) };
        let until = turn.deadline.checked_sub(TO_WRITE).unwrap_or(turn.deadline);
        let (outcome, error) = match self.vision.look(bytes, until).await {
            Ok(Ok(analysis)) => (Outcome::Done { analysis }, None),
            Ok(Err(reason)) => {
                tracing::info!(%id, code = reason.code, "the picture cannot be analysed");
                (Outcome::Failed { reason }, None)
            }
            // Lambda's repeats would meet the same, and each of them is counted.
            Err(error) if is_shut(&error) => {
                tracing::error!(%id, error = %error, "the vision service does not let us in: see to its key and its quota");
                (Outcome::Failed { reason: Reason::out_of_service() }, None)
            }
            // Lambda tries twice more. If that is in vain too, this is what the visitor is told.
            Err(source) => {
                let outcome = Outcome::Failed { reason: Reason::unavailable() };
                (outcome, Some(AnalyzeError::Vision { id, source }))
            }
        };
        let kept = self.keep(arrival, outcome, claimed, turn).await;
        match (error, kept) {
            (None, kept) => kept,
            (Some(error), Ok(())) => Err(error),
            (Some(error), Err(why)) => {
                tracing::error!(%id, error = %why, "that it failed could not be written down");
                Err(error)
            }
        }
    }

    /// Writes down that this invocation looks at the picture; nothing if another one does, or did.
    async fn claim(
        &self,
        arrival: &Arrival,
        mut open: Open,
        turn: Turn<'_>,
    ) -> Result<Option<Open>, AnalyzeError> {
        let left = turn.deadline.saturating_duration_since(Instant::now());
        for _ in 0..MOST_ROUNDS {
            let lapses_at = moment(SystemTime::now() + left + TO_END).to_string();
            let outcome = Outcome::Looking { by: turn.request_id.to_owned(), lapses_at };
            let expected = match self.write(arrival, outcome, &open, turn).await? {
                Written::Yes(since) => Expected::Since(since),
                // Either another invocation was faster, or our own claim was written and the answer lost.
                Written::Conflict => {
                    let stored = self.stored(arrival.id, turn).await?;
                    if !is_claim_of(stored.as_ref(), arrival, turn, open.tries) {
                        match judge(stored, arrival, turn, SystemTime::now()) {
                            Standing::Settled => return Ok(None),
                            Standing::Open(now) => open = now,
                        }
                        continue;
                    }
                    stored.map_or(Expected::Nothing, |stored| Expected::Since(stored.updated_at))
                }
            };
            return Ok(Some(Open { expected, ..open }));
        }
        Err(AnalyzeError::Contended(arrival.id))
    }

    /// Writes how it ended.
    async fn keep(
        &self,
        arrival: &Arrival,
        outcome: Outcome,
        mut open: Open,
        turn: Turn<'_>,
    ) -> Result<(), AnalyzeError> {
        let id = arrival.id;
        for _ in 0..MOST_ROUNDS {
            if let Written::Yes(_) = self.write(arrival, outcome.clone(), &open, turn).await? {
                tracing::info!(%id, done = matches!(outcome, Outcome::Done { .. }), "the analysis is written");
                return Ok(());
            }
            // Either another invocation was faster, or our own write was applied and its answer lost.
            let stored = self.stored(id, turn).await?;
            open = match Open::again(stored.as_ref(), arrival).filter(|_| !outcome.may_pass()) {
                // Our claim was taken over: what is known now, nobody has to ask for again.
                Some(again) => again,
                None => match judge(stored, arrival, turn, SystemTime::now()) {
                    Standing::Settled => return Ok(()),
                    Standing::Open(now) => now,
                },
            };
        }
        Err(AnalyzeError::Contended(id))
    }

    async fn stored(&self, id: PictureId, turn: Turn<'_>) -> Result<Option<Stored>, AnalyzeError> {
        let stored = self.documents.read(&id.to_string(), turn.deadline).await;
        stored.map_err(|source| AnalyzeError::Document { id, source })
    }

    async fn write(
        &self,
        arrival: &Arrival,
        outcome: Outcome,
        open: &Open,
        turn: Turn<'_>,
    ) -> Result<Written, AnalyzeError> {
        let id = arrival.id;
        let now = moment(SystemTime::now());
        let kept = SignedDuration::from_hours(24 * i64::from(self.days));
        let record = Record {
            etag: arrival.etag.clone(),
            sequencer: arrival.sequencer.clone(),
            looks: open.looks,
            tries: open.tries,
            analyzed_at: now.to_string(),
            expire_at: now.checked_add(kept).unwrap_or(now).to_string(),
            outcome,
        };
        let fields = serde_json::to_value(record).map_err(|why| AnalyzeError::Event(why.to_string()))?;
        let written = self.documents.write(&id.to_string(), &fields, &open.expected, turn.deadline).await;
        written.map_err(|source| AnalyzeError::Document { id, source })
    }
}

fn moment(time: SystemTime) -> Timestamp {
    Timestamp::try_from(time).unwrap_or(Timestamp::UNIX_EPOCH)
}
