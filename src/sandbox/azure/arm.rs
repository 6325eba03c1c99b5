//! Rules that hold for every resource: versions, names, tags, places.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json};

use super::super::World;
use super::locations;
use super::wire::{Call, Refusal, unreadable};

/// Tags of one object. Names are case-insensitive and keep the case they were given.
pub(super) type Tags = BTreeMap<String, String>;

/// Versions of `Microsoft.Resources`, newest first.
pub(super) const RESOURCES: &[&str] = &[
    "2025-04-01",
    "2025-03-01",
    "2024-11-01",
    "2024-07-01",
    "2024-03-01",
    "2023-07-01",
    "2022-12-01",
    "2022-09-01",
    "2021-04-01",
    "2021-01-01",
    "2020-10-01",
    "2020-08-01",
    "2020-06-01",
    "2020-01-01",
    "2019-11-01",
    "2019-10-01",
    "2019-08-01",
    "2019-07-01",
    "2019-06-01",
    "2019-05-10",
    "2019-05-01",
    "2018-05-01",
    "2018-02-01",
    "2017-05-10",
    "2016-09-01",
    "2016-06-01",
    "2015-11-01",
    "2015-01-01",
];

/// Stable versions of `Microsoft.CognitiveServices`, newest first.
pub(super) const COGNITIVE: &[&str] = &[
    "2025-09-01",
    "2025-06-01",
    "2024-10-01",
    "2023-05-01",
    "2022-12-01",
    "2022-10-01",
    "2022-03-01",
    "2021-10-01",
    "2021-04-30",
    "2017-04-18",
];

/// The version a request asks for. ARM looks for it before it looks at the credentials.
pub(super) fn version<'c>(call: &'c Call<'_>) -> Result<&'c str, Refusal> {
    call.query.get("api-version").map(String::as_str).filter(|version| !version.is_empty()).ok_or_else(|| {
        Refusal::new(
            400,
            "MissingApiVersionParameter",
            "The api-version query parameter (?api-version=) is required for all requests.",
        )
    })
}

/// Whether a version of `Microsoft.Resources` exists.
pub(super) fn resources_version(version: &str) -> Result<(), Refusal> {
    if RESOURCES.contains(&version) {
        return Ok(());
    }
    let known = RESOURCES.join(",");
    Err(Refusal::new(
        400,
        "InvalidApiVersionParameter",
        format!("The api-version '{version}' is invalid. The supported versions are '{known}'."),
    ))
}

/// Whether a version of a Cognitive Services type exists.
pub(super) fn cognitive_version(version: &str, ty: &str) -> Result<(), Refusal> {
    if COGNITIVE.contains(&version) {
        return Ok(());
    }
    let (known, places) = (COGNITIVE.join(", "), locations::list());
    Err(Refusal::new(
        400,
        "NoRegisteredProviderFound",
        format!(
            "No registered resource provider found for location '' and API version '{version}' for type '{ty}'. \
             The supported api-versions are '{known}'. The supported locations are '{places}'."
        ),
    ))
}

/// The subscription's id in lower case, if the sandbox plays it.
pub(super) fn subscription(world: &World, id: &str) -> Result<String, Refusal> {
    let lower = id.to_lowercase();
    if !is_uuid(&lower) {
        return Err(Refusal::new(
            400,
            "InvalidSubscriptionId",
            format!("The provided subscription identifier '{id}' is malformed or invalid."),
        ));
    }
    if world.accounts().azure.contains(&lower) {
        return Ok(lower);
    }
    Err(Refusal::new(404, "SubscriptionNotFound", format!("The subscription '{id}' could not be found.")))
}

/// Whether a lower-case text is a UUID.
pub(super) fn is_uuid(text: &str) -> bool {
    let groups: Vec<usize> = text.split('-').map(str::len).collect();
    groups == [8, 4, 4, 4, 12] && text.bytes().all(|b| b == b'-' || b.is_ascii_hexdigit())
}

/// The `tags` member. Limits of the resource manager: 50 tags, names up to 512 characters without `<>%&\?/`,
/// values up to 256.
pub(super) fn tags(map: &Map<String, Json>) -> Result<Option<Tags>, Refusal> {
    let Some(json) = map.get("tags") else { return Ok(None) };
    let Json::Object(given) = json else {
        return Err(unreadable("Error converting value to type 'InsensitiveDictionary`1'. Path 'tags'"));
    };
    let mut tags = Tags::new();
    for (name, value) in given {
        let Json::String(value) = value else {
            return Err(Refusal::new(
                400,
                "InvalidTagValueType",
                format!("The tag '{name}' has a value that is not text."),
            ));
        };
        check_tag(name, value)?;
        if tags.keys().any(|other| other.eq_ignore_ascii_case(name)) {
            return Err(unreadable(&format!(
                "An item with the same key has already been added. Path 'tags.{name}'"
            )));
        }
        tags.insert(name.clone(), value.clone());
    }
    if tags.len() > 50 {
        // The code of this refusal is not documented.
        return Err(Refusal::new(
            400,
            "InvalidTagCount",
            format!("The number of tags '{}' exceeds the maximum of '50'.", tags.len()),
        ));
    }
    Ok(Some(tags))
}

/// One tag's limits.
fn check_tag(name: &str, value: &str) -> Result<(), Refusal> {
    if name.is_empty() || name.trim() != name {
        return Err(Refusal::new(400, "InvalidTagName", "The tag name must not be null, empty or padded."));
    }
    if name.contains(['<', '>', '%', '&', '\\', '?', '/']) || name.chars().any(char::is_control) {
        return Err(Refusal::new(
            400,
            "InvalidTagNameCharacters",
            format!(
                "The tag names '{name}' have reserved characters '<,>,%,&,\\,?,/' or control characters."
            ),
        ));
    }
    if name.chars().count() > 512 {
        return Err(Refusal::new(400, "InvalidTagName", "Tag key too large. The maximum is 512 characters."));
    }
    if value.chars().count() > 256 {
        return Err(Refusal::new(
            400,
            "InvalidTagValueLength",
            format!("The value of tag '{name}' is too long. The maximum is 256 characters."),
        ));
    }
    Ok(())
}

/// An instant as Azure writes it, with seven digits.
pub(super) fn stamp(instant: jiff::Timestamp) -> String {
    format!("{instant:.7}")
}
