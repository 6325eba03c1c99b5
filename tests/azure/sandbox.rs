//! The sandbox's rules: what a life looks like from outside, state by state.

use mcm::sandbox::AZURE_TENANT;
use serde_json::{Value as Json, json};

use super::SUBSCRIPTION;
use super::world::{Answer, Azure, COGNITIVE, RESOURCES, vision, vision_at};

/// Path and query of a URL in a header.
fn place(answer: &Answer, header: &str) -> String {
    let url = answer.header(header).unwrap_or_else(|| panic!("no {header}: {answer:#?}"));
    url.strip_prefix("http://127.0.0.1:4002").unwrap_or_else(|| panic!("{url}")).to_owned()
}

#[test]
fn a_new_account_passes_through_its_states() {
    let mut azure = Azure::ready();
    let path = Azure::account("Vision");
    let made = azure.call("PUT", &path, COGNITIVE, &vision_at("my-vision"));
    assert_eq!(made.status, 201);
    assert_eq!(made.body["properties"]["provisioningState"], "Accepted");
    assert_eq!(made.header("retry-after"), Some("0"));
    let operation = place(&made, "azure-asyncoperation");

    let mut seen = Vec::new();
    for _ in 0..3 {
        let status = azure.send("GET", &operation, &[], &Json::Null);
        seen.push(status.body["status"].as_str().unwrap().to_owned());
    }
    assert_eq!(seen, ["InProgress", "InProgress", "Succeeded"]);

    let account = azure.ok("GET", &path, COGNITIVE, &Json::Null);
    assert_eq!(
        account["id"],
        format!(
            "/subscriptions/{SUBSCRIPTION}/resourceGroups/rg/providers/Microsoft.CognitiveServices/accounts/Vision"
        )
    );
    assert_eq!(account["type"], "Microsoft.CognitiveServices/accounts");
    assert_eq!(account["properties"]["endpoint"], "https://my-vision.cognitiveservices.azure.com/");
    assert_eq!(account["properties"]["publicNetworkAccess"], "Enabled");
    assert_eq!(account["properties"].get("networkAcls"), None);
}

#[test]
fn looking_at_the_account_itself_is_a_way_to_wait_too() {
    let mut azure = Azure::ready();
    let path = Azure::account("vision");
    azure.ok("PUT", &path, COGNITIVE, &vision_at("my-vision"));
    let mut seen = Vec::new();
    for _ in 0..3 {
        let account = azure.ok("GET", &path, COGNITIVE, &Json::Null);
        seen.push(account["properties"]["provisioningState"].as_str().unwrap().to_owned());
    }
    assert_eq!(seen, ["Creating", "ResolvingDNS", "Succeeded"]);
}

#[test]
fn an_account_on_its_way_takes_no_change() {
    let mut azure = Azure::ready();
    let path = Azure::account("vision");
    azure.ok("PUT", &path, COGNITIVE, &vision_at("my-vision"));
    let early = azure.call("PATCH", &path, COGNITIVE, &json!({ "tags": { "a": "b" } }));
    assert_eq!((early.status, early.code()), (409, "AccountProvisioningStateInvalid"));
    azure.settle("vision");
    azure.ok("PATCH", &path, COGNITIVE, &json!({ "tags": { "a": "b" } }));
}

#[test]
fn names_and_places_are_the_same_in_any_case() {
    let mut azure = Azure::ready();
    azure
        .make("Vision", &json!({ "location": "East US", "kind": "ComputerVision", "sku": { "name": "S1" } }));
    let shouted = "/RESOURCEGROUPS/RG/providers/microsoft.cognitiveservices/ACCOUNTS/VISION";
    let account = azure.ok("GET", shouted, COGNITIVE, &Json::Null);
    assert_eq!(account["name"], "Vision");
    assert_eq!(account["location"], "East US");
    assert_eq!(account["properties"]["endpoint"], "https://eastus.api.cognitive.microsoft.com/");
    // The same place in other words is no move.
    azure.ok("PATCH", &Azure::account("vision"), COGNITIVE, &json!({ "location": "eastus" }));

    azure.ok(
        "PUT",
        "/resourcegroups/Other",
        RESOURCES,
        &json!({ "location": "West Europe", "tags": { "Team": "a" } }),
    );
    let group = azure.ok("GET", "/resourceGroups/OTHER", RESOURCES, &Json::Null);
    assert_eq!(group["name"], "Other");
    assert_eq!(group["location"], "westeurope");
    assert_eq!(group["tags"], json!({ "Team": "a" }));
}

