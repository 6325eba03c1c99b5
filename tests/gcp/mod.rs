//! Google Cloud: the sandbox's rules, the provider against the sandbox, and Google's own client as a judge.

mod judges;
mod lab;
mod provider;
mod sandbox;
