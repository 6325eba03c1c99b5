//! The value of an expression: references and functions replaced by what they stand for.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use base64::Engine as _;
use serde_json::{Map, Value as Json};

use super::parameter::scalar;
use super::references::{Part, attribute, parts};
use super::stack::{Held, Site};
use super::template::Template;

/// What stands for a value that nobody knows before the change has been made.
pub(super) const UNKNOWN: &str = "{{changeSet:KNOWN_AFTER_APPLY}}";
/// No expression is nested deeper.
const DEEPEST: usize = 64;

/// No resource's expressions take more steps: a template of a megabyte has fewer values, and a small one whose texts
/// each put the one before in twice would otherwise never come to its end.
const MOST_STEPS: usize = 100_000;
/// So many bytes put into a text are a step.
const STEP: usize = 256;

/// What a scope has done so far.
#[derive(Debug, Default)]
pub(super) struct Work {
    steps: Cell<usize>,
    /// Whether the conditions met so far hold: a condition that others refer to again and again is evaluated once.
    conditions: RefCell<BTreeMap<String, bool>>,
}

/// What an expression is evaluated with.
pub(super) struct Scope<'a> {
    pub(super) template: &'a Template,
    /// Every parameter of the template with its value.
    pub(super) parameters: &'a BTreeMap<String, String>,
    pub(super) site: &'a Site,
    /// The resources that there are.
    pub(super) held: &'a BTreeMap<String, Held>,
    /// What stacks of the account and region export.
    pub(super) exports: &'a BTreeMap<String, String>,
    /// Whether what is not known yet is told by [`UNKNOWN`]; otherwise it is refused.
    pub(super) ahead: bool,
    /// Resources that will be made anew: what they are now says nothing.
    pub(super) renewed: &'a [String],
    pub(super) work: Work,
}

/// `None` where the value is `AWS::NoValue`.
type Value = Result<Option<Json>, String>;

