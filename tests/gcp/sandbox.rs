//! The sandbox's rules, by direct calls: no socket, no client.

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use mcm::sandbox::{Accounts, Clock, Credentials, World, gcp, project_number};
use serde_json::{Value as Json, json};

const PROJECT: &str = "image-recognition-demo";

fn start() -> Timestamp {
    "2026-11-23T12:00:00Z".parse().unwrap()
}

fn world() -> World {
    let accounts =
        Accounts { gcp: [PROJECT.to_owned(), "other-project".to_owned()].into(), ..Accounts::default() };
    World::new(Clock::Fixed(start()), 7, accounts)
}

/// One call as the owner: status and body.
fn call(world: &mut World, method: &str, path: &str, body: &Json) -> (u16, Json) {
    let body = if body.is_null() { Bytes::new() } else { Bytes::from(body.to_string()) };
    let request = http::Request::builder()
        .method(method)
        .uri(path)
        .header("authorization", format!("Bearer {}", Credentials::known().gcp_token()))
        .body(body)
        .unwrap();
    let response = gcp::handle(world, &request);
    (response.status().as_u16(), serde_json::from_slice(response.body()).unwrap())
}

fn ok(world: &mut World, method: &str, path: &str, body: &Json) -> Json {
    let (status, reply) = call(world, method, path, body);
    assert_eq!(status, 200, "{method} {path}: {reply:#}");
    reply
}

/// A call that starts an operation, polled to its end.
fn done(world: &mut World, method: &str, path: &str, body: &Json) -> Json {
    let mut operation = ok(world, method, path, body);
    let name = operation["name"].as_str().unwrap().to_owned();
    for _ in 0..2 {
        assert!(operation.get("done").is_none(), "{path}: done before its time");
        operation = ok(world, "GET", &format!("/v1/{name}"), &Json::Null);
    }
    assert_eq!(operation["done"], true);
    operation["response"].clone()
}

fn refused(world: &mut World, method: &str, path: &str, body: &Json, status: u16, word: &str) -> String {
    let (got, reply) = call(world, method, path, body);
    assert_eq!((got, reply["error"]["status"].as_str()), (status, Some(word)), "{method} {path}: {reply:#}");
    assert_eq!(reply["error"]["code"], status);
    reply["error"]["message"].as_str().unwrap().to_owned()
}

fn pools() -> String {
    format!("/v1/projects/{PROJECT}/locations/global/workloadIdentityPools")
}

fn make_pool(world: &mut World, id: &str) {
    done(
        world,
        "POST",
        &format!("{}?workloadIdentityPoolId={id}", pools()),
        &json!({ "displayName": "Mine" }),
    );
}

fn make_account(world: &mut World, id: &str) -> Json {
    let path = format!("/v1/projects/{PROJECT}/serviceAccounts");
    ok(world, "POST", &path, &json!({ "accountId": id, "serviceAccount": { "displayName": "Writer" } }))
}

