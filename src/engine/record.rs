//! The bookkeeping of a run: what is known, what is intended, what became of it.

use std::collections::{BTreeMap, BTreeSet};

use super::books::{Books, schema_of};
use super::decide::{is_protected, standing_mark};
use super::diff::normalise;
use super::resolve::{View, by_address, dependency_order, secrets_wanted};
use super::secrecy::{places, union, withhold};
use super::step::Task;
use crate::model::{
    Action, Address, Catalogue, Change, CloudError, CloudId, Digest, Entry, ErrorKind, Holding, Image,
    Intent, Inventory, Ledger, Live, Map, Nonce, OnDelete, Op, Owned, Owner, Phase, Plan, Resource, Run,
    Schema, Stack, Standing, Step, Value,
};

/// What one run knows, and the books it keeps.
pub(super) struct Record<'a, 'b, L> {
    plan: &'a Plan,
    stack: &'a Stack,
    inventory: &'a Inventory,
    catalogue: &'a Catalogue,
    resources: BTreeMap<&'a Address, &'a Resource>,
    secrets: BTreeSet<Address>,
    view: View<'a>,
    pub(super) books: &'a mut Books<'b, L>,
}

impl<'a, 'b, L: Ledger> Record<'a, 'b, L> {
    pub(super) fn new(
        plan: &'a Plan,
        stack: &'a Stack,
        inventory: &'a Inventory,
        catalogue: &'a Catalogue,
        books: &'a mut Books<'b, L>,
    ) -> Self {
        let resources = by_address(stack);
        let mut view = View::private();
        let actions: BTreeMap<&Address, Action> =
            plan.changes.iter().map(|change| (&change.address, change.action)).collect();
        for address in dependency_order(stack) {
            // What a `--target` leaves out stays as it is, too.
            let stays = !matches!(actions.get(address), Some(Action::Create | Action::Replace));
            if let (Some(resource), true) = (resources.get(address), stays) {
                view.desire(address, view.resolve(&resource.properties), Map::new());
                if let Some(live) = inventory.at(address) {
                    view.hold(address, live);
                }
            }
        }
        let secrets = secrets_wanted(stack);
        Self { plan, stack, inventory, catalogue, resources, secrets, view, books }
    }

    /// Writes down what the stack says about protecting and retaining what it owns, and that a run begins.
    pub(super) fn open(&mut self, began: jiff::Timestamp) {
        let no_op = self.plan.changes.iter().filter(|change| change.action == Action::NoOp);
        let unchanged: BTreeSet<&Address> = no_op.map(|change| &change.address).collect();
        for resource in &self.stack.resources {
            let Some(owned) = self.books.state.resources.get_mut(&resource.address) else { continue };
            let protect = is_protected(Some(resource.lifecycle), Some(owned));
            let retain = resource.lifecycle.on_delete == OnDelete::Retain;
            let desired = normalise(resource.schema, &self.view.resolve(&resource.properties));
            // What is not known yet may be a secret: until it is, what the state says stands.
            let known = desired.values().all(Value::is_known);
            let is_unchanged = unchanged.contains(&resource.address);
            // What is not sensitive any more is forgotten when its new value is live, not before.
            let sensitive = match known {
                true if is_unchanged => places(&desired),
                true => union(&owned.sensitive, &places(&desired)),
                false => owned.sensitive.clone(),
            };
            let mut now = Owned { protect, retain, sensitive, ..owned.clone() };
            // What is live and as it shall be is there, whatever an interrupted run or a refused deletion has written.
            let live = self.inventory.at(&resource.address).filter(|live| is_unchanged && live.id == now.id);
            if let Some(live) = live {
                now.standing = Standing::Ready;
                now.incarnation = resource.schema.incarnation(live).or(now.incarnation);
            }
            if *owned != now {
                *owned = now;
                self.books.touch();
            }
        }
        if !self.plan.steps.is_empty() {
            self.books.write(Entry::Began(Run {
                id: new_nonce().0,
                mode: self.plan.mode,
                began,
                plan: self.plan.digest(),
                clouds: self.stack.clouds.clone(),
            }));
        }
    }

