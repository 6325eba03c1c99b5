//! Every line kind of a plan, a run and its end, as snapshots of hand-made ones.

use std::collections::BTreeMap;
use std::time::Duration;

use mcm::model::*;
use mcm::ui::{self, Style};
use serde_json::json;

fn map(json: serde_json::Value) -> Map {
    match Value::from_json(json) {
        Value::Map(map) => map,
        other => panic!("{other:?}"),
    }
}

fn change(name: &str, ty: &str, action: Action) -> Change {
    Change {
        address: Address::resource(name),
        ty: ResourceType::new(ty),
        action,
        id: None,
        former_id: None,
        before: None,
        after: None,
        edits: Vec::new(),
        reason: None,
        undo: Undo::Exact,
    }
}

fn edit(path: &[&str], before: Option<Value>, after: Option<Value>) -> Edit {
    let path = path.iter().fold(Path::default(), |path, key| match key.parse() {
        Ok(index) => path.index(index),
        Err(_) => path.key(key),
    });
    Edit { path, before, after, forces_replacement: false }
}

fn step(id: usize, name: &str, op: Op, needs: &[usize], undo: Undo) -> Step {
    let needs = needs.iter().map(|&id| StepId(id)).collect();
    Step { id: StepId(id), address: Address::resource(name), change: id, op, needs, undo }
}

fn plan(mode: Mode, changes: Vec<Change>, steps: Vec<Step>) -> Plan {
    Plan {
        stack: "images".to_owned(),
        mode,
        changes,
        pivot: steps.len(),
        steps,
        outputs: Vec::new(),
        warnings: Vec::new(),
        stack_digest: Digest("5".repeat(64)),
        live_digests: BTreeMap::from([("resources.role".to_owned(), None)]),
    }
}

fn reference(name: &str, attribute: &str) -> Value {
    Value::Unknown(Template::reference(Address::resource(name), &[attribute]))
}

fn policy(action: &str) -> Value {
    Value::from_json(json!({
        "Version": "2012-10-17",
        "Statement": [{ "Effect": "Allow", "Action": action, "Resource": "*" }],
    }))
}

fn created() -> Change {
    let mut after = map(json!({
        "RoleName": "images-role",
        "MaxSessionDuration": 3600,
        "Tags": [{ "Key": "a", "Value": "b" }],
        "Enabled": true,
        "Empty": {},
    }));
    after.insert("AssumeRolePolicyDocument".to_owned(), policy("sts:AssumeRole"));
    after.insert("Bucket".to_owned(), reference("files", "Arn"));
    after.insert(
        "Url".to_owned(),
        Value::Unknown(Template::new([
            Part::Text("https://".to_owned()),
            Part::Reference(Reference {
                address: Address::resource("site"),
                attribute: vec!["Domain".to_owned()],
            }),
            Part::Text("/index.html".to_owned()),
        ])),
    );
    after.insert("Key".to_owned(), Value::Secret(Secret::new("canary")));
    after.insert("Notes".to_owned(), Value::text("one line\nand another\n"));
    let id = Some(CloudId("images-role".to_owned()));
    Change { after: Some(after), id, ..change("role", "AWS::IAM::Role", Action::Create) }
}

fn updated() -> Change {
    let secret = || Some(Value::Secret(Secret::new("canary")));
    let edits = vec![
        edit(&["Description"], Some("old".into()), Some("new".into())),
        edit(&["MaxSessionDuration"], None, Some(Value::from(7200))),
        edit(&["Tags", "0", "Value"], Some("a".into()), None),
        edit(&["Password"], secret(), secret()),
        edit(&["Bucket"], Some("arn:aws:s3:::old".into()), Some(reference("files", "Arn"))),
        edit(&["PolicyDocument"], Some(policy("s3:GetObject")), Some(policy("s3:*"))),
        edit(
            &["Condition"],
            Some("{\"a\": 1, \"b\": [1, 2]}".into()),
            Some("{\"a\": 1, \"b\": [1, 3]}".into()),
        ),
        edit(
            &["UserData"],
            Some("#!/bin/sh\necho one\nexit 0\n".into()),
            Some("#!/bin/sh\necho two\nexit 0\n".into()),
        ),
        edit(&["Files"], None, Some(Value::from_json(json!({ "index.html": { "Size": 12 } })))),
        edit(&["Cors"], Some(Value::from_json(json!([{ "AllowedMethods": ["GET"] }]))), None),
    ];
    let id = Some(CloudId("images-files".to_owned()));
    let reason = Some("it bears no ownership mark; one is put on it".to_owned());
    let before =
        Some(map(json!({ "Description": "old", "PolicyDocument": policy("s3:GetObject").to_json() })));
    let after = Some(map(json!({ "Description": "new", "PolicyDocument": policy("s3:*").to_json() })));
    Change { edits, id, reason, before, after, ..change("files", "AWS::S3::Bucket", Action::Update) }
}

