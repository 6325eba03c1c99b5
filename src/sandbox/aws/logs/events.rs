//! Streams and their events.
//!
//! What is written at once is one record, under `GROUP` NUL `STREAM` NUL `TIME-NUMBER`; a group keeps its newest ones,
//! within bounds that the real service does not have: a sandbox holds everything in memory.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use super::super::error::Error;
use super::super::rest::{answer, empty};
use super::{absent, create, find, invalid, key};
use crate::sandbox::{Record, Response, World};

/// A group keeps so many batches of events.
const MOST_BATCHES: usize = 2000;
/// And so many bytes of events.
const MOST_KEPT: usize = 16 * 1024 * 1024;
/// An answer holds so many events.
const MOST_EVENTS: usize = 10_000;
/// An answer's events have so many bytes together.
const MOST_BYTES: usize = 1 << 20;
/// What each event counts for besides its text.
const EVENT_BYTES: usize = 26;

/// A stream, under `GROUP` NUL `STREAM`.
#[derive(Serialize, Deserialize)]
struct Stream {
    name: String,
    created: Timestamp,
}

impl Record for Stream {
    const TABLE: &'static str = "aws.logs.stream";
}

/// Events that were written at once: time in milliseconds, and text.
#[derive(Serialize, Deserialize)]
struct Batch {
    stream: String,
    written: Timestamp,
    events: Vec<(i64, String)>,
}

impl Record for Batch {
    const TABLE: &'static str = "aws.logs.batch";
}

/// What a group holds at most, by its key: how many batches, and how many bytes.
#[derive(Default, Serialize, Deserialize)]
struct Tally(usize, usize);

impl Record for Tally {
    const TABLE: &'static str = "aws.logs.tally";
}

/// One event, as it is shown.
struct Event {
    id: String,
    stream: String,
    at_ms: i64,
    written_ms: i64,
    message: String,
}

/// Writes lines, as a service does; the group and the stream are made if they are not there.
pub(in crate::sandbox::aws) fn append(
    world: &mut World,
    account: &str,
    region: &str,
    group: &str,
    stream: &str,
    lines: &[String],
) {
    if find(world, account, region, group).is_none()
        && create(world, account, region, group, std::collections::BTreeMap::new()).is_err()
    {
        // A name that is none: Lambda too then runs without a log.
        return;
    }
    let now = world.now();
    let events = lines.iter().map(|line| (now.as_millisecond(), line.clone())).collect();
    put(world, &key(account, region, group), stream, events);
}

fn put(world: &mut World, place: &str, stream: &str, events: Vec<(i64, String)>) {
    let now = world.now();
    let stream_key = format!("{place}\0{stream}");
    if !world.has::<Stream>(&stream_key) {
        world.put(&stream_key, &Stream { name: stream.to_owned(), created: now });
    }
    let number = world.hex(8);
    let size = weight(&events);
    let batch = Batch { stream: stream.to_owned(), written: now, events };
    world.put(&format!("{stream_key}\0{:020}-{number}", now.as_microsecond()), &batch);
    let Tally(count, bytes) = world.get::<Tally>(place).unwrap_or_default();
    let mut tally = Tally(count + 1, bytes + size);
    if tally.0 > MOST_BATCHES || tally.1 > MOST_KEPT {
        tally = forget_oldest(world, place);
    }
    world.put(place, &tally);
}

/// Forgets the oldest batches of a group, down to three quarters of what it may hold.
fn forget_oldest(world: &mut World, place: &str) -> Tally {
    let mut all = world.list::<Batch>(&format!("{place}\0"));
    all.sort_by_key(|(_, batch)| std::cmp::Reverse(batch.written));
    let mut kept = Tally::default();
    for (key, batch) in &all {
        let bytes = kept.1 + weight(&batch.events);
        // The newest stays, however large it is.
        if kept.0 > 0 && (kept.0 >= MOST_BATCHES / 4 * 3 || bytes > MOST_KEPT / 4 * 3) {
            world.remove::<Batch>(key);
        } else {
            kept = Tally(kept.0 + 1, bytes);
        }
    }
    kept
}

fn weight(events: &[(i64, String)]) -> usize {
    events.iter().map(|(_, message)| message.len() + EVENT_BYTES).sum()
}

/// Forgets all of a group.
pub(super) fn forget(world: &mut World, place: &str) {
    let prefix = format!("{place}\0");
    for (key, _) in world.list::<Batch>(&prefix) {
        world.remove::<Batch>(&key);
    }
    for (key, _) in world.list::<Stream>(&prefix) {
        world.remove::<Stream>(&key);
    }
    world.remove::<Tally>(place);
}

