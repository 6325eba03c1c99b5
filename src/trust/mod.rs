//! A trust edge between clouds -> the resources that make it.

use crate::model::{Catalogue, Diagnostic, Expansion, Stack, TrustEdge};

/// The [`crate::model::Expander`] of the `trust` section.
pub fn expand(
    edge: &TrustEdge,
    _stack: &Stack,
    _catalogue: &Catalogue,
) -> Result<Expansion, Vec<Diagnostic>> {
    Err(vec![Diagnostic::error("trusts cannot be expanded yet").at(edge.location.clone())])
}
