//! The sandbox's server, and its AWS.

mod clients;
mod server;
mod signature;
mod world;
