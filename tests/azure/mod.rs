//! Azure: the sandbox's rules by direct calls, the provider against the sandbox, and Microsoft's own clients as
//! judges of it.

mod judges;
mod provider;
mod refusals;
mod sandbox;
mod vision;
mod world;

/// The subscription of these tests.
pub const SUBSCRIPTION: &str = "11111111-2222-4333-8444-555555555555";
