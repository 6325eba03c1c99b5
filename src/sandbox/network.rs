//! What one cloud sends to another. The clouds do not see each other: they see the names of each other's hosts.

use super::{Request, Response, World, aws};

/// Sends a request to a host of another cloud; `None` if the sandbox has no such host.
pub(super) fn send(world: &mut World, host: &str, request: &Request) -> Option<Response> {
    is_aws_sts(host).then(|| aws::handle(world, request))
}

/// `sts.amazonaws.com`, `sts.REGION.amazonaws.com`.
fn is_aws_sts(host: &str) -> bool {
    let Some(region) = host.strip_prefix("sts.").and_then(|rest| rest.strip_suffix("amazonaws.com")) else {
        return false;
    };
    let label = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    region.is_empty()
        || region.strip_suffix('.').is_some_and(|region| !region.is_empty() && region.bytes().all(label))
}
