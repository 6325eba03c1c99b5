//! What a function is told by its environment. It is read once, at the start: a function that is set up wrongly
//! does not start, and its log names every mistake at once.

use std::fmt::Display;
use std::str::FromStr;

use thiserror::Error;

use crate::endpoint::Endpoint;
use crate::secret::Secret;

/// All that is wrong with the environment.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("the environment of this function is not complete: {}", .0.join("; "))]
pub struct SettingsError(pub Vec<String>);

/// Reads variables and gathers what is wrong with them. Where they come from is an argument.
pub struct Settings<'a> {
    variable: &'a dyn Fn(&str) -> Option<String>,
    wrong: Vec<String>,
}

impl<'a> Settings<'a> {
    /// Reads from `variable`.
    pub fn new(variable: &'a dyn Fn(&str) -> Option<String>) -> Self {
        Self { variable, wrong: Vec::new() }
    }

    /// A variable, if it is there. An empty one counts as absent: templates cannot leave a variable out.
    pub fn optional(&self, name: &str) -> Option<String> {
        (self.variable)(name).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
    }

    /// A variable that must be there.
    pub fn required(&mut self, name: &str) -> String {
        self.optional(name).unwrap_or_else(|| {
            self.wrong(format!("{name} is not set"));
            String::new()
        })
    }

    /// A key or a token, if it is there.
    pub fn secret(&self, name: &str) -> Option<Secret> {
        self.optional(name).map(Secret::new)
    }

    /// An address, if it is there.
    pub fn endpoint(&mut self, name: &str) -> Option<Endpoint> {
        let text = self.optional(name)?;
        Endpoint::parse(&text).map_err(|why| self.wrong(format!("{name}: {why}"))).ok()
    }

    /// A variable of some type, within bounds that `check` knows, or its default.
    pub fn parsed<T: FromStr>(&mut self, name: &str, default: T, check: impl Fn(&T) -> bool) -> T
    where
        T::Err: Display,
    {
        let Some(text) = self.optional(name) else { return default };
        match text.parse::<T>() {
            Ok(value) if check(&value) => return value,
            Ok(_) => self.wrong(format!("{name} is out of bounds: `{text}`")),
            Err(why) => self.wrong(format!("{name}: {why}")),
        }
        default
    }

    /// One more thing that is wrong.
    pub fn wrong(&mut self, what: String) {
        self.wrong.push(what);
    }

    /// The settings, unless anything was wrong.
    pub fn finish<T>(self, settings: T) -> Result<T, SettingsError> {
        if self.wrong.is_empty() { Ok(settings) } else { Err(SettingsError(self.wrong)) }
    }
}

/// The environment of this process.
pub fn process(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mistake_is_told_at_once() {
        let variable = |name: &str| match name {
            "URL" => Some("http://a.example".to_owned()),
            "DAYS" => Some("-3".to_owned()),
            "EMPTY" => Some("  ".to_owned()),
            _ => None,
        };
        let mut settings = Settings::new(&variable);
        settings.required("BUCKET");
        settings.required("EMPTY");
        settings.endpoint("URL");
        settings.parsed("DAYS", 30_u32, |_| true);
        assert_eq!(settings.parsed("ABSENT", 30_u32, |_| false), 30);
        let SettingsError(wrong) = settings.finish(()).unwrap_err();
        assert_eq!(wrong.len(), 4, "{wrong:?}");
    }
}
