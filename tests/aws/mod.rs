//! The sandbox's server, and its AWS.

mod clients;
mod cloudformation;
mod cloudformation_parts;
mod edits;
mod kill;
mod permission_facts;
mod permissions;
mod server;
mod signature;
mod world;
