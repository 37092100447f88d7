//! A run as plain data: its rows, a lane for every table entry and every cache that holds a translation in it, and what
//! leads from a change to whoever was told of it, or was not.
//!
//! Invariant: rows count from 1, and state 0 is the start: a lane's segment says what was held behind the row `from` and
//! until the row `to`. A segment is stale if the model's tables do not allow any more what it allows; where nobody used such a
//! one and the run breaks all the same, if they do not say any more what it holds.
//!
//! Reading order: `states` (the states that a run passes), `places` (what has a lane), `lanes`, `arrows`.

mod arrows;
mod lanes;
mod places;
mod states;

use ordering::counterexample::{Broken, Row as Shown, Table};
use ordering::engine::Trace;
use ordering::lowering::Lowered;
use ordering::model::PropertyId;

use self::states::{How, States};

/// A run to be looked at.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Timeline {
    /// Who takes part, in the order of the scenario.
    pub agents: Vec<Column>,
    /// What is done, one after the other.
    pub rows: Vec<Row>,
    /// What tables and caches hold meanwhile.
    pub lanes: Vec<Lane>,
    /// What leads from a change to where it matters.
    pub arrows: Vec<Arrow>,
    /// The property that the last row breaks.
    pub broken: Option<Broken>,
    /// Why, a sentence each.
    pub why: Vec<String>,
}

/// An agent that takes part.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// What it runs on, if that has another name.
    pub on: Option<String>,
}

/// A step of the run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Row {
    /// Index of the column of whoever takes it.
    pub agent: usize,
    /// As it is written.
    pub text: String,
    /// What it changes, such as `pte[A]: none`.
    pub changes: Vec<String>,
    /// Line of the source, 1-based; none for hardware that acts by itself.
    pub line: Option<u32>,
    /// Whether it is taken once, or again and again.
    pub part: Part,
}

/// Which part of a run a row belongs to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Part {
    /// The run to what breaks.
    Run,
    /// Behind it, on the way to what goes on for ever.
    Lead,
    /// Taken again and again.
    Cycle,
}

/// A table entry, or a cache of one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Lane {
    /// The variable's name, such as `tlb[CPU][A]`.
    pub name: String,
    /// What that is, such as `TLB of CPU`.
    pub what: String,
    /// Which of them.
    pub kind: Kind,
    /// What it holds, one after the other; times at which a cache holds nothing are left out.
    pub segments: Vec<Segment>,
    /// The rows that empty it, whether it holds something or not.
    pub emptied: Vec<usize>,
    /// The rows that go through what it holds.
    pub used: Vec<usize>,
}

/// Kinds of lanes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Kind {
    /// What caches must agree with.
    Table,
    /// A cache.
    Cache,
    /// What was read and is not in a cache yet, or not used yet.
    OnTheWay,
}

/// What a lane holds for a while.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Segment {
    /// The row behind which it is so; 0: from the start.
    pub from: usize,
    /// The row that ends it; none: it lasts to the end.
    pub to: Option<usize>,
    /// What is held, as it is shown.
    pub holds: String,
    /// Whether the tables say something else.
    pub stale: bool,
}

/// What leads from a row that changes a table to another.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Arrow {
    /// The row of the change.
    pub from: usize,
    /// The row of the invalidation, or of the use.
    pub to: usize,
    /// Which of them.
    pub end: End,
    /// The lanes that are emptied or used.
    pub lanes: Vec<usize>,
}

/// What an arrow leads to.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum End {
    /// A step that empties caches of the table.
    Told,
    /// A use of what the table does not say any more.
    Used,
}

impl Timeline {
    /// The timeline of `trace`, a run of `lowered` whose last row breaks `broken`, if it breaks one.
    #[must_use]
    pub fn new(lowered: &Lowered, trace: &Trace, broken: Option<PropertyId>) -> Self {
        let table = Table::new(lowered, trace, broken);
        let mut states = States::new(lowered, trace);
        let takes_part = states.agents();
        let rows = rows(&table, &states, &takes_part);
        let last = trace.steps.len();
        let (mut lanes, mut arrows) = drawn(&states, last);
        let is_use = |arrow: &Arrow| arrow.end == End::Used;
        if broken.is_some() && !arrows.iter().any(is_use) {
            // Nobody did what he was not allowed to: perhaps an entry that allows too little is why.
            states.how = How::Whole;
            let (whole, of_whole) = drawn(&states, last);
            if of_whole.iter().any(is_use) {
                (lanes, arrows) = (whole, of_whole);
            }
        }
        let column = |agent: &usize| column(lowered, *agent);
        let agents = takes_part.iter().map(column).collect();
        Self { agents, rows, lanes, arrows, broken: table.broken().cloned(), why: table.why().to_vec() }
    }

    /// How many rows it has up to what breaks; a round behind it does not count.
    #[must_use]
    pub fn run(&self) -> usize {
        self.rows.iter().filter(|row| row.part == Part::Run).count()
    }

    /// The row that breaks a property; 0 if the start does.
    #[must_use]
    pub fn breaks(&self) -> Option<usize> {
        self.broken.as_ref().map(|_| self.run())
    }

    /// What is held behind a row, the tables first: the lane and its segment.
    pub fn held(&self, row: usize) -> impl Iterator<Item = (&Lane, &Segment)> {
        self.lanes.iter().filter_map(move |lane| Some((lane, lane.at(row)?)))
    }
}

impl Lane {
    /// What it holds behind a row.
    #[must_use]
    pub fn at(&self, row: usize) -> Option<&Segment> {
        self.segments.iter().find(|one| one.from <= row && one.to.is_none_or(|to| row < to))
    }
}

fn drawn(states: &States<'_>, last: usize) -> (Vec<Lane>, Vec<Arrow>) {
    let (lanes, vars) = lanes::lanes(states);
    let arrows = arrows::arrows(states, &lanes, &vars, last);
    (lanes, arrows)
}

fn rows(table: &Table, states: &States<'_>, takes_part: &[usize]) -> Vec<Row> {
    let [lead, cycle] = table.round();
    let run = table.rows().map(|(_, row)| (row, Part::Run));
    let lead = lead.into_iter().map(|(_, row)| (row, Part::Lead));
    let cycle = cycle.into_iter().map(|(_, row)| (row, Part::Cycle));
    let shown = run.chain(lead).chain(cycle);
    let row = |((row, part), taken): ((&Shown, Part), &states::Taken<'_>)| Row {
        agent: takes_part.iter().position(|agent| *agent == taken.agent).expect("whoever acts takes part"),
        text: row.text.clone(),
        changes: row.changes.iter().map(|change| format!("{}: {}", change.variable, change.new)).collect(),
        line: (row.line > 0).then_some(row.line),
        part,
    };
    shown.zip(&states.taken).map(row).collect()
}

fn column(lowered: &Lowered, agent: usize) -> Column {
    let name = lowered.model.agents[agent].name.clone();
    let user = lowered.scene.agents.get(agent).and_then(|agent| agent.user);
    let on = user.map(|user| lowered.scene.users[user.0].name.clone()).filter(|on| *on != name);
    Column { name, on }
}

#[cfg(test)]
mod tests;
