//! Three clouds in a box: strict as the real ones, over their real wire protocols.
//!
//! One [`World`] (deterministic: clock and randomness come from outside) under thin wire adapters, one per
//! service: `fn(&mut World, &Request) -> Response`, synchronous and without I/O. Transports carry them: loopback
//! sockets for any client, and direct calls for simulation. Where an answer is a function's to give, the adapter says
//! which ([`aws::Invocation`]), and whoever serves runs it, outside of the world, and brings its outcome back.

pub mod aws;
pub mod azure;
mod blobs;
mod browsers;
mod credentials;
mod faults;
mod files;
mod functions;
pub mod gcp;
mod log;
mod network;
pub mod proof;
mod server;
mod simulation;
mod transport;
mod world;

pub use blobs::Blobs;
pub use credentials::{AZURE_PREFIX, Credentials, GCP_PREFIX};
pub use faults::{Fault, Traffic, Trouble, Wire};
pub use log::Log;
pub use server::{AZURE_TENANT, Endpoints, Options, SandboxError, Session, project_number};
pub use simulation::Simulation;
pub use world::{Accounts, Change, Clock, Record, World};

/// A request as every adapter sees it: path and query as sent, body whole.
pub type Request = http::Request<bytes::Bytes>;
/// An adapter's answer.
pub type Response = http::Response<bytes::Bytes>;
