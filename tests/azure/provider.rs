//! The provider against the sandbox, through the port that the engine uses.

use std::collections::BTreeSet;
use std::time::Duration;

use mcm::model::*;
use mcm::provider::{self, Access, AzureAccess, Router};
use mcm::sandbox::{Accounts, Options, Session};
use serde_json::{Value as Json, json};
use tempfile::TempDir;

use super::SUBSCRIPTION;

/// A sandbox, a provider over it, and a resource group `lab`.
struct Bench {
    session: Session,
    router: Router,
    clouds: Clouds,
    _folder: TempDir,
}

const GROUP: &str = "Microsoft.Resources/resourceGroups";
const ACCOUNT: &str = "Microsoft.CognitiveServices/accounts";

fn map(json: Json) -> Map {
    Value::from_json(json).as_map().cloned().unwrap()
}

fn owner(nonce: char) -> Owner {
    let address = Address::resource("vision");
    Owner { stack: "lab".to_owned(), address, nonce: Nonce(nonce.to_string().repeat(24)) }
}

impl Bench {
    async fn empty() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let accounts = Accounts { azure: [SUBSCRIPTION.to_owned()].into(), ..Accounts::default() };
        let options =
            Options { data: folder.path().to_owned(), port: None, latency: Duration::ZERO, accounts };
        let session = Session::open(options).await.unwrap();
        let clouds = clouds(SUBSCRIPTION);
        let router = router(&clouds, &session.endpoints.azure, &session.credentials.azure_token());
        Self { session, router, clouds, _folder: folder }
    }

    async fn new() -> Self {
        let bench = Self::empty().await;
        bench.create(GROUP, &map(json!({ "name": "lab" }))).await.unwrap();
        bench
    }

    fn id(&self, ty: &str, properties: &Map) -> CloudId {
        (schema(ty).identify)(properties, &self.clouds).unwrap()
    }

    async fn create(&self, ty: &str, properties: &Map) -> Result<Live, CloudError> {
        let (ty, id) = (ResourceType::new(ty), self.id(ty, properties));
        let request = Create { ty: &ty, id: &id, properties, owner: &owner('a'), secrets: false };
        self.router.create(request).await
    }

    async fn read(&self, ty: &str, properties: &Map) -> Option<Live> {
        let (ty, id) = (ResourceType::new(ty), self.id(ty, properties));
        let request = Read { ty: &ty, id: &id, desired: Some(properties), secrets: true };
        self.router.read(request).await.unwrap()
    }

    async fn update(
        &self,
        ty: &str,
        before: &Live,
        properties: &Map,
        changed: &[Path],
    ) -> Result<Live, CloudError> {
        let ty = ResourceType::new(ty);
        let request = Update {
            ty: &ty,
            id: &before.id,
            before,
            properties,
            changed,
            owner: &owner('a'),
            secrets: false,
        };
        self.router.update(request).await
    }

    async fn delete(&self, ty: &str, before: &Live) -> Result<(), CloudError> {
        let ty = ResourceType::new(ty);
        self.router.delete(Delete { ty: &ty, id: &before.id, before, spares_data: false }).await
    }
}

fn clouds(subscription: &str) -> Clouds {
    let place = AzurePlace {
        subscription: subscription.to_owned(),
        resource_group: "lab".to_owned(),
        location: "East US".to_owned(),
        endpoint: None,
    };
    Clouds { azure: Some(place), ..Clouds::default() }
}

fn router(clouds: &Clouds, endpoint: &str, token: &str) -> Router {
    let azure =
        AzureAccess { endpoint: Some(endpoint.to_owned()), token: Some(Secret::new(token)), dial: None };
    Router::new(clouds, &Access { azure, ..Access::default() })
}

fn schema(ty: &str) -> &'static Schema {
    provider::catalogue().get(&ResourceType::new(ty)).unwrap()
}

/// An account with every default spelled out, in plain JSON: two accounts are equal if these are.
fn full(properties: &Map) -> Json {
    let mut whole = json!({
        "name": "vision", "resourceGroup": "lab", "location": "eastus", "tags": {},
        "properties": {
            "publicNetworkAccess": "Enabled", "disableLocalAuth": false, "restrictOutboundNetworkAccess": false,
            "dynamicThrottlingEnabled": false, "allowedFqdnList": [],
            "networkAcls": { "defaultAction": "Allow", "ipRules": [], "virtualNetworkRules": [] },
        },
    });
    overlay(&mut whole, &Value::Map(properties.clone()).to_json());
    whole
}

