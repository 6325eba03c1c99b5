//! The sandbox's server, and its AWS.

mod clients;
mod edits;
mod kill;
mod server;
mod signature;
mod world;
