//! Variables and parameters: what is declared, what is given, and whether the two fit.

use std::path::Path as FilePath;
use std::sync::Arc;

use regex::Regex;

use crate::model::{Diagnostic, Location, Path, Secret, Value};

use super::grammar;
use super::node::{Kind, Node};
use super::report::{Report, wrong};
use super::scalar;
use super::scope::{Values, poison};
use super::shape::{Checker, Patterns, whole};
use super::text::Place;
use super::{Given, Source};

/// A declared variable of a stack, or parameter of a part.
pub(super) struct Declaration {
    pub(super) name: String,
    place: Place,
    ty: Type,
    default: Option<Node>,
    pattern: Option<(String, Regex)>,
    sensitive: bool,
}

/// The type of a value.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Type {
    String,
    Number,
    Boolean,
    List,
    Map,
}

impl Type {
    fn word(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::Number => "number",
            Self::Boolean => "boolean",
            Self::List => "list",
            Self::Map => "map",
        }
    }

    fn noun(self) -> &'static str {
        match self {
            Self::String => "a text",
            Self::Number => "a number",
            Self::Boolean => "`true` or `false`",
            Self::List => "a list",
            Self::Map => "a map",
        }
    }
}

/// Reads the `variables` of a stack, or the `parameters` of a part.
pub(super) fn declarations(
    section: Option<&Node>,
    noun: &'static str,
    patterns: &Patterns,
    report: &mut Report,
) -> Vec<Declaration> {
    let Some(section) = section.filter(|node| !node.is_null()) else { return Vec::new() };
    if !matches!(section.kind, Kind::Map(_)) {
        let summary = format!("`{noun}s` is to be a map, but this is {}", section.describe());
        report.error(&section.place, summary, "write `name: { type: string }` below it");
        return Vec::new();
    }
    let mut declared = Vec::new();
    for entry in section.entries() {
        let mut checker = Checker::of_keys(report, patterns);
        if let Some(why) = checker.breaks(&entry.key, &grammar::VARIABLE_NAME) {
            checker.report.error(&entry.key_place, format!("`{}` cannot name a {noun}", entry.key), why);
        }
        let before = checker.report.errors();
        let what = format!("the {noun} `{}`", entry.key);
        if !matches!(entry.value.kind, Kind::Map(_) | Kind::Null) {
            let summary = format!("{what} is declared by a map, but this is {}", entry.value.describe());
            let hint = format!("write `{}: {{ type: string, default: … }}`", entry.key);
            checker.report.error(&entry.value.place, summary, hint);
            continue;
        }
        checker.object(&entry.value, &grammar::DECLARATION, &Path::default(), &what, &entry.key_place);
        let sound = report.errors() == before;
        declared.push(declaration(&entry.key, &entry.key_place, &entry.value, sound, report));
    }
    declared
}

fn declaration(name: &str, place: &Place, node: &Node, sound: bool, report: &mut Report) -> Declaration {
    let ty = match node.get("type").and_then(Node::text) {
        Some("number") => Type::Number,
        Some("boolean") => Type::Boolean,
        Some("list") => Type::List,
        Some("map") => Type::Map,
        Some(_) | None => Type::String,
    };
    let sensitive = node.get("sensitive").is_some_and(|flag| matches!(flag.kind, Kind::Bool(true)));
    let mut declared = Declaration {
        name: name.to_owned(),
        place: place.clone(),
        ty,
        default: None,
        pattern: None,
        sensitive,
    };
    if !sound {
        // Whatever is given to it fits: what is wrong with it was told.
        declared.default = Some(poison(place));
        return declared;
    }
    if let Some(pattern) = node.get("pattern") {
        declared.pattern = declared.compile(pattern, report);
    }
    if sensitive && ty != Type::String {
        let summary = format!("`{name}` is sensitive and so must be of type `string`");
        report.error(place, summary, "change its type, or remove `sensitive`");
    }
    if let Some(default) = node.get("default").filter(|node| !node.is_null()) {
        if sensitive {
            let warning =
                Diagnostic::warning(format!("the default of the sensitive `{name}` stands in clear"));
            report.push(
                warning
                    .at(default.place.location())
                    .hint(format!("remove it, and give the value by exporting `MCM_VAR_{name}`")),
            );
        }
        let what = format!("the default of `{name}`");
        declared.default = Some(declared.fit(default, &what, report).unwrap_or_else(|| poison(place)));
    }
    declared
}

