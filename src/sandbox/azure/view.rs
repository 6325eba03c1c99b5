//! An account as the service answers it.

use serde_json::{Value as Json, json};

use super::accounts::{Account, State};
use super::{arm, body, locations};

/// The whole of it.
pub(super) fn show(subscription: &str, account: &Account) -> Json {
    let settings = &account.settings;
    let location = locations::normalise(&account.location);
    let endpoint = match &settings.custom_sub_domain_name {
        Some(name) => format!("https://{}.cognitiveservices.azure.com/", name.to_lowercase()),
        None => format!("https://{location}.api.cognitive.microsoft.com/"),
    };
    let mut properties = json!({
        "endpoint": endpoint,
        "internalId": account.internal_id,
        "dateCreated": arm::stamp(account.created),
        "callRateLimit": { "rules": [{
            "key": "default", "renewalPeriod": 1, "count": 10,
            "matchPatterns": [{ "path": "*", "method": "*" }],
        }] },
        "isMigrated": false,
        "privateEndpointConnections": [],
        "publicNetworkAccess": settings.public_network_access.as_deref().unwrap_or("Enabled"),
        "capabilities": [{ "name": "DynamicThrottling" }, { "name": "VirtualNetworks" }],
        "endpoints": { account.kind.clone(): endpoint },
        "provisioningState": account.passing.first().copied().map_or("Succeeded", word),
    });
    let optional = [
        ("customSubDomainName", settings.custom_sub_domain_name.as_ref().map(|name| json!(name))),
        ("networkAcls", settings.network_acls.as_ref().map(body::NetworkAcls::show)),
        ("disableLocalAuth", settings.disable_local_auth.map(|flag| json!(flag))),
        ("restrictOutboundNetworkAccess", settings.restrict_outbound_network_access.map(|flag| json!(flag))),
        ("allowedFqdnList", settings.allowed_fqdn_list.as_ref().map(|names| json!(names))),
        ("dynamicThrottlingEnabled", settings.dynamic_throttling_enabled.map(|flag| json!(flag))),
    ];
    for (name, value) in optional {
        if let Some(value) = value {
            properties[name] = value;
        }
    }
    for (name, value) in &settings.others {
        properties[name] = value.clone();
    }
    let mut json = json!({
        "id": id(subscription, account),
        "name": account.name,
        "type": "Microsoft.CognitiveServices/accounts",
        "etag": account.etag,
        "location": account.location,
        "sku": { "name": account.sku },
        "kind": account.kind,
        "properties": properties,
        "systemData": {
            "createdBy": "owner@sandbox.onmicrosoft.com",
            "createdByType": "User",
            "createdAt": arm::stamp(account.created),
            "lastModifiedBy": "owner@sandbox.onmicrosoft.com",
            "lastModifiedByType": "User",
            "lastModifiedAt": arm::stamp(account.modified),
        },
    });
    if let Some(tags) = &account.tags {
        json["tags"] = json!(tags);
    }
    if let Some(identity) = &account.identity {
        json["identity"] = identity.clone();
    }
    json
}

/// A state in the service's words.
pub(super) fn word(state: State) -> &'static str {
    match state {
        State::Accepted => "Accepted",
        State::Creating => "Creating",
        State::ResolvingDns => "ResolvingDNS",
        State::Deleting => "Deleting",
    }
}

/// An account's id.
pub(super) fn id(subscription: &str, account: &Account) -> String {
    format!(
        "/subscriptions/{subscription}/resourceGroups/{}/providers/Microsoft.CognitiveServices/accounts/{}",
        account.group, account.name
    )
}
