//! Reads everything a plan needs, side by side, in as few waves as identities allow.
//!
//! Identities come from the configuration and the state, so nothing waits for a refresh order: a first wave reads
//! all that is identified, and a second one only what needed an attribute of something else to be identified.

use std::collections::{BTreeMap, BTreeSet};

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use tokio::time::{Duration, Instant, sleep};

use super::diff::{diff, normalise};
use super::discreet::Discreet;
use super::resolve::{View, by_address, dependency_order, holds_secret, secrets_wanted};
use super::secrecy::withhold;
use super::step::UNSEEN;
use crate::model::{
    Absence, Address, Catalogue, CloudError, CloudId, Condition, Digest, ErrorKind, Inventory, Journal, Live,
    Map, Mode, Observed, Owned, Path, Provider, Read, Resource, ResourceType, Schema, Stack, Standing, State,
    Value,
};

/// The pause between two looks at something that may be on its way out.
const LOOK: Duration = Duration::from_secs(1);

/// A read that failed; what could not be read is never taken for absent.
#[derive(Debug, thiserror::Error)]
#[error("{} could not be read", .0.first().map_or("something", |(address, _)| address.as_str()))]
pub struct ObserveError(pub Vec<(Address, CloudError)>);

/// One object to read.
struct Wanted<'a> {
    address: &'a Address,
    role: Role,
    ty: &'a ResourceType,
    id: CloudId,
    desired: Option<Map>,
    secrets: bool,
    /// Whether the state says that we made it: then "not usable" is not "not there".
    owned: bool,
    /// How far the state says that it is, where one look is not believed against that: whoever lets go of it never looks
    /// again.
    held: Option<Standing>,
}

/// In which capacity an object is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Role {
    Desired,
    Recorded,
    Replaced,
}

/// Reads every object that the stack desires or the state owns. Identity may need several waves, at most one for
/// each link of a chain of references; two in practice. What the journal says may be on its way out is looked at for
/// as long as a deletion may take to show; what is owned and about to be let go of, and is not shown, for as long as a
/// creation may take.
pub async fn observe(
    stack: &Stack,
    state: &State,
    journal: &Journal,
    catalogue: &Catalogue,
    mode: Mode,
    clouds: &impl Provider,
) -> Result<Inventory, ObserveError> {
    let clouds = &Discreet::new(clouds, stack);
    let secrets = secrets_wanted(stack);
    let order = dependency_order(stack);
    let mut inventory = Inventory::default();
    // What the state alone identifies is read in the first wave, whatever it turns out to be.
    let mut by_id: BTreeMap<(ResourceType, CloudId), Observed> = BTreeMap::new();
    let mut left: BTreeSet<&Address> = order.iter().copied().collect();
    let mut wanted = identified(stack, state, &order, &mut left, &mut inventory, &by_id, &secrets);
    wanted.extend(recorded(state, catalogue, &secrets, &wanted));
    while !wanted.is_empty() {
        inventory.waves += 1;
        if mode == Mode::Destroy {
            for one in &mut wanted {
                one.held = one.held.or_else(|| standing(state, one));
            }
        }
        let found = read_all(wanted, journal, clouds).await?;
        for (wanted, observed) in found {
            by_id.insert((wanted.ty.clone(), wanted.id.clone()), observed.clone());
            let place = match wanted.role {
                Role::Desired => &mut inventory.desired,
                Role::Recorded => &mut inventory.recorded,
                Role::Replaced => &mut inventory.replaced,
            };
            place.insert(wanted.address.clone(), observed);
        }
        wanted = identified(stack, state, &order, &mut left, &mut inventory, &by_id, &secrets);
    }
    for address in left {
        inventory.desired.insert(address.clone(), Observed::Missing(Absence::Implied));
    }
    let compared = compared(stack, state, &order, &mut inventory, &secrets);
    if !compared.is_empty() {
        inventory.waves += 1;
        for (wanted, observed) in read_all(compared, journal, clouds).await? {
            inventory.desired.insert(wanted.address.clone(), observed);
        }
    }
    settle_recorded(stack, state, &mut inventory);
    digests(stack, state, catalogue, &order, &mut inventory);
    Ok(inventory)
}

/// The objects that the state owns under identities that the stack's properties do not give yet, or any more.
fn recorded<'a>(
    state: &'a State,
    catalogue: &Catalogue,
    secrets: &BTreeSet<Address>,
    identified: &[Wanted<'a>],
) -> Vec<Wanted<'a>> {
    let owned = state.resources.iter().map(|(address, owned)| (address, owned, Role::Recorded));
    let replaced = state.replaced.iter().map(|(address, owned)| (address, owned, Role::Replaced));
    // What the configuration identifies the same way is read once, as desired.
    let found: BTreeSet<_> =
        identified.iter().map(|wanted| (wanted.address, wanted.ty, wanted.id.clone())).collect();
    owned
        .chain(replaced)
        .filter(|(_, owned, _)| catalogue.get(&owned.ty).is_some())
        .filter(|(address, owned, role)| {
            *role == Role::Replaced || !found.contains(&(*address, &owned.ty, owned.id.clone()))
        })
        .map(|(address, owned, role)| Wanted {
            address,
            role,
            ty: &owned.ty,
            id: owned.id.clone(),
            desired: None,
            secrets: secrets.contains(address),
            owned: true,
            held: Some(owned.standing),
        })
        .collect()
}

