//! What goes wrong in the clouds, through the binary: each trouble gives its cause and the way out, and leaves nothing
//! half-known. After each, the trouble is taken away and one plain run converges.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use mcm::model::Cloud;
use mcm::sandbox::{Accounts, Fault, Options, Session, Trouble};
use tokio::runtime::Runtime;

use crate::cli::binary::{Ran, SMALL, folder, mcm, run};

mod clouds;
mod halfway;

/// A sandbox in this process, which the binary finds over the same folder.
struct Clouds {
    _runtime: Runtime,
    session: Session,
}

fn clouds(home: &Path) -> Clouds {
    clouds_of(home, Accounts { aws: ["123456789012".to_owned()].into(), ..Accounts::default() })
}

fn clouds_of(home: &Path, accounts: Accounts) -> Clouds {
    let runtime = Runtime::new().unwrap();
    let data = home.join(".mcm/sandbox");
    let options = Options { data, port: None, latency: Duration::ZERO, accounts };
    let session = runtime.block_on(Session::open(options)).unwrap();
    Clouds { _runtime: runtime, session }
}

impl Clouds {
    /// Requests to AWS that contain a text are answered so, so many times (all of them if not said).
    fn answer(&self, contains: &str, times: Option<u32>, code: u16, body: &str) {
        let what = Trouble::Status { code, body: body.to_owned(), headers: BTreeMap::new(), applied: false };
        self.trouble(Cloud::Aws, contains, times, what);
    }

    fn trouble(&self, cloud: Cloud, contains: &str, times: Option<u32>, what: Trouble) {
        let contains = contains.to_owned();
        let fault = Fault { cloud: Some(cloud), contains, target: None, skip: 0, times, what };
        self.session.wire().unwrap().set_faults(vec![fault]);
    }

    fn calm(&self) {
        self.session.wire().unwrap().set_faults(Vec::new());
    }

    /// The names of what changed anything, as the requests came in.
    fn mutations(&self) -> usize {
        let traffic = self.session.wire().unwrap().traffic();
        let reads = ["GET ", "HEAD ", " Get", " List"];
        traffic.iter().filter(|request| !reads.iter().any(|read| request.target.contains(read))).count()
    }
}

fn denied(action: &str) -> String {
    format!(
        "<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code><Message>User: \
         arn:aws:iam::123456789012:user/dev is not authorized to perform: {action}</Message></Error>\
         <RequestId>11111111-2222-3333-4444-555555555555</RequestId></ErrorResponse>"
    )
}

/// Texts without what differs from run to run.
fn steady(ran: &Ran) -> String {
    let text = ran.all();
    let text = regex::Regex::new(r"in \d+\.\d s").unwrap().replace_all(&text, "in TIME").into_owned();
    let text = regex::Regex::new(r"127\.0\.0\.1:\d+").unwrap().replace_all(&text, "ENDPOINT").into_owned();
    regex::Regex::new(r"\(?request (id: )?[0-9A-Za-z-]+\)?")
        .unwrap()
        .replace_all(&text, "REQUEST")
        .into_owned()
}

/// What stands on stderr, without what differs from run to run.
fn told(ran: &Ran) -> String {
    let text = steady(ran);
    text.split_once("--- stderr\n").map(|(_, told)| told.to_owned()).unwrap_or_default()
}

const APPLY: &[&str] = &["apply", "--sandbox", "--auto-approve"];

fn converges(home: &Path) {
    run(home, APPLY).exits(0);
    run(home, &["plan", "--sandbox", "--detailed-exitcode"]).exits(0);
}

#[test]
fn a_permission_denied_undoes_what_was_done() {
    let home = folder(SMALL);
    let clouds = clouds(home.path());
    clouds.answer("CreateRole", None, 403, &denied("iam:CreateRole"));
    let ran = run(home.path(), APPLY).exits(5);
    insta::assert_snapshot!("denied", steady(&ran));
    assert!(run(home.path(), &["state", "list", "--sandbox"]).exits(0).out.is_empty());
    clouds.calm();
    let plan = run(home.path(), &["plan", "--sandbox"]).exits(0);
    assert!(plan.out.contains("2 to add"), "the bucket is gone again: {}", plan.all());
    converges(home.path());
}

#[test]
fn a_permission_denied_while_reading_is_no_absence() {
    let home = folder(SMALL);
    let clouds = clouds(home.path());
    run(home.path(), APPLY).exits(0);
    clouds.answer("GetRole", None, 403, &denied("iam:GetRole"));
    let ran = run(home.path(), &["plan", "--sandbox"]).exits(8);
    insta::assert_snapshot!("denied_read", steady(&ran));
    clouds.calm();
    run(home.path(), &["plan", "--sandbox", "--detailed-exitcode"]).exits(0);
}