fn overlay(under: &mut Json, over: &Json) {
    let (Json::Object(under), Json::Object(over)) = (under, over) else { return };
    for (name, value) in over {
        match (under.get_mut(name), value) {
            (_, Json::Null) => {}
            (Some(below @ Json::Object(_)), Json::Object(_)) if name != "tags" => overlay(below, value),
            _ => {
                under.insert(name.clone(), value.clone());
            }
        }
    }
}

/// Every property, as the engine names what has changed.
fn everything() -> Vec<Path> {
    let inner = schema(ACCOUNT).property("properties").unwrap();
    let Shape::Object(inner) = inner.shape else { panic!("an object") };
    let inner = inner.iter().map(|property| Path::default().key("properties").key(property.name));
    inner.chain(["sku", "tags"].map(|name| Path::default().key(name))).collect()
}

fn vision(properties: Json) -> Map {
    let mut vision = map(json!({
        "name": "vision", "kind": "ComputerVision", "sku": { "name": "S1" }, "tags": { "team": "a" },
    }));
    vision.insert("properties".to_owned(), Value::from_json(properties));
    vision
}

#[tokio::test]
async fn what_is_created_reads_as_it_was_desired() {
    let bench = Bench::new().await;
    let desired = vision(json!({
        "customSubDomainName": "lab-vision", "publicNetworkAccess": "Disabled", "disableLocalAuth": false,
        "networkAcls": { "defaultAction": "Deny", "ipRules": [{ "value": "192.0.2.1" }, { "value": "198.51.100.0/24" }] },
        "restrictOutboundNetworkAccess": true, "allowedFqdnList": ["example.org", "*.example.com"],
        "dynamicThrottlingEnabled": true,
    }));
    let made = bench.create(ACCOUNT, &desired).await.unwrap();
    assert_eq!(full(&made.properties), full(&desired));
    assert_eq!(made.owner, Some(owner('a')));
    assert_eq!(made.condition, Condition::Ready);
    assert!(!made.attributes.contains_key("keys"), "nobody asked for the keys");
    // What the plan foretold is so.
    let foretold = (schema(ACCOUNT).predict)(&desired, &bench.clouds);
    assert_eq!(made.attributes["id"], foretold["id"]);
    let endpoint = |attributes: &Map| attributes["properties"].at(&["endpoint"]).cloned();
    assert_eq!(endpoint(&made.attributes), endpoint(&foretold));

    let read = bench.read(ACCOUNT, &desired).await.unwrap();
    assert_eq!(full(&read.properties), full(&desired));
    assert!(matches!(read.attributes["keys"].at(&["key1"]), Some(Value::Secret(_))));
    assert!(read.properties["tags"].at(&["mcm:owner"]).is_none());
}

#[tokio::test]
async fn an_account_with_nothing_but_defaults() {
    let bench = Bench::new().await;
    let desired = map(json!({ "name": "vision", "kind": "ComputerVision", "sku": { "name": "F0" } }));
    let made = bench.create(ACCOUNT, &desired).await.unwrap();
    assert_eq!(full(&made.properties), full(&desired));
    let foretold = (schema(ACCOUNT).predict)(&desired, &bench.clouds);
    assert_eq!(made.attributes["properties"].at(&["endpoint"]), foretold["properties"].at(&["endpoint"]));
    // In the form in which the engine sends it, with every default spelled out.
    bench.delete(ACCOUNT, &made).await.unwrap();
    let spelled = Value::from_json(full(&map(json!({
        "name": "second", "kind": "ComputerVision", "sku": { "name": "S1" },
    }))));
    let spelled = spelled.as_map().unwrap();
    assert_eq!(full(&bench.create(ACCOUNT, spelled).await.unwrap().properties), full(spelled));
}

/// From each setting to the next and, at the end, back to all defaults.
#[tokio::test]
async fn each_property_is_changed_in_place() {
    let bench = Bench::new().await;
    let first = vision(json!({}));
    let mut live = bench.create(ACCOUNT, &first).await.unwrap();
    let settings = [
        json!({ "customSubDomainName": "lab-vision" }),
        json!({ "customSubDomainName": "lab-vision", "publicNetworkAccess": "Disabled" }),
        json!({ "customSubDomainName": "lab-vision", "networkAcls": { "defaultAction": "Deny" } }),
        json!({ "customSubDomainName": "lab-vision", "networkAcls": { "ipRules": [{ "value": "192.0.2.1" }] } }),
        json!({ "customSubDomainName": "lab-vision", "disableLocalAuth": true }),
        json!({ "customSubDomainName": "lab-vision", "restrictOutboundNetworkAccess": true, "allowedFqdnList": ["b.example", "a.example"] }),
        json!({ "customSubDomainName": "lab-vision", "dynamicThrottlingEnabled": true }),
        json!({ "customSubDomainName": "lab-vision" }),
    ];
    let mut turns: Vec<Map> = settings.into_iter().map(vision).collect();
    let last = turns.last().unwrap().clone();
    for (name, value) in
        [("sku", json!({ "name": "F0" })), ("tags", json!({ "team": "b", "new": "" })), ("tags", Json::Null)]
    {
        let mut turn = last.clone();
        turn.insert(name.to_owned(), Value::from_json(value));
        turns.push(turn);
    }
    for desired in turns {
        assert_ne!(full(&live.properties), full(&desired));
        live = bench.update(ACCOUNT, &live, &desired, &everything()).await.unwrap();
        assert_eq!(full(&live.properties), full(&desired));
        assert_eq!(live.owner, Some(owner('a')));
    }
}