/// Goes through the stack in the order of its references, with what is known of each resource by then.
fn walk<'a>(
    stack: &'a Stack,
    order: &[&'a Address],
    inventory: &mut Inventory,
    mut visit: impl FnMut(&'a Resource, &Map, &View, &mut Inventory),
) {
    let mut view = View::public();
    let resources = by_address(stack);
    for &address in order {
        let Some(&resource) = resources.get(address) else { continue };
        let properties = view.resolve(&resource.properties);
        visit(resource, &properties, &view, inventory);
        let predicted = (resource.schema.predict)(&properties, &stack.clouds);
        view.desire(address, properties, predicted);
        if let Some(live) = inventory.at(address) {
            view.hold(address, live);
        }
    }
}

/// A desired object to read.
fn desired<'a>(
    resource: &'a Resource,
    id: CloudId,
    view: &View,
    state: &State,
    secrets: &BTreeSet<Address>,
) -> Wanted<'a> {
    let address = &resource.address;
    Wanted {
        address,
        role: Role::Desired,
        ty: &resource.ty,
        desired: Some(view.resolve_sealed(&resource.properties)),
        secrets: secrets.contains(address),
        owned: state.resources.get(address).is_some_and(|owned| owned.id == id),
        held: None,
        id,
    }
}

/// The objects that are read once more, because what is desired of them was not all known when they were found and the
/// read compares with it.
fn compared<'a>(
    stack: &'a Stack,
    state: &State,
    order: &[&'a Address],
    inventory: &mut Inventory,
    secrets: &BTreeSet<Address>,
) -> Vec<Wanted<'a>> {
    let mut wanted = Vec::new();
    walk(stack, order, inventory, |resource, _, view, inventory| {
        let refers = !resource.properties.values().all(Value::is_known);
        if let Some(Observed::Found(live)) = inventory.desired.get(&resource.address)
            && resource.schema.compares
            && refers
        {
            wanted.push(desired(resource, live.id.clone(), view, state, secrets));
        }
    });
    wanted
}

/// The resources whose identity has become known; taken out of `left`. One that was read already under the same
/// identity is filed at once.
fn identified<'a>(
    stack: &'a Stack,
    state: &'a State,
    order: &[&'a Address],
    left: &mut BTreeSet<&'a Address>,
    inventory: &mut Inventory,
    by_id: &BTreeMap<(ResourceType, CloudId), Observed>,
    secrets: &BTreeSet<Address>,
) -> Vec<Wanted<'a>> {
    let mut wanted = Vec::new();
    walk(stack, order, inventory, |resource, properties, view, inventory| {
        let id = (resource.schema.identify)(properties, &stack.clouds);
        let Some(id) = id.filter(|_| left.remove(&resource.address)) else { return };
        match by_id.get(&(resource.ty.clone(), id.clone())) {
            Some(observed) => drop(inventory.desired.insert(resource.address.clone(), observed.clone())),
            None => wanted.push(desired(resource, id, view, state, secrets)),
        }
    });
    wanted
}

/// How far the state says that an object is.
fn standing(state: &State, wanted: &Wanted<'_>) -> Option<Standing> {
    let owned = state.resources.get(wanted.address).filter(|owned| owned.id == wanted.id);
    owned.map(|owned| owned.standing)
}

/// Whether a read found an object that is in use.
fn shows_something(answer: &Result<Option<Live>, CloudError>) -> bool {
    matches!(answer, Ok(Some(live)) if live.condition == Condition::Ready)
}

