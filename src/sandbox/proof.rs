//! Proves a trust from an AWS role to a Google service account: what the rightful role would send, and what others
//! would, is sent to a copy of the clouds. Nothing of it stays.
//!
//! The way is the one of Google's own libraries: a signed `GetCallerIdentity` goes to Google's token exchange, and what
//! comes back becomes the service account.

use bytes::Bytes;
use jiff::SignedDuration;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value as Json, json};
use sha2::{Digest as _, Sha256};

use super::aws::{self, Keys, sigv4};
use super::{Accounts, World, gcp};

/// What is said to be so.
#[derive(Clone, Debug)]
pub struct Claim {
    /// The AWS account.
    pub account: String,
    /// The role's name, without its path.
    pub role: String,
    /// `projects/NUMBER/locations/global/workloadIdentityPools/POOL/providers/PROVIDER`
    pub provider: String,
    /// Whom the role may become: its address.
    pub service_account: String,
}

/// Who tries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// The role itself.
    Role,
    /// Another role of the account.
    Neighbour,
    /// A role of the same name in another account.
    Namesake,
    /// The role, with a request that was signed for another provider.
    OtherAudience,
    /// The role, with a signature that is not its own.
    Forger,
}

impl Who {
    /// Everybody, the one who may first.
    pub const ALL: [Self; 5] =
        [Self::Role, Self::Neighbour, Self::Namesake, Self::OtherAudience, Self::Forger];

    /// Whether the trust is for them.
    pub fn may(self) -> bool {
        self == Self::Role
    }
}

/// One attempt.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// By whom.
    pub who: Who,
    /// Whether they became the service account; otherwise what the clouds said.
    pub outcome: Result<(), String>,
}

const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";
const REGION: &str = "us-east-1";
/// An account and a role that no stack has.
const ELSEWHERE: [&str; 2] = ["999999999999", "888888888888"];
const NEIGHBOUR: &str = "mcm-proof-neighbour";

/// Tries everybody, each on a copy of its own.
pub fn prove(world: &World, claim: &Claim) -> Vec<Attempt> {
    Who::ALL.into_iter().map(|who| Attempt { who, outcome: attempt(world.copy(), claim, who) }).collect()
}

fn attempt(mut world: World, claim: &Claim, who: Who) -> Result<(), String> {
    let away = ELSEWHERE.iter().find(|account| **account != claim.account).copied().unwrap_or(ELSEWHERE[0]);
    let (account, role) = match who {
        Who::Role | Who::OtherAudience | Who::Forger => (claim.account.as_str(), claim.role.as_str()),
        Who::Neighbour => (claim.account.as_str(), NEIGHBOUR),
        Who::Namesake => (away, claim.role.as_str()),
    };
    if matches!(who, Who::Neighbour | Who::Namesake) {
        world.admit(&Accounts { aws: [account.to_owned()].into(), ..Accounts::default() });
        make_role(&mut world, account, role)?;
    }
    let keys = session(&mut world, account, role)?;
    let audience = match who {
        Who::OtherAudience => format!("{}-other", claim.provider),
        Who::Role | Who::Neighbour | Who::Namesake | Who::Forger => claim.provider.clone(),
    };
    let token = exchange(&mut world, claim, &keys, &audience, who == Who::Forger)?;
    let path = format!("/v1/projects/-/serviceAccounts/{}:generateAccessToken", claim.service_account);
    let wanted = json!({ "scope": [SCOPE], "lifetime": "600s" });
    google(&mut world, &token, &path, &wanted).map(drop)
}

/// Credentials of a role, whatever its path is.
fn session(world: &mut World, account: &str, role: &str) -> Result<Keys, String> {
    let lasts = SignedDuration::from_mins(15);
    aws::assume_named(world, account, role, "mcm-proof", lasts)
        .ok_or_else(|| format!("there is no role {role} in {account}"))
}

fn make_role(world: &mut World, account: &str, role: &str) -> Result<(), String> {
    let trust = json!({ "Version": "2012-10-17", "Statement": [
        { "Effect": "Allow", "Principal": { "Service": "lambda.amazonaws.com" }, "Action": "sts:AssumeRole" },
    ] });
    let form = format!(
        "Action=CreateRole&Version=2010-05-08&RoleName={role}&AssumeRolePolicyDocument={}",
        quoted(&trust.to_string())
    );
    let (id, secret) = world.credentials().aws_keys(account);
    let signed = Signed { id: &id, secret: &secret, token: None, service: "iam", host: "iam.amazonaws.com" };
    let mut request = http::Request::new(Bytes::from(form.clone()));
    *request.method_mut() = http::Method::POST;
    let mut fields = signed.headers(world, "", &form, &[]);
    fields.push(("content-type".to_owned(), "application/x-www-form-urlencoded".to_owned()));
    for (name, value) in fields {
        let (Ok(name), Ok(value)) = (name.parse::<http::HeaderName>(), value.parse()) else {
            return Err(format!("`{name}` cannot be sent"));
        };
        request.headers_mut().insert(name, value);
    }
    let response = aws::handle(world, &request);
    if response.status().is_success() {
        return Ok(());
    }
    Err(format!("{role} could not be made: {}", String::from_utf8_lossy(response.body())))
}

