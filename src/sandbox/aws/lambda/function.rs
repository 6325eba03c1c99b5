//! What Lambda keeps: functions with their versions, aliases and permissions.
//!
//! A function's bytes are its own: a blob that stays when the object it came from is replaced or deleted.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::sandbox::{Record, World};

/// What is not a published version.
pub(in crate::sandbox::aws) const LATEST: &str = "$LATEST";
/// A new or changed function is ready after so long.
const SETTLING: SignedDuration = SignedDuration::from_secs(1);
/// Or at this look, for those whose clock stands still.
const LOOKS: u32 = 2;

/// A function, under `ACCOUNT/REGION/NAME`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::sandbox::aws) struct Function {
    pub(in crate::sandbox::aws) account: String,
    pub(in crate::sandbox::aws) region: String,
    pub(in crate::sandbox::aws) name: String,
    /// What an unqualified call meets.
    pub(in crate::sandbox::aws) latest: Configuration,
    /// Published versions by number; they never change.
    pub(in crate::sandbox::aws) versions: BTreeMap<u64, Configuration>,
    /// The next number to be given; numbers of deleted versions are not given again.
    pub(in crate::sandbox::aws) next_version: u64,
    pub(in crate::sandbox::aws) aliases: BTreeMap<String, Alias>,
    /// The statements of the resource policies, by qualifier: a version, an alias, or empty for the function itself.
    pub(in crate::sandbox::aws) policies: BTreeMap<String, Vec<Json>>,
    pub(in crate::sandbox::aws) tags: BTreeMap<String, String>,
    /// Set while the latest configuration is not yet in effect.
    pub(in crate::sandbox::aws) settling: Option<Settling>,
}

impl Record for Function {
    const TABLE: &'static str = "aws.lambda.function";
}

/// Code and settings of `$LATEST` or of a version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::sandbox::aws) struct Configuration {
    /// `$LATEST`, or the number.
    pub(in crate::sandbox::aws) version: String,
    pub(in crate::sandbox::aws) description: String,
    /// The ARN of the execution role.
    pub(in crate::sandbox::aws) role: String,
    pub(in crate::sandbox::aws) runtime: String,
    pub(in crate::sandbox::aws) handler: String,
    /// `x86_64` or `arm64`.
    pub(in crate::sandbox::aws) architecture: String,
    pub(in crate::sandbox::aws) memory_mb: u32,
    pub(in crate::sandbox::aws) timeout_s: u32,
    /// Of `/tmp`.
    pub(in crate::sandbox::aws) storage_mb: u32,
    pub(in crate::sandbox::aws) environment: BTreeMap<String, String>,
    pub(in crate::sandbox::aws) code: Code,
    pub(in crate::sandbox::aws) log_group: String,
    /// `Text` or `JSON`.
    pub(in crate::sandbox::aws) log_format: String,
    /// `PassThrough` or `Active`.
    pub(in crate::sandbox::aws) tracing: String,
    pub(in crate::sandbox::aws) modified: Timestamp,
    /// New with every change.
    pub(in crate::sandbox::aws) revision: String,
}

/// The zip of a function.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::sandbox::aws) struct Code {
    /// The object it was taken from, if it was: bucket, key, and the version asked for.
    pub(in crate::sandbox::aws) source: Option<(String, String, Option<String>)>,
    /// Its bytes: the name of a blob, which is their SHA-256 digest in hexadecimal.
    pub(in crate::sandbox::aws) blob: String,
    pub(in crate::sandbox::aws) size: u64,
}

/// A name for a version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::sandbox::aws) struct Alias {
    pub(in crate::sandbox::aws) name: String,
    /// `$LATEST`, or a number.
    pub(in crate::sandbox::aws) version: String,
    pub(in crate::sandbox::aws) description: String,
    /// Further versions, and the share of calls that each of them gets, in percent.
    pub(in crate::sandbox::aws) weights: BTreeMap<String, u32>,
    pub(in crate::sandbox::aws) revision: String,
}

/// A configuration that comes into effect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::sandbox::aws) struct Settling {
    pub(in crate::sandbox::aws) since: Timestamp,
    pub(in crate::sandbox::aws) looks: u32,
    /// Whether the function is new: `Pending`. Otherwise its update is `InProgress`.
    pub(in crate::sandbox::aws) new: bool,
}

impl Function {
    /// The function's ARN, without a qualifier.
    pub(in crate::sandbox::aws) fn arn(&self) -> String {
        format!("arn:aws:lambda:{}:{}:function:{}", self.region, self.account, self.name)
    }

    /// The ARN with a qualifier, or without if it is empty.
    pub(in crate::sandbox::aws) fn qualified_arn(&self, qualifier: &str) -> String {
        if qualifier.is_empty() { self.arn() } else { format!("{}:{qualifier}", self.arn()) }
    }

    /// What a version, an alias, or nothing (the latest) stands for. Weights of an alias are not drawn here.
    pub(in crate::sandbox::aws) fn resolve(&self, qualifier: &str) -> Option<&Configuration> {
        if qualifier.is_empty() || qualifier == LATEST {
            return Some(&self.latest);
        }
        if let Ok(number) = qualifier.parse::<u64>() {
            return self.versions.get(&number);
        }
        let alias = self.aliases.get(qualifier)?;
        if alias.version == LATEST {
            return Some(&self.latest);
        }
        self.versions.get(&alias.version.parse().ok()?)
    }

    /// Whether the latest configuration is in effect.
    pub(in crate::sandbox::aws) fn is_ready(&self, now: Timestamp) -> bool {
        self.settling
            .as_ref()
            .is_none_or(|settling| settling.looks >= LOOKS || now.duration_since(settling.since) >= SETTLING)
    }

    /// Keeps it.
    pub(in crate::sandbox::aws) fn save(&self, world: &mut World) {
        world.put(&key(&self.account, &self.region, &self.name), self);
    }
}

/// The key of a function's record.
pub(in crate::sandbox::aws) fn key(account: &str, region: &str, name: &str) -> String {
    format!("{account}/{region}/{name}")
}

/// The function of that name.
pub(in crate::sandbox::aws) fn find(
    world: &World,
    account: &str,
    region: &str,
    name: &str,
) -> Option<Function> {
    world.get(&key(account, region, name))
}

/// The function of an ARN, and the ARN's qualifier, empty if it has none.
pub(in crate::sandbox::aws) fn by_arn(world: &World, arn: &str) -> Option<(Function, String)> {
    let rest = arn.strip_prefix("arn:aws:lambda:")?;
    let fields = rest.splitn(5, ':').collect::<Vec<_>>();
    let [region, account, "function", name, qualifier @ ..] = fields.as_slice() else { return None };
    let qualifier = qualifier.first().copied().unwrap_or_default();
    Some((find(world, account, region, name)?, qualifier.to_owned()))
}
