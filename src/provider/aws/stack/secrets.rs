//! A digest over secrets (the values of `NoEcho` parameters, what a release is made of), to tell whether they are still the
//! desired ones.
//!
//! Whoever may look at the stack or the alias sees it, so it is salted anew with each write and stretched: a weak password costs as
//! much to guess from it as from a well-kept password file.

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::pbkdf2;

use super::super::error::refusal;
use crate::model::{CloudError, ErrorKind};

/// The tag that holds it.
pub(super) const TAG: &str = "mcm:secrets";

/// As OWASP recommends for PBKDF2 with HMAC-SHA-256.
const ROUNDS: NonZeroU32 = NonZeroU32::new(600_000).unwrap();

/// The digest of some values under a new salt: `2.SALT.DIGEST`, short because an alias's description holds several.
pub(in super::super) fn seal(values: &BTreeMap<&str, &str>) -> Result<String, CloudError> {
    let mut salt = [0; 16];
    getrandom::fill(&mut salt).map_err(|why| {
        refusal("cloudformation:CreateChangeSet", ErrorKind::Invalid, format!("no random numbers: {why}"))
    })?;
    let mut digest = [0; 16];
    pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, ROUNDS, &salt, &text(values), &mut digest);
    Ok(format!("2.{}.{}", URL_SAFE_NO_PAD.encode(salt), URL_SAFE_NO_PAD.encode(digest)))
}

/// Whether a digest is that of these values.
pub(in super::super) fn fits(sealed: &str, values: &BTreeMap<&str, &str>) -> bool {
    let parts: Vec<&str> = sealed.split('.').collect();
    let ["2", salt, expected] = parts.as_slice() else { return false };
    let (Ok(salt), Ok(expected)) = (URL_SAFE_NO_PAD.decode(salt), URL_SAFE_NO_PAD.decode(expected)) else {
        return false;
    };
    pbkdf2::verify(pbkdf2::PBKDF2_HMAC_SHA256, ROUNDS, &salt, &text(values), &expected).is_ok()
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
        // As a tag's value may have them, and two of them in an alias's description.
        assert!(sealed.len() <= 47 && sealed.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c)));
        assert!(fits(&sealed, &values));
        assert_ne!(sealed, seal(&values).unwrap());
        assert!(!fits(&sealed, &BTreeMap::from([("A", "hunter3"), ("B", "")])));
        assert!(!fits(&sealed, &BTreeMap::from([("A", "hunter2")])));
        assert!(!fits("", &values) && !fits("2.z!.AA", &values) && !fits("1.AA.AA", &values));
    }
}
