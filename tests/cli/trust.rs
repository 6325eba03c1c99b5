//! `mcm trust`: whom the trusts of a stack let in.

use super::binary::{SMALL, folder, run};

const TRUSTED: &str = "\
stack: trusted
clouds:
  aws: { account: \"123456789012\", region: us-east-1 }
  gcp: { project: trusted-project }
resources:
  worker:
    type: AWS::IAM::Role
    properties:
      RoleName: trusted-worker
      Path: /teams/
      AssumeRolePolicyDocument:
        Version: \"2012-10-17\"
        Statement:
          - { Effect: Allow, Principal: { Service: lambda.amazonaws.com }, Action: \"sts:AssumeRole\" }
  iam-api: { type: serviceusage.googleapis.com/Service, properties: { name: iam.googleapis.com } }
  sts-api: { type: serviceusage.googleapis.com/Service, properties: { name: sts.googleapis.com } }
  credentials-api:
    type: serviceusage.googleapis.com/Service
    properties: { name: iamcredentials.googleapis.com }
  writer:
    type: iam.googleapis.com/ServiceAccount
    properties: { accountId: trusted-writer }
    dependsOn: [iam-api]
trust:
  worker-to-writer:
    from: ${worker}
    to: ${writer}
    dependsOn: [iam-api, sts-api, credentials-api]
";

#[test]
fn a_trust_is_proved_before_and_after_it_is_there_and_when_its_role_is_gone() {
    let home = folder(TRUSTED);
    let home = home.path();
    // Nothing is proved of what is not there.
    let before = run(home, &["trust", "--sandbox"]).exits(1);
    assert!(before.out.contains("(not deployed)"), "{}", before.out);
    assert!(before.err.contains("The trust worker-to-writer is not proved"), "{}", before.err);
    run(home, &["apply", "--sandbox", "--auto-approve"]).exits(0);
    let number = mcm::sandbox::project_number("trusted-project");
    let proved = run(home, &["trust", "--sandbox"]).exits(0);
    insta::assert_snapshot!(proved.out.replace(&number, "NUMBER"));
    assert!(proved.err.is_empty(), "{}", proved.err);
    let told: serde_json::Value =
        serde_json::from_str(&run(home, &["trust", "--json", "--sandbox"]).exits(0).out).unwrap();
    let proofs = told["trust"][0]["proofs"].as_array().unwrap();
    let let_in: Vec<bool> = proofs.iter().map(|proof| proof["let_in"].as_bool().unwrap()).collect();
    assert_eq!(let_in, [true, false, false, false, false]);
    assert!(proofs.iter().all(|proof| proof["holds"] == true));
    // Trying leaves nothing behind.
    run(home, &["plan", "--sandbox", "--detailed-exitcode"]).exits(0);
    // The token exchange is switched off: nobody is let in, and that is wrong for one of them.
    let without = TRUSTED.replace("  sts-api: { type: serviceusage.googleapis.com/Service, properties: { name: sts.googleapis.com } }\n", "");
    std::fs::write(home.join("stack.yaml"), without.replace("sts-api, ", "")).unwrap();
    run(home, &["apply", "--sandbox", "--auto-approve"]).exits(0);
    let broken = run(home, &["trust", "--sandbox"]).exits(1);
    assert!(broken.out.contains("WRONG  the role itself"), "{}", broken.out);
}

#[test]
fn a_stack_without_trust_says_so() {
    let home = folder(SMALL);
    let told = run(home.path(), &["trust", "--sandbox"]).exits(0);
    assert_eq!((told.out.as_str(), told.err.as_str()), ("", "The stack has no trust.\n"));
}

/// Trusts in both directions, written as resources.
const BY_HAND: &str = "\
stack: hand
clouds:
  aws: { account: \"123456789012\", region: us-east-1 }
  gcp: { project: hand-project }
resources:
  role:
    type: AWS::IAM::Role
    properties:
      RoleName: hand-role
      AssumeRolePolicyDocument:
        Version: \"2012-10-17\"
        Statement:
          - Effect: Allow
            Principal: { Federated: accounts.google.com }
            Action: \"sts:AssumeRoleWithWebIdentity\"
            Condition: { StringEquals: { \"accounts.google.com:aud\": \"123\" } }
          - { Effect: Allow, Principal: { Service: lambda.amazonaws.com }, Action: \"sts:AssumeRole\" }
  pool:
    type: iam.googleapis.com/WorkloadIdentityPool
    properties: { workloadIdentityPoolId: hand-pool }
  provider:
    type: iam.googleapis.com/WorkloadIdentityPoolProvider
    properties:
      workloadIdentityPool: ${pool.workloadIdentityPoolId}
      workloadIdentityPoolProviderId: hand-aws
      aws: { accountId: \"123456789012\" }
      attributeMapping: { google.subject: assertion.arn }
  writer:
    type: iam.googleapis.com/ServiceAccount
    properties: { accountId: hand-writer }
  binding:
    type: iam.googleapis.com/ServiceAccountIamMember
    properties:
      serviceAccount: ${writer.email}
      role: roles/iam.workloadIdentityUser
      member: \"principalSet://iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/hand-pool/*\"
";

#[test]
fn a_trust_that_was_written_by_hand_is_listed_and_not_tried() {
    let home = folder(BY_HAND);
    let told = run(home.path(), &["trust", "--sandbox"]).exits(0);
    assert_eq!(told.err, "The stack has no `trust:` entry.\n");
    for line in [
        "by hand: resources.role\n  from     accounts.google.com where ",
        "  to       AWS role hand-role\n  ?      not tried: only a `trust:` entry is\n",
        "by hand: resources.provider\n  from     AWS account 123456789012\n",
        "by hand: resources.binding\n  from     principalSet://iam.googleapis.com/",
    ] {
        assert!(told.out.contains(line), "{line}\n{}", told.out);
    }
    let json = run(home.path(), &["trust", "--sandbox", "--json"]).exits(0).out;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((json["trust"].as_array().unwrap().len(), json["by_hand"].as_array().unwrap().len()), (0, 3));
}
