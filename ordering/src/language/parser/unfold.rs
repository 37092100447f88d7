//! Programs with each `for` written out.
//!
//! Invariant: rows keep their order and their places; those of a `for` stand there once for each value of its index, as
//! far to the right as it did. What an `else` belongs to does not depend on how often that is.

use super::super::code::Code;
use super::super::diagnostic::Diagnostic;
use super::super::span::Span;
use super::super::syntax::Row;
use super::super::token::Token;
use super::bind::{Bound, bind, counted, known};
use super::cursor::{Cursor, Parsed};
use super::draft::MOST_ROWS;

/// How deep a `for` may stand in others.
pub(super) const DEPTH: usize = 32;

/// The rows of a program with each `for` written out; none if there is none and no index either.
pub(super) fn unfolded(rows: &[Row], diagnostics: &mut Vec<Diagnostic>) -> Option<Vec<Row>> {
    let folded = |row: &Row| is_for(&row.tokens) || row.tokens.iter().any(|token| token.is("["));
    if !rows.iter().any(folded) {
        return None;
    }
    let mut unfolding = Unfolding { rows: Vec::new(), rounds: 0, diagnostics };
    // What is too much is said once, and ends it.
    if let Err(too_much) = unfolding.all(rows, &Bound::default(), 0) {
        unfolding.diagnostics.push(too_much);
    }
    Some(unfolding.rows)
}

/// Whether a row begins a `for`; a variable may be called so.
pub(super) fn is_for(tokens: &[Token]) -> bool {
    let begins = tokens.first().and_then(Token::word) == Some("for");
    begins && !tokens.get(1).is_some_and(|next| ["=", "+=", "-=", ":"].iter().any(|sign| next.is(sign)))
}

struct Unfolding<'d> {
    rows: Vec<Row>,
    rounds: usize,
    diagnostics: &'d mut Vec<Diagnostic>,
}

impl Unfolding<'_> {
    /// Writes rows out with these values.
    fn all(&mut self, rows: &[Row], bound: &Bound, depth: usize) -> Parsed<()> {
        let mut at = 0;
        let mut orphan = false;
        while let Some(row) = rows.get(at) {
            let deeper = rows[at + 1..].iter().take_while(|next| next.indent > row.indent).count();
            at += 1;
            let tokens = match bind(row.tokens.clone(), bound) {
                Ok(tokens) => tokens,
                Err(wrong) => {
                    self.diagnostics.push(wrong);
                    continue;
                }
            };
            if is_else(&tokens) && orphan {
                self.diagnostics.push(orphaned(row.span));
            }
            orphan = is_for(&tokens);
            if orphan {
                let body = &rows[at..at + deeper];
                self.one(row, &tokens, body, bound, depth)?;
                at += deeper;
            } else if let Err(unknown) = known(&tokens) {
                self.diagnostics.push(unknown);
                // A row without words was found unreadable.
                self.push(Row { tokens: Vec::new(), ..row.clone() }, depth)?;
            } else {
                self.push(Row { tokens, ..row.clone() }, depth)?;
            }
        }
        Ok(())
    }

    /// A row; one in a `for` is a statement of its own each time.
    fn push(&mut self, mut row: Row, depth: usize) -> Parsed<()> {
        if self.rows.len() >= MOST_ROWS {
            return Err(too_many(row.span));
        }
        if depth > 0 {
            let copy = u32::try_from(self.rows.len() + 1).expect("a program has few rows");
            row.span.copy = copy;
            row.tokens.iter_mut().for_each(|token| token.span.copy = copy);
        }
        self.rows.push(row);
        Ok(())
    }

    /// One `for` with what stands behind its colon or below it.
    fn one(&mut self, row: &Row, tokens: &[Token], below: &[Row], bound: &Bound, depth: usize) -> Parsed<()> {
        let mut cursor = Cursor::new(tokens, row.span);
        let counted = match counted(&mut cursor) {
            Ok(counted) => counted,
            Err(wrong) => {
                self.diagnostics.push(wrong);
                return Ok(());
            }
        };
        let behind = cursor.left();
        let body: Vec<Row> = match behind {
            [] => moved(below, row.indent),
            words => {
                let own = Row { tokens: words.to_vec(), ..row.clone() };
                std::iter::once(own).chain(below.iter().cloned()).collect()
            }
        };
        if body.is_empty() {
            let help = "put the rows behind `:`, or on lines below that begin further to the right";
            let empty = Diagnostic::new(Code::EmptyBody, row.span, "nothing follows this `for`", help);
            self.diagnostics.push(empty);
        }
        if let Some(first) = body.first().filter(|first| is_else(&first.tokens)) {
            self.diagnostics.push(orphaned(first.span));
            return Ok(());
        }
        if depth >= DEPTH {
            let help = "write some of them out";
            return Err(Diagnostic::new(Code::NestsTooDeep, row.span, "this `for` nests too deep", help));
        }
        for value in counted.values() {
            self.rounds += 1;
            if self.rounds > MOST_ROWS {
                return Err(too_many(row.span));
            }
            self.all(&body, &bound.with(&counted.word.node, value), depth + 1)?;
        }
        Ok(())
    }
}

/// Rows as far to the right as `margin`, the least indented of them.
fn moved(rows: &[Row], margin: usize) -> Vec<Row> {
    let Some(least) = rows.iter().map(|row| row.indent).min() else { return Vec::new() };
    rows.iter().map(|row| Row { indent: row.indent - least + margin, ..row.clone() }).collect()
}

fn is_else(tokens: &[Token]) -> bool {
    tokens.first().and_then(Token::word) == Some("else")
}

fn orphaned(span: Span) -> Diagnostic {
    let help = "put the `if` and its `else` into the same `for`, one below the other";
    Diagnostic::new(Code::OrphanElse, span, "this `else` belongs to no `if`", help)
}

fn too_many(span: Span) -> Diagnostic {
    let message = format!("written out, this program has more than {MOST_ROWS} rows: too many to explore");
    Diagnostic::new(Code::TooManyRows, span, message, "use a smaller range, or `repeat`")
}