#[test]
fn a_put_says_all_and_a_patch_says_some() {
    let mut azure = Azure::ready();
    let path = Azure::account("vision");
    let mut body = vision_at("my-vision");
    body["tags"] = json!({ "a": "1", "b": "2" });
    body["properties"]["networkAcls"] =
        json!({ "defaultAction": "Deny", "ipRules": [{ "value": "192.0.2.1" }] });
    body["properties"]["disableLocalAuth"] = json!(true);
    azure.make("vision", &body);

    let patched =
        azure.ok("PATCH", &path, COGNITIVE, &json!({ "tags": { "b": "3" }, "sku": { "name": "F0" } }));
    assert_eq!(patched["tags"], json!({ "b": "3" }));
    assert_eq!(patched["sku"], json!({ "name": "F0" }));
    assert_eq!(patched["properties"]["networkAcls"]["ipRules"], json!([{ "value": "192.0.2.1" }]));
    assert_eq!(patched["properties"]["disableLocalAuth"], true);

    let put = azure.ok("PUT", &path, COGNITIVE, &vision_at("my-vision"));
    assert_eq!(put.get("tags"), None);
    assert_eq!(put["properties"].get("networkAcls"), None);
    assert_eq!(put["properties"].get("disableLocalAuth"), None);
    assert_eq!(put["properties"]["customSubDomainName"], "my-vision");
    assert_ne!(put["etag"], patched["etag"]);
}

#[test]
fn a_subdomain_can_be_added_and_not_taken_away() {
    let mut azure = Azure::ready();
    let path = Azure::account("vision");
    azure.make("vision", &vision());
    let added =
        azure.ok("PATCH", &path, COGNITIVE, &json!({ "properties": { "customSubDomainName": "Mine" } }));
    assert_eq!(added["properties"]["customSubDomainName"], "Mine");
    assert_eq!(added["properties"]["endpoint"], "https://mine.cognitiveservices.azure.com/");
    let put = azure.ok("PUT", &path, COGNITIVE, &vision());
    assert_eq!(put["properties"]["customSubDomainName"], "Mine");
    let changed =
        azure.call("PATCH", &path, COGNITIVE, &json!({ "properties": { "customSubDomainName": "other" } }));
    assert_eq!(changed.status, 400);
}

const DELETED: &str =
    "/providers/Microsoft.CognitiveServices/locations/eastus/resourceGroups/rg/deletedAccounts/vision";

#[test]
fn a_deleted_account_can_be_restored_as_it_was() {
    let mut azure = Azure::ready();
    let path = Azure::account("vision");
    let mut body = vision_at("my-vision");
    body["tags"] = json!({ "a": "1" });
    let before = azure.make("vision", &body);
    let keys = azure.ok("POST", &format!("{path}/listKeys"), COGNITIVE, &Json::Null);

    let gone = azure.call("DELETE", &path, COGNITIVE, &Json::Null);
    assert_eq!(gone.status, 202);
    let location = place(&gone, "location");
    let statuses: Vec<u16> = (0..3).map(|_| azure.send("GET", &location, &[], &Json::Null).status).collect();
    assert_eq!(statuses, [202, 204, 204]);
    assert_eq!(azure.call("GET", &path, COGNITIVE, &Json::Null).code(), "ResourceNotFound");

    let deleted = azure.ok("GET", DELETED, COGNITIVE, &Json::Null);
    assert_eq!(deleted["type"], "Microsoft.CognitiveServices/deletedAccounts");
    assert_eq!(deleted["properties"]["deletionDate"], "2026-11-23T12:00:00.0000000Z");
    assert_eq!(deleted["properties"]["scheduledPurgeDate"], "2026-11-25T12:00:00.0000000Z");
    let listed =
        azure.ok("GET", "/providers/Microsoft.CognitiveServices/deletedAccounts", COGNITIVE, &Json::Null);
    assert_eq!(listed["value"], json!([deleted]));

    let refused = azure.call("PUT", &path, COGNITIVE, &body);
    assert_eq!((refused.status, refused.code()), (409, "FlagMustBeSetForRestore"));

    // Neither kind nor sku: what comes back is what there was.
    let flag = json!({ "location": "eastus", "properties": { "restore": true } });
    assert_eq!(azure.call("PUT", &path, COGNITIVE, &flag).status, 201);
    let after = azure.settle("vision");
    for same in ["id", "kind", "sku", "tags", "location"] {
        assert_eq!(after[same], before[same], "{same}");
    }
    assert_eq!(after["properties"]["internalId"], before["properties"]["internalId"]);
    assert_eq!(azure.ok("POST", &format!("{path}/listKeys"), COGNITIVE, &Json::Null), keys);
    assert_eq!(azure.call("GET", DELETED, COGNITIVE, &Json::Null).status, 404);
}

