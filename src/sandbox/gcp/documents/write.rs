//! Writing: a commit's writes happen all or not at all; the single calls are commits of one write.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value as Json, json};

use super::super::call::Call;
use super::super::message::{Field, Kind, Message};
use super::super::refusal::{Refusal, Status};
use super::name::{Place, checked, document};
use super::path::{self, Path};
use super::{Document, read, transform, value};
use crate::sandbox::World;

/// So many writes fit into one commit.
const MOST: usize = 500;

/// The fields of a document that a client may send; its values are checked apart.
static DOCUMENT: [Field; 4] = [
    Field("name", Kind::Text),
    Field("fields", Kind::Opaque),
    Field("createTime", Kind::OutputOnly),
    Field("updateTime", Kind::OutputOnly),
];
static MASK: [Field; 1] = [Field("fieldPaths", Kind::List(&Kind::Text))];
static PRECONDITION: [Field; 2] = [Field("exists", Kind::Bool), Field("updateTime", Kind::Text)];
static TRANSFORM: [Field; 2] =
    [Field("document", Kind::Text), Field("fieldTransforms", Kind::List(&Kind::Message(&transform::FIELDS)))];
static WRITE: [Field; 6] = [
    Field("update", Kind::Message(&DOCUMENT)),
    Field("delete", Kind::Text),
    Field("transform", Kind::Message(&TRANSFORM)),
    Field("updateMask", Kind::Message(&MASK)),
    Field("updateTransforms", Kind::List(&Kind::Message(&transform::FIELDS))),
    Field("currentDocument", Kind::Message(&PRECONDITION)),
];
static COMMIT: &Message = &[Field("writes", Kind::List(&Kind::Message(&WRITE)))];

/// What must hold before a write.
enum Precondition {
    None,
    Exists(bool),
    Updated(Timestamp),
}

/// One write, checked.
struct Write {
    path: String,
    what: What,
    precondition: Precondition,
}

enum What {
    Delete,
    Update { fields: Map<String, Json>, mask: Option<Vec<Path>>, transforms: Vec<transform::Transform> },
}

/// What stands and what will: nothing of it reaches the world before every write has passed.
struct Staged<'w> {
    world: &'w World,
    place: &'w Place,
    changed: BTreeMap<String, Option<Document>>,
}

impl Staged<'_> {
    fn now(&self, path: &str) -> Option<Document> {
        let staged = self.changed.get(path).cloned();
        staged.unwrap_or_else(|| self.world.get(&self.place.key(path)))
    }
}

/// `POST …/documents:commit`
pub(super) fn commit(world: &mut World, place: &Place, call: &Call<'_>) -> Result<Json, Refusal> {
    call.accepts(&[])?;
    let fields = call.fields(COMMIT)?;
    let given = fields.get("writes").and_then(Json::as_array).cloned().unwrap_or_default();
    if given.len() > MOST {
        return Err(Refusal::invalid(format!("maximum {MOST} writes allowed per request")));
    }
    let writes = given.iter().map(|write| decode(place, write)).collect::<Result<Vec<_>, _>>()?;
    let results = run(world, place, writes)?;
    let results: Vec<Json> = results.into_iter().map(Done::json).collect();
    let mut reply = Map::new();
    if !results.is_empty() {
        reply.insert("writeResults".to_owned(), Json::Array(results));
    }
    reply.insert("commitTime".to_owned(), json!(micros(world.now()).to_string()));
    Ok(Json::Object(reply))
}

/// `POST …/documents/COLLECTION?documentId=ID`
pub(super) fn create(
    world: &mut World,
    place: &Place,
    segments: &[String],
    call: &Call<'_>,
) -> Result<Json, Refusal> {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    call.accepts(&["documentId", "mask.fieldPaths"])?;
    let collection = checked(segments)?;
    let given = call.fields(&DOCUMENT)?;
    if given.contains_key("name") {
        return Err(Refusal::field("document.name", "Document name must not be set on creation."));
    }
    let fields = value::fields(given.get("fields"))?;
    let mask = read::mask(call, "mask.fieldPaths")?;
    let id = match call.parameter("documentId").filter(|id| !id.is_empty()) {
        Some(id) => id.to_owned(),
        None => world.word(20, LETTERS),
    };
    let mut whole = segments.to_vec();
    whole.push(id.clone());
    // The id is one segment: it may not lead elsewhere.
    if id.contains('/') {
        return Err(Refusal::invalid(format!("Resource id \"{id}\" is invalid.")));
    }
    let path = document(&whole)?;
    debug_assert!(path.starts_with(&collection), "a document lies in its collection");
    let what = What::Update { fields, mask: None, transforms: Vec::new() };
    one(world, place, Write { path, what, precondition: Precondition::Exists(false) }, mask.as_deref())
}

