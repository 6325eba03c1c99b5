//! What somebody wants to do, and all that is known of it: what policies are judged by.

use jiff::Timestamp;

use crate::sandbox::World;

/// What somebody wants to do.
#[derive(Clone, Copy, Debug)]
pub(in crate::sandbox::aws) struct Ask<'a> {
    /// The caller; `None` for everybody who signed nothing, and for services.
    pub(in crate::sandbox::aws) caller: Option<&'a Asker>,
    /// `s3:GetObject`.
    pub(in crate::sandbox::aws) action: &'a str,
    /// The ARN of the bucket, the object, the function, the role.
    pub(in crate::sandbox::aws) resource: &'a str,
    /// The service of AWS that asks, where one does on its own.
    pub(in crate::sandbox::aws) service: Option<Service<'a>>,
    /// What else is known.
    pub(in crate::sandbox::aws) facts: &'a Facts,
}

/// A caller, as policies see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::sandbox::aws) struct Asker {
    /// The ARN: of a user, or of a role's session.
    pub(in crate::sandbox::aws) arn: String,
    pub(in crate::sandbox::aws) account: String,
    /// The unique id; a session's is its role's, a colon and its name.
    pub(in crate::sandbox::aws) id: String,
    /// The ARN of the role whose session it is.
    pub(in crate::sandbox::aws) role: Option<String>,
    /// The role's tags.
    pub(in crate::sandbox::aws) tags: Vec<(String, String)>,
    /// When the session was opened, if that is known.
    pub(in crate::sandbox::aws) issued: Option<Timestamp>,
    /// Whether the role has a boundary.
    pub(in crate::sandbox::aws) bounded: bool,
}

/// A service of AWS, and on behalf of what it asks.
#[derive(Clone, Copy, Debug)]
pub(in crate::sandbox::aws) struct Service<'a> {
    /// `s3.amazonaws.com`.
    pub(in crate::sandbox::aws) principal: &'a str,
    /// The ARN of the bucket, the API or the distribution.
    pub(in crate::sandbox::aws) source_arn: &'a str,
    /// Whose that is.
    pub(in crate::sandbox::aws) source_account: &'a str,
}

/// What is known of a request besides who, what and on what.
#[derive(Clone, Debug)]
pub(in crate::sandbox::aws) struct Facts {
    /// When.
    pub(in crate::sandbox::aws) now: Timestamp,
    /// Whether it would have come by TLS: all but what the endpoints of web sites are asked.
    pub(in crate::sandbox::aws) secure: bool,
    /// Further keys of conditions, in lower case.
    more: Vec<(String, String)>,
}

impl Facts {
    /// What every request has: the time, the region that is asked, the account whose the thing is; over TLS, for which
    /// loopback stands.
    pub(in crate::sandbox::aws) fn new(world: &World, region: &str, owner: &str) -> Self {
        let facts = Self { now: world.now(), secure: true, more: Vec::new() };
        facts.with("aws:RequestedRegion", region).with("aws:ResourceAccount", owner)
    }

    /// Adds a key.
    #[must_use]
    pub(in crate::sandbox::aws) fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.more.push((name.to_ascii_lowercase(), value.into()));
        self
    }

    /// Adds a key, if it has a value.
    #[must_use]
    pub(in crate::sandbox::aws) fn maybe(self, name: &str, value: Option<impl Into<String>>) -> Self {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    /// The value of a key, named in lower case.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.more.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}
