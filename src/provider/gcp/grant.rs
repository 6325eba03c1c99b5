//! One grant: a role, to a member, under a condition or none; found in and written into a policy's bindings.
//!
//! Pure. A policy is Google's JSON, so that whatever else stands in it survives being written back.

use serde_json::{Value as Json, json};

use super::properties::{known, some_text, text};
use crate::model::{CloudId, Map, Property, Shape, TextRule, Value};

/// What a grant says; the resource it is made on is not part of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Grant {
    pub(super) role: String,
    pub(super) member: String,
    pub(super) condition: Option<Condition>,
}

/// When a grant holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Condition {
    pub(super) title: String,
    pub(super) description: String,
    pub(super) expression: String,
}

/// The role of a grant.
pub(super) const ROLE: Property = Property::new(
    "role",
    Shape::Text(TextRule::matching(
        "(?:(?:projects|organizations)/[^/ ]+/)?roles/[A-Za-z0-9_.]+",
        "a role such as roles/datastore.user",
    )),
    "The role that is granted.",
)
.required()
.immutable();

/// The member of a grant.
pub(super) const MEMBER: Property = Property::new(
    "member",
    Shape::Text(TextRule::matching(
        "allUsers|allAuthenticatedUsers|(?:user|serviceAccount|group|domain):[^ ]+|principal(?:Set)?://.+",
        "a member such as serviceAccount:EMAIL, user:EMAIL, group:EMAIL, principal://… or principalSet://…",
    )),
    "Who is granted it. Pools are named by the project's number.",
)
.required()
.immutable()
.normalised(lower_member);

/// The condition of a grant.
pub(super) const CONDITION: Property =
    Property::new("condition", Shape::Object(CONDITION_PROPERTIES), "When it holds.");

static CONDITION_PROPERTIES: &[Property] = &[
    Property::new("title", Shape::Text(TextRule::ANY.sized(1, 100)), "Tells it apart from others.")
        .required()
        .immutable(),
    Property::new("description", Shape::Text(TextRule::up_to(256)), "What it is for."),
    Property::new("expression", Shape::Text(TextRule::ANY), "The condition, in CEL.").required(),
];

/// Between resource, role, member and title in an id. Roles have no spaces in them.
const WHEN: &str = " when ";

impl Grant {
    /// From a stack's properties.
    pub(super) fn of(properties: &Map) -> Self {
        let condition = properties.get("condition").and_then(Value::as_map).map(|condition| Condition {
            title: text(condition, "title"),
            description: text(condition, "description"),
            expression: text(condition, "expression"),
        });
        Self { role: text(properties, "role"), member: lower(&text(properties, "member")), condition }
    }

    /// The properties that every kind of grant has.
    pub(super) fn properties(&self) -> Map {
        known([
            ("role", Some(Value::text(self.role.as_str()))),
            ("member", Some(Value::text(self.member.as_str()))),
            (
                "condition",
                self.condition.as_ref().map(|condition| {
                    Value::Map(known([
                        ("title", some_text(Some(&condition.title))),
                        ("description", some_text(Some(&condition.description))),
                        ("expression", some_text(Some(&condition.expression))),
                    ]))
                }),
            ),
        ])
    }

    /// The end of the id of a grant with these properties; `None` where one of them is not known yet.
    pub(super) fn id(properties: &Map) -> Option<String> {
        let role = properties.get("role")?.as_text()?;
        let member = lower(properties.get("member")?.as_text()?);
        match properties.get("condition") {
            None | Some(Value::Null) => Some(format!("{role} {member}")),
            Some(condition) => Some(format!("{role} {member}{WHEN}{}", condition.at(&["title"])?.as_text()?)),
        }
    }

    /// Splits an id into its resource and as much of the grant as an id tells.
    pub(super) fn parse(id: &CloudId) -> Option<(&str, Self)> {
        let mut words = id.0.splitn(3, ' ');
        let (resource, role, rest) = (words.next()?, words.next()?, words.next()?);
        let (member, condition) = match rest.split_once(WHEN) {
            Some((member, title)) => {
                (member, Some(Condition { title: title.to_owned(), ..Condition::default() }))
            }
            None => (rest, None),
        };
        Some((resource, Self { role: role.to_owned(), member: lower(member), condition }))
    }

    fn title(&self) -> Option<&str> {
        self.condition.as_ref().map(|condition| condition.title.as_str())
    }

    /// Whether a binding has this grant's role and its condition's title.
    fn stands_in(&self, binding: &Json) -> bool {
        let title = binding.get("condition").filter(|condition| !condition.is_null());
        binding["role"] == self.role.as_str()
            && title.map(|condition| condition["title"].as_str().unwrap_or_default()) == self.title()
    }

    /// The grant as the policy has it. Where conditions share a title, the one that is equal is meant.
    pub(super) fn find(&self, policy: &Json) -> Option<Self> {
        let bindings = policy["bindings"].as_array()?;
        let mut found =
            bindings.iter().filter(|binding| self.stands_in(binding) && has(binding, &self.member));
        let read = |binding: &Json| Self { condition: condition(binding), ..self.clone() };
        let equal = found.clone().map(read).find(|grant| grant.condition == self.condition);
        equal.or_else(|| found.next().map(read))
    }

