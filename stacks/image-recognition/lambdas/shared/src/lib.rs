//! What the functions have in common.
//!
//! - [`settings`]: what a function is told by its environment, with every mistake told at once.
//! - [`call`]: one HTTP call with its time limits and retries; every cloud is reached through it.
//! - [`aws`]: requests signed as the function's role; objects of S3, parameters of Systems Manager.
//! - [`post`]: the form by which a browser stores one picture in the bucket.
//! - [`google`]: the function's role exchanged for a token of a Google service account, without any key.
//! - [`firestore`]: documents, written under a precondition.
//! - [`analysis`]: what one function writes about a picture, and another reads.
//! - [`reply`]: answers of the HTTP API, for pages of another origin too.
//! - [`log`]: one line of JSON an event; [`start`]: how long an invocation has.
//!
//! Nothing here keeps a secret anywhere but in a [`secret::Secret`], whose text no log can show.

pub mod analysis;
pub mod aws;
pub mod call;
pub mod endpoint;
pub mod firestore;
pub mod google;
pub mod log;
pub mod picture;
pub mod post;
pub mod reply;
pub mod secret;
pub mod settings;
pub mod start;
#[cfg(feature = "stub")]
pub mod stub;
