//! What is planned for every property of every resource type, and for whole stacks.

mod edits;
mod properties;
