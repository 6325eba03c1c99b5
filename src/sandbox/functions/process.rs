//! A process with all that it has started, and the lifeline that they hang on.
//!
//! The process leads a group of its own, which is signalled as one. What has left the group is known by a mark in its
//! environment, which children inherit: on Linux, whatever bears it is ended with the process. Beside each stands a
//! watcher, in another group, out of the function's reach: it reads a pipe whose other end this process alone holds, and
//! when that closes without a word, because this process died of anything at all, it does the same. So no function
//! outlives the sandbox, and none needs to be asked to end.

use std::collections::HashMap;
use std::io::{self, PipeWriter, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::Variables;
use super::group::Group;

/// Becomes the bootstrap, once it is told that its watcher stands.
const SCRIPT: &str = "read -r go && exec ./bootstrap </dev/null";
/// Ends the group `$1`, and whatever has the mark `$2` in its environment.
const WATCHER: &str = r#"read -r done && exit
kill -KILL "-$1"
for again in 1 2 3 4 5; do
    for path in $(grep -lsF -e "$2" /proc/[0-9]*/environ); do
        path=${path#/proc/}
        kill -KILL "${path%/environ}"
    done
done"#;
/// The variable that marks what a process has started: no two processes have the same stream.
const MARK: &str = "AWS_LAMBDA_LOG_STREAM_NAME";

/// The lifelines of all processes.
#[derive(Debug, Default)]
pub(super) struct Lifelines {
    held: Mutex<Held>,
    next: AtomicU64,
}

/// Those that are held, until all are cut.
#[derive(Debug, Default)]
struct Held {
    lines: HashMap<u64, (Arc<Group>, ChildStdin)>,
    closed: bool,
}

impl Lifelines {
    /// Ends every process, and each that begins later.
    pub(super) fn cut_all(&self) {
        let mut held = self.held();
        held.closed = true;
        for (group, _) in std::mem::take(&mut held.lines).values() {
            group.kill();
        }
    }

    /// Whether all were cut.
    pub(super) fn is_closed(&self) -> bool {
        self.held().closed
    }

    fn hold(&self, group: &Arc<Group>, line: ChildStdin) -> u64 {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let mut held = self.held();
        if held.closed {
            group.kill();
        } else {
            held.lines.insert(id, (Arc::clone(group), line));
        }
        id
    }

    fn release(&self, id: u64) -> Option<ChildStdin> {
        Some(self.held().lines.remove(&id)?.1)
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A process that runs until it ends, or this is dropped.
#[derive(Debug)]
pub(super) struct Process {
    pub(super) group: Arc<Group>,
    /// How it ended, once it has, and all that it had started with it.
    pub(super) ended: watch::Receiver<Option<ExitStatus>>,
}

impl Process {
    /// Starts the bootstrap of a folder.
    pub(super) fn start(
        root: &Path,
        variables: Variables,
        output: PipeWriter,
        lifelines: &Arc<Lifelines>,
    ) -> io::Result<Self> {
        let mark = format!("{MARK}={}", variables.get(MARK).map(String::as_str).unwrap_or_default());
        let mut command = Command::new("/bin/sh");
        command.args(["-c", SCRIPT]).current_dir(root).env_clear().envs(variables);
        command.stdin(Stdio::piped()).stdout(output.try_clone()?).stderr(output);
        // A group of its own: a Ctrl-C is for the sandbox, which then ends the process.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut child = command.spawn()?;
        // Until it is told to go on it waits, and ends if this process does.
        let go = child.stdin.take();
        let group = Arc::new(Group::new(child.id(), mark));
        let mut watcher = match watcher(&group) {
            Ok(watcher) => watcher,
            Err(error) => {
                group.kill();
                let _ = child.wait();
                return Err(error);
            }
        };
        let line = watcher.stdin.take().ok_or(io::ErrorKind::BrokenPipe)?;
        let id = lifelines.hold(&group, line);
        let (tell, ended) = watch::channel(None);
        let (held, all) = (Arc::clone(&group), Arc::clone(lifelines));
        std::thread::Builder::new().name("function".to_owned()).spawn(move || {
            let status = held.wait(&mut child);
            // The watcher is told that there is nothing left to do.
            if let Some(mut line) = all.release(id) {
                let _ = line.write_all(b"done\n");
            }
            let _ = watcher.wait();
            let _ = tell.send(Some(status.unwrap_or_default()));
        })?;
        let process = Self { group, ended };
        go.ok_or(io::ErrorKind::BrokenPipe)?.write_all(b"go\n")?;
        Ok(process)
    }

    /// Ends it.
    pub(super) fn kill(&self) {
        self.group.kill();
    }

    /// Whether it runs.
    pub(super) fn is_alive(&self) -> bool {
        self.ended.borrow().is_none()
    }

    /// Waits for its end.
    pub(super) async fn end(&self) -> ExitStatus {
        let mut ended = self.ended.clone();
        let status = ended.wait_for(Option::is_some).await.ok().and_then(|status| *status);
        status.unwrap_or_default()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

fn watcher(group: &Group) -> io::Result<Child> {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", WATCHER, "watcher", &group.number().to_string(), group.mark()]);
    command.current_dir("/").env_clear().env("PATH", "/usr/local/bin:/usr/bin:/bin");
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    command.spawn()
}
