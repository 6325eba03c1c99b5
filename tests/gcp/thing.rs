//! One resource of the provider over a sandbox: made, read back, changed, deleted, restored.

use mcm::model::*;
use mcm::provider::{self, Router};
use mcm::sandbox::Session;
use serde_json::{Value as Json, json};
use tempfile::TempDir;

use super::lab::{access, sandbox};

pub const PROJECT: &str = "gcp-provider-tests";

/// A sandbox and the provider over it.
pub struct Lab {
    _folder: TempDir,
    pub session: Session,
    pub clouds: Clouds,
    pub router: Router,
    pub catalogue: Catalogue,
}

/// One resource under test.
pub struct Thing<'l> {
    pub lab: &'l Lab,
    pub ty: ResourceType,
    pub schema: &'static Schema,
    pub owner: Owner,
}

pub fn owner(address: &str) -> Owner {
    let address = Address::parse(address).unwrap();
    Owner { stack: "tests".to_owned(), address, nonce: Nonce("0123456789abcdef01234567".to_owned()) }
}

impl Lab {
    pub async fn new() -> Self {
        let (folder, session) = sandbox(&[PROJECT]).await;
        let gcp = Some(GcpPlace { project: PROJECT.to_owned(), endpoint: None });
        let clouds = Clouds { gcp, ..Clouds::default() };
        let router = Router::new(&clouds, &access(&session.endpoints.gcp, &session.credentials.gcp_token()));
        Self { _folder: folder, session, clouds, router, catalogue: provider::catalogue() }
    }

    pub fn thing(&self, ty: &str) -> Thing<'_> {
        let ty = ResourceType::new(ty);
        let schema = self.catalogue.get(&ty).unwrap();
        Thing { lab: self, ty, schema, owner: owner("resources.thing") }
    }

    pub async fn enable(&self, service: &str) {
        self.thing("serviceusage.googleapis.com/Service").create(&json!({ "name": service })).await;
    }
}

pub fn map(json: &Json) -> Map {
    Value::from_json(json.clone()).as_map().unwrap().clone()
}

impl Thing<'_> {
    pub fn id(&self, properties: &Json) -> CloudId {
        (self.schema.identify)(&map(properties), &self.lab.clouds).unwrap()
    }

    pub async fn try_create(&self, properties: &Json) -> Result<Live, CloudError> {
        let wrong = (self.schema.check)(&map(properties), &self.lab.clouds);
        assert!(wrong.is_empty(), "{wrong:?}");
        let (id, properties) = (self.id(properties), self.filled(&map(properties)));
        let request =
            Create { ty: &self.ty, id: &id, properties: &properties, owner: &self.owner, secrets: false };
        self.lab.router.create(request).await
    }

    pub async fn create(&self, properties: &Json) -> Live {
        let live = self.try_create(properties).await.unwrap();
        self.same(&live, properties);
        for (name, value) in (self.schema.predict)(&map(properties), &self.lab.clouds) {
            assert_eq!(live.attributes.get(&name), Some(&value), "{name} as predicted");
        }
        self.read_is(properties).await
    }

    pub async fn read(&self, properties: &Json) -> Option<Live> {
        let (id, properties) = (self.id(properties), self.filled(&map(properties)));
        let request = Read { ty: &self.ty, id: &id, desired: Some(&properties), secrets: false };
        self.lab.router.read(request).await.unwrap()
    }

    pub async fn read_is(&self, properties: &Json) -> Live {
        let live = self.read(properties).await.unwrap_or_else(|| panic!("{properties} is not there"));
        self.same(&live, properties);
        live
    }

    pub fn same(&self, live: &Live, properties: &Json) {
        assert_eq!(live.id, self.id(properties));
        let desired = self.filled(&map(properties));
        let mut found = self.filled(&live.properties);
        let unmanaged = |name: &str| matches!(self.schema.property(name).unwrap().absent, Absent::Unmanaged);
        found.retain(|name, _| desired.contains_key(name) || !unmanaged(name));
        assert_eq!(found, desired, "{}", self.ty);
        assert_eq!(live.owner.as_ref(), self.schema.marked.then_some(&self.owner));
    }

    /// With defaults, without what is empty.
    pub fn filled(&self, properties: &Map) -> Map {
        let mut filled = properties.clone();
        for property in self.schema.properties {
            if let (None, Absent::Means(default)) = (filled.get(property.name), property.absent) {
                filled.insert(property.name.to_owned(), default());
            }
        }
        filled.retain(|_, value| *value != Value::text(""));
        for value in filled.values_mut() {
            if let Value::Map(inner) = value {
                inner.retain(|_, value| value.as_list().is_none_or(|list| !list.is_empty()));
            }
        }
        filled
    }

    pub async fn update(&self, before: &Json, after: &Json) -> Live {
        let live = self.read_is(before).await;
        let (old, new) = (self.filled(&map(before)), self.filled(&map(after)));
        let names = old.keys().chain(new.keys()).filter(|name| old.get(*name) != new.get(*name));
        let changed: Vec<Path> = names.map(|name| Path(vec![Segment::Key(name.clone())])).collect();
        let id = self.id(before);
        let request = Update {
            ty: &self.ty,
            id: &id,
            before: &live,
            properties: &new,
            changed: &changed,
            owner: &self.owner,
            secrets: false,
        };
        let answered = self.lab.router.update(request).await.unwrap();
        self.same(&answered, after);
        self.read_is(after).await
    }

    /// Each variant differs from the first in one property: there and back again.
    pub async fn changes(&self, base: &Json, variants: &[(&str, Json)]) {
        for (name, value) in variants {
            let mut other = base.clone();
            if value.is_null() {
                other.as_object_mut().unwrap().remove(*name);
            } else {
                other[*name] = value.clone();
            }
            self.update(base, &other).await;
            self.update(&other, base).await;
        }
    }

    pub async fn delete(&self, properties: &Json) {
        let live = self.read(properties).await.unwrap();
        let request = Delete { ty: &self.ty, id: &live.id, before: &live, spares_data: false };
        self.lab.router.delete(request).await.unwrap();
        // Once more is as good as once.
        self.lab.router.delete(request).await.unwrap();
    }

    pub async fn is_gone(&self, properties: &Json) {
        assert_eq!(self.read(properties).await, None);
    }

    pub async fn restore(&self, properties: &Json) -> Live {
        let before = self.read(properties).await.unwrap();
        assert!(matches!(before.condition, Condition::SoftDeleted { until: Some(_) }), "{before:?}");
        assert_eq!(before.attributes["state"], Value::text("DELETED"));
        let desired = self.filled(&map(properties));
        let request = Restore {
            ty: &self.ty,
            id: &before.id,
            before: &before,
            properties: &desired,
            owner: &self.owner,
            secrets: false,
        };
        let live = self.lab.router.restore(request).await.unwrap();
        assert_eq!(live.condition, Condition::Ready);
        self.same(&live, properties);
        live
    }
}
