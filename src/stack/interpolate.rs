//! The pieces of a text with `${…}` in it.

use crate::model::{Part, Secret, Template};

use super::node::{Kind, Node};

/// A piece of a text.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece<'t> {
    /// Literal text, with `$${` already read as `${`.
    Text(String),
    /// `${one.two}`.
    Expression {
        /// As written, braces included.
        raw: &'t str,
        /// The words between the dots.
        words: Vec<&'t str>,
    },
    /// Not an expression.
    Wrong {
        /// As written, up to where it goes wrong.
        raw: &'t str,
        /// What is wrong.
        why: &'static str,
    },
}

/// Whether a text needs any reading at all.
pub(super) fn is_plain(text: &str) -> bool {
    !text.contains("${")
}

/// Splits a text.
pub(super) fn pieces(text: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut literal = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        literal.push_str(&rest[..at]);
        rest = &rest[at..];
        if let Some(after) = rest.strip_prefix("$${") {
            literal.push_str("${");
            rest = after;
        } else if rest.starts_with("${") {
            if !literal.is_empty() {
                pieces.push(Piece::Text(std::mem::take(&mut literal)));
            }
            let (piece, after) = expression(rest);
            pieces.push(piece);
            rest = after;
        } else {
            literal.push('$');
            rest = &rest[1..];
        }
    }
    literal.push_str(rest);
    if !literal.is_empty() || pieces.is_empty() {
        pieces.push(Piece::Text(literal));
    }
    pieces
}

/// Reads the expression at the beginning of `text`.
fn expression(text: &str) -> (Piece<'_>, &str) {
    let Some(end) = text.find('}') else {
        return (Piece::Wrong { raw: text, why: "`${` is not closed by `}`" }, "");
    };
    let (raw, after) = text.split_at(end + 1);
    let inner = raw[2..end].trim();
    if inner.is_empty() {
        return (Piece::Wrong { raw, why: "there is nothing between `${` and `}`" }, after);
    }
    let words: Vec<&str> = inner.split('.').collect();
    let word =
        |w: &&str| !w.is_empty() && w.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
    if !words.iter().all(word) {
        return (Piece::Wrong { raw, why: "this is no reference: expected words joined by dots" }, after);
    }
    (Piece::Expression { raw, words }, after)
}

/// Why pieces do not make one text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unfit {
    /// A list or map inside of a text.
    Collection,
    /// A secret beside something that is only known later: what is half known is shown.
    HalfSecret,
}

/// Joins the values of pieces into one text.
pub(super) fn join(nodes: Vec<Node>) -> Result<Kind, Unfit> {
    let mut secret = false;
    let mut parts = Vec::with_capacity(nodes.len());
    for node in nodes {
        match node.kind {
            Kind::Null => {}
            Kind::Bool(flag) => parts.push(Part::Text(flag.to_string())),
            Kind::Number(number) => parts.push(Part::Text(number.to_string())),
            Kind::Text(text) => parts.push(Part::Text(text)),
            Kind::Secret(text) => {
                secret = true;
                parts.push(Part::Text(text.expose().to_owned()));
            }
            Kind::Unknown(template) => parts.extend(template.parts().iter().cloned()),
            Kind::List(_) | Kind::Map(_) => return Err(Unfit::Collection),
        }
    }
    let template = Template::new(parts);
    match template.parts() {
        [] => Ok(Kind::Text(String::new())),
        [Part::Text(text)] if secret => Ok(Kind::Secret(Secret::new(text.clone()))),
        [Part::Text(text)] => Ok(Kind::Text(text.clone())),
        _ if secret => Err(Unfit::HalfSecret),
        _ => Ok(Kind::Unknown(template)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Vec<String> {
        pieces(text)
            .into_iter()
            .map(|piece| match piece {
                Piece::Text(text) => format!("'{text}'"),
                Piece::Expression { words, .. } => words.join("|"),
                Piece::Wrong { raw, .. } => format!("wrong {raw}"),
            })
            .collect()
    }

    #[test]
    fn texts_are_split() {
        assert_eq!(shown(""), ["''"]);
        assert_eq!(shown("a$b$"), ["'a$b$'"]);
        assert_eq!(shown("${a.B}"), ["a|B"]);
        assert_eq!(shown("x-${var.a}-${stack}/"), ["'x-'", "var|a", "'-'", "stack", "'/'"]);
        assert_eq!(shown("$${aws:username}"), ["'${aws:username}'"]);
        assert_eq!(shown("$$${a}"), ["'$${a}'"]);
        assert_eq!(shown("${ a.b }"), ["a|b"]);
        assert_eq!(shown("${aws:username}"), ["wrong ${aws:username}"]);
        assert_eq!(shown("${a"), ["wrong ${a"]);
        assert_eq!(shown("${}${a..b}"), ["wrong ${}", "wrong ${a..b}"]);
    }
}
