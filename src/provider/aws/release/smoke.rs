//! The smoke test of a version: one call, and what its answer must contain.

use std::time::Duration;

use aws_sdk_lambda::config::timeout::TimeoutConfig;
use aws_sdk_lambda::primitives::Blob;
use aws_sdk_lambda::types::LogType;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use tokio::time::{Instant, sleep};

use super::super::super::Answered;
use super::super::Aws;
use super::super::error::{Explain as _, refusal};
use crate::model::{CloudError, ErrorKind};

const INVOKE: &str = "lambda:InvokeFunction";
const CONFIGURATION: &str = "lambda:GetFunctionConfiguration";
/// What a call takes besides the function's own time: to start it, which is not counted, and the way there and back.
const BESIDES: Duration = Duration::from_secs(15);
/// Lambda's own, where it does not say how long a function may take.
const TIMEOUT_SECONDS: u64 = 3;
const ALIAS: &str = "the alias was left as it was; mend the function, or what its `smoke` expects";
/// Of an answer and of a log, so much is shown.
const SHOWN: usize = 600;
/// So much of a value that is not what is expected.
const TOLD: usize = 160;
/// So many of the last lines of the log.
const LINES: usize = 8;
/// The code of a test that a version has failed.
const FAILED: &str = "SmokeTestFailed";
/// The code of a test that had no answer.
const UNANSWERED: &str = "SmokeTestUnanswered";
/// The first pause between two calls; each further one is twice as long, up to [`LONGEST`].
const SHORTEST: Duration = Duration::from_secs(2);
const LONGEST: Duration = Duration::from_secs(15);

/// A test.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Smoke {
    event: Json,
    expect: Option<Json>,
    /// For so many seconds a version that fails is called again.
    within: u64,
}

/// Calls a function, and takes the end of its log with the answer. Lambda says nothing before the function has answered or
/// its time is up, so it is waited for as long as that is.
pub(in super::super) async fn call(
    aws: &Aws,
    function: &str,
    qualifier: &str,
    event: Vec<u8>,
) -> Result<Answered, CloudError> {
    let lambda = aws.lambda().await?;
    let send = || lambda.get_function_configuration().function_name(function).qualifier(qualifier).send();
    let found = aws.read(CONFIGURATION, send).await?;
    let seconds = found.timeout().and_then(|seconds| u64::try_from(seconds).ok()).unwrap_or(TIMEOUT_SECONDS);
    let patience = Duration::from_secs(seconds) + BESIDES;
    let send = || {
        lambda
            .invoke()
            .function_name(function)
            .qualifier(qualifier)
            .log_type(LogType::Tail)
            .payload(Blob::new(event.clone()))
            .customize()
            .config_override(
                aws_sdk_lambda::Config::builder()
                    .timeout_config(TimeoutConfig::builder().read_timeout(patience).build()),
            )
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

/// Calls a version until it answers as it must; an error when it has not done so in its time. What a new function needs may
/// be on its way still: in Google Cloud a grant takes minutes.
pub(super) async fn test(aws: &Aws, function: &str, version: &str, smoke: &Smoke) -> Result<(), CloudError> {
    let (began, within) = (Instant::now(), Duration::from_secs(smoke.within));
    let mut pause = SHORTEST;
    loop {
        let Err(error) = once(aws, function, version, smoke).await else { return Ok(()) };
        let left = within.saturating_sub(began.elapsed());
        if error.code != FAILED || left.is_zero() {
            return Err(error);
        }
        // Not what it answered: that may hold what is not to be shown, and is told with secrets taken out at the end.
        aws.tell(&format!(
            "version {version} of {function} does not pass its smoke test yet: called again, for {} s at most",
            left.as_secs()
        ));
        sleep(pause.min(left)).await;
        pause = LONGEST.min(2 * pause);
    }
}

/// Calls a version; an error unless it answers as it must.
async fn once(aws: &Aws, function: &str, version: &str, smoke: &Smoke) -> Result<(), CloudError> {
    let Answered { body, error, log } =
        call(aws, function, version, smoke.event.to_string().into_bytes()).await.map_err(unanswered)?;
    let text = String::from_utf8_lossy(&body);
    let failed = |what: String| {
        let mut lines: Vec<&str> = log.lines().rev().take(LINES).collect();
        lines.reverse();
        let said = if lines.is_empty() { String::new() } else { format!("\n{}", lines.join("\n")) };
        let code = FAILED.to_owned();
        let message = format!("version {version} of the function {function} {what}{said}");
        CloudError { code, ..refusal(INVOKE, ErrorKind::Invalid, message) }.hinting(ALIAS)
    };
    if let Some(error) = error {
        return Err(failed(format!("failed its smoke test ({error}): {}", shortened(&text, SHOWN))));
    }
    let Some(expected) = &smoke.expect else { return Ok(()) };
    let answered = serde_json::from_slice::<Json>(&body).unwrap_or_else(|_| Json::from(text.as_ref()));
    match difference(expected, Some(&answered)) {
        None => Ok(()),
        Some(Difference { path, expected, found }) => Err(failed(format!(
            "failed its smoke test: {} is {}, and not {expected}: {}",
            if path == "." { "its answer".to_owned() } else { format!("`{path}` of its answer") },
            found.map_or("absent".to_owned(), |found| shortened(&found.to_string(), TOLD)),
            shortened(&text, SHOWN)
        ))),
    }
}

/// A test without an answer has failed. It is not run once more, whatever its time: the function may have done what it does.
fn unanswered(error: CloudError) -> CloudError {
    if error.kind != ErrorKind::Unknown {
        return error;
    }
    let message = format!("the smoke test had no answer: {}", error.message);
    CloudError { kind: ErrorKind::Invalid, code: UNANSWERED.to_owned(), message, ..error }.hinting(ALIAS)
}

fn shortened(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most).chain("...".chars()).collect()
}

/// Where an answer is not what is expected.
#[derive(Debug, PartialEq, Eq)]
struct Difference<'a> {
    path: String,
    expected: &'a Json,
    found: Option<&'a Json>,
}

