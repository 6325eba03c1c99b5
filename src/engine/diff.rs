//! Two ways of writing the same thing to one form, and the differences between two things. Pure.
//!
//! Both sides are normalised by the schema first: absent properties take the vendor's default, empty containers
//! and empty texts count as absent, sets are sorted, documents take their type's canonical form. What is still
//! different is drift or desire.

use crate::model::{Absent, Edit, Map, Mutability, Path, Property, Schema, Shape, Value};

/// A resource's properties in the form in which they are compared, shown and sent.
pub fn normalise(schema: &Schema, properties: &Map) -> Map {
    object(schema.properties, properties)
}

/// What has to change for `before` to become `after`; both normalised. Sorted by path.
pub fn diff(schema: &Schema, before: &Map, after: &Map) -> Vec<Edit> {
    let mut edits = Vec::new();
    diff_object(schema.properties, &Path::default(), before, after, false, &mut edits);
    edits.sort_by(|left, right| left.path.cmp(&right.path));
    edits
}

fn object(properties: &[Property], given: &Map) -> Map {
    let mut normal = Map::new();
    for property in properties {
        let value = given.get(property.name).and_then(|value| match (property.required, &property.shape) {
            // What must be there says something even where it is empty, such as an event without fields.
            (true, Shape::Document) => (*value != Value::Null).then(|| value.clone()),
            (true, shape) => kept(shape, value),
            (false, shape) => shaped(shape, value),
        });
        let value = match (value, property.absent) {
            (None, Absent::Means(default)) => shaped(&property.shape, &default()),
            (value, _) => value,
        };
        let value = match (value, property.normalise) {
            (Some(value), Some(normalise)) if value.is_known() => Some(normalise(value)),
            (value, _) => value,
        };
        if let Some(value) = value {
            normal.insert(property.name.to_owned(), value);
        }
    }
    for (key, value) in given {
        // A property that the schema does not know cannot come from a checked stack; a live one is shown.
        if !properties.iter().any(|property| property.name == key) && *value != Value::Null {
            normal.insert(key.clone(), value.clone());
        }
    }
    normal
}

/// A value in its normal form; `None` if it counts as absent.
fn shaped(shape: &Shape, value: &Value) -> Option<Value> {
    match (shape, value) {
        (_, Value::Null) => None,
        (_, Value::Text(text)) if text.is_empty() => None,
        (Shape::Object(properties), Value::Map(map)) => {
            let map = object(properties, map);
            (!map.is_empty()).then_some(Value::Map(map))
        }
        (Shape::Map(item), Value::Map(map)) => {
            let map: Map =
                map.iter().filter_map(|(key, value)| Some((key.clone(), kept(item, value)?))).collect();
            (!map.is_empty()).then_some(Value::Map(map))
        }
        (Shape::List(item), Value::List(items)) => {
            let items: Vec<Value> = items.iter().filter_map(|value| kept(item, value)).collect();
            (!items.is_empty()).then_some(Value::List(items))
        }
        (Shape::Set(item), Value::List(items)) => {
            let mut items: Vec<Value> = items.iter().filter_map(|value| kept(item, value)).collect();
            items.sort_by_cached_key(sort_key);
            items.dedup();
            (!items.is_empty()).then_some(Value::List(items))
        }
        (Shape::Keyed { by, of }, Value::List(items)) => {
            let mut items: Vec<Value> =
                items.iter().filter_map(|value| kept(&Shape::Object(of), value)).collect();
            items.sort_by_cached_key(|item| item.as_map().and_then(|map| map.get(*by)).map(sort_key));
            (!items.is_empty()).then_some(Value::List(items))
        }
        (Shape::Document, Value::Map(map)) if map.is_empty() => None,
        (Shape::Document, Value::List(items)) if items.is_empty() => None,
        (_, value) => Some(value.clone()),
    }
}

/// An item of a container: an empty text is a value there (a tag's value can be empty).
fn kept(shape: &Shape, value: &Value) -> Option<Value> {
    match value {
        Value::Text(_) => Some(value.clone()),
        other => shaped(shape, other),
    }
}

fn sort_key(value: &Value) -> String {
    value.to_json().to_string()
}

