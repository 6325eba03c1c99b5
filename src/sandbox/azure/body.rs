//! What a caller may say of an account: its members, their types, and the rules that need no look at the world.

use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json, json};

use super::arm::{self, Tags};
use super::wire::{Call, Refusal, flag, members, text, unreadable};

/// The body of a PUT or PATCH. What is not said is `None`.
pub(super) struct Wanted {
    pub(super) location: Option<String>,
    pub(super) kind: Option<String>,
    pub(super) sku: Option<String>,
    pub(super) tags: Option<Tags>,
    pub(super) identity: Option<Json>,
    pub(super) settings: Settings,
    pub(super) restore: bool,
}

/// The properties that a caller sets.
#[derive(Clone, Default, Serialize, Deserialize)]
pub(super) struct Settings {
    pub(super) custom_sub_domain_name: Option<String>,
    pub(super) public_network_access: Option<String>,
    pub(super) network_acls: Option<NetworkAcls>,
    pub(super) disable_local_auth: Option<bool>,
    pub(super) restrict_outbound_network_access: Option<bool>,
    pub(super) allowed_fqdn_list: Option<Vec<String>>,
    pub(super) dynamic_throttling_enabled: Option<bool>,
    /// Kept and given back without a look: encryption, storage and what newer versions add.
    pub(super) others: Map<String, Json>,
}

/// Who reaches an account over the network.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct NetworkAcls {
    default_action: String,
    bypass: Option<String>,
    ip_rules: Vec<String>,
    virtual_network_rules: Vec<SubnetRule>,
}

/// A subnet that reaches it.
#[derive(Clone, Serialize, Deserialize)]
struct SubnetRule {
    id: String,
    ignore_missing_endpoint: bool,
}

/// The members of an account. Those that only the service sets are accepted and left alone, as a client that
/// sends back what it has read needs.
const ACCOUNT: &[&str] = &[
    "location",
    "kind",
    "sku",
    "tags",
    "identity",
    "properties",
    "id",
    "name",
    "type",
    "etag",
    "systemData",
];
/// Settable properties that are given back without a look.
const OTHERS: &[&str] = &[
    "encryption",
    "userOwnedStorage",
    "apiProperties",
    "locations",
    "amlWorkspace",
    "raiMonitorConfig",
    "networkInjections",
    "allowProjectManagement",
    "defaultProject",
    "associatedProjects",
    "storedCompletionsDisabled",
    "migrationToken",
];
/// The properties with rules of their own.
const SETTINGS: &[&str] = &[
    "customSubDomainName",
    "publicNetworkAccess",
    "networkAcls",
    "disableLocalAuth",
    "restrictOutboundNetworkAccess",
    "allowedFqdnList",
    "dynamicThrottlingEnabled",
    "restore",
];
/// The properties that only the service sets.
const READ_ONLY: &[&str] = &[
    "provisioningState",
    "endpoint",
    "endpoints",
    "internalId",
    "capabilities",
    "isMigrated",
    "dateCreated",
    "callRateLimit",
    "quotaLimit",
    "skuChangeInfo",
    "privateEndpointConnections",
    "deletionDate",
    "scheduledPurgeDate",
    "commitmentPlanAssociations",
    "abusePenalty",
];

