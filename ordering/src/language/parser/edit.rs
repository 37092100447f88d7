//! Edits of variants, and the rows that are said never to be taken: everything that names rows by number.
//!
//! Invariant: `4 to 7` means both rows and those between, wherever rows are named.

use super::super::code::Code;
use super::super::diagnostic::Diagnostic;
use super::super::line::Line;
use super::super::span::Span;
use super::super::syntax::{Rows, Unreached};
use super::super::variant::Edit;
use super::bind::Bound;
use super::cursor::{Cursor, Parsed};
use super::keyword::Edited;
use super::table::program;

/// What stands behind `replace`, `drop` or `move`, with the rows below it.
pub(super) fn variation(
    edited: Edited,
    cursor: &mut Cursor<'_>,
    block: &[Line<'_>],
    bound: &Bound,
    diagnostics: &mut Vec<Diagnostic>,
) -> Parsed<Edit> {
    let form = edited.form();
    let rows = rows(cursor, form)?;
    let edit = match edited {
        Edited::Replace => Edit::Replace(rows, program(block, bound, diagnostics)),
        Edited::Drop => Edit::Drop(rows),
        Edited::Move => {
            if !cursor.eat_word("before") {
                return Err(cursor.expected("`before` and a row", form));
            }
            Edit::Move(rows, cursor.number(form)?.node)
        }
    };
    cursor.done(form)?;
    Ok(edit)
}

/// `CPU.4`, or `CPU.4 to 7`.
fn rows(cursor: &mut Cursor<'_>, form: &str) -> Parsed<Rows> {
    let start = cursor.here();
    let agent = cursor.name("an agent", form)?;
    cursor.sign(".", form)?;
    let first = cursor.number(form)?.node;
    if cursor.peek().is_some_and(|token| token.is("..")) {
        return Err(half_open(cursor, &agent.node, first));
    }
    let last = if cursor.eat_word("to") { cursor.number(form)?.node } else { first };
    let span = cursor.since(start);
    if last < first {
        let message = format!("row {last} does not come after row {first}");
        return Err(Diagnostic::new(Code::BackwardRange, span, message, "write the smaller number first"));
    }
    Ok(Rows { agent, first, last, span })
}

/// Ranges of rows once ended before their second number: whoever still writes them so is told.
fn half_open(cursor: &mut Cursor<'_>, agent: &str, first: u32) -> Diagnostic {
    let start = cursor.here();
    cursor.eat("..");
    let end = cursor.number("replace CPU.4 to 7").map_or(first.saturating_add(1), |end| end.node);
    let last = end.saturating_sub(1);
    let rows = if last > first { format!("{agent}.{first} to {last}") } else { format!("{agent}.{first}") };
    let help = format!("write `{rows}`, if row {end} is not meant");
    Diagnostic::new(Code::HalfOpenRows, cursor.since(start), "rows are no range with `..`", help)
}

/// `unreached CPU.4, T0.2 to 3 "why"`.
pub(super) fn unreached(cursor: &mut Cursor<'_>, line: Span) -> Parsed<Unreached> {
    const FORM: &str = "unreached CPU.4, T0.2 to 3 \"nobody else takes the lock\"";
    let mut found = vec![rows(cursor, FORM)?];
    while cursor.eat(",") {
        found.push(rows(cursor, FORM)?);
    }
    let Some(reason) = cursor.quoted() else { return Err(cursor.expected("a reason in quotes", FORM)) };
    cursor.done(FORM)?;
    Ok(Unreached { rows: found, reason: reason.node, span: line })
}
