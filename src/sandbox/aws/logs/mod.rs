//! CloudWatch Logs: groups, streams and events.
//!
//! Absences: metric filters, subscriptions, queries, live tails, log classes beyond the standard one; and a group's
//! retention is kept but nothing is deleted by it (a group keeps its newest events, see `events`).

mod events;

pub(super) use events::append;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use super::error::Error;
use super::rest::{Call, answer, empty, enter, finish, target};
use crate::sandbox::{Record, Request, Response, World};

/// Days that a group's events may be kept.
const RETENTIONS: [u32; 23] = [
    1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653,
    0,
];

/// A group, under `ACCOUNT/REGION/NAME`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Group {
    pub(super) account: String,
    pub(super) region: String,
    pub(super) name: String,
    pub(super) created: Timestamp,
    /// `None`: for ever.
    pub(super) retention_days: Option<u32>,
    pub(super) tags: BTreeMap<String, String>,
}

impl Record for Group {
    const TABLE: &'static str = "aws.logs.group";
}

impl Group {
    /// Its ARN, without the `:*` that some calls add.
    pub(super) fn arn(&self) -> String {
        format!("arn:aws:logs:{}:{}:log-group:{}", self.region, self.account, self.name)
    }

    fn save(&self, world: &mut World) {
        world.put(&key(&self.account, &self.region, &self.name), self);
    }
}

fn key(account: &str, region: &str, name: &str) -> String {
    format!("{account}/{region}/{name}")
}

/// The group of that name.
pub(super) fn find(world: &World, account: &str, region: &str, name: &str) -> Option<Group> {
    world.get(&key(account, region, name))
}

/// Makes a group.
pub(super) fn create(
    world: &mut World,
    account: &str,
    region: &str,
    name: &str,
    tags: BTreeMap<String, String>,
) -> Result<Group, Error> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-/#".contains(&byte);
    if !(1..=512).contains(&name.len()) || !name.bytes().all(allowed) {
        return Err(invalid(format!(
            "1 validation error detected: Value '{name}' at 'logGroupName' failed to satisfy constraint: Member must \
             satisfy regular expression pattern: [\\.\\-_/#A-Za-z0-9]+"
        )));
    }
    if find(world, account, region, name).is_some() {
        let message = "The specified log group already exists";
        return Err(Error::new(400, "ResourceAlreadyExistsException", message));
    }
    let group = Group {
        account: account.to_owned(),
        region: region.to_owned(),
        name: name.to_owned(),
        created: world.now(),
        retention_days: None,
        tags,
    };
    group.save(world);
    Ok(group)
}

/// Says how long a group's events are kept; `None`: for ever.
pub(super) fn retain(world: &mut World, group: &mut Group, days: Option<u32>) -> Result<(), Error> {
    if let Some(days) = days
        && (days == 0 || !RETENTIONS.contains(&days))
    {
        return Err(invalid(format!("{days} is not a valid value for retentionInDays")));
    }
    group.retention_days = days;
    group.save(world);
    Ok(())
}

/// Deletes a group.
pub(super) fn delete(world: &mut World, account: &str, region: &str, name: &str) -> Result<(), Error> {
    let key = key(account, region, name);
    events::forget(world, &key);
    if world.remove::<Group>(&key) { Ok(()) } else { Err(absent()) }
}

fn absent() -> Error {
    Error::new(400, "ResourceNotFoundException", "The specified log group does not exist.")
}

fn invalid(message: String) -> Error {
    Error::new(400, "InvalidParameterException", message)
}

/// Answers a request.
pub(super) fn handle(world: &mut World, request: &Request) -> Response {
    let action = target(request, "Logs_20140328.");
    let answered = enter(world, request, "logs", None).and_then(|mut call| run(action, &mut call));
    finish(world, answered)
}