#[test]
fn a_pool_lives_dies_and_comes_back() {
    let world = &mut world();
    let number = project_number(PROJECT);
    let create = format!("{}?workloadIdentityPoolId=aws-pool", pools());
    let operation = ok(world, "POST", &create, &json!({ "displayName": "Mine", "description": "d" }));
    // Not there before its operation is done, and its name is taken already.
    refused(world, "GET", &format!("{}/aws-pool", pools()), &Json::Null, 404, "NOT_FOUND");
    refused(world, "POST", &create, &json!({}), 409, "ALREADY_EXISTS");
    let poll = format!("/v1/{}", operation["name"].as_str().unwrap());
    assert!(ok(world, "GET", &poll, &Json::Null).get("done").is_none());
    assert_eq!(ok(world, "GET", &poll, &Json::Null)["done"], true);
    let pool = ok(world, "GET", &format!("{}/aws-pool", pools()), &Json::Null);
    let name = format!("projects/{number}/locations/global/workloadIdentityPools/aws-pool");
    assert_eq!(pool, json!({ "name": name, "displayName": "Mine", "description": "d", "state": "ACTIVE" }));

    // What is not in the mask stays; snake case is understood.
    let patch = format!("{}/aws-pool?updateMask=display_name,disabled", pools());
    done(world, "PATCH", &patch, &json!({ "display_name": "Yours", "disabled": true }));
    let pool = ok(world, "GET", &format!("/v1/{name}"), &Json::Null);
    assert_eq!(
        (&pool["displayName"], &pool["description"], &pool["disabled"]),
        (&json!("Yours"), &json!("d"), &json!(true))
    );

    done(world, "DELETE", &format!("/v1/{name}"), &Json::Null);
    let pool = ok(world, "GET", &format!("/v1/{name}"), &Json::Null);
    assert_eq!(pool["state"], "DELETED");
    let expire: Timestamp = pool["expireTime"].as_str().unwrap().parse().unwrap();
    assert_eq!(expire.duration_since(start()), SignedDuration::from_hours(720));
    refused(world, "POST", &create, &json!({}), 409, "ALREADY_EXISTS");
    refused(world, "PATCH", &patch, &json!({}), 400, "FAILED_PRECONDITION");
    refused(world, "DELETE", &format!("/v1/{name}"), &Json::Null, 404, "NOT_FOUND");
    assert_eq!(ok(world, "GET", &pools(), &Json::Null), json!({}));
    let all = ok(world, "GET", &format!("{}?showDeleted=true", pools()), &Json::Null);
    assert_eq!(all["workloadIdentityPools"].as_array().unwrap().len(), 1);

    done(world, "POST", &format!("/v1/{name}:undelete"), &json!({}));
    assert_eq!(ok(world, "GET", &format!("/v1/{name}"), &Json::Null)["state"], "ACTIVE");
    refused(world, "POST", &format!("/v1/{name}:undelete"), &json!({}), 400, "FAILED_PRECONDITION");

    // After thirty days it is gone and its name is free.
    done(world, "DELETE", &format!("/v1/{name}"), &Json::Null);
    world.set_clock(Clock::Fixed(start().checked_add(SignedDuration::from_hours(721)).unwrap()));
    refused(world, "GET", &format!("/v1/{name}"), &Json::Null, 404, "NOT_FOUND");
    done(world, "POST", &create, &json!({}));
}

