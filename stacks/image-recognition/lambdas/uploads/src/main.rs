//! The bootstrap of uploads.

use std::convert::Infallible;
use std::process::ExitCode;
use std::time::SystemTime;

use aws_lambda_events::apigw::{ApiGatewayV2httpRequest, ApiGatewayV2httpResponse};
use lambda_runtime::{LambdaEvent, run, service_fn};
use shared::settings::process;
use tracing::Instrument as _;
use uploads::Uploads;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    shared::log::start();
    let uploads = match Uploads::from_variables(&process) {
        Ok(uploads) => uploads,
        Err(error) => {
            tracing::error!(error = %error, "the function does not start");
            return ExitCode::FAILURE;
        }
    };
    let uploads = &uploads;
    let handler = service_fn(|event: LambdaEvent<ApiGatewayV2httpRequest>| {
        let (request, context) = event.into_parts();
        let span = tracing::info_span!("invocation", request_id = context.request_id);
        let work = async move {
            Ok::<ApiGatewayV2httpResponse, Infallible>(uploads.handle(&request, SystemTime::now()))
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
