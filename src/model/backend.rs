//! Where a stack's state lies, if not beside it.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Whose object store it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StoreKind {
    /// Amazon S3.
    S3,
    /// Google Cloud Storage.
    Gs,
    /// Azure Blob storage.
    Az,
}

/// The `backend` of a stack: `s3://bucket/prefix`, `gs://bucket/prefix` or `az://account/container/prefix`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backend {
    /// Whose.
    pub kind: StoreKind,
    /// The storage account; for Azure alone.
    pub account: Option<String>,
    /// The bucket or container.
    pub bucket: String,
    /// Below which the files lie; it may be empty.
    pub prefix: String,
    /// The bucket's region; for S3 alone, where it is not the stack's.
    pub region: Option<String>,
    /// Another endpoint, for emulators. Plain HTTP on loopback only.
    pub endpoint: Option<String>,
}

impl Backend {
    /// Reads the address alone; `None` if it is none.
    pub fn parse(url: &str) -> Option<Self> {
        let (scheme, rest) = url.split_once("://")?;
        let kind = match scheme {
            "s3" => StoreKind::S3,
            "gs" => StoreKind::Gs,
            "az" => StoreKind::Az,
            _ => return None,
        };
        let mut words = rest.trim_end_matches('/').split('/');
        let account = match kind {
            StoreKind::Az => Some(words.next().filter(|word| is_name(word))?.to_owned()),
            StoreKind::S3 | StoreKind::Gs => None,
        };
        let bucket = words.next().filter(|word| is_name(word))?.to_owned();
        let prefix: Vec<&str> = words.collect();
        let plain = |word: &&str| {
            !word.is_empty()
                && !matches!(*word, "." | "..")
                && word.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.=".contains(&b))
        };
        if !prefix.iter().all(plain) {
            return None;
        }
        Some(Self { kind, account, bucket, prefix: prefix.join("/"), region: None, endpoint: None })
    }
}

/// Whether a word can name a bucket, a container or a storage account.
fn is_name(word: &str) -> bool {
    (3..=63).contains(&word.len())
        && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-._".contains(&b))
        && word.starts_with(|c: char| c.is_ascii_alphanumeric())
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.kind {
            StoreKind::S3 => "s3",
            StoreKind::Gs => "gs",
            StoreKind::Az => "az",
        };
        write!(f, "{scheme}://")?;
        if let Some(account) = &self.account {
            write!(f, "{account}/")?;
        }
        f.write_str(&self.bucket)?;
        if self.prefix.is_empty() { Ok(()) } else { write!(f, "/{}", self.prefix) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_they_are_written() {
        for text in ["s3://bucket", "s3://my.bucket-1/a/b", "gs://bucket/x", "az://account/container/p/q"] {
            assert_eq!(Backend::parse(text).unwrap().to_string(), text);
        }
        assert_eq!(Backend::parse("s3://bucket/a/").unwrap().to_string(), "s3://bucket/a");
        for text in [
            "",
            "bucket",
            "s3://",
            "s3://B",
            "az://account",
            "s3://bucket//a",
            "s3://bucket/../a",
            "ftp://bucket",
        ] {
            assert_eq!(Backend::parse(text), None, "{text}");
        }
    }
}