#[test]
fn a_provider_is_of_one_kind_and_maps_attributes() {
    let world = &mut world();
    make_pool(world, "the-pool");
    let providers = format!("{}/the-pool/providers", pools());
    let create = format!("{providers}?workloadIdentityPoolProviderId=lambda");
    let aws = json!({ "accountId": "123456789012" });
    for (wrong, why) in [
        (json!({}), "no kind"),
        (json!({ "aws": aws, "oidc": { "issuerUri": "https://a.example" } }), "two kinds"),
        (json!({ "aws": { "accountId": "1234" } }), "account id"),
        (json!({ "aws": aws, "attributeMapping": { "attribute.x": "assertion.arn" } }), "no subject"),
        (
            json!({ "aws": aws, "attributeMapping": { "google.subject": "assertion.arn", "attribute.X": "assertion.arn" } }),
            "key",
        ),
        (json!({ "aws": aws, "attributeMapping": { "google.subject": "claims.arn" } }), "unknown variable"),
        (json!({ "aws": aws, "attributeMapping": { "google.subject": "assertion.arn)" } }), "syntax"),
        (json!({ "aws": aws, "attributeMapping": { "google.subject": "'x'".repeat(700) } }), "too long"),
        (
            json!({ "aws": aws, "attributeCondition": "attribute.aws_role ==".to_owned() + &" ".repeat(4096) }),
            "too long",
        ),
        (json!({ "aws": aws, "attributeCondition": "'unterminated" }), "syntax"),
        (json!({ "oidc": { "issuerUri": "https://a.example" } }), "oidc needs a mapping"),
        (
            json!({ "oidc": { "issuerUri": "http://a.example" }, "attributeMapping": { "google.subject": "assertion.sub" } }),
            "http",
        ),
        (
            json!({ "oidc": { "issuerUri": "https://token.actions.githubusercontent.com" }, "attributeMapping": { "google.subject": "assertion.sub" } }),
            "a shared issuer needs a condition",
        ),
        (
            json!({ "oidc": { "issuerUri": "https://token.actions.githubusercontent.com" }, "attributeMapping": { "google.subject": "assertion.sub" }, "attributeCondition": "true" }),
            "a condition that says nothing",
        ),
        (json!({ "aws": aws, "displayName": "x".repeat(33) }), "display name"),
        (json!({ "aws": aws, "nonsense": 1 }), "unknown field"),
        (json!({ "aws": aws, "disabled": "yes" }), "type"),
    ] {
        let (status, reply) = call(world, "POST", &create, &wrong);
        assert_eq!(
            (status, &reply["error"]["status"]),
            (400, &json!("INVALID_ARGUMENT")),
            "{why}: {reply:#}"
        );
    }
    let condition = r#"attribute.aws_role == "arn:aws:sts::123456789012:assumed-role/r""#;
    done(world, "POST", &create, &json!({ "aws": aws, "attributeCondition": condition }));
    let path = format!("{providers}/lambda");
    let live = ok(world, "GET", &path, &Json::Null);
    assert_eq!(live["aws"], aws);
    assert!(live.get("attributeMapping").is_none());

    let kind = json!({ "oidc": { "issuerUri": "https://a.example" } });
    refused(world, "PATCH", &format!("{path}?updateMask=oidc"), &kind, 400, "INVALID_ARGUMENT");
    refused(world, "PATCH", &path, &json!({}), 400, "INVALID_ARGUMENT");
    refused(world, "PATCH", &format!("{path}?updateMask=name"), &json!({}), 400, "INVALID_ARGUMENT");
    done(
        world,
        "PATCH",
        &format!("{path}?updateMask=aws.accountId"),
        &json!({ "aws": { "accountId": "210987654321" } }),
    );
    assert_eq!(ok(world, "GET", &path, &Json::Null)["aws"]["accountId"], "210987654321");

    done(world, "DELETE", &path, &Json::Null);
    assert_eq!(ok(world, "GET", &path, &Json::Null)["state"], "DELETED");
    refused(world, "POST", &create, &json!({ "aws": aws }), 409, "ALREADY_EXISTS");
    done(world, "POST", &format!("{path}:undelete"), &json!({}));
    assert_eq!(ok(world, "GET", &path, &Json::Null)["state"], "ACTIVE");

    // A deleted pool takes no changes of its providers.
    done(world, "DELETE", &format!("{}/the-pool", pools()), &Json::Null);
    refused(world, "DELETE", &path, &Json::Null, 400, "FAILED_PRECONDITION");
}

