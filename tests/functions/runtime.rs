//! The Runtime API, and what becomes of a function that does not behave.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value as Json, json};

use super::{Scene, archive, attach, eventually, form, function, ready, trust};

#[tokio::test(flavor = "multi_thread")]
async fn a_process_serves_one_event_after_the_other_as_its_role() {
    let scene = Scene::new().await;
    let settings =
        json!({ "Environment": { "Variables": { "MINE": "https://x.cognitiveservices.azure.com/" } } });
    scene.function("plain", &settings).await;
    let first = scene.invoke("plain", &json!({ "a": [1, "ü"] })).await;
    let told = first.good();
    assert_eq!((&told["count"], &told["event"]), (&json!(1), &json!({ "a": [1, "ü"] })));
    assert_eq!(first.header("x-amz-executed-version"), Some("$LATEST"));
    assert_eq!(first.header("x-amz-function-error"), None);
    let log = String::from_utf8(STANDARD.decode(first.header("x-amz-log-result").unwrap()).unwrap()).unwrap();
    let id = first.header("x-amzn-requestid").unwrap();
    assert!(
        log.starts_with(&format!("START RequestId: {id} Version: $LATEST\nevent 1\nEND RequestId: {id}\n")),
        "{log}"
    );
    assert!(
        log.contains("Memory Size: 128 MB\tMax Memory Used: ") && log.contains("\tInit Duration: "),
        "{log}"
    );
    let second = scene.invoke("plain", &json!({})).await.good();
    assert_eq!((&second["count"], &second["process"]), (&json!(2), &told["process"]), "the process is kept");

    let variables = scene.invoke("plain", &json!({ "do": "variables" })).await.good();
    let endpoints = &scene.session.endpoints;
    let host = "x.cognitiveservices.azure.com/";
    for (name, value) in [
        ("AWS_LAMBDA_FUNCTION_NAME", "plain"),
        ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128"),
        ("AWS_REGION", "us-east-1"),
        ("_HANDLER", "bootstrap"),
        ("AWS_ENDPOINT_URL", &endpoints.aws),
        ("GOOGLE_ENDPOINT_URL", &endpoints.gcp),
        ("MINE", &format!("{}/{host}", endpoints.azure)),
    ] {
        assert_eq!(variables[name], value, "{name}");
    }
    assert!(
        variables.get("HOME").is_none() && variables.get("CARGO_MANIFEST_DIR").is_none(),
        "nothing of ours"
    );
    what_its_role_may(&scene, &variables).await;

    // A change of the settings is a new process.
    let path = "/2015-03-31/functions/plain/configuration";
    scene.aws.lambda("PUT", path, &json!({ "MemorySize": 256 })).await.good();
    ready(&scene.aws, "plain").await;
    assert_eq!(scene.invoke("plain", &json!({})).await.good()["count"], 1);
    // A deleted function's processes are ended.
    if cfg!(target_os = "linux") {
        let process = scene.invoke("plain", &json!({})).await.good()["process"].as_u64().unwrap();
        let place = std::path::PathBuf::from(format!("/proc/{process}/cwd"));
        assert!(place.read_link().is_ok());
        scene.aws.lambda("DELETE", "/2015-03-31/functions/plain", &Json::Null).await.good();
        eventually(async || place.read_link().is_err().then_some(())).await;
    }
    scene.session.close().await;
}

