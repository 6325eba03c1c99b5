//! Microsoft's own Python clients are the judges of the sandbox: they live a whole life in it, read what mcm
//! created, and create what mcm reads.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use mcm::model::*;
use mcm::provider::{self, Access, AzureAccess, Router};
use mcm::sandbox::{Accounts, Options, Session};
use serde_json::{Value as Json, json};
use tempfile::TempDir;

use super::SUBSCRIPTION;
use crate::support::{judges, root};

const MODULES: &[&str] = &["azure.mgmt.cognitiveservices", "azure.mgmt.resource.resources"];

async fn sandbox() -> (Session, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let accounts = Accounts { azure: [SUBSCRIPTION.to_owned()].into(), ..Accounts::default() };
    let options = Options { data: folder.path().to_owned(), port: None, latency: Duration::ZERO, accounts };
    (Session::open(options).await.unwrap(), folder)
}

/// What the judge prints; it fails loudly.
async fn judge(python: &Path, session: &Session, words: &[&str]) -> String {
    let script = root().join("tests/azure/judge.py");
    let mut command = Command::new(python);
    command
        .arg(script)
        .args([session.endpoints.azure.as_str(), &session.credentials.azure_token(), SUBSCRIPTION])
        .args(words);
    let done = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).unwrap().trim().to_owned()
}

fn map(json: Json) -> Map {
    Value::from_json(json).as_map().cloned().unwrap()
}

#[tokio::test]
async fn the_clients_live_a_whole_life_in_the_sandbox() {
    let Some(python) = judges("azure clients", MODULES) else { return };
    let (session, _folder) = sandbox().await;
    assert_eq!(judge(&python, &session, &["all"]).await, "ok");
}

#[tokio::test]
async fn each_reads_what_the_other_created() {
    let Some(python) = judges("azure clients and mcm", MODULES) else { return };
    let (session, _folder) = sandbox().await;
    assert_eq!(judge(&python, &session, &["make", "theirs"]).await, "ok");

    let place = AzurePlace {
        subscription: SUBSCRIPTION.to_owned(),
        resource_group: "lab".to_owned(),
        location: "eastus".to_owned(),
        endpoint: None,
    };
    let clouds = Clouds { azure: Some(place), ..Clouds::default() };
    let azure = AzureAccess {
        endpoint: Some(session.endpoints.azure.clone()),
        token: Some(Secret::new(session.credentials.azure_token())),
        dial: None,
    };
    let router = Router::new(&clouds, &Access { azure, ..Access::default() });
    let ty = ResourceType::new("Microsoft.CognitiveServices/accounts");
    let schema = provider::catalogue().get(&ty).unwrap();

    let theirs = (schema.identify)(&map(json!({ "name": "theirs" })), &clouds).unwrap();
    let read = Read { ty: &ty, id: &theirs, desired: None, secrets: false };
    let live = router.read(read).await.unwrap().unwrap();
    assert_eq!(live.owner, None);
    assert_eq!(live.properties["tags"], map(json!({ "team": "a" })).into());
    assert_eq!(live.properties["properties"].at(&["customSubDomainName"]), Some(&"theirs-made".into()));
    assert_eq!(live.properties["properties"].at(&["disableLocalAuth"]), Some(&true.into()));

    let properties = map(json!({
        "name": "ours", "kind": "ComputerVision", "sku": { "name": "F0" }, "tags": { "team": "b" },
        "properties": { "customSubDomainName": "ours-made", "networkAcls": { "defaultAction": "Deny" } },
    }));
    let ours = (schema.identify)(&properties, &clouds).unwrap();
    let owner = Owner {
        stack: "lab".to_owned(),
        address: Address::resource("vision"),
        nonce: Nonce("0123456789abcdef01234567".to_owned()),
    };
    let create = Create { ty: &ty, id: &ours, properties: &properties, owner: &owner, secrets: false };
    router.create(create).await.unwrap();
    let seen: Json = serde_json::from_str(&judge(&python, &session, &["read", "ours"]).await).unwrap();
    assert_eq!(seen["tags"], json!({ "team": "b", "mcm:owner": owner.to_text() }));
    assert_eq!(seen["sku"]["name"], "F0");
    assert_eq!(seen["properties"]["networkAcls"]["defaultAction"], "Deny");
}
