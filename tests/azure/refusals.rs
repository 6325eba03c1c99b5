//! Wrong requests, each with the status and code that Azure gives it, and none with any effect.

use serde_json::{Value as Json, json};

use super::SUBSCRIPTION;
use super::world::{Azure, COGNITIVE, RESOURCES, vision, vision_at};

/// A wrong request below the subscription.
struct Wrong {
    method: &'static str,
    path: String,
    version: &'static str,
    body: Json,
    answer: (u16, &'static str),
}

fn wrong(
    method: &'static str,
    path: impl Into<String>,
    body: Json,
    status: u16,
    code: &'static str,
) -> Wrong {
    let path = path.into();
    let version =
        if path.contains("/providers/Microsoft.CognitiveServices/") && !path.ends_with("/unregister") {
            COGNITIVE
        } else {
            RESOURCES
        };
    Wrong { method, path, version, body, answer: (status, code) }
}

/// A PUT of an account that is right but for one member.
fn account(name: &str, member: &str, value: Json, status: u16, code: &'static str) -> Wrong {
    let mut body = vision_at("fresh");
    let mut place = &mut body;
    for word in member.split('.') {
        place = &mut place[word];
    }
    *place = value;
    wrong("PUT", Azure::account(name), body, status, code)
}

/// A PATCH of `live`, which has no subdomain.
fn patch(body: Json, status: u16, code: &'static str) -> Wrong {
    wrong("PATCH", Azure::account("live"), body, status, code)
}

fn groups() -> Vec<Wrong> {
    let put = |name: &str, body: Json, status, code| {
        wrong("PUT", format!("/resourcegroups/{name}"), body, status, code)
    };
    let place = json!({ "location": "eastus" });
    let tagged = |tags: Json| json!({ "location": "eastus", "tags": tags });
    let many: Json =
        (0..51).map(|n| (format!("tag{n}"), json!(""))).collect::<serde_json::Map<_, _>>().into();
    vec![
        put("new", json!({}), 400, "LocationRequired"),
        put("new", json!({ "location": "atlantis" }), 400, "LocationNotAvailableForResourceGroup"),
        put("rg", json!({ "location": "westus" }), 409, "InvalidResourceGroupLocation"),
        put("new", json!({ "location": "eastus", "colour": "blue" }), 400, "InvalidRequestContent"),
        put("new", json!({ "location": 7 }), 400, "InvalidRequestContent"),
        put("ends.", place.clone(), 400, "InvalidResourceGroup"),
        put("what%21", place.clone(), 400, "InvalidResourceGroup"),
        put(&"x".repeat(91), place, 400, "InvalidResourceGroup"),
        put("new", tagged(json!({ "a/b": "c" })), 400, "InvalidTagNameCharacters"),
        put("new", tagged(json!({ "x".repeat(513): "c" })), 400, "InvalidTagName"),
        put("new", tagged(json!({ "a": "c".repeat(257) })), 400, "InvalidTagValueLength"),
        put("new", tagged(many), 400, "InvalidTagCount"),
        put("new", tagged(json!({ "Team": "a", "team": "b" })), 400, "InvalidRequestContent"),
        put("new", tagged(json!({ "a": 1 })), 400, "InvalidTagValueType"),
        wrong("GET", "/resourcegroups/nobody", Json::Null, 404, "ResourceGroupNotFound"),
        wrong("PATCH", "/resourcegroups/nobody", json!({}), 404, "ResourceGroupNotFound"),
        wrong("DELETE", "/resourcegroups/nobody", Json::Null, 404, "ResourceGroupNotFound"),
        wrong("POST", "/resourcegroups/rg", json!({}), 405, "HttpMethodNotAllowed"),
        wrong("GET", "/resourcegroups/nobody/resources", Json::Null, 404, "ResourceGroupNotFound"),
        wrong("GET", "/providers/Microsoft.Nothing", Json::Null, 404, "InvalidResourceNamespace"),
        wrong("POST", "/providers/Microsoft.CognitiveServices/unregister", Json::Null, 409, "ResourcesExist"),
        wrong("GET", "/operationresults/lost", Json::Null, 404, "OperationNotFound"),
        wrong("GET", "/elsewhere", Json::Null, 404, "NotFound"),
    ]
}

const BAD: &str = "BadRequest";
const CONTENT: &str = "InvalidRequestContent";

/// New accounts, each wrong in one member.
fn new_accounts() -> Vec<Wrong> {
    let subnet = json!({ "virtualNetworkRules": [{ "id": "subnet" }] });
    let members = [
        ("location", Json::Null, 400, "LocationRequired"),
        ("location", json!("atlantis"), 400, "LocationNotAvailableForResourceType"),
        ("kind", json!("Computervision"), 400, "InvalidApiSetId"),
        ("kind", Json::Null, 400, "InvalidApiSetId"),
        ("sku", json!({ "name": "S9" }), 400, "InvalidSkuId"),
        ("sku", Json::Null, 400, "InvalidSkuId"),
        ("sku", json!("S1"), 400, CONTENT),
        ("sku", json!({ "name": "F0" }), 400, "CanNotCreateMultipleFreeAccounts"),
        ("colour", json!("blue"), 400, CONTENT),
        ("tags", json!({ "a?": "b" }), 400, "InvalidTagNameCharacters"),
        ("properties.colour", json!("blue"), 400, CONTENT),
        ("properties.customSubDomainName", json!("TAKEN"), 409, "CustomDomainInUse"),
        ("properties.customSubDomainName", json!("held"), 409, "CustomDomainInUse"),
        ("properties.customSubDomainName", json!("ends-"), 400, BAD),
        ("properties.customSubDomainName", json!("a.b"), 400, BAD),
        ("properties.publicNetworkAccess", json!("Perhaps"), 400, CONTENT),
        ("properties.disableLocalAuth", json!("yes"), 400, CONTENT),
        ("properties.networkAcls", json!({ "defaultAction": "Perhaps" }), 400, CONTENT),
        ("properties.networkAcls", json!({ "ipRules": [{ "value": "localhost" }] }), 400, BAD),
        ("properties.networkAcls", json!({ "ipRules": [{ "address": "192.0.2.1" }] }), 400, CONTENT),
        ("properties.networkAcls", subnet, 400, "LinkedInvalidPropertyId"),
        ("properties.allowedFqdnList", json!(["no name"]), 400, BAD),
        ("properties.restore", json!(true), 404, "CanNotRestoreANonExistingResource"),
    ];
    let named = [
        ("x", 400, "InvalidResourceName"),
        ("-first", 400, "InvalidResourceName"),
        ("what%20ever", 400, "InvalidResourceName"),
        ("gone", 409, "FlagMustBeSetForRestore"),
    ];
    let members =
        members.into_iter().map(|(member, value, status, code)| account("new", member, value, status, code));
    let named = named
        .into_iter()
        .map(|(name, status, code)| account(name, "kind", json!("ComputerVision"), status, code));
    members.chain(named).collect()
}

/// Accounts that are there, or are not.
fn accounts() -> Vec<Wrong> {
    let key = |body: Json, code| {
        wrong("POST", format!("{}/regenerateKey", Azure::account("live")), body, 400, code)
    };
    let lost = |method, path: String, body: Json| wrong(method, path, body, 404, "ResourceNotFound");
    let nobody = Azure::account("nobody");
    vec![
        account("live", "location", json!("westus"), 409, "InvalidResourceLocation"),
        account("live", "kind", json!("Face"), 400, BAD),
        patch(json!({ "properties": { "networkAcls": { "defaultAction": "Deny" } } }), 400, BAD),
        patch(json!({ "location": "westus" }), 409, "InvalidResourceLocation"),
        patch(json!({ "kind": "Face" }), 400, BAD),
        patch(json!({ "sku": { "name": "S0" } }), 400, "InvalidSkuId"),
        patch(json!({ "properties": { "customSubDomainName": "taken" } }), 409, "CustomDomainInUse"),
        patch(json!([]), 400, CONTENT),
        account("taken", "properties.customSubDomainName", json!("other"), 400, BAD),
        key(json!({ "keyName": "Key3" }), BAD),
        key(json!({ "key": "Key1" }), CONTENT),
        lost("PATCH", nobody.clone(), json!({})),
        lost("GET", nobody.clone(), Json::Null),
        lost("POST", format!("{nobody}/listKeys"), Json::Null),
        // Deleted, but elsewhere.
        lost(
            "GET",
            "/providers/Microsoft.CognitiveServices/locations/westus/resourceGroups/rg/deletedAccounts/gone"
                .to_owned(),
            Json::Null,
        ),
        wrong("PUT", nobody.replace("/rg/", "/nobody/"), vision(), 404, "ResourceGroupNotFound"),
    ]
}

/// Types and versions that there are not.
fn interfaces() -> Vec<Wrong> {
    let get = |path: String, version, status, code| Wrong {
        version,
        ..wrong("GET", path, Json::Null, status, code)
    };
    let inside = |rest: &str| format!("/resourceGroups/rg/providers/{rest}");
    let group = || "/resourcegroups/rg".to_owned();
    vec![
        get(inside("Microsoft.CognitiveServices/robots/r"), COGNITIVE, 404, "InvalidResourceType"),
        get(inside("Microsoft.Nothing/things/t"), COGNITIVE, 404, "InvalidResourceNamespace"),
        get(Azure::account("live"), "2019-01-01", 400, "NoRegisteredProviderFound"),
        get(group(), "2019-01-01", 400, "InvalidApiVersionParameter"),
        get(group(), "", 400, "MissingApiVersionParameter"),
    ]
}

/// A group with a free account without a subdomain, one that holds a subdomain, and a deleted one that does.
fn populated() -> Azure {
    let mut azure = Azure::ready();
    azure.make("live", &vision());
    azure.make("taken", &vision_at("taken"));
    azure.make("gone", &vision_at("held"));
    azure.unmake("gone");
    azure
}

#[test]
fn each_wrong_request_is_refused_and_changes_nothing() {
    let mut azure = populated();
    let before = azure.records();
    let all: Vec<Wrong> =
        [groups(), new_accounts(), accounts(), interfaces()].into_iter().flatten().collect();
    assert!(all.len() >= 60, "{}", all.len());
    for Wrong { method, path, version, body, answer } in all {
        let refused = azure.call(method, &path, version, &body);
        assert_eq!((refused.status, refused.code()), answer, "{method} {path} {body}: {:#}", refused.body);
        assert!(refused.body["error"]["message"].as_str().is_some_and(|message| message.len() > 10));
        assert_eq!(azure.records(), before, "{method} {path} {body} changed something");
    }
}

/// Method, URI, headers instead of the owner's; status and code.
type Unwelcome<'a> = (&'a str, &'a str, &'a [(&'a str, &'a str)], u16, &'a str);

#[test]
fn who_asks_and_how_is_checked_before_what() {
    let mut azure = populated();
    let path = format!("/subscriptions/{SUBSCRIPTION}/resourcegroups/rg?api-version={RESOURCES}");
    let body = json!({ "location": "eastus" });
    let cases: &[Unwelcome<'_>] = &[
        ("GET", &path, &[("authorization", "")], 401, "AuthenticationFailed"),
        ("GET", &path, &[("authorization", "Basic b3duZXI6")], 401, "AuthenticationFailedInvalidHeader"),
        ("GET", &path, &[("authorization", "Bearer stolen")], 401, "InvalidAuthenticationToken"),
        ("PUT", &path, &[("content-type", "text/plain")], 415, "UnsupportedMediaType"),
        ("PUT", &path, &[("content-type", "")], 415, "UnsupportedMediaType"),
        ("GET", "/subscriptions/nonsense?api-version=2022-12-01", &[], 400, "InvalidSubscriptionId"),
        (
            "GET",
            "/subscriptions/99999999-2222-4333-8444-555555555555?api-version=2022-12-01",
            &[],
            404,
            "SubscriptionNotFound",
        ),
        ("GET", "/subscriptions", &[("authorization", "")], 400, "MissingApiVersionParameter"),
        ("GET", "/?api-version=2022-12-01", &[], 404, "NotFound"),
    ];
    for (method, uri, headers, status, code) in cases {
        let refused = azure.send(method, uri, headers, &body);
        assert_eq!((refused.status, refused.code()), (*status, *code), "{method} {uri} {headers:?}");
        let challenge = refused.header("www-authenticate");
        assert_eq!(
            challenge.is_some_and(|text| text.starts_with("Bearer authorization_uri=")),
            *status == 401
        );
    }
}
