//! The sweep: scenarios, the tries of each, and what must hold after every one of them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use mcm::model::{Outcome, Stack};
use mcm::sandbox::{Fault, Traffic};

use super::blows::{Blow, Point, RETRY_AFTER_S, STRANGER, changes, points};
use super::disk::Damage;
use super::image::{Image, difference, image};
use super::life::{CANARY, End, Job, Life, Ran, Signal};

/// What a scenario's process does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doing {
    Apply,
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

/// What went wrong beyond what was made to: a broken invariant.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Broken {
    pub invariant: &'static str,
    pub what: String,
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

const DAMAGES: &[Damage] = &[
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
            Doing::Destroy => Job::Destroy(&self.stack),
            Doing::Rollback => Job::Rollback(&self.stack),
        }
    }

    /// What a person does who only wants it done.
    fn again(&self) -> Job<'_> {
        match self.doing {
            Doing::Apply | Doing::Rollback => Job::Apply(&self.stack),
            Doing::Destroy => Job::Destroy(&self.stack),
        }
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
    pub async fn attempt(&self, mishap: &Mishap, tally: &Tally) {
        tally.tries.fetch_add(1, Ordering::Relaxed);
        let life = self.start.fork();
        let mut check = Check { broken: Vec::new(), mishap, told: String::new() };
        let ran = self.disturb(&life, mishap, tally).await;
        check.watch("disturbed", &ran);
        check.bounded(&ran, self, mishap);
        *tally.ends.lock().unwrap().entry(kind(&ran.end)).or_default() += 1;
        self.truth(&life, &ran, &mut check);
        life.clouds.wire().set_faults(Vec::new());
        if life.disk.power_failure() {
            // A machine takes its time to come back: what was on its way has arrived by then.
            tokio::time::sleep(std::time::Duration::from_mins(1)).await;
        }
        life.disk.begin(None);
        lose_files(&life, mishap);
        if self.doing != Doing::Destroy {
            self.reverse(&life, &mut check, tally).await;
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
    }

    async fn disturb(&self, life: &Life, mishap: &Mishap, tally: &Tally) -> Ran {
        let missed = || tally.missed.lock().unwrap().push(self.describe(mishap));
        match mishap {
            Mishap::Request(at, blow) => {
                let (fault, signal) = blow.at(&self.points[*at]);
                life.clouds.wire().set_faults(vec![fault]);
                life.disk.begin(None);
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
            (End::Ran(Some(Outcome::Applied { .. })), Doing::Apply | Doing::Destroy) => &self.after,
            (End::Ran(Some(Outcome::RolledBack { .. })), _) => &self.before,
            (End::Hung, _) => {
                check.fail("bounded", "the run hangs".to_owned());
                return;
            }
            _ => return,
        };
        check.same("truth", expected, &found, &format!("{:?}", ran.end));
    }

    /// `mcm rollback`, and once more: the clouds are as they were before, but for what is said.
    async fn reverse(&self, life: &Life, check: &mut Check<'_>, tally: &Tally) {
        let life = life.fork();
        let ran = life.run(Job::Rollback(&self.stack)).await;
        check.watch("rollback", &ran);
        match &ran.end {
            End::Ran(Some(Outcome::RolledBack { .. })) => {
                let found = life.clouds.world(|world| image(world));
                check.same("reverse", &self.before, &found, "rolled back");
            }
            End::Ran(Some(Outcome::Stuck { kept, .. })) => {
                let mut all = tally.kept.lock().unwrap();
                for kept in kept {
                    *all.entry(format!("{} {:?}: {}", kept.address, kept.op, kept.why)).or_default() += 1;
                }
            }
            End::Ran(None) => {}
            End::Refused(why) if why == "past the pivot" => {}
            End::Ran(_) | End::Refused(_) | End::Unrecorded(_) | End::Killed | End::Hung => {
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
        self.converge(&life, check).await;
    }

    /// One plain run converges; one more has nothing to do.
    async fn converge(&self, life: &Life, check: &mut Check<'_>) {
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

/// Whether nothing of this kind bears a mark: services, databases, grants.
fn unmarked(id: &str) -> bool {
    ["services/", "databases/", "gcp.service ", "gcp.database ", "roles/"].iter().any(|kind| id.contains(kind))
}

/// A person loses files after a crash.
fn lose_files(life: &Life, mishap: &Mishap) {
    let Mishap::Request(_, blow) = mishap else { return };
    if matches!(blow, Blow::KilledAndJournalLost | Blow::KilledAndBothLost) {
        life.disk.lose("journal.jsonl");
    }
    if matches!(blow, Blow::KilledAndStateLost | Blow::KilledAndBothLost) {
        life.disk.lose("state.json");
    }
}

/// How a run ended, in a word.
fn kind(end: &End) -> String {
    match end {
        End::Ran(Some(Outcome::Applied { .. })) => "applied".to_owned(),
        End::Ran(Some(Outcome::RolledBack { .. })) => "rolled back".to_owned(),
        End::Ran(Some(Outcome::Stuck { .. })) => "stuck".to_owned(),
        End::Ran(Some(Outcome::Interrupted { .. })) => "interrupted".to_owned(),
        End::Ran(None) => "nothing to do".to_owned(),
        End::Refused(_) => "refused".to_owned(),
        End::Unrecorded(_) => "unrecorded".to_owned(),
        End::Killed => "killed".to_owned(),
        End::Hung => "hung".to_owned(),
    }
}

/// Gathers what is broken in one try.
struct Check<'a> {
    broken: Vec<Broken>,
    mishap: &'a Mishap,
    told: String,
}

impl Check<'_> {
    fn fail(&mut self, invariant: &'static str, what: String) {
        self.broken.push(Broken { invariant, what });
    }

    /// Keeps what a run said, to look for secrets in it.
    fn watch(&mut self, when: &str, ran: &Ran) {
        self.told.push_str(&format!("{when}: {:?}\n{}", ran.end, ran.told));
        if matches!(ran.end, End::Hung) {
            self.fail("bounded", format!("{when}: the run hangs"));
        }
    }

    /// Whether two images are the same, but for what this mishap itself changed.
    fn same(&mut self, invariant: &'static str, expected: &Image, found: &Image, when: &str) {
        let mut found = found.clone();
        match self.mishap {
            Mishap::Request(_, Blow::PolicyEdited) => {
                if !forget_stranger(&mut found) {
                    self.fail("foreign", format!("{when}: somebody else's grant is gone"));
                }
            }
            Mishap::Request(_, Blow::RoleEdited) if invariant == "truth" || invariant == "reverse" => {
                for image in [&mut found] {
                    forget_description(image, expected);
                }
            }
            Mishap::Request(..) | Mishap::Disk(..) => {}
        }
        let mut expected = expected.clone();
        forget_stranger(&mut expected);
        forget_stranger(&mut found);
        let mut told = difference(&expected, &found);
        if self.forgets() {
            told.retain(|line| !line.strip_prefix("too much: ").is_some_and(unmarked));
        }
        if !told.is_empty() {
            self.fail(invariant, format!("{when}: {}", told.join("; ")));
        }
    }

    /// At most three sends of one change, and none before the cloud wants it.
    fn bounded(&mut self, ran: &Ran, scenario: &Scenario, mishap: &Mishap) {
        let Mishap::Request(at, blow) = mishap else { return };
        let point = &scenario.points[*at];
        let mut sends =
            ran.traffic.iter().filter(|sent| sent.cloud == point.cloud && sent.target == point.target);
        if *blow == Blow::ThrottledForEver && point.changes() {
            let refused =
                sends.clone().filter(|sent| sent.status == 429 || sent.status == 503 || sent.status == 400);
            if refused.count() > 3 {
                self.fail("bounded", format!("{} was sent more than three times", point.target));
            }
        }
        let refused = sends.find(|sent| sent.status == 429).cloned();
        if let (Some(refused), Some(next)) = (refused, sends.next())
            && next.start_ms < refused.end_ms + f64::from(RETRY_AFTER_S) * 1000.0
        {
            self.fail("bounded", format!("{} was sent again before it was wanted", point.target));
        }
    }

    /// Whether the state was lost.
    fn forgets(&self) -> bool {
        matches!(
            self.mishap,
            Mishap::Request(_, Blow::KilledAndStateLost | Blow::KilledAndBothLost)
                | Mishap::Disk(_, Damage::Lied)
        )
    }

    /// Without state, what bears no mark cannot be told from somebody else's: it may be refused, and never touched.
    fn may_refuse(&self, end: &End) -> bool {
        self.forgets() && matches!(end, End::Refused(why) if why.contains("does not own"))
    }

    /// No secret in what was written or said.
    fn secrets(&mut self, life: &Life) {
        let bytes = life.disk.bytes();
        let mut text = String::from_utf8_lossy(&bytes).into_owned();
        text.push_str(&self.told);
        for form in disguises() {
            if text.contains(&form) {
                self.fail("secrets", format!("`{form}` was written or said"));
            }
        }
    }
}

/// The canary as it is, and as it could be written.
fn disguises() -> Vec<String> {
    use base64::Engine as _;
    let json = serde_json::to_string(CANARY).unwrap();
    let url = percent_encoding::utf8_percent_encode(CANARY, percent_encoding::NON_ALPHANUMERIC).to_string();
    vec![
        CANARY.to_owned(),
        json.trim_matches('"').to_owned(),
        base64::engine::general_purpose::STANDARD.encode(CANARY),
        hex::encode(CANARY),
        url,
    ]
}

/// Takes the stranger's grant out; `false` if there is none.
fn forget_stranger(image: &mut Image) -> bool {
    let Some(bindings) =
        image.get_mut("gcp.policy project/lab-project").and_then(|policy| policy["bindings"].as_array_mut())
    else {
        return false;
    };
    let before = bindings.len();
    bindings.retain(|binding| binding["members"] != serde_json::json!([STRANGER]));
    before > bindings.len()
}

/// Somebody described the role differently in the midst of the run: it stays so, or it is put right.
fn forget_description(image: &mut Image, expected: &Image) {
    let key = "aws.iam.role 123456789012/auditor";
    match (image.get_mut(key), expected.get(key)) {
        (Some(found), Some(expected)) => found["description"] = expected["description"].clone(),
        // Edited meanwhile, so it is kept, and said so.
        (Some(_), None) => drop(image.remove(key)),
        (None, _) => {}
    }
}

/// Runs all tries of a scenario on two threads, each in a runtime of its own whose clock costs no time.
pub fn sweep(scenario: &Arc<Scenario>, mishaps: &[Mishap], tally: &Tally) {
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(mishap) = mishaps.get(next.fetch_add(1, Ordering::Relaxed)) {
                    simulated(scenario.attempt(mishap, tally));
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
        Doing::Apply | Doing::Destroy => matches!(ran.end, End::Ran(Some(Outcome::Applied { .. }))),
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
        text.push_str(&format!("{invariant}: broken {} times\n", all.len()));
        for (name, broken) in all.iter().take(12) {
            let what: String = broken.what.chars().take(700).collect();
            text.push_str(&format!("  {name}\n    {what}\n"));
        }
    }
    text
}

/// The faults of a wire, none of them.
pub const NO_FAULTS: Vec<Fault> = Vec::new();
