//! Whether all that an analysis takes can be used: asked when a new version is released, before pictures meet it.

use serde_json::{Value, json};
use shared::aws::Object;
use shared::call::causes;
use shared::picture::MAX_BYTES;
use tokio::time::Instant;

use super::{AnalyzeError, Analyzer};

/// A name that no picture has: names are random.
const NOBODY: &str = "00000000-0000-4000-8000-000000000000";

impl Analyzer {
    /// Reads a picture and a document that are not there, which takes the role, the bucket, Google's token and the
    /// database; and has the vision service refuse what is no picture, which takes its key. Nothing is written. All that
    /// is wrong is told at once.
    pub(super) async fn probe(&self, deadline: Instant) -> Result<Value, AnalyzeError> {
        let mut wrong = Vec::new();
        if let Some(bucket) = &self.bucket {
            let key = format!("{}{NOBODY}", self.prefix);
            match self.aws.object(&self.caller, deadline, (bucket, &key), None, MAX_BYTES).await {
                Ok(Object::Gone | Object::Found(_) | Object::TooLarge) => {}
                Err(why) => wrong.push(causes(&why)),
            }
        }
        if let Err(why) = self.documents.read(NOBODY, deadline).await {
            wrong.push(causes(&why));
        }
        if let Err(why) = self.vision.probe(deadline).await {
            wrong.push(causes(&why));
        }
        if wrong.is_empty() { Ok(json!({ "ok": true })) } else { Err(AnalyzeError::Probe(wrong)) }
    }
}
