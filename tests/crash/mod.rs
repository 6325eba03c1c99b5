//! The shipped program, killed and interrupted at any moment: whatever happens, one plain `apply` converges, and
//! before its pivot `rollback` leads back.
//!
//! `MCM_KILLS=100 cargo test crash -- --nocapture` makes it longer. A failure prints the seed; `MCM_SEED` replays its moments.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::support::{Random, number};

/// The reference stack, without its functions, in a folder of its own.
fn reference() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    crate::support::three_clouds(folder.path());
    folder
}

fn start(folder: &Path, arguments: &[&str]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_mcm"))
        .args(arguments)
        .current_dir(folder)
        .env("MCM_SANDBOX", "1")
        .env_remove("AWS_ENDPOINT_URL")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Waits for the end: exit code and what was told.
fn end(child: Child) -> (Option<i32>, String) {
    let output = child.wait_with_output().unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

fn run(folder: &Path, arguments: &[&str]) -> (Option<i32>, String) {
    end(start(folder, arguments))
}

const APPLY: &[&str] = &["apply", "--auto-approve"];
/// So many lives are lived at a time.
const LANES: usize = 6;
const DESTROY: &[&str] = &["destroy", "--auto-approve"];

#[track_caller]
fn must(told: &str, folder: &Path, arguments: &[&str]) {
    let (code, err) = run(folder, arguments);
    assert_eq!(code, Some(0), "{told}: {arguments:?}\n{err}");
}

/// One life: a command dies at a random moment, and what comes after it converges.
fn one_death(seed: u64, whole: Duration) {
    let mut random = Random::new(seed);
    let folder = reference();
    let folder = folder.path();
    let destroying = random.below(4) == 0;
    if destroying {
        must("before", folder, APPLY);
    }
    let moment = whole.mul_f64(f64::from(u32::try_from(random.below(1_000)).unwrap()) / 1_000.0);
    let told =
        format!("seed {seed}, {} killed after {moment:?}", if destroying { "destroy" } else { "apply" });
    let mut child = start(folder, if destroying { DESTROY } else { APPLY });
    std::thread::sleep(moment);
    child.kill().unwrap();
    child.wait().unwrap();
    if random.below(3) == 0 {
        let (code, err) = run(folder, &["rollback"]);
        // Kept where it is in doubt whose it is, refused past the pivot; never anything else.
        assert!(matches!(code, Some(0 | 4 | 6)), "{told}: rollback ended with {code:?}\n{err}");
    }
    must(&told, folder, APPLY);
    must(&told, folder, &["plan", "--detailed-exitcode"]);
    must(&told, folder, DESTROY);
    must(&told, folder, &["plan", "--destroy", "--detailed-exitcode"]);
}

#[test]
#[expect(clippy::print_stdout, reason = "the seeds replay a failure")]
fn whatever_is_killed_is_continued_by_one_plain_apply() {
    let began = Instant::now();
    must("a first time, unharmed", reference().path(), APPLY);
    let whole = began.elapsed();
    if let Some(seed) = number("MCM_SEED") {
        return one_death(seed, whole);
    }
    let seed = u64::from(std::process::id()) << 20;
    let deaths = number("MCM_KILLS").unwrap_or(4);
    println!("{deaths} deaths, seeds from {seed}");
    // Several lives at a time: most of each is waiting.
    let next = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..LANES {
            scope.spawn(|| {
                loop {
                    let death = next.fetch_add(1, Ordering::Relaxed);
                    if death >= deaths {
                        break;
                    }
                    one_death(seed + death, whole);
                }
            });
        }
    });
}

/// The sandbox as a server, slowed down, so that a run can be met in its midst.
struct Server(Child);

