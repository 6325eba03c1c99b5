//! What CloudFront keeps: distributions, origin access controls and invalidations.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::super::xml::Element;
use crate::sandbox::{Record, World};

/// A change is deployed everywhere after so long; the real one takes minutes.
const DEPLOYING: SignedDuration = SignedDuration::from_secs(2);
/// Or at this look, for those whose clock stands still.
const LOOKS: u32 = 2;

/// A distribution, under its id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::sandbox::aws) struct Distribution {
    pub(in crate::sandbox::aws) id: String,
    pub(in crate::sandbox::aws) account: String,
    /// `d111111abcdef8.cloudfront.net`.
    pub(in crate::sandbox::aws) domain: String,
    /// New with every change.
    pub(in crate::sandbox::aws) etag: String,
    pub(in crate::sandbox::aws) modified: Timestamp,
    /// How often it was looked at since it was changed.
    pub(in crate::sandbox::aws) looks: u32,
    pub(in crate::sandbox::aws) config: Config,
    /// The whole configuration as it is shown: what `config` says, and all else, with its defaults.
    pub(in crate::sandbox::aws) document: Element,
    pub(in crate::sandbox::aws) tags: BTreeMap<String, String>,
}

impl Record for Distribution {
    const TABLE: &'static str = "aws.cloudfront.distribution";
}

/// What of a distribution decides how a request is answered.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::sandbox::aws) struct Config {
    pub(in crate::sandbox::aws) caller_reference: String,
    pub(in crate::sandbox::aws) comment: String,
    pub(in crate::sandbox::aws) enabled: bool,
    /// `index.html`; empty if there is none.
    pub(in crate::sandbox::aws) default_root_object: String,
    /// Other names that it answers to.
    pub(in crate::sandbox::aws) aliases: Vec<String>,
    pub(in crate::sandbox::aws) origins: Vec<Origin>,
    /// For what no pattern of the others fits; its own pattern is `*`.
    pub(in crate::sandbox::aws) default_behaviour: Behaviour,
    /// In the order in which their patterns are tried.
    pub(in crate::sandbox::aws) behaviours: Vec<Behaviour>,
    pub(in crate::sandbox::aws) error_responses: Vec<ErrorResponse>,
}

/// Where content comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::sandbox::aws) struct Origin {
    pub(in crate::sandbox::aws) id: String,
    /// `BUCKET.s3.REGION.amazonaws.com`, `ID.execute-api.REGION.amazonaws.com`, or any host.
    pub(in crate::sandbox::aws) domain: String,
    /// Put before every path; empty, or `/…`.
    pub(in crate::sandbox::aws) path: String,
    /// The id of the control by which requests are signed.
    pub(in crate::sandbox::aws) access_control: Option<String>,
    /// Whether it is a bucket's REST endpoint. Otherwise it is any server.
    pub(in crate::sandbox::aws) is_s3: bool,
    pub(in crate::sandbox::aws) headers: BTreeMap<String, String>,
}

/// How requests for some paths are answered.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::sandbox::aws) struct Behaviour {
    /// `/api/*`.
    pub(in crate::sandbox::aws) pattern: String,
    /// The origin's id.
    pub(in crate::sandbox::aws) origin: String,
    /// `allow-all`, `redirect-to-https` or `https-only`.
    pub(in crate::sandbox::aws) viewer_protocol: String,
    pub(in crate::sandbox::aws) methods: Vec<String>,
    pub(in crate::sandbox::aws) cached_methods: Vec<String>,
    pub(in crate::sandbox::aws) compress: bool,
    /// The id of the cache policy.
    pub(in crate::sandbox::aws) cache_policy: Option<String>,
    /// The id of the origin request policy.
    pub(in crate::sandbox::aws) request_policy: Option<String>,
    /// The id of the response headers policy.
    pub(in crate::sandbox::aws) response_policy: Option<String>,
    /// Seconds, where there is no cache policy: least, usual and most.
    pub(in crate::sandbox::aws) ttl_s: Option<(u64, u64, u64)>,
    /// What origins are told, where there is no cache policy.
    #[serde(default)]
    pub(in crate::sandbox::aws) legacy: Option<Legacy>,
}

/// `ForwardedValues`, as it was said before there were policies.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::sandbox::aws) struct Legacy {
    pub(in crate::sandbox::aws) query: bool,
    pub(in crate::sandbox::aws) cookies: bool,
    /// Names; `*` is all.
    pub(in crate::sandbox::aws) headers: Vec<String>,
}

/// What is answered where the origin answers an error.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::sandbox::aws) struct ErrorResponse {
    pub(in crate::sandbox::aws) code: u16,
    /// The page shown instead, and its status.
    pub(in crate::sandbox::aws) page: Option<(String, u16)>,
    /// How long the error is kept, in seconds.
    pub(in crate::sandbox::aws) ttl_s: u64,
}

/// An origin access control, under its id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::sandbox::aws) struct AccessControl {
    pub(in crate::sandbox::aws) id: String,
    pub(in crate::sandbox::aws) account: String,
    pub(in crate::sandbox::aws) etag: String,
    pub(in crate::sandbox::aws) name: String,
    pub(in crate::sandbox::aws) description: String,
    /// `always`, `never` or `no-override`.
    pub(in crate::sandbox::aws) signing: String,
    /// `s3` or `lambda` and others.
    pub(in crate::sandbox::aws) origin_type: String,
}

impl Record for AccessControl {
    const TABLE: &'static str = "aws.cloudfront.origin-access-control";
}

/// An invalidation, under `DISTRIBUTION/ID`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::sandbox::aws) struct Invalidation {
    pub(in crate::sandbox::aws) id: String,
    pub(in crate::sandbox::aws) distribution: String,
    /// What was kept before is not shown any more.
    pub(in crate::sandbox::aws) created: Timestamp,
    pub(in crate::sandbox::aws) looks: u32,
    pub(in crate::sandbox::aws) caller_reference: String,
    /// `/index.html`, `/images/*`.
    pub(in crate::sandbox::aws) paths: Vec<String>,
}

impl Record for Invalidation {
    const TABLE: &'static str = "aws.cloudfront.invalidation";
}

impl Distribution {
    /// Its ARN, as a bucket's policy names it.
    pub(in crate::sandbox::aws) fn arn(&self) -> String {
        format!("arn:aws:cloudfront::{}:distribution/{}", self.account, self.id)
    }

    /// Whether its last change is in effect everywhere.
    pub(in crate::sandbox::aws) fn is_deployed(&self, now: Timestamp) -> bool {
        self.looks >= LOOKS || now.duration_since(self.modified) >= DEPLOYING
    }

    /// Keeps it.
    pub(in crate::sandbox::aws) fn save(&self, world: &mut World) {
        world.put(&self.id, self);
    }
}

impl Invalidation {
    /// Whether it has been carried out.
    pub(in crate::sandbox::aws) fn is_complete(&self, now: Timestamp) -> bool {
        self.looks >= LOOKS || now.duration_since(self.created) >= DEPLOYING
    }
}

/// The distribution that answers to a host's name.
pub(in crate::sandbox::aws) fn by_host(world: &World, host: &str) -> Option<Distribution> {
    let all = world.list::<Distribution>("").into_iter().map(|(_, found)| found);
    let mut all =
        all.filter(|found| found.domain == host || found.config.aliases.iter().any(|alias| alias == host));
    all.next()
}