impl Declaration {
    fn compile(&self, pattern: &Node, report: &mut Report) -> Option<(String, Regex)> {
        let text = pattern.text()?;
        if self.ty != Type::String {
            let summary = format!("`{}` has a pattern, but is no text", self.name);
            report.error(&pattern.place, summary, "remove the pattern, or let the type be `string`");
            return None;
        }
        match whole(text) {
            Ok(regex) => Some((text.to_owned(), regex)),
            Err(why) => {
                // Its last line says what is wrong; those before draw the pattern once more.
                let why = why.to_string();
                let why = why.lines().last().unwrap_or_default().trim_start_matches("error: ");
                let summary = format!("the pattern of `{}` is no regular expression", self.name);
                let hint = "brackets and backslashes count; write the pattern in quotes";
                report.push(wrong(&pattern.place, summary).detail(why).hint(hint));
                None
            }
        }
    }

    /// Whether a value fits; sensitive text goes into custody. `what` says where the value comes from.
    pub(super) fn fit(&self, node: &Node, what: &str, report: &mut Report) -> Option<Node> {
        let fits = match &node.kind {
            Kind::Unknown(template) => template.parts().len() < 2 || self.ty == Type::String,
            Kind::Text(_) | Kind::Secret(_) => self.ty == Type::String,
            Kind::Number(_) => self.ty == Type::Number,
            Kind::Bool(_) => self.ty == Type::Boolean,
            Kind::List(_) => self.ty == Type::List,
            Kind::Map(_) => self.ty == Type::Map,
            Kind::Null => false,
        };
        if !fits {
            let found = if self.sensitive { "something else".to_owned() } else { node.describe() };
            let hint = match (&node.kind, self.ty) {
                (Kind::Number(_) | Kind::Bool(_), Type::String) => {
                    format!("write it in quotes: `\"{}\"`", node.value().to_text())
                }
                _ => format!("its declaration says `type: {}`", self.ty.word()),
            };
            report.error(
                &node.place,
                format!("{what} is to be {}, but this is {found}", self.ty.noun()),
                hint,
            );
            return None;
        }
        let text = match &node.kind {
            Kind::Text(text) => text.as_str(),
            Kind::Secret(text) => text.expose(),
            _ => return Some(node.clone()),
        };
        if let Some((pattern, regex)) = &self.pattern
            && !regex.is_match(text)
        {
            let shown = if self.sensitive { String::new() } else { format!(": {text:?}") };
            let hint = format!("the whole text must match `{pattern}`");
            report.error(&node.place, format!("{what} does not match its pattern{shown}"), hint);
            return None;
        }
        if self.sensitive {
            return Some(Node::new(Kind::Secret(Secret::new(text)), node.place.clone()));
        }
        Some(node.clone())
    }

    /// The value of a parameter: its argument, or its default.
    pub(super) fn argument(&self, given: Option<&Node>, place: &Place, report: &mut Report) -> Option<Node> {
        match (given, &self.default) {
            (Some(node), _) => self.fit(node, &format!("the parameter `{}`", self.name), report),
            (None, Some(default)) => Some(default.clone()),
            (None, None) => {
                let summary = format!("the parameter `{}` is not given and has no default", self.name);
                report.error(place, summary, format!("give it under `with:`: `{}: …`", self.name));
                None
            }
        }
    }
}

