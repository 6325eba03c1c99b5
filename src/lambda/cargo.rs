//! The calls of cargo: bounded in time and output, watched line by line, and ended with everything that they started
//! when no one waits for them any more.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io::{BufRead as _, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use serde::Deserialize;
use tokio::sync::mpsc;

use super::toolchain::Toolchain;
use super::workspace::Package;
use super::{BuildError, Events, Flags, Settings};
use crate::model::{BuildEvent, Function};

/// Reading a manifest may mean to fetch what it names.
const METADATA: Duration = Duration::from_mins(5);
/// The longest line that is taken; a longer one is cut into several.
const LINE: u64 = 4 << 20;
/// The most that `cargo metadata` may answer.
const ANSWER: usize = 64 << 20;
/// The last lines that cargo said are kept, for a message.
const TAIL: usize = 400;
/// So many lines of them are shown.
const SHOWN: usize = 60;

/// What `cargo metadata` says of a manifest.
pub(super) async fn metadata(
    manifest: &Path,
    function: &Function,
    settings: &Settings,
) -> Result<Vec<u8>, BuildError> {
    let mut command = cargo(settings);
    command.args(["metadata", "--format-version", "1", "--manifest-path"]).arg(manifest);
    let (mut answer, mut tail) = (Vec::new(), Tail::default());
    let limit = METADATA.min(settings.time_limit);
    let ended = run(command, limit, |line| match line {
        Line::Out(bytes) if answer.len() + bytes.len() <= ANSWER => answer.extend(bytes),
        Line::Out(_) => {}
        Line::Err(bytes) => drop(tail.push(&bytes)),
    })
    .await?;
    match ended {
        Ended::Status(status) if status.success() => Ok(answer),
        Ended::Status(_) => Err(BuildError::Metadata { function: function.name.clone(), said: tail.shown() }),
        Ended::TooLate => Err(BuildError::TimedOut { functions: vec![function.name.clone()], limit }),
    }
}

/// Builds the programs of some packages of one workspace. Their paths, by package id.
pub(super) async fn build(
    packages: &BTreeSet<&Package>,
    toolchain: &Toolchain,
    settings: &Settings,
    events: Events<'_>,
) -> Result<BTreeMap<String, PathBuf>, BuildError> {
    let Some(first) = packages.first() else { return Ok(BTreeMap::new()) };
    let mut command = cargo(settings);
    command.args(toolchain.arguments());
    command.args(toolchain.profile()).args(["--message-format", "json-render-diagnostics"]);
    command.arg("--manifest-path").arg(first.root.join("Cargo.toml"));
    if first.root.join("Cargo.lock").is_file() {
        command.arg("--locked");
    }
    for package in packages {
        command.args(["--package", &package.id, "--bin", &package.binary]);
    }
    same_everywhere(&mut command, settings);
    let (mut built, mut tail) = (BTreeMap::new(), Tail::default());
    let ended = run(command, settings.time_limit, |line| match line {
        Line::Out(bytes) => built.extend(executable(&bytes, packages)),
        Line::Err(bytes) => {
            let text = tail.push(&bytes);
            if is_progress(&text) {
                events(BuildEvent::Cargo { line: text.trim().to_owned() });
            }
        }
    })
    .await?;
    let functions = || packages.iter().map(|package| package.name.clone()).collect();
    match ended {
        Ended::Status(status) if status.success() => Ok(built),
        Ended::Status(_) => {
            let said = tail.shown();
            let remedy = toolchain.remedy(&said);
            Err(BuildError::Failed { functions: functions(), said, remedy })
        }
        Ended::TooLate => Err(BuildError::TimedOut { functions: functions(), limit: settings.time_limit }),
    }
}

