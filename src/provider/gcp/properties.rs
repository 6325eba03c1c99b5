//! Between property maps and Google's types, and the rules that several types share.

use crate::model::{CloudError, CloudId, Clouds, ErrorKind, Map, Owner, TextRule, Value};

use super::failure;

/// The id rule of pools and providers; see also [`reserved`].
pub(super) const POOL_ID: TextRule =
    TextRule::matching("[a-z0-9-]+", "4 to 32 lower-case letters, digits and `-`").sized(4, 32);

/// Ids that Google keeps for itself.
pub(super) fn reserved(map: &Map, name: &str) -> Option<String> {
    let id = map.get(name).and_then(Value::as_text)?;
    id.starts_with("gcp-").then(|| format!("`{name}` begins with `gcp-`, which Google keeps for itself"))
}

/// The room for a user's description. Google allows 256 characters; the rest is for the mark of ownership, which has
/// to stand there because pools, providers and service accounts take no labels.
pub(super) const DESCRIPTION: TextRule = TextRule::up_to(128);
/// Google's limit, mark included.
const DESCRIPTION_MOST: usize = 256;

/// The text of a property; empty if it is not set.
pub(super) fn text(map: &Map, name: &str) -> String {
    map.get(name).and_then(Value::as_text).unwrap_or_default().to_owned()
}

/// The flag of a property; not set is `false`.
pub(super) fn flag(map: &Map, name: &str) -> bool {
    matches!(map.get(name), Some(Value::Bool(true)))
}

/// A map of those that are set.
pub(super) fn known<const N: usize>(pairs: [(&str, Option<Value>); N]) -> Map {
    pairs.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
}

/// Text that is set and not empty.
pub(super) fn some_text(text: Option<&String>) -> Option<Value> {
    text.filter(|text| !text.is_empty()).map(|text| Value::text(text.as_str()))
}

/// `projects/PROJECT/` and what follows.
pub(super) fn in_project(clouds: &Clouds, rest: &str) -> Option<CloudId> {
    let project = &clouds.gcp.as_ref()?.project;
    Some(CloudId(format!("projects/{project}/{rest}")))
}

/// The user's description with the owner's mark behind it.
pub(super) fn described(properties: &Map, owner: &Owner, call: &str) -> Result<String, CloudError> {
    let description = owner.describe(&text(properties, "description"));
    if description.len() <= DESCRIPTION_MOST {
        return Ok(description);
    }
    Err(CloudError {
        hint: Some("shorten the description, the stack's name or the logical name".to_owned()),
        ..failure::own(
            call,
            ErrorKind::Invalid,
            format!(
                "the description and the mark of ownership behind it are {} bytes long; Google takes {DESCRIPTION_MOST}",
                description.len()
            ),
        )
    })
}

/// What a description says, and whose mark it bears.
pub(super) fn undescribed(description: Option<&String>) -> (Option<Value>, Option<Owner>) {
    let (text, owner) = Owner::split(description.map_or("", String::as_str));
    ((!text.is_empty()).then(|| Value::text(text)), owner)
}
