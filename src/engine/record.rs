//! The bookkeeping of a run: what is known, what is owned, and the ledger that makes it durable.

use std::collections::{BTreeMap, BTreeSet};

use super::decide::{is_protected, standing_mark};
use super::diff::normalise;
use super::resolve::{View, by_address, dependency_order, secrets_wanted};
use super::step::Task;
use super::undo;
use crate::model::{
    Action, Address, Catalogue, Change, CloudError, CloudId, ErrorKind, Inventory, Ledger, LedgerError, Live,
    Map, Nonce, OnDelete, Op, Owned, Owner, Plan, Resource, ResourceType, Schema, Stack, Standing, State,
    Step,
};

/// The books of one run.
pub(super) struct Record<'a, L> {
    plan: &'a Plan,
    stack: &'a Stack,
    inventory: &'a Inventory,
    catalogue: &'a Catalogue,
    resources: BTreeMap<&'a Address, &'a Resource>,
    secrets: BTreeSet<Address>,
    view: View<'a>,
    state: &'a mut State,
    ledger: &'a mut L,
    unsaved: bool,
}

impl<'a, L: Ledger> Record<'a, L> {
    pub(super) fn new(
        plan: &'a Plan,
        stack: &'a Stack,
        inventory: &'a Inventory,
        catalogue: &'a Catalogue,
        state: &'a mut State,
        ledger: &'a mut L,
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
        Self { plan, stack, inventory, catalogue, resources, secrets, view, state, ledger, unsaved: false }
    }

    /// Writes down what the stack says about protecting and retaining what it owns.
    pub(super) fn remember_lifecycles(&mut self) -> Result<(), LedgerError> {
        let before = self.state.clone();
        for resource in &self.stack.resources {
            if let Some(owned) = self.state.resources.get_mut(&resource.address) {
                owned.protect = is_protected(Some(resource.lifecycle), Some(owned));
                owned.retain = resource.lifecycle.on_delete == OnDelete::Retain;
            }
        }
        if *self.state == before { Ok(()) } else { self.save() }
    }

    fn save(&mut self) -> Result<(), LedgerError> {
        self.state.serial += 1;
        self.ledger.record(self.state)
    }

    /// Makes what was written down since the last time durable: one write for all steps that end and begin together.
    /// Nothing that [`Record::begin`] gave may be sent before.
    pub(super) fn settle(&mut self) -> Result<(), LedgerError> {
        if std::mem::take(&mut self.unsaved) { self.save() } else { Ok(()) }
    }

    /// Makes a step's task, and writes its intent down.
    pub(super) fn begin(&mut self, step: &Step) -> Result<Task, CloudError> {
        let change = &self.plan.changes[step.change];
        let task = match step.op {
            Op::Create | Op::Update | Op::Restore | Op::Adopt => self.making(step, change)?,
            Op::Delete | Op::DeleteFormer | Op::DeleteFirst | Op::Forget => self.deleting(step, change),
        };
        match step.op {
            Op::Create | Op::Restore => self.intend(&task),
            Op::Delete | Op::DeleteFormer | Op::DeleteFirst => self.condemn(&task),
            // An adoption is known by its mark, an update by its owner, and forgetting sends nothing.
            Op::Update | Op::Adopt | Op::Forget => return Ok(task),
        }
        self.unsaved = true;
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
        Ok(Task {
            step: step.id,
            address: step.address.clone(),
            op: step.op,
            ty: change.ty.clone(),
            schema,
            predicted: (schema.predict)(&properties, &self.stack.clouds),
            owner: self.owner(step, before.as_ref()),
            id,
            properties,
            before,
            secrets: self.secrets.contains(&step.address),
            fresh: !step.needs.is_empty(),
        })
    }

