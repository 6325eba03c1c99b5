//! The faults, and what each means on the wire of each cloud.

use std::collections::BTreeMap;

use mcm::model::Cloud;
use mcm::sandbox::{Fault, Traffic, Trouble, World};
use serde_json::json;

use super::image::{TAKEN, image};
use super::life::Signal;

/// Something that happens when a request is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Blow {
    KilledBefore,
    KilledAfter,
    KilledAndJournalLost,
    KilledAndStateLost,
    KilledAndBothLost,
    /// Killed after, and then somebody edits the role.
    KilledAndEdited,
    Reset,
    ReplyLost,
    Cut,
    Hang,
    HangApplied,
    Throttled,
    ThrottledForEver,
    Unavailable,
    Failed,
    FailedApplied,
    Expired,
    Denied,
    /// Denied, and killed as soon as that is written down.
    DeniedAndKilled,
    /// Denied, and so is everything else in this cloud from there on.
    Revoked,
    RevokedAndKilled,
    Late,
    PolicyEdited,
    RoleEdited,
    NameTaken,
    Stopped,
}

/// What can happen to a request that reads.
const READS: &[Blow] = &[
    Blow::KilledBefore,
    Blow::Reset,
    Blow::Cut,
    Blow::Hang,
    Blow::Throttled,
    Blow::ThrottledForEver,
    Blow::Unavailable,
    Blow::Failed,
    Blow::Expired,
    Blow::Denied,
    Blow::Late,
    Blow::PolicyEdited,
    Blow::RoleEdited,
    Blow::NameTaken,
    Blow::Stopped,
];
/// What can happen to a request that changes something.
const CHANGES: &[Blow] = &[
    Blow::KilledBefore,
    Blow::KilledAfter,
    Blow::KilledAndJournalLost,
    Blow::KilledAndStateLost,
    Blow::KilledAndBothLost,
    Blow::KilledAndEdited,
    Blow::Reset,
    Blow::ReplyLost,
    Blow::Cut,
    Blow::Hang,
    Blow::HangApplied,
    Blow::Throttled,
    Blow::ThrottledForEver,
    Blow::Unavailable,
    Blow::Failed,
    Blow::FailedApplied,
    Blow::Expired,
    Blow::Denied,
    Blow::DeniedAndKilled,
    Blow::Revoked,
    Blow::RevokedAndKilled,
    Blow::PolicyEdited,
    Blow::RoleEdited,
    Blow::NameTaken,
    Blow::Stopped,
];

/// A request in a trace: the so-manieth with this target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Point {
    pub cloud: Cloud,
    pub target: String,
    pub occurrence: u32,
}

/// The points of a trace.
pub fn points(traffic: &[Traffic]) -> Vec<Point> {
    let mut seen: BTreeMap<(String, &str), u32> = BTreeMap::new();
    let mut points = Vec::new();
    for request in traffic {
        let count = seen.entry((request.cloud.to_string(), &request.target)).or_default();
        points.push(Point { cloud: request.cloud, target: request.target.clone(), occurrence: *count });
        *count += 1;
    }
    points
}

/// Whether a request changes something.
pub fn changes(cloud: Cloud, target: &str) -> bool {
    let (method, rest) = target.split_once(' ').unwrap_or((target, ""));
    match cloud {
        Cloud::Aws if rest.starts_with("/ ") => {
            !["Get", "List"].iter().any(|verb| rest[2..].starts_with(verb))
        }
        Cloud::Gcp if rest.ends_with(":getIamPolicy") || rest.contains(":getIamPolicy?") => false,
        Cloud::Azure if rest.contains("/listKeys?") => false,
        Cloud::Aws | Cloud::Gcp | Cloud::Azure => method != "GET" && method != "HEAD",
    }
}

impl Point {
    pub fn changes(&self) -> bool {
        changes(self.cloud, &self.target)
    }

    /// What can happen here.
    pub fn blows(&self) -> &'static [Blow] {
        if self.changes() { CHANGES } else { READS }
    }
}

