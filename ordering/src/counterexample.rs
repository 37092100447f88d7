//! A run of a model as a `trace`: rows are time, a column for each agent that takes part, what changed in the last.
//!
//! Invariant: what is printed is a `trace` of the scenario language: appended to its scenario it is read again and holds.
//! Agents that do nothing in the run have no column; what is no row is a remark.

use std::fmt;

use crate::engine::{Step, Trace};
use crate::model::{Model, PropertyId};

/// A run, ready to be printed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Table {
    /// The names of the agents that take part.
    columns: Vec<String>,
    rows: Vec<Row>,
    /// The property that the last row breaks.
    broken: Option<String>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
struct Row {
    column: usize,
    text: String,
    change: String,
    line: u32,
}

impl Table {
    /// The table of `trace`, a run of `model` whose last step breaks `broken`, if it breaks one.
    #[must_use]
    pub fn new(model: &Model, trace: &Trace, broken: Option<PropertyId>) -> Self {
        let mut agents: Vec<usize> = trace.steps.iter().map(|step| step.agent).collect();
        agents.sort_unstable();
        agents.dedup();
        let columns = agents.iter().map(|agent| model.agents[*agent].name.clone()).collect();
        let row = |step: &Step| Row {
            column: agents.iter().position(|agent| *agent == step.agent).unwrap_or(0),
            ..row(model, step)
        };
        let rows = trace.steps.iter().map(row).collect();
        let broken = broken.map(|property| model.properties[usize::from(property.0)].text.clone());
        Self { columns, rows, broken }
    }

    /// How many steps the run has.
    #[must_use]
    pub fn steps(&self) -> usize {
        self.rows.len()
    }
}

fn row(model: &Model, step: &Step) -> Row {
    let instruction = &model.agents[step.agent].program[usize::from(step.pc.0)];
    let taken = &instruction.alternatives[step.alternative];
    let change = |change: &crate::engine::replay::Change| {
        let variable = &model.variables[usize::from(change.var.0)];
        let value = usize::try_from(change.new).ok().and_then(|index| variable.values.get(index));
        format!("{}: {}", variable.name, value.map_or("?", String::as_str))
    };
    let changes: Vec<String> = step.changes.iter().map(change).collect();
    Row { column: 0, text: taken.text.clone(), change: changes.join("; "), line: taken.line }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = |column: usize| {
            let cells =
                self.rows.iter().filter(|row| row.column == column).map(|row| row.text.chars().count());
            cells.chain([self.columns[column].chars().count()]).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..self.columns.len()).map(width).collect();
        let changes = self.rows.iter().map(|row| row.change.chars().count()).max().unwrap_or(0);
        let print = |f: &mut fmt::Formatter<'_>, cells: &[&str], change: &str| {
            let padded = cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$} | "));
            let text: String = padded.chain([change.to_owned()]).collect();
            writeln!(f, "{}", text.trim_end())
        };
        let names: Vec<&str> = self.columns.iter().map(String::as_str).collect();
        writeln!(f, "trace")?;
        print(f, &names, "state change")?;
        for row in &self.rows {
            let mut cells = vec![""; self.columns.len()];
            cells[row.column] = &row.text;
            // Hardware that acts by itself stands on no line.
            let line = if row.line == 0 { String::new() } else { format!("# line {}", row.line) };
            print(f, &cells, &format!("{:changes$} {line}", row.change))?;
        }
        match &self.broken {
            Some(property) => writeln!(f, "# VIOLATION: {property}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