    /// The mark for an object: what the state holds for an update, the object's own where it bears ours already, else
    /// a new one.
    fn owner(&self, step: &Step, before: Option<&Live>) -> Owner {
        let recorded = match step.op {
            Op::Update => self.state.resources.get(&step.address).map(|owned| owned.nonce.clone()),
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
                self.state.replaced.get(address).or_else(|| self.state.resources.get(address))
            }
            _ => self.state.resources.get(address).or_else(|| self.state.replaced.get(address)),
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
            address: address.clone(),
            op: step.op,
            schema: self.catalogue.get(&ty).unwrap_or(&NOTHING),
            ty,
            id,
            properties: Map::new(),
            predicted: Map::new(),
            before: before.cloned(),
            owner: Owner { stack: self.stack.name.clone(), address: address.clone(), nonce },
            secrets: false,
            fresh: false,
        }
    }

    fn schema(&self, change: &Change) -> Result<&'static Schema, CloudError> {
        let unknown = || refused(change, "this mcm does not know the type".to_owned());
        self.catalogue.get(&change.ty).ok_or_else(unknown)
    }

    /// About to be made. What it replaces is remembered apart until it is deleted.
    fn intend(&mut self, task: &Task) {
        let owned = self.owned(task, None, Standing::Creating);
        if let Some(former) = self.state.resources.insert(task.address.clone(), owned)
            && (former.id != task.id || former.ty != task.ty)
        {
            self.state.replaced.insert(task.address.clone(), former);
        }
    }

    /// About to be deleted.
    fn condemn(&mut self, task: &Task) {
        for book in [&mut self.state.resources, &mut self.state.replaced] {
            if let Some(owned) = book.get_mut(&task.address)
                && owned.id == task.id
                && owned.ty == task.ty
            {
                owned.standing = Standing::Deleting;
            }
        }
    }

    fn owned(&self, task: &Task, live: Option<&Live>, standing: Standing) -> Owned {
        let resource = self.resources.get(&task.address);
        let recorded = self.state.resources.get(&task.address);
        let lifecycle = resource.map(|resource| resource.lifecycle);
        Owned {
            ty: task.ty.clone(),
            id: task.id.clone(),
            nonce: task.owner.nonce.clone(),
            incarnation: live.and_then(|live| undo::incarnation(task.schema, live)),
            standing,
            dependencies: resource.map(|resource| resource.dependencies()).unwrap_or_default(),
            protect: is_protected(lifecycle, recorded),
            retain: lifecycle.is_some_and(|lifecycle| lifecycle.on_delete == OnDelete::Retain),
        }
    }

    /// Writes down a finished step.
    pub(super) fn finish(&mut self, task: &Task, live: Option<&Live>) {
        self.unsaved = true;
        match live {
            Some(live) => {
                let owned = self.owned(task, Some(live), Standing::Ready);
                let again = |former: &Owned| former.id == owned.id && former.ty == owned.ty;
                if self.state.replaced.get(&task.address).is_some_and(again) {
                    self.state.replaced.remove(&task.address);
                }
                self.state.resources.insert(task.address.clone(), owned);
                if let Some((&address, _)) = self.resources.get_key_value(&task.address) {
                    self.view.desire(address, task.properties.clone(), Map::new());
                    self.view.hold(address, live);
                }
            }
            None => self.let_go(&task.address, &task.ty, &task.id),
        }
    }

    fn let_go(&mut self, address: &Address, ty: &ResourceType, id: &CloudId) {
        for book in [&mut self.state.resources, &mut self.state.replaced] {
            if book.get(address).is_some_and(|owned| owned.id == *id && owned.ty == *ty) {
                book.remove(address);
            }
        }
    }

    // What the rollback needs.

    /// What a step wrote, as a task of its own: the same identity, mark and rules.
    pub(super) fn again(&self, step: &Step) -> Result<Task, CloudError> {
        let change = &self.plan.changes[step.change];
        let mut task = match step.op {
            Op::Create | Op::Update | Op::Restore | Op::Adopt => self.making(step, change)?,
            Op::Delete | Op::DeleteFormer | Op::DeleteFirst | Op::Forget => self.deleting(step, change),
        };
        if let Some(owned) = self.state.resources.get(&step.address).filter(|owned| owned.id == task.id) {
            task.owner.nonce = owned.nonce.clone();
        }
        Ok(task)
    }

    /// A creation was undone: the address owns what it owned before.
    pub(super) fn unmade(&mut self, task: &Task) -> Result<(), LedgerError> {
        self.let_go(&task.address, &task.ty, &task.id);
        if !self.state.resources.contains_key(&task.address)
            && let Some(former) = self.state.replaced.remove(&task.address)
        {
            self.state.resources.insert(task.address.clone(), former);
        }
        self.save()
    }

    /// Something deleted was brought back.
    pub(super) fn remade(&mut self, task: &Task, live: &Live) -> Result<(), LedgerError> {
        let owned = self.owned(task, Some(live), Standing::Ready);
        self.state.resources.insert(task.address.clone(), owned);
        self.save()
    }

    /// What was live at an address before the run.
    pub(super) fn before(&self, address: &Address) -> Option<&'a Live> {
        self.inventory.at(address)
    }
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
    deletion: crate::model::Deletion::Recreatable { loses: "" },
};

fn new_nonce() -> Nonce {
    let mut random = [0_u8; 12];
    // Without the system's randomness nothing that must be told apart can be made.
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
