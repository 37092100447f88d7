//! Tables, with their borders below each other.
//!
//! Invariant: a cell is as far to the right of the others of its column as before, counted in blocks; a row has its cells.

use super::super::diagnostic::Diagnostic;
use super::super::line::Line;
use super::super::token::tokens;
use super::{Levels, STEP, blanks};

/// The rows of a table, without remarks; a line that holds a remark alone is empty. `trace`: its last column may show what
/// changed, which is no statement.
pub(super) fn aligned(block: &[Line<'_>], trace: bool, source: &str) -> Result<Vec<String>, Diagnostic> {
    let Some(head) = block.iter().find(|line| !line.is_blank()) else {
        return Ok(vec![String::new(); block.len()]);
    };
    let shows = trace && head.cells().last().is_some_and(|cell| cell.text.trim() == "state change");
    let columns = head.cells().len();
    let mut levels = vec![Levels::default(); columns];
    let mut rows: Vec<Vec<String>> = Vec::new();
    for line in block {
        let mut row = Vec::new();
        let is_head = rows.iter().all(Vec::is_empty);
        for (index, cell) in line.cells().into_iter().enumerate().filter(|_| !line.is_blank()) {
            row.push(match cell.is_blank() {
                true => String::new(),
                false if shows && index + 1 == columns => cell.text.trim().to_owned(),
                false if is_head => blanks::between(&tokens(cell.trimmed())?, source),
                false => {
                    let text = blanks::between(&tokens(cell.trimmed())?, source);
                    format!("{}{text}", " ".repeat(STEP * levels[index].of(cell.indent())))
                }
            });
        }
        rows.push(row);
    }
    let width = |index: usize| {
        let cells = rows.iter().filter_map(|row| row.get(index));
        cells.map(|cell| cell.chars().count()).fold(0, usize::max)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let padded = |row: &Vec<String>| {
        let cells: Vec<String> =
            row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        cells.join(" | ").trim_end().to_owned()
    };
    Ok(rows.iter().map(padded).collect())
}
