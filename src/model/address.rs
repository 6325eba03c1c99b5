//! The stable, user-visible identity of a resource within a stack.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// The path of a resource in its stack file: `resources.lambda-role`, or `trust.to-gcp.pool` for a
/// part that an expansion made.
///
/// Never a cloud's own name and never a position in a list: renaming a bucket keeps its address.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Address(Arc<str>);

/// Why a text is no address.
#[derive(Debug, thiserror::Error)]
#[error(
    "`{0}` is not an address: expected lower-case words of letters, digits and `-`, joined by `.`, such as `resources.lambda-role`"
)]
pub struct InvalidAddress(String);

impl Address {
    /// The address of an entry of the `resources` section.
    pub fn resource(name: &str) -> Self {
        Self(format!("resources.{name}").into())
    }

    /// The address of a part made by expanding an entry of `section`: `trust.to-gcp.pool`.
    pub fn part(section: &str, entry: &str, part: &str) -> Self {
        Self(format!("{section}.{entry}.{part}").into())
    }

    /// The address of a part that all entries of `section` share: `functions.deployment`.
    pub fn shared(section: &str, part: &str) -> Self {
        Self(format!("{section}.{part}").into())
    }

    /// Reads an address as a user types it; a bare name means an entry of `resources`.
    pub fn parse(text: &str) -> Result<Self, InvalidAddress> {
        let word = |w: &str| {
            w.starts_with(|c: char| c.is_ascii_alphanumeric())
                && w.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
        };
        if text.len() > 200 || !text.split('.').all(word) {
            return Err(InvalidAddress(text.to_owned()));
        }
        Ok(if text.contains('.') { Self(text.into()) } else { Self::resource(text) })
    }

    /// The whole address as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The last word: the name the user gave, or the part's.
    pub fn name(&self) -> &str {
        self.0.rsplit('.').next().unwrap_or(&self.0)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for Address {
    type Error = InvalidAddress;
    fn try_from(text: String) -> Result<Self, InvalidAddress> {
        Self::parse(&text)
    }
}

impl From<Address> for String {
    fn from(address: Address) -> Self {
        address.0.to_string()
    }
}
