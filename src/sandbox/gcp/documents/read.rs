//! Reading: one document, some, or those of a collection.

use std::collections::BTreeSet;

use serde_json::{Map, Value as Json, json};

use super::super::call::Call;
use super::super::message::{Field, Kind};
use super::super::refusal::{Refusal, Status};
use super::name::{Place, checked, document};
use super::path::{self, Path};
use super::{Document, value};
use crate::sandbox::World;

/// So many documents can be asked for at once.
const MOST: usize = 1000;

/// A document for a reader, as far as a mask lets it show.
pub(super) fn show(place: &Place, path: &str, document: &Document, mask: Option<&[Path]>) -> Json {
    let fields = match mask {
        Some(paths) => path::select(&document.fields, paths),
        None => document.fields.clone(),
    };
    let mut json = Map::new();
    json.insert("name".to_owned(), json!(place.full(path)));
    if !fields.is_empty() {
        json.insert("fields".to_owned(), value::shown(fields));
    }
    json.insert("createTime".to_owned(), json!(document.created.to_string()));
    json.insert("updateTime".to_owned(), json!(document.updated.to_string()));
    Json::Object(json)
}

/// The paths of a mask among the query parameters; none at all means no mask.
pub(super) fn mask(call: &Call<'_>, name: &str) -> Result<Option<Vec<Path>>, Refusal> {
    let paths = call.all(name);
    if paths.is_empty() {
        return Ok(None);
    }
    paths.into_iter().map(path::parse).collect::<Result<_, _>>().map(Some)
}

pub(super) fn get(
    world: &World,
    place: &Place,
    segments: &[String],
    call: &Call<'_>,
) -> Result<Json, Refusal> {
    call.accepts(&["mask.fieldPaths"])?;
    let path = document(segments)?;
    let mask = mask(call, "mask.fieldPaths")?;
    let document = world.get::<Document>(&place.key(&path)).ok_or_else(|| {
        Refusal::new(Status::NotFound, format!("Document \"{}\" not found.", place.full(&path)))
    })?;
    Ok(show(place, &path, &document, mask.as_deref()))
}

/// The documents of a collection, by their names.
pub(super) fn list(
    world: &World,
    place: &Place,
    segments: &[String],
    call: &Call<'_>,
) -> Result<Json, Refusal> {
    call.accepts(&["mask.fieldPaths", "orderBy", "pageSize", "pageToken", "showMissing"])?;
    let collection = checked(segments)?;
    let mask = mask(call, "mask.fieldPaths")?;
    if !matches!(call.parameter("orderBy"), None | Some("" | "__name__" | "__name__ asc")) {
        return Err(Refusal::field("order_by", "The sandbox orders documents by their names alone."));
    }
    if call.flag("showMissing")? {
        return Err(Refusal::field("show_missing", "The sandbox shows no missing documents."));
    }
    let prefix = place.key(&format!("{collection}/"));
    let all = world.list::<Document>(&prefix).into_iter();
    let own = all.filter(|(key, _)| !key[prefix.len()..].contains('/'));
    let items = own
        .map(|(key, document)| {
            let path = key[place.prefix.len()..].to_owned();
            let shown = show(place, &path, &document, mask.as_deref());
            (path, shown)
        })
        .collect();
    Ok(call.page(items, 100, 300)?.reply("documents", |json| json))
}

/// A stream of what was found and what is missing, as JSON writes a stream: a list.
pub(super) fn batch(world: &World, place: &Place, call: &Call<'_>) -> Result<Json, Refusal> {
    static MASK: [Field; 1] = [Field("fieldPaths", Kind::List(&Kind::Text))];
    static REQUEST: [Field; 2] =
        [Field("documents", Kind::List(&Kind::Text)), Field("mask", Kind::Message(&MASK))];
    call.accepts(&[])?;
    let fields = call.fields(&REQUEST)?;
    let names = fields.get("documents").and_then(Json::as_array).cloned().unwrap_or_default();
    if names.len() > MOST {
        return Err(Refusal::field("documents", format!("At most {MOST} documents can be read at once.")));
    }
    let mask = match fields.get("mask") {
        None => None,
        Some(mask) => {
            let paths = mask["fieldPaths"].as_array().into_iter().flatten().filter_map(Json::as_str);
            Some(paths.map(path::parse).collect::<Result<Vec<_>, _>>()?)
        }
    };
    let now = world.now().to_string();
    let mut found = Vec::new();
    for name in names.iter().filter_map(Json::as_str) {
        let path = place.path_of(name)?;
        found.push(match world.get::<Document>(&place.key(&path)) {
            Some(document) => {
                json!({ "found": show(place, &path, &document, mask.as_deref()), "readTime": now })
            }
            None => json!({ "missing": name, "readTime": now }),
        });
    }
    Ok(Json::Array(found))
}

/// The ids of the collections at the database's root, in order.
pub(super) fn collections(world: &World, place: &Place, call: &Call<'_>) -> Result<Json, Refusal> {
    static REQUEST: [Field; 2] = [Field("pageSize", Kind::Int32), Field("pageToken", Kind::Text)];
    call.accepts(&[])?;
    let fields = call.fields(&REQUEST)?;
    let size = match fields.get("pageSize").and_then(Json::as_i64).unwrap_or_default() {
        0 => 100,
        size => usize::try_from(size)
            .map_err(|_| Refusal::field("page_size", "The page size must not be negative."))?
            .min(1000),
    };
    let after = fields.get("pageToken").and_then(Json::as_str).unwrap_or_default();
    let documents = world.list::<Document>(&place.prefix);
    let id = |(key, _): &(String, Document)| key[place.prefix.len()..].split('/').next().map(str::to_owned);
    let all: BTreeSet<String> = documents.iter().filter_map(id).filter(|id| id.as_str() > after).collect();
    let page: Vec<&String> = all.iter().take(size).collect();
    let mut answer = json!({});
    if !page.is_empty() {
        answer["collectionIds"] = json!(page);
    }
    if page.len() < all.len() {
        answer["nextPageToken"] = json!(page.last());
    }
    Ok(answer)
}
