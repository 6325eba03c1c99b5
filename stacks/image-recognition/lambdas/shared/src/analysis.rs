//! What one function writes about a picture, and another reads.

use serde::{Deserialize, Serialize};

/// A text with how sure the service is of it, from 0 to 1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Caption {
    /// "a cat on a sofa".
    pub text: String,
    /// 0 to 1.
    pub confidence: f64,
}

/// A word with how sure the service is of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Tag {
    /// "cat".
    pub name: String,
    /// 0 to 1.
    pub confidence: f64,
}

/// The picture's colours, by the service's names: "Black", "Teal".
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Colors {
    /// The most frequent ones.
    pub dominant: Vec<String>,
    /// In the foreground.
    pub foreground: String,
    /// In the background.
    pub background: String,
    /// The one that stands out, in hexadecimal: "C6A205".
    pub accent: String,
    /// Whether there are none.
    pub black_and_white: bool,
}

/// The picture itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Image {
    /// In pixels.
    pub width: u64,
    /// In pixels.
    pub height: u64,
    /// "Jpeg".
    pub format: String,
    /// In bytes.
    pub bytes: u64,
}

/// What is in a picture.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Seen {
    /// One sentence, if the service has one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub caption: Option<Caption>,
    /// The surest first.
    pub tags: Vec<Tag>,
    /// Its colours.
    pub colors: Colors,
    /// Its size and format.
    pub image: Image,
    /// Which model of the service looked.
    pub model: String,
}

/// Why a picture was not analysed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// For programs: `too-large`, `empty`, `no-picture`, `unsupported-format`, `too-small`, `too-wide`, `unreadable`;
    /// `unavailable` and `out-of-service` are not the picture's fault.
    pub code: String,
    /// For the visitor: what is wrong, and what to do.
    pub message: String,
}

/// The service that looks at pictures gave nothing, for now.
const UNAVAILABLE: &str = "unavailable";

impl Reason {
    /// The vision service gave nothing.
    pub fn unavailable() -> Self {
        let message = "The service that looks at pictures has too much to do, or is out of order. Upload the picture again, \
                       in a few minutes.";
        Self { code: UNAVAILABLE.to_owned(), message: message.to_owned() }
    }

    /// The vision service does not let us in: our key is wrong, or the month's quota is used up. Another upload helps
    /// nobody until somebody has seen to it.
    pub fn out_of_service() -> Self {
        let message = "Pictures cannot be analysed at present: the service that looks at them takes none from this site, \
                       whose access to it has ended or is used up for this month. It is not your picture's fault, and \
                       uploading it again does not help until the site's owner has mended this.";
        Self { code: "out-of-service".to_owned(), message: message.to_owned() }
    }
}

/// How it ended, or who is at it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "lowercase")]
pub enum Outcome {
    /// An invocation has claimed it, and asks the vision service now: nobody else does.
    #[serde(rename_all = "camelCase")]
    Looking {
        /// The invocation's request id. Lambda's repeats of it have the same.
        by: String,
        /// When that invocation has certainly ended, in RFC 3339: from then on the claim is anybody's.
        lapses_at: String,
    },
    /// It was seen.
    Done {
        /// What is in it.
        analysis: Seen,
    },
    /// It cannot be.
    Failed {
        /// Why.
        reason: Reason,
    },
}

impl Outcome {
    /// Whether another try may end otherwise.
    pub fn may_pass(&self) -> bool {
        matches!(self, Self::Failed { reason } if reason.code == UNAVAILABLE)
    }
}

/// The document.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    /// The object's etag: a repeated event bears the same.
    pub etag: String,
    /// S3's sequencer: of two events for one key, the later one bears the greater.
    pub sequencer: String,
    /// How many pictures of this name were claimed to be looked at: other ones may be uploaded with the same form.
    #[serde(default)]
    pub looks: u32,
    /// How often this one was claimed: Lambda tries again.
    #[serde(default)]
    pub tries: u32,
    /// When it was written, in RFC 3339.
    pub analyzed_at: String,
    /// When the document may go, as the object does; in RFC 3339. A TTL policy on this field removes it.
    pub expire_at: String,
    /// How it ended, or who is at it.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// Whether the event `ours` came before `theirs`. Sequencers are compared as AWS says: the shorter one padded
/// with zeros on its right, then as text.
pub fn is_older(ours: &str, theirs: &str) -> bool {
    let width = ours.len().max(theirs.len());
    format!("{ours:0<width$}") < format!("{theirs:0<width$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequencers_are_padded_on_the_right() {
        assert!(is_older("0055AED6DCD90281E4", "0055AED6DCD90281E5"));
        assert!(!is_older("0055AED6DCD90281E5", "0055AED6DCD90281E5"));
        assert!(!is_older("0055AED6DCD90281E5", "0055AED6DCD90281E500"));
        assert!(is_older("0055AED6DCD90281E5", "0055AED6DCD90281E501"));
        assert!(!is_older("0055AED6DCD90281F", "0055AED6DCD90281E501"));
    }

    #[test]
    fn a_record_reads_as_it_was_written() {
        let reason = Reason { code: "too-large".to_owned(), message: "Smaller.".to_owned() };
        let record = Record {
            etag: "e".to_owned(),
            sequencer: "1".to_owned(),
            looks: 1,
            tries: 1,
            analyzed_at: "2026-01-01T00:00:00Z".to_owned(),
            expire_at: "2026-01-31T00:00:00Z".to_owned(),
            outcome: Outcome::Failed { reason },
        };
        let json = serde_json::to_value(&record).unwrap();
        assert_eq!(json["status"], "failed");
        assert_eq!(json["expireAt"], "2026-01-31T00:00:00Z");
        assert_eq!(serde_json::from_value::<Record>(json).unwrap(), record);
        let (by, lapses_at) = ("r".to_owned(), "2026-01-01T00:01:00Z".to_owned());
        let claim = Record { outcome: Outcome::Looking { by, lapses_at }, ..record };
        let json = serde_json::to_value(&claim).unwrap();
        assert_eq!((&json["status"], &json["lapsesAt"]), (&"looking".into(), &"2026-01-01T00:01:00Z".into()));
        assert_eq!(serde_json::from_value::<Record>(json).unwrap(), claim);
    }
}