    /// Makes a step's task, and writes its intent down. It may be sent once the books are settled.
    pub(super) fn begin(&mut self, step: &Step) -> Result<Task, CloudError> {
        let change = &self.plan.changes[step.change];
        let task = match step.op {
            Op::Create | Op::Update | Op::Restore | Op::Adopt => self.making(step, change)?,
            Op::Delete | Op::DeleteFormer | Op::DeleteFirst | Op::Forget => self.deleting(step, change),
        };
        if let Some(other) = self.owned_elsewhere(&task) {
            return Err(refused(change, format!("`{}` belongs to {other} by now", task.id)));
        }
        let owned = self.books.state.holding(&task.address);
        // What the stack calls sensitive is so in what is deleted, too.
        let desired = self.resources.get(&task.address).map(|resource| &resource.properties);
        let desired = if task.properties.is_empty() { desired } else { Some(&task.properties) };
        let intent = Intent {
            deed: task.deed,
            address: task.address.clone(),
            ty: task.ty.clone(),
            id: task.id.clone(),
            op: task.op,
            past_pivot: step.id.0 >= self.plan.pivot,
            nonce: task.owner.nonce.clone(),
            undo: step.undo.clone(),
            before: task.before.as_ref().map(|live| self.image(&task, live, desired)),
            shall: task.properties.clone(),
            request: Digest::of(&(task.op, &task.id, &task.properties, &task.owner.nonce)),
            owns: self.intended(&task, &owned, change.former_id.is_some()),
            owned,
        };
        self.books.write(Entry::Intent(Box::new(intent)));
        Ok(task)
    }

    fn making(&self, step: &Step, change: &Change) -> Result<Task, CloudError> {
        let schema = self.schema(change)?;
        let desired = change.after.clone().unwrap_or_default();
        let properties = normalise(schema, &self.view.resolve(&desired));
        if let Some((name, _)) = properties.iter().find(|(_, value)| !value.is_known()) {
            return Err(refused(change, format!("`{name}` refers to something that is not known even now")));
        }
        let id = (schema.identify)(&properties, &self.stack.clouds)
            .ok_or_else(|| refused(change, "its identity is not known even now".to_owned()))?;
        if change.id.as_ref().is_some_and(|planned| *planned != id) {
            return Err(refused(change, format!("it would become `{id}`, which is not what was planned")));
        }
        let before = match step.op {
            Op::Create => None,
            _ => self.inventory.at(&step.address).cloned(),
        };
        let owner = self.owner(step, &id, before.as_ref());
        Ok(Task {
            step: step.id,
            deed: self.books.journal.next(),
            resumed: step.op == Op::Create && self.begun(&step.address, &id).is_some(),
            address: step.address.clone(),
            op: step.op,
            ty: change.ty.clone(),
            schema,
            predicted: (schema.predict)(&properties, &self.stack.clouds),
            owner,
            id,
            properties,
            before,
            secrets: self.secrets.contains(&step.address),
            phase: Phase::Apply,
            fresh: !step.needs.is_empty(),
        })
    }

    /// What an interrupted run was about to make under this identity. It may have been made, and not be seen yet.
    fn begun(&self, address: &Address, id: &CloudId) -> Option<&Owned> {
        let owned = self.books.state.resources.get(address)?;
        (owned.standing == Standing::Creating && owned.id == *id).then_some(owned)
    }

    /// The mark for an object: what the state holds for an update and for what an interrupted run was about to make,
    /// the object's own where it bears ours already, else a new one.
    fn owner(&self, step: &Step, id: &CloudId, before: Option<&Live>) -> Owner {
        let recorded = match step.op {
            Op::Create => self.begun(&step.address, id).map(|owned| owned.nonce.clone()),
            Op::Update => self.books.state.resources.get(&step.address).map(|owned| owned.nonce.clone()),
            Op::Adopt => standing_mark(self.stack, &step.address, before).map(|mark| mark.nonce.clone()),
            _ => None,
        };
        let nonce = recorded.unwrap_or_else(new_nonce);
        Owner { stack: self.stack.name.clone(), address: step.address.clone(), nonce }
    }

