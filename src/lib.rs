//! # mcm: one stack over three clouds
//!
//! ## The rooms
//! - [`model`]: the vocabulary, and the ports between rooms. No I/O, no runtime.
//! - [`stack`]: YAML -> [`model::Stack`], with every mistake told at once.
//! - [`trust`]: a trust edge between clouds -> the resources that make it.
//! - [`lambda`]: a Rust package -> an artifact; the functions of a stack -> the resources that deploy them.
//! - [`engine`]: observe -> plan -> approve -> apply, and undo. Knows no cloud and no resource type.
//! - [`provider`]: the clouds; one file per resource type.
//! - [`store`]: what a stack owns, durably, and the lock on it.
//! - [`ui`]: plans, progress and diagnostics for people. The only room that prints.
//! - `sandbox`: three clouds in a box, behind the cargo feature of the same name.
//! - [`cli`]: one file per command. The only room that wires rooms together.
//!
//! ## The main road
//! `cli/apply.rs` reads it aloud: [`stack::parse`] -> [`engine::observe`] -> [`engine::plan`] ->
//! [`ui::plan::render`] -> [`engine::approve`] -> [`engine::apply`].
//!
//! ## The laws
//! 1. Every room may import `model`; only `cli` imports other rooms. `aws`, `gcp` and `azure` never see each
//!    other. `provider` knows the sandbox only as an endpoint.
//! 2. The engine knows no cloud and no resource type; a provider knows no plan; the model knows no I/O. Trusts
//!    and functions are expanded into resources before the engine sees them.
//! 3. The plan decides, apply obeys.
//! 4. Identity is the [`model::Address`].
//! 5. A new resource type touches one provider file, one line in its cloud's table, one sandbox file, one
//!    golden folder.
//! 6. The preview is the thing: there is no dry run beside the real one.
//! 7. `tests/tidy` enforces what of this a machine can check.

pub mod cli;
pub mod engine;
pub mod lambda;
pub mod model;
pub mod provider;
#[cfg(feature = "sandbox")]
pub mod sandbox;
pub mod stack;
pub mod store;
pub mod trust;
pub mod ui;
