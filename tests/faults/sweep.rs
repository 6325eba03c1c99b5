//! The sweep: scenarios, the tries of each, and what must hold after every one of them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use mcm::model::{Outcome, Stack};
use mcm::sandbox::{Fault, Traffic};

use super::blows::{Blow, Point, changes, edit_role, give_back, is_edited, points};
use super::check::{Broken, Check, kind, unmarked};
use super::disk::Damage;
use super::image::{Image, image};
use super::life::{End, Job, Life, Ran, Signal};
use super::mutants::Mutant;

/// What a scenario's process does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doing {
    Apply,
    /// An apply that may delete first what keeps its name.
    Recreate,
    Destroy,
    Rollback,
}

/// Where a run begins, what it is to do, and what has to come out.
pub struct Scenario {
    pub name: &'static str,
    pub start: Life,
    pub doing: Doing,
    /// What is applied, or what was when it is rolled back.
    pub stack: Stack,
    /// How the clouds looked before the transaction.
    pub before: Image,
    /// How they look when it is done.
    pub after: Image,
    /// What the stack then owns.
    pub owned: Vec<(String, String)>,
    /// What the run sends when nothing goes wrong.
    pub points: Vec<Point>,
    /// What it does to the disk then.
    pub writes: Vec<String>,
}

/// One try: what goes wrong where.
#[derive(Clone, Debug)]
pub enum Mishap {
    Request(usize, Blow),
    Disk(usize, Damage),
}

impl Mishap {
    /// Which point of the trace: among the requests, or among the writes.
    pub fn point(&self) -> (bool, usize) {
        match self {
            Self::Request(at, _) => (false, *at),
            Self::Disk(at, _) => (true, *at),
        }
    }
}

/// What became of the tries.
#[derive(Default)]
pub struct Tally {
    pub tries: AtomicUsize,
    /// The mishaps that did not come about.
    pub missed: Mutex<Vec<String>>,
    pub broken: Mutex<Vec<(String, Broken)>>,
    /// How the disturbed runs ended.
    pub ends: Mutex<BTreeMap<String, usize>>,
    /// What rollbacks left in place, and why.
    pub kept: Mutex<BTreeMap<String, usize>>,
}

/// What can happen to a write.
pub const DAMAGES: &[Damage] = &[
    Damage::DeathBefore,
    Damage::DeathAfter,
    Damage::NoSpace,
    Damage::Broken,
    Damage::BrokenForEver,
    Damage::Torn,
    Damage::Lied,
];

