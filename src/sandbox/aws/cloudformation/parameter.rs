//! Parameters: how they are declared, and which values they take.

use regex::Regex;
use serde_json::Value as Json;

use super::template::format_error;

/// What stands for the value of a parameter that must not be echoed.
pub(super) const HIDDEN: &str = "****";

/// A declared parameter.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Parameter {
    pub(super) name: String,
    pub(super) kind: Kind,
    pub(super) default: Option<String>,
    pub(super) no_echo: bool,
    pub(super) description: Option<String>,
    pub(super) constraint: Option<String>,
    pub(super) allowed_values: Vec<String>,
    pub(super) pattern: Option<String>,
    length: (Option<usize>, Option<usize>),
    value: (Option<f64>, Option<f64>),
}

/// A parameter's type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Number,
    TextList,
    NumberList,
}

impl Kind {
    /// As templates name it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Text => "String",
            Self::Number => "Number",
            Self::TextList => "CommaDelimitedList",
            Self::NumberList => "List<Number>",
        }
    }

    fn is_list(self) -> bool {
        matches!(self, Self::TextList | Self::NumberList)
    }
}

impl Parameter {
    pub(super) fn read(name: &str, json: &Json) -> Result<Self, String> {
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Err(format_error(&format!("Parameter name {name} is non alphanumeric.")));
        }
        let Json::Object(map) = json else {
            return Err(format_error("Every Parameters object must be a JSON object."));
        };
        let known = [
            "Type",
            "Default",
            "NoEcho",
            "Description",
            "ConstraintDescription",
            "AllowedValues",
            "AllowedPattern",
            "MinLength",
            "MaxLength",
            "MinValue",
            "MaxValue",
        ];
        if let Some(unknown) = map.keys().find(|key| !known.contains(&key.as_str())) {
            return Err(format!("Invalid template parameter property '{unknown}'"));
        }
        let kind = match map.get("Type").and_then(Json::as_str) {
            Some("String") => Kind::Text,
            Some("Number") => Kind::Number,
            Some("CommaDelimitedList") => Kind::TextList,
            Some("List<Number>") => Kind::NumberList,
            Some(other) if other.starts_with("AWS::") || other.starts_with("List<AWS::") => {
                return Err(format!(
                    "Parameter {name} is of type {other}, which the sandbox does not play: it knows String, Number, \
                     List<Number> and CommaDelimitedList"
                ));
            }
            Some(other) => return Err(format_error(&format!("Unrecognized parameter type: {other}"))),
            None => return Err(format_error("Every Parameters object must contain a Type member.")),
        };
        let text = |key: &str| map.get(key).and_then(scalar);
        let number = |key: &str| text(key).and_then(|text| text.parse::<f64>().ok());
        let length = |key: &str| text(key).and_then(|text| text.parse::<usize>().ok());
        let parameter = Self {
            name: name.to_owned(),
            kind,
            default: text("Default"),
            no_echo: text("NoEcho").is_some_and(|text| text.eq_ignore_ascii_case("true")),
            description: text("Description"),
            constraint: text("ConstraintDescription"),
            allowed_values: map
                .get("AllowedValues")
                .and_then(Json::as_array)
                .map(|values| values.iter().filter_map(scalar).collect())
                .unwrap_or_default(),
            pattern: text("AllowedPattern"),
            length: (length("MinLength"), length("MaxLength")),
            value: (number("MinValue"), number("MaxValue")),
        };
        if let Some(pattern) = &parameter.pattern
            && Regex::new(pattern).is_err()
        {
            return Err(format_error(&format!("Invalid AllowedPattern {pattern} for parameter {name}")));
        }
        if let Some(default) = &parameter.default {
            parameter.check(default)?;
        }
        Ok(parameter)
    }

    /// Says what is wrong with a value.
    pub(super) fn check(&self, value: &str) -> Result<(), String> {
        let parts = if self.kind.is_list() { value.split(',').map(str::trim).collect() } else { vec![value] };
        for part in parts {
            if let Some(rule) = self.broken(part) {
                return Err(match &self.constraint {
                    Some(told) => format!("Parameter {} failed to satisfy constraint: {told}", self.name),
                    None => format!("Parameter '{}' {rule}", self.name),
                });
            }
        }
        Ok(())
    }

    /// The rule that a value breaks.
    fn broken(&self, value: &str) -> Option<String> {
        if matches!(self.kind, Kind::Number | Kind::NumberList) {
            let Ok(number) = value.parse::<f64>() else { return Some("must be a number.".to_owned()) };
            if self.value.0.is_some_and(|least| number < least) {
                return Some(format!("must be a number not less than {}", self.value.0?));
            }
            if self.value.1.is_some_and(|most| number > most) {
                return Some(format!("must be a number not greater than {}", self.value.1?));
            }
        } else {
            let count = value.chars().count();
            if self.length.0.is_some_and(|least| count < least) {
                return Some(format!("must contain at least {} characters", self.length.0?));
            }
            if self.length.1.is_some_and(|most| count > most) {
                return Some(format!("must contain at most {} characters", self.length.1?));
            }
        }
        if !self.allowed_values.is_empty() && !self.allowed_values.iter().any(|allowed| allowed == value) {
            return Some("must be one of AllowedValues".to_owned());
        }
        if let Some(pattern) = &self.pattern {
            let whole = Regex::new(&format!("^(?:{pattern})$"));
            if !whole.is_ok_and(|regex| regex.is_match(value)) {
                return Some(format!("must match pattern {pattern}"));
            }
        }
        None
    }

    /// What `Ref` of it gives.
    pub(super) fn resolve(&self, value: &str) -> Json {
        if !self.kind.is_list() {
            return Json::String(value.to_owned());
        }
        let items = if value.is_empty() { Vec::new() } else { value.split(',').map(str::trim).collect() };
        Json::Array(items.into_iter().map(|item| Json::String(item.to_owned())).collect())
    }
}

/// A text, a number or a truth value, as text.
pub(super) fn scalar(json: &Json) -> Option<String> {
    match json {
        Json::String(text) => Some(text.clone()),
        Json::Number(number) => Some(number.to_string()),
        Json::Bool(value) => Some(value.to_string()),
        Json::Null | Json::Array(_) | Json::Object(_) => None,
    }
}
