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
mod parts;
mod places;
mod states;

use ordering::counterexample::{Row as Shown, Table};
use ordering::engine::Trace;
use ordering::lowering::Lowered;
use ordering::model::PropertyId;

use self::states::{How, States};

pub use self::parts::{Arrow, Column, End, Kind, Lane, Part, Row, Segment, Timeline};

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