impl Scenario {
    pub fn job(&self) -> Job<'_> {
        match self.doing {
            Doing::Apply => Job::Apply(&self.stack),
            Doing::Recreate => Job::Recreate(&self.stack),
            Doing::Destroy => Job::Destroy(&self.stack),
            Doing::Rollback => Job::Rollback(&self.stack),
        }
    }

    /// What a person does who only wants it done.
    pub fn again(&self) -> Job<'_> {
        match self.doing {
            Doing::Apply | Doing::Rollback => Job::Apply(&self.stack),
            Doing::Recreate => Job::Recreate(&self.stack),
            Doing::Destroy => Job::Destroy(&self.stack),
        }
    }

    /// Whether there is no unfinished run at its beginning.
    pub fn begins_afresh(&self) -> bool {
        !["rollback", "recovery"].contains(&self.name)
    }

    /// Every mishap at every point.
    pub fn mishaps(&self) -> Vec<Mishap> {
        let requests = self.points.iter().enumerate();
        let mut all: Vec<Mishap> = requests
            .flat_map(|(at, point)| point.blows().iter().map(move |&blow| Mishap::Request(at, blow)))
            .collect();
        for at in 0..self.writes.len() {
            all.extend(DAMAGES.iter().map(|&damage| Mishap::Disk(at, damage)));
        }
        all
    }

    /// A name that a person can find the point by.
    pub fn describe(&self, mishap: &Mishap) -> String {
        match mishap {
            Mishap::Request(at, blow) => {
                let Point { cloud, target, occurrence } = &self.points[*at];
                format!("{}: {blow:?} at {cloud} {target} #{occurrence}", self.name)
            }
            Mishap::Disk(at, damage) => format!("{}: {damage:?} at {at} ({})", self.name, self.writes[*at]),
        }
    }

    /// One try, with everything that must hold after it.
    ///
    /// Where it is to be deep, what comes after a rollback has to converge too, and an apply after a destroy.
    pub async fn attempt(
        &self,
        mishap: &Mishap,
        mutant: Option<Mutant>,
        deep: bool,
        tally: &Tally,
    ) -> String {
        let (life, ran, mut check) = self.strike(mishap, mutant, tally).await;
        if self.doing != Doing::Destroy {
            self.reverse(&life, &ran, deep, &mut check, tally).await;
        } else if deep {
            self.regret(&life, &mut check).await;
        }
        self.converge(&life, &mut check).await;
        check.secrets(&life);
        if !check.broken.is_empty() {
            let name = self.describe(mishap);
            tally
                .broken
                .lock()
                .unwrap()
                .extend(check.broken.into_iter().map(|broken| (name.clone(), broken)));
        }
        check.told
    }

    /// A run that is disturbed, up to when somebody else can begin.
    pub async fn strike<'m>(
        &self,
        mishap: &'m Mishap,
        mutant: Option<Mutant>,
        tally: &Tally,
    ) -> (Life, Ran, Check<'m>) {
        tally.tries.fetch_add(1, Ordering::Relaxed);
        let mut life = self.start.fork();
        life.mutant = mutant;
        life.disk.make(mutant);
        let mut check = Check { broken: Vec::new(), mishap, told: String::new() };
        let ran = self.disturb(&life, mishap, tally).await;
        check.watch("disturbed", &ran);
        check.bounded(&ran, self, mishap);
        check.passes(&ran, self);
        check.goes_back(&ran, self);
        *tally.ends.lock().unwrap().entry(kind(&ran.end)).or_default() += 1;
        if !life.clouds.world(give_back) {
            check.fail("foreign", "somebody else's role was touched".to_owned());
        }
        self.truth(&life, &ran, &mut check);
        life.clouds.wire().set_faults(Vec::new());
        let lied = matches!(mishap, Mishap::Disk(_, Damage::Lied));
        if (lied || matches!(ran.end, End::Killed)) && life.disk.power_failure() {
            // A machine takes its time to come back: what was on its way has arrived by then.
            tokio::time::sleep(std::time::Duration::from_mins(1)).await;
        }
        life.disk.begin(None);
        aftermath(&life, mishap).await;
        (life, ran, check)
    }

    async fn disturb(&self, life: &Life, mishap: &Mishap, tally: &Tally) -> Ran {
        let missed = || tally.missed.lock().unwrap().push(self.describe(mishap));
        match mishap {
            Mishap::Request(at, blow) => {
                let (fault, signal) = blow.at(&self.points[*at]);
                life.clouds.wire().set_faults(vec![fault]);
                life.disk.begin(None);
                if matches!(blow, Blow::DeniedAndKilled | Blow::RevokedAndKilled) {
                    life.disk.die_with(r#""entry":"failed""#);
                }
                let met = life.clouds.wire().met();
                let ran = life.process(self.job(), signal).await;
                if *met.borrow() == 0 {
                    missed();
                }
                ran
            }
            Mishap::Disk(at, damage) => {
                life.disk.begin(Some((*at, *damage)));
                let ran = if *damage == Damage::Lied {
                    self.betrayed(life).await
                } else {
                    life.process(self.job(), Signal::None).await
                };
                if life.disk.trace().len() <= *at {
                    missed();
                }
                ran
            }
        }
    }

    /// A run whose disk lies once; the power fails with the next change that is sent.
    async fn betrayed(&self, life: &Life) -> Ran {
        let wire = life.clouds.wire();
        let running = life.process(self.job(), Signal::None);
        let failing = async {
            while !life.disk.has_lied() {
                tokio::time::sleep(std::time::Duration::from_millis(1)).await;
            }
            let sent = wire.traffic().len();
            let change = |request: &Traffic| changes(request.cloud, &request.target);
            while !wire.traffic().iter().skip(sent).any(change) {
                tokio::time::sleep(std::time::Duration::from_millis(1)).await;
            }
        };
        tokio::select! {
            biased;
            ran = running => ran,
            () = failing => Ran { end: End::Killed, traffic: wire.traffic(), told: String::new() },
        }
    }

    /// What a run says of itself is so.
    fn truth(&self, life: &Life, ran: &Ran, check: &mut Check<'_>) {
        let found = life.clouds.world(|world| image(world));
        let expected = match (&ran.end, self.doing) {
            (End::Ran(Some(Outcome::Applied { .. })), Doing::Apply | Doing::Recreate | Doing::Destroy) => {
                &self.after
            }
            (End::Ran(Some(Outcome::RolledBack { .. })), _) => {
                check.nothing_lost(self, life);
                &self.before
            }
            (End::Hung, _) => {
                check.fail("bounded", "the run hangs".to_owned());
                return;
            }
            _ => return,
        };
        check.same("truth", expected, &found, &format!("{:?}", ran.end));
    }

    /// `mcm rollback`, and once more: the clouds are as they were before, but for what is said.
    async fn reverse(&self, life: &Life, disturbed: &Ran, deep: bool, check: &mut Check<'_>, tally: &Tally) {
        let life = life.fork();
        let (left, edited) = life.clouds.world(|world| (image(world), is_edited(world)));
        let ran = life.run(Job::Rollback(&self.stack)).await;
        check.watch("rollback", &ran);
        check.only_forward(self, &disturbed.end, &left, &ran.end);
        if edited
            && matches!(check.mishap, Mishap::Request(_, Blow::KilledAndEdited))
            && !life.clouds.world(|world| is_edited(world))
        {
            check.fail("foreign", "what somebody wrote after the crash was undone".to_owned());
        }
        match &ran.end {
            End::Ran(Some(Outcome::RolledBack { .. })) => {
                check.nothing_lost(self, &life);
                let found = life.clouds.world(|world| image(world));
                check.same("reverse", &self.before, &found, "rolled back");
            }
            End::Ran(Some(Outcome::Stuck { kept, .. })) => {
                check.for_cause(kept, disturbed);
                let mut all = tally.kept.lock().unwrap();
                for kept in kept {
                    *all.entry(format!("{} {:?}: {}", kept.address, kept.op, kept.why)).or_default() += 1;
                }
            }
            // What was left in place, and said so, stays.
            End::Ran(None) if matches!(disturbed.end, End::Ran(Some(Outcome::Stuck { .. }))) => {}
            End::Ran(None) => {
                let found = life.clouds.world(|world| image(world));
                check.nothing_begun(&self.before, &self.after, &found);
            }
            End::Refused(why) if why == "past the pivot" => {}
            End::Ran(_)
            | End::Refused(_)
            | End::Unrecorded(_)
            | End::Unplanned(_)
            | End::Killed
            | End::Hung => {
                check.fail("reverse", format!("rollback ended with {:?}", ran.end));
            }
        }
        if !matches!(ran.end, End::Ran(Some(_))) {
            return;
        }
        let before = life.clouds.world(|world| image(world));
        life.run(Job::Rollback(&self.stack)).await;
        let again = life.clouds.world(|world| image(world));
        check.same("idempotence", &before, &again, "rolled back twice");
        if deep {
            self.converge(&life, check).await;
        }
    }

    /// Who did not mean to destroy it applies: everything is there again.
    async fn regret(&self, life: &Life, check: &mut Check<'_>) {
        let life = life.fork();
        let ran = life.run(Job::Apply(&self.stack)).await;
        check.watch("regretting", &ran);
        if !matches!(ran.end, End::Ran(Some(Outcome::Applied { .. }))) {
            if !check.may_refuse(&ran.end) {
                check.fail("regret", format!("an apply after it ended with {:?}", ran.end));
            }
            return;
        }
        let found = life.clouds.world(|world| image(world));
        check.same("regret", &self.before, &found, "applied after it");
    }

    /// One plain run converges; one more has nothing to do.
    pub async fn converge(&self, life: &Life, check: &mut Check<'_>) {
        let ran = life.run(self.again()).await;
        check.watch("converging", &ran);
        if !matches!(ran.end, End::Ran(Some(Outcome::Applied { .. }))) {
            if !check.may_refuse(&ran.end) {
                check.fail("converge", format!("one more run ended with {:?}", ran.end));
            }
            return;
        }
        let found = life.clouds.world(|world| image(world));
        check.same("converge", &self.after, &found, "one more run");
        let owned = life.owned(&self.stack).await;
        // Without state, what bears no mark cannot be told from somebody else's: it is used and not owned.
        let forgotten = |owned: &(String, String)| check.forgets() && unmarked(&owned.1);
        let expected: Vec<_> = self.owned.iter().filter(|owned| !forgotten(owned)).collect();
        let found: Vec<_> = owned.iter().filter(|owned| !forgotten(owned)).collect();
        if expected != found {
            check.fail("ownership", format!("expected {expected:?}, found {found:?}"));
        }
        let ran = life.run(self.again()).await;
        let sent: Vec<_> = ran.traffic.iter().filter(|sent| changes(sent.cloud, &sent.target)).collect();
        if !matches!(ran.end, End::Ran(Some(Outcome::Applied { steps: 0 }))) || !sent.is_empty() {
            check.fail("idempotence", format!("a further run ended with {:?} and sent {sent:?}", ran.end));
        }
    }
}

