//! Tags: what keys and values AWS takes.

use std::sync::LazyLock;

use regex::Regex;

static ALLOWED: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"^[\p{L}\p{Z}\p{N}_.:/=+\-@]*$").ok());

/// No resource has more.
pub(super) const MOST: usize = 50;

/// The pattern in AWS's own words.
pub(super) const PATTERN: &str = r"[\p{L}\p{Z}\p{N}_.:/=+\-@]";

/// Whether a key's length and characters are allowed; the reserved prefix is another matter.
pub(super) fn is_key(key: &str) -> bool {
    (1..=128).contains(&key.chars().count()) && is_allowed(key)
}

/// Whether a value's length and characters are allowed.
pub(super) fn is_value(value: &str) -> bool {
    value.chars().count() <= 256 && is_allowed(value)
}

/// Whether the key is AWS's own to give.
pub(super) fn is_reserved(key: &str) -> bool {
    key.get(..4).is_some_and(|prefix| prefix.eq_ignore_ascii_case("aws:"))
}

fn is_allowed(text: &str) -> bool {
    ALLOWED.as_ref().is_some_and(|regex| regex.is_match(text))
}
