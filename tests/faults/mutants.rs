//! Seeded faults of the engine, one at a time, and a naive engine: the harness must notice every one of them.
//!
//! They sit at the engine's ports, in this file alone: a ledger that writes less than it is told, clouds whose answers
//! are taken for something else, a plan whose order is forgotten, a journal that nobody reads. The engine with such a
//! port behaves as one that makes that mistake itself.

use mcm::model::*;
use mcm::provider::Router;

use super::fidelity::{Fidelity, Sent};

/// A mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    // --- what is written down ---
    IntentsHeldBack,
    OutcomesUnwritten,
    StateUnwritten,
    NoncesForgotten,
    EndedTooSoon,
    NeverEnded,
    BeforeImagesForgotten,
    WrittenImagesForgotten,
    UndoClassesForgotten,
    PivotForgotten,
    OwnershipForgotten,
    DependenciesForgotten,
    UnclearIsUntouched,
    SecretsWritten,
    KeptIsUndone,
    WriteErrorsIgnored,
    NothingSynced,
    ReplacedInPlace,
    // --- what an answer is taken for ---
    UnclearCreateIsDone,
    UnclearUpdateIsDone,
    UnclearDeleteIsDone,
    UnclearCreateIsRefused,
    UnclearUpdateIsRefused,
    UnclearDeleteIsRefused,
    CreateSentBlindly,
    ReadErrorsAreAbsence,
    EveryMarkIsOurs,
    MarksUnwritten,
    ThrottledIsRefused,
    DeadCredentialsAreRefusal,
    DeletedIsAbsent,
    FirstReadsKept,
    FreshnessUnknown,
    DeletesUnsent,
    UpdatesUnsent,
    RefusedDeletesAreDone,
    RefusedUpdatesAreDone,
    // --- what is decided ---
    PivotAtTheEnd,
    PivotAtTheStart,
    OrderForgotten,
    LastStepForgotten,
    StepUnshown,
    // --- what is looked at ---
    JournalUnread,
    StateUnread,
    LeavingUnwatched,
    UnclearNotUndone,
    FailedNotUndone,
    UpdatesNotUndone,
    OnlyLastRunUndone,
    // --- the control ---
    /// State after the reply; no journal, no marks, no undoing, and no answer is a refusal: what most tools do.
    Naive,
}

use Mutant as M;

/// All but the control.
pub const ALL: &[Mutant] = &[
    M::IntentsHeldBack,
    M::OutcomesUnwritten,
    M::StateUnwritten,
    M::NoncesForgotten,
    M::EndedTooSoon,
    M::NeverEnded,
    M::BeforeImagesForgotten,
    M::WrittenImagesForgotten,
    M::UndoClassesForgotten,
    M::PivotForgotten,
    M::OwnershipForgotten,
    M::DependenciesForgotten,
    M::UnclearIsUntouched,
    M::SecretsWritten,
    M::KeptIsUndone,
    M::WriteErrorsIgnored,
    M::NothingSynced,
    M::ReplacedInPlace,
    M::UnclearCreateIsDone,
    M::UnclearUpdateIsDone,
    M::UnclearDeleteIsDone,
    M::UnclearCreateIsRefused,
    M::UnclearUpdateIsRefused,
    M::UnclearDeleteIsRefused,
    M::CreateSentBlindly,
    M::ReadErrorsAreAbsence,
    M::EveryMarkIsOurs,
    M::MarksUnwritten,
    M::ThrottledIsRefused,
    M::DeadCredentialsAreRefusal,
    M::DeletedIsAbsent,
    M::FirstReadsKept,
    M::FreshnessUnknown,
    M::DeletesUnsent,
    M::UpdatesUnsent,
    M::RefusedDeletesAreDone,
    M::RefusedUpdatesAreDone,
    M::PivotAtTheEnd,
    M::PivotAtTheStart,
    M::OrderForgotten,
    M::LastStepForgotten,
    M::StepUnshown,
    M::JournalUnread,
    M::StateUnread,
    M::LeavingUnwatched,
    M::UnclearNotUndone,
    M::FailedNotUndone,
    M::UpdatesNotUndone,
    M::OnlyLastRunUndone,
];

