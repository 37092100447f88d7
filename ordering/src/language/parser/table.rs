//! Tables: `race`, whose columns are programs, and `trace`, whose rows are time.
//!
//! Invariant: a row has as many cells as the table's head, or it is an error. A trace may have one more column, which
//! shows what changed and is not read.

use super::super::code::Code;
use super::super::diagnostic::Diagnostic;
use super::super::line::Line;
use super::super::span::{Name, Span, Spanned};
use super::super::syntax::{Agent, Row};
use super::super::token::tokens;
use super::bind::{Bound, bind};
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
pub(super) fn table(
    kind: Table,
    lines: &[Line<'_>],
    bound: &Bound,
    diagnostics: &mut Vec<Diagnostic>,
) -> Read {
    let mut read = Read::default();
    let Some((head, body)) = lines.split_first() else { return read };
    let heads = head.cells();
    for cell in &heads {
        if kind == Table::Trace && cell.text.trim() == "state change" {
            continue;
        }
        match column(*cell, bound) {
            Ok(agent) => read.agents.push(agent),
            Err(diagnostic) => diagnostics.push(diagnostic),
        }
    }
    let mut margins = vec![Margin::default(); heads.len()];
    for line in body {
        let cells = line.cells();
        let missing = kind == Table::Trace && cells.len() + 1 == heads.len();
        if cells.len() != heads.len() && !missing {
            diagnostics.push(wrong_number(line, cells.len(), heads.len()));
            continue;
        }
        // A column that could not be read leaves fewer agents than cells; that is an error already.
        let columns = read.agents.iter_mut().zip(&mut margins).zip(&cells);
        for ((agent, margin), cell) in columns.filter(|(_, cell)| !cell.is_blank()) {
            match kind {
                Table::Race => {
                    margin.takes(cell, diagnostics);
                    agent.rows.push(row(*cell, bound, diagnostics));
                }
                Table::Trace => {
                    read.rows.push(Row { agent: Some(agent.name.clone()), ..row(*cell, bound, diagnostics) });
                }
            }
        }
    }
    let mixed = read.agents.iter_mut().zip(margins).filter(|(_, margin)| margin.mixed);
    mixed.for_each(|(agent, _)| unreadable(&mut agent.rows));
    read
}

/// Leaves rows without words: what is wrong with them is reported.
fn unreadable(rows: &mut [Row]) {
    rows.iter_mut().for_each(|row| row.tokens.clear());
}

/// The rows of a program that stand on lines of their own.
pub(super) fn program(lines: &[Line<'_>], bound: &Bound, diagnostics: &mut Vec<Diagnostic>) -> Vec<Row> {
    let mut margin = Margin::default();
    lines.iter().for_each(|line| margin.takes(line, diagnostics));
    let mut rows: Vec<Row> = lines.iter().map(|line| row(*line, bound, diagnostics)).collect();
    if margin.mixed {
        unreadable(&mut rows);
    }
    rows
}

/// What the rows of one program are indented with. A tab is no certain number of blanks, so rows that use both could not
/// be compared.
#[derive(Clone, Default)]
struct Margin {
    first: Option<(char, Span)>,
    mixed: bool,
}

impl Margin {
    fn takes(&mut self, line: &Line<'_>, diagnostics: &mut Vec<Diagnostic>) {
        for blank in line.margin().chars() {
            let (first, place) = *self.first.get_or_insert((blank, line.span()));
            if blank != first && !self.mixed {
                self.mixed = true;
                let named = |blank| if blank == '\t' { "tabs" } else { "blanks" };
                let message = "tabs and blanks are mixed at the beginning of the rows of one program";
                let mixed = Diagnostic::new(Code::MixedMargin, line.span(), message, "use blanks alone");
                diagnostics.push(mixed.with_label(named(blank)).with_second(place, named(first)));
            }
        }
    }
}

/// The words of a cell or a line; none if one of them cannot be read, which is reported.
pub(super) fn row(cell: Line<'_>, bound: &Bound, diagnostics: &mut Vec<Diagnostic>) -> Row {
    let tokens = tokens(cell).and_then(|read| bind(read, bound)).unwrap_or_else(|unreadable| {
        diagnostics.push(unreadable);
        Vec::new()
    });
    Row { agent: None, indent: cell.indent(), tokens, span: cell.span() }
}

fn wrong_number(line: &Line<'_>, found: usize, expected: usize) -> Diagnostic {
    let message = format!("this row has {found} columns, the table has {expected}");
    let help = "put a `|` for every border of the head; a choice is written `or` in a table";
    Diagnostic::new(Code::WrongCells, line.span(), message, help)
}

fn column(cell: Line<'_>, bound: &Bound) -> Parsed<Agent> {
    let tokens = bind(tokens(cell)?, bound)?;
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
    Ok(Agent { name, on, spontaneous, in_table: false, rows: Vec::new(), unfolded: None, body: Vec::new() })
}
