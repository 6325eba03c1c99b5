//! What an alias's description tells: who releases through it, and by what the latest releases are known.
//!
//! `OWNER VERSION:SEAL VERSION:SEAL …`, the latest release first. A seal is a digest of all that the function is made of,
//! salted and stretched where secrets are among it; it stands here and nowhere else. Former releases are told as far as
//! there is room, so that an alias that is led back to one bears its seal again; one that is not told any more is released
//! once more by the next run.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value as Json;
use sha2::{Digest as _, Sha256};

use super::super::stack::secrets;
use crate::model::{CloudError, Owner, Value};

/// Lambda takes no longer description, in characters.
const ROOM: usize = 256;
/// In place of a mark, where no one releases any more.
const NO_ONE: &str = "-";
/// The part of a configuration that nobody may guess from its seal.
pub(super) const SECRETS: &str = "Secrets";

/// What is told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Told {
    /// Whose mark the alias bears.
    pub(super) owner: Option<Owner>,
    /// Versions and their seals, the latest release first.
    releases: Vec<(String, String)>,
}

impl Told {
    /// Reads a description; what is not ours in it says nothing.
    pub(super) fn parse(description: Option<&str>) -> Self {
        let mut words = description.unwrap_or_default().split(' ');
        let mark = words.next().unwrap_or_default();
        let owner = Owner::parse(mark);
        if owner.is_none() && mark != NO_ONE {
            return Self::default();
        }
        let release =
            |word: &str| word.split_once(':').map(|(version, seal)| (version.to_owned(), seal.to_owned()));
        Self { owner, releases: words.filter_map(release).collect() }
    }

    /// The same, with this mark or none.
    pub(super) fn by(self, owner: Option<Owner>) -> Self {
        Self { owner, ..self }
    }

    /// The seal of a version, if it is told.
    pub(super) fn seal(&self, version: &str) -> Option<&str> {
        self.releases.iter().find(|(told, _)| told == version).map(|(_, seal)| seal.as_str())
    }

    /// With this version as the latest release; without a seal of its own, it keeps the one that it has.
    pub(super) fn led(mut self, version: &str, seal: Option<String>) -> Self {
        let seal = seal.or_else(|| self.seal(version).map(str::to_owned));
        self.releases.retain(|(told, _)| told != version);
        self.releases.splice(0..0, seal.map(|seal| (version.to_owned(), seal)));
        self
    }

    /// The description, as far as there is room.
    pub(super) fn to_text(&self) -> String {
        let mut text = self.owner.as_ref().map_or_else(|| NO_ONE.to_owned(), Owner::to_text);
        for (version, seal) in &self.releases {
            if text.len() + version.len() + seal.len() + 2 > ROOM {
                break;
            }
            // Writing into a `String` does not fail.
            let _ = write!(text, " {version}:{seal}");
        }
        text
    }
}

/// Whether a seal is that of this configuration.
pub(super) fn fits(seal: &str, configuration: &Value) -> bool {
    let text = exposed(configuration).to_string();
    let has_secrets = configuration.at(&[SECRETS]).is_some();
    if has_secrets { secrets::fits(seal, &words(&text)) } else { seal == plain(&text) }
}

/// A new seal of a configuration.
pub(super) fn seal(configuration: &BTreeMap<String, Json>) -> Result<String, CloudError> {
    let text = serde_json::to_string(configuration).unwrap_or_default();
    if configuration.contains_key(SECRETS) { secrets::seal(&words(&text)) } else { Ok(plain(&text)) }
}

fn words(configuration: &str) -> BTreeMap<&str, &str> {
    BTreeMap::from([("Configuration", configuration)])
}

/// Where there is nothing to hide: `0.DIGEST`.
fn plain(configuration: &str) -> String {
    format!("0.{}", URL_SAFE_NO_PAD.encode(&Sha256::digest(configuration)[..16]))
}

/// A value with its secrets in clear: for a seal, and nothing else.
fn exposed(value: &Value) -> Json {
    match value {
        Value::Secret(secret) => Json::from(secret.expose()),
        Value::Map(map) => map.iter().map(|(key, value)| (key.clone(), exposed(value))).collect(),
        Value::List(items) => items.iter().map(exposed).collect(),
        other => other.to_json(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::Secret;

    #[test]
    fn a_description_tells_the_latest_releases_as_far_as_there_is_room() {
        // The longest mark: a function's name and its stack's have 63 characters together.
        let mark =
            format!("{}/functions.{}.release/0123456789abcdef01234567", "s".repeat(32), "f".repeat(31));
        let secret = BTreeMap::from([(SECRETS.to_owned(), json!({ "TOKEN": "hunter2" }))]);
        let mut told = Told::default().by(Owner::parse(&mark));
        for version in 98..=101 {
            told = told.led(&version.to_string(), Some(seal(&secret).unwrap()));
        }
        let text = told.to_text();
        assert!(text.len() <= ROOM && text.starts_with(&format!("{mark} 101:2.")), "{text}");
        let read = Told::parse(Some(&text));
        // The former release is always among them: it is what undoing leads back to.
        for version in ["101", "100"] {
            assert_eq!(read.seal(version), told.seal(version));
        }
        assert_eq!((read.seal("98"), &read.owner), (None, &told.owner));
    }

    #[test]
    fn leading_back_brings_the_former_seal() {
        let read = |text: &str| Told::parse(Some(text));
        let told = read("a/functions.b.release/0123456789abcdef01234567 3:x 2:y");
        assert_eq!(
            told.clone().led("2", None).to_text(),
            "a/functions.b.release/0123456789abcdef01234567 2:y 3:x"
        );
        assert_eq!(told.clone().led("3", Some("z".to_owned())).seal("3"), Some("z"));
        // Of a version that no one told of nothing is known.
        assert_eq!(told.clone().led("1", None), told);
        let gone = told.by(None).to_text();
        assert_eq!((gone.as_str(), read(&gone).owner, read(&gone).seal("2")), ("- 3:x 2:y", None, Some("y")));
        for others in [None, Some(""), Some("blue"), Some("see https://example.com/a/b")] {
            assert_eq!(Told::parse(others), Told::default());
        }
    }

    #[test]
    fn only_the_same_configuration_fits() {
        let value = |token: &str| {
            let secrets = Value::Map([("TOKEN".to_owned(), Value::Secret(Secret::new(token)))].into());
            Value::Map([("Function".to_owned(), "f".into()), (SECRETS.to_owned(), secrets)].into())
        };
        let given = BTreeMap::from([
            ("Function".to_owned(), json!("f")),
            (SECRETS.to_owned(), json!({ "TOKEN": "hunter2" })),
        ]);
        let sealed = seal(&given).unwrap();
        assert!(fits(&sealed, &value("hunter2")) && !fits(&sealed, &value("hunter3")));
        assert_ne!(sealed, seal(&given).unwrap());
        let open = BTreeMap::from([("Function".to_owned(), json!("f"))]);
        let known = |text: &str| Value::Map([("Function".to_owned(), text.into())].into());
        let sealed = seal(&open).unwrap();
        assert!(
            fits(&sealed, &known("f")) && !fits(&sealed, &known("g")) && !fits(&sealed, &value("hunter2"))
        );
    }
}
