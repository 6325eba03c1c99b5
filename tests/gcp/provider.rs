//! The provider against the sandbox, through the port: what is created is read back as desired, each property can be
//! changed, what is deleted can be restored where Google says so, and what others put there stays.

use mcm::model::*;
use mcm::provider::{Access, Router};
use mcm::sandbox::project_number;
use serde_json::{Value as Json, json};

use super::lab::access;
use super::thing::{Lab, PROJECT, map, owner};
use crate::support::sign::send;

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "one life, told in order")]
async fn a_pool_and_its_providers() {
    let lab = &Lab::new().await;
    let pools = lab.thing("iam.googleapis.com/WorkloadIdentityPool");
    let pool =
        json!({ "workloadIdentityPoolId": "aws-pool", "displayName": "AWS", "description": "From AWS" });
    let live = pools.create(&pool).await;
    let number = project_number(PROJECT);
    let name = format!("projects/{number}/locations/global/workloadIdentityPools/aws-pool");
    assert_eq!(live.attributes["name"], Value::text(name));
    assert_eq!(pools.try_create(&pool).await.unwrap_err().kind, ErrorKind::AlreadyExists);
    let variants = [
        ("displayName", json!("Other")),
        ("displayName", Json::Null),
        ("description", json!("Other")),
        ("description", Json::Null),
        ("disabled", json!(true)),
    ];
    pools.changes(&pool, &variants).await;

    let providers = lab.thing("iam.googleapis.com/WorkloadIdentityPoolProvider");
    let role = r#"attribute.aws_role == "arn:aws:sts::123456789012:assumed-role/reader""#;
    let aws = json!({
        "workloadIdentityPool": "aws-pool",
        "workloadIdentityPoolProviderId": "lambda",
        "displayName": "Lambda",
        "description": "The functions",
        "attributeCondition": role,
        "aws": { "accountId": "123456789012" },
    });
    providers.create(&aws).await;
    let subject = json!({ "google.subject": "assertion.arn" });
    let variants = [
        ("displayName", Json::Null),
        ("description", json!("Other")),
        ("disabled", json!(true)),
        ("attributeMapping", subject.clone()),
        ("attributeCondition", Json::Null),
        ("aws", json!({ "accountId": "210987654321" })),
    ];
    providers.changes(&aws, &variants).await;
    let oidc = json!({
        "workloadIdentityPool": "aws-pool",
        "workloadIdentityPoolProviderId": "issuer",
        "attributeMapping": { "google.subject": "assertion.sub", "attribute.repo": "assertion.repository" },
        "oidc": { "issuerUri": "https://issuer.example/a", "allowedAudiences": ["one", "two"] },
    });
    providers.create(&oidc).await;
    let variants = [
        ("attributeMapping", json!({ "google.subject": "assertion.sub" })),
        ("attributeCondition", json!("assertion.aud == 'one'")),
        ("oidc", json!({ "issuerUri": "https://issuer.example/b", "allowedAudiences": ["two"] })),
        ("oidc", json!({ "issuerUri": "https://issuer.example/a", "jwksJson": "{\"keys\":[]}" })),
    ];
    providers.changes(&oidc, &variants).await;
    // A provider keeps its kind.
    let live = providers.read_is(&oidc).await;
    let mut other = aws.clone();
    other["workloadIdentityPoolProviderId"] = json!("issuer");
    let request = Update {
        ty: &providers.ty,
        id: &live.id,
        before: &live,
        properties: &map(&other),
        changed: &[],
        owner: &providers.owner,
        secrets: false,
    };
    assert_eq!(lab.router.update(request).await.unwrap_err().kind, ErrorKind::Invalid);

    for thing in [&aws, &oidc] {
        providers.delete(thing).await;
    }
    pools.delete(&pool).await;
    assert_eq!(pools.try_create(&pool).await.unwrap_err().kind, ErrorKind::AlreadyExists);
    pools.restore(&pool).await;
    providers.restore(&aws).await;
    providers.restore(&oidc).await;
}