/// A plan, as an engine with this mistake would have made it.
pub fn plan(mutant: Option<Mutant>, plan: &mut Plan) {
    match mutant {
        Some(M::PivotAtTheEnd) => plan.pivot = plan.steps.len(),
        Some(M::PivotAtTheStart) => plan.pivot = 0,
        Some(M::OrderForgotten) => plan.steps.iter_mut().for_each(|step| step.needs.clear()),
        Some(M::LastStepForgotten) => drop(plan.steps.pop()),
        _ => {}
    }
}

/// What an engine with this mistake shows of its plan.
pub fn shown(mutant: Option<Mutant>, plan: &Plan) -> Plan {
    let mut plan = plan.clone();
    if mutant == Some(M::StepUnshown) {
        plan.steps.pop();
    }
    plan
}

/// What was read from the disk, as an engine with this mistake would see it.
pub fn known(mutant: Option<Mutant>, state: &mut State, journal: &mut Journal) {
    match mutant {
        Some(M::JournalUnread | M::Naive) => *journal = Journal::default(),
        Some(M::StateUnread) => state.resources.clear(),
        _ => {}
    }
}

/// A journal, as an engine with this mistake would undo it.
pub fn undoing(mutant: Option<Mutant>, journal: &mut Journal) {
    let last_run = journal.runs.len() > 1;
    let half = journal.deeds.len() / 2;
    for (index, deed) in journal.deeds.iter_mut().enumerate() {
        let skipped = match mutant {
            Some(M::UnclearNotUndone) => deed.progress == Progress::Intended,
            Some(M::FailedNotUndone) => matches!(deed.progress, Progress::Failed | Progress::Undoing),
            Some(M::UpdatesNotUndone) => matches!(deed.intent.op, Op::Update | Op::Adopt),
            Some(M::OnlyLastRunUndone) => !last_run && index < half,
            _ => false,
        };
        if skipped {
            deed.progress = Progress::Undone;
        }
    }
}

/// A ledger that makes the mistakes of [`Mutant`].
pub struct Crooked<L> {
    pub ledger: L,
    pub mutant: Option<Mutant>,
    held: Vec<Entry>,
    first: Option<State>,
}

impl<L> Crooked<L> {
    pub fn new(ledger: L, mutant: Option<Mutant>) -> Self {
        Self { ledger, mutant, held: Vec::new(), first: None }
    }
}

impl<L: Ledger> Ledger for Crooked<L> {
    async fn record(&mut self, entries: &[Entry], state: &State) -> Result<(), LedgerError> {
        let Some(mutant) = self.mutant else { return self.ledger.record(entries, state).await };
        let mut entries: Vec<Entry> = self.held.drain(..).chain(entries.iter().cloned()).collect();
        let mut state = state.clone();
        match mutant {
            M::IntentsHeldBack
                if entries.iter().all(|entry| matches!(entry, Entry::Intent(_) | Entry::Began(_))) =>
            {
                self.held = entries;
                return Ok(());
            }
            M::Naive => {
                // The state knows what was answered, and the step that is on its way is nowhere.
                for entry in &entries {
                    if let Entry::Intent(intent) = entry {
                        state.hold(&intent.address, &intent.owned);
                    }
                }
                entries.clear();
            }
            M::StateUnwritten => {
                let old = self.first.get_or_insert_with(|| state.clone()).clone();
                state = State { serial: state.serial, ..old };
            }
            M::EndedTooSoon if entries.last() != Some(&Entry::Ended) => {
                self.ledger.record(&entries, &state).await?;
                return self.ledger.record(&[Entry::Ended], &state).await;
            }
            _ => {}
        }
        entries = entries.into_iter().filter_map(|entry| written(mutant, entry)).collect();
        if matches!(mutant, M::OwnershipForgotten) {
            let intended = entries.iter().filter_map(|entry| match entry {
                Entry::Intent(intent) => Some(intent.address.clone()),
                _ => None,
            });
            let intended: Vec<Address> = intended.collect();
            state.resources.retain(|address, _| !intended.contains(address));
        }
        let done = self.ledger.record(&entries, &state).await;
        if mutant == M::WriteErrorsIgnored { Ok(()) } else { done }
    }
}

