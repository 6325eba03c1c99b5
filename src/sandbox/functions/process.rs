//! A process, and the lifeline that it hangs on.
//!
//! The process is started by a shell that leaves a watcher behind in the same group: it reads a pipe whose other end
//! this process alone holds, and when that closes, by being dropped or because this process died of anything at all,
//! it kills the group. So no function outlives the sandbox, and none needs to be asked to end.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::path::Path;
use std::process::{ChildStdin, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

use super::Variables;

/// Becomes the bootstrap, with a watcher beside it.
const SCRIPT: &str = "exec 3<&0 </dev/null; { read -r line; kill -KILL 0; } <&3 3<&- & exec ./bootstrap 3<&-";

/// The lifelines of all processes.
#[derive(Debug, Default)]
pub(super) struct Lifelines {
    held: Mutex<HashMap<u64, ChildStdin>>,
    next: AtomicU64,
}

impl Lifelines {
    /// Ends every process.
    pub(super) fn cut_all(&self) {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn cut(&self, id: u64) {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
    }
}

/// A process that runs until it ends, or this is dropped.
#[derive(Debug)]
pub(super) struct Process {
    id: u64,
    lifelines: Arc<Lifelines>,
    /// The system's number of it.
    pub(super) number: u32,
    /// How it ended, once it has.
    pub(super) ended: watch::Receiver<Option<ExitStatus>>,
}

impl Process {
    /// Starts the bootstrap of a folder.
    pub(super) fn start(
        root: &Path,
        variables: Variables,
        output: File,
        lifelines: &Arc<Lifelines>,
    ) -> io::Result<Self> {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", SCRIPT]).current_dir(root).env_clear().envs(variables);
        command.stdin(Stdio::piped()).stdout(output.try_clone()?).stderr(output);
        // A group of its own: a Ctrl-C is for the sandbox, which then ends the process.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut child = command.spawn()?;
        let number = child.id();
        let id = lifelines.next.fetch_add(1, Ordering::Relaxed);
        if let Some(line) = child.stdin.take() {
            lifelines.held.lock().unwrap_or_else(PoisonError::into_inner).insert(id, line);
        }
        let (tell, ended) = watch::channel(None);
        std::thread::Builder::new().name("function".to_owned()).spawn(move || {
            let status = child.wait();
            let _ = tell.send(Some(status.unwrap_or_default()));
        })?;
        Ok(Self { id, lifelines: Arc::clone(lifelines), number, ended })
    }

    /// Ends it.
    pub(super) fn kill(&self) {
        self.lifelines.cut(self.id);
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

    /// The memory that it has now and the most that it has had, in kilobytes; nothing where that cannot be told.
    pub(super) fn memory_kb(&self) -> Option<(u64, u64)> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.number)).ok()?;
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            line.trim().split(' ').next()?.parse::<u64>().ok()
        };
        Some((field("VmRSS:")?, field("VmHWM:")?))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}
