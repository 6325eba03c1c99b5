//! What can be wrong with functions beyond the keys and types of their entries.

use std::collections::BTreeMap;

use super::archive::BOOTSTRAP;
use super::expand::BUCKET;
use crate::model::{Diagnostic, Function, Map, Part, Reference, Stack, Value};

const ROLE: &str = "AWS::IAM::Role";
/// Lambda's bound on a function's name.
const NAME: usize = 64;
/// How long CloudWatch can keep a log, in days.
const RETENTIONS: [i64; 22] =
    [1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653];
/// Lambda's bound on the names and values of a function's environment together, in bytes.
/// <https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>
const ENVIRONMENT: usize = 4096;
/// Environment variables that Lambda sets itself.
/// <https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html>
const RESERVED: [&str; 18] = [
    "_HANDLER",
    "_X_AMZN_TRACE_ID",
    "AWS_DEFAULT_REGION",
    "AWS_REGION",
    "AWS_EXECUTION_ENV",
    "AWS_LAMBDA_FUNCTION_NAME",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
    "AWS_LAMBDA_FUNCTION_VERSION",
    "AWS_LAMBDA_INITIALIZATION_TYPE",
    "AWS_LAMBDA_LOG_GROUP_NAME",
    "AWS_LAMBDA_LOG_STREAM_NAME",
    "AWS_ACCESS_KEY",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_LAMBDA_RUNTIME_API",
    "LAMBDA_TASK_ROOT",
    "LAMBDA_RUNTIME_DIR",
];

/// Everything that is wrong.
pub(super) fn check(functions: &[Function], stack: &Stack) -> Vec<Diagnostic> {
    let mut wrong = Vec::new();
    if stack.clouds.aws.is_none() {
        let location = functions.first().and_then(|function| function.location.clone());
        return vec![
            Diagnostic::error("functions need `clouds.aws`, which the stack does not have")
                .at(location)
                .hint("add below `clouds:`: `aws: { account: \"123456789012\", region: us-east-1 }`"),
        ];
    }
    let mut names: BTreeMap<String, &str> = BTreeMap::new();
    let mut routes: BTreeMap<String, String> = BTreeMap::new();
    let mut parameters: BTreeMap<String, String> = BTreeMap::new();
    for function in functions {
        let mut one = One { function, stack, wrong: &mut wrong };
        if let Some(other) = names.insert(pascal(&function.name), &function.name) {
            one.tell(
                format!("the names `{}` and `{other}` are too much alike", function.name),
                "CloudFormation's names have letters and digits alone: give one of them another name",
            );
        }
        one.named();
        one.role();
        one.environment(&mut parameters);
        one.files();
        one.events(&mut routes);
    }
    wrong
}

/// The bytes of a text as far as it is known.
fn known_size(value: &Value) -> usize {
    match value {
        Value::Secret(secret) => secret.expose().len(),
        value => value.as_text().map_or(0, str::len),
    }
}

/// One function being checked.
struct One<'a> {
    function: &'a Function,
    stack: &'a Stack,
    wrong: &'a mut Vec<Diagnostic>,
}