/// `PATCH …/documents/PATH?updateMask.fieldPaths=…&currentDocument.exists=…`
pub(super) fn patch(
    world: &mut World,
    place: &Place,
    segments: &[String],
    call: &Call<'_>,
) -> Result<Json, Refusal> {
    call.accepts(&[
        "updateMask.fieldPaths",
        "mask.fieldPaths",
        "currentDocument.exists",
        "currentDocument.updateTime",
    ])?;
    let path = document(segments)?;
    let given = call.fields(&DOCUMENT)?;
    if given.get("name").and_then(Json::as_str).is_some_and(|name| name != place.full(&path)) {
        return Err(Refusal::field(
            "document.name",
            "The document's name is not that of the request's path.",
        ));
    }
    let fields = value::fields(given.get("fields"))?;
    let what =
        What::Update { fields, mask: read::mask(call, "updateMask.fieldPaths")?, transforms: Vec::new() };
    let precondition = precondition_of(call)?;
    let mask = read::mask(call, "mask.fieldPaths")?;
    one(world, place, Write { path, what, precondition }, mask.as_deref())
}

/// `DELETE …/documents/PATH`; deleting what is not there is no error.
pub(super) fn delete(
    world: &mut World,
    place: &Place,
    segments: &[String],
    call: &Call<'_>,
) -> Result<Json, Refusal> {
    call.accepts(&["currentDocument.exists", "currentDocument.updateTime"])?;
    let write = Write { path: document(segments)?, what: What::Delete, precondition: precondition_of(call)? };
    run(world, place, vec![write])?;
    Ok(json!({}))
}

fn one(world: &mut World, place: &Place, write: Write, mask: Option<&[Path]>) -> Result<Json, Refusal> {
    let path = write.path.clone();
    run(world, place, vec![write])?;
    let document = world.get::<Document>(&place.key(&path)).ok_or_else(Refusal::not_found)?;
    Ok(read::show(place, &path, &document, mask))
}

fn decode(place: &Place, write: &Json) -> Result<Write, Refusal> {
    let precondition =
        precondition(&write["currentDocument"]["exists"], &write["currentDocument"]["updateTime"])?;
    let transforms = |json: &Json| {
        json.as_array().into_iter().flatten().map(transform::decode).collect::<Result<Vec<_>, _>>()
    };
    let (update, delete, transform) = (&write["update"], &write["delete"], &write["transform"]);
    let (name, what) = match (update.is_object(), delete.as_str(), transform.is_object()) {
        (true, None, false) => {
            let paths = write["updateMask"]["fieldPaths"].as_array();
            // A mask without paths is one that lets nothing through.
            let masked = write["updateMask"].is_object();
            let paths = paths.into_iter().flatten().filter_map(Json::as_str).map(path::parse);
            let paths = paths.collect::<Result<Vec<Path>, Refusal>>()?;
            let mask = masked.then_some(paths);
            let fields = value::fields(update.get("fields"))?;
            let transforms = transforms(&write["updateTransforms"])?;
            (update["name"].as_str(), What::Update { fields, mask, transforms })
        }
        (false, Some(name), false) => (Some(name), What::Delete),
        (false, None, true) => {
            let transforms = transforms(&transform["fieldTransforms"])?;
            let what = What::Update { fields: Map::new(), mask: Some(Vec::new()), transforms };
            (transform["document"].as_str(), what)
        }
        _ => return Err(Refusal::invalid("A write needs exactly one of update, delete and transform.")),
    };
    Ok(Write { path: place.path_of(name.unwrap_or_default())?, what, precondition })
}

fn precondition_of(call: &Call<'_>) -> Result<Precondition, Refusal> {
    let exists = match call.parameter("currentDocument.exists") {
        None => Json::Null,
        Some(_) => Json::Bool(call.flag("currentDocument.exists")?),
    };
    precondition(&exists, &call.parameter("currentDocument.updateTime").map_or(Json::Null, Json::from))
}

