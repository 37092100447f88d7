//! Parameters and indices: what `sweep` and `for` give a value, put into the words of a line.
//!
//! Invariant: a token keeps its place in the source, whatever becomes of it, so every line that is made from one says
//! where that stands. `P[i]` is the name `P` with the value of `i` behind it, and a word with a value is a number.

use super::super::code::Code;
use super::super::diagnostic::Diagnostic;
use super::super::span::{Name, Span};
use super::super::syntax::{Condition, Operand, Term};
use super::super::token::{Kind, Token};
use super::cursor::{Cursor, Parsed, parameter_as_name};

/// How an index is written.
const INDEXED: &str = "P[i], P[i + 1] or P[2]";
/// How a `for` is written.
pub(super) const FOR: &str = "for i in 1..pages:";

/// Words with their values.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Bound {
    values: Vec<(String, u32)>,
}

impl Bound {
    /// These words have these values.
    pub(super) const fn to(values: Vec<(String, u32)>) -> Self {
        Self { values }
    }

    /// One word more.
    pub(super) fn with(&self, word: &str, value: u32) -> Self {
        let mut values = self.values.clone();
        values.push((word.to_owned(), value));
        Self { values }
    }

    /// No word has a value.
    pub(super) const fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// The value of a word, if it has one.
    pub(super) fn value(&self, word: &str) -> Option<u32> {
        self.values.iter().find(|(known, _)| known == word).map(|(_, value)| *value)
    }
}

/// Puts values into the words of a line. An index that is not known yet stays as it is written.
pub(super) fn bind(tokens: Vec<Token>, bound: &Bound) -> Parsed<Vec<Token>> {
    if bound.is_empty() && !tokens.iter().any(|token| token.is("[")) {
        return Ok(tokens);
    }
    let mut found = Vec::with_capacity(tokens.len());
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        at += 1;
        let (Some(word), true) = (token.word(), tokens.get(at).is_some_and(|next| next.is("["))) else {
            found.push(valued(token, bound));
            continue;
        };
        if bound.value(word).is_some() {
            return Err(parameter_as_name(word, token.span, "a name"));
        }
        let Some(length) = tokens[at..].iter().position(|token| token.is("]")) else {
            let help = format!("write `{INDEXED}`");
            return Err(Diagnostic::new(
                Code::Expected,
                tokens[at].span,
                "an index without `]` begins here",
                help,
            ));
        };
        let end = at + length;
        let inside: Vec<Token> = tokens[at + 1..end].iter().map(|token| valued(token, bound)).collect();
        if inside.iter().any(|token| token.word().is_some()) {
            found.push(token.clone());
            found.push(tokens[at].clone());
            found.extend(inside);
            found.push(tokens[end].clone());
        } else {
            let span = token.span.to(tokens[end].span);
            let value = index(&inside, span, tokens[end].span)?;
            found.push(Token { kind: Kind::Word(format!("{word}{value}")), span });
        }
        at = end + 1;
    }
    Ok(found)
}

/// The same, and an index that is not known is an error.
pub(super) fn bind_all(tokens: Vec<Token>, bound: &Bound) -> Parsed<Vec<Token>> {
    let found = bind(tokens, bound)?;
    known(&found)?;
    Ok(found)
}

/// Sees that no index is left without a value.
pub(super) fn known(tokens: &[Token]) -> Parsed<()> {
    for (at, token) in tokens.iter().enumerate() {
        let is_indexed = token.word().is_some() && tokens.get(at + 1).is_some_and(|next| next.is("["));
        let inside = tokens[at..].iter().skip(2).take_while(|token| !token.is("]"));
        let unknown = inside.filter_map(|token| Some((token.word()?, token.span))).next();
        if let (true, Some((word, span))) = (is_indexed, unknown) {
            return Err(unknown_parameter(word, span));
        }
    }
    Ok(())
}

fn unknown_parameter(word: &str, span: Span) -> Diagnostic {
    let message = format!("`{word}` has no value here");
    let help = format!("put the line into `for {word} in 1..2:`, or `sweep {word} = 1..2` into the scenario");
    Diagnostic::new(Code::UnknownParameter, span, message, help)
}

/// A word with a value is that value.
fn valued(token: &Token, bound: &Bound) -> Token {
    match token.word().and_then(|word| Some((word, bound.value(word)?))) {
        Some((word, value)) => Token { kind: Kind::Value(word.to_owned(), value), span: token.span },
        None => token.clone(),
    }
}