#[tokio::test]
async fn the_default_mapping_of_aws_is_no_difference() {
    let lab = &Lab::new().await;
    lab.thing("iam.googleapis.com/WorkloadIdentityPool")
        .create(&json!({ "workloadIdentityPoolId": "aws-pool" }))
        .await;
    let providers = lab.thing("iam.googleapis.com/WorkloadIdentityPoolProvider");
    let silent = json!({
        "workloadIdentityPool": "aws-pool",
        "workloadIdentityPoolProviderId": "silent",
        "aws": { "accountId": "123456789012" },
    });
    providers.create(&silent).await;
    let mut spelt = silent.clone();
    spelt["attributeMapping"] = json!({
        "google.subject": "assertion.arn",
        "attribute.aws_role": "assertion.arn.contains('assumed-role') ? assertion.arn.extract('{account_arn}assumed-role/') + \
            'assumed-role/' + assertion.arn.extract('assumed-role/{role_name}/') : assertion.arn",
    });
    providers.read_is(&spelt).await;
    providers.read_is(&silent).await;
}

#[tokio::test]
async fn a_service_account() {
    let lab = &Lab::new().await;
    let accounts = lab.thing("iam.googleapis.com/ServiceAccount");
    let account = json!({ "accountId": "the-writer", "displayName": "Writer", "description": "Writes" });
    let first = accounts.create(&account).await;
    assert_eq!(
        first.attributes["email"],
        Value::text(format!("the-writer@{PROJECT}.iam.gserviceaccount.com"))
    );
    let variants = [
        ("displayName", json!("Other")),
        ("displayName", Json::Null),
        ("description", Json::Null),
        ("disabled", json!(true)),
    ];
    accounts.changes(&account, &variants).await;
    assert_eq!(accounts.try_create(&account).await.unwrap_err().kind, ErrorKind::AlreadyExists);
    accounts.delete(&account).await;
    accounts.is_gone(&account).await;
    let second = accounts.create(&account).await;
    assert_ne!(first.attributes["uniqueId"], second.attributes["uniqueId"]);
    let mut disabled = account.clone();
    disabled["accountId"] = json!("the-reader");
    disabled["disabled"] = json!(true);
    accounts.create(&disabled).await;

    // What does not fit beside the mark is refused before anything is sent.
    let mut accounts = lab.thing("iam.googleapis.com/ServiceAccount");
    accounts.owner = owner(&format!("resources.{}", "long-".repeat(30) + "name"));
    let long = json!({ "accountId": "too-long", "description": "d".repeat(128) });
    let error = accounts.try_create(&long).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Invalid);
    accounts.is_gone(&json!({ "accountId": "too-long" })).await;
}

#[tokio::test]
async fn grants_leave_others_alone() {
    let lab = &Lab::new().await;
    lab.thing("iam.googleapis.com/WorkloadIdentityPool")
        .create(&json!({ "workloadIdentityPoolId": "aws-pool" }))
        .await;
    let account =
        lab.thing("iam.googleapis.com/ServiceAccount").create(&json!({ "accountId": "the-writer" })).await;
    let email = account.attributes["email"].as_text().unwrap();
    let pool = format!(
        "iam.googleapis.com/projects/{}/locations/global/workloadIdentityPools/aws-pool",
        project_number(PROJECT)
    );
    let grants = lab.thing("iam.googleapis.com/ServiceAccountIamMember");
    let grant = |member: String| json!({ "serviceAccount": email, "role": "roles/iam.workloadIdentityUser", "member": member });
    let one = grant(format!(
        "principalSet://{pool}/attribute.aws_role/arn:aws:sts::123456789012:assumed-role/reader"
    ));
    let two = grant(format!("principalSet://{pool}/*"));
    grants.is_gone(&one).await;
    grants.create(&one).await;
    grants.create(&one).await;
    grants.create(&two).await;
    let mut conditional = one.clone();
    conditional["condition"] =
        json!({ "title": "soon over", "expression": "request.time < timestamp('2030-01-01T00:00:00Z')" });
    grants.create(&conditional).await;
    grants.read_is(&one).await;
    let condition = json!({ "title": "soon over", "expression": "false", "description": "d" });
    grants.changes(&conditional, &[("condition", condition)]).await;
    grants.delete(&one).await;
    grants.is_gone(&one).await;
    grants.read_is(&two).await;
    grants.read_is(&conditional).await;

    let unknown = grant(format!("principalSet://{}/*", pool.replace("aws-pool", "no-pool")));
    assert!(matches!(grants.try_create(&unknown).await.unwrap_err().kind, ErrorKind::Settling { .. }));
    let mut nobody = two.clone();
    nobody["serviceAccount"] = json!(format!("nobody@{PROJECT}.iam.gserviceaccount.com"));
    grants.is_gone(&nobody).await;
    assert!(matches!(grants.try_create(&nobody).await.unwrap_err().kind, ErrorKind::Settling { .. }));

    // Many at once on one policy: none is lost.
    let members = lab.thing("cloudresourcemanager.googleapis.com/ProjectIamMember");
    let wanted: Vec<Json> = (0..12)
        .map(|index| json!({ "role": format!("roles/datastore.role{}", index % 3), "member": format!("user:Person{index}@Example.com") }))
        .collect();
    futures::future::join_all(wanted.iter().map(|grant| members.try_create(grant)))
        .await
        .into_iter()
        .for_each(|answer| {
            answer.unwrap();
        });
    for grant in &wanted {
        let mut lower = grant.clone();
        lower["member"] = json!(grant["member"].as_str().unwrap().to_lowercase());
        members.read_is(&lower).await;
    }
    members.read_is(&json!({ "role": "roles/owner", "member": "user:owner@example.com" })).await;
    members.delete(&json!({ "role": "roles/datastore.role0", "member": "user:person0@example.com" })).await;
    members.read_is(&json!({ "role": "roles/datastore.role0", "member": "user:person3@example.com" })).await;
}

