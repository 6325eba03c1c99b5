//! Ids of pools and providers: 4 to 32 characters of `[a-z0-9-]`, and none begins with `gcp-`. A deleted one holds
//! its id for 30 days.

use sha2::{Digest, Sha256};

use crate::model::{Diagnostic, TrustEdge, Value};

/// The id that the edge's option gives, or the default.
pub(super) fn chosen(
    edge: &TrustEdge,
    option: &str,
    default: impl FnOnce() -> String,
    wrong: &mut Vec<Diagnostic>,
) -> String {
    let Some(value) = edge.options.get(option) else { return default() };
    let id = match value {
        Value::Text(id) if is_legal(id) => return id.clone(),
        Value::Text(id) => format!("`{id}`"),
        Value::Unknown(_) => "a reference".to_owned(),
        _ => "this".to_owned(),
    };
    let summary = format!("trust `{}`: {id} cannot be the id of a {option}", edge.name);
    let hint = "4 to 32 lower-case letters, digits and `-`, known before anything is made, and not beginning with `gcp-`";
    wrong.push(Diagnostic::error(summary).at(edge.location.clone()).hint(hint));
    String::new()
}

fn is_legal(id: &str) -> bool {
    let legal = id.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    legal && (4..=32).contains(&id.len()) && !id.starts_with("gcp-")
}

/// `<stack>-<edge>`; too long a one is cut, and a digest of the whole keeps it apart from its like.
pub(super) fn pool(stack: &str, edge: &str) -> String {
    let whole = format!("{stack}-{edge}");
    let whole = if whole.starts_with("gcp-") { format!("mcm-{whole}") } else { whole };
    match whole.len() {
        0..4 => format!("{whole}-pool"),
        4..=32 => whole,
        _ => {
            let digest = hex::encode(Sha256::digest(&whole));
            // Names are ASCII, so any byte is a character's end.
            format!("{}-{}", whole[..23].trim_end_matches('-'), &digest[..8])
        }
    }
}

/// `aws-<account>`
pub(super) fn provider(account: &str) -> String {
    format!("aws-{account}")
}
