//! One resource: what it is now, what it shall be, hence what will happen to it. Pure.

use super::diff::{diff, normalise};
use super::resolve::View;
use super::secrecy::{hide_former, withhold};
use super::undo;
use crate::model::{
    Action, Address, Change, CloudId, Condition, Deletion, Diagnostic, Edit, Inventory, Lifecycle, Live, Map,
    OnDelete, Op, Owned, Owner, Resource, Schema, Stack, Standing, State, Undo,
};

/// What decisions are made from.
pub(super) struct Facts<'a> {
    pub(super) stack: &'a Stack,
    pub(super) state: &'a State,
    pub(super) inventory: &'a Inventory,
    pub(super) allow_recreate: bool,
    pub(super) now: jiff::Timestamp,
}

/// Whose object a live one is.
#[derive(Debug, PartialEq, Eq)]
enum Whose {
    /// The state says ours, and nothing on the object contradicts.
    Ours,
    /// The state does not know it, but it bears the mark of this stack and address.
    OursUnrecorded,
    /// Somebody else's; how we know.
    Foreign(String),
}

/// Tells whose an object is. The mark decides where there is one; the vendor's unique id where that is recorded;
/// else the state. A mark that is missing while the unique id is right was taken off: that is drift, not theft.
fn whose(facts: &Facts<'_>, address: &Address, schema: &Schema, live: &Live, owned: Option<&Owned>) -> Whose {
    if let Some(mark) = &live.owner {
        let this_stack = mark.stack == facts.stack.name;
        let home = this_stack && mark.address == *address;
        return match owned {
            // Whatever its entry was called when it was marked: no two creations have one nonce.
            Some(owned) if this_stack && owned.nonce == mark.nonce => Whose::Ours,
            _ if home && facts.state.let_go.contains(&mark.nonce) => {
                Whose::Foreign("it bears this stack's mark, and this stack let go of it".to_owned())
            }
            _ if home => Whose::OursUnrecorded,
            _ => Whose::Foreign(format!(
                "it bears the mark of `{}` in the stack `{}`",
                mark.address, mark.stack
            )),
        };
    }
    let Some(owned) = owned else {
        return Whose::Foreign(
            "it bears no mark of this stack, and the state does not know of it".to_owned(),
        );
    };
    if owned.standing == Standing::Creating && schema.marked {
        return Whose::Foreign(
            "a creation by this stack was interrupted, and this one does not bear its mark".to_owned(),
        );
    }
    match (&owned.incarnation, schema.incarnation(live)) {
        (Some(recorded), Some(found)) if *recorded != found => Whose::Foreign(format!(
            "the one that this stack made had the id {recorded}, this one has {found}: somebody deleted and remade it"
        )),
        _ => Whose::Ours,
    }
}

/// What will happen to a desired resource.
pub(super) fn desired(facts: &Facts<'_>, resource: &Resource, view: &View<'_>) -> Result<Change, Diagnostic> {
    let schema = resource.schema;
    let properties = normalise(schema, &view.resolve_sealed(&resource.properties));
    let id = (schema.identify)(&properties, &facts.stack.clouds);
    let owned = facts.state.resources.get(&resource.address);
    let live = facts.inventory.at(&resource.address);
    let former = owned.filter(|owned| owned.ty != resource.ty || Some(&owned.id) != id.as_ref());
    let former_live = former.and(facts.inventory.recorded_at(&resource.address));
    // Changed back to an object that an unfinished replacement has left standing: it is still ours.
    let left = facts.state.replaced.get(&resource.address);
    let left = left.filter(|left| left.ty == resource.ty && Some(&left.id) == id.as_ref());
    let taken_back = left.is_some();
    let owned_here = owned.filter(|_| former.is_none()).or(left);
    let draft = Draft { facts, resource, properties, id, owned: owned_here, taken_back };
    let stands = |live: &&Live| !matches!(live.condition, Condition::SoftDeleted { .. });
    if let (Some(owned), Some(former)) = (former, former_live.filter(stands)) {
        return match live.filter(|live| taken_back && live.condition == Condition::Ready) {
            Some(live) => draft.take_back(live, owned, former),
            None => draft.replace_former(owned, former),
        };
    }
    match live {
        Some(live) => draft.existing(live),
        None => Ok(draft.create(owned.map(|owned| missing(owned).to_owned()))),
    }
}

/// Why something owned is not there.
fn missing(owned: &Owned) -> &'static str {
    match owned.standing {
        Standing::Creating => "an interrupted run was about to make it",
        Standing::Deleting => "an interrupted run deleted it",
        Standing::Ready => "it was deleted outside of mcm",
    }
}

