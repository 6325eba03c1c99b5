//! Access keys, kinds and SKUs, and the availability of subdomains.

use serde_json::{Value as Json, json};

use super::super::World;
use super::accounts::{self, Account};
use super::body::bad;
use super::groups::Group;
use super::locations::REGIONS;
use super::wire::{Answer, Call, Refusal, Reply, text};

/// The kinds of account and their SKUs.
static KINDS: &[(&str, &[&str])] = &[
    ("AIServices", &["S0"]),
    ("CognitiveServices", &["S0"]),
    ("ComputerVision", &["F0", "S1"]),
    ("ContentSafety", &["F0", "S0"]),
    ("CustomVision.Prediction", &["F0", "S0"]),
    ("CustomVision.Training", &["F0", "S0"]),
    ("Face", &["F0", "S0"]),
    ("FormRecognizer", &["F0", "S0"]),
    ("HealthInsights", &["F0", "S0"]),
    ("ImmersiveReader", &["S0", "S1"]),
    ("OpenAI", &["S0"]),
    ("SpeechServices", &["F0", "S0"]),
    ("TextAnalytics", &["F0", "S"]),
    ("TextTranslation", &["F0", "S1", "S2", "S3", "S4", "C2", "C3", "C4", "D3"]),
];

/// Whether the kind exists and has the SKU.
pub(super) fn check_sku(kind: &str, sku: &str) -> Result<(), Refusal> {
    let Some((_, skus)) = KINDS.iter().find(|(name, _)| *name == kind) else {
        return Err(Refusal::new(
            400,
            "InvalidApiSetId",
            format!("The account type '{kind}' is either invalid or unavailable in given region."),
        ));
    };
    if skus.contains(&sku) {
        return Ok(());
    }
    // The code of this refusal is not documented.
    Err(Refusal::new(
        400,
        "InvalidSkuId",
        format!("The SKU '{sku}' is invalid or unavailable for account type '{kind}'."),
    ))
}

/// A new key: 32 hexadecimal digits.
pub(super) fn fresh(world: &mut World) -> String {
    world.secret(32, b"0123456789abcdef")
}

/// `POST …/listKeys`
pub(super) fn list(world: &World, subscription: &str, group: &Group, name: &str) -> Answer {
    let account = accounts::existing(world, subscription, group, name)?;
    usable(&account)?;
    Ok(both(&account))
}

/// `POST …/regenerateKey`
pub(super) fn regenerate(
    world: &mut World,
    call: &Call<'_>,
    subscription: &str,
    group: &Group,
    name: &str,
) -> Answer {
    let body = call.object("RegenerateKeyParameters", &["keyName"])?;
    let mut account = accounts::existing(world, subscription, group, name)?;
    usable(&account)?;
    let index = match text(&body, "keyName")?.unwrap_or_default().to_lowercase().as_str() {
        "key1" => 0,
        "key2" => 1,
        stranger => return Err(bad(format!("'{stranger}' is no key: Key1 or Key2."))),
    };
    account.keys[index] = fresh(world);
    world.put(&accounts::key(subscription, &group.name, name), &account);
    Ok(both(&account))
}

fn usable(account: &Account) -> Result<(), Refusal> {
    if account.settings.disable_local_auth == Some(true) {
        return Err(bad("Failed to list key. disableLocalAuth is set to be true".to_owned()));
    }
    Ok(())
}

fn both(account: &Account) -> Reply {
    Reply::json(200, json!({ "key1": account.keys[0], "key2": account.keys[1] }))
}

/// `POST …/checkDomainAvailability`
pub(super) fn check_domain(world: &World, call: &Call<'_>) -> Answer {
    let body = call.object("CheckDomainAvailabilityParameter", &["subdomainName", "type", "kind"])?;
    let name = text(&body, "subdomainName")?.unwrap_or_default();
    let ty = text(&body, "type")?.unwrap_or_default();
    if name.is_empty() || ty.is_empty() {
        return Err(bad("subdomainName and type are required.".to_owned()));
    }
    let taken = accounts::domain_taken(world, &name, "");
    let mut json = json!({ "isSubdomainAvailable": !taken, "subdomainName": name, "type": ty });
    if taken {
        json["reason"] =
            json!(format!("Sub domain name '{name}' is already used. Please pick a different name."));
    }
    Ok(Reply::json(200, json))
}

/// `GET …/skus`
pub(super) fn skus() -> Reply {
    let places: Vec<&str> = REGIONS.iter().map(|region| region.name).collect();
    let one = |kind: &str, sku: &str| {
        json!({
            "resourceType": "accounts", "name": sku, "tier": tier(sku), "kind": kind,
            "locations": places, "restrictions": [],
        })
    };
    Reply::list(KINDS.iter().flat_map(|(kind, skus)| skus.iter().map(move |sku| one(kind, sku))))
}

/// `GET …/accounts/NAME/skus`
pub(super) fn account_skus(world: &World, subscription: &str, group: &Group, name: &str) -> Answer {
    let account = accounts::existing(world, subscription, group, name)?;
    let skus = KINDS.iter().find(|(kind, _)| *kind == account.kind).map_or(&[][..], |(_, skus)| skus);
    let one = |sku: &&str| -> Json {
        json!({ "resourceType": "Microsoft.CognitiveServices/accounts", "sku": { "name": sku, "tier": tier(sku) } })
    };
    Ok(Reply::list(skus.iter().map(one)))
}

fn tier(sku: &str) -> &'static str {
    if sku == "F0" { "Free" } else { "Standard" }
}
