//! A cloud of three made-up types that keeps its objects in a map, and fails on demand.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use mcm::model::*;

const TEXT: Shape = Shape::Text(TextRule::ANY);

static PROPERTIES: &[Property] = &[
    Property::new("Name", TEXT, "").required().immutable(),
    Property::new("Size", Shape::Integer { min: 0, max: 99 }, "").default(|| 1.into()),
    Property::new("Kind", TEXT, "").immutable(),
    Property::new("Link", TEXT, ""),
];

static ATTRIBUTES: &[Attribute] = &[
    Attribute::new("Serial", "known only after it is made").unique(),
    Attribute::new("Url", "follows from the name"),
    Attribute::secret("Key", "never shown"),
];

const fn schema(ty: &'static str, marked: bool, shared: bool, deletion: Deletion) -> Schema {
    Schema {
        ty,
        doc: "",
        properties: PROPERTIES,
        attributes: ATTRIBUTES,
        name: None,
        identify: |properties, _| Some(CloudId(properties.get("Name")?.as_text()?.to_owned())),
        predict: |properties, _| {
            let name = properties.get("Name").and_then(Value::as_text);
            name.map(|name| Map::from([("Url".to_owned(), format!("https://{name}").into())]))
                .unwrap_or_default()
        },
        check: |_, _| Vec::new(),
        marked,
        shared,
        compares: false,
        deletion,
    }
}

pub static THING: Schema = schema("Test::Thing", true, false, Deletion::Recreatable { loses: "its serial" });
pub static SOFT: Schema = schema("Test::Soft", true, false, Deletion::Soft { hours: 48 });
pub static FACT: Schema = schema("Test::Fact", false, true, Deletion::Recreatable { loses: "" });
pub static PLAIN: Schema = schema("Test::Plain", false, false, Deletion::Irreversible { why: "its data" });

pub fn catalogue() -> Catalogue {
    Catalogue::new([&THING, &SOFT, &FACT, &PLAIN])
}

/// What shall go wrong, once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Refused; nothing is changed.
    Refuse(ErrorKind),
    /// Done, and answered as if it were not known.
    ReplyLost,
    /// Not done, and answered as if it were not known.
    RequestLost,
}

#[derive(Default)]
pub struct Fake {
    pub objects: Mutex<BTreeMap<String, Live>>,
    /// `call name` -> what goes wrong, as often as it stands here.
    pub faults: Mutex<Vec<(String, Fault)>>,
    /// Every change that was sent: `create a`.
    pub sent: Mutex<Vec<String>>,
    /// How many calls were under way at once, at the most.
    pub together: Mutex<(usize, usize)>,
    pub serial: Mutex<u64>,
}

impl Fake {
    pub fn fail(&self, call: &str, fault: Fault) {
        self.faults.lock().unwrap().push((call.to_owned(), fault));
    }

    pub fn names(&self) -> Vec<String> {
        let objects = self.objects.lock().unwrap();
        objects
            .values()
            .filter(|live| live.condition == Condition::Ready)
            .map(|live| live.id.0.clone())
            .collect()
    }

    /// Somebody else's doing.
    pub fn edit(&self, name: &str, property: &str, value: Value) {
        let mut objects = self.objects.lock().unwrap();
        let live = objects.get_mut(name).expect("the object is there");
        live.properties.insert(property.to_owned(), value);
    }

    pub fn sent(&self) -> Vec<String> {
        std::mem::take(&mut self.sent.lock().unwrap())
    }

