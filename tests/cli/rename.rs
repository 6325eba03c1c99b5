//! An entry of the stack that gets another name: the object stays.

use super::binary::{folder, run};

const STACK: &str = "stack: renamed
clouds:
  aws: { account: \"123456789012\", region: us-east-1 }
  gcp: { project: rename-project }
resources:
  files: { type: AWS::S3::Bucket, properties: { BucketName: rename-files } }
  api: { type: serviceusage.googleapis.com/Service, properties: { name: firestore.googleapis.com } }
  records:
    type: firestore.googleapis.com/Database
    properties: { databaseId: rename-records, locationId: nam5, type: FIRESTORE_NATIVE }
    dependsOn: [api]
";
const APPLY: &[&str] = &["apply", "--sandbox", "--auto-approve"];
const PLAN: &[&str] = &["plan", "--sandbox", "--detailed-exitcode"];

#[test]
fn a_renamed_entry_keeps_its_object() {
    let home = folder(STACK);
    run(home.path(), APPLY).exits(0);
    let renamed = STACK.replace("  files:", "  store:").replace("records:", "documents:");
    let renamed = renamed.replace("  api:", "  firestore-api:").replace("[api]", "[firestore-api]");
    std::fs::write(home.path().join("stack.yaml"), &renamed).unwrap();
    let plan = run(home.path(), PLAN).exits(2);
    assert!(plan.out.contains("Plan: 0 to add, 1 to change, 0 to destroy."), "{}", plan.all());
    assert!(
        plan.out.contains("its mark calls it resources.files, as it was called before"),
        "{}",
        plan.all()
    );
    for told in [
        "resources.files is called resources.store now; the object stays.",
        "resources.api is called resources.firestore-api now; the object stays.",
        "resources.records is called resources.documents now; the object stays.",
    ] {
        assert!(plan.err.contains(told), "{}", plan.all());
    }
    run(home.path(), APPLY).exits(0);
    let again = run(home.path(), PLAN).exits(0);
    assert!(!again.err.contains("is called"), "{}", again.all());
    let owned = run(home.path(), &["state", "list", "--sandbox"]).exits(0).out;
    for address in ["resources.store", "resources.firestore-api", "resources.documents"] {
        assert!(owned.contains(address), "{owned}");
    }
    assert_eq!(owned.lines().count(), 3, "{owned}");
    // Lost, the state is found again by the new names.
    run(home.path(), &["destroy", "--sandbox", "--auto-approve"]).exits(0);
    assert!(run(home.path(), &["state", "list", "--sandbox"]).exits(0).out.is_empty());
}

#[test]
fn nothing_is_deleted_under_one_name_that_is_wanted_under_another() {
    let home = folder(STACK);
    run(home.path(), APPLY).exits(0);
    // Two names for one object, as an older mcm could come to.
    let file = home.path().join(".mcm/sandbox/state/state.json");
    let mut state: serde_json::Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    let both = state["resources"]["resources.files"].clone();
    state["resources"]["resources.old"] = both;
    std::fs::write(&file, state.to_string()).unwrap();
    for arguments in [PLAN, APPLY] {
        let refused = run(home.path(), arguments).exits(4);
        let told =
            "resources.old would be deleted, and resources.files wants the same object: `rename-files`";
        assert!(refused.err.contains(told), "{}", refused.all());
    }
    run(home.path(), &["state", "rm", "resources.old", "--sandbox"]).exits(0);
    run(home.path(), PLAN).exits(0);
    // Nor does an object get a second name by hand.
    std::fs::write(home.path().join("stack.yaml"), STACK.replace("  files:", "  store:")).unwrap();
    let refused = run(home.path(), &["import", "resources.store", "rename-files", "--sandbox"]).exits(4);
    assert!(refused.err.contains("rename-files is owned already, as resources.files"), "{}", refused.all());
}