/// Reads the body of a PUT or PATCH.
pub(super) fn read(call: &Call<'_>) -> Result<Wanted, Refusal> {
    let body = call.object("ResourceDefinition", ACCOUNT)?;
    let sku = match body.get("sku") {
        None => None,
        Some(sku) => {
            let known = ["name", "tier", "size", "family", "capacity"];
            text(&members(sku, "SkuDefinition", &known)?, "name")?
        }
    };
    let known: Vec<&str> = [SETTINGS, OTHERS, READ_ONLY].concat();
    let properties = match body.get("properties") {
        None => Map::new(),
        Some(properties) => members(properties, "AccountProperties", &known)?,
    };
    let others = properties.iter().filter(|(name, _)| OTHERS.contains(&name.as_str()));
    let settings = Settings {
        custom_sub_domain_name: subdomain(&properties)?,
        public_network_access: one_of(&properties, "publicNetworkAccess", &["Enabled", "Disabled"])?,
        network_acls: network_acls(&properties)?,
        disable_local_auth: flag(&properties, "disableLocalAuth")?,
        restrict_outbound_network_access: flag(&properties, "restrictOutboundNetworkAccess")?,
        allowed_fqdn_list: names(&properties)?,
        dynamic_throttling_enabled: flag(&properties, "dynamicThrottlingEnabled")?,
        others: others.map(|(name, value)| (name.clone(), value.clone())).collect(),
    };
    Ok(Wanted {
        location: text(&body, "location")?.filter(|location| !location.trim().is_empty()),
        kind: text(&body, "kind")?,
        sku,
        tags: arm::tags(&body)?,
        identity: body.get("identity").cloned(),
        settings,
        restore: flag(&properties, "restore")?.unwrap_or(false),
    })
}

/// 2 to 64 letters, digits and `-`, which ends with no `-`. The service's own code for this is not documented.
fn subdomain(properties: &Map<String, Json>) -> Result<Option<String>, Refusal> {
    let Some(name) = text(properties, "customSubDomainName")? else { return Ok(None) };
    let legal = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        && !name.starts_with('-')
        && !name.ends_with('-');
    if legal && (2..=64).contains(&name.len()) {
        return Ok(Some(name));
    }
    Err(bad(format!(
        "The subdomain name '{name}' is invalid: it has 2 to 64 letters, digits and hyphens, and neither begins nor \
         ends with a hyphen."
    )))
}

fn one_of(map: &Map<String, Json>, name: &str, words: &[&str]) -> Result<Option<String>, Refusal> {
    let Some(given) = text(map, name)? else { return Ok(None) };
    words
        .iter()
        .find(|word| word.eq_ignore_ascii_case(&given))
        .map(|word| Some((*word).to_owned()))
        .ok_or_else(|| {
            unreadable(&format!(
                "Error converting value '{given}' to type '{name}'. Path 'properties.{name}'"
            ))
        })
}

fn names(properties: &Map<String, Json>) -> Result<Option<Vec<String>>, Refusal> {
    let Some(json) = properties.get("allowedFqdnList") else { return Ok(None) };
    let items =
        json.as_array().ok_or_else(|| unreadable("Error converting value. Path 'allowedFqdnList'"))?;
    let mut names = Vec::new();
    for item in items {
        let name =
            item.as_str().ok_or_else(|| unreadable("Error converting value. Path 'allowedFqdnList'"))?;
        let legal = name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-.*_".contains(&b));
        if name.is_empty() || name.len() > 255 || !legal {
            return Err(bad(format!("'{name}' in allowedFqdnList is no domain name.")));
        }
        names.push(name.to_owned());
    }
    // The service's quota.
    if names.len() > 1000 {
        return Err(bad("allowedFqdnList holds more than 1000 names.".to_owned()));
    }
    Ok(Some(names))
}

fn network_acls(properties: &Map<String, Json>) -> Result<Option<NetworkAcls>, Refusal> {
    let Some(json) = properties.get("networkAcls") else { return Ok(None) };
    let known = ["defaultAction", "bypass", "ipRules", "virtualNetworkRules"];
    let acls = members(json, "NetworkRuleSet", &known)?;
    let mut ip_rules = Vec::new();
    for rule in rules(&acls, "ipRules")? {
        let rule = members(&rule, "IpRule", &["value"])?;
        let value = text(&rule, "value")?.unwrap_or_default();
        if !is_ipv4_range(&value) {
            return Err(bad(format!("'{value}' in networkAcls.ipRules is no IPv4 address or range.")));
        }
        ip_rules.push(value);
    }
    let mut virtual_network_rules = Vec::new();
    for rule in rules(&acls, "virtualNetworkRules")? {
        let rule =
            members(&rule, "VirtualNetworkRule", &["id", "state", "ignoreMissingVnetServiceEndpoint"])?;
        let id = text(&rule, "id")?.unwrap_or_default();
        if !is_subnet(&id) {
            return Err(Refusal::new(
                400,
                "LinkedInvalidPropertyId",
                format!(
                    "Property id '{id}' at path 'properties.networkAcls.virtualNetworkRules[0].id' is invalid."
                ),
            ));
        }
        let ignore_missing_endpoint = flag(&rule, "ignoreMissingVnetServiceEndpoint")?.unwrap_or(false);
        virtual_network_rules.push(SubnetRule { id, ignore_missing_endpoint });
    }
    Ok(Some(NetworkAcls {
        default_action: one_of(&acls, "defaultAction", &["Allow", "Deny"])?
            .unwrap_or_else(|| "Allow".to_owned()),
        bypass: one_of(&acls, "bypass", &["AzureServices", "None"])?,
        ip_rules,
        virtual_network_rules,
    }))
}

