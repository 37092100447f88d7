//! Reading the tokens of one line from left to right.
//!
//! Invariant: whoever fails says where it stood and what was expected; a line never reads beyond its end.

use super::super::code::Code;
use super::super::diagnostic::Diagnostic;
use super::super::span::{Name, Span, Spanned};
use super::super::token::{Kind, Token, said};

/// What reading a piece of a line yields.
pub(super) type Parsed<T> = Result<T, Diagnostic>;

/// A place in a line.
#[derive(Clone)]
pub(super) struct Cursor<'t> {
    tokens: &'t [Token],
    at: usize,
    /// Where the line ends.
    end: Span,
}

impl<'t> Cursor<'t> {
    /// At the beginning of `tokens`, which belong to the line at `line`.
    pub(super) fn new(tokens: &'t [Token], line: Span) -> Self {
        let end = tokens.last().map_or(line.end, |last| last.span.end);
        Self { tokens, at: 0, end: Span { start: end, end, ..line } }
    }

    pub(super) fn peek(&self) -> Option<&'t Token> {
        self.tokens.get(self.at)
    }

    pub(super) fn is_done(&self) -> bool {
        self.at >= self.tokens.len()
    }

    /// The place of the next token, or the end of the line.
    pub(super) fn here(&self) -> Span {
        self.peek().map_or(self.end, |token| token.span)
    }

    /// From `start` to the last token read.
    pub(super) fn since(&self, start: Span) -> Span {
        let last = self.at.checked_sub(1).and_then(|index| self.tokens.get(index));
        last.map_or(start, |token| start.to(token.span))
    }

    pub(super) fn next(&mut self) -> Option<&'t Token> {
        let token = self.tokens.get(self.at)?;
        self.at += 1;
        Some(token)
    }

    /// Takes the sign if it comes next.
    pub(super) fn eat(&mut self, sign: &str) -> bool {
        let found = self.peek().is_some_and(|token| token.is(sign));
        self.at += usize::from(found);
        found
    }

    /// Takes the word if it comes next.
    pub(super) fn eat_word(&mut self, word: &str) -> bool {
        let found = self.peek_word() == Some(word);
        self.at += usize::from(found);
        found
    }

    pub(super) fn peek_word(&self) -> Option<&'t str> {
        self.peek().and_then(Token::word)
    }

    pub(super) fn sign(&mut self, sign: &str, form: &str) -> Parsed<()> {
        if self.eat(sign) { Ok(()) } else { Err(self.expected(&format!("`{sign}`"), form)) }
    }

    pub(super) fn name(&mut self, what: &str, form: &str) -> Parsed<Name> {
        match self.peek() {
            Some(Token { kind: Kind::Word(word), span }) => {
                self.at += 1;
                Ok(Spanned::new(word.clone(), *span))
            }
            Some(Token { kind: Kind::Value(word, _), span }) => Err(parameter_as_name(word, *span, what)),
            Some(_) | None => Err(self.expected(what, form)),
        }
    }

    pub(super) fn number(&mut self, form: &str) -> Parsed<Spanned<u32>> {
        let Some(Token { kind: Kind::Number(number) | Kind::Value(_, number), span }) = self.peek() else {
            return Err(self.expected("a number", form));
        };
        self.at += 1;
        Ok(Spanned::new(*number, *span))
    }

    /// Takes a text in quotes if it comes next.
    pub(super) fn quoted(&mut self) -> Option<Name> {
        let Some(Token { kind: Kind::Text(text), span }) = self.peek() else { return None };
        self.at += 1;
        Some(Spanned::new(text.clone(), *span))
    }

    /// The line must end here.
    pub(super) fn done(&self, form: &str) -> Parsed<()> {
        if self.is_done() { Ok(()) } else { Err(self.expected("the end of the line", form)) }
    }

    /// The tokens from `start` to the last that was read, as they are written.
    pub(super) fn said_since(&self, start: Span) -> String {
        let read = &self.tokens[..self.at.min(self.tokens.len())];
        let from = read.iter().position(|token| token.span.start >= start.start).unwrap_or(read.len());
        said(&read[from..])
    }

    /// The tokens from here to where `later` is, in the same line.
    pub(super) fn until(&self, later: &Self) -> &'t [Token] {
        &self.tokens[self.at..later.at]
    }

    /// The tokens that were not read.
    pub(super) fn left(&self) -> &'t [Token] {
        &self.tokens[self.at..]
    }

    /// What is said when `what` does not come next.
    pub(super) fn expected(&self, what: &str, form: &str) -> Diagnostic {
        let found = match self.peek() {
            None => "the line ends".to_owned(),
            Some(token) => match &token.kind {
                Kind::Word(word) | Kind::Value(word, _) => format!("`{word}` stands"),
                Kind::Number(number) => format!("`{number}` stands"),
                Kind::Text(text) => format!("\"{text}\" stands"),
                Kind::Sign(sign) => format!("`{sign}` stands"),
            },
        };
        Diagnostic::new(
            Code::Expected,
            self.here(),
            format!("{found} where {what} is expected"),
            format!("write `{form}`"),
        )
    }
}

/// The error for a parameter where `what` is expected.
pub(super) fn parameter_as_name(word: &str, span: Span, what: &str) -> Diagnostic {
    let message = format!("`{word}` is a parameter, and stands where {what} is expected");
    let help = format!("give one of the two another name, or write `NAME[{word}]`");
    Diagnostic::new(Code::ParameterAsName, span, message, help)
}