/// After a crash a person loses files, or somebody edits the role. That takes a moment, in which what was on its way
/// arrives.
async fn aftermath(life: &Life, mishap: &Mishap) {
    let Mishap::Request(_, blow) = mishap else { return };
    let lost =
        matches!(blow, Blow::KilledAndJournalLost | Blow::KilledAndStateLost | Blow::KilledAndBothLost);
    if lost || *blow == Blow::KilledAndEdited {
        tokio::time::sleep(std::time::Duration::from_mins(1)).await;
    }
    if *blow == Blow::KilledAndEdited {
        life.clouds.world(edit_role);
    }
    if matches!(blow, Blow::KilledAndJournalLost | Blow::KilledAndBothLost) {
        life.disk.lose("journal.jsonl");
    }
    if matches!(blow, Blow::KilledAndStateLost | Blow::KilledAndBothLost) {
        life.disk.lose("state.json");
    }
}

/// One try in so many is deep; in the long form all are.
const DEEP: usize = 3;

/// Whether the long form is asked for.
pub fn is_long() -> bool {
    std::env::var_os("MCM_LONG").is_some()
}

/// Runs tries on two threads, each in a runtime of its own whose clock costs no time.
///
/// Ends early once so many invariants are broken.
pub fn sweep(tries: &[(&Scenario, Mishap)], mutant: Option<Mutant>, tally: &Tally, enough: usize) {
    let next = AtomicUsize::new(0);
    let long = is_long();
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some((scenario, mishap)) = tries.get(index) else { break };
                    if tally.broken.lock().unwrap().len() >= enough {
                        break;
                    }
                    simulated(scenario.attempt(mishap, mutant, long || index.is_multiple_of(DEEP), tally));
                }
            });
        }
    });
}

