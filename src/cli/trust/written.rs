//! Trusts between clouds that somebody wrote by hand, as resources: from the stack alone. What a resource lets in is read
//! off its properties; whether it works is not tried.

use crate::model::{Map, Resource, Stack, Value};
use crate::ui::trust::Written;

/// All of them, in the order of the stack.
pub(super) fn written(stack: &Stack) -> Vec<Written> {
    let own = |resource: &&Resource| !resource.address.as_str().starts_with("trust.");
    stack.resources.iter().filter(own).flat_map(by_hand).collect()
}

fn by_hand(resource: &Resource) -> Vec<Written> {
    let property = |name: &str| resource.properties.get(name).map(words).unwrap_or_default();
    let one = |from: String, to: String| Written { address: resource.address.to_string(), from, to };
    match resource.ty.as_str() {
        "AWS::IAM::Role" => {
            let role = property("RoleName");
            let federated = statements(resource).into_iter().filter_map(federated);
            federated.map(|who| one(who, format!("AWS role {role}"))).collect()
        }
        "iam.googleapis.com/WorkloadIdentityPoolProvider" => {
            let at = |path: &[&str]| {
                let (first, rest) = path.split_first()?;
                resource.properties.get(*first)?.at(rest).map(words)
            };
            let account = at(&["aws", "accountId"]).map(|account| format!("AWS account {account}"));
            let who = account.or_else(|| at(&["oidc", "issuerUri"])).unwrap_or_else(|| "others".to_owned());
            vec![one(who, format!("members of the pool {}", property("workloadIdentityPool")))]
        }
        "iam.googleapis.com/ServiceAccountIamMember" => {
            let to = format!("{} with {}", property("serviceAccount"), property("role"));
            pooled(property("member")).map(|who| one(who, to)).into_iter().collect()
        }
        "cloudresourcemanager.googleapis.com/ProjectIamMember" => {
            let to = format!("the project with {}", property("role"));
            pooled(property("member")).map(|who| one(who, to)).into_iter().collect()
        }
        _ => Vec::new(),
    }
}

/// What allows something in a role's trust policy: one statement, or a list of them.
fn statements(role: &Resource) -> Vec<&Map> {
    let document = role.properties.get("AssumeRolePolicyDocument");
    let found = document.and_then(|document| document.at(&["Statement"]));
    let all = match found {
        Some(Value::List(all)) => all.as_slice(),
        Some(one) => std::slice::from_ref(one),
        None => &[],
    };
    let allows = |statement: &&Map| statement.get("Effect").and_then(Value::as_text) != Some("Deny");
    all.iter().filter_map(Value::as_map).filter(allows).collect()
}

/// Whom a statement lets in from elsewhere, and under which conditions.
fn federated(statement: &Map) -> Option<String> {
    let who = words(statement.get("Principal")?.at(&["Federated"])?);
    let condition = statement.get("Condition").map(words);
    Some(condition.map_or_else(|| who.clone(), |condition| format!("{who} where {condition}")))
}

/// Members of a workload identity pool, named by hand.
fn pooled(member: String) -> Option<String> {
    let is_pooled = member.contains("principal://") || member.contains("principalSet://");
    is_pooled.then_some(member)
}

/// A property as the stack has it, references as they are written.
fn words(value: &Value) -> String {
    match value {
        Value::List(items) => items.iter().map(words).collect::<Vec<_>>().join(", "),
        Value::Unknown(template) => template.to_string(),
        other => other.to_text(),
    }
}
