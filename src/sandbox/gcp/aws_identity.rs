//! An AWS identity, proven by a request that its bearer has signed and not sent: `sts:GetCallerIdentity`. Whoever is
//! given the request sends it, and believes AWS's answer.

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use percent_encoding::percent_decode_str;
use quick_xml::Reader;
use quick_xml::events::Event;
use serde::Deserialize;

use super::sts::Denial;
use crate::sandbox::{Request, World, network};

/// No subject token is longer.
const LONGEST: usize = 16 * 1024;
/// Names the provider that the request was signed for: one meant for somebody else is not to be used here. It may be
/// signed or not.
const TARGET: &str = "x-goog-cloud-target-resource";

/// Who AWS says it is.
#[derive(Debug)]
pub(super) struct Identity {
    pub(super) arn: String,
    pub(super) account: String,
    pub(super) user_id: String,
}

#[derive(Deserialize)]
struct Subject {
    url: String,
    method: String,
    headers: Vec<Field>,
    #[serde(default)]
    body: String,
}

#[derive(Deserialize)]
struct Field {
    key: String,
    value: String,
}

/// Verifies a subject token that is meant for this audience.
pub(super) fn verify(world: &mut World, token: &str, audience: &str) -> Result<Identity, Denial> {
    if token.is_empty() {
        return Err(Denial::request("Missing required parameter: subject_token"));
    }
    let malformed = |problem: &str| Denial::request(format!("Invalid format of AWS credentials:{problem}"));
    if token.len() > LONGEST {
        return Err(malformed("the subject token is too long"));
    }
    // It is quoted once more than the form's encoding does; clients that do not are taken too.
    let text = percent_decode_str(token).decode_utf8().map_err(|error| malformed(&error.to_string()))?;
    let subject: Subject = serde_json::from_str(&text).map_err(|error| malformed(&error.to_string()))?;
    let host = checked(&subject, audience).map_err(malformed)?;
    let request = request(&subject, &host).ok_or_else(|| malformed("no such request can be sent"))?;
    // The rest of the token's refusals are AWS's to word: signature, key, security token, time.
    let response = network::send(world, &host, &request)
        .ok_or_else(|| malformed("the URL is not that of AWS's security token service"))?;
    let fields = leaves(response.body());
    let field = |name: &str| fields.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
    if response.status() != StatusCode::OK {
        let code = field("Code").unwrap_or_else(|| response.status().to_string());
        let message = field("Message").unwrap_or_default();
        // Google's words: <https://github.com/googleapis/google-auth-library-python/issues/844>.
        let message = format!("Received invalid AWS response of type {code} with error message: {message}");
        return Err(Denial::grant(message));
    }
    match (field("Arn"), field("Account"), field("UserId")) {
        (Some(arn), Some(account), Some(user_id)) => Ok(Identity { arn, account, user_id }),
        _ => Err(Denial::grant("AWS did not say who the caller is.".to_owned())),
    }
}

/// The host, if the request asks who its signer is and nothing else, of AWS and nobody else, for this audience.
fn checked(subject: &Subject, audience: &str) -> Result<String, &'static str> {
    let url: Uri = subject.url.parse().map_err(|_| "the URL is malformed")?;
    let host = url.host().unwrap_or_default().to_owned();
    if url.scheme_str() != Some("https") || url.port().is_some() || !matches!(url.path(), "" | "/") {
        return Err("the URL must be https://sts.REGION.amazonaws.com");
    }
    let mut query: Vec<(String, String)> =
        form_urlencoded::parse(url.query().unwrap_or_default().as_bytes()).into_owned().collect();
    query.sort();
    let asked = [("Action", "GetCallerIdentity"), ("Version", "2011-06-15")];
    if !query.iter().map(|(name, value)| (name.as_str(), value.as_str())).eq(asked)
        || !subject.body.is_empty()
    {
        return Err("the request must be GetCallerIdentity of version 2011-06-15");
    }
    if !matches!(subject.method.as_str(), "POST" | "GET") {
        return Err("the method must be POST or GET");
    }
    let mut names: Vec<String> = subject.headers.iter().map(|field| field.key.to_lowercase()).collect();
    names.sort();
    if names.windows(2).any(|pair| pair[0] == pair[1]) {
        return Err("a header is repeated");
    }
    let header = |name: &str| {
        let found = subject.headers.iter().find(|field| field.key.eq_ignore_ascii_case(name));
        found.map(|field| field.value.as_str())
    };
    if header("authorization").is_none() || header("x-amz-date").is_none() {
        return Err("the headers Authorization and x-amz-date are needed");
    }
    if header("host") != Some(&host) {
        return Err("the header host must be that of the URL");
    }
    let target = header(TARGET).ok_or("the header x-goog-cloud-target-resource is needed")?;
    if target.trim_start_matches("https:") != audience {
        return Err("the header x-goog-cloud-target-resource must be the audience");
    }
    Ok(host)
}

fn request(subject: &Subject, host: &str) -> Option<Request> {
    let uri: Uri = subject.url.parse().ok()?;
    let mut request = Request::new(Bytes::new());
    *request.method_mut() = Method::from_bytes(subject.method.as_bytes()).ok()?;
    // As a server sees it: the path and query alone, the host as a header.
    *request.uri_mut() = format!("/?{}", uri.query()?).parse().ok()?;
    for Field { key, value } in &subject.headers {
        let name = HeaderName::from_bytes(key.to_lowercase().as_bytes()).ok()?;
        request.headers_mut().insert(name, HeaderValue::from_str(value).ok()?);
    }
    request.headers_mut().insert(header::HOST, HeaderValue::from_str(host).ok()?);
    Some(request)
}

/// Every element of an XML document that holds text, with its text.
fn leaves(document: &[u8]) -> Vec<(String, String)> {
    let mut reader = Reader::from_reader(document);
    let (mut leaves, mut name, mut text) = (Vec::new(), String::new(), String::new());
    loop {
        match reader.read_event() {
            Ok(Event::Start(start)) => {
                start.local_name().as_ref().clone_into(&mut name);
                text.clear();
            }
            Ok(Event::Text(part)) => text.push_str(&part),
            Ok(Event::End(_)) if !name.is_empty() => leaves.push((std::mem::take(&mut name), text.clone())),
            Ok(Event::Eof) | Err(_) => return leaves,
            Ok(_) => {}
        }
    }
}
