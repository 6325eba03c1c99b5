//! Logs: one JSON object a line, as CloudWatch reads them. `LOG_LEVEL` says from which level on.

use tracing_subscriber::EnvFilter;

/// Sends every event of this process to the log, as JSON. Libraries are heard from `warn` on: at `trace` some of
/// them write whole requests, headers included, so `LOG_LEVEL` is for the functions' own events alone.
pub fn start() {
    let level = std::env::var("LOG_LEVEL").unwrap_or_default().to_ascii_lowercase();
    let level = match level.as_str() {
        "error" | "warn" | "debug" | "trace" => level.as_str(),
        _ => "info",
    };
    let ours = ["shared", "analyze_image", "get_analysis", "uploads"].map(|name| format!("{name}={level}"));
    let filter = EnvFilter::try_new(format!("warn,{}", ours.join(",")));
    // A second start, in tests, changes nothing.
    let _ = tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_current_span(true)
        .with_span_list(false)
        .with_env_filter(filter.unwrap_or_else(|_| EnvFilter::new("info")))
        .try_init();
}
