//! `AWS::IAM::Role`.
//!
//! A role is one object with satellites: inline policies and attachments have calls of their own. Reading takes
//! one round trip where the stack names the inline policies, two where it does not. A creation that fails
//! halfway takes the role back before it reports, so that a refused call leaves nothing behind.

mod schema;

use async_trait::async_trait;
use futures::future::{join_all, try_join_all};
use futures::{TryFutureExt as _, join};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::super::Kind;
use super::document::{decode, encode};
use super::error::{Explain as _, optional, refusal};
use super::tags::{self, Tag};
use super::together::{self, worst};
use super::{Aws, policy};
use crate::model::{
    CloudError, CloudId, Condition, Create, Delete, ErrorKind, Live, Map, Owner, Read, Schema, Update, Value,
};

/// The kind.
pub(super) struct Role;

/// The properties of a role.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Properties {
    role_name: String,
    path: Option<String>,
    assume_role_policy_document: Json,
    description: Option<String>,
    max_session_duration: Option<i32>,
    managed_policy_arns: Vec<String>,
    policies: Vec<Inline>,
    permissions_boundary: Option<String>,
    tags: Vec<Tag>,
}

/// A policy that is part of its role.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Inline {
    policy_name: String,
    policy_document: Json,
}

#[async_trait]
impl Kind<Aws> for Role {
    fn schema(&self) -> &'static Schema {
        &schema::SCHEMA
    }

    async fn read(&self, aws: &Aws, request: Read<'_>) -> Result<Option<Live>, CloudError> {
        read(aws, &request.id.0, request.desired).await
    }

    async fn create(&self, aws: &Aws, request: Create<'_>) -> Result<Live, CloudError> {
        let desired: Properties = decode("iam:CreateRole", request.properties)?;
        let role = make(aws, &desired, request.owner).await?;
        if let Err(error) = furnish(aws, &desired).await {
            return Err(take_back(aws, &desired.role_name, error).await);
        }
        Ok(live(request.id, request.properties, request.owner, role.arn(), role.role_id()))
    }

    async fn update(&self, aws: &Aws, request: Update<'_>) -> Result<Live, CloudError> {
        let before: Properties = decode("iam:UpdateRole", &request.before.properties)?;
        let desired: Properties = decode("iam:UpdateRole", request.properties)?;
        let changed = |name: &str| request.changed.iter().any(|path| path.property() == name);
        let marked = request.before.owner.as_ref() == Some(request.owner);
        let ends = join!(
            update_trust(aws, &desired, changed("AssumeRolePolicyDocument")),
            update_settings(aws, &desired, changed("Description") || changed("MaxSessionDuration")),
            update_boundary(aws, &desired, changed("PermissionsBoundary")),
            update_inline(aws, &before, &desired, changed("Policies")),
            update_attached(aws, &before, &desired, changed("ManagedPolicyArns")),
            update_tags(aws, &before, &desired, request.owner, changed("Tags") || !marked),
        );
        worst(<[_; 6]>::from(ends))?;
        let attribute =
            |name: &str| request.before.attributes.get(name).and_then(Value::as_text).unwrap_or_default();
        Ok(live(request.id, request.properties, request.owner, attribute("Arn"), attribute("RoleId")))
    }

    async fn delete(&self, aws: &Aws, request: Delete<'_>) -> Result<(), CloudError> {
        dismantle(aws, &request.id.0).await
    }
}

