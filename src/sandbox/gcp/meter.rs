//! A bound on what an expression may cost: every value that it makes is weighed, and the whole is not to weigh more than
//! any sensible expression does. Without it 500 letters of nested `all` run for years, and 50 of them that add a text to
//! itself fill the memory. Google documents no such bound of its own beyond an expression's length.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use cel::common::ast::{CallExpr, EntryExpr, Expr, operators};
use cel::common::value::CowVal;
use cel::objects::Key;
use cel::{Context, ExecutionError, FunctionContext, IdedExpr, Value};

/// All values that an expression makes on its way weigh no more: one for each, and one for each letter or element.
const MOST: usize = 100_000;
/// A text has no more letters: as many as an expression. What one of them is put into, for each letter of another, is
/// made before it is weighed.
const LONGEST: usize = 4096;
/// What costs as much as its operands are large.
const COMPARISONS: [&str; 7] = [
    operators::EQUALS,
    operators::NOT_EQUALS,
    operators::LESS,
    operators::LESS_EQUALS,
    operators::GREATER,
    operators::GREATER_EQUALS,
    operators::IN,
];
/// What weighs a value. No expression can name it: `@` begins no word of the language.
const WEIGH: &str = "@weigh";

type Function = Box<
    dyn for<'a, 'b> Fn(&mut FunctionContext<'a, 'b>) -> Result<CowVal<'a, 'b>, ExecutionError> + Send + Sync,
>;

/// Lets a context weigh what is made in it.
pub(super) fn install(context: &mut Context<'_, '_>) -> Result<(), String> {
    let spent = Arc::new(AtomicUsize::new(0));
    let weigh: Function = Box::new(move |call| {
        let value = call.args.pop().ok_or_else(|| call.error("nothing to weigh"))?;
        // What is no plain value is of no size of its own.
        let weight = Value::try_from(&*value).map_or(1, |value| weight(&value));
        if spent.fetch_add(weight, Ordering::Relaxed).saturating_add(weight) > MOST {
            return Err(ExecutionError::function_error("expression", "it takes too much to evaluate"));
        }
        Ok(value)
    });
    context.add_function::<Function, _>(WEIGH, weigh).map_err(|error| error.to_string())
}

/// The expression, with whatever grows in it being weighed: what is looped over, sums, the results of functions, and
/// what is put into a list or a map.
pub(super) fn metered(mut expression: IdedExpr) -> IdedExpr {
    walk(&mut expression);
    expression
}

fn walk(expression: &mut IdedExpr) {
    let grows = match &mut expression.expr {
        Expr::Call(call) => {
            call.target.iter_mut().for_each(|target| walk(target));
            call.args.iter_mut().for_each(walk);
            if COMPARISONS.contains(&call.func_name.as_str()) {
                // What is compared is looked at letter by letter, each time.
                call.args.iter_mut().for_each(weighed);
            }
            let first = call.args.first().map(|first| &first.expr);
            // The sums of a loop itself grow by what is weighed already.
            let gathers = matches!(first, Some(Expr::Ident(name)) if name.starts_with('@'));
            call.func_name.starts_with(|first: char| first.is_ascii_alphabetic())
                || (call.func_name == operators::ADD && !gathers)
        }
        Expr::Comprehension(comprehension) => {
            walk(&mut comprehension.iter_range);
            weighed(&mut comprehension.iter_range);
            walk(&mut comprehension.accu_init);
            walk(&mut comprehension.loop_cond);
            walk(&mut comprehension.loop_step);
            walk(&mut comprehension.result);
            false
        }
        Expr::List(list) => {
            list.elements.iter_mut().for_each(|element| {
                walk(element);
                weighed(element);
            });
            false
        }
        Expr::Map(map) => {
            entries(map.entries.iter_mut().map(|entry| &mut entry.expr));
            false
        }
        Expr::Struct(made) => {
            entries(made.entries.iter_mut().map(|entry| &mut entry.expr));
            false
        }
        Expr::Select(select) => {
            walk(&mut select.operand);
            false
        }
        Expr::Ident(_) | Expr::Literal(_) | Expr::Unspecified => false,
    };
    if grows {
        weighed(expression);
    }
}

fn entries<'e>(entries: impl Iterator<Item = &'e mut EntryExpr>) {
    for entry in entries {
        let value = match entry {
            EntryExpr::MapEntry(entry) => {
                walk(&mut entry.key);
                &mut entry.value
            }
            EntryExpr::StructField(field) => &mut field.value,
        };
        walk(value);
        weighed(value);
    }
}

fn weighed(expression: &mut IdedExpr) {
    if matches!(expression.expr, Expr::Literal(_)) {
        return;
    }
    let IdedExpr { id, .. } = *expression;
    let inner = std::mem::take(expression);
    let call = CallExpr { func_name: WEIGH.to_owned(), target: None, args: vec![inner] };
    *expression = IdedExpr { id, expr: Expr::Call(call) };
}

fn weight(value: &Value) -> usize {
    let key = |key: &Key| if let Key::String(text) = key { text.len() } else { 1 };
    match value {
        Value::List(items) => items.iter().fold(1, |sum, item| sum.saturating_add(weight(item))),
        Value::Map(map) => {
            map.map.iter().fold(1, |sum, (name, item)| sum.saturating_add(key(name) + weight(item)))
        }
        Value::String(text) if text.len() > LONGEST => MOST + 1,
        Value::String(text) => 1 + text.len(),
        Value::Bytes(bytes) => 1 + bytes.len(),
        _ => 1,
    }
}
