//! What all types share: ids, places, and tags with the owner's mark among them.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};

use super::errors::ours;
use crate::model::{CloudError, CloudId, Clouds, ErrorKind, Map, Owner, Property, Shape, TextRule, Value};

/// A resource group's name.
pub(super) const GROUP_NAME: TextRule = TextRule::matching(
    r"^[-\w.()]*[-\w()]$",
    "letters, digits, `-`, `_`, `.`, `(` and `)`, the last one no full stop",
)
.sized(1, 90);

/// A location's name or its display name.
pub(super) const LOCATION: Shape = Shape::Text(
    TextRule::matching("^[A-Za-z][A-Za-z0-9 ]*$", "a region's name, such as `eastus` or `West Europe`")
        .sized(2, 64),
);

/// `tags` of any type.
pub(super) const TAGS: Property = Property::new(
    "tags",
    Shape::Map(&Shape::Text(TextRule::up_to(256))),
    "Up to 49 tags; one more is mcm's own.",
);

/// Names and values by name.
pub(super) type Tags = BTreeMap<String, String>;

/// `West Europe` and `westeurope` are one location.
pub(super) fn location(value: Value) -> Value {
    match value {
        Value::Text(text) => Value::Text(same_place(&text)),
        other => other,
    }
}

/// A location as Azure names it.
pub(super) fn same_place(text: &str) -> String {
    text.chars().filter(|c| !c.is_whitespace()).flat_map(char::to_lowercase).collect()
}

/// The id of a resource group.
pub(super) fn group_id(subscription: &str, group: &str) -> String {
    format!("/subscriptions/{subscription}/resourceGroups/{group}")
}

/// The id of an account.
pub(super) fn account_id(subscription: &str, group: &str, name: &str) -> String {
    format!("{}/providers/Microsoft.CognitiveServices/accounts/{name}", group_id(subscription, group))
}

/// The resource group and, for an account, its name. Every word is fit for a path, whoever wrote the id.
pub(super) fn parse_id(
    call: &str,
    id: &CloudId,
    subscription: &str,
) -> Result<(String, Option<String>), CloudError> {
    let wrong = |why: String| {
        let mut error = ours(ErrorKind::Invalid, call, why);
        error.hint = Some(format!("an id looks like {}", account_id(subscription, "GROUP", "NAME")));
        error
    };
    let words: Vec<&str> = id.0.trim_start_matches('/').split('/').collect();
    let fixed =
        |index: usize, word: &str| words.get(index).is_some_and(|given| given.eq_ignore_ascii_case(word));
    if !(fixed(0, "subscriptions") && fixed(2, "resourceGroups") && matches!(words.len(), 4 | 8)) {
        return Err(wrong(format!("`{id}` is no id of this type")));
    }
    if !words[1].eq_ignore_ascii_case(subscription) {
        let why = format!("`{id}` lies in another subscription than {subscription}");
        return Err(CloudError { kind: ErrorKind::WrongAccount, ..wrong(why) });
    }
    let legal = |word: &str| {
        !word.is_empty()
            && word.chars().all(|c| c.is_alphanumeric() || "-_.()".contains(c))
            && word != "."
            && word != ".."
    };
    let account = words.get(7).copied();
    if words.len() == 8
        && !(fixed(4, "providers") && fixed(5, "Microsoft.CognitiveServices") && fixed(6, "accounts"))
    {
        return Err(wrong(format!("`{id}` is no id of this type")));
    }
    if !legal(words[3]) || !account.is_none_or(legal) {
        return Err(wrong(format!("`{id}` has a name that cannot be")));
    }
    Ok((words[3].to_owned(), account.map(str::to_owned)))
}

/// A property that is known text, or the place's; `None` while it is not known.
pub(super) fn text_or(properties: &Map, name: &str, default: Option<&str>) -> Option<String> {
    match properties.get(name) {
        None | Some(Value::Null) => default.map(str::to_owned),
        Some(value) => value.as_text().map(str::to_owned),
    }
}

/// The subscription of a stack.
pub(super) fn subscription(clouds: &Clouds) -> Option<&str> {
    clouds.azure.as_ref().map(|place| place.subscription.as_str())
}

/// The tags to be sent: the stack's, and the owner's mark.
pub(super) fn marked(tags: &Tags, owner: &Owner) -> Json {
    let mut all = tags.clone();
    all.insert(Owner::TAG.to_owned(), owner.to_text());
    json!(all)
}

/// The tags of a live object: the stack's, and the owner's mark out of them. Azure keeps the case of names and does
/// not tell them apart by it.
pub(super) fn split(tags: Option<&Json>) -> (Tags, Option<Owner>) {
    let mut rest = Tags::new();
    let mut owner = None;
    for (name, value) in tags.and_then(Json::as_object).into_iter().flatten() {
        let value = value.as_str().unwrap_or_default();
        if name.eq_ignore_ascii_case(Owner::TAG) {
            owner = Owner::parse(value);
        } else {
            rest.insert(name.clone(), value.to_owned());
        }
    }
    (rest, owner)
}

/// Tags as a property.
pub(super) fn property(tags: Tags) -> Value {
    Value::Map(tags.into_iter().map(|(name, value)| (name, Value::Text(value))).collect())
}

/// What is wrong with a stack's tags.
pub(super) fn check_tags(properties: &Map) -> Vec<String> {
    let Some(tags) = properties.get("tags").and_then(Value::as_map) else { return Vec::new() };
    let mut wrong = Vec::new();
    if tags.len() > 49 {
        wrong.push(format!("`tags` has {} entries; Azure allows 50, and one is mcm's own", tags.len()));
    }
    let mut seen: Vec<String> = Vec::new();
    for name in tags.keys() {
        if name.is_empty() || name.chars().count() > 512 {
            wrong.push(format!("`tags`: the name `{name}` must have 1 to 512 characters"));
        }
        if name.contains(['<', '>', '%', '&', '\\', '?', '/']) || name.chars().any(char::is_control) {
            wrong.push(format!("`tags`: the name `{name}` must have none of < > % & \\ ? /"));
        }
        let lower = name.to_lowercase();
        if lower == Owner::TAG {
            wrong.push(format!("`tags`: `{name}` is mcm's own mark"));
        }
        if seen.contains(&lower) {
            wrong.push(format!("`tags`: Azure does not tell `{name}` from a name that differs only in case"));
        }
        seen.push(lower);
    }
    wrong
}

/// Properties in plain JSON, to be decoded. What is secret is laid open: for the request alone.
pub(super) fn plain(value: &Value) -> Json {
    match value {
        Value::Secret(secret) => json!(secret.expose()),
        Value::List(items) => items.iter().map(plain).collect(),
        Value::Map(map) => {
            let members = map.iter().filter(|(_, value)| **value != Value::Null);
            Json::Object(members.map(|(name, value)| (name.clone(), plain(value))).collect())
        }
        other => other.to_json(),
    }
}

/// Decodes properties into a type's struct.
pub(super) fn decode<T: serde::de::DeserializeOwned>(call: &str, properties: &Map) -> Result<T, CloudError> {
    serde_json::from_value(plain(&Value::Map(properties.clone()))).map_err(|error| {
        ours(ErrorKind::Invalid, call, format!("the properties do not fit the type: {error}"))
    })
}
