//! Google Cloud: the sandbox's rules, the provider against the sandbox, and Google's own client as a judge.

mod exchange;
mod federation;
mod judges;
mod lab;
mod provider;
mod sandbox;
mod thing;
