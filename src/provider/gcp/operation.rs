//! Long-running operations: polled to their end, within bounds.

use std::time::Duration;

use google_iam1::api;
use serde_json::Value as Json;
use tokio::time::{Instant, sleep};

use super::failure;
use crate::model::{CloudError, ErrorKind};

/// The first pause between two polls; each further one is half as long again, up to [`LONGEST`].
const SHORTEST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(5);
/// No operation of these services takes so long.
const DEADLINE: Duration = Duration::from_mins(15);

/// How far an operation is.
#[derive(Debug)]
pub(super) struct Progress {
    name: String,
    done: bool,
    error: Option<(i64, String)>,
}

impl From<api::Operation> for Progress {
    fn from(operation: api::Operation) -> Self {
        let error = operation
            .error
            .map(|error| (i64::from(error.code.unwrap_or_default()), error.message.unwrap_or_default()));
        Self { name: operation.name.unwrap_or_default(), done: operation.done.unwrap_or_default(), error }
    }
}

impl From<Json> for Progress {
    fn from(json: Json) -> Self {
        let error = json.get("error").map(|error| {
            (
                error["code"].as_i64().unwrap_or_default(),
                error["message"].as_str().unwrap_or_default().to_owned(),
            )
        });
        let name = json["name"].as_str().unwrap_or_default().to_owned();
        Self { name, done: json["done"].as_bool().unwrap_or_default(), error }
    }
}

/// Polls until the operation is done. One that comes back done (as `operations/noop.DONE_OPERATION` does) is never
/// polled. After the change was accepted no failure to poll says that it was not made.
pub(super) async fn finish<F>(
    call: &str,
    mut progress: Progress,
    poll: impl Fn(String) -> F,
) -> Result<(), CloudError>
where
    F: Future<Output = Result<Progress, CloudError>>,
{
    let start = Instant::now();
    let mut pause = SHORTEST;
    while !progress.done {
        if start.elapsed() + pause > DEADLINE {
            let message = format!("the operation {} is not done after a quarter of an hour", progress.name);
            return Err(failure::own(call, ErrorKind::Unknown, message));
        }
        sleep(pause).await;
        pause = pause.mul_f64(1.5).min(LONGEST);
        progress = poll(progress.name).await.map_err(failure::halfway)?;
    }
    match progress.error {
        None => Ok(()),
        Some((code, message)) => Err(failure::of_operation(call, code, &message)),
    }
}
