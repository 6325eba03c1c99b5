//! Signature Version 4, as AWS verifies it: in the `Authorization` header and in the query of a presigned URL.
//!
//! Facts: AWS's "Signature Version 4 signing process", its published test suite and S3's worked examples, which
//! `tests/aws` replays.

use hmac::{Hmac, Mac};
use jiff::{SignedDuration, Timestamp};
use percent_encoding::percent_decode_str;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq as _;

use crate::sandbox::Request;

/// The only algorithm.
const ALGORITHM: &str = "AWS4-HMAC-SHA256";
/// A presigned URL is good for at most a week.
const LONGEST_PRESIGN: i64 = 604_800;

/// A request whose signature holds.
#[derive(Clone, Debug)]
pub struct Signed {
    /// Whose key.
    pub access_key: String,
    /// For which region.
    pub region: String,
    /// For which service.
    pub service: String,
    /// `20130524T000000Z`.
    pub time: String,
    /// `20130524/us-east-1/s3/aws4_request`.
    pub scope: String,
    /// The signature, hexadecimal; the seed of a chunked body's signatures.
    pub signature: String,
    /// The key that signed it, good for one day, region and service.
    pub key: [u8; 32],
    /// What was said about the body: its digest, or one of `UNSIGNED-PAYLOAD` and `STREAMING-…`.
    pub payload: String,
    /// Whether the signature came in the query.
    pub presigned: bool,
}

/// Why a request is not accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The header or the query says something that is no signature.
    Malformed(String),
    /// A part of the credential scope is wrong: what is, and what is expected.
    Scope(String),
    /// Nobody has this key.
    UnknownKey(String),
    /// The signature is not that of this request by this key.
    Mismatch {
        /// Whose key.
        access_key: String,
        /// What should have been signed.
        string_to_sign: String,
        /// What that is the digest of.
        canonical_request: String,
    },
    /// The signature's time is too far from now.
    Skewed {
        /// The time signed for.
        signed: Timestamp,
        /// The time here.
        now: Timestamp,
    },
    /// A presigned URL is past its time.
    Expired {
        /// When it ended.
        until: Timestamp,
        /// The time here.
        now: Timestamp,
    },
    /// Header fields that must be signed are not.
    HeadersNotSigned(Vec<String>),
    /// The security token is not that of the key's session, or the key has no session.
    InvalidToken,
    /// The session has ended.
    ExpiredToken,
}

/// What the signature says, before it is verified.
struct Claim {
    credential: String,
    signed_headers: Vec<String>,
    signature: String,
    time: String,
    expires: Option<i64>,
}

/// Whether the request carries a signature at all.
pub fn is_signed(request: &Request) -> bool {
    request.headers().contains_key(http::header::AUTHORIZATION)
        || query_value(request, "X-Amz-Algorithm").is_some()
}

/// The service that a signature is for, unverified: it tells which service is meant.
pub fn service(request: &Request) -> Option<String> {
    let claim = claim(request).ok()??;
    claim.credential.split('/').nth_back(1).map(str::to_owned)
}

/// The security token that goes along with the key of a session.
pub(super) fn security_token(request: &Request) -> Option<String> {
    let header = request.headers().get("x-amz-security-token");
    let header = header.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    header.or_else(|| query_value(request, "X-Amz-Security-Token"))
}

/// Verifies a request's signature; `None` if it has none.
///
/// `secret` gives the secret of an access key; `skew` is how far the request's clock may be off.
pub fn verify(
    request: &Request,
    now: Timestamp,
    skew: SignedDuration,
    secret: impl Fn(&str) -> Option<String>,
) -> Result<Option<Signed>, Refused> {
    let Some(claim) = claim(request)? else { return Ok(None) };
    let parts = claim.credential.split('/').collect::<Vec<_>>();
    let [access_key, date, region, service, "aws4_request"] = parts[..] else {
        return Err(Refused::Malformed(format!(
            "a credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, got '{}'",
            claim.credential
        )));
    };
    let secret = secret(access_key).ok_or_else(|| Refused::UnknownKey(access_key.to_owned()))?;
    let signed_at = instant(&claim.time)
        .ok_or_else(|| Refused::Malformed("Date must be in ISO-8601 'basic format'".to_owned()))?;
    if !claim.time.starts_with(date) {
        return Err(Refused::Scope(format!(
            "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '{date}' != '{}'",
            claim.time.get(..8).unwrap_or_default()
        )));
    }
    in_time(&claim, signed_at, now, skew)?;
    must_be_signed(request, &claim, service)?;

    let payload = payload(request, service, claim.expires.is_some());
    let canonical_request = canonical(request, &claim, service == "s3", &payload);
    let scope = format!("{date}/{region}/{service}/aws4_request");
    let string_to_sign = format!(
        "{ALGORITHM}\n{}\n{scope}\n{}",
        claim.time,
        hex::encode(Sha256::digest(canonical_request.as_bytes()))
    );
    let key = signing_key(&secret, date, region, service);
    let expected = hex::encode(mac(&key, string_to_sign.as_bytes()));
    if !bool::from(expected.as_bytes().ct_eq(claim.signature.as_bytes())) {
        return Err(Refused::Mismatch {
            access_key: access_key.to_owned(),
            string_to_sign,
            canonical_request,
        });
    }
    Ok(Some(Signed {
        access_key: access_key.to_owned(),
        region: region.to_owned(),
        service: service.to_owned(),
        time: claim.time.clone(),
        scope,
        signature: expected,
        key,
        payload,
        presigned: claim.expires.is_some(),
    }))
}