/// A body names what has changed and nothing else: what someone else set meanwhile stays.
#[tokio::test]
async fn what_has_not_changed_is_left_alone() {
    let bench = Bench::new().await;
    let desired = vision(json!({ "disableLocalAuth": true }));
    let mut live = bench.create(ACCOUNT, &desired).await.unwrap();
    let changed = vision(json!({ "dynamicThrottlingEnabled": true }));
    let path = Path::default().key("properties").key("dynamicThrottlingEnabled");
    live = bench.update(ACCOUNT, &live, &changed, &[path]).await.unwrap();
    let both = vision(json!({ "disableLocalAuth": true, "dynamicThrottlingEnabled": true }));
    assert_eq!(full(&live.properties), full(&both));
}

#[tokio::test]
async fn a_deleted_account_is_seen_and_restored_under_a_new_mark() {
    let bench = Bench::new().await;
    let desired = vision(json!({ "customSubDomainName": "lab-vision" }));
    let made = bench.create(ACCOUNT, &desired).await.unwrap();
    bench.delete(ACCOUNT, &made).await.unwrap();
    bench.delete(ACCOUNT, &made).await.unwrap();

    let deleted = bench.read(ACCOUNT, &desired).await.unwrap();
    let Condition::SoftDeleted { until: Some(until) } = deleted.condition else {
        panic!("{:?}", deleted.condition)
    };
    let hours = (until - jiff::Timestamp::now()).total(jiff::Unit::Hour).unwrap();
    assert!((47.0..49.0).contains(&hours), "{hours}");
    assert_eq!(deleted.owner, Some(owner('a')));
    assert_eq!(full(&deleted.properties), full(&desired));
    // Without knowing where it was, too.
    let ty = ResourceType::new(ACCOUNT);
    let blind = Read { ty: &ty, id: &made.id, desired: None, secrets: false };
    assert_eq!(bench.router.read(blind).await.unwrap().unwrap().condition, deleted.condition);

    let error = bench.create(ACCOUNT, &desired).await.unwrap_err();
    assert_eq!((error.kind, error.code.as_str()), (ErrorKind::AlreadyExists, "FlagMustBeSetForRestore"));

    let request = Restore {
        ty: &ty,
        id: &made.id,
        before: &deleted,
        properties: &desired,
        owner: &owner('b'),
        secrets: true,
    };
    let restored = bench.router.restore(request).await.unwrap();
    assert_eq!(restored.condition, Condition::Ready);
    assert_eq!(restored.owner, Some(owner('b')));
    assert_eq!(full(&restored.properties), full(&desired));
    assert_eq!(restored.attributes["properties"], made.attributes["properties"]);
    // The update that follows comes with what the plan saw.
    let mut changed = desired.clone();
    changed.insert("tags".to_owned(), Value::Null);
    let live = bench.update(ACCOUNT, &deleted, &changed, &[Path::default().key("tags")]).await.unwrap();
    assert_eq!(full(&live.properties), full(&changed));
}

#[tokio::test]
async fn a_change_behind_our_back_stops_an_update() {
    let bench = Bench::new().await;
    let desired = vision(json!({}));
    let seen = bench.create(ACCOUNT, &desired).await.unwrap();
    let tags = [Path::default().key("tags")];
    bench.update(ACCOUNT, &seen, &desired, &tags).await.unwrap();
    let error = bench.update(ACCOUNT, &seen, &desired, &tags).await.unwrap_err();
    assert_eq!((error.kind, error.code.as_str()), (ErrorKind::Conflict, "PreconditionFailed"));
}

#[tokio::test]
async fn what_is_there_is_never_taken_over() {
    let bench = Bench::new().await;
    let desired = vision(json!({}));
    bench.create(ACCOUNT, &desired).await.unwrap();
    assert_eq!(bench.create(ACCOUNT, &desired).await.unwrap_err().kind, ErrorKind::AlreadyExists);
    let group = map(json!({ "name": "lab" }));
    assert_eq!(bench.create(GROUP, &group).await.unwrap_err().kind, ErrorKind::AlreadyExists);
}