fn diff_object(
    properties: &[Property],
    path: &Path,
    before: &Map,
    after: &Map,
    replaces: bool,
    edits: &mut Vec<Edit>,
) {
    for property in properties {
        let (old, new) = (before.get(property.name), after.get(property.name));
        if new.is_none() && matches!(property.absent, Absent::Unmanaged) {
            continue;
        }
        let replaces = replaces
            || match property.mutability {
                Mutability::InPlace => false,
                Mutability::Replace => true,
                Mutability::SetOnce => old.is_some(),
            };
        diff_value(&property.shape, &path.key(property.name), old, new, replaces, edits);
    }
    let unknown = |key: &&String| !properties.iter().any(|property| property.name == key.as_str());
    let added = after.keys().filter(|key| !before.contains_key(*key));
    for key in before.keys().chain(added).filter(unknown) {
        diff_value(&Shape::Document, &path.key(key), before.get(key), after.get(key), replaces, edits);
    }
}

fn diff_value(
    shape: &Shape,
    path: &Path,
    before: Option<&Value>,
    after: Option<&Value>,
    replaces: bool,
    edits: &mut Vec<Edit>,
) {
    match (shape, before, after) {
        (_, None, None) => {}
        (Shape::Object(properties), Some(Value::Map(old)), Some(Value::Map(new))) => {
            diff_object(properties, path, old, new, replaces, edits);
        }
        (Shape::Object(properties), Some(Value::Map(old)), None) => {
            // What is left of it may all be unmanaged.
            let mut inner = Vec::new();
            diff_object(properties, path, old, &Map::new(), replaces, &mut inner);
            if !inner.is_empty() {
                let forced = inner.iter().any(|edit| edit.forces_replacement);
                edits.push(edit(path, before, None, forced));
            }
        }
        (Shape::Map(item), Some(Value::Map(old)), Some(Value::Map(new))) => {
            let added = new.keys().filter(|key| !old.contains_key(*key));
            for key in old.keys().chain(added) {
                diff_value(item, &path.key(key), old.get(key), new.get(key), replaces, edits);
            }
        }
        (Shape::Keyed { by, of }, Some(Value::List(old)), Some(Value::List(new))) => {
            diff_keyed(by, of, path, old, new, replaces, edits);
        }
        (Shape::List(item), Some(Value::List(old)), Some(Value::List(new))) if old.len() == new.len() => {
            for (index, (old, new)) in old.iter().zip(new).enumerate() {
                diff_value(item, &path.index(index), Some(old), Some(new), replaces, edits);
            }
        }
        (_, old, new) if old == new => {}
        (_, old, new) => edits.push(edit(path, old, new, replaces)),
    }
}

fn diff_keyed(
    by: &str,
    of: &'static [Property],
    path: &Path,
    old: &[Value],
    new: &[Value],
    replaces: bool,
    edits: &mut Vec<Edit>,
) {
    let key = |item: &Value| item.as_map().and_then(|map| map.get(by)).map(Value::to_text);
    let keys = |items: &[Value]| items.iter().map(key).collect::<Option<Vec<_>>>();
    let (Some(old_keys), Some(new_keys)) = (keys(old), keys(new)) else {
        // Without a key on each item they cannot be told apart: compared as a whole.
        if old != new {
            edits.push(edit(
                path,
                Some(&Value::List(old.to_vec())),
                Some(&Value::List(new.to_vec())),
                replaces,
            ));
        }
        return;
    };
    for (key, item) in old_keys.iter().zip(old) {
        let counterpart = new_keys.iter().position(|other| other == key).map(|position| &new[position]);
        diff_value(&Shape::Object(of), &path.key(key), Some(item), counterpart, replaces, edits);
    }
    for (key, item) in new_keys.iter().zip(new).filter(|(key, _)| !old_keys.contains(key)) {
        edits.push(edit(&path.key(key), None, Some(item), replaces));
    }
}