    fn deleting(&self, step: &Step, change: &Change) -> Task {
        let address = &step.address;
        let owned = match step.op {
            Op::DeleteFormer => {
                self.books.state.replaced.get(address).or_else(|| self.books.state.resources.get(address))
            }
            _ => self.books.state.resources.get(address).or_else(|| self.books.state.replaced.get(address)),
        };
        let id = change.former_id.clone().or_else(|| change.id.clone());
        let ty = match (owned, &id) {
            (Some(owned), Some(id)) if owned.id == *id => owned.ty.clone(),
            _ => change.ty.clone(),
        };
        let id = id.or_else(|| owned.map(|owned| owned.id.clone())).unwrap_or(CloudId(String::new()));
        let found = |live: &&Live| live.id == id;
        let before = self
            .inventory
            .recorded_at(address)
            .filter(found)
            .or_else(|| self.inventory.at(address).filter(found))
            .or_else(|| self.inventory.replaced.get(address).and_then(|observed| observed.live()));
        let nonce = owned.map_or_else(new_nonce, |owned| owned.nonce.clone());
        Task {
            step: step.id,
            deed: self.books.journal.next(),
            resumed: false,
            address: address.clone(),
            op: step.op,
            schema: schema_of(self.catalogue, &ty),
            ty,
            id,
            properties: Map::new(),
            predicted: Map::new(),
            before: before.cloned(),
            owner: Owner { stack: self.stack.name.clone(), address: address.clone(), nonce },
            secrets: false,
            phase: Phase::Apply,
            fresh: false,
        }
    }

    /// The other address that owns what a task is to delete.
    fn owned_elsewhere(&self, task: &Task) -> Option<&Address> {
        let deletes = matches!(task.op, Op::Delete | Op::DeleteFormer | Op::DeleteFirst);
        let same = |owned: &Owned| owned.id == task.id && owned.ty == task.ty;
        let mut all = self.books.state.resources.iter();
        all.find(|(address, owned)| deletes && **address != task.address && same(owned))
            .map(|(address, _)| address)
    }

    fn schema(&self, change: &Change) -> Result<&'static Schema, CloudError> {
        let unknown = || refused(change, "this mcm does not know the type".to_owned());
        self.catalogue.get(&change.ty).ok_or_else(unknown)
    }

    /// What an address owns once a step is about to be sent. What it replaces is remembered apart until it is deleted;
    /// what is gone already, or is to be left in place, is let go of.
    fn intended(&self, task: &Task, owned: &Holding, replaces: bool) -> Holding {
        let mut holding = owned.clone();
        let same = |owned: &Owned| owned.id == task.id && owned.ty == task.ty;
        match task.op {
            Op::Create | Op::Restore => {
                if let Some(former) = holding.current.take().filter(|former| replaces && !same(former)) {
                    holding.former = Some(former);
                }
                holding.current = Some(self.owned(task, None, Standing::Creating));
            }
            Op::Delete | Op::DeleteFormer | Op::DeleteFirst => {
                for owned in [&mut holding.current, &mut holding.former].into_iter().flatten() {
                    if same(owned) {
                        owned.standing = Standing::Deleting;
                    }
                }
            }
            // An unfinished replacement that is taken back: its two objects change places.
            Op::Adopt if holding.former.as_ref().is_some_and(same) => {
                std::mem::swap(&mut holding.current, &mut holding.former);
                holding.former = holding.former.filter(|_| replaces);
            }
            // What it comes to need must outlast it from now on.
            Op::Update => {
                if let (Some(current), Some(resource)) =
                    (&mut holding.current, self.resources.get(&task.address))
                {
                    current.dependencies.extend(resource.dependencies());
                }
            }
            // An adoption is known by its mark, and forgetting sends nothing.
            Op::Adopt | Op::Forget => {}
        }
        holding
    }

    fn owned(&self, task: &Task, live: Option<&Live>, standing: Standing) -> Owned {
        let resource = self.resources.get(&task.address);
        let recorded = self.books.state.resources.get(&task.address);
        let lifecycle = resource.map(|resource| resource.lifecycle);
        Owned {
            ty: task.ty.clone(),
            id: task.id.clone(),
            nonce: task.owner.nonce.clone(),
            incarnation: live.and_then(|live| task.schema.incarnation(live)),
            standing,
            dependencies: resource.map(|resource| resource.dependencies()).unwrap_or_default(),
            protect: is_protected(lifecycle, recorded),
            retain: lifecycle.is_some_and(|lifecycle| lifecycle.on_delete == OnDelete::Retain),
            sensitive: places(&task.properties),
        }
    }

    /// Writes down a finished step.
    pub(super) fn finish(&mut self, task: &Task, live: Option<&Live>) {
        let mut holding = self.books.state.holding(&task.address);
        let same = |owned: &Owned| owned.id == task.id && owned.ty == task.ty;
        if holding.former.as_ref().is_some_and(same) {
            holding.former = None;
        }
        match live {
            Some(live) => {
                holding.current = Some(self.owned(task, Some(live), Standing::Ready));
                if let Some((&address, _)) = self.resources.get_key_value(&task.address) {
                    self.view.desire(address, task.properties.clone(), Map::new());
                    self.view.hold(address, live);
                }
            }
            None if holding.current.as_ref().is_some_and(same) => holding.current = None,
            None => {}
        }
        if live.is_some() {
            self.books.state.let_go.remove(&task.owner.nonce);
        }
        let wrote = live.map(|live| self.image(task, live, Some(&task.properties)));
        self.books.write(Entry::Done { deed: task.deed, wrote, owns: holding });
    }

    /// An object as the journal keeps it, without what is sensitive.
    fn image(&self, task: &Task, live: &Live, desired: Option<&Map>) -> Image {
        let state = &self.books.state;
        let recorded = [state.resources.get(&task.address), state.replaced.get(&task.address)];
        let owned = recorded.into_iter().flatten().find(|owned| owned.id == task.id);
        let properties = normalise(task.schema, &live.properties);
        Image {
            properties: withhold(&properties, desired, owned, self.stack),
            ..Image::of(task.schema, live)
        }
    }

    /// Writes down a failed step. Where the object bears a mark, the mark tells later what happened; where it does
    /// not, the cloud's own word that it changed nothing is all there is.
    ///
    /// Whether it is known to have left nothing.
    pub(super) fn fail(&mut self, task: &Task, error: &CloudError) -> bool {
        let (deed, why) = (task.deed, error.to_string());
        // What an interrupted run was about to make may be there, whatever is said of a second try.
        let refused = !task.schema.marked && !task.resumed && nothing_was_made(error);
        let untouched = left_whole(error) || refused;
        // Credentials can die after a change was accepted.
        let unclear = matches!(error.kind, ErrorKind::Unknown | ErrorKind::Credentials);
        self.books.write(if unclear {
            Entry::Unclear { deed, why }
        } else {
            Entry::Failed { deed, untouched, why }
        });
        untouched && !unclear
    }
}