/// An entry as a ledger with this mistake writes it.
fn written(mutant: Mutant, entry: Entry) -> Option<Entry> {
    match (mutant, entry) {
        (M::OutcomesUnwritten, Entry::Done { .. } | Entry::Failed { .. } | Entry::Unclear { .. })
        | (M::NeverEnded, Entry::Ended) => None,
        (M::UnclearIsUntouched, Entry::Unclear { deed, why }) => {
            Some(Entry::Failed { deed, untouched: true, why })
        }
        (M::KeptIsUndone, Entry::Kept { deed, .. }) => Some(Entry::Undone { deed, owns: Holding::default() }),
        (M::WrittenImagesForgotten, Entry::Done { deed, owns, .. }) => {
            Some(Entry::Done { deed, wrote: None, owns })
        }
        (M::EndedTooSoon, Entry::Ended) => Some(Entry::Ended),
        (mutant, Entry::Intent(intent)) => Some(Entry::Intent(Box::new(intended(mutant, *intent)))),
        (_, entry) => Some(entry),
    }
}

fn intended(mutant: Mutant, mut intent: Intent) -> Intent {
    match mutant {
        M::NoncesForgotten => intent.nonce = Nonce("0".repeat(24)),
        M::BeforeImagesForgotten => intent.before = None,
        M::UndoClassesForgotten => intent.undo = Undo::Exact,
        M::PivotForgotten => intent.past_pivot = false,
        M::OwnershipForgotten => intent.owns = Holding::default(),
        M::DependenciesForgotten => {
            let owns = [&mut intent.owns.current, &mut intent.owns.former];
            owns.into_iter().flatten().for_each(|owned| owned.dependencies.clear());
        }
        M::SecretsWritten => intent.shall = in_clear(&intent.shall),
        _ => {}
    }
    intent
}

/// Properties with their secrets in clear.
fn in_clear(map: &Map) -> Map {
    let show = |value: &Value| match value {
        Value::Secret(secret) => Value::text(secret.expose()),
        Value::Map(inner) => Value::Map(in_clear(inner)),
        other => other.clone(),
    };
    map.iter().map(|(name, value)| (name.clone(), show(value))).collect()
}

/// Clouds whose answers are taken for what they are not.
pub struct Misread {
    pub clouds: Router,
    pub mutant: Option<Mutant>,
    /// What the run may change.
    pub fidelity: Fidelity,
    seen: std::sync::Mutex<std::collections::BTreeMap<CloudId, Option<Live>>>,
}

impl Misread {
    pub fn new(clouds: Router, mutant: Option<Mutant>) -> Self {
        Self { clouds, mutant, fidelity: Fidelity::default(), seen: std::sync::Mutex::default() }
    }

    fn is(&self, mutant: Mutant) -> bool {
        self.mutant == Some(mutant)
    }

    /// A failure as it is taken.
    fn taken(&self, mut error: CloudError) -> CloudError {
        error.kind = match (self.mutant, error.kind) {
            (Some(M::ThrottledIsRefused), ErrorKind::Throttled)
            | (Some(M::DeadCredentialsAreRefusal), ErrorKind::Credentials)
            | (Some(M::FreshnessUnknown), ErrorKind::Settling { .. }) => ErrorKind::Invalid,
            (_, kind) => kind,
        };
        error
    }

    async fn look(&self, ty: &ResourceType, id: &CloudId) -> Option<Live> {
        self.clouds.read(Read { ty, id, desired: None, secrets: false }).await.ok().flatten()
    }
}

