//! A run of a scenario as a `trace`: rows are time, a column for each agent that takes part, what changed in the last.
//!
//! Invariant: what is printed is a `trace` of the scenario language: appended to its scenario it is read again and holds.
//! Agents that do nothing in the run have no column; what is no row is a remark.

use std::fmt;

use crate::engine::replay::Change;
use crate::engine::{Step, Trace};
use crate::lowering::Lowered;
use crate::model::{Model, PropertyId};
use crate::why::why;

/// A run, ready to be printed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Table {
    /// The names of the agents that take part.
    columns: Vec<String>,
    rows: Vec<Row>,
    /// How it goes on for ever behind them: once, and then again and again.
    lead: Vec<Row>,
    cycle: Vec<Row>,
    broken: Option<Broken>,
    why: Vec<String>,
}

/// The property that the last row of a run breaks.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Broken {
    /// As it was written.
    pub text: String,
    /// Line of the source that asks for it, 1-based; 0 for one that is built in and that nobody asked for.
    pub line: u32,
}

/// A step of the run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Row {
    column: usize,
    /// As it is written.
    pub text: String,
    /// What it changed.
    pub changes: Vec<Changed>,
    /// Line of the source it stands on, 1-based; 0 for hardware that acts by itself.
    pub line: u32,
    /// How it is known, if it was not explored.
    pub seen: Option<Seen>,
}

/// How a row of a run is known that happened on a machine.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Seen {
    /// It was seen; it can have been at this time, in nanoseconds.
    At(u64),
    /// Nobody saw it: without it the rows around it could not happen.
    FilledIn,
}

/// A variable that a step changed, with its values in words.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Changed {
    /// Its name.
    pub variable: String,
    /// What it was.
    pub old: String,
    /// What it is.
    pub new: String,
}

impl Table {
    /// The table of `trace`, a run of `lowered` whose last step breaks `broken`, if it breaks one.
    #[must_use]
    pub fn new(lowered: &Lowered, trace: &Trace, broken: Option<PropertyId>) -> Self {
        let model = &lowered.model;
        let (lead, cycle) = match &trace.round {
            Some(round) => (round.lead.as_slice(), round.cycle.as_slice()),
            None => (&[][..], &[][..]),
        };
        let all = trace.steps.iter().chain(lead).chain(cycle);
        let mut agents: Vec<usize> = all.map(|step| step.agent).collect();
        agents.sort_unstable();
        agents.dedup();
        let columns = agents.iter().map(|agent| model.agents[*agent].name.clone()).collect();
        let column = |step: &Step| {
            let column = agents.iter().position(|agent| *agent == step.agent);
            column.expect("whoever takes a step has a column")
        };
        let shown = |steps: &[Step]| steps.iter().map(|step| row(model, step, column(step))).collect();
        let (rows, lead, cycle) = (shown(&trace.steps), shown(lead), shown(cycle));
        // A run that breaks nothing needs no reason.
        let why = broken.map_or_else(Vec::new, |property| why(lowered, trace, property));
        let broken = broken.map(|property| {
            let property = &model.properties[usize::from(property.0)];
            Broken { text: property.text.clone(), line: property.line }
        });
        Self { columns, rows, lead, cycle, broken, why }
    }

    /// The table of a run that happened on a machine, and broke `broken`: `seen` says of each step how it is known.
    #[must_use]
    pub(crate) fn of_seen(lowered: &Lowered, trace: &Trace, broken: PropertyId, seen: &[Seen]) -> Self {
        let mut table = Self::new(lowered, trace, Some(broken));
        for (row, seen) in table.rows.iter_mut().zip(seen) {
            row.seen = Some(*seen);
        }
        table
    }

    /// How many steps the run has; a round behind it does not count.
    #[must_use]
    pub fn steps(&self) -> usize {
        self.rows.len()
    }

    /// Its steps, each with the name of who takes it.
    pub fn rows(&self) -> impl Iterator<Item = (&str, &Row)> {
        self.rows.iter().map(|row| self.named(row))
    }