/// Runs something in a runtime of its own, on a clock that stands still while anything can be done.
pub fn simulated<T>(future: impl Future<Output = T>) -> T {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all().start_paused(true).build().unwrap().block_on(future)
}

/// Traces a scenario.
pub async fn trace(
    name: &'static str,
    start: Life,
    doing: Doing,
    stack: Stack,
    before: Image,
) -> Arc<Scenario> {
    let (after, owned, points, writes) = (Image::new(), Vec::new(), Vec::new(), Vec::new());
    let mut scenario =
        Scenario { name, start: start.freeze(), doing, stack, before, after, owned, points, writes };
    let life = scenario.start.fork();
    life.disk.begin(None);
    let ran = life.run(scenario.job()).await;
    let ended = match doing {
        Doing::Rollback => {
            matches!(ran.end, End::Ran(Some(Outcome::RolledBack { .. } | Outcome::Stuck { .. })))
        }
        Doing::Apply | Doing::Recreate | Doing::Destroy => {
            matches!(ran.end, End::Ran(Some(Outcome::Applied { .. })))
        }
    };
    assert!(ended, "{name}: {:?}", ran.end);
    scenario.points = points_of(&ran);
    scenario.writes = life.disk.trace();
    if doing == Doing::Rollback {
        let ran = life.run(scenario.again()).await;
        assert!(matches!(ran.end, End::Ran(Some(Outcome::Applied { .. }))), "{name}: {:?}", ran.end);
    }
    scenario.after = life.clouds.world(|world| image(world));
    scenario.owned = life.owned(&scenario.stack).await;
    Arc::new(scenario)
}

fn points_of(ran: &Ran) -> Vec<Point> {
    points(&ran.traffic)
}

/// The invariants that broke, with how often and one example each.
pub fn summary(tally: &Tally) -> String {
    let broken = tally.broken.lock().unwrap();
    let mut text = String::new();
    let invariants: BTreeSet<&str> = broken.iter().map(|(_, broken)| broken.invariant).collect();
    for invariant in invariants {
        let all: Vec<_> = broken.iter().filter(|(_, broken)| broken.invariant == invariant).collect();
        let _ = writeln!(text, "{invariant}: broken {} times", all.len());
        for (name, broken) in all.iter().take(12) {
            let what: String = broken.what.chars().take(700).collect();
            let _ = writeln!(text, "  {name}\n    {what}");
        }
    }
    text
}

/// The faults of a wire, none of them.
pub const NO_FAULTS: Vec<Fault> = Vec::new();
