//! Google's and Microsoft's own clients beside mcm: what mcm made reads as the stack says, and what the clients edit
//! shows in the plan as exactly that, and is put back. (AWS: `tests/aws/edits.rs`.)

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use mcm::sandbox::{Accounts, Options, Session};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::cli::binary::run;
use crate::support::{judges, root, three_clouds};

/// A client's script, and whom it speaks to.
struct Client {
    python: PathBuf,
    script: &'static str,
    words: [String; 3],
}

impl Client {
    fn ask(&self, what: &str) -> String {
        let done = Command::new(&self.python)
            .arg(root().join(self.script))
            .args(&self.words)
            .arg(what)
            .output()
            .unwrap();
        assert!(done.status.success(), "{what}: {}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8(done.stdout).unwrap()
    }

    fn read(&self) -> Value {
        serde_json::from_str(&self.ask("read")).unwrap()
    }
}

/// Everything that the plan would do: `address path` for each edit, `address created` for what is gone.
fn planned(home: &Path) -> BTreeSet<String> {
    let ran = run(home, &["plan", "--sandbox", "--json"]).exits(0);
    let plan: Value = serde_json::from_str(&ran.out).unwrap();
    let mut found = BTreeSet::new();
    for change in plan["resource_changes"].as_array().unwrap() {
        let address = change["address"].as_str().unwrap();
        let actions = &change["change"]["actions"];
        if *actions == json!(["create"]) {
            found.insert(format!("{address} created"));
        } else if *actions != json!(["no-op"]) {
            assert_eq!(*actions, json!(["update"]), "{change:#}");
            let paths = change["mcm"]["changed"].as_array().unwrap();
            found.extend(paths.iter().map(|path| format!("{address} {}", path.as_str().unwrap())));
        }
    }
    found
}

/// Each edit shows as exactly that, beside those before it; one apply puts all of them back.
fn live_together(client: &Client, home: &Path, made: &Value, edits: &[(&str, &str)], theirs: &[&str]) {
    let mut expected = BTreeSet::new();
    for (edit, shows) in edits {
        client.ask(edit);
        expected.insert((*shows).to_owned());
        assert_eq!(planned(home), expected, "after {edit}");
    }
    // What is someone else's is neither shown nor touched.
    for edit in theirs {
        client.ask(edit);
        assert_eq!(planned(home), expected, "after {edit}");
    }
    run(home, &["apply", "--sandbox", "--auto-approve"]).exits(0);
    run(home, &["plan", "--sandbox", "--detailed-exitcode"]).exits(0);
    if theirs.is_empty() {
        assert_eq!(client.read(), *made);
    }
}

/// The reference stack, applied.
fn applied() -> (tempfile::TempDir, Runtime, Session) {
    let home = tempfile::tempdir().unwrap();
    three_clouds(home.path());
    let runtime = Runtime::new().unwrap();
    let options = Options {
        data: home.path().join(".mcm/sandbox"),
        port: None,
        latency: Duration::ZERO,
        accounts: Accounts::default(),
    };
    let session = runtime.block_on(Session::open(options)).unwrap();
    run(home.path(), &["apply", "--sandbox", "--auto-approve"]).exits(0);
    (home, runtime, session)
}

#[test]
fn an_edit_by_googles_client_shows_as_exactly_that_and_is_put_back() {
    let modules = ["googleapiclient", "google.oauth2", "google.api_core"];
    let Some(python) = judges("gcp edits", &modules) else { return };
    let (home, runtime, session) = applied();
    let endpoint = session.endpoints.gcp.clone();
    let words = [endpoint, session.credentials.gcp_token(), "image-recognition-demo".to_owned()];
    let client = Client { python, script: "tests/gcp/edits.py", words };
    let made = client.read();
    let member = "serviceAccount:firestore-writer-demo@image-recognition-demo.iam.gserviceaccount.com";
    let grants = made["grants"].as_array().unwrap();
    assert!(grants.contains(&json!({ "role": "roles/datastore.user", "members": [member] })), "{grants:#?}");
    assert_eq!(made["account"]["displayName"], "Writes the analyses of images");
    assert_eq!(made["provider"]["aws"], json!({ "accountId": "123456789012" }));
    assert_eq!(made["binding"][0]["role"], "roles/iam.workloadIdentityUser");
    assert_eq!(made["database"]["locationId"], "nam5");

    let edits = [
        ("pool", "trust.lambda-to-firestore.pool displayName"),
        ("pool-off", "trust.lambda-to-firestore.pool disabled"),
        ("condition", "trust.lambda-to-firestore.provider attributeCondition"),
        ("mapping", "trust.lambda-to-firestore.provider attributeMapping[\"attribute.extra\"]"),
        ("provider-off", "trust.lambda-to-firestore.provider disabled"),
        ("account", "resources.firestore-writer displayName"),
        ("account-off", "resources.firestore-writer disabled"),
        ("binding", "trust.lambda-to-firestore.binding created"),
        ("grant", "resources.firestore-writer-grant created"),
        ("recovery", "resources.analyses pointInTimeRecoveryEnablement"),
        ("protection", "resources.analyses deleteProtectionState"),
    ];
    live_together(&client, home.path(), &made, &edits, &["stranger"]);
    let stranger = json!({ "role": "roles/viewer", "members": ["user:stranger@example.org"] });
    assert!(client.read()["grants"].as_array().unwrap().contains(&stranger), "a stranger's grant survives");
    client.ask("no-stranger");
    assert_eq!(client.read(), made);
    run(home.path(), &["destroy", "--sandbox", "--auto-approve"]).exits(0);
    runtime.block_on(session.close());
}

#[test]
fn an_edit_by_microsofts_client_shows_as_exactly_that_and_is_put_back() {
    let modules = ["azure.mgmt.cognitiveservices", "azure.mgmt.resource.resources"];
    let Some(python) = judges("azure edits", &modules) else { return };
    let (home, runtime, session) = applied();
    let subscription = "00000000-0000-0000-0000-000000000000".to_owned();
    let words = [session.endpoints.azure.clone(), session.credentials.azure_token(), subscription];
    let client = Client { python, script: "tests/azure/edits.py", words };
    let made = client.read();
    assert_eq!(made["group"]["tags"], json!({ "application": "image-recognition" }));
    assert_eq!(made["account"]["tags"], json!({ "application": "image-recognition" }));
    assert_eq!(made["account"]["sku"]["name"], "F0");
    assert_eq!(made["account"]["properties"]["customSubDomainName"], "image-recognition-demo");

    let edits = [
        ("group-tag", "resources.vision-group tags.team"),
        ("tag", "resources.vision tags.team"),
        ("network", "resources.vision properties.publicNetworkAccess"),
        ("keys", "resources.vision properties.disableLocalAuth"),
        ("sku", "resources.vision sku.name"),
    ];
    live_together(&client, home.path(), &made, &edits, &[]);
    run(home.path(), &["destroy", "--sandbox", "--auto-approve"]).exits(0);
    runtime.block_on(session.close());
}
