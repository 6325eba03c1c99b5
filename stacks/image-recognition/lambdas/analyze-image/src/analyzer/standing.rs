//! What a document says about a picture that arrives: whether somebody is to look at it still.
//!
//! So many pictures of one name are looked at, and each of them so often: whoever does takes the document first, under the
//! precondition that it is still what was read. However many events come at once, no more is paid for.

use std::time::SystemTime;

use jiff::Timestamp;
use shared::analysis::{Outcome, Record, is_older};
use shared::firestore::{Expected, Stored};

use super::{Arrival, Turn, moment};

/// A form can be used more than once while it holds, and the vision service counts every picture.
const MOST_LOOKS: u32 = 3;
/// As often as Lambda hands one event over.
const MOST_TRIES: u32 = 3;

/// What the document says about an arrival.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// This very object was analysed already, or a newer one; or another invocation is at it; or it was tried too often.
    Settled,
    /// Nobody is at it.
    Open(Open),
}

/// How the document is to be written next.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Open {
    /// If it is still as it was read.
    pub(super) expected: Expected,
    /// So many pictures of this name there were, with this one.
    pub(super) looks: u32,
    /// So often this one was tried, with this time.
    pub(super) tries: u32,
}

impl Open {
    fn new(expected: Expected, looks: u32, tries: u32) -> Self {
        Self { expected, looks, tries }
    }

    /// Over a claim of the same picture.
    pub(super) fn again(stored: Option<&Stored>, arrival: &Arrival) -> Option<Self> {
        let stored = stored?;
        let record = record(stored)?;
        let same = record.etag == arrival.etag && matches!(record.outcome, Outcome::Looking { .. });
        let expected = Expected::Since(stored.updated_at.clone());
        same.then(|| Self::new(expected, record.looks, record.tries))
    }
}

/// What is to be done about an arrival.
pub(super) fn judge(stored: Option<Stored>, arrival: &Arrival, turn: Turn<'_>, now: SystemTime) -> Standing {
    let id = arrival.id;
    let Some(stored) = stored else { return Standing::Open(Open::new(Expected::Nothing, 1, 1)) };
    let record = record(&stored);
    let expected = Expected::Since(stored.updated_at);
    // A document in no form of ours is overwritten: its id is the picture's.
    let Some(record) = record else { return Standing::Open(Open::new(expected, 1, 1)) };
    if record.etag == arrival.etag {
        if !is_open(&record.outcome, turn, now) {
            tracing::info!(%id, "the picture was analysed already, or is just now");
            return Standing::Settled;
        }
        if record.tries >= MOST_TRIES {
            tracing::warn!(%id, tries = record.tries, "the picture was tried often enough");
            return Standing::Settled;
        }
        return Standing::Open(Open::new(expected, record.looks, record.tries + 1));
    }
    if is_older(&arrival.sequencer, &record.sequencer) {
        tracing::info!(%id, "a newer picture of this name was analysed already");
        return Standing::Settled;
    }
    if record.looks >= MOST_LOOKS {
        tracing::warn!(%id, looks = record.looks, "too many pictures of this name were analysed already");
        return Standing::Settled;
    }
    Standing::Open(Open::new(expected, record.looks + 1, 1))
}

/// Whether a picture is to be tried again. A claim of our own is of an earlier try: Lambda repeats what has ended. One of
/// another invocation stands until that has certainly ended; if it died, Lambda repeats it, not us.
fn is_open(outcome: &Outcome, turn: Turn<'_>, now: SystemTime) -> bool {
    match outcome {
        Outcome::Looking { by, lapses_at } => {
            by == turn.request_id || lapses_at.parse::<Timestamp>().is_ok_and(|end| end <= moment(now))
        }
        Outcome::Done { .. } | Outcome::Failed { .. } => outcome.may_pass(),
    }
}

/// Whether a document is the claim that this invocation has just sent.
pub(super) fn is_claim_of(stored: Option<&Stored>, arrival: &Arrival, turn: Turn<'_>, tries: u32) -> bool {
    stored.and_then(record).is_some_and(|record| {
        let ours = matches!(&record.outcome, Outcome::Looking { by, .. } if by == turn.request_id);
        ours && record.etag == arrival.etag && record.tries == tries
    })
}

fn record(stored: &Stored) -> Option<Record> {
    serde_json::from_value(stored.fields.clone()).ok()
}
