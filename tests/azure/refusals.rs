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

/// A PUT of a new account.
fn account(name: &str, change: impl FnOnce(&mut Json), status: u16, code: &'static str) -> Wrong {
    let mut body = vision_at("fresh");
    change(&mut body);
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

fn accounts() -> Vec<Wrong> {
    let bad = (400, "BadRequest");
    let content = "InvalidRequestContent";
    vec![
        account("x", |_| {}, 400, "InvalidResourceName"),
        account("-first", |_| {}, 400, "InvalidResourceName"),
        account("what%20ever", |_| {}, 400, "InvalidResourceName"),
        account("new", |body| body["location"] = Json::Null, 400, "LocationRequired"),
        account(
            "new",
            |body| body["location"] = json!("atlantis"),
            400,
            "LocationNotAvailableForResourceType",
        ),
        account("new", |body| body["kind"] = json!("Computervision"), 400, "InvalidApiSetId"),
        account("new", |body| body["kind"] = Json::Null, 400, "InvalidApiSetId"),
        account("new", |body| body["sku"] = json!({ "name": "S9" }), 400, "InvalidSkuId"),
        account("new", |body| body["sku"] = Json::Null, 400, "InvalidSkuId"),
        account("new", |body| body["sku"] = json!("S1"), 400, content),
        account("new", |body| body["sku"] = json!({ "name": "F0" }), 400, "CanNotCreateMultipleFreeAccounts"),
        account(
            "new",
            |body| body["properties"]["customSubDomainName"] = json!("TAKEN"),
            409,
            "CustomDomainInUse",
        ),
        account(
            "new",
            |body| body["properties"]["customSubDomainName"] = json!("held"),
            409,
            "CustomDomainInUse",
        ),
        account("new", |body| body["properties"]["customSubDomainName"] = json!("ends-"), bad.0, bad.1),
        account("new", |body| body["properties"]["customSubDomainName"] = json!("a.b"), bad.0, bad.1),
        account("new", |body| body["colour"] = json!("blue"), 400, content),
        account("new", |body| body["properties"]["colour"] = json!("blue"), 400, content),
        account("new", |body| body["properties"]["publicNetworkAccess"] = json!("Perhaps"), 400, content),
        account("new", |body| body["properties"]["disableLocalAuth"] = json!("yes"), 400, content),
        account(
            "new",
            |body| body["properties"]["networkAcls"] = json!({ "defaultAction": "Perhaps" }),
            400,
            content,
        ),
        account(
            "new",
            |body| body["properties"]["networkAcls"] = json!({ "ipRules": [{ "value": "localhost" }] }),
            bad.0,
            bad.1,
        ),
        account(
            "new",
            |body| body["properties"]["networkAcls"] = json!({ "ipRules": [{ "address": "192.0.2.1" }] }),
            400,
            content,
        ),
        account(
            "new",
            |body| body["properties"]["networkAcls"] = json!({ "virtualNetworkRules": [{ "id": "subnet" }] }),
            400,
            "LinkedInvalidPropertyId",
        ),
        account("new", |body| body["properties"]["allowedFqdnList"] = json!(["no name"]), bad.0, bad.1),
        account(
            "new",
            |body| body["properties"]["restore"] = json!(true),
            404,
            "CanNotRestoreANonExistingResource",
        ),
        account("gone", |_| {}, 409, "FlagMustBeSetForRestore"),
        account("new", |body| body["tags"] = json!({ "a?": "b" }), 400, "InvalidTagNameCharacters"),
        account("live", |body| body["location"] = json!("westus"), 409, "InvalidResourceLocation"),
        account("live", |body| body["kind"] = json!("Face"), bad.0, bad.1),
        patch(json!({ "properties": { "networkAcls": { "defaultAction": "Deny" } } }), bad.0, bad.1),
        patch(json!({ "location": "westus" }), 409, "InvalidResourceLocation"),
        patch(json!({ "kind": "Face" }), bad.0, bad.1),
        patch(json!({ "sku": { "name": "S0" } }), 400, "InvalidSkuId"),
        patch(json!({ "properties": { "customSubDomainName": "taken" } }), 409, "CustomDomainInUse"),
        patch(json!([]), 400, content),
        wrong(
            "PATCH",
            Azure::account("taken"),
            json!({ "properties": { "customSubDomainName": "other" } }),
            bad.0,
            bad.1,
        ),
        wrong("PATCH", Azure::account("nobody"), json!({}), 404, "ResourceNotFound"),
        wrong("GET", Azure::account("nobody"), Json::Null, 404, "ResourceNotFound"),
        wrong("POST", format!("{}/listKeys", Azure::account("nobody")), Json::Null, 404, "ResourceNotFound"),
        wrong(
            "POST",
            format!("{}/regenerateKey", Azure::account("live")),
            json!({ "keyName": "Key3" }),
            bad.0,
            bad.1,
        ),
        wrong(
            "POST",
            format!("{}/regenerateKey", Azure::account("live")),
            json!({ "key": "Key1" }),
            400,
            content,
        ),
        wrong(
            "PUT",
            Azure::account("live").replace("/rg/", "/nobody/"),
            vision(),
            404,
            "ResourceGroupNotFound",
        ),
        wrong(
            "GET",
            "/resourceGroups/rg/providers/Microsoft.CognitiveServices/robots/r",
            Json::Null,
            404,
            "InvalidResourceType",
        ),
        wrong(
            "GET",
            "/resourceGroups/rg/providers/Microsoft.Nothing/things/t",
            Json::Null,
            404,
            "InvalidResourceNamespace",
        ),
        // Deleted, but elsewhere.
        wrong(
            "GET",
            "/providers/Microsoft.CognitiveServices/locations/westus/resourceGroups/rg/deletedAccounts/gone",
            Json::Null,
            404,
            "ResourceNotFound",
        ),
        Wrong {
            version: "2019-01-01",
            ..wrong("GET", Azure::account("live"), Json::Null, 400, "NoRegisteredProviderFound")
        },
        Wrong {
            version: "2019-01-01",
            ..wrong("GET", "/resourcegroups/rg", Json::Null, 400, "InvalidApiVersionParameter")
        },
        Wrong {
            version: "",
            ..wrong("GET", "/resourcegroups/rg", Json::Null, 400, "MissingApiVersionParameter")
        },
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
    let all: Vec<Wrong> = groups().into_iter().chain(accounts()).collect();
    assert!(all.len() >= 60, "{}", all.len());
    for Wrong { method, path, version, body, answer } in all {
        let refused = azure.call(method, &path, version, &body);
        assert_eq!((refused.status, refused.code()), answer, "{method} {path} {body}: {:#}", refused.body);
        assert!(refused.body["error"]["message"].as_str().is_some_and(|message| message.len() > 10));
        assert_eq!(azure.records(), before, "{method} {path} {body} changed something");
    }
}

#[test]
fn who_asks_and_how_is_checked_before_what() {
    let mut azure = populated();
    let path = format!("/subscriptions/{SUBSCRIPTION}/resourcegroups/rg?api-version={RESOURCES}");
    let body = json!({ "location": "eastus" });
    let cases: &[(&str, &str, &[(&str, &str)], u16, &str)] = &[
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
