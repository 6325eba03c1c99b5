//! What the session of a role may do: what the role's own policies allow, within its boundary and the session's policy,
//! and what the policy of the thing itself says.
//!
//! Facts: IAM's "Policy evaluation logic" and "Permissions boundaries for IAM entities". An account's administrator may do
//! all in its account. Not played: policies of organisations, tags of sessions, and what CloudFormation makes on behalf of
//! a role: that is not judged once more.

use std::fmt;

use serde_json::Value as Json;

use super::iam;
use super::policy::{Ask, Asker, Facts, Reach, Verdict, evaluate, evaluate_own};
use super::{Caller, session};
use crate::sandbox::World;

/// What a caller wants to do with something.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wish<'a> {
    /// `s3:GetObject`.
    pub(super) action: &'a str,
    /// The ARN of the thing.
    pub(super) resource: &'a str,
    /// The account whose thing it is.
    pub(super) owner: &'a str,
    /// The thing's own policy, as it is kept.
    pub(super) policy: Option<&'a Json>,
    pub(super) facts: &'a Facts,
}

impl<'a> Wish<'a> {
    /// To let a service act as a role.
    pub(super) fn passing(role: &'a str, owner: &'a str, facts: &'a Facts) -> Self {
        Self { action: "iam:PassRole", resource: role, owner, policy: None, facts }
    }
}

/// Why a caller may not do something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Why {
    reason: String,
    /// The caller's policies whose documents the sandbox does not have, where the real cloud might have said yes.
    unplayed: Vec<String>,
}

impl Why {
    /// What the real cloud would not say, if there is such.
    pub(super) fn remark(&self) -> String {
        match self.unplayed.as_slice() {
            [] => String::new(),
            names => format!(" (the sandbox does not know what {} allows)", names.join(" and ")),
        }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "{}{}", self.reason, self.remark())
    }
}

impl Caller {
    /// The caller as policies see it.
    pub(super) fn asker(&self) -> Asker {
        let assumed = self.assumed.as_ref();
        Asker {
            arn: self.arn(),
            account: self.account.clone(),
            id: self.user_id(),
            role: assumed.map(|assumed| assumed.role_arn.clone()),
            tags: assumed.map(|assumed| assumed.tags.clone()).unwrap_or_default(),
            issued: assumed.and_then(|assumed| assumed.issued),
            bounded: assumed.is_some_and(|assumed| assumed.bounded),
        }
    }
}

/// Refuses a caller that may not do something, in AWS's words.
pub(super) fn permit(world: &World, caller: &Caller, wish: Wish<'_>) -> Result<(), String> {
    let Wish { action, resource, .. } = wish;
    judge(world, caller, wish).map_err(|why| {
        let caller = caller.arn();
        format!("User: {caller} is not authorized to perform: {action} on resource: {resource} {why}")
    })
}

/// Why a caller may not do something.
pub(super) fn judge(world: &World, caller: &Caller, wish: Wish<'_>) -> Result<(), Why> {
    let Wish { action, resource, owner, policy, facts } = wish;
    let asker = caller.asker();
    let ask = Ask { caller: Some(&asker), action, resource, service: None, facts };
    let by_thing = policy.map_or(Verdict::Silent, |policy| evaluate(policy, ask));
    let denied =
        |what: &str| Err(Why { reason: format!("with an explicit deny in {what}"), unplayed: Vec::new() });
    let silent = |what: &str| {
        let unplayed = caller.assumed.as_ref().map(|assumed| unplayed(world, assumed)).unwrap_or_default();
        Err(Why { reason: format!("because no {what} allows the {action} action"), unplayed })
    };
    if by_thing == Verdict::Denied {
        return denied("a resource-based policy");
    }
    let own = caller.account == owner;
    let Some(assumed) = &caller.assumed else {
        return if own || by_thing.allows() { Ok(()) } else { silent("resource-based policy") };
    };
    let documents = Documents::of(world, assumed);
    let identity = documents.identity(ask);
    let boundary = documents.boundary.as_ref().map(|boundary| evaluate_own(boundary, ask));
    let session = documents.session.as_ref().map(|session| evaluate_own(session, ask));
    for (verdict, what) in [
        (Some(identity), "an identity-based policy"),
        (boundary, "a permissions boundary"),
        (session, "a session policy"),
    ] {
        if verdict == Some(Verdict::Denied) {
            return denied(what);
        }
    }
    match by_thing {
        // The session itself is named, or everybody: neither boundary nor session need say so too.
        Verdict::Allowed(Reach::Itself) if own => return Ok(()),
        Verdict::Allowed(Reach::Role) if own => {}
        Verdict::Silent | Verdict::Denied if !own => return silent("resource-based policy"),
        Verdict::Allowed(_) | Verdict::Silent | Verdict::Denied if identity.allows() => {}
        Verdict::Allowed(_) | Verdict::Silent | Verdict::Denied => return silent("identity-based policy"),
    }
    if boundary.is_some_and(|verdict| !verdict.allows()) {
        return silent("permissions boundary");
    }
    if session.is_some_and(|verdict| !verdict.allows()) {
        return silent("session policy");
    }
    Ok(())
}

/// Whether a role, on its own account and not within any session, may do something: what services do as it.
pub(super) fn lets_role(world: &World, role: &iam::Role, wish: Wish<'_>) -> bool {
    let assumed = session::assumed(role, "service", Some(world.now()));
    let caller = Caller { account: role.account.clone(), access_key: String::new(), assumed: Some(assumed) };
    judge(world, &caller, wish).is_ok()
}

/// The policies that are the caller's own.
struct Documents {
    identity: Vec<Json>,
    boundary: Option<Json>,
    session: Option<Json>,
}

impl Documents {
    fn of(world: &World, assumed: &session::Assumed) -> Self {
        // What is no document allows nothing.
        let read = |text: String| serde_json::from_str::<Json>(&text).unwrap_or_default();
        let role = iam::role_by_id(world, &assumed.id);
        let held = role.as_ref().map(|role| iam::documents(world, role)).unwrap_or_default();
        Self {
            identity: held.into_iter().map(read).collect(),
            boundary: role.as_ref().and_then(|role| iam::boundary(world, role)).map(read),
            session: assumed.policy.clone().map(read),
        }
    }

    fn identity(&self, ask: Ask<'_>) -> Verdict {
        let mut whole = Verdict::Silent;
        for document in &self.identity {
            match evaluate_own(document, ask) {
                Verdict::Denied => return Verdict::Denied,
                Verdict::Allowed(reach) => whole = Verdict::Allowed(reach),
                Verdict::Silent => {}
            }
        }
        whole
    }
}

/// Which of AWS's own policies the role has whose documents the sandbox does not have.
fn unplayed(world: &World, assumed: &session::Assumed) -> Vec<String> {
    iam::role_by_id(world, &assumed.id).map(|role| iam::unplayed(&role)).unwrap_or_default()
}
