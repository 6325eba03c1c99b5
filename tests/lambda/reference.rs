//! The reference stack as it ships, functions and all, through the shipped program: applied, looked at through its
//! distribution, changed, and destroyed.

use std::path::Path;
use std::time::Duration;

use mcm::sandbox::{Accounts, Options, Session};

use crate::cli::binary::{Ran, mcm};
use crate::support::sign::send;
use crate::support::{functions_target, reference};

async fn run(stack: &Path, arguments: &'static [&'static str]) -> Ran {
    let stack = stack.to_owned();
    let ran = tokio::task::spawn_blocking(move || {
        let mut command = mcm(&stack);
        command.env("CARGO_TARGET_DIR", functions_target());
        Ran::from(command.args(arguments).arg("--sandbox").output().unwrap())
    });
    ran.await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_reference_stack_lives() {
    let stack = reference("lambda");
    let options = Options {
        data: stack.join(".mcm/sandbox"),
        port: None,
        latency: Duration::ZERO,
        accounts: Accounts::default(),
    };
    let session = Session::serve(options).await.unwrap();
    let applied = run(&stack, &["apply", "--auto-approve"]).await.exits(0);
    assert!(applied.out.contains(": 27 added, 0 changed, 0 destroyed."), "{}", applied.all());
    run(&stack, &["plan", "--detailed-exitcode"]).await.exits(0);

    // The page and the API have one address.
    let outputs: serde_json::Value =
        serde_json::from_str(&run(&stack, &["output", "--json"]).await.exits(0).out).unwrap();
    let site = outputs["site"].get("value").unwrap_or(&outputs["site"]).as_str().unwrap().to_owned();
    let host = site.trim_start_matches("https://").to_owned();
    let ask = async |method: &str, path: &str, body: &str| {
        let fields = [("host", host.as_str()), ("content-type", "application/json")];
        send(&session.endpoints.aws, method, path, &fields, body).await
    };
    let page = ask("GET", "/", "").await;
    assert_eq!(page.text(), std::fs::read_to_string(stack.join("site/index.html")).unwrap());
    let missing = ask("GET", "/nowhere", "").await;
    assert_eq!((missing.status, missing.text().contains("<html")), (404, true));
    let ticket = ask("POST", "/api/uploads", r#"{"contentType":"image/png","bytes":100}"#).await;
    assert_eq!(ticket.status, 201, "{}", ticket.text());
    let id = ticket.json()["id"].as_str().unwrap().to_owned();
    // No picture is there yet: AWS, Google's token exchange and its database have answered.
    let pending = ask("GET", &format!("/api/analysis/{id}"), "").await;
    assert_eq!(
        (pending.status, pending.json()["status"].as_str()),
        (404, Some("pending")),
        "{}",
        pending.text()
    );

    // Their roles let them write their logs, and make no group for that.
    let log = run(&stack, &["functions", "logs", "get-analysis"]).await.exits(0).out;
    assert!(log.contains("a token for Google Cloud was obtained"), "{log}");
    let log = run(&stack, &["functions", "logs", "uploads", "--json"]).await.exits(0).out;
    assert!(log.contains("START RequestId"), "{log}");

    // A changed page is seen at once: the distribution has let go of the old one.
    std::fs::write(stack.join("site/index.html"), "<!doctype html><title>changed</title>").unwrap();
    let changed = run(&stack, &["apply", "--auto-approve"]).await.exits(0);
    assert!(changed.out.contains(": 0 added, 1 changed, 0 destroyed."), "{}", changed.all());
    assert_eq!(ask("GET", "/", "").await.text(), "<!doctype html><title>changed</title>");

    run(&stack, &["destroy", "--auto-approve"]).await.exits(0);
    assert_eq!(run(&stack, &["state", "list"]).await.exits(0).out, "");

    // With a key that the vision service does not take no visitor meets the functions, and nothing is left of the run.
    let file = stack.join("stack.yaml");
    let text = std::fs::read_to_string(&file).unwrap();
    let wrong = text.replace("${vision.keys.key1}", "not-${vision.keys.key1}");
    let hasty = wrong.replace("within: 600", "within: 1");
    assert!(wrong != text && hasty != wrong);
    std::fs::write(&file, hasty).unwrap();
    let refused = run(&stack, &["apply", "--auto-approve"]).await.exits(5);
    for told in ["image-recognition-demo-analyze-image failed its smoke test", "Computer Vision refused: 401"]
    {
        assert!(refused.err.contains(told), "{told}: {}", refused.all());
    }
    assert_eq!(run(&stack, &["state", "list"]).await.exits(0).out, "");
    session.close().await;
}
