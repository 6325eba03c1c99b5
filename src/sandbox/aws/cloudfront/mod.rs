//! CloudFront: distributions.

pub(super) mod distribution;
