//! Entries that were renamed: what the state owns under an address that the stack no longer has, and the stack wants under
//! another. Pure.

use super::resolve::{View, by_address, dependency_order};
use crate::model::{Address, Stack, State};

/// Gives what is owned to the addresses that want it now. Tells the former address of each, and the new one.
///
/// Only where the stack alone says which object is wanted; elsewhere a plan refuses to delete what another entry wants.
pub fn follow(stack: &Stack, state: &mut State) -> Vec<(Address, Address)> {
    let resources = by_address(stack);
    let mut view = View::public();
    let mut moved = Vec::new();
    for address in dependency_order(stack) {
        let Some(&resource) = resources.get(address) else { continue };
        let properties = view.resolve(&resource.properties);
        let predicted = (resource.schema.predict)(&properties, &stack.clouds);
        let id = (resource.schema.identify)(&properties, &stack.clouds);
        view.desire(address, properties, predicted);
        let Some(id) = id.filter(|_| !state.resources.contains_key(address)) else { continue };
        let mut left = state.resources.iter().filter(|(former, _)| !resources.contains_key(*former));
        let former = left.find(|(_, owned)| owned.ty == resource.ty && owned.id == id);
        if let Some((former, _)) = former {
            let former = former.clone();
            rename(state, &former, address);
            moved.push((former, address.clone()));
        }
    }
    moved
}

fn rename(state: &mut State, former: &Address, now: &Address) {
    for owned in [&mut state.resources, &mut state.replaced] {
        if let Some(one) = owned.remove(former) {
            owned.insert(now.clone(), one);
        }
        for one in owned.values_mut() {
            if one.dependencies.remove(former) {
                one.dependencies.insert(now.clone());
            }
        }
    }
}
