//! Names: of documents and collections, and the keys they are kept under.

use percent_encoding::percent_decode_str;

use super::super::refusal::Refusal;

/// A database that a request has entered.
pub(super) struct Place {
    /// `projects/P/databases/D`
    pub(super) name: String,
    /// What every key of its documents begins with.
    pub(super) prefix: String,
}

impl Place {
    /// `projects/P/databases/D/documents/a/b`
    pub(super) fn full(&self, path: &str) -> String {
        format!("{}/documents/{path}", self.name)
    }

    /// Where a document is kept.
    pub(super) fn key(&self, path: &str) -> String {
        format!("{}{path}", self.prefix)
    }

    /// The path of a document that a body names in full.
    pub(super) fn path_of(&self, full: &str) -> Result<String, Refusal> {
        let malformed = || {
            Refusal::invalid(format!(
                "Document name \"{full}\" lacks \"{}/documents/\" at its beginning.",
                self.name
            ))
        };
        let path = full.strip_prefix(&format!("{}/documents/", self.name)).ok_or_else(malformed)?;
        let segments: Vec<String> = path.split('/').map(str::to_owned).collect();
        document(&segments)
    }
}

/// A percent-decoded part of a URL's path.
pub(super) fn decode(part: &str) -> Result<String, Refusal> {
    let text = percent_decode_str(part).decode_utf8();
    Ok(text.map_err(|_| Refusal::invalid("The path is not UTF-8."))?.into_owned())
}

/// The segments of what stands behind `documents`; none where a verb stands there.
pub(super) fn segments(rest: &str) -> Result<Vec<String>, Refusal> {
    rest.strip_prefix('/').map_or(Ok(Vec::new()), |rest| rest.split('/').map(decode).collect())
}

/// The path of a document out of its segments.
pub(super) fn document(segments: &[String]) -> Result<String, Refusal> {
    let path = checked(segments)?;
    if segments.len().is_multiple_of(2) {
        return Ok(path);
    }
    let count = segments.len();
    Err(Refusal::invalid(format!("Document name \"{path}\" has an odd number of segments: {count}.")))
}

/// The path of a collection, or of a document, out of its segments.
pub(super) fn checked(segments: &[String]) -> Result<String, Refusal> {
    for segment in segments {
        id(segment)?;
    }
    let path = segments.join("/");
    if path.len() > 6 * 1024 {
        return Err(Refusal::invalid("The name is longer than 6144 bytes."));
    }
    Ok(path)
}

fn id(text: &str) -> Result<(), Refusal> {
    let reserved = text.len() >= 4 && text.starts_with("__") && text.ends_with("__");
    if text.is_empty() || text == "." || text == ".." || text.contains('/') || text.len() > 1500 {
        return Err(Refusal::invalid(format!("Resource id \"{text}\" is invalid.")));
    }
    if reserved {
        return Err(Refusal::invalid(format!("Resource id \"{text}\" is invalid because it is reserved.")));
    }
    Ok(())
}
