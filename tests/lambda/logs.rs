//! `mcm functions logs`: what a function has logged, read from the sandbox by the shipped program.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value as Json, json};

use super::deploy::{ACCOUNT, Lab};
use super::release::stack;
use crate::support::sign::Signer;

const GROUP: &str = "/aws/lambda/lab-echo";

/// Puts events into a stream of the function's log, as seconds before now and text.
async fn put(lab: &Lab, stream: &str, events: &[(i64, &str)]) {
    let aws = Signer::of(&lab.session, ACCOUNT);
    let place = json!({ "logGroupName": GROUP, "logStreamName": stream });
    send(&aws, "CreateLogStream", &place).await;
    let now = Timestamp::now().as_millisecond();
    let event =
        |(ago, text): &(i64, &str)| json!({ "timestamp": now - ago * 1000, "message": (*text).to_owned() });
    let mut body = place;
    body["logEvents"] = events.iter().map(event).collect();
    assert_eq!(send(&aws, "PutLogEvents", &body).await, 200);
}

async fn send(aws: &Signer, action: &str, body: &Json) -> u16 {
    let target = format!("Logs_20140328.{action}");
    let fields = [("content-type", "application/x-amz-json-1.1"), ("x-amz-target", target.as_str())];
    aws.send("logs", "POST", "/", &fields, body.to_string()).await.status
}

/// Lines without their times, which must be times.
fn without_times(out: &str) -> Vec<&str> {
    let line = |line: &str| -> Option<usize> {
        let (time, _) = line.split_once("  ")?;
        time.parse::<Timestamp>().ok()?;
        Some(time.len() + 2)
    };
    out.lines().map(|text| &text[line(text).unwrap_or_else(|| panic!("no time: {text}"))..]).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_function_has_logged_is_shown_in_order_of_time() {
    let lab = Lab::new(&stack()).await;
    let unknown = lab.mcm(&["functions", "logs", "ecko"], &[]).await.exits(3);
    assert!(unknown.err.contains("did you mean `echo`?"), "{}", unknown.all());
    let early = lab.mcm(&["functions", "logs", "echo"], &[]).await.exits(1);
    assert!(early.err.contains("error: lab-echo has no log yet"), "{}", early.all());
    assert!(early.err.contains("`mcm apply` deploys it"), "{}", early.all());

    lab.applies(&[]).await;
    let nothing = lab.mcm(&["functions", "logs", "echo"], &[]).await.exits(0);
    assert_eq!(nothing.out, "");
    assert!(nothing.err.contains("lab-echo has logged nothing since "), "{}", nothing.all());

    lab.mcm(&["functions", "invoke", "echo"], &[]).await.exits(0);
    put(
        &lab,
        "other",
        &[
            (60, r#"{"timestamp":"x","level":"WARN","message":"asked again","tries":2,"target":"echo"}"#),
            (120, "a line\nand its next\n"),
            (7200, "long ago"),
        ],
    )
    .await;
    let shown = lab.mcm(&["functions", "logs", "echo"], &[]).await.exits(0);
    let lines: Vec<&str> = shown.out.lines().collect();
    assert!(lines[0].ends_with("Z  a line") && lines[1] == "    and its next", "{}", shown.out);
    assert!(lines[2].ends_with("Z  WARN   asked again  tries=2 target=echo"), "{}", shown.out);
    let rest = lines[3..].join("\n");
    let rest = without_times(&rest);
    assert!(rest[0].starts_with("START RequestId: ") && rest[1] == "edition one was called", "{rest:?}");
    assert!(rest[3].starts_with("REPORT RequestId: ") && rest.len() == 4, "{rest:?}");

    let ago = lab.mcm(&["functions", "logs", "echo", "--since", "1d", "--json"], &[]).await.exits(0);
    let events: Vec<Json> = ago.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(events.len(), 7);
    assert_eq!((&events[0]["message"], &events[0]["logStreamName"]), (&json!("long ago"), &json!("other")));
    assert_eq!(events[1]["message"], "a line\nand its next\n");
    assert!(events.is_sorted_by_key(|event| event["timestamp"].as_i64().unwrap()));

    // More than an answer holds comes in pages.
    let long = "x".repeat(200_000);
    for _ in 0..8 {
        put(&lab, "long", &[(30, long.as_str()), (20, long.as_str())]).await;
    }
    let all = lab.mcm(&["functions", "logs", "echo", "--since", "1m", "--json"], &[]).await.exits(0);
    let longs = all.out.lines().filter(|line| line.len() > 200_000).count();
    assert_eq!(longs, 16);
    lab.session.close().await;
}

/// The program, following the log.
struct Following {
    child: Child,
    lines: Receiver<String>,
}

impl Following {
    fn start(lab: &Lab) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_mcm"))
            .args(["functions", "logs", "echo", "--follow", "--sandbox"])
            .env("MCM_VAR_token", "hunter2")
            .env_remove("AWS_ENDPOINT_URL")
            .current_dir(lab.folder.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        Self { child, lines }
    }

    /// The next line that is told, without its time.
    fn next(&self) -> String {
        let line = self.lines.recv_timeout(Duration::from_mins(1)).unwrap();
        without_times(&line)[0].to_owned()
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_is_followed_until_the_user_ends_it() {
    let lab = Lab::new(&stack()).await;
    lab.applies(&[]).await;
    put(&lab, "a", &[(5, "first")]).await;
    let mut following = Following::start(&lab);
    assert_eq!(following.next(), "first");
    put(&lab, "b", &[(0, "second")]).await;
    assert_eq!(following.next(), "second");
    // Older than what was told, and in the log only now.
    put(&lab, "c", &[(30, "late")]).await;
    assert_eq!(following.next(), "late");
    put(&lab, "d", &[(0, "last")]).await;
    assert_eq!(following.next(), "last");
    let id = following.child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &id]).status().unwrap().success());
    assert_eq!(following.child.wait().unwrap().code(), Some(0));
    // Nothing was told twice.
    assert_eq!(following.lines.iter().collect::<Vec<_>>(), Vec::<String>::new());
    lab.session.close().await;
}
