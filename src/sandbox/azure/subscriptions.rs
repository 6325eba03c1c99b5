//! Tenants, subscriptions, locations, and the registration of resource providers.

use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use super::super::world::Record;
use super::super::{AZURE_TENANT, World};
use super::arm;
use super::locations::REGIONS;
use super::wire::{Answer, Refusal, Reply};

/// The provider of Cognitive Services.
const COGNITIVE: &str = "Microsoft.CognitiveServices";

/// A registration of a resource provider that was asked for. A new subscription has none.
#[derive(Serialize, Deserialize)]
struct Registration {
    /// How many looks see it in progress.
    looks_left: u8,
}

impl Record for Registration {
    const TABLE: &'static str = "azure.registration";
}

/// `GET /tenants`
pub(super) fn tenants() -> Reply {
    Reply::list(vec![json!({
        "id": format!("/tenants/{AZURE_TENANT}"),
        "tenantId": AZURE_TENANT,
        "countryCode": "US",
        "displayName": "mcm sandbox",
        "domains": ["sandbox.onmicrosoft.com"],
        "tenantCategory": "Home",
        "defaultDomain": "sandbox.onmicrosoft.com",
        "tenantType": "AAD",
    })])
}

/// `GET /subscriptions`
pub(super) fn list(world: &World) -> Reply {
    Reply::list(world.accounts().azure.iter().map(|id| show(id)))
}

/// `GET /subscriptions/ID`
pub(super) fn get(id: &str) -> Reply {
    Reply::json(200, show(id))
}

fn show(id: &str) -> Json {
    json!({
        "id": format!("/subscriptions/{id}"),
        "authorizationSource": "RoleBased",
        "managedByTenants": [],
        "subscriptionId": id,
        "tenantId": AZURE_TENANT,
        "displayName": "mcm sandbox",
        "state": "Enabled",
        "subscriptionPolicies": {
            "locationPlacementId": "Public_2014-09-01",
            "quotaId": "PayAsYouGo_2014-09-01",
            "spendingLimit": "Off",
        },
    })
}

/// `GET /subscriptions/ID/locations`
pub(super) fn locations(id: &str) -> Reply {
    let show = |name: &str, display: &str| {
        json!({
            "id": format!("/subscriptions/{id}/locations/{name}"),
            "name": name,
            "type": "Region",
            "displayName": display,
            "regionalDisplayName": display,
            "metadata": { "regionType": "Physical", "regionCategory": "Recommended" },
        })
    };
    Reply::list(REGIONS.iter().map(|region| show(region.name, region.display)))
}

/// Whether the subscription may use Cognitive Services.
pub(super) fn require_cognitive(world: &World, subscription: &str) -> Result<(), Refusal> {
    let registration: Option<Registration> = world.get(&key(subscription));
    if registration.is_some_and(|registration| registration.looks_left == 0) {
        return Ok(());
    }
    Err(Refusal::new(
        409,
        "MissingSubscriptionRegistration",
        format!(
            "The subscription is not registered to use namespace '{COGNITIVE}'. See https://aka.ms/rps-not-found \
             for how to register subscriptions."
        ),
    )
    .target(COGNITIVE)
    .detailed())
}

/// `GET /subscriptions/ID/providers`
pub(super) fn providers(world: &mut World, subscription: &str) -> Reply {
    let state = look(world, subscription);
    Reply::list(vec![show_provider(subscription, COGNITIVE, &state), resources(subscription)])
}

/// `GET /subscriptions/ID/providers/NAMESPACE`
pub(super) fn provider(world: &mut World, subscription: &str, namespace: &str) -> Answer {
    match namespace {
        "microsoft.cognitiveservices" => {
            let state = look(world, subscription);
            Ok(Reply::json(200, show_provider(subscription, COGNITIVE, &state)))
        }
        "microsoft.resources" => Ok(Reply::json(200, resources(subscription))),
        stranger => Err(unknown(stranger)),
    }
}

/// `POST …/register`: answers at once, and is done some looks later.
pub(super) fn register(world: &mut World, subscription: &str, namespace: &str) -> Answer {
    match namespace {
        "microsoft.cognitiveservices" => {
            if !world.has::<Registration>(&key(subscription)) {
                world.put(&key(subscription), &Registration { looks_left: 2 });
            }
            let state = state(world, subscription);
            Ok(Reply::json(200, show_provider(subscription, COGNITIVE, state)))
        }
        "microsoft.resources" => Ok(Reply::json(200, resources(subscription))),
        stranger => Err(unknown(stranger)),
    }
}

/// `POST …/unregister`
pub(super) fn unregister(world: &mut World, subscription: &str, namespace: &str) -> Answer {
    if namespace != "microsoft.cognitiveservices" {
        return Err(unknown(namespace));
    }
    if super::accounts::any(world, subscription) {
        return Err(Refusal::new(
            409,
            "ResourcesExist",
            format!(
                "The provider '{COGNITIVE}' cannot be unregistered: the subscription holds its resources."
            ),
        ));
    }
    world.remove::<Registration>(&key(subscription));
    Ok(Reply::json(200, show_provider(subscription, COGNITIVE, "Unregistered")))
}

/// The state before this look; the registration is one look further after it.
fn look(world: &mut World, subscription: &str) -> String {
    if let Some(Registration { looks_left }) = world.get(&key(subscription))
        && looks_left > 0
    {
        world.put(&key(subscription), &Registration { looks_left: looks_left - 1 });
    }
    state(world, subscription).to_owned()
}

fn state(world: &World, subscription: &str) -> &'static str {
    match world.get::<Registration>(&key(subscription)) {
        None => "NotRegistered",
        Some(Registration { looks_left: 0 }) => "Registered",
        Some(Registration { .. }) => "Registering",
    }
}

fn key(subscription: &str) -> String {
    format!("{subscription}/{}", COGNITIVE.to_lowercase())
}

fn resources(subscription: &str) -> Json {
    show_provider(subscription, "Microsoft.Resources", "Registered")
}

fn show_provider(subscription: &str, namespace: &str, state: &str) -> Json {
    let places: Vec<&str> = REGIONS.iter().map(|region| region.display).collect();
    let types = if namespace == COGNITIVE {
        json!([
            { "resourceType": "accounts", "locations": places, "apiVersions": arm::COGNITIVE },
            { "resourceType": "deletedAccounts", "locations": places, "apiVersions": arm::COGNITIVE },
        ])
    } else {
        json!([{ "resourceType": "resourceGroups", "locations": places, "apiVersions": arm::RESOURCES }])
    };
    json!({
        "id": format!("/subscriptions/{subscription}/providers/{namespace}"),
        "namespace": namespace,
        "resourceTypes": types,
        "registrationState": state,
        "registrationPolicy": "RegistrationRequired",
    })
}

fn unknown(namespace: &str) -> Refusal {
    Refusal::new(404, "InvalidResourceNamespace", format!("The resource namespace '{namespace}' is invalid."))
}
