//! A function's life in the sandbox, through the shipped program: deployed, called, changed, released behind its smoke
//! test, and destroyed; and what is left when a part of that fails.

use std::time::Duration;

use aws_sdk_lambda::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_lambda::primitives::Blob;
use mcm::sandbox::{Accounts, Options, Session};
use serde_json::{Value as Json, json};
use tempfile::TempDir;

use crate::cli::binary::{Ran, mcm};
use crate::support;

pub const ACCOUNT: &str = "123456789012";

const STACK: &str = r#"
stack: lab
variables:
  edition: { type: string, default: one }
  memory: { type: number, default: 128 }
  token: { type: string, sensitive: true }
clouds:
  aws: { account: "123456789012", region: us-east-1 }
resources:
  role:
    type: AWS::IAM::Role
    properties:
      RoleName: lab
      AssumeRolePolicyDocument:
        Version: "2012-10-17"
        Statement: { Effect: Allow, Principal: { Service: lambda.amazonaws.com }, Action: "sts:AssumeRole" }
  files: { type: AWS::S3::Bucket, properties: { BucketName: lab-files } }
functions:
  echo:
    package: echo
    architecture: ARCHITECTURE
    role: ${role}
    memory: ${var.memory}
    environment: { EDITION: "${var.edition}", BUCKET: "${files.BucketName}" }
    secrets: { TOKEN: "${var.token}", PIN: "in-the-file" }
    files: { note.txt: "for ${role.Arn}" }
    smoke: { event: { ping: 1 }, expect: { edition: "${var.edition}", event: { ping: 1 } } }
    events:
      - s3: { bucket: "${files}", events: ["s3:ObjectCreated:*"], prefix: in/ }
      - http: { route: "GET /echo", rate: 50 }
outputs:
  api: ${echo.ApiEndpoint}
"#;

/// A folder with the stack and the function, and a sandbox that stays up.
pub struct Lab {
    pub folder: TempDir,
    pub session: Session,
}

impl Lab {
    pub async fn new(stack: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        support::copy(&support::root().join("tests/lambda/echo"), &folder.path().join("echo"));
        let architecture = if cfg!(target_arch = "aarch64") { "arm64" } else { "x86_64" };
        std::fs::write(folder.path().join("stack.yaml"), stack.replace("ARCHITECTURE", architecture))
            .unwrap();
        let accounts = Accounts { aws: [ACCOUNT.to_owned()].into(), ..Accounts::default() };
        let data = folder.path().join(".mcm/sandbox");
        let session =
            Session::serve(Options { data, port: None, latency: Duration::ZERO, accounts }).await.unwrap();
        Self { folder, session }
    }

    /// Runs the program in the folder. Variables are `name=value`.
    pub async fn mcm(&self, arguments: &[&str], variables: &[&str]) -> Ran {
        let folder = self.folder.path().to_owned();
        let mut words: Vec<String> = arguments.iter().map(|&word| word.to_owned()).collect();
        words.push("--sandbox".to_owned());
        words.extend(variables.iter().map(|variable| format!("--var={variable}")));
        let ran = tokio::task::spawn_blocking(move || {
            Ran::from(mcm(&folder).env("MCM_VAR_token", "hunter2").args(&words).output().unwrap())
        });
        ran.await.unwrap()
    }

    pub async fn applies(&self, variables: &[&str]) -> Ran {
        self.mcm(&["apply", "--auto-approve"], variables).await.exits(0)
    }

    /// That a plan finds nothing to do.
    pub async fn nothing_to_do(&self, variables: &[&str]) {
        let ran = self.mcm(&["plan", "--detailed-exitcode"], variables).await;
        assert_eq!(ran.code, Some(0), "{}", ran.all());
    }

