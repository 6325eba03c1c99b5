//! Two faults in a row, at random: a run is disturbed, and so is the one that goes on with it or undoes it. One more
//! plain run converges all the same. A seed replays its pair.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use mcm::sandbox::{Fault, Trouble};

use super::check::Broken;
use super::disk::Damage;
use super::life::{Job, Signal};
use super::sweep::{DAMAGES, Doing, Mishap, NO_FAULTS, Scenario, Tally, is_long, simulated};
use crate::support::{Random, number};

/// So many requests and writes a second run has, about.
const REQUESTS: u64 = 90;
const WRITES: u64 = 14;

/// What happens to the second run. Nothing of it needs an excuse.
#[derive(Clone, Copy, Debug)]
enum Second {
    Killed { request: u32, applied: bool },
    Request { request: u32, what: Passing },
    Stopped { request: u32 },
    Disk { write: usize, damage: Damage },
}

/// What passes by itself, whatever the cloud.
#[derive(Clone, Copy, Debug)]
enum Passing {
    Reset,
    ReplyLost,
    Cut,
    Late,
}

/// Two faults.
struct Pair<'a> {
    scenario: &'a Scenario,
    first: Mishap,
    /// Whether the second run undoes the first one.
    undoes: bool,
    second: Second,
}

impl<'a> Pair<'a> {
    fn of(seed: u64, scenarios: &'a [Arc<Scenario>], mishaps: &[Vec<Mishap>]) -> Self {
        let mut random = Random::new(seed);
        let at = random.index(scenarios.len());
        let scenario = scenarios[at].as_ref();
        let first = mishaps[at][random.index(mishaps[at].len())].clone();
        let undoes = random.below(2) == 0 && scenario.doing != Doing::Destroy;
        let request = u32::try_from(random.below(REQUESTS)).unwrap();
        let second = match random.below(4) {
            0 => Second::Killed { request, applied: random.below(2) == 0 },
            1 => {
                let all = [Passing::Reset, Passing::ReplyLost, Passing::Cut, Passing::Late];
                Second::Request { request, what: all[random.index(all.len())] }
            }
            2 => Second::Stopped { request },
            _ => {
                // What a disk lied about would need an excuse.
                let all: Vec<Damage> =
                    DAMAGES.iter().copied().filter(|damage| *damage != Damage::Lied).collect();
                let write = usize::try_from(random.below(WRITES)).unwrap();
                Second::Disk { write, damage: all[random.index(all.len())] }
            }
        };
        Self { scenario, first, undoes, second }
    }

    fn describe(&self) -> String {
        let then = if self.undoes { "rollback" } else { "again" };
        format!("{}; then {then}: {:?}", self.scenario.describe(&self.first), self.second)
    }

    /// Whether the second fault was met, and what broke.
    async fn attempt(&self, tally: &Tally) -> (bool, Vec<Broken>) {
        let (life, _, mut check) = self.scenario.strike(&self.first, None, tally).await;
        let job = if self.undoes { Job::Rollback(&self.scenario.stack) } else { self.scenario.again() };
        let (faults, signal, damage) = self.second.prepared();
        life.clouds.wire().set_faults(faults);
        life.disk.begin(damage);
        let met = life.clouds.wire().met();
        let ran = life.process(job, signal).await;
        let met = *met.borrow() > 0 || damage.is_some_and(|(write, _)| life.disk.trace().len() > write);
        check.watch("second", &ran);
        life.clouds.wire().set_faults(NO_FAULTS);
        life.disk.begin(None);
        self.scenario.converge(&life, &mut check).await;
        check.secrets(&life);
        (met, check.broken)
    }
}

impl Second {
    fn prepared(self) -> (Vec<Fault>, Signal, Option<(usize, Damage)>) {
        let at = |skip, what| {
            vec![Fault { cloud: None, contains: String::new(), target: None, skip, times: Some(1), what }]
        };
        match self {
            Self::Killed { request, applied } => (at(request, Trouble::Hang { applied }), Signal::Kill, None),
            Self::Stopped { request } => (at(request, Trouble::Delay { ms: 1 }), Signal::Stop, None),
            Self::Request { request, what } => {
                let what = match what {
                    Passing::Reset => Trouble::DropBefore,
                    Passing::ReplyLost => Trouble::DropAfter,
                    Passing::Cut => Trouble::Cut,
                    Passing::Late => Trouble::Late,
                };
                (at(request, what), Signal::None, None)
            }
            Self::Disk { write, damage } => (NO_FAULTS, Signal::None, Some((write, damage))),
        }
    }
}

/// Tries so many pairs, and tells what came out.
#[expect(clippy::print_stdout, reason = "the report is what it is for")]
pub fn report(scenarios: &[Arc<Scenario>], pairs: u64) {
    let mishaps: Vec<Vec<Mishap>> = scenarios.iter().map(|scenario| scenario.mishaps()).collect();
    let (from, pairs) = match number("MCM_SEED") {
        Some(seed) => (seed, 1),
        // The long form tries others each time.
        None if is_long() => (u64::from(std::process::id()) << 20, number("MCM_PAIRS").unwrap_or(pairs)),
        None => (0, number("MCM_PAIRS").unwrap_or(pairs)),
    };
    let (tally, next, met) = (Tally::default(), AtomicU64::new(0), AtomicUsize::new(0));
    let broken = std::sync::Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let seed = from + next.fetch_add(1, Ordering::Relaxed);
                    if seed >= from + pairs {
                        break;
                    }
                    let pair = Pair::of(seed, scenarios, &mishaps);
                    let (was_met, wrong) = simulated(pair.attempt(&tally));
                    met.fetch_add(usize::from(was_met), Ordering::Relaxed);
                    if !wrong.is_empty() {
                        broken.lock().unwrap().push((seed, pair.describe(), wrong));
                    }
                }
            });
        }
    });
    let broken = broken.into_inner().unwrap();
    let met = met.into_inner();
    println!("pairs tried {pairs}, seeds from {from}, second fault met {met}, broken {}", broken.len());
    assert!(broken.is_empty(), "MCM_SEED replays each: {broken:#?}");
    assert!(pairs == 1 || met > 0, "no second fault was met");
}
