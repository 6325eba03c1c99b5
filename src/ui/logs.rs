//! Events of a function's log: readable for people, as they are for programs.

use jiff::Timestamp;
use serde_json::{Map, Value as Json, json};

use super::{Style, text};
use crate::model::LogEvent;

/// What a structured line calls its time, which the event has itself.
const TIMES: [&str; 2] = ["timestamp", "time"];
/// What it calls how grave it is.
const LEVELS: [&str; 2] = ["level", "severity"];
/// Deeper than this, what is nested is shown as JSON.
const DEPTH: usize = 4;

/// One event: its time, and what was logged. A line of JSON becomes level, message and fields.
pub fn text(event: &LogEvent, style: Style) -> String {
    let time = Timestamp::from_millisecond(event.at_ms).unwrap_or_default();
    let time = style.dim(&time.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string());
    let said = event.message.trim_end();
    match serde_json::from_str(said) {
        Ok(Json::Object(line)) => format!("{time}  {}", structured(line, style)),
        // Further lines stand apart from the next event.
        _ => format!("{time}  {}", text::block(said).replace('\n', "\n    ")),
    }
}

/// The same for programs, under CloudWatch's own names.
pub fn json(event: &LogEvent) -> String {
    json!({
        "timestamp": event.at_ms,
        "ingestionTime": event.came_ms,
        "logStreamName": event.stream,
        "eventId": event.id,
        "message": event.message,
    })
    .to_string()
}

/// `INFO  message  key=value`; what the platform itself logs has a type for a message.
fn structured(mut line: Map<String, Json>, style: Style) -> String {
    let mut take = |names: &[&str]| {
        names.iter().find_map(|name| match line.get(*name) {
            Some(Json::String(_)) => {
                line.shift_remove(*name).and_then(|value| Some(value.as_str()?.to_owned()))
            }
            _ => None,
        })
    };
    take(&TIMES);
    let level = take(&LEVELS);
    let mut message = take(&["message", "msg", "type"]);
    // As `tracing` writes them, the fields stand apart.
    if let Some(Json::Object(fields)) = line.get_mut("fields")
        && message.is_none()
    {
        message = fields.shift_remove("message").and_then(|value| Some(value.as_str()?.to_owned()));
    }
    let mut parts = Vec::new();
    parts.extend(level.map(|level| graded(&level, style)));
    parts.extend(message.map(|message| text::line(&message).into_owned()));
    let mut fields = Vec::new();
    for (name, value) in &line {
        let path = if name == "fields" && value.is_object() { "" } else { name };
        flat(path, value, 0, style, &mut fields);
    }
    if !fields.is_empty() {
        parts.push(fields.join(" "));
    }
    parts.join("  ")
}

fn graded(level: &str, style: Style) -> String {
    let shown = format!("{:5}", text::line(level));
    match level.to_ascii_uppercase().as_str() {
        "ERROR" | "FATAL" | "CRITICAL" => style.red(&shown),
        "WARN" | "WARNING" => style.yellow(&shown),
        "INFO" => style.green(&shown),
        _ => style.dim(&shown),
    }
}

/// Fields by their paths: `record.metrics.durationMs=1.5`.
fn flat(path: &str, value: &Json, depth: usize, style: Style, fields: &mut Vec<String>) {
    match value {
        Json::Object(inner) if depth < DEPTH && !inner.is_empty() => {
            for (name, value) in inner {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                flat(&path, value, depth + 1, style, fields);
            }
        }
        value => {
            let is_word = |text: &str| !text.is_empty() && !text.contains([' ', '"', '=', '\n']);
            let shown = match value {
                Json::String(word) if is_word(word) => text::line(word).into_owned(),
                Json::String(other) => text::quoted(other),
                other => text::line(&other.to_string()).into_owned(),
            };
            fields.push(format!("{}{shown}", style.dim(&format!("{}=", text::line(path)))));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(message: &str) -> LogEvent {
        LogEvent {
            id: "3".into(),
            at_ms: 1_764_367_200_123,
            came_ms: 1_764_367_200_456,
            stream: "2025/11/28/[1]ab".into(),
            message: message.to_owned(),
        }
    }

    #[test]
    fn lines_of_every_kind_are_readable() {
        let lines = [
            "START RequestId: 8f Version: 1\n",
            "thread 'main' panicked at src/main.rs:1:2\nnote: run with `RUST_BACKTRACE=1`\n",
            r#"{"timestamp":"2025-11-28T22:00:00.1Z","level":"INFO","message":"analysed","id":"ab","took_ms":12,"target":"analyze_image"}"#,
            r#"{"timestamp":"2025-11-28T22:00:00.1Z","level":"WARN","fields":{"message":"tried again","cause":"no answer"},"target":"shared","span":{"name":"read","key":"a b"}}"#,
            r#"{"time":"2025-11-28T22:00:00.1Z","type":"platform.report","record":{"requestId":"8f","metrics":{"durationMs":1.5},"status":"success"}}"#,
            r#"{"level":"ERROR","message":"two\nlines","list":[1,"x"],"none":null,"empty":"","deep":{"a":{"b":{"c":{"d":{"e":1}}}}}}"#,
            r#"["no", "object"]"#,
            "\u{1b}[31mred\u{7}",
            "",
        ];
        let told: Vec<String> = lines.iter().map(|line| text(&event(line), Style::PLAIN)).collect();
        insta::assert_snapshot!("lines", told.join("\n"));
        let colour = text(&event(lines[3]), Style { color: true });
        assert_eq!(console::strip_ansi_codes(&colour), told[3]);
    }

    #[test]
    fn a_program_gets_what_was_logged() {
        let said = "{\"a\": 1}\n";
        let read: Json = serde_json::from_str(&json(&event(said))).unwrap();
        assert_eq!(read["message"], said);
        assert_eq!((&read["timestamp"], &read["eventId"]), (&json!(1_764_367_200_123_i64), &json!("3")));
        assert!(!json(&event(said)).contains('\n'));
    }
}