    /// The steps behind it that are taken once and then again and again, each with the name of who takes it, if it goes
    /// on for ever.
    pub fn round(&self) -> [Vec<(&str, &Row)>; 2] {
        [&self.lead, &self.cycle].map(|rows| rows.iter().map(|row| self.named(row)).collect())
    }

    fn named<'t>(&'t self, row: &'t Row) -> (&'t str, &'t Row) {
        (&self.columns[row.column], row)
    }

    /// All rows, in their order.
    fn all(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter().chain(&self.lead).chain(&self.cycle)
    }

    /// The remarks that stand before the row with this index.
    fn remarks(&self, index: usize) -> Vec<&'static str> {
        let mut found = Vec::new();
        let goes_on = !self.cycle.is_empty();
        if goes_on && index == self.rows.len() {
            found.push("# from here on, whatever is done, not all can end; a way to go on for ever:");
        }
        if goes_on && index == self.rows.len() + self.lead.len() {
            found.push("# again and again:");
        }
        found
    }

    /// The property that its last row breaks, if it breaks one.
    #[must_use]
    pub fn broken(&self) -> Option<&Broken> {
        self.broken.as_ref()
    }

    /// Why the property breaks, a sentence each; rows are counted from 1.
    #[must_use]
    pub fn why(&self) -> &[String] {
        &self.why
    }
}

impl Row {
    fn change(&self) -> String {
        let changes = self.changes.iter().map(|change| format!("{}: {}", change.variable, change.new));
        changes.collect::<Vec<_>>().join("; ")
    }

    /// Behind its number: where it stands and how it is known.
    fn place(&self) -> String {
        // Hardware that acts by itself stands on no line.
        let line = if self.line == 0 { String::new() } else { format!(", line {}", self.line) };
        match self.seen {
            None => line,
            Some(Seen::At(at_ns)) => format!("{line}, {}.{:03} µs", at_ns / 1000, at_ns % 1000),
            Some(Seen::FilledIn) => format!("{line}, filled in"),
        }
    }
}

fn row(model: &Model, step: &Step, column: usize) -> Row {
    let instruction = &model.agents[step.agent].program[usize::from(step.pc.0)];
    let taken = &instruction.alternatives[step.alternative];
    let changed = |change: &Change| {
        let variable = &model.variables[usize::from(change.var.0)];
        let value = |value: u32| variable.values[value as usize].clone();
        Changed { variable: variable.name.clone(), old: value(change.old), new: value(change.new) }
    };
    let changes = step.changes.iter().map(changed).collect();
    Row { column, text: taken.text.clone(), changes, line: taken.line, seen: None }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{} (built in)", self.text),
            line => write!(f, "{} (line {line})", self.text),
        }
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = |column: usize| {
            let cells = self.all().filter(|row| row.column == column).map(|row| row.text.chars().count());
            cells.chain([self.columns[column].chars().count()]).fold(0, usize::max)
        };
        let widths: Vec<usize> = (0..self.columns.len()).map(width).collect();
        let changes: Vec<String> = self.all().map(Row::change).collect();
        let widest = changes.iter().map(|change| change.chars().count()).fold(0, usize::max);
        let print = |f: &mut fmt::Formatter<'_>, cells: &[&str], change: &str| {
            let padded = cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$} | "));
            let text: String = padded.chain([change.to_owned()]).collect();
            writeln!(f, "{}", text.trim_end())
        };
        let names: Vec<&str> = self.columns.iter().map(String::as_str).collect();
        writeln!(f, "trace")?;
        print(f, &names, "state change")?;
        for ((row, change), number) in self.all().zip(&changes).zip(1..) {
            self.remarks(number - 1).iter().try_for_each(|remark| writeln!(f, "{remark}"))?;
            let mut cells = vec![""; self.columns.len()];
            cells[row.column] = &row.text;
            print(f, &cells, &format!("{change:widest$} # row {number}{}", row.place()))?;
        }
        self.broken.iter().try_for_each(|property| writeln!(f, "# VIOLATION: {property}"))?;
        self.why.iter().try_for_each(|sentence| writeln!(f, "# {sentence}"))
    }
}

#[cfg(test)]
mod tests;