/// One wave: all reads at once. The provider bounds how many are on the wire.
async fn read_all<'a>(
    wanted: Vec<Wanted<'a>>,
    journal: &Journal,
    clouds: &impl Provider,
) -> Result<Vec<(Wanted<'a>, Observed)>, ObserveError> {
    let mut reads: FuturesUnordered<_> = wanted
        .into_iter()
        .map(|wanted| async move {
            let request = Read {
                ty: wanted.ty,
                id: &wanted.id,
                desired: wanted.desired.as_ref(),
                secrets: wanted.secrets,
            };
            let began = Instant::now();
            let mut answer = clouds.read(request).await;
            let leaving = journal.is_leaving(wanted.ty, &wanted.id);
            let unsettled = |answer: &Result<Option<Live>, CloudError>| {
                let missing = match wanted.held {
                    // What is being restored is shown as deleted until it is there.
                    Some(Standing::Creating) => answer.is_ok() && !shows_something(answer),
                    Some(Standing::Ready) => matches!(answer, Ok(None)),
                    Some(Standing::Deleting) | None => false,
                };
                missing || (leaving && shows_something(answer))
            };
            while began.elapsed() < UNSEEN && unsettled(&answer) {
                sleep(LOOK).await;
                answer = clouds.read(request).await;
            }
            (wanted, answer)
        })
        .collect();
    let (mut found, mut failed) = (Vec::new(), Vec::new());
    while let Some((wanted, answer)) = reads.next().await {
        match answer {
            Ok(Some(live)) => found.push((wanted, Observed::Found(live))),
            Ok(None) => found.push((wanted, Observed::Missing(Absence::Confirmed))),
            // A service that is switched off holds nothing of ours, unless the state says that it does.
            Err(error) if matches!(error.kind, ErrorKind::Settling { .. }) && !wanted.owned => {
                found.push((wanted, Observed::Missing(Absence::Implied)));
            }
            Err(error) => failed.push((wanted.address.clone(), error)),
        }
    }
    failed.sort_by(|left, right| left.0.cmp(&right.0));
    if failed.is_empty() { Ok(found) } else { Err(ObserveError(failed)) }
}

/// An object that was read as recorded and turned out to be the desired one is no longer a separate object.
fn settle_recorded(stack: &Stack, state: &State, inventory: &mut Inventory) {
    let resources = by_address(stack);
    inventory.recorded.retain(|address, observed| {
        let Some(Observed::Found(desired)) = inventory.desired.get(address) else { return true };
        let same_type = resources
            .get(address)
            .zip(state.resources.get(address))
            .is_some_and(|(resource, owned)| resource.ty == owned.ty);
        !(same_type && observed.live().is_some_and(|live| live.id == desired.id))
    });
}

/// A digest of each object that was read: of what a plan decides by, not of what changes by itself. A plan file holds
/// it beside all the rest of the object, so nothing sensitive goes into it that could be guessed by trying: of such a
/// place it tells that it is sensitive, and whether it is as desired.
fn digests(
    stack: &Stack,
    state: &State,
    catalogue: &Catalogue,
    order: &[&Address],
    inventory: &mut Inventory,
) {
    let mut desired = BTreeMap::new();
    walk(stack, order, inventory, |resource, _, view, _| {
        desired.insert(&resource.address, (&resource.ty, view.resolve_sealed(&resource.properties)));
    });
    let (mut digests, mut shown) = (BTreeMap::new(), BTreeMap::new());
    for (address, observed) in &inventory.desired {
        let digest = observed.live().map(|live| {
            let (ty, desired) = desired.get(address).map_or((None, None), |(ty, map)| (Some(*ty), Some(map)));
            let (digest, properties) =
                digest(live, ty, desired, state.resources.get(address), stack, catalogue);
            shown.insert(address.clone(), properties);
            digest
        });
        digests.insert(address.to_string(), digest);
    }
    let apart = |live: &Live, owned: Option<&Owned>| {
        digest(live, owned.map(|owned| &owned.ty), None, owned, stack, catalogue).0
    };
    for (address, observed) in &inventory.recorded {
        let digest = observed.live().map(|live| apart(live, state.resources.get(address)));
        digests.insert(format!("{address} (recorded)"), digest);
    }
    for (address, observed) in &inventory.replaced {
        let digest = observed.live().map(|live| apart(live, state.replaced.get(address)));
        digests.insert(format!("{address} (replaced)"), digest);
    }
    (inventory.digests, inventory.shown) = (digests, shown);
}

/// The digest of one object, and its properties with what is sensitive hidden.
fn digest(
    live: &Live,
    ty: Option<&ResourceType>,
    desired: Option<&Map>,
    owned: Option<&Owned>,
    stack: &Stack,
    catalogue: &Catalogue,
) -> (Digest, Map) {
    let owner = live.owner.as_ref().map(crate::model::Owner::to_text);
    let schema = ty.and_then(|ty| catalogue.get(ty));
    let normal = |map: &Map| schema.map_or_else(|| map.clone(), |schema| normalise(schema, map));
    let properties = withhold(&normal(&live.properties), desired, owned, stack);
    let other = match (schema, desired) {
        (Some(schema), Some(desired)) => sensitive_edits(schema, &properties, &normal(desired)),
        _ => Vec::new(),
    };
    (Digest::of(&(&live.id, &properties, other, owner, &live.condition)), properties)
}

/// Where something sensitive is not as desired.
fn sensitive_edits(schema: &Schema, live: &Map, desired: &Map) -> Vec<Path> {
    let sensitive = |value: &Option<Value>| value.as_ref().is_some_and(holds_secret);
    let edits = diff(schema, live, desired).into_iter();
    edits.filter(|edit| sensitive(&edit.before) || sensitive(&edit.after)).map(|edit| edit.path).collect()
}