#[test]
fn a_bucket_name_taken_by_someone_else() {
    let home = folder(SMALL);
    let clouds = clouds(home.path());
    // The same stack in another account, whose bucket stands in the way.
    let other = folder(&SMALL.replace("account: \"123456789012\"", "account: \"210987654321\""));
    std::fs::create_dir_all(other.path().join(".mcm")).unwrap();
    let endpoints = &clouds.session.endpoints;
    let (id, secret) = clouds.session.credentials.aws_keys("210987654321");
    let mut command = mcm(other.path());
    command
        .env("AWS_ENDPOINT_URL", &endpoints.aws)
        .env("AWS_ACCESS_KEY_ID", id)
        .env("AWS_SECRET_ACCESS_KEY", secret);
    Ran::from(command.args(["apply", "--auto-approve"]).output().unwrap()).exits(0);
    let ran = run(home.path(), APPLY);
    insta::assert_snapshot!("taken", steady(&ran));
    assert_ne!(ran.code, Some(0));
    assert!(run(home.path(), &["state", "list", "--sandbox"]).exits(0).out.is_empty());
}

#[test]
fn a_role_that_someone_else_made_is_not_touched() {
    let home = folder(SMALL);
    let clouds = clouds(home.path());
    run(home.path(), APPLY).exits(0);
    run(home.path(), &["state", "rm", "worker", "--sandbox"]).exits(0);
    // Without the mark it is anybody's.
    let untag = Untag { clouds: &clouds };
    untag.role("small-worker");
    let before = clouds.mutations();
    let ran = run(home.path(), APPLY).exits(4);
    insta::assert_snapshot!("foreign", steady(&ran));
    assert_eq!(clouds.mutations(), before, "nothing was sent");
}

/// An independent client that takes the mark off.
struct Untag<'a> {
    clouds: &'a Clouds,
}

impl Untag<'_> {
    fn role(&self, name: &str) {
        use aws_sdk_iam::config::{BehaviorVersion, Credentials, Region};
        let (id, secret) = self.clouds.session.credentials.aws_keys("123456789012");
        let http = aws_smithy_http_client::Builder::new()
            .tls_provider(aws_smithy_http_client::tls::Provider::Rustls(
                aws_smithy_http_client::tls::rustls_provider::CryptoMode::Ring,
            ))
            .build_https();
        let config = aws_sdk_iam::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("us-east-1"))
            .credentials_provider(Credentials::new(id, secret, None, None, "test"))
            .endpoint_url(&self.clouds.session.endpoints.aws)
            .http_client(http)
            .build();
        let client = aws_sdk_iam::Client::from_conf(config);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let untag = client.untag_role().role_name(name).tag_keys("mcm:owner").send();
        runtime.block_on(untag).unwrap();
    }
}

#[test]
fn a_bucket_that_holds_something_is_not_destroyed() {
    let home = folder(SMALL);
    let clouds = clouds(home.path());
    run(home.path(), APPLY).exits(0);
    clouds.answer(
        "DELETE /small-files-123456789012",
        None,
        409,
        "<Error><Code>BucketNotEmpty</Code><Message>The bucket you tried to delete is not empty</Message></Error>",
    );
    let ran = run(home.path(), &["destroy", "--sandbox", "--auto-approve"]).exits(6);
    insta::assert_snapshot!("not_empty", steady(&ran));
    let left = run(home.path(), &["state", "list", "--sandbox"]).exits(0);
    assert!(left.out.contains("files") && !left.out.contains("worker"), "{}", left.out);
    // Past the pivot there is no way back, and nothing says that there is.
    let plan = run(home.path(), &["plan", "--sandbox"]).exits(0);
    assert!(plan.err.contains("Its deletions have begun") && !plan.err.contains("rollback"), "{}", plan.err);
    run(home.path(), &["rollback", "--sandbox"]).exits(4);
    clouds.calm();
    run(home.path(), &["destroy", "--sandbox", "--auto-approve"]).exits(0);
}

#[test]
fn a_throttle_is_waited_out() {
    let home = folder(SMALL);
    let clouds = clouds(home.path());
    let body = "<ErrorResponse><Error><Type>Sender</Type><Code>Throttling</Code><Message>Rate exceeded</Message>\
                </Error><RequestId>r</RequestId></ErrorResponse>";
    clouds.answer("CreateRole", Some(2), 400, body);
    run(home.path(), APPLY).exits(0);
    run(home.path(), &["plan", "--sandbox", "--detailed-exitcode"]).exits(0);
    assert_eq!(clouds.session.wire().unwrap().faults().first().and_then(|fault| fault.times), Some(0));
}