/// HMAC-SHA256.
pub(super) fn mac(key: &[u8], message: &[u8]) -> [u8; 32] {
    // An HMAC key of any length is valid; there is no error to meet.
    match <Hmac<Sha256> as Mac>::new_from_slice(key) {
        Ok(mut mac) => {
            mac.update(message);
            mac.finalize().into_bytes().into()
        }
        Err(_) => [0; 32],
    }
}

/// Percent-encodes as AWS does: all but `A-Z a-z 0-9 - . _ ~`, and `/` where it separates.
pub(super) fn encode(text: &[u8], keep_slash: bool) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                encoded.push(char::from(*byte));
            }
            b'/' if keep_slash => encoded.push('/'),
            _ => {
                encoded.push('%');
                encoded.push_str(&hex::encode_upper([*byte]));
            }
        }
    }
    encoded
}

/// The instant of `20130524T000000Z`.
pub(super) fn instant(text: &str) -> Option<Timestamp> {
    jiff::civil::DateTime::strptime("%Y%m%dT%H%M%SZ", text)
        .ok()?
        .to_zoned(jiff::tz::TimeZone::UTC)
        .ok()
        .map(|zoned| zoned.timestamp())
}

/// The key for a day, a region and a service.
pub(super) fn signing_key(secret: &str, date: &str, region: &str, service: &str) -> [u8; 32] {
    let date = mac(format!("AWS4{secret}").as_bytes(), date.as_bytes());
    let region = mac(&date, region.as_bytes());
    let service = mac(&region, service.as_bytes());
    mac(&service, b"aws4_request")
}

/// Reads what the request claims, from its header or else its query.
fn claim(request: &Request) -> Result<Option<Claim>, Refused> {
    let header = |name: &str| request.headers().get(name).map(|value| value.to_str().unwrap_or_default());
    if let Some(authorization) = header("authorization") {
        let Some(rest) = authorization.strip_prefix(ALGORITHM) else {
            return Err(Refused::Malformed(format!("Unsupported Authorization Type: '{authorization}'")));
        };
        let field = |name: &str| {
            let found = rest.split(',').find_map(|part| part.trim().strip_prefix(name)?.strip_prefix('='));
            found.map(str::to_owned).filter(|value| !value.is_empty()).ok_or_else(|| {
                Refused::Malformed(format!(
                    "Authorization header requires '{name}' parameter. Authorization={authorization}"
                ))
            })
        };
        let time = header("x-amz-date").or_else(|| header("date")).ok_or_else(|| {
            Refused::Malformed(
                "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header."
                    .to_owned(),
            )
        })?;
        return Ok(Some(Claim {
            credential: field("Credential")?,
            signed_headers: field("SignedHeaders")?.split(';').map(str::to_owned).collect(),
            signature: field("Signature")?,
            time: time.to_owned(),
            expires: None,
        }));
    }
    if query_value(request, "X-Amz-Algorithm").is_none() {
        return Ok(None);
    }
    let field = |name: &str| {
        query_value(request, name).ok_or_else(|| {
            Refused::Malformed(format!(
                "Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential, \
                 X-Amz-Signature, X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires parameters; {name} is missing."
            ))
        })
    };
    if field("X-Amz-Algorithm")? != ALGORITHM {
        return Err(Refused::Malformed(format!("X-Amz-Algorithm only supports \"{ALGORITHM}\"")));
    }
    let expires = field("X-Amz-Expires")?
        .parse::<i64>()
        .ok()
        .filter(|seconds| (0..=LONGEST_PRESIGN).contains(seconds))
        .ok_or_else(|| Refused::Malformed("X-Amz-Expires must be between 0 and 604800 seconds".to_owned()))?;
    Ok(Some(Claim {
        credential: field("X-Amz-Credential")?,
        signed_headers: field("X-Amz-SignedHeaders")?.split(';').map(str::to_owned).collect(),
        signature: field("X-Amz-Signature")?,
        time: field("X-Amz-Date")?,
        expires: Some(expires),
    }))
}

