//! Rows of a list in columns: as wide as what stands in them, or as the terminal.
//!
//! Invariant: a pipe and a file get each row as one line, whatever the terminal; on a terminal that is too narrow cells go on below
//! themselves, and nothing of them is lost.

use std::io::stdout;

use comfy_table::{ContentArrangement, LineStyle, Row, Table, TableStyle};
use rustix::termios::tcgetwinsize;

/// What the line of a result takes: name, verdict, numbers.
pub(super) const LINE_COLUMNS: u16 = 108;
/// Blanks in front of what belongs to a heading.
const INDENT: usize = 2;
/// Blanks between columns.
const GAP: u16 = 2;

/// Where rows go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// A pipe or a file.
    Unbounded,
    /// A terminal with so many columns.
    Columns(u16),
}

impl Place {
    /// Standard output. A terminal that does not say how wide it is gets what a pipe gets.
    pub(super) fn here() -> Self {
        match tcgetwinsize(stdout()) {
            Ok(size) if size.ws_col > 0 => Self::Columns(size.ws_col),
            Ok(_) | Err(_) => Self::Unbounded,
        }
    }

    /// How wide it is, if it is a terminal.
    pub(super) const fn columns(self) -> Option<u16> {
        match self {
            Self::Unbounded => None,
            Self::Columns(columns) => Some(columns),
        }
    }

    /// Whether the line of a result does not fit, and is to be two.
    pub(super) fn is_narrow(self) -> bool {
        self.columns().is_some_and(|columns| columns < LINE_COLUMNS)
    }

    /// What is left of it behind `indent` blanks.
    fn behind(self, indent: usize) -> Self {
        match self {
            Self::Unbounded => Self::Unbounded,
            Self::Columns(columns) => {
                let indent = u16::try_from(indent).unwrap_or(u16::MAX);
                Self::Columns(columns.saturating_sub(indent).max(1))
            }
        }
    }
}

/// What stands between the verdict of a result and its numbers.
pub(super) const fn between(is_narrow: bool) -> &'static str {
    if is_narrow { "\n   " } else { " " }
}

/// All rows, one below the other.
pub(super) fn laid_out(rows: &[Vec<String>], place: Place) -> String {
    cut(rows, place).join("\n")
}

/// Each row for itself, as it stands below a heading, in columns that all rows have in common.
pub(super) fn blocks(rows: &[Vec<String>], place: Place) -> Vec<String> {
    let indent = " ".repeat(INDENT);
    let blocks = cut(rows, place.behind(INDENT));
    blocks
        .into_iter()
        .map(|block| format!("{indent}{}", block.replace('\n', &format!("\n{indent}"))))
        .collect()
}

/// What no cell has: it stands between rows until they are cut apart.
const BETWEEN: char = '\u{1e}';

/// Each row as a line, or as the lines that its cells take.
fn cut(rows: &[Vec<String>], place: Place) -> Vec<String> {
    let mut table = Table::new();
    table.load_style(TableStyle::new().row_separator(LineStyle::none().fill(BETWEEN)));
    table.add_rows(rows.iter().map(|row| Row::from(row.clone())));
    let last = rows.iter().map(Vec::len).fold(0, usize::max).saturating_sub(1);
    for (at, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, if at == last { 0 } else { GAP }));
    }
    if let Place::Columns(columns) = place {
        table.set_width(columns).set_content_arrangement(ContentArrangement::Dynamic);
    }
    let lines: Vec<String> = table.lines().collect();
    let is_between = |line: &String| line.starts_with(BETWEEN);
    let rows = lines.split(is_between);
    rows.map(|row| row.iter().map(|line| line.trim_end()).collect::<Vec<_>>().join("\n")).collect()
}

#[cfg(test)]
mod tests;
