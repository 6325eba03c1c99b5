//! `Microsoft.CognitiveServices/accounts`: its rules.
//!
//! Facts: the resource provider's API model, version 2023-05-01.

use super::names;
use crate::model::{
    Attribute, CloudId, Clouds, Deletion, Map, NameRule, Property, Schema, Shape, TextRule, Value,
};

const NAME: TextRule = TextRule::matching(
    "^[a-zA-Z0-9][a-zA-Z0-9_.-]*$",
    "letters, digits, `_`, `.` and `-`, the first a letter or digit",
)
.sized(2, 64);
const SUBDOMAIN: TextRule = TextRule::matching(
    "^[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?$",
    "letters, digits and `-`, neither first nor last a `-`; unique in all of Azure",
)
.sized(2, 64);
const KIND: TextRule =
    TextRule::matching("^[A-Za-z][A-Za-z0-9.]*$", "a kind of account, such as `ComputerVision`");
const SKU: TextRule =
    TextRule::matching("^[A-Za-z][A-Za-z0-9]{0,9}$", "a pricing tier, such as `F0` or `S1`");
const ADDRESS: TextRule = TextRule::matching(
    r"^[0-9]{1,3}(\.[0-9]{1,3}){3}(/[0-9]{1,2})?$",
    "an IPv4 address or range, such as `203.0.113.7` or `203.0.113.0/24`",
);
const SUBNET: TextRule = TextRule::matching(
    r"^/subscriptions/[^/]+/(?i:resourceGroups)/[^/]+/providers/Microsoft\.Network/virtualNetworks/[^/]+/subnets/[^/]+$",
    "a subnet's full id",
);
const FQDN: Shape =
    Shape::Text(TextRule::matching("^[A-Za-z0-9*_][A-Za-z0-9._*-]*$", "a domain name").sized(1, 255));

static IP_RULE: &[Property] =
    &[Property::new("value", Shape::Text(ADDRESS), "An IPv4 address or range.").required()];
static SUBNET_RULE: &[Property] = &[
    Property::new("id", Shape::Text(SUBNET), "The subnet.").required(),
    Property::new(
        "ignoreMissingVnetServiceEndpoint",
        Shape::Bool,
        "Accept a subnet without the service endpoint.",
    )
    .default(no),
];
static NETWORK_ACLS: &[Property] = &[
    Property::new("defaultAction", Shape::Enum(&["Allow", "Deny"]), "What holds where no rule matches.")
        .default(|| "Allow".into()),
    Property::new("ipRules", Shape::Keyed { by: "value", of: IP_RULE }, "Addresses that are let in."),
    Property::new(
        "virtualNetworkRules",
        Shape::Keyed { by: "id", of: SUBNET_RULE },
        "Subnets that are let in.",
    ),
];
static PROPERTIES: &[Property] = &[
    Property::new(
        "customSubDomainName",
        Shape::Text(SUBDOMAIN),
        "The subdomain of cognitiveservices.azure.com; needed for network rules and Entra tokens, never changed.",
    )
    .set_once()
    .normalised(lower),
    Property::new("publicNetworkAccess", Shape::Enum(&["Enabled", "Disabled"]), "Whether the internet reaches it.")
        .default(|| "Enabled".into()),
    Property::new("networkAcls", Shape::Object(NETWORK_ACLS), "Who is let in over the network.").default(empty),
    Property::new("disableLocalAuth", Shape::Bool, "Refuse access keys: Entra tokens only.").default(no),
    Property::new("restrictOutboundNetworkAccess", Shape::Bool, "Let it out to the allowed names only.").default(no),
    Property::new("allowedFqdnList", Shape::Set(&FQDN), "The names it may reach."),
    Property::new("dynamicThrottlingEnabled", Shape::Bool, "Let the service raise the rate limit.").default(no),
];