async fn read(aws: &Aws, name: &str, desired: Option<&Map>) -> Result<Option<Live>, CloudError> {
    let iam = aws.iam().await?;
    // The policies that the stack names are asked for at once, the others when the list has told their names.
    let expected = desired.map(inline_names).unwrap_or_default();
    let (role, listed, attached, fetched) = futures::join!(
        aws.read("iam:GetRole", || iam.get_role().role_name(name).send()),
        inline_listed(aws, name),
        attached(aws, name),
        join_all(expected.iter().map(|policy| inline(aws, name, policy))),
    );
    let Some(role) = optional(role)?.and_then(|answer| answer.role) else { return Ok(None) };
    // Gone between two of these requests: then it is gone.
    let (Some(listed), Some(attached)) = (optional(listed)?, optional(attached)?) else { return Ok(None) };
    let mut policies: Vec<Inline> =
        fetched.into_iter().collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect();
    policies.retain(|policy| listed.contains(&policy.policy_name));
    let others = listed.iter().filter(|listed| !policies.iter().any(|known| known.policy_name == **listed));
    let others = try_join_all(others.map(|policy| inline(aws, name, policy))).await?;
    policies.extend(others.into_iter().flatten());
    policies.sort_by(|left, right| left.policy_name.cmp(&right.policy_name));

    let sorted = tags::sort(
        role.tags().iter().map(|tag| Tag { key: tag.key().to_owned(), value: tag.value().to_owned() }),
    );
    let mut properties = encode(&Properties {
        role_name: role.role_name().to_owned(),
        path: Some(role.path().to_owned()),
        assume_role_policy_document: policy::parse(role.assume_role_policy_document().unwrap_or_default())
            .to_json(),
        description: role.description().filter(|text| !text.is_empty()).map(str::to_owned),
        max_session_duration: role.max_session_duration(),
        managed_policy_arns: attached,
        policies,
        permissions_boundary: role
            .permissions_boundary()
            .and_then(|boundary| boundary.permissions_boundary_arn())
            .map(str::to_owned),
        tags: sorted.own,
    });
    use_words_of(desired, &mut properties);
    Ok(Some(Live {
        id: CloudId(role.role_name().to_owned()),
        properties,
        attributes: attributes(role.arn(), role.role_id()),
        etag: None,
        owner: sorted.mark,
        condition: Condition::Ready,
    }))
}

/// Policies that say what the stack says are shown in the stack's words.
fn use_words_of(desired: Option<&Map>, live: &mut Map) {
    let trust = "AssumeRolePolicyDocument";
    if let Some(document) = live.get_mut(trust) {
        let wanted = desired.and_then(|desired| desired.get(trust));
        *document = policy::in_words_of(wanted, std::mem::take(document));
    }
    let wanted = |name: &Value| {
        let policies = desired?.get("Policies")?.as_list()?;
        policies.iter().find(|policy| policy.at(&["PolicyName"]) == Some(name))?.at(&["PolicyDocument"])
    };
    let Some(Value::List(policies)) = live.get_mut("Policies") else { return };
    for policy in policies {
        let Value::Map(policy) = policy else { continue };
        let desired = policy.get("PolicyName").and_then(wanted);
        if let Some(document) = policy.get_mut("PolicyDocument") {
            *document = policy::in_words_of(desired, std::mem::take(document));
        }
    }
}

/// The names of the inline policies that a stack desires, as far as they are known.
fn inline_names(desired: &Map) -> Vec<String> {
    let policies = desired.get("Policies").and_then(Value::as_list).unwrap_or_default();
    policies.iter().filter_map(|policy| policy.at(&["PolicyName"])?.as_text().map(str::to_owned)).collect()
}

async fn inline_listed(aws: &Aws, name: &str) -> Result<Vec<String>, CloudError> {
    let iam = aws.iam().await?;
    let mut names = Vec::new();
    let mut marker: Option<String> = None;
    loop {
        let page = aws
            .read("iam:ListRolePolicies", || {
                iam.list_role_policies().role_name(name).set_marker(marker.clone()).send()
            })
            .await?;
        names.extend(page.policy_names);
        marker = page.marker.filter(|_| page.is_truncated);
        if marker.is_none() {
            return Ok(names);
        }
    }
}

