//! A Cognitive Services account between its two shapes: the stack's properties and the generated client's model.

use azure_mgmt_cognitiveservices::package_2023_05::models;
use azure_mgmt_cognitiveservices::package_2023_05::models::account_properties::{
    ProvisioningState, PublicNetworkAccess,
};
use azure_mgmt_cognitiveservices::package_2023_05::models::network_rule_set::DefaultAction;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use super::names::{self, Tags};
use crate::model::{CloudId, Condition, Live, Map, Owner, Path, Value};

/// The properties that a stack sets.
#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Desired {
    #[serde(rename = "name")]
    _name: Option<String>,
    #[serde(rename = "resourceGroup")]
    _resource_group: Option<String>,
    pub(super) location: Option<String>,
    kind: String,
    sku: Sku,
    #[serde(default)]
    pub(super) tags: Tags,
    #[serde(default)]
    properties: Settings,
}

/// The pricing tier.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sku {
    name: String,
}

/// The inner properties. Absent means the service's default.
#[derive(Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Settings {
    custom_sub_domain_name: Option<String>,
    public_network_access: Option<String>,
    network_acls: Option<NetworkAcls>,
    disable_local_auth: Option<bool>,
    restrict_outbound_network_access: Option<bool>,
    #[serde(default)]
    allowed_fqdn_list: Vec<String>,
    dynamic_throttling_enabled: Option<bool>,
}

/// Who reaches the account over the network.
#[derive(Clone, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct NetworkAcls {
    #[serde(default = "allow")]
    default_action: String,
    #[serde(default)]
    ip_rules: Vec<IpRule>,
    #[serde(default)]
    virtual_network_rules: Vec<SubnetRule>,
}

#[derive(Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct IpRule {
    value: String,
}

#[derive(Clone, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct SubnetRule {
    id: String,
    #[serde(default)]
    ignore_missing_vnet_service_endpoint: bool,
}

fn allow() -> String {
    "Allow".to_owned()
}

impl Default for NetworkAcls {
    fn default() -> Self {
        Self { default_action: allow(), ip_rules: Vec::new(), virtual_network_rules: Vec::new() }
    }
}

impl Desired {
    /// As the generated client sends it. What equals the service's default is left out: network rules, even those
    /// that allow everything, are refused on an account without a subdomain.
    pub(super) fn model(&self, location: &str, owner: &Owner) -> models::Account {
        let settings = &self.properties;
        let acls = settings.network_acls.clone().filter(|acls| *acls != NetworkAcls::default());
        let properties = models::AccountProperties {
            custom_sub_domain_name: settings.custom_sub_domain_name.clone(),
            public_network_access: settings.public_network_access.as_deref().map(|access| match access {
                "Disabled" => PublicNetworkAccess::Disabled,
                _ => PublicNetworkAccess::Enabled,
            }),
            network_acls: acls.map(NetworkAcls::model),
            disable_local_auth: settings.disable_local_auth.filter(|flag| *flag),
            restrict_outbound_network_access: settings.restrict_outbound_network_access.filter(|flag| *flag),
            allowed_fqdn_list: settings.allowed_fqdn_list.clone(),
            dynamic_throttling_enabled: settings.dynamic_throttling_enabled.filter(|flag| *flag),
            ..models::AccountProperties::default()
        };
        models::Account {
            kind: Some(self.kind.clone()),
            sku: Some(models::Sku::new(self.sku.name.clone())),
            tags: Some(names::marked(&self.tags, owner)),
            location: Some(location.to_owned()),
            properties: Some(properties),
            ..models::Account::default()
        }
    }

    /// The body of a PATCH that makes the changed properties what they shall be: each in full, and what the stack
    /// leaves out as the service's default. The generated model cannot say it, for it leaves empty lists out.
    pub(super) fn patch(&self, changed: &[Path], owner: &Owner) -> Json {
        let mut body = json!({ "tags": names::marked(&self.tags, owner) });
        let mut properties = serde_json::Map::new();
        for path in changed {
            match path.property() {
                "sku" => body["sku"] = json!({ "name": self.sku.name }),
                "properties" => match path.0.get(1) {
                    Some(crate::model::Segment::Key(name)) => self.properties.put(name, &mut properties),
                    Some(crate::model::Segment::Index(_)) | None => {
                        for name in SETTABLE {
                            self.properties.put(name, &mut properties);
                        }
                    }
                },
                _ => {}
            }
        }
        if !properties.is_empty() {
            body["properties"] = Json::Object(properties);
        }
        body
    }
}

/// The inner properties that can change in place.
const SETTABLE: &[&str] = &[
    "customSubDomainName",
    "publicNetworkAccess",
    "networkAcls",
    "disableLocalAuth",
    "restrictOutboundNetworkAccess",
    "allowedFqdnList",
    "dynamicThrottlingEnabled",
];

impl Settings {
    /// Puts a property's value, or its default, into a body.
    fn put(&self, name: &str, body: &mut serde_json::Map<String, Json>) {
        let acls = self.network_acls.clone().unwrap_or_default();
        let value = match name {
            // Nothing takes a subdomain away.
            "customSubDomainName" => match &self.custom_sub_domain_name {
                Some(name) => json!(name),
                None => return,
            },
            "publicNetworkAccess" => json!(self.public_network_access.as_deref().unwrap_or("Enabled")),
            // Without a subdomain there are no rules to change.
            "networkAcls" if self.custom_sub_domain_name.is_none() && acls == NetworkAcls::default() => {
                return;
            }
            "networkAcls" => json!(acls),
            "disableLocalAuth" => json!(self.disable_local_auth.unwrap_or(false)),
            "restrictOutboundNetworkAccess" => json!(self.restrict_outbound_network_access.unwrap_or(false)),
            "allowedFqdnList" => json!(self.allowed_fqdn_list),
            "dynamicThrottlingEnabled" => json!(self.dynamic_throttling_enabled.unwrap_or(false)),
            _ => return,
        };
        body.insert(name.to_owned(), value);
    }
}