fn precondition(exists: &Json, updated: &Json) -> Result<Precondition, Refusal> {
    match (exists.as_bool(), updated.as_str()) {
        (None, None) => Ok(Precondition::None),
        (Some(exists), None) => Ok(Precondition::Exists(exists)),
        (None, Some(text)) => {
            let malformed =
                || Refusal::field("current_document.update_time", format!("Invalid time: {text}"));
            text.parse().map(Precondition::Updated).map_err(|_| malformed())
        }
        (Some(_), Some(_)) => {
            Err(Refusal::field("current_document", "Only one condition can be set on the current document."))
        }
    }
}

/// What a write has done.
struct Done {
    updated: Option<Timestamp>,
    transformed: Vec<Json>,
}

impl Done {
    fn json(self) -> Json {
        let mut json = Map::new();
        if let Some(time) = self.updated {
            json.insert("updateTime".to_owned(), json!(time.to_string()));
        }
        if !self.transformed.is_empty() {
            json.insert("transformResults".to_owned(), Json::Array(self.transformed));
        }
        Json::Object(json)
    }
}

fn run(world: &mut World, place: &Place, writes: Vec<Write>) -> Result<Vec<Done>, Refusal> {
    let now = micros(world.now());
    let mut staged = Staged { world, place, changed: BTreeMap::new() };
    let done =
        writes.into_iter().map(|write| stage(&mut staged, write, now)).collect::<Result<Vec<_>, _>>()?;
    let changed = staged.changed;
    for (path, document) in changed {
        let key = place.key(&path);
        match document {
            Some(document) => world.put(&key, &document),
            None => {
                world.remove::<Document>(&key);
            }
        }
    }
    Ok(done)
}

fn stage(staged: &mut Staged<'_>, write: Write, now: Timestamp) -> Result<Done, Refusal> {
    let former = staged.now(&write.path);
    let name = staged.place.full(&write.path);
    holds(&write, former.as_ref(), &name)?;
    let What::Update { fields, mask, transforms } = write.what else {
        staged.changed.insert(write.path, None);
        return Ok(Done { updated: None, transformed: Vec::new() });
    };
    let mut next = match (&former, &mask) {
        (Some(former), Some(_)) => former.fields.clone(),
        (Some(_) | None, _) => Map::new(),
    };
    match mask {
        None => next = fields,
        Some(paths) => {
            for path in paths {
                match path::get(&fields, &path) {
                    Some(value) => path::set(&mut next, &path, value.clone()),
                    None => path::remove(&mut next, &path),
                }
            }
        }
    }
    let transformed = transforms.iter().map(|transform| transform.apply(&mut next, now)).collect();
    value::fits(&name, &next)?;
    // A document's time goes on with every write, even where the clock does not.
    let step = SignedDuration::from_micros(1);
    let after = former.as_ref().and_then(|former| former.updated.checked_add(step).ok());
    let updated = after.map_or(now, |after| after.max(now));
    let created = former.map_or(updated, |former| former.created);
    staged.changed.insert(write.path, Some(Document { fields: next, created, updated }));
    Ok(Done { updated: Some(updated), transformed })
}

fn holds(write: &Write, former: Option<&Document>, name: &str) -> Result<(), Refusal> {
    let verb = if matches!(write.what, What::Delete) { "delete" } else { "update" };
    let absent = || Refusal::new(Status::NotFound, format!("No document to {verb}: {name}"));
    match (&write.precondition, former) {
        (Precondition::None, _)
        | (Precondition::Exists(true), Some(_))
        | (Precondition::Exists(false), None) => Ok(()),
        (Precondition::Exists(true) | Precondition::Updated(_), None) => Err(absent()),
        (Precondition::Exists(false), Some(_)) => {
            Err(Refusal::new(Status::AlreadyExists, format!("Document already exists: {name}")))
        }
        (Precondition::Updated(time), Some(former)) if *time == former.updated => Ok(()),
        (Precondition::Updated(time), Some(former)) => {
            let (stored, wanted) = (former.updated.as_microsecond(), time.as_microsecond());
            let message =
                format!("the stored version ({stored}) does not match the required base version ({wanted})");
            Err(Refusal::precondition(message))
        }
    }
}

/// Firestore counts in microseconds.
fn micros(time: Timestamp) -> Timestamp {
    Timestamp::from_microsecond(time.as_microsecond()).unwrap_or(time)
}
