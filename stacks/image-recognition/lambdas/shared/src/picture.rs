//! What an uploaded picture is called, and which pictures are taken at all.

use std::fmt;

use uuid::Uuid;

/// The content types that the vision service reads. Anything else is refused before it is uploaded.
pub const CONTENT_TYPES: &[&str] = &["image/jpeg", "image/png", "image/gif", "image/bmp"];

/// The vision service takes less than four megabytes (v3.2).
pub const MAX_BYTES: u64 = 4 * 1024 * 1024 - 1;

/// It is larger than 50 by 50 pixels, and neither side is longer than this (v3.2).
pub const SIDE_PIXELS: std::ops::RangeInclusive<usize> = 51..=16_000;

/// A picture's name: a fresh random UUID. Who knows it may read the analysis; nobody can guess it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PictureId(Uuid);

impl PictureId {
    /// A new one.
    pub fn fresh() -> Self {
        Self(Uuid::new_v4())
    }

    /// Only the canonical form, in lower case with hyphens: one picture has one name.
    pub fn parse(text: &str) -> Option<Self> {
        let id = Uuid::try_parse(text).ok().map(Self)?;
        (id.to_string() == text).then_some(id)
    }

    /// The picture behind an object's key, `uploads/<id>`.
    pub fn of_key(key: &str, prefix: &str) -> Option<Self> {
        key.strip_prefix(prefix).and_then(Self::parse)
    }
}

impl fmt::Display for PictureId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_picture_has_one_name() {
        let fresh = PictureId::fresh();
        assert_eq!(PictureId::parse(&fresh.to_string()), Some(fresh));
        let text = "6f9619ff-8b86-4d01-b42d-00cf4fc964ff".to_owned();
        let id = PictureId::parse(&text).unwrap();
        assert_eq!(PictureId::of_key(&format!("uploads/{id}"), "uploads/"), Some(id));
        let others = [
            text.to_uppercase(),
            text.replace('-', ""),
            format!("{{{text}}}"),
            format!("urn:uuid:{text}"),
            format!("{text} "),
            String::new(),
            "../secret".to_owned(),
        ];
        for other in others {
            assert!(PictureId::parse(&other).is_none(), "{other}");
        }
        for key in [format!("other/{id}"), format!("uploads/x/{id}"), format!("uploads/{id}/x")] {
            assert!(PictureId::of_key(&key, "uploads/").is_none(), "{key}");
        }
    }
}