/// Runs one of the calls about streams and events of a group.
pub(super) fn run(world: &mut World, action: &str, place: &str, body: &Json) -> Result<Response, Error> {
    let stream = body["logStreamName"].as_str().unwrap_or_default();
    let stream_key = format!("{place}\0{stream}");
    let no_stream =
        || Error::new(400, "ResourceNotFoundException", "The specified log stream does not exist.");
    match action {
        "CreateLogStream" => {
            if stream.is_empty() || stream.contains([':', '*', '\0']) {
                return Err(invalid(format!("{stream} is not a valid name of a log stream")));
            }
            if world.has::<Stream>(&stream_key) {
                let message = "The specified log stream already exists";
                return Err(Error::new(400, "ResourceAlreadyExistsException", message));
            }
            let created = world.now();
            world.put(&stream_key, &Stream { name: stream.to_owned(), created });
            Ok(empty(200))
        }
        "PutLogEvents" => {
            if !world.has::<Stream>(&stream_key) {
                return Err(no_stream());
            }
            let given = body["logEvents"].as_array().into_iter().flatten();
            let events = given.map(|event| {
                let message = event["message"].as_str().unwrap_or_default().to_owned();
                (event["timestamp"].as_i64().unwrap_or_default(), message)
            });
            let events = events.collect::<Vec<_>>();
            if events.is_empty() || events.len() > MOST_EVENTS {
                return Err(invalid("Log events must be between 1 and 10000 in number".to_owned()));
            }
            put(world, place, stream, events);
            Ok(answer(200, &json!({ "nextSequenceToken": world.hex(56) })))
        }
        "DescribeLogStreams" => Ok(streams(world, place, body)),
        "GetLogEvents" if !world.has::<Stream>(&stream_key) => Err(no_stream()),
        "GetLogEvents" => Ok(one_stream(world, &stream_key, body)),
        "FilterLogEvents" => filter(world, place, body),
        _ => Err(absent()),
    }
}

fn events(world: &World, prefix: &str) -> Vec<Event> {
    let mut found = Vec::new();
    for (key, batch) in world.list::<Batch>(prefix) {
        let tail = key.rsplit('\0').next().unwrap_or_default().to_owned();
        for (index, (at_ms, message)) in batch.events.into_iter().enumerate() {
            found.push(Event {
                id: format!("{tail}-{index:05}"),
                stream: batch.stream.clone(),
                at_ms,
                written_ms: batch.written.as_millisecond(),
                message,
            });
        }
    }
    found.sort_by(|one, other| (one.at_ms, &one.id).cmp(&(other.at_ms, &other.id)));
    found
}

fn streams(world: &World, place: &str, body: &Json) -> Response {
    let prefix = body["logStreamNamePrefix"].as_str().unwrap_or_default();
    let limit = usize::try_from(body["limit"].as_u64().unwrap_or(50)).unwrap_or(50).clamp(1, 50);
    let found = world.list::<Stream>(&format!("{place}\0{prefix}"));
    let mut shown = found
        .into_iter()
        .map(|(key, stream)| {
            let events = events(world, &format!("{key}\0"));
            let mut json = json!({
                "logStreamName": stream.name, "creationTime": stream.created.as_millisecond(), "storedBytes": 0,
            });
            if let (Some(first), Some(last)) = (events.first(), events.last()) {
                json["firstEventTimestamp"] = json!(first.at_ms);
                json["lastEventTimestamp"] = json!(last.at_ms);
                json["lastIngestionTime"] = json!(last.written_ms);
            }
            json
        })
        .collect::<Vec<_>>();
    if body["orderBy"] == "LastEventTime" {
        shown.sort_by_key(|stream| stream["lastEventTimestamp"].as_i64());
    }
    if body["descending"] == true {
        shown.reverse();
    }
    shown.truncate(limit);
    answer(200, &json!({ "logStreams": shown }))
}

/// Whether an event's time is within what is asked for.
fn in_time(body: &Json, event: &Event) -> bool {
    body["startTime"].as_i64().is_none_or(|start| event.at_ms >= start)
        && body["endTime"].as_i64().is_none_or(|end| event.at_ms < end)
}

fn limit(body: &Json) -> usize {
    usize::try_from(body["limit"].as_u64().unwrap_or(10_000)).unwrap_or(MOST_EVENTS).clamp(1, MOST_EVENTS)
}

fn one_stream(world: &World, stream_key: &str, body: &Json) -> Response {
    let mut found = events(world, &format!("{stream_key}\0"));
    found.retain(|event| in_time(body, event));
    // A token is `f/` and the id of the last event that was told.
    let forward = body["nextToken"].as_str().and_then(|token| token.strip_prefix("f/")).map(str::to_owned);
    if let Some(after) = &forward {
        found.retain(|event| event.id > *after);
    }
    let limit = limit(body);
    if body["startFromHead"] == true || forward.is_some() {
        found.truncate(limit);
    } else {
        found.drain(..found.len().saturating_sub(limit));
    }
    let last = found.last().map(|event| event.id.clone()).or(forward).unwrap_or_default();
    let first = found.first().map(|event| event.id.clone()).unwrap_or_default();
    let shown = found.iter().map(|event| {
        json!({ "timestamp": event.at_ms, "message": event.message, "ingestionTime": event.written_ms })
    });
    let shown = shown.collect::<Vec<_>>();
    answer(
        200,
        &json!({
            "events": shown,
            "nextForwardToken": format!("f/{last}"),
            "nextBackwardToken": format!("b/{first}"),
        }),
    )
}