#[test]
fn a_purged_account_frees_what_it_held() {
    let mut azure = Azure::ready();
    let path = Azure::account("vision");
    let body = json!({
        "location": "eastus", "kind": "ComputerVision", "sku": { "name": "F0" },
        "properties": { "customSubDomainName": "held" },
    });
    azure.make("vision", &body);
    azure.unmake("vision");

    // Deleted, it still holds its subdomain and the free tier.
    let other = Azure::account("other");
    assert_eq!(azure.call("PUT", &other, COGNITIVE, &vision_at("HELD")).code(), "CustomDomainInUse");
    assert_eq!(azure.call("PUT", &other, COGNITIVE, &vision()).code(), "CanNotCreateMultipleFreeAccounts");
    let asked = json!({ "subdomainName": "held", "type": "Microsoft.CognitiveServices/accounts" });
    let check = "/providers/Microsoft.CognitiveServices/checkDomainAvailability";
    assert_eq!(azure.ok("POST", check, COGNITIVE, &asked)["isSubdomainAvailable"], false);

    let purged = azure.call("DELETE", DELETED, COGNITIVE, &Json::Null);
    assert_eq!(purged.status, 202);
    let operation = place(&purged, "azure-asyncoperation");
    let mut seen = Vec::new();
    for _ in 0..3 {
        seen.push(
            azure.send("GET", &operation, &[], &Json::Null).body["status"].as_str().unwrap().to_owned(),
        );
    }
    assert_eq!(seen, ["InProgress", "InProgress", "Succeeded"]);
    assert_eq!(azure.call("DELETE", DELETED, COGNITIVE, &Json::Null).status, 204);
    assert_eq!(azure.ok("POST", check, COGNITIVE, &asked)["isSubdomainAvailable"], true);
    assert_eq!(azure.call("PUT", &path, COGNITIVE, &body).status, 201);
}

#[test]
fn after_48_hours_nothing_is_left_of_a_deleted_account() {
    let mut azure = Azure::ready();
    azure.make("vision", &vision_at("held"));
    azure.unmake("vision");
    azure.later(47);
    assert_eq!(azure.call("GET", DELETED, COGNITIVE, &Json::Null).status, 200);
    azure.later(1);
    assert_eq!(azure.call("GET", DELETED, COGNITIVE, &Json::Null).status, 404);
    assert_eq!(azure.call("PUT", &Azure::account("vision"), COGNITIVE, &vision_at("held")).status, 201);
}

#[test]
fn keys_are_two_and_change_one_at_a_time() {
    let mut azure = Azure::ready();
    let path = Azure::account("vision");
    azure.make("vision", &vision());
    let before = azure.ok("POST", &format!("{path}/listKeys"), COGNITIVE, &Json::Null);
    let after = azure.ok("POST", &format!("{path}/regenerateKey"), COGNITIVE, &json!({ "keyName": "Key2" }));
    assert_eq!(before["key1"], after["key1"]);
    assert_ne!(before["key2"], after["key2"]);
    assert_eq!(after["key2"].as_str().map(str::len), Some(32));
    azure.ok("PATCH", &path, COGNITIVE, &json!({ "properties": { "disableLocalAuth": true } }));
    let refused = azure.call("POST", &format!("{path}/listKeys"), COGNITIVE, &Json::Null);
    assert_eq!((refused.status, refused.code()), (400, "BadRequest"));
}

#[test]
fn deleting_a_group_deletes_what_is_in_it_and_takes_a_while() {
    let mut azure = Azure::ready();
    azure.make("vision", &vision_at("mine"));
    let listed = azure.ok("GET", "/resourceGroups/rg/resources", RESOURCES, &Json::Null);
    assert_eq!(listed["value"].as_array().map(Vec::len), Some(1));

    let gone = azure.call("DELETE", "/resourcegroups/rg", RESOURCES, &Json::Null);
    assert_eq!(gone.status, 202);
    let busy = azure.call("PATCH", &Azure::account("vision"), COGNITIVE, &json!({ "tags": {} }));
    assert_eq!((busy.status, busy.code()), (409, "ResourceGroupBeingDeleted"));
    let location = place(&gone, "location");
    let statuses: Vec<u16> = (0..4).map(|_| azure.send("GET", &location, &[], &Json::Null).status).collect();
    assert_eq!(statuses, [202, 202, 200, 200]);

    assert_eq!(azure.call("HEAD", "/resourcegroups/rg", RESOURCES, &Json::Null).status, 404);
    assert_eq!(
        azure.call("GET", &Azure::account("vision"), COGNITIVE, &Json::Null).code(),
        "ResourceGroupNotFound"
    );
    // It outlives its group, and comes back once there is one again.
    assert_eq!(azure.call("GET", DELETED, COGNITIVE, &Json::Null).status, 200);
    azure.ok("PUT", "/resourcegroups/rg", RESOURCES, &json!({ "location": "eastus" }));
    let flag = json!({ "location": "eastus", "properties": { "restore": true } });
    assert_eq!(azure.call("PUT", &Azure::account("vision"), COGNITIVE, &flag).status, 201);
}

