//! An AWS identity exchanged for a Google access token (<https://google.aip.dev/auth/4117>): the machine signs, and
//! never sends, a request for its own identity; Google's token service sends it and believes AWS's answer.

use std::time::Duration;

use bytes::Bytes;
use hmac::{Hmac, Mac};
use http::{Method, Request};
use jiff::Timestamp;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value as Json, json};
use sha2::{Digest as _, Sha256};
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::client::Http;
use super::credentials::{Environment, SCOPE, missing};
use super::rest::fetch;
use crate::model::{CloudError, Secret};

/// A token is renewed so long before it ends.
const MARGIN: Duration = Duration::from_mins(5);
/// Where AWS's metadata server is allowed to be: the file that names it is not to send secrets elsewhere.
const METADATA_HOSTS: &[&str] = &["169.254.169.254", "[fd00:ec2::254]"];
/// The call that gives a service account's token.
pub(super) const IMPERSONATION: &str = "iamcredentials.projects.serviceAccounts.generateAccessToken";
/// What needs no quoting in the token, as Python's `quote` has it.
const QUOTED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'_').remove(b'.').remove(b'-').remove(b'~').remove(b'/');

/// A credential configuration whose source is AWS, and the last token made from it.
pub(super) struct Exchange {
    http: Http,
    environment: Environment,
    audience: String,
    token_type: String,
    token_url: String,
    impersonation_url: Option<String>,
    lifetime_s: u64,
    verification_url: String,
    region_url: Option<String>,
    role_url: Option<String>,
    session_url: Option<String>,
    last: Mutex<Option<(Secret, Instant)>>,
}

/// What a request of AWS is signed with.
pub(super) struct Keys {
    pub(super) id: String,
    pub(super) secret: Secret,
    pub(super) session: Option<String>,
}

impl Exchange {
    /// Reads a configuration as `gcloud iam workload-identity-pools create-cred-config --aws` writes it.
    pub(super) fn new(json: &Json, http: Http, environment: Environment) -> Result<Self, String> {
        let source = &json["credential_source"];
        if source["environment_id"] != "aws1" {
            return Err(format!("the AWS environment {} is not known", source["environment_id"]));
        }
        let text =
            |json: &Json, name: &str| json[name].as_str().filter(|text| !text.is_empty()).map(str::to_owned);
        let needed = |json: &Json, name: &str| text(json, name).ok_or_else(|| format!("`{name}` is missing"));
        let metadata = |name: &str| match text(source, name) {
            Some(url) if METADATA_HOSTS.contains(&host(&url).unwrap_or_default()) => Ok(Some(url)),
            Some(url) => Err(format!("`{name}` is {url}, which is not AWS's metadata server")),
            None => Ok(None),
        };
        Ok(Self {
            http,
            environment,
            audience: needed(json, "audience")?,
            token_type: needed(json, "subject_token_type")?,
            token_url: safe(needed(json, "token_url")?)?,
            impersonation_url: text(json, "service_account_impersonation_url").map(safe).transpose()?,
            lifetime_s: json["service_account_impersonation"]["token_lifetime_seconds"]
                .as_u64()
                .unwrap_or(3600),
            verification_url: needed(source, "regional_cred_verification_url")?,
            region_url: metadata("region_url")?,
            role_url: metadata("url")?,
            session_url: metadata("imdsv2_session_token_url")?,
            last: Mutex::new(None),
        })
    }

    /// A token that is valid for some minutes more.
    pub(super) async fn token(&self) -> Result<Secret, CloudError> {
        let mut last = self.last.lock().await;
        if let Some((token, until)) = last.as_ref()
            && *until > Instant::now() + MARGIN
        {
            return Ok(token.clone());
        }
        let (token, life) = self.fresh().await?;
        *last = Some((token.clone(), Instant::now() + life));
        Ok(token)
    }

    fn var(&self, name: &str) -> Option<String> {
        (self.environment)(name)
    }