impl NetworkAcls {
    fn model(self) -> models::NetworkRuleSet {
        let subnet = |rule: SubnetRule| models::VirtualNetworkRule {
            ignore_missing_vnet_service_endpoint: Some(rule.ignore_missing_vnet_service_endpoint),
            ..models::VirtualNetworkRule::new(rule.id)
        };
        models::NetworkRuleSet {
            default_action: Some(if self.default_action == "Deny" {
                DefaultAction::Deny
            } else {
                DefaultAction::Allow
            }),
            ip_rules: self.ip_rules.into_iter().map(|rule| models::IpRule::new(rule.value)).collect(),
            virtual_network_rules: self.virtual_network_rules.into_iter().map(subnet).collect(),
        }
    }
}

/// Whether the account is on its way to another state.
pub(super) fn in_progress(account: &models::Account) -> bool {
    match account.properties.as_ref().and_then(|properties| properties.provisioning_state.as_ref()) {
        None | Some(ProvisioningState::Succeeded | ProvisioningState::Failed) => false,
        Some(ProvisioningState::UnknownValue(word)) => !word.eq_ignore_ascii_case("canceled"),
        Some(
            ProvisioningState::Accepted
            | ProvisioningState::Creating
            | ProvisioningState::Deleting
            | ProvisioningState::Moving
            | ProvisioningState::ResolvingDns,
        ) => true,
    }
}

/// An account as it was found at an id.
pub(super) fn live(id: String, group: &str, name: &str, account: models::Account, deleted: bool) -> Live {
    let (tags, owner) = names::split(account.tags.as_ref());
    let properties = account.properties.unwrap_or_default();
    let condition = condition(&properties, deleted);
    let mut inner = Map::new();
    for (word, text) in [("endpoint", &properties.endpoint), ("internalId", &properties.internal_id)] {
        if let Some(text) = text {
            inner.insert(word.to_owned(), text.as_str().into());
        }
    }
    let location = names::same_place(account.location.as_deref().unwrap_or_default());
    let sku = account.sku.map(|sku| sku.name).unwrap_or_default();
    Live {
        properties: Map::from([
            ("name".to_owned(), name.into()),
            ("resourceGroup".to_owned(), group.into()),
            ("location".to_owned(), location.into()),
            ("kind".to_owned(), account.kind.unwrap_or_default().into()),
            ("sku".to_owned(), Map::from([("name".to_owned(), sku.into())]).into()),
            ("tags".to_owned(), names::property(tags)),
            ("properties".to_owned(), settings(properties).into()),
        ]),
        attributes: Map::from([
            ("id".to_owned(), id.as_str().into()),
            ("properties".to_owned(), inner.into()),
        ]),
        id: CloudId(id),
        etag: account.azure_entity_resource.etag,
        owner,
        condition,
    }
}

/// The inner properties in the stack's shape; what the service alone sets is left out.
fn settings(properties: models::AccountProperties) -> Map {
    let access = properties.public_network_access.map(|access| match access {
        PublicNetworkAccess::Enabled => "Enabled".to_owned(),
        PublicNetworkAccess::Disabled => "Disabled".to_owned(),
        PublicNetworkAccess::UnknownValue(word) => word,
    });
    let fqdns: Vec<Value> = properties.allowed_fqdn_list.into_iter().map(Value::Text).collect();
    let members = [
        ("customSubDomainName", properties.custom_sub_domain_name.map(Value::Text)),
        ("publicNetworkAccess", access.map(Value::Text)),
        ("networkAcls", properties.network_acls.map(network_acls)),
        ("disableLocalAuth", properties.disable_local_auth.map(Value::Bool)),
        ("restrictOutboundNetworkAccess", properties.restrict_outbound_network_access.map(Value::Bool)),
        ("allowedFqdnList", (!fqdns.is_empty()).then_some(Value::List(fqdns))),
        ("dynamicThrottlingEnabled", properties.dynamic_throttling_enabled.map(Value::Bool)),
    ];
    members.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
}

fn network_acls(acls: models::NetworkRuleSet) -> Value {
    let action = match acls.default_action {
        Some(DefaultAction::Deny) => "Deny".to_owned(),
        Some(DefaultAction::UnknownValue(word)) => word,
        Some(DefaultAction::Allow) | None => allow(),
    };
    let ip_rules = acls.ip_rules.into_iter().map(|rule| IpRule { value: rule.value }).collect();
    let subnet = |rule: models::VirtualNetworkRule| SubnetRule {
        id: rule.id,
        ignore_missing_vnet_service_endpoint: rule.ignore_missing_vnet_service_endpoint.unwrap_or(false),
    };
    let virtual_network_rules = acls.virtual_network_rules.into_iter().map(subnet).collect();
    Value::from_json(json!(NetworkAcls { default_action: action, ip_rules, virtual_network_rules }))
}

fn condition(properties: &models::AccountProperties, deleted: bool) -> Condition {
    if deleted {
        let at = |text: &Option<String>| text.as_deref().and_then(|text| text.parse::<Timestamp>().ok());
        let window = SignedDuration::from_hours(48);
        let until = at(&properties.scheduled_purge_date)
            .or_else(|| at(&properties.deletion_date)?.saturating_add(window).ok());
        return Condition::SoftDeleted { until };
    }
    match &properties.provisioning_state {
        Some(ProvisioningState::Failed) => Condition::Failed("Failed".to_owned()),
        Some(ProvisioningState::UnknownValue(word)) => Condition::Failed(word.clone()),
        _ => Condition::Ready,
    }
}
