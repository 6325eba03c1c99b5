//! The smoke test of a version: one call, and what its answer must contain.

use aws_sdk_lambda::primitives::Blob;
use aws_sdk_lambda::types::LogType;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::super::super::Answered;
use super::super::Aws;
use super::super::error::{Explain as _, refusal};
use crate::model::{CloudError, ErrorKind};

const INVOKE: &str = "lambda:InvokeFunction";
/// Of an answer and of a log, so much is shown.
const SHOWN: usize = 600;
/// So many of the last lines of the log.
const LINES: usize = 8;

/// A test.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Smoke {
    event: Json,
    expect: Option<Json>,
}

/// Calls a function, and takes the end of its log with the answer.
pub(in super::super) async fn call(
    aws: &Aws,
    function: &str,
    qualifier: &str,
    event: Vec<u8>,
) -> Result<Answered, CloudError> {
    let lambda = aws.lambda().await?;
    let send = || {
        lambda
            .invoke()
            .function_name(function)
            .qualifier(qualifier)
            .log_type(LogType::Tail)
            .payload(Blob::new(event.clone()))
            .send()
    };
    let answer = aws.change(INVOKE, send).await?;
    let log = answer.log_result().and_then(|log| BASE64.decode(log).ok()).unwrap_or_default();
    Ok(Answered {
        body: answer.payload().map(|blob| blob.as_ref().to_vec()).unwrap_or_default(),
        error: answer.function_error().map(str::to_owned),
        log: String::from_utf8_lossy(&log).into_owned(),
    })
}

/// Calls a version; an error unless it answers as it must.
pub(super) async fn test(aws: &Aws, function: &str, version: &str, smoke: &Smoke) -> Result<(), CloudError> {
    let Answered { body, error, log } =
        call(aws, function, version, smoke.event.to_string().into_bytes()).await?;
    let text = String::from_utf8_lossy(&body);
    let failed = |what: String| {
        let mut lines: Vec<&str> = log.lines().rev().take(LINES).collect();
        lines.reverse();
        let said = if lines.is_empty() { String::new() } else { format!("\n{}", lines.join("\n")) };
        let code = "SmokeTestFailed".to_owned();
        let message = format!("version {version} of the function {function} {what}{said}");
        CloudError { code, ..refusal(INVOKE, ErrorKind::Invalid, message) }
            .hinting("the alias was left as it was; mend the function, or what its `smoke` expects")
    };
    if let Some(error) = error {
        return Err(failed(format!("failed its smoke test ({error}): {}", shortened(&text))));
    }
    let Some(expected) = &smoke.expect else { return Ok(()) };
    let answered = serde_json::from_slice::<Json>(&body).unwrap_or_else(|_| Json::from(text.as_ref()));
    match difference(expected, &answered) {
        None => Ok(()),
        Some(path) => Err(failed(format!(
            "failed its smoke test: its answer differs at `{path}` from what is expected: {}",
            shortened(&text)
        ))),
    }
}

fn shortened(text: &str) -> String {
    if text.chars().count() <= SHOWN {
        return text.to_owned();
    }
    text.chars().take(SHOWN).chain("...".chars()).collect()
}

/// Where an answer lacks what is expected: maps may hold more, everything else must be equal.
fn difference(expected: &Json, answered: &Json) -> Option<String> {
    match (expected, answered) {
        (Json::Object(expected), Json::Object(answered)) => expected.iter().find_map(|(key, expected)| {
            let below = difference(expected, answered.get(key).unwrap_or(&Json::Null))?;
            Some(if below == "." { format!(".{key}") } else { format!(".{key}{below}") })
        }),
        (Json::Number(expected), Json::Number(answered)) => {
            (expected.as_f64() != answered.as_f64()).then(|| ".".to_owned())
        }
        (expected, answered) => (expected != answered).then(|| ".".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::difference;

    #[test]
    fn an_answer_may_hold_more_than_is_expected() {
        let answered = json!({ "statusCode": 201, "headers": { "a": "b" }, "body": "x" });
        for (expected, told) in [
            (json!({ "statusCode": 201 }), None),
            (json!({ "statusCode": 201.0, "headers": {} }), None),
            (json!({ "statusCode": 200 }), Some(".statusCode")),
            (json!({ "headers": { "a": "c" } }), Some(".headers.a")),
            (json!({ "other": 1 }), Some(".other")),
            (json!("x"), Some(".")),
        ] {
            assert_eq!(difference(&expected, &answered).as_deref(), told, "{expected}");
        }
    }
}
