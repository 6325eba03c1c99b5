//! Tags, and our mark among them.

use serde::{Deserialize, Serialize};

use crate::model::{Owner, Property, Shape, TextRule};

/// One tag, as CloudFormation spells it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Tag {
    pub(super) key: String,
    pub(super) value: String,
}

/// Tags as both services take them: up to 50, one of which is our mark.
pub(super) const SHAPE: Shape = Shape::Keyed { by: "Key", of: TAG };

static TAG: &[Property] = &[
    Property::new("Key", Shape::Text(KEY), "The tag's key; `aws:` and `mcm:` are reserved.").required(),
    Property::new("Value", Shape::Text(VALUE), "The tag's value.").required(),
];

const KEY: TextRule =
    TextRule::matching(r"^[\p{L}\p{Z}\p{N}_.:/=+\-@]+$", "letters, digits, spaces and `_ . : / = + - @`")
        .sized(1, 128);
const VALUE: TextRule =
    TextRule::matching(r"^[\p{L}\p{Z}\p{N}_.:/=+\-@]*$", "letters, digits, spaces and `_ . : / = + - @`")
        .sized(0, 256);

/// The most tags a user can set: AWS takes 50, and one is ours.
const MOST: usize = 49;

/// What is wrong with a stack's tags.
pub(super) fn check(tags: Option<&crate::model::Value>) -> Vec<String> {
    let Some(tags) = tags.and_then(crate::model::Value::as_list) else { return Vec::new() };
    let mut wrong = Vec::new();
    if tags.len() > MOST {
        wrong
            .push(format!("`Tags` has {} entries; AWS takes 50, of which one is mcm's own mark", tags.len()));
    }
    for key in tags.iter().filter_map(|tag| tag.at(&["Key"]).and_then(|key| key.as_text())) {
        let lower = key.to_lowercase();
        if lower.starts_with("aws:") {
            wrong.push(format!("the tag key `{key}` begins with `aws:`, which AWS reserves for itself"));
        }
        if key == Owner::TAG {
            wrong.push(format!("the tag `{key}` is mcm's own mark"));
        }
    }
    wrong
}

/// What a cloud's tags say: the user's, sorted by key; our mark; and those that AWS itself put there.
#[derive(Debug, Default)]
pub(super) struct Sorted {
    pub(super) own: Vec<Tag>,
    pub(super) mark: Option<Owner>,
    pub(super) system: Vec<Tag>,
}

/// Takes a cloud's tags apart.
pub(super) fn sort(tags: impl IntoIterator<Item = Tag>) -> Sorted {
    let mut sorted = Sorted::default();
    for tag in tags {
        if tag.key == Owner::TAG {
            sorted.mark = Owner::parse(&tag.value);
        } else if tag.key.starts_with("aws:") {
            sorted.system.push(tag);
        } else {
            sorted.own.push(tag);
        }
    }
    sorted.own.sort();
    sorted
}

/// Our mark as a tag.
pub(super) fn mark(owner: &Owner) -> Tag {
    Tag { key: Owner::TAG.to_owned(), value: owner.to_text() }
}

/// Tags as a condition on objects.
pub(super) const FILTERS: Shape = Shape::Keyed { by: "Key", of: TAG };