impl Provider for Misread {
    async fn read(&self, request: Read<'_>) -> Result<Option<Live>, CloudError> {
        if self.is(M::FirstReadsKept)
            && let Some(seen) = self.seen.lock().unwrap().get(request.id)
        {
            return Ok(seen.clone());
        }
        let answer = self.clouds.read(request).await.map_err(|error| self.taken(error));
        let mut answer = if self.is(M::ReadErrorsAreAbsence) { Ok(answer.unwrap_or(None)) } else { answer };
        if self.is(M::DeletedIsAbsent) {
            answer = answer.map(|live| live.filter(|live| live.condition == Condition::Ready));
        }
        if (self.is(M::EveryMarkIsOurs) || self.is(M::Naive))
            && let Ok(Some(live)) = &mut answer
        {
            live.owner = None;
        }
        if let Ok(seen) = &answer {
            self.seen.lock().unwrap().insert(request.id.clone(), seen.clone());
        }
        answer
    }

    async fn create(&self, request: Create<'_>) -> Result<Live, CloudError> {
        self.fidelity.note(Sent::Create, request.ty, request.id);
        let mut owner = request.owner.clone();
        if self.is(M::MarksUnwritten) {
            owner.nonce = Nonce("f".repeat(24));
        }
        let request = Create { owner: &owner, ..request };
        let answer = self.clouds.create(request).await;
        match answer {
            Err(error) if error.kind == ErrorKind::Unknown => match self.mutant {
                Some(M::UnclearCreateIsDone) => {
                    Ok(self.look(request.ty, request.id).await.unwrap_or_else(|| Live {
                        id: request.id.clone(),
                        properties: request.properties.clone(),
                        attributes: Map::new(),
                        etag: None,
                        owner: Some(owner.clone()),
                        condition: Condition::Ready,
                    }))
                }
                Some(M::UnclearCreateIsRefused | M::Naive) => {
                    Err(CloudError { kind: ErrorKind::Invalid, ..error })
                }
                Some(M::CreateSentBlindly) => self
                    .clouds
                    .create(request)
                    .await
                    .map_err(|error| CloudError { kind: ErrorKind::Invalid, ..error }),
                _ => Err(error),
            },
            answer => answer.map_err(|error| self.taken(error)),
        }
    }

    async fn update(&self, request: Update<'_>) -> Result<Live, CloudError> {
        self.fidelity.note(Sent::Update, request.ty, request.id);
        let done = |live: &Live| Live { properties: request.properties.clone(), ..live.clone() };
        if self.is(M::UpdatesUnsent) {
            return Ok(done(request.before));
        }
        match self.clouds.update(request).await {
            Err(error) if error.kind == ErrorKind::Unknown => match self.mutant {
                Some(M::UnclearUpdateIsDone) => Ok(done(request.before)),
                Some(M::UnclearUpdateIsRefused | M::Naive) => {
                    Err(CloudError { kind: ErrorKind::Invalid, ..error })
                }
                _ => Err(error),
            },
            Err(error) if error.kind == ErrorKind::Denied && self.is(M::RefusedUpdatesAreDone) => {
                Ok(done(request.before))
            }
            answer => answer.map_err(|error| self.taken(error)),
        }
    }

    async fn delete(&self, request: Delete<'_>) -> Result<(), CloudError> {
        self.fidelity.note(Sent::Delete, request.ty, request.id);
        if self.is(M::DeletesUnsent) {
            return Ok(());
        }
        match self.clouds.delete(request).await {
            Err(error) if error.kind == ErrorKind::Unknown => match self.mutant {
                Some(M::UnclearDeleteIsDone) => Ok(()),
                Some(M::UnclearDeleteIsRefused | M::Naive) => {
                    Err(CloudError { kind: ErrorKind::Invalid, ..error })
                }
                _ => Err(error),
            },
            Err(error) if error.kind == ErrorKind::Denied && self.is(M::RefusedDeletesAreDone) => Ok(()),
            answer => answer.map_err(|error| self.taken(error)),
        }
    }

    async fn restore(&self, request: Restore<'_>) -> Result<Live, CloudError> {
        self.fidelity.note(Sent::Restore, request.ty, request.id);
        self.clouds.restore(request).await.map_err(|error| self.taken(error))
    }
}