impl Scope<'_> {
    /// The value of an expression.
    pub(super) fn evaluate(&self, json: &Json) -> Value {
        let value = self.at(json, 0)?;
        value.iter().try_for_each(resolved)?;
        Ok(value)
    }

    /// The properties of a resource.
    pub(super) fn properties(&self, json: &Json) -> Result<Json, String> {
        Ok(self.evaluate(json)?.unwrap_or_else(|| Json::Object(Map::new())))
    }

    /// Whether a condition holds.
    pub(super) fn holds(&self, name: &str) -> Result<bool, String> {
        self.condition(name, 0)
    }

    /// Whether what bears this condition, if any, is to be there.
    pub(super) fn includes(&self, condition: Option<&String>) -> Result<bool, String> {
        condition.map_or(Ok(true), |name| self.holds(name))
    }

    fn spend(&self, steps: usize) -> Result<(), String> {
        let spent = self.work.steps.get().saturating_add(steps);
        self.work.steps.set(spent);
        if spent <= MOST_STEPS {
            Ok(())
        } else {
            Err("Template error: the expressions take too much work".to_owned())
        }
    }

    fn condition(&self, name: &str, depth: usize) -> Result<bool, String> {
        if let Some(known) = self.work.conditions.borrow().get(name) {
            return Ok(*known);
        }
        let condition = self
            .template
            .conditions
            .get(name)
            .ok_or_else(|| format!("Template error: unresolved condition dependency {name}"))?;
        let holds = self.truth(condition, depth + 1)?;
        self.work.conditions.borrow_mut().insert(name.to_owned(), holds);
        Ok(holds)
    }

    fn truth(&self, json: &Json, depth: usize) -> Result<bool, String> {
        let invalid = || "Template validation error: every condition must be a boolean function".to_owned();
        if depth > DEEPEST {
            return Err("Template error: circular dependency between conditions".to_owned());
        }
        self.spend(1)?;
        let (name, argument) = call(json).ok_or_else(invalid)?;
        let items = argument.as_array().map(Vec::as_slice).unwrap_or_default();
        let each = || items.iter().map(|item| self.truth(item, depth + 1)).collect::<Result<Vec<_>, _>>();
        match (name, items.len()) {
            ("Condition", _) => self.condition(argument.as_str().ok_or_else(invalid)?, depth),
            ("Fn::Equals", 2) => {
                let (one, other) = (self.at(&items[0], depth + 1)?, self.at(&items[1], depth + 1)?);
                let text = |value: &Option<Json>| value.as_ref().and_then(scalar);
                Ok(if text(&one).is_some() { text(&one) == text(&other) } else { one == other })
            }
            ("Fn::Not", 1) => Ok(!self.truth(&items[0], depth + 1)?),
            ("Fn::And", 2..=10) => Ok(each()?.into_iter().all(|truth| truth)),
            ("Fn::Or", 2..=10) => Ok(each()?.into_iter().any(|truth| truth)),
            ("Fn::Equals", _) => {
                Err(format_wrong("Fn::Equals", "requires a list argument with two elements"))
            }
            ("Fn::Not", _) => Err(format_wrong("Fn::Not", "requires a list argument with one element")),
            ("Fn::And" | "Fn::Or", _) => {
                Err(format_wrong(name, "requires a list argument with at least 2 and at most 10 elements"))
            }
            _ => Err(invalid()),
        }
    }

    fn at(&self, json: &Json, depth: usize) -> Value {
        if depth > DEEPEST {
            return Err("Template error: the expression is nested too deeply".to_owned());
        }
        self.spend(1)?;
        match json {
            Json::Object(map) => match call(json) {
                Some(("Ref", argument)) => self.reference(argument.as_str().unwrap_or_default()),
                Some((name, argument)) if name.starts_with("Fn::") => {
                    self.function(name, argument, depth + 1)
                }
                Some(_) | None => {
                    let mut evaluated = Map::new();
                    for (key, value) in map {
                        if let Some(value) = self.at(value, depth + 1)? {
                            evaluated.insert(key.clone(), value);
                        }
                    }
                    Ok(Some(Json::Object(evaluated)))
                }
            },
            Json::Array(items) => {
                let items =
                    items.iter().map(|item| self.at(item, depth + 1)).collect::<Result<Vec<_>, _>>()?;
                Ok(Some(Json::Array(items.into_iter().flatten().collect())))
            }
            Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => Ok(Some(json.clone())),
        }
    }

    fn reference(&self, name: &str) -> Value {
        let text = |text: &str| Ok(Some(Json::String(text.to_owned())));
        match name {
            "AWS::AccountId" => return text(&self.site.account),
            "AWS::Region" => return text(&self.site.region),
            "AWS::Partition" => return text("aws"),
            "AWS::URLSuffix" => return text("amazonaws.com"),
            "AWS::StackId" => return text(&self.site.stack_id),
            "AWS::StackName" => return text(&self.site.stack_name),
            "AWS::NotificationARNs" => return Ok(Some(Json::Array(Vec::new()))),
            "AWS::NoValue" => return Ok(None),
            _ => {}
        }
        if let Some(declared) = self.template.parameter(name) {
            return Ok(self.parameters.get(name).map(|value| declared.resolve(value)));
        }
        match self.present(name)? {
            Some(held) => text(&held.physical),
            None => text(UNKNOWN),
        }
    }

    /// The resource of that name; `None` if it is not known yet.
    fn present(&self, name: &str) -> Result<Option<&Held>, String> {
        if self.ahead && self.renewed.iter().any(|renewed| renewed == name) {
            return Ok(None);
        }
        match self.held.get(name) {
            Some(held) if !held.physical.is_empty() => Ok(Some(held)),
            Some(_) | None if self.ahead => Ok(None),
            Some(_) | None => Err(super::template::format_error(&format!(
                "Unresolved resource dependencies [{name}] in the Resources block of the template"
            ))),
        }
    }

    fn attribute(&self, name: &str, attribute: &str) -> Value {
        let Some(held) = self.present(name)? else { return Ok(Some(Json::String(UNKNOWN.to_owned()))) };
        held.attributes.get(attribute).cloned().map(Some).ok_or_else(|| {
            format!(
                "Template error: resource {name} does not support attribute type {attribute} in Fn::GetAtt"
            )
        })
    }

    fn function(&self, name: &str, argument: &Json, depth: usize) -> Value {
        match (name, argument) {
            ("Fn::GetAtt", _) => {
                let (resource, of) = attribute(argument)
                    .ok_or_else(|| format_wrong(name, "object requires two non-empty parameters"))?;
                self.attribute(&resource, &of)
            }
            ("Fn::If", Json::Array(parts)) if parts.len() == 3 => {
                let condition = parts[0].as_str().unwrap_or_default();
                self.at(if self.condition(condition, depth)? { &parts[1] } else { &parts[2] }, depth)
            }
            ("Fn::Sub", Json::String(text)) => self.substitute(text, &Map::new(), depth),
            ("Fn::Sub", Json::Array(parts)) => match parts.as_slice() {
                [Json::String(text), Json::Object(own)] => self.substitute(text, own, depth),
                _ => Err(format_wrong(name, "requires a string and a map of variables")),
            },
            ("Fn::Join", Json::Array(parts)) if parts.len() == 2 => {
                let separator = self.text(&parts[0], name, depth)?;
                let items = self.list(&parts[1], name, depth)?;
                let items = items.iter().map(scalar).collect::<Option<Vec<_>>>();
                let items = items.ok_or_else(|| format_wrong(name, "every element must be a string"))?;
                Ok(Some(Json::String(items.join(&separator))))
            }
            ("Fn::Split", Json::Array(parts)) if parts.len() == 2 => {
                let (separator, text) =
                    (self.text(&parts[0], name, depth)?, self.text(&parts[1], name, depth)?);
                if separator.is_empty() {
                    return Err(format_wrong(name, "delimiter must not be empty"));
                }
                let items = text.split(separator.as_str()).map(|item| Json::String(item.to_owned()));
                Ok(Some(Json::Array(items.collect())))
            }
            ("Fn::Select", Json::Array(parts)) if parts.len() == 2 => self.select(parts, depth),
            ("Fn::FindInMap", Json::Array(parts)) if parts.len() == 3 => self.find_in_map(parts, depth),
            ("Fn::ImportValue", value) => {
                let wanted = self.text(value, name, depth)?;
                let found = self.exports.get(&wanted).cloned();
                found.map(|value| Some(Json::String(value))).ok_or(format!("No export named {wanted} found."))
            }
            ("Fn::Base64", value) => {
                let text = self.text(value, name, depth)?;
                Ok(Some(Json::String(base64::engine::general_purpose::STANDARD.encode(text))))
            }
            ("Fn::GetAZs", value) => {
                let region = self.text(value, name, depth)?;
                let region = if region.is_empty() { &self.site.region } else { &region };
                let zones = ["a", "b", "c"].map(|zone| Json::String(format!("{region}{zone}")));
                Ok(Some(Json::Array(zones.to_vec())))
            }
            ("Fn::Equals" | "Fn::And" | "Fn::Or" | "Fn::Not", _) => {
                Err(format_wrong(name, "cannot be partially collapsed outside the Conditions block"))
            }
            _ => Err(format_wrong(name, "has arguments of the wrong number or type")),
        }
    }

    fn select(&self, parts: &[Json], depth: usize) -> Value {
        let index = self.text(&parts[0], "Fn::Select", depth)?;
        let items = self.list(&parts[1], "Fn::Select", depth)?;
        let index = index.parse::<usize>().ok();
        index
            .and_then(|index| items.get(index).cloned())
            .map(Some)
            .ok_or_else(|| "Template error: Fn::Select cannot select nonexistent value at index".to_owned())
    }

    fn find_in_map(&self, parts: &[Json], depth: usize) -> Value {
        let mut keys = Vec::new();
        for part in parts {
            keys.push(self.text(part, "Fn::FindInMap", depth)?);
        }
        let map = self.template.mappings.get(&keys[0]).ok_or_else(|| {
            format!(
                "Template error: Mapping named '{}' is not present in the 'Mappings' section of template.",
                keys[0]
            )
        })?;
        let found = map.get(&keys[1]).and_then(|inner| inner.get(&keys[2]));
        found.cloned().map(Some).ok_or_else(|| {
            format!("Template error: Unable to get mapping for {}::{}::{}", keys[0], keys[1], keys[2])
        })
    }

    fn substitute(&self, text: &str, own: &Map<String, Json>, depth: usize) -> Value {
        let mut result = String::new();
        for part in parts(text) {
            let value = match part {
                Part::Text(text) => {
                    result.push_str(text);
                    continue;
                }
                Part::Name(name) => match (own.get(name), name.split_once('.')) {
                    (Some(value), _) => self.at(value, depth)?,
                    (None, Some((resource, attribute))) => self.attribute(resource, attribute)?,
                    (None, None) => self.reference(name)?,
                },
            };
            let value = value.as_ref().and_then(scalar);
            let value =
                value.ok_or_else(|| format_wrong("Fn::Sub", "expression does not resolve to a string"))?;
            self.spend(1 + value.len() / STEP)?;
            result.push_str(&value);
        }
        Ok(Some(Json::String(result)))
    }

    fn text(&self, json: &Json, function: &str, depth: usize) -> Result<String, String> {
        let value = self.at(json, depth)?;
        value.as_ref().and_then(scalar).ok_or_else(|| format_wrong(function, "requires a string"))
    }

    fn list(&self, json: &Json, function: &str, depth: usize) -> Result<Vec<Json>, String> {
        match self.at(json, depth)? {
            Some(Json::Array(items)) => Ok(items),
            Some(Json::String(text)) if text == UNKNOWN => Ok(vec![Json::String(text)]),
            Some(_) | None => Err(format_wrong(function, "requires a list")),
        }
    }
}

