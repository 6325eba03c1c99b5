//! Plans, progress and diagnostics for people. The only room that prints.

pub mod diagnostics;
pub mod plan;
