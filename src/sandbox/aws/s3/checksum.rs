//! Checksums of what is sent: `Content-MD5`, and the five that S3 keeps with an object.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest as _, Md5};
use serde::{Deserialize, Serialize};
use sha1::Sha1;
use sha2::Sha256;

use super::super::error::Error;
use super::Call;

/// A kind of checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Algorithm {
    Crc32,
    Crc32c,
    Crc64Nvme,
    Sha1,
    Sha256,
}

impl Algorithm {
    const ALL: [Self; 5] = [Self::Crc32, Self::Crc32c, Self::Crc64Nvme, Self::Sha1, Self::Sha256];

    /// Its name in documents.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Crc32 => "CRC32",
            Self::Crc32c => "CRC32C",
            Self::Crc64Nvme => "CRC64NVME",
            Self::Sha1 => "SHA1",
            Self::Sha256 => "SHA256",
        }
    }

    /// Its header field.
    pub(super) fn header(self) -> &'static str {
        match self {
            Self::Crc32 => "x-amz-checksum-crc32",
            Self::Crc32c => "x-amz-checksum-crc32c",
            Self::Crc64Nvme => "x-amz-checksum-crc64nvme",
            Self::Sha1 => "x-amz-checksum-sha1",
            Self::Sha256 => "x-amz-checksum-sha256",
        }
    }

    /// Its element.
    pub(super) fn element(self) -> String {
        format!("Checksum{}", self.name())
    }

    /// The algorithm of that name.
    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.name() == name)
    }

    /// The checksum's bytes.
    pub(super) fn sum(self, content: &[u8]) -> Vec<u8> {
        // The CRCs come as 64 bits, of which the shorter ones fill the lower half.
        let crc = |algorithm| crc_fast::checksum(algorithm, content).to_be_bytes();
        match self {
            Self::Crc32 => crc(crc_fast::CrcAlgorithm::Crc32IsoHdlc)[4..].to_vec(),
            Self::Crc32c => crc(crc_fast::CrcAlgorithm::Crc32Iscsi)[4..].to_vec(),
            Self::Crc64Nvme => crc(crc_fast::CrcAlgorithm::Crc64Nvme).to_vec(),
            Self::Sha1 => Sha1::digest(content).to_vec(),
            Self::Sha256 => Sha256::digest(content).to_vec(),
        }
    }

    /// The checksum as it is sent.
    pub(super) fn text(self, content: &[u8]) -> String {
        STANDARD.encode(self.sum(content))
    }
}

/// The checksum kept with an object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Checksum {
    pub(super) algorithm: Algorithm,
    pub(super) value: String,
    /// Whether it is of the parts' checksums rather than of the bytes.
    #[serde(default)]
    pub(super) composite: bool,
}

impl Checksum {
    /// What S3 calls the difference.
    pub(super) fn kind(&self) -> &'static str {
        if self.composite { "COMPOSITE" } else { "FULL_OBJECT" }
    }
}

/// Verifies the checksums sent with a body, and returns the one to keep: the one sent, or S3's default.
pub(super) fn verify(call: &Call<'_>) -> Result<Checksum, Error> {
    verify_md5(call)?;
    let mut kept = None;
    for algorithm in Algorithm::ALL {
        let Some(sent) = call.header(algorithm.header()) else { continue };
        if kept.is_some() {
            let message =
                "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.";
            return Err(Error::new(400, "InvalidRequest", message));
        }
        let computed = algorithm.text(&call.body);
        let length = algorithm.sum(b"").len();
        if STANDARD.decode(sent).map_or(0, |bytes| bytes.len()) != length {
            let message = format!("Value for {} header is invalid.", algorithm.header());
            return Err(Error::new(400, "InvalidRequest", message));
        }
        if computed != sent {
            let message =
                format!("The {} you specified did not match the calculated checksum.", algorithm.name());
            return Err(Error::new(400, "BadDigest", message));
        }
        kept = Some(Checksum { algorithm, value: computed, composite: false });
    }
    if kept.is_none() && call.header("x-amz-sdk-checksum-algorithm").is_some() {
        let message = "x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* or \
                       x-amz-trailer headers were found.";
        return Err(Error::new(400, "InvalidRequest", message));
    }
    Ok(kept.unwrap_or_else(|| {
        let algorithm = Algorithm::Crc64Nvme;
        Checksum { algorithm, value: algorithm.text(&call.body), composite: false }
    }))
}

/// The same for a configuration, which must come with one or the other.
pub(super) fn require(call: &Call<'_>) -> Result<(), Error> {
    let sent = Algorithm::ALL.iter().any(|algorithm| call.header(algorithm.header()).is_some());
    if !sent && call.header("content-md5").is_none() {
        let message = "Missing required header for this request: Content-MD5 OR x-amz-checksum-*";
        return Err(Error::new(400, "InvalidRequest", message));
    }
    verify(call).map(drop)
}

/// The entity tag of bytes put at once.
pub(super) fn etag(content: &[u8]) -> String {
    hex::encode(Md5::digest(content))
}

fn verify_md5(call: &Call<'_>) -> Result<(), Error> {
    let Some(sent) = call.header("content-md5") else { return Ok(()) };
    match STANDARD.decode(sent) {
        Ok(sent) if sent.len() == 16 => {
            if sent == Md5::digest(&call.body).as_slice() {
                return Ok(());
            }
            let message = "The Content-MD5 you specified did not match what we received.";
            Err(Error::new(400, "BadDigest", message))
        }
        Ok(_) | Err(_) => Err(Error::new(400, "InvalidDigest", "The Content-MD5 you specified was invalid.")),
    }
}
