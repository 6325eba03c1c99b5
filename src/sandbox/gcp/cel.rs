//! The Common Expression Language as far as a service checks it when an expression is written: it must scan, its
//! brackets must match, it must refer to nothing but what the service provides, and it must parse.

use super::expression;

/// Words of the language itself.
const WORDS: &[&str] = &["true", "false", "null", "in"];
/// Macros and functions that stand without a receiver.
const FUNCTIONS: &[&str] = &[
    "has",
    "size",
    "int",
    "uint",
    "double",
    "bool",
    "string",
    "bytes",
    "timestamp",
    "duration",
    "type",
    "matches",
    "startsWith",
    "endsWith",
    "dyn",
];

/// What a value can be asked: the language's own functions and macros, its extension for texts, and what IAM adds to them.
const METHODS: &[&str] = &[
    "all",
    "exists",
    "exists_one",
    "existsOne",
    "filter",
    "map",
    "contains",
    "endsWith",
    "extract",
    "matches",
    "size",
    "startsWith",
    "charAt",
    "format",
    "indexOf",
    "join",
    "lastIndexOf",
    "lowerAscii",
    "replace",
    "reverse",
    "split",
    "substring",
    "trim",
    "upperAscii",
    "getDate",
    "getDayOfMonth",
    "getDayOfWeek",
    "getDayOfYear",
    "getFullYear",
    "getHours",
    "getMilliseconds",
    "getMinutes",
    "getMonth",
    "getSeconds",
    "getAttribute",
    "hasOnly",
    "hasTagKey",
    "hasTagKeyId",
    "matchTag",
    "matchTagId",
];

/// Checks an expression that may refer to these variables; tells what is wrong.
pub(super) fn check(text: &str, variables: &[&str]) -> Result<(), String> {
    let tokens = scan(text)?;
    if tokens.is_empty() {
        return Err("the expression is empty".to_owned());
    }
    let mut open = Vec::new();
    for (index, token) in tokens.iter().enumerate() {
        if index > 0 && begins_operand(token) && ends_operand(&tokens[index - 1]) {
            return Err("extraneous input, expecting an operator".to_owned());
        }
        match token {
            Token::Punctuation(bracket @ ('(' | '[' | '{')) => open.push(*bracket),
            Token::Punctuation(bracket @ (')' | ']' | '}')) => {
                let partner = match bracket {
                    ')' => '(',
                    ']' => '[',
                    _ => '{',
                };
                if open.pop() != Some(partner) {
                    return Err(format!("mismatched '{bracket}'"));
                }
            }
            Token::Word(word) => {
                let before = index.checked_sub(1).and_then(|before| tokens.get(before));
                let member = matches!(before, Some(Token::Punctuation('.')));
                let called = matches!(tokens.get(index + 1), Some(Token::Punctuation('(')));
                // The second argument on of `all`, `exists`, `map` binds names of its own.
                let bound = bound(&tokens, word);
                let known = WORDS.contains(&word.as_str())
                    || variables.contains(&word.as_str())
                    || (called && FUNCTIONS.contains(&word.as_str()));
                if (!member && !known && !bound) || (member && called && !METHODS.contains(&word.as_str())) {
                    return Err(format!("undeclared reference to '{word}'"));
                }
            }
            Token::Punctuation(_) | Token::Literal => {}
        }
    }
    if open.is_empty() { expression::parse(text) } else { Err("unexpected end of the expression".to_owned()) }
}

/// Whether an expression reads anything of these variables.
pub(super) fn refers_to(expression: &str, variables: &[&str]) -> bool {
    let words = scan(expression).unwrap_or_default();
    words.iter().any(|token| matches!(token, Token::Word(word) if variables.contains(&word.as_str())))
}

enum Token {
    Word(String),
    Literal,
    Punctuation(char),
}

fn begins_operand(token: &Token) -> bool {
    match token {
        Token::Word(word) => word != "in",
        Token::Literal => true,
        Token::Punctuation(_) => false,
    }
}

fn ends_operand(token: &Token) -> bool {
    match token {
        Token::Word(word) => word != "in",
        Token::Literal => true,
        Token::Punctuation(mark) => [')', ']', '}'].contains(mark),
    }
}

/// Whether a macro such as `exists(x, …)` binds the word.
fn bound(tokens: &[Token], word: &str) -> bool {
    tokens.windows(4).any(|window| match window {
        [Token::Word(name), Token::Punctuation('('), Token::Word(variable), Token::Punctuation(',')] => {
            ["all", "exists", "exists_one", "filter", "map"].contains(&name.as_str()) && variable == word
        }
        _ => false,
    })
}

fn scan(expression: &str) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    let mut letters = expression.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            white if white.is_whitespace() => {}
            quote @ ('"' | '\'') => {
                skip_text(&mut letters, quote)?;
                tokens.push(Token::Literal);
            }
            digit if digit.is_ascii_digit() => {
                while letters.next_if(|next| next.is_ascii_alphanumeric() || *next == '.').is_some() {}
                tokens.push(Token::Literal);
            }
            first if first.is_ascii_alphabetic() || first == '_' => {
                let mut word = String::from(first);
                while let Some(next) = letters.next_if(|next| next.is_ascii_alphanumeric() || *next == '_') {
                    word.push(next);
                }
                tokens.push(Token::Word(word));
            }
            mark if "()[]{}.,:?<>=!&|+-*/%".contains(mark) => tokens.push(Token::Punctuation(mark)),
            other => return Err(format!("token recognition error at: '{other}'")),
        }
    }
    Ok(tokens)
}

/// Skips a string literal whose opening quote is read.
fn skip_text(letters: &mut impl Iterator<Item = char>, quote: char) -> Result<(), String> {
    while let Some(letter) = letters.next() {
        if letter == '\\' {
            letters.next();
        } else if letter == quote {
            return Ok(());
        }
    }
    Err("unterminated string".to_owned())
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn only_what_there_is_can_be_called() {
        for good in [
            "assertion.arn.startsWith('a')",
            "assertion.arn.extract('assumed-role/{role}/') in ['a'].map(x, x)",
            "has(assertion.x) && size(assertion.x) > 0",
            "assertion.startsWith == 'a member of that name'",
        ] {
            assert_eq!(check(good, &["assertion"]), Ok(()), "{good}");
        }
        for wrong in ["assertion.arn.startWith('a')", "assertion.arn.lower()", "start(assertion)"] {
            assert!(check(wrong, &["assertion"]).unwrap_err().starts_with("undeclared reference"), "{wrong}");
        }
    }
}
