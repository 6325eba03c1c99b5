//! The one test binary. Each folder beside this file is one concern.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod aws;
mod azure;
mod cli;
mod crash;
mod emulators;
mod engine;
mod faults;
mod functions;
mod gcp;
mod golden;
mod inputs;
mod lambda;
mod remote;
mod support;
mod tidy;
mod trouble;
