//! Sessions of assumed roles: temporary credentials, and who bears them.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::iam::{self, Role, role_by_arn, role_by_id, role_by_name};
use super::sigv4::Refused;
use super::{Caller, ID_ALPHABET};
use crate::sandbox::{Record, World};

/// A session; its key is the id of its access key.
#[derive(Serialize, Deserialize)]
struct Session {
    account: String,
    /// The role's unique id: a role that is made anew under the same name is another one.
    role_id: String,
    name: String,
    secret: String,
    token: String,
    expires: Timestamp,
    /// Since when, if it was kept.
    #[serde(default)]
    issued: Option<Timestamp>,
    /// What it may do at most, if that was said.
    #[serde(default)]
    policy: Option<String>,
}

impl Record for Session {
    const TABLE: &'static str = "aws.sts.session";
}

/// A caller's role and session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Assumed {
    /// The role's name, without its path.
    pub(super) role: String,
    /// The role's unique id.
    pub(super) id: String,
    /// The role's ARN, with its path.
    pub(super) role_arn: String,
    /// The role's tags.
    pub(super) tags: Vec<(String, String)>,
    /// Whether the role has a boundary.
    pub(super) bounded: bool,
    /// The session's name.
    pub(super) name: String,
    /// When the session was opened, if that is known.
    pub(super) issued: Option<Timestamp>,
    /// What the session may do at most, if that was said.
    pub(super) policy: Option<String>,
}

/// Temporary credentials of a role.
#[derive(Clone, Debug)]
pub struct Keys {
    /// `ASIA…`
    pub access_key_id: String,
    /// What signs.
    pub secret_access_key: String,
    /// Goes along with every request, as `x-amz-security-token`.
    pub session_token: String,
    /// The end of the session.
    pub expiration: Timestamp,
}

/// Opens a session of a role, as the services do that run something as it. Whether the role's trust policy admits
/// whoever asks is the asker's to find out. `None` if there is no such role.
pub fn assume(world: &mut World, role_arn: &str, name: &str, lasts: SignedDuration) -> Option<Keys> {
    let role = role_by_arn(world, role_arn)?;
    Some(open(world, &role, name, lasts, None))
}

/// As [`assume`], by the role's name alone.
pub fn assume_named(
    world: &mut World,
    account: &str,
    role: &str,
    name: &str,
    lasts: SignedDuration,
) -> Option<Keys> {
    let role = role_by_name(world, account, role)?;
    Some(open(world, &role, name, lasts, None))
}

/// Opens a session, which may do no more than a policy says.
pub(super) fn open(
    world: &mut World,
    role: &Role,
    name: &str,
    lasts: SignedDuration,
    policy: Option<String>,
) -> Keys {
    const SECRET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let now = world.now();
    for (key, _) in world.list::<Session>("").into_iter().filter(|(_, session)| session.expires <= now) {
        world.remove::<Session>(&key);
    }
    let keys = Keys {
        access_key_id: format!("ASIASBOX{}", world.word(12, ID_ALPHABET)),
        secret_access_key: world.secret(40, SECRET),
        session_token: format!("IQoJb3JpZ2luX2Vj{}", world.secret(320, SECRET)),
        expiration: now.saturating_add(lasts).unwrap_or(now),
    };
    let session = Session {
        account: role.account.clone(),
        role_id: role.id.clone(),
        name: name.to_owned(),
        secret: keys.secret_access_key.clone(),
        token: keys.session_token.clone(),
        expires: keys.expiration,
        issued: Some(now),
        policy,
    };
    world.put(&keys.access_key_id, &session);
    keys
}

/// The secret of a session's access key.
pub(super) fn secret(world: &World, access_key: &str) -> Option<String> {
    world.get::<Session>(access_key).map(|session| session.secret)
}

/// Who bears an access key of a session, if the token that goes along is the session's.
pub(super) fn bearer(world: &World, access_key: &str, token: Option<&str>) -> Result<Caller, Refused> {
    let session = world.get::<Session>(access_key).ok_or(Refused::InvalidToken)?;
    let role = role_by_id(world, &session.role_id).ok_or(Refused::InvalidToken)?;
    if token != Some(session.token.as_str()) {
        return Err(Refused::InvalidToken);
    }
    if session.expires <= world.now() {
        return Err(Refused::ExpiredToken);
    }
    Ok(Caller {
        account: session.account,
        access_key: access_key.to_owned(),
        assumed: Some(Assumed { policy: session.policy, ..assumed(&role, &session.name, session.issued) }),
    })
}

/// A session of a role, by its name.
pub(super) fn assumed(role: &Role, name: &str, issued: Option<Timestamp>) -> Assumed {
    Assumed {
        role: role.name.clone(),
        id: role.id.clone(),
        role_arn: role.arn(),
        tags: iam::role_tags_of(role),
        bounded: iam::is_bounded(role),
        name: name.to_owned(),
        issued,
        policy: None,
    }
}
