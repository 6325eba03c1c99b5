//! What is sensitive, and how it stays so: hidden in what is shown and kept, in clear for the request that needs it.
//! Pure.
//!
//! Whether a live value is sensitive is not seen by looking at it. Three things tell: the stack, where it desires a
//! secret at that place; the state, which remembers the places where it did (a resource may have left the stack
//! since); and the sensitive variables, whose values are hidden wherever they turn up. With the state lost and the
//! variable gone from the stack, nothing tells.

use super::resolve::holds_secret;
use crate::model::{Map, Owned, Secret, Stack, Value};

/// A secret so short is hidden where it is the whole text, not inside of longer ones: it would be found by chance.
const SHORT: usize = 6;

/// What is live, with every text hidden where a secret is desired: it may be an older one, and a plan shows both sides.
/// What the stack itself says openly is not hidden.
pub fn hide(live: &Map, desired: &Map) -> Map {
    veil_map(live, &[desired], &[])
}

/// What is live, hidden where a secret is desired and where there was one, as the state or an image says: what is not
/// sensitive any more may be so still in what it was.
pub(super) fn hide_former(live: &Map, desired: &Map, former: Option<&Map>) -> Map {
    veil_map(live, &[desired], former.as_slice())
}

/// Hides the texts where one of these has a secret at their place: what is desired there, and what is remembered.
fn veil_map(live: &Map, desired: &[&Map], remembered: &[&Map]) -> Map {
    let hidden = |(name, value): (&String, &Value)| {
        (name.clone(), veil(value, &at(desired, name), &at(remembered, name)))
    };
    live.iter().map(hidden).collect()
}

fn at<'v>(maps: &[&'v Map], name: &str) -> Vec<&'v Value> {
    maps.iter().filter_map(|map| map.get(name)).collect()
}

fn maps<'v>(values: &[&'v Value]) -> Vec<&'v Map> {
    values.iter().filter_map(|value| value.as_map()).collect()
}

fn items<'v>(values: &[&'v Value]) -> Vec<&'v Value> {
    values.iter().filter_map(|value| value.as_list()).flatten().collect()
}