/// The rules of the type.
pub(super) static SCHEMA: Schema = Schema {
    ty: "Microsoft.CognitiveServices/accounts",
    doc: "An account of an Azure AI service, such as Computer Vision.",
    properties: &[
        Property::new("name", Shape::Text(NAME), "The account's name.").immutable(),
        Property::new(
            "resourceGroup",
            Shape::Text(names::GROUP_NAME),
            "The stack's resource group by default.",
        )
        .immutable()
        .unmanaged(),
        Property::new("location", names::LOCATION, "The stack's location by default.")
            .immutable()
            .unmanaged()
            .normalised(names::location),
        Property::new("kind", Shape::Text(KIND), "Which service, such as `ComputerVision`.")
            .required()
            .immutable(),
        Property::new(
            "sku",
            Shape::Object(&[Property::new(
                "name",
                Shape::Text(SKU),
                "`F0` (free, one of each kind) or `S1`.",
            )
            .required()]),
            "The pricing tier.",
        )
        .required(),
        names::TAGS,
        Property::new("properties", Shape::Object(PROPERTIES), "The account's settings.").default(empty),
    ],
    attributes: &[
        Attribute::new("id", "The full id, `/subscriptions/…/accounts/…`."),
        Attribute::new("properties.endpoint", "The URL of its data plane."),
        Attribute::new("properties.internalId", "The service's own id of this account.").unique(),
        Attribute::secret("keys.key1", "The first access key."),
        Attribute::secret("keys.key2", "The second access key."),
    ],
    name: Some(NameRule { property: "name", default: |stack, logical, _| format!("{stack}-{logical}") }),
    identify,
    predict,
    check,
    marked: true,
    shared: false,
    compares: false,
    deletion: Deletion::Soft { hours: 48 },
};

fn no() -> Value {
    Value::Bool(false)
}

fn empty() -> Value {
    Value::Map(Map::new())
}

/// Host names are the same in any case.
fn lower(value: Value) -> Value {
    match value {
        Value::Text(text) => Value::Text(text.to_lowercase()),
        other => other,
    }
}

fn identify(properties: &Map, clouds: &Clouds) -> Option<CloudId> {
    let place = clouds.azure.as_ref()?;
    let name = names::text_or(properties, "name", None)?;
    let group = names::text_or(properties, "resourceGroup", Some(&place.resource_group))?;
    Some(CloudId(names::account_id(&place.subscription, &group, &name)))
}

/// The id always; the endpoint where the name of the kind's domain is documented.
fn predict(properties: &Map, clouds: &Clouds) -> Map {
    let mut attributes = Map::new();
    if let Some(id) = identify(properties, clouds) {
        attributes.insert("id".to_owned(), Value::Text(id.0));
    }
    if let Some(endpoint) = endpoint(properties, clouds) {
        let inner = Map::from([("endpoint".to_owned(), Value::Text(endpoint))]);
        attributes.insert("properties".to_owned(), Value::Map(inner));
    }
    attributes
}

fn endpoint(properties: &Map, clouds: &Clouds) -> Option<String> {
    if properties.get("kind")?.as_text()? != "ComputerVision" {
        return None;
    }
    let inner = match properties.get("properties") {
        None | Some(Value::Null) => None,
        Some(value) => Some(value.as_map()?),
    };
    match inner.and_then(|inner| inner.get("customSubDomainName")) {
        Some(Value::Text(name)) => {
            Some(format!("https://{}.cognitiveservices.azure.com/", name.to_lowercase()))
        }
        Some(Value::Null) | None => {
            let place = clouds.azure.as_ref()?;
            let location = names::text_or(properties, "location", Some(&place.location))?;
            Some(format!("https://{}.api.cognitive.microsoft.com/", names::same_place(&location)))
        }
        Some(_) => None,
    }
}

fn check(properties: &Map, _: &Clouds) -> Vec<String> {
    let mut wrong = names::check_tags(properties);
    let inner = properties.get("properties").and_then(Value::as_map);
    let set = |name: &str| inner.and_then(|inner| inner.get(name)).filter(|value| **value != Value::Null);
    let acls = set("networkAcls").and_then(Value::as_map);
    let denies = acls.and_then(|acls| acls.get("defaultAction")).and_then(Value::as_text) == Some("Deny");
    let rules = |name| {
        acls.and_then(|acls| acls.get(name)).and_then(Value::as_list).is_some_and(|list| !list.is_empty())
    };
    if (denies || rules("ipRules") || rules("virtualNetworkRules")) && set("customSubDomainName").is_none() {
        wrong.push("`properties.networkAcls` needs `properties.customSubDomainName`".to_owned());
    }
    wrong
}
