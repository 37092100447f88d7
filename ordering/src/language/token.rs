//! The words and signs of one line.
//!
//! Invariant: every byte of the line is a blank or part of a token, or the line is refused; nothing is dropped in silence.

use super::code::Code;
use super::diagnostic::Diagnostic;
use super::line::Line;
use super::span::Span;

/// What a token is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A name or a keyword: a letter or `_`, then letters, digits and `_`.
    Word(String),
    /// A decimal number.
    Number(u32),
    /// Text between double quotes.
    Text(String),
    /// One of `SIGNS`.
    Sign(&'static str),
    /// A word that `sweep` or `for` gives this value.
    Value(String, u32),
}

/// One token.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Token {
    /// What it is.
    pub kind: Kind,
    /// Where it stands.
    pub span: Span,
}

/// Every sign, longer ones before their beginnings.
pub(crate) const SIGNS: [&str; 29] = [
    "->", "=>", "==", "!=", "<=", ">=", "+=", "-=", "&&", "||", "..", "=", "<", ">", "+", "-", "!", ",", ":",
    ";", "|", "(", ")", "{", "}", "[", "]", ".", "/",
];

/// The tokens of a line or a cell.
///
/// # Errors
/// The first of its words that is none. What stands around it is not read: it would be found wrong for that reason alone.
pub(super) fn tokens(line: Line<'_>) -> Result<Vec<Token>, Diagnostic> {
    let text = line.text;
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(first) = text[at..].chars().next() {
        let rest = &text[at..];
        let begun = at;
        let kind = if first.is_whitespace() {
            at += first.len_utf8();
            continue;
        } else if first.is_ascii_alphabetic() || first == '_' {
            at += length(rest, |letter| letter.is_ascii_alphanumeric() || letter == '_');
            Some(Kind::Word(text[begun..at].to_owned()))
        } else if first.is_ascii_digit() {
            at += length(rest, |digit| digit.is_ascii_digit());
            text[begun..at].parse().ok().map(Kind::Number)
        } else if first == '"' {
            let inside = length(&rest[1..], |letter| letter != '"');
            let closed = rest[1 + inside..].starts_with('"');
            at += 1 + inside + usize::from(closed);
            closed.then(|| Kind::Text(rest[1..=inside].to_owned()))
        } else {
            let sign = SIGNS.into_iter().find(|sign| rest.starts_with(sign));
            at += sign.map_or(first.len_utf8(), str::len);
            sign.map(Kind::Sign)
        };
        let span = Span::new(line.start + begun, line.start + at, line.number);
        let kind = kind.ok_or_else(|| unreadable(&text[begun..at], span))?;
        found.push(Token { kind, span });
    }
    Ok(found)
}

/// How long the beginning of `text` is that consists of such letters.
fn length(text: &str, is_part: impl Fn(char) -> bool) -> usize {
    text.len() - text.trim_start_matches(is_part).len()
}

fn unreadable(text: &str, span: Span) -> Diagnostic {
    if text.starts_with('"') {
        return Diagnostic::new(
            Code::OpenText,
            span,
            "this text has no end",
            "close it with `\"` on the same line",
        );
    }
    if text.starts_with(|first: char| first.is_ascii_digit()) {
        let message = format!("the number {text} is too large");
        return Diagnostic::new(Code::NumberTooLarge, span, message, format!("write one up to {}", u32::MAX));
    }
    let message = format!("`{}` means nothing here", text.escape_debug());
    Diagnostic::new(Code::MeansNothing, span, message, "leave it out, or put it behind `#` if it is a remark")
}

impl Token {
    /// Whether it is this sign.
    #[must_use]
    pub fn is(&self, sign: &str) -> bool {
        matches!(self.kind, Kind::Sign(found) if found == sign)
    }

    /// Its word, if it is one.
    #[must_use]
    pub fn word(&self) -> Option<&str> {
        match &self.kind {
            Kind::Word(word) => Some(word),
            Kind::Number(_) | Kind::Text(_) | Kind::Sign(_) | Kind::Value(..) => None,
        }
    }
}

/// What `tokens` of one line say: as they are written, with one blank where there is at least one.
#[must_use]
pub fn said(tokens: &[Token]) -> String {
    let mut text = String::new();
    let mut end = None;
    for token in tokens {
        if end.is_some_and(|end| end < token.span.start) {
            text.push(' ');
        }
        match &token.kind {
            Kind::Word(word) => text.push_str(word),
            Kind::Number(number) | Kind::Value(_, number) => text.push_str(&number.to_string()),
            Kind::Text(inside) => {
                text.push('"');
                text.push_str(inside);
                text.push('"');
            }
            Kind::Sign(sign) => text.push_str(sign),
        }
        end = Some(token.span.end);
    }
    text
}
