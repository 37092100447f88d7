//! What a timeline consists of.
//!
//! Invariant: rows count from 1, and state 0 is the start.

use ordering::counterexample::Broken;

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

impl Lane {
    /// What it holds behind a row.
    #[must_use]
    pub fn at(&self, row: usize) -> Option<&Segment> {
        self.segments.iter().find(|one| one.from <= row && one.to.is_none_or(|to| row < to))
    }
}
