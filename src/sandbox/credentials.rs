//! The keys and tokens of those who own all in the three clouds, and whatever else guards something: they follow from the
//! secret of the sandbox's folder, which its owner alone can read. No web page can know them, or guess.

use std::fmt;
use std::io::{self, Read as _, Write as _};
use std::path::Path;

use zeroize::Zeroizing;

use super::aws::sigv4::mac;
use super::files;

/// The folder's file with its secret, hexadecimal.
const FILE: &str = "secret";
/// How many bytes a secret has.
const LENGTH: usize = 32;

/// What the owners of all accounts of a sandbox call with.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    secret: Zeroizing<[u8; LENGTH]>,
}

impl Credentials {
    /// Those of a world in memory, which are no secret: nobody else can reach it.
    pub fn known() -> Self {
        Self { secret: Zeroizing::new([0; LENGTH]) }
    }

    /// Those of a folder, made when they are first asked for. The folder is made if need be.
    pub fn of(folder: &Path) -> io::Result<Self> {
        files::folder(folder)?;
        let mut file = files::append(&folder.join(FILE))?;
        // Who makes it first makes it for all: a server and `mcm sandbox env` may begin at the same moment.
        file.lock()?;
        let mut text = Zeroizing::new(String::new());
        file.read_to_string(&mut text)?;
        let mut secret = Zeroizing::new([0; LENGTH]);
        if hex::decode_to_slice(text.trim(), secret.as_mut_slice()).is_ok() {
            return Ok(Self { secret });
        }
        getrandom::fill(secret.as_mut_slice()).map_err(io::Error::other)?;
        file.set_len(0)?;
        file.write_all(hex::encode(secret.as_slice()).as_bytes())?;
        Ok(Self { secret })
    }

    /// The access key of an AWS account's administrator: id and secret.
    pub fn aws_keys(&self, account: &str) -> (String, String) {
        (format!("AKIASBOX{account}"), hex::encode(self.derived("aws", account))[..40].to_owned())
    }

    /// The access token of the owner of every Google project.
    pub fn gcp_token(&self) -> String {
        format!("{GCP_PREFIX}{}", hex::encode(self.derived("gcp", "owner")))
    }

    /// The access token of the owner of every Azure subscription.
    pub fn azure_token(&self) -> String {
        format!("{AZURE_PREFIX}{}", hex::encode(self.derived("azure", "owner")))
    }

    /// Bytes that only who has the secret can find for a text.
    pub(super) fn derived(&self, what: &str, text: &str) -> [u8; 32] {
        mac(self.secret.as_slice(), format!("mcm sandbox {what} {text}").as_bytes())
    }
}

/// How Google tokens of owners begin: no real token does.
pub const GCP_PREFIX: &str = "ya29.mcm-sandbox-";
/// How Azure tokens of owners begin: no real token does.
pub const AZURE_PREFIX: &str = "mcm-sandbox-";

impl fmt::Debug for Credentials {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Credentials(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_asks_first_makes_the_secret_for_all() {
        let folder = tempfile::tempdir().unwrap();
        let ask = || Credentials::of(folder.path()).unwrap().gcp_token();
        let all: Vec<String> = std::thread::scope(|scope| {
            let asking: Vec<_> = (0..16).map(|_| scope.spawn(ask)).collect();
            asking.into_iter().map(|asked| asked.join().unwrap()).collect()
        });
        assert!(all.iter().all(|token| *token == all[0]), "{all:?}");
        assert_eq!(ask(), all[0]);
        assert_ne!(Credentials::known().gcp_token(), all[0]);
        // One that was cut off half-way is made anew.
        std::fs::write(folder.path().join(FILE), "0123").unwrap();
        assert_ne!(ask(), all[0]);
    }
}
