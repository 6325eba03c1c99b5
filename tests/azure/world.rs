//! A world with one subscription, called directly: no socket, no client.

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use mcm::sandbox::{Accounts, Clock, Credentials, World, azure};
use serde_json::{Value as Json, json};

use super::SUBSCRIPTION;

/// The versions that are spoken.
pub const RESOURCES: &str = "2022-09-01";
pub const COGNITIVE: &str = "2023-05-01";

/// A world and a clock that stands still.
pub struct Azure {
    pub world: World,
    now: Timestamp,
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub body: Json,
    headers: http::HeaderMap,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    pub fn code(&self) -> &str {
        self.body["error"]["code"].as_str().unwrap_or_default()
    }
}

impl Azure {
    pub fn new() -> Self {
        let now = "2026-11-23T12:00:00Z".parse().unwrap();
        let accounts = Accounts { azure: [SUBSCRIPTION.to_owned()].into(), ..Accounts::default() };
        Self { world: World::new(Clock::Fixed(now), 7, accounts), now }
    }

    /// With Cognitive Services registered, and a resource group `rg` in eastus.
    pub fn ready() -> Self {
        let mut azure = Self::new();
        azure.ok("POST", "/providers/Microsoft.CognitiveServices/register", RESOURCES, &Json::Null);
        for _ in 0..2 {
            azure.ok("GET", "/providers/Microsoft.CognitiveServices", RESOURCES, &Json::Null);
        }
        azure.ok("PUT", "/resourcegroups/rg", RESOURCES, &json!({ "location": "eastus" }));
        azure
    }

    pub fn later(&mut self, hours: i64) {
        self.now += SignedDuration::from_hours(hours);
        self.world.set_clock(Clock::Fixed(self.now));
    }

    /// One call as the owner, below the subscription.
    pub fn call(&mut self, method: &str, path: &str, version: &str, body: &Json) -> Answer {
        let uri = format!("/subscriptions/{SUBSCRIPTION}{path}?api-version={version}");
        self.send(method, &uri, &[], body)
    }

    /// One call that is answered with success.
    pub fn ok(&mut self, method: &str, path: &str, version: &str, body: &Json) -> Json {
        let answer = self.call(method, path, version, body);
        assert!((200..300).contains(&answer.status), "{method} {path}: {answer:#?}");
        answer.body
    }

    /// Any call; further headers replace those of the owner.
    pub fn send(&mut self, method: &str, uri: &str, headers: &[(&str, &str)], body: &Json) -> Answer {
        let bytes = if body.is_null() { Bytes::new() } else { Bytes::from(body.to_string()) };
        let owner = format!("Bearer {}", Credentials::known().azure_token());
        let mut request = http::Request::builder().method(method).uri(uri).body(bytes).unwrap();
        let own = [
            ("host", "127.0.0.1:4002"),
            ("authorization", owner.as_str()),
            ("content-type", "application/json"),
        ];
        for (name, value) in own.iter().chain(headers) {
            let name: http::HeaderName = name.parse().unwrap();
            if value.is_empty() {
                request.headers_mut().remove(name);
            } else {
                request.headers_mut().insert(name, value.parse().unwrap());
            }
        }
        let response = azure::handle(&mut self.world, &request);
        let body = serde_json::from_slice(response.body()).unwrap_or_default();
        Answer { status: response.status().as_u16(), body, headers: response.headers().clone() }
    }

    /// All that the world holds.
    pub fn records(&self) -> Vec<(String, String, Json)> {
        let records = self.world.records();
        records.map(|(table, key, value)| (table.to_owned(), key.to_owned(), value.clone())).collect()
    }

    /// An account's path.
    pub fn account(name: &str) -> String {
        format!("/resourceGroups/rg/providers/Microsoft.CognitiveServices/accounts/{name}")
    }

    /// Makes an account and looks at it until it is ready.
    pub fn make(&mut self, name: &str, body: &Json) -> Json {
        self.ok("PUT", &Self::account(name), COGNITIVE, body);
        self.settle(name)
    }

    /// Looks at an account until it is ready.
    pub fn settle(&mut self, name: &str) -> Json {
        for _ in 0..5 {
            let account = self.ok("GET", &Self::account(name), COGNITIVE, &Json::Null);
            if account["properties"]["provisioningState"] == "Succeeded" {
                return account;
            }
        }
        panic!("{name} is never ready");
    }

    /// Deletes an account and looks until it is gone.
    pub fn unmake(&mut self, name: &str) {
        self.ok("DELETE", &Self::account(name), COGNITIVE, &Json::Null);
        for _ in 0..5 {
            if self.call("GET", &Self::account(name), COGNITIVE, &Json::Null).status == 404 {
                return;
            }
        }
        panic!("{name} is never gone");
    }
}

/// A free Computer Vision account.
pub fn vision() -> Json {
    json!({ "location": "eastus", "kind": "ComputerVision", "sku": { "name": "F0" }, "properties": {} })
}

/// A paid one with a subdomain.
pub fn vision_at(subdomain: &str) -> Json {
    json!({
        "location": "eastus", "kind": "ComputerVision", "sku": { "name": "S1" },
        "properties": { "customSubDomainName": subdomain },
    })
}
