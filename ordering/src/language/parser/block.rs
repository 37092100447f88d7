//! Programs: rows become statements. What stands further to the right belongs to the row that opened it.
//!
//! Invariant: a row that cannot be read costs that row only. `;` puts statements in sequence, `|` between two
//! statements (in a table: `or`) chooses one of them, and binds tighter.

use std::collections::HashMap;

use super::super::code::Code;
use super::super::diagnostic::Diagnostic;
use super::super::span::{Name, Span, Spanned};
use super::super::syntax::{Condition, Node, Operand, Row, Statement, Term};
use super::super::token::Token;
use super::condition::condition;
use super::cursor::{Cursor, Parsed};
use super::draft::MOST_ROWS;
use super::step::simple;

/// How deep blocks and braces may nest.
const DEPTH: usize = 32;
/// Statements of a program at most.
const MOST_STATEMENTS: usize = MOST_ROWS;

/// Reads rows as statements.
pub(crate) struct Blocks<'a> {
    /// What could not be read.
    diagnostics: &'a mut Vec<Diagnostic>,
    /// How many statements have been read.
    statements: usize,
    /// The row that is read.
    at: usize,
}

impl<'a> Blocks<'a> {
    /// Reads rows, and tells here what is wrong with them.
    pub(crate) fn of(diagnostics: &'a mut Vec<Diagnostic>) -> Self {
        Self { diagnostics, statements: 0, at: 0 }
    }

    /// All of `rows`.
    pub(crate) fn program(&mut self, rows: &[Row]) -> Vec<Statement> {
        self.rows(rows, 0, 0)
    }

    /// Rows of which the first is number `first`.
    fn rows(&mut self, rows: &[Row], first: usize, depth: usize) -> Vec<Statement> {
        let mut found = Vec::new();
        let mut at = 0;
        // How far to the right the last row stands that could not be read, and so cannot have its `else`.
        let mut unread: Option<usize> = None;
        while let Some(row) = rows.get(at).filter(|_| self.statements <= MOST_STATEMENTS) {
            let opens = row.tokens.last().is_some_and(|last| last.is(":")) && label(&row.tokens).is_none();
            let deeper = || rows[at + 1..].iter().take_while(|next| next.indent > row.indent).count();
            let body = if opens { &rows[at + 1..=at + deeper()] } else { &[] };
            self.at = first + at;
            at += 1 + body.len();
            // What has no words was found unreadable before.
            let read = if row.tokens.is_empty() { None } else { Some(self.row(row, body, depth)) };
            match read {
                Some(Ok(statements)) => {
                    let orphan = attach(&mut found, statements).filter(|_| unread != Some(row.indent));
                    self.diagnostics.extend(orphan);
                    unread = unread.filter(|indent| *indent < row.indent);
                }
                Some(Err(diagnostic)) => {
                    self.diagnostics.push(diagnostic);
                    unread = Some(row.indent);
                }
                None => unread = Some(row.indent),
            }
        }
        self.diagnostics.extend(labels_said_twice(&found));
        found
    }

    fn row(&mut self, row: &Row, body: &[Row], depth: usize) -> Parsed<Vec<Statement>> {
        let mut cursor = Cursor::new(&row.tokens, row.span);
        if let Some(name) = label(&row.tokens) {
            let name = Spanned::new(name.to_owned(), row.tokens[0].span);
            return Ok(vec![Statement { node: Node::Label(name), span: row.span, row: self.at }]);
        }
        let found = self.sequence(&mut cursor, body, depth)?;
        cursor.done("one statement, or several with `;` between them")?;
        Ok(found)
    }

    /// Statements with `;` between them.
    fn sequence(&mut self, cursor: &mut Cursor<'_>, body: &[Row], depth: usize) -> Parsed<Vec<Statement>> {
        let (mut found, row) = (Vec::new(), self.at);
        loop {
            let start = cursor.here();
            let mut ways = vec![self.statement(cursor, body, depth)?];
            while cursor.eat("|") || cursor.eat_word("or") {
                ways.push(self.statement(cursor, body, depth)?);
            }
            if ways.len() == 1 {
                found.append(&mut ways[0]);
            } else {
                found.push(Statement { node: Node::Choice(ways), span: cursor.since(start), row });
            }
            if !cursor.eat(";") || cursor.is_done() {
                return Ok(found);
            }
        }
    }

    /// One statement more, if there may be one at that place.
    fn counted(&mut self, start: Span, depth: usize) -> Parsed<()> {
        if depth > DEPTH {
            let help = "use labels and `goto`";
            return Err(Diagnostic::new(Code::NestsTooDeep, start, "this block nests too deep", help));
        }
        self.statements += 1;
        if self.statements > MOST_STATEMENTS {
            let message =
                format!("this program has more than {MOST_STATEMENTS} statements: too many to explore");
            return Err(Diagnostic::new(Code::TooManyRows, start, message, "use `repeat`, or fewer of them"));
        }
        Ok(())
    }