/// One inline policy; `None` if there is none of that name.
async fn inline(aws: &Aws, name: &str, policy: &str) -> Result<Option<Inline>, CloudError> {
    let iam = aws.iam().await?;
    let answer = aws
        .read("iam:GetRolePolicy", || iam.get_role_policy().role_name(name).policy_name(policy).send())
        .await;
    Ok(optional(answer)?.map(|found| Inline {
        policy_document: policy::parse(found.policy_document()).to_json(),
        policy_name: found.policy_name,
    }))
}

async fn attached(aws: &Aws, name: &str) -> Result<Vec<String>, CloudError> {
    let iam = aws.iam().await?;
    let mut arns = Vec::new();
    let mut marker: Option<String> = None;
    loop {
        let page = aws
            .read("iam:ListAttachedRolePolicies", || {
                iam.list_attached_role_policies().role_name(name).set_marker(marker.clone()).send()
            })
            .await?;
        arns.extend(
            page.attached_policies().iter().filter_map(|policy| policy.policy_arn().map(str::to_owned)),
        );
        marker = page.marker.filter(|_| page.is_truncated);
        if marker.is_none() {
            arns.sort();
            return Ok(arns);
        }
    }
}

/// The role itself, with all that its creation can carry: its tags and our mark among it.
async fn make(
    aws: &Aws,
    desired: &Properties,
    owner: &Owner,
) -> Result<aws_sdk_iam::types::Role, CloudError> {
    let iam = aws.iam().await?;
    let tags = sdk_tags(desired.tags.iter().cloned().chain([tags::mark(owner)]))?;
    let made = aws
        .change("iam:CreateRole", || {
            iam.create_role()
                .role_name(&desired.role_name)
                .set_path(desired.path.clone())
                .assume_role_policy_document(desired.assume_role_policy_document.to_string())
                .set_description(desired.description.clone())
                .set_max_session_duration(desired.max_session_duration)
                .set_permissions_boundary(desired.permissions_boundary.clone())
                .set_tags(Some(tags.clone()))
                .send()
        })
        .await
        .map_err(|error| match error.kind {
            ErrorKind::AlreadyExists => error.hinting(
                "role names are unique in an account, whatever their case: choose another `RoleName`, or take \
                 the role over with `adopt: true`",
            ),
            _ => error,
        })?;
    made.role.ok_or_else(|| refusal("iam:CreateRole", ErrorKind::Unknown, "the answer holds no role"))
}

/// What hangs on the role, side by side.
async fn furnish(aws: &Aws, desired: &Properties) -> Result<(), CloudError> {
    let nothing = Properties::default();
    let ends =
        join!(update_inline(aws, &nothing, desired, true), update_attached(aws, &nothing, desired, true));
    worst(<[_; 2]>::from(ends))
}

/// Undoes a creation that failed halfway, so that the error alone remains. Where that fails, too, or where it is
/// not known what happened, the outcome is unknown, and the mark on the role tells whose it is.
async fn take_back(aws: &Aws, name: &str, error: CloudError) -> CloudError {
    if error.kind != ErrorKind::Unknown && dismantle(aws, name).await.is_ok() {
        return error;
    }
    CloudError { kind: ErrorKind::Unknown, ..error }
        .hinting(format!("the role {name} was made, but not all that belongs to it"))
}

async fn update_trust(aws: &Aws, desired: &Properties, changed: bool) -> Result<(), CloudError> {
    if !changed {
        return Ok(());
    }
    let iam = aws.iam().await?;
    aws.put("iam:UpdateAssumeRolePolicy", || {
        iam.update_assume_role_policy()
            .role_name(&desired.role_name)
            .policy_document(desired.assume_role_policy_document.to_string())
            .send()
    })
    .await?;
    Ok(())
}

async fn update_settings(aws: &Aws, desired: &Properties, changed: bool) -> Result<(), CloudError> {
    if !changed {
        return Ok(());
    }
    let iam = aws.iam().await?;
    aws.put("iam:UpdateRole", || {
        iam.update_role()
            .role_name(&desired.role_name)
            // Left out, it would stay as it is.
            .description(desired.description.clone().unwrap_or_default())
            .set_max_session_duration(desired.max_session_duration.or(Some(schema::SESSION_SECONDS)))
            .send()
    })
    .await?;
    Ok(())
}

