//! One blank or none between two tokens of a statement.
//!
//! Invariant: tokens and their order are kept; whether `(` belongs to the word before it, and a word to the `-` before it, is as it
//! was written.

use super::super::token::{Kind, Token};

/// Signs with a blank on either side.
const APART: [&str; 17] =
    ["->", "=>", "==", "!=", "<=", ">=", "+=", "-=", "&&", "||", "=", "<", ">", "+", "|", "{", "}"];

/// The tokens of a line of `source` with blanks between them.
pub(super) fn between(tokens: &[Token], source: &str) -> String {
    let mut text = String::new();
    for (index, token) in tokens.iter().enumerate() {
        if let Some(before) = index.checked_sub(1).map(|before| &tokens[before]) {
            let was = before.span.end < token.span.start;
            if has_blank(
                index.checked_sub(2).map(|index| &tokens[index]),
                before,
                token,
                tokens.get(index + 1),
                was,
            ) {
                text.push(' ');
            }
        }
        text.push_str(token.span.text(source));
    }
    text
}

/// Whether a blank stands between `before` and `token`, which have `first` and `next` around them; `was` if there is one.
fn has_blank(first: Option<&Token>, before: &Token, token: &Token, next: Option<&Token>, was: bool) -> bool {
    let sign = |token: &'_ Token| match token.kind {
        Kind::Sign(sign) => Some(sign),
        Kind::Word(_) | Kind::Number(_) | Kind::Text(_) | Kind::Value(..) => None,
    };
    let is_number = |token: Option<&Token>| token.is_some_and(|token| matches!(token.kind, Kind::Number(_)));
    let apart = |sign: Option<&str>| sign.is_some_and(|sign| APART.contains(&sign));
    match (sign(before), sign(token)) {
        (_, Some("," | ";" | ")" | ":" | ".." | "." | "[" | "]"))
        | (Some("(" | "!" | ".." | "." | "["), _) => false,
        // A number that is subtracted stands apart; a word may be a bit that is cleared, which belongs to its sign.
        (Some("-"), _) if is_number(Some(token)) => !apart(first.and_then(sign)),
        (Some("-"), _) => was,
        // `page-table` is one name.
        (_, Some("-")) => is_number(next) || was,
        (_, Some("(" | "/")) | (Some("/"), _) => was,
        (before, after) if apart(before) || apart(after) => true,
        (_, _) => true,
    }
}