    pub fn lambda(&self) -> aws_sdk_lambda::Client {
        let (id, secret) = self.session.credentials.aws_keys(ACCOUNT);
        let config = aws_sdk_lambda::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("us-east-1"))
            .endpoint_url(&self.session.endpoints.aws)
            .credentials_provider(Credentials::from_keys(id, secret, None))
            .http_client(aws_smithy_http_client::Builder::new().build_http());
        aws_sdk_lambda::Client::from_conf(config.build())
    }

    pub fn cloudformation(&self) -> aws_sdk_cloudformation::Client {
        let (id, secret) = self.session.credentials.aws_keys(ACCOUNT);
        let config = aws_sdk_cloudformation::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("us-east-1"))
            .endpoint_url(&self.session.endpoints.aws)
            .credentials_provider(Credentials::from_keys(id, secret, None))
            .http_client(aws_smithy_http_client::Builder::new().build_http());
        aws_sdk_cloudformation::Client::from_conf(config.build())
    }

    /// The names of the stacks that there are.
    pub async fn stacks(&self) -> Vec<String> {
        let answer = self.cloudformation().describe_stacks().send().await.unwrap();
        answer.stacks().iter().map(|stack| stack.stack_name().unwrap_or_default().to_owned()).collect()
    }

    /// The names of the functions that there are.
    async fn functions(&self) -> Vec<String> {
        let answer = self.lambda().list_functions().send().await.unwrap();
        answer.functions().iter().map(|one| one.function_name().unwrap_or_default().to_owned()).collect()
    }

    /// What everybody's version of the function answers.
    pub async fn answer(&self) -> Json {
        let call = self.lambda().invoke().function_name("lab-echo").qualifier("live");
        let answer = call.payload(Blob::new(b"{}".to_vec())).send().await.unwrap();
        serde_json::from_slice(answer.payload().unwrap().as_ref()).unwrap()
    }

    /// Waits until the function can be changed again.
    pub async fn ready(&self) {
        for _ in 0..200 {
            let found = self.lambda().get_function_configuration().function_name("lab-echo").send().await;
            if found.unwrap().last_update_status().is_some_and(|status| status.as_str() == "Successful") {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("lab-echo does not get ready");
    }

    /// The version that the alias leads to, and all that there are.
    pub async fn versions(&self) -> (String, Vec<String>) {
        let lambda = self.lambda();
        let alias = lambda.get_alias().function_name("lab-echo").name("live").send().await.unwrap();
        let all = lambda.list_versions_by_function().function_name("lab-echo").send().await.unwrap();
        let all = all.versions().iter().map(|one| one.version().unwrap_or_default().to_owned());
        (alias.function_version().unwrap_or_default().to_owned(), all.collect())
    }
}

/// The lines of a plan that tell differences.
fn edits(plan: &str) -> Vec<&str> {
    let until = plan.find("\nSteps,").unwrap_or(plan.len());
    let lines = plan[..until].lines().map(str::trim);
    lines.filter(|line| line.starts_with(['~', '+', '-'])).collect()
}

pub fn versions(live: &str, all: &[&str]) -> (String, Vec<String>) {
    (live.to_owned(), all.iter().map(|&version| version.to_owned()).collect())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_function_lives() {
    let lab = Lab::new(STACK).await;

    // A plan builds, tells what it found, and makes nothing.
    let plan = lab.mcm(&["plan", "--detailed-exitcode"], &[]).await.exits(2);
    let archive = std::fs::read_dir(lab.folder.path().join(".mcm/functions")).unwrap();
    let archive = archive.map(|entry| entry.unwrap().path()).find(|path| path.extension().unwrap() == "zip");
    let archive = archive.unwrap();
    let digest = archive.file_stem().unwrap().to_str().unwrap();
    for told in [
        format!("+ Digest:       \"{}...\"", &digest[..12]),
        format!("+ Size:         {}", std::fs::metadata(&archive).unwrap().len()),
        "+ Architecture: ".to_owned(),
    ] {
        assert!(plan.out.contains(&told), "{told}\n{}", plan.out);
    }
    assert!(!plan.all().contains("hunter2"));
    assert_eq!((lab.stacks().await, lab.functions().await), (Vec::new(), Vec::new()));

    let applied = lab.applies(&[]).await;
    assert!(applied.err.contains("lab-functions: EchoFunction CREATE_COMPLETE"), "{}", applied.err);
    let template = lab.cloudformation().get_template().stack_name("lab-functions").send().await.unwrap();
    let template: Json = serde_json::from_str(template.template_body().unwrap()).unwrap();
    let stage = &template["Resources"]["HttpApiStage"];
    let limits = json!({ "GET /echo": { "ThrottlingRateLimit": 50, "ThrottlingBurstLimit": 100 } });
    assert_eq!(
        (&stage["Properties"]["RouteSettings"], &stage["DependsOn"]),
        (&limits, &json!(["EchoRoute"]))
    );
    assert!(!applied.all().contains("hunter2"));
    lab.nothing_to_do(&[]).await;
    let again = lab.applies(&[]).await;
    assert!(again.out.starts_with("No changes."), "{}", again.all());
    assert_eq!(
        lab.answer().await,
        json!({ "edition": "one", "token": 7, "note": "for arn:aws:iam::123456789012:role/lab", "event": {} })
    );
    assert_eq!(lab.versions().await, versions("1", &["$LATEST", "1"]));
    let called = lab.mcm(&["functions", "invoke", "echo", "--event", r#"{"a":2}"#], &[]).await.exits(0);
    assert!(called.out.ends_with("\"event\":{\"a\":2}}\n"), "{}", called.all());
    assert!(called.err.contains("edition one was called"), "{}", called.all());
    lab.mcm(&["functions", "invoke", "ecko"], &[]).await.exits(3);
    lab.mcm(&["functions", "invoke", "echo", "--event", "{"], &[]).await.exits(3);

    Box::pin(changes(&lab)).await;
    Box::pin(super::rates::change(&lab, &["edition=two", "memory=256", "token=longer-than-before"])).await;

    lab.mcm(&["destroy", "--auto-approve"], &[]).await.exits(0);
    assert_eq!((lab.stacks().await, lab.functions().await), (Vec::new(), Vec::new()));
    let left = lab.mcm(&["state", "list"], &[]).await.exits(0);
    assert_eq!(left.out, "");
    lab.session.close().await;
}

async fn changes(lab: &Lab) {
    // What in the stack changes is read live, and told property by property.
    let two = ["edition=two", "memory=256"];
    let plan = lab.mcm(&["plan", "--detailed-exitcode"], &two).await.exits(2).out;
    let told = edits(&plan);
    let at = "TemplateBody.Resources.EchoFunction.Properties";
    assert_eq!(told.iter().filter(|line| line.contains(at)).count(), 2, "{plan}");
    assert!(told.contains(&format!("~ {at}.MemorySize: 128 -> 256").as_str()), "{plan}");
    assert!(told.contains(&r#"- Outdated: "1""#), "{plan}");
    assert!(plan.ends_with("Plan: 0 to add, 2 to change, 0 to destroy.\n"), "{plan}");
    lab.applies(&two).await;
    lab.nothing_to_do(&two).await;
    assert_eq!(lab.answer().await["edition"], "two");
    assert_eq!(lab.versions().await, versions("2", &["$LATEST", "1", "2"]));

    // A secret of which nothing can be read.
    let secret = ["edition=two", "memory=256", "token=longer-than-before"];
    let plan = lab.mcm(&["plan", "--detailed-exitcode"], &secret).await.exits(2).out;
    assert!(plan.contains("Parameters.EchoSecretToken: (sensitive) -> (sensitive)"), "{plan}");
    lab.applies(&secret).await;
    assert_eq!(lab.answer().await["token"], 18);
    lab.nothing_to_do(&secret).await;

    // Two such changes in a row are two: nothing but the secret tells them apart.
    let third = ["edition=two", "memory=256", "token=third"];
    lab.applies(&third).await;
    assert_eq!(lab.answer().await["token"], 5);
    lab.applies(&secret).await;
    lab.nothing_to_do(&secret).await;

    // A version that fails its smoke test is met by nobody, and everything is as it was.
    let before = lab.versions().await;
    let broken = ["edition=broken", "memory=512", "token=longer-than-before"];
    let failed = lab.mcm(&["apply", "--auto-approve"], &broken).await.exits(5);
    for told in ["failed its smoke test", "this edition is broken", "edition broken was called"] {
        assert!(failed.err.contains(told), "{told}\n{}", failed.err);
    }
    assert_eq!(lab.versions().await, before);
    assert_eq!(lab.answer().await["edition"], "two");
    lab.nothing_to_do(&secret).await;

    // An alias that somebody has moved is moved back.
    let lambda = lab.lambda();
    let moved = lambda.update_alias().function_name("lab-echo").name("live").function_version("1");
    moved.send().await.unwrap();
    lab.mcm(&["plan", "--detailed-exitcode"], &secret).await.exits(2);
    lab.applies(&secret).await;
    assert_eq!(lab.versions().await, before);

    // New code is a new archive, and the old one goes.
    let source = lab.folder.path().join("echo/src/main.rs");
    let text = std::fs::read_to_string(&source).unwrap();
    let (old, new) = (r#""edition":"{edition}""#, r#""edition":"{edition}","new":1"#);
    assert!(text.contains(old));
    std::fs::write(&source, text.replace(old, new)).unwrap();
    let plan = lab.mcm(&["plan", "--detailed-exitcode"], &secret).await.exits(2).out;
    assert!(plan.contains("-/+ functions.echo.code"), "{plan}");
    lab.applies(&secret).await;
    lab.nothing_to_do(&secret).await;
    assert_eq!(lab.answer().await["new"], 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stack_that_fails_takes_everything_back() {
    let lab = Lab::new(STACK).await;
    // CloudFormation finds the function's log group taken.
    let taken = r#"{"Resources":{"A":{"Type":"AWS::Logs::LogGroup","Properties":{"LogGroupName":"/aws/lambda/lab-echo"}}}}"#;
    lab.cloudformation().create_stack().stack_name("others").template_body(taken).send().await.unwrap();
    until(&lab, "others", "CREATE_COMPLETE").await;
    let failed = lab.mcm(&["apply", "--auto-approve"], &[]).await.exits(5);
    assert!(failed.err.contains("ROLLBACK_COMPLETE"), "{}", failed.err);
    assert!(failed.err.contains("EchoLogs: "), "{}", failed.err);
    assert_eq!((lab.stacks().await, lab.functions().await), (vec!["others".to_owned()], Vec::new()));
    assert_eq!(lab.mcm(&["state", "list"], &[]).await.exits(0).out, "");

    // The first smoke test of a function takes back all of the run, too.
    lab.cloudformation().delete_stack().stack_name("others").send().await.unwrap();
    until(&lab, "others", "").await;
    let failed = lab.mcm(&["apply", "--auto-approve"], &["edition=broken"]).await.exits(5);
    assert!(failed.err.contains("failed its smoke test"), "{}", failed.err);
    assert_eq!((lab.stacks().await, lab.functions().await), (Vec::new(), Vec::new()));
    assert_eq!(lab.mcm(&["state", "list"], &[]).await.exits(0).out, "");
    lab.session.close().await;
}

/// Waits until a stack has a status; nothing stands for being gone.
pub async fn until(lab: &Lab, stack: &str, status: &str) {
    for _ in 0..200 {
        let answer = lab.cloudformation().describe_stacks().stack_name(stack).send().await;
        let found =
            answer.ok().and_then(|answer| Some(answer.stacks().first()?.stack_status()?.as_str().to_owned()));
        if found.unwrap_or_default() == status {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{stack} does not become {status}");
}