    async fn fresh(&self) -> Result<(Secret, Duration), CloudError> {
        let session = match &self.session_url {
            Some(url) if self.var("AWS_ACCESS_KEY_ID").is_none() => Some(self.session(url).await?),
            _ => None,
        };
        let region = self.region(session.as_deref()).await?;
        let keys = self.keys(session.as_deref()).await?;
        let url = self.verification_url.replace("{region}", &region);
        let subject =
            subject_token(&url, &region, &self.audience, &keys, Timestamp::now()).map_err(missing)?;
        let form = token_form(&self.audience, &self.token_type, SCOPE, &subject);
        let request = Request::post(&self.token_url)
            .header(http::header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        let answer = self.json("sts.token", request, form).await?;
        let token = text(&answer, "access_token", "sts.token")?;
        let life = Duration::from_secs(answer["expires_in"].as_u64().unwrap_or(3600));
        let Some(url) = &self.impersonation_url else { return Ok((Secret::new(token), life)) };
        let request = Request::post(url)
            .header(http::header::AUTHORIZATION, format!("Bearer {token}"))
            .header(http::header::CONTENT_TYPE, "application/json");
        let answer = self.json(IMPERSONATION, request, impersonation(SCOPE, self.lifetime_s)).await?;
        Ok((Secret::new(text(&answer, "accessToken", IMPERSONATION)?), Duration::from_secs(self.lifetime_s)))
    }

    /// Environment first, then the machine's zone without its last letter.
    async fn region(&self, session: Option<&str>) -> Result<String, CloudError> {
        if let Some(region) = self.var("AWS_REGION").or_else(|| self.var("AWS_DEFAULT_REGION")) {
            return Ok(region);
        }
        let url = self
            .region_url
            .as_deref()
            .ok_or_else(|| missing("no AWS region is known: set AWS_REGION".to_owned()))?;
        let zone = self.metadata(url, session).await?;
        Ok(zone.trim_end_matches(|letter: char| letter.is_ascii_lowercase()).to_owned())
    }

    /// Environment first, then the machine's role.
    async fn keys(&self, session: Option<&str>) -> Result<Keys, CloudError> {
        if let (Some(id), Some(secret)) = (self.var("AWS_ACCESS_KEY_ID"), self.var("AWS_SECRET_ACCESS_KEY")) {
            return Ok(Keys { id, secret: Secret::new(secret), session: self.var("AWS_SESSION_TOKEN") });
        }
        let none = || {
            missing(
                "there are no AWS credentials to exchange: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
                    .to_owned(),
            )
        };
        let url = self.role_url.as_deref().ok_or_else(none)?;
        let role = self.metadata(url, session).await?;
        let keys = self.metadata(&format!("{url}/{}", role.trim()), session).await?;
        let keys: Json = serde_json::from_str(&keys).map_err(|_| none())?;
        let call = "AWS metadata";
        Ok(Keys {
            id: text(&keys, "AccessKeyId", call)?,
            secret: Secret::new(text(&keys, "SecretAccessKey", call)?),
            session: Some(text(&keys, "Token", call)?),
        })
    }

    async fn session(&self, url: &str) -> Result<String, CloudError> {
        let request = Request::put(url).header("X-aws-ec2-metadata-token-ttl-seconds", "300");
        self.text("AWS metadata", request, Bytes::new()).await
    }

    async fn metadata(&self, url: &str, session: Option<&str>) -> Result<String, CloudError> {
        let request = Request::builder().method(Method::GET).uri(url);
        let request = match session {
            Some(session) => request.header("X-aws-ec2-metadata-token", session),
            None => request,
        };
        self.text("AWS metadata", request, Bytes::new()).await
    }

    async fn text(
        &self,
        call: &str,
        request: http::request::Builder,
        body: Bytes,
    ) -> Result<String, CloudError> {
        let (status, _, answer) = fetch(&self.http, call, request, body).await?;
        if status.is_success() {
            return Ok(String::from_utf8_lossy(&answer).into_owned());
        }
        let answer: Json = serde_json::from_slice(&answer).unwrap_or_default();
        let why = answer["error_description"].as_str().or_else(|| answer["error"]["message"].as_str());
        Err(missing(format!("{call} answered {}: {}", status.as_u16(), why.unwrap_or("no reason given"))))
    }

    async fn json(
        &self,
        call: &str,
        request: http::request::Builder,
        body: Bytes,
    ) -> Result<Json, CloudError> {
        let answer = self.text(call, request, body).await?;
        serde_json::from_str(&answer).map_err(|_| missing(format!("{call} answered no JSON")))
    }
}

fn text(json: &Json, name: &str, call: &str) -> Result<String, CloudError> {
    json[name].as_str().map(str::to_owned).ok_or_else(|| missing(format!("{call} answered without `{name}`")))
}

fn host(url: &str) -> Option<&str> {
    let (_, rest) = url.split_once("://")?;
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    Some(&rest[..end])
}

/// Whether a URL leads to the machine itself.
pub(super) fn is_local(url: &str) -> bool {
    let uri: Option<http::Uri> = url.parse().ok();
    let authority = uri.as_ref().and_then(http::Uri::authority);
    authority.is_some_and(|it| !it.as_str().contains('@') && ["127.0.0.1", "localhost"].contains(&it.host()))
}

/// Credentials go out over TLS alone, or stay on the machine.
pub(super) fn safe(url: String) -> Result<String, String> {
    if url.starts_with("https://") || (url.starts_with("http://") && is_local(&url)) {
        return Ok(url);
    }
    Err(format!("{url} is not https://"))
}

/// What Google's token service is asked with.
pub(super) fn token_form(audience: &str, token_type: &str, scope: &str, subject: &str) -> Bytes {
    let form = form_urlencoded::Serializer::new(String::new())
        .append_pair("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange")
        .append_pair("audience", audience)
        .append_pair("scope", scope)
        .append_pair("requested_token_type", "urn:ietf:params:oauth:token-type:access_token")
        .append_pair("subject_token", subject)
        .append_pair("subject_token_type", token_type)
        .finish();
    Bytes::from(form)
}

/// What a service account's token is asked for with.
pub(super) fn impersonation(scope: &str, lifetime_s: u64) -> Bytes {
    Bytes::from(json!({ "scope": [scope], "lifetime": format!("{lifetime_s}s") }).to_string())
}

/// The signed request for one's own identity, as Google's token service takes it.
pub(super) fn subject_token(
    url: &str,
    region: &str,
    audience: &str,
    keys: &Keys,
    now: Timestamp,
) -> Result<String, String> {
    let host = host(url).ok_or_else(|| format!("{url} is no URL"))?;
    let query = url.split_once('?').map_or("", |(_, query)| query);
    let date = now.strftime("%Y%m%dT%H%M%SZ").to_string();
    let mut headers = vec![("host", host.to_owned()), ("x-amz-date", date.clone())];
    headers.extend(keys.session.clone().map(|session| ("x-amz-security-token", session)));
    headers.push(("x-goog-cloud-target-resource", audience.to_owned()));
    let signed = headers.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(";");
    let canonical =
        headers.iter().fold(String::new(), |text, (name, value)| text + name + ":" + value + "\n");
    let empty = hex::encode(Sha256::digest(b""));
    let mut pairs: Vec<&str> = query.split('&').collect();
    pairs.sort_unstable();
    let request = format!("POST\n/\n{}\n{canonical}\n{signed}\n{empty}", pairs.join("&"));
    let scope = format!("{}/{region}/sts/aws4_request", &date[..8]);
    let text = format!("AWS4-HMAC-SHA256\n{date}\n{scope}\n{}", hex::encode(Sha256::digest(request)));
    let seed = zeroize::Zeroizing::new(format!("AWS4{}", keys.secret.expose()));
    let key = [&date[..8], region, "sts", "aws4_request"]
        .iter()
        .try_fold(seed.as_bytes().to_vec(), |key, part| sign(&key, part))?;
    let signature = hex::encode(sign(&key, &text)?);
    let authorization = format!(
        "AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={signed}, Signature={signature}",
        keys.id
    );
    let listed = [("Authorization", authorization)].into_iter().chain(headers);
    let listed: Vec<Json> = listed.map(|(key, value)| json!({ "key": key, "value": value })).collect();
    let token = json!({ "headers": listed, "method": "POST", "url": url }).to_string();
    Ok(utf8_percent_encode(&token, QUOTED).to_string())
}

fn sign(key: &[u8], text: &str) -> Result<Vec<u8>, String> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).map_err(|error| error.to_string())?;
    mac.update(text.as_bytes());
    Ok(mac.finalize().into_bytes().to_vec())
}