/// A whole number that is not negative, or nothing.
fn number(body: &Json, name: &str) -> Result<Option<i64>, Error> {
    match &body[name] {
        Json::Null => Ok(None),
        given => match given.as_i64() {
            Some(number) if number >= 0 => Ok(Some(number)),
            Some(number) => Err(invalid(format!(
                "1 validation error detected: Value '{number}' at '{name}' failed to satisfy constraint: Member must \
                 have value greater than or equal to 0"
            ))),
            None => Err(Error::new(400, "SerializationException", "Could not parse request body into json.")),
        },
    }
}

/// What a search is refused for.
fn check(body: &Json) -> Result<(), Error> {
    let (start, end) = (number(body, "startTime")?, number(body, "endTime")?);
    if start.zip(end).is_some_and(|(start, end)| start > end) {
        return Err(invalid("startTime must not be after endTime".to_owned()));
    }
    if number(body, "limit")?.is_some_and(|limit| !(1..=10_000).contains(&limit)) {
        let message = "1 validation error detected: Value at 'limit' failed to satisfy constraint: Member must have value \
                       between 1 and 10000";
        return Err(invalid(message.to_owned()));
    }
    if body["logStreamNames"].is_array() && body["logStreamNamePrefix"].is_string() {
        let message = "logStreamNamePrefix and logStreamNames cannot be given together";
        return Err(invalid(message.to_owned()));
    }
    Ok(())
}

fn filter(world: &World, place: &str, body: &Json) -> Result<Response, Error> {
    check(body)?;
    let terms = terms(body["filterPattern"].as_str().unwrap_or_default())?;
    let names = body["logStreamNames"]
        .as_array()
        .map(|names| names.iter().filter_map(Json::as_str).map(str::to_owned).collect::<Vec<_>>());
    let prefix = body["logStreamNamePrefix"].as_str().unwrap_or_default();
    let after = body["nextToken"].as_str().unwrap_or_default();
    let mut found = events(world, &format!("{place}\0"));
    found.retain(|event| {
        in_time(body, event)
            && names.as_ref().is_none_or(|names| names.contains(&event.stream))
            && event.stream.starts_with(prefix)
            && terms.iter().all(|term| event.message.contains(term.as_str()))
    });
    if !after.is_empty() {
        let told = found.iter().position(|event| event.id == after);
        let told = told.ok_or_else(|| invalid("The specified nextToken is invalid.".to_owned()))?;
        found.drain(..=told);
    }
    let mut bytes = 0;
    let fit = found.iter().take(limit(body)).take_while(|event| {
        bytes += event.message.len() + EVENT_BYTES;
        bytes <= MOST_BYTES
    });
    let fit = fit.count().max(1);
    let more = found.len() > fit;
    found.truncate(fit);
    let shown = found.iter().map(|event| {
        json!({
            "logStreamName": event.stream, "timestamp": event.at_ms, "message": event.message,
            "ingestionTime": event.written_ms, "eventId": event.id,
        })
    });
    let mut reply = json!({ "events": shown.collect::<Vec<_>>(), "searchedLogStreams": [] });
    if more {
        reply["nextToken"] = json!(found.last().map(|event| &event.id));
    }
    Ok(answer(200, &reply))
}

/// The words of a pattern, all of which an event must have. Other patterns are not played.
fn terms(pattern: &str) -> Result<Vec<String>, Error> {
    let pattern = pattern.trim();
    if pattern.starts_with(['{', '[', '%']) || pattern.contains(" ?") || pattern.starts_with(['?', '-']) {
        return Err(invalid("The sandbox plays filter patterns of words alone".to_owned()));
    }
    let mut terms = Vec::new();
    for (index, part) in pattern.split('"').enumerate() {
        if index % 2 == 1 {
            terms.push(part.to_owned());
        } else {
            terms.extend(part.split_whitespace().map(str::to_owned));
        }
    }
    Ok(terms)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::{Accounts, Clock};

    #[test]
    fn a_group_keeps_its_newest_events_and_no_more_than_fit() {
        let mut world = World::new(Clock::Fixed(Timestamp::UNIX_EPOCH), 1, Accounts::default());
        for second in 0..40 {
            world.set_clock(Clock::Fixed(Timestamp::from_second(second).unwrap()));
            let lines = [format!("{second} {}", "x".repeat(1_000_000))];
            append(&mut world, "123456789012", "us-east-1", "/aws/lambda/f", "s", &lines);
        }
        let place = key("123456789012", "us-east-1", "/aws/lambda/f");
        let kept = events(&world, &format!("{place}\0"));
        assert!((10..=16).contains(&kept.len()), "{}", kept.len());
        assert!(kept.last().unwrap().message.starts_with("39 "));
    }
}
