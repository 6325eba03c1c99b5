//! What a function has logged, out of CloudWatch Logs.

use super::super::LogPage;
use super::Aws;
use super::error::Explain as _;
use crate::model::{CloudError, LogEvent};

/// Where a function logs: `templates/functions.yaml` names it.
const PREFIX: &str = "/aws/lambda/";

/// A page of a function's events since a moment, in order of time. A page can be empty and have a successor.
pub(super) async fn page(
    aws: &Aws,
    function: &str,
    since_ms: i64,
    token: Option<&str>,
) -> Result<LogPage, CloudError> {
    let logs = aws.cloudwatch_logs().await?;
    let group = format!("{PREFIX}{function}");
    let send = || {
        logs.filter_log_events()
            .log_group_name(&group)
            .start_time(since_ms)
            .set_next_token(token.map(str::to_owned))
            .send()
    };
    let page = aws.read("logs:FilterLogEvents", send).await.map_err(|error| match error.code.as_str() {
        "ResourceNotFoundException" => {
            error.hinting(format!("the log group {group} is made with the function: `mcm apply` deploys it"))
        }
        _ => error,
    })?;
    let event = |event: aws_sdk_cloudwatchlogs::types::FilteredLogEvent| LogEvent {
        id: event.event_id.unwrap_or_default(),
        at_ms: event.timestamp.unwrap_or_default(),
        came_ms: event.ingestion_time.unwrap_or_default(),
        stream: event.log_stream_name.unwrap_or_default(),
        message: event.message.unwrap_or_default(),
    };
    let events = page.events.unwrap_or_default().into_iter().map(event).collect();
    // A token that is the one before would lead round in a circle.
    let next = page.next_token.filter(|next| !next.is_empty() && Some(next.as_str()) != token);
    Ok((events, next))
}