fn replaced() -> Change {
    let mut forced = edit(&["location"], Some("eastus".into()), Some("westus".into()));
    forced.forces_replacement = true;
    let mut document = edit(&["AttributeMapping"], Some(policy("a")), Some(policy("b")));
    document.forces_replacement = true;
    Change {
        edits: vec![forced, document],
        id: Some(CloudId("new".to_owned())),
        former_id: Some(CloudId("old".to_owned())),
        before: Some(map(json!({ "location": "eastus" }))),
        after: Some(map(json!({ "location": "westus" }))),
        undo: Undo::Equivalent { differs: "its unique id".to_owned() },
        ..change("vision", "Microsoft.CognitiveServices/accounts", Action::Replace)
    }
}

fn everything() -> Plan {
    let until = "2026-12-20T00:00:00Z".parse().unwrap();
    let id = |id: &str| Some(CloudId(id.to_owned()));
    let changes = vec![
        created(),
        updated(),
        replaced(),
        Change {
            id: id("data"),
            reason: Some("no longer in the stack".to_owned()),
            before: Some(map(json!({ "BucketName": "data" }))),
            undo: Undo::Impossible { why: "its objects are lost".to_owned() },
            ..change("data", "AWS::S3::Bucket", Action::Delete)
        },
        Change {
            id: id("pool"),
            reason: Some("a deleted one holds the name until 2026-12-20".to_owned()),
            edits: vec![edit(&["displayName"], Some("a".into()), Some("b".into()))],
            undo: Undo::Soft { until },
            ..change("pool", "iam.googleapis.com/WorkloadIdentityPool", Action::Restore)
        },
        Change {
            id: id("writer"),
            reason: Some("`adopt: true`".to_owned()),
            ..change("writer", "iam.googleapis.com/ServiceAccount", Action::Adopt)
        },
        Change {
            id: id("gone"),
            reason: Some("it is gone already".to_owned()),
            ..change("gone", "AWS::IAM::Role", Action::Forget)
        },
        change("same", "AWS::IAM::Role", Action::NoOp),
    ];
    let steps = vec![
        step(0, "role", Op::Create, &[], Undo::Exact),
        step(1, "files", Op::Update, &[0], Undo::Exact),
        step(2, "vision", Op::Create, &[0, 1], Undo::Exact),
        step(3, "pool", Op::Restore, &[], Undo::Soft { until }),
        step(4, "writer", Op::Adopt, &[0, 1, 2, 3], Undo::Exact),
        step(
            5,
            "vision",
            Op::DeleteFormer,
            &[0, 1, 2, 3, 4],
            Undo::Equivalent { differs: "its unique id".to_owned() },
        ),
        step(6, "data", Op::Delete, &[], Undo::Impossible { why: "its objects are lost".to_owned() }),
        step(7, "gone", Op::Forget, &[], Undo::Exact),
        step(8, "role", Op::DeleteFirst, &[], Undo::Exact),
    ];
    let mut plan = plan(Mode::Apply, changes, steps);
    let output = |name: &str, after: Value, sensitive: bool| OutputChange {
        name: name.to_owned(),
        before: None,
        after,
        sensitive,
    };
    plan.outputs = vec![
        output("site", reference("files", "WebsiteURL"), false),
        output("key", Value::text("canary"), true),
        output("name", Value::text("images"), false),
        output("all", Value::from_json(json!({ "a": [1, 2] })), false),
    ];
    plan.warnings = vec![Diagnostic::warning(
        "resources.data cannot be brought back once it is deleted: its objects are lost",
    )];
    plan
}

#[test]
fn every_line_kind_of_a_plan() {
    insta::assert_snapshot!("plan", ui::plan::render(&everything(), Style::PLAIN));
}

#[test]
fn colour_only_adds() {
    let colored = ui::plan::render(&everything(), Style { color: true });
    assert_ne!(colored, ui::plan::render(&everything(), Style::PLAIN));
    let strip = |text: &str| console::strip_ansi_codes(text).into_owned();
    assert_eq!(strip(&colored), strip(&ui::plan::render(&everything(), Style::PLAIN)));
}

