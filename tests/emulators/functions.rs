//! Functions, from the stack file to Lambda, where others play AWS: built by the real cargo, deployed through their
//! CloudFormation, called by their buckets.

use std::collections::BTreeMap;
use std::time::Duration;

use mcm::lambda;
use mcm::model::*;
use mcm::stack::{Dialect, Source};

use super::road::{ACCOUNT, Road, told_edits};
use super::servers::Emulator;
use crate::support;

const STACK: &str = r#"
stack: lab
variables:
  memory: { type: number, default: 128 }
  token: { type: string, sensitive: true, default: hunter2 }
  greeting: { type: string, default: hello }
clouds:
  aws: { account: "123456789012", region: us-east-1, endpoint: ENDPOINT }
resources:
  role:
    type: AWS::IAM::Role
    properties:
      RoleName: lab-functions
      AssumeRolePolicyDocument:
        Version: "2012-10-17"
        Statement: { Effect: Allow, Principal: { Service: lambda.amazonaws.com }, Action: "sts:AssumeRole" }
  files: { type: AWS::S3::Bucket, properties: { BucketName: lab-functions-files } }
functions:
  hello:
    package: code/hello
    role: ${role}
    memory: ${var.memory}
    environment: { BUCKET: "${files.BucketName}", GREETING: "${var.greeting}" }
    secrets: { TOKEN: "${var.token}" }
    files: { role.json: { arn: "${role.Arn}" } }
    events:
      - s3: { bucket: "${files}", events: ["s3:ObjectCreated:*"], prefix: in/ }
      - http: { route: "GET /hello", cors: ["https://example.com"] }
  bye:
    package: code/bye
    role: ${role}
    events:
      - s3: { bucket: "${files}", events: ["s3:ObjectRemoved:*"], prefix: out/ }
outputs:
  api: ${hello.ApiEndpoint}
"#;

/// The stack as it lies in the road's folder, its functions built.
async fn stack(road: &Road, variables: &[(&str, &str)]) -> Stack {
    let file = road.folder.path().join("stack.yaml");
    let given = variables.iter().map(|(name, value)| mcm::stack::Given::Flag(format!("{name}={value}")));
    let source = Source { file, variables: given.collect(), environment: Vec::new() };
    let parse = |artifacts: &BTreeMap<String, Artifact>| {
        let (trust, functions) = (mcm::trust::expand, lambda::expand);
        let dialect = Dialect { catalogue: &road.catalogue, trust, functions, artifacts };
        mcm::stack::parse(&source, dialect).map_or_else(|wrong| panic!("{wrong:#?}"), |(stack, _)| stack)
    };
    let settings = lambda::Settings {
        store: road.folder.path().join("store"),
        purpose: lambda::Purpose::ThisMachine,
        search_path: std::env::var_os("PATH"),
        withheld: Vec::new(),
        cargo_home: None,
        flags: lambda::Flags::default(),
        time_limit: Duration::from_mins(5),
    };
    let functions = parse(&BTreeMap::new()).functions;
    parse(&lambda::build(&functions, &settings, &|_| ()).await.unwrap())
}

/// What a plan changes, one edit a line.
async fn edits(road: &Road, stack: &Stack) -> Vec<String> {
    let (plan, _) = road.plan(stack, Mode::Apply).await;
    plan.changes.iter().filter(|change| change.action != Action::NoOp).flat_map(told_edits).collect()
}

fn names(plan: &Plan) -> Vec<String> {
    plan.changes.iter().map(|change| format!("{} {}", change.action.symbol(), change.address)).collect()
}

#[tokio::test]
async fn ministack_runs_what_is_deployed() {
    let Some(emulator) = Emulator::ministack() else { return };
    let mut road = Road::new(&emulator.endpoint, "us-east-1", None);
    let folder = road.folder.path().to_owned();
    support::copy(&support::root().join("tests/lambda/fixture"), &folder.join("code"));
    std::fs::write(folder.join("stack.yaml"), STACK.replace("ENDPOINT", &emulator.endpoint)).unwrap();

    let first = stack(&road, &[]).await;
    let (plan, _) = road.plan(&first, Mode::Apply).await;
    assert_eq!(
        names(&plan),
        [
            "+ resources.role",
            "+ resources.files",
            "+ functions.artifacts",
            "+ functions.hello.code",
            "+ functions.bye.code",
            "+ functions.deployment",
            "+ functions.hello.release",
            "+ functions.hello.event-1",
            "+ functions.bye.release",
            "+ functions.bye.event-1",
        ]
    );
    road.must(&first, Mode::Apply, "functions are made").await;
    lints(&road, &first).await;
    Box::pin(changes(&mut road, &folder)).await;
    Box::pin(failures(&mut road)).await;
    let stack = stack(&road, &[]).await;
    road.must(&stack, Mode::Destroy, "functions are destroyed").await;
    assert!(road.state.resources.is_empty());
}

