//! `mcm trust --live`: trusts tried by real requests. The clouds are a served sandbox; mcm knows no more of it than its
//! addresses.

use std::path::Path;

use mcm::sandbox::{Credentials, project_number};
use serde_json::{Value as Json, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::binary::{Ran, folder, mcm, run};
use super::road::Served;
use crate::support::sign::{Signer, send};

const ACCOUNT: &str = "123456789012";
const ELSEWHERE: &str = "210987654321";
const PROJECT: &str = "lived-project";
const WRITER: &str = "lived-writer@lived-project.iam.gserviceaccount.com";
/// What lets the account's own identities assume a role.
const ASSUMABLE: &str =
    "          - { Effect: Allow, Principal: { AWS: \"123456789012\" }, Action: \"sts:AssumeRole\" }\n";
const STS: &str =
    "  sts-api: { type: serviceusage.googleapis.com/Service, properties: { name: sts.googleapis.com } }\n";

/// A role that its account may assume, another one, and a trust for the first. `CLOUDS` is to be replaced.
const STACK: &str = "\
stack: lived
CLOUDS
resources:
  worker:
    type: AWS::IAM::Role
    properties:
      RoleName: lived-worker
      Path: /teams/
      AssumeRolePolicyDocument:
        Version: \"2012-10-17\"
        Statement:
          - { Effect: Allow, Principal: { Service: lambda.amazonaws.com }, Action: \"sts:AssumeRole\" }
          - { Effect: Allow, Principal: { AWS: \"123456789012\" }, Action: \"sts:AssumeRole\" }
  neighbour:
    type: AWS::IAM::Role
    properties:
      RoleName: lived-neighbour
      AssumeRolePolicyDocument:
        Version: \"2012-10-17\"
        Statement:
          - { Effect: Allow, Principal: { AWS: \"arn:aws:iam::123456789012:root\" }, Action: \"sts:AssumeRole\" }
      Policies:
        - PolicyName: assume
          PolicyDocument:
            Version: \"2012-10-17\"
            Statement: { Effect: Allow, Action: \"sts:AssumeRole\", Resource: \"*\" }
  iam-api: { type: serviceusage.googleapis.com/Service, properties: { name: iam.googleapis.com } }
  sts-api: { type: serviceusage.googleapis.com/Service, properties: { name: sts.googleapis.com } }
  credentials-api:
    type: serviceusage.googleapis.com/Service
    properties: { name: iamcredentials.googleapis.com }
  writer:
    type: iam.googleapis.com/ServiceAccount
    properties: { accountId: lived-writer }
    dependsOn: [iam-api]
trust:
  worker-to-writer:
    from: ${worker}
    to: ${writer}
    dependsOn: [iam-api, sts-api, credentials-api]
";

/// A stack, and clouds that it finds by their addresses.
struct Clouds {
    home: TempDir,
    aws: String,
    gcp: String,
    owner: Credentials,
    _served: Served,
}

/// Whose credentials are at hand.
struct Keys {
    id: String,
    secret: String,
    token: Option<String>,
}

impl Keys {
    /// The administrator's of an account.
    fn of(owner: &Credentials, account: &str) -> Self {
        let (id, secret) = owner.aws_keys(account);
        Self { id, secret, token: None }
    }
}

impl Clouds {
    /// Serves them, and makes the stack there.
    fn with(stack: &str) -> Self {
        let accounts = format!(
            "clouds:\n  aws: {{ account: \"{ACCOUNT}\", region: us-east-1 }}\n  gcp: {{ project: {PROJECT} }}\n"
        );
        let home = folder(&stack.replace("CLOUDS\n", &accounts));
        let served = Served::start(home.path(), &[]);
        let env = run(home.path(), &["sandbox", "env", "--json"]).exits(0);
        let env: Json = serde_json::from_str(&env.out).unwrap();
        let [aws, gcp] = ["aws", "gcp"].map(|cloud| env[cloud]["endpoint"].as_str().unwrap().to_owned());
        let owner = Credentials::of(&home.path().join(".mcm/sandbox")).unwrap();
        let clouds = Self { home, aws, gcp, owner, _served: served };
        clouds.write(stack);
        clouds.mcm(&clouds.keys(ACCOUNT), &["apply", "--auto-approve"]).exits(0);
        clouds
    }

    fn write(&self, stack: &str) {
        let Self { aws, gcp, .. } = self;
        let places = format!(
            "clouds:\n  aws: {{ account: \"{ACCOUNT}\", region: us-east-1, endpoint: \"{aws}\" }}\n  \
             gcp: {{ project: {PROJECT}, endpoint: \"{gcp}\" }}\n"
        );
        std::fs::write(self.home().join("stack.yaml"), stack.replace("CLOUDS\n", &places)).unwrap();
    }

    /// The administrator's of an account.
    fn keys(&self, account: &str) -> Keys {
        Keys::of(&self.owner, account)
    }

    fn home(&self) -> &Path {
        self.home.path()
    }

    fn mcm(&self, keys: &Keys, arguments: &[&str]) -> Ran {
        let mut command = mcm(self.home());
        command.env("AWS_ACCESS_KEY_ID", &keys.id).env("AWS_SECRET_ACCESS_KEY", &keys.secret);
        command.env_remove("AWS_SESSION_TOKEN").env("AWS_EC2_METADATA_DISABLED", "true");
        // As `mcm sandbox env` says it.
        command.env("CLOUDSDK_AUTH_ACCESS_TOKEN", self.owner.gcp_token());
        if let Some(token) = &keys.token {
            command.env("AWS_SESSION_TOKEN", token);
        }
        command.args(arguments).output().unwrap().into()
    }

    /// What is told to programs: whom each was let in, by what was said of them.
    fn told(&self, keys: &Keys, exits: i32) -> Vec<(String, Option<bool>, String)> {
        let told = self.mcm(keys, &["trust", "--live", "--json"]).exits(exits);
        let told: Json = serde_json::from_str(&told.out).unwrap();
        let proofs = told["trust"][0]["proofs"].as_array().unwrap().iter();
        let told = proofs.map(|proof| {
            assert_eq!(proof["tried"] == true, proof["let_in"].is_boolean(), "{proof}");
            let text = |name: &str| proof[name].as_str().unwrap_or_default().to_owned();
            (text("who"), proof["let_in"].as_bool(), text("said"))
        });
        told.collect()
    }

    /// A session of a role.
    async fn session(&self, role: &str) -> Keys {
        let form = format!(
            "Action=AssumeRole&Version=2011-06-15&RoleSessionName=test&RoleArn=arn:aws:iam::{ACCOUNT}:role/{role}"
        );
        let fields = [("content-type", "application/x-www-form-urlencoded")];
        let reply = Signer::at(&self.aws, &self.owner, ACCOUNT).send("sts", "POST", "/", &fields, form).await;
        let (status, text) = (reply.status, reply.text());
        assert_eq!(status, 200, "{text}");
        let between = |name: &str| {
            let rest = text.split_once(&format!("<{name}>")).unwrap().1;
            rest.split_once('<').unwrap().0.to_owned()
        };
        let [id, secret, token] = ["AccessKeyId", "SecretAccessKey", "SessionToken"].map(between);
        Keys { id, secret, token: Some(token) }
    }

    /// Edits Google's side by hand, until it is done.
    async fn google(&self, method: &str, path: &str, body: &Json) {
        let bearer = format!("Bearer {}", self.owner.gcp_token());
        let fields = [("authorization", bearer.as_str()), ("content-type", "application/json")];
        let mut answer = send(&self.gcp, method, path, &fields, body.to_string()).await.good();
        while let Some(operation) = answer["name"].as_str().filter(|name| name.contains("/operations/"))
            && answer["done"] != true
        {
            let path = format!("/v1/{operation}");
            answer = send(&self.gcp, "GET", &path, &fields, "").await.good();
        }
    }

    /// Grants the writer to these principals of the pool, and to nobody else.
    async fn grant(&self, principals: &str) {
        let member = format!("principalSet://iam.googleapis.com/{}/{principals}", pool());
        let binding = json!({ "role": "roles/iam.workloadIdentityUser", "members": [member] });
        let path = format!("/v1/projects/{PROJECT}/serviceAccounts/{WRITER}:setIamPolicy");
        self.google("POST", &path, &json!({ "policy": { "bindings": [binding] } })).await;
    }
}

fn pool() -> String {
    let number = project_number(PROJECT);
    format!("projects/{number}/locations/global/workloadIdentityPools/lived-worker-to-writer")
}

/// The way to Google's cloud, but for the token exchange, which is out of service. Where it begins.
async fn without_exchange(gcp: &str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (here, there) = (listener.local_addr().unwrap(), gcp.trim_start_matches("http://").to_owned());
    tokio::spawn(async move {
        while let Ok((near, _)) = listener.accept().await {
            let far = TcpStream::connect(&there).await.unwrap();
            tokio::spawn(carry(near, far));
        }
    });
    format!("http://{here}")
}

/// Carries bytes both ways until one end is done.
async fn carry(mut near: TcpStream, mut far: TcpStream) -> std::io::Result<()> {
    let (mut there, mut back) = (vec![0; 64 * 1024], vec![0; 64 * 1024]);
    loop {
        tokio::select! {
            read = near.read(&mut there) => match read? {
                0 => return Ok(()),
                size if there[..size].starts_with(b"POST /v1/token ") => {
                    let out = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
                    return near.write_all(out).await;
                }
                size => far.write_all(&there[..size]).await?,
            },
            read = far.read(&mut back) => match read? {
                0 => return Ok(()),
                size => near.write_all(&back[..size]).await?,
            },
        }
    }
}

/// What differs from one run to the next is taken out.
fn settled(ran: &Ran) -> String {
    let text = ran.all().replace(&project_number(PROJECT), "NUMBER");
    let Some((before, after)) = text.split_once("(request ") else { return text };
    let (_, after) = after.split_once(')').unwrap();
    format!("{before}(request ID){after}")
}

const ROLE: &str = "the role itself";
const NEIGHBOUR: &str = "another identity of the account";
const STRANGER: &str = "an identity of another account";

#[track_caller]
fn holds(told: &[(String, Option<bool>, String)], who: &str, let_in: Option<bool>, said: &str) {
    let found = told.iter().find(|(name, ..)| name == who).unwrap_or_else(|| panic!("no {who}: {told:?}"));
    assert!(found.1 == let_in && found.2.contains(said), "{who}: {found:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_is_let_in_and_everybody_else_is_kept_out() {
    let clouds = Clouds::with(STACK);
    let administrator = clouds.keys(ACCOUNT);
    let proved = clouds.mcm(&administrator, &["trust", "--live"]).exits(0);
    insta::assert_snapshot!("assumable", settled(&proved));

    // Another role of the account, which is refused for what it is.
    let told = clouds.told(&clouds.session("lived-neighbour").await, 0);
    holds(&told, ROLE, Some(true), "");
    holds(&told, NEIGHBOUR, Some(false), "rejected by the attribute condition");
    holds(&told, STRANGER, None, "of the account 123456789012");
    holds(&told, "the role, signing for another provider", Some(false), "x-goog-cloud-target-resource");
    holds(&told, "somebody without the role's key", Some(false), "SignatureDoesNotMatch");

    // The role itself has nobody at hand but itself.
    let told = clouds.told(&clouds.session("teams/lived-worker").await, 0);
    holds(&told, ROLE, Some(true), "");
    holds(&told, NEIGHBOUR, None, "the role's own");
    holds(&told, STRANGER, None, "the role's own");
    holds(&told, "somebody without the role's key", Some(false), "SignatureDoesNotMatch");

    // Nothing of it is told, to whoever looks closely either.
    let traced = clouds.mcm(&administrator, &["trust", "--live", "-vv"]).exits(0).all();
    for secret in ["ya29.", "IQoJ", administrator.secret.as_str(), "X-Amz", "Signature="] {
        assert!(!traced.contains(secret), "{secret}: {traced}");
    }
    clouds.mcm(&administrator, &["plan", "--detailed-exitcode"]).exits(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_cannot_be_assumed_is_not_tried_and_its_trust_not_proved() {
    let clouds = Clouds::with(&STACK.replacen(ASSUMABLE, "", 1));
    let told = clouds.mcm(&clouds.keys(ACCOUNT), &["trust", "--live"]).exits(1);
    insta::assert_snapshot!("lambda_alone", settled(&told));

    // Of another account: no other command would run so.
    let stranger = clouds.keys(ELSEWHERE);
    clouds.mcm(&stranger, &["plan"]).exits(4);
    let told = clouds.told(&stranger, 1);
    holds(&told, ROLE, None, "AccessDenied");
    holds(&told, NEIGHBOUR, None, "of the account 210987654321");
    holds(&told, STRANGER, Some(false), "The AWS account 210987654321 is not the account");
    holds(&told, "somebody without the caller's key", Some(false), "SignatureDoesNotMatch");

    // Nobody at all.
    let nobody = Keys { secret: "of-somebody-else".to_owned(), ..clouds.keys(ACCOUNT) };
    let told = clouds.mcm(&nobody, &["trust", "--live"]).exits(8);
    assert!(told.err.contains("SignatureDoesNotMatch") && told.out.is_empty(), "{}", told.all());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trust_that_is_not_what_it_should_be_is_found_out() {
    let clouds = Clouds::with(STACK);
    let administrator = clouds.keys(ACCOUNT);
    let role = |name: &str| format!("attribute.aws_role/arn:aws:sts::{ACCOUNT}:assumed-role/{name}");
    clouds.grant(&role("lived-worker-2")).await;
    let broken = clouds.mcm(&administrator, &["trust", "--live"]).exits(1);
    insta::assert_snapshot!("other_role_granted", settled(&broken));

    // Everybody of the account is let in.
    clouds.grant("*").await;
    let provider = format!("/v1/{}/providers/aws-{ACCOUNT}?updateMask=attributeCondition", pool());
    clouds.google("PATCH", &provider, &json!({ "attributeCondition": "" })).await;
    let neighbour = clouds.session("lived-neighbour").await;
    let open = clouds.mcm(&neighbour, &["trust", "--live"]).exits(1);
    assert!(open.out.contains("WRONG  another identity of the account"), "{}", open.all());
    let told = clouds.told(&neighbour, 1);
    holds(&told, ROLE, Some(true), "");
    holds(&told, NEIGHBOUR, Some(true), "");

    // With the exchange switched off nobody is let in, which says nothing of those who should not be.
    clouds.write(&STACK.replace(STS, "").replace("sts-api, ", ""));
    clouds.mcm(&administrator, &["apply", "--auto-approve"]).exits(0);
    let told = clouds.told(&administrator, 1);
    holds(&told, ROLE, Some(false), "PERMISSION_DENIED");
    for who in [NEIGHBOUR, "the role, signing for another provider", "somebody without the role's key"] {
        holds(&told, who, None, "as everybody is");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_answer_is_no_refusal() {
    let mut clouds = Clouds::with(STACK);
    clouds.gcp = without_exchange(&clouds.gcp).await;
    clouds.write(STACK);
    let told = clouds.told(&clouds.keys(ACCOUNT), 1);
    for who in [ROLE, NEIGHBOUR, "the role, signing for another provider", "somebody without the role's key"]
    {
        holds(&told, who, None, "GCP sts.token");
    }
}

#[test]
fn what_is_not_there_is_not_proved() {
    let nobody = folder(&STACK.replace(
        "CLOUDS\n",
        &format!(
            "clouds:\n  aws: {{ account: \"{ACCOUNT}\", region: us-east-1 }}\n  gcp: {{ project: {PROJECT} }}\n"
        ),
    ));
    let home = nobody.path();
    let before = run(home, &["trust", "--live", "--sandbox"]).exits(1);
    assert!(
        before.out.contains("?      the role itself  not tried: the trust is not deployed"),
        "{}",
        before.all()
    );
    // The embedded clouds are as good as others, as the same requests go there.
    run(home, &["apply", "--sandbox", "--auto-approve"]).exits(0);
    let proved = run(home, &["trust", "--live", "--sandbox"]).exits(0);
    assert!(proved.out.contains("ok     the role itself                         let in"), "{}", proved.all());
    let _served = Served::start(home, &[]);
    run(home, &["trust", "--live", "--sandbox"]).exits(0);
}
