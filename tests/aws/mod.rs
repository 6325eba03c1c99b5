//! The sandbox's server, and its AWS.

mod server;
mod world;