/// CloudFormation's own linter finds nothing in the template that is deployed, nor in the one that it is made from.
async fn lints(road: &Road, stack: &Stack) {
    let Some(python) = support::judges("cfn-lint", &["cfnlint"]) else { return };
    let (plan, _) = road.plan(stack, Mode::Apply).await;
    let deployment = Address::parse("functions.deployment").unwrap();
    let template = plan.change(&deployment).unwrap().after.as_ref().unwrap()["TemplateBody"].to_json();
    let deployed = road.folder.path().join("deployed.json");
    std::fs::write(&deployed, template.to_string()).unwrap();
    for file in [deployed, support::root().join("templates/functions.yaml")] {
        let mut command = std::process::Command::new(python.with_file_name("cfn-lint"));
        let said = command.arg(&file).output().unwrap();
        let (out, err) = (String::from_utf8_lossy(&said.stdout), String::from_utf8_lossy(&said.stderr));
        assert!(said.status.success(), "{}: {out}{err}", file.display());
    }
}

/// What a plan shows of each kind of change, and that it is applied.
async fn changes(road: &mut Road, folder: &std::path::Path) {
    let changed = stack(road, &[("memory", "256"), ("greeting", "good day")]).await;
    let at = "TemplateBody.Resources.HelloFunction.Properties";
    assert_eq!(
        edits(road, &changed).await,
        [
            "~ functions.deployment".to_owned(),
            format!(
                "{at}.Environment: {{\"Variables\":{{\"BUCKET\":\"lab-functions-files\",\"GREETING\":\"hello\",\"TOKEN\":{{\"Ref\":\"HelloSecretToken\"}}}}}} -> {{\"Variables\":{{\"BUCKET\":\"lab-functions-files\",\"GREETING\":\"good day\",\"TOKEN\":{{\"Ref\":\"HelloSecretToken\"}}}}}}"
            ),
            format!("{at}.MemorySize: 128 -> 256"),
            "~ functions.hello.release".to_owned(),
            "Outdated: \"1\" -> nothing".to_owned(),
        ]
    );
    road.must(&changed, Mode::Apply, "memory and environment").await;
    let secret = stack(road, &[("memory", "256"), ("greeting", "good day"), ("token", "other")]).await;
    let hidden = [
        "~ functions.deployment",
        "Parameters.HelloSecretToken: \"(sensitive)\" -> \"(sensitive)\"",
        "~ functions.hello.release",
        "Outdated: \"2\" -> nothing",
    ];
    assert_eq!(edits(road, &secret).await, hidden);
    road.must(&secret, Mode::Apply, "a secret").await;

    // New code: a new archive, then the function, then the old archive goes.
    std::fs::write(folder.join("code/words.txt"), "farewell").unwrap();
    let code = stack(road, &[("memory", "256"), ("greeting", "good day"), ("token", "other")]).await;
    let (plan, inventory) = road.plan(&code, Mode::Apply).await;
    let acting = names(&plan).into_iter().filter(|line| !line.starts_with("  ")).collect::<Vec<_>>();
    assert_eq!(acting, ["-/+ functions.bye.code", "~ functions.deployment", "~ functions.bye.release"]);
    let outcome = road.finish(&code, plan, &inventory).await;
    assert!(matches!(outcome, Outcome::Applied { .. }), "{outcome:#?}");
    assert_eq!(edits(road, &code).await, Vec::<String>::new());
    let back = stack(road, &[]).await;
    road.must(&back, Mode::Apply, "back to where it began").await;
}

/// A step after the deployment fails: the deployment and its new archive are undone.
async fn failures(road: &mut Road) {
    let before = stack(road, &[]).await;
    let file = road.folder.path().join("stack.yaml");
    let text = std::fs::read_to_string(&file).unwrap();
    let late = "  late: { type: MCM::S3::Content, dependsOn: [hello], properties: { Bucket: \"${files.BucketName}\", Source: site } }";
    std::fs::write(&file, text.replace("functions:\n", &format!("{late}\nfunctions:\n"))).unwrap();
    std::fs::write(road.folder.path().join("code/words.txt"), "never").unwrap();
    let wrong = stack(road, &[("memory", "512")]).await;
    let (plan, inventory) = road.plan(&wrong, Mode::Apply).await;
    std::fs::remove_file(road.folder.path().join("site/index.html")).unwrap();
    let outcome = road.finish(&wrong, plan, &inventory).await;
    std::fs::write(&file, text).unwrap();
    match outcome {
        Outcome::RolledBack { failures, undone } => {
            assert_eq!(failures[0].address.as_str(), "resources.late");
            assert_eq!(undone, 4, "the archive of `bye`, the deployment, and both releases");
        }
        other => panic!("{other:#?}"),
    }
    std::fs::write(road.folder.path().join("code/words.txt"), "farewell").unwrap();
    assert_eq!(edits(road, &before).await, Vec::<String>::new());
}

