//! What a run writes down: the journal, the state that follows from it, and the ledger that makes both durable.

use crate::model::{Address, Catalogue, Entry, Journal, Ledger, LedgerError, Map, Owner, Schema, State};

/// The books of a stack, open for one run. Whoever holds them holds the stack's lock.
#[derive(Debug)]
pub struct Books<'a, L> {
    /// What the stack owns.
    pub(super) state: &'a mut State,
    /// What is not over yet: this run, and those that it continues.
    pub(super) journal: &'a mut Journal,
    ledger: &'a mut L,
    /// Written, and not durable yet.
    pending: Vec<Entry>,
    /// Whether the state changed in what no entry says.
    touched: bool,
}

impl<'a, L: Ledger> Books<'a, L> {
    /// Opens them.
    pub fn new(state: &'a mut State, journal: &'a mut Journal, ledger: &'a mut L) -> Self {
        Self { state, journal, ledger, pending: Vec::new(), touched: false }
    }

    /// Writes an entry; what it says of ownership holds from now on. Durable after [`Books::settle`].
    pub(super) fn write(&mut self, entry: Entry) {
        if let Err(misplaced) = self.journal.take(&entry) {
            unreachable!("the engine wrote what cannot be: {misplaced}");
        }
        self.state.follow(&entry, self.journal);
        self.pending.push(entry);
    }

    /// Says that the state was changed beside the journal.
    pub(super) fn touch(&mut self) {
        self.touched = true;
    }

    /// Makes everything written since the last time durable, in one go. Nothing that an intent speaks of may be sent
    /// before.
    pub(super) async fn settle(&mut self) -> Result<(), LedgerError> {
        if self.pending.is_empty() && !self.touched {
            return Ok(());
        }
        self.state.serial += 1;
        self.ledger.record(&self.pending, self.state).await?;
        self.pending.clear();
        self.touched = false;
        Ok(())
    }

    /// Does something for as long as the books may be kept: it is dropped in the midst when they may not any more.
    pub(super) async fn amid<T>(&self, work: impl Future<Output = T>) -> Result<T, LedgerError> {
        tokio::select! {
            biased;
            lost = self.ledger.lost() => Err(lost),
            done = work => Ok(done),
        }
    }

    /// Ends the run, if nothing is left to resume or to undo.
    pub(super) async fn end(&mut self) -> Result<(), LedgerError> {
        if self.journal.is_open() {
            self.write(Entry::Ended);
        }
        self.settle().await
    }
}

/// The schema of a recorded type.
pub(super) fn schema_of(catalogue: &Catalogue, ty: &crate::model::ResourceType) -> &'static Schema {
    catalogue.get(ty).unwrap_or(&NOTHING)
}

/// The mark that a recorded step leaves.
pub(super) fn owner(stack: &str, address: &Address, nonce: &crate::model::Nonce) -> Owner {
    Owner { stack: stack.to_owned(), address: address.clone(), nonce: nonce.clone() }
}

/// For a type that this build does not know: nothing can be compared, and the provider will say so.
static NOTHING: Schema = Schema {
    ty: "",
    doc: "",
    properties: &[],
    attributes: &[],
    name: None,
    identify: |_, _| None,
    predict: |_, _| Map::new(),
    check: |_, _| Vec::new(),
    marked: false,
    shared: false,
    compares: false,
    deletion: crate::model::Deletion::Recreatable { loses: "" },
};
