//! AWS, as the function's role: requests signed by signature version 4, a picture's bytes from S3, a secret from
//! Systems Manager.
//!
//! Lambda puts the role's temporary keys into the environment of the process, and starts another process before
//! they expire; so they are read once.

use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings,
    UriPathNormalizationMode, sign,
};
use aws_sigv4::sign::v4;
use bytes::Bytes;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::Method;
use tokio::time::Instant;

use crate::call::{CallError, Caller, Reply, causes, json};
use crate::endpoint::Endpoint;
use crate::secret::Secret;
use crate::settings::Settings;

/// What RFC 3986 leaves unreserved; S3 signs exactly this.
const NAME: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// As above, but a slash stays a slash: keys of objects.
const KEY: &AsciiSet = &NAME.remove(b'/');

/// The temporary keys of a role.
#[derive(Debug, Clone)]
pub struct Keys {
    /// Not secret.
    pub access_key_id: String,
    /// Secret.
    pub secret_access_key: Secret,
    /// Comes with every temporary key, and is sent along.
    pub session_token: Option<Secret>,
}

/// Who calls, and from which region.
#[derive(Debug, Clone)]
pub struct Aws {
    /// The function's own region; its bucket is there too.
    pub region: String,
    /// The role's keys.
    pub keys: Keys,
    s3: Option<Endpoint>,
    ssm: Option<Endpoint>,
}

/// What is to be signed.
pub struct Unsigned<'a> {
    /// `s3`, `ssm`, `sts`.
    pub service: &'a str,
    /// The method.
    pub method: &'a str,
    /// The address, with its query.
    pub url: &'a str,
    /// Headers to be signed along.
    pub headers: &'a [(&'a str, &'a str)],
    /// The body.
    pub body: &'a [u8],
}

/// What a bucket has to say about an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Object {
    /// Here it is.
    Found(Bytes),
    /// It is larger than the caller wanted to read.
    TooLarge,
    /// It is gone, or is no longer the one that was asked for.
    Gone,
}