#[test]
fn every_line_kind_of_a_plan_as_json() {
    insta::assert_json_snapshot!("plan_json", ui::json::plan(&everything()), { ".mcm.digest" => "[digest]" });
}

#[test]
fn secrets_are_in_no_rendering() {
    for text in [
        ui::plan::render(&everything(), Style::PLAIN),
        ui::json::plan(&everything()).to_string(),
        serde_json::to_string(&everything().changes).unwrap(),
    ] {
        assert!(!text.contains("canary"), "{text}");
    }
}

#[test]
fn closings() {
    use Action::{Adopt, Create, Delete, Forget, NoOp, Replace, Restore, Update};
    let close = |mode, changes| {
        let text = ui::plan::render(&plan(mode, changes, Vec::new()), Style::PLAIN);
        text.trim_end().lines().last().unwrap().to_owned()
    };
    let of = |actions: &[Action]| -> Vec<Change> {
        actions.iter().map(|&action| change("x", "AWS::IAM::Role", action)).collect()
    };
    let cases = [
        close(Mode::Apply, of(&[])),
        close(Mode::Apply, of(&[NoOp])),
        close(Mode::Destroy, of(&[])),
        close(Mode::RefreshOnly, of(&[NoOp])),
        close(Mode::Apply, of(&[Create, Create, Create, Update])),
        close(Mode::Apply, of(&[Replace])),
        close(Mode::Apply, of(&[Adopt, Create])),
        close(Mode::Apply, of(&[Restore, Adopt, Update])),
        close(Mode::Destroy, of(&[Delete, Forget])),
        close(Mode::RefreshOnly, of(&[Update])),
        close(Mode::RefreshOnly, of(&[Update, Create])),
    ];
    insta::assert_snapshot!("closings", cases.join("\n"));
}

#[test]
fn what_a_cloud_says_is_harmless() {
    let evil = "a\u{1b}[2Jb\r\n::set-env name=X::y\n##[error]\u{202e}txt";
    let mut change = change("role", "AWS::IAM::Role", Action::Update);
    change.id = Some(CloudId(evil.to_owned()));
    change.reason = Some(evil.to_owned());
    change.edits = vec![
        edit(&["Description"], Some(evil.into()), Some("plain\ntext".into())),
        edit(&["Tags", evil], None, Some(evil.into())),
        edit(&["Document"], None, Some(Value::from_json(json!({ evil: [evil] })))),
    ];
    let text = ui::plan::render(&plan(Mode::Apply, vec![change], Vec::new()), Style::PLAIN);
    for character in ['\u{1b}', '\r', '\u{202e}'] {
        assert!(!text.contains(character), "{text}");
    }
    assert!(!text.lines().any(|line| line.trim_start().starts_with("::")), "{text}");
    assert!(!text.contains("##["), "{text}");
    insta::assert_snapshot!("harmless", text);
}

fn cloud_error(kind: ErrorKind) -> CloudError {
    CloudError {
        cloud: Cloud::Aws,
        call: "iam:CreateRole".to_owned(),
        kind,
        code: "SomeCode".to_owned(),
        message: "The vendor's message".to_owned(),
        request_id: Some("req-1".to_owned()),
        hint: None,
    }
}

#[test]
fn every_kind_of_error_has_its_cause_and_way_out() {
    let kinds = [
        ErrorKind::NotFound,
        ErrorKind::AlreadyExists,
        ErrorKind::Conflict,
        ErrorKind::Denied,
        ErrorKind::Credentials,
        ErrorKind::Throttled,
        ErrorKind::Invalid,
        ErrorKind::NotEmpty,
        ErrorKind::Settling { window: Duration::from_mins(1) },
        ErrorKind::Unreachable,
        ErrorKind::Unknown,
        ErrorKind::WrongAccount,
    ];
    let diagnose =
        |kind: ErrorKind| ui::error::diagnose("resources.role could not be created", &cloud_error(kind));
    let all: Vec<Diagnostic> = kinds.into_iter().map(diagnose).collect();
    insta::assert_snapshot!("errors", ui::diagnostics::render(&all, false));
}

