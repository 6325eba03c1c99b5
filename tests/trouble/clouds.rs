//! The same troubles in Google Cloud and in Azure.

use std::collections::BTreeMap;
use std::path::Path;

use mcm::model::Cloud;
use mcm::sandbox::{Accounts, Trouble};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{APPLY, Clouds, clouds_of, converges, told};
use crate::cli::binary::{Ran, folder, mcm, run};

const DESTROY: &[&str] = &["destroy", "--sandbox", "--auto-approve"];
const SUBSCRIPTION: &str = "00000000-0000-4000-8000-000000000000";

/// A stack of one resource in each of the two clouds, the one in `last` made after the other.
fn stack(last: Cloud) -> String {
    let (writer, group) = match last {
        Cloud::Gcp => (", dependsOn: [group]", ""),
        Cloud::Azure | Cloud::Aws => ("", ", dependsOn: [writer]"),
    };
    format!(
        "stack: pair
clouds:
  gcp: {{ project: trouble-project }}
  azure: {{ subscription: {SUBSCRIPTION}, resourceGroup: trouble, location: eastus }}
resources:
  writer: {{ type: iam.googleapis.com/ServiceAccount, properties: {{ accountId: trouble-writer }}{writer} }}
  group: {{ type: Microsoft.Resources/resourceGroups, properties: {{ name: trouble }}{group} }}
"
    )
}

fn both(home: &Path) -> Clouds {
    let accounts = Accounts {
        gcp: ["trouble-project".to_owned()].into(),
        azure: [SUBSCRIPTION.to_owned()].into(),
        ..Accounts::default()
    };
    clouds_of(home, accounts)
}