    /// Adds the grant; whether that changed anything.
    pub(super) fn add(&self, policy: &mut Json) -> bool {
        if self.find(policy).is_some_and(|grant| grant.condition == self.condition) {
            return false;
        }
        let Some(bindings) = bindings(policy) else { return false };
        let same = |binding: &&mut Json| self.stands_in(binding) && condition(binding) == self.condition;
        if let Some(members) =
            bindings.iter_mut().find(same).and_then(|binding| binding["members"].as_array_mut())
        {
            members.push(json!(self.member));
            return true;
        }
        let mut binding = json!({ "role": self.role, "members": [self.member] });
        if let Some(condition) = &self.condition {
            binding["condition"] = json!({ "title": condition.title, "expression": condition.expression });
            if !condition.description.is_empty() {
                binding["condition"]["description"] = json!(condition.description);
            }
        }
        bindings.push(binding);
        true
    }

    /// Takes the grant out, and bindings that it leaves empty; whether that changed anything.
    pub(super) fn remove(&self, policy: &mut Json) -> bool {
        let Some(bindings) = bindings(policy) else { return false };
        let mut removed = false;
        bindings.retain_mut(|binding| {
            if !self.stands_in(binding) {
                return true;
            }
            let Some(members) = binding["members"].as_array_mut() else { return true };
            let before = members.len();
            members.retain(|member| member.as_str().map(lower).as_ref() != Some(&self.member));
            removed |= members.len() != before;
            !members.is_empty() || before == 0
        });
        removed
    }
}

fn bindings(policy: &mut Json) -> Option<&mut Vec<Json>> {
    if !policy["bindings"].is_array() {
        policy["bindings"] = json!([]);
    }
    policy["bindings"].as_array_mut()
}

fn has(binding: &Json, member: &str) -> bool {
    let members = binding["members"].as_array().into_iter().flatten();
    members.filter_map(Json::as_str).any(|other| lower(other) == member)
}

fn condition(binding: &Json) -> Option<Condition> {
    let condition = binding.get("condition").filter(|condition| !condition.is_null())?;
    let text = |name: &str| condition[name].as_str().unwrap_or_default().to_owned();
    Some(Condition { title: text("title"), description: text("description"), expression: text("expression") })
}

/// Google keeps e-mail addresses and domains in lower case; other members are case-sensitive.
fn lower(member: &str) -> String {
    match member.split_once(':') {
        Some((kind @ ("user" | "serviceAccount" | "group" | "domain"), name)) => {
            format!("{kind}:{}", name.to_lowercase())
        }
        _ => member.to_owned(),
    }
}

fn lower_member(member: Value) -> Value {
    match member {
        Value::Text(text) => Value::Text(lower(&text)),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant(condition: Option<(&str, &str)>) -> Grant {
        let condition = condition.map(|(title, expression)| Condition {
            title: title.to_owned(),
            expression: expression.to_owned(),
            ..Condition::default()
        });
        Grant { role: "roles/viewer".to_owned(), member: "user:me@example.com".to_owned(), condition }
    }

    #[test]
    fn others_survive() {
        let before = json!({
            "version": 3,
            "etag": "x",
            "bindings": [
                { "role": "roles/viewer", "members": ["user:you@example.com"] },
                { "role": "roles/viewer", "members": ["user:Me@example.com"], "condition": { "title": "t", "expression": "a", "location": "kept" } },
                { "role": "roles/editor", "members": ["user:me@example.com"] },
            ],
        });
        for grant in [grant(None), grant(Some(("t", "b"))), grant(Some(("u", "a")))] {
            let mut policy = before.clone();
            assert!(grant.add(&mut policy));
            assert!(!grant.add(&mut policy), "twice is once");
            assert_eq!(grant.find(&policy), Some(grant.clone()));
        }
        let mut policy = before.clone();
        assert!(grant(None).add(&mut policy) && grant(None).remove(&mut policy));
        assert_eq!(policy, before);
        assert!(!grant(None).remove(&mut policy));
    }

    #[test]
    fn a_title_names_a_condition_and_its_text_can_change() {
        let old = grant(Some(("t", "a")));
        let new = grant(Some(("t", "b")));
        let mut policy = json!({});
        old.add(&mut policy);
        assert_eq!(new.find(&policy), Some(old));
        assert!(new.remove(&mut policy) && new.add(&mut policy));
        assert_eq!(policy["bindings"].as_array().map(Vec::len), Some(1));
    }

    #[test]
    fn ids_can_be_read_back() {
        let properties = grant(Some(("only on weekdays", "x"))).properties();
        let id = CloudId(format!("projects/p {}", Grant::id(&properties).unwrap_or_default()));
        let (resource, parsed) = Grant::parse(&id).unwrap_or_else(|| unreachable!("{id}"));
        assert_eq!((resource, parsed.title()), ("projects/p", Some("only on weekdays")));
    }
}