fn in_time(claim: &Claim, signed: Timestamp, now: Timestamp, skew: SignedDuration) -> Result<(), Refused> {
    match claim.expires {
        Some(seconds) => {
            let until = signed.saturating_add(SignedDuration::from_secs(seconds)).unwrap_or(signed);
            if until < now {
                return Err(Refused::Expired { until, now });
            }
            if signed.duration_since(now) > skew {
                return Err(Refused::Skewed { signed, now });
            }
        }
        None if signed.duration_since(now).abs() > skew => return Err(Refused::Skewed { signed, now }),
        None => {}
    }
    Ok(())
}

/// `host` must be signed always, and for S3 every `x-amz-` field too.
fn must_be_signed(request: &Request, claim: &Claim, service: &str) -> Result<(), Refused> {
    let signed = |name: &str| claim.signed_headers.iter().any(|signed| signed == name);
    let mut unsigned = Vec::new();
    if !signed("host") {
        unsigned.push("host".to_owned());
    }
    for name in request.headers().keys().map(http::HeaderName::as_str) {
        if service == "s3" && name.starts_with("x-amz-") && !signed(name) {
            unsigned.push(name.to_owned());
        }
    }
    if unsigned.is_empty() { Ok(()) } else { Err(Refused::HeadersNotSigned(unsigned)) }
}

/// What stands for the body in the signature.
fn payload(request: &Request, service: &str, presigned: bool) -> String {
    let said = request.headers().get("x-amz-content-sha256").and_then(|value| value.to_str().ok());
    match said {
        Some(said) if service == "s3" => said.to_owned(),
        None if service == "s3" && presigned => "UNSIGNED-PAYLOAD".to_owned(),
        Some(_) | None => hex::encode(Sha256::digest(request.body())),
    }
}

fn canonical(request: &Request, claim: &Claim, once: bool, payload: &str) -> String {
    let path = request.uri().path();
    let path = if once {
        encode(&percent_decode_str(path).collect::<Vec<_>>(), true)
    } else {
        encode(normalise(path).as_bytes(), true)
    };
    let mut headers = String::new();
    for name in &claim.signed_headers {
        let values = request.headers().get_all(name.as_str()).iter();
        let values =
            values.map(|value| collapse(&String::from_utf8_lossy(value.as_bytes()))).collect::<Vec<_>>();
        headers.push_str(name);
        headers.push(':');
        headers.push_str(&values.join(","));
        headers.push('\n');
    }
    format!(
        "{}\n{path}\n{}\n{headers}\n{}\n{payload}",
        request.method(),
        canonical_query(request.uri().query().unwrap_or_default()),
        claim.signed_headers.join(";"),
    )
}

fn canonical_query(query: &str) -> String {
    let mut pairs = query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            let recode = |text: &str| encode(&percent_decode_str(text).collect::<Vec<_>>(), false);
            (recode(key), recode(value))
        })
        .filter(|(key, _)| key != "X-Amz-Signature")
        .collect::<Vec<_>>();
    pairs.sort();
    pairs.into_iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join("&")
}

/// Removes `.` and `..` segments and repeated slashes.
fn normalise(path: &str) -> String {
    let mut segments: Vec<&str> = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => {
                segments.pop();
            }
            _ => segments.push(segment),
        }
    }
    let slash = if path.ends_with('/') && !segments.is_empty() { "/" } else { "" };
    format!("/{}{slash}", segments.join("/"))
}

fn collapse(value: &str) -> String {
    value.split_ascii_whitespace().collect::<Vec<_>>().join(" ")
}

fn query_value(request: &Request, name: &str) -> Option<String> {
    form_urlencoded::parse(request.uri().query()?.as_bytes())
        .find(|(key, _)| key == name)
        .map(|(_, value)| value.into_owned())
}
