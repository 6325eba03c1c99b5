//! Google Cloud: the sandbox's rules, and the provider against the sandbox.

mod provider;
mod sandbox;
