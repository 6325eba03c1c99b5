//! What must hold after a try, and what is known to be excepted.

use std::fmt::Write as _;

use mcm::model::{ErrorKind, Kept, Outcome};

use super::blows::{Blow, RETRY_AFTER_S, STRANGER};
use super::disk::Damage;
use super::image::{Image, difference, irreplaceable};
use super::life::{CANARY, End, Life, Ran};
use super::sweep::{Doing, Mishap, Scenario};

/// What went wrong beyond what was made to: a broken invariant.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Broken {
    pub invariant: &'static str,
    pub what: String,
}

/// How a run ended, in a word.
pub fn kind(end: &End) -> String {
    match end {
        End::Ran(Some(Outcome::Applied { .. })) => "applied".to_owned(),
        End::Ran(Some(Outcome::RolledBack { .. })) => "rolled back".to_owned(),
        End::Ran(Some(Outcome::Stuck { .. })) => "stuck".to_owned(),
        End::Ran(Some(Outcome::Interrupted { .. })) => "interrupted".to_owned(),
        End::Ran(None) => "nothing to do".to_owned(),
        End::Refused(_) => "refused".to_owned(),
        End::Unrecorded(_) => "unrecorded".to_owned(),
        End::Unplanned(_) => "unplanned".to_owned(),
        End::Killed => "killed".to_owned(),
        End::Hung => "hung".to_owned(),
    }
}

/// Gathers what is broken in one try.
pub struct Check<'a> {
    pub broken: Vec<Broken>,
    pub mishap: &'a Mishap,
    /// What the runs said.
    pub told: String,
}