/// A template with a bucket of this name.
fn bucket(name: &str) -> String {
    format!(
        "{{ \"Resources\": {{ \"A\": {{ \"Type\": \"AWS::S3::Bucket\", \"Properties\": {{ \"BucketName\": \"{name}\" }} }} }} }}"
    )
}

/// A stack file with one CloudFormation stack, whose template has a bucket of this name.
fn one(road: &Road, name: &str) -> Stack {
    let resources = format!(
        "x: {{ type: AWS::CloudFormation::Stack, properties: {{ StackName: lab-left, TemplateBody: {} }} }}",
        bucket(name)
    );
    road.stack(&serde_yaml::from_str(&resources).unwrap())
}

/// What others may have left under a stack's name.
async fn leave(road: &Road, change_set: &str, mark: Option<String>, bucket_name: &str, execute: bool) {
    let place = road.clouds.aws.as_ref().unwrap();
    let config = aws_sdk_cloudformation::Config::builder()
        .behavior_version(aws_sdk_cloudformation::config::BehaviorVersion::latest())
        .region(aws_sdk_cloudformation::config::Region::new(place.region.clone()))
        .endpoint_url(place.endpoint.clone().unwrap())
        .credentials_provider(aws_sdk_cloudformation::config::Credentials::new(
            ACCOUNT, "x", None, None, "test",
        ))
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .build();
    let client = aws_sdk_cloudformation::Client::from_conf(config);
    let set = client.create_change_set().stack_name("lab-left").change_set_name(change_set);
    let kind = aws_sdk_cloudformation::types::ChangeSetType::Create;
    let mark = mark
        .map(|mark| vec![aws_sdk_cloudformation::types::Tag::builder().key("mcm:owner").value(mark).build()]);
    set.set_tags(mark).change_set_type(kind).template_body(bucket(bucket_name)).send().await.unwrap();
    if execute {
        let execute = client.execute_change_set().stack_name("lab-left").change_set_name(change_set);
        execute.send().await.unwrap();
    }
}

fn refusal(outcome: &Outcome) -> String {
    match outcome {
        Outcome::RolledBack { failures, .. } | Outcome::Stuck { failures, .. } => {
            failures[0].error.to_string()
        }
        other => panic!("{other:#?}"),
    }
}

#[tokio::test]
async fn what_others_have_left_is_handled() {
    let Some(emulator) = Emulator::ministack() else { return };
    let mut road = Road::new(&emulator.endpoint, "us-east-1", None);
    let taken: serde_yaml::Mapping =
        serde_yaml::from_str("b: { type: AWS::S3::Bucket, properties: { BucketName: lab-taken } }").unwrap();
    let mut other = Road::new(&emulator.endpoint, "us-east-1", None);
    let taken = other.stack(&taken);
    other.must(&taken, Mode::Apply, "a bucket that stands in the way").await;

    // A creation that fails leaves nothing behind, and says why.
    let failing = one(&road, "lab-taken");
    let outcome = road.run(&failing, Mode::Apply).await;
    assert!(refusal(&outcome).contains("ROLLBACK_COMPLETE: the stack lab-left: "), "{outcome:#?}");
    assert!(road.state.resources.is_empty(), "{:#?}", road.state);
    let sound = one(&road, "lab-free");
    road.must(&sound, Mode::Apply, "after a failure").await;
    road.must(&sound, Mode::Destroy, "after a failure").await;

    // An empty shell around a change set: of ours, then of someone else's.
    let mark = format!("{}/resources.x/0123456789abcdef01234567", sound.name);
    leave(&road, "mcm-old", Some(mark), "lab-free", false).await;
    road.must(&sound, Mode::Apply, "in a shell").await;
    road.must(&sound, Mode::Destroy, "in a shell").await;
    leave(&road, "theirs", None, "lab-free", false).await;
    let outcome = road.run(&sound, Mode::Apply).await;
    assert!(refusal(&outcome).contains("its change set `theirs` waits to be executed"), "{outcome:#?}");
    // What is left of someone else's failure is theirs to delete.
    leave(&road, "theirs-2", None, "lab-taken", true).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let outcome = road.run(&sound, Mode::Apply).await;
    assert!(refusal(&outcome).contains("failed to be created by someone else"), "{outcome:#?}");
}