#[test]
fn a_deleted_service_account_leaves_its_grants_behind() {
    let world = &mut world();
    let account = make_account(world, "the-writer");
    let email = format!("the-writer@{PROJECT}.iam.gserviceaccount.com");
    assert_eq!(account["email"], email.as_str());
    let accounts = format!("/v1/projects/{PROJECT}/serviceAccounts");
    let message =
        refused(world, "POST", &accounts, &json!({ "accountId": "the-writer" }), 409, "ALREADY_EXISTS");
    assert!(message.contains("already exists within project"), "{message}");

    let project = format!("/v3/projects/{PROJECT}");
    let mut policy = ok(world, "POST", &format!("{project}:getIamPolicy"), &json!({}));
    let grant = json!({ "role": "roles/datastore.user", "members": [format!("serviceAccount:{email}")] });
    policy["bindings"].as_array_mut().unwrap().push(grant.clone());
    ok(world, "POST", &format!("{project}:setIamPolicy"), &json!({ "policy": policy }));

    ok(world, "DELETE", &format!("{accounts}/{email}"), &Json::Null);
    let seen = |world: &mut World| {
        let policy = ok(world, "POST", &format!("{project}:getIamPolicy"), &json!({}));
        let bindings = policy["bindings"].as_array().unwrap();
        bindings.iter().find(|binding| binding["role"] == "roles/datastore.user").unwrap()["members"][0]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let unique_id = account["uniqueId"].as_str().unwrap();
    assert_eq!(seen(world), format!("deleted:serviceAccount:{email}?uid={unique_id}"));
    refused(world, "GET", &format!("{accounts}/{email}"), &Json::Null, 404, "NOT_FOUND");
    refused(
        world,
        "GET",
        &format!("/v1/projects/-/serviceAccounts/{email}"),
        &Json::Null,
        403,
        "PERMISSION_DENIED",
    );

    // The e-mail address is free at once, but the grants do not apply to the new account.
    let second = make_account(world, "the-writer");
    assert_ne!(second["uniqueId"], account["uniqueId"]);
    assert!(seen(world).starts_with("deleted:"));
    let undelete = format!("/v1/projects/-/serviceAccounts/{unique_id}:undelete");
    refused(world, "POST", &undelete, &json!({}), 400, "FAILED_PRECONDITION");
    ok(world, "DELETE", &format!("{accounts}/{email}"), &Json::Null);
    let restored = ok(world, "POST", &undelete, &json!({}));
    assert_eq!(restored["restoredAccount"]["uniqueId"], account["uniqueId"]);
    assert_eq!(seen(world), format!("serviceAccount:{email}"));
}

#[test]
fn a_policy_is_guarded_by_its_etag() {
    let world = &mut world();
    make_account(world, "the-writer");
    make_pool(world, "the-pool");
    let number = project_number(PROJECT);
    let path = format!("/v1/projects/{PROJECT}/serviceAccounts/the-writer@{PROJECT}.iam.gserviceaccount.com");
    let get = format!("{path}:getIamPolicy?options.requestedPolicyVersion=3");
    let set = format!("{path}:setIamPolicy");
    let empty = ok(world, "POST", &get, &Json::Null);
    assert_eq!(empty, json!({ "etag": "ACAB" }));

    let role = "roles/iam.workloadIdentityUser";
    let principal = |project: &str, pool: &str| {
        format!(
            "principalSet://iam.googleapis.com/projects/{project}/locations/global/workloadIdentityPools/{pool}/attribute.aws_role/arn:x"
        )
    };
    let with = |bindings: Json, version: i32, etag: &Json| json!({ "policy": { "version": version, "bindings": bindings, "etag": etag } });
    for (member, word) in [
        (principal(PROJECT, "the-pool"), "Identity Pool does not exist"),
        (principal(&number, "no-pool"), "Identity Pool does not exist"),
        ("serviceAccount:nobody@image-recognition-demo.iam.gserviceaccount.com".to_owned(), "does not exist"),
        ("nobody".to_owned(), "unknown type"),
        ("robot:x@example.com".to_owned(), "unknown type"),
        ("user:not-an-address".to_owned(), "Invalid user"),
    ] {
        let bindings = json!([{ "role": role, "members": [member] }]);
        let message =
            refused(world, "POST", &set, &with(bindings, 3, &empty["etag"]), 400, "INVALID_ARGUMENT");
        assert!(message.contains(word), "{message}");
    }
    let member = principal(&number, "the-pool");
    let condition = json!({ "title": "t", "expression": "request.time < timestamp('2027-01-01T00:00:00Z')" });
    let bindings = json!([
        { "role": role, "members": [member, "user:Jane@Example.com"] },
        { "role": role, "members": ["user:jane@example.com"] },
        { "role": role, "members": ["user:jane@example.com"], "condition": condition },
        { "role": "roles/iam.serviceAccountUser", "members": [] },
    ]);
    refused(world, "POST", &set, &with(bindings.clone(), 1, &empty["etag"]), 400, "INVALID_ARGUMENT");
    let written = ok(world, "POST", &set, &with(bindings.clone(), 3, &empty["etag"]));
    let merged = json!([
        { "role": role, "members": [member, "user:jane@example.com"] },
        { "role": role, "members": ["user:jane@example.com"], "condition": condition },
    ]);
    assert_eq!((&written["bindings"], &written["version"]), (&merged, &json!(3)));
    assert_ne!(written["etag"], empty["etag"]);

    let message = refused(world, "POST", &set, &with(bindings, 3, &empty["etag"]), 409, "ABORTED");
    assert!(message.contains("concurrent policy changes"), "{message}");
    refused(world, "POST", &set, &with(json!([]), 1, &written["etag"]), 400, "INVALID_ARGUMENT");

    // A reader who does not ask for version 3 does not see conditions.
    let old = ok(world, "POST", &format!("{path}:getIamPolicy"), &Json::Null);
    assert_eq!(old["version"], 1);
    assert!(old["bindings"][1]["role"].as_str().unwrap().starts_with(&format!("{role}_withcond_")));
    // The documented trap: no etag, no conditions any more.
    let lost = ok(
        world,
        "POST",
        &set,
        &json!({ "policy": { "bindings": [{ "role": role, "members": [member] }] } }),
    );
    assert_eq!(lost["version"], 1);
    refused(
        world,
        "POST",
        &set,
        &with(json!([{ "role": "roles/storage.admin", "members": [member] }]), 3, &lost["etag"]),
        400,
        "INVALID_ARGUMENT",
    );
}

#[test]
fn a_project_keeps_an_owner() {
    let world = &mut world();
    let path = format!("/v3/projects/{PROJECT}");
    let project = ok(world, "GET", &path, &Json::Null);
    assert_eq!(project["name"], format!("projects/{}", project_number(PROJECT)));
    assert_eq!(ok(world, "GET", &format!("/v3/{}", project["name"].as_str().unwrap()), &Json::Null), project);
    refused(
        world,
        "POST",
        &format!("{path}:setIamPolicy"),
        &json!({ "policy": { "bindings": [] } }),
        400,
        "FAILED_PRECONDITION",
    );
    refused(world, "GET", "/v3/projects/someone-elses", &Json::Null, 403, "PERMISSION_DENIED");
}

#[test]
fn a_disabled_api_says_so() {
    let world = &mut world();
    let services = format!("/v1/projects/{PROJECT}/services");
    let databases = format!("/v1/projects/{PROJECT}/databases");
    let (status, reply) = call(world, "GET", &databases, &Json::Null);
    assert_eq!((status, &reply["error"]["details"][0]["reason"]), (403, &json!("SERVICE_DISABLED")));
    let firestore = format!("{services}/firestore.googleapis.com");
    assert_eq!(ok(world, "GET", &firestore, &Json::Null)["state"], "DISABLED");
    refused(world, "POST", &format!("{firestore}:disable"), &json!({}), 400, "FAILED_PRECONDITION");
    done(world, "POST", &format!("{firestore}:enable"), &json!({}));
    assert_eq!(ok(world, "GET", &databases, &Json::Null), json!({}));
    let again = ok(world, "POST", &format!("{firestore}:enable"), &json!({}));
    assert_eq!((&again["name"], &again["done"]), (&json!("operations/noop.DONE_OPERATION"), &json!(true)));
    refused(world, "GET", "/v1/operations/noop.DONE_OPERATION", &Json::Null, 400, "INVALID_ARGUMENT");

    let credentials = format!("{services}/iamcredentials.googleapis.com");
    done(world, "POST", &format!("{credentials}:enable"), &json!({}));
    let iam = format!("{services}/iam.googleapis.com");
    let message = refused(world, "POST", &format!("{iam}:disable"), &json!({}), 400, "FAILED_PRECONDITION");
    assert!(message.contains("iamcredentials.googleapis.com"), "{message}");
    done(world, "POST", &format!("{iam}:disable"), &json!({ "disableDependentServices": true }));
    assert_eq!(ok(world, "GET", &credentials, &Json::Null)["state"], "DISABLED");
    refused(world, "GET", &pools(), &Json::Null, 403, "PERMISSION_DENIED");
    refused(
        world,
        "GET",
        &format!("{services}/nothing.googleapis.com"),
        &Json::Null,
        403,
        "PERMISSION_DENIED",
    );
}

#[test]
fn a_database_is_protected() {
    let world = &mut world();
    let enable = format!("/v1/projects/{PROJECT}/services/firestore.googleapis.com:enable");
    done(world, "POST", &enable, &json!({}));
    let databases = format!("/v1/projects/{PROJECT}/databases");
    let native = json!({ "locationId": "nam5", "type": "FIRESTORE_NATIVE" });
    for (id, body) in [
        ("abc", &native),
        ("Images", &native),
        ("f81d4fae-7dec-11d0-a765-00a0c91e6bf6", &native),
        ("images", &json!({ "type": "FIRESTORE_NATIVE" })),
        ("images", &json!({ "locationId": "nam5" })),
        ("images", &json!({ "locationId": "atlantis", "type": "FIRESTORE_NATIVE" })),
        ("images", &json!({ "locationId": "nam5", "type": "MONGO" })),
        (
            "images",
            &json!({ "locationId": "nam5", "type": "DATASTORE_MODE", "databaseEdition": "ENTERPRISE" }),
        ),
    ] {
        refused(world, "POST", &format!("{databases}?databaseId={id}"), body, 400, "INVALID_ARGUMENT");
    }
    done(world, "POST", &format!("{databases}?databaseId=images"), &native);
    let message =
        refused(world, "POST", &format!("{databases}?databaseId=images"), &native, 409, "ALREADY_EXISTS");
    assert_eq!(message, "Database already exists. Please use another database_id");
    let path = format!("{databases}/images");
    let first = ok(world, "GET", &path, &Json::Null);
    assert_eq!(first["concurrencyMode"], "PESSIMISTIC");
    let protect = json!({ "deleteProtectionState": "DELETE_PROTECTION_ENABLED", "etag": first["etag"] });
    done(world, "PATCH", &format!("{path}?updateMask=deleteProtectionState"), &protect);
    refused(
        world,
        "PATCH",
        &format!("{path}?updateMask=deleteProtectionState"),
        &protect,
        400,
        "FAILED_PRECONDITION",
    );
    refused(
        world,
        "PATCH",
        &format!("{path}?updateMask=locationId"),
        &json!({ "locationId": "eur3" }),
        400,
        "INVALID_ARGUMENT",
    );
    refused(world, "DELETE", &path, &Json::Null, 400, "FAILED_PRECONDITION");
    let lift = json!({ "deleteProtectionState": "DELETE_PROTECTION_DISABLED" });
    done(world, "PATCH", &format!("{path}?updateMask=deleteProtectionState"), &lift);
    refused(world, "DELETE", &format!("{path}?etag=stale"), &Json::Null, 400, "FAILED_PRECONDITION");
    done(world, "DELETE", &path, &Json::Null);
    refused(world, "GET", &path, &Json::Null, 404, "NOT_FOUND");
}

#[test]
fn strangers_and_nonsense_are_refused() {
    let world = &mut world();
    let request = |token: Option<&str>| {
        let request = http::Request::builder().uri(pools());
        let request = match token {
            Some(token) => request.header("authorization", format!("Bearer {token}")),
            None => request,
        };
        request.body(Bytes::new()).unwrap()
    };
    assert_eq!(gcp::handle(world, &request(None)).status(), 401);
    assert_eq!(gcp::handle(world, &request(Some("ya29.stolen"))).status(), 401);
    refused(world, "GET", &pools().replace(PROJECT, "nowhere"), &Json::Null, 403, "PERMISSION_DENIED");
    refused(world, "GET", "/v9/anything", &Json::Null, 404, "NOT_FOUND");
    refused(world, "PUT", &pools(), &Json::Null, 404, "NOT_FOUND");
    refused(world, "GET", &format!("{}?colour=red", pools()), &Json::Null, 400, "INVALID_ARGUMENT");
    refused(world, "GET", &format!("{}?pageSize=-1", pools()), &Json::Null, 400, "INVALID_ARGUMENT");
    refused(world, "GET", &format!("{}?pageToken=%21", pools()), &Json::Null, 400, "INVALID_ARGUMENT");
    refused(
        world,
        "POST",
        &format!("{}?workloadIdentityPoolId=gcp-mine", pools()),
        &json!({}),
        400,
        "INVALID_ARGUMENT",
    );
    refused(
        world,
        "POST",
        &format!("{}?workloadIdentityPoolId=x", pools()),
        &json!({}),
        400,
        "INVALID_ARGUMENT",
    );
    let (status, _) =
        call(world, "GET", &format!("{}?alt=json&prettyPrint=false&$.xgafv=2", pools()), &Json::Null);
    assert_eq!(status, 200);
}

#[test]
fn lists_come_in_pages() {
    let world = &mut world();
    for id in ["alpha-writer", "beta-writer", "gamma-writer"] {
        make_account(world, id);
    }
    let path = format!("/v1/projects/{PROJECT}/serviceAccounts?pageSize=2");
    let first = ok(world, "GET", &path, &Json::Null);
    assert_eq!(first["accounts"].as_array().unwrap().len(), 2);
    let token = first["nextPageToken"].as_str().unwrap();
    let second = ok(world, "GET", &format!("{path}&pageToken={token}"), &Json::Null);
    assert_eq!(second["accounts"].as_array().unwrap().len(), 1);
    assert!(second.get("nextPageToken").is_none());
}
