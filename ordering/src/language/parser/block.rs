//! Programs: rows become statements. What stands further to the right belongs to the row that opened it.
//!
//! Invariant: a row that cannot be read costs that row only. `;` puts statements in sequence, `|` between two
//! statements (in a table: `or`) chooses one of them, and binds tighter.

use super::super::diagnostic::Diagnostic;
use super::super::span::Spanned;
use super::super::syntax::{Condition, Node, Operand, Row, Statement, Term};
use super::super::token::Token;
use super::condition::condition;
use super::cursor::{Cursor, Parsed};
use super::step::simple;

/// How deep blocks and braces may nest.
const DEPTH: usize = 32;

/// Reads rows as statements.
pub(crate) struct Blocks<'a> {
    /// The source the rows came from.
    pub(crate) source: &'a str,
    /// What could not be read.
    pub(crate) diagnostics: &'a mut Vec<Diagnostic>,
}

impl Blocks<'_> {
    /// All of `rows`.
    pub(crate) fn program(&mut self, rows: &[Row]) -> Vec<Statement> {
        self.rows(rows, 0)
    }

    fn rows(&mut self, rows: &[Row], depth: usize) -> Vec<Statement> {
        let mut found = Vec::new();
        let mut at = 0;
        while let Some(row) = rows.get(at) {
            let deeper = rows[at + 1..].iter().take_while(|next| next.indent > row.indent).count();
            let opens = row.tokens.last().is_some_and(|last| last.is(":")) && label(&row.tokens).is_none();
            let body = if opens { &rows[at + 1..=at + deeper] } else { &[] };
            at += 1 + body.len();
            match self.row(row, body, depth) {
                Ok(statements) => attach(&mut found, statements, self.diagnostics),
                Err(diagnostic) => self.diagnostics.push(diagnostic),
            }
        }
        found
    }

    fn row(&mut self, row: &Row, body: &[Row], depth: usize) -> Parsed<Vec<Statement>> {
        let mut cursor = Cursor::new(&row.tokens, row.span);
        if let Some(name) = label(&row.tokens) {
            let name = Spanned::new(name.to_owned(), row.tokens[0].span);
            return Ok(vec![Statement { node: Node::Label(name), span: row.span }]);
        }
        let found = self.sequence(&mut cursor, body, depth)?;
        cursor.done("one statement, or several with `;` between them")?;
        Ok(found)
    }

    /// Statements with `;` between them.
    fn sequence(&mut self, cursor: &mut Cursor<'_>, body: &[Row], depth: usize) -> Parsed<Vec<Statement>> {
        let mut found = Vec::new();
        loop {
            let start = cursor.here();
            let mut ways = vec![self.statement(cursor, body, depth)?];
            while cursor.eat("|") || cursor.eat_word("or") {
                ways.push(self.statement(cursor, body, depth)?);
            }
            if ways.len() == 1 {
                found.append(&mut ways[0]);
            } else {
                found.push(Statement { node: Node::Choice(ways), span: cursor.since(start) });
            }
            if !cursor.eat(";") || cursor.is_done() {
                return Ok(found);
            }
        }
    }

    fn statement(&mut self, cursor: &mut Cursor<'_>, body: &[Row], depth: usize) -> Parsed<Vec<Statement>> {
        let start = cursor.here();
        if depth > DEPTH {
            return Err(Diagnostic::new(start, "this block nests too deep", "use labels and `goto`"));
        }
        if cursor.peek().is_some_and(|token| token.is("{")) {
            return self.braces(cursor, depth);
        }
        let word = cursor.peek_word().unwrap_or_default();
        let node = match word {
            "repeat" => self.repeat(cursor, body, depth)?,
            "if" => {
                cursor.next();
                let condition = condition(cursor)?;
                Node::If(condition, self.body(cursor, body, depth)?, Vec::new())
            }
            "else" => {
                cursor.next();
                // Stands alone only until it is attached to the `if` before it.
                let never = Operand { term: Term::Number(0), plus: 0, span: start };
                Node::If(Condition::Truth(never), Vec::new(), self.body(cursor, body, depth)?)
            }
            "when" => {
                cursor.next();
                let condition = condition(cursor)?;
                let colon = cursor.peek().is_some_and(|token| token.is(":"));
                Node::When(condition, if colon { self.body(cursor, body, depth)? } else { Vec::new() })
            }
            "check" => {
                cursor.next();
                let condition = condition(cursor)?;
                let label = if cursor.eat_word("else") {
                    cursor.name("a label", "check pte_same A else out")?
                } else {
                    Spanned::new("out".to_owned(), cursor.since(start))
                };
                Node::Check(condition, label)
            }
            "goto" => {
                cursor.next();
                Node::Goto(cursor.name("a label", "goto out")?)
            }
            "end" => {
                cursor.next();
                Node::End
            }
            "atomic" => {
                cursor.next();
                let braces = cursor.peek().is_some_and(|token| token.is("{"));
                let body = if braces { self.braces(cursor, depth)? } else { self.body(cursor, body, depth)? };
                Node::Atomic(body)
            }
            _ => return Ok(vec![simple(cursor, self.source)?]),
        };
        Ok(vec![Statement { node, span: cursor.since(start) }])
    }

    fn braces(&mut self, cursor: &mut Cursor<'_>, depth: usize) -> Parsed<Vec<Statement>> {
        const FORM: &str = "{ pte_clear A; flush_tlb A }";
        cursor.sign("{", FORM)?;
        let found = self.sequence(cursor, &[], depth + 1)?;
        cursor.sign("}", FORM)?;
        Ok(found)
    }

    /// What stands behind `:` on the same line, or else the rows below that are further to the right.
    fn body(&mut self, cursor: &mut Cursor<'_>, body: &[Row], depth: usize) -> Parsed<Vec<Statement>> {
        let colon = cursor.here();
        cursor.sign(":", "if pte(A) == none: goto out")?;
        if !cursor.is_done() {
            return self.sequence(cursor, &[], depth + 1);
        }
        if body.is_empty() {
            let help = "put the statements behind `:`, or on lines below that begin further to the right";
            return Err(Diagnostic::new(colon, "nothing follows this `:`", help));
        }
        Ok(self.rows(body, depth + 1))
    }

    fn repeat(&mut self, cursor: &mut Cursor<'_>, body: &[Row], depth: usize) -> Parsed<Node> {
        const FORM: &str = "repeat 0..2:";
        let start = cursor.here();
        cursor.next();
        let unbounded = |span| {
            let help =
                "a proof needs a finite scenario: write how often at least and at most, `repeat 0..2:`";
            Diagnostic::new(span, "this `repeat` has no bound", help)
        };
        if cursor.peek().is_none_or(|token| token.is(":")) {
            return Err(unbounded(start));
        }
        let least = cursor.number(FORM)?;
        let mut most = least.clone();
        if cursor.eat("..") {
            if cursor.peek().is_none_or(|token| token.is(":")) {
                return Err(unbounded(cursor.since(start)));
            }
            most = cursor.number(FORM)?;
        }
        if most.node < least.node {
            let message = format!("{} is less than {}", most.node, least.node);
            return Err(Diagnostic::new(most.span, message, "write the smaller number first"));
        }
        Ok(Node::Repeat(least.node, most.node, self.body(cursor, body, depth)?))
    }
}

/// Appends, with an `else` put into the `if` before it.
fn attach(found: &mut Vec<Statement>, new: Vec<Statement>, diagnostics: &mut Vec<Diagnostic>) {
    for statement in new {
        let alone = matches!(&statement.node, Node::If(_, then, _) if then.is_empty());
        if !alone {
            found.push(statement);
            continue;
        }
        let Node::If(_, _, otherwise) = statement.node else { continue };
        match found.last_mut().map(|last| &mut last.node) {
            Some(Node::If(_, then, place)) if place.is_empty() && !then.is_empty() => *place = otherwise,
            _ => diagnostics.push(Diagnostic::new(
                statement.span,
                "this `else` belongs to no `if`",
                "put it on the line after the body of an `if`, as far to the left",
            )),
        }
    }
}

/// The name of a row that is nothing but a label.
pub(super) fn label(tokens: &[Token]) -> Option<&str> {
    match tokens {
        [name, colon] if colon.is(":") => {
            name.word().filter(|word| !["else", "repeat", "atomic"].contains(word))
        }
        _ => None,
    }
}
