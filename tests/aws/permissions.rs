//! What the session of a role may do: as much as policies say, and no more.

use std::time::Duration;

use mcm::sandbox::{Accounts, Options, Session};
use serde_json::{Value as Json, json};

use crate::support::sign::{Reply, Signer, send};

pub(super) const ACCOUNT: &str = "123456789012";
pub(super) const OTHER: &str = "210987654321";
pub(super) const READ_ONLY: &str = "arn:aws:iam::aws:policy/ReadOnlyAccess";
pub(super) const POWER: &str = "arn:aws:iam::aws:policy/PowerUserAccess";

/// Two accounts, and a role that the first may assume; the bucket `things` with the object `a/1`.
pub(super) struct Scene {
    pub(super) session: Session,
    pub(super) admin: Signer,
    pub(super) other: Signer,
    _folder: tempfile::TempDir,
}

impl Scene {
    pub(super) async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let accounts = Accounts { aws: [ACCOUNT, OTHER].map(str::to_owned).into(), ..Accounts::default() };
        let data = folder.path().join("data");
        let session =
            Session::open(Options { data, port: None, latency: Duration::ZERO, accounts }).await.unwrap();
        let [admin, other] = [ACCOUNT, OTHER].map(|account| Signer::of(&session, account));
        let scene = Self { session, admin, other, _folder: folder };
        for role in ["worker", "runner"] {
            let trust = document(&json!({
                "Effect": "Allow", "Action": "sts:AssumeRole",
                "Principal": { "AWS": ACCOUNT, "Service": "lambda.amazonaws.com" },
            }));
            scene.iam("CreateRole", role, &[("AssumeRolePolicyDocument", &trust)]).await;
        }
        for path in ["/things", "/things/a/1"] {
            scene.admin.send("s3", "PUT", path, &[], "").await.good();
        }
        scene
    }

    pub(super) async fn iam(&self, action: &str, role: &str, more: &[(&str, &str)]) -> Reply {
        let reply = iam(&self.admin, action, role, more).await;
        assert_eq!(reply.status, 200, "{action}: {}", reply.text());
        reply
    }

    /// Lets the role do something, or keeps it from it.
    async fn rule(&self, name: &str, effect: &str, actions: &Json, resources: &Json) {
        self.put_rule(name, &json!({ "Effect": effect, "Action": actions, "Resource": resources })).await;
    }

    pub(super) async fn put_rule(&self, name: &str, rule: &Json) {
        let more = [("PolicyName", name), ("PolicyDocument", &document(rule))];
        self.iam("PutRolePolicy", "worker", &more).await;
    }

    pub(super) async fn unrule(&self, name: &str) {
        self.iam("DeleteRolePolicy", "worker", &[("PolicyName", name)]).await;
    }

    /// A session of the role, which may do no more than a statement says.
    pub(super) async fn worker(&self, policy: Option<&Json>) -> Signer {
        assume(&self.admin, "worker", policy).await.unwrap()
    }

    pub(super) async fn bucket_policy(&self, statement: &Json) {
        self.put_policy(document(statement)).await;
    }

    async fn put_policy(&self, policy: String) {
        let sum = md5(&policy);
        self.admin.send("s3", "PUT", "/things?policy=", &[("content-md5", &sum)], policy).await.good();
    }
}

pub(super) fn document(statement: &Json) -> String {
    json!({ "Version": "2012-10-17", "Statement": [statement] }).to_string()
}

pub(super) async fn iam(by: &Signer, action: &str, role: &str, more: &[(&str, &str)]) -> Reply {
    let mut form = form_urlencoded::Serializer::new(String::new());
    form.append_pair("Action", action).append_pair("Version", "2010-05-08").append_pair("RoleName", role);
    form.extend_pairs(more);
    let kind = [("content-type", "application/x-www-form-urlencoded")];
    by.send("iam", "POST", "/", &kind, form.finish()).await
}

