//! One attempt to become a service account with an AWS identity, to see whether Google lets it happen.
//!
//! What comes of it is dropped at once: no token is returned, kept, shown or logged.

use bytes::Bytes;
use http::{Request, StatusCode};
use jiff::Timestamp;
use serde_json::Value as Json;

use super::Gcp;
use super::aws_exchange::{IMPERSONATION, Keys, impersonation, subject_token, token_form};
use super::failure;
use super::rest::fetch;
use crate::model::{CloudError, ErrorKind, Secret};
use crate::provider::AwsKey;
use crate::provider::retry::{Attempt, Call, retry};

/// Who tries to become whom.
#[derive(Clone, Copy)]
pub(crate) struct Trial<'a> {
    /// What signs.
    pub(crate) key: &'a AwsKey,
    /// Where AWS is asked whose the signature is.
    pub(crate) region: &'a str,
    /// `projects/NUMBER/locations/global/workloadIdentityPools/POOL/providers/PROVIDER`
    pub(crate) provider: &'a str,
    /// The provider that the request is signed for, which should be the same.
    pub(crate) signed_for: &'a str,
    /// The service account's address.
    pub(crate) service_account: &'a str,
}

/// What Google answered.
pub(crate) enum Answer {
    /// A token of the service account.
    LetIn,
    /// No.
    Refused(Refusal),
    /// Neither: no answer came, or one that is about something else.
    Unclear(CloudError),
}

/// A refusal, in Google's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// Which call was refused.
    pub(crate) call: &'static str,
    /// With which status.
    pub(crate) status: u16,
    /// OAuth's error, or the canonical code.
    pub(crate) code: String,
    /// The reason of Google's `ErrorInfo`, where there is one.
    pub(crate) reason: String,
    /// In which words.
    pub(crate) message: String,
}

/// The call that gives a federated token.
const EXCHANGE: &str = "sts.token";
/// What a federated token is for that becomes a service account, and for nothing else.
const BECOMING: &str = "https://www.googleapis.com/auth/iam";
/// What the service account's token is good for: to read the account's own address.
const LEAST: &str = "https://www.googleapis.com/auth/userinfo.email";
/// The shortest life that Google documents for such a token, in seconds (<https://google.aip.dev/auth/4117>).
const SHORTEST: u64 = 600;

impl Refusal {
    /// Whether everyone is refused so, whoever they are.
    pub(crate) fn is_for_all(&self) -> bool {
        self.code == "invalid_target" || self.reason == "SERVICE_DISABLED"
    }

    /// Whether the two are the same, but for numbers: times and ids differ from one answer to the next.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        let words = |refusal: &Self| {
            refusal.message.chars().filter(|letter| !letter.is_ascii_digit()).collect::<String>()
        };
        (self.call, self.status, &self.code, words(self))
            == (other.call, other.status, &other.code, words(other))
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}: {}", self.status, self.code, self.message)
    }
}

impl Gcp {
    /// Tries it.
    pub(crate) async fn attempt(&self, trial: Trial<'_>) -> Answer {
        match self.become_it(trial).await {
            Ok(Ok(())) => Answer::LetIn,
            Ok(Err(refusal)) => Answer::Refused(refusal),
            Err(error) => Answer::Unclear(error),
        }
    }