#[tokio::test]
async fn a_service_and_a_database() {
    let lab = &Lab::new().await;
    let databases = lab.thing("firestore.googleapis.com/Database");
    let database = json!({ "databaseId": "images", "locationId": "nam5", "type": "FIRESTORE_NATIVE" });
    let disabled = databases.try_create(&database).await.unwrap_err();
    assert!(matches!(disabled.kind, ErrorKind::Settling { .. }), "{disabled:?}");
    assert!(disabled.hint.unwrap().contains("firestore.googleapis.com"));

    let services = lab.thing("serviceusage.googleapis.com/Service");
    let firestore = json!({ "name": "firestore.googleapis.com" });
    services.is_gone(&firestore).await;
    services.create(&firestore).await;
    services.create(&firestore).await;

    let first = databases.create(&database).await;
    assert_eq!(databases.try_create(&database).await.unwrap_err().kind, ErrorKind::AlreadyExists);
    let variants = [
        ("type", json!("DATASTORE_MODE")),
        ("deleteProtectionState", json!("DELETE_PROTECTION_ENABLED")),
        ("pointInTimeRecoveryEnablement", json!("POINT_IN_TIME_RECOVERY_ENABLED")),
    ];
    databases.changes(&database, &variants).await;
    let mut optimistic = database.clone();
    optimistic["concurrencyMode"] = json!("OPTIMISTIC");
    databases.update(&database, &optimistic).await;

    // Someone else was there in between: the etag of the plan is stale.
    let stale = Update {
        ty: &databases.ty,
        id: &first.id,
        before: &first,
        properties: &map(&database),
        changed: &[Path(vec![Segment::Key("type".to_owned())])],
        owner: &databases.owner,
        secrets: false,
    };
    assert_eq!(lab.router.update(stale).await.unwrap_err().kind, ErrorKind::Conflict);

    let mut protected = optimistic.clone();
    protected["deleteProtectionState"] = json!("DELETE_PROTECTION_ENABLED");
    let live = databases.update(&optimistic, &protected).await;
    let request = Delete { ty: &databases.ty, id: &live.id, before: &live, spares_data: false };
    let refused = lab.router.delete(request).await.unwrap_err();
    assert_eq!(refused.kind, ErrorKind::Invalid);
    assert!(refused.hint.unwrap().contains("deleteProtectionState"));
    databases.update(&protected, &optimistic).await;
    databases.delete(&optimistic).await;
    databases.is_gone(&optimistic).await;
    services.delete(&firestore).await;
    services.is_gone(&firestore).await;

    lab.enable("iamcredentials.googleapis.com").await;
    let live = services.read(&json!({ "name": "iam.googleapis.com" })).await.unwrap();
    let needed = lab
        .router
        .delete(Delete { ty: &services.ty, id: &live.id, before: &live, spares_data: false })
        .await
        .unwrap_err();
    assert!(needed.hint.unwrap().contains("other enabled services"), "{}", needed.message);
    let unknown = services.try_create(&json!({ "name": "nothing.googleapis.com" })).await.unwrap_err();
    assert_eq!(unknown.kind, ErrorKind::Denied);
}