/// The federated token for a signed request; what was refused otherwise. A forger signs with a key of their own.
fn exchange(
    world: &mut World,
    claim: &Claim,
    keys: &Keys,
    audience: &str,
    forged: bool,
) -> Result<String, String> {
    let query = "Action=GetCallerIdentity&Version=2011-06-15";
    let host = format!("sts.{REGION}.amazonaws.com");
    let secret = if forged { "a-key-that-nobody-has-given-to-anyone" } else { &keys.secret_access_key };
    let signed = Signed {
        id: &keys.access_key_id,
        secret,
        token: Some(&keys.session_token),
        service: "sts",
        host: &host,
    };
    let target = format!("//iam.googleapis.com/{audience}");
    let fields = signed.headers(world, query, "", &[("x-goog-cloud-target-resource", &target)]);
    let fields: Vec<Json> = fields.iter().map(|(key, value)| json!({ "key": key, "value": value })).collect();
    let subject = json!({ "url": format!("https://{host}?{query}"), "method": "POST", "headers": fields });
    let wanted = json!({
        "grantType": "urn:ietf:params:oauth:grant-type:token-exchange",
        "audience": format!("//iam.googleapis.com/{}", claim.provider),
        "scope": SCOPE,
        "requestedTokenType": "urn:ietf:params:oauth:token-type:access_token",
        "subjectTokenType": "urn:ietf:params:aws:token-type:aws4_request",
        "subjectToken": quoted(&subject.to_string()),
    });
    let answer = google(world, "", "/v1/token", &wanted)?;
    answer["access_token"].as_str().map(str::to_owned).ok_or_else(|| "no token came back".to_owned())
}

fn google(world: &mut World, token: &str, path: &str, body: &Json) -> Result<Json, String> {
    let mut request = http::Request::builder()
        .method(http::Method::POST)
        .uri(path)
        .header(http::header::CONTENT_TYPE, "application/json");
    if !token.is_empty() {
        request = request.header(http::header::AUTHORIZATION, format!("Bearer {token}"));
    }
    let request = request.body(Bytes::from(body.to_string())).map_err(|error| error.to_string())?;
    let response = gcp::handle(world, &request);
    let answer: Json = serde_json::from_slice(response.body()).unwrap_or_default();
    if response.status().is_success() {
        return Ok(answer);
    }
    // The exchange answers as OAuth does, the rest as Google's APIs do.
    let (code, words) = match &answer["error"] {
        Json::String(code) => (code.as_str(), answer["error_description"].as_str()),
        error => (error["status"].as_str().unwrap_or_default(), error["message"].as_str()),
    };
    Err(format!("{} {code}: {}", response.status().as_u16(), words.unwrap_or("no reason is given")))
}

/// Who signs, for which service.
struct Signed<'a> {
    id: &'a str,
    secret: &'a str,
    token: Option<&'a str>,
    service: &'a str,
    host: &'a str,
}

impl Signed<'_> {
    /// The header fields of a signed POST to `/`; the query is in canonical form.
    fn headers(
        &self,
        world: &World,
        query: &str,
        body: &str,
        more: &[(&str, &str)],
    ) -> Vec<(String, String)> {
        let time = world.now().strftime("%Y%m%dT%H%M%SZ").to_string();
        let mut fields = vec![("host", self.host), ("x-amz-date", time.as_str())];
        fields.extend(self.token.map(|token| ("x-amz-security-token", token)));
        fields.extend(more);
        fields.sort_unstable();
        let names: Vec<&str> = fields.iter().map(|(name, _)| *name).collect();
        let names = names.join(";");
        let lines =
            fields.iter().fold(String::new(), |lines, (name, value)| lines + name + ":" + value + "\n");
        let digest = |text: &str| hex::encode(Sha256::digest(text));
        let canonical = format!("POST\n/\n{query}\n{lines}\n{names}\n{}", digest(body));
        let day = time.get(..8).unwrap_or_default();
        let scope = format!("{day}/{REGION}/{}/aws4_request", self.service);
        let text = format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{}", digest(&canonical));
        let key = sigv4::signing_key(self.secret, day, REGION, self.service);
        let signature = hex::encode(sigv4::mac(&key, text.as_bytes()));
        let header = format!(
            "AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={names}, Signature={signature}",
            self.id
        );
        let mut fields: Vec<(String, String)> =
            fields.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        fields.push(("authorization".to_owned(), header));
        fields
    }
}

fn quoted(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}