fn edit(path: &Path, before: Option<&Value>, after: Option<&Value>, forces_replacement: bool) -> Edit {
    Edit { path: path.clone(), before: before.cloned(), after: after.cloned(), forces_replacement }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::{Deletion, TextRule};

    const TEXT: Shape = Shape::Text(TextRule::ANY);
    static TAG: &[Property] = &[Property::new("Key", TEXT, ""), Property::new("Value", TEXT, "").required()];
    static INNER: &[Property] = &[
        Property::new("Subdomain", TEXT, "").set_once(),
        Property::new("Endpoint", TEXT, "").unmanaged(),
        Property::new("Access", TEXT, "").default(|| "Enabled".into()),
    ];
    static THING: Schema = Schema {
        ty: "Test::Thing",
        doc: "",
        properties: &[
            Property::new("Name", TEXT, "").immutable(),
            Property::new("Tags", Shape::Keyed { by: "Key", of: TAG }, ""),
            Property::new("Methods", Shape::Set(&TEXT), ""),
            Property::new("Order", Shape::List(&TEXT), ""),
            Property::new("Seconds", Shape::Integer { min: 0, max: 9 }, "").default(|| 5.into()),
            Property::new("Inner", Shape::Object(INNER), ""),
        ],
        attributes: &[],
        name: None,
        identify: |_, _| None,
        predict: |_, _| Map::new(),
        check: |_, _| Vec::new(),
        marked: false,
        shared: false,
        compares: false,
        deletion: Deletion::Recreatable { loses: "" },
    };

    fn edits(before: serde_json::Value, after: serde_json::Value) -> Vec<String> {
        let map = |json| Value::from_json(json).as_map().cloned().unwrap_or_default();
        let (before, after) = (normalise(&THING, &map(before)), normalise(&THING, &map(after)));
        let show = |value: &Option<Value>| {
            value.as_ref().map_or_else(|| "-".to_owned(), |value| value.to_json().to_string())
        };
        diff(&THING, &before, &after)
            .iter()
            .map(|edit| {
                let force = if edit.forces_replacement { " !" } else { "" };
                format!("{}: {} -> {}{force}", edit.path, show(&edit.before), show(&edit.after))
            })
            .collect()
    }

    #[test]
    fn two_ways_of_saying_the_same_are_no_difference() {
        let one = json!({"Name": "a", "Methods": ["PUT", "GET"], "Tags": [{"Key": "b", "Value": ""}, {"Key": "a", "Value": "1"}],
            "Seconds": 5, "Order": [], "Inner": {"Access": "Enabled", "Endpoint": "https://x"}});
        let other = json!({"Name": "a", "Methods": ["GET", "PUT", "GET"], "Tags": [{"Key": "a", "Value": "1"}, {"Key": "b", "Value": ""}],
            "Inner": {"Access": "Enabled"}});
        assert_eq!(edits(one, other), Vec::<String>::new());
    }

    #[test]
    fn each_kind_of_edit_is_told_where_it_stands() {
        let before = json!({"Name": "a", "Methods": ["GET"], "Order": ["x", "y"], "Tags": [{"Key": "gone", "Value": "1"}, {"Key": "k", "Value": "1"}],
            "Seconds": 7, "Inner": {"Access": "Disabled"}});
        let after = json!({"Name": "b", "Methods": ["GET", "PUT"], "Order": ["x", "z"], "Tags": [{"Key": "k", "Value": "2"}, {"Key": "new", "Value": ""}],
            "Inner": {"Subdomain": "s"}});
        assert_eq!(
            edits(before, after),
            [
                "Inner.Access: \"Disabled\" -> \"Enabled\"",
                "Inner.Subdomain: - -> \"s\"",
                "Methods: [\"GET\"] -> [\"GET\",\"PUT\"]",
                "Name: \"a\" -> \"b\" !",
                "Order[1]: \"y\" -> \"z\"",
                "Seconds: 7 -> 5",
                "Tags.gone: {\"Key\":\"gone\",\"Value\":\"1\"} -> -",
                "Tags.k.Value: \"1\" -> \"2\"",
                "Tags.new: - -> {\"Key\":\"new\",\"Value\":\"\"}",
            ]
        );
    }

    #[test]
    fn set_once_may_be_added_and_not_changed() {
        let with = |name: &str| json!({"Inner": {"Access": "Enabled", "Subdomain": name}});
        assert_eq!(edits(with("a"), with("b")), ["Inner.Subdomain: \"a\" -> \"b\" !"]);
        assert_eq!(
            edits(with("a"), json!({"Inner": {"Access": "Enabled"}})),
            ["Inner.Subdomain: \"a\" -> - !"]
        );
    }
}