impl Check<'_> {
    pub fn fail(&mut self, invariant: &'static str, what: String) {
        self.broken.push(Broken { invariant, what });
    }

    /// Keeps what a run said, to look for secrets in it.
    pub fn watch(&mut self, when: &str, ran: &Ran) {
        let _ = writeln!(self.told, "{when}: {:?}\n{}", ran.end, ran.told);
        if let End::Unplanned(beyond) = &ran.end {
            self.fail("fidelity", format!("{when}: {}", beyond.join(", ")));
        }
        if matches!(ran.end, End::Hung) {
            self.fail("bounded", format!("{when}: the run hangs"));
        }
    }

    /// Two images are the same, but for what this mishap itself changed.
    pub fn same(&mut self, invariant: &'static str, expected: &Image, found: &Image, when: &str) {
        let told = self.differences(invariant, expected, found, when);
        if !told.is_empty() {
            self.fail(invariant, format!("{when}: {}", told.join("; ")));
        }
    }

    /// Where nothing is to be undone, nothing was done, or all of it and that was over. Without a record nobody knows.
    pub fn nothing_begun(&mut self, before: &Image, after: &Image, found: &Image) {
        let lost = [Blow::KilledAndJournalLost, Blow::KilledAndBothLost];
        if matches!(self.mishap, Mishap::Request(_, blow) if lost.contains(blow)) {
            return;
        }
        let begun = self.differences("reverse", before, found, "nothing to undo");
        let ended = self.differences("reverse", after, found, "nothing to undo");
        if !begun.is_empty() && !ended.is_empty() {
            self.fail("reverse", format!("nothing is to be undone, and this is there: {}", begun.join("; ")));
        }
    }

    /// What passes by itself, or by asking again, fails no run.
    pub fn passes(&mut self, ran: &Ran, scenario: &Scenario) {
        let Mishap::Request(at, blow) = self.mishap else { return };
        let done = match (&ran.end, scenario.doing) {
            (End::Ran(Some(Outcome::Applied { .. })), _) => true,
            (End::Ran(Some(Outcome::RolledBack { .. } | Outcome::Stuck { .. })), doing) => {
                doing == Doing::Rollback
            }
            _ => false,
        };
        if blow.passes(&scenario.points[*at]) && !done {
            self.fail("passing", format!("the run ended with {:?}", ran.end));
        }
    }

    /// What is over is not undone; and once something is gone for good, nothing is.
    pub fn only_forward(&mut self, scenario: &Scenario, disturbed: &End, left: &Image, rollback: &End) {
        // Nobody knows what a disk lied about.
        if matches!(self.mishap, Mishap::Disk(_, Damage::Lied)) {
            return;
        }
        let applied = matches!(disturbed, End::Ran(Some(Outcome::Applied { .. })));
        if applied && !matches!(rollback, End::Ran(None)) {
            self.fail("over", format!("the run was over, and `rollback` ended with {rollback:?}"));
        }
        let gone = |key: &&String| {
            let deleted = ["aws.iam.role ", "aws.s3.bucket ", "gcp.service_account "];
            deleted.iter().any(|table| key.starts_with(table))
                && !left.contains_key(*key)
                && !scenario.after.contains_key(*key)
        };
        let forward = match rollback {
            End::Refused(why) => why == "past the pivot",
            End::Ran(None) => true,
            _ => false,
        };
        if let Some(gone) = scenario.before.keys().find(gone)
            && !forward
        {
            self.fail("pivot", format!("{gone} was gone for good, and `rollback` ended with {rollback:?}"));
        }
    }

    /// A run that has nothing to delete goes back when it fails, and leaves nothing in place as if there were no way.
    pub fn goes_back(&mut self, ran: &Ran, scenario: &Scenario) {
        let End::Ran(Some(Outcome::Stuck { kept, .. })) = &ran.end else { return };
        let goes = scenario.before.keys().any(|key| !scenario.after.contains_key(key));
        if goes || scenario.doing != Doing::Apply || !scenario.begins_afresh() {
            return;
        }
        if let Some(kept) = kept.iter().find(|kept| kept.why.starts_with("deletions have begun")) {
            self.fail(
                "pivot",
                format!("nothing is to be deleted, and {} was left: {}", kept.address, kept.why),
            );
        }
    }

    /// Who says that everything is as it was has not put an empty thing in the place of a full one.
    pub fn nothing_lost(&mut self, scenario: &Scenario, life: &Life) {
        let before = scenario.start.clouds.world(|world| irreplaceable(world));
        let found = life.clouds.world(|world| irreplaceable(world));
        if let Some((name, _)) = before.iter().find(|(name, id)| found.get(*name) != Some(id)) {
            self.fail("data", format!("{name} is another one now, and nothing is said of it"));
        }
    }

    /// Nothing is kept for want of an answer that the run had heard, and had written down before it went on; nor because
    /// of somebody's change where nobody changed anything.
    pub fn for_cause(&mut self, kept: &[Kept], disturbed: &Ran) {
        // A disk that lied has forgotten what it was told.
        if matches!(self.mishap, Mishap::Disk(_, Damage::Lied)) {
            return;
        }
        let edited = match self.mishap {
            Mishap::Request(_, blow) => {
                matches!(
                    blow,
                    Blow::PolicyEdited | Blow::RoleEdited | Blow::KilledAndEdited | Blow::NameTaken
                )
            }
            Mishap::Disk(..) => false,
        };
        for kept in kept.iter().filter(|kept| kept.why.starts_with("somebody") && !edited) {
            self.fail("cause", format!("nobody changed {}, and it was kept: {}", kept.address, kept.why));
        }
        for kept in kept.iter().filter(|kept| kept.why.starts_with("no answer said")) {
            let (address, op) = (format!("{:?}", kept.address), format!("op: {:?},", kept.op));
            let done =
                |line: &&str| line.starts_with("Finished") && line.contains(&address) && line.contains(&op);
            let mut after = disturbed.told.lines().skip_while(|line| !done(line));
            if after.any(|line| line.starts_with("Started")) {
                self.fail("cause", format!("{} was made, and kept: {}", kept.address, kept.why));
            }
        }
    }

    /// In what two images differ, but for what this mishap itself changed.
    fn differences(
        &mut self,
        invariant: &'static str,
        expected: &Image,
        found: &Image,
        when: &str,
    ) -> Vec<String> {
        // What a disk lied about is not there to be undone: from there a stack only goes forward.
        if invariant == "reverse" && matches!(self.mishap, Mishap::Disk(_, Damage::Lied)) {
            return Vec::new();
        }
        let mut found = found.clone();
        match self.mishap {
            Mishap::Request(_, Blow::PolicyEdited) => {
                if !forget_stranger(&mut found) {
                    self.fail("foreign", format!("{when}: somebody else's grant is gone"));
                }
            }
            Mishap::Request(_, Blow::RoleEdited | Blow::KilledAndEdited)
                if invariant == "truth" || invariant == "reverse" =>
            {
                forget_description(&mut found, expected);
            }
            Mishap::Request(..) | Mishap::Disk(..) => {}
        }
        let mut expected = expected.clone();
        forget_stranger(&mut expected);
        forget_stranger(&mut found);
        if self.forgets() {
            forget_grant(&mut found, &expected);
        }
        let mut told = difference(&expected, &found);
        if self.forgets() {
            told.retain(|line| !line.strip_prefix("too much: ").is_some_and(unmarked));
        }
        told
    }

    /// At most three sends of one change, and none before the cloud wants it.
    pub fn bounded(&mut self, ran: &Ran, scenario: &Scenario, mishap: &Mishap) {
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
        let Some(refused) = refused else { return };
        // What was under way before the refusal was heard is another reader's own: it heeds its own answer.
        let next = sends.find(|sent| sent.start_ms >= refused.end_ms);
        if next.is_some_and(|next| next.start_ms < refused.end_ms + f64::from(RETRY_AFTER_S) * 1000.0) {
            self.fail("bounded", format!("{} was sent again before it was wanted", point.target));
        }
    }

    /// Whether the state was lost.
    pub fn forgets(&self) -> bool {
        matches!(
            self.mishap,
            Mishap::Request(_, Blow::KilledAndStateLost | Blow::KilledAndBothLost)
                | Mishap::Disk(_, Damage::Lied)
        )
    }

    /// Without state, what bears no mark cannot be told from somebody else's: it may be refused, and never touched.
    pub fn may_refuse(&self, end: &End) -> bool {
        let refused = match end {
            End::Refused(why) if matches!(self.mishap, Mishap::Disk(_, Damage::Lied)) => {
                // The disk still says that something is ours, and its API is off already: it cannot be looked at.
                why.contains("does not own") || why.contains("or it is disabled")
            }
            End::Refused(why) => why.contains("does not own"),
            End::Ran(Some(Outcome::RolledBack { failures, .. } | Outcome::Stuck { failures, .. })) => {
                failures.iter().all(|failure| failure.error.kind == ErrorKind::AlreadyExists)
            }
            _ => false,
        };
        self.forgets() && refused
    }

    /// No secret in what was written or said.
    pub fn secrets(&mut self, life: &Life) {
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

/// Our grant on the project bears no mark: without state it stays.
fn forget_grant(found: &mut Image, expected: &Image) {
    let key = "gcp.policy project/lab-project";
    let kept = expected.get(key).map(|policy| policy["bindings"].to_string()).unwrap_or_default();
    if let Some(bindings) = found.get_mut(key).and_then(|policy| policy["bindings"].as_array_mut()) {
        let ours = |binding: &serde_json::Value| binding["members"].to_string().contains(WRITER);
        bindings.retain(|binding| !ours(binding) || kept.contains(&binding.to_string()));
    }
}

/// Who is granted something on the project by the stack.
const WRITER: &str = "serviceAccount:writer-first@";

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

/// Whether nothing of this kind bears a mark: services, databases, grants.
pub fn unmarked(id: &str) -> bool {
    ["services/", "databases/", "gcp.service ", "gcp.database ", "roles/"]
        .iter()
        .any(|kind| id.contains(kind))
}