impl Blow {
    /// How it is set up, and what befalls the process.
    pub fn at(self, point: &Point) -> (Fault, Signal) {
        let times = if matches!(self, Self::Denied | Self::DeniedAndKilled | Self::ThrottledForEver) {
            None
        } else {
            Some(1)
        };
        let (cloud, target, skip) = (Some(point.cloud), Some(point.target.clone()), point.occurrence);
        let what = self.trouble(point);
        let signal = match self {
            Self::KilledBefore
            | Self::KilledAfter
            | Self::KilledAndJournalLost
            | Self::KilledAndStateLost
            | Self::KilledAndBothLost
            | Self::KilledAndEdited => Signal::Kill,
            Self::Expired | Self::Revoked | Self::RevokedAndKilled => Signal::All(point.cloud, what.clone()),
            Self::PolicyEdited => Signal::Edit(edit_policy),
            Self::RoleEdited => Signal::Edit(edit_role),
            Self::NameTaken => Signal::Edit(take_name),
            Self::Stopped => Signal::Stop,
            _ => Signal::None,
        };
        (Fault { cloud, contains: String::new(), target, skip, times, what }, signal)
    }

    /// Whether it passes by itself, or by asking again: no run may fail because of it.
    pub fn passes(self, point: &Point) -> bool {
        match self {
            Self::Reset
            | Self::ReplyLost
            | Self::Cut
            | Self::HangApplied
            | Self::Throttled
            | Self::Unavailable
            | Self::Failed
            | Self::FailedApplied => true,
            // A change that was not answered is looked for. Whoever is not told anything for a minute is told so.
            Self::Hang => point.changes(),
            Self::KilledBefore
            | Self::KilledAfter
            | Self::KilledAndJournalLost
            | Self::KilledAndStateLost
            | Self::KilledAndBothLost
            | Self::KilledAndEdited
            | Self::ThrottledForEver
            | Self::Expired
            | Self::Denied
            | Self::DeniedAndKilled
            | Self::Revoked
            | Self::RevokedAndKilled
            | Self::PolicyEdited
            | Self::RoleEdited
            | Self::NameTaken
            | Self::Stopped
            // What is decided by a look at what was is decided wrongly.
            | Self::Late => false,
        }
    }

    fn trouble(self, point: &Point) -> Trouble {
        let say = |code, words, applied| status(point, code, words, applied);
        match self {
            Self::KilledBefore | Self::Hang => Trouble::Hang { applied: false },
            Self::KilledAfter
            | Self::HangApplied
            | Self::KilledAndJournalLost
            | Self::KilledAndStateLost
            | Self::KilledAndBothLost
            | Self::KilledAndEdited => Trouble::Hang { applied: true },
            Self::Reset => Trouble::DropBefore,
            Self::ReplyLost => Trouble::DropAfter,
            Self::Cut => Trouble::Cut,
            Self::Throttled | Self::ThrottledForEver => match point.cloud {
                Cloud::Aws if is_s3(point) => say(503, "SlowDown", false),
                Cloud::Aws => say(400, "Throttling", false),
                Cloud::Gcp => say(429, "RESOURCE_EXHAUSTED", false),
                Cloud::Azure => say(429, "TooManyRequests", false),
            },
            Self::Unavailable => match point.cloud {
                Cloud::Gcp => say(503, "UNAVAILABLE", false),
                Cloud::Aws | Cloud::Azure => say(503, "ServiceUnavailable", false),
            },
            Self::Failed | Self::FailedApplied => {
                let words = match point.cloud {
                    Cloud::Aws => "InternalError",
                    Cloud::Gcp => "INTERNAL",
                    Cloud::Azure => "InternalServerError",
                };
                say(500, words, self == Self::FailedApplied)
            }
            Self::Expired => match point.cloud {
                Cloud::Aws => say(400, "ExpiredToken", false),
                Cloud::Gcp => say(401, "UNAUTHENTICATED", false),
                Cloud::Azure => say(401, "ExpiredAuthenticationToken", false),
            },
            Self::Denied | Self::DeniedAndKilled | Self::Revoked | Self::RevokedAndKilled => {
                match point.cloud {
                    Cloud::Aws => say(403, "AccessDenied", false),
                    Cloud::Gcp => say(403, "PERMISSION_DENIED", false),
                    Cloud::Azure => say(403, "AuthorizationFailed", false),
                }
            }
            Self::Late => Trouble::Late,
            Self::PolicyEdited | Self::RoleEdited | Self::NameTaken | Self::Stopped => {
                Trouble::Delay { ms: 1 }
            }
        }
    }
}

fn is_s3(point: &Point) -> bool {
    !point.target.contains(" / ")
}

/// How long a cloud asks to wait when it is asked too often.
pub const RETRY_AFTER_S: u32 = 3;

