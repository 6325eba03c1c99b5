//! Times the shipped binary on the reference stack: start-up, and with 100 ms added to every request the first plan,
//! the create, the plan that finds nothing to do, and the destroy.
//!
//!     cargo bench --bench road              the release binary, five runs each
//!     cargo bench --bench road -- --short   two runs each
//!
//! For each command: wall time, how many requests it sent, the longest chain of requests of which each began after
//! the one before it had ended (its critical path), the most requests at once, and the peak of its memory. The wall
//! time is at least `chain x latency`; how close it comes says how little else it waits for.
#![expect(clippy::print_stdout, reason = "a program that prints its results")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a benchmark may panic")]

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const LATENCY_MS: u64 = 100;
const MCM: &str = env!("CARGO_BIN_EXE_mcm");

fn main() {
    let short = std::env::args().any(|argument| argument == "--short");
    let runs = if short { 2 } else { 5 };
    let build = if cfg!(debug_assertions) { "debug" } else { "release" };
    println!("mcm {} ({build} build), {runs} runs each, medians", env!("CARGO_PKG_VERSION"));
    start_up(runs * 4);
    println!("\nreference stack, {LATENCY_MS} ms added to every request");
    println!(
        "{:<26}{:>9}{:>10}{:>8}{:>13}{:>9}{:>10}",
        "", "wall s", "requests", "chain", "wall/chain", "at once", "peak MB"
    );
    let mut rows: Vec<(&str, Vec<Measured>)> = Vec::new();
    for _ in 0..runs {
        for (index, measured) in one_round().into_iter().enumerate() {
            if rows.len() <= index {
                rows.push((measured.0, Vec::new()));
            }
            rows[index].1.push(measured.1);
        }
    }
    for (name, measured) in rows {
        print_row(name, &measured);
    }
}

/// The time of a command that touches no cloud.
fn start_up(runs: usize) {
    let mut times: Vec<f64> = (0..runs)
        .map(|_| {
            let began = Instant::now();
            assert!(Command::new(MCM).arg("--version").stdout(Stdio::null()).status().unwrap().success());
            began.elapsed().as_secs_f64() * 1000.0
        })
        .collect();
    println!("mcm --version: {:.1} ms", median(&mut times));
}

/// What one command took.
struct Measured {
    wall_s: f64,
    requests: usize,
    chain: usize,
    at_once: usize,
    peak_mb: f64,
}

/// A fresh sandbox, and the reference stack's life in it.
fn one_round() -> Vec<(&'static str, Measured)> {
    let folder = tempfile::tempdir().unwrap();
    let stack = folder.path().join("stack");
    // Without its functions, whose build would be measured, too.
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    copy(&root.join("stacks/image-recognition/site"), &stack.join("site"));
    std::fs::copy(root.join("tests/support/three-clouds.yaml"), stack.join("stack.yaml")).unwrap();
    let mut server = serve(&stack);
    let endpoint = wait_for(&stack);
    let commands: [(&str, &[&str]); 5] = [
        ("plan, nothing there", &["plan"]),
        ("apply, create all", &["apply", "--auto-approve"]),
        ("plan, nothing to do", &["plan", "--detailed-exitcode"]),
        ("destroy", &["destroy", "--auto-approve"]),
        ("apply, restore and create", &["apply", "--auto-approve"]),
    ];
    let measured =
        commands.map(|(name, arguments)| (name, measure(&endpoint, &stack, arguments))).into_iter().collect();
    server.kill().unwrap();
    server.wait().unwrap();
    measured
}