impl Aws {
    /// Reads `AWS_REGION`, the keys, and the addresses in the spelling of AWS's own tools: `AWS_ENDPOINT_URL_S3`,
    /// `AWS_ENDPOINT_URL_SSM`, `AWS_ENDPOINT_URL`.
    pub fn from_settings(settings: &mut Settings<'_>) -> Self {
        let everywhere = settings.endpoint("AWS_ENDPOINT_URL");
        let region = settings.optional("AWS_REGION").or_else(|| settings.optional("AWS_DEFAULT_REGION"));
        let region = region.unwrap_or_else(|| settings.required("AWS_REGION"));
        // It becomes part of host names.
        if !region.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-') {
            settings.wrong("AWS_REGION is no region's name".to_owned());
        }
        Self {
            region,
            keys: Keys {
                access_key_id: settings.required("AWS_ACCESS_KEY_ID"),
                secret_access_key: Secret::new(settings.required("AWS_SECRET_ACCESS_KEY")),
                session_token: settings.secret("AWS_SESSION_TOKEN"),
            },
            s3: settings.endpoint("AWS_ENDPOINT_URL_S3").or_else(|| everywhere.clone()),
            ssm: settings.endpoint("AWS_ENDPOINT_URL_SSM").or(everywhere),
        }
    }

    /// The headers that make a request this role's. The secret ones among them are marked so.
    pub fn sign(&self, request: &Unsigned<'_>, now: SystemTime) -> Result<Vec<(String, Secret)>, CallError> {
        let unmade = |why: String| CallError::Unmade { service: "AWS", why };
        let keys = &self.keys;
        let token = keys.session_token.as_ref().map(|token| token.reveal().to_owned());
        let (id, secret) = (keys.access_key_id.as_str(), keys.secret_access_key.reveal());
        let identity = Credentials::new(id, secret, token, None, "lambda").into();
        let mut style = SigningSettings::default();
        if request.service == "s3" {
            // A key is signed as it is sent, and S3 wants the body's digest in a header.
            style.percent_encoding_mode = PercentEncodingMode::Single;
            style.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
            style.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
        }
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name(request.service)
            .time(now)
            .settings(style)
            .build()
            .map_err(|why| unmade(causes(&why)))?;
        let (headers, body) = (request.headers.iter().copied(), SignableBody::Bytes(request.body));
        let signable = SignableRequest::new(request.method, request.url, headers, body);
        let signable = signable.map_err(|why| unmade(causes(&why)))?;
        let signed = sign(signable, &parameters.into()).map_err(|why| unmade(causes(&why)))?;
        let (instructions, _signature) = signed.into_parts();
        Ok(instructions.headers().map(|(name, value)| (name.to_owned(), Secret::new(value))).collect())
    }

    /// The address of an object: the bucket's own host at AWS, a path elsewhere.
    pub fn object_url(&self, bucket: &str, key: &str) -> String {
        let key = utf8_percent_encode(key, KEY);
        format!("{}/{key}", self.bucket_url(bucket))
    }

    /// The address of a bucket, without a trailing slash.
    pub fn bucket_url(&self, bucket: &str) -> String {
        match &self.s3 {
            Some(endpoint) => format!("{}/{bucket}", endpoint.as_str()),
            None => format!("https://{bucket}.s3.{}.amazonaws.com", self.region),
        }
    }

    /// Reads one object whole, if it is still the one with this `etag` and at most `most_bytes` long.
    pub async fn object(
        &self,
        caller: &Caller,
        deadline: Instant,
        place: (&str, &str),
        etag: Option<&str>,
        most_bytes: u64,
    ) -> Result<Object, CallError> {
        let url = self.object_url(place.0, place.1);
        let wanted = etag.map(|etag| format!("\"{etag}\""));
        let headers: Vec<(&str, &str)> = wanted.iter().map(|etag| ("if-match", etag.as_str())).collect();
        // One byte more is asked for than is wanted: so an object that is too large is told without reading it.
        let range = format!("bytes=0-{most_bytes}");
        let make = |client: &reqwest::Client| {
            let unsigned = Unsigned { service: "s3", method: "GET", url: &url, headers: &headers, body: b"" };
            let request = self.request(client, &unsigned)?;
            Ok(request.header("range", &range))
        };
        let limit = usize::try_from(most_bytes).unwrap_or(usize::MAX);
        let read = |reply: &Reply| match reply.status.as_u16() {
            200 | 206 if reply.body.len() > limit => Ok(Object::TooLarge),
            200 | 206 => Ok(Object::Found(reply.body.clone())),
            404 | 412 => Ok(Object::Gone),
            // Nothing at all lies within the range: an empty object.
            416 => Ok(Object::Found(Bytes::new())),
            _ => Err(reply.refused("S3")),
        };
        caller.call("S3", deadline, limit.saturating_add(1), make, read).await
    }

    /// A parameter's value, decrypted.
    pub async fn parameter(
        &self,
        caller: &Caller,
        deadline: Instant,
        name: &str,
    ) -> Result<Secret, CallError> {
        #[derive(serde::Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Answer {
            parameter: Parameter,
        }
        #[derive(serde::Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Parameter {
            value: Secret,
        }
        let url = match &self.ssm {
            Some(endpoint) => format!("{}/", endpoint.as_str()),
            None => format!("https://ssm.{}.amazonaws.com/", self.region),
        };
        let body = serde_json::json!({ "Name": name, "WithDecryption": true }).to_string();
        let headers =
            [("content-type", "application/x-amz-json-1.1"), ("x-amz-target", "AmazonSSM.GetParameter")];
        let make = |client: &reqwest::Client| {
            let body = body.as_bytes();
            let unsigned = Unsigned { service: "ssm", method: "POST", url: &url, headers: &headers, body };
            self.request(client, &unsigned)
        };
        let service = "Systems Manager";
        let read = |reply: &Reply| json::<Answer>(service, reply).map(|answer| answer.parameter.value);
        caller.call(service, deadline, 64 * 1024, make, read).await
    }

    fn request(
        &self,
        client: &reqwest::Client,
        unsigned: &Unsigned<'_>,
    ) -> Result<reqwest::RequestBuilder, CallError> {
        let unmade = |why: String| CallError::Unmade { service: "AWS", why };
        let method = Method::from_bytes(unsigned.method.as_bytes()).map_err(|why| unmade(why.to_string()))?;
        let mut request = client.request(method, unsigned.url).body(unsigned.body.to_vec());
        for (name, value) in unsigned.headers {
            request = request.header(*name, *value);
        }
        for (name, value) in self.sign(unsigned, SystemTime::now())? {
            let mut value = http::HeaderValue::from_str(value.reveal())
                .map_err(|_| unmade(format!("{name} holds what no header can")))?;
            value.set_sensitive(true);
            request = request.header(name, value);
        }
        Ok(request)
    }
}