/// Where an answer lacks what is expected: maps may hold more, everything else must be equal.
fn difference<'a>(expected: &'a Json, found: Option<&'a Json>) -> Option<Difference<'a>> {
    let same = match (expected, found) {
        (Json::Object(expected), Some(Json::Object(found))) => {
            return expected.iter().find_map(|(key, expected)| {
                let below = difference(expected, found.get(key))?;
                let rest = if below.path == "." { "" } else { &below.path };
                Some(Difference { path: format!(".{key}{rest}"), ..below })
            });
        }
        (Json::Number(expected), Some(Json::Number(found))) => expected.as_f64() == found.as_f64(),
        (Json::Null, None) => true,
        (expected, found) => Some(expected) == found,
    };
    (!same).then(|| Difference { path: ".".to_owned(), expected, found })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use serde_json::json;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;
    use crate::model::{AwsPlace, Secret};
    use crate::provider::AwsAccess;

    /// Answers one request: a function that may take 45 seconds. `calls` counts how often it was called.
    async fn answer(mut stream: TcpStream, takes: Duration, body: &str, calls: &AtomicUsize) {
        let (mut request, mut byte) = (Vec::new(), [0]);
        while !request.ends_with(b"\r\n\r\n") && stream.read(&mut byte).await.unwrap() == 1 {
            request.push(byte[0]);
        }
        if request.starts_with(b"POST") {
            let mut event = [0; 2];
            stream.read_exact(&mut event).await.unwrap();
            sleep(takes).await;
            calls.fetch_add(1, Ordering::Relaxed);
        }
        let body = if request.starts_with(b"POST") { body } else { r#"{"Timeout":45}"# };
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
        stream.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
    }

    /// AWS with one function, and how often that was called. It answers what `says` says of the number of calls before.
    async fn lambda(takes: Duration, says: fn(usize) -> &'static str) -> (Aws, Arc<AtomicUsize>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = Some(format!("http://{}", listener.local_addr().unwrap()));
        let calls = Arc::new(AtomicUsize::new(0));
        let counted = calls.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let calls = counted.clone();
                tokio::spawn(async move {
                    answer(stream, takes, says(calls.load(Ordering::Relaxed)), &calls).await;
                });
            }
        });
        let keys = Some(("key".to_owned(), Secret::new("secret")));
        let place = AwsPlace { account: "1".to_owned(), region: "us-east-1".to_owned(), endpoint: None };
        (Aws::new(place, AwsAccess { endpoint, keys, dial: None }), calls)
    }

    #[tokio::test(start_paused = true)]
    async fn a_function_is_waited_for_as_long_as_it_may_take() {
        let (aws, _) = lambda(Duration::from_secs(40), |_| "7").await;
        let answered = call(&aws, "f", "1", b"{}".to_vec()).await.unwrap();
        assert_eq!((answered.error, answered.body.as_slice()), (None, b"7".as_slice()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_version_that_fails_is_called_again_within_its_time_alone() {
        let smoke = |within| Smoke { event: json!({}), expect: Some(json!(7)), within };
        let late = |before| if before < 3 { "503" } else { "7" };
        let (aws, calls) = lambda(Duration::ZERO, late).await;
        test(&aws, "f", "1", &smoke(60)).await.unwrap();
        assert_eq!(calls.load(Ordering::Relaxed), 4);

        for (within, expected) in [(0, 1), (5, 3)] {
            let (aws, calls) = lambda(Duration::ZERO, |_| "503").await;
            let began = Instant::now();
            let failed = test(&aws, "f", "1", &smoke(within)).await.unwrap_err();
            assert!(
                failed.code == FAILED && failed.message.contains("its answer is 503, and not 7"),
                "{failed:?}"
            );
            assert_eq!(calls.load(Ordering::Relaxed), expected);
            assert!(began.elapsed() < Duration::from_secs(within + 1), "{:?}", began.elapsed());
        }
    }

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
            let found = difference(&expected, Some(&answered)).map(|difference| difference.path);
            assert_eq!(found.as_deref(), told, "{expected}");
        }
    }
}
