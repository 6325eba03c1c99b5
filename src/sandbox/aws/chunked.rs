//! Bodies sent as `aws-chunked`: in chunks, each signed or none, with checksums trailing.

use bytes::Bytes;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq as _;

use super::error::Error;
use super::sigv4::{Signed, mac};

/// A body, and the header fields that trailed it.
#[derive(Debug)]
pub(super) struct Decoded {
    pub(super) body: Bytes,
    pub(super) trailers: Vec<(String, String)>,
}

/// Undoes the encoding that the signature's payload names, and verifies what is signed in it.
pub(super) fn decode(signed: &Signed, body: &Bytes, length: Option<u64>) -> Result<Decoded, Error> {
    let (chunks_signed, trailer) = match signed.payload.as_str() {
        "STREAMING-AWS4-HMAC-SHA256-PAYLOAD" => (true, false),
        "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER" => (true, true),
        "STREAMING-UNSIGNED-PAYLOAD-TRAILER" => (false, true),
        other => {
            return Err(Error::new(
                400,
                "InvalidRequest",
                format!("x-amz-content-sha256 '{other}' is not supported"),
            ));
        }
    };
    let mut reader = Lines { rest: body };
    let mut previous = signed.signature.clone();
    let mut content = Vec::with_capacity(body.len());
    loop {
        let head = reader.line().ok_or_else(incomplete)?;
        let (size, signature) = chunk_head(head, chunks_signed)?;
        let chunk = reader.take(size).ok_or_else(incomplete)?;
        if let Some(signature) = signature {
            previous = chunk_signature(signed, &previous, chunk);
            matches(&previous, signature)?;
        }
        content.extend_from_slice(chunk);
        if size == 0 {
            break;
        }
        if reader.line() != Some("") {
            return Err(incomplete());
        }
    }
    let trailers =
        if trailer { trailers(&mut reader, signed, chunks_signed.then_some(previous))? } else { Vec::new() };
    if length != Some(content.len() as u64) {
        return Err(incomplete());
    }
    Ok(Decoded { body: content.into(), trailers })
}

/// `10000;chunk-signature=…`, or the size alone.
fn chunk_head(head: &str, signed: bool) -> Result<(usize, Option<&str>), Error> {
    let (size, extension) = head.split_once(';').unwrap_or((head, ""));
    let size = usize::from_str_radix(size, 16).map_err(|_| incomplete())?;
    match (extension.strip_prefix("chunk-signature="), signed) {
        (Some(signature), true) => Ok((size, Some(signature))),
        (None, false) => Ok((size, None)),
        (Some(_), false) | (None, true) => Err(mismatch()),
    }
}

fn chunk_signature(signed: &Signed, previous: &str, chunk: &[u8]) -> String {
    let text = format!(
        "AWS4-HMAC-SHA256-PAYLOAD\n{}\n{}\n{previous}\n{}\n{}",
        signed.time,
        signed.scope,
        hex::encode(Sha256::digest(b"")),
        hex::encode(Sha256::digest(chunk))
    );
    hex::encode(mac(&signed.key, text.as_bytes()))
}

fn trailers(
    reader: &mut Lines<'_>,
    signed: &Signed,
    previous: Option<String>,
) -> Result<Vec<(String, String)>, Error> {
    let mut trailers = Vec::new();
    let mut signature = None;
    while let Some(line) = reader.line() {
        if line.is_empty() {
            continue;
        }
        let (name, value) = line.split_once(':').ok_or_else(incomplete)?;
        let (name, value) = (name.trim().to_ascii_lowercase(), value.trim().to_owned());
        if name == "x-amz-trailer-signature" { signature = Some(value) } else { trailers.push((name, value)) }
    }
    if let Some(previous) = previous {
        let lines = trailers.iter().map(|(name, value)| format!("{name}:{value}\n"));
        let text = lines.collect::<Vec<_>>().concat();
        let text = format!(
            "AWS4-HMAC-SHA256-TRAILER\n{}\n{}\n{previous}\n{}",
            signed.time,
            signed.scope,
            hex::encode(Sha256::digest(text.as_bytes()))
        );
        matches(&hex::encode(mac(&signed.key, text.as_bytes())), signature.as_deref().unwrap_or_default())?;
    }
    Ok(trailers)
}

fn matches(expected: &str, given: &str) -> Result<(), Error> {
    if bool::from(expected.as_bytes().ct_eq(given.as_bytes())) { Ok(()) } else { Err(mismatch()) }
}

fn mismatch() -> Error {
    Error::new(
        403,
        "SignatureDoesNotMatch",
        "The request signature we calculated does not match the signature you provided. Check your key and signing method.",
    )
}

fn incomplete() -> Error {
    Error::new(400, "IncompleteBody", "The request body terminated unexpectedly")
}

/// Reads lines that end in CR LF, and counted bytes between them.
struct Lines<'a> {
    rest: &'a [u8],
}

impl<'a> Lines<'a> {
    fn line(&mut self) -> Option<&'a str> {
        if self.rest.is_empty() {
            return None;
        }
        let end = self.rest.windows(2).position(|pair| pair == b"\r\n");
        let (line, rest) = match end {
            Some(end) => (&self.rest[..end], &self.rest[end + 2..]),
            None => (self.rest, &[][..]),
        };
        self.rest = rest;
        std::str::from_utf8(line).ok()
    }

    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(count)?;
        self.rest = rest;
        Some(taken)
    }
}