#[tokio::test]
async fn data_that_nobody_gave_up_keep_their_database() {
    let lab = &Lab::new().await;
    lab.enable("firestore.googleapis.com").await;
    let databases = lab.thing("firestore.googleapis.com/Database");
    let database = json!({ "databaseId": "images", "locationId": "nam5", "type": "FIRESTORE_NATIVE" });
    let live = databases.create(&database).await;
    let (endpoint, token) = (&lab.session.endpoints.gcp, lab.session.credentials.gcp_token());
    let documents = format!("/v1/{}/documents/pictures", live.id);
    let fields = [("authorization", format!("Bearer {token}"))];
    let fields = [(fields[0].0, fields[0].1.as_str()), ("content-type", "application/json")];
    let made =
        send(endpoint, "POST", &format!("{documents}?documentId=one"), &fields, r#"{"fields":{}}"#).await;
    assert_eq!(made.status, 200, "{}", made.text());
    let spare = Delete { ty: &databases.ty, id: &live.id, before: &live, spares_data: true };
    let kept = lab.router.delete(spare).await.unwrap_err();
    assert_eq!(kept.kind, ErrorKind::NotEmpty, "{kept:?}");
    assert!(kept.message.contains("documents in it, in `pictures`"), "{}", kept.message);
    let gone = send(endpoint, "DELETE", &format!("{documents}/one"), &fields, "").await;
    assert_eq!(gone.status, 200, "{}", gone.text());
    lab.router.delete(spare).await.unwrap();
    databases.is_gone(&database).await;
    // One that shows no documents to anybody is not known to hold none.
    let mut datastore = database.clone();
    datastore["type"] = json!("DATASTORE_MODE");
    let live = databases.create(&datastore).await;
    let spare = Delete { ty: &databases.ty, id: &live.id, before: &live, spares_data: true };
    let kept = lab.router.delete(spare).await.unwrap_err();
    assert_eq!(kept.kind, ErrorKind::NotEmpty, "{kept:?}");
    assert!(kept.message.contains("nobody could see"), "{}", kept.message);
    databases.delete(&datastore).await;
    databases.is_gone(&database).await;
}

#[tokio::test]
async fn the_guard_knows_the_project() {
    let lab = Lab::new().await;
    assert!(lab.router.guard().await.is_empty());
    let (endpoint, owner) = (&lab.session.endpoints.gcp, lab.session.credentials.gcp_token());
    let owner = owner.as_str();
    let guard = async |project: &str, access: Access| {
        let gcp = Some(GcpPlace { project: project.to_owned(), endpoint: None });
        let mut found = Router::new(&Clouds { gcp, ..Clouds::default() }, &access).guard().await;
        found.pop().unwrap()
    };
    let error = guard("someone-elses", access(endpoint, owner)).await;
    assert_eq!(error.kind, ErrorKind::Denied);
    assert!(error.hint.unwrap().contains("clouds.gcp.project: someone-elses"));
    assert_eq!(guard(&project_number(PROJECT), access(endpoint, owner)).await.kind, ErrorKind::WrongAccount);
    assert_eq!(guard(PROJECT, access(endpoint, "ya29.stolen")).await.kind, ErrorKind::Credentials);
    assert_eq!(guard(PROJECT, access("http://127.0.0.1:9", owner)).await.kind, ErrorKind::Unreachable);
    // A project whose API for looking at projects is off is there all the same.
    let projects = lab.thing("serviceusage.googleapis.com/Service");
    projects.delete(&json!({ "name": "cloudresourcemanager.googleapis.com" })).await;
    assert!(lab.router.guard().await.is_empty());
    let plain = guard(PROJECT, access("http://cloud.example", owner)).await;
    assert_eq!(plain.kind, ErrorKind::Invalid);
}

#[tokio::test]
async fn ids_of_other_projects_are_refused() {
    let lab = Lab::new().await;
    for (ty, id) in [
        (
            "iam.googleapis.com/WorkloadIdentityPool",
            "projects/other/locations/global/workloadIdentityPools/p",
        ),
        ("iam.googleapis.com/ServiceAccount", "projects/gcp-provider-tests/../other/serviceAccounts/x"),
        ("firestore.googleapis.com/Database", "projects/gcp-provider-tests-too/databases/x"),
        (
            "cloudresourcemanager.googleapis.com/ProjectIamMember",
            "projects/other roles/viewer user:a@b.example",
        ),
        ("iam.googleapis.com/ServiceAccountIamMember", "nonsense"),
    ] {
        let (ty, id) = (ResourceType::new(ty), CloudId(id.to_owned()));
        let request = Read { ty: &ty, id: &id, desired: None, secrets: false };
        assert_eq!(lab.router.read(request).await.unwrap_err().kind, ErrorKind::Invalid, "{id}");
    }
}
