//! What S3 keeps: buckets, and objects with their versions.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::super::xml::Element;
use super::checksum::Checksum;
use crate::sandbox::{Record, World};

/// A bucket, under its name.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Bucket {
    pub(super) name: String,
    /// Whose it is.
    pub(super) account: String,
    pub(super) region: String,
    pub(super) created: Timestamp,
    /// Configurations by sub-resource, as they are shown.
    pub(super) config: BTreeMap<String, Element>,
    /// The policy, with its principals as they are kept.
    pub(super) policy: Option<String>,
}

impl Record for Bucket {
    const TABLE: &'static str = "aws.s3.bucket";
}

/// What versioning does to objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Versioning {
    /// It was never on.
    Off,
    /// Every write makes a version.
    Enabled,
    /// Writes replace the null version.
    Suspended,
}

impl Bucket {
    /// Keeps it.
    pub(super) fn save(&self, world: &mut World) {
        world.put(&self.name, self);
    }

    pub(super) fn arn(&self) -> String {
        format!("arn:aws:s3:::{}", self.name)
    }

    pub(super) fn versioning(&self) -> Versioning {
        match self.config.get("versioning").and_then(|config| config.value("Status")) {
            Some("Enabled") => Versioning::Enabled,
            Some(_) => Versioning::Suspended,
            None => Versioning::Off,
        }
    }

    /// Whether one of the four public access blocks is on.
    pub(super) fn blocks(&self, name: &str) -> bool {
        self.config.get("publicAccessBlock").and_then(|config| config.value(name)) == Some("true")
    }

    /// Whether access control lists are out of use.
    pub(super) fn enforces_owner(&self) -> bool {
        let rule = self.config.get("ownershipControls").and_then(|config| config.child("Rule"));
        rule.and_then(|rule| rule.value("ObjectOwnership")) == Some("BucketOwnerEnforced")
    }
}

/// All versions of one key, the newest first; under `bucket/key`. There is always one.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Object {
    pub(super) versions: Vec<Version>,
}

impl Record for Object {
    const TABLE: &'static str = "aws.s3.object";
}

/// One version of an object, or a delete marker.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Version {
    /// `null` for those written while versioning was not on.
    pub(super) id: String,
    pub(super) modified: Timestamp,
    /// `None` for a delete marker.
    pub(super) content: Option<Content>,
}

/// What a version holds.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Content {
    /// The name of the bytes.
    pub(super) blob: String,
    pub(super) size: u64,
    /// Without quotes.
    pub(super) etag: String,
    pub(super) checksum: Checksum,
    /// `content-type` and its like, and `x-amz-meta-…`, by lower case name.
    pub(super) headers: BTreeMap<String, String>,
    pub(super) storage_class: String,
    pub(super) encryption: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) tags: Vec<(String, String)>,
    /// How many parts it was uploaded in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) parts: Option<usize>,
}

/// The key of an object's record.
pub(super) fn object_key(bucket: &str, key: &str) -> String {
    format!("{bucket}/{key}")
}

/// Who owns what an account makes: its canonical user id.
pub(super) fn canonical_user(account: &str) -> String {
    use sha2::{Digest, Sha256};
    hex::encode(Sha256::digest(format!("mcm sandbox canonical user {account}")))
}

/// `Owner`, as an element.
pub(super) fn owner(account: &str) -> Element {
    Element::new("Owner").text("ID", canonical_user(account))
}
