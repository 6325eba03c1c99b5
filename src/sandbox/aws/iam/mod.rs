//! IAM: roles, with all that hangs on them, and managed policies.
//!
//! Absences: users, groups, instance profiles and identity providers cannot be made.

mod attached;
mod boundary;
mod inline;
mod managed;
mod own;
mod reach;
mod role;
mod role_tags;
mod shipped;
mod trust;

pub(super) use own::{boundary, documents, is_bounded, tags as role_tags_of, unplayed};
pub(super) use reach::{Wanted, delete_role, put_role};
pub(super) use role::{Role, role_by_arn, role_by_id, role_by_name};
pub(super) use trust::lets_service;

use super::error::Error;
use super::policy::Facts;
use super::query::{Call, Form, Service};
use super::tags;
use super::xml::Element;

/// The service. It is global: requests are signed for `us-east-1`.
pub(super) const SERVICE: Service = Service {
    name: "iam",
    version: "2010-05-08",
    region: Some("us-east-1"),
    empty_results: &["UpdateRole"],
    resource,
    facts,
    namespace: "https://iam.amazonaws.com/doc/2010-05-08/",
    run,
};

/// Names of roles and policies.
const NAME: &str = r"[\w+=,.@-]+";
/// Paths.
const PATH: &str = r"(\u002F)|(\u002F[\u0021-\u007E]+\u002F)";
/// Texts of policies and descriptions.
const TEXT: &str = r"[\u0009\u000A\u000D\u0020-\u00FF]+";
/// Anything.
const ANY: &str = r"(?s).*";

/// What an action is about: a role, a policy, or all of a kind.
#[expect(clippy::unnecessary_wraps, reason = "other services have actions that need no permission")]
fn resource(action: &str, call: &Call<'_>) -> Option<String> {
    let account = &call.caller.account;
    let of = |kind: &str, path: Option<&str>, name: &str| {
        format!("arn:aws:iam::{account}:{kind}{}{name}", path.unwrap_or("/"))
    };
    let form = &call.form;
    Some(match (action, form.peek("RoleName"), form.peek("PolicyArn")) {
        ("CreatePolicy", _, _) => {
            of("policy", form.peek("Path"), form.peek("PolicyName").unwrap_or_default())
        }
        ("ListPolicies", _, _) => of("policy", None, ""),
        ("CreateRole", Some(name), _) => of("role", form.peek("Path"), name),
        (_, Some(name), _) => match role_by_name(call.world, account, name) {
            Some(role) => role.arn(),
            None => of("role", None, name),
        },
        (_, None, Some(arn)) => arn.to_owned(),
        (_, None, None) => of("role", form.peek("PathPrefix"), ""),
    })
}

/// Which policy is attached, and what bounds the role: as it is to be, where the call says that, else as it is. Facts:
/// "Actions, resources, and condition keys for AWS IAM".
fn facts(action: &str, call: &Call<'_>, facts: Facts) -> Facts {
    let form = &call.form;
    match action {
        "CreateRole" | "PutRolePermissionsBoundary" => {
            facts.maybe("iam:PermissionsBoundary", form.peek("PermissionsBoundary"))
        }
        "AttachRolePolicy"
        | "DetachRolePolicy"
        | "PutRolePolicy"
        | "DeleteRolePolicy"
        | "DeleteRolePermissionsBoundary" => {
            let name = form.peek("RoleName").unwrap_or_default();
            let role = role_by_name(call.world, &call.caller.account, name);
            let facts = facts.maybe("iam:PermissionsBoundary", role.and_then(|role| role.boundary));
            facts.maybe("iam:PolicyARN", form.peek("PolicyArn"))
        }
        _ => facts,
    }
}