    async fn become_it(&self, trial: Trial<'_>) -> Result<Result<(), Refusal>, CloudError> {
        let named = |provider: &str| format!("//iam.googleapis.com/{provider}");
        let Trial { region, service_account, .. } = trial;
        let (id, secret, session) = trial.key;
        let session = session.as_ref().map(|token| token.expose().to_owned());
        let keys = Keys { id: id.clone(), secret: secret.clone(), session };
        let url = format!("https://sts.{region}.amazonaws.com?Action=GetCallerIdentity&Version=2011-06-15");
        let subject = subject_token(&url, region, &named(trial.signed_for), &keys, Timestamp::now())
            .map_err(|wrong| failure::own(EXCHANGE, ErrorKind::Invalid, wrong))?;
        let kind = "urn:ietf:params:aws:token-type:aws4_request";
        let form = token_form(&named(trial.provider), kind, BECOMING, &subject);
        let federated = match self.post(EXCHANGE, "sts", "v1/token", None, form).await? {
            Ok(answer) => token(EXCHANGE, &answer, "access_token")?,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let path = format!("v1/projects/-/serviceAccounts/{service_account}:generateAccessToken");
        let wanted = impersonation(LEAST, SHORTEST);
        let answer = self.post(IMPERSONATION, "iamcredentials", &path, Some(&federated), wanted).await?;
        match answer {
            Ok(answer) => token(IMPERSONATION, &answer, "accessToken").map(|_| Ok(())),
            Err(refusal) => Ok(Err(refusal)),
        }
    }

    /// Posts a form, or JSON where there is a token to go with it. Nothing is changed by it, so that it may be sent
    /// again.
    async fn post(
        &self,
        call: &'static str,
        service: &str,
        path: &str,
        by: Option<&Secret>,
        body: Bytes,
    ) -> Result<Result<Json, Refusal>, CloudError> {
        let client = self.client().await?;
        let base = client.endpoint.clone().unwrap_or_else(|| format!("https://{service}.googleapis.com/"));
        retry(Call::Read, || async {
            let request = Request::post(format!("{base}{path}"))
                .header(http::header::USER_AGENT, concat!("mcm/", env!("CARGO_PKG_VERSION")));
            let request = match by {
                Some(token) => request
                    .header(http::header::AUTHORIZATION, format!("Bearer {}", token.expose()))
                    .header(http::header::CONTENT_TYPE, "application/json"),
                None => request.header(http::header::CONTENT_TYPE, "application/x-www-form-urlencoded"),
            };
            let (status, headers, answer) = fetch(&client.http, call, request, body.clone()).await?;
            let retry_after = failure::retry_after(&headers);
            understand(call, status, &answer).map_err(|error| Attempt { error, retry_after })
        })
        .await
    }
}

/// What an answer says. Only a refusal that bears a code is one: anything may stand at an address.
fn understand(
    call: &'static str,
    status: StatusCode,
    body: &[u8],
) -> Result<Result<Json, Refusal>, CloudError> {
    let json: Json = serde_json::from_slice(body).unwrap_or_default();
    if status.is_success() {
        return if json.is_object() { Ok(Ok(json)) } else { Err(failure::garbled(call)) };
    }
    // The exchange answers as OAuth does, the rest as Google's APIs do.
    let error = &json["error"];
    let (code, message) = match error.as_str() {
        Some(code) => (code, json["error_description"].as_str()),
        None => (error["status"].as_str().unwrap_or_default(), error["message"].as_str()),
    };
    if !matches!(status.as_u16(), 400 | 401 | 403 | 404) || code.is_empty() {
        return Err(failure::classify(call, status.as_u16(), &json));
    }
    let mut details = error["details"].as_array().into_iter().flatten();
    let reason = details.find_map(|detail| detail["reason"].as_str()).unwrap_or_default();
    Ok(Err(Refusal {
        call,
        status: status.as_u16(),
        code: code.to_owned(),
        reason: reason.to_owned(),
        message: message.unwrap_or("no reason is given").to_owned(),
    }))
}

fn token(call: &str, answer: &Json, name: &str) -> Result<Secret, CloudError> {
    answer[name].as_str().map(Secret::new).ok_or_else(|| failure::garbled(call))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(status: u16, body: &str) -> Option<Refusal> {
        understand(EXCHANGE, StatusCode::from_u16(status).unwrap(), body.as_bytes()).ok()?.err()
    }

    #[test]
    fn a_refusal_is_told_from_what_is_none() {
        let oauth = refusal(400, r#"{"error":"unauthorized_client","error_description":"no 12"}"#).unwrap();
        assert_eq!(oauth.to_string(), "400 unauthorized_client: no 12");
        assert!(!oauth.is_for_all());
        let again = refusal(400, r#"{"error":"unauthorized_client","error_description":"no 345"}"#).unwrap();
        let other = refusal(400, r#"{"error":"invalid_grant","error_description":"no 12"}"#).unwrap();
        assert!(oauth.is_like(&again) && !oauth.is_like(&other));
        let off = r#"{"error":{"code":403,"status":"PERMISSION_DENIED","message":"off","details":[{"reason":"SERVICE_DISABLED"}]}}"#;
        assert!(refusal(403, off).unwrap().is_for_all());
        assert!(refusal(400, r#"{"error":"invalid_target"}"#).unwrap().is_for_all());
        for (status, body) in [
            (200, "{}"),
            (200, "<html>"),
            (404, "<html>"),
            (403, ""),
            (429, r#"{"error":{"status":"RESOURCE_EXHAUSTED"}}"#),
            (500, r#"{"error":"internal_failure"}"#),
            (503, ""),
        ] {
            assert_eq!(refusal(status, body), None, "{status} {body}");
        }
        let busy = understand(EXCHANGE, StatusCode::TOO_MANY_REQUESTS, b"{}").unwrap_err();
        let broken = understand(EXCHANGE, StatusCode::BAD_GATEWAY, b"").unwrap_err();
        assert_eq!((busy.kind, broken.kind), (ErrorKind::Throttled, ErrorKind::Unknown));
    }
}