pub(super) async fn assume(by: &Signer, role: &str, policy: Option<&Json>) -> Option<Signer> {
    let mut form = form_urlencoded::Serializer::new(String::new());
    form.append_pair("Action", "AssumeRole").append_pair("Version", "2011-06-15");
    form.append_pair("RoleSessionName", "test");
    form.append_pair("RoleArn", &format!("arn:aws:iam::{ACCOUNT}:role/{role}"));
    if let Some(policy) = policy {
        form.append_pair("Policy", &document(policy));
    }
    let kind = [("content-type", "application/x-www-form-urlencoded")];
    let reply = by.send("sts", "POST", "/", &kind, form.finish()).await;
    let text = reply.text();
    if reply.status != 200 {
        assert!(text.contains("<Code>AccessDenied</Code>"), "{text}");
        return None;
    }
    let between = |name: &str| {
        let rest = text.split_once(&format!("<{name}>")).unwrap().1;
        rest.split_once('<').unwrap().0.to_owned()
    };
    let [id, secret, token] = ["AccessKeyId", "SecretAccessKey", "SessionToken"].map(between);
    Some(Signer { id, secret, token: Some(token), ..by.clone() })
}

async fn get(by: &Signer, path: &str) -> u16 {
    by.send("s3", "GET", path, &[], "").await.status
}

/// One call to each service; the statuses.
async fn calls(by: &Signer) -> Vec<(&'static str, u16)> {
    let target = |target| [("content-type", "application/x-amz-json-1.1"), ("x-amz-target", target)];
    let kind = [("content-type", "application/x-www-form-urlencoded")];
    let describe = "Action=DescribeStacks&Version=2010-05-15";
    let parameters = target("AmazonSSM.DescribeParameters");
    let groups = target("Logs_20140328.DescribeLogGroups");
    let replies = [
        ("s3", by.send("s3", "GET", "/", &[], "").await),
        ("lambda", by.send("lambda", "GET", "/2015-03-31/functions", &[], "").await),
        ("ssm", by.send("ssm", "POST", "/", &parameters, "{}").await),
        ("logs", by.send("logs", "POST", "/", &groups, "{}").await),
        ("apigateway", by.send("apigateway", "GET", "/v2/apis", &[], "").await),
        ("cloudfront", by.send("cloudfront", "GET", "/2020-05-31/distribution", &[], "").await),
        ("cloudformation", by.send("cloudformation", "POST", "/", &kind, describe).await),
        ("iam", iam(by, "GetRole", "worker", &[]).await),
    ];
    let told = replies.into_iter().map(|(service, reply)| {
        let text = reply.text();
        let refused = text.contains("AccessDenied") && text.contains("is not authorized to perform: ");
        assert!(reply.status == 200 || refused, "{service}: {} {text}", reply.status);
        (service, reply.status)
    });
    told.collect()
}

