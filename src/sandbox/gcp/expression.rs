//! Expressions of the Common Expression Language, evaluated by a library: attribute mappings and conditions of
//! workload identity, conditions of IAM policies.
//!
//! Google adds `extract` to the language. An expression comes from a client, so it is parsed and evaluated on a stack
//! of its own, large enough for the longest expression nested to its end, and a panic in there is an error; and what it
//! may cost is bounded (see `meter`).

use std::sync::Arc;

use cel::extractors::This;
use cel::objects::{Key, Map};
use cel::{Context, Env, Value};
use serde_json::Value as Json;

use super::meter;

/// Deep enough for what nests as deep as it may, and for an operator between any two of 4096 letters, each weighed. Only
/// what is used of it is ever memory.
const STACK: usize = 512 * 1024 * 1024;
/// Brackets and choices nest no deeper: the bound that Google's own parser has.
const DEEPEST: usize = 250;

/// Whether it is an expression at all.
pub(super) fn parse(expression: &str) -> Result<(), String> {
    within_depth(expression)?;
    apart(|| environment()?.compile(expression).map(|_| ()).map_err(|error| first_line(&error.to_string())))
}

/// Its value over these variables, as JSON: text, a truth value, or a list of texts. The member `time` of a
/// variable is a moment, given as RFC 3339 writes it.
pub(super) fn evaluate(expression: &str, variables: &[(&str, Json)]) -> Result<Json, String> {
    within_depth(expression)?;
    apart(|| {
        let environment = Arc::new(environment()?);
        let program = environment.compile(expression).map_err(|error| first_line(&error.to_string()))?;
        let mut context = Context::with_env(Arc::clone(&environment));
        context.add_function("extract", extract).map_err(|error| error.to_string())?;
        meter::install(&mut context)?;
        for (name, json) in variables {
            let value = cel::to_value(json).map_err(|error| error.to_string())?;
            context.add_variable_from_value(*name, moments(&environment, value)?);
        }
        let expression = meter::metered(program.expression().clone());
        plain(&context.resolve(&expression).map_err(|error| error.to_string())?)
    })
}

/// Refuses what nests too deep, by an upper bound: brackets that stand open, and every `?` so far.
fn within_depth(expression: &str) -> Result<(), String> {
    let (mut open, mut deepest, mut choices) = (0_usize, 0, 0);
    let mut quote = None;
    let mut letters = expression.chars();
    while let Some(letter) = letters.next() {
        match (quote, letter) {
            (Some(_), '\\') => {
                letters.next();
            }
            (Some(opened), letter) if letter == opened => quote = None,
            (None, '"' | '\'') => quote = Some(letter),
            (None, '(' | '[' | '{') => open += 1,
            (None, ')' | ']' | '}') => open = open.saturating_sub(1),
            (None, '?') => choices += 1,
            (Some(_) | None, _) => {}
        }
        deepest = deepest.max(open + choices);
    }
    if deepest <= DEEPEST { Ok(()) } else { Err(format!("expression recursion limit exceeded: {DEEPEST}")) }
}

fn environment() -> Result<Env, String> {
    let mut environment = Env::stdlib();
    cel::extensions::strings(&mut environment).map_err(|error| error.to_string())?;
    Ok(environment)
}

fn apart<T: Send>(work: impl FnOnce() -> Result<T, String> + Send) -> Result<T, String> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(STACK).spawn_scoped(scope, work);
        let thread = thread.map_err(|error| format!("no thread to evaluate it: {error}"))?;
        thread.join().unwrap_or_else(|_| Err("it cannot be evaluated".to_owned()))
    })
}

/// `text.extract('before{name}after')`: what stands between the first `before` and the next `after`; empty if the
/// template does not fit.
#[expect(clippy::needless_pass_by_value, reason = "the library hands a function its arguments by value")]
fn extract(This(text): This<Arc<String>>, template: Arc<String>) -> String {
    let parts = template.split_once('{').and_then(|(before, rest)| Some((before, rest.split_once('}')?.1)));
    let Some((before, after)) = parts else { return String::new() };
    let Some((_, rest)) = text.split_once(before) else { return String::new() };
    if after.is_empty() {
        return rest.to_owned();
    }
    rest.split_once(after).map(|(found, _)| found.to_owned()).unwrap_or_default()
}