fn run(action: &str, call: &mut Call<'_>) -> Result<Response, Error> {
    let body = call.json()?;
    let (account, region) = (call.account.clone(), call.region.clone());
    let name = body["logGroupName"].as_str().unwrap_or_default();
    permit(call, action, &body)?;
    let group = |world: &World| find(world, &account, &region, name).ok_or_else(absent);
    match action {
        "DescribeLogGroups" => Ok(describe(call, &body)),
        "CreateLogGroup" => {
            let tags = body["tags"].as_object().into_iter().flatten();
            let tags = tags.map(|(key, value)| (key.clone(), value.as_str().unwrap_or_default().to_owned()));
            create(call.world, &account, &region, name, tags.collect())?;
            Ok(empty(200))
        }
        "DeleteLogGroup" => {
            delete(call.world, &account, &region, name)?;
            Ok(empty(200))
        }
        "PutRetentionPolicy" => {
            let mut group = group(call.world)?;
            let days = body["retentionInDays"].as_u64().and_then(|days| u32::try_from(days).ok());
            retain(call.world, &mut group, Some(days.unwrap_or_default()))?;
            Ok(empty(200))
        }
        "DeleteRetentionPolicy" => {
            let mut group = group(call.world)?;
            retain(call.world, &mut group, None)?;
            Ok(empty(200))
        }
        "ListTagsForResource" => {
            let arn = body["resourceArn"].as_str().unwrap_or_default().trim_end_matches(":*");
            let all = call.world.list::<Group>(&format!("{account}/{region}/"));
            let found = all.into_iter().find(|(_, group)| group.arn() == arn).ok_or_else(absent)?;
            Ok(answer(200, &json!({ "tags": found.1.tags })))
        }
        "CreateLogStream" | "DescribeLogStreams" | "FilterLogEvents" | "GetLogEvents" | "PutLogEvents" => {
            if name.is_empty() != body["logGroupIdentifier"].is_string() {
                let message = "Exactly one of logGroupName and logGroupIdentifier must be specified";
                return Err(invalid(message.to_owned()));
            }
            let name = match (name, body["logGroupIdentifier"].as_str()) {
                ("", Some(given)) => given.trim_end_matches(":*").rsplit(':').next().unwrap_or_default(),
                (name, _) => name,
            };
            let place = key(&account, &region, name);
            find(call.world, &account, &region, name).ok_or_else(absent)?;
            events::run(call.world, action, &place, &body)
        }
        _ => Err(Error::new(400, "UnknownOperationException", format!("The sandbox does not play {action}"))),
    }
}

/// Refuses a caller that may not do this to a group, or to a stream of it.
fn permit(call: &Call<'_>, action: &str, body: &Json) -> Result<(), Error> {
    let text = |name: &str| body[name].as_str().filter(|text| !text.is_empty());
    let given = text("logGroupName").or(text("logGroupNamePrefix")).unwrap_or_default();
    let arn = text("logGroupIdentifier").or(text("resourceArn")).map(|arn| arn.trim_end_matches(":*"));
    let group = arn.map_or(given, |arn| arn.rsplit(':').next().unwrap_or_default());
    if action == "ListTagsForResource" {
        // Tags are a group's own: without the `:*` that stands for all in it.
        let resource = format!("arn:aws:logs:{}:{}:log-group:{group}", call.region, call.account);
        return call.may(&format!("logs:{action}"), &resource);
    }
    let resource = place(&call.account, &call.region, group, text("logStreamName").unwrap_or_default());
    call.may(&format!("logs:{action}"), &resource)
}

/// A stream as policies name it; without a stream, its group.
pub(super) fn place(account: &str, region: &str, group: &str, stream: &str) -> String {
    format!("arn:aws:logs:{region}:{account}:log-group:{group}:log-stream:{stream}")
}

fn describe(call: &Call<'_>, body: &Json) -> Response {
    let place = format!("{}/{}/", call.account, call.region);
    let prefix = format!("{place}{}", body["logGroupNamePrefix"].as_str().unwrap_or_default());
    let pattern = body["logGroupNamePattern"].as_str().unwrap_or_default();
    let most = body["limit"].as_u64().and_then(|most| usize::try_from(most).ok()).unwrap_or(50).clamp(1, 50);
    let after = body["nextToken"].as_str().unwrap_or_default();
    let found = call.world.list::<Group>(&prefix).into_iter().map(|(_, group)| group);
    let mut found = found.filter(|group| group.name.contains(pattern) && group.name.as_str() > after);
    let page = found.by_ref().take(most).collect::<Vec<_>>();
    let groups = page.iter().map(|group| {
        let mut json = json!({
            "logGroupName": group.name,
            "creationTime": group.created.as_millisecond(),
            "metricFilterCount": 0,
            "arn": format!("{}:*", group.arn()),
            "storedBytes": 0,
            "logGroupClass": "STANDARD",
            "logGroupArn": group.arn(),
        });
        if let Some(days) = group.retention_days {
            json["retentionInDays"] = json!(days);
        }
        json
    });
    let mut shown = json!({ "logGroups": groups.collect::<Vec<_>>() });
    if found.next().is_some() {
        shown["nextToken"] = json!(page.last().map(|group| &group.name));
    }
    answer(200, &shown)
}