/// A decision in the making.
struct Draft<'a> {
    facts: &'a Facts<'a>,
    resource: &'a Resource,
    properties: Map,
    id: Option<CloudId>,
    owned: Option<&'a Owned>,
    /// Whether `owned` is what an unfinished replacement has left standing.
    taken_back: bool,
}

impl Draft<'_> {
    fn change(self, action: Action, before: Option<Map>, edits: Vec<Edit>, op: Op) -> Change {
        let mut change = Change {
            address: self.resource.address.clone(),
            ty: self.resource.ty.clone(),
            action,
            id: self.id,
            former_id: None,
            before,
            after: Some(self.properties),
            edits,
            reason: None,
            undo: Undo::Exact,
        };
        if action != Action::NoOp {
            change.undo = undo::class_of(self.resource.schema, op, &change, self.facts.now);
        }
        change
    }

    fn create(self, reason: Option<String>) -> Change {
        Change { reason, ..self.change(Action::Create, None, Vec::new(), Op::Create) }
    }

    fn error(&self, summary: String) -> Diagnostic {
        Diagnostic::error(summary).at(self.resource.location.clone())
    }

    fn is_protected(&self) -> bool {
        let owned = self.facts.state.resources.get(&self.resource.address);
        is_protected(Some(self.resource.lifecycle), owned)
    }

    /// An object stands at the desired identity.
    fn existing(self, live: &Live) -> Result<Change, Diagnostic> {
        let schema = self.resource.schema;
        let before = hide_former(
            &normalise(schema, &live.properties),
            &self.properties,
            self.owned.map(|owned| &owned.sensitive),
        );
        let edits = diff(schema, &before, &self.properties);
        let whose = whose(self.facts, &self.resource.address, schema, live, self.owned);
        if let Condition::SoftDeleted { until } = &live.condition {
            return self.restore(live, before, edits, *until, &whose);
        }
        match whose {
            Whose::Ours if self.taken_back => {
                self.adopt(before, edits, "its unfinished replacement is taken back".to_owned())
            }
            Whose::Ours => self.keep(live, before, edits),
            Whose::OursUnrecorded if edits.iter().any(|edit| edit.forces_replacement) => {
                self.recreate(live, before, edits)
            }
            Whose::OursUnrecorded => {
                let reason = "it bears this stack's mark, and the state did not know it".to_owned();
                self.adopt(before, edits, reason)
            }
            Whose::Foreign(_) if schema.shared && edits.is_empty() => {
                Ok(self.change(Action::NoOp, Some(before), Vec::new(), Op::Update))
            }
            Whose::Foreign(_) if self.resource.lifecycle.adopt => {
                self.adopt(before, edits, "`adopt: true`".to_owned())
            }
            Whose::Foreign(why) => Err(self.taken(&live.id, &why)),
        }
    }

    fn taken(&self, id: &CloudId, why: &str) -> Diagnostic {
        let address = &self.resource.address;
        self.error(format!("{address}: {} `{id}` exists, and this stack does not own it", self.resource.ty))
            .detail(format!("{why}."))
            .hint(format!(
                "take it over with `adopt: true` in its entry or `mcm import {address} '{id}'`, or choose another name"
            ))
    }

    /// Ours, at its identity: nothing, an update, or a replacement under the same name.
    fn keep(self, live: &Live, before: Map, edits: Vec<Edit>) -> Result<Change, Diagnostic> {
        let mark = live.owner.as_ref();
        let unmarked =
            self.resource.schema.marked && mark.is_none_or(|mark| mark.address != self.resource.address);
        let failed = matches!(live.condition, Condition::Failed(_));
        if edits.iter().any(|edit| edit.forces_replacement) || failed {
            return self.recreate(live, before, edits);
        }
        if edits.is_empty() && !unmarked {
            return Ok(self.change(Action::NoOp, Some(before), edits, Op::Update));
        }
        let reason = unmarked.then(|| match mark {
            Some(mark) => format!("its mark calls it {}, as it was called before", mark.address),
            None => "it bears no ownership mark; one is put on it".to_owned(),
        });
        Ok(Change { reason, ..self.change(Action::Update, Some(before), edits, Op::Update) })
    }

    fn adopt(self, before: Map, edits: Vec<Edit>, reason: String) -> Result<Change, Diagnostic> {
        if let Some(edit) = edits.iter().find(|edit| edit.forces_replacement) {
            let summary = format!(
                "{}: cannot be taken over as it is: `{}` cannot be changed",
                self.resource.address, edit.path
            );
            return Err(self.error(summary).hint("make the stack say what is live, or choose another name"));
        }
        let reason = Some(reason);
        Ok(Change { reason, ..self.change(Action::Adopt, Some(before), edits, Op::Adopt) })
    }

    fn restore(
        self,
        live: &Live,
        before: Map,
        edits: Vec<Edit>,
        until: Option<jiff::Timestamp>,
        whose: &Whose,
    ) -> Result<Change, Diagnostic> {
        if let Whose::Foreign(why) = whose
            && live.owner.is_some()
            && !self.resource.lifecycle.adopt
        {
            return Err(self.taken(&live.id, why));
        }
        if let Some(edit) = edits.iter().find(|edit| edit.forces_replacement) {
            let summary = format!(
                "{}: its name is held by a deleted one that differs in `{}`, which cannot be changed",
                self.resource.address, edit.path
            );
            return Err(self.error(summary).hint("choose another name, or purge the deleted one by hand"));
        }
        let held = until.map_or_else(String::new, |until| format!(" until {}", undo::day(until)));
        let reason = Some(format!("a deleted one holds the name{held}"));
        Ok(Change { reason, ..self.change(Action::Restore, Some(before), edits, Op::Restore) })
    }

    /// Something that cannot be changed shall change, and the identity stays: the old one must go first.
    fn recreate(self, live: &Live, before: Map, edits: Vec<Edit>) -> Result<Change, Diagnostic> {
        let address = &self.resource.address;
        let what = match edits.iter().find(|edit| edit.forces_replacement) {
            Some(edit) => format!("`{}` cannot be changed in place", edit.path),
            None => "it ended in a failed state".to_owned(),
        };
        if self.is_protected() {
            return Err(self.protected("replaced", &what));
        }
        if let Deletion::Soft { hours } = self.resource.schema.deletion {
            let days = hours / 24;
            return Err(self
                .error(format!(
                    "{address}: {what}, and its name stays held for {days} days after it is deleted"
                ))
                .hint("give it another name: a new one is made, then the old one is deleted"));
        }
        if !self.facts.allow_recreate {
            return Err(self
                .error(format!("{address}: {what}, and another one of the same name cannot stand beside it"))
                .hint(
                    "give it another name: a new one is made, then the old one is deleted. Or accept that it is \
                     deleted first, with `--allow-recreate`",
                ));
        }
        let former_id = Some(live.id.clone());
        let mut change = self.change(Action::Replace, Some(before), edits, Op::DeleteFirst);
        change.former_id = former_id;
        Ok(change)
    }

    /// The identity was changed back while both objects stand: the first one stays, and its replacement goes.
    fn take_back(self, live: &Live, owned: &Owned, former: &Live) -> Result<Change, Diagnostic> {
        self.require_ours(owned, former)?;
        let goes = !owned.retain && self.resource.lifecycle.on_delete != OnDelete::Retain;
        if goes && self.is_protected() {
            return Err(self.protected("deleted", "its identity was changed back"));
        }
        let former_id = former.id.clone();
        let change = self.existing(live)?;
        Ok(match change.action {
            Action::Adopt if goes => {
                let reason = format!("its unfinished replacement `{former_id}` is taken back, and deleted");
                Change { former_id: Some(former_id), reason: Some(reason), ..change }
            }
            _ => change,
        })
    }

    /// Refuses where what was ours is somebody else's by now.
    fn require_ours(&self, owned: &Owned, former: &Live) -> Result<(), Diagnostic> {
        let address = &self.resource.address;
        if let Whose::Foreign(why) = whose(self.facts, address, self.resource.schema, former, Some(owned)) {
            let summary =
                format!("{address}: its former object `{}` is not this stack's any more", former.id);
            return Err(self
                .error(summary)
                .detail(format!("{why}."))
                .hint(format!("let go of it with `mcm state rm {address}`, then plan again")));
        }
        Ok(())
    }

    /// The identity changed. What happens to the old object depends on whose it is by now.
    fn replace_former(self, owned: &Owned, former: &Live) -> Result<Change, Diagnostic> {
        self.require_ours(owned, former)?;
        let address = &self.resource.address;
        if owned.ty != self.resource.ty && Some(&former.id) == self.id.as_ref() {
            let summary = format!("{address}: its type changes, and its name stays `{}`", former.id);
            return Err(self.error(summary).hint("give it another name, or make it another entry"));
        }
        if owned.retain || self.resource.lifecycle.on_delete == OnDelete::Retain {
            let reason = "its identity changes; the former one is left in place: `onDelete: retain`";
            return Ok(self.create(Some(reason.to_owned())));
        }
        self.replace_by_another(former, Some(&former.id))
    }

    /// A new one is made, then the old one is deleted.
    fn replace_by_another(self, former: &Live, former_id: Option<&CloudId>) -> Result<Change, Diagnostic> {
        if self.is_protected() {
            return Err(self.protected("replaced", "its identity changes"));
        }
        if let Some(live) = self.facts.inventory.at(&self.resource.address)
            && live.condition == Condition::Ready
            && !self.resource.schema.shared
        {
            return Err(self.taken(&live.id, "it stands where the replacement would go"));
        }
        let schema = self.resource.schema;
        let owned = self.facts.state.resources.get(&self.resource.address);
        let before = hide_former(
            &normalise(schema, &former.properties),
            &self.properties,
            owned.map(|owned| &owned.sensitive),
        );
        let edits = diff(schema, &before, &self.properties);
        let former_id = former_id.cloned();
        Ok(Change { former_id, ..self.change(Action::Replace, Some(before), edits, Op::Create) })
    }

    fn protected(&self, what: &str, why: &str) -> Diagnostic {
        self.error(format!("{} is protected and would be {what}: {why}", self.resource.address))
            .hint("undo the change, or lift the protection: set `protect: false`, apply, then try again")
    }
}