fn run(action: &str, call: &mut Call<'_>) -> Option<Result<Vec<Element>, Error>> {
    let run = match action {
        "CreateRole" => role::create,
        "GetRole" => role::get,
        "ListRoles" => role::list,
        "UpdateRole" => role::update,
        "UpdateRoleDescription" => role::update_description,
        "DeleteRole" => role::delete,
        "UpdateAssumeRolePolicy" => trust::update,
        "PutRolePolicy" => inline::put,
        "GetRolePolicy" => inline::get,
        "DeleteRolePolicy" => inline::delete,
        "ListRolePolicies" => inline::list,
        "AttachRolePolicy" => attached::attach,
        "DetachRolePolicy" => attached::detach,
        "ListAttachedRolePolicies" => attached::list,
        "PutRolePermissionsBoundary" => boundary::put,
        "DeleteRolePermissionsBoundary" => boundary::delete,
        "TagRole" => role_tags::tag,
        "UntagRole" => role_tags::untag,
        "ListRoleTags" => role_tags::list,
        "ListInstanceProfilesForRole" => role::list_instance_profiles,
        "CreatePolicy" => managed::create,
        "GetPolicy" => managed::get,
        "GetPolicyVersion" => managed::get_version,
        "ListPolicyVersions" => managed::list_versions,
        "ListPolicies" => managed::list,
        "DeletePolicy" => managed::delete,
        _ => return None,
    };
    Some(run(call))
}

/// Takes the name of a role.
fn role_name(form: &mut Form) -> String {
    form.need_text("RoleName", 1..=64, NAME)
}

/// Takes the ARN of a managed policy.
fn policy_arn(form: &mut Form, name: &str) -> String {
    form.need_text(name, 20..=2048, ANY)
}

fn no_such_entity(message: String) -> Error {
    Error::new(404, "NoSuchEntity", message)
}

fn limit_exceeded(message: String) -> Error {
    Error::new(409, "LimitExceeded", message)
}

fn malformed(message: String) -> Error {
    Error::new(400, "MalformedPolicyDocument", message)
}

fn invalid_input(message: String) -> Error {
    Error::new(400, "InvalidInput", message)
}

/// Takes `Tags.member.N`, and says what is wrong with them by their form.
fn take_tags(form: &mut Form) -> Vec<(String, String)> {
    let mut taken = Vec::new();
    for (number, [key, value]) in (1..).zip(form.structures("Tags", ["Key", "Value"])) {
        let at = |field: &str| format!("tags.{number}.member.{field}");
        match (key, value) {
            (Some(key), Some(value)) => {
                form.check(&at("key"), &key, 1..=128, &format!("{}+", tags::PATTERN));
                form.check(&at("value"), &value, 0..=256, &format!("{}*", tags::PATTERN));
                taken.push((key, value));
            }
            (None, _) => form.problem("null", &at("key"), "Member must not be null"),
            (Some(_), None) => form.problem("null", &at("value"), "Member must not be null"),
        }
    }
    if taken.len() > tags::MOST {
        let rule = format!("Member must have length less than or equal to {}", tags::MOST);
        form.problem("'[tags]'", "Tags", &rule);
    }
    taken
}

/// Adds tags to those that are there. Keys are told apart without regard to case.
fn merge_tags(present: &mut Vec<(String, String)>, added: Vec<(String, String)>) -> Result<(), Error> {
    for (index, (key, _)) in added.iter().enumerate() {
        if tags::is_reserved(key) {
            return Err(invalid_input(format!(
                "Tag keys that start with aws: are reserved for AWS use. The tag key {key} cannot be used."
            )));
        }
        if added[..index].iter().any(|(other, _)| other.eq_ignore_ascii_case(key)) {
            return Err(invalid_input(
                "Duplicate tag keys found. Please note that Tag keys are case insensitive.".to_owned(),
            ));
        }
    }
    for (key, value) in added {
        match present.iter_mut().find(|(other, _)| other.eq_ignore_ascii_case(&key)) {
            Some(tag) => *tag = (key, value),
            None => present.push((key, value)),
        }
    }
    if present.len() > tags::MOST {
        return Err(limit_exceeded(format!("Cannot exceed quota for TagsPerRole: {}", tags::MOST)));
    }
    Ok(())
}

/// `Tags`, as an element.
fn tags_element(tags: &[(String, String)]) -> Element {
    Element::new("Tags").with_all(tags.iter().map(tag_element))
}

fn tag_element((key, value): &(String, String)) -> Element {
    Element::new("member").text("Key", key).text("Value", value)
}