async fn update_boundary(aws: &Aws, desired: &Properties, changed: bool) -> Result<(), CloudError> {
    if !changed {
        return Ok(());
    }
    let iam = aws.iam().await?;
    let name = &desired.role_name;
    if let Some(arn) = &desired.permissions_boundary {
        aws.put("iam:PutRolePermissionsBoundary", || {
            iam.put_role_permissions_boundary().role_name(name).permissions_boundary(arn).send()
        })
        .await?;
    } else {
        let answer = aws.put("iam:DeleteRolePermissionsBoundary", || {
            iam.delete_role_permissions_boundary().role_name(name).send()
        });
        optional(answer.await)?;
    }
    Ok(())
}

async fn update_inline(
    aws: &Aws,
    before: &Properties,
    desired: &Properties,
    changed: bool,
) -> Result<(), CloudError> {
    if !changed {
        return Ok(());
    }
    let iam = aws.iam().await?;
    let name = &desired.role_name;
    let puts = desired.policies.iter().filter(|policy| !before.policies.contains(policy)).map(|policy| {
        aws.put("iam:PutRolePolicy", || {
            iam.put_role_policy()
                .role_name(name)
                .policy_name(&policy.policy_name)
                .policy_document(policy.policy_document.to_string())
                .send()
        })
        .map_ok(drop)
    });
    let kept = |name: &str| desired.policies.iter().any(|policy| policy.policy_name == name);
    let deletes = before.policies.iter().filter(|policy| !kept(&policy.policy_name));
    let deletes = deletes.map(|policy| delete_inline(aws, name, &policy.policy_name));
    let ends = join!(together::all(puts), together::all(deletes));
    worst(<[_; 2]>::from(ends))
}

async fn delete_inline(aws: &Aws, name: &str, policy: &str) -> Result<(), CloudError> {
    let iam = aws.iam().await?;
    let answer = aws
        .put("iam:DeleteRolePolicy", || iam.delete_role_policy().role_name(name).policy_name(policy).send())
        .await;
    optional(answer)?;
    Ok(())
}

async fn update_attached(
    aws: &Aws,
    before: &Properties,
    desired: &Properties,
    changed: bool,
) -> Result<(), CloudError> {
    if !changed {
        return Ok(());
    }
    let iam = aws.iam().await?;
    let (name, old, new) = (&desired.role_name, &before.managed_policy_arns, &desired.managed_policy_arns);
    // First away, then on: a role takes ten, and may hold them already.
    together::all(old.iter().filter(|arn| !new.contains(arn)).map(|arn| detach(aws, name, arn))).await?;
    together::all(new.iter().filter(|arn| !old.contains(arn)).map(|arn| async move {
        let attached = aws
            .put("iam:AttachRolePolicy", || iam.attach_role_policy().role_name(name).policy_arn(arn).send())
            .await;
        match attached {
            Err(error) if error.kind == ErrorKind::NotFound => Err(CloudError {
                // The role is there; to the engine, "not found" would mean that it is not.
                kind: ErrorKind::Invalid,
                ..error
            }
            .hinting(format!("`ManagedPolicyArns` names {arn}, and there is no such policy"))),
            other => other.map(drop),
        }
    }))
    .await
}

async fn detach(aws: &Aws, name: &str, arn: &str) -> Result<(), CloudError> {
    let iam = aws.iam().await?;
    let answer = aws
        .put("iam:DetachRolePolicy", || iam.detach_role_policy().role_name(name).policy_arn(arn).send())
        .await;
    optional(answer)?;
    Ok(())
}