/// An answer in the words of the point's cloud.
fn status(point: &Point, code: u16, words: &str, applied: bool) -> Trouble {
    let body = match point.cloud {
        Cloud::Aws if is_s3(point) => {
            format!("<?xml version=\"1.0\"?><Error><Code>{words}</Code><Message>on purpose</Message></Error>")
        }
        Cloud::Aws => format!(
            "<ErrorResponse><Error><Type>Sender</Type><Code>{words}</Code><Message>on purpose</Message></Error></ErrorResponse>"
        ),
        Cloud::Gcp => {
            json!({ "error": { "code": code, "status": words, "message": "on purpose" } }).to_string()
        }
        Cloud::Azure => json!({ "error": { "code": words, "message": "on purpose" } }).to_string(),
    };
    let kind = if point.cloud == Cloud::Aws { "text/xml" } else { "application/json" };
    let mut headers = BTreeMap::from([("content-type".to_owned(), kind.to_owned())]);
    if code == 429 {
        headers.insert("retry-after".to_owned(), RETRY_AFTER_S.to_string());
    }
    Trouble::Status { code, body, headers, applied }
}

/// Whom somebody else grants something in the midst of a run.
pub const STRANGER: &str = "user:stranger@example.com";

/// Somebody else grants something on the project.
fn edit_policy(world: &mut World) {
    let (table, key) = ("gcp.policy", "project/lab-project");
    let mut policy = record(world, table, key)
        .unwrap_or_else(|| json!({ "bindings": [], "audit_configs": [], "etag": "" }));
    policy["etag"] = json!("fffffffffffffff1");
    let grant = json!({ "role": "roles/viewer", "members": [STRANGER], "condition": null });
    let Some(bindings) = policy["bindings"].as_array_mut() else { panic!("a policy without bindings") };
    bindings.push(grant);
    world.replay(table, key, Some(policy));
}

/// Somebody else describes a role differently, if it is there.
pub fn edit_role(world: &mut World) {
    if let Some(mut role) = record(world, "aws.iam.role", AUDITOR) {
        role["description"] = json!(EDITED);
        world.replay("aws.iam.role", AUDITOR, Some(role));
    }
}

/// Whether the role is there and described by somebody else.
pub fn is_edited(world: &World) -> bool {
    record(world, "aws.iam.role", AUDITOR).is_some_and(|role| role["description"] == json!(EDITED))
}

fn record(world: &World, table: &str, key: &str) -> Option<serde_json::Value> {
    world.records().find(|(t, k, _)| (*t, *k) == (table, key)).map(|(_, _, json)| json.clone())
}

/// What somebody else calls the role.
const EDITED: &str = "described by somebody else";
/// The role that is edited, or whose name may be taken, and the id of whose it then is.
const AUDITOR: &str = "123456789012/auditor";
const ROLE_OF_STRANGER: &str = "AROASTRANGERSROLE0001";

/// Somebody else makes a role of a name that the stack wants, if there is none.
fn take_name(world: &mut World) {
    if image(world).contains_key(&format!("aws.iam.role {AUDITOR}")) {
        return;
    }
    let role = json!({
        "id": ROLE_OF_STRANGER, "account": "123456789012", "path": "/", "name": "auditor",
        "created": world.now(), "description": "made by somebody else", "max_session": 3600,
        "trust": "{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Allow\",\"Principal\":{\"Service\":\"ec2.amazonaws.com\"},\"Action\":\"sts:AssumeRole\"}]}",
        "boundary": null, "tags": [], "inline": {}, "attached": [],
    });
    world.replay("aws.iam.role-id", ROLE_OF_STRANGER, Some(json!(AUDITOR)));
    world.replay(TAKEN, AUDITOR, Some(role.clone()));
    world.replay("aws.iam.role", AUDITOR, Some(role));
}

/// Takes the stranger's role away again, so that the stack may have the name. `false` if it is not as it was made.
pub fn give_back(world: &mut World) -> bool {
    let Some(made) = record(world, TAKEN, AUDITOR) else { return true };
    let untouched = record(world, "aws.iam.role", AUDITOR) == Some(made);
    world.replay(TAKEN, AUDITOR, None);
    world.replay("aws.iam.role", AUDITOR, None);
    world.replay("aws.iam.role-id", ROLE_OF_STRANGER, None);
    untouched
}