fn serve(stack: &Path) -> Child {
    let mut command = Command::new(MCM);
    command.args(["sandbox", "serve"]).arg(stack).args(["--latency-ms", &LATENCY_MS.to_string()]);
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

/// The AWS endpoint of the server over the stack's folder, once it answers.
fn wait_for(stack: &Path) -> String {
    let description = stack.join(".mcm/sandbox/server.json");
    for _ in 0..500 {
        let text = std::fs::read_to_string(&description).unwrap_or_default();
        let json: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
        if let Some(endpoint) = json["endpoints"]["aws"].as_str()
            && control(endpoint, "GET", "/_mcm/health").is_some()
        {
            return endpoint.to_owned();
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("the sandbox did not start");
}

fn measure(endpoint: &str, stack: &Path, arguments: &[&str]) -> Measured {
    control(endpoint, "DELETE", "/_mcm/requests");
    let began = Instant::now();
    let mut command = Command::new(MCM);
    command.arg(arguments[0]).arg(stack).arg("--sandbox").args(&arguments[1..]);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let peak_mb = watch(&mut child);
    let wall_s = began.elapsed().as_secs_f64();
    let status = child.wait().unwrap();
    let mut told = String::new();
    child.stderr.take().unwrap().read_to_string(&mut told).unwrap();
    assert!(status.success(), "{arguments:?} ended with {status}:\n{told}");
    let traffic = control(endpoint, "GET", "/_mcm/requests").unwrap_or_default();
    let mut spans: Vec<(f64, f64)> = traffic
        .as_array()
        .into_iter()
        .flatten()
        .map(|request| (request["startMs"].as_f64().unwrap(), request["endMs"].as_f64().unwrap()))
        .collect();
    spans.sort_by(|left, right| left.1.total_cmp(&right.1));
    Measured { wall_s, requests: spans.len(), chain: chain(&spans), at_once: at_once(&spans), peak_mb }
}

/// Waits for a child's end and returns the peak of its resident memory, where the system tells it.
fn watch(child: &mut Child) -> f64 {
    let status = format!("/proc/{}/status", child.id());
    let mut peak = f64::NAN;
    while child.try_wait().unwrap().is_none() {
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kilobytes = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<f64>().ok());
        peak = kilobytes.map_or(peak, |kilobytes| kilobytes / 1024.0);
        std::thread::sleep(Duration::from_millis(2));
    }
    peak
}

/// The longest chain of requests, each begun after the one before it ended; sorted by end.
fn chain(spans: &[(f64, f64)]) -> usize {
    let (mut length, mut free) = (0, f64::NEG_INFINITY);
    for &(start, end) in spans {
        if start >= free {
            length += 1;
            free = end;
        }
    }
    length
}

/// The most requests under way at one moment.
fn at_once(spans: &[(f64, f64)]) -> usize {
    let overlapping = |&(start, _): &(f64, f64)| {
        spans.iter().filter(|(other_start, other_end)| *other_start <= start && start < *other_end).count()
    };
    spans.iter().map(overlapping).max().unwrap_or_default()
}

fn print_row(name: &str, measured: &[Measured]) {
    let of = |pick: &dyn Fn(&Measured) -> f64| median(&mut measured.iter().map(pick).collect::<Vec<_>>());
    #[expect(clippy::cast_precision_loss, reason = "counts of requests are small")]
    let (requests, chain, at_once) =
        (of(&|one| one.requests as f64), of(&|one| one.chain as f64), of(&|one| one.at_once as f64));
    let wall = of(&|one| one.wall_s);
    let ratio = wall / (chain * Duration::from_millis(LATENCY_MS).as_secs_f64());
    let peak = of(&|one| one.peak_mb);
    println!("{name:<26}{wall:>9.2}{requests:>10}{chain:>8}{ratio:>13.2}{at_once:>9}{peak:>10.0}");
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// One control request to the sandbox; `None` where it does not answer with JSON.
fn control(endpoint: &str, method: &str, path: &str) -> Option<serde_json::Value> {
    let address = endpoint.strip_prefix("http://")?;
    let mut stream = TcpStream::connect(address).ok()?;
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
    )
    .ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let body = if head.to_ascii_lowercase().contains("transfer-encoding: chunked") {
        body.split("\r\n").skip(1).step_by(2).collect()
    } else {
        body.to_owned()
    };
    serde_json::from_str(&body).ok()
}

fn copy(from: &Path, to: &Path) {
    let entries = walkdir::WalkDir::new(from).into_iter();
    for entry in entries.filter_entry(|entry| entry.file_name() != ".mcm" && entry.file_name() != "target") {
        let entry = entry.unwrap();
        let target = to.join(entry.path().strip_prefix(from).unwrap());
        if entry.file_type().is_dir() {
            std::fs::create_dir_all(target).unwrap();
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}