fn rules(acls: &Map<String, Json>, name: &str) -> Result<Vec<Json>, Refusal> {
    match acls.get(name) {
        None => Ok(Vec::new()),
        Some(Json::Array(rules)) => Ok(rules.clone()),
        Some(_) => Err(unreadable(&format!("Error converting value. Path 'properties.networkAcls.{name}'"))),
    }
}

/// `1.2.3.4` or `1.2.3.0/24`
fn is_ipv4_range(text: &str) -> bool {
    let (address, bits) = text.split_once('/').unwrap_or((text, "32"));
    address.parse::<Ipv4Addr>().is_ok() && bits.parse::<u8>().is_ok_and(|bits| bits <= 32)
}

/// `/subscriptions/S/resourceGroups/G/providers/Microsoft.Network/virtualNetworks/V/subnets/N`
fn is_subnet(id: &str) -> bool {
    let lower = id.to_lowercase();
    let words: Vec<&str> = lower.trim_start_matches('/').split('/').collect();
    matches!(words.as_slice(),
        ["subscriptions", s, "resourcegroups", g, "providers", "microsoft.network", "virtualnetworks", v, "subnets", n]
        if ![s, g, v, n].iter().any(|word| word.is_empty()))
}

/// A refusal of the service, whose code for it is not documented.
pub(super) fn bad(message: String) -> Refusal {
    Refusal::new(400, "BadRequest", message)
}

impl NetworkAcls {
    /// Whether a caller at this address reaches the account.
    pub(super) fn admits(&self, address: &str) -> bool {
        !self.default_action.eq_ignore_ascii_case("Deny") || self.ip_rules.iter().any(|rule| rule == address)
    }

    /// As the service answers it.
    pub(super) fn show(&self) -> Json {
        let ip_rules: Vec<Json> = self.ip_rules.iter().map(|value| json!({ "value": value })).collect();
        let subnets: Vec<Json> = self
            .virtual_network_rules
            .iter()
            .map(|rule| json!({ "id": rule.id, "ignoreMissingVnetServiceEndpoint": rule.ignore_missing_endpoint }))
            .collect();
        let mut json = json!({
            "defaultAction": self.default_action,
            "virtualNetworkRules": subnets,
            "ipRules": ip_rules,
        });
        if let Some(bypass) = &self.bypass {
            json["bypass"] = json!(bypass);
        }
        json
    }
}

impl Settings {
    /// These on top of those before: what is not said stays as it was.
    #[must_use]
    pub(super) fn over(self, before: Self) -> Self {
        let mut others = before.others;
        others.extend(self.others);
        Self {
            custom_sub_domain_name: self.custom_sub_domain_name.or(before.custom_sub_domain_name),
            public_network_access: self.public_network_access.or(before.public_network_access),
            network_acls: self.network_acls.or(before.network_acls),
            disable_local_auth: self.disable_local_auth.or(before.disable_local_auth),
            restrict_outbound_network_access: self
                .restrict_outbound_network_access
                .or(before.restrict_outbound_network_access),
            allowed_fqdn_list: self.allowed_fqdn_list.or(before.allowed_fqdn_list),
            dynamic_throttling_enabled: self.dynamic_throttling_enabled.or(before.dynamic_throttling_enabled),
            others,
        }
    }
}
