//! Properties and what is expected of them.
//!
//! Invariant: an event is read up to `after`, `until` or the end of the line, and keeps the words it was written with.

use steps::table::find;

use super::super::code::Code;
use super::super::diagnostic::Diagnostic;
use super::super::span::{Name, Spanned};
use super::super::syntax::{Action, BuiltIn, Event, Expect, Property, Question};
use super::super::token::Token;
use super::bind::holds;
use super::condition::{comparison, condition};
use super::cursor::{Cursor, Parsed};
use super::keyword::Asked;
use super::step::{assignment, is_assigned};

const EVENT: &str = "never IOMMU reads A == 0 after CPU store A";

/// The built-in properties as they are named in a file.
pub(crate) const BUILT_IN: &[(&str, BuiltIn)] = &[
    ("use of a freed frame", BuiltIn::FreedFrame),
    ("walk of a freed page-table page", BuiltIn::FreedTable),
    ("unlock without lock", BuiltIn::Unlock),
    ("walk of an unlinked page-table page", BuiltIn::UnlinkedTable),
    ("deadlock", BuiltIn::Deadlock),
    ("livelock", BuiltIn::Livelock),
    ("out of range", BuiltIn::Range),
];

/// What stands behind `never`, `always` or `finally`.
pub(super) fn property(asked: Asked, cursor: &mut Cursor<'_>) -> Parsed<Property> {
    let start = cursor.here();
    let (keyword, node) = match asked {
        Asked::Never => ("never", never(cursor)?),
        Asked::Always => ("always", Question::Always(condition(cursor)?)),
        Asked::Finally => ("finally", Question::Finally(condition(cursor)?)),
    };
    cursor.done(EVENT)?;
    let span = cursor.since(start);
    Ok(Property { node, text: format!("{keyword} {}", cursor.said_since(start)), span })
}

fn never(cursor: &mut Cursor<'_>) -> Parsed<Question> {
    let mut rest = cursor.clone();
    let start = rest.here();
    while rest.next().is_some() {}
    let text = rest.said_since(start);
    if let Some((_, built_in)) = BUILT_IN.iter().find(|(name, _)| *name == text) {
        *cursor = rest;
        return Ok(Question::BuiltIn(*built_in));
    }
    let happens = event(cursor)?;
    let after = if cursor.eat_word("after") { Some(event(cursor)?) } else { None };
    let until = if after.is_some() && cursor.eat_word("until") { Some(event(cursor)?) } else { None };
    Ok(Question::Never { event: happens, after, until })
}

fn event(cursor: &mut Cursor<'_>) -> Parsed<Event> {
    let start = cursor.here();
    let mut behind = cursor.clone();
    behind.next();
    let begins = |word: &str| ["reads", "writes"].contains(&word) || find(word).is_some();
    let mut agent = None;
    if cursor.peek_word().is_some_and(|word| !begins(word)) && !is_assigned(&behind) {
        agent = Some(cursor.name("somebody or something that happens", EVENT)?);
    }
    let word = cursor.name("something that happens", EVENT)?;
    if is_assigned(cursor) {
        let (how, value) = assignment(cursor)?;
        let text = format!("{} {how} {value}", word.node);
        return Ok(Event {
            agent,
            action: Action::Assigns { variable: word, text },
            span: cursor.since(start),
        });
    }
    let to = cursor.eat_word("to");
    let action = match word.node.as_str() {
        "reads" => access(cursor, Action::Reads)?,
        "writes" => access(cursor, Action::Writes)?,
        "write" if to => access(cursor, Action::Writes)?,
        other => match find(other) {
            Some(entry) => Action::Step(entry.verb, words(cursor, word.span)),
            None => return Err(unknown(&word)),
        },
    };
    Ok(Event { agent, action, span: cursor.since(start) })
}

fn unknown(word: &Spanned<String>) -> Diagnostic {
    let message = format!("`{}` is nothing that can happen", word.node);
    Diagnostic::new(
        Code::UnknownEvent,
        word.span,
        message,
        "write `NAME reads A == 0`, `NAME writes A`, `done = 1`, or a step such as `put old`",
    )
}

fn access(
    cursor: &mut Cursor<'_>,
    action: fn(Spanned<String>, Option<(super::super::syntax::Comparison, u32)>) -> Action,
) -> Parsed<Action> {
    cursor.eat_word("from");
    let place = cursor.name("a page or a frame", EVENT)?;
    let value = match comparison(cursor) {
        Some(how) => Some((how, cursor.number(EVENT)?.node)),
        None => None,
    };
    Ok(action(place, value))
}

/// The step's words as they were written, up to what does not belong to it.
fn words(cursor: &mut Cursor<'_>, start: super::super::span::Span) -> String {
    let ends = |token: &Token| matches!(token.word(), Some("after" | "until"));
    while cursor.peek().is_some_and(|token| !ends(token)) {
        cursor.next();
    }
    cursor.said_since(start)
}

/// What stands behind `expect`, and for which values of the parameters that holds, if not for all.
pub(super) fn expect(cursor: &mut Cursor<'_>) -> Parsed<(Spanned<Expect>, Option<bool>)> {
    const FORM: &str = "expect proved, or expect violation of never deadlock in 9 steps when pages > 1";
    let start = cursor.here();
    let expected = if cursor.eat_word("proved") {
        Expect::Proved
    } else if cursor.eat_word("violation") {
        let of = if cursor.eat_word("of") { Some(named(cursor, FORM)?) } else { None };
        let mut steps = None;
        if cursor.eat_word("in") {
            steps = Some(cursor.number(FORM)?.node);
            if !cursor.eat_word("steps") && !cursor.eat_word("step") {
                return Err(cursor.expected("`steps`", FORM));
            }
        }
        Expect::Violation { of, steps }
    } else {
        return Err(cursor.expected("`proved` or `violation`", FORM));
    };
    let when = if cursor.eat_word("when") { Some(holds(&condition(cursor)?)?) } else { None };
    cursor.done(FORM)?;
    Ok((Spanned::new(expected, cursor.since(start)), when))
}

/// A property as it is written, up to `in 9 steps`, `when …` or the end of the line.
fn named(cursor: &mut Cursor<'_>, form: &str) -> Parsed<Name> {
    let start = cursor.here();
    while !matches!(cursor.peek_word(), Some("in" | "when")) && cursor.next().is_some() {}
    let span = cursor.since(start);
    let text = cursor.said_since(start);
    if !["never ", "always ", "finally "].iter().any(|keyword| text.starts_with(keyword)) {
        let message = format!("`{text}` is no property");
        return Err(Diagnostic::new(
            Code::NoProperty,
            start,
            message,
            format!("write the property as it stands: `{form}`"),
        ));
    }
    Ok(Spanned::new(text, span))
}