impl Server {
    fn start(folder: &Path, latency: &str) -> Self {
        let child = start(folder, &["sandbox", "serve", "--latency-ms", latency]);
        let described = folder.join(".mcm/sandbox/server.json");
        let began = Instant::now();
        while !described.exists() {
            assert!(began.elapsed() < Duration::from_secs(20), "the sandbox does not begin to serve");
            std::thread::sleep(Duration::from_millis(20));
        }
        Self(child)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn signal(child: &Child, name: &str) {
    let sent = Command::new("kill").args([name, &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
}

/// Until the run's journal says that something was done.
fn until_something_is_done(folder: &Path) {
    let journal = folder.join(".mcm/sandbox/state/journal.jsonl");
    let began = Instant::now();
    while !std::fs::read_to_string(&journal).unwrap_or_default().contains(r#""entry":"done""#) {
        assert!(began.elapsed() < Duration::from_secs(30), "nothing gets done");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn the_first_signal_settles_and_the_run_can_be_resumed_or_undone() {
    for (name, next) in [("-INT", "apply"), ("-TERM", "rollback")] {
        let folder = reference();
        let folder = folder.path();
        let _server = Server::start(folder, "150");
        let child = start(folder, APPLY);
        until_something_is_done(folder);
        signal(&child, name);
        let asked = Instant::now();
        let (code, err) = end(child);
        assert!(asked.elapsed() < Duration::from_secs(6), "{name}: took {:?}", asked.elapsed());
        assert_eq!(code, Some(130), "{name}: {err}");
        assert!(err.contains("Stopping: no further step starts"), "{err}");
        assert!(err.contains("`mcm rollback` undoes what was done"), "{err}");
        // The lock is free, and nothing is in flight.
        let journal = std::fs::read_to_string(folder.join(".mcm/sandbox/state/journal.jsonl")).unwrap();
        let count = |entry: &str| journal.matches(&format!(r#""entry":"{entry}""#)).count();
        assert_eq!(count("intent"), count("done"), "{name}: {journal}");
        if next == "rollback" {
            let (code, err) = run(folder, &["rollback"]);
            assert_eq!(code, Some(0), "{err}");
            let (code, err) = run(folder, &["plan", "--destroy", "--detailed-exitcode"]);
            assert_eq!(code, Some(0), "nothing of it is left: {err}");
        } else {
            must("resumed", folder, APPLY);
            must("resumed", folder, &["plan", "--detailed-exitcode"]);
        }
    }
}

#[test]
fn the_second_signal_leaves_at_once_and_is_as_safe() {
    let folder = reference();
    let folder = folder.path();
    let _server = Server::start(folder, "400");
    let child = start(folder, APPLY);
    until_something_is_done(folder);
    signal(&child, "-INT");
    std::thread::sleep(Duration::from_millis(50));
    signal(&child, "-INT");
    let asked = Instant::now();
    let (code, err) = end(child);
    assert!(asked.elapsed() < Duration::from_millis(300), "took {:?}", asked.elapsed());
    assert_eq!(code, Some(130), "{err}");
    must("resumed", folder, APPLY);
    must("resumed", folder, &["plan", "--detailed-exitcode"]);
}

/// Starts a command, and asks it to stop once it has said this: exit code and what was told.
fn stopped_at(folder: &Path, arguments: &[&str], said: &str) -> (Option<i32>, String) {
    use std::io::BufRead as _;
    let mut command = Command::new(env!("CARGO_BIN_EXE_mcm"));
    command.args(arguments).current_dir(folder).env("MCM_SANDBOX", "1").env_remove("AWS_ENDPOINT_URL");
    let pipes = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = pipes.spawn().unwrap();
    let mut lines = std::io::BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().contains(said)), "{arguments:?} does not say {said}");
    signal(&child, "-INT");
    let all: Vec<String> = lines.map(Result::unwrap).collect();
    let (code, err) = end(child);
    (code, format!("{}{err}", all.join("\n")))
}

#[test]
fn a_signal_after_something_was_written_does_not_deny_it() {
    use crate::cli::binary::{SMALL, folder};
    let home = folder(SMALL);
    let home = home.path();
    must("made", home, APPLY);
    must("let go of", home, &["state", "rm", "worker"]);
    let _server = Server::start(home, "300");
    let (code, told) = stopped_at(home, &["import", "worker", "small-worker"], "The stack owns");
    assert!(code == Some(0) && told.contains("the import is recorded"), "{told}");
    // The lock is free; and what was applied is told as such.
    let two = ["apply", "--auto-approve", "--var", "tag=two"];
    let (code, told) = stopped_at(home, &two, "Done in");
    assert!(code == Some(0) && told.contains("the outputs were not read"), "{told}");
    assert!(!told.contains("nothing was changed"), "{told}");
    must("applied", home, &["plan", "--detailed-exitcode", "--var", "tag=two"]);
}