#[test]
fn a_subscription_must_be_registered_once() {
    let mut azure = Azure::new();
    azure.ok("PUT", "/resourcegroups/rg", RESOURCES, &json!({ "location": "eastus" }));
    let refused = azure.call("PUT", &Azure::account("vision"), COGNITIVE, &vision());
    assert_eq!((refused.status, refused.code()), (409, "MissingSubscriptionRegistration"));
    assert_eq!(refused.body["error"]["details"][0]["target"], "Microsoft.CognitiveServices");

    let path = "/providers/Microsoft.CognitiveServices";
    let mut seen = vec![azure.ok("GET", path, RESOURCES, &Json::Null)["registrationState"].clone()];
    seen.push(
        azure.ok("POST", &format!("{path}/register"), RESOURCES, &Json::Null)["registrationState"].clone(),
    );
    for _ in 0..2 {
        seen.push(azure.ok("GET", path, RESOURCES, &Json::Null)["registrationState"].clone());
    }
    assert_eq!(seen, ["NotRegistered", "Registering", "Registering", "Registered"]);
    assert_eq!(azure.call("PUT", &Azure::account("vision"), COGNITIVE, &vision()).status, 201);
}

#[test]
fn subscription_and_tenant_are_told() {
    let mut azure = Azure::new();
    let subscription = azure.ok("GET", "", "2022-12-01", &Json::Null);
    assert_eq!(subscription["subscriptionId"], SUBSCRIPTION);
    assert_eq!(subscription["state"], "Enabled");
    assert_eq!(subscription["tenantId"], AZURE_TENANT);
    let tenants = azure.send("GET", "/tenants?api-version=2022-12-01", &[], &Json::Null);
    assert_eq!(tenants.body["value"][0]["tenantId"], AZURE_TENANT);
    let places = azure.ok("GET", "/locations", "2022-12-01", &Json::Null);
    let names: Vec<&str> =
        places["value"].as_array().unwrap().iter().filter_map(|place| place["name"].as_str()).collect();
    assert!(names.contains(&"eastus") && names.contains(&"swedencentral") && names.len() > 40);
}

#[test]
fn an_etag_that_is_out_of_date_stops_a_write() {
    let mut azure = Azure::ready();
    let account = azure.make("vision", &vision());
    let etag = account["etag"].as_str().unwrap();
    let uri = format!("/subscriptions/{SUBSCRIPTION}{}?api-version={COGNITIVE}", Azure::account("vision"));
    let tags = |value: &str| json!({ "tags": { "a": value } });
    assert_eq!(azure.send("PATCH", &uri, &[("if-match", etag)], &tags("1")).status, 200);
    let stale = azure.send("PATCH", &uri, &[("if-match", etag)], &tags("2"));
    assert_eq!((stale.status, stale.code()), (412, "PreconditionFailed"));
}

/// What a process wrote is there for the next one.
#[test]
fn the_world_outlasts_the_process() {
    let mut azure = Azure::ready();
    azure.make("vision", &vision_at("mine"));
    azure.make("other", &json!({ "location": "eastus", "kind": "Face", "sku": { "name": "F0" } }));
    azure.unmake("other");
    let before = azure.ok("GET", &Azure::account("vision"), COGNITIVE, &Json::Null);

    let mut next = Azure::new();
    for (table, key, value) in azure.records() {
        next.world.replay(&table, &key, Some(value));
    }
    assert_eq!(next.ok("GET", &Azure::account("vision"), COGNITIVE, &Json::Null), before);
    let deleted =
        next.ok("GET", "/providers/Microsoft.CognitiveServices/deletedAccounts", COGNITIVE, &Json::Null);
    assert_eq!(deleted["value"][0]["name"], "other");
}
