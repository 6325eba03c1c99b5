//! The bootstrap of analyze-image.

use std::process::ExitCode;
use std::time::SystemTime;

use analyze_image::{AnalyzeError, Analyzer, Turn};
use lambda_runtime::{LambdaEvent, run, service_fn};
use serde_json::Value;
use shared::call::Patience;
use shared::settings::process;
use shared::start::deadline;
use tracing::Instrument as _;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    shared::log::start();
    let analyzer = match Analyzer::from_variables(&process, Patience::default()) {
        Ok(analyzer) => analyzer,
        Err(error) => {
            tracing::error!(error = %error, "the function does not start");
            return ExitCode::FAILURE;
        }
    };
    let analyzer = &analyzer;
    let handler = service_fn(|event: LambdaEvent<Value>| {
        let (event, context) = event.into_parts();
        let span = tracing::info_span!("invocation", request_id = context.request_id);
        let work = async move {
            let deadline = deadline(context.deadline, SystemTime::now());
            let turn = Turn { request_id: &context.request_id, deadline };
            let outcome: Result<Value, AnalyzeError> = analyzer.handle(event, turn).await;
            match &outcome {
                Err(error @ AnalyzeError::Probe(_)) => tracing::error!(error = %error, "the probe failed"),
                Err(error) => tracing::error!(error = %error, "the invocation failed, Lambda tries again"),
                Ok(_) => {}
            }
            outcome
        };
        work.instrument(span)
    });
    match run(handler).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = %error, "the function ends");
            ExitCode::FAILURE
        }
    }
}