fn veil(live: &Value, desired: &[&Value], remembered: &[&Value]) -> Value {
    if !desired.iter().chain(remembered).any(|value| holds_secret(value)) {
        return live.clone();
    }
    match live {
        Value::Text(text) => {
            let open = desired == [live];
            let secret = desired.iter().chain(remembered).any(|value| matches!(value, Value::Secret(_)));
            if secret && !open { Value::Secret(Secret::new(text.clone())) } else { live.clone() }
        }
        Value::Map(map) => Value::Map(veil_map(map, &maps(desired), &maps(remembered))),
        Value::List(list) => {
            let (desired, remembered) = (items(desired), items(remembered));
            // Which item is whose counterpart is not known: one that is as desired is told so, and what is secret in
            // one is hidden in all others.
            let hide = |item: &Value| {
                let alike = desired.iter().find(|&&wanted| veil(item, &[wanted], &[]) == *wanted);
                alike.map_or_else(|| veil(item, &desired, &remembered), |&wanted| wanted.clone())
            };
            Value::List(list.iter().map(hide).collect())
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Secret(_) | Value::Unknown(_) => {
            live.clone()
        }
    }
}

/// Properties as a request carries them: secrets in clear.
pub fn expose(properties: &Map) -> Map {
    properties.iter().map(|(name, value)| (name.clone(), expose_value(value))).collect()
}

fn expose_value(value: &Value) -> Value {
    match value {
        Value::Secret(secret) => Value::Text(secret.expose().to_owned()),
        Value::List(items) => Value::List(items.iter().map(expose_value).collect()),
        Value::Map(map) => Value::Map(expose(map)),
        other => other.clone(),
    }
}

/// Of properties only the places of what is sensitive, without the secrets: what a state remembers.
pub fn places(properties: &Map) -> Map {
    let place = |(name, value): (&String, &Value)| Some((name.clone(), place_value(value)?));
    properties.iter().filter_map(place).collect()
}

/// All places of either.
pub(super) fn union(one: &Map, other: &Map) -> Map {
    let mut all = one.clone();
    for (name, place) in other {
        let both = match (all.remove(name), place) {
            (Some(Value::Map(one)), Value::Map(other)) => Value::Map(union(&one, other)),
            (Some(Value::List(mut one)), Value::List(other)) => {
                one.extend(other.iter().filter(|place| !one.contains(place)).cloned().collect::<Vec<_>>());
                Value::List(one)
            }
            (Some(whole @ Value::Secret(_)), _) => whole,
            (Some(_) | None, place) => place.clone(),
        };
        all.insert(name.clone(), both);
    }
    all
}

fn place_value(value: &Value) -> Option<Value> {
    match value {
        Value::Secret(_) => Some(Value::Secret(Secret::new(""))),
        Value::List(items) => {
            let items: Vec<Value> = items.iter().filter_map(place_value).collect();
            (!items.is_empty()).then_some(Value::List(items))
        }
        Value::Map(map) => {
            let map = places(map);
            (!map.is_empty()).then_some(Value::Map(map))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Text(_) | Value::Unknown(_) => None,
    }
}

/// What is live, hidden by all that is known: where `desired` has secrets, where the state says that there were some,
/// and wherever the value of a sensitive variable stands.
pub fn withhold(live: &Map, desired: Option<&Map>, owned: Option<&Owned>, stack: &Stack) -> Map {
    let remembered = owned.map(|owned| &owned.sensitive);
    let live = veil_map(live, desired.as_slice(), remembered.as_slice());
    let mut secrets = Vec::new();
    collect(&stack.variables, &mut secrets);
    live.iter().map(|(name, value)| (name.clone(), redact(value, &secrets))).collect()
}

fn redact(value: &Value, secrets: &[Secret]) -> Value {
    match value {
        Value::Text(text) if secrets.iter().any(|secret| holds(text, secret)) => {
            Value::Secret(Secret::new(text.clone()))
        }
        Value::List(items) => Value::List(items.iter().map(|item| redact(item, secrets)).collect()),
        Value::Map(map) => {
            Value::Map(map.iter().map(|(name, value)| (name.clone(), redact(value, secrets))).collect())
        }
        other => other.clone(),
    }
}

/// Whether a text is a secret, or shows it.
fn holds(text: &str, secret: &Secret) -> bool {
    let secret = secret.expose();
    text == secret || (secret.len() > SHORT && text.contains(secret))
}

/// Every secret in these properties that is known.
pub fn collect(properties: &Map, found: &mut Vec<Secret>) {
    for value in properties.values() {
        collect_value(value, found);
    }
}

fn collect_value(value: &Value, found: &mut Vec<Secret>) {
    match value {
        Value::Secret(secret) if !secret.expose().is_empty() => found.push(secret.clone()),
        Value::List(items) => {
            for item in items {
                collect_value(item, found);
            }
        }
        Value::Map(map) => collect(map, found),
        Value::Null
        | Value::Bool(_)
        | Value::Number(_)
        | Value::Text(_)
        | Value::Unknown(_)
        | Value::Secret(_) => {}
    }
}

/// Words that may repeat what was sent, without the secrets: as they are, and as JSON writes them. A short one is taken
/// out where it is a word of its own.
pub fn hush(words: &str, secrets: &[Secret]) -> String {
    const INSTEAD: &str = "(sensitive)";
    let mut words = words.to_owned();
    for secret in secrets.iter().map(Secret::expose) {
        let json = serde_json::Value::from(secret).to_string();
        let written = json.get(1..json.len() - 1).unwrap_or_default();
        for form in [secret, written] {
            if form.len() > SHORT {
                words = words.replace(form, INSTEAD);
            } else if !form.is_empty() {
                words = without_word(&words, form, INSTEAD);
            }
        }
    }
    words
}

/// Puts something else wherever a word stands that is no part of a longer one.
fn without_word(text: &str, word: &str, instead: &str) -> String {
    let mut said = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(word) {
        let (before, after) = (&rest[..at], &rest[at + word.len()..]);
        let letter = |character: Option<char>| character.is_some_and(char::is_alphanumeric);
        let part = letter(before.chars().next_back().or_else(|| said.chars().next_back()))
            || letter(after.chars().next());
        said.push_str(before);
        said.push_str(if part { word } else { instead });
        rest = after;
    }
    said.push_str(rest);
    said
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_a_list_what_is_said_openly_is_not_hidden() {
        let tag = |key: &str, value: Value| {
            Value::Map(Map::from([("Key".to_owned(), key.into()), ("Value".to_owned(), value)]))
        };
        let tags = |items: Vec<Value>| Map::from([("Tags".to_owned(), Value::List(items))]);
        let secret = || Value::Secret(Secret::new("one"));
        let desired = tags(vec![tag("label", "one".into()), tag("note", secret())]);
        let live = tags(vec![tag("label", "one".into()), tag("note", "one".into())]);
        assert_eq!(hide(&live, &desired), desired);
        let other = tags(vec![tag("label", "two".into()), tag("note", "three".into())]);
        let hidden = |text: &str| Value::Secret(Secret::new(text));
        let all = tags(vec![tag("label", hidden("two")), tag("note", hidden("three"))]);
        assert_eq!(hide(&other, &desired), all);
        // What was read back from a file knows the place only.
        let kept = tags(vec![tag("label", "one".into()), tag("note", hidden(""))]);
        assert_eq!(hide(&live, &kept), desired);
    }

    #[test]
    fn words_repeat_no_secret() {
        let secrets = |texts: &[&str]| texts.iter().map(|text| Secret::new(*text)).collect::<Vec<_>>();
        let told = "Value 'hunter22' at 'x' failed; got hunter22!";
        assert_eq!(
            hush(told, &secrets(&["hunter22"])),
            "Value '(sensitive)' at 'x' failed; got (sensitive)!"
        );
        assert_eq!(hush("of abc: abcd, 'abc'", &secrets(&["abc"])), "of (sensitive): abcd, '(sensitive)'");
        assert_eq!(hush("ab abab ab", &secrets(&["ab"])), "(sensitive) abab (sensitive)");
        assert_eq!(hush(r#"{"a":"one\ntwo"}"#, &secrets(&["one\ntwo"])), r#"{"a":"(sensitive)"}"#);
        assert_eq!(hush("nothing of it", &secrets(&[""])), "nothing of it");
    }
}