/// Turns the member `time` of a map from text into a moment.
fn moments(environment: &Arc<Env>, value: Value) -> Result<Value, String> {
    let key = Key::from("time".to_owned());
    let Value::Map(map) = &value else { return Ok(value) };
    let Some(Value::String(text)) = map.map.get(&key) else { return Ok(value) };
    let program = environment.compile("timestamp(text)").map_err(|error| error.to_string())?;
    let mut context = Context::with_env(Arc::clone(environment));
    context.add_variable_from_value("text", text.as_str());
    let moment = program.execute(&context).map_err(|error| error.to_string())?;
    let mut members = map.map.as_ref().clone();
    members.insert(key, moment);
    Ok(Value::Map(Map { map: Arc::new(members) }))
}

fn plain(value: &Value) -> Result<Json, String> {
    match value {
        Value::Bool(flag) => Ok(Json::Bool(*flag)),
        Value::String(text) => Ok(Json::String(text.to_string())),
        Value::List(items) => Ok(Json::Array(items.iter().map(plain).collect::<Result<_, _>>()?)),
        _ => Err("it is neither text, nor a truth value, nor a list of texts".to_owned()),
    }
}

/// The library draws the place below its message.
fn first_line(message: &str) -> String {
    message.lines().next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn value(expression: &str) -> Result<Json, String> {
        let assertion = json!({ "arn": "arn:aws:sts::123456789012:assumed-role/writer/session", "n": ["a"] });
        let request = json!({ "time": "2026-11-23T12:00:00Z" });
        evaluate(expression, &[("assertion", assertion), ("request", request)])
    }

    #[test]
    fn the_language_with_googles_addition() {
        assert_eq!(value("assertion.arn.extract('assumed-role/{role}/')"), Ok(json!("writer")));
        assert_eq!(
            value("assertion.arn.extract('{account}assumed-role/')"),
            Ok(json!("arn:aws:sts::123456789012:"))
        );
        assert_eq!(value("assertion.arn.extract('nowhere/{role}/')"), Ok(json!("")));
        assert_eq!(value("assertion.arn.extract('assumed-role')"), Ok(json!("")));
        assert_eq!(value("assertion.arn.split(':')[4]"), Ok(json!("123456789012")));
        assert_eq!(value("has(assertion.email)"), Ok(json!(false)));
        assert_eq!(value("assertion.n"), Ok(json!(["a"])));
        assert_eq!(value("request.time < timestamp('2030-01-01T00:00:00Z')"), Ok(json!(true)));
        assert_eq!(value("request.time < timestamp('2020-01-01T00:00:00Z')"), Ok(json!(false)));
        assert!(value("assertion.email").is_err());
        assert!(value("assertion").is_err());
    }

    #[test]
    fn no_expression_takes_the_process_down() {
        for hostile in ["(".repeat(4096), "[".repeat(2048) + &"]".repeat(2048), "1?".repeat(2000)] {
            assert!(evaluate(&hostile, &[]).is_err());
        }
        let numbers = "[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20]";
        // The innermost truth is the one that ends no round early.
        let slow = |open: &str, truth: &str| {
            (0..8).fold(truth.to_owned(), |inner, n| format!("{numbers}.{open}(x{n}, {inner})"))
        };
        let large = format!("size([\"x\"]{}) > 0", ".map(a, a+a)".repeat(300));
        let wide = (0..40).fold("['a']".to_owned(), |inner, n| format!("{inner}.map(z{n}, [z{n},z{n}])"));
        let long = "'b'".to_owned() + &".replace('b', 'bbbbbbbbbb')".repeat(10);
        let same = (0..100).fold("true".to_owned(), |inner, _| format!("{inner} && [b, b] == [b, b]"));
        let compared = format!("{numbers}.map(a, {numbers}).all(b, {numbers}.all(c, {same}))");
        let texts = format!("'{}'.replace('b', '{}')", "b".repeat(1900), "b".repeat(1900));
        for costly in [slow("all", "true"), slow("exists", "false"), large, wide, long, compared, texts] {
            let told = evaluate(&costly, &[]).unwrap_err();
            assert!(told.contains("takes too much"), "{told}");
        }
        let fair = format!("{numbers}.all(a, {numbers}.exists(b, a + b == 21))");
        assert_eq!(evaluate(&fair, &[]), Ok(json!(true)));
        let long = format!("1{} == 2048", "+1".repeat(2047));
        assert_eq!(evaluate(&long, &[]), Ok(json!(true)));
        let sum = format!("a{} == 2048", "+a".repeat(2047));
        assert_eq!(evaluate(&sum, &[("a", json!(1))]), Ok(json!(true)));
    }
}