/// Refuses what would be resolved in the cloud: as a text it would be another value than there.
fn resolved(json: &Json) -> Result<(), String> {
    match json {
        Json::String(text) if text.contains("{{resolve:") => Err(format!(
            "Dynamic references are not played by the sandbox: {text}. A parameter of the template can carry the value"
        )),
        Json::Array(items) => items.iter().try_for_each(resolved),
        Json::Object(map) => map.values().try_for_each(resolved),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => Ok(()),
    }
}

fn format_wrong(function: &str, what: &str) -> String {
    format!("Template error: every {function} {what}")
}

/// Name and argument of a function call: a map of one entry.
fn call(json: &Json) -> Option<(&str, &Json)> {
    let map = json.as_object().filter(|map| map.len() == 1)?;
    map.iter().next().map(|(name, argument)| (name.as_str(), argument))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Evaluates an expression within a template that has a parameter, a list, a map and two conditions.
    fn value(expression: &str) -> Value {
        let template = Template::read(&format!(
            "Parameters: {{ P: {{ Type: String }}, L: {{ Type: CommaDelimitedList }} }}\n\
             Mappings: {{ M: {{ a: {{ b: found }} }} }}\n\
             Conditions: {{ Yes: !Equals [!Ref P, x], No: !Not [!Condition Yes], Both: !And [!Condition Yes, !Condition No] }}\n\
             Resources: {{ R: {{ Type: AWS::Logs::LogGroup }}, S: {{ Type: AWS::Logs::LogGroup, Metadata: {expression} }} }}\n"
        ))?;
        let parameters =
            [("P", "x"), ("L", "1, 2,3")].map(|(name, value)| (name.to_owned(), value.to_owned()));
        let site =
            Site { account: "123456789012".to_owned(), region: "eu-west-1".to_owned(), ..Site::default() };
        let scope = Scope {
            template: &template,
            parameters: &parameters.into(),
            site: &site,
            held: &BTreeMap::new(),
            exports: &[("e".to_owned(), "exported".to_owned())].into(),
            ahead: true,
            renewed: &[],
            work: Work::default(),
        };
        scope.evaluate(template.resource("S").and_then(|resource| resource.metadata.as_ref()).unwrap())
    }

    #[test]
    fn functions_give_what_they_give() {
        let cases = [
            ("!Ref P", "\"x\""),
            ("!Ref L", r#"["1","2","3"]"#),
            ("!Ref R", "\"{{changeSet:KNOWN_AFTER_APPLY}}\""),
            ("!Join ['-', [a, !Ref P, 3]]", "\"a-x-3\""),
            ("!Select [1, !Ref L]", "\"2\""),
            ("!Split [\"|\", \"a|b|\"]", r#"["a","b",""]"#),
            ("!FindInMap [M, a, b]", "\"found\""),
            ("!If [Yes, 1, 2]", "1"),
            ("!If [Both, 1, !If [No, 2, 3]]", "3"),
            ("[!If [No, 1, !Ref AWS::NoValue], 4]", "[4]"),
            ("{ a: !Ref AWS::NoValue, b: true }", r#"{"b":true}"#),
            ("!Sub '${P}-${!P}-${AWS::AccountId}'", "\"x-${P}-123456789012\""),
            ("!Sub ['${P}${Q}', { Q: !Ref AWS::Region }]", "\"xeu-west-1\""),
            ("!ImportValue e", "\"exported\""),
            ("!Base64 ab", "\"YWI=\""),
        ];
        for (expression, expected) in cases {
            assert_eq!(value(expression).unwrap().unwrap().to_string(), expected, "{expression}");
        }
    }

    #[test]
    fn a_small_template_takes_no_endless_work() {
        // Each condition is ten times the one before, and each text twice the one inside.
        let condition = |n: u32| {
            let ten = vec![format!("!Condition C{}", n - 1); 10].join(",");
            format!(", C{n}: !And [{ten}]")
        };
        let conditions = (1..=15).map(condition).collect::<String>();
        let conditions = format!("Conditions: {{ C0: !Equals [a, a]{conditions}");
        let text =
            (0..20).fold("x".to_owned(), |inner, _| format!("!Sub ['${{a}}${{a}}', {{ a: {inner} }}]"));
        let evaluate = |metadata: &str| {
            let template = Template::read(&format!(
                "{conditions} }}\nResources: {{ S: {{ Type: AWS::Logs::LogGroup, Metadata: {metadata} }} }}\n"
            ))?;
            let scope = Scope {
                template: &template,
                parameters: &BTreeMap::new(),
                site: &Site::default(),
                held: &BTreeMap::new(),
                exports: &BTreeMap::new(),
                ahead: true,
                renewed: &[],
                work: Work::default(),
            };
            scope.evaluate(template.resource("S").and_then(|resource| resource.metadata.as_ref()).unwrap())
        };
        assert_eq!(evaluate("!If [C15, 1, 2]"), Ok(Some(Json::from(1))));
        assert_eq!(evaluate(&text), Err("Template error: the expressions take too much work".to_owned()));
    }

    #[test]
    fn what_has_no_value_is_refused() {
        let cases = [
            ("!Select [7, !Ref L]", "Template error: Fn::Select cannot select nonexistent value at index"),
            ("!FindInMap [M, a, c]", "Template error: Unable to get mapping for M::a::c"),
            ("!ImportValue none", "No export named none found."),
            ("!Join ['-', a]", "Template error: every Fn::Join requires a list"),
        ];
        for (expression, expected) in cases {
            assert_eq!(value(expression).unwrap_err(), expected, "{expression}");
        }
        for written in ["[a, 'x{{resolve:ssm:/x}}']", "!Sub ['${a}ssm:/x}}', { a: '{{resolve:' }]"] {
            assert!(value(written).unwrap_err().contains("{{resolve:ssm:/x}}"));
        }
    }
}