async fn update_tags(
    aws: &Aws,
    before: &Properties,
    desired: &Properties,
    owner: &Owner,
    changed: bool,
) -> Result<(), CloudError> {
    if !changed {
        return Ok(());
    }
    let iam = aws.iam().await?;
    let name = &desired.role_name;
    let gone: Vec<String> = before
        .tags
        .iter()
        .filter(|old| !desired.tags.iter().any(|new| new.key == old.key))
        .map(|old| old.key.clone())
        .collect();
    if !gone.is_empty() {
        aws.put("iam:UntagRole", || iam.untag_role().role_name(name).set_tag_keys(Some(gone.clone())).send())
            .await?;
    }
    let new = desired.tags.iter().filter(|tag| !before.tags.contains(tag)).cloned();
    let tags = sdk_tags(new.chain([tags::mark(owner)]))?;
    aws.put("iam:TagRole", || iam.tag_role().role_name(name).set_tags(Some(tags.clone())).send()).await?;
    Ok(())
}

/// Takes a role apart and deletes it. One that is gone already is done; each part may be gone, too. One that an instance
/// profile holds cannot be deleted, and is left whole.
async fn dismantle(aws: &Aws, name: &str) -> Result<(), CloudError> {
    let iam = aws.iam().await?;
    let (inline, attached, held) =
        futures::join!(inline_listed(aws, name), attached(aws, name), instance_profiles(aws, name));
    if let Some(profile) = optional(held)?.unwrap_or_default().first() {
        let message =
            format!("the instance profile {profile} holds the role {name}; nothing was taken off it");
        let refused = refusal("iam:ListInstanceProfilesForRole", ErrorKind::NotEmpty, message);
        return Err(refused.hinting(format!(
            "take it out first (`aws iam remove-role-from-instance-profile --instance-profile-name {profile} \
             --role-name {name}`), or keep the role with `onDelete: retain`"
        )));
    }
    let (inline, attached) = (optional(inline)?.unwrap_or_default(), optional(attached)?.unwrap_or_default());
    let ends = join!(
        together::all(inline.iter().map(|policy| delete_inline(aws, name, policy))),
        together::all(attached.iter().map(|arn| detach(aws, name, arn))),
    );
    worst(<[_; 2]>::from(ends))?;
    let answer = aws.put("iam:DeleteRole", || iam.delete_role().role_name(name).send()).await;
    optional(answer.map_err(|error| match error.kind {
        ErrorKind::NotEmpty => error.hinting(format!(
            "something else uses the role {name}, most likely an instance profile: \
             `aws iam list-instance-profiles-for-role --role-name {name}` shows which"
        )),
        _ => error,
    }))?;
    Ok(())
}

/// The instance profiles that hold a role.
async fn instance_profiles(aws: &Aws, name: &str) -> Result<Vec<String>, CloudError> {
    let iam = aws.iam().await?;
    // One is refusal enough, and the first page has one if there is any.
    let page = aws
        .read("iam:ListInstanceProfilesForRole", || {
            iam.list_instance_profiles_for_role().role_name(name).send()
        })
        .await?;
    Ok(page.instance_profiles.into_iter().map(|profile| profile.instance_profile_name).collect())
}

fn sdk_tags(tags: impl IntoIterator<Item = Tag>) -> Result<Vec<aws_sdk_iam::types::Tag>, CloudError> {
    tags.into_iter()
        .map(|tag| aws_sdk_iam::types::Tag::builder().key(tag.key).value(tag.value).build())
        .collect::<Result<_, _>>()
        .map_err(|error| refusal("iam:TagRole", ErrorKind::Invalid, error.to_string()))
}

fn attributes(arn: &str, id: &str) -> Map {
    Map::from([("Arn".to_owned(), arn.into()), ("RoleId".to_owned(), id.into())])
}

/// What is live after a write that the cloud has acknowledged. Reading it back would be no better: IAM's reads
/// lag behind its writes.
fn live(id: &CloudId, properties: &Map, owner: &Owner, arn: &str, role_id: &str) -> Live {
    Live {
        id: id.clone(),
        properties: properties.clone(),
        attributes: attributes(arn, role_id),
        etag: None,
        owner: Some(owner.clone()),
        condition: Condition::Ready,
    }
}
