//! CloudFormation's calls.

pub(super) mod changes;
pub(super) mod describe;
pub(super) mod life;
pub(super) mod look;
mod request;
