//! What a person or a pipeline sees: texts, exit codes, files.

pub mod binary;
mod failures;
mod functions;
mod rename;
mod rendering;
mod road;
mod saved;
mod store;
mod trust;
mod trust_live;
mod usage;