    async fn change(
        &self,
        ty: &ResourceType,
        call: String,
        act: impl FnOnce(&mut BTreeMap<String, Live>) -> Result<Option<Live>, CloudError>,
    ) -> Result<Option<Live>, CloudError> {
        {
            let mut together = self.together.lock().unwrap();
            together.0 += 1;
            together.1 = together.1.max(together.0);
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
        self.together.lock().unwrap().0 -= 1;
        self.sent.lock().unwrap().push(call.clone());
        let fault = {
            let mut faults = self.faults.lock().unwrap();
            faults.iter().position(|(name, _)| *name == call).map(|position| faults.remove(position).1)
        };
        match fault {
            Some(Fault::Refuse(kind)) => Err(error(ty, &call, kind)),
            Some(Fault::RequestLost) => Err(error(ty, &call, ErrorKind::Unknown)),
            Some(Fault::ReplyLost) => {
                act(&mut self.objects.lock().unwrap())?;
                Err(error(ty, &call, ErrorKind::Unknown))
            }
            None => act(&mut self.objects.lock().unwrap()),
        }
    }
}

pub fn error(ty: &ResourceType, call: &str, kind: ErrorKind) -> CloudError {
    CloudError {
        cloud: ty.cloud(),
        call: call.to_owned(),
        kind,
        code: format!("{kind:?}").split(' ').next().unwrap_or_default().to_owned(),
        message: "as the test wants it".to_owned(),
        request_id: None,
        hint: None,
    }
}

/// A cloud that repeats what it refuses, as they do.
fn repeating(error: CloudError, properties: &Map) -> CloudError {
    let link = properties.get("Link").map_or_else(String::new, Value::to_text);
    CloudError { message: format!("{}: Value '{link}' at 'link'", error.message), ..error }
}

fn present(live: Option<Live>) -> Live {
    live.expect("an answer with an object")
}

impl Provider for Fake {
    async fn read(&self, request: Read<'_>) -> Result<Option<Live>, CloudError> {
        let live = self.objects.lock().unwrap().get(&request.id.0).cloned();
        Ok(live.map(|mut live| {
            if !request.secrets {
                live.attributes.remove("Key");
            }
            live
        }))
    }

    async fn create(&self, request: Create<'_>) -> Result<Live, CloudError> {
        let call = format!("create {}", request.id);
        let serial = {
            let mut serial = self.serial.lock().unwrap();
            *serial += 1;
            *serial
        };
        let marked = catalogue().get(request.ty).is_some_and(|schema| schema.marked);
        let live = Live {
            id: request.id.clone(),
            properties: request.properties.clone(),
            attributes: Map::from([
                ("Serial".to_owned(), format!("s{serial}").into()),
                ("Url".to_owned(), format!("https://{}", request.id).into()),
                ("Key".to_owned(), Value::Secret(Secret::new(format!("key-{serial}")))),
            ]),
            etag: None,
            owner: marked.then(|| request.owner.clone()),
            condition: Condition::Ready,
        };
        let made = self.change(request.ty, call.clone(), |objects| {
            if objects.contains_key(&live.id.0) {
                return Err(error(request.ty, &call, ErrorKind::AlreadyExists));
            }
            objects.insert(live.id.0.clone(), live.clone());
            Ok(Some(live.clone()))
        });
        Ok(present(made.await.map_err(|error| repeating(error, request.properties))?))
    }

    async fn update(&self, request: Update<'_>) -> Result<Live, CloudError> {
        let call = format!("update {}", request.id);
        let changed = self.change(request.ty, call.clone(), |objects| {
            let marked = catalogue().get(request.ty).is_some_and(|schema| schema.marked);
            let live = objects
                .get_mut(&request.id.0)
                .ok_or_else(|| error(request.ty, &call, ErrorKind::NotFound))?;
            live.properties = request.properties.clone();
            live.owner = marked.then(|| request.owner.clone());
            Ok(Some(live.clone()))
        });
        Ok(present(changed.await.map_err(|error| repeating(error, request.properties))?))
    }

    async fn delete(&self, request: Delete<'_>) -> Result<(), CloudError> {
        let call = format!("delete {}", request.id);
        let soft = request.ty.as_str() == SOFT.ty;
        let deleted = self.change(request.ty, call.clone(), |objects| {
            let holds = |live: &Live| live.attributes.contains_key("Data");
            if request.spares_data && objects.get(&request.id.0).is_some_and(holds) {
                return Err(error(request.ty, &call, ErrorKind::NotEmpty));
            }
            if soft {
                if let Some(live) = objects.get_mut(&request.id.0) {
                    live.condition = Condition::SoftDeleted { until: None };
                }
            } else {
                objects.remove(&request.id.0);
            }
            Ok(None)
        });
        deleted.await.map(|_| ())
    }

    async fn restore(&self, request: Restore<'_>) -> Result<Live, CloudError> {
        let call = format!("restore {}", request.id);
        let restored = self.change(request.ty, call, |objects| {
            let live = objects.get_mut(&request.id.0).expect("the object is there");
            live.condition = Condition::Ready;
            Ok(Some(live.clone()))
        });
        Ok(present(restored.await?))
    }
}

/// Keeps every state that was recorded, and every entry.
#[derive(Default)]
pub struct Book(pub Vec<State>, pub Vec<Entry>);

impl Ledger for Book {
    async fn record(&mut self, entries: &[Entry], state: &State) -> Result<(), LedgerError> {
        self.0.push(state.clone());
        self.1.extend_from_slice(entries);
        Ok(())
    }
}