impl One<'_> {
    fn tell(&mut self, summary: String, hint: impl Into<String>) {
        let diagnostic = Diagnostic::error(summary).at(self.function.location.clone());
        self.wrong.push(diagnostic.hint(hint));
    }

    fn named(&mut self) {
        let name = name(self.stack, self.function);
        if name.len() > NAME {
            let summary = format!("the function's name `{name}` has {} characters", name.len());
            self.tell(summary, format!("Lambda takes {NAME}: shorten the stack's name or the function's"));
        }
        if let Some(Value::Number(days)) = self.function.options.get("logRetention")
            && !days.as_i64().is_some_and(|days| RETENTIONS.contains(&days))
        {
            let days = days.to_string();
            let known: Vec<String> = RETENTIONS.iter().map(ToString::to_string).collect();
            let hint = format!("CloudWatch knows {}", known.join(", "));
            self.tell(format!("`logRetention` cannot be {days} days"), hint);
        }
    }

    /// Whether an option names a resource of a type. One that is wrong itself, which was told, is not there.
    fn names(&mut self, key: &str, named: Option<&Value>, ty: &str) {
        let Some(reference) = resource_of(named) else { return };
        match self.stack.get(&reference.address) {
            Some(resource) if resource.ty.as_str() == ty => {}
            Some(resource) => {
                let summary =
                    format!("`{key}` of the function `{}` is of type {}", self.function.name, resource.ty);
                self.tell(summary, format!("name a resource of type {ty}"));
            }
            None if reference.address.as_str().starts_with("resources.") && !self.is_part(reference) => {}
            None => {
                let summary =
                    format!("`{key}` of the function `{}` is no single resource", self.function.name);
                self.tell(summary, format!("name a resource of type {ty}"));
            }
        }
    }

    /// Whether a reference leads to an included part, which has resources below it.
    fn is_part(&self, reference: &Reference) -> bool {
        let below = format!("{}.", reference.address);
        self.stack.resources.iter().any(|resource| resource.address.as_str().starts_with(&below))
    }

    fn role(&mut self) {
        self.names("role", self.function.options.get("role"), ROLE);
    }

    /// `parameters` are those of the functions before, and whose: all functions are one template.
    fn environment(&mut self, parameters: &mut BTreeMap<String, String>) {
        let section = |name: &str| self.function.options.get(name).and_then(Value::as_map);
        let (plain, secret) = (section("environment"), section("secrets"));
        let entries = plain.into_iter().chain(secret).flatten();
        let size: usize = entries.map(|(name, value)| name.len() + known_size(value)).sum();
        if size > ENVIRONMENT {
            self.tell(
                format!("the environment of the function `{}` has {size} bytes", self.function.name),
                format!("Lambda takes {ENVIRONMENT}, names and values: put what is long into `files`"),
            );
        }
        let names = |map: Option<&Map>| map.into_iter().flat_map(Map::keys).cloned().collect::<Vec<_>>();
        let (plain, secret) = (names(plain), names(secret));
        for (key, name) in
            plain.iter().map(|name| ("environment", name)).chain(secret.iter().map(|name| ("secrets", name)))
        {
            let word = name.starts_with(|c: char| c.is_ascii_alphabetic())
                && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
            if RESERVED.contains(&name.as_str()) {
                let summary = format!("`{key}` of the function `{}` sets {name}", self.function.name);
                self.tell(summary, "Lambda sets it itself: choose another name");
            } else if !word || name.len() < 2 {
                let summary = format!("`{key}` of the function `{}` sets {name:?}", self.function.name);
                self.tell(
                    summary,
                    "a variable's name has two or more letters, digits and `_`, and begins with a letter",
                );
            }
        }
        for name in &secret {
            if plain.contains(name) {
                let summary = format!(
                    "`secrets` and `environment` of the function `{}` both set {name}",
                    self.function.name
                );
                self.tell(summary, "remove one of them");
            } else if let Some(other) =
                parameters.insert(parameter(self.function, name), self.function.name.clone())
            {
                let function = &self.function.name;
                let summary = if other == *function {
                    format!(
                        "`secrets` of the function `{function}` has names that are too much alike: {name}"
                    )
                } else {
                    format!(
                        "the secret {name} of the function `{function}` is too much like one of `{other}`"
                    )
                };
                self.tell(
                    summary,
                    "CloudFormation's parameters have letters and digits alone: rename one of them",
                );
            }
        }
    }

    fn files(&mut self) {
        let files = self.function.options.get("files").and_then(Value::as_map);
        for (name, value) in files.into_iter().flatten() {
            let plain = name.starts_with(|c: char| c.is_ascii_alphanumeric())
                && name.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
                && name.len() <= 100;
            if !plain || name == BOOTSTRAP {
                let summary = format!("`files` of the function `{}` names {name:?}", self.function.name);
                let hint = "a plain name of letters, digits, `.`, `_` and `-`, other than `bootstrap`";
                self.tell(summary, hint);
            }
            if matches!(value, Value::Bool(_) | Value::Number(_) | Value::List(_)) {
                let summary = format!(
                    "`files` of the function `{}`: {name} is neither a text nor a map",
                    self.function.name
                );
                self.tell(summary, "write the file's text, or a map that becomes JSON");
            }
        }
    }

    fn events(&mut self, routes: &mut BTreeMap<String, String>) {
        let function = self.function;
        for event in events(function) {
            if event.len() != 1 {
                let summary =
                    format!("one of the `events` of the function `{}` is not one thing", function.name);
                self.tell(summary, "each entry is either `- s3: { … }` or `- http: { … }`");
            }
            if let Some(s3) = event.get("s3").and_then(Value::as_map) {
                self.names("bucket", s3.get("bucket"), BUCKET);
            }
            let route = event.get("http").and_then(|http| http.at(&["route"])).and_then(Value::as_text);
            let Some(route) = route else { continue };
            if let Some(other) = routes.insert(route.to_owned(), function.name.clone()) {
                let summary =
                    format!("`events` of the function `{}`: the route {route} is `{other}`'s", function.name);
                self.tell(summary, "a route calls one function: change or remove one of the two");
            }
        }
    }
}

/// A function's name in Lambda.
pub(super) fn name(stack: &Stack, function: &Function) -> String {
    format!("{}-{}", stack.name, function.name)
}

/// `analyze-image` -> `AnalyzeImage`.
pub(super) fn pascal(name: &str) -> String {
    let word = |word: &str| {
        let mut letters = word.chars();
        let first = letters.next().map(|letter| letter.to_ascii_uppercase());
        first.into_iter().chain(letters).collect::<String>()
    };
    name.split('-').map(word).collect()
}

/// The template's parameter of a function's secret.
pub(super) fn parameter(function: &Function, secret: &str) -> String {
    format!("{}Secret{}", pascal(&function.name), pascal(&secret.to_lowercase().replace('_', "-")))
}

/// The events of a function, in order.
pub(super) fn events(function: &Function) -> impl Iterator<Item = &Map> {
    let events = function.options.get("events").and_then(Value::as_list).unwrap_or_default();
    events.iter().filter_map(Value::as_map)
}

/// The resource that an option names.
pub(super) fn resource_of(named: Option<&Value>) -> Option<&Reference> {
    match named {
        Some(Value::Unknown(template)) => match template.parts() {
            [Part::Reference(reference)] if reference.attribute.is_empty() => Some(reference),
            _ => None,
        },
        _ => None,
    }
}
