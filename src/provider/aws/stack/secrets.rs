//! A digest over the values of `NoEcho` parameters, to tell whether they are still the desired ones.
//!
//! Whoever may look at the stack sees it, so it is salted anew with each write and stretched: a weak password costs as
//! much to guess from it as from a well-kept password file.

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use ring::pbkdf2;

use super::super::error::refusal;
use crate::model::{CloudError, ErrorKind};

/// The tag that holds it.
pub(super) const TAG: &str = "mcm:secrets";

/// As OWASP recommends for PBKDF2 with HMAC-SHA-256.
const ROUNDS: NonZeroU32 = NonZeroU32::new(600_000).unwrap();

/// The digest of some values under a new salt: `1.SALT.DIGEST`.
pub(in super::super) fn seal(values: &BTreeMap<&str, &str>) -> Result<String, CloudError> {
    let mut salt = [0; 16];
    getrandom::fill(&mut salt).map_err(|why| {
        refusal("cloudformation:CreateChangeSet", ErrorKind::Invalid, format!("no random numbers: {why}"))
    })?;
    Ok(format!("1.{}.{}", hex::encode(salt), hex::encode(digest(values, &salt))))
}

/// Whether a digest is that of these values.
pub(in super::super) fn fits(sealed: &str, values: &BTreeMap<&str, &str>) -> bool {
    let parts: Vec<&str> = sealed.split('.').collect();
    let ["1", salt, expected] = parts.as_slice() else { return false };
    let (Ok(salt), Ok(expected)) = (hex::decode(salt), hex::decode(expected)) else { return false };
    pbkdf2::verify(pbkdf2::PBKDF2_HMAC_SHA256, ROUNDS, &salt, &text(values), &expected).is_ok()
}

fn digest(values: &BTreeMap<&str, &str>, salt: &[u8]) -> [u8; 32] {
    let mut digest = [0; 32];
    pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, ROUNDS, salt, &text(values), &mut digest);
    digest
}

/// The values in an order and with bounds of their own, so that no two sets are one text.
fn text(values: &BTreeMap<&str, &str>) -> Vec<u8> {
    serde_json::to_vec(values).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_values_fit() {
        let values = BTreeMap::from([("A", "hunter2"), ("B", "")]);
        let sealed = seal(&values).unwrap();
        assert!(!sealed.contains("hunter2"));
        assert!(sealed.len() <= 256 && sealed.chars().all(|c| c.is_ascii_alphanumeric() || c == '.'));
        assert!(fits(&sealed, &values));
        assert_ne!(sealed, seal(&values).unwrap());
        assert!(!fits(&sealed, &BTreeMap::from([("A", "hunter3"), ("B", "")])));
        assert!(!fits(&sealed, &BTreeMap::from([("A", "hunter2")])));
        assert!(!fits("", &values) && !fits("1.zz.00", &values) && !fits("2.00.00", &values));
    }
}
