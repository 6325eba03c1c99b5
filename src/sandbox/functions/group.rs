//! A group of processes: signalled as one, and weighed.

use std::io;
use std::process::{Child, ExitStatus};
use std::sync::{Mutex, PoisonError};

/// What has left a group is looked for so often: it may be starting something at that very moment.
const SWEEPS: usize = 5;

/// The group that a process leads, with whatever else bears its mark.
#[derive(Debug)]
pub(super) struct Group {
    number: u32,
    mark: String,
    /// Whether its first process is there, if only as a dead one that nobody has buried: as long as it is, the system
    /// gives its number to no other.
    stands: Mutex<bool>,
}

/// What a group is told.
#[derive(Clone, Copy, Debug)]
enum Signal {
    End,
    Stop,
    GoOn,
}

impl Group {
    /// The group of a process that has just been started, and that was given this variable, `NAME=VALUE`.
    pub(super) fn new(number: u32, mark: String) -> Self {
        Self { number, mark, stands: Mutex::new(true) }
    }

    /// The number of its first process, which is the group's.
    pub(super) fn number(&self) -> u32 {
        self.number
    }

    pub(super) fn mark(&self) -> &str {
        &self.mark
    }

    /// Ends it. What has left it follows, once its first process is gone.
    pub(super) fn kill(&self) {
        self.signal(Signal::End);
    }

    /// Lets none of it run until it is told to go on.
    pub(super) fn stop(&self) {
        self.signal(Signal::Stop);
    }

    /// Lets it go on.
    pub(super) fn go_on(&self) {
        self.signal(Signal::GoOn);
    }

    fn signal(&self, signal: Signal) {
        let stands = self.stands.lock().unwrap_or_else(PoisonError::into_inner);
        if *stands {
            send(self.number, true, signal);
        }
    }

    /// Waits until its first process has ended, and ends the rest.
    pub(super) fn wait(&self, child: &mut Child) -> io::Result<ExitStatus> {
        has_ended(self.number);
        self.kill();
        for _ in 0..SWEEPS {
            let left = marked(&self.mark);
            if left.is_empty() {
                break;
            }
            for number in left {
                send(number, false, Signal::End);
            }
        }
        let mut stands = self.stands.lock().unwrap_or_else(PoisonError::into_inner);
        *stands = false;
        child.wait()
    }

    /// The memory that it has, in kilobytes, and the most that its first process has had; zero where that cannot be told.
    /// What a child shares with its parent counts once, where that decides whether it is more than `most`.
    pub(super) fn memory_kb(&self, most: u64) -> (u64, u64) {
        let family = family(self.number);
        let peak = field(self.number, "status", "VmHWM:").unwrap_or_default();
        let sum = |file: &str, name: &str| {
            family.iter().filter_map(|number| field(*number, file, name)).fold(0, u64::saturating_add)
        };
        let resident = sum("status", "VmRSS:");
        let now = if resident > most && family.len() > 1 { sum("smaps_rollup", "Pss:") } else { resident };
        (now, peak)
    }
}

/// A process with its children, and theirs. One whose parent has gone is not found.
fn family(number: u32) -> Vec<u32> {
    const MOST: usize = 256;
    let mut found = vec![number];
    let mut next = 0;
    while let Some(number) = found.get(next).copied().filter(|_| found.len() < MOST) {
        next += 1;
        let tasks = std::fs::read_dir(format!("/proc/{number}/task")).into_iter().flatten().flatten();
        for task in tasks {
            let children = std::fs::read_to_string(task.path().join("children")).unwrap_or_default();
            found.extend(children.split_whitespace().filter_map(|child| child.parse::<u32>().ok()));
        }
    }
    found
}

fn field(number: u32, file: &str, name: &str) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/{number}/{file}")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().split(' ').next()?.parse().ok()
}

/// The processes that have this variable in their environment.
fn marked(mark: &str) -> Vec<u32> {
    let all = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let numbers = all.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let is_marked = |number: &u32| {
        let environment = std::fs::read(format!("/proc/{number}/environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|variable| variable == mark.as_bytes())
    };
    numbers.filter(is_marked).collect()
}

#[cfg(unix)]
fn send(number: u32, group: bool, signal: Signal) {
    use rustix::process::{Pid, Signal as Sent, kill_process, kill_process_group};
    let Some(pid) = i32::try_from(number).ok().and_then(Pid::from_raw) else { return };
    let signal = match signal {
        Signal::End => Sent::KILL,
        Signal::Stop => Sent::STOP,
        Signal::GoOn => Sent::CONT,
    };
    // One that is not there any more needs no signal.
    let _ = if group { kill_process_group(pid, signal) } else { kill_process(pid, signal) };
}

/// Waits for the end of a process, and leaves it to be buried.
#[cfg(unix)]
fn has_ended(number: u32) {
    use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};
    let Some(pid) = i32::try_from(number).ok().and_then(Pid::from_raw) else { return };
    while waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT)
        .is_err_and(|error| error == rustix::io::Errno::INTR)
    {}
}

#[cfg(not(unix))]
fn send(_number: u32, _group: bool, _signal: Signal) {}

#[cfg(not(unix))]
fn has_ended(_number: u32) {}