/// cargo, with what both calls have in common.
fn cargo(settings: &Settings) -> Command {
    let mut command = Command::new("cargo");
    command.env("CARGO_TERM_COLOR", "never").env("CARGO_TERM_PROGRESS_WHEN", "never");
    // What is built step by step differs from what is built at once.
    command.env("CARGO_INCREMENTAL", "0");
    if let Some(path) = &settings.search_path {
        command.env("PATH", path);
    }
    for name in &settings.withheld {
        command.env_remove(name);
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Keeps the folder of cargo's downloads, which differs from one machine to the next, out of the program, whatever flags
/// there are besides: it goes where cargo takes the others from. (The folders of a workspace's own packages are not in the
/// program: cargo names them relative to the workspace. Flags of a target in a file of cargo's configuration keep this
/// one out, and are not seen here.)
fn same_everywhere(command: &mut Command, settings: &Settings) {
    let home = settings.cargo_home.as_deref().unwrap_or(Path::new(".cargo"));
    let remap = format!("--remap-path-prefix={}=cargo", home.display());
    let listed = |key: &str| format!("{key}=[{}]", serde_json::Value::from(remap.as_str()));
    match &settings.flags {
        Flags::Environment(flags) => {
            let all: Vec<&str> = flags.iter().map(String::as_str).chain([remap.as_str()]).collect();
            command.env("CARGO_ENCODED_RUSTFLAGS", all.join("\x1f"));
        }
        Flags::Target => {
            command.arg("--config").arg(listed("target.'cfg(all())'.rustflags"));
        }
        Flags::Build => {
            command.arg("--config").arg(listed("build.rustflags"));
        }
    }
}

/// One message of `--message-format json`.
#[derive(Deserialize)]
struct Message {
    reason: String,
    package_id: Option<String>,
    target: Option<MessageTarget>,
    executable: Option<PathBuf>,
}

#[derive(Deserialize)]
struct MessageTarget {
    name: String,
}

/// The program that a message speaks of, if it is one that was asked for.
fn executable(line: &[u8], packages: &BTreeSet<&Package>) -> Option<(String, PathBuf)> {
    let message: Message = serde_json::from_slice(line).ok()?;
    let (id, target, path) = (message.package_id?, message.target?, message.executable?);
    let wanted = packages.iter().any(|package| package.id == id && package.binary == target.name);
    (message.reason == "compiler-artifact" && wanted).then_some((id, path))
}

/// Whether a line is cargo's word on what it does: a verb that ends in the twelfth column.
fn is_progress(line: &str) -> bool {
    let verb = line.get(..12).map(str::trim_start);
    let is_verb = |verb: &str| verb.starts_with(|c: char| c.is_ascii_uppercase()) && !verb.contains(' ');
    verb.is_some_and(is_verb) && line.as_bytes().get(12) == Some(&b' ')
}

/// The end of what a program said.
#[derive(Default)]
struct Tail(VecDeque<String>);

impl Tail {
    fn push(&mut self, bytes: &[u8]) -> String {
        let text = String::from_utf8_lossy(bytes).trim_end().to_owned();
        if self.0.len() == TAIL {
            self.0.pop_front();
        }
        self.0.push_back(text.clone());
        text
    }

    /// From the first error on, or else the end; without what tells progress alone.
    fn shown(&self) -> String {
        let said: Vec<&str> = self.0.iter().map(String::as_str).filter(|line| !is_progress(line)).collect();
        let error = said.iter().position(|line| line.starts_with("error"));
        let from = error.unwrap_or_else(|| said.len().saturating_sub(SHOWN));
        let shown: Vec<&str> = said.iter().skip(from).take(SHOWN).copied().collect();
        let left = said.len().saturating_sub(from + SHOWN);
        let more = if left > 0 { format!("\n({left} more lines)") } else { String::new() };
        format!("{}{more}", shown.join("\n").trim())
    }
}

/// A line of one of the two streams.
enum Line {
    Out(Vec<u8>),
    Err(Vec<u8>),
}

/// How a program ended.
enum Ended {
    Status(ExitStatus),
    TooLate,
}

/// Runs a program to its end, line by line. Dropping the future ends the program, and so does the time limit.
async fn run(mut command: Command, limit: Duration, mut each: impl FnMut(Line)) -> Result<Ended, BuildError> {
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    let program = PathBuf::from(command.get_program());
    let child = command.spawn().map_err(|why| BuildError::io("run", &program, why))?;
    let mut running = Running(child);
    let (sender, mut lines) = mpsc::channel(256);
    if let Some(stream) = running.0.stdout.take() {
        read(stream, Line::Out, sender.clone());
    }
    if let Some(stream) = running.0.stderr.take() {
        read(stream, Line::Err, sender.clone());
    }
    drop(sender);
    let all = async {
        while let Some(line) = lines.recv().await {
            each(line);
        }
        // Both streams are closed: the program has ended, or is about to.
        loop {
            if let Some(status) = running.0.try_wait()? {
                return Ok(status);
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    match tokio::time::timeout(limit, all).await {
        Ok(Ok(status)) => Ok(Ended::Status(status)),
        Ok(Err(why)) => Err(BuildError::io("awaited", &program, why)),
        Err(_) => Ok(Ended::TooLate),
    }
}

/// Hands on the lines of a stream, from a thread of its own, until it ends or no one listens any more.
fn read(stream: impl Read + Send + 'static, kind: fn(Vec<u8>) -> Line, lines: mpsc::Sender<Line>) {
    std::thread::spawn(move || {
        let mut stream = BufReader::new(stream);
        loop {
            let mut line = Vec::new();
            match stream.by_ref().take(LINE).read_until(b'\n', &mut line) {
                Ok(0) | Err(_) => return,
                Ok(_) if lines.blocking_send(kind(line)).is_err() => return,
                Ok(_) => {}
            }
        }
    });
}

/// A program that does not outlive whoever holds this.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // One that was awaited is gone, and its id may be another's by now.
        if matches!(self.0.try_wait(), Ok(Some(_))) {
            return;
        }
        // cargo's compilers are its children: they end with it, as one group.
        #[cfg(unix)]
        if let Some(group) = i32::try_from(self.0.id()).ok().and_then(rustix::process::Pid::from_raw) {
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_told_from_everything_else() {
        for line in ["   Compiling serde v1.0.0", "    Finished `release` profile", " Downloading crates ..."]
        {
            assert!(is_progress(line), "{line}");
        }
        for line in
            ["error: expected item", "  --> src/main.rs:1:1", "", "warning: unused", "  |", "            x"]
        {
            assert!(!is_progress(line), "{line}");
        }
    }

    #[test]
    fn an_error_is_shown_from_its_beginning_and_within_bounds() {
        let mut tail = Tail::default();
        for line in
            ["   Compiling a v0.1.0", "warning: unused", "error[E0425]: no `x`", " --> src/main.rs:1:1"]
        {
            tail.push(line.as_bytes());
        }
        tail.push(b"   Compiling b v0.1.0\n");
        assert_eq!(tail.shown(), "error[E0425]: no `x`\n --> src/main.rs:1:1");
        for _ in 0..100 {
            tail.push(b"more\n");
        }
        let shown = tail.shown();
        assert_eq!(shown.lines().count(), SHOWN + 1, "{shown}");
        assert!(shown.ends_with("(42 more lines)"), "{shown}");
    }

    #[tokio::test]
    #[cfg(unix)]
    async fn what_takes_too_long_is_ended_with_its_children() {
        let folder = tempfile::tempdir().unwrap();
        let mark = folder.path().join("alive");
        let mut command = Command::new("sh");
        // The child of the shell writes again and again, and would for a minute.
        let script = "(for i in $(seq 600); do date +%N >> \"$0\"; sleep 0.1; done) & wait";
        command.arg("-c").arg(script).arg(&mark);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let ended = run(command, Duration::from_secs(2), |_| {}).await.unwrap();
        assert!(matches!(ended, Ended::TooLate));
        let written = std::fs::read(&mark).unwrap();
        assert!(!written.is_empty());
        std::thread::sleep(Duration::from_millis(500));
        assert_eq!(std::fs::read(&mark).unwrap(), written);
    }
}