/// The values of a stack's variables: from `--var`, else `--var-file`, else `MCM_VAR_…`, else the default. Of
/// two flags, or two files, the later one counts.
pub(super) fn values(declared: &[Declaration], source: &Source, report: &mut Report) -> Values {
    let before = report.errors();
    let given = given(declared, source, report);
    // A file that cannot be read may hold what else seems to be missing.
    let complete = report.errors() == before;
    let mut values = Values::new();
    for variable in declared {
        let from_environment = || {
            let key = format!("MCM_VAR_{}", variable.name);
            let (_, text) = source.environment.iter().find(|(name, _)| *name == key)?;
            Some((format!("`{key}`"), Raw::Text(text.clone())))
        };
        let raw = given.iter().find(|(name, ..)| *name == variable.name);
        let raw = raw.map(|(_, what, raw)| (what.clone(), raw.clone())).or_else(from_environment);
        let value = match (raw, &variable.default) {
            (Some((what, raw)), _) => variable.take(&what, raw, report),
            (None, Some(default)) => Some(default.clone()),
            (None, None) if !complete => None,
            (None, None) => {
                let name = &variable.name;
                let summary = format!("the variable `{name}` has no value");
                let hint = format!(
                    "give it by `--var {name}=…`, in a file by `--var-file FILE`, or by exporting `MCM_VAR_{name}`"
                );
                report.error(&variable.place, summary, hint);
                None
            }
        };
        values.insert(variable.name.clone(), value);
    }
    values
}

/// A value from outside: text that its type gives a meaning, or a value of a file.
#[derive(Clone)]
enum Raw {
    Text(String),
    Value(Value),
}

/// What the command line gives, by name: the strongest first, each with what to call it.
fn given(declared: &[Declaration], source: &Source, report: &mut Report) -> Vec<(String, String, Raw)> {
    let known = |name: &str| declared.iter().any(|variable| variable.name == name);
    let names = || declared.iter().map(|variable| variable.name.as_str());
    let (mut flags, mut files) = (Vec::new(), Vec::new());
    for given in &source.variables {
        match given {
            Given::Flag(flag) => match flag.split_once('=') {
                Some((name, value)) if known(name) => {
                    flags.push((name.to_owned(), format!("`--var {name}`"), Raw::Text(value.to_owned())));
                }
                Some((name, _)) => {
                    let hint = report.suggest(name, names());
                    let summary = format!("`--var {name}`: the stack declares no variable of this name");
                    report.push(Diagnostic::error(summary).hint(hint));
                }
                None => {
                    let summary = format!("`--var {flag}` gives no value");
                    report.push(Diagnostic::error(summary).hint("write `--var name=value`"));
                }
            },
            Given::File(path) => {
                for (name, value) in file(path, report) {
                    if known(&name) {
                        files.push((
                            name.clone(),
                            format!("`{name}` in {}", path.display()),
                            Raw::Value(value),
                        ));
                    } else {
                        let hint = report.suggest(&name, names());
                        let place = path.display();
                        let summary = format!("{place}: the stack declares no variable `{name}`");
                        report.push(Diagnostic::error(summary).hint(hint));
                    }
                }
            }
        }
    }
    for (key, _) in &source.environment {
        let Some(name) = key.strip_prefix("MCM_VAR_").filter(|name| !known(name)) else { continue };
        let known: Vec<&str> = names().collect();
        if let Some(near) = super::report::nearest(name, &known) {
            let warning = format!("`{key}` is set, but the stack declares no variable `{name}`");
            report.push(Diagnostic::warning(warning).hint(format!("did you mean `MCM_VAR_{near}`?")));
        }
    }
    flags.into_iter().rev().chain(files.into_iter().rev()).collect()
}

impl Declaration {
    /// Takes a value from outside.
    fn take(&self, what: &str, raw: Raw, report: &mut Report) -> Option<Node> {
        let value = match raw {
            Raw::Value(value) => value,
            Raw::Text(text) => self.parse(what, text, report)?,
        };
        self.fit(&Node::from_value(&value, &self.place), what, report)
    }

