//! The bootstrap of get-analysis.

use std::convert::Infallible;
use std::process::ExitCode;
use std::time::SystemTime;

use aws_lambda_events::apigw::{ApiGatewayV2httpRequest, ApiGatewayV2httpResponse};
use get_analysis::Reader;
use lambda_runtime::{LambdaEvent, run, service_fn};
use shared::call::Patience;
use shared::settings::process;
use shared::start::deadline;
use tracing::Instrument as _;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    shared::log::start();
    let reader = match Reader::from_variables(&process, Patience::default()) {
        Ok(reader) => reader,
        Err(error) => {
            tracing::error!(error = %error, "the function does not start");
            return ExitCode::FAILURE;
        }
    };
    let reader = &reader;
    let handler = service_fn(|event: LambdaEvent<ApiGatewayV2httpRequest>| {
        let (request, context) = event.into_parts();
        let span = tracing::info_span!("invocation", request_id = context.request_id);
        let work = async move {
            let now = SystemTime::now();
            let answer = reader.handle(&request, deadline(context.deadline, now), now).await;
            Ok::<ApiGatewayV2httpResponse, Infallible>(answer)
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
