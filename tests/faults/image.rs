//! What counts in the clouds: everything but what is another one every time, and what is deleted and only kept for
//! a while.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use mcm::sandbox::World;
use regex::Regex;
use serde_json::Value as Json;

/// Tables that nobody outside of the sandbox can see, or that hold what is deleted.
const UNSEEN: &[&str] = &[
    "aws.iam.role-id",
    "gcp.operation",
    "azure.operation",
    "azure.registration",
    "azure.account.deleted",
    TAKEN,
];
/// Where the harness remembers what a stranger made.
pub const TAKEN: &str = "stranger";
/// Fields that are other ones every time.
const VOLATILE: &[&str] = &[
    "created",
    "createTime",
    "updateTime",
    "modified",
    "uid",
    "internal_id",
    "etag",
    "keys",
    "id",
    "unique_id",
    "operation",
    "key1",
    "key2",
    "earliestVersionTime",
];

/// The clouds, in a form that can be compared.
pub type Image = BTreeMap<String, Json>;

static NONCE: LazyLock<Regex> =
    LazyLock::new(|| Regex::new("(mcm[:-]owner=?|swept/[a-z.-]+)/[0-9a-f]{24}").unwrap());
static IDS: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"ARO[A-Z0-9]{18}|\d{21}").unwrap());

/// An image of the clouds as they are, with everything finished that is on its way.
pub fn image(world: &World) -> Image {
    let names = names(world);
    let mut image = Image::new();
    for (table, key, json) in world.records() {
        if UNSEEN.contains(&table) {
            continue;
        }
        let json = standing(json);
        if json.is_null() || ["deleted", "expireTime", "deleteTime"].iter().any(|gone| !json[*gone].is_null())
        {
            continue;
        }
        image.insert(format!("{table} {}", plain(key, &names)), calm(json, &names));
    }
    // What lies in something that is deleted is deleted with it.
    let pools: Vec<String> =
        image.keys().filter_map(|key| key.strip_prefix("gcp.pool ")).map(str::to_owned).collect();
    image.retain(|key, json| {
        let orphan = key.strip_prefix("gcp.pool_provider ").is_some_and(|rest| {
            !pools
                .iter()
                .any(|pool| rest.strip_prefix(pool.as_str()).is_some_and(|rest| rest.starts_with('/')))
        });
        let never_set = key.starts_with("gcp.service ") && json["enabled"] == Json::Bool(false);
        // A policy outlives what it was on, and is the empty one where there never was any.
        let empty = key.starts_with("gcp.policy serviceAccount/")
            && (json["bindings"].as_array().is_none_or(Vec::is_empty) || key.contains("/#"));
        !orphan && !never_set && !empty
    });
    image
}

/// A record as it is once everything is finished that is on its way.
fn standing(json: &Json) -> &Json {
    match json.get("next").filter(|_| json.get("now").is_some()) {
        Some(Json::Null) => &json["now"],
        Some(next) => &next["value"],
        None => json,
    }
}

/// What holds data that nobody can bring back, by name, with what the cloud calls it: another one has another id.
pub fn irreplaceable(world: &World) -> BTreeMap<String, String> {
    let databases = world.records().filter(|(table, ..)| *table == "gcp.database");
    let named = databases.filter_map(|(_, key, json)| Some((key, standing(json).get("uid")?.as_str()?)));
    named.map(|(key, uid)| (key.to_owned(), uid.to_owned())).collect()
}

/// Who bears which id.
fn names(world: &World) -> BTreeMap<String, String> {
    let mut names = BTreeMap::new();
    for (table, key, json) in world.records() {
        let text = |name: &str| json[name].as_str().unwrap_or_default().to_owned();
        match table {
            "aws.iam.role" => drop(names.insert(text("id"), format!("<{}>", text("name")))),
            "gcp.service_account" if json["deleted"].is_null() => {
                drop(names.insert(key.to_owned(), format!("<{}>", text("local"))));
            }
            _ => {}
        }
    }
    names
}

fn plain(text: &str, names: &BTreeMap<String, String>) -> String {
    let text = NONCE.replace_all(text, "$1/<nonce>");
    let named = IDS.replace_all(&text, |found: &regex::Captures<'_>| {
        names.get(&found[0]).cloned().unwrap_or_else(|| "#".to_owned())
    });
    named.into_owned()
}

fn calm(json: &Json, names: &BTreeMap<String, String>) -> Json {
    match json {
        Json::String(text) => Json::String(plain(text, names)),
        Json::Array(items) => Json::Array(items.iter().map(|item| calm(item, names)).collect()),
        Json::Object(fields) => Json::Object(
            fields
                .iter()
                .filter(|(name, _)| !VOLATILE.contains(&name.as_str()))
                .map(|(name, value)| (name.clone(), calm(value, names)))
                .collect(),
        ),
        Json::Null | Json::Bool(_) | Json::Number(_) => json.clone(),
    }
}

/// In what two images differ, in a line each; nothing where they are the same.
pub fn difference(expected: &Image, found: &Image) -> Vec<String> {
    let mut told = Vec::new();
    for (key, value) in expected {
        match found.get(key) {
            None => told.push(format!("missing: {key}")),
            Some(other) if other != value => told.push(format!("{key}: expected {value}, found {other}")),
            Some(_) => {}
        }
    }
    told.extend(
        found.keys().filter(|key| !expected.contains_key(*key)).map(|key| format!("too much: {key}")),
    );
    told
}