#[tokio::test]
async fn a_role_may_do_what_its_policies_allow() {
    let scene = Scene::new().await;
    let worker = scene.worker(None).await;
    assert!(calls(&worker).await.iter().all(|(_, status)| *status == 403), "nothing allows anything");
    assert!(calls(&scene.admin).await.iter().all(|(_, status)| *status == 200));
    let told = worker.send("s3", "GET", "/things/a/1", &[], "").await;
    assert!(
        told.text().contains(
            "User: arn:aws:sts::123456789012:assumed-role/worker/test is not authorized to perform: s3:GetObject on \
             resource: &quot;arn:aws:s3:::things/a/1&quot; because no identity-based policy allows the s3:GetObject action"
        ),
        "{}",
        told.text()
    );
    scene.iam("AttachRolePolicy", "worker", &[("PolicyArn", READ_ONLY)]).await;
    assert!(calls(&worker).await.iter().all(|(_, status)| *status == 200), "{:?}", calls(&worker).await);
    assert_eq!(worker.send("s3", "PUT", "/things/a/2", &[], "").await.status, 403, "it reads alone");
    assert_eq!(iam(&worker, "DeleteRole", "worker", &[]).await.status, 403);
    scene.rule("no", "Deny", &json!("s3:*"), &json!("arn:aws:s3:::things/*")).await;
    let told = worker.send("s3", "GET", "/things/a/1", &[], "").await;
    assert!(told.text().contains("with an explicit deny in an identity-based policy"), "{}", told.text());
    scene.unrule("no").await;
    scene.iam("DetachRolePolicy", "worker", &[("PolicyArn", READ_ONLY)]).await;

    // Object for object; and who may not list learns nothing of what is not there.
    scene
        .rule("some", "Allow", &json!(["s3:GetObject", "s3:DeleteObject"]), &json!("arn:aws:s3:::things/a/*"))
        .await;
    assert_eq!((get(&worker, "/things/a/1").await, get(&worker, "/things/b/1").await), (200, 403));
    assert_eq!((get(&worker, "/things/a/2").await, get(&scene.admin, "/things/a/2").await), (403, 404));
    scene.rule("list", "Allow", &json!("s3:ListBucket"), &json!("arn:aws:s3:::things")).await;
    assert_eq!(get(&worker, "/things/a/2").await, 404);
    let keys = "<Delete><Object><Key>a/1</Key></Object><Object><Key>b/1</Key></Object></Delete>";
    let sum = md5(keys);
    let deleted = worker.send("s3", "POST", "/things?delete=", &[("content-md5", &sum)], keys).await.text();
    assert!(
        deleted.contains("<Deleted><Key>a/1</Key></Deleted><Error><Key>b/1</Key><Code>AccessDenied"),
        "{deleted}"
    );
    scene.session.close().await;
}

fn md5(text: &str) -> String {
    use md5::Digest as _;
    base64::Engine::encode(&base64::engine::general_purpose::STANDARD, md5::Md5::digest(text))
}

#[tokio::test]
async fn boundaries_sessions_and_the_things_own_policies_count() {
    let scene = Scene::new().await;
    scene.rule("all", "Allow", &json!("*"), &json!("*")).await;
    let worker = scene.worker(None).await;
    assert_eq!(iam(&worker, "GetRole", "worker", &[]).await.status, 200);
    scene.iam("PutRolePermissionsBoundary", "worker", &[("PermissionsBoundary", POWER)]).await;
    let told = iam(&worker, "GetRole", "worker", &[]).await;
    assert!(
        told.text().contains("because no permissions boundary allows the iam:GetRole action"),
        "{}",
        told.text()
    );
    assert_eq!(get(&worker, "/things/a/1").await, 200);
    let listed = json!({ "Effect": "Allow", "Action": "s3:ListBucket", "Resource": "*" });
    let less = scene.worker(Some(&listed)).await;
    assert_eq!((get(&less, "/things").await, get(&less, "/things/a/1").await), (200, 403));
    scene.unrule("all").await;
    assert_eq!(get(&worker, "/things/a/1").await, 403);

    // A bucket that names the role lets it in, within its boundary; one that names the account leaves it to the account.
    let objects = "arn:aws:s3:::things/*";
    let allow = |whom: Json| json!({ "Effect": "Allow", "Principal": whom, "Action": "s3:GetObject", "Resource": objects });
    scene.bucket_policy(&allow(json!({ "AWS": ACCOUNT }))).await;
    assert_eq!(get(&worker, "/things/a/1").await, 403);
    scene.bucket_policy(&allow(json!({ "AWS": format!("arn:aws:iam::{ACCOUNT}:role/worker") }))).await;
    assert_eq!((get(&worker, "/things/a/1").await, get(&less, "/things/a/1").await), (200, 403));
    scene
        .bucket_policy(&allow(json!({ "AWS": format!("arn:aws:sts::{ACCOUNT}:assumed-role/worker/test") })))
        .await;
    assert_eq!((get(&worker, "/things/a/1").await, get(&less, "/things/a/1").await), (200, 200));
    scene.bucket_policy(&allow(json!({ "AWS": OTHER }))).await;
    assert_eq!((get(&worker, "/things/a/1").await, get(&scene.other, "/things/a/1").await), (403, 200));
    assert_eq!(get(&scene.other, "/things").await, 403);
    // The condition is about the role, not about its session.
    let role = json!({ "ArnNotLike": { "aws:PrincipalArn": format!("arn:aws:iam::{ACCOUNT}:role/work*") } });
    let mut deny = allow(json!("*"));
    (deny["Effect"], deny["Condition"]) = (json!("Deny"), role);
    scene.bucket_policy(&deny).await;
    scene.rule("all", "Allow", &json!("s3:*"), &json!("*")).await;
    assert_eq!((get(&worker, "/things/a/1").await, get(&scene.admin, "/things/a/1").await), (200, 403));
    scene.session.close().await;
}

