//! Policy documents: what AWS takes, how it keeps principals, and whom a bucket's policy lets in.

mod ask;
mod condition;
mod evaluate;
mod grammar;
mod principal;
mod services;
#[cfg(test)]
mod tests;

pub(super) use ask::{Ask, Asker, Facts, Service};
pub(super) use evaluate::{Reach, Verdict, evaluate, evaluate_own, is_like, is_public};
pub(super) use grammar::{Kind, check};
pub(super) use principal::{show_principals, store_principals};

use serde_json::Value as Json;

/// A value that may stand alone or in a list.
fn each(json: &Json) -> impl Iterator<Item = &Json> {
    match json {
        Json::Array(items) => items.iter(),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) | Json::Object(_) => {
            std::slice::from_ref(json).iter()
        }
    }
}

/// The statements; one may stand without a list.
fn statements(document: &Json) -> impl Iterator<Item = &Json> {
    document.get("Statement").into_iter().flat_map(each)
}

/// The number of characters that quotas count: all but white space.
pub(super) fn size(text: &str) -> usize {
    text.chars().filter(|character| !character.is_whitespace()).count()
}
