//! What YAML's words mean: its core schema of plain scalars, and the reader's error messages in other words.

use serde_json::Number;

use super::node::Kind;

/// A plain scalar by the core schema of YAML 1.2: `yes`, `on` and `12:30` are texts.
pub(super) fn plain(text: &str) -> Result<Kind, String> {
    Ok(match text {
        "" | "~" | "null" | "Null" | "NULL" => Kind::Null,
        "true" | "True" | "TRUE" => Kind::Bool(true),
        "false" | "False" | "FALSE" => Kind::Bool(false),
        _ if starts_like_a_number(text) => match number(text)? {
            Some(number) => Kind::Number(number),
            None => Kind::Text(text.to_owned()),
        },
        _ => Kind::Text(text.to_owned()),
    })
}

/// A scalar with one of YAML's own tags.
pub(super) fn tagged(tag: &str, text: &str) -> Result<Kind, String> {
    let unfit = || format!("`{text}` is no value of the tag `!!{tag}`");
    match tag {
        "str" => Ok(Kind::Text(text.to_owned())),
        "int" | "float" => number(text)?.map(Kind::Number).ok_or_else(unfit),
        "bool" | "null" => match plain(text)? {
            kind @ Kind::Bool(_) if tag == "bool" => Ok(kind),
            kind @ Kind::Null if tag == "null" => Ok(kind),
            _ => Err(unfit()),
        },
        _ => Err(format!("the tag `!!{tag}` means nothing here")),
    }
}

fn starts_like_a_number(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.'))
}

/// A number, if the text is one. One that JSON cannot hold exactly is wrong rather than rounded.
fn number(text: &str) -> Result<Option<Number>, String> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let all = |digits: &str, radix| !digits.is_empty() && digits.chars().all(|c| c.is_digit(radix));
    let too_large = || format!("the number {text} is too large");
    if all(digits, 10) {
        let number = text.strip_prefix('+').unwrap_or(text);
        let whole =
            number.parse::<i64>().map(Number::from).or_else(|_| number.parse::<u64>().map(Number::from));
        return whole.map(Some).map_err(|_| too_large());
    }
    for (prefix, radix) in [("0x", 16), ("0o", 8)] {
        if let Some(digits) = text.strip_prefix(prefix)
            && all(digits, radix)
        {
            return u64::from_str_radix(digits, radix).map(|n| Some(n.into())).map_err(|_| too_large());
        }
    }
    if matches!(digits, ".inf" | ".Inf" | ".INF" | ".nan" | ".NaN" | ".NAN") {
        return Err(format!("{text} is no number that a cloud takes"));
    }
    if !is_float(digits) {
        return Ok(None);
    }
    let float = text.parse::<f64>().ok().and_then(Number::from_f64);
    float.map(Some).ok_or_else(too_large)
}

/// `1.5`, `.5`, `1.`, `1e3`: digits with a point or an exponent.
fn is_float(text: &str) -> bool {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent.strip_prefix(['+', '-']).unwrap_or(exponent))),
        None => (text, None),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = |part: &str| part.chars().all(|c| c.is_ascii_digit());
    digits(whole)
        && digits(fraction)
        && !(whole.is_empty() && fraction.is_empty())
        && exponent.is_none_or(|exponent| !exponent.is_empty() && digits(exponent))
}

/// The YAML reader's message in words that tell the way out.
pub(super) fn explain(info: &str) -> (String, &'static str) {
    let says = |words: &[&str]| words.iter().any(|word| info.contains(word));
    let (summary, hint) = if says(&["tab"]) {
        ("a tab stands where only spaces may", "YAML indents with spaces: replace the tab")
    } else if says(&["mapping values are not allowed", "illegal placement of ':'"]) {
        (
            "a `:` stands where no key can be",
            "put a text that holds `: ` in quotes, or mend the indentation of this line and the one above",
        )
    } else if says(&["quoted scalar, found unexpected", "indentation in quoted scalar"]) {
        ("a quoted text is not closed", "add the closing quote; if it goes on for several lines, indent them")
    } else if says(&["trailing content after double-quoted", "trailing content after"]) {
        (
            "something follows a quoted text",
            "put the whole text in quotes, and write a quote inside of it as `\\\"`",
        )
    } else if says(&["expected ',' or ']'", "expected ',' or '}'", "flow construct", "misplaced bracket"]) {
        (
            "a `[ … ]` or `{ … }` is not closed, or a comma is missing in it",
            "count the brackets; inside of them a text with `${…}` belongs in quotes",
        )
    } else if says(&["unknown anchor"]) {
        (
            "this alias repeats an anchor that is not there",
            "define it above with `&name`; a text with `*` in front belongs in quotes",
        )
    } else if says(&["unknown escape", "hexadecimal number", "escape code"]) {
        (
            "a backslash in double quotes begins an escape that YAML does not know",
            "use single quotes, or write the backslash as `\\\\`",
        )
    } else if says(&["unexpected character"]) {
        ("a text cannot begin with this character", "put the text in quotes")
    } else if says(&["recursion limit"]) {
        ("brackets nest too deep", "flatten this part of the file")
    } else if says(&["simple key expect", "did not find expected key", "did not find expected '-'"]) {
        (
            "`key: value` is expected here",
            "mend the indentation, or add the `:` that is missing here or above",
        )
    } else if says(&["indentation", "not allowed in this context", "wrongly indented"]) {
        ("the indentation does not fit the lines above", "align it with its neighbours, with spaces")
    } else {
        return (format!("not valid YAML: {info}"), "mend this line, or put its text in quotes");
    };
    (summary.to_owned(), hint)
}
