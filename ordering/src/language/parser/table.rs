//! Tables: `race`, whose columns are programs, and `trace`, whose rows are time.
//!
//! Invariant: a row has as many cells as the table's head, or it is an error. A trace may have one more column, which
//! shows what changed and is not read.

use super::super::diagnostic::Diagnostic;
use super::super::line::Line;
use super::super::span::{Name, Spanned};
use super::super::syntax::{Agent, Row};
use super::super::token::tokens;
use super::cursor::{Cursor, Parsed};

/// Which table.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Table {
    /// Columns are programs.
    Race,
    /// Rows are time.
    Trace,
}

/// The agents of a race, or the rows of a trace.
#[derive(Default)]
pub(super) struct Read {
    pub(super) agents: Vec<Agent>,
    pub(super) rows: Vec<Row>,
}

/// Reads the table whose head is the first of `lines`.
pub(super) fn table(kind: Table, lines: &[Line<'_>], diagnostics: &mut Vec<Diagnostic>) -> Read {
    let mut read = Read::default();
    let Some((head, body)) = lines.split_first() else { return read };
    let heads = head.cells();
    for cell in &heads {
        let remark = kind == Table::Trace && cell.text.trim() == "state change";
        match column(*cell, diagnostics) {
            _ if remark => {}
            Ok(agent) => read.agents.push(agent),
            Err(diagnostic) => diagnostics.push(diagnostic),
        }
    }
    for line in body {
        let cells = line.cells();
        let missing = kind == Table::Trace && cells.len() + 1 == heads.len();
        if cells.len() != heads.len() && !missing {
            diagnostics.push(wrong_number(line, cells.len(), heads.len()));
            continue;
        }
        // A column that could not be read leaves fewer agents than cells; that is an error already.
        for (agent, cell) in read.agents.iter_mut().zip(&cells).filter(|(_, cell)| !cell.is_blank()) {
            let row = row(*cell, diagnostics);
            match kind {
                Table::Race => agent.rows.push(row),
                Table::Trace => read.rows.push(Row { agent: Some(agent.name.clone()), ..row }),
            }
        }
    }
    read
}

/// The words of a cell or a line.
pub(super) fn row(cell: Line<'_>, diagnostics: &mut Vec<Diagnostic>) -> Row {
    let tokens = tokens(cell.text, cell.start, diagnostics);
    Row { agent: None, indent: cell.indent(), tokens, span: cell.span() }
}

fn wrong_number(line: &Line<'_>, found: usize, expected: usize) -> Diagnostic {
    let message = format!("this row has {found} columns, the table has {expected}");
    let help = "put a `|` for every border of the head; a choice is written `or` in a table";
    Diagnostic::new(line.span(), message, help)
}

fn column(cell: Line<'_>, diagnostics: &mut Vec<Diagnostic>) -> Parsed<Agent> {
    let tokens = tokens(cell.text, cell.start, diagnostics);
    let mut cursor = Cursor::new(&tokens, cell.span());
    let mut agent = head(&mut cursor, "CPU | IOMMU")?;
    agent.in_table = true;
    cursor.done("CPU | IOMMU")?;
    Ok(agent)
}

/// `NAME ["remark"] [on CPU] [spontaneous]`
pub(super) fn head(cursor: &mut Cursor<'_>, form: &str) -> Parsed<Agent> {
    let name: Name = cursor.name("the name of an agent", form)?;
    cursor.quoted();
    let on = if cursor.eat_word("on") { Some(cursor.name("a CPU", form)?) } else { None };
    let spontaneous = cursor.eat_word("spontaneous");
    let name = Spanned::new(name.node, name.span);
    Ok(Agent { name, on, spontaneous, in_table: false, rows: Vec::new(), body: Vec::new() })
}