/// The keys of a function's environment are its role's, and may what its policies say.
async fn what_its_role_may(scene: &Scene, variables: &Json) {
    let text = |name: &str| variables[name].as_str().unwrap().to_owned();
    let mut role = scene.aws.clone();
    (role.id, role.secret) = (text("AWS_ACCESS_KEY_ID"), text("AWS_SECRET_ACCESS_KEY"));
    let kind = [("content-type", "application/x-www-form-urlencoded")];
    let who = "Action=GetCallerIdentity&Version=2011-06-15";
    assert_eq!(
        role.send("sts", "POST", "/", &kind, who).await.status,
        403,
        "its keys are nothing without their token"
    );
    role.token = Some(text("AWS_SESSION_TOKEN"));
    let told = role.send("sts", "POST", "/", &kind, who).await.text();
    assert!(told.contains("<Arn>arn:aws:sts::123456789012:assumed-role/runner/plain</Arn>"), "{told}");
    // It may write its log, and nothing else.
    assert_eq!(role.send("s3", "GET", "/", &[], "").await.status, 403);
    assert_eq!(role.lambda("GET", "/2015-03-31/functions/plain", &Json::Null).await.status, 403);
    let lines = async || {
        let group = json!({ "logGroupName": "/aws/lambda/plain" });
        scene.logs("FilterLogEvents", &group).await.json()["events"].as_array().unwrap().len()
    };
    let before = lines().await;
    assert!(before > 0);
    scene.iam(attach("DetachRolePolicy", "runner")).await;
    scene.invoke("plain", &json!({})).await.good();
    assert_eq!(lines().await, before, "it runs, and nothing of it is logged");
    scene.iam(attach("AttachRolePolicy", "runner")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn between_events_a_process_stands_still_and_what_it_prints_is_bounded() {
    let scene = Scene::new().await;
    scene.function("still", &json!({})).await;
    let first = scene.invoke("still", &json!({})).await.good();
    if cfg!(target_os = "linux") {
        let stat = format!("/proc/{}/stat", first["process"]);
        eventually(async || std::fs::read_to_string(&stat).unwrap().contains(") T ").then_some(())).await;
    }
    let second = scene.invoke("still", &json!({})).await.good();
    assert_eq!((&second["count"], &second["process"]), (&json!(2), &first["process"]));
    let modes = scene.invoke("still", &json!({ "do": "modes" })).await.good();
    assert_eq!(modes, "555 555", "what it consists of is not written to");
    // What is printed beyond a megabyte is lost, and is nowhere.
    assert_eq!(scene.invoke("still", &json!({ "do": "flood" })).await.good(), "flooded");
    let group = json!({ "logGroupName": "/aws/lambda/still", "filterPattern": "xxx" });
    let found = scene.logs("FilterLogEvents", &group).await.good();
    let printed = found["events"][0]["message"].as_str().unwrap().len();
    assert!((1 << 19..=1 << 20).contains(&printed), "{printed}");
    let left = std::fs::read_dir(scene.data().join("functions")).unwrap().map(|entry| entry.unwrap());
    assert!(left.into_iter().all(|entry| entry.file_type().unwrap().is_dir()));
    scene.session.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_goes_wrong_is_told_as_lambda_tells_it() {
    let scene = Scene::new().await;
    scene.function("wrong", &json!({ "Timeout": 1 })).await;
    let failed = async |event: Json| {
        let reply = scene.invoke("wrong", &event).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        assert_eq!(reply.header("x-amz-function-error"), Some("Unhandled"));
        let log = STANDARD.decode(reply.header("x-amz-log-result").unwrap()).unwrap();
        (reply.json(), String::from_utf8(log).unwrap())
    };
    let (told, _) = failed(json!({ "do": "fail" })).await;
    assert_eq!(told, json!({ "errorType": "Wrong", "errorMessage": "it went wrong" }));
    assert_eq!(
        scene.invoke("wrong", &json!({})).await.good()["count"],
        2,
        "a failed event is no failed process"
    );
    let (told, log) = failed(json!({ "do": "sleep" })).await;
    assert_eq!(told["errorType"], "Sandbox.Timedout");
    assert!(
        told["errorMessage"].as_str().unwrap().ends_with(" Error: Task timed out after 1.00 seconds"),
        "{told}"
    );
    assert!(log.contains(" Task timed out after 1.00 seconds\n"), "{log}");
    assert_eq!(scene.invoke("wrong", &json!({})).await.good()["count"], 1, "the process was ended");
    let (told, log) = failed(json!({ "do": "exit" })).await;
    assert_eq!(told["errorType"], "Runtime.ExitError");
    assert!(
        told["errorMessage"].as_str().unwrap().ends_with("Runtime exited with error: exit status 3"),
        "{told}"
    );
    assert!(log.contains("event 2\n"), "{log}");
    if cfg!(target_os = "linux") {
        // To take so much takes a while on a busy machine.
        let path = "/2015-03-31/functions/wrong/configuration";
        scene.aws.lambda("PUT", path, &json!({ "Timeout": 60 })).await.good();
        ready(&scene.aws, "wrong").await;
        let (told, _) = failed(json!({ "do": "hog" })).await;
        assert_eq!(told["errorType"], "Runtime.OutOfMemory", "{told}");
        let (told, _) = failed(json!({ "do": "child" })).await;
        assert_eq!(told["errorType"], "Runtime.OutOfMemory", "its child's memory is its own: {told}");
    }

    for (init, wanted) in [("exit", "Runtime exited with error: exit status 7"), ("error", "not set up")] {
        let settings = json!({ "Environment": { "Variables": { "INIT": init } } });
        scene.function(init, &settings).await;
        let reply = scene.invoke(init, &json!({})).await;
        assert_eq!(reply.header("x-amz-function-error"), Some("Unhandled"));
        assert!(reply.json()["errorMessage"].as_str().unwrap().ends_with(wanted), "{}", reply.text());
    }
    function(&scene.aws, "text", &archive(b"no program", 0o755), &json!({})).await;
    let told = scene.invoke("text", &json!({})).await.json();
    assert_eq!(told["errorType"], "Runtime.InvalidEntrypoint");
    assert!(told["errorMessage"].as_str().unwrap().ends_with("exec format error"), "{told}");
    scene.session.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_called_is_refused() {
    let scene = Scene::new().await;
    scene.function("one", &json!({})).await;
    let invoke = async |path: &str, kind: &str, body: &str| {
        let path = format!("/2015-03-31/functions/{path}");
        let reply = scene.aws.send("lambda", "POST", &path, &[("x-amz-invocation-type", kind)], body).await;
        (reply.status, reply.header("x-amzn-errortype").unwrap_or_default().to_owned())
    };
    let refused = |status: u16, code: &str| (status, code.to_owned());
    assert_eq!(
        invoke("none/invocations", "RequestResponse", "{}").await,
        refused(404, "ResourceNotFoundException")
    );
    assert_eq!(
        invoke("one/invocations?Qualifier=7", "RequestResponse", "{}").await,
        refused(404, "ResourceNotFoundException")
    );
    assert_eq!(
        invoke("one/invocations", "RequestResponse", "{").await,
        refused(400, "InvalidRequestContentException")
    );
    assert_eq!(invoke("one/invocations", "Now", "{}").await, refused(400, "InvalidParameterValueException"));
    assert_eq!(invoke("one/invocations", "DryRun", "{}").await, refused(204, ""));
    let large = format!("\"{}\"", "x".repeat(1 << 20));
    assert_eq!(invoke("one/invocations", "Event", &large).await, refused(413, "RequestTooLargeException"));
    // A role that trusts another service than Lambda: from now on, too, for a function that stands.
    let other = trust("ec2.amazonaws.com");
    let form = form(&[
        ("Action", "UpdateAssumeRolePolicy"),
        ("Version", "2010-05-08"),
        ("RoleName", "runner"),
        ("PolicyDocument", &other),
    ]);
    scene.iam(form).await;
    assert_eq!(
        invoke("one/invocations", "RequestResponse", "{}").await,
        refused(403, "AccessDeniedException")
    );
    assert_eq!(invoke("one/invocations", "DryRun", "{}").await, refused(403, "AccessDeniedException"));
    scene.session.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn versions_are_what_they_were_and_aliases_lead_to_them() {
    let scene = Scene::new().await;
    scene.function("many", &json!({ "Environment": { "Variables": { "NUMBER": "one" } } })).await;
    let path = "/2015-03-31/functions/many";
    assert_eq!(
        scene.aws.lambda("POST", &format!("{path}/versions"), &json!({})).await.good()["Version"],
        "1"
    );
    let alias = json!({ "Name": "live", "FunctionVersion": "1" });
    scene.aws.lambda("POST", &format!("{path}/aliases"), &alias).await.good();
    let change = json!({ "Environment": { "Variables": { "NUMBER": "two" } } });
    scene.aws.lambda("PUT", &format!("{path}/configuration"), &change).await.good();
    ready(&scene.aws, "many").await;
    let told = async |qualifier: &str| {
        let path = format!("{path}/invocations?Qualifier={qualifier}");
        let event = json!({ "do": "variables" }).to_string();
        let reply = scene.aws.send("lambda", "POST", &path, &[], event).await;
        let version = reply.header("x-amz-executed-version").unwrap().to_owned();
        (version, reply.good()["NUMBER"].as_str().unwrap().to_owned())
    };
    let pair = |version: &str, n: &str| (version.to_owned(), n.to_owned());
    assert_eq!(told("live").await, pair("1", "one"));
    assert_eq!(told("1").await, pair("1", "one"));
    assert_eq!(told("%24LATEST").await, pair("$LATEST", "two"));
    scene.session.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_nobody_waits_for_is_tried_three_times_and_logged() {
    let scene = Scene::new().await;
    for name in ["flaky", "never"] {
        scene.function(name, &json!({})).await;
    }
    for (name, event) in [("flaky", "flaky"), ("never", "fail")] {
        let path = format!("/2015-03-31/functions/{name}/invocations");
        let kind = [("x-amz-invocation-type", "Event")];
        let reply = scene.aws.send("lambda", "POST", &path, &kind, json!({ "do": event }).to_string()).await;
        assert_eq!((reply.status, reply.text().as_str()), (202, ""));
    }
    for name in ["flaky", "never"] {
        let group = json!({ "logGroupName": format!("/aws/lambda/{name}"), "filterPattern": "START" });
        let starts = eventually(async || {
            let found = scene.logs("FilterLogEvents", &group).await.json();
            let found = found["events"].as_array().cloned().unwrap_or_default();
            (found.len() >= 3).then_some(found)
        })
        .await;
        let id = |event: &Json| event["message"].as_str().unwrap().split(' ').nth(2).unwrap().to_owned();
        assert!(starts.iter().all(|start| id(start) == id(&starts[0])), "every try is the same request");
    }
    // What succeeded the third time, and what never did, are not tried a fourth time.
    tokio::time::sleep(std::time::Duration::from_secs(4)).await;
    for name in ["flaky", "never"] {
        let group = json!({ "logGroupName": format!("/aws/lambda/{name}"), "filterPattern": "REPORT" });
        let found = scene.logs("FilterLogEvents", &group).await.good();
        assert_eq!(found["events"].as_array().unwrap().len(), 3, "{name}");
    }
    let group = json!({ "logGroupName": "/aws/lambda/flaky" });
    let streams = scene.logs("DescribeLogStreams", &group).await.good();
    let stream = streams["logStreams"][0]["logStreamName"].as_str().unwrap().to_owned();
    assert!(stream.contains("/[$LATEST]"), "{stream}");
    let one = json!({ "logGroupName": "/aws/lambda/flaky", "logStreamName": stream, "startFromHead": true, "limit": 2 });
    let told = scene.logs("GetLogEvents", &one).await.good();
    assert!(told["events"][0]["message"].as_str().unwrap().starts_with("START RequestId: "));
    assert_eq!(told["events"][1]["message"], "event 1\n");
    let mut next = one;
    next["nextToken"] = told["nextForwardToken"].clone();
    let told = scene.logs("GetLogEvents", &next).await.good();
    assert!(told["events"][0]["message"].as_str().unwrap().starts_with("END RequestId: "));
    scene.session.close().await;
}