/// Whether mcm itself refused a deletion, before it took anything away: a cloud's own refusal bears a code.
pub(super) fn left_whole(error: &CloudError) -> bool {
    error.kind == ErrorKind::NotEmpty && error.code.is_empty()
}

/// Whether an error says that a creation did not happen, not even in part.
pub(super) fn nothing_was_made(error: &CloudError) -> bool {
    match error.kind {
        ErrorKind::AlreadyExists
        | ErrorKind::Denied
        | ErrorKind::Throttled
        | ErrorKind::Unreachable
        | ErrorKind::Settling { .. }
        | ErrorKind::WrongAccount => true,
        // Our own codes say that it is there and not as it should be.
        ErrorKind::Invalid => !matches!(error.code.as_str(), "NotConverged" | "NotAsPlanned"),
        ErrorKind::NotFound
        | ErrorKind::Conflict
        | ErrorKind::Credentials
        | ErrorKind::NotEmpty
        | ErrorKind::Unknown => false,
    }
}

/// The mark of a creation that no other has.
///
/// # Panics
///
/// Without the system's randomness, as nothing that must be told apart can be made then.
pub fn new_nonce() -> Nonce {
    let mut random = [0_u8; 12];
    #[expect(clippy::expect_used, reason = "an operating system without randomness is beyond repair")]
    getrandom::fill(&mut random).expect("the operating system gives random bytes");
    Nonce(hex::encode(random))
}

fn refused(change: &Change, message: String) -> CloudError {
    CloudError {
        cloud: change.ty.cloud(),
        call: change.ty.to_string(),
        kind: ErrorKind::Invalid,
        code: "NotAsPlanned".to_owned(),
        message,
        request_id: None,
        hint: Some("plan again: it reads what is live".to_owned()),
    }
}