#[test]
fn a_throttle_without_end_leaves_what_is_done() {
    let home = folder(SMALL);
    let clouds = clouds(home.path());
    let body = "<ErrorResponse><Error><Type>Sender</Type><Code>Throttling</Code><Message>Rate exceeded</Message>\
                </Error><RequestId>r</RequestId></ErrorResponse>";
    clouds.answer("CreateRole", None, 400, body);
    let ran = run(home.path(), APPLY).exits(6);
    insta::assert_snapshot!("throttled", told(&ran));
    assert!(run(home.path(), &["state", "list", "--sandbox"]).exits(0).out.contains("resources.files"));
    // What a run owns that may be undone yet is neither let go of nor added to.
    for command in [["state", "rm", "files"], ["import", "worker", "small-worker"]] {
        let ran = run(home.path(), &[&command[..], &["--sandbox"]].concat()).exits(4);
        assert!(ran.err.contains("`mcm apply`") && ran.err.contains("`mcm rollback`"), "{}", ran.err);
    }
    // A run that continues it and does nothing itself does not say that nothing is left.
    let ran = run(home.path(), APPLY).exits(6);
    assert!(ran.err.contains("one step is done and not undone"), "{}", ran.err);
    clouds.calm();
    converges(home.path());
    run(home.path(), &["state", "rm", "files", "--sandbox"]).exits(0);
}

#[test]
fn credentials_that_die_leave_an_unknown_end() {
    let home = folder(SMALL);
    let clouds = clouds(home.path());
    let body = "<Error><Code>ExpiredToken</Code><Message>The provided token has expired.</Message></Error>";
    clouds.answer("PUT /small-files-123456789012", None, 400, body);
    let ran = run(home.path(), APPLY).exits(8);
    assert!(ran.err.contains("creating, with an unknown end"), "{}", ran.err);
    assert!(!ran.err.contains("Nothing was changed"), "{}", ran.err);
    clouds.calm();
    converges(home.path());
}

#[test]
fn a_deletion_that_stops_between_its_requests_is_told_as_such() {
    let home = folder(SMALL);
    let clouds = clouds(home.path());
    run(home.path(), APPLY).exits(0);
    let destroy = ["destroy", "--sandbox", "--auto-approve"];
    // One that mcm itself refuses is left whole, and nothing is on its way.
    let profile = "<InstanceProfiles><member><InstanceProfileName>machines</InstanceProfileName><Path>/</Path>\
        <InstanceProfileId>AIPA1</InstanceProfileId><Arn>arn:aws:iam::123456789012:instance-profile/machines</Arn>\
        <CreateDate>2026-11-01T00:00:00Z</CreateDate><Roles/></member></InstanceProfiles><IsTruncated>false</IsTruncated>";
    let body = format!(
        "<ListInstanceProfilesForRoleResponse xmlns=\"https://iam.amazonaws.com/doc/2010-05-08/\">\
         <ListInstanceProfilesForRoleResult>{profile}</ListInstanceProfilesForRoleResult>\
         </ListInstanceProfilesForRoleResponse>"
    );
    clouds.answer("ListInstanceProfilesForRole", None, 200, &body);
    let before = clouds.mutations();
    let ran = run(home.path(), &destroy).exits(5);
    insta::assert_snapshot!("held", told(&ran));
    assert_eq!(clouds.mutations(), before, "nothing was sent");
    run(home.path(), &["plan", "--sandbox", "--detailed-exitcode"]).exits(0);
    // One that the cloud refuses may have lost a part.
    clouds.answer(" DeleteRolePolicy", None, 403, &denied("iam:DeleteRolePolicy"));
    let ran = run(home.path(), &destroy).exits(6);
    assert!(
        ran.err.contains("resources.worker: deleting failed, left as it is: a part of it may be done"),
        "{}",
        ran.err
    );
    assert!(!ran.err.contains("Nothing was changed"), "{}", ran.err);
    clouds.calm();
    run(home.path(), &destroy).exits(0);
}

#[test]
fn a_broken_connection_is_settled_by_reading() {
    for trouble in [Trouble::DropBefore, Trouble::DropAfter] {
        for target in ["CreateRole", "PutRolePolicy", "PUT /small-files-123456789012"] {
            let home = folder(SMALL);
            let clouds = clouds(home.path());
            clouds.trouble(Cloud::Aws, target, Some(1), trouble.clone());
            let ran = run(home.path(), APPLY);
            assert!(matches!(ran.code, Some(0 | 5)), "{target} {trouble:?}: {}", ran.all());
            converges(home.path());
        }
    }
}

#[test]
fn a_cloud_that_cannot_be_reached() {
    let home = folder(SMALL);
    let mut command = mcm(home.path());
    // A port that nobody listens on.
    command.env("AWS_ENDPOINT_URL", "http://127.0.0.1:9").env("AWS_ACCESS_KEY_ID", "AKIAXXXXXXXXXXXXXXXX");
    command.env("AWS_SECRET_ACCESS_KEY", "secret").args(["apply", "--auto-approve"]);
    let ran = Ran::from(command.output().unwrap()).exits(1);
    insta::assert_snapshot!("unreachable", steady(&ran));
    assert!(!home.path().join(".mcm/state.json").exists());
}