/// What stands between `[` and `]`, of which `end` is the last.
fn index(inside: &[Token], span: Span, end: Span) -> Parsed<u32> {
    let mut cursor = Cursor::new(inside, Span { end: end.start, ..end });
    let value = sum(&mut cursor, INDEXED)?;
    cursor.done(INDEXED)?;
    u32::try_from(value).map_err(|_| {
        let message = format!("this index is {value}, and no name ends with that");
        Diagnostic::new(
            Code::IndexOutside,
            span,
            message,
            "keep indices from 0 up, as by `for i in 1..pages:`",
        )
    })
}

/// Numbers with `+` and `-` between them.
fn sum(cursor: &mut Cursor<'_>, form: &str) -> Parsed<i64> {
    let mut value = number(cursor, form)?;
    loop {
        if cursor.eat("+") {
            value = value.saturating_add(number(cursor, form)?);
        } else if cursor.eat("-") {
            value = value.saturating_sub(number(cursor, form)?);
        } else {
            return Ok(value);
        }
    }
}

fn number(cursor: &mut Cursor<'_>, form: &str) -> Parsed<i64> {
    match cursor.peek_word() {
        Some(word) => Err(unknown_parameter(word, cursor.here())),
        None => Ok(i64::from(cursor.number(form)?.node)),
    }
}

/// What a `for` counts: a word, and its values.
pub(super) struct Counted {
    pub(super) word: Name,
    least: i64,
    most: i64,
}

impl Counted {
    /// Each value; none if the last is less than the first.
    pub(super) fn values(&self) -> impl Iterator<Item = u32> + use<> {
        (self.least..=self.most).filter_map(|value| u32::try_from(value).ok())
    }
}

/// `for i in 1..pages:`, up to its colon. A range that is empty for these values has no rows; one that is empty
/// whatever they are is an error.
pub(super) fn counted(cursor: &mut Cursor<'_>) -> Parsed<Counted> {
    if !cursor.eat_word("for") {
        return Err(cursor.expected("`for`", FOR));
    }
    let word = cursor.name("a name for the index", FOR)?;
    if !cursor.eat_word("in") {
        return Err(cursor.expected("`in`", FOR));
    }
    let (start, before) = (cursor.here(), cursor.clone());
    let least = sum(cursor, FOR)?;
    cursor.sign("..", FOR)?;
    let most = sum(cursor, FOR)?;
    let span = cursor.since(start);
    let depends = before.until(cursor).iter().any(|token| matches!(token.kind, Kind::Value(..)));
    cursor.sign(":", FOR)?;
    if most < least && !depends {
        return Err(backward(least, most, span));
    }
    if least < 0 {
        let message = format!("`{}` would begin with {least}, and no name ends with that", word.node);
        return Err(Diagnostic::new(Code::IndexOutside, span, message, "begin with 0 or more"));
    }
    if most > i64::from(u32::MAX) {
        let message = format!("`{}` would end with {most}, and no name ends with that", word.node);
        let help = format!("end with {} or less", u32::MAX);
        return Err(Diagnostic::new(Code::IndexOutside, span, message, help));
    }
    Ok(Counted { word, least, most })
}

/// The error for a range whose end comes first.
pub(super) fn backward(least: i64, most: i64, span: Span) -> Diagnostic {
    let message = format!("{most} is less than {least}");
    Diagnostic::new(Code::BackwardRange, span, message, "write the smaller number first")
}

/// Whether a condition of parameters holds.
pub(super) fn holds(condition: &Condition) -> Parsed<bool> {
    Ok(match condition {
        Condition::And(left, right) => holds(left)? & holds(right)?,
        Condition::Or(left, right) => holds(left)? | holds(right)?,
        Condition::Not(inner) => !holds(inner)?,
        Condition::Compare(left, how, right) => how.holds(constant(left)?, constant(right)?),
        Condition::Truth(operand) => constant(operand)? != 0,
        Condition::Has(operand, _) => return Err(no_constant(operand)),
    })
}

fn constant(operand: &Operand) -> Parsed<i64> {
    match &operand.term {
        Term::Number(number) => Ok(i64::from(*number) + operand.plus),
        Term::Entry(_) | Term::Call(..) => Err(no_constant(operand)),
    }
}

fn no_constant(operand: &Operand) -> Diagnostic {
    let message = format!("`{operand}` is no parameter of a sweep");
    let help = "behind `when` stand parameters and numbers: `expect violation when pages > 1`";
    Diagnostic::new(Code::UnknownParameter, operand.span, message, help)
}