    fn statement(&mut self, cursor: &mut Cursor<'_>, body: &[Row], depth: usize) -> Parsed<Vec<Statement>> {
        let (start, row) = (cursor.here(), self.at);
        self.counted(start, depth)?;
        if cursor.peek().is_some_and(|token| token.is("{")) {
            return self.braces(cursor, depth);
        }
        let node = match cursor.peek_word().map_or(Opening::Simple, Opening::of) {
            Opening::Repeat => self.repeat(cursor, body, depth)?,
            Opening::If => {
                cursor.next();
                let condition = condition(cursor)?;
                Node::If(condition, self.body(cursor, body, depth)?, Vec::new())
            }
            Opening::Else => {
                cursor.next();
                // Stands alone only until it is attached to the `if` before it.
                let never = Operand { term: Term::Number(0), plus: 0, span: start };
                Node::If(Condition::Truth(never), Vec::new(), self.body(cursor, body, depth)?)
            }
            Opening::When => {
                cursor.next();
                let condition = condition(cursor)?;
                let colon = cursor.peek().is_some_and(|token| token.is(":"));
                Node::When(condition, if colon { self.body(cursor, body, depth)? } else { Vec::new() })
            }
            Opening::Check => {
                cursor.next();
                let condition = condition(cursor)?;
                let label = if cursor.eat_word("else") {
                    cursor.name("a label", "check pte_same A else out")?
                } else {
                    Spanned::new("out".to_owned(), cursor.since(start))
                };
                Node::Check(condition, label)
            }
            Opening::Goto => {
                cursor.next();
                Node::Goto(cursor.name("a label", "goto out")?)
            }
            Opening::End => {
                cursor.next();
                Node::End
            }
            Opening::Atomic => {
                cursor.next();
                let braces = cursor.peek().is_some_and(|token| token.is("{"));
                let body = if braces { self.braces(cursor, depth)? } else { self.body(cursor, body, depth)? };
                Node::Atomic(body)
            }
            Opening::Simple => return Ok(vec![simple(cursor, row)?]),
        };
        Ok(vec![Statement { node, span: cursor.since(start), row }])
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
            return Err(Diagnostic::new(Code::EmptyBody, colon, "nothing follows this `:`", help));
        }
        Ok(self.rows(body, self.at + 1, depth + 1))
    }

    fn repeat(&mut self, cursor: &mut Cursor<'_>, body: &[Row], depth: usize) -> Parsed<Node> {
        const FORM: &str = "repeat 0..2:";
        let start = cursor.here();
        cursor.next();
        let unbounded = |span| {
            let help =
                "a proof needs a finite scenario: write how often at least and at most, `repeat 0..2:`";
            Diagnostic::new(Code::UnboundedRepeat, span, "this `repeat` has no bound", help)
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
            return Err(Diagnostic::new(
                Code::BackwardRange,
                most.span,
                message,
                "write the smaller number first",
            ));
        }
        Ok(Node::Repeat(least.node, most.node, self.body(cursor, body, depth)?))
    }
}

/// The errors for labels that stand twice in one block.
fn labels_said_twice(block: &[Statement]) -> Vec<Diagnostic> {
    let mut places = HashMap::new();
    let twice = |name: &Name, first: Span| {
        let message = format!("the label `{}` stands twice in this block", name.node);
        Diagnostic::new(Code::LabelTwice, name.span, message, "give one of the two another name")
            .with_second(first, "here too")
    };
    let labels = block.iter().filter_map(|statement| label_of(&statement.node));
    labels.filter_map(|name| places.insert(&name.node, name.span).map(|first| twice(name, first))).collect()
}

const fn label_of(node: &Node) -> Option<&Name> {
    if let Node::Label(name) = node { Some(name) } else { None }
}

/// What a statement begins with.
#[derive(Clone, Copy)]
enum Opening {
    Repeat,
    If,
    Else,
    When,
    Check,
    Goto,
    End,
    Atomic,
    /// A step, an operation or an assignment.
    Simple,
}

impl Opening {
    fn of(word: &str) -> Self {
        match word {
            "repeat" => Self::Repeat,
            "if" => Self::If,
            "else" => Self::Else,
            "when" => Self::When,
            "check" => Self::Check,
            "goto" => Self::Goto,
            "end" => Self::End,
            "atomic" => Self::Atomic,
            _ => Self::Simple,
        }
    }
}

/// Appends, with an `else` put into the `if` before it; what is said of one that belongs to none.
fn attach(found: &mut Vec<Statement>, new: Vec<Statement>) -> Option<Diagnostic> {
    let mut orphan = None;
    for statement in new {
        let alone = matches!(&statement.node, Node::If(_, then, _) if then.is_empty());
        if !alone {
            found.push(statement);
            continue;
        }
        let Node::If(_, _, otherwise) = statement.node else { continue };
        if let Some(Node::If(_, then, place)) = found.last_mut().map(|last| &mut last.node)
            && place.is_empty()
            && !then.is_empty()
        {
            *place = otherwise;
        } else {
            let help = "put it on the line after the body of an `if`, as far to the left";
            orphan = Some(Diagnostic::new(
                Code::OrphanElse,
                statement.span,
                "this `else` belongs to no `if`",
                help,
            ));
        }
    }
    orphan
}

/// The name of a row that is nothing but a label.
pub(super) fn label(tokens: &[Token]) -> Option<&str> {
    let [name, colon] = tokens else { return None };
    name.word().filter(|word| colon.is(":") && !["else", "repeat", "atomic"].contains(word))
}