/// A step of `files` in a journal; deletions come past the pivot.
fn deed(op: Op, progress: Progress) -> Deed {
    let intent = Intent {
        deed: DeedId(0),
        address: Address::resource("files"),
        ty: ResourceType::new("AWS::S3::Bucket"),
        id: CloudId("files".to_owned()),
        op,
        past_pivot: op == Op::Delete,
        nonce: Nonce("n".to_owned()),
        undo: Undo::Exact,
        before: None,
        shall: Map::new(),
        request: Digest::default(),
        owned: Holding::default(),
        owns: Holding::default(),
    };
    Deed { intent, progress, wrote: None, owns: Holding::default(), unheard: progress == Progress::Intended }
}

#[test]
fn how_a_run_ends() {
    let failure =
        |op| Failure { address: Address::resource("role"), op, error: cloud_error(ErrorKind::Denied) };
    let kept = |why: &str| Kept { address: Address::resource("files"), op: Op::Create, why: why.to_owned() };
    let other = |op, why: &str| Kept { op, ..kept(why) };
    let unfinished = [
        kept("it may be done, or happen yet"),
        other(Op::Update, "a part of it may be done"),
        other(Op::Adopt, "x"),
        other(Op::Delete, "a part of it may be done"),
    ];
    let journal = Journal {
        runs: Vec::new(),
        deeds: vec![
            deed(Op::Create, Progress::Intended),
            deed(Op::Update, Progress::Failed),
            deed(Op::Adopt, Progress::Done),
            deed(Op::Delete, Progress::Failed),
        ],
    };
    let counts = ui::plan::Counts { add: 3, change: 1, adopt: 2, restore: 1, ..ui::plan::Counts::default() };
    let render = |diagnostics: &[Diagnostic]| ui::diagnostics::render(diagnostics, false);
    let texts = [
        ui::summary::applied(counts, Duration::from_millis(4210)),
        ui::summary::applied(ui::plan::Counts { forget: 1, ..counts }, Duration::from_secs(192)),
        ui::summary::rolled_back(0),
        ui::summary::rolled_back(1),
        ui::summary::rolled_back(7),
        render(&ui::summary::failures(&[failure(Op::Create), failure(Op::DeleteFormer)])),
        render(&[ui::summary::stuck(1, 0, &[kept("`--no-rollback`")], &Journal::default(), "mcm apply")]),
        render(&[ui::summary::interrupted(Phase::Apply, 1, 2, "mcm apply", true)]),
        render(&[ui::summary::interrupted(Phase::Apply, 3, 2, "mcm destroy", false)]),
        render(&[ui::summary::interrupted(Phase::Undo, 0, 2, "mcm apply", true)]),
        render(&[ui::summary::stuck(
            4,
            2,
            &[kept("it holds objects now"), kept("x")],
            &Journal::default(),
            "mcm apply",
        )]),
        render(&[ui::summary::stuck(1, 0, &unfinished, &journal, "mcm destroy")]),
    ];
    insta::assert_snapshot!("endings", texts.join("\n"));
}

#[test]
fn every_event_as_json() {
    let (step, address) = (StepId(1), Address::resource("role"));
    let error = cloud_error(ErrorKind::Denied);
    let took = Duration::from_millis(1500);
    let mut events = vec![Event::Waiting { step, address: address.clone(), error: error.clone() }];
    for phase in [Phase::Apply, Phase::Undo] {
        let op = Op::Create;
        events.push(Event::Began { steps: 3, phase });
        events.push(Event::Started { step, address: address.clone(), op, phase });
        events.push(Event::Finished { step, address: address.clone(), op, phase, took });
        events.push(Event::Failed { step, address: address.clone(), op, phase, error: error.clone() });
    }
    events.push(Event::Kept { step, address, why: "it holds objects".to_owned() });
    let lines: Vec<_> = events.iter().map(ui::json::event).collect();
    insta::assert_json_snapshot!("events", lines, { r#"[]["@timestamp"]"# => "[time]" });
}

#[test]
fn outputs_hide_what_is_sensitive() {
    let outputs = vec![
        ("site".to_owned(), Value::text("http://site"), false),
        ("key".to_owned(), Value::Secret(Secret::new("canary")), true),
        ("later".to_owned(), reference("x", "Arn"), false),
        ("all".to_owned(), Value::from_json(json!({ "b": [1, { "c": "d" }] })), false),
    ];
    let text = ui::outputs::list(&outputs);
    let json = format!("{:#}", ui::outputs::list_json(&outputs));
    assert!(!text.contains("canary") && !json.contains("canary"));
    assert_eq!(ui::outputs::one(&outputs[1].1), "canary");
    insta::assert_snapshot!("outputs", format!("{text}\n{json}\n"));
}