#[tokio::test]
async fn a_role_becomes_another_and_passes_one_on_only_where_it_may() {
    let scene = Scene::new().await;
    let worker = scene.worker(None).await;
    // The trust names the account: its own policies say whom of its own it means.
    assert!(assume(&worker, "runner", None).await.is_none());
    scene
        .rule(
            "become",
            "Allow",
            &json!("sts:AssumeRole"),
            &json!(format!("arn:aws:iam::{ACCOUNT}:role/runner")),
        )
        .await;
    assert!(assume(&worker, "runner", None).await.is_some());
    assert!(assume(&worker, "worker", None).await.is_none());
    scene.rule("make", "Allow", &json!("lambda:*"), &json!("*")).await;
    let body = json!({
        "FunctionName": "made", "Runtime": "provided.al2023", "Handler": "bootstrap",
        "Role": format!("arn:aws:iam::{ACCOUNT}:role/runner"), "Code": { "ZipFile": zip() },
    });
    let told = worker.lambda("POST", "/2015-03-31/functions", &body).await;
    assert!(told.status == 403 && told.text().contains("iam:PassRole"), "{}", told.text());
    let pass = json!({
        "Effect": "Allow", "Action": "iam:PassRole", "Resource": "*",
        "Condition": { "StringEquals": { "iam:PassedToService": "lambda.amazonaws.com" } },
    });
    scene.put_rule("pass", &pass).await;
    worker.lambda("POST", "/2015-03-31/functions", &body).await.good();
    scene.session.close().await;
}

pub(super) fn zip() -> String {
    use std::io::Write as _;
    let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    writer.start_file("bootstrap", zip::write::SimpleFileOptions::default()).unwrap();
    writer.write_all(b"no program").unwrap();
    let bytes = writer.finish().unwrap().into_inner();
    base64::Engine::encode(&base64::engine::general_purpose::STANDARD, bytes)
}

/// A web site's endpoint has no TLS, and a policy that wants it closes the site.
#[tokio::test]
async fn a_web_site_is_asked_without_tls() {
    let scene = Scene::new().await;
    let site =
        "<WebsiteConfiguration><IndexDocument><Suffix>1</Suffix></IndexDocument></WebsiteConfiguration>";
    let sum = md5(site);
    scene.admin.send("s3", "PUT", "/things?website=", &[("content-md5", &sum)], site).await.good();
    scene.admin.send("s3", "DELETE", "/things?publicAccessBlock=", &[], "").await.good();
    let public = json!({ "Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::things/*" });
    scene.bucket_policy(&public).await;
    let ask = async || {
        let host = [("host", "things.s3-website-us-east-1.localhost")];
        send(&scene.admin.endpoint, "GET", "/a/", &host, "").await.status
    };
    let object = async || send(&scene.admin.endpoint, "GET", "/things/a/1", &[], "").await.status;
    assert_eq!((ask().await, object().await), (200, 200));
    let mut deny = public.clone();
    deny["Effect"] = json!("Deny");
    deny["Condition"] = json!({ "Bool": { "aws:SecureTransport": "false" } });
    let both = json!({ "Version": "2012-10-17", "Statement": [public, deny] }).to_string();
    scene.put_policy(both).await;
    assert_eq!((ask().await, object().await), (403, 200));
    scene.session.close().await;
}