#[cfg(test)]
mod tests {
    use percent_encoding::percent_decode_str;

    use super::*;

    /// The signatures are botocore's, for the same keys, time and headers.
    #[test]
    fn a_request_is_signed_as_aws_signs_it() {
        let url = "https://sts.eu-west-1.amazonaws.com?Action=GetCallerIdentity&Version=2011-06-15";
        let audience = "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/q";
        let now: Timestamp = "2026-11-23T12:00:00Z".parse().unwrap_or_default();
        for (session, signature) in [
            (None, "09d6e7639c4c33a0c2890244fc6976abbabe12dc126208078befe8e772d0724b"),
            (Some("the/session+token=="), "17577734054212ae9f56613989f0fdc520530ea7b56f0107cc436d6b40fea0e8"),
        ] {
            let keys = Keys {
                id: "AKIDEXAMPLE".to_owned(),
                secret: Secret::new("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"),
                session: session.map(str::to_owned),
            };
            let token = subject_token(url, "eu-west-1", audience, &keys, now).unwrap_or_default();
            let token: Json =
                serde_json::from_str(&percent_decode_str(&token).decode_utf8_lossy()).unwrap_or_default();
            let header = |name: &str| {
                let headers = token["headers"].as_array().into_iter().flatten();
                headers.filter(|header| header["key"] == name).find_map(|header| header["value"].as_str())
            };
            assert_eq!(token["url"], url);
            assert_eq!(header("x-goog-cloud-target-resource"), Some(audience));
            assert_eq!(header("x-amz-security-token"), session);
            let authorization = header("Authorization").unwrap_or_default();
            assert!(authorization.ends_with(&format!("Signature={signature}")), "{authorization}");
        }
    }

    #[test]
    fn secrets_go_nowhere_else() {
        for url in [
            "http://tokens.example/",
            "http://127.0.0.1:80@tokens.example/",
            "http://localhost.example/",
            "ftp://x/",
        ] {
            assert!(safe(url.to_owned()).is_err(), "{url}");
        }
        for url in
            ["https://sts.googleapis.com/v1/token", "http://127.0.0.1:8080/token", "http://localhost/token"]
        {
            assert!(safe(url.to_owned()).is_ok(), "{url}");
        }
    }
}