/// Another stack, in a folder of its own, whose endpoints are those of these clouds.
fn another(clouds: &Clouds, project: &str, subscription: &str, resources: &str) -> TempDir {
    let endpoints = &clouds.session.endpoints;
    folder(&format!(
        "stack: other
clouds:
  gcp: {{ project: {project}, endpoint: \"{}\" }}
  azure: {{ subscription: {subscription}, resourceGroup: other, location: eastus, endpoint: \"{}\" }}
resources:
{resources}",
        endpoints.gcp, endpoints.azure
    ))
}

/// A run of the other stack, with what `mcm sandbox env` says of these clouds.
fn real(clouds: &Clouds, other: &TempDir, arguments: &[&str]) -> Ran {
    let credentials = &clouds.session.credentials;
    let mut command = mcm(other.path());
    command.env("CLOUDSDK_AUTH_ACCESS_TOKEN", credentials.gcp_token());
    command.env("ARM_ACCESS_TOKEN", credentials.azure_token());
    command.args(arguments).output().unwrap().into()
}

const REAL: &[&str] = &["apply", "--auto-approve"];

/// The request of each cloud that makes the resource.
fn making(cloud: Cloud) -> &'static str {
    match cloud {
        Cloud::Gcp => "POST /v1/projects/trouble-project/serviceAccounts",
        Cloud::Azure | Cloud::Aws => "PUT /subscriptions/",
    }
}

fn status(code: u16, body: &Value) -> Trouble {
    Trouble::Status { code, body: body.to_string(), headers: BTreeMap::new(), applied: false }
}

fn denied(cloud: Cloud) -> Trouble {
    let permission = "iam.serviceAccounts.create";
    let body = match cloud {
        Cloud::Gcp => json!({ "error": {
            "code": 403, "status": "PERMISSION_DENIED",
            "message": format!("Permission '{permission}' denied on resource (or it may not exist)."),
            "details": [{
                "@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "IAM_PERMISSION_DENIED",
                "domain": "iam.googleapis.com", "metadata": { "permission": permission },
            }],
        } }),
        Cloud::Azure | Cloud::Aws => json!({ "error": {
            "code": "AuthorizationFailed",
            "message": "The client 'dev' does not have authorization to perform action \
                        'Microsoft.Resources/subscriptions/resourceGroups/write'.",
        } }),
    };
    status(403, &body)
}

fn throttled(cloud: Cloud) -> Trouble {
    let body = match cloud {
        Cloud::Gcp => json!({ "error": {
            "code": 429, "status": "RESOURCE_EXHAUSTED", "message": "Quota exceeded for quota metric 'Requests'." } }),
        Cloud::Azure | Cloud::Aws => json!({ "error": {
            "code": "TooManyRequests", "message": "The request is being throttled." } }),
    };
    status(429, &body)
}

const TWO: [(Cloud, &str); 2] = [(Cloud::Gcp, "gcp"), (Cloud::Azure, "azure")];

#[test]
fn a_permission_denied_undoes_what_was_done() {
    for (cloud, name) in TWO {
        let home = folder(&stack(cloud));
        let clouds = both(home.path());
        clouds.trouble(cloud, making(cloud), None, denied(cloud));
        let ran = run(home.path(), APPLY).exits(5);
        insta::assert_snapshot!(format!("denied_{name}"), told(&ran));
        assert!(run(home.path(), &["state", "list", "--sandbox"]).exits(0).out.is_empty());
        clouds.calm();
        converges(home.path());
    }
}

#[test]
fn a_throttle_is_waited_out_and_one_without_end_leaves_what_is_done() {
    for (cloud, name) in TWO {
        let home = folder(&stack(cloud));
        let clouds = both(home.path());
        clouds.trouble(cloud, making(cloud), None, throttled(cloud));
        let ran = run(home.path(), APPLY).exits(6);
        insta::assert_snapshot!(format!("throttled_{name}"), told(&ran));
        let owned = run(home.path(), &["state", "list", "--sandbox"]).exits(0).out;
        assert!(
            owned.contains(if cloud == Cloud::Gcp { "resources.group" } else { "resources.writer" }),
            "{owned}"
        );
        clouds.trouble(cloud, making(cloud), Some(2), throttled(cloud));
        converges(home.path());
        let left = clouds.session.wire().unwrap().faults().first().and_then(|fault| fault.times);
        assert_eq!(left, Some(0), "{name}: the throttle was met");
    }
}

#[test]
fn a_cloud_that_cannot_be_reached_is_named_and_nothing_is_begun() {
    for (cloud, name) in TWO {
        let place = if cloud == Cloud::Gcp { "trouble-project" } else { "location: eastus" };
        let away = format!("{place}, endpoint: \"http://127.0.0.1:9\"");
        let home = folder(&stack(cloud).replacen(place, &away, 1));
        let ran = run(home.path(), APPLY).exits(1);
        insta::assert_snapshot!(format!("unreachable_{name}"), told(&ran));
        assert!(!home.path().join(".mcm/sandbox/state/state.json").exists());
    }
}

#[test]
fn what_another_stack_made_is_not_touched() {
    let home = folder(&stack(Cloud::Azure));
    let clouds = both(home.path());
    let same = "  a: { type: iam.googleapis.com/ServiceAccount, properties: { accountId: trouble-writer } }
  b: { type: Microsoft.Resources/resourceGroups, properties: { name: trouble } }
";
    let other = another(&clouds, "trouble-project", SUBSCRIPTION, same);
    real(&clouds, &other, REAL).exits(0);
    let ran = run(home.path(), APPLY).exits(4);
    insta::assert_snapshot!("taken_gcp_azure", told(&ran));
    assert!(run(home.path(), &["state", "list", "--sandbox"]).exits(0).out.is_empty());
    real(&clouds, &other, &["plan", "--detailed-exitcode"]).exits(0);
}

#[test]
fn another_project_or_subscription_is_never_touched() {
    let home = folder(&stack(Cloud::Azure));
    let clouds = both(home.path());
    let resources =
        "  a: { type: iam.googleapis.com/ServiceAccount, properties: { accountId: trouble-writer } }
  b: { type: Microsoft.Resources/resourceGroups, properties: { name: trouble } }
";
    let unknown = "00000000-0000-4000-8000-00000000ffff";
    // Google does not tell a project that is not there from one that these credentials may not see.
    for (name, project, subscription, code) in
        [("gcp", "quite-another", SUBSCRIPTION, 8), ("azure", "trouble-project", unknown, 4)]
    {
        let other = another(&clouds, project, subscription, resources);
        let ran = real(&clouds, &other, REAL).exits(code);
        insta::assert_snapshot!(format!("another_account_{name}"), told(&ran));
        assert!(!other.path().join(".mcm/state.json").exists());
    }
}

#[test]
fn a_group_that_holds_something_is_not_destroyed() {
    let home = folder(&stack(Cloud::Azure));
    let clouds = both(home.path());
    run(home.path(), APPLY).exits(0);
    let inside = "  eye:
    type: Microsoft.CognitiveServices/accounts
    properties: { name: trouble-eye, resourceGroup: trouble, kind: ComputerVision, sku: { name: S1 } }
";
    let other = another(&clouds, "trouble-project", SUBSCRIPTION, inside);
    real(&clouds, &other, REAL).exits(0);
    let ran = run(home.path(), DESTROY).exits(5);
    insta::assert_snapshot!("not_empty_azure", told(&ran));
    real(&clouds, &other, &["plan", "--detailed-exitcode"]).exits(0);
    real(&clouds, &other, &["destroy", "--auto-approve"]).exits(0);
    run(home.path(), DESTROY).exits(0);
}