    /// Reads text as the declared type.
    fn parse(&self, what: &str, text: String, report: &mut Report) -> Option<Value> {
        let value = match self.ty {
            Type::String => Some(Value::Text(text)),
            Type::Number | Type::Boolean => match scalar::plain(&text) {
                Ok(Kind::Number(number)) if self.ty == Type::Number => Some(Value::Number(number)),
                Ok(Kind::Bool(flag)) if self.ty == Type::Boolean => Some(Value::Bool(flag)),
                _ => None,
            },
            Type::List | Type::Map => serde_yaml::from_str(&text).ok().and_then(|yaml| plain(yaml).ok()),
        };
        if value.is_none() {
            let example = match self.ty {
                Type::List => "write a list as YAML does, such as `[a, b]`",
                Type::Map => "write a map as YAML does, such as `{a: b}`",
                Type::Number => "write a number, such as `3`",
                Type::String | Type::Boolean => "write `true` or `false`",
            };
            let summary = format!("{what} is to be {}", self.ty.noun());
            report.error(&self.place, summary, example);
        }
        value
    }
}

/// The variables of a file.
fn file(path: &FilePath, report: &mut Report) -> Vec<(String, Value)> {
    let text = match super::read_text(path) {
        Ok(text) => text,
        Err(why) => {
            report.push(why);
            return Vec::new();
        }
    };
    let yaml: serde_yaml::Value = match serde_yaml::from_str(&text) {
        Ok(yaml) => yaml,
        Err(error) => {
            report.push(unreadable(path, &text, &error));
            return Vec::new();
        }
    };
    let hint = "a file of variables holds one `name: value` a line";
    match plain(yaml) {
        Ok(Value::Map(map)) => map.into_iter().collect(),
        Ok(Value::Null) => Vec::new(),
        Ok(_) => {
            report.push(Diagnostic::error(format!("{} holds no map", path.display())).hint(hint));
            Vec::new()
        }
        Err(why) => {
            report.push(Diagnostic::error(format!("{}: {why}", path.display())).hint(hint));
            Vec::new()
        }
    }
}

/// The reader's message, at its place in the file.
fn unreadable(path: &FilePath, text: &str, error: &serde_yaml::Error) -> Diagnostic {
    let location = error.location().map(|at| Location {
        file: Arc::new(path.to_owned()),
        line: at.line(),
        column: at.column(),
        length: 1,
        text: text.lines().nth(at.line().saturating_sub(1)).unwrap_or_default().chars().take(200).collect(),
    });
    Diagnostic::error(format!("{} is not valid YAML", path.display()))
        .at(location)
        .detail(error.to_string())
        .hint("a file of variables holds one `name: value` a line")
}

/// A plain document's value. Recursion is bounded by the reader's own limit on depth.
fn plain(yaml: serde_yaml::Value) -> Result<Value, String> {
    Ok(match yaml {
        serde_yaml::Value::Null => Value::Null,
        serde_yaml::Value::Bool(flag) => Value::Bool(flag),
        serde_yaml::Value::Number(number) => {
            let json = serde_json::to_value(&number).unwrap_or_default();
            let serde_json::Value::Number(number) = json else {
                return Err(format!("{number} is no number that a cloud takes"));
            };
            Value::Number(number)
        }
        serde_yaml::Value::String(text) => Value::Text(text),
        serde_yaml::Value::Sequence(items) => {
            Value::List(items.into_iter().map(plain).collect::<Result<_, _>>()?)
        }
        serde_yaml::Value::Mapping(map) => {
            let entry = |(key, value)| match key {
                serde_yaml::Value::String(key) => Ok((key, plain(value)?)),
                other => Err(format!("a key is to be a text, but this is {other:?}")),
            };
            Value::Map(map.into_iter().map(entry).collect::<Result<_, String>>()?)
        }
        serde_yaml::Value::Tagged(tagged) => {
            return Err(format!("the tag `{}` means nothing here", tagged.tag));
        }
    })
}