#[tokio::test]
async fn a_group_lives_and_is_deleted_only_when_empty() {
    let bench = Bench::new().await;
    let desired = map(json!({ "name": "lab", "tags": { "team": "a" } }));
    let before = bench.read(GROUP, &desired).await.unwrap();
    assert_eq!(before.properties["location"], "eastus".into());
    let live = bench.update(GROUP, &before, &desired, &[Path::default().key("tags")]).await.unwrap();
    assert_eq!(live.properties["tags"], desired["tags"]);
    assert_eq!(live.owner, Some(owner('a')));
    let account = bench.create(ACCOUNT, &vision(json!({}))).await.unwrap();
    let error = bench.delete(GROUP, &live).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::NotEmpty);
    assert!(error.message.contains("Microsoft.CognitiveServices/accounts/vision"), "{error}");
    bench.delete(ACCOUNT, &account).await.unwrap();
    bench.delete(GROUP, &live).await.unwrap();
    assert_eq!(bench.read(GROUP, &desired).await, None);
    bench.delete(GROUP, &live).await.unwrap();
    assert_eq!(
        bench.read(ACCOUNT, &vision(json!({}))).await.map(|live| live.condition == Condition::Ready),
        Some(false)
    );
}

#[tokio::test]
async fn the_guard_knows_the_subscription() {
    let bench = Bench::empty().await;
    assert_eq!(Box::pin(bench.router.guard()).await, []);
    let endpoint = &bench.session.endpoints.azure;
    let kinds = |errors: Vec<CloudError>| errors.into_iter().map(|error| error.kind).collect::<Vec<_>>();

    let other = clouds("99999999-2222-4333-8444-555555555555");
    let elsewhere = router(&other, endpoint, &bench.session.credentials.azure_token());
    let wrong = Box::pin(elsewhere.guard()).await;
    assert!(wrong[0].hint.is_some());
    assert_eq!(kinds(wrong), [ErrorKind::WrongAccount]);

    let thief = router(&bench.clouds, endpoint, "stolen");
    let stolen = Box::pin(thief.guard()).await;
    assert_eq!(stolen[0].code, "InvalidAuthenticationToken");
    assert_eq!(kinds(stolen), [ErrorKind::Credentials]);

    let far = router(&bench.clouds, "http://management.azure.example", "t");
    let plain = Box::pin(far.guard()).await;
    assert_eq!(kinds(plain), [ErrorKind::Invalid]);
}

#[tokio::test]
async fn the_clouds_own_words_reach_the_user() {
    let bench = Bench::new().await;
    bench.create(ACCOUNT, &vision(json!({ "customSubDomainName": "taken" }))).await.unwrap();
    let cases = [
        (
            json!({ "name": "two", "properties": { "customSubDomainName": "taken" } }),
            ErrorKind::Invalid,
            "CustomDomainInUse",
        ),
        (json!({ "name": "two", "kind": "ComputerVison" }), ErrorKind::Invalid, "InvalidApiSetId"),
        (json!({ "name": "two", "resourceGroup": "nobody" }), ErrorKind::NotFound, "ResourceGroupNotFound"),
    ];
    for (change, kind, code) in cases {
        let mut desired = vision(json!({}));
        desired.extend(map(change));
        let error = bench.create(ACCOUNT, &desired).await.unwrap_err();
        assert_eq!((error.kind, error.code.as_str()), (kind, code), "{error}");
        assert_eq!(error.call, "Microsoft.CognitiveServices/accounts/write");
        assert!(error.request_id.is_some());
    }
}

#[test]
fn a_stacks_tags_and_network_rules_are_checked_early() {
    let check = |properties: Json| (schema(ACCOUNT).check)(&map(properties), &clouds(SUBSCRIPTION));
    assert_eq!(check(json!({ "tags": { "a": "b" } })), Vec::<String>::new());
    let many: BTreeSet<String> = (0..50).map(|n| format!("tag{n}")).collect();
    let many: serde_json::Map<String, Json> = many.into_iter().map(|name| (name, json!(""))).collect();
    let cases = [
        json!({ "tags": many }),
        json!({ "tags": { "a/b": "c" } }),
        json!({ "tags": { "Team": "a", "team": "b" } }),
        json!({ "tags": { "mcm:owner": "me" } }),
        json!({ "properties": { "networkAcls": { "defaultAction": "Deny" } } }),
    ];
    for case in cases {
        assert_eq!(check(case.clone()).len(), 1, "{case}");
    }
}
