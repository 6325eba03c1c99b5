//! Plans, progress and diagnostics for people, and the same for programs. The only room that prints.
//!
//! - Results go to stdout, all else to stderr (`print`).
//! - Nothing a cloud or a file said reaches a terminal or a pipeline's log unescaped ([`text`]).
//! - Colour only adds: every line means the same without it ([`Style`]).
//! - Rendering is pure: text out of a plan, an event or an error. What prints it is `cli`.

pub mod build;
pub mod diagnostics;
pub mod error;
pub mod graph;
pub mod json;
pub mod logs;
pub mod outputs;
pub mod plan;
pub mod print;
pub mod progress;
mod style;
pub mod summary;
pub mod text;
pub mod trust;
mod value;

pub use style::Style;
