//! A run changes nothing but what its plan shows.

use std::sync::Mutex;

use mcm::model::{CloudId, Op, Plan, ResourceType};

/// A change as it is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    Create,
    Update,
    Restore,
    Delete,
}

/// A step of a plan: what is done to which object, where its identity is known.
type Shown = (Op, ResourceType, Option<CloudId>);

/// What a run may change, and what it did beyond that.
#[derive(Default)]
pub struct Fidelity {
    shown: Mutex<Option<Vec<Shown>>>,
    beyond: Mutex<Vec<String>>,
}

impl Fidelity {
    /// From now on only what this plan shows may be changed.
    pub fn hold(&self, plan: &Plan) {
        let shown = plan.steps.iter().map(|step| {
            let change = &plan.changes[step.change];
            let id = match step.op {
                Op::DeleteFormer | Op::DeleteFirst => change.former_id.as_ref().or(change.id.as_ref()),
                Op::Create | Op::Update | Op::Restore | Op::Adopt | Op::Delete | Op::Forget => {
                    change.id.as_ref()
                }
            };
            (step.op, change.ty.clone(), id.cloned())
        });
        *self.shown.lock().unwrap() = Some(shown.collect());
    }

    /// A change is about to be sent.
    pub fn note(&self, sent: Sent, ty: &ResourceType, id: &CloudId) {
        let shown = self.shown.lock().unwrap();
        // `mcm rollback` has no plan.
        let Some(shown) = shown.as_ref() else { return };
        let fits =
            |(op, of, at): &Shown| serves(*op, sent) && of == ty && at.as_ref().is_none_or(|at| at == id);
        if !shown.iter().any(fits) {
            self.beyond.lock().unwrap().push(format!("{sent:?} {ty} {id}"));
        }
    }

    /// What was changed beyond the plan.
    pub fn beyond(&self) -> Vec<String> {
        self.beyond.lock().unwrap().clone()
    }
}

/// Whether a step, or its undoing, may send this.
fn serves(op: Op, sent: Sent) -> bool {
    match op {
        Op::Create => matches!(sent, Sent::Create | Sent::Update | Sent::Delete),
        Op::Update | Op::Adopt => sent == Sent::Update,
        Op::Restore => matches!(sent, Sent::Restore | Sent::Update | Sent::Delete),
        Op::Delete | Op::DeleteFormer | Op::DeleteFirst => true,
        Op::Forget => false,
    }
}