/// What will happen to something owned that the stack lets go of.
pub(super) fn released(
    facts: &Facts<'_>,
    address: &Address,
    schema: &'static Schema,
    resource: Option<&Resource>,
    owned: Option<&Owned>,
    live: Option<&Live>,
    reason: Option<&str>,
) -> Result<Option<Change>, Diagnostic> {
    let ty = crate::model::ResourceType::new(schema.ty);
    let change = |action: Action, reason: Option<&str>, before: Option<Map>| Change {
        address: address.clone(),
        ty: ty.clone(),
        action,
        id: owned.map(|owned| owned.id.clone()).or_else(|| live.map(|live| live.id.clone())),
        former_id: None,
        before,
        after: None,
        edits: Vec::new(),
        reason: reason.map(str::to_owned),
        undo: undo::class(schema, if action == Action::Delete { Op::Delete } else { Op::Forget }, facts.now),
    };
    let Some(live) = live.filter(|live| !matches!(live.condition, Condition::SoftDeleted { .. })) else {
        return Ok(owned.map(|_| change(Action::Forget, Some("it is gone already"), None)));
    };
    match whose(facts, address, schema, live, owned) {
        Whose::Ours | Whose::OursUnrecorded => {}
        Whose::Foreign(why) => {
            let why = format!("left in place: {why}");
            return Ok(owned.map(|_| change(Action::Forget, Some(&why), None)));
        }
    }
    let lifecycle = resource.map(|resource| resource.lifecycle);
    if lifecycle.is_some_and(|lifecycle| lifecycle.on_delete == OnDelete::Retain)
        || owned.is_some_and(|owned| owned.retain)
    {
        return Ok(Some(change(Action::Forget, Some("left in place: `onDelete: retain`"), None)));
    }
    if is_protected(lifecycle, owned) {
        let because = reason.map_or_else(String::new, |reason| format!(": it is {reason}"));
        let summary = format!("{address} is protected and would be deleted{because}");
        return Err(Diagnostic::error(summary)
            .at(resource.and_then(|resource| resource.location.clone()))
            .hint("set `protect: false` in its entry and apply, then try again"));
    }
    let desired = resource.map(|resource| &resource.properties);
    let before = withhold(&normalise(schema, &live.properties), desired, owned, facts.stack);
    Ok(Some(change(Action::Delete, reason, Some(before))))
}

/// What the stack says holds; where it says nothing, what the state remembers.
pub(super) fn is_protected(lifecycle: Option<Lifecycle>, owned: Option<&Owned>) -> bool {
    let said = lifecycle.and_then(|lifecycle| lifecycle.protect);
    said.unwrap_or_else(|| owned.is_some_and(|owned| owned.protect))
}

/// The mark that an object of this stack bears, where a live one bears it already.
pub(super) fn standing_mark<'a>(
    stack: &Stack,
    address: &Address,
    live: Option<&'a Live>,
) -> Option<&'a Owner> {
    live.and_then(|live| live.owner.as_ref())
        .filter(|mark| mark.stack == stack.name && mark.address == *address)
}
